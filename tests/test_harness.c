/* Plants bugs in a kernel and checks that the harness reports each of them, by its name and
 * without any other; and that it has nothing to say about the kernel without them.
 *
 * usage: test_harness [PATH OF test_kernels] */
#define _POSIX_C_SOURCE 200809L /* strict C11 hides fork and pipe */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu.h"
#include "harness.h"
#include "isa.h"
#include "machine_state.h"
#include "plants.h"
#include "ulp.h"

enum { TIME_LIMIT = 120 };

static unsigned passed, failed;

__attribute__((format(printf, 2, 3))) static bool check(bool holds, const char *format, ...) {
    if (holds) {
        passed++;
        return true;
    }
    failed++;
    va_list arguments;
    va_start(arguments, format);
    fputs("FAILED: ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    return false;
}

/* ---- Checks of the harness --------------------------------------------------------------- */

static harness_reference *references[2];

static focal_kernel planted(focal_kernel_function *function, bool is_softmax) {
    focal_kernel kernel = is_softmax ? *plant_softmax : *plant_sigmoid;
    kernel.function = function;
    return kernel;
}

/* Exactly the expected check has failed; HARNESS_CHECK_COUNT for none. */
static void expect(const char *text, const harness_report *report, bool good,
                   harness_check expected) {
    bool right = good == (expected == HARNESS_CHECK_COUNT);
    char found[800] = "";
    for (int i = 0; i < HARNESS_CHECK_COUNT; i++) {
        right = right && report->failed[i] == (i == (int)expected);
        if (report->failed[i])
            snprintf(found + strlen(found), sizeof found - strlen(found), " [%s: %.300s]",
                     harness_check_text((harness_check)i), report->messages[i]);
    }
    const char *wanted =
        expected == HARNESS_CHECK_COUNT ? "nothing" : harness_check_text(expected);
    if (check(right, "%s: expected \"%s\", reported:%s", text, wanted, found))
        printf("%-46s -> %s\n", text, wanted);
}

static void run_plant(const plant *one, unsigned time_limit) {
    focal_kernel kernel = planted(one->function, one->softmax);
    harness_report report;
    bool good = harness_run(&kernel, references[one->softmax], (harness_tolerance){.ulp = 0},
                            time_limit, &report);
    expect(one->text, &report, good, one->expected);
}

static void run_plants(void) {
    for (size_t i = 0; i < plant_count; i++)
        run_plant(&plants[i], TIME_LIMIT);
    run_plant(&(plant){"clean", HARNESS_CHECK_COUNT, plant_clean, false}, TIME_LIMIT);
    run_plant(&(plant){"clean, softmax", HARNESS_CHECK_COUNT, plant_clean_softmax, true},
              TIME_LIMIT);
    run_plant(&(plant){"endless loop", HARNESS_TIME, plant_endless_loop, false}, 1);
    plant_usual_control = float_control_read();
    if (float_control_odd(plant_usual_control) != plant_usual_control) {
        run_plant(&(plant){"rounding mode and flush bits left changed", HARNESS_ENVIRONMENT,
                           plant_rounding_mode_left, false},
                  TIME_LIMIT);
        run_plant(&(plant){"rounding mode and flush bits set right", HARNESS_ENVIRONMENT,
                           plant_rounding_mode_set_right, false},
                  TIME_LIMIT);
    }
    if (upper_halves_observable())
        run_plant(&(plant){"missing vzeroupper", HARNESS_UPPER_HALVES, plant_without_vzeroupper,
                           false},
                  TIME_LIMIT);
    else
        puts("missing vzeroupper: not observable on this processor or in this build: not "
             "checked");
}

static void check_tolerance(void) {
    focal_kernel kernel = planted(plant_off_by_three_steps, false);
    harness_report report;
    bool good =
        harness_run(&kernel, references[0], (harness_tolerance){.ulp = 3}, TIME_LIMIT, &report);
    expect("three steps where three are allowed", &report, good, HARNESS_CHECK_COUNT);
    check(report.distance == 3, "the largest distance is %u, not 3", report.distance);
    good =
        harness_run(&kernel, references[0], (harness_tolerance){.ulp = 2}, TIME_LIMIT, &report);
    expect("three steps where two are allowed", &report, good, HARNESS_VALUE);
}

static void check_crashing_reference(void) {
    focal_kernel kernel = planted(plant_null_pointer, false);
    harness_report report;
    harness_reference *reference =
        harness_reference_create(&kernel, (harness_settings){1, true}, TIME_LIMIT, &report);
    check(reference == NULL, "a reference that crashes was created");
    expect("crash of the reference", &report, false, HARNESS_CRASH);
    harness_reference_destroy(reference);
}

static uint64_t hash_of(focal_kernel_function *function, const harness_reference *reference) {
    focal_kernel kernel = planted(function, false);
    harness_report report;
    harness_run(&kernel, reference, (harness_tolerance){.ulp = 0}, TIME_LIMIT, &report);
    return report.hash;
}

static void check_hashes(void) {
    harness_report report;
    harness_reference *other = harness_reference_create(
        plant_sigmoid, (harness_settings){2, true}, TIME_LIMIT, &report);
    if (!check(other != NULL, "no reference for another seed"))
        return;
    uint64_t hash = hash_of(plant_clean, references[0]);
    check(hash == hash_of(plant_clean, references[0]), "the hash changes from run to run");
    check(hash == hash_of(plant_targets_modified, references[0]),
          "the hash is not of results alone");
    check(hash != hash_of(plant_wrong_in_one_lane, references[0]),
          "the hash misses a wrong gradient");
    check(hash != hash_of(plant_sum_in_order, references[0]), "the hash misses a wrong sum");
    check(hash != hash_of(plant_clean, other), "the hash ignores the seed");
    harness_reference_destroy(other);
}

static void check_ulp(void) {
    float nan = ulp_from_bits_f32(0x7fc12345U), tiny = 0x1p-149F, inf = HUGE_VALF;
    check(ulp_distance_f32(1.0F, 0x1.000002p0F) == 1, "neighbours are 1 apart");
    check(ulp_distance_f32(-tiny, tiny) == 2 && ulp_distance_f32(-0.0F, 0.0F) == 0,
          "the line of floats runs through one zero");
    check(ulp_distance_f32(0x1.fffffep127F, inf) == 1 && ulp_distance_f32(nan, -nan) == 0 &&
              ulp_distance_f32(nan, inf) == UINT32_MAX,
          "infinity follows the largest float and NaN is apart");
    check(ulp_distance_f64(-1.0, -0x1.0000000000003p0) == 3 &&
              ulp_distance_f64(-0.0, 0.0) == 0 &&
              ulp_distance_f64(-HUGE_VAL, HUGE_VAL) == UINT64_C(0xffe0000000000000),
          "doubles are counted alike");
    check(ulp_bits_f32(nan) == ulp_bits_f32(-nan) && ulp_bits_f32(-0.0F) != ulp_bits_f32(0.0F),
          "NaNs are one class, zeros are two");
    check(fabs(ulp_error_f32(1.0F, 1.0 + 0x1p-25) - 0.25) < 1e-9 &&
              fabs(ulp_error_f32(tiny, 0x1.8p-149) - 0.5) < 1e-9 &&
              ulp_error_f32(inf, 1e30) > 1e30 && ulp_error_f32(nan, 0.0) > 1e30,
          "errors are counted in the result's own unit");
    check(fabs(ulp_error_f64(1.0, 1.0L + 0x1p-54L) - 0.25) < 1e-3, "also for doubles");
}

/* ---- test_kernels ------------------------------------------------------------------------ */

/* Runs the program; its exit status, and its output in `output`. */
static int run_program(const char *const words[], char *output, size_t capacity) {
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0)
        return -1;
    pid_t process = fork();
    if (process == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        execv(words[0], (char *const *)words);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    char rest[4096];
    for (;;) {
        bool room = used + 1 < capacity;
        ssize_t got = room ? read(ends[0], output + used, capacity - 1 - used)
                           : read(ends[0], rest, sizeof rest);
        if (got <= 0)
            break;
        used += room ? (size_t)got : 0;
    }
    output[used] = '\0';
    close(ends[0]);
    int status = -1;
    waitpid(process, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_program(const char *const words[], int status, const char *text) {
    static char output[1 << 16];
    int got = run_program(words, output, sizeof output);
    check(got == status && strstr(output, text),
          "%s %s %s ...: status %d, expected %d with \"%s\":\n%s", words[0], words[1], words[2],
          got, status, text, output);
}

static void check_program(const char *path) {
    const char *lacking = NULL;
    for (size_t i = 0; i < focal_isa_row_count; i++)
        if (!focal_isa_usable(&focal_isa_rows[i], focal_cpu_host()->features))
            lacking = focal_isa_rows[i].name;
    static const char filter[] = "sigmoid_binary_loss_g0_sleef__";
    expect_program((const char *const[]){path, "--quick", "--filter", filter, NULL}, 0,
                   " passed, 0 failed\n");
    expect_program(
        (const char *const[]){path, "--quick", "--filter", filter, "--hash", "-", NULL}, 0,
        "\nhash focal_f32_sigmoid_binary_loss_g0_sleef scalarfma quick 1 ");
    expect_program((const char *const[]){path, "--quick", "--filter", "no such kernel", NULL},
                   1, "no kernel was run");
    expect_program((const char *const[]){path, "--require-isa", "scalar,vax", NULL}, 2,
                   "there is no row \"vax\"");
    expect_program((const char *const[]){path, "--quick", "--isa", "scalar", "--filter", filter,
                                         "--require-isa", "scalarfma", NULL},
                   1, "scalarfma: required by --require-isa but not run");
    if (lacking)
        expect_program((const char *const[]){path, "--quick", "--filter", filter,
                                             "--require-isa", lacking, NULL},
                       1, "required by --require-isa but not run");
}

/* ------------------------------------------------------------------------------------------ */

static const focal_kernel *find(const focal_kernel_table *table, const char *contract) {
    for (size_t i = 0; i < table->count; i++)
        if (strncmp(table->kernels[i].name, contract, strlen(contract)) == 0 &&
            table->kernels[i].unroll == 16)
            return &table->kernels[i];
    return NULL;
}

int main(int count, char **words) {
    const focal_isa_row *row = focal_isa_find("scalarfma");
    if (!focal_isa_usable(row, focal_cpu_host()->features)) {
        puts("FAILED: the reference row scalarfma is not built or needs what this machine "
             "lacks");
        puts("0 passed, 1 failed");
        return 1;
    }
    plant_sigmoid = find(row->table, "focal_f32_sigmoid_dense_both_g2_sleef");
    plant_softmax = find(row->table, "focal_f32_softmax_label_both_g2_sleef");
    const harness_settings settings = {.seed = 1, .quick = true};
    harness_report report;
    references[0] = harness_reference_create(plant_sigmoid, settings, TIME_LIMIT, &report);
    references[1] = harness_reference_create(plant_softmax, settings, TIME_LIMIT, &report);
    if (check(references[0] && references[1], "the reference kernels do not run")) {
        run_plants();
        check_tolerance();
        check_crashing_reference();
        check_hashes();
    }
    check_ulp();
    if (count > 1)
        check_program(words[1]);
    harness_reference_destroy(references[0]);
    harness_reference_destroy(references[1]);
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
