/* Between problems and records: a record says what was measured, so that it can be measured again.
 */
#ifndef FOCAL_TUNE_PROBLEM_H
#define FOCAL_TUNE_PROBLEM_H

#include "record.h"

/* The problem of a record; false if this build has no such contract, or one of a form kernel, of
 * which a record does not know enough. */
bool focal_record_problem(const focal_record *record, focal_problem *problem);

/* Its shape and gamma, into the record. */
void focal_record_describe(focal_record *record, const focal_problem *problem);

#endif
