"""The package focal with NumPy: arguments, layouts, memory, threads, errors."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import focal
import numpy as np
import oracle
import pytest


@pytest.fixture
def logits() -> np.ndarray:
    return (3 * np.random.default_rng(1).standard_normal((6, 5))).astype(np.float32)


@pytest.fixture
def targets() -> np.ndarray:
    return (np.random.default_rng(2).random((6, 5)) < 0.3).astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 5, 6)


def test_readme_example() -> None:
    logits = np.array([[2.0, -1.0, 0.5, -3.0]], np.float32)
    targets = np.array([[1, 0, 0, 1]], np.float32)
    loss, gradient = focal.sigmoid_focal_loss_with_grad(logits, targets, reduction="sum")
    assert f"{loss:.6f}" == "0.992073"
    assert [f"{g:.6f}" for g in gradient[0]] == ["-0.001218", "0.039436", "0.394614", "-0.281687"]


@pytest.mark.parametrize("tier", ["default", "fast", "accurate", "sleef"])
def test_against_the_oracle(logits: np.ndarray, targets: np.ndarray, labels: np.ndarray, tier: str) -> None:
    loss, gradient = focal.sigmoid_focal_loss_with_grad(logits, targets, alpha=0.3, gamma=1.5, tier=tier)
    for index in np.ndindex(logits.shape):
        arguments = float(logits[index]), float(targets[index]), 1.5, 0.3
        assert loss[index] == pytest.approx(float(oracle.sigmoid_loss(*arguments)), rel=1e-6)
        assert gradient[index] == pytest.approx(float(oracle.sigmoid_gradient(*arguments)), rel=1e-6)
    loss, gradient = focal.softmax_focal_loss_with_grad(logits, labels, gamma=1.5, tier=tier)
    for row, label, value, slope in zip(logits.tolist(), labels.tolist(), loss, gradient, strict=True):
        assert value == pytest.approx(float(oracle.softmax_loss(row, label, 1.5)), rel=1e-6)
        exact = [float(g) for g in oracle.softmax_gradient(row, label, 1.5)]
        assert slope.tolist() == pytest.approx(exact, rel=1e-6)


def test_reductions(logits: np.ndarray, targets: np.ndarray, labels: np.ndarray) -> None:
    none = focal.sigmoid_focal_loss(logits, targets)
    assert none.shape == logits.shape and none.dtype == np.float32
    rows = focal.sigmoid_focal_loss(logits, targets, reduction="rows")
    np.testing.assert_allclose(rows, none.sum(1), rtol=1e-6)
    total = focal.sigmoid_focal_loss(logits, targets, reduction="sum")
    assert total == pytest.approx(none.sum(dtype=float), rel=1e-6)
    assert focal.sigmoid_focal_loss(logits, targets, reduction="mean") == total / 30
    none = focal.softmax_focal_loss(logits, labels)
    assert none.shape == (6,)
    total = focal.softmax_focal_loss(logits, labels, reduction="sum")
    assert total == pytest.approx(none.sum(dtype=float), rel=1e-6)
    assert focal.softmax_focal_loss(logits, labels, reduction="mean") == total / 6


def test_gradient_of_the_mean(logits: np.ndarray, targets: np.ndarray) -> None:
    _, plain = focal.sigmoid_focal_loss_with_grad(logits, targets, reduction="sum")
    _, mean = focal.sigmoid_focal_loss_with_grad(logits, targets, reduction="mean", upstream=3.0)
    np.testing.assert_allclose(mean, plain * (3.0 / 30), rtol=1e-6)


def test_kinds_of_targets(logits: np.ndarray, labels: np.ndarray) -> None:
    dense = np.eye(5, dtype=np.float32)[labels]
    expected = focal.sigmoid_focal_loss(logits, dense)
    for targets in (
        dense.astype(bool),
        dense.astype(np.uint8),
        labels,
        labels.astype(np.int32),
        labels.astype("u1"),
    ):
        np.testing.assert_array_equal(focal.sigmoid_focal_loss(logits, targets), expected)
    labels[2] = -1
    dense[2] = 0
    loss = focal.sigmoid_focal_loss(logits, labels, background=-1)
    np.testing.assert_array_equal(loss, focal.sigmoid_focal_loss(logits, dense))


def test_layouts(logits: np.ndarray, targets: np.ndarray, labels: np.ndarray) -> None:
    expected = focal.sigmoid_focal_loss_with_grad(logits, targets)
    wide = np.full((12, 9), np.nan, np.float32)
    wide[::2, 2:7] = logits
    views = [wide[::2, 2:7], np.asfortranarray(logits), np.ascontiguousarray(logits[::-1])[::-1]]
    for view in views:
        assert not view.flags.c_contiguous
        for got, wanted in zip(focal.sigmoid_focal_loss_with_grad(view, targets), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(
            focal.softmax_focal_loss(view, np.repeat(labels, 2)[::2]),
            focal.softmax_focal_loss(logits, labels),
        )
    cube = logits.reshape(2, 3, 5)
    loss = focal.sigmoid_focal_loss(cube, targets.reshape(2, 3, 5))
    np.testing.assert_array_equal(loss.reshape(6, 5), expected[0])


@pytest.mark.parametrize("loss", [focal.sigmoid_focal_loss_with_grad, focal.softmax_focal_loss_with_grad])
def test_strides_of_one_element_mean_nothing(loss: Callable[..., Any]) -> None:
    """Behind the classes, before them and as the only class; and rows repeated by a stride of 0."""
    wide = np.random.default_rng(8).standard_normal((5, 3, 4)).astype(np.float32)
    views = [(wide[..., :1], 1), (wide[:, :1], 2), (wide[:, :, :1], 2), (wide[:1], 1), (wide[:, :1, :1], 0)]
    views.append((np.broadcast_to(wide[:, :1], wide.shape), 2))
    for view, axis in views:
        rows = np.delete(view.shape, axis)
        given = [np.zeros(rows, np.int64), (view > 0).astype(np.float32)]
        spread = np.zeros((*view.shape[:-1], 7), np.float32)[..., : view.shape[-1]]
        spread[...] = given[1]
        for targets in (*given, spread):
            expected = loss(view.copy(), targets.copy(), axis=axis)
            for one, other in zip(loss(view, targets, axis=axis), expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_shapes_at_the_edge() -> None:
    scalar = np.float32(1.5)
    column = np.array([1.5, 1.5], np.float32)
    one = focal.sigmoid_focal_loss(scalar, np.float32(1))
    assert one.shape == () and focal.sigmoid_focal_loss(column, np.ones(2, np.float32))[1] == one
    assert focal.softmax_focal_loss(column, np.int64(1)).shape == ()
    for shape in ((0, 4), (4, 0), (0,)):
        empty = np.empty(shape, np.float32)
        loss, gradient = focal.sigmoid_focal_loss_with_grad(empty, empty)
        assert loss.shape == gradient.shape == shape
        assert focal.sigmoid_focal_loss(empty, empty, reduction="sum") == 0
        assert np.isnan(focal.sigmoid_focal_loss(empty, empty, reduction="mean"))
    ignored = np.full(3, -1)
    for loss in (focal.sigmoid_focal_loss, focal.softmax_focal_loss):
        assert loss(np.ones((3, 4), np.float32), ignored, ignore=-1, reduction="mean") == 0
        assert np.isnan(loss(np.ones((0, 4), np.float32), ignored[:0], ignore=-1, reduction="mean"))
    plan = focal.Plan(outer=0, classes=4, normalizer="elements", outputs="sum")
    assert plan.execute(logits=empty.reshape(0, 4), targets=empty.reshape(0, 4)).loss == 0  # as in C


@pytest.mark.parametrize("op", ["sigmoid", "softmax"])
@pytest.mark.parametrize("reduction", ["none", "rows", "sum", "mean"])
def test_empty_batch_with_values_per_class(op: str, reduction: str) -> None:
    loss = getattr(focal, f"{op}_focal_loss_with_grad")
    for shape, axis in (((0, 3), -1), ((0, 2, 3), -1), ((0, 3, 4), 1), ((2, 3, 0), 1)):
        logits = np.empty(shape, np.float32)
        for targets in (logits, np.empty(np.delete(shape, axis), np.int64)):
            expected = loss(logits, targets, axis=axis, reduction=reduction)
            for name in ("class_weight", "alpha", "gamma"):
                values = {name: [0.25, 0.5, 0.75]}
                found = loss(logits, targets, axis=axis, reduction=reduction, **values)
                for one, other in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(one, other)
                with pytest.raises(ValueError, match="2 values for 3 classes"):
                    loss(logits, targets, axis=axis, reduction=reduction, **{name: [0.5, 0.5]})


def test_rows_without_classes_cost_nothing() -> None:
    empty = np.empty((4, 0), np.float32)
    for loss in (focal.sigmoid_focal_loss_with_grad, focal.softmax_focal_loss_with_grad):
        losses, gradient = loss(empty, empty, reduction="rows", out=np.ones(4, np.float32))
        assert losses.tolist() == [0, 0, 0, 0] and gradient.shape == (4, 0)


def test_no_copies() -> None:
    logits = np.zeros((2000, 500), np.float32)
    labels = np.zeros(2000, np.uint8)
    focal.sigmoid_focal_loss_with_grad(logits, labels, reduction="sum", grad_out=logits)
    tracemalloc.start()
    focal.sigmoid_focal_loss(logits[:, :400], labels, reduction="sum")
    focal.sigmoid_focal_loss_with_grad(logits, labels, reduction="sum", grad_out=logits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000


def test_outputs_are_given(logits: np.ndarray, targets: np.ndarray) -> None:
    loss, gradient = np.empty_like(logits), np.empty_like(logits)
    results = focal.sigmoid_focal_loss_with_grad(logits, targets, out=loss, grad_out=gradient)
    assert results[0] is loss and results[1] is gradient
    before = focal.sigmoid_focal_loss_with_grad(logits, targets, reduction="sum")
    after = focal.sigmoid_focal_loss_with_grad(logits, targets, reduction="sum", grad_out=logits)
    assert after[1] is logits and after[0] == before[0]
    np.testing.assert_array_equal(after[1], before[1])


def test_dlpack_and_buffers(logits: np.ndarray, targets: np.ndarray) -> None:
    class OnlyDlpack:
        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __dlpack__(self, **arguments: object) -> object:
            return self.array.__dlpack__(**arguments)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.array.__dlpack_device__()

    expected = focal.sigmoid_focal_loss(logits, targets)
    got = focal.sigmoid_focal_loss(OnlyDlpack(logits), memoryview(targets))
    np.testing.assert_array_equal(got, expected)
    plan = focal.Plan(outer=6, classes=5, outputs="loss", gamma=2, alpha_mode="scalar", alpha=0.25)
    out = np.empty_like(logits)
    plan.execute(logits=OnlyDlpack(logits), targets=memoryview(targets), loss=memoryview(out))
    np.testing.assert_array_equal(out, expected)


def test_plan(logits: np.ndarray, labels: np.ndarray) -> None:
    plan = focal.Plan(
        op="softmax",
        outer=6,
        classes=5,
        target_kind="label_i64",
        outputs=("sum", "gradient"),
        gamma=2.0,
        tier="accurate",
    )
    gradient = np.empty_like(logits)
    sums = plan.execute(logits=logits, targets=labels, gradient=gradient, upstream=2.0)
    assert sums.rows == sums.positives == 6
    assert sums.loss == focal.softmax_focal_loss(logits, labels, reduction="sum", tier="accurate")
    assert "softmax" in plan.describe() and "6 x 5" in repr(plan) and plan.tasks == 1


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"targets": np.zeros((6, 4), np.float32)}, ValueError, r"targets: shape \(6, 4\)"),
        ({"targets": np.zeros((6, 5), np.int64)}, TypeError, "targets: dtype int64"),
        ({"class_weight": [1, 2]}, ValueError, "class_weight: 2 values for 5 classes"),
        ({"weight": np.ones(5)}, ValueError, "weight: shape"),
        ({"smoothing": 2.0}, focal.FocalError, "smoothing"),
        ({"wieght": 1}, TypeError, "no field 'wieght'"),
        ({"targets": np.zeros(6, np.int16)}, TypeError, "labels have dtype int16"),
        ({"targets": np.full(6, 5)}, focal.FocalError, "label 5 of row 0"),
        ({"targets": np.full((6, 5), 2, np.uint8)}, focal.FocalError, "neither 0 nor 1"),
        ({"logits": np.zeros((6, 5), np.int32)}, TypeError, "logits: dtype int32"),
        ({"gamma": -1}, focal.FocalError, "gamma"),
        ({"gamma": "2"}, TypeError, "gamma"),
        ({"alpha": 1.5}, focal.FocalError, "alpha"),
        ({"reduction": "avg"}, ValueError, "'avg' is none of"),
        ({"tier": "exact"}, ValueError, "tier: 'exact' is none of"),
        ({"isa": "mmx"}, focal.FocalError, "mmx"),
        ({"threads": 0}, ValueError, "threads: 0"),
        ({"out": np.zeros(5, np.float32)}, ValueError, "out:"),
    ],
)
def test_mistakes_are_named(
    logits: np.ndarray, targets: np.ndarray, change: dict, kind: type[Exception], message: str
) -> None:
    arguments = {"logits": logits, "targets": targets, **change}
    with pytest.raises(kind, match=message):
        focal.sigmoid_focal_loss(arguments.pop("logits"), arguments.pop("targets"), **arguments)


def test_unknown_arguments_name_the_function(logits: np.ndarray, labels: np.ndarray) -> None:
    for op in ("sigmoid", "softmax"):
        for name in (f"{op}_focal_loss", f"{op}_focal_loss_with_grad"):
            for value in (2, None):
                with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument and no field 'gama'"):
                    getattr(focal, name)(logits, labels, gama=value)
    with pytest.raises(TypeError, match=r"^Plan\(\) has no field 'gama'"):
        focal.Plan(gama=2)
    with pytest.raises(TypeError, match=r"^tune\(\) has no field 'gama'"):
        focal.tune(gama=2)


def test_integers_of_the_logits_shape_are_refused(logits: np.ndarray, targets: np.ndarray) -> None:
    with pytest.raises(TypeError, match="targets: dtype int64 .* floating, bool or uint8"):
        focal.sigmoid_focal_loss(logits, targets.astype(np.int64))
    for dtype in (np.int64, np.uint8, bool):
        with pytest.raises(
            TypeError, match=r"targets: dtype .* takes floating ones, or labels of shape \(6,\)"
        ):
            focal.softmax_focal_loss(logits, targets.astype(dtype))


def test_error_says_where(logits: np.ndarray, labels: np.ndarray) -> None:
    labels[4] = 7
    out = np.full(6, 42, np.float32)
    with pytest.raises(focal.FocalError) as caught:
        focal.softmax_focal_loss(logits, labels, out=out)
    assert (caught.value.status, caught.value.field, caught.value.index) == ("FOCAL_E_LABEL", "targets", 4)
    assert (out == 42).all()


def test_plan_refuses_what_does_not_fit(logits: np.ndarray, targets: np.ndarray) -> None:
    plan = focal.Plan(outer=6, classes=5, outputs="loss")
    good = {"logits": logits, "targets": targets, "loss": np.empty_like(logits)}
    read_only = np.empty_like(logits)
    read_only.flags.writeable = False
    wrong = [
        ("loss", read_only, ValueError),
        ("loss", np.empty((6, 4), np.float32), ValueError),
        ("loss", np.empty((5, 6), np.float32).T, ValueError),
        ("logits", np.empty((6, 10), np.float32)[:, ::2], ValueError),
        ("logits", logits.astype(">f4"), TypeError),
        ("logits", logits.astype(np.float64), TypeError),
        ("targets", None, focal.FocalError),
        ("targets", [1.0], TypeError),
        ("loss", logits, focal.FocalError),
        ("nonsense", logits, TypeError),
    ]
    plan.execute(**good)
    for name, value, kind in wrong:
        with pytest.raises(kind, match=name if kind is not focal.FocalError else None):
            plan.execute(**{**good, name: value})


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_sum_is_stored_where_it_is_wanted(dtype: str) -> None:
    logits = np.linspace(-3, 3, 30).astype("f4" if dtype == "f32" else "f8")
    targets, stored = np.zeros_like(logits), np.full(3, 7, logits.dtype)
    plan = focal.Plan(outer=6, classes=5, outputs="sum", dtype=dtype)
    addresses = {"logits": logits.ctypes.data, "targets": targets.ctypes.data}
    sums = plan.execute_addresses(**addresses, sum=stored[1:].ctypes.data)
    assert stored.tolist() == [7, logits.dtype.type(sums.loss), 7] and sums.loss > 0
    assert plan.execute_addresses(**addresses, sum=0) == sums
    with pytest.raises(TypeError):
        plan.execute_addresses(**addresses, sum="1")
    with pytest.raises(TypeError, match="sum"):
        plan.execute(logits=logits, targets=targets, sum=stored)
    half = focal.Plan(outer=6, classes=5, outputs="sum", dtype="f16")
    with pytest.raises(ValueError, match="sum: only"):
        half.execute_addresses(**addresses, sum=stored.ctypes.data)
    assert stored[0] == stored[2] == 7


def test_every_keyword_reaches_its_field() -> None:
    described = focal.Plan(
        outer=4, classes=100, outputs="sum", logits_stride=128, grain=1, isa="scalar"
    ).describe()
    assert "isa scalar (pinned)" in described and "4 x 100" in described
    with pytest.raises(focal.FocalError, match="logits_stride"):
        focal.Plan(outer=4, classes=100, outputs="sum", logits_stride=99)
    with pytest.raises(TypeError, match="no field 'logit_stride'"):
        focal.Plan(logit_stride=1)
    for field in ("targets_stride", "loss_stride", "gradient_stride", "background", "outer", "classes"):
        with pytest.raises((TypeError, OverflowError), match=field):
            focal.Plan(**{field: 1.5})


def test_threads_give_the_same_bits() -> None:
    generator = np.random.default_rng(4)
    logits = generator.standard_normal((3000, 80)).astype(np.float32)
    labels = generator.integers(0, 80, 3000)
    results = [
        focal.sigmoid_focal_loss_with_grad(logits, labels, reduction="sum", threads=threads)
        for threads in (1, 2, 3, 9)
    ]
    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])


def test_many_threads_at_once() -> None:
    logits = np.random.default_rng(5).standard_normal((2000, 80)).astype(np.float32)
    labels = np.zeros(2000, np.int32)
    expected = focal.sigmoid_focal_loss(logits, labels, reduction="sum", threads=1)
    wrong = []

    def work() -> None:
        for _ in range(20):
            if focal.sigmoid_focal_loss(logits, labels, reduction="sum", threads=3) != expected:
                wrong.append(threading.get_ident())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_pool_survives_fork() -> None:
    logits = np.zeros((4000, 80), np.float32)
    labels = np.zeros(4000, np.int32)
    expected = focal.sigmoid_focal_loss(logits, labels, reduction="sum", threads=3)
    child = os.fork()
    if child == 0:
        same = focal.sigmoid_focal_loss(logits, labels, reduction="sum", threads=3) == expected
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_lock_is_released() -> None:
    """Another Python thread goes on while a loss is computed."""
    logits = np.zeros((20000, 500), np.float32)
    labels = np.zeros(20000, np.int32)
    counted, done = [0], threading.Event()

    def count() -> None:
        while not done.is_set():
            counted[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    during = 0
    for _ in range(100):  # a busy machine may have no processor for the other thread at first
        before = counted[0]
        focal.sigmoid_focal_loss(logits, labels, reduction="sum", threads=1)
        during = max(during, counted[0] - before)
        if during > 1000:
            break
    done.set()
    counter.join()
    assert during > 1000


def test_memory_does_not_leak(logits: np.ndarray, labels: np.ndarray) -> None:
    def work() -> None:
        for _ in range(300):
            focal.softmax_focal_loss_with_grad(logits, labels)
            with pytest.raises(focal.FocalError):
                focal.softmax_focal_loss(logits, labels + 5)
            with pytest.raises(TypeError):
                focal.Plan(outer=6, classes=5, outputs="loss").execute(
                    logits=logits, targets=labels, loss=logits
                )

    work()
    gc.collect()
    objects = sys.getrefcount(logits), sys.getrefcount(labels), len(gc.get_objects())
    work()
    gc.collect()
    assert sys.getrefcount(logits) == objects[0] and sys.getrefcount(labels) == objects[1]
    assert len(gc.get_objects()) < objects[2] + 200


def test_info_and_threads() -> None:
    info = focal.info()
    assert info["version"] == focal.__version__
    assert [isa["name"] for isa in info["isa"] if isa["chosen"]]
    before = focal.get_num_threads()
    focal.set_num_threads(3)
    assert focal.get_num_threads() == focal.info()["threads"] == 3
    # The size of tasks is that for three threads.
    problem = {"outer": 1 << 18, "classes": 80, "outputs": "sum"}
    tasks = focal.Plan(**problem).tasks
    assert tasks == focal.Plan(**problem, threads=3).tasks == 49
    assert tasks != focal.Plan(**problem, threads=1).tasks
    focal.set_num_threads(before)
    with pytest.raises(ValueError, match="threads: 0"):
        focal.set_num_threads(0)


def test_isa_cap_and_bits() -> None:
    program = (
        "import numpy as np, focal\n"
        "x = np.linspace(-30, 30, 999, dtype=np.float32)\n"
        "print(focal.sigmoid_focal_loss(x, (x > 1).astype(np.float32), gamma=1.7).tobytes().hex())\n"
        "try: focal.set_isa_cap('scalar')\n"
        "except focal.FocalError as error: print(error.status)\n"
    )
    outputs = set()
    for isa in focal.info()["isa"]:
        if isa["usable"] and isa["name"] != "scalar":
            environment = {**os.environ, "FOCAL_ISA": isa["name"]}
            command = [sys.executable, "-c", program]
            outputs.add(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    assert len(outputs) == 1 and b"FOCAL_E_LATE" in outputs.pop()


def test_dtypes(logits: np.ndarray, targets: np.ndarray) -> None:
    import ml_dtypes

    exact = [
        float(oracle.sigmoid_loss(float(x), float(t), 2, 0.25)) for x, t in zip(logits.flat, targets.flat)
    ]
    for dtype, bound in (
        (np.float64, 1e-14),
        (np.float32, 1e-6),
        (np.float16, 2e-3),
        (ml_dtypes.bfloat16, 1e-2),
    ):
        loss, gradient = focal.sigmoid_focal_loss_with_grad(logits.astype(dtype), targets.astype(dtype))
        assert loss.dtype == gradient.dtype == dtype
        rounded = logits.astype(dtype).astype(np.float64)
        exact = [oracle.sigmoid_loss(float(x), float(t), 2, 0.25) for x, t in zip(rounded.flat, targets.flat)]
        np.testing.assert_allclose(loss.astype(float).flat, [float(e) for e in exact], rtol=bound, atol=1e-6)
        mixed = focal.sigmoid_focal_loss(logits.astype(dtype), targets.astype(np.float64))
        np.testing.assert_allclose(mixed.astype(float), loss.astype(float), rtol=bound)


def test_classes_in_the_middle() -> None:
    generator = np.random.default_rng(6)
    logits = generator.standard_normal((3, 5, 4, 2)).astype(np.float32)
    labels = generator.integers(0, 5, (3, 4, 2))
    last = np.ascontiguousarray(np.moveaxis(logits, 1, -1))
    for loss in (focal.sigmoid_focal_loss_with_grad, focal.softmax_focal_loss_with_grad):
        middle, gradient = loss(logits, labels, axis=1, reduction="rows")
        expected, expected_gradient = loss(last, labels, reduction="rows")
        np.testing.assert_array_equal(middle, expected)
        np.testing.assert_array_equal(gradient, np.moveaxis(expected_gradient, -1, 1))


@pytest.mark.parametrize(
    "loss",
    [
        focal.sigmoid_focal_loss,
        focal.sigmoid_focal_loss_with_grad,
        focal.softmax_focal_loss,
        focal.softmax_focal_loss_with_grad,
    ],
)
def test_axis_is_one_of_the_logits(loss: Callable[..., Any]) -> None:
    logits = np.arange(16, dtype=np.float32).reshape(4, 4)
    labels = np.arange(4)
    results = [loss(logits, labels, axis=axis, reduction="rows") for axis in (0, -2, 0, 1, -1, 1)]
    for one, other in ((0, 1), (0, 2), (3, 4), (3, 5)):
        np.testing.assert_array_equal(results[one][0], results[other][0])
    for targets in (labels, logits / 15):
        for axis in (2, -3, 4, -5) * 2:
            with pytest.raises(ValueError, match=rf"axis: {axis} .* dimensions \(2\)"):
                loss(logits, targets, axis=axis)
    with pytest.raises(ValueError, match=r"axis: 1 .* dimensions \(1\)"):
        loss(logits[0], np.int64(1), axis=1)
    loss(logits[0], np.int64(1), axis=0)


def test_softmax_wants_a_dimension() -> None:
    with pytest.raises(ValueError, match=r"axis: -1 .* dimensions \(0\)"):
        focal.softmax_focal_loss(np.float32(1), np.float32(1))
    for axis in (0, -1):
        assert focal.sigmoid_focal_loss(np.float32(1), np.float32(1), axis=axis).shape == ()
    with pytest.raises(ValueError, match="axis: 1 "):
        focal.sigmoid_focal_loss(np.float32(1), np.float32(1), axis=1)


def test_ignore_weights_and_normalizers(logits: np.ndarray, labels: np.ndarray) -> None:
    labels[1] = 255
    kept = labels != 255
    loss, gradient = focal.softmax_focal_loss_with_grad(logits, labels, ignore=255)
    np.testing.assert_array_equal(loss[kept], focal.softmax_focal_loss(logits[kept], labels[kept]))
    assert loss[1] == 0 and not gradient[1].any()
    mean = focal.softmax_focal_loss(logits, labels, ignore=255, reduction="mean")
    assert mean == pytest.approx(loss[kept].mean(), rel=1e-6)

    class_weight, row_weight = np.linspace(0.5, 2, 5), np.linspace(0, 1, 6).astype(np.float32)
    factor = np.where(kept, class_weight[labels * kept] * row_weight, 0)
    weighted = focal.softmax_focal_loss(
        logits, labels, ignore=255, class_weight=class_weight, weight=row_weight, reduction="mean"
    )
    assert weighted == pytest.approx((loss * factor).sum() / factor.sum(), rel=1e-6)

    dense = np.eye(6, 5, dtype=np.float32)
    none = focal.sigmoid_focal_loss(logits, dense)
    divided, gradient = focal.sigmoid_focal_loss_with_grad(
        logits, dense, reduction="sum", normalizer="positives", normalizer_add=1.0
    )
    assert divided == pytest.approx(none.sum(dtype=float) / 6, rel=1e-6)
    half, half_gradient = focal.sigmoid_focal_loss_with_grad(logits, dense, reduction="sum", normalizer=12.0)
    assert half == divided / 2
    np.testing.assert_allclose(half_gradient * 2, gradient, rtol=1e-6)
    for reduction in ("none", "rows"):  # losses of elements and rows are not divided, the gradient is
        plain, plain_gradient = focal.sigmoid_focal_loss_with_grad(logits, dense, reduction=reduction)
        losses, by_value = focal.sigmoid_focal_loss_with_grad(
            logits, dense, reduction=reduction, normalizer=12.0
        )
        np.testing.assert_array_equal(losses, plain)
        np.testing.assert_array_equal(by_value, half_gradient)
        assert (by_value != plain_gradient).any()
    by_element = focal.sigmoid_focal_loss(logits, dense, weight=np.repeat(row_weight, 5).reshape(6, 5))
    np.testing.assert_array_equal(by_element, focal.sigmoid_focal_loss(logits, dense, weight=row_weight))


def test_vectors_and_smoothing(logits: np.ndarray, labels: np.ndarray) -> None:
    alpha, gamma = np.linspace(0.1, 0.9, 5), [0.0, 0.5, 1.0, 2.0, 3.0]
    loss = focal.sigmoid_focal_loss(logits, labels, alpha=alpha, gamma=gamma)
    for c in range(5):
        column = (labels == c).astype(np.float32)
        expected = focal.sigmoid_focal_loss(logits[:, c].copy(), column, alpha=alpha[c], gamma=gamma[c])
        np.testing.assert_allclose(loss[:, c], expected, rtol=1e-6)
    dense = np.eye(5, dtype=np.float32)[labels]
    smooth = focal.softmax_focal_loss(logits, labels, smoothing=0.1)
    np.testing.assert_allclose(smooth, focal.softmax_focal_loss(logits, dense * 0.9 + 0.02), rtol=1e-5)


def test_hessian_for_boosting() -> None:
    scores, labels = np.linspace(-6, 6, 25), (np.arange(25) % 2).astype(np.uint8)
    plan = focal.Plan(
        outer=25, classes=1, dtype="f64", target_kind="binary_u8", gamma=2.0, outputs=("gradient", "hessian")
    )
    gradient, hessian = np.empty(25), np.empty(25)
    plan.execute(logits=scores, targets=labels, gradient=gradient, hessian=hessian)
    step = 1e-5
    up, down = np.empty(25), np.empty(25)
    for moved, out in ((scores + step, up), (scores - step, down)):
        plan.execute(logits=moved, targets=labels, gradient=out, hessian=np.empty(25))
    np.testing.assert_allclose(hessian, (up - down) / (2 * step), rtol=1e-6, atol=1e-9)


def test_prior_bias() -> None:
    assert focal.prior_bias(0.01) == pytest.approx(-np.log(99))
    with pytest.raises(ValueError, match="prior"):
        focal.prior_bias(1.0)


TUNE_PROGRAM = """
import sys
import focal
import numpy as np

problem = {"op": "sigmoid", "outer": 300, "classes": 91, "outputs": ("sum", "gradient"), "gamma": 2.0}
logits = np.linspace(-5, 5, 300 * 91, dtype=np.float32).reshape(300, 91)
targets = (logits > 4).astype(np.float32)
loss = lambda: focal.sigmoid_focal_loss_with_grad(logits, targets, alpha=None, reduction="sum")
before = loss()
found = focal.tune(budget_ms=300, threads=1, **problem)
assert found["candidates"] > 1 and found["ns"] > 0 and found["low"] <= found["ratio"] <= found["high"], found
after = loss()
assert after[0] == before[0] and (after[1] == before[1]).all()
for mistake in ({"classes": -1}, {"budget_ms": 0}, {"threads": 0}, {"clases": 1}):
    try:
        focal.tune(**{**problem, **mistake})
    except (TypeError, ValueError) as error:
        assert next(iter(mistake)) in str(error), error
    else:
        raise AssertionError(mistake)
held = focal.tune_state()["accepted"]
path = sys.argv[1] + "/tuning.txt"
saved = focal.tune_save(path)
assert saved["path"] == path and saved["accepted"] == held, saved
assert focal.tune_load(path)["accepted"] == held
try:
    focal.tune_load(sys.argv[1] + "/absent.txt")
except focal.FocalError as error:
    assert "absent.txt" in str(error), error
else:
    raise AssertionError("loaded what is not there")
"""


def test_tuning_changes_no_bit(tmp_path: Path) -> None:
    environment = {**os.environ, "FOCAL_TUNE_FILE": ""}
    command = [sys.executable, "-c", TUNE_PROGRAM, str(tmp_path)]
    subprocess.run(command, check=True, env=environment)


def test_calls_seen_before_are_the_same_calls(logits: np.ndarray, targets: np.ndarray) -> None:
    """The second call of a kind goes another way than the first, with the same results and errors."""
    for shape in ((6, 5), (30,), (3, 2, 5)):
        for reduction in ("none", "rows", "mean", "sum"):
            arguments = logits.reshape(shape), targets.reshape(shape)
            loss, gradient = focal.sigmoid_focal_loss_with_grad(*arguments, reduction=reduction)
            for _ in range(2):
                again, slope = focal.sigmoid_focal_loss_with_grad(*arguments, reduction=reduction)
                np.testing.assert_array_equal(again, loss)
                np.testing.assert_array_equal(slope, gradient)
                assert np.shape(again) == np.shape(loss) and slope.shape == shape
    assert focal.sigmoid_focal_loss(logits, targets, gamma=3.0).sum() != loss
    with pytest.raises(TypeError, match="logits"):
        focal.sigmoid_focal_loss(logits.astype(">f4"), targets)
    with pytest.raises(ValueError, match="threads"):
        focal.sigmoid_focal_loss(logits, targets, threads=0)
