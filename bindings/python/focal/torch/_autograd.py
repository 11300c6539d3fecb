"""Registration of torch.ops.focal.*: derivatives, shapes for tracing, batching, autocast."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from . import _formula, _ops
from ._ops import Inputs, Settings

_NO_SETTINGS = (None,) * len(Settings._fields)


# ---- Derivatives by PyTorch's own operations --------------------------------------------------


def reduced(op: str, inputs: Inputs, settings: Settings) -> Tensor:
    """The operator's result by PyTorch's operations."""
    losses, weights = _formula.LOSSES[op](inputs, settings)
    if settings.reduction == "none":
        return losses
    if settings.reduction == "sum":
        return losses.sum()
    return losses.mean() if op == "sigmoid" else losses.sum() / weights.sum()


def _target_gradient(op: str, grad: Tensor, inputs: Inputs, settings: Settings) -> Tensor:
    with torch.enable_grad():
        targets = inputs.targets if inputs.targets.requires_grad else inputs.targets.detach().requires_grad_()
        loss = reduced(op, inputs._replace(targets=targets), settings)
        return torch.autograd.grad(loss, targets, grad, create_graph=True)[0]


def _backward_of_backward(
    op: str, grad2: Tensor, grad: Tensor, inputs: Inputs, settings: Settings
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Derivatives of sum(grad2 * backward(grad, inputs)) in grad, logits and soft targets."""
    with torch.enable_grad():
        wanted = [t if t.requires_grad else t.detach().requires_grad_() for t in (grad, inputs.logits)]
        soft = inputs.targets.is_floating_point() and inputs.targets.requires_grad
        loss = reduced(op, inputs._replace(logits=wanted[1]), settings)
        first = torch.autograd.grad(loss, wanted[1], wanted[0], create_graph=True)[0]
        if soft:
            wanted.append(inputs.targets)
        results = torch.autograd.grad(first, wanted, grad2, create_graph=True, materialize_grads=True)
    return results[0], results[1], results[2] if soft else None


def input_gradients(
    op: str, grad: Tensor, inputs: Inputs, settings: Settings, wants: tuple
) -> tuple[Tensor | None, Tensor | None]:
    """Of logits and targets."""
    in_logits = in_targets = None
    if wants[0]:
        if torch.is_grad_enabled() or not _ops.is_plain(grad, *inputs):
            in_logits = OPERATORS[op][1](grad, *inputs, *settings)
        else:
            in_logits = _ops.backward(op, grad, inputs, settings)
    if wants[1]:
        in_targets = _target_gradient(op, grad, inputs, settings)
    return in_logits, in_targets


# ---- Registration -----------------------------------------------------------------------------

_library = torch.library.Library("focal", "DEF")


def _parted(arguments: tuple) -> tuple[Inputs, Settings]:
    return Inputs(*arguments[:4]), Settings(*arguments[4:])


def _register(op: str) -> tuple[Any, Any]:
    """Defines the loss and its gradient; returns both operators."""
    names = f"{op}_focal_loss", f"{op}_focal_loss_backward"
    _library.define(f"{names[0]}({Inputs.SCHEMA}, {Settings.SCHEMA}) -> Tensor")
    _library.define(f"{names[1]}(Tensor grad, {Inputs.SCHEMA}, {Settings.SCHEMA}) -> Tensor")
    loss, gradient = (getattr(torch.ops.focal, name).default for name in names)

    def checked(arguments: tuple) -> tuple[Inputs, Settings]:
        inputs, settings = _parted(arguments)
        _ops.check(op, inputs, settings)
        return inputs, settings

    def compute_loss(*arguments: Any) -> Tensor:
        return _ops.forward(op, *checked(arguments))

    def compute_gradient(grad: Tensor, *arguments: Any) -> Tensor:
        return _ops.backward(op, grad, *checked(arguments))

    def shape_of_loss(*arguments: Any) -> Tensor:
        inputs, settings = _parted(arguments)
        shape = _ops.loss_shape(op, inputs, settings) if settings.reduction == "none" else ()
        return inputs.logits.new_empty(shape)

    def shape_of_gradient(grad: Tensor, logits: Tensor, *_: Any) -> Tensor:
        return logits.new_empty(logits.shape)

    def keep_loss(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:4])
        ctx.settings = Settings(*inputs[4:])

    def keep_gradient(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:5])
        ctx.settings = Settings(*inputs[5:])

    def loss_backward(ctx: Any, grad: Tensor) -> tuple:
        inputs = Inputs(*ctx.saved_tensors)
        slopes = input_gradients(op, grad, inputs, ctx.settings, ctx.needs_input_grad)
        return *slopes, None, None, *_NO_SETTINGS  # weights are constants

    def gradient_backward(ctx: Any, grad2: Tensor) -> tuple:
        grad, *inputs = ctx.saved_tensors
        return (
            *_backward_of_backward(op, grad2, grad, Inputs(*inputs), ctx.settings),
            None,
            None,
            *_NO_SETTINGS,
        )

    functions = (
        (names[0], compute_loss, shape_of_loss, loss_backward, keep_loss, _loss_of_batch(op, loss)),
        (
            names[1],
            compute_gradient,
            shape_of_gradient,
            gradient_backward,
            keep_gradient,
            _gradient_of_batch(op, gradient),
        ),
    )
    for name, kernel, shape, derivative, keep, batch in functions:
        _library.impl(name, kernel, "CPU")
        torch.library.register_fake(f"focal::{name}", shape, lib=_library)
        torch.library.register_autograd(f"focal::{name}", derivative, setup_context=keep, lib=_library)
        torch.library.register_vmap(f"focal::{name}", batch, lib=_library)
    torch.library.register_autocast(f"focal::{names[0]}", "cpu", torch.float32, lib=_library)
    return loss, gradient


# ---- Batching: one more outer dimension, which reductions leave -------------------------------


def _batched(tensor: Tensor | None, dim: int | None, size: int) -> Tensor | None:
    """With the batch in front."""
    if tensor is None:
        return None
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _batch_inputs(op: str, arguments: tuple, dims: tuple, size: int) -> tuple[Inputs, Settings]:
    inputs, settings = _parted(arguments)
    if dims[2] is not None:
        raise NotImplementedError("vmap: class weights are the same for the whole batch")
    logits, targets, _, weight = (_batched(t, d, size) for t, d in zip(inputs, dims, strict=False))
    inputs = inputs._replace(logits=logits, targets=targets, weight=weight)
    weighed = inputs.class_weight is not None or weight is not None
    if op == "softmax" and settings.reduction == "mean" and weighed:
        raise NotImplementedError("vmap: a weighted mean; use reduction='none'")
    return inputs, settings


def _divisors(op: str, inputs: Inputs, settings: Settings, size: int) -> Tensor | int:
    """What the mean of each part of the batch divides by."""
    if op == "softmax" and settings.ignore is not None:
        return (inputs.targets != settings.ignore).reshape(size, -1).sum(1).clamp(min=1)
    return max(math.prod(_ops.loss_shape(op, inputs, settings)[1:]), 1)


def _loss_of_batch(op: str, loss: Any) -> Any:
    def rule(info: Any, dims: tuple, *arguments: Any) -> tuple[Tensor, int]:
        inputs, settings = _batch_inputs(op, arguments, dims, info.batch_size)
        losses = loss(*inputs, *settings._replace(reduction="none"))
        if settings.reduction == "none":
            return losses, 0
        sums = losses.reshape(info.batch_size, -1).sum(1)
        if settings.reduction == "mean":
            sums = sums / _divisors(op, inputs, settings, info.batch_size)
        return sums, 0

    return rule


def _gradient_of_batch(op: str, gradient: Any) -> Any:
    def rule(info: Any, dims: tuple, grad: Tensor, *arguments: Any) -> tuple[Tensor, int]:
        grad = _batched(grad, dims[0], info.batch_size)
        inputs, settings = _batch_inputs(op, arguments, dims[1:], info.batch_size)
        shape = _ops.loss_shape(op, inputs, settings)
        if settings.reduction == "mean":
            grad = grad / _divisors(op, inputs, settings, info.batch_size)
        if settings.reduction != "none":
            grad = grad.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
        return gradient(grad, *inputs, *settings._replace(reduction="none")), 0

    return rule


OPERATORS = {op: _register(op) for op in ("sigmoid", "softmax")}
