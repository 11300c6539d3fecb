"""Arrays as the library sees them: element type, matrix of rows and classes, distances in memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ._focal import Plan

# Of numpy.dtype.char, which is faster to get at than the dtype itself.
DTYPES = {"f": "f32"}
LABEL_KINDS = {"B": "label_u8", "i": "label_i32", "l": "label_i64", "q": "label_i64"}
BINARY_KINDS = {"?": "binary_u8", "B": "binary_u8"}


class Matrix(NamedTuple):
    """Rows of logits in memory; `stride` elements from row to row, 0 if there is no padding."""

    outer: int
    classes: int
    stride: int


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
        raise TypeError(f"{name}: dtype {array.dtype} is none of float32")
    return dtype


def target_kind(op: str, targets: np.ndarray, logits: np.ndarray) -> str:
    """The library's name for what the targets are, by their shape and dtype."""
    char = targets.dtype.char
    if targets.shape == logits.shape and op == "sigmoid":
        if char == logits.dtype.char:
            return "dense"
        kind = BINARY_KINDS.get(char)
        if kind is None:
            raise TypeError(
                f"targets: dtype {targets.dtype} with the logits' shape; "
                f"it takes {logits.dtype}, bool or uint8, or integer labels of shape {logits.shape[:-1]}"
            )
        return kind
    if targets.shape != logits.shape[:-1]:
        each = f"{logits.shape} or " if op == "sigmoid" else ""
        raise ValueError(
            f"targets: shape {targets.shape} does not fit logits of shape {logits.shape}; "
            f"it takes {each}{logits.shape[:-1]}"
        )
    kind = LABEL_KINDS.get(char)
    if kind is None:
        raise TypeError(f"targets: labels have dtype {targets.dtype}; it takes uint8, int32 or int64")
    return kind


def matrix_of(shape: tuple[int, ...], labels: bool) -> tuple[int, int]:
    """Rows and classes. Without labels a vector is a column: many binary decisions."""
    if len(shape) == 2:
        outer, classes = shape
    elif len(shape) > 1 or (shape and labels):
        outer, classes = 1, shape[-1]
        for size in shape[:-1]:
            outer *= size
    else:
        outer, classes = shape[0] if shape else 1, 1
    return (0, 0) if classes == 0 else (outer, classes)


def stride_of(array: np.ndarray, outer: int, classes: int) -> int | None:
    """Elements from row to row of an array that is not contiguous, None if no one number tells it."""
    item = array.itemsize
    if outer <= 1 or array.ndim < 2 or (classes > 1 and array.strides[-1] != item):
        return None
    stride, rows = 0, 1
    for size, step in zip(array.shape[-2::-1], array.strides[-2::-1], strict=True):
        if size == 1:
            continue
        if stride == 0:
            stride = step
        elif step != stride * rows:
            return None
        rows *= size
    return stride // item if stride >= classes * item and stride % item == 0 else None


@lru_cache(maxsize=512)
def plan(**problem: Any) -> Plan:
    """Plans by their keywords: most programs ask for the same few again and again."""
    return Plan(**problem)
