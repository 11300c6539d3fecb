"""What a whole problem of focal.h gives: forms.py applied to rows, weights and normalizers.

A problem is a dictionary of the fields of focal_problem that differ from zero, enumerations by
their short names, and the arrays by their names; arrays are flat, in the order outer, class, inner
(or outer, inner). Strides and storage types are the reader's affair: values are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import forms
from forms import ONE, ZERO, Parameters, Row, Sized
from oracle import EXACT

Real = Any
Problem = dict[str, Any]

# A logit of +-infinity is the limit, which nothing in 100 digits tells from this.
FAR = EXACT.mpf(10) ** 6000
NOTHING = Sized(ZERO, ZERO)


@dataclass
class Expected:
    loss: list[Sized]
    row_loss: list[Sized]
    gradient: list[Sized]
    hessian: list[Sized]
    target_gradient: list[Sized]
    sum: Sized
    rows: int
    positives: int
    ignored: int
    weight: Real
    normalizer: Real


class Evaluation:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.outer, self.classes = problem["outer"], problem["classes"]
        self.inner = problem.get("inner", 1)
        self.softmax = problem.get("op") == "softmax"
        self.labels = str(problem.get("target_kind", "dense")).startswith("label")
        count = self.outer * self.classes * self.inner
        self.loss = [NOTHING] * count
        self.gradient, self.hessian = [NOTHING] * count, [NOTHING] * count
        self.target_gradient = [NOTHING] * count
        self.row_loss: list[Sized] = [NOTHING] * (self.outer * self.inner)

    def get(self, name: str, default: Any = 0) -> Any:
        return self.problem.get(name, default)

    def at(self, o: int, c: int, i: int) -> int:
        return (o * self.classes + c) * self.inner + i

    def logit(self, o: int, c: int, i: int) -> Real:
        x = EXACT.mpf(self.problem["logits"][self.at(o, c, i)])
        if not self.softmax and EXACT.isinf(x):
            return FAR if x > 0 else -FAR
        return x

    def label(self, o: int, i: int) -> int | None:
        return self.problem["labels"][o * self.inner + i] if self.labels else None

    def ignored(self, o: int, i: int) -> bool:
        return self.labels and "ignore" in self.problem and self.label(o, i) == self.get("ignore")

    def background(self, o: int, i: int) -> bool:
        # In softmax `background` only says which class has 1 - alpha.
        known = self.labels and not self.softmax and "background" in self.problem
        return known and self.label(o, i) == self.get("background")

    def target(self, o: int, c: int, i: int) -> Real:
        if not self.labels:
            return EXACT.mpf(self.problem["targets"][self.at(o, c, i)])
        return ONE if not self.background(o, i) and self.label(o, i) == c else ZERO

    def gamma(self, c: int) -> Real:
        per_class = self.get("gamma_mode") == "per_class"
        return self.problem["class_gamma"][c] if per_class else self.get("gamma")

    def alpha(self, c: int) -> Real | None:
        mode = self.get("alpha_mode", "off")
        if mode == "off":
            return None
        if mode == "per_class":
            return EXACT.mpf(self.problem["class_alpha"][c])
        alpha = EXACT.mpf(self.get("alpha"))
        if mode == "background" and c == self.get("background"):
            return 1 - alpha
        return alpha

    def weights(self, o: int, c: int, i: int) -> Real:
        weight = EXACT.mpf(1)
        if "class_weight" in self.problem:
            weight *= self.problem["class_weight"][c]
        if "row_weight" in self.problem:
            weight *= self.problem["row_weight"][o * self.inner + i]
        if "element_weight" in self.problem:
            weight *= self.problem["element_weight"][self.at(o, c, i)]
        return weight

    # ---- One row ----

    def parameters(self, o: int, c: int, i: int) -> Parameters:
        alpha = self.alpha(c)
        form = self.get("form", "focal")
        if alpha is None:
            pair = (ONE, ONE)
        elif form == "varifocal":
            pair = (ONE, alpha)
        else:
            pair = (alpha, 1 - alpha)
        split = self.get("gamma_mode") == "split"
        return Parameters(
            form,
            self.gamma(c),
            self.get("gamma_negative") if split else None,
            pair,
            self.weights(o, c, i),
            self.get("margin"),
            self.get("star_beta"),
            self.get("poly_epsilon"),
            self.get("smoothing"),
            self.get("smoothing_mode") == "cross_entropy",
        )

    def sigmoid_row(self, o: int, i: int) -> None:
        losses = []
        for c in range(self.classes):
            at, q = self.at(o, c, i), self.parameters(o, c, i)
            if q.weight == 0:
                continue
            result = forms.sigmoid_element(self.logit(o, c, i), self.target(o, c, i), q)
            self.loss[at], self.gradient[at] = result.loss, result.gradient
            self.hessian[at], self.target_gradient[at] = result.hessian, result.target_gradient
            losses.append(result.loss)
        self.row_loss[o * self.inner + i] = total(losses)

    def softmax_row(self, o: int, i: int) -> None:
        classes = range(self.classes)
        label = self.label(o, i)
        # With labels, weight and alpha are the label's; gamma is of each term's class.
        owners = [c if label is None else label for c in classes]
        weights = [self.weights(o, owner, i) for owner in owners]
        if not any(weights):
            return
        alphas = [self.alpha(owner) for owner in owners]
        row = Row(
            [self.logit(o, c, i) for c in classes],
            [self.target(o, c, i) for c in classes],
            [self.gamma(c) for c in classes],
            [ONE if alpha is None else alpha for alpha in alphas],
            weights,
            self.get("smoothing"),
            self.get("smoothing_mode") == "cross_entropy" and self.get("smoothing") > 0,
            label,
            self.get("poly_epsilon"),
        )
        result = forms.softmax_row(row)
        self.row_loss[o * self.inner + i] = result.loss
        for c in classes:
            at = self.at(o, c, i)
            self.gradient[at] = result.gradient[c]
            self.target_gradient[at] = result.target_gradient[c]
            self.hessian[at] = result.hessian[c]
            if self.get("hessian_mode") == "upper" and not row.smooth_cross_entropy:
                bound = 2 * result.variances[c] * result.slope
                self.hessian[at] = Sized(bound, bound)

    # ---- All rows ----

    def total_weight(self, rows: list[tuple[int, int]]) -> Real:
        p = self.problem
        if not self.softmax and ("element_weight" in p or "class_weight" in p):
            return EXACT.fsum(
                self.weights(o, c, i) for o, i in rows for c in range(self.classes)
            )
        if self.softmax and self.labels:
            return EXACT.fsum(self.weights(o, self.label(o, i) or 0, i) for o, i in rows)
        if "row_weight" in p:
            return EXACT.fsum(p["row_weight"][o * self.inner + i] for o, i in rows)
        return EXACT.mpf(len(rows))

    def positives(self, rows: list[tuple[int, int]]) -> int:
        if self.labels and self.get("alpha_mode") == "background":
            return sum(self.label(o, i) != self.get("background") for o, i in rows)
        if self.labels:
            return sum(not self.background(o, i) for o, i in rows)
        dense = self.get("target_kind", "dense") == "dense"
        if dense and self.get("normalizer") != "positives":
            return 0  # not counted
        return sum(self.target(o, c, i) > 0 for o, i in rows for c in range(self.classes))

    def divisor(self, rows: int, positives: int, weight: Real) -> Real:
        kind = self.get("normalizer", "none")
        floor, add = self.get("normalizer_floor"), self.get("normalizer_add")
        value = {
            "none": lambda: ONE,
            "elements": lambda: EXACT.mpf(self.outer * self.classes * self.inner),
            "rows": lambda: EXACT.mpf(rows),
            "weight": lambda: weight,
            "positives": lambda: max(EXACT.mpf(positives) + add, EXACT.mpf(floor)),
            "value": lambda: EXACT.mpf(self.get("normalizer_value")),
        }[kind]()
        return value if value != 0 else ONE

    def counts(self, o: int, c: int, i: int) -> bool:
        """Whether a logit has any part in the loss: of softmax, with its row."""
        if self.ignored(o, i):
            return False
        if not self.softmax:
            return bool(self.weights(o, c, i) != 0)
        label = self.label(o, i)
        if label is not None:
            return bool(self.weights(o, label, i) != 0)
        smooth = self.get("smoothing") > 0
        return any(
            self.weights(o, k, i) != 0 and (smooth or self.target(o, k, i) != 0)
            for k in range(self.classes)
        )

    def guarded(self, bend: Sized, counts: bool) -> Sized:
        """What has no part in the loss has zeros, not the floor."""
        if not counts:
            return NOTHING
        value, floor = bend.value, EXACT.mpf(self.get("hessian_floor"))
        if self.get("hessian_mode") == "absolute":
            value = abs(value)
        return Sized(max(value, floor), max(bend.size, floor)) if floor else Sized(value, bend.size)

    def run(self) -> Expected:
        places = [(o, i) for o in range(self.outer) for i in range(self.inner)]
        rows = [place for place in places if not self.ignored(*place)]
        for place in rows:
            (self.softmax_row if self.softmax else self.sigmoid_row)(*place)
        weight, positives = self.total_weight(rows), self.positives(rows)
        divisor = self.divisor(len(rows), positives, weight)
        scale = EXACT.mpf(self.get("upstream", 1)) / divisor
        for o, i in places:
            for c in range(self.classes):
                at = self.at(o, c, i)
                bend = self.guarded(self.hessian[at], self.counts(o, c, i))
                self.hessian[at] = bend.scaled(scale)
                self.gradient[at] = self.gradient[at].scaled(scale)
                self.target_gradient[at] = self.target_gradient[at].scaled(scale)
        return Expected(
            self.loss,
            self.row_loss,
            self.gradient,
            self.hessian,
            self.target_gradient,
            total(self.row_loss).scaled(1 / divisor),
            len(rows),
            positives,
            len(places) - len(rows),
            weight,
            divisor,
        )


def total(parts: list[Sized]) -> Sized:
    return Sized(
        EXACT.fsum(part.value for part in parts), EXACT.fsum(part.size for part in parts)
    )


def match_costs(problem: Problem) -> list[Sized]:
    """outer x selected x inner: what it costs to match a row with each selected label."""
    evaluation = Evaluation(problem)
    return [
        forms.sigmoid_element(
            evaluation.logit(o, label, i), 0, evaluation.parameters(o, label, i)
        ).loss
        for o in range(evaluation.outer)
        for label in problem["labels"]
        for i in range(evaluation.inner)
    ]
