"""The operators torch.ops.focal.*: what computes them, and the short way to them in eager mode.

Forward and backward are one pass over the logits each, and nothing is kept between them but the inputs.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from focal import Plan

DTYPES = {torch.float32: "f32"}
_LABELS = {torch.uint8: "label_u8", torch.int32: "label_i32", torch.int64: "label_i64"}


class Settings(NamedTuple):
    """What the operators take besides tensors, in their order."""

    alpha: float  # -1: none, as in torchvision
    gamma: float
    reduction: str
    background: int | None

    SCHEMA = "float alpha, float gamma, str reduction, int? background"


class Memory(NamedTuple):
    """How the tensors of a call lie: with Settings, all that a plan depends on."""

    op: str
    output: str
    dtype: str
    target_kind: str
    outer: int
    classes: int
    logits_stride: int
    targets_stride: int


@lru_cache(maxsize=512)
def _plan(memory: Memory, alpha: float, gamma: float, background: int | None) -> Plan:
    problem: dict[str, Any] = memory._asdict()
    problem["outputs"] = problem.pop("output")
    if alpha >= 0:
        problem.update(alpha_mode="scalar", alpha=alpha)
    if background is not None:
        problem.update(label_flags="background", background=background)
    return Plan(gamma=gamma, **problem)


def _in_place(tensor: Tensor) -> tuple[Tensor, int]:
    """The tensor and its row stride if the library can read it as it lies, else a contiguous copy."""
    if tensor.is_contiguous():
        return tensor, 0
    if tensor.dim() == 2 and tensor.stride(1) == 1 and tensor.stride(0) >= tensor.shape[1]:
        return tensor, tensor.stride(0)
    return tensor.contiguous(), 0


def _target_kind(logits: Tensor, targets: Tensor) -> str:
    dtype = targets.dtype
    if dtype == logits.dtype:
        return "dense"
    if dtype is torch.bool or (dtype is torch.uint8 and targets.shape == logits.shape):
        return "binary_u8"
    return _LABELS[dtype]


def _execute(
    op: str, output: str, logits: Tensor, targets: Tensor, settings: Settings, **buffers: Any
) -> tuple[float, int]:
    """Runs the plan; the sum of losses, and what a mean divides by."""
    dtype = DTYPES.get(logits.dtype)
    if dtype is None:
        raise NotImplementedError(f"inputs: {logits.dtype}; focal.torch takes {', '.join(map(str, DTYPES))}")
    shape = logits.shape
    classes = shape[-1] if shape else 1
    outer = logits.numel() // classes if classes else 0
    if outer == 0:
        classes = 0
    logits, logits_stride = _in_place(logits)
    kind = _target_kind(logits, targets)
    targets, targets_stride = _in_place(targets)
    if kind[0] == "l" and targets_stride:
        targets, targets_stride = targets.contiguous(), 0
    memory = Memory(op, output, dtype, kind, outer, classes, logits_stride, targets_stride)
    sums = _plan(memory, settings[0], settings[1], settings[3]).execute_addresses(
        logits=logits.data_ptr(), targets=targets.data_ptr(), threads=torch.get_num_threads(), **buffers
    )
    return sums[0], outer * (classes if op == "sigmoid" else 1)


def forward(op: str, logits: Tensor, targets: Tensor, settings: Settings) -> Tensor:
    if settings[2] == "none":
        if op == "sigmoid":
            losses = torch.empty(logits.shape, dtype=logits.dtype)
            _execute(op, "loss", logits, targets, settings, loss=losses.data_ptr())
        else:
            losses = torch.empty(targets.shape, dtype=logits.dtype)
            _execute(op, "row_loss", logits, targets, settings, row_loss=losses.data_ptr())
        return losses
    total, count = _execute(op, "sum", logits, targets, settings)
    if settings[2] == "mean":
        total = total / count if count else math.nan
    return torch.scalar_tensor(total, dtype=logits.dtype)


def backward(op: str, grad: Tensor, logits: Tensor, targets: Tensor, settings: Settings) -> Tensor:
    result = torch.empty(logits.shape, dtype=logits.dtype)
    upstream = 1.0
    if settings[2] != "none":
        upstream = grad.item()
        if settings[2] == "mean":
            upstream /= max(logits.numel() if op == "sigmoid" else targets.numel(), 1)
    _execute(op, "gradient", logits, targets, settings, gradient=result.data_ptr(), upstream=upstream)
    if settings[2] == "none":
        result.mul_(grad if op == "sigmoid" else grad.unsqueeze(-1))
    return result


# ---- The short way ----------------------------------------------------------------------------


class _Eager(torch.autograd.Function):
    """The operator for plain tensors in eager mode: the same, at half the dispatcher's time."""

    @staticmethod
    def forward(ctx: Any, op: str, logits: Tensor, targets: Tensor, settings: Settings) -> Tensor:
        ctx.save_for_backward(logits, targets)
        ctx.op, ctx.settings = op, settings
        return forward(op, logits, targets, settings)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        from ._autograd import OPERATORS, target_gradient

        logits, targets = ctx.saved_tensors
        in_logits = in_targets = None
        if ctx.needs_input_grad[1]:
            if torch.is_grad_enabled() or not is_plain(grad):
                in_logits = OPERATORS[ctx.op][1](grad, logits, targets, *ctx.settings)
            else:
                in_logits = backward(ctx.op, grad, logits, targets, ctx.settings)
        if ctx.needs_input_grad[2]:
            in_targets = target_gradient(ctx.op, grad, logits, targets, ctx.settings)
        return None, in_logits, in_targets, None


_PLAIN = (Tensor, torch.nn.Parameter)
_transforms = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)
_dispatch_modes = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)
_function_modes = getattr(torch._C, "_len_torch_function_stack", lambda: 1)


def is_plain(*tensors: Tensor) -> bool:
    """Whether nobody but autograd wants to see the operator: no tracing, transform, mode or subclass."""
    for tensor in tensors:
        if type(tensor) not in _PLAIN or not tensor.is_cpu:
            return False
    return not (
        torch.compiler.is_compiling()
        or _transforms()
        or _dispatch_modes()
        or _function_modes()
        or torch.jit.is_tracing()
        or torch.is_autocast_enabled("cpu")
    )


def differentiates() -> bool:
    """Whether a transform of torch.func besides vmap is at work; those cannot see into an operator."""
    if torch.compiler.is_compiling() or not _transforms():
        return False
    try:
        stack = torch._C._functorch.get_interpreter_stack()
        return any(level.key() != torch._C._functorch.TransformType.Vmap for level in stack)
    except AttributeError:  # private, and may go
        return True


def call(op: str, logits: Tensor, targets: Tensor, settings: Settings) -> Tensor:
    if not is_plain(logits, targets):
        from ._autograd import OPERATORS, reduced

        if differentiates():
            return reduced(op, logits, targets, settings)
        return OPERATORS[op][0](logits, targets, *settings)
    if torch.is_grad_enabled() and (logits.requires_grad or targets.requires_grad):
        return _Eager.apply(op, logits, targets, settings)
    return forward(op, logits, targets, settings)
