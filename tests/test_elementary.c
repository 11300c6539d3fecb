/* Errors of tier fast's exponential and logistic functions (kernels/elementary.h) over all floats of
 * their domains, or every so many, against double; and one answer of all ISA rows.
 * Usage: test_elementary [--stride S]: every S-th bit pattern; 1 takes two minutes. */
#include "vec_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "config.h"
#include "cpu.h"
#include "isa.h"
#include "ulp.h"

enum { STEP = 16, DEFAULT_STRIDE = 101 };

/* ULP, as elementary.h states them. */
#define EXPONENTIAL_BOUND   0.9
#define SMALLER_BOUND       0.9 /* up to e = 1/4 */
#define SMALLER_UPPER_BOUND 1.5
#define LOG1P_BOUND         2.1

/* The largest error seen, and where. */
typedef struct {
    const char *name;
    double bound, ulp;
    float at;
} worst;

typedef struct {
    const char *isa;
    const vec_table *table;
} row;

static row rows[8];
static size_t row_count;
static uint64_t different; /* steps in which a row had other bits than the first */
static uint64_t apart;     /* scaled exponentials that are not 2^64 times the plain one */
static uint64_t outside;   /* exponentials of 0 or less that are not in (0, 1] */

/* In spacings of floats at the exact value, which a double holds to 2^-29 of them. */
static double error_ulp(float got, double exact) {
    uint64_t bits;
    double size = fabs(exact), spacing = 0x1p-149;
    memcpy(&bits, &size, sizeof bits);
    if (size >= 0x1p-126) {
        bits = ((bits >> 52) - 23) << 52;
        memcpy(&spacing, &bits, sizeof spacing);
    }
    return fabs((double)got - exact) / spacing;
}

static void note(worst *w, float got, double exact, float at) {
    double error = error_ulp(got, exact);
    if (!(error <= w->ulp)) {
        w->ulp = error;
        w->at = at;
    }
}

static void try_exponential(const float *a, worst *w) {
    float got[STEP], other[STEP];
    rows[0].table->exponential(a, got);
    for (int i = 0; i < STEP; i++)
        note(w, got[i], exp((double)a[i]), a[i]);
    for (size_t r = 1; r < row_count; r++) {
        rows[r].table->exponential(a, other);
        different += memcmp(got, other, sizeof got) != 0;
    }
}

/* The same times 2^64. Down to -87 it must be the other's, and logistic functions need results of 0 to 1. */
static void try_scaled(const float *a, worst *w) {
    float got[STEP], other[STEP], plain[STEP];
    rows[0].table->exponential_scaled(a, got);
    rows[0].table->exponential(a, plain);
    for (int i = 0; i < STEP; i++) {
        note(w, got[i], exp((double)a[i]) * 0x1p64, a[i]);
        apart += a[i] >= -87.0F && plain[i] * 0x1p64F != got[i];
        outside += !(got[i] > 0.0F && got[i] <= 0x1p64F);
    }
    for (size_t r = 1; r < row_count; r++) {
        rows[r].table->exponential_scaled(a, other);
        different += memcmp(got, other, sizeof got) != 0;
    }
}

static void try_logistic(const float *e, worst *smaller, worst *upper, worst *log1p_e) {
    float got[2][STEP], other[2][STEP];
    rows[0].table->logistic(e, got[0], got[1]);
    for (int i = 0; i < STEP; i++) {
        const double x = (double)e[i];
        note(e[i] <= 0.25F ? smaller : upper, got[0][i], x / (1.0 + x), e[i]);
        note(log1p_e, got[1][i], log1p(x), e[i]);
    }
    for (size_t r = 1; r < row_count; r++) {
        rows[r].table->logistic(e, other[0], other[1]);
        different += memcmp(got, other, sizeof got) != 0;
    }
}

/* The next step of a domain that begins with the bits `first`; what is left over repeats the last. */
static void fill(float *values, uint32_t first, uint64_t number, uint32_t count,
                 uint32_t stride) {
    for (uint64_t i = 0; i < STEP; i++) {
        uint64_t at = (number * STEP + i) * stride;
        values[i] = ulp_from_bits_f32(first + (uint32_t)(at < count ? at : count - 1));
    }
}

static void report(const worst *w) {
    printf("%-26s %.4f ULP at %a\n", w->name, w->ulp, (double)w->at);
    CHECK_CASE(w->ulp > 0.0 && w->ulp <= w->bound, "%s: %g ULP, stated %g", w->name, w->ulp,
               w->bound);
}

static void sweep(uint32_t stride) {
    const uint32_t below = ulp_bits_f32(87.0F) + 1, above = ulp_bits_f32(44.3F) + 1;
    const uint32_t cut = ulp_bits_f32(131.0F) + 1;
    const uint32_t unit = ulp_bits_f32(1.0F) + 1;
    worst negative = {"exp, -87 to 0", EXPONENTIAL_BOUND, 0.0, 0.0F};
    worst positive = {"exp, 0 to 44.3", EXPONENTIAL_BOUND, 0.0, 0.0F};
    worst scaled = {"exp 2^64, -131 to 0", EXPONENTIAL_BOUND, 0.0, 0.0F};
    worst smaller = {"e / (1 + e), up to 1/4", SMALLER_BOUND, 0.0, 0.0F};
    worst upper = {"e / (1 + e), 1/4 to 1", SMALLER_UPPER_BOUND, 0.0, 0.0F};
    worst log1p_e = {"log1p(e), 0 to 1", LOG1P_BOUND, 0.0, 0.0F};
    const uint64_t each = (uint64_t)STEP * stride;
    float step[STEP];
    for (uint64_t k = 0; k * each < below; k++) {
        fill(step, UINT32_C(0x80000000), k, below, stride);
        try_exponential(step, &negative);
    }
    for (uint64_t k = 0; k * each < above; k++) {
        fill(step, 0, k, above, stride);
        try_exponential(step, &positive);
    }
    for (uint64_t k = 0; k * each < cut; k++) {
        fill(step, UINT32_C(0x80000000), k, cut, stride);
        try_scaled(step, &scaled);
    }
    for (uint64_t k = 0; k * each < unit; k++) {
        fill(step, 0, k, unit, stride);
        try_logistic(step, &smaller, &upper, &log1p_e);
    }
    report(&negative);
    report(&positive);
    report(&scaled);
    report(&smaller);
    report(&upper);
    report(&log1p_e);
}

/* The usable rows with fused multiply-add; the portable one has other bits. */
static void find_rows(void) {
    static const row all[] = {
#define TABLE_IF_0(isa)           NULL
#define TABLE_IF_1(isa)           &vec_table_##isa
#define TABLE_IF_(built, isa)     TABLE_IF_##built(isa)
#define TABLE_IF(built, isa)      TABLE_IF_(built, isa)
#define FOCAL_ISA_ROW(isa, needs) {#isa, TABLE_IF(FOCAL_BUILT_##isa, isa)},
#include "isas.def"
#undef FOCAL_ISA_ROW
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].table && strcmp(all[i].isa, "scalar") != 0 &&
            focal_isa_usable(focal_isa_find(all[i].isa), focal_cpu_host()->features)) {
            printf("row %s\n", all[i].isa);
            rows[row_count++] = all[i];
        }
}

int main(int argc, char **argv) {
    unsigned long stride = DEFAULT_STRIDE;
    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        stride = strtoul(argv[2], NULL, 10);
    else if (argc != 1)
        stride = 0;
    if (stride == 0 || stride > 1UL << 30) {
        fputs("usage: test_elementary [--stride S], S from 1 to 2^30\n", stderr);
        return 2;
    }
    find_rows();
    if (CHECK(row_count > 0))
        sweep((uint32_t)stride);
    CHECK_CASE(apart == 0, "%llu scaled exponentials are not 2^64 times the plain ones",
               (unsigned long long)apart);
    CHECK_CASE(outside == 0, "%llu exponentials are not in (0, 1]",
               (unsigned long long)outside);
    CHECK_CASE(different == 0, "%llu steps differ between rows", (unsigned long long)different);
    return check_report();
}
