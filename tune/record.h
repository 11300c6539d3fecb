/* One entry of a tuning file: which kernel a problem gets and how that was found. As a line:
 *     entry <contract> <target> <dtype> n=<> c=<> i=<> t=<> -> <kernel> task=<> ps=<> ... */
#ifndef FOCAL_TUNE_RECORD_H
#define FOCAL_TUNE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "choice.h"

/* Numbers right of the kernel, in the order of the line: X(field, least, most). */
#define FOCAL_RECORD_NUMBERS(X)                                                                \
    X(task, 0, INT64_C(1) << 40) /* elements per task, 0 = default */                          \
    X(ps, 1, 1000000000)         /* picoseconds per logit */                                   \
    X(base, 1, 1000000000)       /* the same of the default kernel */                          \
    X(mad, 0, 1000000000)        /* median distance from ps */                                 \
    X(ratio, 1, 1000000)         /* time by that of the default, in 1/10000 */                 \
    X(low, 1, 1000000)           /* 95 % interval of the ratio */                              \
    X(high, 1, 1000000)                                                                        \
    X(rounds, 1, 1000000) /* of the decision */                                                \
    X(date, 20200101, 99991231)                                                                \
    X(rows, 1, INT64_C(1) << 40) /* what was measured */                                       \
    X(classes, 1, INT64_C(1) << 40)                                                            \
    X(inner, 1, INT64_C(1) << 40)                                                              \
    X(gamma, 0, 1000000) /* in 1/1000 */

typedef struct focal_record {
    focal_tuning_key key;
    char kernel[96];
#define FOCAL_RECORD_FIELD(field, least, most) int64_t field;
    FOCAL_RECORD_NUMBERS(FOCAL_RECORD_FIELD)
#undef FOCAL_RECORD_FIELD
} focal_record;

/* NULL, or what is wrong with the line. focal_record_unknown: nothing, but it speaks of a kind of
 * target or an element type that this version does not have. */
extern const char focal_record_unknown[];
const char *focal_record_parse(focal_record *record, const char *line);

/* As snprintf: the line without a newline. */
int focal_record_print(const focal_record *record, char *text, size_t capacity);

bool focal_key_equal(const focal_tuning_key *a, const focal_tuning_key *b);

/* How far a measurement is from what is asked: doublings of size; negative if one says nothing
 * about the other. */
int focal_key_distance(const focal_tuning_key *measured, const focal_tuning_key *asked);

/* "dense", "label_i32". */
const char *focal_target_word(focal_target_kind kind);

#endif
