"""The losses in PyTorch's own differentiable operations.

What is not worth a kernel is made of these: second and higher derivatives, and the gradient in soft
targets. They follow the library's formulas (docs/numerics.md), which stay accurate and finite where
1 - p_t cancels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ._ops import Settings


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Targets of the logits' shape; labels outside [0, classes) are rows without a positive class."""
    inside = (labels >= 0) & (labels < classes)
    dense = functional.one_hot(torch.where(inside, labels, 0).long(), classes)
    return dense.to(dtype) * inside.unsqueeze(-1)


def sigmoid_losses(logits: Tensor, targets: Tensor, settings: Settings) -> Tensor:
    """alpha_t q^gamma BCE per element, with q = 1 - p_t = p (1 - t) + (1 - p) t."""
    alpha, gamma = settings.alpha, settings.gamma
    if not targets.is_floating_point() and targets.shape != logits.shape:
        targets = one_hot(targets, logits.shape[-1], logits.dtype)
    targets = targets.to(logits.dtype)
    positive, negative = torch.sigmoid(logits), torch.sigmoid(-logits)
    losses = targets * functional.softplus(-logits) + (1 - targets) * functional.softplus(logits)
    if gamma != 0:
        losses = losses * (positive * (1 - targets) + negative * targets) ** gamma
    if alpha >= 0:
        losses = losses * (alpha * targets + (1 - alpha) * (1 - targets))
    return losses


def softmax_losses(logits: Tensor, labels: Tensor, settings: Settings) -> Tensor:
    """alpha q^gamma -log p_t per row, with q = 1 - p_t as the sum of the other probabilities."""
    alpha, gamma = settings.alpha, settings.gamma
    index = labels.long().unsqueeze(-1)
    losses = -functional.log_softmax(logits, -1).gather(-1, index).squeeze(-1)
    if gamma != 0:
        others = torch.softmax(logits, -1).scatter(-1, index, 0.0).sum(-1)
        losses = losses * others**gamma
    return losses * alpha if alpha >= 0 else losses
