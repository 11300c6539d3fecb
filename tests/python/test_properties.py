"""Properties over generated problems, with mpmath as the judge and PyTorch as the peer."""

from __future__ import annotations

import math
from typing import Any

import focal
import numpy as np
import oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn import functional

GAMMAS = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0]), st.floats(0, 10))
ALPHAS = st.one_of(st.none(), st.floats(0, 1))
TIERS = st.sampled_from(["fast", "accurate", "sleef"])
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=20)
# Whole machine words between these are what trained and untrained models produce; the rest is extreme.
LOGITS = st.one_of(st.floats(-20, 20, width=32), st.floats(-90, 90, width=32))
ROWS_WITH_FMA = [i["name"] for i in focal.info()["isa"] if i["usable"] and i["name"] != "scalar"]
SMALLEST = 2.0**-126


@st.composite
def sigmoid_problems(draw: Any) -> dict[str, Any]:
    shape = draw(SHAPES)
    logits = draw(hnp.arrays(np.float32, shape, elements=LOGITS))
    kind = draw(st.sampled_from(["hard", "soft", "bool", "u8", "labels"]))
    if kind == "labels" and len(shape) > 1:
        dtype = draw(st.sampled_from([np.uint8, np.int32, np.int64]))
        targets = draw(hnp.arrays(dtype, shape[:-1], elements=st.integers(0, shape[-1] - 1)))
        dense = np.eye(shape[-1], dtype=np.float32)[targets]
    elif kind == "soft":
        targets = dense = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    else:
        bits = draw(hnp.arrays(bool, shape))
        dense = bits.astype(np.float32)
        targets = {"bool": bits, "u8": bits.astype(np.uint8)}.get(kind, dense)
    return {"logits": logits, "targets": targets, "dense": dense}


@st.composite
def softmax_problems(draw: Any) -> dict[str, Any]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=20))
    logits = draw(hnp.arrays(np.float32, shape, elements=LOGITS))
    dtype = draw(st.sampled_from([np.uint8, np.int32, np.int64]))
    labels = draw(hnp.arrays(dtype, shape[:-1], elements=st.integers(0, shape[-1] - 1)))
    return {"logits": logits, "labels": labels}


def close(result: float, exact: Any, ulps: float = 16) -> bool:
    """Within so many units in the last place where the exact result is normal, else nearly so."""
    exact = float(exact)
    return abs(result - exact) <= ulps * 2.0**-23 * max(abs(exact), SMALLEST)


@given(sigmoid_problems(), GAMMAS, ALPHAS, TIERS)
def test_sigmoid_is_exact(problem: dict[str, Any], gamma: float, alpha: float | None, tier: str) -> None:
    loss, gradient = focal.sigmoid_focal_loss_with_grad(
        problem["logits"], problem["targets"], gamma=gamma, alpha=alpha, tier=tier
    )
    for index in list(np.ndindex(loss.shape))[:40]:
        x, t = float(problem["logits"][index]), float(problem["dense"][index])
        assert close(loss[index], oracle.sigmoid_loss(x, t, gamma, alpha)), (x, t)
        exact = oracle.sigmoid_gradient(x, t, gamma, alpha)
        if t in (0.0, 1.0):
            assert close(gradient[index], exact), (x, t)
        else:  # the two terms of a soft target's gradient may cancel
            scale = max(
                abs(float(exact)), oracle.nearest_double(oracle.sigmoid_loss(x, t, gamma, alpha)), SMALLEST
            )
            assert abs(gradient[index] - float(exact)) <= 1e-5 * max(scale, 1.0), (x, t)


@given(softmax_problems(), GAMMAS, ALPHAS, TIERS)
def test_softmax_is_exact(problem: dict[str, Any], gamma: float, alpha: float | None, tier: str) -> None:
    logits, labels = problem["logits"], problem["labels"]
    loss, gradient = focal.softmax_focal_loss_with_grad(logits, labels, gamma=gamma, alpha=alpha, tier=tier)
    for index in list(np.ndindex(labels.shape))[:5]:
        row, label = logits[index].tolist(), int(labels[index])
        assert close(loss[index], oracle.softmax_loss(row, label, gamma, alpha), 64)
        for got, exact in zip(
            gradient[index], oracle.softmax_gradient(row, label, gamma, alpha), strict=True
        ):
            assert close(got, exact, 64)


@given(sigmoid_problems(), ALPHAS)
def test_gamma_0_is_binary_cross_entropy(problem: dict[str, Any], alpha: float | None) -> None:
    logits = torch.from_numpy(problem["logits"]).requires_grad_()
    targets = torch.from_numpy(problem["dense"].copy())
    peer = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if alpha is not None:
        peer = peer * (alpha * targets + (1 - alpha) * (1 - targets))
    loss, gradient = focal.sigmoid_focal_loss_with_grad(
        problem["logits"], problem["targets"], gamma=0, alpha=alpha
    )
    np.testing.assert_allclose(loss, peer.detach().numpy(), rtol=1e-5, atol=1e-5)
    peer.sum().backward()
    np.testing.assert_allclose(gradient, logits.grad.numpy(), rtol=1e-5, atol=1e-5)


@given(softmax_problems())
def test_gamma_0_is_cross_entropy(problem: dict[str, Any]) -> None:
    classes = problem["logits"].shape[-1]
    logits = torch.from_numpy(problem["logits"].reshape(-1, classes)).requires_grad_()
    labels = torch.from_numpy(problem["labels"].reshape(-1).astype(np.int64))
    peer = functional.cross_entropy(logits, labels, reduction="none")
    loss, gradient = focal.softmax_focal_loss_with_grad(problem["logits"], problem["labels"], gamma=0)
    np.testing.assert_allclose(loss.reshape(-1), peer.detach().numpy(), rtol=1e-5, atol=1e-5)
    peer.sum().backward()
    np.testing.assert_allclose(gradient.reshape(-1, classes), logits.grad.numpy(), rtol=1e-5, atol=1e-5)


@given(
    sigmoid_problems(), GAMMAS, ALPHAS, TIERS, st.integers(1, 4), st.sampled_from([16, 32]), st.integers(1, 3)
)
def test_sigmoid_has_one_answer(
    problem: dict[str, Any],
    gamma: float,
    alpha: float | None,
    tier: str,
    threads: int,
    unroll: int,
    grain: int,
) -> None:
    """The same bits by every row, unroll, grain and thread count; tiled to have something to split."""
    logits = np.tile(problem["logits"].reshape(1, -1), (math.ceil(9000 / problem["logits"].size), 1))
    targets = np.tile(problem["dense"].reshape(1, -1), (logits.shape[0], 1))
    keywords: dict[str, Any] = {"gamma": gamma, "tier": tier, "outputs": ("sum", "loss", "gradient")}
    if alpha is not None:
        keywords.update(alpha_mode="scalar", alpha=alpha)
    reference = None
    for isa in ROWS_WITH_FMA:
        for how in ({}, {"unroll": unroll, "grain": grain}):
            plan = focal.Plan(outer=logits.shape[0], classes=logits.shape[1], isa=isa, **how, **keywords)
            loss, gradient = np.empty_like(logits), np.empty_like(logits)
            sums = plan.execute(
                logits=logits, targets=targets, loss=loss, gradient=gradient, threads=threads if how else 1
            )
            result = sums.loss, loss.tobytes(), gradient.tobytes()
            reference = reference or result
            assert result == reference, (isa, how)


@given(softmax_problems(), GAMMAS, TIERS, st.integers(1, 4))
def test_softmax_has_one_answer(problem: dict[str, Any], gamma: float, tier: str, threads: int) -> None:
    classes = problem["logits"].shape[-1]
    repeats = math.ceil(9000 / problem["logits"].size)
    logits = np.tile(problem["logits"].reshape(-1, classes), (repeats, 1))
    labels = np.tile(problem["labels"].reshape(-1), repeats)
    results = []
    for isa in ROWS_WITH_FMA:
        loss, gradient = focal.softmax_focal_loss_with_grad(
            logits,
            labels,
            gamma=gamma,
            tier=tier,
            isa=isa,
            threads=threads if results else 1,
            reduction="sum",
        )
        results.append((loss, gradient.tobytes()))
    assert len(set(results)) == 1


@given(sigmoid_problems(), GAMMAS)
def test_layout_does_not_matter(problem: dict[str, Any], gamma: float) -> None:
    logits, dense = problem["logits"], problem["dense"]
    expected = focal.sigmoid_focal_loss(logits, dense, gamma=gamma).tobytes()
    wide = np.full((*logits.shape[:-1], logits.shape[-1] + 3), np.nan, np.float32)
    wide[..., 1:-2] = logits
    for view in (wide[..., 1:-2], np.asfortranarray(logits), np.flip(np.flip(logits).copy())):
        assert focal.sigmoid_focal_loss(view, dense, gamma=gamma).tobytes() == expected


def laid_out(draw: Any, values: np.ndarray) -> np.ndarray:
    """The values in a view of any strides: dimensions in any order, with gaps, backwards, repeated."""
    order = range(values.ndim) if draw(st.booleans()) else draw(st.permutations(range(values.ndim)))
    places, sides = [], []
    for size in (values.shape[d] for d in order):
        step, before, after = draw(
            st.sampled_from([(1, 0, 0), (1, 0, 0), (1, 0, 1), (1, 1, 2), (1, 0, 3), (2, 0, 0), (-1, 1, 0)])
        )
        stop = before + abs(step) * size
        places.append(slice(before, stop, step) if step > 0 else slice(stop - 1, before - 1, step))
        sides.append(stop + after)
    other = np.nan if values.dtype.kind == "f" else 100
    view = np.full(sides, other, np.float64).astype(values.dtype)[(*places, ...)].transpose(np.argsort(order))
    view[...] = values
    for d, size in enumerate(values.shape):
        first = view[(*[slice(None)] * d, slice(1))]
        if size > 1 and (values == first).all() and draw(st.booleans()):
            view = np.broadcast_to(first, values.shape)
    return view


@settings(max_examples=400)
@given(st.data(), st.sampled_from(["sigmoid", "softmax"]), st.sampled_from(["none", "rows", "sum", "mean"]))
def test_views_of_any_strides(data: Any, op: str, reduction: str) -> None:
    """Logits and targets where they lie give what their contiguous copies give, whatever the strides."""
    outer = data.draw(st.lists(st.integers(1, 4), max_size=2))
    shape = (
        *outer,
        data.draw(st.integers(1, 4)),
        *data.draw(st.sampled_from([(), (1,), (1, 1), (3,), (2, 1)])),
    )
    axis = len(outer) - data.draw(st.sampled_from([0, len(shape)]))
    dtype = data.draw(st.sampled_from([np.float32, np.float64, np.float16]))
    generator = np.random.default_rng(data.draw(st.integers(0, 9)))
    logits = generator.standard_normal(shape).astype(dtype)
    repeated = data.draw(st.integers(0, len(shape)))
    if repeated < len(shape):
        logits[...] = logits.take([0], repeated)
    kind = data.draw(st.sampled_from(["f4", "f8", "u1", "i4", "i8", "bits"][: 6 if op == "sigmoid" else 5]))
    if kind == "bits":
        targets = generator.integers(0, 2, shape).astype(bool)
    elif kind[0] == "f":
        targets = generator.random(shape).astype(kind)
    else:
        targets = np.asarray(generator.integers(0, shape[axis], np.delete(shape, axis)), kind)
    loss = getattr(focal, f"{op}_focal_loss_with_grad")
    expected = loss(logits, targets, axis=axis, reduction=reduction)
    found = loss(laid_out(data.draw, logits), laid_out(data.draw, targets), axis=axis, reduction=reduction)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.shape(one) == np.shape(other)


@given(
    st.integers(1, 6),
    st.integers(1, 30),
    GAMMAS,
    st.sampled_from([float("inf"), -float("inf"), 3e38, -3e38, 1e-45]),
)
def test_extremes_stay_alone(rows: int, classes: int, gamma: float, extreme: float) -> None:
    """A gradient is finite for every logit that is no NaN, and a NaN stays where it is."""
    logits = np.linspace(-5, 5, rows * classes, dtype=np.float32).reshape(rows, classes)
    logits[0, 0] = extreme
    for targets in (np.zeros_like(logits), np.ones_like(logits)):
        _, gradient = focal.sigmoid_focal_loss_with_grad(logits, targets, gamma=gamma)
        assert np.isfinite(gradient).all()
        broken = logits.copy()
        broken[0, 0] = np.nan
        loss, gradient = focal.sigmoid_focal_loss_with_grad(broken, targets, gamma=gamma)
        assert np.isnan(loss).sum() == np.isnan(gradient).sum() == 1


@pytest.mark.parametrize("gamma", [0.0, 0.25, 0.5, 1.0, 2.0])
def test_gradient_is_finite_where_torchvision_has_none(gamma: float) -> None:
    logits = np.linspace(-100, 100, 4001, dtype=np.float32)
    for target in (0.0, 1.0):
        targets = np.full_like(logits, target)
        assert np.isfinite(focal.sigmoid_focal_loss_with_grad(logits, targets, gamma=gamma)[1]).all()
