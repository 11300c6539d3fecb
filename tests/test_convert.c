/* The conversions between storage types: all 2^16 values of the 16-bit types, and rounding against
 * the definition around every one of them, at the ends of the range, and at a sweep of floats. In
 * double, which is exact here: the 16-bit types have 11 significant bits at most, and of other
 * numbers only multiples by powers of two are computed before rint. */
#include <math.h>

#include "check.h"
#include "convert.h"
#include "cpu.h"
#include "half.h"
#include "isa.h"
#include "machine_state.h"

/* Of the row under test. */
static const focal_kernel_table *table;

/* A 16-bit type as the standard describes it. */
typedef struct format {
    focal_dtype dtype;
    int fraction_bits, least_exponent; /* of the least normal number */
    int most_exponent;
} format;

static const format formats[] = {{FOCAL_F16, 10, -14, 15}, {FOCAL_BF16, 7, -126, 127}};

static double value_of(const format *f, uint32_t bits) {
    const int fraction = (int)(bits & ((1U << f->fraction_bits) - 1));
    const int exponent = (int)(bits >> f->fraction_bits) & (f->dtype == FOCAL_F16 ? 31 : 255);
    const double sign = bits & 0x8000 ? -1.0 : 1.0;
    if (exponent == (f->dtype == FOCAL_F16 ? 31 : 255))
        return fraction ? (double)NAN : sign * HUGE_VAL;
    if (exponent == 0)
        return sign * ldexp(fraction, f->least_exponent - f->fraction_bits);
    return sign * ldexp(fraction + (1 << f->fraction_bits),
                        f->least_exponent + exponent - 1 - f->fraction_bits);
}

/* The nearest value of the type, ties to even: the quotient by its spacing, rounded. */
static double nearest(const format *f, double x) {
    int exponent;
    if (x == 0 || !isfinite(x))
        return x;
    frexp(x, &exponent);
    exponent = exponent - 1 < f->least_exponent ? f->least_exponent : exponent - 1;
    const double spacing = ldexp(1.0, exponent - f->fraction_bits);
    const double rounded = rint(x / spacing) * spacing;
    const double limit = ldexp(1.0, f->most_exponent + 1);
    return fabs(rounded) >= limit ? copysign(HUGE_VAL, x) : rounded;
}

static int same(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static void test_loads(const format *f) {
    unsigned wrong = 0;
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        const uint16_t stored = (uint16_t)bits;
        float narrow = 5.0F;
        double wide = 5.0;
        focal_load_f32(table, f->dtype, &stored, &narrow, 1);
        focal_load_f64(f->dtype, &stored, &wide, 1);
        const double exact = value_of(f, bits);
        wrong += !same((double)narrow, exact) || !same((double)wide, exact);
    }
    CHECK_CASE(wrong == 0, "%s: %u of 65536", focal_dtype_name(f->dtype), wrong);
}

static unsigned misrounded(const format *f, double x) {
    uint16_t from_double = 0x5555, from_float = 0x5555;
    const float narrow = (float)x;
    focal_store_f64(f->dtype, &x, &from_double, 1);
    focal_store_f32(table, f->dtype, &narrow, &from_float, 1);
    const int bad = !same(value_of(f, from_double), nearest(f, x)) +
                    !same(value_of(f, from_float), nearest(f, (double)narrow));
    return (unsigned)bad;
}

/* Every value, the middle to the next one, and their neighbours in float and double. */
static void test_stores(const format *f) {
    unsigned wrong = 0;
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        const double x = value_of(f, bits);
        uint16_t back = 0x5555;
        focal_store_f64(f->dtype, &x, &back, 1);
        if (isnan(x)) {
            wrong += !isnan(value_of(f, back)) || misrounded(f, x) != 0;
            continue;
        }
        wrong += back != bits;
        const double next = value_of(f, bits + 1 > 0xffff ? bits : bits + 1);
        const double middle =
            isfinite(x) && isfinite(next)
                ? x / 2 + next / 2
                : copysign(ldexp(2.0 - ldexp(1.0, -1 - f->fraction_bits), f->most_exponent), x);
        const double around[] = {x, middle};
        for (int i = 0; i < 2; i++) {
            const double at = around[i];
            const float single = (float)at;
            wrong += misrounded(f, at) + misrounded(f, nextafter(at, HUGE_VAL)) +
                     misrounded(f, nextafter(at, -HUGE_VAL)) +
                     misrounded(f, (double)nextafterf(single, HUGE_VALF)) +
                     misrounded(f, (double)nextafterf(single, -HUGE_VALF));
        }
    }
    CHECK_CASE(wrong == 0, "%s: %u", focal_dtype_name(f->dtype), wrong);
}

static void test_floats(const format *f) {
    unsigned wrong = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 9973) {
        const uint32_t narrow = (uint32_t)bits;
        float x;
        memcpy(&x, &narrow, sizeof x);
        wrong += misrounded(f, (double)x) + misrounded(f, (double)x * (1.0 + 0x1p-40));
    }
    CHECK_CASE(wrong == 0, "%s: %u", focal_dtype_name(f->dtype), wrong);
}

/* float and double among themselves, and arrays of any length and start. */
static void test_arrays(void) {
    enum { MOST = 70 };
    double wide[MOST], wide_back[MOST + 1];
    float narrow[MOST], narrow_back[MOST + 1];
    uint16_t half[MOST + 1], brain[MOST + 1];
    for (int i = 0; i < MOST; i++) {
        wide[i] = 0.37 * i - 11.0;
        narrow[i] = (float)wide[i];
    }
    for (size_t first = 0; first < 4; first++)
        for (size_t count = 0; count + first <= MOST; count++) {
            memset(wide_back, 0, sizeof wide_back);
            memset(narrow_back, 0, sizeof narrow_back);
            memset(half, 0, sizeof half);
            memset(brain, 0, sizeof brain);
            focal_store_f64(FOCAL_F32, wide + first, narrow_back, count);
            focal_store_f32(table, FOCAL_F64, narrow + first, wide_back, count);
            focal_store_f32(table, FOCAL_F16, narrow + first, half, count);
            focal_store_f32(table, FOCAL_BF16, narrow + first, brain, count);
            unsigned wrong = narrow_back[count] != 0.0F || wide_back[count] != 0.0 ||
                             half[count] || brain[count];
            for (size_t i = 0; i < count; i++) {
                wrong += narrow_back[i] != narrow[first + i];
                wrong += wide_back[i] != (double)narrow[first + i];
                wrong += !same(value_of(&formats[0], half[i]),
                               nearest(&formats[0], (double)narrow[first + i]));
            }
            CHECK_CASE(wrong == 0, "%zu from %zu: %u", count, first, wrong);
        }
    CHECK(focal_dtype_size(FOCAL_F32) == 4 && focal_dtype_size(FOCAL_F64) == 8);
    CHECK(focal_dtype_size(FOCAL_F16) == 2 && focal_dtype_size(FOCAL_BF16) == 2);
    CHECK(focal_dtype_size(FOCAL_DTYPE_DEFAULT) == 0);
}

/* Loads of any length and start, and nothing beyond: the vectors' way, and the rest's. */
static void test_load_arrays(const format *f) {
    enum { MOST = 70 };
    uint16_t stored[MOST];
    float narrow[MOST + 1];
    unsigned wrong = 0;
    for (size_t i = 0; i < MOST; i++)
        stored[i] = (uint16_t)(i * 0x3a7 + 5);
    for (size_t first = 0; first < 4; first++)
        for (size_t count = 0; count + first <= MOST; count++) {
            narrow[count] = 5.0F;
            focal_load_f32(table, f->dtype, stored + first, narrow, count);
            wrong += narrow[count] != 5.0F;
            for (size_t i = 0; i < count; i++)
                wrong += !same((double)narrow[i], value_of(f, stored[first + i]));
        }
    CHECK_CASE(wrong == 0, "%s: %u", focal_dtype_name(f->dtype), wrong);
}

/* All values at once, so that vectors hold all sorts. */
static void test_all(const format *f) {
    static uint16_t all[0x10000], back[0x10000];
    static float narrow[0x10000];
    unsigned wrong = 0;
    for (uint32_t bits = 0; bits <= 0xffff; bits++)
        all[bits] = (uint16_t)(bits * 0x9e37 + 0x79b9);
    focal_load_f32(table, f->dtype, all, narrow, 0x10000);
    focal_store_f32(table, f->dtype, narrow, back, 0x10000);
    for (uint32_t i = 0; i <= 0xffff; i++) {
        const double exact = value_of(f, all[i]);
        wrong += !same((double)narrow[i], exact) || !same(value_of(f, back[i]), exact);
    }
    CHECK_CASE(wrong == 0, "%s: %u of 65536", focal_dtype_name(f->dtype), wrong);
}

/* Vectors of floats of all exponents, NaN with its bits: what the plain functions say, in any flush
 * mode. */
static void test_flush_modes(const format *f) {
    enum { MOST = 1 << 18 };
    static float narrow[MOST], loaded[2][0x10000];
    static uint16_t all[0x10000], stored[2][MOST], plain[MOST];
    const float_control normal = float_control_read();
    for (uint32_t i = 0; i < MOST; i++) {
        narrow[i] = focal_float_of(i * 16381 + (i & 7)); /* odd and even in turn */
        plain[i] = f->dtype == FOCAL_F16 ? focal_f16_of_float(narrow[i])
                                         : focal_bf16_of_float(narrow[i]);
    }
    for (uint32_t bits = 0; bits <= 0xffff; bits++)
        all[bits] = (uint16_t)bits;
    for (int flushed = 0; flushed < 2; flushed++) {
        float_control_write(flushed ? float_control_flush(normal) : normal);
        focal_load_f32(table, f->dtype, all, loaded[flushed], 0x10000);
        focal_store_f32(table, f->dtype, narrow, stored[flushed], MOST);
        float_control_write(normal);
        CHECK_CASE(memcmp(stored[flushed], plain, sizeof plain) == 0, "%s, %d",
                   focal_dtype_name(f->dtype), flushed);
    }
    CHECK_CASE(memcmp(loaded[0], loaded[1], sizeof loaded[0]) == 0, "%s",
               focal_dtype_name(f->dtype));
}

static void test_row(void) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        test_loads(&formats[i]);
        test_stores(&formats[i]);
        test_floats(&formats[i]);
        test_load_arrays(&formats[i]);
        test_all(&formats[i]);
        test_flush_modes(&formats[i]);
    }
    test_arrays();
}

int main(void) {
    for (size_t i = 0; i < focal_isa_row_count; i++) {
        const focal_isa_row *row = &focal_isa_rows[i];
        if (!focal_isa_usable(row, focal_cpu_host()->features))
            continue;
        const unsigned passed = check_passed, failed = check_failed;
        table = row->table;
        test_row();
        printf("row %s: %u passed, %u failed\n", row->name, check_passed - passed,
               check_failed - failed);
    }
    return check_report();
}
