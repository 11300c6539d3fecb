/* Makes the table of the vocabulary included before. Needs FOCAL_ISA. An operation that is missing,
 * or that has another signature than vocabulary.def says, does not compile. */
#include "vec_table.h"

#define MASK_RESULT(m)  vf_store(out, vf_select(m, vf_set(1.0F), vf_set(0.0F)))
#define MASK_RESULT8(m) vd_store(out, vd_select(m, vd_set(1.0), vd_set(0.0)))

#define BODY_vf_from_float(op)        vf_store(out, op(*(const float *)a))
#define BODY_vf_from_memory(op)       vf_store(out, op((const float *)a))
#define BODY_vf_from_memory_count(op) vf_store(out, op((const float *)a, n))
#define BODY_memory_from_vf(op)       op((float *)out, vf_load(a))
#define BODY_memory_from_vf_count(op) op((float *)out, vf_load(a), n)
#define BODY_vf_from_halves(op)       vf_store(out, op((const uint16_t *)a))
#define BODY_halves_from_vf(op)       op((uint16_t *)out, vf_load(a))
#define BODY_vm_from_bytes(op)        MASK_RESULT(op((const uint8_t *)a))
#define BODY_vm_from_bytes_count(op)  MASK_RESULT(op((const uint8_t *)a, n))
#define BODY_vm_from_count(op)        MASK_RESULT(op(n))
#define BODY_vf_from_vf(op)           vf_store(out, op(vf_load(a)))
#define BODY_vf_from_2vf(op)          vf_store(out, op(vf_load(a), vf_load(b)))
#define BODY_vf_from_3vf(op)          vf_store(out, op(vf_load(a), vf_load(b), vf_load(c)))
#define BODY_vf_from_8_and_vf(op)     vf_store(out, op((const float *)a, vf_load(b)))
#define BODY_float_from_vf(op)        *(float *)out = op(vf_load(a))
#define BODY_vm_from_2vf(op)          MASK_RESULT(op(vf_load(a), vf_load(b)))
#define BODY_vm_from_2vm(op)          MASK_RESULT(op(vm_load_u8(a), vm_load_u8(b)))
#define BODY_bool_from_vm(op)         *(float *)out = op(vm_load_u8(a)) ? 1.0F : 0.0F
#define BODY_vf_from_vm_vf(op)        vf_store(out, op(vm_load_u8(a), vf_load(b)))
#define BODY_vf_from_vm_2vf(op)       vf_store(out, op(vm_load_u8(a), vf_load(b), vf_load(c)))

#define BODY_vd_from_double(op)       vd_store(out, op(*(const double *)a))
#define BODY_vd_from_memory(op)       vd_store(out, op((const double *)a))
#define BODY_vd_from_memory_count(op) vd_store(out, op((const double *)a, n))
#define BODY_memory_from_vd(op)       op((double *)out, vd_load(a))
#define BODY_memory_from_vd_count(op) op((double *)out, vd_load(a), n)
#define BODY_vd_from_vf(op)           vd_store(out, op(vf_load(a)))
#define BODY_vf_from_2vd(op)          vf_store(out, op(vd_load(a), vd_load(b)))
#define BODY_vd_from_vd(op)           vd_store(out, op(vd_load(a)))
#define BODY_vd_from_2vd(op)          vd_store(out, op(vd_load(a), vd_load(b)))
#define BODY_vd_from_3vd(op)          vd_store(out, op(vd_load(a), vd_load(b), vd_load(c)))
#define BODY_double_from_vd(op)       *(double *)out = op(vd_load(a))
#define BODY_vdm_from_2vd(op)         MASK_RESULT8(op(vd_load(a), vd_load(b)))
#define BODY_bool_from_vdm(op)        *(double *)out = op(vdm_lt(vd_load(a), vd_set(0.0))) ? 1.0 : 0.0
/* Where a < 0: no operation makes a vdm but the comparison. */
#define BODY_vd_from_vdm_2vd(op)                                                               \
    vd_store(out, op(vdm_lt(vd_load(a), vd_set(0.0)), vd_load(b), vd_load(c)))

#define FOCAL_VOCABULARY(name, signature, meaning)                                             \
    static void call_##name(void *out, const void *a, const void *b, const void *c,            \
                            size_t n) {                                                        \
        (void)a;                                                                               \
        (void)b;                                                                               \
        (void)c;                                                                               \
        (void)n;                                                                               \
        BODY_##signature(name);                                                                \
    }
#include "vocabulary.def"
#undef FOCAL_VOCABULARY

#include <math.h>

#include "kernel.h"

#include "elementary.h"

static void exponential(const float *a, float *result) {
    vf_store(result, exp_reduced(exp_reduce(vf_load(a), vf_set(EXP_SHIFT)), exp_roots));
}

static void exponential_scaled(const float *a, float *result) {
    vf_store(result, exp_scaled(vf_load(a), NULL));
}

static void logistic(const float *e, float *smaller, float *log1p_e) {
    sigmoid_logistic both = logistic_of_exp(KERNEL_FAST, vf_load(e));
    vf_store(smaller, both.smaller);
    vf_store(log1p_e, both.log1p_e);
}

#define TABLE_JOIN(isa) vec_table_##isa
#define TABLE_NAME(isa) TABLE_JOIN(isa)
const vec_table TABLE_NAME(FOCAL_ISA) = {
    {
#define FOCAL_VOCABULARY(name, signature, meaning) [VEC_##name] = call_##name,
#include "vocabulary.def"
#undef FOCAL_VOCABULARY
    },
    exponential,
    exponential_scaled,
    logistic,
};
