#include "vec_operands.h"

#include <float.h>
#include <math.h>

#include "ulp.h"

static const vec_signature vf_from_float = {'F', 'f', '-', '-', BY_VALUE};
static const vec_signature vf_from_memory = {'F', 'F', '-', '-', LOAD};
static const vec_signature vf_from_memory_count = {'F', 'F', '-', '-', LOAD_COUNT};
static const vec_signature memory_from_vf = {'F', 'F', '-', '-', STORE};
static const vec_signature memory_from_vf_count = {'F', 'F', '-', '-', STORE_COUNT};
static const vec_signature vf_from_halves = {'F', 'H', '-', '-', LOAD};
static const vec_signature halves_from_vf = {'H', 'F', '-', '-', STORE};
static const vec_signature vm_from_bytes = {'F', 'M', '-', '-', LOAD};
static const vec_signature vm_from_bytes_count = {'F', 'M', '-', '-', LOAD_COUNT};
static const vec_signature vm_from_count = {'F', '-', '-', '-', BY_COUNT};
static const vec_signature vf_from_vf = {'F', 'F', '-', '-', BY_VALUE};
static const vec_signature vf_from_2vf = {'F', 'F', 'F', '-', BY_VALUE};
static const vec_signature vf_from_3vf = {'F', 'F', 'F', 'F', BY_VALUE};
static const vec_signature vf_from_8_and_vf = {'F', 'F', 'F', '-', BY_VALUE};
static const vec_signature bool_from_vm = {'f', 'M', '-', '-', BY_VALUE};
static const vec_signature float_from_vf = {'f', 'F', '-', '-', BY_VALUE};
static const vec_signature vm_from_2vf = {'F', 'F', 'F', '-', BY_VALUE};
static const vec_signature vm_from_2vm = {'F', 'M', 'M', '-', BY_VALUE};
static const vec_signature vf_from_vm_vf = {'F', 'M', 'F', '-', BY_VALUE};
static const vec_signature vf_from_vm_2vf = {'F', 'M', 'F', 'F', BY_VALUE};
static const vec_signature vd_from_double = {'D', 'd', '-', '-', BY_VALUE};
static const vec_signature vd_from_memory = {'D', 'D', '-', '-', LOAD};
static const vec_signature vd_from_memory_count = {'D', 'D', '-', '-', LOAD_COUNT};
static const vec_signature memory_from_vd = {'D', 'D', '-', '-', STORE};
static const vec_signature memory_from_vd_count = {'D', 'D', '-', '-', STORE_COUNT};
static const vec_signature vd_from_vf = {'D', 'F', '-', '-', BY_VALUE};
static const vec_signature vf_from_2vd = {'F', 'D', 'D', '-', BY_VALUE};
static const vec_signature vd_from_vd = {'D', 'D', '-', '-', BY_VALUE};
static const vec_signature vd_from_2vd = {'D', 'D', 'D', '-', BY_VALUE};
static const vec_signature vd_from_3vd = {'D', 'D', 'D', 'D', BY_VALUE};
static const vec_signature double_from_vd = {'d', 'D', '-', '-', BY_VALUE};
static const vec_signature vdm_from_2vd = {'D', 'D', 'D', '-', BY_VALUE};
static const vec_signature bool_from_vdm = {'d', 'D', '-', '-', BY_VALUE};
static const vec_signature vd_from_vdm_2vd = {'D', 'D', 'D', 'D', BY_VALUE};

const vec_operation vec_operations[VEC_COUNT] = {
#define FOCAL_VOCABULARY(name, signature, meaning) {#name, &signature},
#include "vocabulary.def"
#undef FOCAL_VOCABULARY
};

size_t vec_size(char letter) {
    switch (letter) {
    case 'F':
    case 'D':
        return 64;
    case 'H':
        return 32;
    case 'M':
        return 16;
    case 'd':
        return 8;
    case 'f':
        return 4;
    default:
        return 0;
    }
}

bool vec_is_double(char letter) {
    return letter == 'D' || letter == 'd';
}

size_t vec_element(char letter) {
    return letter == 'M' ? 1 : letter == 'H' ? 2 : vec_is_double(letter) ? 8 : 4;
}

/* Each with both signs; the first nine go into all triples, hence the order. */
static const float specials_f32[VEC_SPECIALS / 2] = {
    0.0F,          1.0F,      HUGE_VALF,      FLT_MAX,          FLT_MIN,
    0x1p-149F,     NAN,       0x1.000002p0F,  0x1.fffffcp-127F, 0x1.8p1F,
    0x1p-24F,      0.5F,      0x1.fffffep-1F, 88.722839F,       103.97208F,
    0x1.62e43p-1F, 87.33654F, 0x1.8p23F,      0x1p-12F,         1e10F};
/* clang-format off */
static const double specials_f64[VEC_SPECIALS / 2] = {
    0.0, 1.0, HUGE_VAL, DBL_MAX, DBL_MIN, 0x1p-1074, (double)NAN, 0x1.0000000000001p0,
    0x1.ffffffffffffep-1023, 3.0, 0x1p-53, 0.5, 0x1.fffffffffffffp-1, 709.782712893384,
    745.13321910194, 0x1.62e42fefa39efp-1, 708.396418532264, 0x1.8p52, 0x1p-30, 1e100};
/* clang-format on */

/* Any bits, or a number of moderate size, so that operands meet. Without a branch, which no
 * processor could foresee. */
static float random_f32(random_source *random) {
    static const uint32_t kept[4] = {0x83ffffffU, 0x9fffffffU, UINT32_MAX, UINT32_MAX};
    static const uint32_t added[4] = {0x3e000000U, 0x30000000U, 0, 0};
    uint64_t bits = random_next(random);
    return ulp_from_bits_f32(((uint32_t)bits & kept[bits >> 62]) + added[bits >> 62]);
}

static double random_f64(random_source *random) {
    static const uint64_t kept[4] = {UINT64_C(0x807fffffffffffff), UINT64_C(0x83ffffffffffffff),
                                     UINT64_MAX, UINT64_MAX};
    static const uint64_t added[4] = {UINT64_C(0x3fc0000000000000),
                                      UINT64_C(0x3e00000000000000), 0, 0};
    uint64_t bits = random_next(random);
    uint64_t low = random_next(random);
    return ulp_from_bits_f64((low & kept[bits >> 62]) + added[bits >> 62]);
}

/* All sets of true lanes in turn, true being any byte but 0. */
static void random_truths(random_source *random, vec_operand *to, uint32_t truths) {
    for (size_t i = 0; i < 16; i++) {
        unsigned char byte = (unsigned char)(random_next(random) >> 56);
        to->bytes[i] = truths >> i & 1 ? (byte ? byte : 128) : 0;
    }
}

void vec_random(random_source *random, char letter, vec_operand *to, uint32_t round) {
    if (letter == 'M') {
        random_truths(random, to, round);
        return;
    }
    for (size_t i = 0; i < 16 && letter == 'H'; i++)
        to->halves[i] = (uint16_t)(random_next(random) >> 48);
    if (letter == 'H')
        return;
    for (size_t i = 0; i < 16 && !vec_is_double(letter); i++)
        to->f[i] = random_f32(random);
    for (size_t i = 0; i < 8 && vec_is_double(letter); i++)
        to->d[i] = random_f64(random);
}

void vec_set_special(char letter, vec_operand *to, size_t lane, size_t which) {
    if (letter == 'M')
        to->bytes[lane] = which % 2 ? (unsigned char)(which % 255 + 1) : 0;
    else if (vec_is_double(letter))
        to->d[lane] = which % 2 ? -specials_f64[which / 2] : specials_f64[which / 2];
    else
        to->f[lane] = which % 2 ? -specials_f32[which / 2] : specials_f32[which / 2];
}
