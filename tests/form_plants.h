/* Form kernels with planted mistakes, to prove that form_rows.c sees them. */
#ifndef FOCAL_TESTS_FORM_PLANTS_H
#define FOCAL_TESTS_FORM_PLANTS_H

#include "form_rows.h"

typedef struct {
    const char *name;
    focal_kernel_op op;
    focal_form_function *function;
    form_check expected;
} form_plant;

extern const form_plant form_plants[];
extern const size_t form_plant_count;

/* The healthy kernel of each op that the plants call; to be set first. */
extern focal_form_function *form_plant_sigmoid, *form_plant_softmax;

#endif
