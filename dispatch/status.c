#include "status.h"

#include <stdarg.h>
#include <stdio.h>

const char *focal_status_name(focal_status status) {
    switch (status) {
#define STATUS_NAME(name, value, text)                                                         \
    case name:                                                                                 \
        return #name;
        FOCAL_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    }
    return "unknown status";
}

const char *focal_status_text(focal_status status) {
    switch (status) {
#define STATUS_TEXT(name, value, text)                                                         \
    case name:                                                                                 \
        return text;
        FOCAL_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

const char *focal_tier_name(focal_tier tier) {
    switch (tier) {
#define TIER_NAME(name, value, text, description)                                              \
    case name:                                                                                 \
        return text;
        FOCAL_TIER_LIST(TIER_NAME)
#undef TIER_NAME
    case FOCAL_TIER_DEFAULT:
        return focal_tier_name(FOCAL_TIER_FAST);
    }
    return "unknown tier";
}

const char *focal_dtype_name(focal_dtype dtype) {
    switch (dtype) {
#define DTYPE_NAME(name, value, text, bytes)                                                   \
    case name:                                                                                 \
        return text;
        FOCAL_DTYPE_LIST(DTYPE_NAME)
#undef DTYPE_NAME
    case FOCAL_DTYPE_DEFAULT:
        return focal_dtype_name(FOCAL_F32);
    }
    return "unknown dtype";
}

const char *focal_form_name(focal_form form) {
    switch (form) {
#define FORM_NAME(name, value, text, formula)                                                  \
    case name:                                                                                 \
        return text;
        FOCAL_FORM_LIST(FORM_NAME)
#undef FORM_NAME
    }
    return "unknown form";
}

const char *focal_normalizer_name(focal_normalizer normalizer) {
    switch (normalizer) {
#define NORMALIZER_NAME(name, value, text, counts)                                             \
    case name:                                                                                 \
        return text;
        FOCAL_NORMALIZER_LIST(NORMALIZER_NAME)
#undef NORMALIZER_NAME
    }
    return "unknown normalizer";
}

focal_status focal_fail(focal_error *error, focal_status status, const char *field,
                        int64_t index, const char *format, ...) {
    if (!error || error->struct_size != sizeof *error)
        return status;
    error->status = status;
    error->field = field;
    error->index = index;
    int length = snprintf(error->message, sizeof error->message, "%s: ", field);
    if (length > 0 && (size_t)length < sizeof error->message) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message + length, sizeof error->message - (size_t)length, format,
                  arguments);
        va_end(arguments);
    }
    return status;
}
