"""The forms of `focal eval`: formulas, layouts, storage types, weights, normalizers, outputs.

The oracles are the formulas in float64; what the library promises beyond is tested by test_forms."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from harness import FAILED, USAGE, CommandTest, sigmoid_oracle, softmax_oracle

RANDOM = np.random.default_rng(20180207)
ROWS, CLASSES = 7, 5
GAMMA, ALPHA = 2.0, 0.25


def random_logits(*shape: int) -> np.ndarray:
    return (3.0 * RANDOM.standard_normal(shape)).astype(np.float32)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def focal(x: np.ndarray, t: np.ndarray, gamma: float = GAMMA) -> np.ndarray:
    p = sigmoid(x)
    return (p * (1 - t) + (1 - p) * t) ** gamma * (softplus(x) - x * t)


def alpha_t(t: np.ndarray) -> np.ndarray:
    return ALPHA * t + (1 - ALPHA) * (1 - t)


def bf16(values: np.ndarray) -> np.ndarray:
    """Floats that are bf16, and their bits."""
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


class Formulas(CommandTest):
    def setUp(self) -> None:
        super().setUp()
        self.logits = random_logits(ROWS, CLASSES)
        self.x = self.logits.astype(np.float64)
        self.targets = RANDOM.random((ROWS, CLASSES)).astype(np.float32)
        self.targets[RANDOM.random((ROWS, CLASSES)) < 0.3] = 0
        self.t = self.targets.astype(np.float64)

    def losses(self, *options: Any) -> np.ndarray:
        path = self.folder / "losses.npy"
        self.evaluate(self.logits, self.targets, "--loss", path, *options)
        return np.load(path)

    def test_forms_of_sigmoid(self) -> None:
        x, t, p = self.x, self.t, sigmoid(self.x)
        bce, a = softplus(x) - x * t, alpha_t(t)
        shifted = np.maximum(p - 0.1, 0)
        split = ALPHA * t * (1 - p) ** 2 * softplus(-x)
        split = split + (1 - ALPHA) * (1 - t) * shifted**3 * -np.log1p(-shifted)
        y = 2 * t - 1
        expected = {
            "focal": (a * focal(x, t), []),
            "split": (split, ["--gamma-negative", "3", "--margin", "0.1"]),
            "scaled": (a * sigmoid(-x * y) ** 2 * bce, []),
            "confidence": (a * (1 - np.exp(-bce)) ** 2 * bce, []),
            "quality": (a * np.abs(t - p) ** 2 * bce, []),
            "varifocal": (np.where(t > 0, t * bce, ALPHA * p**2 * softplus(x)), []),
            "star": (a * softplus(-(2 * y * x + 0.5)) / 2, ["--beta", "0.5"]),
        }
        for form, (loss, options) in expected.items():
            with self.subTest(form):
                self.assertClose(self.losses("--form", form, *options), loss, 2e-6, 1e-12)

    def test_poly_and_smoothing(self) -> None:
        x, t, p = self.x, self.t, sigmoid(self.x)
        q = p * (1 - t) + (1 - p) * t
        self.assertClose(self.losses("--poly", "1.5"), alpha_t(t) * focal(x, t) + 1.5 * q**3, 2e-6)
        s = t * 0.9 + 0.05
        self.assertClose(self.losses("--smoothing", "0.1"), alpha_t(s) * focal(x, s), 2e-6)
        mode = "--smoothing", "0.1", "--smoothing-mode", "cross-entropy"
        self.assertClose(self.losses(*mode), alpha_t(t) * q**2 * (softplus(x) - x * s), 2e-6)

    def test_per_class_parameters(self) -> None:
        alpha = np.linspace(0.1, 0.9, CLASSES)
        gamma = np.linspace(0, 3, CLASSES)
        weight = np.arange(CLASSES)
        options = ["--class-alpha", self.save("alpha.npy", alpha)]
        options += ["--class-gamma", self.save("gamma.npy", gamma, np.float32)]
        options += ["--class-weight", self.save("weight.npy", weight)]
        x, t, p = self.x, self.t, sigmoid(self.x)
        power = (p * (1 - t) + (1 - p) * t) ** gamma.astype(np.float32)
        a = alpha * t + (1 - alpha) * (1 - t)
        loss = weight * a * power * (softplus(x) - x * t)
        self.assertClose(self.losses(*options), loss, 2e-6)

    def test_weights_and_normalizers(self) -> None:
        rows = RANDOM.random(ROWS).astype(np.float32)
        elements = RANDOM.random((ROWS, CLASSES))
        options = ["--row-weight", self.save("rows.npy", rows)]
        options += ["--element-weight", self.save("elements.npy", elements)]
        weights = rows[:, None].astype(np.float64) * elements.astype(np.float32)
        loss = weights * alpha_t(self.t) * focal(self.x, self.t)
        self.assertClose(self.losses(*options), loss, 2e-6)
        positives = np.count_nonzero(self.targets)
        for name, more, divisor in (
            ("none", [], 1),
            ("elements", [], ROWS * CLASSES),
            ("rows", [], ROWS),
            ("weight", [], weights.sum()),
            ("positives", ["--normalizer-add", "1"], positives + 1),
            ("positives", ["--normalizer-floor", "100"], 100),
            ("value", ["--normalizer-value", "12.5"], 12.5),
        ):
            with self.subTest(name, more=more):
                path = self.folder / "grad.npy"
                arguments = *options, "--normalizer", name, *more, "--grad", path
                result = self.evaluate(self.logits, self.targets, *arguments)
                self.assertClose(result["sum"], loss.sum() / divisor, 1e-6)
                if name != "none":
                    self.assertClose(result["divisor"], divisor, 1e-12)
                self.assertClose(result["weight"], weights.sum(), 1e-12)
                scaled = np.load(path) * divisor
                if name == "none":
                    whole = scaled
                self.assertClose(scaled, whole, 1e-6)

    def test_derivatives(self) -> None:
        paths = {name: self.folder / f"{name}.npy" for name in ("grad", "hessian", "target-grad")}
        options = [part for name, path in paths.items() for part in (f"--{name}", path)]
        logits, targets = self.x, 0.1 + 0.8 * self.t
        arguments = "--output-dtype", "f64", "--alpha", "off", *options
        self.evaluate(logits, targets, *arguments)
        grad, hessian, by_target = (np.load(path) for path in paths.values())
        self.assertEqual({grad.dtype, hessian.dtype, by_target.dtype}, {np.dtype("f8")})
        h = 1e-5
        slope = (focal(logits + h, targets) - focal(logits - h, targets)) / (2 * h)
        self.assertClose(grad, slope, 1e-4, 1e-8)
        middle = focal(logits, targets)
        second = (focal(logits + 1e-3, targets) - 2 * middle + focal(logits - 1e-3, targets)) * 1e6
        self.assertClose(hessian, second, 1e-3, 1e-4)
        slope = (focal(logits, targets + h) - focal(logits, targets - h)) / (2 * h)
        self.assertClose(by_target, slope, 1e-4, 1e-8)
        guarded = self.folder / "guarded.npy"
        options = ["--hessian", guarded, "--hessian-mode", "absolute", "--hessian-floor", "0.01"]
        self.evaluate(logits, targets, "--output-dtype", "f64", "--alpha", "off", *options)
        np.testing.assert_array_equal(np.load(guarded), np.maximum(np.abs(hessian), 0.01))

    def test_match(self) -> None:
        labels = np.array([3, 0, 3])
        path = self.folder / "costs.npy"
        result = self.evaluate(self.logits, labels, "--form", "match", "--loss", path)
        x, p = self.x[:, labels], sigmoid(self.x)[:, labels]
        cost = ALPHA * (1 - p) ** 2 * softplus(-x) - (1 - ALPHA) * p**2 * softplus(x)
        self.assertClose(np.load(path), cost, 1e-6, 1e-9)
        self.assertIsNone(result["sum"])
        arguments = "eval", "--logits", self.save("x.npy", self.logits)
        arguments += "--targets", self.save("y.npy", labels), "--form", "match"
        self.refused(USAGE, "--form match needs --loss FILE.npy", *arguments)
        self.refused(USAGE, "--form match gives --loss alone", *arguments, "--grad", path)

    def test_softmax_with_dense_targets(self) -> None:
        targets = self.t / self.t.sum(axis=1, keepdims=True).clip(1e-9)
        path = self.folder / "rows.npy"
        arguments = "--activation", "softmax", "--loss", path
        result = self.evaluate(self.x, targets, *arguments)
        e = np.exp(self.x - self.x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        loss = (targets * (1 - p) ** 2 * -np.log(p)).sum(axis=1)
        self.assertClose(np.load(path), loss, 1e-12)
        self.assertEqual((result["form"], result["target_kind"]), ("focal", "dense"))


class Labels(CommandTest):
    def test_ignored_rows(self) -> None:
        logits = random_logits(6, 4)
        labels = np.array([0, 255, 3, -1, 255, 2])
        logits[1] = np.nan
        kept = labels != 255
        options = "--background", "-1", "--ignore", "255", "--normalizer", "rows"
        result, loss, grad = self.evaluate_all(logits, labels, *options)
        self.assertEqual((result["ignored"], result["positives"], result["divisor"]), (2, 3, 4))
        exact, slope = sigmoid_oracle(logits[kept], labels[kept][:, None] == np.arange(4), GAMMA, ALPHA)
        self.assertClose(loss[kept], exact, 2e-6)
        self.assertClose(grad[kept], slope / 4, 2e-6)
        self.assertClose(result["sum"], exact.sum() / 4)
        self.assertFalse(loss[~kept].any() or grad[~kept].any())

    def test_softmax_background(self) -> None:
        logits, labels = random_logits(5, 3), np.array([0, 1, 0, 2, 1])
        options = "--activation", "softmax", "--alpha", "0.3", "--background", "0"
        result, loss, _ = self.evaluate_all(logits, labels, *options)
        exact, _ = softmax_oracle(logits, labels, GAMMA)
        self.assertClose(loss, np.where(labels == 0, 0.7, 0.3) * exact, 2e-6)
        self.assertEqual(result["positives"], 3)


class Storage(CommandTest):
    def test_types(self) -> None:
        logits = random_logits(ROWS, CLASSES)
        targets = RANDOM.integers(0, 2, (ROWS, CLASSES))
        stored = {
            "f64": logits.astype(np.float64),
            "f16": logits.astype(np.float16),
            "bf16": bf16(logits),
        }
        spacing = {"f32": 2.0**-23, "f64": 1e-13, "f16": 2.0**-10, "bf16": 2.0**-7}
        for name, array in stored.items():
            flag = ["--bf16"] if name == "bf16" else []
            values = from_bf16(array) if flag else array
            exact, slope = sigmoid_oracle(values, targets, GAMMA, ALPHA)
            for output in ("", *spacing):
                with self.subTest(name, output=output):
                    more = ["--output-dtype", output] if output else []
                    result, loss, grad = self.evaluate_all(array, targets, *flag, *more)
                    kind = output or name
                    if kind == "bf16":
                        self.assertEqual((loss.dtype, grad.dtype), (np.uint16, np.uint16))
                        loss, grad = from_bf16(loss), from_bf16(grad)
                    else:
                        dtype = np.dtype(f"f{int(kind[1:]) // 8}")
                        self.assertEqual((loss.dtype, grad.dtype), (dtype, dtype))
                    least = 2.0**-24 if kind == "f16" else 1e-40
                    relative = max(spacing[kind], 2e-6 if "f64" not in (name, kind) else 0)
                    self.assertClose(loss, exact, relative, least)
                    self.assertClose(grad, slope, relative, least)
                    self.assertClose(result["sum"], exact.sum(), 1e-6)

    def test_dense_targets_of_16_bits(self) -> None:
        logits = random_logits(4, 3)
        targets = np.array([0, 0.25, 0.5, 1] * 3).reshape(4, 3)
        expected = self.evaluate(logits, targets.astype(np.float32))["sum"]
        self.assertEqual(self.evaluate(logits, targets.astype(np.float16))["sum"], expected)
        as_bf16 = self.evaluate(bf16(logits), bf16(targets), "--bf16")
        rounded = self.evaluate(from_bf16(bf16(logits)), targets.astype(np.float32))
        self.assertEqual((as_bf16["sum"], as_bf16["target_kind"]), (rounded["sum"], "dense"))

    def test_bf16_needs_u16(self) -> None:
        path = self.save("logits.npy", np.zeros((2, 2)), np.float32)
        message = f"--bf16: --logits {path} holds f32; bf16 is stored as u16"
        self.refused(USAGE, message, "eval", "--logits", path, "--targets", path, "--bf16")


class Layouts(CommandTest):
    """Classes in any dimension: the bits of the same numbers with the classes last."""

    def test_class_axis(self) -> None:
        shape = 2, 5, 3, 4
        logits = random_logits(*shape)
        labels = RANDOM.integers(0, 5, (2, 3, 4))
        rows = self.save("rows.npy", RANDOM.random((2, 3, 4)))
        last = np.ascontiguousarray(np.moveaxis(logits, 1, -1))
        for activation in ("sigmoid", "softmax"):
            for more in ([], ["--row-weight", rows]):
                with self.subTest(activation, more=more):
                    options = ["--activation", activation, *more]
                    plain, loss, grad = self.evaluate_all(last, labels, *options)
                    for axis in ("1", "-3"):
                        result, moved_loss, moved = self.evaluate_all(
                            logits, labels, "--class-axis", axis, *options
                        )
                        self.assertEqual(result["sum"], plain["sum"])
                        np.testing.assert_array_equal(np.moveaxis(moved, 1, -1), grad)
                        if activation == "sigmoid":
                            moved_loss = np.moveaxis(moved_loss, 1, -1)
                        np.testing.assert_array_equal(moved_loss, loss)

    def test_class_axis_of_other_shapes(self) -> None:
        logits = random_logits(4, 6)
        targets = (logits > 0).astype(np.uint8)
        self.assertEqual(
            self.evaluate(logits, targets, "--class-axis", "0")["sum"],
            self.evaluate(np.ascontiguousarray(logits.T), np.ascontiguousarray(targets.T))["sum"],
        )
        one = self.evaluate(logits[0], np.array(2), "--activation", "softmax", "--class-axis", "0")
        self.assertEqual((one["rows"], one["classes"]), (1, 6))
        path = self.save("logits.npy", logits)
        arguments = "eval", "--logits", path, "--targets", path, "--class-axis", "2"
        self.refused(USAGE, f"--class-axis 2: --logits {path} has 2 dimensions", *arguments)
        empty = self.evaluate(np.zeros((2, 3, 0), "f4"), np.zeros((2, 0), "i8"), "--class-axis", "1")
        self.assertEqual((empty["sum"], empty["rows"]), (0, 0))


class Refusals(CommandTest):
    def setUp(self) -> None:
        super().setUp()
        self.logits = self.save("logits.npy", random_logits(3, 2))
        self.targets = self.save("targets.npy", np.zeros((3, 2)), np.float32)
        self.eval = "eval", "--logits", self.logits, "--targets", self.targets

    def test_options_that_belong_together(self) -> None:
        array = self.save("array.npy", np.ones(2))
        for message, *arguments in (
            ("--alpha and --class-alpha: give one", "--alpha", "0.5", "--class-alpha", array),
            ("--gamma and --class-gamma: give one", "--gamma", "1", "--class-gamma", array),
            ("--gamma-negative and --class-gamma", "--gamma-negative", "1", "--class-gamma", array),
            ("--reduction mean and --normalizer", "--reduction", "mean", "--normalizer", "rows"),
            ("--normalizer value and --normalizer-value go", "--normalizer", "value"),
            ("--hessian-mode needs --hessian", "--hessian-mode", "upper"),
            ("--row-loss is for sigmoid", "--activation", "softmax", "--row-loss", "x.npy"),
            ("--gamma-negative needs --form split", "--gamma-negative", "1"),
            ("--margin: needs --form split", "--margin", "0.1"),
            ("--poly: needs --form focal", "--poly", "0.5", "--form", "star"),
            ("--beta: needs --form star", "--beta", "0.5"),
            ("--gamma: --form star divides by it", "--form", "star", "--gamma", "0"),
            ("--smoothing: 1 is outside [0, 1)", "--smoothing", "1"),
            ("--normalizer-floor: needs --normalizer positives", "--normalizer-floor", "1"),
            ("--form: softmax has --form focal alone", "--activation", "softmax", "--form", "split"),
            ("--ignore is for integer labels", "--ignore", "1"),
            ("--form 'focus' is none of: focal, split", "--form", "focus"),
        ):
            with self.subTest(message):
                self.refused(USAGE, message, *self.eval, *arguments)

    def test_arrays_of_parameters(self) -> None:
        wrong = self.save("wrong.npy", np.ones(3))
        bad = self.save("bad.npy", [0.5, np.nan])
        for name in ("class-alpha", "class-gamma", "class-weight", "row-weight", "element-weight"):
            with self.subTest(name):
                path = bad if name == "row-weight" else wrong
                message = f"--{name} {path}: is of shape "
                self.refused(FAILED, message, *self.eval, f"--{name}", path)
        for name in ("class-alpha", "class-gamma", "class-weight"):
            self.refused(FAILED, f"--{name} {bad}: nan of class 1", *self.eval, f"--{name}", bad)
        infinite = self.save("infinite.npy", [1, np.inf])
        message = f"--class-weight {infinite}: inf of class 1 is outside [0, inf)\n"
        self.refused(FAILED, message, *self.eval, "--class-weight", infinite)
        negative = self.save("negative.npy", [1, -1, 1])
        message = f"--row-weight {negative}: element 1 is -1, not a finite number >= 0\n"
        self.refused(FAILED, message, *self.eval, "--row-weight", negative)
        elements = self.save("elements.npy", -np.eye(3, 2))
        message = f"--element-weight {elements}: element 0 is -1"
        self.refused(FAILED, message, *self.eval, "--element-weight", elements)
        three = self.save("three.npy", [0.5, 3])
        message = f"--class-alpha {three}: 3 of class 1 is outside [0, 1]\n"
        self.refused(FAILED, message, *self.eval, "--class-alpha", three)

    def test_parameters_that_the_problem_has_no_use_for(self) -> None:
        labels = self.save("labels.npy", [0, 1, 0])
        rows, elements = self.save("rows.npy", np.ones(3)), self.save("elements.npy", np.ones((3, 2)))
        evaluate = "eval", "--logits", self.logits, "--targets", labels
        softmax = *evaluate, "--activation", "softmax", "--element-weight", elements
        message = "--element-weight: softmax has one loss per row, weighted by --row-weight\n"
        self.refused(USAGE, message, *softmax)
        match = *evaluate, "--form", "match", "--loss", self.folder / "costs.npy"
        message = "--row-weight: --form match gives unweighted costs, but for --class-weight\n"
        self.refused(USAGE, message, *match, "--row-weight", rows)
        message = "--background or --ignore: --form match has no background or ignored labels\n"
        self.refused(USAGE, message, *match, "--ignore", "1")

    def test_gradients_by_targets_that_have_none(self) -> None:
        path = self.folder / "by.npy"
        for targets, held in (([0, 1, 0], "labels"), (np.eye(3, 2, dtype="u1"), "0 or 1 per logit")):
            targets = self.save("integers.npy", targets)
            message = f"--target-grad is for targets that are floats; --targets {targets} has {held}\n"
            arguments = "--targets", targets, "--target-grad", path
            self.refused(USAGE, message, "eval", "--logits", self.logits, *arguments)

    def test_no_message_is_in_words_of_c(self) -> None:
        """Every two options together, good or not: what is said of them is in options' names."""
        one, labels = self.save("one.npy", np.ones(2)), self.save("labels.npy", [0, 1, 0])
        rows, elements = self.save("rows.npy", np.ones(3)), self.save("elements.npy", np.ones((3, 2)))
        out = [part for name in ("loss", "grad") for part in (f"--{name}", self.folder / f"{name}.npy")]
        options: list[tuple[Any, ...]] = [
            *(("--form", form) for form in ("split", "star", "quality", "match", "varifocal")),
            *(("--activation", "softmax"), ("--targets", labels), ("--gamma", "0"), ("--alpha", "off")),
            *(("--margin", "0.1"), ("--beta", "0.5"), ("--poly", "0.5"), ("--smoothing", "0.1")),
            *(("--background", "7"), ("--ignore", "1"), ("--normalizer", "positives")),
            *(("--normalizer-floor", "1"), ("--normalizer-add", "1"), ("--gamma-negative", "1")),
            *(("--class-alpha", one), ("--class-gamma", one), ("--class-weight", one)),
            *(("--row-weight", rows), ("--element-weight", elements), out),
            *(("--hessian", self.folder / "h.npy"), ("--target-grad", self.folder / "t.npy")),
            *(("--row-loss", self.folder / "r.npy"), ("--smoothing-mode", "cross-entropy")),
        ]
        refusals = 0
        for first, second in itertools.combinations(options, 2):
            targets = [] if "--targets" in (first[0], second[0]) else ["--targets", self.targets]
            done = self.run_focal("eval", "--logits", self.logits, *targets, *first, *second)
            refusals += done.returncode != 0
            said = done.stderr.replace(str(self.folder), "")
            self.assertNotRegex(said, r"FOCAL_|\w_\w|`", f"{first} {second}")
        self.assertGreater(refusals, 100)

    def test_outputs_are_different_files(self) -> None:
        path = self.folder / "same.npy"
        arguments = "--grad", path, "--hessian", path
        self.refused(USAGE, f"--hessian {path}: is the file of --grad", *self.eval, *arguments)
        weights = self.save("weights.npy", np.ones(3))
        arguments = "--row-weight", weights, "--loss", weights
        self.refused(FAILED, f"--loss {weights}: is the file of --row-weight", *self.eval, *arguments)
