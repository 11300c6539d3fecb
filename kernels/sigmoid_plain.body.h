/* The plain sigmoid focal loss in double, with gradient and Hessian: one gamma, one alpha, no
 * weights, and 2 gamma in 0 ... 4. What else a span may ask for is sigmoid_form.body.h's.
 *
 * Contract, with z = x for target 1 and -x for target 0, and q, p_t, BCE of z as in sigmoid.body.h:
 *     loss     = alpha_t q^gamma BCE
 *     gradient = (1 - 2t) alpha_t q^gamma (gamma p_t BCE + q)
 *     Hessian  = alpha_t q^gamma ((1 + 2 gamma) p_t q - gamma q p_t BCE + gamma^2 p_t p_t BCE)
 * of which the upper form leaves out the term that is negative. Error: 10 ULP of double for loss and
 * gradient, 12 for the Hessian (docs/numerics.md). Bound by arithmetic, in phases like sigmoid.body.h,
 * for the same reason. Elements with a target other than 0 and 1 get the form arithmetic's bits, and do not change
 * those of their neighbours. */

typedef struct {
    vd alpha_positive, alpha_negative, gamma, scale;
    uint32_t half_steps;
} plain_constants;

/* Where few registers bear a step, the exponential is cut in two and the logarithm a phase of its
 * own, as in sigmoid_phases.body.h. */
enum { PLAIN_SHORT_PHASES = VEC_STEPS < 16 };

typedef struct {
    _Alignas(64) double e[FORM_RUN]; /* exp(-|x|); in short phases first r, at last log1p(e) */
    double smaller[FORM_RUN];        /* in short phases magic, then e / (1 + e) */
    double targets[FORM_RUN];
} plain_scratch;

/* Which results a run has besides the loss, and how its power is formed. */
typedef struct {
    focal_gamma_class gamma_class;
    bool gradient, hessian;
} plain_job;

/* A Hessian has the weight of p_t, which may be below exp(-708), other results of q^(1 + gamma). */
FOCAL_BODY bool plain_is_normal(plain_job job) {
    return job.gamma_class != KERNEL_G0 && !job.hessian;
}

/* Phase 1: e, or its reduced argument. Adds to *soft the size of targets that are neither 0 nor 1. */
FOCAL_BODY void plain_step_exp(bool normal, const double *logits, const double *targets,
                               size_t i, size_t count, plain_scratch *scratch, vd *soft) {
    vd x = form_load(logits, i, count), t = form_load(targets, i, count);
    vdm one = vdm_eq(t, vd_set(1.0));
    *soft = vd_add(*soft, vd_abs(vd_select(one, vd_set(0.0), t)));
    exp_argument_vd argument = plain_exp_reduce(normal, vd_neg(vd_abs(x)));
    if (PLAIN_SHORT_PHASES) {
        vd_store(scratch->e + i, argument.r);
        vd_store(scratch->smaller + i, argument.magic);
    } else {
        vd_store(scratch->e + i, plain_exp_reduced(normal, argument));
    }
}

FOCAL_BODY void plain_loop_polynomial(bool normal, size_t count, plain_scratch *scratch) {
    for (size_t i = 0; i < count; i += 8) {
        exp_argument_vd argument = {vd_load(scratch->e + i), vd_load(scratch->smaller + i)};
        vd_store(scratch->e + i, plain_exp_reduced(normal, argument));
    }
}

FOCAL_BODY bool plain_loop_exp(bool normal, const focal_form_span *span, const double *targets,
                               plain_scratch *scratch) {
    vd soft = vd_set(0.0);
    const double *logits = span->logits;
    size_t i = 0, count = span->count;
    for (; i + 8 <= count; i += 8)
        plain_step_exp(normal, logits, targets, i, 8, scratch, &soft);
    if (i < count)
        plain_step_exp(normal, logits, targets, i, count - i, scratch, &soft);
    if (PLAIN_SHORT_PHASES)
        plain_loop_polynomial(normal, count, scratch);
    return vd_sum_lanes(soft) == 0.0;
}

/* Returns whether all targets are 0 or 1. */
FOCAL_SHARED bool plain_run_exp(bool normal, const focal_form_span *span, const double *targets,
                                plain_scratch *scratch) {
    return normal ? plain_loop_exp(true, span, targets, scratch)
                  : plain_loop_exp(false, span, targets, scratch);
}

/* Phase 2, if phases are short. */
FOCAL_SHARED void plain_run_log(size_t count, plain_scratch *scratch) {
    for (size_t i = 0; i < count; i += 8) {
        logistic_f64 logistic = logistic_of_exp_f64(vd_load(scratch->e + i));
        vd_store(scratch->smaller + i, logistic.smaller);
        vd_store(scratch->e + i, logistic.log1p_e);
    }
}

FOCAL_BODY logistic_f64 plain_logistic(const plain_scratch *scratch, size_t i) {
    vd e = vd_load(scratch->e + i);
    if (PLAIN_SHORT_PHASES)
        return (logistic_f64){vd_load(scratch->smaller + i), e};
    return logistic_of_exp_f64(e);
}

FOCAL_BODY vd plain_power(focal_gamma_class gamma_class, const plain_constants *constants,
                          vd q) {
    if (gamma_class == KERNEL_G1)
        return q;
    if (gamma_class == KERNEL_G2)
        return vd_mul(q, q);
    if (gamma_class == KERNEL_GH)
        return power_half_steps_f64(q, constants->half_steps);
    return vd_set(1.0);
}

/* The Hessian without alpha_t. p_t_bce is p_t BCE, cut for an infinite logit, where it is 0. */
FOCAL_BODY vd plain_hessian(const plain_constants *constants, bool upper, vd power, vd q,
                            vd p_t, vd p_t_bce) {
    vd gamma = constants->gamma;
    vd first = vd_mul(vd_fma(vd_set(2.0), gamma, vd_set(1.0)), vd_mul(p_t, q));
    if (!upper)
        first = vd_fma(vd_neg(vd_mul(gamma, q)), p_t_bce, first);
    return vd_mul(power, vd_fma(vd_mul(vd_mul(gamma, gamma), p_t), p_t_bce, first));
}

FOCAL_BODY form_result plain_result(plain_job job, const plain_constants *constants, bool upper,
                                    vd z, logistic_f64 logistic, vdm one) {
    vd smaller = logistic.smaller, larger = vd_sub(vd_set(1.0), smaller);
    vdm wrong = vdm_lt(z, vd_set(0.0));
    vd q = vd_select(wrong, larger, smaller);
    vd power = plain_power(job.gamma_class, constants, q);
    vd minus_far = vd_min(vd_set(0.0), z); /* NaN passes */
    vd alpha = vd_select(one, constants->alpha_positive, constants->alpha_negative);
    vd weighted = vd_mul(alpha, power);
    form_result r = {.loss = vd_mul(weighted, vd_sub(logistic.log1p_e, minus_far))};
    if (!job.gradient && !job.hessian)
        return r;
    vd p_t = vd_select(wrong, smaller, larger);
    vd p_t_bce = vd_mul(p_t, vd_sub(logistic.log1p_e, vd_max(vd_set(-0x1p64), minus_far)));
    if (job.gradient) {
        vd bracket = job.gamma_class == KERNEL_G0 ? q : vd_fma(constants->gamma, p_t_bce, q);
        vd size = vd_mul(vd_mul(weighted, bracket), constants->scale);
        r.gradient = vd_select(one, vd_neg(size), size);
    }
    if (job.hessian)
        r.hessian = vd_mul(alpha, plain_hessian(constants, upper, power, q, p_t, p_t_bce));
    return r;
}

/* The last phase. */
FOCAL_BODY void plain_step_end(plain_job job, const plain_constants *constants,
                               const focal_form_span *span, const double *targets, size_t i,
                               size_t count, const plain_scratch *scratch, form_sum *sum) {
    static const double ones[8] = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
    vd x = form_load(span->logits, i, count);
    vdm one = vdm_eq(form_load(targets, i, count), vd_set(1.0));
    logistic_f64 logistic = plain_logistic(scratch, i);
    form_result r = plain_result(job, constants, span->hessian_mode == KERNEL_HESSIAN_UPPER,
                                 vd_select(one, x, vd_neg(x)), logistic, one);
    if (count < 8)
        r.loss = vd_select(is_zero(vd_load_n(ones, count)), vd_set(0.0), r.loss);
    vd updated = vd_add(sum->even, r.loss);
    sum->even = sum->odd;
    sum->odd = updated;
    if (span->loss)
        form_store(span->loss, i, r.loss, count);
    if (job.hessian)
        form_store(span->hessian, i, form_guard_hessian(span, r.hessian), count);
    if (job.gradient)
        form_store(span->gradient, i, r.gradient, count);
}

FOCAL_BODY double plain_loop_end(plain_job job, const plain_constants *constants,
                                 const focal_form_span *given, const double *targets,
                                 const plain_scratch *scratch) {
    form_sum sum = {vd_set(0.0), vd_set(0.0)};
    /* A copy: a store through the arrays might change the span, for all the compiler knows. */
    const focal_form_span span = *given;
    size_t i = 0;
    for (; i + 8 <= span.count; i += 8)
        plain_step_end(job, constants, &span, targets, i, 8, scratch, &sum);
    if (i < span.count)
        plain_step_end(job, constants, &span, targets, i, span.count - i, scratch, &sum);
    return vd_sum_lanes(vd_add(sum.even, sum.odd));
}

#define PLAIN_RUN(name, class)                                                                 \
    FOCAL_SHARED double plain_end_##name(                                                      \
        bool gradient, bool hessian, const plain_constants *constants,                         \
        const focal_form_span *span, const double *targets, const plain_scratch *scratch) {    \
        if (hessian)                                                                           \
            return gradient ? plain_loop_end((plain_job){class, true, true}, constants, span,  \
                                             targets, scratch)                                 \
                            : plain_loop_end((plain_job){class, false, true}, constants, span, \
                                             targets, scratch);                                \
        return gradient ? plain_loop_end((plain_job){class, true, false}, constants, span,     \
                                         targets, scratch)                                     \
                        : plain_loop_end((plain_job){class, false, false}, constants, span,    \
                                         targets, scratch);                                    \
    }
PLAIN_RUN(g0, KERNEL_G0)
PLAIN_RUN(g1, KERNEL_G1)
PLAIN_RUN(g2, KERNEL_G2)
PLAIN_RUN(gh, KERNEL_GH)
#undef PLAIN_RUN

FOCAL_BODY double plain_run_end(plain_job job, const plain_constants *constants,
                                const focal_form_span *span, const double *targets,
                                const plain_scratch *scratch) {
    switch (job.gamma_class) {
    case KERNEL_G0:
        return plain_end_g0(job.gradient, job.hessian, constants, span, targets, scratch);
    case KERNEL_G1:
        return plain_end_g1(job.gradient, job.hessian, constants, span, targets, scratch);
    case KERNEL_G2:
        return plain_end_g2(job.gradient, job.hessian, constants, span, targets, scratch);
    case KERNEL_GH:
    case KERNEL_GX:
        break;
    }
    return plain_end_gh(job.gradient, job.hessian, constants, span, targets, scratch);
}

/* ---- Runs with soft targets ---- */

/* One value per element, as the form arithmetic wants them, and the results of both ways. */
typedef struct {
    double alpha_positive[FORM_RUN], alpha_negative[FORM_RUN], gamma[FORM_RUN],
        weight[FORM_RUN];
    struct {
        double loss[FORM_RUN], gradient[FORM_RUN], hessian[FORM_RUN];
    } hard, soft;
} plain_both;

FOCAL_BODY void plain_fill(plain_both *both, const focal_form_span *span) {
    for (size_t i = 0; i < span->count; i++) {
        both->alpha_positive[i] = span->alpha_positive[0];
        both->alpha_negative[i] = span->alpha_negative[0];
        both->gamma[i] = span->gamma_uniform;
        both->weight[i] = 1.0;
    }
}

FOCAL_BODY void plain_merge(focal_form_span *span, plain_both *both) {
    for (size_t i = 0; i < span->count; i++) {
        bool hard = span->targets[i] == 0.0 || span->targets[i] == 1.0;
        both->soft.loss[i] = hard ? both->hard.loss[i] : both->soft.loss[i];
        if (span->loss)
            span->loss[i] = both->soft.loss[i];
        if (span->hessian)
            span->hessian[i] = hard ? both->hard.hessian[i] : both->soft.hessian[i];
        if (span->gradient)
            span->gradient[i] = hard ? both->hard.gradient[i] : both->soft.gradient[i];
    }
    form_sum sum = {vd_set(0.0), vd_set(0.0)};
    for (size_t i = 0; i < span->count; i += 8) {
        size_t count = span->count - i < 8 ? span->count - i : 8;
        vd updated = vd_add(sum.even, form_load(both->soft.loss, i, count));
        sum.even = sum.odd;
        sum.odd = updated;
    }
    span->sum = vd_sum_lanes(vd_add(sum.even, sum.odd));
}

FOCAL_SHARED void plain_run_soft(plain_job job, const plain_constants *constants,
                                 focal_form_span *span, const plain_scratch *scratch) {
    plain_both both;
    plain_fill(&both, span);
    focal_form_span way = *span;
    way.alpha_positive = both.alpha_positive;
    way.alpha_negative = both.alpha_negative;
    way.gamma_positive = way.gamma_negative = both.gamma;
    way.weight = both.weight;
    way.loss = both.soft.loss;
    way.gradient = job.gradient ? both.soft.gradient : NULL;
    way.hessian = job.hessian ? both.soft.hessian : NULL;
    sigmoid_form(&way, KERNEL_FAST);
    way.loss = both.hard.loss;
    way.gradient = job.gradient ? both.hard.gradient : NULL;
    way.hessian = job.hessian ? both.hard.hessian : NULL;
    plain_run_end(job, constants, &way, span->targets, scratch);
    plain_merge(span, &both);
}

/* ---- The kernel ---- */

FOCAL_BODY focal_gamma_class plain_class(double gamma) {
    return gamma == 0.0   ? KERNEL_G0
           : gamma == 1.0 ? KERNEL_G1
           : gamma == 2.0 ? KERNEL_G2
                          : KERNEL_GH;
}

FOCAL_BODY void sigmoid_plain(focal_form_span *span) {
    plain_constants constants = {
        .alpha_positive = vd_set(span->alpha_positive[0]),
        .alpha_negative = vd_set(span->alpha_negative[0]),
        .gamma = vd_set(span->gamma_uniform),
        .scale = vd_set(span->scale),
        .half_steps = (uint32_t)(2.0 * span->gamma_uniform),
    };
    plain_job job = {plain_class(span->gamma_uniform), span->gradient != NULL,
                     span->hessian != NULL};
    plain_scratch scratch;
    const double *targets = span->targets;
    if (span->binary) {
        for (size_t i = 0; i < span->count; i++)
            scratch.targets[i] = (double)span->binary[i];
        targets = scratch.targets;
    }
    bool hard = plain_run_exp(plain_is_normal(job), span, targets, &scratch);
    if (PLAIN_SHORT_PHASES)
        plain_run_log(span->count, &scratch);
    if (hard)
        span->sum = plain_run_end(job, &constants, span, targets, &scratch);
    else
        plain_run_soft(job, &constants, span, &scratch);
}

/* The kernel of tier fast. */
FOCAL_BODY void sigmoid_fast_form(focal_form_span *span, focal_kernel_tier tier) {
    if (span->plain)
        sigmoid_plain(span);
    else
        sigmoid_form(span, tier);
}
