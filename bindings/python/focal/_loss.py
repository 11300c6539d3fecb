"""Focal losses of NumPy arrays, and of what NumPy can view without a copy."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ._arrays import as_array, dtype_of, matrix_of, plan, stride_of, target_kind

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


def _compute(
    op: str,
    gradient: bool,
    logits: Array,
    targets: Array,
    alpha: float | None,
    gamma: float,
    reduction: str,
    background: int | None,
    tier: str,
    isa: str | None,
    threads: int | None,
    out: Array | None,
    grad_out: Array | None,
    upstream: float,
) -> tuple[Any, np.ndarray | None]:
    logits = as_array(logits)
    targets = as_array(targets)
    problem: dict[str, Any] = {"op": op, "dtype": dtype_of(logits, "logits"), "gamma": gamma}
    kind = target_kind(op, targets, logits)
    labels = kind[0] == "l"
    shape = logits.shape
    outer, classes = matrix_of(shape, labels)
    problem["target_kind"], problem["outer"], problem["classes"] = kind, outer, classes
    if not logits.flags.c_contiguous:
        stride = stride_of(logits, outer, classes)
        if stride is None:
            logits = np.ascontiguousarray(logits)
        else:
            problem["logits_stride"] = stride
    if not targets.flags.c_contiguous:
        stride = None if labels else stride_of(targets, outer, classes)
        if stride is None:
            targets = np.ascontiguousarray(targets)
        else:
            problem["targets_stride"] = stride
    if alpha is not None:
        problem["alpha_mode"], problem["alpha"] = "scalar", alpha
    if background is not None:
        problem["label_flags"], problem["background"] = "background", background
    if tier != "default":
        problem["tier"] = tier
    if isa is not None:
        problem["isa"] = isa

    output = _OUTPUTS.get(reduction)
    if output is None:
        raise ValueError(f"reduction: {reduction!r} is none of 'none', 'rows', 'mean', 'sum'")
    if output == "loss" and op == "softmax":
        output = "row_loss"
    problem["outputs"] = (output, "gradient") if gradient else output
    buffers: dict[str, Any] = {"logits": logits, "targets": targets, "threads": threads}
    result: Any = None
    if output != "sum":
        row_shape = shape[:-1] if labels or len(shape) > 1 else shape
        result = _output(out, shape if output == "loss" else row_shape, logits.dtype, "out")
        buffers[output] = result
    elif out is not None:
        raise ValueError(f"out: there is no array with reduction={reduction!r}")
    count = outer if op == "softmax" else outer * classes
    grad = None
    if gradient:
        if grad_out is not None and as_array(grad_out) is logits:
            grad = logits
            if "logits_stride" in problem:
                problem["gradient_stride"] = problem["logits_stride"]
        else:
            grad = _output(grad_out, shape, logits.dtype, "grad_out")
        buffers["gradient"] = grad
        if reduction == "mean" and count:
            upstream = upstream / count
        if upstream != 1.0:
            buffers["upstream"] = upstream
    sums = plan(**problem).execute(**buffers)
    if reduction == "sum":
        result = sums[0]
    elif reduction == "mean":
        result = sums[0] / count if count else float("nan")
    return result, grad


def sigmoid_focal_loss(
    logits: Array,
    targets: Array,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    background: int | None = None,
    tier: str = "default",
    isa: str | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray | float:
    """Sigmoid focal loss: every logit is a binary decision of its own.

    The focal loss of Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 5:
    FL = -alpha_t (1 - p_t)^gamma log p_t, in nats, with p_t = sigmoid(x) for target 1 and
    1 - sigmoid(x) for target 0. Soft targets mean what they mean in torchvision.ops.

    logits: (..., classes), or (N,) for N binary decisions; float32.
    targets: of the logits' shape, the same float dtype with values in [0, 1], or bool or uint8 with
        0 and 1; or of the logits' shape without the last axis, uint8, int32 or int64 class labels.
    alpha: in [0, 1], weight of target 1, with 1 - alpha for target 0; None: no weights.
    gamma: focusing parameter, in [0, 1000]; 0 is cross-entropy.
    reduction: "none": a loss per logit; "rows": their sum along the last axis; "sum"; "mean": over
        logits. The last two are added in double precision and returned as a float.
    background: the label of rows without a positive class, any integer.
    tier: "fast" (the default), "accurate" (double inside, rounded once) or "sleef".
    isa: pins the instruction set ("avx2"); None: the best usable one, with the same bits.
    threads: None: those of set_num_threads(). No result depends on it.
    out: C-contiguous array for the losses.

    Raises FocalError (a ValueError that names the field), ValueError for shapes, TypeError for dtypes.
    """
    return _compute(
        "sigmoid", False, logits, targets, alpha, gamma, reduction,
        background, tier, isa, threads, out, None, 1.0,
    )[0]  # fmt: skip


def sigmoid_focal_loss_with_grad(
    logits: Array,
    targets: Array,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    background: int | None = None,
    tier: str = "default",
    isa: str | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
    grad_out: np.ndarray | None = None,
    upstream: float = 1.0,
) -> tuple[np.ndarray | float, np.ndarray]:
    """sigmoid_focal_loss() and its gradient in one pass.

    The second result has the logits' shape and dtype: the derivative of the reduced loss (of the sum of
    losses with reduction "none" and "rows") in each logit, times `upstream`.
    grad_out: C-contiguous array for it; may be the logits themselves.
    """
    return _compute(
        "sigmoid", True, logits, targets, alpha, gamma, reduction,
        background, tier, isa, threads, out, grad_out, upstream,
    )  # fmt: skip


def softmax_focal_loss(
    logits: Array,
    targets: Array,
    *,
    alpha: float | None = None,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    tier: str = "default",
    isa: str | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray | float:
    """Softmax focal loss: every row of logits is one decision among its classes.

    FL = -alpha (1 - p_t)^gamma log p_t, in nats, where p_t is the softmax probability of the row's label.

    logits: (..., classes), float32.
    targets: (...), uint8, int32 or int64 class labels.
    alpha: factor of every row; None: 1.
    reduction: "none" and "rows": a loss per row; "sum"; "mean": over rows.
    Other arguments and errors are those of sigmoid_focal_loss().
    """
    return _compute(
        "softmax", False, logits, targets, alpha, gamma, reduction,
        None, tier, isa, threads, out, None, 1.0,
    )[0]  # fmt: skip


def softmax_focal_loss_with_grad(
    logits: Array,
    targets: Array,
    *,
    alpha: float | None = None,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    tier: str = "default",
    isa: str | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
    grad_out: np.ndarray | None = None,
    upstream: float = 1.0,
) -> tuple[np.ndarray | float, np.ndarray]:
    """softmax_focal_loss() and its gradient in one pass; see sigmoid_focal_loss_with_grad()."""
    return _compute(
        "softmax", True, logits, targets, alpha, gamma, reduction,
        None, tier, isa, threads, out, grad_out, upstream,
    )  # fmt: skip
