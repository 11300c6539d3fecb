/* The two lines that head a section: on which host its entries were measured, and by which build of
 * the library. Whatever could change which kernel is best stands in one of them, readable. */
#ifndef FOCAL_TUNE_FINGERPRINT_H
#define FOCAL_TUNE_FINGERPRINT_H

enum { FOCAL_FINGERPRINT_MAX = 320 };

/* "host <CRC-32 of the rest> vendor=... cap=...": CPU, usable features, caches, the cap in force.
 * Static, made anew when the cap has changed; call it under one lock. */
const char *focal_host_line(void);

/* "build <CRC-32 of the rest> version=...": library, kernels by name, compiler, SLEEF. */
const char *focal_build_line(void);

#endif
