/* Floats from 16-bit numbers and back, one at a time: what the vocabulary's operations on 16-bit
 * numbers mean, and how the scalar rows and conversions of doubles do it. Integer arithmetic and
 * selections without branches, so that compilers vectorise loops of them for any target. */
#ifndef FOCAL_HALF_H
#define FOCAL_HALF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t focal_bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float focal_float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A selection without a condition: compilers would move a float's subtraction, of which only some
 * lanes make use, into a branch, and then vectorise nothing. */
static inline uint32_t focal_select_bits(bool condition, uint32_t a, uint32_t b) {
    uint32_t mask = 0U - (uint32_t)condition;
    return (a & mask) | (b & ~mask);
}

/* Exponents 1 ... 30 are moved from bias 15 to 127, 31 on to 255. A subnormal is m 2^-24, the
 * difference of two normal floats, so that no flush mode matters. */
static inline float focal_float_of_f16(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, shifted = (uint32_t)(half & 0x7fff) << 13;
    uint32_t exponent = shifted & 0x0f800000;
    uint32_t normal = shifted + 0x38000000 + (exponent == 0x0f800000 ? 0x38000000 : 0);
    uint32_t subnormal = focal_bits_of(focal_float_of(shifted + 0x38800000) - 0x1p-14F);
    return focal_float_of(sign | focal_select_bits(exponent == 0, subnormal, normal));
}

static inline float focal_float_of_bf16(uint16_t upper) {
    return focal_float_of((uint32_t)upper << 16);
}

/* What all roundings to 16 bits share, those of double in convert.c too: half of the last place and
 * one more if the result would be odd are added, the rest is cut off. A subnormal result is the sum
 * with a power of two whose last place is the subnormals' spacing. */
static inline uint16_t focal_f16_of_float(float value) {
    uint32_t bits = focal_bits_of(value), size = bits & 0x7fffffff;
    uint32_t normal = (size + 0xfff + (size >> 13 & 1) - 0x38000000) >> 13;
    uint32_t subnormal = focal_bits_of(focal_float_of(size) + 0.5F) - 0x3f000000;
    uint32_t finite = focal_select_bits(size < 0x38800000, subnormal, normal);
    uint32_t nan = 0x7e00 | (size >> 13 & 0x1ff);
    uint32_t rounded = focal_select_bits(size < 0x477ff000, finite, 0x7c00);
    return (uint16_t)((bits >> 16 & 0x8000) |
                      focal_select_bits(size > 0x7f800000, nan, rounded));
}

static inline uint16_t focal_bf16_of_float(float value) {
    uint32_t bits = focal_bits_of(value), size = bits & 0x7fffffff;
    uint32_t rounded = (size + 0x7fff + (size >> 16 & 1)) >> 16;
    uint32_t nan = 0x7fc0 | (size >> 16 & 0x3f);
    return (uint16_t)((bits >> 16 & 0x8000) |
                      focal_select_bits(size > 0x7f800000, nan, rounded));
}

#endif
