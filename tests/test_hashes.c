/* The bits of the results against the committed hashes, those that `focal verify --hash-only`
 * prints, on every usable ISA row; at the wide stride the results are judged, too. What breaks the
 * contract is not written: a hash would make the fault the standard.
 *
 *     test_hashes data/hashes.txt [STRIDE]     check, all lines or those of one stride
 *     test_hashes --update data/hashes.txt     write the file anew by scalarfma, the reference
 */
#include <inttypes.h>
#include <stdlib.h>

#include "check.h"
#include "verify.h"

#define REFERENCE_ROW "scalarfma"
#define OTHER_BITS    "scalar" /* no fused multiply-add */

static const char header[] =
    "# Bits of the results, as `focal verify --hash-only` prints them: one line per problem.\n"
    "# Made by `test_hashes --update`; every ISA row with fused multiply-add, every compiler "
    "and\n"
    "# optimisation level must give the same. Other bits are another contract.\n"
    "# op gamma alpha tier stride offset hash\n";

static const char *const gammas[] = {"0", "0.5", "1", "1.5", "2", "2.5", "3", "3.7", "5"};
static const char *const ops[][2] = {
    {"sigmoid", "off"}, {"sigmoid", "0.25"}, {"softmax", "off"}};
#define TIER_VALUE(value, number, name, description) value,
static const focal_tier tiers[] = {FOCAL_TIER_LIST(TIER_VALUE)};
/* About 2^20 patterns; and 2^12, for emulators. Prime, so that every bit varies. */
#define WIDE_STRIDE 1048583
static const uint64_t strides[] = {4099, WIDE_STRIDE};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
enum { PROBLEMS = COUNT(gammas) * COUNT(ops) * COUNT(tiers) * COUNT(strides) };

typedef struct problem {
    const char *op, *gamma, *alpha;
    focal_tier tier;
    uint64_t stride;
} problem;

/* The problems are numbered in the order of the file. */
static problem problem_at(size_t i) {
    problem p = {.gamma = gammas[i % COUNT(gammas)]};
    i /= COUNT(gammas);
    p.op = ops[i % COUNT(ops)][0];
    p.alpha = ops[i % COUNT(ops)][1];
    i /= COUNT(ops);
    p.tier = tiers[i % COUNT(tiers)];
    p.stride = strides[i / COUNT(tiers)];
    return p;
}

static int print_problem(char *text, size_t size, const problem *p) {
    return snprintf(text, size, "%s %s %s %s %" PRIu64 " 0", p->op, p->gamma, p->alpha,
                    focal_tier_name(p->tier), p->stride);
}

static double bound_of(const problem *p) {
    focal_op op = strcmp(p->op, "softmax") == 0 ? FOCAL_SOFTMAX : FOCAL_SIGMOID;
    return verify_bound(op, p->tier, strtod(p->gamma, NULL));
}

static verify_result result_of(const problem *p, const char *isa, int judged, int *holds) {
    int off = strcmp(p->alpha, "off") == 0;
    verify_request request = {
        .op = strcmp(p->op, "softmax") == 0 ? FOCAL_SOFTMAX : FOCAL_SIGMOID,
        .gamma = strtod(p->gamma, NULL),
        .alpha = off ? 0.0 : strtod(p->alpha, NULL),
        .alpha_mode = off ? FOCAL_ALPHA_OFF : FOCAL_ALPHA_SCALAR,
        .tier = p->tier,
        .isa = isa,
        .stride = p->stride,
        .threads = 1,
        .hash_only = !judged,
        .bound = bound_of(p),
        .quiet = 1,
    };
    verify_result result = {.patterns = 0};
    focal_plan *plan = NULL;
    if (verify_plan(&request, &plan) != 0 || verify_run(&request, plan, &result) != 0) {
        printf("row %s cannot be run\n", isa);
        exit(1);
    }
    focal_plan_destroy(plan);
    *holds = verify_holds(&request, &result);
    return result;
}

static int update(const char *path) {
    uint64_t hashes[PROBLEMS];
    int holds = 0;
    for (size_t i = 0; i < PROBLEMS; i++) {
        char text[96];
        problem p = problem_at(i);
        print_problem(text, sizeof text, &p);
        hashes[i] = result_of(&p, REFERENCE_ROW, 1, &holds).hash;
        CHECK_CASE(holds, "%s breaks the contract: see focal verify --isa %s", text,
                   REFERENCE_ROW);
    }
    if (check_failed)
        return check_report();
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        return 1;
    }
    fputs(header, file);
    for (size_t i = 0; i < PROBLEMS; i++) {
        char text[96];
        problem p = problem_at(i);
        print_problem(text, sizeof text, &p);
        fprintf(file, "%s %016" PRIx64 "\n", text, hashes[i]);
    }
    if (fclose(file) != 0) {
        perror(path);
        return 1;
    }
    printf("wrote %d hashes\n", (int)PROBLEMS);
    return 0;
}

/* The hashes in the order of the problems; the file holds exactly these, in this order. */
static int read_hashes(const char *path, uint64_t *hashes) {
    FILE *file = fopen(path, "r");
    if (!CHECK_CASE(file != NULL, "%s cannot be opened", path))
        return 0;
    char line[160], expected[96];
    size_t count = 0;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#')
            continue;
        problem p = problem_at(count < PROBLEMS ? count : 0);
        size_t length = (size_t)print_problem(expected, sizeof expected, &p);
        char *end = line;
        int fits = count < PROBLEMS && strncmp(line, expected, length) == 0;
        if (fits)
            hashes[count] = strtoull(line + length, &end, 16);
        if (!CHECK_CASE(fits && end == line + length + 17 && *end == '\n',
                        "%s: '%.60s' instead of '%s HASH'; --update writes the list anew", path,
                        line, count < PROBLEMS ? expected : "the end"))
            break;
        count++;
    }
    fclose(file);
    return CHECK_CASE(count == PROBLEMS, "%zu of %d lines in %s", count, (int)PROBLEMS, path);
}

static void check_row(const char *isa, const uint64_t *hashes, uint64_t stride) {
    unsigned passed = check_passed, failed = check_failed;
    int differs = strcmp(isa, OTHER_BITS) == 0;
    for (size_t i = 0; i < PROBLEMS; i++) {
        char text[96];
        problem p = problem_at(i);
        if (stride && p.stride != stride)
            continue;
        print_problem(text, sizeof text, &p);
        /* The row with other bits shows that the hash tells them apart. Not everywhere: softmax is
         * mostly f64, and the fast tier fuses through double there, which rarely differs. */
        if (differs && (strcmp(p.op, "sigmoid") != 0 || p.tier != FOCAL_TIER_SLEEF))
            continue;
        int holds = 0, judged = p.stride == WIDE_STRIDE && !differs;
        uint64_t hash = result_of(&p, isa, judged, &holds).hash;
        CHECK_CASE((hash == hashes[i]) != differs,
                   "row %s, %s: %016" PRIx64 ", %sexpected %016" PRIx64, isa, text, hash,
                   differs ? "not " : "", hashes[i]);
        if (judged)
            CHECK_CASE(holds, "row %s, %s: an error beyond %g ULP, or NaN or infinity wrong",
                       isa, text, bound_of(&p));
    }
    printf("row %s: %u passed, %u failed\n", isa, check_passed - passed, check_failed - failed);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--update") == 0)
        return update(argv[2]);
    uint64_t stride = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    int known = argc == 2;
    for (size_t i = 0; i < COUNT(strides); i++)
        known |= argc == 3 && stride == strides[i];
    if (!known) {
        fprintf(stderr, "usage: %s HASHES [4099 | 1048583]\n       %s --update HASHES\n",
                argv[0], argv[0]);
        return 2;
    }
    uint64_t hashes[PROBLEMS] = {0};
    if (read_hashes(argv[1], hashes))
        for (size_t i = 0; i < focal_isa_count(); i++) {
            focal_isa_info info = {.struct_size = sizeof info};
            if (CHECK(focal_isa_get(i, &info) == FOCAL_OK) && info.usable)
                check_row(info.name, hashes, stride);
        }
    return check_report();
}
