/* Reporting of failures: a status for programs, a message that names the field for people. */
#ifndef FOCAL_DISPATCH_STATUS_H
#define FOCAL_DISPATCH_STATUS_H

#include <stdint.h>

#include "focal.h"

/* Fills *error (NULL, or of an unknown struct_size: nothing) with "field: text" and returns the
 * status. `field` must be static; `index` is -1 where no element is meant. Cold: compilers put what leads
 * here out of the way. */
__attribute__((cold, format(printf, 5, 6))) focal_status
focal_fail(focal_error *error, focal_status status, const char *field, int64_t index,
           const char *format, ...);

#endif
