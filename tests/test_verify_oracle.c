/* The oracle of `focal verify` against two others: mpmath's golden values (argument 1), and
 * long double over floats of all magnitudes. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "oracle.h"

/* Where f64 itself has gradual underflow, and so does not keep relative errors. */
static const double f64_floor = 0x1p-960;

static double relative_error(double value, long double exact) {
    if (fabsl(exact) < (long double)f64_floor)
        return fabs(value) <= 2.0 * f64_floor ? 0.0 : (double)INFINITY;
    return (double)(fabsl((long double)value - exact) / fabsl(exact));
}

static double alpha_of(double alpha, int target) {
    return isnan(alpha) ? 1.0 : target ? alpha : 1.0 - alpha;
}

static void check_golden(const char *path) {
    FILE *file = fopen(path, "r");
    if (!CHECK_CASE(file != NULL, "%s", path))
        return;
    char line[512];
    double worst = 0.0;
    unsigned points = 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "sigmoid ", 8) != 0)
            continue;
        double field[6]; /* gamma alpha logit target loss gradient */
        char *text = line + 8;
        for (size_t i = 0; i < 6; i++)
            field[i] = strtod(text, &text);
        double logit = field[2], target = field[3];
        if (target != 0.0 && target != 1.0)
            continue;
        oracle_sides sides = oracle_focal(fabs(logit), field[0]);
        oracle_value value = (logit > 0.0) == (target == 1.0) ? sides.right : sides.wrong;
        double alpha = alpha_of(field[1], target == 1.0);
        double sign = target == 1.0 ? -1.0 : 1.0;
        /* The bound is for what is normal in f32: below, the exponent is longer. */
        double losses = relative_error(alpha * value.loss, (long double)field[4]);
        double gradients = relative_error(sign * alpha * value.gradient, (long double)field[5]);
        if (fabs(field[4]) >= 0x1p-126)
            worst = fmax(worst, losses);
        if (fabs(field[5]) >= 0x1p-126)
            worst = fmax(worst, gradients);
        points++;
    }
    fclose(file);
    printf("golden values: %u points, largest relative error %.3g\n", points, worst);
    CHECK_CASE(points >= 100, "only %u hard points in %s", points, path);
    CHECK_CASE(worst <= ORACLE_ERROR, "%.3g > %.3g", worst, ORACLE_ERROR);
}

static long double side_in_long_double(int right, double magnitude, double gamma,
                                       long double *gradient) {
    long double e = expl(-(long double)magnitude);
    long double near = log1pl(e), far = (long double)magnitude + near;
    long double larger = 1.0L / (1.0L + e), smaller = e / (1.0L + e);
    long double q = right ? smaller : larger, p = right ? larger : smaller;
    long double loss = right ? near : far;
    /* Not the oracle's exponential form, so that a mistake in it cannot hide. */
    long double power = powl(q, (long double)gamma);
    *gradient = power * ((long double)gamma * p * loss + q);
    return power * loss;
}

static void check_sweep(double gamma) {
    double worst = 0.0, at = 0.0;
    for (uint64_t bits = 0; bits < 0x7f800000; bits += 10007) {
        uint32_t pattern = (uint32_t)bits;
        float logit;
        memcpy(&logit, &pattern, sizeof logit);
        oracle_sides sides = oracle_focal((double)logit, gamma);
        for (int right = 0; right < 2; right++) {
            oracle_value value = right ? sides.right : sides.wrong;
            long double gradient;
            long double loss = side_in_long_double(right, (double)logit, gamma, &gradient);
            double error = 0.0;
            if (loss >= 0x1p-126L)
                error = relative_error(value.loss, loss);
            if (gradient >= 0x1p-126L)
                error = fmax(error, relative_error(value.gradient, gradient));
            if (error > worst) {
                worst = error;
                at = (double)logit;
            }
        }
    }
    printf("long double, gamma %g: largest relative error %.3g at |logit| %a\n", gamma, worst,
           at);
    CHECK_CASE(worst <= ORACLE_ERROR, "gamma %g: %.3g at %a", gamma, worst, at);
}

static void check_limits(void) {
    for (double gamma = 0.0; gamma <= 4.0; gamma += 0.5) {
        oracle_sides sides = oracle_focal((double)INFINITY, gamma);
        CHECK(sides.right.loss == 0.0 && sides.right.gradient == 0.0);
        CHECK(isinf(sides.wrong.loss) && sides.wrong.gradient == 1.0);
        sides = oracle_focal((double)FLT_MAX, gamma);
        CHECK(sides.right.loss == 0.0 && sides.right.gradient == 0.0);
        CHECK(sides.wrong.loss == (double)FLT_MAX && sides.wrong.gradient == 1.0);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s GOLDEN_SIGMOID\n", argv[0]);
        return 2;
    }
    const double gammas[] = {0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.7, 5.0, 20.0, 1000.0};
    check_golden(argv[1]);
    for (size_t i = 0; i < sizeof gammas / sizeof gammas[0]; i++)
        check_sweep(gammas[i]);
    check_limits();
    return check_report();
}
