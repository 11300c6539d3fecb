/* The vocabulary of one ISA behind ordinary functions, so that a test compiled for any processor
 * can call it. */
#ifndef FOCAL_TESTS_VEC_TABLE_H
#define FOCAL_TESTS_VEC_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum {
#define FOCAL_VOCABULARY(name, signature, meaning) VEC_##name,
#include "vocabulary.def"
#undef FOCAL_VOCABULARY
    VEC_COUNT
};

/* Operands by address: floats, doubles, truth values as bytes; the result likewise, but truth
 * values as 1.0 and 0.0. `n` is the count of those operations that have one. */
typedef void vec_function(void *out, const void *a, const void *b, const void *c, size_t n);

typedef struct vec_table {
    vec_function *functions[VEC_COUNT];
    /* Tier fast's functions of elementary.h, of 16 floats: exp(a) for a down to -87, exp(a) 2^64 for a
     * from 0 to -131, and e / (1 + e) and log1p(e) for 0 <= e <= 1. */
    void (*exponential)(const float *a, float *result);
    void (*exponential_scaled)(const float *a, float *result);
    void (*logistic)(const float *e, float *smaller, float *log1p_e);
} vec_table;

#define FOCAL_ISA_ROW(isa, needs) extern const vec_table vec_table_##isa;
#include "isas.def"
#undef FOCAL_ISA_ROW

/* What the operations mean, in plain C; `fused` is false for the row without FMA. */
typedef void vec_meaning(void *out, const void *a, const void *b, const void *c, size_t n,
                         bool fused);
extern vec_meaning *const vec_meanings[VEC_COUNT];

#endif
