"""The formulas of docs/forms.md letter by letter, with the cancellation that they have.

In so many digits that it does not matter, so that mpmath can differentiate them numerically:
the judge of forms.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forms import Parameters, Row
from oracle import EXACT

Real = Any

WIDE = EXACT.clone()
WIDE.dps = 400


def sigmoid(x: Real) -> Real:
    return 1 / (1 + WIDE.exp(-x))


def sigmoid_loss(x: Real, t: Real, q: Parameters) -> Real:
    x, t = WIDE.mpf(x), WIDE.mpf(t)
    g, s, w = WIDE.mpf(q.gamma), WIDE.mpf(q.smoothing), WIDE.mpf(q.weight)
    g_negative = g if q.gamma_negative is None else WIDE.mpf(q.gamma_negative)
    a, b = WIDE.mpf(q.alpha[0]), WIDE.mpf(q.alpha[1])
    p = sigmoid(x)
    p_m = max(p - WIDE.mpf(q.margin), WIDE.mpf(0))
    positive = (1 - p) ** g * -WIDE.log(p)
    negative = (p_m**g_negative if p_m or g_negative else 1) * -WIDE.log(1 - p_m)
    if q.form == "match":
        return w * (a * positive - b * negative)
    smooth = t * (1 - s) + s / 2
    hard = t if q.smooth_cross_entropy else smooth
    bce = WIDE.log(1 + WIDE.exp(x)) - x * smooth
    alpha_t = a * hard + b * (1 - hard)
    if q.form == "focal":
        p_t = p * hard + (1 - p) * (1 - hard)
        poly = WIDE.mpf(q.poly_epsilon) * (1 - p_t) ** (g + 1)
        return w * (alpha_t * (1 - p_t) ** g * bce + poly)
    if q.form == "split":
        return w * (a * smooth * positive + b * (1 - smooth) * negative)
    if q.form == "scaled":
        return w * alpha_t * sigmoid(-x * (2 * hard - 1)) ** g * bce
    if q.form == "confidence":
        entropy = WIDE.log(1 + WIDE.exp(x)) - x * hard
        return w * alpha_t * (1 - WIDE.exp(-entropy)) ** g * bce
    if q.form == "quality":
        return w * alpha_t * abs(hard - p) ** g * bce
    if q.form == "varifocal":
        return w * (hard * bce if hard > 0 else b * p**g * bce)
    assert q.form == "star"
    return w * alpha_t * -WIDE.log(sigmoid(g * (2 * smooth - 1) * x + q.star_beta)) / g


def softmax_loss(logits: list[Real], targets: list[Real], row: Row) -> Real:
    exponentials = [WIDE.exp(WIDE.mpf(z)) for z in logits]
    p = [e / WIDE.fsum(exponentials) for e in exponentials]
    s, n, epsilon = WIDE.mpf(row.smoothing), len(p), WIDE.mpf(row.poly_epsilon)
    if row.smooth_cross_entropy:
        y = row.label
        assert y is not None
        entropy = WIDE.fsum(
            ((1 - s) * (c == y) + s / n) * -WIDE.log(p[c]) for c in range(n)
        )
        g = WIDE.mpf(row.gammas[y])
        main = WIDE.mpf(row.alphas[y]) * (1 - p[y]) ** g * entropy
        return WIDE.mpf(row.weights[y]) * (main + epsilon * (1 - p[y]) ** (g + 1))
    total = WIDE.mpf(0)
    for c in range(n):
        t = WIDE.mpf(targets[c]) * (1 - s) + s / n
        g = WIDE.mpf(row.gammas[c])
        main = WIDE.mpf(row.alphas[c]) * (1 - p[c]) ** g * -WIDE.log(p[c])
        total += WIDE.mpf(row.weights[c]) * t * (main + epsilon * (1 - p[c]) ** (g + 1))
    return total


def derivative(f: Callable[[Real], Real], at: Real, order: int = 1, step: int = -60) -> Real:
    """Central difference with the step 10^step: right to about 10^(2 step), relatively."""
    h = WIDE.mpf(10) ** step
    x = WIDE.mpf(at)
    if order == 1:
        return (f(x + h) - f(x - h)) / (2 * h)
    return (f(x + h) - 2 * f(x) + f(x - h)) / h**2
