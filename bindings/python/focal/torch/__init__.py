"""Focal losses as PyTorch operators on the CPU, by the kernels of libfocal."""

from __future__ import annotations

from . import compat
from ._functional import sigmoid_focal_loss, softmax_focal_loss
from ._modules import SigmoidFocalLoss, SoftmaxFocalLoss
from ._torchvision import Patch, patch_torchvision

__all__ = [
    "Patch",
    "SigmoidFocalLoss",
    "SoftmaxFocalLoss",
    "compat",
    "patch_torchvision",
    "sigmoid_focal_loss",
    "softmax_focal_loss",
]
