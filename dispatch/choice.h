/* Which of the kernels that compute the same bits a plan gets: the default, one pinned by name, or
 * what the tuner has measured. */
#ifndef FOCAL_DISPATCH_CHOICE_H
#define FOCAL_DISPATCH_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "focal.h"
#include "isa.h"
#include "kernel.h"
#include "plan.h"

/* A kernel, or for problems that need one a form kernel; the other one is NULL. */
typedef struct focal_candidate {
    const char *name; /* NULL: there is none */
    const focal_isa_row *isa;
    const focal_kernel *kernel;
    const focal_form_kernel *form;
} focal_candidate;

/* Length of the contract in a kernel's name: what stands left of "__". */
size_t focal_contract_length(const char *name);

/* What a plan computes with. */
focal_candidate focal_candidate_of(const focal_plan *plan);

/* Candidate `index` of a row: its kernels, then its form kernels; without a name after the last. */
focal_candidate focal_candidate_at(const focal_isa_row *row, size_t index);

/* The kernel of that name among the rows of this build. */
focal_candidate focal_candidate_find(const char *name);

/* NULL if `candidate` may stand in for `standard` on this host under the cap in force: the same
 * contract, and the same kind of row, with fused multiply-add or without. Else why not. */
const char *focal_candidate_flaw(focal_candidate candidate, focal_candidate standard);

/* All that may stand in for `standard`, itself first. Returns how many there are; writes at most
 * `capacity`. */
size_t focal_candidates_list(focal_candidate standard, focal_candidate *list, size_t capacity);

/* ---- What the tuner is asked by: the only thing that dispatch/ knows of tune/ ----------------- */

/* Which problems share a measurement. Sizes are rounded down to powers of two. */
typedef struct focal_tuning_key {
    char contract[64];
    focal_target_kind target_kind;
    focal_dtype dtype; /* of the logits */
    uint32_t elements_log2, classes_log2, inner_log2, threads;
} focal_tuning_key;

/* The key of a plan whose default kernel is set; false if it has no elements to measure. */
bool focal_tuning_key_of(const focal_plan *plan, uint32_t threads, focal_tuning_key *key);

/* What was measured for that key or a near one. Defined in tune/, or in no_tuner.c where the
 * library is built without; gives false if nothing is known. */
bool focal_tuning_find(const focal_tuning_key *key, focal_candidate standard,
                       focal_candidate *candidate, focal_tuning *tuning);

/* Half a line about the tuning file in use, "" if there is none. */
void focal_tuning_note(char *text, size_t capacity);

/* ---- For plans ---------------------------------------------------------------------------- */

/* Replaces the default kernel of a plan that is being made, if options or the tuner say so. */
focal_status focal_plan_choose(focal_plan *plan, const focal_options *options,
                               focal_error *error);

/* "default", "capped by FOCAL_ISA", "pinned", "tuned 2026-11-25, gain 8.1 %". */
void focal_plan_reason(const focal_plan *plan, char *text, size_t capacity);

#endif
