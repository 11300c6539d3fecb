"""The losses in PyTorch's own differentiable operations.

What is not worth a kernel is made of these: second and higher derivatives, and the gradient in soft
targets. They follow the library's formulas (docs/numerics.md), which stay accurate and finite where
1 - p_t cancels. Each gives the losses and, for a mean, their weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ._ops import Inputs, Settings


def _dense_targets(inputs: Inputs, settings: Settings) -> Tensor:
    """Of the logits' shape; a label outside [0, classes) is a row without a positive class."""
    logits, targets = inputs.logits, inputs.targets
    if targets.is_floating_point() or targets.shape == logits.shape:
        return targets.to(logits.dtype)
    return _is_class(targets, logits, settings.dim).to(logits.dtype)


def _is_class(labels: Tensor, logits: Tensor, dim: int) -> Tensor:
    """One-hot as bool, of the logits' shape. functional.one_hot looks at values, which vmap forbids."""
    classes = torch.arange(logits.shape[dim], device=labels.device)
    return (labels.unsqueeze(-1) == classes).movedim(-1, dim)


def _along_classes(vector: Tensor, logits: Tensor, dim: int) -> Tensor:
    return vector.to(logits.dtype).reshape(-1, *[1] * (-dim - 1))


def _row_weights(inputs: Inputs, settings: Settings) -> Tensor:
    """Row weights, with 0 for ignored rows."""
    shape = _shape_of_rows(inputs, settings)
    weights = torch.ones(shape, dtype=inputs.logits.dtype, device=inputs.logits.device)
    if inputs.weight is not None and inputs.weight.shape == shape:
        weights = weights * inputs.weight.to(weights.dtype)
    if (
        settings.ignore is not None
        and not inputs.targets.is_floating_point()
        and inputs.targets.shape == shape
    ):
        weights = torch.where(inputs.targets == settings.ignore, 0, weights)
    return weights


def _shape_of_rows(inputs: Inputs, settings: Settings) -> torch.Size:
    shape = inputs.logits.shape
    return shape[:-1] if settings.dim == -1 else shape[: settings.dim] + shape[settings.dim + 1 :]


def sigmoid_losses(inputs: Inputs, settings: Settings) -> tuple[Tensor, Tensor]:
    """alpha_t q^gamma BCE per element, with q = 1 - p_t = p (1 - t) + (1 - p) t."""
    logits, alpha = inputs.logits, settings.alpha
    targets = _dense_targets(inputs, settings)
    if settings.smoothing:
        targets = targets * (1 - settings.smoothing) + settings.smoothing / 2
    positive, negative = torch.sigmoid(logits), torch.sigmoid(-logits)
    losses = targets * functional.softplus(-logits) + (1 - targets) * functional.softplus(logits)
    if settings.gamma != 0:
        losses = losses * (positive * (1 - targets) + negative * targets) ** settings.gamma
    if alpha >= 0:
        losses = losses * (alpha * targets + (1 - alpha) * (1 - targets))
    if inputs.class_weight is not None:
        losses = losses * _along_classes(inputs.class_weight, logits, settings.dim)
    if inputs.weight is not None and inputs.weight.shape == logits.shape:
        return losses * inputs.weight.to(losses.dtype), losses
    if not logits.dim():
        return losses, losses
    weights = _row_weights(inputs, settings)
    return losses * weights.unsqueeze(settings.dim), weights


def softmax_losses(inputs: Inputs, settings: Settings) -> tuple[Tensor, Tensor]:
    """alpha sum of t_c q_c^gamma -log p_c per row, with q_c = 1 - p_c as the sum of the others."""
    logits, dim = inputs.logits, settings.dim
    targets = _dense_targets(inputs, settings)
    weights = _row_weights(inputs, settings)
    labels = not inputs.targets.is_floating_point()
    if inputs.class_weight is not None and labels:
        vector = _along_classes(inputs.class_weight, logits, dim)
        weights = weights * (targets * vector).sum(dim)
    if settings.smoothing:
        targets = targets * (1 - settings.smoothing) + settings.smoothing / logits.shape[dim]
    terms = -targets * functional.log_softmax(logits, dim)
    if settings.gamma != 0:
        terms = terms * _one_minus_softmax(logits, dim) ** settings.gamma
    if inputs.class_weight is not None and not labels:
        terms = terms * _along_classes(inputs.class_weight, logits, dim)
    losses = terms.sum(dim) * weights
    return losses * settings.alpha if settings.alpha >= 0 else losses, weights


def _one_minus_softmax(logits: Tensor, dim: int) -> Tensor:
    """1 - p per class. For the greatest, where the difference cancels, the sum of the others."""
    p = torch.softmax(logits, dim)
    greatest = _is_class(logits.argmax(dim), logits, dim)
    others = torch.where(greatest, 0, p).sum(dim, keepdim=True)
    return torch.where(greatest, others, 1 - p)


LOSSES = {"sigmoid": sigmoid_losses, "softmax": softmax_losses}
