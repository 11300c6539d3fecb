/* Arrays of 16-bit numbers to floats and back: loops that compilers vectorise for the row. Exact,
 * and rounded once. */

#define CONVERT_ARRAY(convert)                                                                 \
    for (size_t i = 0; i < count; i++)                                                         \
    to[i] = convert(from[i])

static void load_f16(const uint16_t *restrict from, float *restrict to, size_t count) {
    CONVERT_ARRAY(focal_float_of_f16);
}

static void load_bf16(const uint16_t *restrict from, float *restrict to, size_t count) {
    CONVERT_ARRAY(focal_float_of_bf16);
}

static void store_f16(const float *restrict from, uint16_t *restrict to, size_t count) {
    CONVERT_ARRAY(focal_f16_of_float);
}

static void store_bf16(const float *restrict from, uint16_t *restrict to, size_t count) {
    CONVERT_ARRAY(focal_bf16_of_float);
}

#undef CONVERT_ARRAY
