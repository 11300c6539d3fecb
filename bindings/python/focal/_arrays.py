"""Arrays as the library sees them: element type, matrix of rows and classes, distances in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ._focal import Plan

# By numpy.dtype.char, which is faster to get at than the dtype itself.
DTYPES = {"f": "f32", "d": "f64", "e": "f16"}
BF16 = "bfloat16"  # NumPy has none; that of the package ml_dtypes is read by its bits
LABEL_KINDS = {"B": "label_u8", "i": "label_i32", "l": "label_i64", "q": "label_i64"}
BINARY_KINDS = {"?": "binary_u8", "B": "binary_u8"}


def as_array(value: Any) -> np.ndarray:
    """The value itself if it is an array, else a view by DLPack or the buffer protocol if possible."""
    if type(value) is np.ndarray:
        return value
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        return np.from_dlpack(value)
    return np.asarray(value)


def dtype_of(array: np.ndarray, name: str) -> str:
    dtype = DTYPES.get(array.dtype.char)
    if dtype is None:
        if array.dtype.name != BF16:
            raise TypeError(f"{name}: dtype {array.dtype} is none of float32, float64, float16, bfloat16")
        return "bf16"
    return dtype


def bits_of(array: np.ndarray) -> np.ndarray:
    """A bfloat16 array as what the buffer protocol can tell of."""
    return array.view(np.uint16) if array.dtype.name == BF16 else array


def target_kind(op: str, targets: np.ndarray, shape: tuple[int, ...], rows: tuple[int, ...]) -> str:
    """The library's name for what the targets are, by their shape and dtype."""
    char = targets.dtype.char
    if targets.shape == shape:
        if char in DTYPES or targets.dtype.name == BF16:
            return "dense"
        kind = BINARY_KINDS.get(char) if op == "sigmoid" else None
        if kind is None:
            known = "floating, bool or uint8" if op == "sigmoid" else "floating"
            raise TypeError(
                f"targets: dtype {targets.dtype} with the logits' shape {shape}; "
                f"it takes {known} ones, or labels of shape {rows}"
            )
        return kind
    if targets.shape != rows:
        raise ValueError(
            f"targets: shape {targets.shape} does not fit logits of shape {shape}; it takes that or {rows}"
        )
    kind = LABEL_KINDS.get(char)
    if kind is None:
        raise TypeError(f"targets: labels have dtype {targets.dtype}; it takes uint8, int32 or int64")
    return kind


def axis_from_end(op: str, axis: int, shape: tuple[int, ...]) -> int:
    """The axis of the classes, counted from the end. A single decision without dimensions has one as well."""
    dimensions = len(shape)
    some = dimensions or (1 if op == "sigmoid" else 0)
    if not -some <= axis < some:
        raise ValueError(f"axis: {axis} is outside of the logits' dimensions ({dimensions})")
    return axis - some if axis >= 0 else axis


def matrix_of(shape: tuple[int, ...], axis: int, column: bool) -> tuple[int, int, int]:
    """Rows, classes, and what lies inside of the classes. A column is many decisions with one logit.

    Without logits there are no rows, but still classes, for which there may be weights.
    """
    if column and len(shape) < 2:
        outer, classes, inner = shape[0] if shape else 1, 1, 1
    else:
        outer, classes, inner = 1, shape[axis], 1
        for size in shape[:axis]:
            outer *= size
        if axis != -1:
            for size in shape[axis + 1 :]:
                inner *= size
    return (outer, classes, inner) if outer and classes and inner else (0, classes, 1)


def stride_of(array: np.ndarray, outer: int, classes: int, axis: int) -> int | None:
    """Elements from row to row of an array that is not contiguous, None if no one number tells it.

    Behind the axis of the classes there are only dimensions of size 1, whose strides mean nothing.
    """
    item = array.itemsize
    if outer <= 1 or array.ndim < 2 or (classes > 1 and array.strides[axis] != item):
        return None
    stride = rows = 0
    for size, step in zip(array.shape[axis - 1 :: -1], array.strides[axis - 1 :: -1], strict=True):
        if size == 1:
            continue
        if rows == 0:
            stride, rows = step, size
        elif step == stride * rows:
            rows *= size
        else:
            return None
    return stride // item if stride >= classes * item and stride % item == 0 else None


@lru_cache(maxsize=512)
def plan(**problem: Any) -> Plan:
    """Plans by their keywords: most programs ask for the same few again and again."""
    return Plan(**problem)


# What forgets plans, here and in focal.torch: they keep the kernel they were made with.
caches: list[Callable[[], None]] = [plan.cache_clear]


def forget_plans() -> None:
    for clear in caches:
        clear()
