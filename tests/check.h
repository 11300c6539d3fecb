/* Checks for test programs without a framework: a failure prints where and what, and the program
 * goes on; check_report() prints the count and gives the exit code. For one thread only. */
#ifndef FOCAL_TESTS_CHECK_H
#define FOCAL_TESTS_CHECK_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <focal.h>

static unsigned check_passed, check_failed;

#if defined(__GNUC__)
__attribute__((format(printf, 5, 6)))
#endif
static inline int
check_that(const char *file, int line, int holds, const char *expression, const char *format,
           ...) {
    if (holds) {
        check_passed++;
        return 1;
    }
    check_failed++;
    printf("%s:%d: FAILED: %s", file, line, expression);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    return 0;
}

/* All of them give whether the check passed. CHECK_CASE adds what the expression cannot say. */
#define CHECK(holds) check_that(__FILE__, __LINE__, (holds) != 0, #holds, "%s", "")
#define CHECK_CASE(holds, ...)                                                                 \
    check_that(__FILE__, __LINE__, (holds) != 0, #holds, ": " __VA_ARGS__)
#define CHECK_TEXT(text, expected) check_text(__FILE__, __LINE__, (text), (expected), #text)
#define CHECK_STATUS(status, expected)                                                         \
    check_status(__FILE__, __LINE__, (status), (expected), #status)
/* A failure as the header promises it: the struct says the same as the result, names the field
 * in `field` and in the message, and gives the index. */
#define CHECK_ERROR(status, error, expected, field, index)                                     \
    check_error(__FILE__, __LINE__, (status), &(error), (expected), (field), (index), #status)

static inline int check_text(const char *file, int line, const char *text, const char *expected,
                             const char *expression) {
    return check_that(file, line, strcmp(text, expected) == 0, expression,
                      ": \"%s\", expected \"%s\"", text, expected);
}

static inline int check_status(const char *file, int line, focal_status status,
                               focal_status expected, const char *expression) {
    return check_that(file, line, status == expected, expression, ": %s, expected %s",
                      focal_status_name(status), focal_status_name(expected));
}

static inline int check_error(const char *file, int line, focal_status status,
                              const focal_error *error, focal_status expected,
                              const char *field, int64_t index, const char *expression) {
    if (!check_status(file, line, status, expected, expression))
        return 0;
    const char *const end = memchr(error->message, '\0', sizeof error->message);
    const int consistent =
        error->status == expected && error->index == index && error->field != NULL &&
        strcmp(error->field, field) == 0 && end != NULL && end != error->message &&
        strchr(error->message, '\n') == NULL && strstr(error->message, field) != NULL &&
        error->struct_size == sizeof *error;
    return check_that(file, line, consistent, expression,
                      ": error is {%s, field \"%s\", index %lld, \"%s\"}, expected {%s, field "
                      "\"%s\", index %lld, one line with the field's name}",
                      focal_status_name(error->status), error->field ? error->field : "(null)",
                      (long long)error->index, end ? error->message : "?",
                      focal_status_name(expected), field, (long long)index);
}

static inline int check_report(void) {
    printf("%u passed, %u failed\n", check_passed, check_failed);
    return check_failed != 0 || check_passed == 0;
}

#endif
