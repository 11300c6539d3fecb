/* The choice of an ISA row as users see it: FOCAL_ISA, the cap, pins, describe and FOCAL_VERBOSE.
 * The choice is made once per process, so each case runs in a forked child with the environment
 * of the case and a script of words that it carries out and reports on. The parent does not touch
 * the library until all children are done. Nothing is executed anew: an emulator could not. */
#define _POSIX_C_SOURCE 200809L
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

/* ---- The child: one word, one line ---- */

static void child_plan(const char *isa) {
    const focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 10, 8, 2.0);
    focal_options options;
    focal_options_init(&options);
    options.isa = isa;
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    char text[512] = "";
    const focal_status status = focal_plan_create(&plan, &problem, &options, &error);
    focal_plan_describe(plan, text, sizeof text);
    printf("plan %s %s%s\n", focal_status_name(status), text, error.message);
    focal_plan_destroy(plan);
}

/* Everything that a row computes, as one number. */
static void child_bits(void) {
    static const double gammas[] = {0.0, 0.5, 1.0, 2.0, 2.7};
    uint64_t digest = 0;
    for (size_t g = 0; g < sizeof gammas / sizeof *gammas; g++)
        for (int kind = 0; kind < 4 * TIERS; kind++) {
            focal_problem problem = problem_of(kind % 4 == 3 ? FOCAL_SOFTMAX : FOCAL_SIGMOID,
                                               kind % 4 == 0   ? FOCAL_TARGET_DENSE
                                               : kind % 4 == 1 ? FOCAL_TARGET_BINARY_U8
                                                               : FOCAL_TARGET_LABEL_I32,
                                               201, 83, gammas[g]);
            problem.tier = tier_at((size_t)kind / 4);
            problem.alpha_mode = FOCAL_ALPHA_SCALAR;
            problem.alpha = 0.3;
            fixture f;
            fixture_make_styled(&f, &problem, (fixture_style){41, 1, kind % 4 == 0});
            if (fixture_run(&f, NULL, NULL, NULL) != FOCAL_OK)
                exit(1);
            digest = mix(digest, fixture_digest(&f, problem.outputs), 1);
            fixture_free(&f);
        }
    printf("bits %016llx\n", (unsigned long long)digest);
}

static int child(const char *script) {
    char words[256];
    snprintf(words, sizeof words, "%s", script);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
        focal_error error = FOCAL_ERROR_INIT;
        if (strncmp(word, "cap=", 4) == 0) {
            const focal_status status = focal_set_isa_cap(word + 4, &error);
            printf("cap %s %s\n", focal_status_name(status), error.field);
        } else if (strcmp(word, "plan") == 0) {
            child_plan(NULL);
        } else if (strncmp(word, "plan=", 5) == 0) {
            child_plan(word + 5);
        } else if (strcmp(word, "bits") == 0) {
            child_bits();
        } else if (strcmp(word, "host") == 0) {
            focal_host_info host = {.struct_size = sizeof host};
            if (focal_host_get(&host) != FOCAL_OK)
                return 1;
            printf("host cap[%s] note[%s]\n", host.isa_cap, host.cap_note);
        } else if (strcmp(word, "rows") == 0 || strcmp(word, "chosen") == 0) {
            focal_isa_info info = {.struct_size = sizeof info};
            for (size_t i = 0; i < focal_isa_count() && focal_isa_get(i, &info) == FOCAL_OK;
                 i++)
                if (strcmp(word, "rows") == 0)
                    printf("%s %d %d\n", info.name, info.built, info.usable);
                else if (info.chosen)
                    printf("chosen %s\n", info.name);
        } else {
            return 1;
        }
    }
    return 0;
}

/* ---- The parent ---- */

static char out[8192], err[8192]; /* what the last child printed */

static void slurp(int descriptor, char *text, size_t capacity) {
    size_t length = 0;
    for (ssize_t got = 1; got > 0 && length < capacity - 1;
         length += (size_t)(got > 0 ? got : 0))
        got = read(descriptor, text + length, capacity - 1 - length);
    text[length] = '\0';
    close(descriptor);
}

/* `isa` and `verbose` are the environment (NULL: unset), `script` blank-separated words. */
static void run_child(const char *isa, const char *verbose, const char *script) {
    int to_out[2], to_err[2];
    fflush(NULL);
    if (pipe(to_out) != 0 || pipe(to_err) != 0) {
        perror("pipe");
        exit(1);
    }
    const pid_t id = fork();
    if (id == 0) {
        isa ? setenv("FOCAL_ISA", isa, 1) : unsetenv("FOCAL_ISA");
        verbose ? setenv("FOCAL_VERBOSE", verbose, 1) : unsetenv("FOCAL_VERBOSE");
        dup2(to_out[1], 1);
        dup2(to_err[1], 2);
        close(to_out[0]);
        close(to_err[0]);
        const int status = child(script);
        fflush(NULL);
        _exit(status);
    }
    close(to_out[1]);
    close(to_err[1]);
    slurp(to_out[0], out, sizeof out);
    slurp(to_err[0], err, sizeof err);
    int status = -1;
    waitpid(id, &status, 0);
    CHECK_CASE(id > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d, %s",
               script, status, err);
}

static size_t lines_with(const char *text, const char *part) {
    size_t lines = 0;
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        const char *const found = strstr(text, part);
        lines += found != NULL && found < end;
    }
    return lines;
}

/* The rows of this build, best first, as a child reports them. */
static const char *const row_names[] = {"avx512", "avx2", "neon", "scalarfma", "scalar"};
enum { ROWS = sizeof row_names / sizeof *row_names };
static struct {
    const char *name;
    int built, usable;
} rows[ROWS];
static size_t row_count;

static void learn_rows(void) {
    run_child(NULL, NULL, "rows");
    char name[32];
    for (char *line = strtok(out, "\n"); line && row_count < ROWS; line = strtok(NULL, "\n")) {
        const int fields =
            sscanf(line, "%31s %d %d", name, &rows[row_count].built, &rows[row_count].usable);
        if (!CHECK(fields == 3) || !CHECK_TEXT(name, row_names[row_count]))
            break;
        rows[row_count].name = row_names[row_count];
        row_count++;
    }
    if (!CHECK(row_count == ROWS))
        exit(check_report());
}

static size_t row_index(const char *name) {
    size_t i = 0;
    while (i < row_count && strcmp(rows[i].name, name) != 0)
        i++;
    return i;
}

/* The row that a cap leaves. */
static const char *best_from(const char *cap) {
    for (size_t i = row_index(cap); i < row_count; i++)
        if (rows[i].usable)
            return rows[i].name;
    return "none";
}

static const char *default_row(void) {
    return best_from(rows[0].name);
}

#define EXPECT(text, ...)                                                                      \
    do {                                                                                       \
        char part[256];                                                                        \
        snprintf(part, sizeof part, __VA_ARGS__);                                              \
        CHECK_CASE(strstr(text, part) != NULL, "no \"%s\" in \"%s\"", part, text);             \
    } while (0)

static void test_rows(void) {
    size_t chosen = 0;
    CHECK(focal_isa_count() == ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        focal_isa_info row = {.struct_size = sizeof row};
        CHECK_STATUS(focal_isa_get(i, &row), FOCAL_OK);
        CHECK_TEXT(row.name, rows[i].name);
        CHECK_CASE(row.built || !row.usable, "%s", row.name);
        CHECK_CASE(row.usable == (row.missing[0] == '\0'), "%s lacks \"%s\"", row.name,
                   row.missing);
        CHECK_CASE(row.usable || !row.chosen, "%s", row.name);
        CHECK(row.chosen == (strcmp(row.name, default_row()) == 0));
        printf("row %s: built %d, usable %d, chosen %d, missing \"%s\"\n", row.name, row.built,
               row.usable, row.chosen, row.missing);
        chosen += row.chosen != 0;
    }
    CHECK(chosen == 1);
    CHECK(rows[ROWS - 1].usable); /* "scalar" is always there */

    focal_isa_info info = {.struct_size = sizeof info};
    CHECK_STATUS(focal_isa_get(row_count, &info), FOCAL_E_RANGE);
    CHECK_STATUS(focal_isa_get(SIZE_MAX, &info), FOCAL_E_RANGE);
    CHECK_STATUS(focal_isa_get(0, NULL), FOCAL_E_NULL);
    CHECK(info.name == NULL);
    static const size_t sizes[] = {0, 8, sizeof info - 8, sizeof info + 8, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        info.struct_size = sizes[i];
        CHECK_STATUS(focal_isa_get(0, &info), FOCAL_E_STRUCT);
        CHECK(info.name == NULL && info.struct_size == sizes[i]);
    }
}

static void test_host(void) {
    focal_host_info host = {.struct_size = sizeof host};
    CHECK_STATUS(focal_host_get(NULL), FOCAL_E_NULL);
    static const size_t sizes[] = {0, 8, sizeof host - 8, sizeof host + 8, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        host.struct_size = sizes[i];
        CHECK_STATUS(focal_host_get(&host), FOCAL_E_STRUCT);
        CHECK(host.cpu == NULL && host.struct_size == sizes[i]);
    }
    host.struct_size = sizeof host;
    CHECK_STATUS(focal_host_get(&host), FOCAL_OK);
    const char *const texts[] = {host.cpu,      host.features, host.masked, host.isa_cap,
                                 host.cap_note, host.compiler, host.sleef};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK_CASE(texts[i] != NULL && strchr(texts[i], '\n') == NULL, "text %zu", i);
    CHECK(host.cpu[0] && host.compiler[0] && host.sleef[0]);
    CHECK(!host.isa_cap[0] && !host.cap_note[0]);
    if (rows[row_index("avx2")].usable)
        EXPECT(host.features, "avx2");
}

static void test_default_and_pin(void) {
    static const char *const unset[] = {NULL, ""};
    for (size_t i = 0; i < 2; i++) {
        run_child(unset[i], NULL, "host chosen plan");
        EXPECT(out, "host cap[] note[]");
        EXPECT(out, "chosen %s\n", default_row());
        EXPECT(out, "plan FOCAL_OK");
        EXPECT(out, "__%s_u", default_row());
        EXPECT(out, "isa %s (default)", default_row());
        CHECK_TEXT(err, "");
    }
    for (size_t i = 0; i < row_count; i++) {
        char script[64];
        snprintf(script, sizeof script, "plan=%s chosen", rows[i].name);
        run_child(NULL, NULL, script);
        if (rows[i].usable)
            EXPECT(out, "isa %s (pinned)", rows[i].name);
        else
            EXPECT(out, "plan FOCAL_E_ISA isa: ");
        EXPECT(out, "chosen %s\n", default_row());
    }
    run_child(NULL, NULL, "plan=nonsense");
    EXPECT(out, "plan FOCAL_E_ISA isa: ");
    EXPECT(out, "nonsense");
}

static void test_environment(void) {
    for (size_t i = 0; i < row_count; i++) {
        run_child(rows[i].name, NULL, "host chosen plan");
        CHECK_TEXT(err, "");
        if (!rows[i].built) { /* another architecture's row caps nothing, and says so */
            EXPECT(out, "host cap[] note[FOCAL_ISA=%s", rows[i].name);
            EXPECT(out, "isa %s (default)", default_row());
            continue;
        }
        const char *const left = best_from(rows[i].name);
        EXPECT(out, "note[]");
        EXPECT(out, "chosen %s\n", left);
        EXPECT(out, "isa %s (%s", left, strcmp(left, default_row()) ? "capped" : "default");
    }
    static const char *const nonsense[] = {"nonsense", "AVX2", "avx2 ",
                                           "avx",      "0",    "avx2,scalar"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        run_child(nonsense[i], NULL, "host chosen plan");
        EXPECT(out, "host cap[] note[FOCAL_ISA=%s", nonsense[i]);
        EXPECT(out, "isa %s (default)", default_row());
        EXPECT(out, "chosen %s\n", default_row());
        CHECK_TEXT(err, ""); /* never uninvited */
    }
}

static void test_cap(void) {
    run_child(NULL, NULL, "cap=scalar host chosen plan");
    EXPECT(out, "cap FOCAL_OK");
    EXPECT(out, "host cap[scalar] note[]");
    EXPECT(out, "chosen scalar\n");
    EXPECT(out, "isa scalar (capped");
    run_child(NULL, NULL, "plan cap=scalar plan chosen");
    EXPECT(out, "cap FOCAL_E_LATE isa");
    CHECK_CASE(lines_with(out, "(default)") == 2, "%s", out);
    EXPECT(out, "chosen %s\n", default_row());
    /* Asking is not planning. */
    run_child(NULL, NULL, "host chosen cap=scalar chosen plan");
    EXPECT(out, "cap FOCAL_OK");
    EXPECT(out, "isa scalar (capped");
    run_child(NULL, NULL, "cap=nonsense cap= chosen plan");
    CHECK_CASE(lines_with(out, "cap FOCAL_E_ISA isa") == 2, "%s", out);
    EXPECT(out, "isa %s (default)", default_row());
    for (size_t i = 0; i < row_count; i++) {
        char script[64];
        snprintf(script, sizeof script, "cap=%s chosen plan", rows[i].name);
        run_child(NULL, NULL, script);
        EXPECT(out, "cap %s", rows[i].built ? "FOCAL_OK" : "FOCAL_E_ISA isa");
        EXPECT(out, "chosen %s\n", rows[i].built ? best_from(rows[i].name) : default_row());
        /* The lower of the two wins, whoever set it. */
        run_child("scalar", NULL, script);
        EXPECT(out, "chosen scalar\n");
        EXPECT(out, "isa scalar (capped by FOCAL_ISA)");
        if (!rows[i].built)
            continue;
        run_child(rows[i].name, NULL, "cap=scalar chosen plan");
        EXPECT(out, "chosen scalar\n");
        EXPECT(out, "isa scalar (capped");
    }
}

static void test_cap_null(void) {
    focal_error error = FOCAL_ERROR_INIT;
    CHECK_ERROR(focal_set_isa_cap(NULL, &error), error, FOCAL_E_NULL, "isa", -1);
    CHECK_STATUS(focal_set_isa_cap(NULL, NULL), FOCAL_E_NULL);
}

static void test_verbose(void) {
    static const char *const silent[] = {NULL, "", "0", "nonsense"};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        run_child(NULL, silent[i], "host chosen plan plan=nonsense plan bits");
        CHECK_TEXT(err, "");
    }
    run_child(NULL, "1", "host chosen cap=scalar");
    CHECK_TEXT(err, "");
    run_child(NULL, "1", "plan plan plan=scalar bits");
    CHECK_CASE(lines_with(err, "") == 1 && lines_with(err, "focal: ") == 1, "%s", err);
    EXPECT(err, "isa %s (default)", default_row());
    EXPECT(err, "%s", focal_version());
    run_child("nonsense", "1", "plan");
    CHECK_CASE(lines_with(err, "FOCAL_ISA=nonsense") == 1, "%s", err);
    /* One line about the process, then one per plan; none for a plan that failed. */
    run_child("scalar", "2", "plan=nonsense plan plan=scalar plan");
    CHECK_CASE(lines_with(err, "") == 4 && lines_with(err, "focal: plan ") == 3, "%s", err);
    CHECK_CASE(lines_with(err, "(capped") == 3 && lines_with(err, "(pinned)") == 1, "%s", err);
}

/* The portable row has no fused operations and need not agree; all others must. */
static void test_bits(void) {
    char first[64] = "";
    size_t compared = 0;
    for (size_t i = 0; i < row_count; i++) {
        if (!rows[i].usable || strcmp(rows[i].name, "scalar") == 0)
            continue;
        run_child(rows[i].name, NULL, "chosen bits");
        EXPECT(out, "chosen %s\n", rows[i].name);
        const char *const bits = strstr(out, "bits ");
        if (!CHECK(bits != NULL))
            continue;
        if (compared++ == 0)
            snprintf(first, sizeof first, "%s", bits);
        CHECK_CASE(strcmp(bits, first) == 0, "%s: %s instead of %s", rows[i].name, bits, first);
    }
    printf("bits of %zu rows compared\n", compared);
    CHECK(compared >= 1 || !rows[row_index("scalarfma")].usable);
}

int main(void) {
    learn_rows();
    test_default_and_pin();
    test_environment();
    test_cap();
    test_verbose();
    test_bits();
    /* From here on the library lives in this process. */
    unsetenv("FOCAL_ISA");
    unsetenv("FOCAL_VERBOSE");
    test_cap_null();
    test_rows();
    test_host();
    return check_report();
}
