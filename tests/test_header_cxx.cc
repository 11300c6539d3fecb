// focal.h alone, first and twice, as C++: compiled with every warning on, linked with C names, and
// used the way C++ would, with exceptions thrown by the caller's own code only.
#include <focal.h>

#include <cstdio>
#include <memory>
#include <vector>

namespace {

struct destroy {
    void operator()(focal_plan *plan) const { focal_plan_destroy(plan); }
};

unsigned passed, failed;

void check(bool holds, const char *what) {
    if (holds) {
        passed++;
        return;
    }
    failed++;
    std::printf("%s: FAILED: %s\n", __FILE__, what);
}

// A parallel loop as a lambda without captures; its context is a counter.
const focal_parallel counting(std::size_t *tasks_run) {
    focal_parallel parallel = {sizeof(focal_parallel), tasks_run,
                               [](void *context, std::size_t tasks,
                                  void (*task)(void *argument, std::size_t index),
                                  void *argument) {
                                   for (std::size_t i = tasks; i-- > 0;)
                                       task(argument, i);
                                   *static_cast<std::size_t *>(context) += tasks;
                               }};
    return parallel;
}

} // namespace

int main() {
    focal_problem problem;
    focal_problem_init(&problem);
    problem.op = FOCAL_SOFTMAX;
    problem.target_kind = FOCAL_TARGET_LABEL_U8;
    problem.outer = 2;
    problem.classes = 3;
    problem.gamma = 2.0;
    problem.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT;
    focal_options options;
    focal_options_init(&options);
    focal_error error = FOCAL_ERROR_INIT;
    focal_plan *created = nullptr;
    check(focal_plan_create(&created, &problem, &options, &error) == FOCAL_OK, error.message);
    const std::unique_ptr<focal_plan, destroy> plan(created);

    const std::vector<float> logits = {1.0F, 2.0F, -0.5F, 0.25F, -1.0F, 3.0F};
    const std::vector<uint8_t> labels = {1, 0};
    std::vector<float> gradient(logits.size());
    std::size_t tasks_run = 0;
    const focal_parallel parallel = counting(&tasks_run);
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits.data();
    buffers.targets = labels.data();
    buffers.gradient = gradient.data();
    focal_sums sums = FOCAL_SUMS_INIT;
    check(focal_plan_execute(plan.get(), &buffers, &parallel, &sums, &error) == FOCAL_OK,
          error.message);
    // The sum over both rows of (1 - p)^2 (-log p), p the softmax probability of the label.
    const double difference = sums.loss / 2.5404668890799907 - 1.0;
    check(difference < 1e-6 && difference > -1e-6, "the loss");
    check(sums.rows == 2 && sums.positives == 2 && tasks_run > 0, "the counts");
    check(gradient[1] < 0.0F && gradient[0] > 0.0F, "the gradient's signs");
    std::printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
