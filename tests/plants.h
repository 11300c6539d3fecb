/* Kernels with planted bugs, made of sound ones. */
#ifndef FOCAL_TESTS_PLANTS_H
#define FOCAL_TESTS_PLANTS_H

#include <stdbool.h>
#include <stddef.h>

#include "harness.h"
#include "machine_state.h"

/* The sound kernels that the bugs are planted into: sigmoid with dense targets and softmax, both
 * for loss and gradient. To be set first. */
extern const focal_kernel *plant_sigmoid, *plant_softmax;
extern float_control plant_usual_control;

/* The text is the plant's name in the output. */
typedef struct {
    const char *text;
    harness_check expected;
    focal_kernel_function *function;
    bool softmax;
} plant;

/* The bugs that every machine can show. */
extern const plant plants[];
extern const size_t plant_count;

/* Those that need another treatment, and those that are none. */
focal_kernel_function plant_clean;
focal_kernel_function plant_clean_softmax;
focal_kernel_function plant_targets_modified;
focal_kernel_function plant_wrong_in_one_lane;
focal_kernel_function plant_sum_in_order;
focal_kernel_function plant_null_pointer;
focal_kernel_function plant_off_by_three_steps;
focal_kernel_function plant_endless_loop;
focal_kernel_function plant_rounding_mode_left;
focal_kernel_function plant_rounding_mode_set_right;
focal_kernel_function plant_without_vzeroupper;

#endif
