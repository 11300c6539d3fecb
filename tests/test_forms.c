/* Every form of the loss on every usable ISA row in every tier: the cases of golden_forms.txt and
 * golden_peers.txt against their exact results, and the same bits from every row that has fused
 * multiply-add. Usage: test_forms FOLDER [--every N]: only every Nth case, for emulators. */
#include "check.h"
#include "evaluate.h"
#include "form_case.h"
#include "form_numerics.h"
#include "storage.h"

/* The largest error of the double arithmetic, by storage type and output, in the unit above. */
static long double worst[FOCAL_BF16 + 1][OUTS];

static bound_kind kind_of_case(const form_case *c) {
    const focal_problem *const p = &c->problem;
    if (p->op == FOCAL_SOFTMAX)
        return SOFTMAX_LABELS;
    if (p->smoothing > 0.0)
        return SOFT_TARGETS;
    for (int i = 0; p->target_kind == FOCAL_TARGET_DENSE && i < CASE_VALUES; i++)
        if (c->targets[i] != 0.0 && c->targets[i] != 1.0)
            return SOFT_TARGETS;
    return HARD_TARGETS;
}

/* The smallest 1 - p_t of a row of the case, for the extra bound of softmax in tier sleef. */
static long double least_not_p(const form_case *c) {
    const focal_problem *const p = &c->problem;
    const int64_t inner = p->inner ? p->inner : 1;
    long double least = 1.0L;
    for (int64_t row = 0; row < p->outer * inner; row++) {
        const double *const first = c->logits + row / inner * p->classes * inner + row % inner;
        for (int64_t label = 0; label < p->classes; label++) {
            long double others = 0.0L;
            for (int64_t k = 0; k < p->classes; k++)
                if (k != label)
                    others += expl((long double)(first[k * inner] - first[label * inner]));
            least = fminl(least, others / (1.0L + others));
        }
    }
    return least;
}

static int form_has_weights(const form_case *c) {
    return c->row_weights || c->element_weights || c->problem.class_weight ||
           c->problem.alpha_mode == FOCAL_ALPHA_PER_CLASS;
}

/* What the arithmetic may be off by, before it is rounded to the storage type. */
static long double inner_bound(const form_case *c, const form_results *r, focal_tier tier,
                               const wanted *w, out which) {
    const double gamma = form_largest_gamma(c);
    if (r->form_kernel)
        return form_bound_ulp(c, tier, form_is_narrow(c), w->size) *
                   storage_ulp(FOCAL_F64, w->size) +
               form_underflow(c);
    const bound_kind kind = kind_of_case(c);
    long double ulps = bound_ulp(kind, tier, gamma, w->size);
    if (c->divisor != 1.0L)
        ulps += 2.0L; /* the normalizer's quotient is rounded, and multiplies */
    if (c->problem.op == FOCAL_SIGMOID && form_has_weights(c))
        ulps += 1.0L; /* so is their product, and multiplies */
    long double bound = ulps * storage_ulp(FOCAL_F32, w->size);
    if (kind == SOFT_TARGETS && which == OUT_LOSS)
        bound += 0x1p-140L;
    if (kind == SOFTMAX_LABELS)
        bound += softmax_extra(tier, (size_t)c->problem.classes, least_not_p(c)) *
                 (gamma + 1.0) * w->size;
    return bound;
}

/* The arithmetic's error and one rounding. */
static int is_right(focal_dtype dtype, double got, const wanted *w, long double inner) {
    if (isnan(got) || isinf(w->value))
        return (long double)got == w->value;
    if (fabsl(w->value) > (long double)DBL_MAX)
        return 1; /* beyond the arithmetic's range */
    if (isinf(got))
        return (got > 0) == (w->value > 0) &&
               fabsl(w->value) + inner >= storage_overflow(dtype);
    const long double error = fabsl((long double)got - w->value);
    return error <= inner + 0.5L * storage_ulp(dtype, fabsl(w->value) + inner);
}

static void note_error(const form_case *c, const form_results *r, focal_dtype dtype, out which,
                       double got, const wanted *w) {
    if (!r->form_kernel || form_largest_logit(c) > 200.0 || !isfinite(got) ||
        w->size < 0x1p-900L)
        return;
    long double beyond = fabsl((long double)got - w->value) -
                         (dtype == FOCAL_F64 ? 0.0L : 0.5L * storage_ulp(dtype, w->value));
    beyond /= storage_ulp(FOCAL_F64, w->size);
    if (beyond > worst[dtype][which])
        worst[dtype][which] = beyond;
}

static void check_outputs(const form_case *c, const char *where, focal_tier tier,
                          const form_results *r) {
    for (int which = 0; which < OUTS; which++) {
        focal_dtype dtype = form_case_dtype(&c->problem, (out)which);
        if (dtype == FOCAL_DTYPE_DEFAULT)
            dtype = FOCAL_F32;
        const int upper = form_is_bound(&c->problem, which);
        for (size_t i = 0; i < c->out_count[which]; i++) {
            const wanted *const w = &c->out[which][i];
            const double got = r->out[which][i];
            const long double inner = inner_bound(c, r, tier, w, (out)which);
            const int right =
                upper ? got >= 0.0 && isfinite(got) &&
                            (long double)got >= w->value - inner - storage_ulp(dtype, w->value)
                      : is_right(dtype, got, w, inner);
            if (!upper)
                note_error(c, r, dtype, (out)which, got, w);
            CHECK_CASE(right, "%s: %s[%zu] is %a (%.17g), exact %.20Lg of terms %.3Lg (%s)",
                       where, out_names[which] + 5, i, got, got, w->value, w->size,
                       r->description);
        }
    }
}

static int near_to(long double got, long double exact, long double tolerance) {
    return isinf(exact) ? got == exact : fabsl(got - exact) <= tolerance;
}

static void check_sums(const form_case *c, const char *where, const form_results *r) {
    const focal_sums *const s = &r->sums;
    if (c->problem.form == FOCAL_FORM_MATCH)
        return; /* a cost matrix has no sums */
    const long double relative = r->form_kernel ? 1e-13L : SUM_BOUND;
    const long double size = isinf(c->sum.size) ? 0.0L : c->sum.size;
    CHECK_CASE(near_to(s->loss, c->sum.value, relative * size + 0x1p-140L),
               "%s: sum %.17g, exact %.20Lg (%s)", where, s->loss, c->sum.value,
               r->description);
    CHECK_CASE(s->rows == c->rows && s->positives == c->positives && s->ignored == c->ignored,
               "%s: rows %lld, positives %lld, ignored %lld; expected %lld, %lld, %lld", where,
               (long long)s->rows, (long long)s->positives, (long long)s->ignored, c->rows,
               c->positives, c->ignored);
    CHECK_CASE(near_to(s->weight, c->weight, 1e-14L * c->weight) &&
                   near_to(s->normalizer, c->divisor, 1e-14L * c->divisor),
               "%s: weight %.17g, normalizer %.17g; exact %.20Lg, %.20Lg", where, s->weight,
               s->normalizer, c->weight, c->divisor);
}

/* The digests of one case by tier, of the first row with fused multiply-add. */
typedef struct reference {
    int known;
    uint64_t digest;
    const char *isa;
} reference;

static void check_case(const form_case *c, const char *isa, focal_tier tier, reference *first) {
    char where[160];
    snprintf(where, sizeof where, "case %s, %s, tier %s", c->name, isa, focal_tier_name(tier));
    static form_results results;
    focal_error error = FOCAL_ERROR_INIT;
    const focal_status status = form_case_run(c, isa, tier, &results, &error);
    CHECK_CASE(results.untouched, "%s: padding or an input was written", where);
    if (!CHECK_CASE(status == FOCAL_OK, "%s: %s", where, error.message))
        return;
    check_outputs(c, where, tier, &results);
    check_sums(c, where, &results);
    if (strcmp(isa, "scalar") == 0)
        return; /* no fused multiply-add */
    if (!first->known)
        *first = (reference){1, results.digest, isa};
    CHECK_CASE(results.digest == first->digest, "%s: other bits than %s (%s)", where,
               first->isa, results.description);
}

enum { CASES_MAX = 4096 };
static reference references[CASES_MAX][TIERS];

static size_t check_file(const char *folder, const char *name, size_t every, const char *isa,
                         size_t base) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "r");
    if (!CHECK_CASE(file != NULL, "cannot open %s", path))
        return 0;
    static form_case c;
    size_t number = 0;
    for (; form_case_read(file, &c); number++) {
        if (number % every != 0)
            continue;
        if (base + number >= CASES_MAX) {
            puts("FAILED: more cases than CASES_MAX");
            exit(1);
        }
        for (int tier = 0; tier < TIERS; tier++)
            check_case(&c, isa, all_tiers[tier], &references[base + number][tier]);
    }
    fclose(file);
    CHECK_CASE(number > 30, "%zu cases in %s", number, path);
    return number;
}

static void print_worst(void) {
    puts("largest error before the last rounding, in ULP of double of the terms' magnitudes");
    for (int dtype = FOCAL_F32; dtype <= FOCAL_BF16; dtype++) {
        printf("stored as %-4s", focal_dtype_name((focal_dtype)dtype));
        for (int which = 0; which < OUTS; which++)
            printf("  %s %.3Lg", out_names[which] + 5, worst[dtype][which]);
        putchar('\n');
    }
}

int main(int argc, char **argv) {
    if (argc != 2 && !(argc == 4 && strcmp(argv[2], "--every") == 0)) {
        puts("usage: test_forms FOLDER [--every N] (tests/data)");
        return 2;
    }
    const size_t every = argc == 4 ? (size_t)strtoul(argv[3], NULL, 10) : 1;
    size_t index = 0;
    for (const char *isa; every > 0 && (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        const size_t forms = check_file(argv[1], "golden_forms.txt", every, isa, 0);
        check_file(argv[1], "golden_peers.txt", every, isa, forms);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    print_worst();
    return check_report();
}
