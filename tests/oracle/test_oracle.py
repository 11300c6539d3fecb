"""Self-tests of the oracle: the paper's worked facts, the definitions, and the data files.

Usage: python test_oracle.py (needs mpmath only), or pytest.
"""

from __future__ import annotations

import math
import unittest
from fractions import Fraction
from pathlib import Path
from typing import Any

import make_expected
import make_golden
import oracle
from oracle import DOUBLE, EXACT, nearest_double

DATA = Path(__file__).resolve().parent.parent / "data"

# Enough digits for 1 - p at a logit of 200 (1e-87) to keep 200 of its own.
WIDE = EXACT.clone()
WIDE.dps = 300


def sigmoid_definition(logit: Any, target: float, gamma: float, alpha: Any) -> Any:
    """The paper's equation 5 letter by letter, with the cancellation it has."""
    x, t, g = WIDE.mpf(logit), WIDE.mpf(target), WIDE.mpf(gamma)
    p = 1 / (1 + WIDE.exp(-x))
    p_t = p * t + (1 - p) * (1 - t)
    weight = 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    return weight * (1 - p_t) ** g * (-t * WIDE.log(p) - (1 - t) * WIDE.log(1 - p))


def softmax_definition(logits: list[Any], label: int, gamma: float, alpha: Any) -> Any:
    exponentials = [WIDE.exp(WIDE.mpf(value)) for value in logits]
    p_t = exponentials[label] / sum(exponentials)
    return (1 if alpha is None else alpha) * -((1 - p_t) ** WIDE.mpf(gamma)) * WIDE.log(p_t)


def logit_of(probability: str) -> Any:
    p = EXACT.mpf(probability)
    return EXACT.log(p / (1 - p))


def data_points(name: str) -> list[list[str]]:
    lines = (DATA / name).read_text(encoding="ascii").splitlines()
    return [line.split(" ") for line in lines if not line.startswith("#")]


def read_alpha(field: str) -> Any:
    return None if field == "nan" else float.fromhex(field)


class PaperFacts(unittest.TestCase):
    """Section 3 of the paper."""

    def reduction(self, probability: str, gamma: float) -> float:
        x = logit_of(probability)
        return float(oracle.sigmoid_loss(x, 1, 0) / oracle.sigmoid_loss(x, 1, gamma))

    def test_well_classified_costs_a_hundredth(self) -> None:
        self.assertAlmostEqual(self.reduction("0.9", 2), 100, places=9)

    def test_very_well_classified_costs_a_thousandth(self) -> None:
        self.assertAlmostEqual(self.reduction("0.968", 2), 976.5625, places=9)

    def test_misclassified_costs_at_least_a_quarter(self) -> None:
        for step in range(1, 51):
            self.assertLessEqual(self.reduction(f"{step / 100}", 2), 4 + 1e-9)
        self.assertAlmostEqual(self.reduction("0.5", 2), 4, places=9)

    def test_gamma_zero_is_cross_entropy(self) -> None:
        row = [EXACT.log(EXACT.mpf(p)) for p in ("0.2", "0.7", "0.1")]
        loss = oracle.softmax_loss(row, 1, 0)
        self.assertAlmostEqual(float(loss), 0.357, places=3)
        self.assertAlmostEqual(float(loss), -math.log(0.7), places=15)

    def test_prior_bias(self) -> None:
        bias = -EXACT.log((1 - EXACT.mpf("0.01")) / EXACT.mpf("0.01"))
        self.assertAlmostEqual(float(oracle.probabilities(EXACT, bias)[0]), 0.01, places=15)

    def test_gradient_is_equation_10(self) -> None:
        for sign in (1, -1):
            for gamma in (0, 0.5, 2, 5):
                for x in (-6.0, -0.25, 0.0, 3.5):
                    p_t = oracle.probabilities(EXACT, sign * x)[0]
                    bracket = gamma * p_t * EXACT.log(p_t) + p_t - 1
                    expected = sign * (1 - p_t) ** EXACT.mpf(gamma) * bracket
                    actual = oracle.sigmoid_gradient(x, 1 if sign > 0 else 0, gamma)
                    self.assertLess(abs(actual - expected), EXACT.mpf(10) ** -80)


class Formulas(unittest.TestCase):
    def test_soft_target_semantics(self) -> None:
        """Five ways to read a soft target give five values here; this is torchvision's."""
        self.assertAlmostEqual(float(oracle.sigmoid_loss(1.5, 0.7, 2)), 0.090616, places=6)

    def test_two_class_softmax_is_sigmoid(self) -> None:
        for x in (-30.0, -1.0, 0.0, 2.5, 80.0):
            for gamma in (0, 0.5, 2, 3.7):
                pair = oracle.softmax_loss([0.0, x], 1, gamma)
                single = oracle.sigmoid_loss(x, 1, gamma)
                self.assertLess(abs(pair - single), abs(single) * EXACT.mpf(10) ** -90)

    def test_softmax_gradient_sums_to_zero(self) -> None:
        gradient = oracle.softmax_gradient([0.5, -3.0, 40.0, 1e-30], 2, 1.5, 0.25)
        largest = max(abs(value) for value in gradient)
        self.assertLess(abs(EXACT.fsum(gradient)), largest * EXACT.mpf(10) ** -90)

    def test_single_class(self) -> None:
        self.assertEqual(oracle.softmax_loss([3.0], 0, 2), 0)
        self.assertEqual(oracle.softmax_gradient([3.0], 0, 0.5), [0])

    def test_label_out_of_range_is_named(self) -> None:
        for label in (-1, 3):
            with self.assertRaisesRegex(ValueError, "label"):
                oracle.softmax_loss([0.0, 1.0, 2.0], label, 2)

    def test_derivative_check_notices_a_wrong_gradient(self) -> None:
        right = oracle.sigmoid_gradient(-3.0, 1.0, 2.0)
        for at, gradient in ((-3.0, right * (1 + EXACT.mpf(10) ** -30)), (-3.0, -right)):
            with self.assertRaises(ArithmeticError):
                make_golden.check_derivative(
                    lambda x: oracle.sigmoid_loss(x, 1.0, 2.0, ctx=WIDE), at, gradient, "planted"
                )

    def test_rounding_to_double(self) -> None:
        third = EXACT.mpf(1) / 3
        self.assertEqual(nearest_double(third), 1 / 3)
        self.assertEqual(nearest_double(-third), -1 / 3)
        for numerator in (1, 3, 5, 7, 2**53 + 1, 2**54 + 6):
            for power in (0, 60, 1000, 1074, 1075, 1076, 1128):
                value = EXACT.ldexp(EXACT.mpf(numerator), -power)
                expected = float(Fraction(numerator, 2**power))
                self.assertEqual(nearest_double(value), expected)
        self.assertEqual(nearest_double(EXACT.ldexp(EXACT.mpf(1), -1075)), 0.0)
        self.assertEqual(nearest_double(EXACT.ldexp(EXACT.mpf(3), -1076)), 2.0**-1074)
        self.assertEqual(math.copysign(1, nearest_double(-EXACT.exp(-(10**30)))), -1)
        with self.assertRaises(ValueError):
            nearest_double(EXACT.inf)


class GoldenFiles(unittest.TestCase):
    """The files as they stand, against the definitions; also that DOUBLE is fit for use."""

    def test_sigmoid_points(self) -> None:
        compared = 0
        for fields in data_points("golden_sigmoid.txt"):
            self.assertEqual((fields[0], len(fields)), ("sigmoid", 7))
            gamma, alpha = float.fromhex(fields[1]), read_alpha(fields[2])
            logit, target, loss, gradient = map(float.fromhex, fields[3:])
            for value in (gamma, logit, target):
                self.assertEqual(make_golden.float32(value), value)
            if abs(logit) <= 200:
                definition = sigmoid_definition(logit, target, gamma, alpha)
                self.assertEqual(nearest_double(EXACT.mpf(definition)), loss)
                compared += 1
            if loss > 1e-290 and logit != 0:
                double_loss = oracle.sigmoid_loss(logit, target, gamma, alpha, DOUBLE)
                self.assertLess(abs(double_loss / loss - 1), 4e-15)
                double_gradient = oracle.sigmoid_gradient(logit, target, gamma, alpha, DOUBLE)
                error = abs(double_gradient - gradient)
                # Soft targets: the gradient crosses zero, so its error is relative to its terms.
                scale = abs(gradient) if target in (0.0, 1.0) else abs(gradient) + 0.02
                self.assertLess(error, 4e-15 * scale)
        self.assertGreater(compared, 3000)

    def test_softmax_rows(self) -> None:
        rows = data_points("golden_softmax.txt")
        self.assertGreaterEqual(len(rows), 200)
        for fields in rows:
            gamma, alpha = float.fromhex(fields[1]), read_alpha(fields[2])
            classes, label = int(fields[3]), int(fields[4])
            self.assertEqual((fields[0], len(fields)), ("softmax", 6 + 2 * classes))
            numbers = [float.fromhex(field) for field in fields[5:]]
            logits, loss, gradients = numbers[:classes], numbers[classes], numbers[classes + 1 :]
            for value in logits:
                self.assertEqual(make_golden.float32(value), value)
            definition = softmax_definition(logits, label, gamma, alpha)
            self.assertEqual(nearest_double(EXACT.mpf(definition)), loss)
            double_gradient = oracle.softmax_gradient(logits, label, gamma, alpha, DOUBLE)
            for actual, exact in zip(double_gradient, gradients):
                if abs(exact) > 1e-290:
                    self.assertLess(abs(actual / exact - 1), 3e-14)


class ExpectedFile(unittest.TestCase):
    def test_is_current(self) -> None:
        text = (make_expected.DIGITS / "expected.json").read_text(encoding="ascii")
        self.assertEqual(text, make_expected.build())

    def test_labels_and_targets_agree(self) -> None:
        read = make_expected.read_npy
        shape, targets = read(make_expected.DIGITS / "targets.npy")
        _, labels = read(make_expected.DIGITS / "labels.npy")
        _, bytes_ = read(make_expected.DIGITS / "labels_u8.npy")
        self.assertEqual(labels, bytes_)
        one_hot = [float(label == c) for label in labels for c in range(shape[1])]
        self.assertEqual(targets, one_hot)


if __name__ == "__main__":
    unittest.main()
