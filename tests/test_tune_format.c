/* The text of tuning files: the golden files of every version, and every way to damage them. */
#include "check.h"

#include "tune_text.h"

static char *read_file(const char *folder, const char *name, size_t *size) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    char *text = malloc(1 << 21);
    *size = file && text ? fread(text, 1, 1 << 21, file) : 0;
    if (file)
        fclose(file);
    CHECK_CASE(file && *size > 0, "%s", path);
    return text;
}

static focal_status parse(focal_sections *sections, const char *text, size_t size,
                          focal_tune_report *report) {
    *sections = (focal_sections){NULL, 0};
    *report = (focal_tune_report)FOCAL_TUNE_REPORT_INIT;
    /* A copy of exactly this size: the sanitizer sees every byte read beyond it. */
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    focal_status status = focal_sections_parse(sections, copy, size, report);
    free(copy);
    return status;
}

/* The text of one section of what was parsed, allocated. */
static char *section_text(const focal_sections *sections, size_t index) {
    focal_sections one = {&sections->list[index], 1};
    size_t size;
    return tune_text(&one, &size);
}

/* Every section of `damaged` is one of `whole`, to the byte. */
static int subset(const focal_sections *damaged, const focal_sections *whole) {
    int good = 1;
    for (size_t i = 0; i < damaged->count; i++) {
        char *text = section_text(damaged, i);
        int found = 0;
        for (size_t k = 0; k < whole->count && !found; k++) {
            char *other = section_text(whole, k);
            found = strcmp(text, other) == 0;
            free(other);
        }
        free(text);
        good &= found;
    }
    return good;
}

static void test_golden(const char *folder) {
    size_t size, printed_size;
    focal_sections sections;
    focal_tune_report report;
    char *text = read_file(folder, "version1.txt", &size);
    CHECK_STATUS(parse(&sections, text, size, &report), FOCAL_OK);
    CHECK(report.rejected == 0 && sections.count == 3);
    CHECK_TEXT(report.reason, "");
    size_t entries = 0, others = 0;
    for (size_t i = 0; i < sections.count; i++)
        for (size_t k = 0; k < sections.list[i].count; k++)
            sections.list[i].lines[k].text ? others++ : entries++;
    CHECK_CASE(entries == 5 && others == 3, "%zu entries, %zu other lines", entries, others);
    const focal_record *record = &sections.list[0].lines[0].record;
    CHECK_TEXT(record->key.contract, "focal_f32_sigmoid_binary_both_g2_fast");
    CHECK_TEXT(record->kernel, "focal_f32_sigmoid_binary_both_g2_fast__avx2_u32");
    CHECK(record->key.target_kind == FOCAL_TARGET_LABEL_I32 &&
          record->key.elements_log2 == 12 && record->key.classes_log2 == 6 &&
          record->key.inner_log2 == 0 && record->key.threads == 1);
    CHECK(record->task == 0 && record->ps == 870 && record->base == 980 && record->mad == 9 &&
          record->ratio == 8878 && record->low == 8800 && record->high == 8950 &&
          record->rounds == 31 && record->date == 20261125 && record->rows == 51 &&
          record->classes == 80 && record->inner == 1 && record->gamma == 2000);
    /* Rewriting loses nothing: the golden file has no comment outside of its sections. */
    char *printed = tune_text(&sections, &printed_size);
    CHECK(printed_size == size && memcmp(printed, text, size) == 0);
    focal_sections_free(&sections);
    free(printed);
    free(text);

    text = read_file(folder, "version2.txt", &size);
    CHECK_STATUS(parse(&sections, text, size, &report), FOCAL_E_FORMAT);
    CHECK(sections.count == 0 && strstr(report.reason, "version 2"));
    focal_sections_free(&sections);
    free(text);
}

static void test_truncation(const char *folder) {
    size_t size;
    focal_sections whole, cut;
    focal_tune_report report;
    char *text = read_file(folder, "version1.txt", &size);
    parse(&whole, text, size, &report);
    for (size_t length = 0; length < size; length++) {
        focal_status status = parse(&cut, text, length, &report);
        /* Only between two sections is a shorter file a whole one. */
        int clean = status == FOCAL_OK && report.rejected == 0;
        int boundary = length >= 13 && text[length - 1] == '\n' &&
                       (length == 13 || strncmp(text + length, "host ", 5) == 0);
        CHECK_CASE(clean == boundary, "%zu bytes: %s", length, report.reason);
        CHECK_CASE(clean || (report.rejected > 0 && *report.reason), "%zu bytes", length);
        CHECK_CASE(subset(&cut, &whole), "%zu bytes", length);
        focal_sections_free(&cut);
    }
    focal_sections_free(&whole);
    free(text);
}

static void test_bit_flips(const char *folder) {
    size_t size;
    focal_sections whole, flipped;
    focal_tune_report report;
    char *text = read_file(folder, "version1.txt", &size);
    parse(&whole, text, size, &report);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        focal_status status = parse(&flipped, text, size, &report);
        CHECK_CASE(report.rejected > 0 && *report.reason, "bit %zu", bit);
        /* The first line is the file's; elsewhere one section goes, or two that ran together. */
        if (bit / 8 < 13)
            CHECK_CASE(status == FOCAL_E_FORMAT, "bit %zu", bit);
        else
            CHECK_CASE(status == FOCAL_OK && flipped.count + 2 >= whole.count &&
                           flipped.count < whole.count,
                       "bit %zu: %zu sections", bit, flipped.count);
        CHECK_CASE(subset(&flipped, &whole), "bit %zu", bit);
        focal_sections_free(&flipped);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
    }
    focal_sections_free(&whole);
    free(text);
}

/* A section with a body of one's own and a checksum that fits. */
static size_t make_section(char *text, size_t capacity, const char *number, const char *body) {
    char host[256], build[256], rest[64];
    snprintf(rest, sizeof rest, "vendor=test family=%s", number);
    tune_other_line("host", rest, host);
    tune_other_line("build", "version=0.0.0", build);
    int length = snprintf(text, capacity, "%s\n%s\n%s", host, build, body);
    length += snprintf(text + length, capacity - (size_t)length, "end %08x\n",
                       (unsigned)focal_crc32(0, text, (size_t)length));
    return (size_t)length;
}

#define KEY    "entry focal_f32_x label_u8 f32 n=1 c=0 i=0 t=1 -> focal_f32_x__avx2_u16"
#define VALUES " task=0 ps=1 base=1 mad=0 ratio=1 low=1 high=1 rounds=1"
#define SHAPE  " date=20261125 rows=1 classes=1 inner=1 gamma=0\n"

/* Bodies with the line and a part of the reason; NULL: a good one. */
static void test_grammar(void) {
    static const struct {
        const char *body, *reason;
    } cases[] = {
        {KEY VALUES SHAPE, NULL},
        {"", NULL},
        {"# a comment\nnews of another version x=1\n" KEY VALUES SHAPE, NULL},
        {KEY VALUES SHAPE KEY VALUES SHAPE, "twice"},
        {KEY VALUES " date=20261125 rows=1 classes=1 inner=1\n", "gamma="},
        {KEY VALUES " date=20261125 rows=1 classes=1 inner=1 gamma=0 \n", "follows"},
        {KEY VALUES " date=20261125  rows=1 classes=1 inner=1 gamma=0\n", "rows="},
        {KEY VALUES " date=19991231 rows=1 classes=1 inner=1 gamma=0\n", "date="},
        {KEY VALUES " date=20261125 rows=0 classes=1 inner=1 gamma=0\n", "rows="},
        {KEY VALUES " date=20261125 rows=01 classes=1 inner=1 gamma=0\n", "rows="},
        {KEY VALUES " date=20261125 rows=-1 classes=1 inner=1 gamma=0\n", "rows="},
        {KEY VALUES " date=20261125 rows=+1 classes=1 inner=1 gamma=0\n", "rows="},
        {KEY VALUES " date=20261125 rows=1e3 classes=1 inner=1 gamma=0\n", "classes="},
        {KEY VALUES " date=20261125 rows=99999999999999999999999 classes=1 inner=1 gamma=0\n",
         "rows="},
        {KEY VALUES " date=20261125 rows=1 classes=1 inner=1 gamma=1000001\n", "gamma="},
        /* Words of a later version: kept, not understood. */
        {"entry focal_f32_x labels f32 n=1 c=0 i=0 t=1 -> k" VALUES SHAPE, NULL},
        {"entry focal_f32_x dense f128 n=1 c=0 i=0 t=1 -> k" VALUES SHAPE, NULL},
        {"entry focal_f32_x labels f32 n=1 c=0 i=0 t=1 -> k" VALUES, "date="},
        {"entry focal_f32_x dense n=1 c=0 i=0 t=1 -> k" VALUES SHAPE, "key"},
        {"entry focal_f32_x dense f32 n=63 c=0 i=0 t=1 -> k" VALUES SHAPE, "key"},
        {"entry focal_f32_x dense f32 n=1 c=0 i=0 t=0 -> k" VALUES SHAPE, "key"},
        {"entry focal_f32_x dense f32 n=1 c=0 t=1 -> k" VALUES SHAPE, "key"},
        {"entry Focal dense f32 n=1 c=0 i=0 t=1 -> k" VALUES SHAPE, "contract"},
        {"entry \n", "contract"},
        {"entry focal_f32_x dense f32 n=1 c=0 i=0 t=1 k" VALUES SHAPE, "no kernel"},
        {"entry focal_f32_x dense f32 n=1 c=0 i=0 t=1 -> ../k" VALUES SHAPE, "no kernel"},
        {"\n", "may have"},
        {" entry\n", "may have"},
        {"Entry\n", "may have"},
        {"build again\n", "may have"},
        {"a tab\there\n", "printable"},
        {"a return\r\n", "printable"},
        {"caf\xc3\xa9\n", "printable"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[8192];
        focal_sections sections;
        focal_tune_report report;
        size_t size = (size_t)snprintf(text, sizeof text, "focal-tune 1\n");
        size += make_section(text + size, sizeof text - size, "1", cases[i].body);
        size += make_section(text + size, sizeof text - size, "2", KEY VALUES SHAPE);
        CHECK_STATUS(parse(&sections, text, size, &report), FOCAL_OK);
        if (cases[i].reason) {
            CHECK_CASE(report.rejected == 1 && strstr(report.reason, cases[i].reason),
                       "case %zu: %u rejected, \"%s\"", i, (unsigned)report.rejected,
                       report.reason);
            CHECK_CASE(report.line ==
                           4 + (strncmp(cases[i].body, KEY VALUES SHAPE KEY, 200) == 0),
                       "case %zu: line %u", i, (unsigned)report.line);
            CHECK_CASE(sections.count == 1, "case %zu", i);
        } else {
            CHECK_CASE(report.rejected == 0 && sections.count == 2, "case %zu: %s", i,
                       report.reason);
        }
        focal_sections_free(&sections);
    }
}

static void test_whole_files(void) {
    char section[2048];
    make_section(section, sizeof section, "1", KEY VALUES SHAPE);
    const struct {
        const char *before, *between;
        focal_status status;
        unsigned rejected;
        size_t sections;
    } cases[] = {
        {"focal-tune 1\n", "", FOCAL_OK, 1, 1},        /* the same section twice */
        {"focal-tune 1\n", "stray\n", FOCAL_OK, 2, 1}, /* and a line of nowhere */
        {"focal-tune 1\n# note\n", "# note\n", FOCAL_OK, 1, 1},
        {"focal-tune 1\n", "host\n", FOCAL_OK, 2, 1},
        {"focal-tune 1\n", "host 00000000 vendor=x\n", FOCAL_OK, 2, 1},
        {"focal-tune 1\n", "end 00000000\n", FOCAL_OK, 2, 1},
        {"", "", FOCAL_E_FORMAT, 1, 0},
        {"\n", "", FOCAL_E_FORMAT, 1, 0},
        {"focal-tune 1", "", FOCAL_E_FORMAT, 1, 0},
        {"focal-tune 1 \n", "", FOCAL_E_FORMAT, 1, 0},
        {"focal-tune 10\n", "", FOCAL_E_FORMAT, 1, 0},
        {"focal-tune 2\n", "", FOCAL_E_FORMAT, 1, 0},
        {"focal-tune one\n", "", FOCAL_E_FORMAT, 1, 0},
        {"\xef\xbb\xbf"
         "focal-tune 1\n",
         "", FOCAL_E_FORMAT, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[8192];
        focal_sections sections;
        focal_tune_report report;
        int size = snprintf(text, sizeof text, "%s%s%s%s", cases[i].before, section,
                            cases[i].between, section);
        focal_status status = parse(&sections, text, (size_t)size, &report);
        CHECK_CASE(status == cases[i].status && report.rejected == cases[i].rejected &&
                       sections.count == cases[i].sections,
                   "case %zu: %s, %u rejected, %zu sections, \"%s\"", i,
                   focal_status_name(status), (unsigned)report.rejected, sections.count,
                   report.reason);
        focal_sections_free(&sections);
    }
    focal_sections sections;
    focal_tune_report report;
    CHECK_STATUS(parse(&sections, "", 0, &report), FOCAL_E_FORMAT);
    focal_sections_free(&sections);
}

static void test_limits(void) {
    enum { SIZE = FOCAL_TUNE_BYTES_MAX + 1 };
    char *text = malloc(SIZE), line[1024], good[2048];
    focal_sections sections;
    focal_tune_report report;
    memset(text, '#', SIZE);
    memcpy(text, "focal-tune 1\n", 13);
    text[FOCAL_TUNE_BYTES_MAX - 1] = '\n';
    CHECK_STATUS(parse(&sections, text, FOCAL_TUNE_BYTES_MAX, &report), FOCAL_OK);
    CHECK(report.rejected == 1 && strstr(report.reason, "512"));
    focal_sections_free(&sections);
    CHECK_STATUS(parse(&sections, text, SIZE, &report), FOCAL_E_FORMAT);
    CHECK(strstr(report.reason, "at most"));
    focal_sections_free(&sections);
    free(text);
    for (size_t length = 511; length <= 513; length++) {
        memset(line, 'a', sizeof line);
        line[length] = '\n';
        line[length + 1] = '\0';
        size_t size = (size_t)snprintf(good, sizeof good, "focal-tune 1\n");
        size += make_section(good + size, sizeof good - size, "1", line);
        CHECK_STATUS(parse(&sections, good, size, &report), FOCAL_OK);
        CHECK_CASE(report.rejected == (length > 512), "%zu", length);
        focal_sections_free(&sections);
    }
}

static void test_merge(void) {
    focal_sections into = {NULL, 0}, from = {NULL, 0};
    char host[256], build[256];
    tune_other_line("host", "vendor=a", host);
    tune_other_line("build", "version=1", build);
    focal_record record =
        tune_record("focal_x", FOCAL_TARGET_DENSE, "focal_x__avx2_u16", 3, 0, 1);
    focal_section_put(focal_section_get(&into, host, build), &record, false);
    record.ps = 7;
    focal_section_put(focal_section_get(&from, host, build), &record, true);
    record.key.elements_log2 = 4;
    focal_section_put(focal_section_get(&from, host, build), &record, false);
    tune_other_line("host", "vendor=b", host);
    focal_section_put(focal_section_get(&from, host, build), &record, false);
    /* Only what is fresh, which replaces the same key. */
    CHECK(focal_sections_merge(&into, &from, true, false));
    CHECK(into.count == 1 && into.list[0].count == 1);
    CHECK(into.list[0].lines[0].record.ps == 7 && !into.list[0].lines[0].fresh);
    CHECK(focal_sections_merge(&into, &from, false, true));
    CHECK(into.count == 2 && into.list[0].count == 2 && into.list[1].count == 1);
    CHECK(into.list[1].lines[0].fresh);
    /* The printer stops where the buffer does. */
    char small[64];
    memset(small, 'x', sizeof small);
    size_t whole = focal_sections_print(&into, NULL, 0);
    CHECK(focal_sections_print(&into, small, 20) == whole);
    CHECK(strlen(small) == 19 && small[20] == 'x');
    CHECK(focal_sections_print(&into, small, 1) == whole && small[0] == '\0');
    focal_sections_free(&into);
    focal_sections_free(&from);
}

static void test_distance(void) {
    focal_tuning_key a = {"focal_x", FOCAL_TARGET_DENSE, FOCAL_F32, 10, 5, 0, 1}, b = a;
    CHECK(focal_key_distance(&a, &b) == 0 && focal_key_equal(&a, &b));
    b.elements_log2 = 14;
    CHECK(focal_key_distance(&a, &b) == 4 && !focal_key_equal(&a, &b));
    b.elements_log2 = 15;
    CHECK(focal_key_distance(&a, &b) < 0 && focal_key_distance(&b, &a) < 0);
    b = a;
    b.classes_log2 = 7;
    b.elements_log2 = 9;
    CHECK(focal_key_distance(&a, &b) == 3);
    b.classes_log2 = 0;
    CHECK(focal_key_distance(&a, &b) < 0);
    b = a;
    b.threads = 2;
    CHECK(focal_key_distance(&a, &b) < 0 && !focal_key_equal(&a, &b));
    b = a;
    b.target_kind = FOCAL_TARGET_BINARY_U8;
    CHECK(focal_key_distance(&a, &b) < 0 && !focal_key_equal(&a, &b));
    b = a;
    strcpy(b.contract, "focal_y");
    CHECK(focal_key_distance(&a, &b) < 0 && !focal_key_equal(&a, &b));
}

static void test_crc(void) {
    /* The check value of CRC-32 (IEEE 802.3) in Ross Williams' catalogue. */
    CHECK(focal_crc32(0, "123456789", 9) == UINT32_C(0xcbf43926));
    CHECK(focal_crc32(focal_crc32(0, "1234", 4), "56789", 5) == UINT32_C(0xcbf43926));
}

/* Lines of this machine, whatever it is, keep the grammar. */
static void test_fingerprints(void) {
    focal_sections sections = {NULL, 0}, read;
    focal_tune_report report;
    focal_record record =
        tune_record("focal_x", FOCAL_TARGET_DENSE, "focal_x__avx2_u16", 3, 0, 1);
    focal_section_put(tune_own_section(&sections), &record, false);
    size_t size;
    char *text = tune_text(&sections, &size);
    CHECK_STATUS(parse(&read, text, size, &report), FOCAL_OK);
    CHECK_CASE(read.count == 1 && report.rejected == 0, "%s in %s", report.reason, text);
    CHECK(strlen(focal_host_line()) < FOCAL_FINGERPRINT_MAX - 1);
    CHECK(strlen(focal_build_line()) < FOCAL_FINGERPRINT_MAX - 1);
    CHECK(strstr(focal_build_line(), focal_version()) != NULL);
    focal_sections_free(&read);
    focal_sections_free(&sections);
    free(text);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "tests/data/tune";
    test_crc();
    test_golden(folder);
    test_truncation(folder);
    test_bit_flips(folder);
    test_grammar();
    test_whole_files();
    test_limits();
    test_merge();
    test_distance();
    test_fingerprints();
    return check_report();
}
