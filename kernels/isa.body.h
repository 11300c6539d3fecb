/* Instantiates every contract of kernels.def for the vocabulary included before, once per
 * unroll, and of forms.def once, and makes the table that is the object's only exported symbol. Needs FOCAL_ISA. */
#ifndef FOCAL_ISA
#error "define FOCAL_ISA as the row's name of isas.def before including isa.body.h"
#endif

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "form.h"
#include "half.h"

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "the kernels need IEEE arithmetic: leave fast-math out of the compiler's flags"
#endif

#include "sum.h"

#include "elementary.h"

#include "sigmoid.body.h"

#include "weights.body.h"

#include "softmax_moderate.body.h"

#include "softmax.body.h"

#include "accurate.h"

#include "sigmoid_accurate.body.h"

#include "softmax_accurate.body.h"

#include "elementary_f64.h"

#include "logistic_f64.h"

#include "form_phases.body.h"

#include "sigmoid_form.body.h"

#include "softmax_form.body.h"

#include "softmax_smooth.body.h"

#include "sigmoid_plain.body.h"

#include "half.body.h"

#define JOIN_NAME(contract, isa, unroll)   contract##__##isa##_u##unroll
#define KERNEL_NAME(contract, isa, unroll) JOIN_NAME(contract, isa, unroll)
#define TEXT_OF(name)                      #name
#define KERNEL_TEXT(name)                  TEXT_OF(name)

#define DEFINE_KERNEL(contract, body, target, direction, class, tier, unroll)                  \
    static void KERNEL_NAME(contract, FOCAL_ISA, unroll)(focal_span * span) {                  \
        body##_block(span, KERNEL_##tier, KERNEL_##target, KERNEL_##direction, KERNEL_##class, \
                     unroll);                                                                  \
    }
#define FOCAL_KERNEL(contract, body, op, target, direction, class, tier)                       \
    DEFINE_KERNEL(contract, body, target, direction, class, tier, 16)                          \
    DEFINE_KERNEL(contract, body, target, direction, class, tier, 32)
#include "kernels.def"
#undef FOCAL_KERNEL
#undef DEFINE_KERNEL

#define KERNEL_ROW(contract, op, target, direction, class, tier, unroll)                       \
    {KERNEL_TEXT(KERNEL_NAME(contract, FOCAL_ISA, unroll)),                                    \
     KERNEL_##op,                                                                              \
     KERNEL_##target,                                                                          \
     KERNEL_##direction,                                                                       \
     KERNEL_##class,                                                                           \
     KERNEL_##tier,                                                                            \
     unroll,                                                                                   \
     KERNEL_NAME(contract, FOCAL_ISA, unroll)},
#define FOCAL_KERNEL(contract, body, op, target, direction, class, tier)                       \
    KERNEL_ROW(contract, op, target, direction, class, tier, 16)                               \
    KERNEL_ROW(contract, op, target, direction, class, tier, 32)
static const focal_kernel kernels[] = {
#include "kernels.def"
};
#undef FOCAL_KERNEL
#undef KERNEL_ROW

#define FOCAL_FORM_KERNEL(contract, body, op, tier)                                            \
    static void KERNEL_NAME(contract, FOCAL_ISA, 16)(focal_form_span * span) {                 \
        body##_form(span, KERNEL_##tier);                                                      \
    }
#include "forms.def"
#undef FOCAL_FORM_KERNEL

#define FOCAL_FORM_KERNEL(contract, body, op, tier)                                            \
    {KERNEL_TEXT(KERNEL_NAME(contract, FOCAL_ISA, 16)), KERNEL_##op, KERNEL_##tier,            \
     KERNEL_NAME(contract, FOCAL_ISA, 16)},
static const focal_form_kernel form_kernels[] = {
#include "forms.def"
};
#undef FOCAL_FORM_KERNEL

#define TABLE_JOIN(isa) focal_kernels_##isa
#define TABLE_NAME(isa) TABLE_JOIN(isa)
const focal_kernel_table TABLE_NAME(FOCAL_ISA) = {
    .isa = KERNEL_TEXT(FOCAL_ISA),
    .count = sizeof kernels / sizeof kernels[0],
    .kernels = kernels,
    .form_count = sizeof form_kernels / sizeof form_kernels[0],
    .forms = form_kernels,
    .weigh = weigh,
    .load_f16 = load_f16,
    .load_bf16 = load_bf16,
    .store_f16 = store_f16,
    .store_bf16 = store_bf16,
};
