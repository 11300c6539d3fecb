"""Focal losses and their gradients on CPUs, by the SIMD kernels of libfocal.

>>> import numpy as np, focal
>>> logits = np.array([[2.0, -1.0, 0.5, -3.0]], np.float32)
>>> targets = np.array([[1, 0, 0, 1]], np.float32)
>>> loss, gradient = focal.sigmoid_focal_loss_with_grad(logits, targets, reduction="sum")
>>> f"{loss:.6f}"
'0.992073'

The bits of a result depend on its inputs, dtype and tier alone: not on instruction set, threads or layout.
focal.torch has the same for PyTorch.
"""

from __future__ import annotations

import os

from ._focal import (
    FocalError,
    Plan,
    Sums,
    get_num_threads,
    info,
    prior_bias,
    set_isa_cap,
    set_num_threads,
)
from ._loss import (
    sigmoid_focal_loss,
    sigmoid_focal_loss_with_grad,
    softmax_focal_loss,
    softmax_focal_loss_with_grad,
)
from ._tune import tune, tune_load, tune_save, tune_state

__all__ = [
    "FocalError",
    "Plan",
    "Sums",
    "get_num_threads",
    "info",
    "prior_bias",
    "set_isa_cap",
    "set_num_threads",
    "sigmoid_focal_loss",
    "sigmoid_focal_loss_with_grad",
    "softmax_focal_loss",
    "softmax_focal_loss_with_grad",
    "tune",
    "tune_load",
    "tune_save",
    "tune_state",
]
__version__: str = info()["version"]


def _usable_threads() -> int:
    """OMP_NUM_THREADS if it says something, else the CPUs that this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit() and int(wanted) > 0:
        return min(int(wanted), 256)
    try:
        return min(len(os.sched_getaffinity(0)), 256)
    except AttributeError:  # not on every system
        return min(os.cpu_count() or 1, 256)


set_num_threads(_usable_threads())
