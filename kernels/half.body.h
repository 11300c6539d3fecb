/* Arrays of 16-bit numbers to floats and back, step by step. Exact, and rounded once. */

/* What is next comes from memory while the caller computes: it converts run by run. A processor's own
 * prefetching does not see that far. No address faults. */
FOCAL_BODY void half_ask_ahead(const uint16_t *at) {
    __builtin_prefetch((const void *)((uintptr_t)at + SUM_RUN * sizeof *at));
}

#define LOAD_ARRAY(load)                                                                       \
    size_t done = 0;                                                                           \
    for (; done + FOCAL_STEP <= count; done += FOCAL_STEP) {                                   \
        half_ask_ahead(from + done);                                                           \
        vf_store(to + done, load(from + done));                                                \
    }                                                                                          \
    if (done < count) {                                                                        \
        uint16_t padded[FOCAL_STEP] = {0};                                                     \
        memcpy(padded, from + done, (count - done) * sizeof *from);                            \
        vf_store_n(to + done, load(padded), count - done);                                     \
    }

#define STORE_ARRAY(store)                                                                     \
    size_t done = 0;                                                                           \
    for (; done + FOCAL_STEP <= count; done += FOCAL_STEP) {                                   \
        half_ask_ahead(to + done);                                                             \
        store(to + done, vf_load(from + done));                                                \
    }                                                                                          \
    if (done < count) {                                                                        \
        uint16_t padded[FOCAL_STEP];                                                           \
        store(padded, vf_load_n(from + done, count - done));                                   \
        memcpy(to + done, padded, (count - done) * sizeof *to);                                \
    }

static void load_f16(const uint16_t *restrict from, float *restrict to, size_t count) {
    LOAD_ARRAY(vf_load_f16)
}

static void load_bf16(const uint16_t *restrict from, float *restrict to, size_t count) {
    LOAD_ARRAY(vf_load_bf16)
}

static void store_f16(const float *restrict from, uint16_t *restrict to, size_t count) {
    STORE_ARRAY(vf_store_f16)
}

static void store_bf16(const float *restrict from, uint16_t *restrict to, size_t count) {
    STORE_ARRAY(vf_store_bf16)
}

#undef LOAD_ARRAY
#undef STORE_ARRAY
