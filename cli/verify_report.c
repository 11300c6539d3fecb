#include "command.h"
#include "json.h"
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double verify_bound(focal_op op, focal_tier tier, double gamma) {
    if (tier == FOCAL_TIER_ACCURATE)
        return gamma > 5.0 ? 1.0 : 0.51;
    if (op == FOCAL_SOFTMAX && tier == FOCAL_TIER_SLEEF)
        return 4.0 + 2.0 * gamma;
    return gamma > 5.0 ? 2.0 + 2.0 * gamma : 10.0;
}

static int tally_holds(const verify_tally *tally, double bound) {
    return tally->violations == 0 && (tally->normal == 0 || tally->worst.error <= bound);
}

int verify_holds(const verify_request *request, const verify_result *result) {
    return request->hash_only || (tally_holds(&result->loss, request->bound) &&
                                  tally_holds(&result->gradient, request->bound));
}

static float logit_of(const verify_case *result) {
    float logit;
    memcpy(&logit, &result->bits, sizeof logit);
    return logit;
}

static double share(const verify_tally *tally) {
    return tally->normal ? (double)tally->correct / (double)tally->normal : 1.0;
}

static void json_case(const char *key, const verify_case *result) {
    char text[64];
    json_open(key, '{');
    snprintf(text, sizeof text, "0x%08" PRIx32, result->bits);
    json_string("logit_bits", text);
    snprintf(text, sizeof text, "%a", plain_nan((double)logit_of(result)));
    json_string("logit", text);
    json_integer("target", result->target);
    json_integer("class", result->component);
    snprintf(text, sizeof text, "%a", plain_nan((double)result->result));
    json_string("result", text);
    snprintf(text, sizeof text, "%a", plain_nan(result->exact));
    json_string("exact", text);
    json_close('}');
}

static void json_tally(const char *key, const verify_tally *tally) {
    json_open(key, '{');
    json_integer("normal", (int64_t)tally->normal);
    json_integer("correctly_rounded", (int64_t)tally->correct);
    json_number("correctly_rounded_share", share(tally));
    if (tally->normal) {
        json_number("max_ulp", tally->worst.error);
        json_case("worst", &tally->worst);
    }
    json_integer("subnormal", (int64_t)tally->subnormal);
    if (tally->subnormal) {
        json_number("subnormal_max_error", tally->worst_subnormal.error);
        json_case("subnormal_worst", &tally->worst_subnormal);
    }
    json_integer("violations", (int64_t)tally->violations);
    if (tally->violations)
        json_case("first_violation", &tally->first_violation);
    json_close('}');
}

static void report_json(const verify_request *request, const char *plan, const char *hash,
                        const verify_result *result) {
    json_open(NULL, '{');
    json_string("op", request->op_name);
    json_number("gamma", request->gamma);
    if (request->alpha_mode == FOCAL_ALPHA_OFF)
        json_string("alpha", NULL);
    else
        json_number("alpha", request->alpha);
    json_string("tier", request->tier_name);
    json_string("plan", plan);
    json_integer("stride", (int64_t)request->stride);
    json_integer("offset", (int64_t)request->offset);
    json_integer("patterns", (int64_t)result->patterns);
    json_integer("threads", result->threads);
    json_number("seconds", result->seconds);
    json_string("hash", hash);
    if (!request->hash_only) {
        json_tally("loss", &result->loss);
        json_tally("gradient", &result->gradient);
        json_number("bound_ulp", request->bound);
        json_boolean("holds", verify_holds(request, result));
    }
    json_close('}');
}

static void print_case(const verify_request *request, const char *title,
                       const verify_case *result) {
    printf("    %-18s logit %a (0x%08" PRIx32 ")", title, plain_nan((double)logit_of(result)),
           result->bits);
    if (request->op == FOCAL_SOFTMAX)
        printf(" against 0, label %d, class %d", 1 - result->target, result->component);
    else
        printf(", target %d", result->target);
    printf(": %.9g, exact %.17g\n", plain_nan((double)result->result),
           plain_nan(result->exact));
}

static void print_tally(const verify_request *request, const char *title,
                        const verify_tally *tally) {
    printf("%s\n", title);
    printf("  %" PRIu64 " normal results, %.4f %% correctly rounded\n", tally->normal,
           100.0 * share(tally));
    if (tally->normal) {
        printf("    %-18s %.4f ULP\n", "largest error", tally->worst.error);
        print_case(request, "at", &tally->worst);
    }
    printf("  %" PRIu64 " results below 2^-126\n", tally->subnormal);
    if (tally->subnormal) {
        printf("    %-18s %.4f times 2^-149\n", "largest error", tally->worst_subnormal.error);
        print_case(request, "at", &tally->worst_subnormal);
    }
    printf("  %" PRIu64 " violations of NaN and infinity\n", tally->violations);
    if (tally->violations)
        print_case(request, "first at", &tally->first_violation);
}

static void report_text(const verify_request *request, const char *plan, const char *hash,
                        const verify_result *result) {
    printf("%s, gamma %g, ", request->op_name, request->gamma);
    if (request->alpha_mode == FOCAL_ALPHA_OFF)
        printf("alpha off");
    else
        printf("alpha %g", request->alpha);
    printf(", tier %s\n%s\n", request->tier_name, plan);
    printf("%" PRIu64 " of %" PRIu64 " logits (stride %" PRIu64 ", offset %" PRIu64
           "), both targets, %d %s, %.1f s\n\n",
           result->patterns, VERIFY_PATTERNS, request->stride, request->offset, result->threads,
           result->threads == 1 ? "thread" : "threads", result->seconds);
    print_tally(request, "loss", &result->loss);
    print_tally(request, "gradient", &result->gradient);
    printf("hash %s\n", hash);
}

void verify_report(const verify_request *request, const focal_plan *plan,
                   const verify_result *result) {
    char hash[24], plan_text[512];
    snprintf(hash, sizeof hash, "%016" PRIx64, result->hash);
    focal_plan_describe(plan, plan_text, sizeof plan_text);
    if (request->json)
        report_json(request, plan_text, hash, result);
    else if (request->hash_only)
        puts(hash);
    else
        report_text(request, plan_text, hash, result);
}
