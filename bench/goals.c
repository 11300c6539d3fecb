#include "goals.h"

#include <stdio.h>
#include <string.h>

/* The sides of goals.def. */
#define LIBRARY(id, what, power, arithmetic, count)                                            \
    {                                                                                          \
        .name = #id, .direction = BENCH_##what, .gamma = power, .variant = {                   \
            .kind = BENCH_KIND_FOCAL,                                                          \
            .tier = FOCAL_TIER_##arithmetic,                                                   \
            .threads = count                                                                   \
        }                                                                                      \
    }
#define SLEEF(id, what, power)                                                                 \
    {                                                                                          \
        .name = #id, .direction = BENCH_##what, .gamma = power, .variant = {                   \
            .kind = BENCH_KIND_BASELINE,                                                       \
            .baseline = BENCH_BASELINE_SLEEF,                                                  \
            .threads = 1                                                                       \
        }                                                                                      \
    }
#define KERNEL(id, which)                                                                      \
    {                                                                                          \
        .name = #id, .direction = BENCH_LOSS, .gamma = 2.0, .variant = {                       \
            .kind = BENCH_KIND_KERNEL,                                                         \
            .sum = BENCH_SUM_##which,                                                          \
            .threads = 1                                                                       \
        }                                                                                      \
    }

const bench_goal bench_goals[] = {
#define BENCH_GOAL(id, text, how, least, wanted, one, other)                                   \
    {.name = #id,                                                                              \
     .what = text,                                                                             \
     .kind = BENCH_##how,                                                                      \
     .must = least,                                                                            \
     .aim = wanted,                                                                            \
     .ours = one,                                                                              \
     .theirs = other},
#include "goals.def"
#undef BENCH_GOAL
};
const size_t bench_goal_count = sizeof bench_goals / sizeof bench_goals[0];

const char *bench_goal_verdict_name(bench_goal_verdict verdict) {
    static const char *const names[] = {"missed", "must", "aim"};
    return names[verdict];
}

bench_goal_verdict bench_goal_judge(const bench_goal *goal, double value) {
    int more = goal->kind == BENCH_SPEEDUP || goal->kind == BENCH_BOUND;
    if (more ? value >= goal->aim : value <= goal->aim)
        return BENCH_AIM;
    return (more ? value >= goal->must : value <= goal->must) ? BENCH_MUST : BENCH_MISSED;
}

static const char *side_obstacle(const bench_side *side, const char *isa, int has_threads) {
    if (side->variant.kind == BENCH_KIND_BASELINE &&
        !bench_baseline_usable(side->variant.baseline, isa))
        return "SLEEF is not called per vector of this row";
    if (side->variant.kind == BENCH_KIND_KERNEL && !bench_summation_usable(isa))
        return "there is no kernel with free sums for this row";
    if (side->variant.threads > 1 && !has_threads)
        return "this build has no threads, or the machine one CPU";
    return NULL;
}

const char *bench_goal_obstacle(const bench_goal *goal, const char *isa, double bound,
                                int has_threads) {
    const char *ours = side_obstacle(&goal->ours, isa, has_threads);
    if (goal->kind == BENCH_BOUND && !(bound > 0.0))
        return "no --bound was given for this row";
    return ours ? ours : side_obstacle(&goal->theirs, isa, has_threads);
}

static const bench_data *data_of(bench_goal_store *store, const char *name, int smoke) {
    enum { SMOKE_ELEMENTS = 4096 };
    const bench_case *shape = bench_case_find(name);
    size_t index = (size_t)(shape - bench_cases);
    bench_size size = bench_size_of(shape, 0);
    if (smoke && size.outer * size.inner * shape->classes > SMOKE_ELEMENTS)
        size = bench_size_of(shape, SMOKE_ELEMENTS);
    if (!store->is_made[index])
        store->is_made[index] = bench_data_create(&store->data[index], shape, size, 0);
    return store->is_made[index] ? &store->data[index] : NULL;
}

void bench_goal_store_release(bench_goal_store *store) {
    for (size_t i = 0; i < bench_case_count; i++)
        if (store->is_made[i])
            bench_data_release(&store->data[i]);
    memset(store, 0, sizeof *store);
}

/* The value of every round, and what they are together. */
static void evaluate(const bench_goal *goal, double bound, const bench_entry *entries,
                     const bench_result *results, bench_goal_result *result) {
    double values[FOCAL_SAMPLES_MAX];
    const double elements[2] = {(double)entries[0].data->elements,
                                (double)entries[1].data->elements};
    const double ours_cycles = results[0].cycles / elements[0];
    result->rounds = results[0].rounds;
    for (size_t i = 0; i < result->rounds; i++) {
        double ours = results[0].samples[i] / elements[0];
        double theirs = results[1].samples[i] / elements[1];
        switch (goal->kind) {
        case BENCH_SPEEDUP:
            values[i] = theirs / ours;
            break;
        case BENCH_COST:
            values[i] = ours / theirs;
            break;
        case BENCH_OVERHEAD:
            values[i] = (ours - theirs) * elements[0];
            break;
        case BENCH_BOUND: /* cycles are known for the median */
            values[i] = bound / (ours_cycles * results[0].samples[i] / results[0].time.median);
            break;
        }
    }
    result->value = focal_summarize(values, result->rounds);
    for (int side = 0; side < 2; side++) {
        bench_variant_name(&results[side].variant, result->names[side]);
        result->ns[side] = results[side].time.median / elements[side];
        result->cycles[side] = results[side].cycles / elements[side];
    }
}

int bench_goal_run(const bench_goal *goal, const char *isa, double bound,
                   const bench_settings *settings, bench_goal_store *store,
                   bench_goal_result *result, char error[256]) {
    const bench_side *sides[2] = {&goal->ours, &goal->theirs};
    bench_entry entries[2];
    bench_result results[2];
    for (int side = 0; side < 2; side++) {
        entries[side] =
            (bench_entry){.data = data_of(store, sides[side]->name, settings->smoke),
                          .gamma = sides[side]->gamma,
                          .direction = sides[side]->direction,
                          .variant = sides[side]->variant};
        entries[side].variant.isa = isa;
        if (!entries[side].data) {
            snprintf(error, 256, "%s: not enough memory for its data", sides[side]->name);
            return 0;
        }
    }
    if (!bench_run(entries, 2, settings, results, error))
        return 0;
    evaluate(goal, bound, entries, results, result);
    if (goal->kind == BENCH_BOUND && !(result->cycles[0] > 0.0)) {
        snprintf(error, 256, "cycles cannot be counted on this machine");
        bench_results_release(results, 2);
        return 0;
    }
    bench_results_release(results, 2);
    return 1;
}
