#include "library.h"

#include <stdio.h>
#include <string.h>

/* The fields and constants of focal.h that messages name, and what sets them here. */
static const struct {
    const char *name, *option;
} names[] = {
#define FORM(value, number, name, description)       {#value, "--form " name},
#define NORMALIZER(value, number, name, description) {#value, "--normalizer " name},
    FOCAL_FORM_LIST(FORM) FOCAL_NORMALIZER_LIST(NORMALIZER)
#undef FORM
#undef NORMALIZER
        {"gamma", "--gamma"},
    {"alpha", "--alpha"},
    {"isa", "--isa"},
    {"form", "--form"},
    {"gamma_mode", "--gamma-negative"},
    {"gamma_negative", "--gamma-negative"},
    {"margin", "--margin"},
    {"star_beta", "--beta"},
    {"poly_epsilon", "--poly"},
    {"smoothing", "--smoothing"},
    {"smoothing_mode", "--smoothing-mode"},
    {"background", "--background"},
    {"ignore", "--ignore"},
    {"label_flags", "--background or --ignore"},
    {"class_alpha", "--class-alpha"},
    {"class_gamma", "--class-gamma"},
    {"class_weight", "--class-weight"},
    {"row_weight", "--row-weight"},
    {"element_weight", "--element-weight"},
    {"normalizer", "--normalizer"},
    {"normalizer_floor", "--normalizer-floor"},
    {"normalizer_add", "--normalizer-add"},
    {"hessian_floor", "--hessian-floor"},
    {"outputs", "what is to be written"},
    {"FOCAL_ALPHA_OFF", "--alpha off"},
    {"FOCAL_GAMMA_SPLIT", "--gamma-negative"},
    {"FOCAL_OUTPUT_LOSS", "--loss"},
    {"FOCAL_TARGET_LABEL_", "label_"}, /* of FOCAL_TARGET_LABEL_* */
    {"FOCAL_LABEL_BACKGROUND", "--background"},
    {"FOCAL_LABEL_IGNORE", "--ignore"},
};

static const char *option_of(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i].name) == length && memcmp(names[i].name, name, length) == 0)
            return names[i].option;
    return NULL;
}

const char *library_option(const char *field) {
    return option_of(field, strlen(field));
}

const char *library_message(const focal_error *error, char text[LIBRARY_TEXT]) {
    static const char letters[] =
        "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *from = error->message;
    size_t field = strlen(error->field), used = 0;
    /* These hold names that the user gave. */
    int quotes = error->status == FOCAL_E_FILE || error->status == FOCAL_E_ISA;
    if (field > 0 && strncmp(from, error->field, field) == 0 &&
        strncmp(from + field, ": ", 2) == 0)
        from += field + 2;
    if (!*from)
        from = focal_status_text(error->status);
    text[0] = '\0';
    while (*from && used < LIBRARY_TEXT) {
        size_t length = strspn(from, letters);
        /* Words without '_', such as gamma, are English as well as names. */
        int is_name = !quotes && length > 0 && memchr(from, '_', length);
        const char *option = is_name ? option_of(from, length) : NULL;
        length += length == 0;
        if (option)
            used += (size_t)snprintf(text + used, LIBRARY_TEXT - used, "%s", option);
        else
            used +=
                (size_t)snprintf(text + used, LIBRARY_TEXT - used, "%.*s", (int)length, from);
        from += length;
    }
    return text;
}
