/* Names of SLEEF's deterministic functions, those with fused multiply-add and without
 * dependence on the ISA. Up to SLEEF 3.9 they are called Sleef_finz_*; later versions made the
 * plain names deterministic and dropped the prefixed ones. meson.build finds out which there
 * are. The ISA is always part of the name: the dispatching names would choose a row behind our
 * back. */
#ifndef FOCAL_SLEEF_NAMES_H
#define FOCAL_SLEEF_NAMES_H

#include <sleef.h>

#include "config.h"

#if FOCAL_SLEEF_FINZ
#define FOCAL_SLEEF(function)          Sleef_finz_##function
#define FOCAL_SLEEF_PORTABLE(function) Sleef_cinz_##function
#else
#define FOCAL_SLEEF(function)          Sleef_##function
#define FOCAL_SLEEF_PORTABLE(function) Sleef_##function
#endif

#endif
