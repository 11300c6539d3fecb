"""The signatures of other libraries: `from focal.torch import compat as ops`.

Names, argument orders and defaults are those of fvcore.nn and mmcv.ops, whose functions these replace.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import _functional

# ---- fvcore.nn --------------------------------------------------------------------------------


def _numbers(inputs: Tensor, targets: Tensor) -> Tensor:
    """fvcore takes integers of the inputs' shape for the numbers 0 and 1."""
    known = targets.is_floating_point() or targets.dtype in (torch.bool, torch.uint8)
    return targets if known or targets.shape != inputs.shape else targets.to(inputs.dtype)


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = -1, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """fvcore.nn.sigmoid_focal_loss: torchvision's with no alpha by default."""
    return _functional.sigmoid_focal_loss(inputs, _numbers(inputs, targets), alpha, gamma, reduction)


sigmoid_focal_loss_jit = sigmoid_focal_loss


def sigmoid_focal_loss_star(
    inputs: Tensor, targets: Tensor, alpha: float = -1, gamma: float = 1, reduction: str = "none"
) -> Tensor:
    """fvcore.nn.sigmoid_focal_loss_star: FL* of the paper's appendix A with beta 0.

    log sigmoid of gamma times the signed logit, by PyTorch's own operations.
    """
    loss = -functional.logsigmoid(gamma * inputs * (2 * targets - 1)) / gamma
    if alpha >= 0:
        loss = loss * (alpha * targets + (1 - alpha) * (1 - targets))
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


sigmoid_focal_loss_star_jit = sigmoid_focal_loss_star

# ---- mmcv.ops ---------------------------------------------------------------------------------


def _mmcv_reduced(loss: Tensor, rows: int, reduction: str) -> Tensor:
    """mmcv's mean is over rows, not over elements; its mean of no rows is 0."""
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction: '{reduction}' is none of 'none', 'mean', 'sum'")
    return loss.sum() / max(rows, 1) if reduction == "mean" else loss.sum()


def _weight_of_rows(weight: Tensor, target: Tensor) -> Tensor:
    """weight[target]; rows without a class have 1, where mmcv's kernel reads past the end."""
    inside = (target >= 0) & (target < weight.numel())
    return torch.where(inside, weight[torch.where(inside, target, 0)], 1.0)


def mmcv_sigmoid_focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """mmcv.ops.sigmoid_focal_loss: logits (N, C), labels (N), C or any negative for background.

    weight: (C), a factor for the rows of each label. 'mean' divides by N.
    """
    classes = input.shape[1]
    target = torch.where(target < 0, classes, target)
    if weight is None and reduction != "none":
        loss = _functional.sigmoid_focal_loss(input, target, alpha, gamma, "sum", classes)
    else:
        loss = _functional.sigmoid_focal_loss(input, target, alpha, gamma, "none", classes)
        if weight is not None:
            loss = loss * _weight_of_rows(weight, target).unsqueeze(1)
    return _mmcv_reduced(loss, input.shape[0], reduction)


def mmcv_softmax_focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """mmcv.ops.softmax_focal_loss: logits (N, C), labels (N); rows with a negative label count 0.

    alpha multiplies every class alike. 'mean' divides by N, rows of loss 0 included.
    """
    counted = target >= 0
    loss = _functional.softmax_focal_loss(input, torch.where(counted, target, 0), alpha, gamma)
    factor = counted.to(loss.dtype)
    if weight is not None:
        factor = factor * _weight_of_rows(weight, target)
    return _mmcv_reduced(loss * factor, input.shape[0], reduction)


class _MmcvFocalLoss(nn.Module):
    def __init__(
        self, gamma: float, alpha: float, weight: Tensor | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.gamma, self.alpha, self.reduction = gamma, alpha, reduction
        self.register_buffer("weight", weight)


class SigmoidFocalLoss(_MmcvFocalLoss):
    """mmcv.ops.SigmoidFocalLoss(gamma, alpha, weight=None, reduction='mean')."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return mmcv_sigmoid_focal_loss(input, target, self.gamma, self.alpha, self.weight, self.reduction)


class SoftmaxFocalLoss(_MmcvFocalLoss):
    """mmcv.ops.SoftmaxFocalLoss(gamma, alpha, weight=None, reduction='mean')."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return mmcv_softmax_focal_loss(input, target, self.gamma, self.alpha, self.weight, self.reduction)
