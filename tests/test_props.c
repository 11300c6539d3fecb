/* Usage: test_props [--seed N] [--isa ROW] [--tier NAME] [--quick]. The seed is the time unless
 * given, and is printed. Without --isa and --tier, all usable rows and all tiers are tested. */
#include "props.h"

#include <time.h>

#include "check.h"
#include "ulp.h"

static const double all_gammas[] = {0.0, 0x1p-200, 1e-3, 0.1, 0.5, 0.9,  1.0,  1.5,
                                    2.0, 2.5,      3.0,  3.7, 5.0, 10.0, 20.0, 1000.0};
/* One for each way to form a power, and both sides of 5. */
static const double quick_gammas[] = {0.0, 0.9, 1.0, 1.5, 2.0, 3.7, 5.0, 10.0};
enum {
    GAMMAS = sizeof all_gammas / sizeof *all_gammas,
    QUICK_GAMMAS = sizeof quick_gammas / sizeof *quick_gammas
};

int quick;
const double *gammas = all_gammas;
int gamma_count = GAMMAS, accurate_gammas = GAMMAS - 3;

/* The largest errors: ULP where the scale is normal, 2^-149 where it is not. */
static double worst_normal[TIERS][GAMMAS][BOUND_KINDS][RESULTS];
static double worst_subnormal[TIERS][GAMMAS][BOUND_KINDS][RESULTS];

int expect(const subject *about, int holds, const char *quantity, double got, double expected) {
    if (holds)
        return CHECK(holds);
    printf("%s: isa %s, tier %s, gamma %a, alpha %a, target or label %a, logits",
           about->property, about->on.isa, focal_tier_name(about->on.tier), about->gamma,
           about->alpha, about->target);
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

/* An error that an extra of the bound may be the reason of says nothing about the ULP. */
static void note_error(const subject *about, result_kind result, double error,
                       const expectation *e) {
    int tier = 0, g = 0;
    while (all_tiers[tier] != about->on.tier)
        tier++;
    while (g < gamma_count && gammas[g] != about->gamma)
        g++;
    if (g == gamma_count || e->extra > 0.1 * oracle_ulp(e->scale))
        return;
    double *const worst = fabsl(e->scale) < (long double)FLT_MIN
                              ? &worst_subnormal[tier][g][e->kind][result]
                              : &worst_normal[tier][g][e->kind][result];
    *worst = fmax(*worst, error);
}

double allowed(focal_tier tier, double gamma, expectation e) {
    return bound_ulp(e.kind, tier, gamma, e.scale) * oracle_ulp(e.scale) + e.extra;
}

int expect_contract(const subject *about, result_kind result, float got, expectation e) {
    const double unit = oracle_ulp(e.scale);
    note_error(about, result, oracle_error(got, e.exact, e.scale), &e);
    return expect_within(about, result == LOSS ? "loss" : "gradient", got, e.exact, e.scale,
                         allowed(about->on.tier, about->gamma, e) / unit);
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

static void test_variant(variant on, uint64_t seed) {
    random_source source = {seed}; /* the same inputs for all */
    test_sigmoid_accuracy(on, &source);
    test_sigmoid_properties(on, &source);
    test_softmax_accuracy(on, &source);
    test_softmax_properties(on, &source);
    test_limits(on, &source);
    test_plans(on, &source);
}

static void print_worst(int tier) {
    static const char *const kinds[BOUND_KINDS] = {"0/1 targets", "soft targets", "softmax"};
    for (int g = 0; g < gamma_count; g++)
        for (int kind = 0; kind < BOUND_KINDS; kind++) {
            const double *const normal = worst_normal[tier][g][kind];
            const double *const subnormal = worst_subnormal[tier][g][kind];
            printf("%-8s gamma %-8.4g %-12s loss %6.2f ULP, gradient %6.2f ULP (bound %g); "
                   "subnormal %.2f, %.2f\n",
                   focal_tier_name(all_tiers[tier]), gammas[g], kinds[kind], normal[LOSS],
                   normal[GRADIENT],
                   bound_ulp((bound_kind)kind, all_tiers[tier], gammas[g], 1.0L),
                   subnormal[LOSS], subnormal[GRADIENT]);
        }
}

static void run_quickly(void) {
    quick = 1;
    gammas = quick_gammas;
    gamma_count = QUICK_GAMMAS;
    accurate_gammas = QUICK_GAMMAS - 1;
}

static int usage(void) {
    puts("usage: test_props [--seed N] [--isa ROW] [--tier NAME] [--quick]");
    return 2;
}

int main(int argc, char **argv) {
    uint64_t seed = (uint64_t)time(NULL);
    const char *only_isa = NULL, *only_tier = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            run_quickly();
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 0);
        else if (i + 1 < argc && strcmp(argv[i], "--isa") == 0)
            only_isa = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--tier") == 0)
            only_tier = argv[++i];
        else
            return usage();
    }
    printf("seed %llu\n", (unsigned long long)seed);
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        if (only_isa && strcmp(isa, only_isa) != 0)
            continue;
        for (int tier = 0; tier < TIERS; tier++)
            if (!only_tier || strcmp(only_tier, focal_tier_name(all_tiers[tier])) == 0)
                test_variant((variant){isa, all_tiers[tier]}, seed);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    for (int tier = 0; tier < TIERS; tier++)
        print_worst(tier);
    return check_report();
}
