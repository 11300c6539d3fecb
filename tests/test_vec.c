/* Holds every operation of vocabulary.def, on every ISA row that this machine can run, against its
 * meaning in plain C: special values in all lanes, pseudo-random bit patterns, memory at the edge
 * of accessible pages. Results are equal to the bit; NaNs are one class.
 *
 * usage: test_vec [--isa NAME] [--require-isa NAME,...] [--seed N] [--quick] [--headers FOLDER]
 *
 * With the folder of the vocabulary headers it also checks that they define nothing else. */
#define _POSIX_C_SOURCE 200809L /* strsignal */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "config.h"
#include "cpu.h"
#include "guard.h"
#include "isa.h"
#include "ulp.h"
#include "vec_operands.h"

/* config.h defines FOCAL_BUILT_<isa> as 1 or 0. */
#define TABLE_0(isa)              NULL
#define TABLE_1(isa)              &vec_table_##isa
#define TABLE_JOIN(built, isa)    TABLE_##built(isa)
#define TABLE_IF(built, isa)      TABLE_JOIN(built, isa)
#define FOCAL_ISA_ROW(isa, needs) {#isa, TABLE_IF(FOCAL_BUILT_##isa, isa)},
static const struct {
    const char *isa;
    const vec_table *table;
} tables[] = {
#include "isas.def"
};
#undef FOCAL_ISA_ROW

typedef struct {
    uint64_t passed, failed, vectors;
} counts;

/* What a child works on. */
static struct {
    const char *isa;
    const vec_table *table;
    bool fused, quick;
    uint64_t seed;
    counts *counts;
    int operation;
    bool failed; /* the present operation */
    guard_buffer memory;
} work;

/* Only an operation's first failure is printed. */
__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...) {
    if (work.failed)
        return;
    work.failed = true;
    printf("FAILED %s on %s: ", vec_operations[work.operation].name, work.isa);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* ---- Comparison -------------------------------------------------------------------------- */

/* The first lane that differs, or -1. */
static int difference(char letter, const vec_operand *got, const vec_operand *wanted) {
    if (memcmp(got, wanted, vec_size(letter)) == 0)
        return -1;
    size_t lanes = vec_size(letter) / (vec_is_double(letter) ? 8 : 4);
    for (size_t i = 0; i < lanes; i++)
        if (vec_is_double(letter) ? ulp_bits_f64(got->d[i]) != ulp_bits_f64(wanted->d[i])
                                  : ulp_bits_f32(got->f[i]) != ulp_bits_f32(wanted->f[i]))
            return (int)i;
    return -1;
}

static double lane_of(char letter, const vec_operand *from, int lane) {
    switch (letter) {
    case 'M':
        return (double)from->bytes[lane];
    case 'H':
        return (double)from->halves[lane];
    case 'F':
        return (double)from->f[lane];
    case 'f':
        return (double)from->f[0];
    case 'D':
        return from->d[lane % 8];
    case 'd':
        return from->d[0];
    default:
        return 0.0;
    }
}

static void compare(const vec_operand in[3], size_t n, const vec_operand *got,
                    const vec_operand *wanted) {
    const vec_signature *s = vec_operations[work.operation].signature;
    int lane = difference(s->out, got, wanted);
    work.counts->vectors++;
    if (lane >= 0)
        fail("lane %d is %a, expected %a, for %a, %a, %a, n = %zu", lane,
             lane_of(s->out, got, lane), lane_of(s->out, wanted, lane),
             lane_of(s->a, &in[0], lane), lane_of(s->b, &in[1], lane),
             lane_of(s->c, &in[2], lane), n);
}

static void try_values(const vec_operand in[3], size_t n) {
    const vec_signature *s = vec_operations[work.operation].signature;
    vec_operand got, wanted;
    memset(&got, 0xa5, sizeof got);
    memset(&wanted, 0xa5, sizeof wanted);
    const void *a = s->a == '-' ? NULL : &in[0], *b = s->b == '-' ? NULL : &in[1];
    const void *c = s->c == '-' ? NULL : &in[2];
    work.table->functions[work.operation](&got, a, b, c, n);
    vec_meanings[work.operation](&wanted, a, b, c, n, work.fused);
    compare(in, n, &got, &wanted);
}

/* ---- By value ---------------------------------------------------------------------------- */

/* Every combination of special values, 16 times, so that it meets every lane. */
static void try_specials(void) {
    const vec_signature *s = vec_operations[work.operation].signature;
    const char letters[3] = {s->a, s->b, s->c};
    size_t operands = s->b == '-' ? 1 : s->c == '-' ? 2 : 3;
    size_t base = operands == 3 ? VEC_TRIPLES : VEC_SPECIALS, combinations = 1;
    for (size_t k = 0; k < operands; k++)
        combinations *= base;
    size_t lanes = vec_is_double(s->a) ? 8 : 16;
    if (s->a == 'f' || s->a == 'd')
        lanes = 1;
    vec_operand in[3] = {{{0}}, {{0}}, {{0}}};
    size_t step = work.quick && operands == 3 ? 5 : 1;
    for (size_t shift = 0; shift < lanes; shift++)
        for (size_t first = 0; first < combinations; first += lanes * step) {
            for (size_t lane = 0; lane < lanes; lane++) {
                size_t rest = (first + lane + shift) % combinations;
                for (size_t k = 0; k < operands; k++, rest /= base)
                    vec_set_special(letters[k], &in[k], lane, rest % base);
            }
            try_values(in, 0);
        }
}

static bool is_sleef(void) {
    return strncmp(vec_operations[work.operation].name + 2, "_sleef", 6) == 0;
}

/* A million lanes and more; 65536 rounds go through all sets of truth values. */
static void try_random(random_source *random) {
    const vec_signature *s = vec_operations[work.operation].signature;
    uint32_t rounds = vec_is_double(s->a) ? 1 << 17 : 1 << 16;
    if (vec_is_double(s->a) && is_sleef())
        rounds /= 4;
    if (work.quick && s->a != 'M')
        rounds /= 32;
    vec_operand in[3] = {{{0}}, {{0}}, {{0}}};
    for (uint32_t round = 0; round < rounds; round++) {
        vec_random(random, s->a, &in[0], round);
        vec_random(random, s->b, &in[1], round * 40503U);
        vec_random(random, s->c, &in[2], round);
        try_values(in, 0);
    }
}

static void try_counts(void) {
    const vec_operand in[3] = {{{0}}, {{0}}, {{0}}};
    for (size_t n = 0; n <= 16; n++)
        try_values(in, n);
    if (work.operation != VEC_vm_lane)
        return;
    for (size_t n = 17; n < 600; n++)
        try_values(in, n);
    /* A label before the step wraps around; a truncated count would meet a lane. */
    for (size_t n = 1; n <= 5000; n++)
        try_values(in, SIZE_MAX - n + 1);
    for (unsigned bit = 5; bit < 8 * sizeof(size_t); bit++)
        for (size_t lane = 0; lane < 17; lane++)
            try_values(in, ((size_t)1 << bit) + lane);
}

/* ---- Memory ------------------------------------------------------------------------------ */

static void try_load(const vec_operand in[3], size_t n, guard_place place, size_t offset) {
    const vec_signature *s = vec_operations[work.operation].signature;
    size_t size = n * vec_element(s->a);
    vec_operand got, wanted;
    memset(&got, 0xa5, sizeof got);
    memset(&wanted, 0xa5, sizeof wanted);
    void *memory = guard_put(&work.memory, place, size, offset * vec_element(s->a));
    memcpy(memory, &in[0], size);
    work.table->functions[work.operation](&got, memory, NULL, NULL, n);
    vec_meanings[work.operation](&wanted, &in[0], NULL, NULL, n, work.fused);
    compare(in, n, &got, &wanted);
    if (memcmp(memory, &in[0], size) != 0 || guard_disturbance(&work.memory))
        fail("a load of %zu elements wrote to memory", n);
}

static void try_store(const vec_operand in[3], size_t n, guard_place place, size_t offset) {
    const vec_signature *s = vec_operations[work.operation].signature;
    size_t size = n * vec_element(s->out);
    vec_operand wanted;
    memset(&wanted, 0, sizeof wanted);
    void *memory = guard_put(&work.memory, place, size, offset * vec_element(s->out));
    work.table->functions[work.operation](memory, &in[0], NULL, NULL, n);
    vec_meanings[work.operation](&wanted, &in[0], NULL, NULL, n, work.fused);
    work.counts->vectors++;
    if (memcmp(memory, &wanted, size) != 0)
        fail("a store of %zu elements differs from the operand", n);
    ptrdiff_t distance = guard_disturbance(&work.memory);
    if (distance)
        fail("a store of %zu elements wrote at distance %td bytes from them", n, distance);
}

/* Every 16-bit number; of the floats on which a rounding to 16 bits could turn every fifth: the values,
 * the middles between them and their neighbours, of whose 13 low bits there are six sorts. */
static void try_halves(bool loads) {
    static const uint32_t low_bits[] = {0, 1, 0xfff, 0x1000, 0x1001, 0x1fff};
    const size_t lows = loads ? 1 : sizeof low_bits / sizeof *low_bits;
    const uint32_t step = loads        ? 1
                          : work.quick ? 29
                                       : 5,
                   end = (loads ? 1U << 16 : 1U << 19) / step;
    vec_operand in[3] = {{{0}}, {{0}}, {{0}}};
    for (uint32_t first = 0; first < end; first += 16)
        for (size_t low = 0; low < lows; low++) {
            for (uint32_t i = 0; i < 16; i++) {
                const uint32_t upper = (first + i) * step;
                if (loads)
                    in[0].halves[i] = (uint16_t)upper;
                else
                    in[0].f[i] = ulp_from_bits_f32(upper << 13 | low_bits[low]);
            }
            (loads ? try_load : try_store)(in, 16, GUARD_MIDDLE, 0);
        }
}

/* All counts, flush against both ends and at all 16 offsets in between. */
static void try_memory(random_source *random) {
    const vec_signature *s = vec_operations[work.operation].signature;
    bool counted = s->manner == LOAD_COUNT || s->manner == STORE_COUNT;
    bool loads = s->manner == LOAD || s->manner == LOAD_COUNT;
    size_t lanes = vec_is_double(s->a) ? 8 : 16;
    vec_operand in[3] = {{{0}}, {{0}}, {{0}}};
    for (uint32_t round = 0; round < (work.quick ? 40 : 400); round++)
        for (size_t n = counted ? 0 : lanes; n <= lanes; n++)
            for (int place = GUARD_MIDDLE; place <= GUARD_START; place++) {
                vec_random(random, s->a, &in[0], random_below(random, 1 << 16));
                (loads ? try_load : try_store)(in, n, (guard_place)place, round % 16);
            }
    if (s->a == 'H' || s->out == 'H')
        try_halves(loads);
    /* Bytes of all values, for each lane. */
    for (unsigned byte = 0; byte < 256 && s->a == 'M'; byte++)
        for (size_t lane = 0; lane < 16; lane++) {
            memset(&in[0], 0, sizeof in[0]);
            in[0].bytes[lane] = (unsigned char)byte;
            try_load(in, 16, GUARD_END, 0);
        }
}

/* ---- Accuracy ---------------------------------------------------------------------------- */

/* The exact result, where the bodies rely on the operation's bound of 1 ULP. */
static long double exact_result(int operation, long double x, long double y) {
    switch (operation) {
    case VEC_vf_sleef_exp:
    case VEC_vd_sleef_exp:
        return expl(x);
    case VEC_vf_sleef_log1p:
    case VEC_vd_sleef_log1p:
        return log1pl(x);
    case VEC_vd_sleef_expm1:
        return expm1l(x);
    case VEC_vd_sleef_log:
        return logl(x);
    default:
        return powl(x, y);
    }
}

/* Of the domain that elementary.h states: exp of negative numbers down to underflow, log1p of
 * 0 ... 1 (and of quotients in f64), log of sums, powers of 0 ... 1. */
static double domain_value(random_source *random, int operation) {
    double unit = (double)(random_next(random) >> 11) * 0x1p-53;
    switch (operation) {
    case VEC_vf_sleef_exp:
        return -unit * 87.0;
    case VEC_vd_sleef_exp:
    case VEC_vd_sleef_expm1:
        return -unit * 708.0;
    case VEC_vd_sleef_log:
    case VEC_vd_sleef_log1p:
        return ldexp(unit, (int)random_below(random, 60) - 40);
    default:
        return random_below(random, 2) ? unit : ldexp(unit, -(int)random_below(random, 20));
    }
}

static void try_accuracy(random_source *random) {
    const vec_signature *s = vec_operations[work.operation].signature;
    bool doubles = vec_is_double(s->a);
    /* Where long double is no wider than double, its own error counts. */
    double bound = doubles && LDBL_MANT_DIG < 60 ? 2.0 : 1.0;
    vec_operand in[3] = {{{0}}, {{0}}, {{0}}}, got;
    for (int round = 0; round < (work.quick ? 100 : 4000); round++) {
        for (size_t i = 0; i < (doubles ? 8 : 16); i++) {
            double x = domain_value(random, work.operation);
            double y = (double)random_below(random, 100) * 0.05;
            if (doubles) {
                in[0].d[i] = x;
                in[1].d[i] = y;
            } else {
                in[0].f[i] = (float)x;
                in[1].f[i] = (float)y;
            }
        }
        work.table->functions[work.operation](&got, &in[0], &in[1], NULL, 0);
        work.counts->vectors++;
        for (int i = 0; i < (doubles ? 8 : 16); i++) {
            long double x = doubles ? (long double)in[0].d[i] : (long double)in[0].f[i];
            long double y = doubles ? (long double)in[1].d[i] : (long double)in[1].f[i];
            long double exact = exact_result(work.operation, x, y);
            if (fabsl(exact) < (doubles ? (long double)DBL_MIN : (long double)FLT_MIN))
                continue;
            double error = doubles ? ulp_error_f64(got.d[i], exact)
                                   : ulp_error_f32(got.f[i], (double)exact);
            if (!(error <= bound))
                fail("error of %g ULP at %a, %a", error, (double)x, (double)y);
        }
    }
}

/* ---- Runs -------------------------------------------------------------------------------- */

static void try_operation(void) {
    const char *name = vec_operations[work.operation].name;
    random_source random = random_named(work.seed, name, strlen(name));
    switch (vec_operations[work.operation].signature->manner) {
    case BY_VALUE:
        try_specials();
        try_random(&random);
        break;
    case BY_COUNT:
        try_counts();
        break;
    case LOAD:
    case LOAD_COUNT:
    case STORE:
    case STORE_COUNT:
        try_memory(&random);
        break;
    }
    if (is_sleef())
        try_accuracy(&random);
}

static void run_table(void *context) {
    (void)context;
    if (!guard_create(&work.memory, "memory", 0xa5, 64)) {
        fail("out of memory");
        work.counts->failed++;
        return;
    }
    for (work.operation = 0; work.operation < VEC_COUNT; work.operation++) {
        work.failed = false;
        try_operation();
        if (work.failed)
            work.counts->failed++;
        else
            work.counts->passed++;
    }
}

static void describe_end(void *context, child_result *end) {
    (void)context;
    ptrdiff_t distance = 0;
    const guard_buffer *buffer =
        end->end == CHILD_FAULT ? guard_find(end->address, &distance) : NULL;
    snprintf(end->text, sizeof end->text, "%s: %s%s", vec_operations[work.operation].name,
             strsignal(end->number),
             !buffer        ? ""
             : distance > 0 ? ", access past the end"
                            : ", access before the start");
    if (buffer)
        snprintf(end->text + strlen(end->text), sizeof end->text - strlen(end->text),
                 " by %td bytes", distance < 0 ? -distance : distance);
}

/* One row in a child of its own. */
static counts run_row(const char *isa, const vec_table *table, bool quick, uint64_t seed) {
    counts result = {0, 1, 0};
    counts *shared = child_shared(sizeof *shared);
    if (!shared)
        return result;
    work.isa = isa;
    work.table = table;
    work.fused = strcmp(isa, "scalar") != 0;
    work.quick = quick;
    work.seed = seed;
    work.counts = shared;
    child_result end = child_run(run_table, describe_end, NULL, 600);
    result = *shared;
    if (end.end != CHILD_DONE) {
        printf("FAILED %s: the child ended early (%d): %s\n", isa, end.number, end.text);
        result.failed++;
    }
    child_shared_free(shared, sizeof *shared);
    return result;
}

/* Whether a comma-separated list has the name. */
static bool is_listed(const char *list, const char *name) {
    size_t length = strlen(name);
    for (; list && *list; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == length && memcmp(list, name, length) == 0)
            return true;
    return false;
}

static bool is_operation(const char *name, size_t length) {
    for (int i = 0; i < VEC_COUNT; i++)
        if (strlen(vec_operations[i].name) == length &&
            memcmp(vec_operations[i].name, name, length) == 0)
            return true;
    return false;
}

/* Every function of a header called vf_, vm_, vd_ or vdm_ something must be on the list: an
 * operation that is not would be tested nowhere. Returns how many there are. */
static int check_header(const char *folder, const char *isa, uint64_t *failed) {
    char path[4096], line[512], name[64];
    int found = 0;
    snprintf(path, sizeof path, "%s/vec_%s.h", folder,
             strcmp(isa, "scalarfma") == 0 ? "scalar" : isa);
    FILE *file = fopen(path, "r");
    if (!file) {
        printf("FAILED %s: cannot be read\n", path);
        ++*failed;
        return 0;
    }
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "FOCAL_INLINE %*s %63[a-z0-9_](", name) != 1 || name[0] != 'v' ||
            !strchr("fmd", name[1]) || !strchr(name, '_'))
            continue;
        found++;
        if (!is_operation(name, strlen(name))) {
            printf("FAILED %s: %s is not in vocabulary.def\n", path, name);
            ++*failed;
        }
    }
    fclose(file);
    return found;
}

int main(int count, char **words) {
    const char *only = NULL, *required = NULL, *headers = NULL;
    uint64_t seed = 1;
    bool quick = false;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--quick") == 0) {
            quick = true;
        } else if (i + 1 < count && strcmp(words[i], "--isa") == 0 &&
                   focal_isa_find(words[i + 1])) {
            only = words[++i];
        } else if (i + 1 < count && strcmp(words[i], "--require-isa") == 0) {
            required = words[++i];
        } else if (i + 1 < count && strcmp(words[i], "--headers") == 0) {
            headers = words[++i];
        } else if (i + 1 < count && strcmp(words[i], "--seed") == 0) {
            seed = strtoull(words[++i], NULL, 0);
        } else {
            fprintf(stderr,
                    "test_vec: what is \"%s\"?\nusage: test_vec [--isa NAME] "
                    "[--require-isa NAME,...] [--seed N] [--quick] [--headers FOLDER]\n",
                    words[i]);
            return 2;
        }
    }
    printf("test_vec: %d operations, seed %llu%s\n", (int)VEC_COUNT, (unsigned long long)seed,
           quick ? ", quick" : "");
    uint64_t passed = 0, failed = 0, vectors = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const char *isa = tables[i].isa;
        if (headers && check_header(headers, isa, &failed) == VEC_COUNT)
            passed++;
        else if (headers)
            failed++;
        const focal_isa_row *row = focal_isa_find(isa);
        bool usable = tables[i].table && focal_isa_usable(row, focal_cpu_host()->features);
        if (usable && (!only || strcmp(only, isa) == 0)) {
            counts result = run_row(isa, tables[i].table, quick, seed);
            printf("row %s: %llu passed, %llu failed\n", isa, (unsigned long long)result.passed,
                   (unsigned long long)result.failed);
            vectors += result.vectors;
            passed += result.passed;
            failed += result.failed;
            continue;
        }
        printf("%-10s skipped: %s\n", isa,
               !tables[i].table ? "not built"
               : !usable        ? "this machine cannot run it"
                                : "not asked for (--isa)");
        if (is_listed(required, isa)) {
            printf("FAILED %s: required by --require-isa but not run\n", isa);
            failed++;
        }
    }
    printf("%llu results compared\n", (unsigned long long)vectors);
    if (vectors == 0) {
        puts("FAILED: nothing was run");
        failed++;
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)passed,
           (unsigned long long)failed);
    return failed != 0;
}
