"""Registration of torch.ops.focal.*: derivatives, shapes for tracing, batching, autocast."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from . import _formula, _ops
from ._ops import Settings

_LOSSES = {"sigmoid": _formula.sigmoid_losses, "softmax": _formula.softmax_losses}
_NO_SETTINGS = (None,) * len(Settings._fields)


# ---- Derivatives by PyTorch's own operations --------------------------------------------------


def reduced(op: str, logits: Tensor, targets: Tensor, settings: Settings) -> Tensor:
    """The operator's result by PyTorch's operations."""
    losses = _LOSSES[op](logits, targets, settings)
    if settings.reduction == "none":
        return losses
    return losses.mean() if settings.reduction == "mean" else losses.sum()


def target_gradient(op: str, grad: Tensor, logits: Tensor, targets: Tensor, settings: Settings) -> Tensor:
    with torch.enable_grad():
        inputs = targets if targets.requires_grad else targets.detach().requires_grad_()
        loss = reduced(op, logits, inputs, settings)
        return torch.autograd.grad(loss, inputs, grad, create_graph=True)[0]


def _backward_of_backward(
    op: str, grad2: Tensor, grad: Tensor, logits: Tensor, targets: Tensor, settings: Settings
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Derivatives of sum(grad2 * backward(grad, logits, targets)) in grad, logits and soft targets."""
    with torch.enable_grad():
        inputs = [t if t.requires_grad else t.detach().requires_grad_() for t in (grad, logits)]
        soft = targets.is_floating_point() and targets.requires_grad
        loss = reduced(op, inputs[1], targets, settings)
        first = torch.autograd.grad(loss, inputs[1], inputs[0], create_graph=True)[0]
        wanted = [*inputs, targets] if soft else inputs
        results = torch.autograd.grad(first, wanted, grad2, create_graph=True, materialize_grads=True)
    return results[0], results[1], results[2] if soft else None


# ---- Registration -----------------------------------------------------------------------------

_library = torch.library.Library("focal", "DEF")


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    tensors = len(inputs) - len(_NO_SETTINGS)
    ctx.save_for_backward(*inputs[:tensors])
    ctx.settings = Settings(*inputs[tensors:])


def _register(op: str) -> tuple[Any, Any]:
    """Defines the loss and its gradient; returns both operators."""
    names = f"{op}_focal_loss", f"{op}_focal_loss_backward"
    _library.define(f"{names[0]}(Tensor logits, Tensor targets, {Settings.SCHEMA}) -> Tensor")
    _library.define(f"{names[1]}(Tensor grad, Tensor logits, Tensor targets, {Settings.SCHEMA}) -> Tensor")
    loss, gradient = (getattr(torch.ops.focal, name).default for name in names)

    def compute_loss(logits: Tensor, targets: Tensor, *settings: Any) -> Tensor:
        return _ops.forward(op, logits, targets, Settings(*settings))

    def compute_gradient(grad: Tensor, logits: Tensor, targets: Tensor, *settings: Any) -> Tensor:
        return _ops.backward(op, grad, logits, targets, Settings(*settings))

    def loss_shape(logits: Tensor, targets: Tensor, *settings: Any) -> Tensor:
        if Settings(*settings).reduction != "none":
            return logits.new_empty(())
        return logits.new_empty(logits.shape if op == "sigmoid" else targets.shape)

    def gradient_shape(grad: Tensor, logits: Tensor, *_: Any) -> Tensor:
        return logits.new_empty(logits.shape)

    def loss_backward(ctx: Any, grad: Tensor) -> tuple:
        logits, targets = ctx.saved_tensors
        wants_logits, wants_targets = ctx.needs_input_grad[:2]
        in_logits = gradient(grad, logits, targets, *ctx.settings) if wants_logits else None
        in_targets = target_gradient(op, grad, logits, targets, ctx.settings) if wants_targets else None
        return in_logits, in_targets, *_NO_SETTINGS

    def gradient_backward(ctx: Any, grad2: Tensor) -> tuple:
        return *_backward_of_backward(op, grad2, *ctx.saved_tensors, ctx.settings), *_NO_SETTINGS

    kernels, shapes = (compute_loss, compute_gradient), (loss_shape, gradient_shape)
    derivatives = (loss_backward, gradient_backward)
    batches = (_loss_of_batch(op, loss), _gradient_of_batch(op, gradient))
    for i, name in enumerate(names):
        _library.impl(name, kernels[i], "CPU")
        full = f"focal::{name}"
        torch.library.register_fake(full, shapes[i], lib=_library)
        torch.library.register_autograd(full, derivatives[i], setup_context=_keep, lib=_library)
        torch.library.register_vmap(full, batches[i], lib=_library)
    torch.library.register_autocast(f"focal::{names[0]}", "cpu", torch.float32, lib=_library)
    return loss, gradient


# ---- Batching: one more outer dimension, which reductions leave -------------------------------


def _batched(tensors: tuple, dims: tuple, size: int) -> list[Tensor]:
    """With the batch in front."""
    return [
        tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(tensors, dims, strict=False)
    ]


def _loss_of_batch(op: str, loss: Any) -> Any:
    def rule(info: Any, dims: tuple, logits: Tensor, targets: Tensor, *arguments: Any) -> tuple[Tensor, int]:
        logits, targets = _batched((logits, targets), dims, info.batch_size)
        settings = Settings(*arguments)
        losses = loss(logits, targets, *settings._replace(reduction="none"))
        if settings.reduction == "none":
            return losses, 0
        losses = losses.reshape(info.batch_size, -1)
        return losses.mean(1) if settings.reduction == "mean" else losses.sum(1), 0

    return rule


def _gradient_of_batch(op: str, gradient: Any) -> Any:
    def rule(
        info: Any, dims: tuple, grad: Tensor, logits: Tensor, targets: Tensor, *arguments: Any
    ) -> tuple[Tensor, int]:
        grad, logits, targets = _batched((grad, logits, targets), dims, info.batch_size)
        settings = Settings(*arguments)
        shape = logits.shape if op == "sigmoid" else targets.shape
        if settings.reduction != "none":
            grad = grad.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
        if settings.reduction == "mean":
            grad = grad / max(math.prod(shape[1:]), 1)
        return gradient(grad, logits, targets, *settings._replace(reduction="none")), 0

    return rule


OPERATORS = {op: _register(op) for op in ("sigmoid", "softmax")}
