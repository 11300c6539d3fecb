#ifndef SELFCHECK_ZMM_H
#define SELFCHECK_ZMM_H

// The number of AVX-512 operations with a wrong result; those are named on
// standard error. planted: one operation is given a wrong input.
int selfcheck_wrong_results(int planted);

#endif
