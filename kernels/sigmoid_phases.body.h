/* The first phases of the sigmoid kernels: from logits and targets to z, exp(-|x|), e / (1 + e)
 * and log1p(e), see sigmoid.body.h.
 *
 * The whole chain (exp, division, log1p, products) is longer than out-of-order hardware can overlap,
 * and a loop runs no faster than its longest chain times the registers it writes allow
 * (docs/decisions/0002-sigmoid-in-phases.md). So there are several loops over a run, three or two.
 * Bits do not depend on it. */

/* Where a step of 16 takes several registers, chains are cut shorter. */
enum { SIGMOID_SHORT_PHASES = VEC_STEPS < 16 };

/* Where a step is, and how many of its elements exist. */
typedef struct {
    size_t element; /* in the span */
    size_t slot;    /* in the run's scratch */
    size_t count;   /* FOCAL_STEP, or fewer at the end */
} sigmoid_place;

/* The step at `slot` of a run of `run` elements that begins at element `first`. */
FOCAL_BODY sigmoid_place sigmoid_place_at(size_t first, size_t slot, size_t run) {
    size_t left = run - slot;
    return (sigmoid_place){first + slot, slot, left < FOCAL_STEP ? left : FOCAL_STEP};
}

/* What the phases hand on, per element of a run. */
typedef struct {
    _Alignas(64) float e[SUM_RUN]; /* exp(-|x|), then log1p(e) */
    float smaller[SUM_RUN];        /* e / (1 + e) */
    float z[SUM_RUN];
    float power[SUM_RUN]; /* q^gamma, KERNEL_GX: first the exponent's two parts */
    float power_low[SUM_RUN];
} sigmoid_scratch;

FOCAL_BODY vf sigmoid_load(const float *from, sigmoid_place at) {
    return at.count == FOCAL_STEP ? vf_load(from + at.element)
                                  : vf_load_n(from + at.element, at.count);
}

/* ---- Targets ---- */

FOCAL_BODY vm sigmoid_load_binary(const void *targets, sigmoid_place at) {
    const uint8_t *from = (const uint8_t *)targets + at.element;
    return at.count == FOCAL_STEP ? vm_load_u8(from) : vm_load_u8_n(from, at.count);
}

/* Labels instead of a byte per logit: with many classes nearly all targets are 0. */
FOCAL_BODY focal_kernel_target sigmoid_kind(focal_kernel_target kind, const focal_span *span) {
    return kind == KERNEL_BINARY && !span->targets ? KERNEL_LABEL : kind;
}

/* The sign bit where t is not 1. Collects in *soft the bits of targets that are neither 0 nor 1. */
FOCAL_BODY vf sigmoid_flip(focal_kernel_target kind, const void *targets, sigmoid_place at,
                           vf *soft) {
    vf sign = vf_set(-0.0F);
    if (kind == KERNEL_LABEL)
        return sign;
    if (kind == KERNEL_BINARY)
        return vf_drop(sigmoid_load_binary(targets, at), sign);
    vf t = sigmoid_load(targets, at);
    vm one = vm_eq(t, vf_set(1.0F));
    *soft = vf_or(*soft, vf_drop(one, t));
    return vf_drop(one, sign);
}

/* z, and `side` if not NULL, of the targets 1 among `run` elements. A row may begin before them or end
 * behind. */
FOCAL_BODY void sigmoid_mark_labels(const focal_span *span, size_t first, size_t run, float *z,
                                    float *side) {
    size_t row = first / span->classes;
    for (size_t start = row * span->classes; start < first + run; start += span->classes) {
        size_t at = start + (size_t)span->labels[row] - first;
        if (span->labels[row] >= 0 && at < run) {
            z[at] = span->logits[first + at];
            if (side)
                side[at] = 1.0F;
        }
        row++;
    }
}

/* ---- Steps ---- */

/* exp(-|x|). `normal` serves where results below exp(-87) vanish. */
FOCAL_BODY vf sigmoid_exp(bool normal, vf x) {
    vf a = vf_or(x, vf_set(-0.0F));
    if (!normal)
        return exp_fast(a, NULL);
    return exp_reduced(exp_reduce(vf_max(vf_set(-87.0F), a), vf_set(EXP_SHIFT)), exp_roots);
}

FOCAL_BODY void sigmoid_step_log(focal_kernel_tier tier, size_t slot,
                                 sigmoid_scratch *scratch) {
    sigmoid_logistic logistic = logistic_of_exp(tier, vf_load(scratch->e + slot));
    vf_store(scratch->smaller + slot, logistic.smaller);
    vf_store(scratch->e + slot, logistic.log1p_e);
}

/* What a loop over a run does. The targets come in where there is time for them: beside the division of
 * log1p, if that has a phase of its own before the last. */
typedef enum {
    SIGMOID_TARGETS,     /* z */
    SIGMOID_EXP,         /* e */
    SIGMOID_TARGETS_EXP, /* z and e */
    SIGMOID_TARGETS_LOG, /* z, and from e the quotient and log1p */
} sigmoid_work;

FOCAL_BODY void sigmoid_step(sigmoid_work work, focal_kernel_target kind, bool normal,
                             const float *logits, const void *targets, sigmoid_place at,
                             sigmoid_scratch *scratch, vf *soft) {
    vf x = sigmoid_load(logits, at);
    if (work != SIGMOID_EXP)
        vf_store(scratch->z + at.slot, vf_xor(x, sigmoid_flip(kind, targets, at, soft)));
    if (work == SIGMOID_EXP || work == SIGMOID_TARGETS_EXP)
        vf_store(scratch->e + at.slot, sigmoid_exp(normal, x));
    if (work == SIGMOID_TARGETS_LOG)
        sigmoid_step_log(KERNEL_FAST, at.slot, scratch);
}

/* ---- Loops ---- */

/* Slots [slot, end), of which a multiple of FOCAL_STEP lies before. Returns whether all targets seen
 * are 0 or 1. */
FOCAL_BODY bool sigmoid_loop(sigmoid_work work, focal_kernel_target kind, bool normal,
                             const focal_span *span, size_t first, size_t slot, size_t end,
                             sigmoid_scratch *scratch) {
    const float *logits = span->logits;
    const void *targets = span->targets;
    vf soft = vf_set(0.0F);
#pragma GCC unroll 2
    for (; slot + FOCAL_STEP <= end; slot += FOCAL_STEP)
        sigmoid_step(work, kind, normal, logits, targets,
                     (sigmoid_place){first + slot, slot, FOCAL_STEP}, scratch, &soft);
    if (slot < end)
        sigmoid_step(work, kind, normal, logits, targets,
                     (sigmoid_place){first + slot, slot, end - slot}, scratch, &soft);
    return vm_all(vm_eq(soft, vf_set(0.0F)));
}

/* A vector whose label was stored a moment ago waits for that store, and the next phase begins at the
 * run's front: where log1p has a phase of its own, that is marked while the rest is computed. A loss
 * alone does not gain by it what it costs to look at rows on the border of two pieces. */
FOCAL_BODY size_t sigmoid_label_piece(sigmoid_work work, const focal_span *span) {
    return work == SIGMOID_TARGETS_LOG && span->gradient ? SUM_RUN / 4 : SUM_RUN;
}

FOCAL_BODY void sigmoid_loop_labels(sigmoid_work work, bool normal, const focal_span *span,
                                    size_t first, size_t run, sigmoid_scratch *scratch) {
    size_t piece = sigmoid_label_piece(work, span);
    for (size_t slot = 0; slot < run; slot += piece) {
        size_t left = run - slot, count = left < piece ? left : piece;
        sigmoid_loop(work, KERNEL_LABEL, normal, span, first, slot, slot + count, scratch);
        sigmoid_mark_labels(span, first + slot, count, scratch->z + slot, NULL);
    }
}

FOCAL_BODY bool sigmoid_loop_of(sigmoid_work work, focal_kernel_target kind, bool normal,
                                const focal_span *span, size_t first, size_t run,
                                sigmoid_scratch *scratch) {
    if (kind == KERNEL_DENSE)
        return sigmoid_loop(work, KERNEL_DENSE, normal, span, first, 0, run, scratch);
    if (kind == KERNEL_BINARY)
        return sigmoid_loop(work, KERNEL_BINARY, normal, span, first, 0, run, scratch);
    sigmoid_loop_labels(work, normal, span, first, run, scratch);
    return true;
}

/* Few kernels differ in these loops, so there is one copy of each, in functions small enough that
 * compilers keep a loop's constants in registers. */

FOCAL_SHARED bool sigmoid_run_targets(focal_kernel_target kind, const focal_span *span,
                                      size_t first, size_t run, sigmoid_scratch *scratch) {
    return sigmoid_loop_of(SIGMOID_TARGETS, kind, false, span, first, run, scratch);
}

FOCAL_SHARED void sigmoid_run_exp_sleef(size_t run, sigmoid_scratch *scratch) {
    for (size_t i = 0; i < run; i += FOCAL_STEP) {
        vf z = vf_load(scratch->z + i);
        vf_store(scratch->e + i, vf_sleef_exp(vf_or(z, vf_set(-0.0F))));
    }
}

FOCAL_SHARED void sigmoid_run_exp(bool normal, const focal_span *span, size_t first, size_t run,
                                  sigmoid_scratch *scratch) {
    if (normal)
        sigmoid_loop(SIGMOID_EXP, KERNEL_DENSE, true, span, first, 0, run, scratch);
    else
        sigmoid_loop(SIGMOID_EXP, KERNEL_DENSE, false, span, first, 0, run, scratch);
}

FOCAL_SHARED bool sigmoid_run_targets_exp(focal_kernel_target kind, bool normal,
                                          const focal_span *span, size_t first, size_t run,
                                          sigmoid_scratch *scratch) {
    return normal
               ? sigmoid_loop_of(SIGMOID_TARGETS_EXP, kind, true, span, first, run, scratch)
               : sigmoid_loop_of(SIGMOID_TARGETS_EXP, kind, false, span, first, run, scratch);
}

FOCAL_SHARED bool sigmoid_run_targets_log(focal_kernel_target kind, const focal_span *span,
                                          size_t first, size_t run, sigmoid_scratch *scratch) {
    return sigmoid_loop_of(SIGMOID_TARGETS_LOG, kind, false, span, first, run, scratch);
}

FOCAL_SHARED void sigmoid_run_log_sleef(size_t run, sigmoid_scratch *scratch) {
    for (size_t i = 0; i < run; i += FOCAL_STEP)
        sigmoid_step_log(KERNEL_SLEEF, i, scratch);
}

/* z and e; with `has_log`, what logistic_of_exp makes of e. Returns whether all targets are 0 or 1. */
FOCAL_BODY bool sigmoid_run_start(focal_kernel_tier tier, focal_kernel_target kind, bool normal,
                                  bool has_log, const focal_span *span, size_t first,
                                  size_t run, sigmoid_scratch *scratch) {
    if (tier == KERNEL_SLEEF) {
        bool hard = sigmoid_run_targets(kind, span, first, run, scratch);
        sigmoid_run_exp_sleef(run, scratch);
        sigmoid_run_log_sleef(run, scratch);
        return hard;
    }
    if (!has_log)
        return sigmoid_run_targets_exp(kind, normal, span, first, run, scratch);
    sigmoid_run_exp(normal, span, first, run, scratch);
    return sigmoid_run_targets_log(kind, span, first, run, scratch);
}
