"""forms.py against published numbers and against numerical derivatives of the definitions.

Usage: python test_forms_oracle.py (needs mpmath only), or pytest.
"""

from __future__ import annotations

import itertools
import random
import unittest
from dataclasses import replace
from typing import Any

import definitions
import forms
import oracle
from definitions import WIDE, derivative
from forms import Parameters, Row, Sized, sigmoid_element, softmax_row
from oracle import EXACT

GAMMAS = (0, 0.25, 0.5, 1, 1.5, 2, 3.7, 5)
TARGETED = [form for form in forms.SIGMOID_FORMS if form != "match"]


def parameters() -> list[Parameters]:
    """Each form with each of its own options, and some shared ones."""
    found = []
    for form, gamma in itertools.product(forms.SIGMOID_FORMS, GAMMAS):
        base = Parameters(form, gamma, alpha=(0.25, 0.75), weight=1.5)
        if form == "star":
            if gamma == 0:
                continue
            found += [replace(base, star_beta=beta) for beta in (-1, 0, 1)]
        elif form in ("split", "match"):
            found += [replace(base, gamma_negative=g, margin=m) for g in (0, 4) for m in (0, 0.05)]
        elif form == "focal":
            found += [replace(base, poly_epsilon=e) for e in (-1, 0, 2)]
        else:
            found.append(base)
        if form != "match":
            found.append(replace(found[-1], smoothing=0.1))
            found.append(replace(found[-1], smooth_cross_entropy=True))
    return found


class OracleTest(unittest.TestCase):
    def near(self, actual: Sized, expected: Any, where: str, digits: int = 40) -> None:
        """To 40 digits of the magnitude that `actual` says its terms have."""
        error = abs(WIDE.mpf(actual.value) - expected)
        self.assertLessEqual(error, WIDE.mpf(actual.size) * WIDE.mpf(10) ** -digits, where)
        self.assertLessEqual(abs(actual.value), actual.size * (1 + EXACT.mpf(10) ** -90), where)


class PublishedNumbers(unittest.TestCase):
    """Logit 1.5, target 0.7, gamma 2: how six readings of a soft target differ."""

    def test_six_readings(self) -> None:
        for form, value in (
            ("focal", 0.090616),
            ("split", 0.345874),
            ("scaled", 0.081791),
            ("confidence", 0.149268),
            ("quality", 0.009005),
            ("varifocal", 0.455989),
        ):
            loss = sigmoid_element(1.5, EXACT.mpf("0.7"), Parameters(form, 2)).loss.value
            self.assertAlmostEqual(float(loss), value, delta=5.001e-7, msg=form)

    def test_plain_focal_is_the_other_oracle(self) -> None:
        for x, t, gamma in itertools.product((-40.0, -3.0, 0.0, 1.5), (0, 0.25, 1), GAMMAS):
            actual = sigmoid_element(x, t, Parameters("focal", gamma, alpha=(0.25, 0.75)))
            loss = oracle.sigmoid_loss(x, t, gamma, 0.25)
            gradient = oracle.sigmoid_gradient(x, t, gamma, 0.25)
            self.assertLess(abs(actual.loss.value - loss), 1e-80)
            self.assertLess(abs(actual.gradient.value - gradient), 1e-80)

    def test_star_is_the_published_derivative(self) -> None:
        """Paper, equations 8 and 11: d FL* / dx = y (p*_t - 1)."""
        for x, gamma, beta in itertools.product((-3.0, 0.0, 2.0), (2, 4), (0, 1)):
            result = sigmoid_element(x, 1, Parameters("star", gamma, star_beta=beta))
            p_star = oracle.probabilities(EXACT, gamma * x + beta)[0]
            self.assertLess(abs(result.gradient.value - (p_star - 1)), 1e-80)

    def test_second_derivative_turns_negative_where_published(self) -> None:
        """p_t below which the Hessian is negative."""
        table = {0.5: 0.0177, 1: 0.0432, 1.5: 0.0541, 2: 0.0578, 3: 0.0575, 5: 0.0502}
        for gamma, p_t in table.items():
            for t, sign in ((1, 1), (0, -1)):
                bend = {}
                for side in (0.997, 1.003):
                    p = EXACT.mpf(p_t) * side
                    x = sign * EXACT.log(p / (1 - p))
                    bend[side] = sigmoid_element(x, t, Parameters("focal", gamma)).hessian.value
                self.assertLess(bend[0.997], 0, (gamma, t))
                self.assertGreater(bend[1.003], 0, (gamma, t))

    def test_extreme_second_derivatives(self) -> None:
        """Gamma 2: smallest -0.0472 at x_t -3.84, largest 0.496 at -0.6."""
        for x, value in ((-3.84, -0.0472), (-0.6, 0.496)):
            bend = sigmoid_element(x, 1, Parameters("focal", 2)).hessian.value
            self.assertAlmostEqual(float(bend), value, delta=5e-4)

    def test_largest_gradients(self) -> None:
        table = ((0.5, -4.0, 1.009), (1, -3.1, 1.045), (2, -2.8, 1.129), (3, -2.8, 1.202))
        for gamma, x, most in table:
            gradient = sigmoid_element(x, 1, Parameters("focal", gamma)).gradient.value
            self.assertAlmostEqual(float(-gradient), most, delta=1e-3)

    def test_prior(self) -> None:
        """With the paper's bias of -log(99), p is 0.01."""
        self.assertAlmostEqual(float(oracle.probabilities(EXACT, -EXACT.log(99))[0]), 0.01)


class SigmoidForms(OracleTest):
    def test_loss_and_derivatives(self) -> None:
        stream = random.Random(1)
        for q in parameters():
            for t in (0, 1, 0.3, 0.9):
                x = stream.choice((-1, 1)) * stream.choice((0.3, 2.5, 7.0, 30.0, 90.0))
                self.check(q, x, t)

    def test_far_out(self) -> None:
        before = WIDE.dps
        WIDE.dps = 1100
        try:
            for form, x, t in itertools.product(TARGETED, (-700.0, 700.0), (0, 1, 0.5)):
                self.check(Parameters(form, 0.5), x, t)
        finally:
            WIDE.dps = before

    def check(self, q: Parameters, x: float, t: float) -> None:
        where = f"{q} x {x} t {t}"
        result = sigmoid_element(x, t, q)

        def by_logit(value: Any) -> Any:
            return definitions.sigmoid_loss(value, t, q)

        self.near(result.loss, by_logit(WIDE.mpf(x)), where)
        self.near(result.gradient, derivative(by_logit, x), where)
        self.near(result.hessian, derivative(by_logit, x, 2), where)

    def test_target_derivative(self) -> None:
        for q in parameters():
            if q.form == "match":
                continue
            for x, t in ((-2.5, 0.3), (4.0, 0.9), (-9.0, 0.0), (1.0, 1.0), (6.0, 0.02)):
                if q.form == "varifocal" and t == 0:
                    continue  # the loss jumps there

                def by_target(value: Any, x: float = x, q: Parameters = q) -> Any:
                    return definitions.sigmoid_loss(x, value, q)

                result = sigmoid_element(x, t, q)
                self.near(result.target_gradient, derivative(by_target, t), f"{q} x {x} t {t}")

    def test_varifocal_negative_has_its_own_target_derivative(self) -> None:
        """Inside the branch t = 0: a p^g times -x."""
        q = Parameters("varifocal", 2, alpha=(0.75, 0.75))
        p = oracle.probabilities(EXACT, 3)[0]
        expected = EXACT.mpf(0.75) * p**2 * -3
        result = sigmoid_element(3, 0, q).target_gradient.value
        self.assertLess(abs(result - expected), 1e-80)

    def test_forms_agree_for_hard_targets(self) -> None:
        names = ("focal", "split", "scaled", "confidence", "quality")
        for x, t, gamma in itertools.product((-50.0, -2.0, 0.5, 9.0), (0, 1), GAMMAS):
            results = [
                sigmoid_element(x, t, Parameters(form, gamma, alpha=(0.25, 0.75)))
                for form in names
            ]
            for name in ("loss", "gradient", "hessian"):
                first = getattr(results[0], name)
                for other in results[1:]:
                    error = abs(first.value - getattr(other, name).value)
                    self.assertLessEqual(error, first.size * EXACT.mpf(10) ** -85)

    def test_a_wrong_gradient_is_noticed(self) -> None:
        q = Parameters("quality", 2)
        result = sigmoid_element(1.5, 0.3, q)

        def by_logit(value: Any) -> Any:
            return definitions.sigmoid_loss(value, 0.3, q)

        off = Sized(result.gradient.value * (1 + EXACT.mpf(10) ** -30), result.gradient.size)
        with self.assertRaises(AssertionError):
            self.near(off, derivative(by_logit, 1.5), "planted")


def example_rows() -> list[Row]:
    stream = random.Random(2)
    rows = []
    for gamma, n, kind in itertools.product(GAMMAS, (2, 4), range(4)):
        logits = [stream.gauss(0, 3) * (20 if kind == 3 else 1) for _ in range(n)]
        label = stream.randrange(n)
        hard = [float(c == label) for c in range(n)]
        soft = [stream.random() for _ in range(n)]
        rows.append(
            Row(
                logits,
                soft if kind == 1 else hard,
                [gamma, stream.choice(GAMMAS)] + [gamma] * (n - 2),
                [stream.random() for _ in range(n)],
                [2 * stream.random() for _ in range(n)],
                smoothing=0.1 if kind >= 2 else 0,
                smooth_cross_entropy=kind == 2,
                label=label,
                poly_epsilon=stream.choice((0, 1, -0.5)),
            )
        )
    return rows


class SoftmaxForms(OracleTest):
    def test_loss_and_derivatives(self) -> None:
        for row in example_rows():
            result = softmax_row(row)
            logits, targets = list(row.logits), list(row.targets)
            self.near(result.loss, definitions.softmax_loss(logits, targets, row), f"{row}")
            for k in range(len(logits)):

                def by_logit(value: Any, row: Row = row, k: int = k) -> Any:
                    changed = [*row.logits[:k], value, *row.logits[k + 1 :]]
                    return definitions.softmax_loss(changed, list(row.targets), row)

                where = f"{row} class {k}"
                self.near(result.gradient[k], derivative(by_logit, logits[k]), where)
                self.near(result.hessian[k], derivative(by_logit, logits[k], 2), where)

    def test_target_derivative(self) -> None:
        for row in example_rows():
            if row.smooth_cross_entropy:
                continue
            for k, t in enumerate(row.targets):

                def by_target(value: Any, row: Row = row, k: int = k) -> Any:
                    changed = [*row.targets[:k], value, *row.targets[k + 1 :]]
                    return definitions.softmax_loss(list(row.logits), changed, row)

                expected = derivative(by_target, t, step=0)  # linear in the target
                self.near(softmax_row(row).target_gradient[k], expected, f"{row} class {k}")

    def test_gradient_sums_to_zero(self) -> None:
        for row in example_rows():
            gradient = softmax_row(row).gradient
            size = EXACT.fsum(part.size for part in gradient)
            total = EXACT.fsum(part.value for part in gradient)
            self.assertLess(abs(total), size * EXACT.mpf(10) ** -90)

    def test_plain_row_is_the_other_oracle(self) -> None:
        logits = [0.5, -3.0, 40.0, 1e-30]
        for label, gamma in itertools.product(range(4), GAMMAS):
            hard = [float(c == label) for c in range(4)]
            result = softmax_row(Row(logits, hard, [gamma] * 4, [0.25] * 4, [1] * 4))
            expected = oracle.softmax_gradient(logits, label, gamma, 0.25)
            loss = oracle.softmax_loss(logits, label, gamma, 0.25)
            self.assertLessEqual(abs(result.loss.value - loss), abs(loss) * 1e-80)
            for actual, exact in zip(result.gradient, expected):
                self.assertLessEqual(abs(actual.value - exact), abs(exact) * 1e-80)
                self.assertLessEqual(actual.size, abs(exact) * (1 + 1e-10))

    def test_masked_class(self) -> None:
        row = Row([1.0, float("-inf"), 0.5], [0.25, 0, 0.75], [2] * 3, [1] * 3, [1] * 3)
        result = softmax_row(row)
        self.assertEqual(result.gradient[1].value, 0)
        without = softmax_row(Row([1.0, 0.5], [0.25, 0.75], [2] * 2, [1] * 2, [1] * 2))
        self.assertEqual(result.loss, without.loss)


if __name__ == "__main__":
    unittest.main()
