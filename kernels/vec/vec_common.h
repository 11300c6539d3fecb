/* What every vocabulary header shares. */
#ifndef FOCAL_VEC_COMMON_H
#define FOCAL_VEC_COMMON_H

/* One step of every kernel is 16 floats on every ISA, so that sums have one tree. */
#define FOCAL_STEP 16

/* Vocabulary operations are single expressions. Unused ones are normal: not every body needs
 * all. */
#define FOCAL_INLINE static inline __attribute__((always_inline, unused))

/* Bodies are generic in constant arguments (tier, target, direction, gamma class); inlining is
 * what turns those into code without branches, so it is not left to the compiler's judgement. A
 * vocabulary whose operations are so slow that the branches do not matter may define FOCAL_BODY
 * otherwise, and spare the compiler a hundred copies. */
#ifndef FOCAL_BODY
#define FOCAL_BODY static inline __attribute__((always_inline, unused))
#endif

/* A loop that many kernels share: one copy, called once per run of 512 elements or per row. */
#ifdef __clang__
#define FOCAL_SHARED static __attribute__((noinline, unused))
#else
#define FOCAL_SHARED static __attribute__((noinline, noclone, unused))
#endif

#endif
