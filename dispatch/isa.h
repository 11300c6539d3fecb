/* The ISA rows of this build, which of them this machine may run, and which one plans get. */
#ifndef FOCAL_DISPATCH_ISA_H
#define FOCAL_DISPATCH_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "focal.h"
#include "kernel.h"

typedef struct focal_isa_row {
    const char *name;
    uint64_t needs;                  /* feature bits of cpu.h */
    const focal_kernel_table *table; /* NULL: not built */
} focal_isa_row;

/* All rows of isas.def, best first. */
extern const focal_isa_row focal_isa_rows[];
extern const size_t focal_isa_row_count;

/* The row of that name, NULL if unknown. */
const focal_isa_row *focal_isa_find(const char *name);

bool focal_isa_usable(const focal_isa_row *row, uint64_t features);

/* The best row for a CPU with these features, from index `cap` on. "scalar" needs nothing. */
const focal_isa_row *focal_isa_best(uint64_t features, size_t cap);

/* The row for a plan that pins none, with the reason in words (static). */
const focal_isa_row *focal_isa_choose(const char **reason);

/* From now on the cap is fixed; returns true for the first plan of the process. */
bool focal_isa_freeze(void);

/* The cap in force ("" if none) and why FOCAL_ISA was not honoured ("" if it was). */
const char *focal_isa_cap_name(void);
const char *focal_isa_cap_note(void);

#endif
