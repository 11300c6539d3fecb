"""Focal losses of tensors on the CPU."""

from typing import Optional  # TorchScript knows this spelling in every version

import torch
from torch import Tensor

from . import _autograd, _ops  # noqa: F401  _autograd registers the operators
from ._ops import Settings

_LABELS = (torch.uint8, torch.int32, torch.int64)


def _check(inputs: Tensor, targets: Tensor, alpha: float, reduction: str) -> None:
    if not (0 <= alpha <= 1 or alpha == -1):
        raise ValueError(f"Invalid alpha value: {alpha}. It is in [0, 1], or -1 for no alpha.")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"Invalid value for reduction: '{reduction}'. It is 'none', 'mean' or 'sum'.")
    for name, tensor in (("inputs", inputs), ("targets", targets)):
        if tensor.device.type not in ("cpu", "meta"):
            raise NotImplementedError(f"focal.torch computes on the CPU; {name} are on {tensor.device}")


def _sigmoid(
    inputs: Tensor, targets: Tensor, alpha: float, gamma: float, reduction: str, background: Optional[int]
) -> Tensor:
    _check(inputs, targets, alpha, reduction)
    if inputs.shape == targets.shape:
        if targets.dtype != inputs.dtype and targets.dtype not in (torch.bool, torch.uint8):
            dtype = torch.promote_types(inputs.dtype, targets.dtype)
            inputs, targets = inputs.to(dtype), targets.to(dtype)
    elif targets.dtype not in _LABELS or targets.shape != inputs.shape[:-1]:
        raise ValueError(
            f"Target size ({targets.shape}) must be the same as input size ({inputs.shape}), "
            "or for labels (uint8, int32, int64) that without the last dimension"
        )
    return _ops.call("sigmoid", inputs, targets, Settings(alpha, gamma, reduction, background))


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
    background: Optional[int] = None,
) -> Tensor:
    """Sigmoid focal loss, a drop-in for torchvision.ops.sigmoid_focal_loss.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 5; in nats.

    inputs: logits, float32, of any shape, (..., classes) with labels.
    targets: of the inputs' shape, floating with values in [0, 1], or bool or uint8 with 0 and 1; or
        uint8, int32 or int64 class labels of shape (...), for which no one-hot tensor is made.
    alpha: in [0, 1], weight of target 1, with 1 - alpha for target 0; -1: no weights.
    gamma: focusing parameter, in [0, 1000]; 0 is binary cross-entropy.
    reduction: "none", "mean" (over all elements) or "sum".
    background: the label of rows without a positive class, any integer.

    Differentiable in inputs and in floating targets, any number of times. Threads are those of
    torch.get_num_threads(); no result depends on them. Raises ValueError, and focal.FocalError (which is
    one) for what the library refuses, such as a label out of range.
    """
    if torch.jit.is_scripting():
        return torch.ops.focal.sigmoid_focal_loss(inputs, targets, alpha, gamma, reduction, background)
    return _sigmoid(inputs, targets, alpha, gamma, reduction, background)


def _softmax(inputs: Tensor, targets: Tensor, alpha: float, gamma: float, reduction: str) -> Tensor:
    _check(inputs, targets, alpha, reduction)
    if targets.dtype not in _LABELS:
        raise ValueError(f"Targets are labels: uint8, int32 or int64, not {targets.dtype}")
    if targets.shape != inputs.shape[:1] + inputs.shape[2:] and inputs.dim() != 1:
        raise ValueError(
            f"Target size ({targets.shape}) must be the input size ({inputs.shape}) without dimension 1"
        )
    if inputs.dim() > 2:
        inputs = inputs.movedim(1, -1)
    return _ops.call("softmax", inputs, targets, Settings(alpha, gamma, reduction, None))


def softmax_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = -1, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """Softmax focal loss, shaped as torch.nn.functional.cross_entropy, which it is with gamma 0.

    -alpha (1 - p_t)^gamma log p_t per row, p_t the softmax probability of the label.

    inputs: logits, float32: (classes), (N, classes) or (N, classes, d1, ...).
    targets: uint8, int32 or int64 class labels: (), (N) or (N, d1, ...).
    alpha: in [0, 1], factor of every row; -1: 1.
    gamma: focusing parameter, in [0, 1000].
    reduction: "none": a loss per row; "mean" (over rows) or "sum".
    """
    if torch.jit.is_scripting():
        if inputs.dim() > 2:
            inputs = inputs.movedim(1, -1)
        return torch.ops.focal.softmax_focal_loss(inputs, targets, alpha, gamma, reduction, None)
    return _softmax(inputs, targets, alpha, gamma, reduction)
