#include "oracle.h"

#include <math.h>

/* cross_entropy = -log p_t, surprise = -log q, q = 1 - p_t: each given in the form that has no
 * cancellation on its side. A power of 0 settles it: the factor gamma cannot outweigh it. */
static oracle_value one_side(double gamma, double p_t, double q, double cross_entropy,
                             double surprise) {
    double power = exp(-gamma * surprise);
    if (power == 0.0)
        return (oracle_value){0.0, 0.0};
    return (oracle_value){power * cross_entropy, power * (gamma * p_t * cross_entropy + q)};
}

oracle_sides oracle_focal(double magnitude, double gamma) {
    if (isinf(magnitude))
        return (oracle_sides){.right = {0.0, 0.0}, .wrong = {(double)INFINITY, 1.0}};
    double e = exp(-magnitude);
    double log1p_e = log1p(e);
    double larger = 1.0 / (1.0 + e), smaller = e / (1.0 + e);
    double far = magnitude + log1p_e;
    return (oracle_sides){
        .right = one_side(gamma, larger, smaller, log1p_e, far),
        .wrong = one_side(gamma, smaller, larger, far, log1p_e),
    };
}
