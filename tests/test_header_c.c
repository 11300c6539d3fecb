/* focal.h alone, first and twice, as C: it needs nothing before it, defines nothing twice, and
 * every function that it declares is in the library. Compiled with every warning on. */
#include <focal.h>

#include <stdio.h>

/* Contracts of the header's text: zero is the default of every choice, the struct_size is first. */
_Static_assert(FOCAL_OK == 0 && FOCAL_SIGMOID == 0 && FOCAL_DTYPE_DEFAULT == 0 &&
                   FOCAL_TARGET_DENSE == 0 && FOCAL_ALPHA_OFF == 0 && FOCAL_TIER_DEFAULT == 0,
               "zero is the default");
_Static_assert(offsetof(focal_problem, struct_size) == 0 &&
                   offsetof(focal_options, struct_size) == 0 &&
                   offsetof(focal_buffers, struct_size) == 0 &&
                   offsetof(focal_sums, struct_size) == 0 &&
                   offsetof(focal_parallel, struct_size) == 0 &&
                   offsetof(focal_error, struct_size) == 0 &&
                   offsetof(focal_isa_info, struct_size) == 0 &&
                   offsetof(focal_host_info, struct_size) == 0,
               "struct_size comes first");

typedef void any_function(void);

static any_function *const declared[] = {
    (any_function *)focal_version,
    (any_function *)focal_status_name,
    (any_function *)focal_status_text,
    (any_function *)focal_tier_name,
    (any_function *)focal_dtype_name,
    (any_function *)focal_form_name,
    (any_function *)focal_normalizer_name,
    (any_function *)focal_plans_execute,
    (any_function *)focal_alpha_inverse_frequency,
    (any_function *)focal_alpha_effective_number,
    (any_function *)focal_prior_bias,
    (any_function *)focal_plan_create,
    (any_function *)focal_plan_destroy,
    (any_function *)focal_plan_describe,
    (any_function *)focal_plan_execute,
    (any_function *)focal_plan_tasks,
    (any_function *)focal_plan_workspace_size,
    (any_function *)focal_plan_execute_range,
    (any_function *)focal_plan_finish,
    (any_function *)focal_set_isa_cap,
    (any_function *)focal_isa_count,
    (any_function *)focal_isa_get,
    (any_function *)focal_host_get,
};

int main(void) {
    unsigned passed = 0, failed = 0;
    focal_problem problem;
    focal_options options;
    focal_buffers buffers;
    focal_error error = FOCAL_ERROR_INIT;
    focal_sums sums = FOCAL_SUMS_INIT;
    memset(&problem, 0xff, sizeof problem);
    memset(&options, 0xff, sizeof options);
    memset(&buffers, 0xff, sizeof buffers);
    focal_problem_init(&problem);
    focal_options_init(&options);
    focal_buffers_init(&buffers);
    const int holds[] = {
        problem.struct_size == sizeof problem && problem.outputs == 0 && problem.outer == 0,
        options.struct_size == sizeof options && options.isa == NULL &&
            options.allocate == NULL,
        buffers.struct_size == sizeof buffers && buffers.logits == NULL &&
            buffers.workspace_size == 0,
        error.struct_size == sizeof error && error.status == FOCAL_OK && error.index == -1 &&
            error.field[0] == '\0' && error.message[0] == '\0',
        sums.struct_size == sizeof sums && sums.loss == 0.0 && sums.rows == 0 &&
            sums.positives == 0,
    };
    for (size_t i = 0; i < sizeof declared / sizeof *declared; i++)
        declared[i] != NULL ? passed++ : failed++;
    for (size_t i = 0; i < sizeof holds / sizeof *holds; i++)
        if (holds[i] != 0) {
            passed++;
        } else {
            failed++;
            printf("%s: FAILED: initialiser %zu\n", __FILE__, i);
        }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
