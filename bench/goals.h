/* The goals of goals.def, each a contest of two. */
#ifndef FOCAL_BENCH_GOALS_H
#define FOCAL_BENCH_GOALS_H

#include "runner.h"

typedef enum { BENCH_SPEEDUP, BENCH_COST, BENCH_OVERHEAD, BENCH_BOUND } bench_goal_kind;

typedef struct bench_side {
    const char *name; /* of the case */
    bench_direction direction;
    double gamma;
    bench_variant variant; /* without its ISA */
} bench_side;

typedef struct bench_goal {
    const char *name, *what;
    bench_goal_kind kind;
    double must, aim;
    bench_side ours, theirs;
} bench_goal;

extern const bench_goal bench_goals[];
extern const size_t bench_goal_count;

/* Both may be reached; MUST: that only. */
typedef enum { BENCH_MISSED, BENCH_MUST, BENCH_AIM } bench_goal_verdict;
const char *bench_goal_verdict_name(bench_goal_verdict verdict);
bench_goal_verdict bench_goal_judge(const bench_goal *goal, double value);

/* What keeps it from being measured on that row; NULL if nothing. `bound`: cycles per element, 0
 * if unknown. */
const char *bench_goal_obstacle(const bench_goal *goal, const char *isa, double bound,
                                int has_threads);

typedef struct bench_goal_result {
    focal_summary value; /* of the rounds' values, by the goal's kind */
    size_t rounds;
    char names[2][BENCH_NAME_MAX]; /* ours, theirs */
    double ns[2], cycles[2];       /* per element, medians; 0 unknown */
} bench_goal_result;

/* The data of goals, made when first wanted. Zeros to begin with. */
typedef struct bench_goal_store {
    bench_data data[64]; /* by case */
    int is_made[64];
} bench_goal_store;
void bench_goal_store_release(bench_goal_store *store);

/* On failure returns 0 with one line in `error`. */
int bench_goal_run(const bench_goal *goal, const char *isa, double bound,
                   const bench_settings *settings, bench_goal_store *store,
                   bench_goal_result *result, char error[256]);

#endif
