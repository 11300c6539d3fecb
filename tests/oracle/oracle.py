"""Focal loss and its gradient from the formulas of Lin et al. 2017 (arXiv 1708.02002).

Each function takes a context: EXACT (mpmath, 100 digits) or DOUBLE (plain floats, some 5e-15
relative, underflowing where doubles do; quick, for property tests). Arguments are finite
Python floats or mpmath numbers; alpha None means off. The forms used here avoid cancellation;
the paper's own, which cancel and need hundreds of digits, stand in test_oracle.py as the
independent check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import mpmath

EXACT = mpmath.mp.clone()
EXACT.dps = 100
# Not mpmath.fp: its log1p rounds 1 + x first.
DOUBLE = SimpleNamespace(mpf=float, exp=math.exp, log1p=math.log1p, tanh=math.tanh)

Real = Any


def probabilities(ctx: Any, logit: Real) -> tuple[Real, Real]:
    """p = 1 / (1 + exp(-x)) and 1 - p, each to full relative accuracy."""
    x = ctx.mpf(logit)
    e = ctx.exp(-abs(x))
    larger, smaller = 1 / (1 + e), e / (1 + e)
    return (larger, smaller) if x >= 0 else (smaller, larger)


def softplus(ctx: Any, x: Real) -> Real:
    """log(1 + exp(x))."""
    x = ctx.mpf(x)
    return max(x, ctx.mpf(0)) + ctx.log1p(ctx.exp(-abs(x)))


def sigmoid_parts(ctx: Any, logit: Real, target: Real) -> tuple[Real, Real]:
    """q = 1 - p_t and the binary cross entropy; sums of terms of one sign, so nothing cancels."""
    x, t = ctx.mpf(logit), ctx.mpf(target)
    p, not_p = probabilities(ctx, x)
    q = p * (1 - t) + not_p * t
    cross_entropy = t * softplus(ctx, -x) + (1 - t) * softplus(ctx, x)
    return q, cross_entropy


def alpha_weight(ctx: Any, alpha: Real | None, target: Real) -> Real:
    """alpha_t = alpha t + (1 - alpha)(1 - t), or one when alpha is off."""
    if alpha is None:
        return ctx.mpf(1)
    a, t = ctx.mpf(alpha), ctx.mpf(target)
    return a * t + (1 - a) * (1 - t)


def sigmoid_loss(
    logit: Real, target: Real, gamma: Real, alpha: Real | None = None, ctx: Any = EXACT
) -> Real:
    """alpha_t (1 - p_t)^gamma BCE(x, t); soft targets are interpolated as torchvision does."""
    q, cross_entropy = sigmoid_parts(ctx, logit, target)
    return alpha_weight(ctx, alpha, target) * q ** ctx.mpf(gamma) * cross_entropy


def sigmoid_gradient(
    logit: Real, target: Real, gamma: Real, alpha: Real | None = None, ctx: Any = EXACT
) -> Real:
    """d loss / d logit.

    dBCE/dx = p - t and dq/dx = (1 - 2t) p (1-p), so the gradient is
    alpha_t q^gamma ((p - t) + gamma BCE (1 - 2t) p (1-p) / q).
    """
    x, t, g = ctx.mpf(logit), ctx.mpf(target), ctx.mpf(gamma)
    p, not_p = probabilities(ctx, x)
    q, cross_entropy = sigmoid_parts(ctx, x, t)
    # p - t, in the form that keeps small differences for this t.
    if t > 0.75:
        residual = (1 - t) - not_p
    elif t < 0.25:
        residual = p - t
    else:
        residual = (ctx.mpf(0.5) - t) + ctx.tanh(x / 2) / 2
    # p (1-p) / q, which is p_t for hard targets; q itself may underflow in DOUBLE.
    if t == 0:
        slope = not_p
    elif t == 1:
        slope = p
    else:
        slope = p * not_p / q
    weight = alpha_weight(ctx, alpha, t)
    return weight * q**g * (residual + g * cross_entropy * (1 - 2 * t) * slope)


def softmax_parts(ctx: Any, logits: Sequence[Real], label: int) -> tuple[Real, Real, list[Real]]:
    """-log p_t, 1 - p_t, and for each class its share of 1 - p_t (the label's own share is 0)."""
    z = [ctx.mpf(value) for value in logits]
    if not 0 <= label < len(z):
        raise ValueError(f"label: {label} is outside 0..{len(z) - 1}")
    top = max(range(len(z)), key=lambda index: z[index])
    exponentials = [ctx.exp(value - z[top]) for value in z]
    beside_top = sum((e for index, e in enumerate(exponentials) if index != top), ctx.mpf(0))
    negative_log = ctx.log1p(beside_top) + (z[top] - z[label])
    others = sum((e for index, e in enumerate(exponentials) if index != label), ctx.mpf(0))
    q = others / (others + exponentials[label])
    shares = [e / others if others else ctx.mpf(0) for e in exponentials]
    shares[label] = ctx.mpf(0)
    return negative_log, q, shares


def softmax_loss(
    logits: Sequence[Real],
    label: int,
    gamma: Real,
    alpha: Real | None = None,
    ctx: Any = EXACT,
) -> Real:
    """alpha (1 - p_t)^gamma (-log p_t); a scalar alpha multiplies every row alike."""
    negative_log, q, _ = softmax_parts(ctx, logits, label)
    weight = ctx.mpf(1 if alpha is None else alpha)
    return weight * q ** ctx.mpf(gamma) * negative_log


def softmax_gradient(
    logits: Sequence[Real],
    label: int,
    gamma: Real,
    alpha: Real | None = None,
    ctx: Any = EXACT,
) -> list[Real]:
    """d loss / d logits.

    With s = alpha q^gamma (q + gamma p_t (-log p_t)): -s for the label's logit, and s times
    p_c / (1 - p_t) for every other one; the sum over the row is zero.
    """
    negative_log, q, shares = softmax_parts(ctx, logits, label)
    g = ctx.mpf(gamma)
    weight = ctx.mpf(1 if alpha is None else alpha)
    p_t = ctx.exp(-negative_log)
    scale = weight * q**g * (q + g * p_t * negative_log)
    gradient = [scale * share for share in shares]
    gradient[label] = -scale
    return gradient


def nearest_double(value: Real) -> float:
    """The exact value rounded once to the nearest double, ties to even, subnormals included."""
    value = EXACT.mpf(value)
    if value == 0:
        return 0.0
    if not EXACT.isfinite(value):
        raise ValueError(f"value: {value} is not finite")
    # mpmath keeps the sign apart from the mantissa.
    mantissa, exponent = int(value.man), int(value.exp)
    if value < 0:
        mantissa = -mantissa
    if mantissa.bit_length() + exponent < -1100:
        return -0.0 if mantissa < 0 else 0.0
    # Division of integers is rounded correctly in Python, also into the subnormal range.
    if exponent < 0:
        return mantissa / (1 << -exponent)
    return float(mantissa << exponent)
