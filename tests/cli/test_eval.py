"""What `focal eval` computes: values, dtypes, shapes, reductions, rows, threads."""

from __future__ import annotations

import itertools
import os
import unittest
from pathlib import Path
from typing import Any

import numpy as np
from harness import (
    DEFAULT_TIER,
    DIGITS,
    FAILED,
    TIERS,
    CommandTest,
    sigmoid_oracle,
    softmax_oracle,
    strict_json,
)

RANDOM = np.random.default_rng(20170807)


def random_logits(*shape: int) -> np.ndarray:
    return (4.0 * RANDOM.standard_normal(shape)).astype(np.float32)


class Digits(CommandTest):
    """The shipped sample against its expected values, which were computed in 100 digits."""

    def check_case(self, case: dict[str, Any], targets: str, tier: str = DEFAULT_TIER) -> None:
        alpha = "off" if case["alpha"] is None else case["alpha"]
        arguments = ["--activation", case["op"], "--gamma", case["gamma"], "--alpha", alpha, "--tier", tier]
        result, loss, grad = self.evaluate_all(DIGITS / case["logits"], DIGITS / targets, *arguments)
        self.assertClose(result["sum"], case["sum"])
        self.assertClose(result["mean"], case["mean"])
        self.assertEqual(result["result"], result["sum"])
        self.assertEqual((result["rows"], result["classes"]), (case["rows"], case["classes"]))
        self.assertEqual(result["losses"], case["losses"])
        self.assertClose(np.abs(grad.astype(np.float64)).sum(), case["sum_of_absolute_gradients"])
        # 10 units in the last place of a float are at most 10 * 2^-23. The gradient at a soft
        # target is a difference, here of terms of some 1e-5, which may cancel: hence `absolute`.
        soft = targets == "targets_smooth.npy"
        for values, exact in ((loss, case["loss_at"]), (grad, case["gradient_at"])):
            absolute = 1e-11 if soft and values is grad else 1e-40
            for index, value in exact.items():
                self.assertClose(values.flat[int(index)], value, 10 * 2.0**-23, absolute)

    def test_every_case(self) -> None:
        cases = strict_json((DIGITS / "expected.json").read_text())["cases"]
        self.assertEqual(len(cases), 5)
        for case, tier in itertools.product(cases, TIERS):
            with self.subTest(case["name"], tier=tier):
                self.check_case(case, case["targets"], tier)

    def test_labels_say_the_same_as_one_hot_targets(self) -> None:
        cases = strict_json((DIGITS / "expected.json").read_text())["cases"]
        for case in cases:
            if case["targets"] in ("targets.npy", "labels.npy"):
                for name in ("labels.npy", "labels_u8.npy"):
                    with self.subTest(case["name"], targets=name):
                        self.check_case(case, name)

    def test_text_shows_what_json_holds(self) -> None:
        logits, targets = DIGITS / "sigmoid_logits.npy", DIGITS / "labels.npy"
        text = self.focal("eval", "--logits", logits, "--targets", targets)
        lines = dict(line.split(maxsplit=1) for line in text.splitlines())
        result = self.evaluate(logits, targets)
        self.assertEqual(float(lines["sum"]), result["sum"])
        self.assertEqual(lines["mean"], f"{result['mean']:.17g} (over 8990 elements)")
        expected = {
            "rows": "899",
            "classes": "10",
            "activation": "sigmoid",
            "gamma": "2",
            "alpha": "0.25",
            "tier": DEFAULT_TIER,
            "isa": result["isa"],
            "plan": result["plan"],
            "positives": "899",
            "targets": f"{targets} (i64, 899: one label per row)",
        }
        self.assertEqual({key: lines[key] for key in expected}, expected)
        self.assertIn(result["isa"], result["plan"])
        self.assertIn(DEFAULT_TIER, result["plan"])


class Targets(CommandTest):
    """Dtypes and shapes of targets."""

    def test_integers_per_element(self) -> None:
        logits = random_logits(37, 5)
        targets = RANDOM.integers(0, 2, size=logits.shape)
        loss, grad = sigmoid_oracle(logits, targets, 2.0, 0.25)
        for dtype in "?bBhHiIlLqQ":
            with self.subTest(dtype):
                result, out_loss, out_grad = self.evaluate_all(logits, targets.astype(dtype))
                self.assertClose(out_loss, loss, 2e-6)
                self.assertClose(out_grad, grad, 2e-6)
                self.assertEqual(result["target_kind"], "binary")
                self.assertEqual(result["positives"], int(targets.sum()))

    def test_labels(self) -> None:
        logits = random_logits(41, 7)
        labels = RANDOM.integers(0, 7, size=41)
        expected = {
            "sigmoid": sigmoid_oracle(logits, np.eye(7)[labels], 2.0, 0.25),
            "softmax": softmax_oracle(logits, labels, 2.0),
        }
        for dtype, activation in itertools.product("bBhHiIqQ", expected):
            with self.subTest(dtype=dtype, activation=activation):
                result, out_loss, out_grad = self.evaluate_all(
                    logits, labels.astype(dtype), "--activation", activation
                )
                loss, grad = expected[activation]
                self.assertClose(out_loss, loss, 4e-6)
                self.assertClose(out_grad, grad, 4e-6)
                self.assertEqual((result["target_kind"], result["positives"]), ("labels", 41))

    def test_dense_f64_is_converted_with_a_note(self) -> None:
        logits = random_logits(6, 3)
        targets = RANDOM.random(logits.shape)
        targets[0, 0] = 0.5
        f32 = self.evaluate(logits, targets.astype(np.float32))
        paths = self.folder / "logits.npy", self.save("wide.npy", targets)
        done = self.run_focal("eval", "--logits", paths[0], "--targets", paths[1], "--json")
        note = f"note: --targets {paths[1]}: f64 converted to f32, 17 of 18 values rounded\n"
        self.assertEqual(done.stderr, "focal eval: " + note)
        result = strict_json(done.stdout)
        self.assertEqual((result["sum"], result["positives"]), (f32["sum"], None))
        self.assertEqual((result["targets"]["dtype"], result["target_kind"]), ("f64", "dense"))

    def test_dense_text_says_that_positives_are_not_counted(self) -> None:
        path = self.save("x.npy", [[0.5]], np.float32)
        text = self.focal("eval", "--logits", path, "--targets", path)
        self.assertIn("positives  not counted for dense targets\n", text)

    def test_binary_text(self) -> None:
        logits, targets = self.save("x.npy", [0.5], "f4"), self.save("y.npy", [True])
        text = self.focal("eval", "--logits", logits, "--targets", targets)
        self.assertIn(f"targets    {targets} (bool, 1: 0 or 1 per logit)\n", text)
        self.assertIn("positives  1\n", text)

    def test_background(self) -> None:
        logits = random_logits(8, 3)
        labels = np.array([0, -1, 2, -1, 1, 1, -1, 0])
        one_hot = np.vstack([np.eye(3), np.zeros(3)])[labels]
        loss, grad = sigmoid_oracle(logits, one_hot, 2.0, 0.25)
        result, out_loss, out_grad = self.evaluate_all(logits, labels, "--background", "-1")
        self.assertClose(out_loss, loss, 2e-6)
        self.assertClose(out_grad, grad, 2e-6)
        self.assertEqual((result["positives"], result["background"]), (5, -1))
        as_u8 = np.where(labels < 0, 3, labels).astype(np.uint8)
        self.assertEqual(self.evaluate(logits, as_u8, "--background=3")["sum"], result["sum"])

    def test_labels_of_one_class_with_background(self) -> None:
        logits = random_logits(4, 1)
        result = self.evaluate(logits, np.array([0, 1, 1, 0]), "--background", "1")
        loss, _ = sigmoid_oracle(logits, np.array([[1], [0], [0], [1]]), 2.0, 0.25)
        self.assertClose(result["sum"], loss.sum())


class Layouts(CommandTest):
    """Shapes, byte orders and Fortran order; outputs mirror the logits' shape."""

    def test_one_dimension_is_rows_of_one_class(self) -> None:
        logits, targets = random_logits(11), RANDOM.integers(0, 2, 11)
        result, out_loss, out_grad = self.evaluate_all(logits, targets)
        loss, grad = sigmoid_oracle(logits, targets, 2.0, 0.25)
        self.assertClose(out_loss, loss, 2e-6)
        self.assertClose(out_grad, grad, 2e-6)
        self.assertEqual((result["rows"], result["classes"]), (11, 1))

    def test_leading_dimensions_are_rows(self) -> None:
        logits, labels = random_logits(2, 3, 4, 5), RANDOM.integers(0, 5, (2, 3, 4))
        result, out_loss, out_grad = self.evaluate_all(logits, labels, "--activation=softmax")
        loss, grad = softmax_oracle(logits, labels, 2.0)
        self.assertEqual((out_loss.shape, out_grad.shape), ((2, 3, 4), (2, 3, 4, 5)))
        self.assertClose(out_loss, loss, 4e-6)
        self.assertClose(out_grad, grad, 4e-6)
        self.assertEqual(result["logits"]["shape"], [2, 3, 4, 5])
        self.assertEqual((result["rows"], result["classes"]), (24, 5))

        _, out_loss, out_grad = self.evaluate_all(logits, labels)
        loss, grad = sigmoid_oracle(logits, np.eye(5)[labels], 2.0, 0.25)
        self.assertEqual((out_loss.shape, out_grad.shape), (logits.shape, logits.shape))
        self.assertClose(out_loss, loss, 2e-6)
        self.assertClose(out_grad, grad, 2e-6)

    def test_fortran_and_byte_order_change_nothing(self) -> None:
        shapes = (1, 7), (7, 1), (5, 6), (2, 3, 4), (3, 2, 2, 5)
        for shape, kind in itertools.product(shapes, ("dense", "binary", "labels")):
            logits = random_logits(*shape)
            targets = {
                "dense": RANDOM.random(shape).astype(np.float32),
                "binary": RANDOM.integers(0, 2, shape).astype(np.int16),
                "labels": RANDOM.integers(0, shape[-1], shape[:-1]),
            }[kind]
            options = ["--background", 99] if kind == "labels" else []
            plain, plain_loss, plain_grad = self.evaluate_all(logits, targets, *options)
            for order, endian in itertools.product("CF", "<>"):
                with self.subTest(shape=shape, kind=kind, order=order, endian=endian):
                    other = (
                        np.asarray(array.astype(array.dtype.newbyteorder(endian)), order=order)
                        for array in (logits, targets)
                    )
                    result, loss, grad = self.evaluate_all(*other, *options)
                    self.assertEqual(result["sum"], plain["sum"])
                    self.assertEqual(loss.tobytes(), plain_loss.tobytes())
                    self.assertEqual(grad.tobytes(), plain_grad.tobytes())
                    self.assertEqual((loss.shape, grad.shape), (shape, shape))

    def test_no_rows_give_zeros(self) -> None:
        cases = (
            ((0, 3), (0, 3), np.float32, "sigmoid"),
            ((0, 3), (0,), np.int64, "sigmoid"),
            ((0, 3), (0,), np.int64, "softmax"),
            ((0,), (0,), np.uint8, "sigmoid"),
            ((4, 0, 3), (4, 0, 3), np.float64, "sigmoid"),
            ((0, 0), (0, 0), np.float32, "sigmoid"),
        )
        for shape, target_shape, dtype, activation in cases:
            with self.subTest(shape=shape, dtype=dtype, activation=activation):
                loss, grad = self.folder / "l.npy", self.folder / "g.npy"
                arguments = ["--activation", activation, "--reduction", "mean", "--repeat", 2]
                arguments += ["--loss", loss, "--grad", grad, "--json"]
                logits = self.save("logits.npy", np.zeros(shape, np.float32))
                targets = self.save("targets.npy", np.zeros(target_shape, dtype))
                done = self.run_focal("eval", "--logits", logits, "--targets", targets, *arguments)
                self.assertEqual(done.returncode, 0, done.stderr)
                result = strict_json(done.stdout)
                self.assertEqual((result["sum"], result["mean"], result["losses"]), (0, 0, 0))
                self.assertIsNone(result["fastest_ns_per_element"])
                self.assertEqual(np.load(grad).shape, shape)
                loss_shape = shape[:-1] if activation == "softmax" else shape
                self.assertEqual(np.load(loss).shape, loss_shape)
                arguments.remove("--json")
                done = self.run_focal("eval", "--logits", logits, "--targets", targets, *arguments)
                self.assertIn("time       none: there are no elements\n", done.stdout)

    def test_outputs_have_the_header_that_numpy_writes(self) -> None:
        for shape in ((3,), (2, 3), (2, 3, 4), (1,) * 32):
            with self.subTest(shape=shape):
                logits = random_logits(*shape)
                _, _, grad = self.evaluate_all(logits, np.zeros(shape, np.uint8))
                written = (self.folder / "out_grad.npy").read_bytes()
                np.save(self.folder / "numpy.npy", grad)
                numpy_written = (self.folder / "numpy.npy").read_bytes()
                data = len(written) - grad.nbytes
                self.assertEqual(data % 64, 0)
                self.assertEqual(written[:data].split(), numpy_written[: -grad.nbytes].split())
                self.assertEqual(written[data:], numpy_written[-grad.nbytes :])

    def test_header_variants_of_other_writers(self) -> None:
        logits = random_logits(2, 3)
        plain = self.evaluate(logits, np.zeros((2, 3), np.uint8))["sum"]
        data = logits.astype("<f4").tobytes()
        variants = (
            '{"shape": (2, 3), "fortran_order": False, "descr": "<f4"}',
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
            "{ 'fortran_order' :False,'shape':( 2,3, ),\n'descr':'<f4' , }   \n",
        )
        for version, text in itertools.product(((1, 0), (2, 0), (3, 0)), variants):
            with self.subTest(version=version, text=text):
                length = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
                content = b"\x93NUMPY" + bytes(version) + length + text.encode() + data
                path = self.bytes_file("variant.npy", content)
                result = self.evaluate(path, self.folder / "targets.npy")
                self.assertEqual(result["sum"], plain)


class Settings(CommandTest):
    """Defaults, reductions, rows of the ISA table, threads, repeats."""

    logits = random_logits(300, 50)
    labels = RANDOM.integers(0, 50, 300)

    def test_defaults(self) -> None:
        plain = self.evaluate(self.logits, self.labels)
        spelled = ["--activation", "sigmoid", "--gamma", "2", "--alpha", "0.25"]
        spelled += ["--reduction", "sum", "--tier", DEFAULT_TIER, "--threads", "1"]
        self.assertEqual(self.evaluate(self.logits, self.labels, *spelled), plain)
        self.assertEqual((plain["alpha"], plain["gamma"], plain["threads"]), (0.25, 2, 1))
        softmax = self.evaluate(self.logits, self.labels, "--activation", "softmax")
        self.assertIsNone(softmax["alpha"])
        off = self.evaluate(self.logits, self.labels, "--activation", "softmax", "--alpha", "off")
        self.assertEqual(off, softmax)
        half = self.evaluate(self.logits, self.labels, "--activation=softmax", "--alpha=.5")
        self.assertClose(half["sum"], 0.5 * softmax["sum"])

    def test_gamma_and_alpha(self) -> None:
        one_hot = np.eye(50)[self.labels]
        for gamma, alpha in itertools.product(("0", "0.5", "1", "1.5", "2.7", "5e0"), ("off", "1")):
            with self.subTest(gamma=gamma, alpha=alpha):
                number = None if alpha == "off" else float(alpha)
                loss, grad = sigmoid_oracle(self.logits, one_hot, float(gamma), number)
                result, out_loss, out_grad = self.evaluate_all(
                    self.logits, self.labels, "--gamma", gamma, "--alpha", alpha
                )
                self.assertEqual((result["gamma"], result["alpha"]), (float(gamma), number))
                self.assertClose(result["sum"], loss.sum())
                self.assertClose(out_loss, loss, 2e-6)
                self.assertClose(out_grad, grad, 2e-6)

    def test_reductions(self) -> None:
        for activation, losses in (("sigmoid", 15000), ("softmax", 300)):
            with self.subTest(activation):
                arguments = ["--activation", activation, "--reduction"]
                total, loss, grad = self.evaluate_all(self.logits, self.labels, *arguments, "sum")
                mean, mean_loss, mean_grad = self.evaluate_all(self.logits, self.labels, *arguments, "mean")
                none, none_loss, none_grad = self.evaluate_all(self.logits, self.labels, *arguments, "none")
                self.assertEqual(total["mean"], total["sum"] / losses)
                self.assertEqual(mean["result"], total["mean"])
                self.assertEqual(mean["sum"], total["sum"])
                self.assertIsNone(none["result"])
                self.assertEqual(none["losses"], losses)
                self.assertEqual(loss.size, losses)
                # The mean scales the gradient, never the losses.
                self.assertEqual(loss.tobytes(), mean_loss.tobytes())
                self.assertEqual(loss.tobytes(), none_loss.tobytes())
                self.assertEqual(grad.tobytes(), none_grad.tobytes())
                self.assertClose(mean_grad, grad / np.float64(losses), 4 * 2.0**-23)

    def fused_rows(self) -> list[str]:
        info = strict_json(self.focal("info", "--json"))
        return [row["name"] for row in info["isa_rows"] if row["usable"] and row["name"] != "scalar"]

    def test_rows_with_fma_give_the_same_bytes(self) -> None:
        rows = self.fused_rows()
        if len(rows) < 2:
            self.skipTest(f"this machine can run only {rows}: nothing to compare")
        self.assertIn("scalarfma", rows)
        targets = {
            "dense": RANDOM.random(self.logits.shape).astype(np.float32),
            "binary": RANDOM.integers(0, 2, self.logits.shape).astype(np.uint8),
            "labels": self.labels,
        }
        cases = [("sigmoid", kind) for kind in targets] + [("softmax", "labels")]
        gammas = "0", "1", "2", "2.5", "1.3"
        for (activation, kind), gamma, tier in itertools.product(cases, gammas, TIERS):
            files = {}
            for row in rows:
                arguments = ["--activation", activation, "--gamma", gamma, "--isa", row, "--tier", tier]
                result, _, _ = self.evaluate_all(self.logits, targets[kind], *arguments)
                self.assertEqual(result["isa"], row)
                self.assertIn(f"_{tier}__{row}_", result["plan"])
                outputs = (self.folder / name for name in ("out_loss.npy", "out_grad.npy"))
                files[row] = [result["sum"], *(path.read_bytes() for path in outputs)]
            for row in rows:
                with self.subTest(activation=activation, kind=kind, gamma=gamma, tier=tier, row=row):
                    self.assertEqual(files[row], files["scalarfma"])

    def test_threads(self) -> None:
        openmp = strict_json(self.focal("info", "--json"))["openmp"]
        logits, labels = random_logits(3000, 40), RANDOM.integers(0, 40, 3000)
        serial = self.evaluate_all(logits, labels)
        for threads in (0, 2, 5):
            with self.subTest(threads=threads):
                if not openmp:
                    arguments = [f"--logits={self.folder}/logits.npy"]
                    arguments += [f"--targets={self.folder}/targets.npy", "--threads", threads]
                    self.refused(2, "this build has no OpenMP", "eval", *arguments)
                    continue
                result, loss, grad = self.evaluate_all(logits, labels, "--threads", threads)
                self.assertEqual((result["sum"], result["threads"]), (serial[0]["sum"], threads))
                self.assertEqual(loss.tobytes(), serial[1].tobytes())
                self.assertEqual(grad.tobytes(), serial[2].tobytes())

    def test_repeat_reports_a_time(self) -> None:
        once = self.evaluate(self.logits, self.labels)
        self.assertIsNone(once["fastest_ns_per_element"])
        result = self.evaluate(self.logits, self.labels, "--repeat", "20")
        self.assertEqual((result["repeat"], result["sum"]), (20, once["sum"]))
        # From a tenth of a cycle of a fast machine to a very slow emulator.
        self.assertTrue(0.02 < result["fastest_ns_per_element"] < 1e5, result)
        paths = f"--logits={self.folder}/logits.npy", f"--targets={self.folder}/targets.npy"
        text = self.focal("eval", *paths, "--repeat", "3")
        self.assertRegex(
            text, r"time +[0-9.e+]+ ns per element \(fastest of 3 executions, without the files\)"
        )

    def test_what_is_not_finite_is_null_in_json(self) -> None:
        logits = self.logits.copy()
        logits[7, 3] = np.nan
        result, loss, _ = self.evaluate_all(logits, self.labels)
        self.assertEqual((result["sum"], result["mean"], result["result"]), (None, None, None))
        self.assertEqual(np.flatnonzero(np.isnan(loss)).tolist(), [7 * 50 + 3])
        paths = f"--logits={self.folder}/logits.npy", f"--targets={self.folder}/targets.npy"
        for value in (np.nan, -np.nan):
            logits[7, 3] = value
            self.save("logits.npy", logits)
            self.assertRegex(self.focal("eval", *paths), r"sum +nan\nmean +nan \(")
        targets = self.save("bad.npy", np.full((3, 2), -np.nan, np.float32))
        paths = f"--logits={self.save('x.npy', np.zeros((3, 2), np.float32))}", f"--targets={targets}"
        self.refused(FAILED, "element 0 is nan; targets lie", "eval", *paths)

    def test_json_of_any_path(self) -> None:
        names = [
            'quote" back\\slash',
            "line\nbreak\ttab\x7f",
            "grüß 数 \U0001f600",
            "\udcff\udce2(",
            os.fsdecode(b"surrogate \xed\xa0\x80 beyond \xf4\x90\x80\x80"),
            os.fsdecode(b"too long \xc0\xaf \xe0\x80\xaf \xf0\x80\x80\xaf"),
        ]
        for name in names:
            with self.subTest(repr(name)):
                logits = self.save(name + ".npy", self.logits)
                result = self.evaluate(logits, self.labels, "--grad", Path(f"{logits}.grad"))
                self.assertEqual(result["logits"]["path"], str(logits))
                self.assertEqual(result["gradient_path"], f"{logits}.grad")


if __name__ == "__main__":
    unittest.main()
