/* Which operands the operations of vocabulary.def have, and values to try them with. */
#ifndef FOCAL_TESTS_VEC_OPERANDS_H
#define FOCAL_TESTS_VEC_OPERANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "random.h"
#include "vec_table.h"

/* How an operation is called: by value, or on memory, with a count or without. */
typedef enum { BY_VALUE, BY_COUNT, LOAD, LOAD_COUNT, STORE, STORE_COUNT } vec_manner;

/* F, D and H: a step of floats, doubles or 16-bit numbers; f and d: one; M: truth values as bytes;
 * -: none. */
typedef struct {
    char out, a, b, c;
    vec_manner manner;
} vec_signature;

typedef struct {
    const char *name;
    const vec_signature *signature;
} vec_operation;

extern const vec_operation vec_operations[VEC_COUNT];

typedef union {
    float f[16];
    double d[8];
    uint16_t halves[16];
    unsigned char bytes[16], memory[64];
} vec_operand;

/* Bytes of an operand and of one of its elements. */
size_t vec_size(char letter);
size_t vec_element(char letter);
bool vec_is_double(char letter);

/* Special values by number; the first 18 are those worth trying in all triples. */
enum { VEC_SPECIALS = 40, VEC_TRIPLES = 18 };
void vec_set_special(char letter, vec_operand *to, size_t lane, size_t which);

/* Any bits, or numbers of moderate size; the 16 low bits of `round` are the truth values, so that
 * 65536 rounds go through all. */
void vec_random(random_source *random, char letter, vec_operand *to, uint32_t round);

#endif
