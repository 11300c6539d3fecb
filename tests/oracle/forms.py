"""Every form of the focal loss from its formula (docs/forms.md), in 100 digits.

A loss is a sum of terms, each a constant times a base to a power times a factor: (1 - p_t)^gamma
times the cross-entropy, and its relatives. From value and derivatives of base and factor the
product rule gives gradient, second derivative and target derivative, and with absolute values
the magnitude that the terms have before they cancel, which is the unit of an error. Nothing here
subtracts what is nearly equal. test_forms_oracle.py holds all of it to mpmath's own
differentiation of definitions.py, which has the formulas letter by letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from oracle import EXACT, probabilities, softplus

Real = Any
ZERO, ONE = EXACT.mpf(0), EXACT.mpf(1)

SIGMOID_FORMS = (
    "focal",
    "split",
    "scaled",
    "confidence",
    "quality",
    "varifocal",
    "star",
    "match",
)


@dataclass(frozen=True)
class Curve:
    """A function of the logit: value, two derivatives, the magnitudes of the derivatives' terms,
    and the derivative by the target with its magnitude."""

    value: Real
    first: Real = ZERO
    second: Real = ZERO
    first_size: Real = ZERO
    second_size: Real = ZERO
    by_target: Real = ZERO
    by_target_size: Real = ZERO


@dataclass(frozen=True)
class Term:
    """constant * base^power * factor; the constant may depend on the target."""

    constant: Real
    base: Curve
    power: Real
    factor: Curve
    constant_by_target: Real = ZERO


@dataclass(frozen=True)
class Sized:
    """An exact result and the sum of the magnitudes of its terms."""

    value: Real
    size: Real

    def scaled(self, by: Real) -> Sized:
        return Sized(self.value * by, self.size * abs(by))


@dataclass(frozen=True)
class Result:
    loss: Sized
    gradient: Sized
    hessian: Sized
    target_gradient: Sized


@dataclass(frozen=True)
class Parameters:
    """Of one sigmoid element. alpha is the pair (of target 1, of target 0)."""

    form: str = "focal"
    gamma: Real = 0
    gamma_negative: Real | None = None  # split and match; None: gamma
    alpha: tuple[Real, Real] = (1, 1)
    weight: Real = 1
    margin: Real = 0
    star_beta: Real = 0
    poly_epsilon: Real = 0
    smoothing: Real = 0
    smooth_cross_entropy: bool = False


def power(base: Real, exponent: Real) -> Real:
    """0^0 = 1, as a modulating factor of gamma 0 is none."""
    if exponent == 0:
        return ONE
    return ZERO if base == 0 else base**exponent


def term_result(term: Term) -> Result:
    g, m, b = term.power, term.base, term.factor
    f = power(m.value, g)
    # d m^g and d2 m^g; a base of 0 is a flat piece (margin) or a kink (quality): taken as 0.
    flat = m.value == 0 or g == 0
    f_by_m = ZERO if flat else g * m.value ** (g - 1)
    f_by_mm = ZERO if flat else g * (g - 1) * m.value ** (g - 2)
    f1, f1_size = f_by_m * m.first, f_by_m * m.first_size
    f2 = f_by_mm * m.first**2 + f_by_m * m.second
    f2_size = abs(f_by_mm) * m.first_size**2 + f_by_m * m.second_size
    constant, size = term.constant, abs(term.constant)
    loss = f * b.value
    by_target = (
        term.constant_by_target * loss,
        constant * f_by_m * m.by_target * b.value,
        constant * f * b.by_target,
    )
    by_target_size = (
        abs(by_target[0])
        + size * abs(f_by_m) * m.by_target_size * abs(b.value)
        + size * f * b.by_target_size
    )
    return Result(
        Sized(constant * loss, size * abs(loss)),
        Sized(
            constant * (f1 * b.value + f * b.first),
            size * (f1_size * abs(b.value) + f * b.first_size),
        ),
        Sized(
            constant * (f2 * b.value + 2 * f1 * b.first + f * b.second),
            size * (f2_size * abs(b.value) + 2 * f1_size * b.first_size + f * b.second_size),
        ),
        Sized(sum(by_target), by_target_size),
    )


def added(results: Sequence[Result]) -> Result:
    def total(name: str) -> Sized:
        parts = [getattr(result, name) for result in results]
        return Sized(
            EXACT.fsum(part.value for part in parts), EXACT.fsum(part.size for part in parts)
        )

    return Result(*(total(name) for name in Result.__dataclass_fields__))


# ---- Sigmoid ----


@dataclass(frozen=True)
class Decision:
    """One logit: p, 1 - p, and the derivatives of p."""

    x: Real
    p: Real = field(init=False)
    not_p: Real = field(init=False)
    slope: Real = field(init=False)
    bend: Real = field(init=False)

    def __post_init__(self) -> None:
        p, not_p = probabilities(EXACT, self.x)
        for name, value in (
            ("x", EXACT.mpf(self.x)),
            ("p", p),
            ("not_p", not_p),
            ("slope", p * not_p),
            ("bend", p * not_p * (not_p - p)),
        ):
            object.__setattr__(self, name, value)


def wrongness(d: Decision, t: Real) -> Curve:
    """q = 1 - p_t."""
    q = d.p * (1 - t) + d.not_p * t
    turn = 1 - 2 * t
    size = d.slope * abs(turn)
    return Curve(q, d.slope * turn, d.bend * turn, size, size, d.not_p - d.p, ONE)


def cross_entropy(d: Decision, t: Real) -> Curve:
    value = t * softplus(EXACT, -d.x) + (1 - t) * softplus(EXACT, d.x)
    rising, falling = d.p * (1 - t), d.not_p * t
    return Curve(value, rising - falling, d.slope, rising + falling, d.slope, -d.x, abs(d.x))


def scaled_base(d: Decision, t: Real) -> Curve:
    turn = 2 * t - 1
    m, not_m = probabilities(EXACT, -turn * d.x)
    return Curve(
        m,
        -turn * m * not_m,
        turn**2 * m * not_m * (not_m - m),
        abs(turn) * m * not_m,
        turn**2 * m * not_m,
        -2 * d.x * m * not_m,
        2 * abs(d.x) * m * not_m,
    )


def confidence_base(d: Decision, t: Real) -> Curve:
    bce = cross_entropy(d, t)
    rest = EXACT.exp(-bce.value)
    return Curve(
        -EXACT.expm1(-bce.value),
        rest * bce.first,
        rest * (bce.second - bce.first**2),
        rest * bce.first_size,
        rest * (bce.second_size + bce.first_size**2),
        -rest * d.x,
        rest * abs(d.x),
    )


def quality_base(d: Decision, t: Real) -> Curve:
    distance = d.p * (1 - t) - d.not_p * t
    sign = (distance > 0) - (distance < 0)
    return Curve(
        abs(distance),
        sign * d.slope,
        sign * d.bend,
        d.slope,
        d.slope,
        EXACT.mpf(-sign),
        ONE,
    )


CONSTANT = Curve(ONE)


def positive_term(d: Decision, constant: Real, gamma: Real, by_target: Real) -> Term:
    """constant (1-p)^gamma (-log p)."""
    base = Curve(d.not_p, -d.slope, -d.bend, d.slope, d.slope)
    factor = Curve(softplus(EXACT, -d.x), -d.not_p, d.slope, d.not_p, d.slope)
    return Term(constant, base, gamma, factor, by_target)


def negative_term(d: Decision, constant: Real, gamma: Real, by_target: Real, m: Real) -> Term:
    """constant p_m^gamma (-log(1-p_m)), p_m = max(p - m, 0)."""
    shifted = d.p - m
    if shifted <= 0:
        return Term(constant, Curve(ZERO), gamma, Curve(ZERO), by_target)
    base = Curve(shifted, d.slope, d.bend, d.slope, d.slope)
    if m == 0:
        factor = Curve(softplus(EXACT, d.x), d.p, d.slope, d.p, d.slope)
    else:
        rest = d.not_p + m
        steep = d.slope / rest
        curl = d.bend / rest + steep**2
        curl_size = d.slope / rest + steep**2
        factor = Curve(-EXACT.log1p(-shifted), steep, curl, steep, curl_size)
    return Term(constant, base, gamma, factor, by_target)


def star_term(d: Decision, t: Real, constant: Real, by_target: Real, q: Parameters) -> Term:
    """-log sigmoid(g y x + beta) / g with y = 2t - 1."""
    g, y = EXACT.mpf(q.gamma), 2 * t - 1
    p_star, not_star = probabilities(EXACT, g * y * d.x + q.star_beta)
    value = softplus(EXACT, -(g * y * d.x + q.star_beta)) / g
    bend = g * y**2 * p_star * not_star
    turn = -2 * d.x * not_star
    size = abs(y) * not_star
    factor = Curve(value, -y * not_star, bend, size, bend, turn, abs(turn))
    return Term(constant, CONSTANT, ZERO, factor, by_target)


def sigmoid_terms(logit: Real, target: Real, q: Parameters) -> tuple[list[Term], Real]:
    """The terms, by the target that they see, and d(that target)/d(target)."""
    d, t = Decision(logit), EXACT.mpf(target)
    s = EXACT.mpf(q.smoothing)
    smooth = t * (1 - s) + s / 2
    g = EXACT.mpf(q.gamma)
    g_negative = g if q.gamma_negative is None else EXACT.mpf(q.gamma_negative)
    a, b = EXACT.mpf(q.alpha[0]), EXACT.mpf(q.alpha[1])
    w, margin = EXACT.mpf(q.weight), EXACT.mpf(q.margin)
    if q.form == "match":
        return [
            positive_term(d, w * a, g, ZERO),
            negative_term(d, -w * b, g_negative, ZERO, margin),
        ], ZERO
    if q.form == "split":
        # The factors see no target: both kinds of smoothing are the same.
        return [
            positive_term(d, w * a * smooth, g, w * a * (1 - s)),
            negative_term(d, w * b * (1 - smooth), g_negative, -w * b * (1 - s), margin),
        ], ONE
    hard = t if q.smooth_cross_entropy else smooth
    hard_slope = ONE if q.smooth_cross_entropy else 1 - s
    constant = w * (a * hard + b * (1 - hard))
    by_target = w * (a - b) * hard_slope
    if q.form == "star":
        term = star_term(d, smooth, constant, by_target, q)
        return [with_slopes(term, ONE, 1 - s)], ONE
    factor = cross_entropy(d, smooth)
    if q.form == "varifocal":
        if hard > 0:
            term = Term(w * hard, CONSTANT, ZERO, factor, w * hard_slope)
        else:
            base = Curve(d.p, d.slope, d.bend, d.slope, d.slope)
            term = Term(w * b, base, g, factor)
        return [with_slopes(term, hard_slope, 1 - s)], ONE
    bases = {
        "focal": wrongness,
        "scaled": scaled_base,
        "confidence": confidence_base,
        "quality": quality_base,
    }
    base = bases[q.form](d, hard)
    terms = [Term(constant, base, g, factor, by_target)]
    if q.poly_epsilon:
        # Not times alpha, as in the published Poly-1.
        terms.append(Term(w * EXACT.mpf(q.poly_epsilon), base, g + 1, CONSTANT))
    return [with_slopes(term, hard_slope, 1 - s) for term in terms], ONE


def with_slopes(term: Term, base_slope: Real, factor_slope: Real) -> Term:
    """Base and factor see targets that change by these when the caller's target does."""

    def turned(curve: Curve, slope: Real) -> Curve:
        return Curve(
            curve.value,
            curve.first,
            curve.second,
            curve.first_size,
            curve.second_size,
            curve.by_target * slope,
            curve.by_target_size * slope,
        )

    return Term(
        term.constant,
        turned(term.base, base_slope),
        term.power,
        turned(term.factor, factor_slope),
        term.constant_by_target,
    )


def sigmoid_element(logit: Real, target: Real, parameters: Parameters) -> Result:
    terms, _ = sigmoid_terms(logit, target, parameters)
    return added([term_result(term) for term in terms])


# ---- Softmax ----


@dataclass(frozen=True)
class Row:
    """One softmax row: per class the target, gamma, alpha and the product of the weights."""

    logits: Sequence[Real]
    targets: Sequence[Real]
    gammas: Sequence[Real]
    alphas: Sequence[Real]
    weights: Sequence[Real]
    smoothing: Real = 0
    smooth_cross_entropy: bool = False
    label: int | None = None  # smooth_cross_entropy: whose p makes the modulating factor
    poly_epsilon: Real = 0


@dataclass(frozen=True)
class RowResult:
    loss: Sized
    gradient: list[Sized]
    hessian: list[Sized]
    target_gradient: list[Sized]
    variances: list[Real]  # p (1 - p)
    slope: Real  # what the gradient has as a factor: sum of w_c t_c |p f'(p)|


@dataclass(frozen=True)
class ClassTerm:
    """f(p) = alpha (1-p)^g (-log p) + epsilon (1-p)^(g+1), with p f' and p^2 f'' + p f', which are
    its derivatives by log p, and the magnitudes of their terms."""

    value: Real
    size: Real
    slope: Real
    slope_size: Real
    curvature: Real
    curvature_size: Real


def class_term(p: Real, not_p: Real, minus_log: Real, row: Row, c: int) -> ClassTerm:
    g, alpha, epsilon = (EXACT.mpf(v) for v in (row.gammas[c], row.alphas[c], row.poly_epsilon))
    if not_p == 0 or p == 0:  # a row of one class, or a masked class, which has no target
        return ClassTerm(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    f = power(not_p, g)
    main, extra = alpha * f * minus_log, epsilon * f * not_p
    # Derivatives of (1-p)^g by p, without their signs.
    f1, f2 = g * f / not_p, g * (g - 1) * f / not_p**2
    h1, h2 = (g + 1) * f, (g + 1) * g * f / not_p
    slopes = (-alpha * f1 * p * minus_log, -alpha * f, -epsilon * h1 * p)
    curves = (
        alpha * f2 * p**2 * minus_log,
        -alpha * f1 * p * minus_log,
        2 * alpha * f1 * p,
        epsilon * h2 * p**2,
        -epsilon * h1 * p,
    )
    return ClassTerm(
        main + extra,
        main + abs(extra),
        sum(slopes),
        sum(abs(part) for part in slopes),
        sum(curves),
        sum(abs(part) for part in curves),
    )


def row_shares(logits: Sequence[Real]) -> tuple[list[Real], list[Real], list[Real]]:
    """p_c, 1 - p_c and -log p_c."""
    z = [EXACT.mpf(value) for value in logits]
    top = max(range(len(z)), key=lambda c: z[c])
    weights = [EXACT.exp(value - z[top]) for value in z]
    total = EXACT.fsum(weights)
    rest = [EXACT.fsum(w for k, w in enumerate(weights) if k != c) for c in range(len(z))]
    log_total = EXACT.log1p(rest[top])
    return (
        [w / total for w in weights],
        [others / total for others in rest],
        [log_total + (z[top] - value) for value in z],
    )


def softmax_row(row: Row) -> RowResult:
    if row.smooth_cross_entropy:
        return smoothed_row(row)
    p, not_p, minus_log = row_shares(row.logits)
    n = len(p)
    s = EXACT.mpf(row.smoothing)
    targets = [EXACT.mpf(t) * (1 - s) + s / n for t in row.targets]
    amounts = [EXACT.mpf(w) * t for w, t in zip(row.weights, targets)]
    terms = [class_term(p[c], not_p[c], minus_log[c], row, c) for c in range(n)]
    slopes = [v * f.slope for v, f in zip(amounts, terms)]
    slope_sizes = [v * f.slope_size for v, f in zip(amounts, terms)]
    gradient, hessian = [], []
    for k in range(n):
        toward = [not_p[k] if c == k else -p[k] for c in range(n)]  # d log p_c / d z_k
        gradient.append(
            Sized(
                EXACT.fsum(b * u for b, u in zip(slopes, toward)),
                EXACT.fsum(b * abs(u) for b, u in zip(slope_sizes, toward)),
            )
        )
        bend = p[k] * not_p[k]
        hessian.append(
            Sized(
                EXACT.fsum(
                    v * f.curvature * u**2 for v, f, u in zip(amounts, terms, toward)
                )
                - bend * EXACT.fsum(slopes),
                EXACT.fsum(
                    v * f.curvature_size * u**2 for v, f, u in zip(amounts, terms, toward)
                )
                + bend * EXACT.fsum(slope_sizes),
            )
        )
    loss = Sized(
        EXACT.fsum(v * f.value for v, f in zip(amounts, terms)),
        EXACT.fsum(v * f.size for v, f in zip(amounts, terms)),
    )
    by_target = [
        Sized(f.value, f.size).scaled(EXACT.mpf(w) * (1 - s)) for w, f in zip(row.weights, terms)
    ]
    variances = [a * b for a, b in zip(p, not_p)]
    return RowResult(loss, gradient, hessian, by_target, variances, -EXACT.fsum(slopes))


def smoothed_row(row: Row) -> RowResult:
    """w [alpha (1-p_t)^g sum_c t'_c (-log p_c) + epsilon (1-p_t)^(g+1)], t' the smoothed label."""
    p, not_p, minus_log = row_shares(row.logits)
    n, label = len(p), row.label
    assert label is not None
    s, epsilon = EXACT.mpf(row.smoothing), EXACT.mpf(row.poly_epsilon)
    smooth = [(1 - s) * (c == label) + s / n for c in range(n)]
    g, w = EXACT.mpf(row.gammas[label]), EXACT.mpf(row.weights[label])
    alpha = EXACT.mpf(row.alphas[label])
    value = EXACT.fsum(t * u for t, u in zip(smooth, minus_log))
    q, p_t = not_p[label], p[label]
    gradient, hessian = [], []
    loss = None
    for k in range(n):
        own = k == label
        toward = q if own else -p[k]
        # d q / d z_k = -p_t (delta - p_k), and once more.
        first = -p_t * toward
        second = -p_t * (toward**2 - p[k] * not_p[k])
        second_size = p_t * (toward**2 + p[k] * not_p[k])
        base = Curve(q, first, second, abs(first), second_size)
        slope = p[k] * (1 - smooth[k]) - not_p[k] * smooth[k]
        slope_size = p[k] * (1 - smooth[k]) + not_p[k] * smooth[k]
        bend = p[k] * not_p[k]
        factor = Curve(value, slope, bend, slope_size, bend)
        result = added(
            [
                term_result(Term(w * alpha, base, g, factor)),
                term_result(Term(w * epsilon, base, g + 1, CONSTANT)),
            ]
        )
        loss = result.loss
        gradient.append(result.gradient)
        hessian.append(result.hessian)
    assert loss is not None
    nothing = [Sized(ZERO, ZERO)] * n
    variances = [a * b for a, b in zip(p, not_p)]
    return RowResult(loss, gradient, hessian, nothing, variances, ZERO)
