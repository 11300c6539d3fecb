"""Focal losses of NumPy arrays, and of what NumPy can view without a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ._arrays import (
    as_array,
    axis_from_end,
    bits_of,
    caches,
    dtype_of,
    matrix_of,
    plan,
    stride_of,
    target_kind,
)
from ._focal import FIELDS, Sums

Reduction = Literal["none", "rows", "mean", "sum"]
# numpy.ndarray and whatever has DLPack, the buffer protocol, or __array__.
Array = Any

_OUTPUTS = {"none": "loss", "rows": "row_loss", "mean": "sum", "sum": "sum"}


def _output(out: Any, shape: tuple[int, ...], dtype: np.dtype, name: str) -> np.ndarray:
    if out is None:
        return np.empty(shape, dtype)
    out = as_array(out)
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"{name}: {out.dtype} of shape {out.shape}; the result is {dtype} of shape {shape}")
    if not out.flags.c_contiguous:
        raise ValueError(f"{name}: has to be C-contiguous")
    return out


def _readable(problem: dict[str, Any], name: str, array: np.ndarray, axis: int, strided: bool) -> np.ndarray:
    """The array if the library can read it as it lies, else a contiguous copy."""
    stride = stride_of(array, problem["outer"], problem["classes"], axis) if strided else None
    if stride is None:
        return np.ascontiguousarray(array)
    problem[f"{name}_stride"] = stride
    return array


_NUMBERS = (float, int)


def _is_vector(value: Any) -> bool:
    return type(value) not in _NUMBERS and hasattr(value, "__len__") and not isinstance(value, str)


def _add_settings(problem: dict[str, Any], alpha: Any, gamma: Any) -> None:
    if alpha is not None:
        if _is_vector(alpha):
            problem["alpha_mode"], problem["class_alpha"] = "per_class", tuple(map(float, alpha))
        else:
            problem["alpha_mode"], problem["alpha"] = "scalar", alpha
    if _is_vector(gamma):
        problem["gamma_mode"], problem["class_gamma"] = "per_class", tuple(map(float, gamma))
    else:
        problem["gamma"] = gamma


def _add_fields(function: str, problem: dict[str, Any], fields: dict[str, Any]) -> None:
    """Fields by their own names; a background or ignored label also sets its flag."""
    for name in fields:
        if name not in FIELDS:
            raise TypeError(f"{function}() has no argument and no field '{name}'")
    flags = tuple(name for name in ("background", "ignore") if fields.get(name) is not None)
    if flags:
        problem["label_flags"] = flags
    for name, value in fields.items():
        if value is not None:
            problem[name] = tuple(map(float, value)) if name.startswith("class_") else value


def _add_weight(
    buffers: dict[str, Any], weight: Array, shape: tuple[int, ...], rows: tuple[int, ...], dtype: str
) -> None:
    array = np.ascontiguousarray(as_array(weight), np.float64 if dtype == "f64" else np.float32)
    if array.shape == rows:
        buffers["row_weight"] = array
    elif array.shape == shape:
        buffers["element_weight"] = array
    else:
        raise ValueError(f"weight: shape {array.shape} is neither {rows} (rows) nor {shape} (elements)")


def _add_normalizer(problem: dict[str, Any], buffers: dict[str, Any], normalizer: Any) -> None:
    if isinstance(normalizer, str):
        problem["normalizer"] = normalizer
    else:
        problem["normalizer"], buffers["normalizer"] = "value", normalizer


# ---- Calls seen before ------------------------------------------------------------------------

# What a call needs besides its arrays: the plan's execute, the output with its shape and dtype. Training asks
# for the same again and again, and at DETR's sizes finding it out takes longer than the arithmetic.
_Recipe = tuple[Callable[..., Sums], str, tuple[int, ...], np.dtype]
_recipes: dict[tuple, _Recipe] = {}
_MOST_RECIPES = 512
caches.append(_recipes.clear)


def _keep_recipe(key: tuple, recipe: _Recipe) -> None:
    if len(_recipes) >= _MOST_RECIPES:
        _recipes.clear()
    _recipes[key] = recipe


def _again(
    op: str, gradient: bool, logits: Any, targets: Any, axis: int, alpha: Any, gamma: Any, reduction: str
) -> tuple[tuple | None, _Recipe | None]:
    """The key of a call of plain arrays, None of any other; and its recipe if there was such a call."""
    if type(logits) is not np.ndarray or type(targets) is not np.ndarray:
        return None, None
    if not (logits.flags.c_contiguous and targets.flags.c_contiguous):
        return None, None
    key = (
        op, gradient, logits.shape, logits.dtype.char, targets.shape, targets.dtype.char,
        axis, alpha, gamma, reduction,
    )  # fmt: skip
    try:
        return key, _recipes.get(key)
    except TypeError:  # alpha or gamma per class, as a list
        return None, None


def _follow(
    recipe: _Recipe, gradient: bool, logits: np.ndarray, targets: np.ndarray, threads: int | None
) -> tuple[Any, np.ndarray | None]:
    execute, output, shape, dtype = recipe
    grad = np.empty(logits.shape, dtype) if gradient else None
    if output == "sum":
        return execute(logits=logits, targets=targets, gradient=grad, threads=threads)[0], grad
    result = np.empty(shape, dtype)
    if output == "loss":
        execute(logits=logits, targets=targets, loss=result, gradient=grad, threads=threads)
    else:
        execute(logits=logits, targets=targets, row_loss=result, gradient=grad, threads=threads)
    return result, grad


# ---- Any call ---------------------------------------------------------------------------------


def _compute(
    op: str,
    gradient: bool,
    logits: Array,
    targets: Array,
    axis: int,
    alpha: Any,
    gamma: Any,
    reduction: str,
    weight: Array | None,
    normalizer: str | float | None,
    threads: int | None,
    out: Array | None,
    grad_out: Array | None,
    upstream: float,
    fields: dict[str, Any],
) -> tuple[Any, np.ndarray | None]:
    key = None
    if weight is normalizer is out is grad_out is None and upstream == 1.0 and not fields:
        key, recipe = _again(op, gradient, logits, targets, axis, alpha, gamma, reduction)
        if recipe:
            return _follow(recipe, gradient, logits, targets, threads)
    logits = as_array(logits)
    targets = as_array(targets)
    shape = logits.shape
    axis = axis_from_end(op, axis, shape)
    rows = shape[:axis] if axis == -1 else shape[:axis] + shape[axis + 1 :]
    dtype = dtype_of(logits, "logits")
    kind = target_kind(op, targets, shape, rows)
    dense = kind[0] == "d"
    column = op == "sigmoid" and kind[0] != "l"
    outer, classes, inner = matrix_of(shape, axis, column)
    problem: dict[str, Any] = {
        "op": op,
        "dtype": dtype,
        "target_kind": kind,
        "outer": outer,
        "classes": classes,
    }
    if inner != 1:
        problem["inner"] = inner
    if dense and targets.dtype is not logits.dtype and targets.dtype != logits.dtype:
        problem["targets_dtype"] = dtype_of(targets, "targets")
    _add_settings(problem, alpha, gamma)
    if fields:
        _add_fields(f"{op}_focal_loss_with_grad" if gradient else f"{op}_focal_loss", problem, fields)
    given = logits
    if not logits.flags.c_contiguous:
        logits = _readable(problem, "logits", logits, axis, inner == 1)
    if not targets.flags.c_contiguous:
        targets = _readable(problem, "targets", targets, axis, inner == 1 and kind[0] != "l")

    output = _OUTPUTS.get(reduction)
    if output is None:
        raise ValueError(f"reduction: {reduction!r} is none of 'none', 'rows', 'mean', 'sum'")
    if output == "loss" and op == "softmax":
        output = "row_loss"
    problem["outputs"] = (output, "gradient") if gradient else output
    buffers: dict[str, Any] = {"logits": logits, "targets": targets, "threads": threads}
    if dtype == "bf16" or problem.get("targets_dtype") == "bf16":
        buffers["logits"], buffers["targets"] = bits_of(logits), bits_of(targets)
    if weight is not None:
        _add_weight(buffers, weight, shape, rows, dtype)
    if reduction == "mean":
        if normalizer is not None:
            raise ValueError("normalizer: is for reduction='sum'; a mean has its own")
        weighed = weight is not None or "class_weight" in problem
        problem["normalizer"] = "elements" if op == "sigmoid" else "weight" if weighed else "rows"
    elif normalizer is not None:
        _add_normalizer(problem, buffers, normalizer)
    result: Any = None
    if output != "sum":
        row_shape = shape if column and len(shape) < 2 else rows
        result = _output(out, shape if output == "loss" else row_shape, logits.dtype, "out")
        if not outer:  # a row without classes costs nothing
            result[...] = 0
        losses = result if outer else result.reshape(-1)[:0]
        buffers[output] = losses if dtype != "bf16" else bits_of(losses)
    elif out is not None:
        raise ValueError(f"out: there is no array with reduction={reduction!r}")
    grad = None
    if gradient:
        if grad_out is not None and as_array(grad_out) is given is logits:
            grad = logits
            if "logits_stride" in problem:
                problem["gradient_stride"] = problem["logits_stride"]
        else:
            grad = _output(grad_out, shape, logits.dtype, "grad_out")
        buffers["gradient"] = grad if dtype != "bf16" else bits_of(grad)
        if upstream != 1.0:
            buffers["upstream"] = upstream
    execute = plan(**problem).execute
    sums = execute(**buffers)
    if key and outer and dtype != "bf16" and problem.get("targets_dtype") != "bf16":
        _keep_recipe(key, (execute, output, shape if result is None else result.shape, logits.dtype))
    if output == "sum":
        result = float("nan") if reduction == "mean" and outer == 0 else sums[0]
    return result, grad


def sigmoid_focal_loss(
    logits: Array,
    targets: Array,
    *,
    axis: int = -1,
    alpha: float | Sequence[float] | None = 0.25,
    gamma: float | Sequence[float] = 2.0,
    reduction: Reduction = "none",
    weight: Array | None = None,
    normalizer: str | float | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
    **fields: Any,
) -> np.ndarray | float:
    """Sigmoid focal loss: every logit is a binary decision of its own.

    The focal loss of Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 5:
    FL = -alpha_t (1 - p_t)^gamma log p_t, in nats, with p_t = sigmoid(x) for target 1 and
    1 - sigmoid(x) for target 0. Soft targets mean what they mean in torchvision.ops.

    logits: (..., classes), or with the classes at `axis`, or (N,) for N binary decisions; float32,
        float64, float16 or bfloat16 (of ml_dtypes).
    targets: of the logits' shape, floating with values in [0, 1], or bool or uint8 with 0 and 1; or of
        the logits' shape without the axis of classes, uint8, int32 or int64 class labels.
    axis: that of the classes; negative ones count from the end.
    alpha: in [0, 1], weight of target 1, with 1 - alpha for target 0; one per class; None: no weights.
    gamma: focusing parameter, in [0, 1000], or one per class; 0 is cross-entropy.
    reduction: "none": a loss per logit; "rows": their sum over classes; "sum"; "mean": over logits.
        The last two are added in double precision and returned as a float.
    weight: a factor per row (the shape of labels) or per logit, >= 0.
    normalizer: divides the sum and the gradient, never losses of elements or rows: a number, or "elements",
        "rows", "weight", "positives".
    threads: None: those of set_num_threads(). No result depends on it.
    out: C-contiguous array for the losses.
    fields: further fields of focal_problem and focal_options by name: background=80, ignore=-1,
        smoothing=0.1, class_weight=[...], tier="accurate", isa="avx2", form="quality", ...

    Raises FocalError (a ValueError that names the field), ValueError for shapes, TypeError for dtypes.
    """
    return _compute(
        "sigmoid", False, logits, targets, axis, alpha, gamma, reduction,
        weight, normalizer, threads, out, None, 1.0, fields,
    )[0]  # fmt: skip


def sigmoid_focal_loss_with_grad(
    logits: Array,
    targets: Array,
    *,
    axis: int = -1,
    alpha: float | Sequence[float] | None = 0.25,
    gamma: float | Sequence[float] = 2.0,
    reduction: Reduction = "none",
    weight: Array | None = None,
    normalizer: str | float | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
    grad_out: np.ndarray | None = None,
    upstream: float = 1.0,
    **fields: Any,
) -> tuple[np.ndarray | float, np.ndarray]:
    """sigmoid_focal_loss() and its gradient in one pass.

    The second result has the logits' shape and dtype: the derivative of the reduced loss in each logit, times
    `upstream`. With reduction "none" and "rows" it is that of the sum of losses over the normalizer.
    grad_out: C-contiguous array for it; may be the logits themselves.
    """
    return _compute(
        "sigmoid", True, logits, targets, axis, alpha, gamma, reduction,
        weight, normalizer, threads, out, grad_out, upstream, fields,
    )  # fmt: skip


def softmax_focal_loss(
    logits: Array,
    targets: Array,
    *,
    axis: int = -1,
    alpha: float | Sequence[float] | None = None,
    gamma: float | Sequence[float] = 2.0,
    reduction: Reduction = "none",
    weight: Array | None = None,
    normalizer: str | float | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
    **fields: Any,
) -> np.ndarray | float:
    """Softmax focal loss: every row of logits is one decision among its classes.

    FL = -alpha (1 - p_t)^gamma log p_t, in nats, where p_t is the softmax probability of the row's label.
    With dense targets t it is the sum over the classes of -alpha t_c (1 - p_c)^gamma log p_c.

    logits: (..., classes), or with the classes at `axis`.
    targets: class labels, uint8, int32 or int64, of the logits' shape without that axis; or of the
        logits' shape, floating with values in [0, 1].
    alpha: factor of every row, or of each class; None: 1.
    reduction: "none" and "rows": a loss per row; "sum"; "mean": over rows that are not ignored, weighted
        if there are weights, as torch.nn.functional.cross_entropy does.
    Other arguments and errors are those of sigmoid_focal_loss().
    """
    return _compute(
        "softmax", False, logits, targets, axis, alpha, gamma, reduction,
        weight, normalizer, threads, out, None, 1.0, fields,
    )[0]  # fmt: skip


def softmax_focal_loss_with_grad(
    logits: Array,
    targets: Array,
    *,
    axis: int = -1,
    alpha: float | Sequence[float] | None = None,
    gamma: float | Sequence[float] = 2.0,
    reduction: Reduction = "none",
    weight: Array | None = None,
    normalizer: str | float | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
    grad_out: np.ndarray | None = None,
    upstream: float = 1.0,
    **fields: Any,
) -> tuple[np.ndarray | float, np.ndarray]:
    """softmax_focal_loss() and its gradient in one pass; see sigmoid_focal_loss_with_grad()."""
    return _compute(
        "softmax", True, logits, targets, axis, alpha, gamma, reduction,
        weight, normalizer, threads, out, grad_out, upstream, fields,
    )  # fmt: skip
