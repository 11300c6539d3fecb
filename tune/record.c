#include "record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A measurement speaks for sizes up to 16 times as large or small, and for shapes so alike. */
enum { REACH = 4, SIZE_LOG2_MAX = 62, THREADS_MAX = 65535 };

static const char *const target_words[] = {
    [FOCAL_TARGET_DENSE] = "dense",         [FOCAL_TARGET_BINARY_U8] = "binary_u8",
    [FOCAL_TARGET_LABEL_U8] = "label_u8",   [FOCAL_TARGET_LABEL_I32] = "label_i32",
    [FOCAL_TARGET_LABEL_I64] = "label_i64",
};
enum { TARGETS = sizeof target_words / sizeof target_words[0] };

#define DTYPE_WORD(name, value, text, bytes) [value] = (text),
static const char *const dtype_words[] = {[FOCAL_DTYPE_DEFAULT] = "",
                                          FOCAL_DTYPE_LIST(DTYPE_WORD)};
#undef DTYPE_WORD
enum { DTYPES = sizeof dtype_words / sizeof dtype_words[0] };

const char focal_record_unknown[] = "an unknown kind of target or element type";

const char *focal_target_word(focal_target_kind kind) {
    return target_words[kind];
}

/* ---- Reading: each function takes its piece from the front of *text or says what is wrong ---- */

static bool take(const char **text, const char *literal) {
    size_t length = strlen(literal);
    if (strncmp(*text, literal, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool take_name(const char **text, char *name, size_t capacity) {
    size_t length = strspn(*text, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (length == 0 || length >= capacity)
        return false;
    memcpy(name, *text, length);
    name[length] = '\0';
    *text += length;
    return true;
}

/* Digits without a leading zero, a sign or a blank: what strtoll would take is more. */
static bool take_number(const char **text, int64_t least, int64_t most, int64_t *number) {
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 18 || (digits > 1 && **text == '0'))
        return false;
    *number = strtoll(*text, NULL, 10);
    *text += digits;
    return *number >= least && *number <= most;
}

static bool take_key_number(const char **text, const char *label, int64_t least, int64_t most,
                            uint32_t *number) {
    int64_t value = 0;
    bool good = take(text, label) && take_number(text, least, most, &value);
    *number = (uint32_t)value;
    return good;
}

/* A word of the list; -1: another one. */
static bool take_word(const char **text, const char *const *words, int count, int *index) {
    char word[16];
    *index = -1;
    if (!take(text, " ") || !take_name(text, word, sizeof word))
        return false;
    for (int i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            *index = i;
    return true;
}

static const char *take_key(const char **text, focal_tuning_key *key) {
    if (!take(text, "entry ") || !take_name(text, key->contract, sizeof key->contract))
        return "no contract after \"entry\"";
    int target, dtype;
    if (!take_word(text, target_words, TARGETS, &target) ||
        !take_word(text, dtype_words, DTYPES, &dtype))
        return "no kind of target and element type after the contract";
    if (!take_key_number(text, " n=", 0, SIZE_LOG2_MAX, &key->elements_log2) ||
        !take_key_number(text, " c=", 0, SIZE_LOG2_MAX, &key->classes_log2) ||
        !take_key_number(text, " i=", 0, SIZE_LOG2_MAX, &key->inner_log2) ||
        !take_key_number(text, " t=", 1, THREADS_MAX, &key->threads))
        return "the key is not n= c= i= t= with numbers in range";
    key->target_kind = (focal_target_kind)target;
    key->dtype = (focal_dtype)dtype;
    return target < 0 || dtype < 0 ? focal_record_unknown : NULL;
}

const char *focal_record_parse(focal_record *record, const char *line) {
    memset(record, 0, sizeof *record);
    const char *flaw = take_key(&line, &record->key);
    if (flaw && flaw != focal_record_unknown)
        return flaw;
    if (!take(&line, " -> ") || !take_name(&line, record->kernel, sizeof record->kernel))
        return "no kernel after the key";
#define TAKE(field, least, most)                                                               \
    if (!take(&line, " " #field "=") || !take_number(&line, least, most, &record->field))      \
        return #field "= is missing, no integer, or out of range";
    FOCAL_RECORD_NUMBERS(TAKE)
#undef TAKE
    return *line ? "something follows the last number" : flaw;
}

int focal_record_print(const focal_record *record, char *text, size_t capacity) {
    const focal_tuning_key *key = &record->key;
    return snprintf(text, capacity,
                    "entry %s %s %s n=%u c=%u i=%u t=%u -> %s"
#define FORMAT(field, least, most) " " #field "=%" PRId64
                    FOCAL_RECORD_NUMBERS(FORMAT),
#undef FORMAT
                    key->contract, focal_target_word(key->target_kind), dtype_words[key->dtype],
                    (unsigned)key->elements_log2, (unsigned)key->classes_log2,
                    (unsigned)key->inner_log2, (unsigned)key->threads,
                    record->kernel
#define ARGUMENT(field, least, most) , record->field
                        FOCAL_RECORD_NUMBERS(ARGUMENT)
#undef ARGUMENT
    );
}

bool focal_key_equal(const focal_tuning_key *a, const focal_tuning_key *b) {
    return a->elements_log2 == b->elements_log2 && a->classes_log2 == b->classes_log2 &&
           a->inner_log2 == b->inner_log2 && a->threads == b->threads &&
           a->target_kind == b->target_kind && a->dtype == b->dtype &&
           strcmp(a->contract, b->contract) == 0;
}

int focal_key_distance(const focal_tuning_key *measured, const focal_tuning_key *asked) {
    if (measured->threads != asked->threads || measured->target_kind != asked->target_kind ||
        measured->dtype != asked->dtype || strcmp(measured->contract, asked->contract) != 0)
        return -1;
    int sizes = abs((int)measured->elements_log2 - (int)asked->elements_log2);
    int classes = abs((int)measured->classes_log2 - (int)asked->classes_log2);
    int inner = abs((int)measured->inner_log2 - (int)asked->inner_log2);
    if (sizes > REACH || classes > REACH || inner > REACH)
        return -1;
    return sizes + classes + inner;
}
