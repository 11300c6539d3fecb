#include "choice.h"

#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "status.h"

size_t focal_contract_length(const char *name) {
    const char *end = strstr(name, "__");
    return end ? (size_t)(end - name) : strlen(name);
}

/* Whether `name` continues with the row's name after its contract. */
static bool names_row(const char *name, const char *row) {
    const char *isa = name + focal_contract_length(name);
    size_t length = strlen(row);
    return strncmp(isa, "__", 2) == 0 && strncmp(isa + 2, row, length) == 0 &&
           isa[2 + length] == '_';
}

focal_candidate focal_candidate_of(const focal_plan *plan) {
    if (plan->kernel)
        return (focal_candidate){plan->kernel->name, plan->isa, plan->kernel, NULL};
    return (focal_candidate){plan->form->name, plan->isa, NULL, plan->form};
}

focal_candidate focal_candidate_at(const focal_isa_row *row, size_t index) {
    const focal_kernel_table *table = row->table;
    if (!table || index >= table->count + table->form_count)
        return (focal_candidate){.name = NULL};
    if (index < table->count)
        return (focal_candidate){table->kernels[index].name, row, &table->kernels[index], NULL};
    const focal_form_kernel *form = &table->forms[index - table->count];
    return (focal_candidate){form->name, row, NULL, form};
}

focal_candidate focal_candidate_find(const char *name) {
    for (size_t i = 0; i < focal_isa_row_count; i++) {
        const focal_isa_row *row = &focal_isa_rows[i];
        focal_candidate one = {.name = NULL};
        if (!names_row(name, row->name))
            continue;
        for (size_t k = 0; (one = focal_candidate_at(row, k)).name; k++)
            if (strcmp(one.name, name) == 0)
                return one;
    }
    return (focal_candidate){.name = NULL};
}

/* Rows without a requirement have no fused multiply-add, and so other bits than all others. */
static bool has_common_bits(const focal_isa_row *row) {
    return row->needs != 0;
}

static bool same_contract(const char *a, const char *b) {
    size_t length = focal_contract_length(a);
    return length == focal_contract_length(b) && memcmp(a, b, length) == 0;
}

static bool above_cap(const focal_isa_row *row) {
    const char *cap = focal_isa_cap_name();
    return *cap && row < focal_isa_find(cap);
}

const char *focal_candidate_flaw(focal_candidate candidate, focal_candidate standard) {
    if (!candidate.name)
        return "there is no such kernel";
    if (!same_contract(candidate.name, standard.name))
        return "it computes something else";
    if (!focal_isa_usable(candidate.isa, focal_cpu_host()->features))
        return "its ISA row is not usable here";
    if (above_cap(candidate.isa))
        return "its ISA row is above the cap";
    if (has_common_bits(candidate.isa) != has_common_bits(standard.isa))
        return "its ISA row has other bits than the default one";
    return NULL;
}

size_t focal_candidates_list(focal_candidate standard, focal_candidate *list, size_t capacity) {
    size_t count = 0;
    if (count++ < capacity)
        list[0] = standard;
    for (size_t i = 0; i < focal_isa_row_count; i++) {
        focal_candidate one;
        for (size_t k = 0; (one = focal_candidate_at(&focal_isa_rows[i], k)).name; k++) {
            if (one.name == standard.name || !same_contract(one.name, standard.name) ||
                focal_candidate_flaw(one, standard))
                continue;
            if (count++ < capacity)
                list[count - 1] = one;
        }
    }
    return count;
}

static uint32_t log2_floor(uint64_t value) {
    uint32_t bits = 0;
    while (value >>= 1)
        bits++;
    return bits;
}

bool focal_tuning_key_of(const focal_plan *plan, uint32_t threads, focal_tuning_key *key) {
    const focal_problem *problem = &plan->problem;
    const char *name = focal_candidate_of(plan).name;
    size_t length = focal_contract_length(name);
    if (plan->rows == 0 || plan->columns == 0 || length >= sizeof key->contract)
        return false;
    *key = (focal_tuning_key){.target_kind = problem->target_kind,
                              .dtype = problem->dtype,
                              .threads = threads ? threads : 1};
    memcpy(key->contract, name, length);
    key->elements_log2 = log2_floor((uint64_t)plan->rows * plan->columns);
    /* Sigmoid with one target per logit does not see where a row ends. */
    if (problem->op == FOCAL_SOFTMAX || focal_target_is_label(problem->target_kind) ||
        problem->inner > 1)
        key->classes_log2 = log2_floor((uint64_t)plan->columns);
    key->inner_log2 = log2_floor((uint64_t)problem->inner);
    return true;
}

/* The form kernel of a plan that has another one, for executions with weights, stays the default
 * row's: all rows that may stand in for each other have the same bits. */
static void take(focal_plan *plan, focal_candidate candidate, const char *reason) {
    if (candidate.kernel)
        plan->kernel = candidate.kernel;
    else
        plan->form = candidate.form;
    plan->isa = candidate.isa;
    plan->isa_reason = reason;
}

static focal_status pin(focal_plan *plan, const focal_options *options, focal_error *error) {
    focal_candidate standard = focal_candidate_of(plan);
    focal_candidate pinned = focal_candidate_find(options->kernel);
    const char *flaw = NULL;
    /* A pin goes above the cap, as that of a row does, and to the row of other bits. */
    if (!pinned.name || !same_contract(options->kernel, standard.name))
        flaw = focal_candidate_flaw(pinned, standard);
    else if (!focal_isa_usable(pinned.isa, focal_cpu_host()->features))
        flaw = "its ISA row is not usable here";
    else if (options->isa && strcmp(options->isa, pinned.isa->name) != 0)
        flaw = "the options pin another ISA row";
    else if (options->unroll && pinned.kernel && options->unroll != pinned.kernel->unroll)
        flaw = "the options pin another unroll";
    if (flaw)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "kernel", -1, "\"%.95s\": %s",
                          options->kernel, flaw);
    take(plan, pinned, "pinned");
    return FOCAL_OK;
}

focal_status focal_plan_choose(focal_plan *plan, const focal_options *options,
                               focal_error *error) {
    focal_tuning_key key;
    focal_candidate standard = focal_candidate_of(plan), found;
    if (options->kernel)
        return pin(plan, options, error);
    if (options->isa || options->unroll || options->tune_flags & FOCAL_TUNE_OFF)
        return FOCAL_OK;
    /* The answer is advice: it is checked here, whoever gives it. */
    if (focal_tuning_key_of(plan, options->threads, &key) &&
        focal_tuning_find(&key, standard, &found, &plan->tuning) &&
        !focal_candidate_flaw(found, standard)) {
        take(plan, found, "tuned");
    } else {
        plan->tuning = (focal_tuning){.date = 0};
    }
    return FOCAL_OK;
}

void focal_plan_reason(const focal_plan *plan, char *text, size_t capacity) {
    const focal_tuning *tuning = &plan->tuning;
    if (tuning->date == 0)
        snprintf(text, capacity, "%s", plan->isa_reason);
    else
        snprintf(text, capacity, "tuned %04u-%02u-%02u, gain %.1f %%",
                 (unsigned)(tuning->date / 10000), (unsigned)(tuning->date / 100 % 100),
                 (unsigned)(tuning->date % 100), 100.0 - 0.01 * tuning->ratio);
}
