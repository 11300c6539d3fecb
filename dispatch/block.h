/* The two ways to compute blocks: by the f32 kernels, and by the form kernels in double. */
#ifndef FOCAL_DISPATCH_BLOCK_H
#define FOCAL_DISPATCH_BLOCK_H

#include "plan.h"

/* `task` owns its row_scratch in the workspace. */
void focal_plain_blocks_run(const focal_call *call, size_t task, size_t first, size_t count);
void focal_form_blocks_run(const focal_call *call, size_t first, size_t count);

#endif
