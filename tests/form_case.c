#include "form_case.h"

#include <stdlib.h>
#include <string.h>

#define DTYPE_TEXT(name, value, text, bytes) text,
#define NAMED_TEXT(name, value, text, what)  text,
#define NAMES(...)                                                                             \
    (const char *const[]) {                                                                    \
        __VA_ARGS__, NULL                                                                      \
    }

const char *const out_names[OUTS] = {"want_loss", "want_row_loss", "want_gradient",
                                     "want_hessian", "want_target_gradient"};
const uint32_t out_flags[OUTS] = {FOCAL_OUTPUT_LOSS, FOCAL_OUTPUT_ROW_LOSS,
                                  FOCAL_OUTPUT_GRADIENT, FOCAL_OUTPUT_HESSIAN,
                                  FOCAL_OUTPUT_TARGET_GRADIENT};

_Noreturn static void give_up(const char *what, const char *text) {
    printf("FAILED: %s: \"%.60s\"\n", what, text ? text : "");
    exit(1);
}

static double number(const char *text) {
    char *end;
    const double value = strtod(text, &end);
    if (*end != '\0' || end == text)
        give_up("not a number", text);
    return value;
}

static int name_index(const char *const *names, const char *text) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    give_up("unknown name", text);
}

/* ---- The fields of a problem ---- */

#define ENUM_FIELD(field, names)                                                               \
    if (strcmp(key, #field) == 0) {                                                            \
        const int index = name_index(names, text);                                             \
        memcpy(&problem->field, &index, sizeof index);                                         \
        return;                                                                                \
    }
#define INTEGER_FIELD(field)                                                                   \
    if (strcmp(key, #field) == 0) {                                                            \
        problem->field = (int64_t)number(text);                                                \
        return;                                                                                \
    }
#define REAL_FIELD(field)                                                                      \
    if (strcmp(key, #field) == 0) {                                                            \
        problem->field = number(text);                                                         \
        return;                                                                                \
    }

static void set_outputs(focal_problem *problem, char *text) {
    char *rest = NULL;
    for (char *word = strtok_r(text, "+", &rest); word; word = strtok_r(NULL, "+", &rest)) {
        uint32_t flag = strcmp(word, "sum") == 0 ? (uint32_t)FOCAL_OUTPUT_SUM : 0U;
        for (int i = 0; i < OUTS; i++)
            if (strcmp(out_names[i] + strlen("want_"), word) == 0)
                flag = out_flags[i];
        if (flag == 0)
            give_up("unknown output", word);
        problem->outputs |= flag;
    }
}

static void set_field(focal_problem *problem, const char *key, char *text) {
    static const char *const dtypes[] = {"default", FOCAL_DTYPE_LIST(DTYPE_TEXT) NULL};
    static const char *const forms[] = {FOCAL_FORM_LIST(NAMED_TEXT) NULL};
    static const char *const normalizers[] = {FOCAL_NORMALIZER_LIST(NAMED_TEXT) NULL};
    ENUM_FIELD(op, NAMES("sigmoid", "softmax"))
    ENUM_FIELD(form, forms)
    ENUM_FIELD(dtype, dtypes)
    ENUM_FIELD(targets_dtype, dtypes)
    ENUM_FIELD(loss_dtype, dtypes)
    ENUM_FIELD(gradient_dtype, dtypes)
    ENUM_FIELD(normalizer, normalizers)
    ENUM_FIELD(target_kind, NAMES("dense", "binary_u8", "label_u8", "label_i32", "label_i64"))
    ENUM_FIELD(gamma_mode, NAMES("scalar", "split", "per_class"))
    ENUM_FIELD(alpha_mode, NAMES("off", "scalar", "per_class", "background"))
    ENUM_FIELD(smoothing_mode, NAMES("target", "cross_entropy"))
    ENUM_FIELD(hessian_mode, NAMES("exact", "absolute", "upper"))
    INTEGER_FIELD(outer)
    INTEGER_FIELD(classes)
    INTEGER_FIELD(inner)
    INTEGER_FIELD(selected)
    INTEGER_FIELD(logits_stride)
    INTEGER_FIELD(targets_stride)
    INTEGER_FIELD(loss_stride)
    INTEGER_FIELD(gradient_stride)
    INTEGER_FIELD(logits_class_stride)
    INTEGER_FIELD(targets_class_stride)
    INTEGER_FIELD(loss_class_stride)
    INTEGER_FIELD(gradient_class_stride)
    REAL_FIELD(gamma)
    REAL_FIELD(gamma_negative)
    REAL_FIELD(margin)
    REAL_FIELD(star_beta)
    REAL_FIELD(poly_epsilon)
    REAL_FIELD(alpha)
    REAL_FIELD(smoothing)
    REAL_FIELD(normalizer_floor)
    REAL_FIELD(normalizer_add)
    REAL_FIELD(hessian_floor)
    if (strcmp(key, "outputs") == 0) {
        set_outputs(problem, text);
        return;
    }
    if (strcmp(key, "ignore") == 0)
        problem->label_flags |= FOCAL_LABEL_IGNORE;
    else
        problem->label_flags |= FOCAL_LABEL_BACKGROUND;
    INTEGER_FIELD(ignore)
    INTEGER_FIELD(background)
    give_up("unknown field", key);
}

/* ---- The lines of a case ---- */

static size_t read_doubles(char *rest, double *values) {
    size_t count = 0;
    for (char *word; (word = strtok_r(NULL, " \n", &rest)) != NULL; count++) {
        if (count == CASE_VALUES)
            give_up("too many values", word);
        values[count] = number(word);
    }
    return count;
}

static wanted read_wanted(const char *word) {
    char *end;
    wanted w;
    w.value = strtold(word, &end);
    w.size = *end == '/' ? strtold(end + 1, &end) : w.value < 0.0L ? -w.value : w.value;
    if (*end != '\0')
        give_up("not an exact value", word);
    return w;
}

static void read_sums(form_case *c, char *rest) {
    char *word[6];
    for (int i = 0; i < 6; i++)
        if ((word[i] = strtok_r(NULL, " \n", &rest)) == NULL)
            give_up("sums need six numbers", c->name);
    c->sum = read_wanted(word[0]);
    c->rows = strtoll(word[1], NULL, 10);
    c->positives = strtoll(word[2], NULL, 10);
    c->ignored = strtoll(word[3], NULL, 10);
    c->weight = strtold(word[4], NULL);
    c->divisor = strtold(word[5], NULL);
}

static void read_labels(form_case *c, char *rest) {
    double values[CASE_VALUES];
    const size_t count = read_doubles(rest, values);
    for (size_t i = 0; i < count; i++)
        c->labels[i] = (int64_t)values[i];
}

static void read_line(form_case *c, char *line) {
    char *rest = NULL;
    const char *const key = strtok_r(line, " \n", &rest);
    focal_problem *const problem = &c->problem;
    struct {
        const char *key;
        double *values;
    } arrays[] = {{"logits", c->logits},
                  {"targets", c->targets},
                  {"class_alpha", c->class_alpha},
                  {"class_gamma", c->class_gamma},
                  {"class_weight", c->class_weight},
                  {"row_weight", c->row_weight},
                  {"element_weight", c->element_weight},
                  {"upstream", &c->upstream},
                  {"normalizer_value", &c->normalizer}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        if (strcmp(key, arrays[i].key) != 0)
            continue;
        const size_t count = read_doubles(rest, arrays[i].values);
        if (arrays[i].values == c->row_weight)
            c->row_weights = count;
        if (arrays[i].values == c->element_weight)
            c->element_weights = count;
        if (arrays[i].values == c->class_alpha)
            problem->class_alpha = c->class_alpha;
        if (arrays[i].values == c->class_gamma)
            problem->class_gamma = c->class_gamma;
        if (arrays[i].values == c->class_weight)
            problem->class_weight = c->class_weight;
        return;
    }
    for (int i = 0; i < OUTS; i++) {
        if (strcmp(key, out_names[i]) != 0)
            continue;
        for (char *word; (word = strtok_r(NULL, " \n", &rest)) != NULL;)
            c->out[i][c->out_count[i]++] = read_wanted(word);
        return;
    }
    if (strcmp(key, "sums") == 0) {
        read_sums(c, rest);
    } else if (strcmp(key, "labels") == 0) {
        read_labels(c, rest);
    } else if (strcmp(key, "problem") == 0) {
        for (char *field; (field = strtok_r(NULL, " \n", &rest)) != NULL;) {
            char *const text = strtok_r(NULL, " \n", &rest);
            if (text == NULL)
                give_up("field without a value", field);
            set_field(problem, field, text);
        }
    } else {
        give_up("unknown line", key);
    }
}

int form_case_read(FILE *file, form_case *c) {
    static char line[1 << 17];
    /* The line "case NAME" that ended the case before. */
    static char next[CASE_NAME];
    while (next[0] == '\0') {
        if (!fgets(line, sizeof line, file))
            return 0;
        if (line[0] == '#')
            continue;
        if (sscanf(line, "case %79s", next) != 1)
            give_up("a case must begin with its name", line);
    }
    memset(c, 0, sizeof *c);
    focal_problem_init(&c->problem);
    memcpy(c->name, next, sizeof next);
    next[0] = '\0';
    while (fgets(line, sizeof line, file)) {
        if (strchr(line, '\n') == NULL)
            give_up("line too long, or cut", line);
        if (sscanf(line, "case %79s", next) == 1)
            break;
        read_line(c, line);
    }
    return 1;
}
