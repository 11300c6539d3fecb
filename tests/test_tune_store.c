/* Tuning files on disk through the public interface: where they are, who may write them, what
 * becomes of them when processes meet, die, or run out of disk. Each case that needs an environment
 * of its own is a child. */
#define _GNU_SOURCE /* setresuid */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "tune_text.h"

static char folder[256];

static const char *path_of(const char *name) {
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const char *text, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(text, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static size_t read_whole(const char *path, char *text, size_t capacity) {
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(text, 1, capacity - 1, file) : 0;
    text[size] = '\0';
    if (file)
        fclose(file);
    return size;
}

/* Runs `body` in a child, whose failed checks count here. */
static void in_child(const char *name, void (*body)(void)) {
    fflush(stdout);
    pid_t id = fork();
    if (id == 0) {
        check_passed = check_failed = 0;
        alarm(60);
        body();
        fflush(stdout);
        _exit(check_failed > 0 || check_passed == 0);
    }
    int status = -1;
    waitpid(id, &status, 0);
    CHECK_CASE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", name,
               (unsigned)status);
}

static const char contract[] = "focal_f32_sigmoid_dense_both_g2_fast";

/* A kernel of that contract on this host: the last or the first of its candidates. */
static const char *kernel_of(int last) {
    focal_candidate list[64];
    size_t count = focal_candidates_list(focal_contract_standard(contract), list, 64);
    return list[last ? count - 1 : 0].name;
}

/* The text of an own section with one entry for n logits of 2^n, and of two foreign ones. */
static char *sample_text(uint32_t n, const char *kernel, size_t *size) {
    focal_sections sections = {NULL, 0};
    char host[256], build[256];
    focal_record record = tune_record(contract, FOCAL_TARGET_DENSE, kernel, n, 0, 1);
    focal_section_put(tune_own_section(&sections), &record, false);
    tune_other_line("host", "vendor=other", host);
    tune_other_line("build", "version=9.9.9", build);
    focal_section_put(focal_section_get(&sections, host, build), &record, false);
    focal_section_put(focal_section_get(&sections, focal_host_line(), build), &record, false);
    char *text = tune_text(&sections, size);
    focal_sections_free(&sections);
    return text;
}

static void make_sample(const char *path, uint32_t n) {
    size_t size;
    char *text = sample_text(n, kernel_of(1), &size);
    write_file(path, text, size);
    free(text);
}

static focal_problem sample_problem(uint32_t n) {
    focal_problem problem =
        problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 1, INT64_C(1) << n, 2.0);
    problem.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT;
    return problem;
}

/* What focal_plan_describe says of a plan for 2^n logits. */
static const char *described(uint32_t n, uint32_t threads, uint32_t flags) {
    static char text[512];
    focal_problem problem = sample_problem(n);
    focal_options options;
    focal_plan *plan = NULL;
    focal_options_init(&options);
    options.threads = threads;
    options.tune_flags = flags;
    focal_error error = FOCAL_ERROR_INIT;
    CHECK_STATUS(focal_plan_create(&plan, &problem, &options, &error), FOCAL_OK);
    focal_plan_describe(plan, text, sizeof text);
    focal_plan_destroy(plan);
    return text;
}

#define EXPECT(text, part)                                                                     \
    CHECK_CASE(strstr(text, part) != NULL, "no \"%s\" in \"%s\"", part, text)

/* ---- Look-up ------------------------------------------------------------------------------ */

static void child_look_up(void) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    make_sample(path_of("one"), 10);
    setenv("FOCAL_TUNE_FILE", path_of("one"), 1);
    EXPECT(described(10, 0, 0), kernel_of(1));
    EXPECT(described(10, 0, 0), "(tuned 2026-11-25, gain 10.0 %)");
    EXPECT(described(14, 0, 0), "tuned"); /* 16 times as large: near enough */
    EXPECT(described(15, 0, 0), "(default)");
    EXPECT(described(6, 1, 0), "tuned");
    EXPECT(described(10, 8, 0), "tuned"); /* nothing for 8 threads: as for one */
    EXPECT(described(10, 0, FOCAL_TUNE_OFF), "(default)");
    CHECK_STATUS(focal_tune_state(&report), FOCAL_OK);
    CHECK(report.accepted == 1 && report.stale == 1 && report.foreign == 1 &&
          report.rejected == 0);
    CHECK_TEXT(report.path, path_of("one"));
    CHECK_TEXT(report.reason, "");

    /* Pins come before what was measured. */
    focal_problem problem = sample_problem(10);
    focal_options options;
    focal_plan *plan = NULL;
    char text[512];
    focal_options_init(&options);
    options.unroll = 32;
    CHECK_STATUS(focal_plan_create(&plan, &problem, &options, NULL), FOCAL_OK);
    focal_plan_describe(plan, text, sizeof text);
    EXPECT(text, "(default)");
    focal_plan_destroy(plan);
    focal_options_init(&options);
    options.kernel = kernel_of(1);
    CHECK_STATUS(focal_plan_create(&plan, &problem, &options, NULL), FOCAL_OK);
    focal_plan_describe(plan, text, sizeof text);
    EXPECT(text, "(pinned)");
    EXPECT(text, kernel_of(1));
    focal_plan_destroy(plan);

    focal_tune_entry entry = {.struct_size = sizeof entry};
    size_t kinds[5] = {0}, count = 0;
    for (; focal_tune_get(count, &entry) == FOCAL_OK; count++) {
        kinds[entry.section]++;
        CHECK_TEXT(entry.contract, contract);
        CHECK(entry.elements_log2 == 10 && !entry.refused);
        CHECK(entry.has_problem == (entry.section == FOCAL_TUNE_OWN));
    }
    CHECK(count == 3 && kinds[FOCAL_TUNE_OWN] == 1 && kinds[FOCAL_TUNE_STALE] == 1 &&
          kinds[FOCAL_TUNE_FOREIGN] == 1);
}

/* Pins by name that cannot be. */
static void child_bad_pins(void) {
    static const struct {
        const char *kernel, *isa;
        uint32_t unroll;
    } cases[] = {
        {"", NULL, 0},
        {"nonsense", NULL, 0},
        {"focal_f32_sigmoid_dense_both_g2_fast", NULL, 0},
        {"focal_f32_sigmoid_dense_both_g2_fast__scalar_u17", NULL, 0},
        {"focal_f32_sigmoid_dense_both_g1_fast__scalar_u16", NULL, 0},
        {"focal_f32_sigmoid_dense_both_g2_sleef__scalar_u16", NULL, 0},
        {"focal_f32_sigmoid_dense_both_g2_fast__scalar_u16", NULL, 32},
    };
    focal_problem problem = sample_problem(10);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        focal_options options;
        focal_plan *plan = NULL;
        focal_error error = FOCAL_ERROR_INIT;
        focal_options_init(&options);
        options.kernel = cases[i].kernel;
        options.isa = cases[i].isa;
        options.unroll = cases[i].unroll;
        focal_status status = focal_plan_create(&plan, &problem, &options, &error);
        CHECK_ERROR(status, error, FOCAL_E_UNSUPPORTED, "kernel", -1);
        CHECK(plan == NULL);
    }
    focal_options options;
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    focal_options_init(&options);
    options.tune_flags = 2;
    focal_status status = focal_plan_create(&plan, &problem, &options, &error);
    CHECK_ERROR(status, error, FOCAL_E_VALUE, "tune_flags", -1);
}

/* Entries that lead to other bits, or nowhere, are refused with a reason and change nothing. */
static void child_hostile_entries(void) {
    const struct {
        const char *kernel, *reason;
    } cases[] = {
        {"focal_f32_sigmoid_dense_both_g2_fast__scalar_u16", "other bits"},
        {"focal_f32_sigmoid_dense_both_g1_fast__scalarfma_u16", "something else"},
        {"focal_f32_sigmoid_dense_both_g2_sleef__scalarfma_u16", "something else"},
        {"focal_f32_sigmoid_dense_both_g2_fast__scalarfma_u17", "no such kernel"},
        {"focal_f32_sigmoid_dense_both_g2_fast__nonsense_u16", "no such kernel"},
        {"no_kernel_at_all", "no such kernel"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        char *text = sample_text(10, cases[i].kernel, &size);
        focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
        focal_tune_entry entry = {.struct_size = sizeof entry};
        write_file(path_of("hostile"), text, size);
        CHECK_STATUS(focal_tune_load(path_of("hostile"), &report, NULL), FOCAL_OK);
        CHECK_CASE(report.accepted == 0 && report.rejected == 1, "%s", cases[i].kernel);
        CHECK_CASE(report.line == 4, "line %u", (unsigned)report.line);
        EXPECT(report.reason, cases[i].reason);
        EXPECT(described(10, 0, 0), "(default)");
        CHECK_STATUS(focal_tune_get(0, &entry), FOCAL_OK);
        CHECK(entry.refused && !entry.has_problem);
        free(text);
    }
}

/* ---- Places ------------------------------------------------------------------------------- */

static void child_places(void) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    size_t size;
    char *text = sample_text(10, kernel_of(1), &size), path[1024];
    unsetenv("FOCAL_TUNE_FILE");
    setenv("HOME", path_of("home"), 1);
    mkdir(path_of("home"), 0700);
    unsetenv("XDG_CACHE_HOME");
    CHECK_STATUS(focal_tune_load(NULL, &report, &error), FOCAL_OK);
    CHECK(report.accepted == 0 && !*report.path);
    EXPECT(report.reason, "home/.cache/focal/tuning.txt");
    CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
    CHECK_STATUS(focal_tune_save(NULL, &report, &error), FOCAL_OK);
    snprintf(path, sizeof path, "%s/.cache/focal/tuning.txt", path_of("home"));
    CHECK_TEXT(report.path, path);
    CHECK(access(path, R_OK) == 0 && report.accepted == 1);
    setenv("XDG_CACHE_HOME", path_of("xdg"), 1);
    CHECK_STATUS(focal_tune_load(NULL, &report, &error), FOCAL_OK);
    CHECK(report.accepted == 0 && strstr(report.reason, "xdg/focal/tuning.txt"));
    setenv("XDG_CACHE_HOME", "relative", 1);
    CHECK_STATUS(focal_tune_load(NULL, &report, &error), FOCAL_OK);
    CHECK(report.accepted == 1);
    setenv("FOCAL_TUNE_FILE", "", 1);
    CHECK_STATUS(focal_tune_load(NULL, &report, &error), FOCAL_OK);
    CHECK(report.accepted == 0);
    EXPECT(report.reason, "FOCAL_TUNE_FILE is empty");
    focal_status status = focal_tune_save(NULL, &report, &error);
    CHECK_ERROR(status, error, FOCAL_E_FILE, "path", -1);
    EXPECT(error.message, "FOCAL_TUNE_FILE is empty");
    setenv("FOCAL_TUNE_FILE", path_of("named"), 1);
    CHECK_STATUS(focal_tune_load(NULL, &report, &error), FOCAL_OK);
    EXPECT(report.reason, "named");
    CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
    CHECK_STATUS(focal_tune_save(NULL, &report, &error), FOCAL_OK);
    CHECK(access(path_of("named"), R_OK) == 0);
    unsetenv("FOCAL_TUNE_FILE");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    status = focal_tune_save(NULL, &report, &error);
    CHECK_ERROR(status, error, FOCAL_E_FILE, "path", -1);
    free(text);
}

/* A process that runs for somebody else must not follow that one's environment. */
static void child_privileged(void) {
    if (geteuid() != 0) {
        puts("not root: set-user-id is not tried");
        CHECK(1);
        return;
    }
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    make_sample(path_of("privileged"), 10);
    setenv("FOCAL_TUNE_FILE", path_of("privileged"), 1);
    setenv("HOME", folder, 1);
    CHECK(setresuid(65534, 0, 0) == 0);
    CHECK_STATUS(focal_tune_load(NULL, &report, &error), FOCAL_OK);
    CHECK(report.accepted == 0 && strcmp(report.path, path_of("privileged")) != 0);
    CHECK_STATUS(focal_tune_save(NULL, &report, &error), FOCAL_E_FILE);
    EXPECT(error.message, "set-user-id");
    EXPECT(described(10, 0, 0), "(default)");
}

/* ---- Files that are none ------------------------------------------------------------------ */

static void child_no_files(void) {
    static const char version2[] = "focal-tune 2\nwhatever\n", other[] = "dear diary\n";
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    char back[64];
    size_t size;
    char *text = sample_text(10, kernel_of(1), &size);
    CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
    write_file(path_of("version2"), version2, sizeof version2 - 1);
    write_file(path_of("other"), other, sizeof other - 1);
    write_file(path_of("empty"), "", 0);
    mkdir(path_of("directory"), 0700);
    mkfifo(path_of("fifo"), 0600);
    const struct {
        const char *name;
        focal_status load, save;
    } cases[] = {
        {"version2", FOCAL_E_FORMAT, FOCAL_E_FORMAT},
        {"other", FOCAL_E_FORMAT, FOCAL_E_FORMAT},
        {"empty", FOCAL_E_FORMAT, FOCAL_OK},
        {"directory", FOCAL_E_FILE, FOCAL_E_FILE},
        {"fifo", FOCAL_E_FILE, FOCAL_E_FILE},
        {"absent", FOCAL_E_FILE, FOCAL_OK},
        {"no/such/folder", FOCAL_E_FILE, FOCAL_E_FILE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        focal_error error = FOCAL_ERROR_INIT;
        focal_status status = focal_tune_load(path_of(cases[i].name), &report, &error);
        CHECK_ERROR(status, error, cases[i].load, "path", -1);
        EXPECT(error.message, cases[i].name);
        /* A load that fails changes nothing. */
        EXPECT(described(10, 0, 0), "tuned");
        error = (focal_error)FOCAL_ERROR_INIT;
        status = focal_tune_save(path_of(cases[i].name), &report, &error);
        CHECK_CASE(status == cases[i].save, "%s: %s %s", cases[i].name,
                   focal_status_name(status), error.message);
        if (status == FOCAL_OK) /* unsaved again */
            CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
    }
    read_whole(path_of("version2"), back, sizeof back);
    CHECK_TEXT(back, version2);
    read_whole(path_of("other"), back, sizeof back);
    CHECK_TEXT(back, other);
    /* The first look-up meets a bad file: a note, no failure. */
    setenv("FOCAL_TUNE_FILE", path_of("version2"), 1);
    CHECK_STATUS(focal_tune_load(NULL, &report, NULL), FOCAL_OK);
    EXPECT(report.reason, "version 2");
    EXPECT(described(10, 0, 0), "(default)");
    free(text);
}

static void child_arguments(void) {
    focal_tune_report report = {.struct_size = 3};
    focal_error error = FOCAL_ERROR_INIT;
    focal_tune_entry entry = {.struct_size = 3};
    CHECK_ERROR(focal_tune_load(NULL, &report, &error), error, FOCAL_E_STRUCT,
                "report.struct_size", -1);
    CHECK_STATUS(focal_tune_save(path_of("never"), &report, NULL), FOCAL_E_STRUCT);
    CHECK_STATUS(focal_tune_import("", 0, &report, NULL), FOCAL_E_STRUCT);
    CHECK_STATUS(focal_tune_forget(NULL, 1, &report, NULL), FOCAL_E_STRUCT);
    CHECK_STATUS(focal_tune_state(&report), FOCAL_E_STRUCT);
    CHECK_STATUS(focal_tune_state(NULL), FOCAL_E_NULL);
    CHECK_STATUS(focal_tune_get(0, NULL), FOCAL_E_NULL);
    CHECK_STATUS(focal_tune_get(0, &entry), FOCAL_E_STRUCT);
    report = (focal_tune_report)FOCAL_TUNE_REPORT_INIT;
    CHECK_ERROR(focal_tune_import(NULL, 1, &report, &error), error, FOCAL_E_NULL, "text", -1);
    CHECK_ERROR(focal_tune_import("nonsense", 8, &report, &error), error, FOCAL_E_FORMAT,
                "text", -1);
    CHECK_ERROR(focal_tune_forget(NULL, 0, &report, &error), error, FOCAL_E_VALUE, "what", -1);
    CHECK_ERROR(focal_tune_forget(NULL, 8, &report, &error), error, FOCAL_E_VALUE, "what", -1);
    CHECK(access(path_of("never"), F_OK) != 0);
}

/* ---- Writing ------------------------------------------------------------------------------ */

static void child_save_and_forget(void) {
    const char *path = path_of("saved");
    char text[16384], again[16384];
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    size_t size;
    make_sample(path, 10);
    CHECK(chmod(path, 0640) == 0);
    char *more = sample_text(12, kernel_of(0), &size);
    CHECK_STATUS(focal_tune_import(more, size, &report, NULL), FOCAL_OK);
    CHECK(report.accepted == 1 && report.stale == 1 && report.foreign == 1);
    CHECK_STATUS(focal_tune_save(path, &report, NULL), FOCAL_OK);
    CHECK(report.accepted == 2 && report.stale == 2 && report.foreign == 2);
    struct stat status;
    CHECK(stat(path, &status) == 0 && (status.st_mode & 0777) == 0640);
    /* Saved is saved: nothing is left to write. */
    read_whole(path, text, sizeof text);
    CHECK_STATUS(focal_tune_save(path, &report, NULL), FOCAL_OK);
    read_whole(path, again, sizeof again);
    CHECK_TEXT(again, text);
    /* What the process holds is its own, not the file's. */
    CHECK(focal_tune_export(NULL, 0) == size && focal_tune_export(again, sizeof again) == size);
    CHECK_TEXT(again, more);
    CHECK(focal_tune_export(again, 10) == size && strlen(again) == 9);
    /* A symbolic link stays one. */
    CHECK(symlink("saved", path_of("link")) == 0);
    CHECK_STATUS(focal_tune_forget(path_of("link"), FOCAL_TUNE_FOREIGN, &report, NULL),
                 FOCAL_OK);
    CHECK(report.accepted == 2 && report.stale == 2 && report.foreign == 0);
    CHECK(lstat(path_of("link"), &status) == 0 && S_ISLNK(status.st_mode));
    CHECK_STATUS(focal_tune_forget(path, FOCAL_TUNE_STALE, &report, NULL), FOCAL_OK);
    CHECK(report.accepted == 2 && report.stale == 0);
    EXPECT(described(12, 0, 0), "tuned");
    CHECK_STATUS(focal_tune_forget(NULL, FOCAL_TUNE_OWN, &report, NULL), FOCAL_OK);
    CHECK(report.accepted == 0);
    EXPECT(described(12, 0, 0), "(default)");
    CHECK_STATUS(focal_tune_load(path, &report, NULL), FOCAL_OK);
    CHECK(report.accepted == 2);
    free(more);
}

/* A damaged section goes, with a count; the others stay. */
static void child_damaged(void) {
    const char *path = path_of("damaged");
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    char text[16384];
    make_sample(path, 10);
    size_t size = read_whole(path, text, sizeof text);
    strstr(text, "vendor=other")[8] = 'x';
    write_file(path, text, size);
    CHECK_STATUS(focal_tune_load(path, &report, NULL), FOCAL_OK);
    CHECK(report.rejected == 1 && report.accepted == 1 && report.stale == 1 &&
          report.foreign == 0);
    CHECK_STATUS(focal_tune_save(path, &report, NULL), FOCAL_OK);
    CHECK(report.rejected == 1 && report.accepted == 1 && report.stale == 1);
    CHECK_STATUS(focal_tune_load(path, &report, NULL), FOCAL_OK);
    CHECK(report.rejected == 0 && report.accepted == 1 && report.stale == 1);
}

/* Fails to write and leaves the file, and no temporary. */
static void expect_unwritable(const char *path, const char *reason) {
    char before[16384], after[16384], temporary[512];
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    size_t size;
    char *text = sample_text(20, kernel_of(1), &size);
    read_whole(path, before, sizeof before);
    CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
    focal_status status = focal_tune_save(path, &report, &error);
    CHECK_ERROR(status, error, FOCAL_E_FILE, "path", -1);
    EXPECT(error.message, reason);
    read_whole(path, after, sizeof after);
    CHECK_TEXT(after, before);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    CHECK(access(temporary, F_OK) != 0);
    /* What could not be saved is still held, and still unsaved. */
    EXPECT(described(20, 0, 0), "tuned");
    CHECK_STATUS(focal_tune_save(path_of("elsewhere"), &report, &error), FOCAL_OK);
    CHECK(report.accepted == 1);
    unlink(path_of("elsewhere"));
    free(text);
}

/* The disk is full after so many bytes of the new file. */
static void fill_disk(const char *path, size_t left) {
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    struct rlimit soft = {left, before.rlim_max};
    char old[16384], now[16384];
    read_whole(path, old, sizeof old);
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    CHECK(setrlimit(RLIMIT_FSIZE, &soft) == 0);
    focal_status status = focal_tune_save(path, &report, &error);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_ERROR(status, error, FOCAL_E_FILE, "path", -1);
    EXPECT(error.message, strerror(EFBIG));
    read_whole(path, now, sizeof now);
    CHECK_TEXT(now, old);
    CHECK(access(path_of("full.new"), F_OK) != 0);
}

static void child_full_disk(void) {
    const char *path = path_of("full");
    char text[16384];
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    size_t size;
    make_sample(path, 10);
    size_t old_size = read_whole(path, text, sizeof text);
    signal(SIGXFSZ, SIG_IGN);
    char *more = sample_text(20, kernel_of(1), &size);
    CHECK_STATUS(focal_tune_import(more, size, NULL, NULL), FOCAL_OK);
    for (size_t left = 0; left <= old_size; left += 1 + left / 2)
        fill_disk(path_of("full"), left);
    CHECK_STATUS(focal_tune_save(path_of("full"), &report, &error), FOCAL_OK);
    CHECK(report.accepted == 2);
    /* One byte is missing. */
    size_t whole = read_whole(path_of("full"), text, sizeof text);
    CHECK_STATUS(focal_tune_import(more, size, NULL, NULL), FOCAL_OK);
    fill_disk(path_of("full"), whole - 1);
    free(more);
}

static void child_read_only(void) {
    mkdir(path_of("locked"), 0755);
    char path[512];
    snprintf(path, sizeof path, "%s/file", path_of("locked"));
    make_sample(path, 10);
    chmod(path_of("locked"), 0555);
    chmod(folder, 0777);
    /* Permissions say nothing to root. */
    if (geteuid() == 0)
        CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    expect_unwritable(path, strerror(EACCES));
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    CHECK_STATUS(focal_tune_load(path, &report, NULL), FOCAL_OK);
    CHECK(report.accepted == 1);
    /* A home in which no folder can be made: not "No such file". */
    unsetenv("FOCAL_TUNE_FILE");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", path_of("locked"), 1);
    focal_error error = FOCAL_ERROR_INIT;
    CHECK_ERROR(focal_tune_save(NULL, &report, &error), error, FOCAL_E_FILE, "path", -1);
    EXPECT(error.message, "locked/.cache: cannot be made: ");
    EXPECT(error.message, strerror(EACCES));
}

static void child_read_only_file(void) {
    const char *path = path_of("readonly");
    make_sample(path, 10);
    chmod(path, 0444);
    chmod(folder, 0777);
    if (geteuid() == 0)
        CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    expect_unwritable(path, strerror(EACCES));
}

/* More than a file may have: refused whole. */
static void child_too_much(void) {
    const char *path = path_of("toomuch");
    focal_sections sections = {NULL, 0};
    focal_error error = FOCAL_ERROR_INIT;
    char host[256], build[256], rest[64];
    size_t size;
    tune_other_line("build", "version=9", build);
    for (int i = 0; i < 5; i++) {
        snprintf(rest, sizeof rest, "vendor=x%d", i);
        tune_other_line("host", rest, host);
        focal_section *section = focal_section_get(&sections, host, build);
        for (uint32_t n = 0; n < 1300; n++) {
            focal_record record = tune_record(contract, FOCAL_TARGET_DENSE,
                                              "focal_f32_sigmoid_dense_both_g2_fast__avx2_u16",
                                              n % 60, n / 60, 1);
            focal_section_put(section, &record, false);
        }
        char *text = tune_text(&sections, &size);
        focal_sections_free(&sections);
        CHECK(size < FOCAL_TUNE_BYTES_MAX);
        CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
        free(text);
        if (i == 0)
            CHECK_STATUS(focal_tune_save(path, NULL, &error), FOCAL_OK);
    }
    CHECK(focal_tune_export(NULL, 0) > FOCAL_TUNE_BYTES_MAX);
    focal_status status = focal_tune_save(path, NULL, &error);
    CHECK_ERROR(status, error, FOCAL_E_FILE, "path", -1);
    EXPECT(error.message, "forget");
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    CHECK_STATUS(focal_tune_load(path, &report, NULL), FOCAL_OK);
    CHECK(report.foreign == 1300 && report.rejected == 0);
}

/* ---- Processes that meet ------------------------------------------------------------------ */

enum { PROCESSES = 8, SAVES = 12 };

/* Each process saves keys of its own, one at a time, and reads what is there. */
static void writer(int number) {
    const char *path = path_of("shared");
    for (int i = 0; i < SAVES; i++) {
        size_t size;
        focal_sections sections = {NULL, 0};
        focal_record record = tune_record(contract, FOCAL_TARGET_DENSE, kernel_of(1),
                                          (uint32_t)number, (uint32_t)i, 1);
        focal_section_put(tune_own_section(&sections), &record, false);
        char *text = tune_text(&sections, &size);
        focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
        CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
        CHECK_STATUS(focal_tune_save(path, &report, NULL), FOCAL_OK);
        CHECK(report.rejected == 0 && report.foreign == 1 && report.accepted > (uint32_t)i);
        CHECK_STATUS(focal_tune_load(path, &report, NULL), FOCAL_OK);
        CHECK(report.rejected == 0 && report.foreign == 1);
        focal_sections_free(&sections);
        free(text);
    }
}

static void test_processes(void) {
    pid_t ids[PROCESSES];
    make_sample(path_of("shared"), 40);
    fflush(stdout);
    for (int i = 0; i < PROCESSES; i++) {
        ids[i] = fork();
        if (ids[i] == 0) {
            check_failed = 0;
            alarm(100);
            writer(i);
            fflush(stdout);
            _exit(check_failed > 0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        waitpid(ids[i], &status, 0);
        CHECK_CASE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "process %d: %x", i,
                   (unsigned)status);
    }
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    CHECK_STATUS(focal_tune_load(path_of("shared"), &report, NULL), FOCAL_OK);
    CHECK_CASE(report.accepted == PROCESSES * SAVES + 1 && report.rejected == 0 &&
                   report.foreign == 1 && report.stale == 1,
               "%u accepted, %u rejected", (unsigned)report.accepted,
               (unsigned)report.rejected);
    CHECK(access(path_of("shared.new"), F_OK) != 0);
}

/* Saves one entry after the other, and tells `told` of each, until it is killed. */
static void save_forever(int number, int told) {
    for (uint32_t k = 0;; k++) {
        size_t size;
        focal_sections sections = {NULL, 0};
        focal_record record = tune_record(contract, FOCAL_TARGET_DENSE, kernel_of(1),
                                          (uint32_t)number, k % 60, 1 + k / 60 % 60000);
        focal_section_put(tune_own_section(&sections), &record, false);
        char *text = tune_text(&sections, &size);
        focal_tune_import(text, size, NULL, NULL);
        focal_tune_save(path_of("killed"), NULL, NULL);
        free(text);
        focal_sections_free(&sections);
        if (write(told, "x", 1) != 1)
            _exit(1);
    }
}

/* kill -9 while a child writes in a loop: whenever it dies, the file is whole and loses nothing. */
static void test_kill(void) {
    enum { KILLS = 40 };
    uint32_t accepted = 1;
    make_sample(path_of("killed"), 60);
    for (int i = 0; i < KILLS; i++) {
        int pipes[2];
        char byte;
        fflush(stdout);
        CHECK(pipe(pipes) == 0);
        pid_t id = fork();
        if (id == 0)
            save_forever(i, pipes[1]);
        CHECK(read(pipes[0], &byte, 1) == 1);
        /* Up to 3 ms, scattered over the whole of a save. */
        nanosleep(&(struct timespec){0, (long)((unsigned)i * 2654435761u % 3000000u)}, NULL);
        kill(id, SIGKILL);
        waitpid(id, NULL, 0);
        close(pipes[0]);
        close(pipes[1]);
        focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
        focal_error error = FOCAL_ERROR_INIT;
        CHECK_STATUS(focal_tune_load(path_of("killed"), &report, &error), FOCAL_OK);
        CHECK_CASE(report.rejected == 0 && report.foreign == 1 && report.stale == 1 &&
                       report.accepted > accepted,
                   "kill %d: %u rejected, %u of %u left", i, (unsigned)report.rejected,
                   (unsigned)report.accepted, (unsigned)accepted);
        accepted = report.accepted;
    }
    printf("%u entries survived %d kills\n", (unsigned)accepted, KILLS);
    /* The next writer is not in the way of what the dead left behind. */
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    CHECK_STATUS(focal_tune_save(path_of("killed"), &report, NULL), FOCAL_OK);
    CHECK(report.rejected == 0 && access(path_of("killed.new"), F_OK) != 0);
}

/* A writer that never lets go: an error in the end, not a deadlock, and plans do not wait. */
static void child_lock_held(void) {
    const char *path = path_of("busy");
    make_sample(path, 10);
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    pid_t id = fork();
    if (id == 0) {
        FILE *file = fopen(path_of("busy.lock"), "w");
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (!file || fcntl(fileno(file), F_SETLK, &whole) != 0 || write(pipes[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    char byte;
    CHECK(read(pipes[0], &byte, 1) == 1);
    focal_error error = FOCAL_ERROR_INIT;
    time_t start = time(NULL);
    focal_status status = focal_tune_save(path, NULL, &error);
    CHECK_ERROR(status, error, FOCAL_E_FILE, "path", -1);
    EXPECT(error.message, "busy.lock");
    CHECK(time(NULL) - start < 30);
    kill(id, SIGKILL);
    waitpid(id, NULL, 0);
    CHECK_STATUS(focal_tune_save(path, NULL, &error), FOCAL_OK);
}

int main(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/focal-tune-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    setenv("FOCAL_TUNE_FILE", "", 1);
    in_child("look-up", child_look_up);
    in_child("bad pins", child_bad_pins);
    in_child("hostile entries", child_hostile_entries);
    in_child("places", child_places);
    in_child("set-user-id", child_privileged);
    in_child("no files", child_no_files);
    in_child("arguments", child_arguments);
    in_child("save and forget", child_save_and_forget);
    in_child("damaged", child_damaged);
    in_child("full disk", child_full_disk);
    in_child("read-only folder", child_read_only);
    in_child("read-only file", child_read_only_file);
    in_child("too much", child_too_much);
    in_child("lock held", child_lock_held);
    test_processes();
    test_kill();
    char command[300];
    chmod(path_of("locked"), 0700); /* or only root could clear it away */
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK(system(command) == 0);
    return check_report();
}
