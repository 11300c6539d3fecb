// One operation each of AVX512F, BW, DQ and VL against values that plain C
// computes. A shared library, since the call of one with zmm arguments is what
// loses lanes in Bochs 2.7 when functions are bound at their first call.
#include "selfcheck_zmm.h"

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FLOATS 16
#define LONGS  8
#define BYTES  64

__m512 selfcheck_fused(__m512 a, __m512 b, __m512 c);

// Public and not inlined: called through the procedure linkage table
__attribute__((noinline)) __m512 selfcheck_fused(__m512 a, __m512 b, __m512 c) {
    return _mm512_fmadd_ps(a, b, c);
}

static int report(const char *name, const void *got, const void *want, size_t bytes) {
    if (memcmp(got, want, bytes) == 0)
        return 0;
    fprintf(stderr, "%s: wrong result\n", name);
    return 1;
}

// (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 when fused and 0 when not
static int wrong_fused(int planted) {
    float a[FLOATS], b[FLOATS], c[FLOATS], want[FLOATS], got[FLOATS];
    for (int i = 0; i < FLOATS; i++) {
        a[i] = ldexpf(1 + 0x1p-12f, i);
        b[i] = 1 + 0x1p-12f;
        c[i] = -ldexpf(1 + 0x1p-11f, i);
        want[i] = ldexpf(0x1p-24f, i);
    }
    if (planted)
        c[FLOATS - 1] = nextafterf(c[FLOATS - 1], 0);
    _mm512_storeu_ps(
        got, selfcheck_fused(_mm512_loadu_ps(a), _mm512_loadu_ps(b), _mm512_loadu_ps(c)));
    return report("AVX512F fused multiply-add", got, want, sizeof want);
}

static int wrong_masked_bytes(void) {
    const uint64_t mask = UINT64_C(0x8000f00d00ff0001);
    uint8_t a[BYTES], want[BYTES], got[BYTES];
    for (int i = 0; i < BYTES; i++) {
        a[i] = (uint8_t)(i * 5);
        want[i] = (mask >> i & 1) != 0 ? (uint8_t)(2 * a[i]) : a[i];
    }
    const __m512i value = _mm512_loadu_si512(a);
    _mm512_storeu_si512(got, _mm512_mask_add_epi8(value, mask, value, value));
    return report("AVX512BW masked byte addition", got, want, sizeof want);
}

static int wrong_long_products(void) {
    uint64_t a[LONGS], want[LONGS], got[LONGS];
    for (unsigned i = 0; i < LONGS; i++) {
        a[i] = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
        want[i] = a[i] * a[i];
    }
    const __m512i value = _mm512_loadu_si512(a);
    _mm512_storeu_si512(got, _mm512_mullo_epi64(value, value));
    return report("AVX512DQ 64-bit product", got, want, sizeof want);
}

// A store under a mask in 256 bits
static int wrong_short_store(void) {
    float a[FLOATS / 2], got[FLOATS / 2] = {0};
    const float want[FLOATS / 2] = {0, 1, 4};
    for (int i = 0; i < FLOATS / 2; i++)
        a[i] = (float)i;
    const __m256 value = _mm256_loadu_ps(a);
    _mm256_mask_storeu_ps(got, 0x7, _mm256_mul_ps(value, value));
    return report("AVX512VL masked store", got, want, sizeof want);
}

int selfcheck_wrong_results(int planted) {
    return wrong_fused(planted) + wrong_masked_bytes() + wrong_long_products() +
           wrong_short_store();
}
