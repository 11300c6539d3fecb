/* Usage: test_props [--seed N] [--isa ROW]. The seed is the time unless given, and is printed.
 * Without --isa, all usable rows are tested. */
#include "props.h"

#include <time.h>

#include "check.h"
#include "ulp.h"

const double all_gammas[GAMMAS] = {0.0, 0x1p-200, 1e-3, 0.1, 0.5, 0.9,  1.0,  1.5,
                                   2.0, 2.5,      3.0,  3.7, 5.0, 10.0, 20.0, 1000.0};

int expect(const subject *about, int holds, const char *quantity, double got, double expected) {
    if (holds)
        return CHECK(holds);
    printf("%s: isa %s, gamma %a, alpha %a, target or label %a, logits", about->property,
           about->isa, about->gamma, about->alpha, about->target);
    for (size_t c = 0; c < about->classes && c < 16; c++)
        printf(" %a", (double)about->logits[c]);
    printf("%s (%zu)\n", about->classes > 16 ? " ..." : "", about->classes);
    return CHECK_CASE(holds, "%s: %s is %a, expected %a", about->property, quantity, got,
                      expected);
}

int expect_same(const subject *about, const char *quantity, float got, float expected) {
    return expect(about, ulp_bits_f32(got) == ulp_bits_f32(expected), quantity, (double)got,
                  (double)expected);
}

int expect_within(const subject *about, const char *quantity, float got, long double exact,
                  long double scale, double bound) {
    const double error = oracle_error(got, exact, scale);
    const int holds = expect(about, error <= bound, quantity, (double)got, (double)exact);
    if (!holds)
        printf("  %g ULP of %Lg, bound %g\n", error, scale, bound);
    return holds;
}

int expect_near(const subject *about, const char *quantity, float got, long double exact) {
    return expect_within(about, quantity, got, exact, exact, hard_bound(about->gamma, exact));
}

double draw_uniform(random_source *source, double low, double high) {
    return low + (high - low) * ((double)(random_next(source) >> 11) * 0x1p-53);
}

/* Twelve uniforms: near enough, and without libm. */
double draw_normal(random_source *source) {
    double sum = -6.0;
    for (int i = 0; i < 12; i++)
        sum += draw_uniform(source, 0.0, 1.0);
    return sum;
}

/* Every 37th and every 1009th float were tried at gamma 0 ... 20: the largest errors. */
static const float worst_logits[] = {
    0x1.f34bdcp+0F, 0x1.5a9764p+6F, 0x1.041d5ep+3F, 0x1.c09afap+0F, 0x1.ee91d8p+0F,
    0x1.4c77aap+2F, 0x1.44a074p+1F, 0x1.ce64e4p+3F, 0x1.acaaacp+1F, 0x1.5bac24p+3F,
    0x1.6289bp+3F,  0x1.8ecb28p+3F, 0x1.e1c612p+3F, 0x1.88c266p-5F, 0x1.aafb9cp-3F,
    0x1.84363p-5F,  0x1.79effep-2F, 0x1.b66296p+3F, 0x1.5d5f14p+4F, 0x1.253cb6p+4F,
    0x1.65394ep-2F, 0x1.561e94p-3F, 0x1.6434c4p-9F, 0x1.f40e28p+2F, 0x1.cd774ap+1F,
};

void draw_logits(random_source *source, int distribution, float *logits, size_t count) {
    const uint32_t worst_count = sizeof worst_logits / sizeof *worst_logits;
    for (size_t i = 0; i < count; i++) {
        const int negative = random_next(source) >> 63 != 0;
        double x = 0.0;
        switch (distribution) {
        case 0:
            x = 4.0 * draw_normal(source);
            break;
        case 1:
            x = draw_uniform(source, -120.0, 120.0);
            break;
        case 2: /* bits of all finite floats */
            x = (double)ulp_from_bits_f32(random_below(source, 0x7f800000U));
            x = negative ? -x : x;
            break;
        case 3:
            x = draw_normal(source) - 4.6;
            break;
        default:
            x = (double)worst_logits[random_below(source, worst_count)];
            x = negative ? -x : x;
            break;
        }
        logits[i] = (float)x;
    }
}

float draw_soft_target(random_source *source) {
    const double tiny = ldexp(draw_uniform(source, 0.5, 1.0), -(int)random_below(source, 130));
    switch (random_below(source, 4)) {
    case 0:
        return (float)(1 + random_below(source, 1023)) / 1024.0F;
    case 1:
        return (float)tiny;
    case 2:
        return (float)(1.0 - fmin(0.5, tiny));
    default:
        return (float)draw_uniform(source, 0.0, 1.0);
    }
}

static void test_isa(const char *isa, uint64_t seed) {
    const unsigned passed = check_passed, failed = check_failed;
    random_source source = {seed}; /* the same inputs on every row */
    test_sigmoid_accuracy(isa, &source);
    test_sigmoid_properties(isa, &source);
    test_softmax_accuracy(isa, &source);
    test_softmax_properties(isa, &source);
    test_limits(isa, &source);
    test_plans(isa, &source);
    printf("%s: %u passed, %u failed\n", isa, check_passed - passed, check_failed - failed);
}

int main(int argc, char **argv) {
    uint64_t seed = (uint64_t)time(NULL);
    const char *only = NULL;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
        } else if (i + 1 < argc && strcmp(argv[i], "--isa") == 0) {
            only = argv[i + 1];
        } else {
            puts("usage: test_props [--seed N] [--isa ROW]");
            return 2;
        }
    }
    printf("seed %llu\n", (unsigned long long)seed);
    size_t index = 0;
    if (only)
        test_isa(only, seed);
    else
        for (const char *isa; (isa = next_isa(&index)) != NULL;)
            test_isa(isa, seed);
    return check_report();
}
