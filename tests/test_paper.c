/* The numbers that Lin et al. (ICCV 2017) and a textbook softmax give, on every usable ISA row in
 * every tier:
 * section 3.2, with gamma = 2 an example classified with p_t = 0.9 has 100 times less loss than
 * with cross-entropy, with 0.968 about 1000 times less, and p_t <= 0.5 at most 4 times less. */
#include "check.h"
#include "evaluate.h"

static float logit_of(double probability) {
    return (float)log(probability / (1.0 - probability));
}

static double sigmoid_loss(variant on, double gamma, float logit) {
    const float target = 1.0F;
    return evaluate((evaluation){.on = on,
                                 .outer = 1,
                                 .classes = 1,
                                 .gamma = gamma,
                                 .alpha = NAN,
                                 .logits = &logit,
                                 .targets = &target});
}

/* Cross-entropy over focal loss: what focusing saves, 1 / (1 - p_t)^2 for gamma = 2. */
static double saving(variant on, double p_t) {
    const float logit = logit_of(p_t);
    return sigmoid_loss(on, 0.0, logit) / sigmoid_loss(on, 2.0, logit);
}

static void check_savings(variant on) {
    const double easy = saving(on, 0.9), easier = saving(on, 0.968), half = saving(on, 0.5);
    printf("%-10s %-8s gamma 2 saves %.3f times at p_t 0.9, %.2f at 0.968, %.4f at 0.5\n",
           on.isa, focal_tier_name(on.tier), easy, easier, half);
    /* The logit is rounded to f32, which moves the ratio by a few 1e-7 of itself. */
    CHECK_CASE(fabs(easy - 100.0) < 1e-4, "%s, tier %s: %a", on.isa, focal_tier_name(on.tier),
               easy);
    CHECK_CASE(fabs(easier - 1.0 / (0.032 * 0.032)) < 1e-3, "%s, tier %s: %a", on.isa,
               focal_tier_name(on.tier), easier);
    CHECK_CASE(easier > 950.0 && easier < 1050.0, "%s, tier %s: %a is not about 1000", on.isa,
               focal_tier_name(on.tier), easier);
    CHECK_CASE(fabs(half - 4.0) < 1e-5, "%s, tier %s: %a", on.isa, focal_tier_name(on.tier),
               half);
    for (int percent = 1; percent < 50; percent++) {
        const double hard = saving(on, percent / 100.0);
        CHECK_CASE(hard >= 1.0 && hard < 4.0, "%s, tier %s: p_t %d %% saves %a times", on.isa,
                   focal_tier_name(on.tier), percent, hard);
    }
}

static void check_softmax(variant on) {
    const float logits[3] = {(float)log(0.2), (float)log(0.7), (float)log(0.1)};
    const uint8_t label = 1;
    evaluation run = {.on = on,
                      .op = FOCAL_SOFTMAX,
                      .kind = FOCAL_TARGET_LABEL_U8,
                      .outer = 1,
                      .classes = 3,
                      .alpha = NAN,
                      .logits = logits,
                      .targets = &label};
    const double cross_entropy = evaluate(run);
    run.gamma = 2.0;
    const double focal = evaluate(run);
    printf("%-10s %-8s softmax 0.2, 0.7, 0.1, second class: cross-entropy %.4f, gamma 2 %.5f\n",
           on.isa, focal_tier_name(on.tier), cross_entropy, focal);
    CHECK_CASE(fabs(cross_entropy - 0.357) < 0.0005, "%s, tier %s: %a", on.isa,
               focal_tier_name(on.tier), cross_entropy);
    CHECK_CASE(fabs(cross_entropy + log(0.7)) < 1e-6, "%s, tier %s: %a", on.isa,
               focal_tier_name(on.tier), cross_entropy);
    CHECK_CASE(fabs(focal + 0.09 * log(0.7)) < 1e-7, "%s, tier %s: %a", on.isa,
               focal_tier_name(on.tier), focal);
}

int main(void) {
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        for (int tier = 0; tier < TIERS; tier++) {
            check_savings((variant){isa, all_tiers[tier]});
            check_softmax((variant){isa, all_tiers[tier]});
        }
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    return check_report();
}
