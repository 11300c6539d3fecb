"""The operators torch.ops.focal.*: what computes them, and the short way to them in eager mode.

A reduced loss and its gradient are computed in one pass of the forward call where autograd wants them;
else forward and backward are a pass each, with nothing kept between them but the inputs.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from focal import Plan
from focal._arrays import caches

DTYPES = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16"}
_LABELS = {torch.uint8: "label_u8", torch.int32: "label_i32", torch.int64: "label_i64"}
# No tensors of one element: a kind of call would be known by the tensor, whatever is in it later.
_NUMBERS = (float, int, np.floating, np.integer, torch.SymFloat, torch.SymInt)


class Settings(NamedTuple):
    """What the operators take besides tensors, in their order."""

    alpha: float  # -1: none, as in torchvision
    gamma: float
    reduction: str
    dim: int  # of the classes, counted from the end
    background: int | None
    ignore: int | None
    smoothing: float

    SCHEMA = "float alpha, float gamma, str reduction, int dim, int? background, int? ignore, float smoothing"


class Inputs(NamedTuple):
    """The tensors; a weight of each class, and one of each row or element."""

    logits: Tensor
    targets: Tensor
    class_weight: Tensor | None
    weight: Tensor | None

    SCHEMA = "Tensor logits, Tensor targets, Tensor? class_weight, Tensor? weight"


class Memory(NamedTuple):
    """How the tensors of a call lie: with Settings, all that a plan depends on."""

    op: str
    outputs: str | tuple
    dtype: str
    target_kind: str
    targets_dtype: str
    outer: int
    classes: int
    inner: int
    logits_stride: int
    targets_stride: int


@lru_cache(maxsize=512)
def _plan(memory: Memory, settings: Settings, class_weight: tuple | None, weighed: bool) -> Plan:
    problem: dict[str, Any] = memory._asdict()
    if settings.alpha >= 0:
        problem.update(alpha_mode="scalar", alpha=settings.alpha)
    flags = [name for name in ("background", "ignore") if getattr(settings, name) is not None]
    for name in flags:
        problem[name] = getattr(settings, name)
    if settings.reduction == "mean":
        problem["normalizer"] = "elements" if memory.op == "sigmoid" else "weight" if weighed else "rows"
    return Plan(
        gamma=settings.gamma,
        label_flags=flags,
        smoothing=settings.smoothing,
        class_weight=class_weight,
        **problem,
    )


def _in_place(tensor: Tensor, dim: int) -> tuple[Tensor, int]:
    """The tensor and its row stride if the library can read it as it lies, else a contiguous copy."""
    if tensor.is_contiguous():
        return tensor, 0
    if dim == -1 and tensor.dim() == 2 and tensor.stride(1) == 1 and tensor.stride(0) >= tensor.shape[1]:
        return tensor, tensor.stride(0)
    return tensor.contiguous(), 0


def rows_shape(shape: torch.Size, dim: int) -> torch.Size:
    """Without the dimension of the classes."""
    return shape[:-1] if dim == -1 else shape[:dim] + shape[dim + 1 :]


def loss_shape(op: str, inputs: Inputs, settings: Settings) -> torch.Size:
    """Of losses that are not reduced."""
    shape = inputs.logits.shape
    return shape if op == "sigmoid" else rows_shape(shape, settings.dim)


# ---- Checks -----------------------------------------------------------------------------------


def check_settings(alpha: float, gamma: float, reduction: str, label_smoothing: float) -> None:
    for name, value in (("alpha", alpha), ("gamma", gamma), ("label_smoothing", label_smoothing)):
        if not isinstance(value, _NUMBERS):
            hint = "; -1 for no alpha" if name == "alpha" else ""
            raise TypeError(f"{name}: expected a number, not {type(value).__name__}{hint}")
    if not (0 <= alpha <= 1 or alpha == -1):
        raise ValueError(f"Invalid alpha value: {alpha}. It is in [0, 1], or -1 for no alpha.")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"Invalid value for reduction: '{reduction}'. It is 'none', 'mean' or 'sum'.")


def check(op: str, inputs: Inputs, settings: Settings) -> None:
    """For the operators, which TorchScript calls without what the functions look at before."""
    check_settings(settings.alpha, settings.gamma, settings.reduction, settings.smoothing)
    logits, targets, _, weight = inputs
    shape, dim = logits.shape, settings.dim
    if not -max(len(shape), 1) <= dim < 0:
        raise ValueError(f"dim: {dim} is not one of the inputs' {len(shape)}, counted from the end")
    rows = rows_shape(shape, dim)
    bits = targets.dtype is torch.bool or (targets.dtype is torch.uint8 and targets.shape == shape)
    dense = targets.is_floating_point() or (bits and op == "sigmoid")
    if not dense and targets.dtype not in _LABELS:
        raise TypeError(f"targets: labels are uint8, int32 or int64, not {targets.dtype}")
    if targets.shape != (shape if dense else rows):
        raise ValueError(f"targets: {targets.dtype} of size {targets.shape} with inputs of size {shape}")
    if weight is not None and weight.shape != rows and not (op == "sigmoid" and weight.shape == shape):
        raise ValueError(f"weight: size {weight.shape} with inputs of size {shape}")


# ---- Plans ------------------------------------------------------------------------------------


def _prepared(
    op: str, outputs: str | tuple, inputs: Inputs, settings: Settings
) -> tuple[Plan, dict[str, Tensor]]:
    """The plan, and the inputs by the names of its buffers, as it can read them."""
    logits, targets, class_weight, weight = inputs
    dtype = DTYPES.get(logits.dtype)
    if dtype is None:
        raise NotImplementedError(f"inputs: {logits.dtype}; focal.torch takes {', '.join(map(str, DTYPES))}")
    shape, dim = logits.shape, settings[3]
    outer = classes = inner = 1
    if shape:
        classes = shape[dim]
        if dim != -1:
            inner = math.prod(shape[dim + 1 :])
        size = logits.numel()
        if size:
            outer = size // (classes * inner)
        else:  # no rows, but still classes, for which there may be weights
            outer, inner = 0, 1
    kind, targets_dtype = "dense", "default"
    if targets.dtype != logits.dtype:
        targets_dtype = DTYPES.get(targets.dtype, "default")
        if targets_dtype == "default":
            bits = targets.dtype is torch.bool or (targets.dtype is torch.uint8 and targets.shape == shape)
            kind = "binary_u8" if bits else _LABELS[targets.dtype]
    logits, logits_stride = _in_place(logits, dim)
    targets, targets_stride = _in_place(targets, dim if kind[0] != "l" else 0)
    buffers = {"logits": logits, "targets": targets}
    if class_weight is not None:
        class_weight = tuple(class_weight.tolist())
    if weight is not None:
        weight = weight.to(torch.float64 if dtype == "f64" else torch.float32).contiguous()
        buffers["element_weight" if weight.shape == shape and op == "sigmoid" else "row_weight"] = weight
    weighed = class_weight is not None or weight is not None
    memory = Memory(
        op, outputs, dtype, kind, targets_dtype, outer, classes, inner, logits_stride, targets_stride
    )
    return _plan(memory, settings, class_weight, weighed), buffers


def _execute(
    op: str, outputs: str | tuple, inputs: Inputs, settings: Settings, **results: Tensor
) -> tuple[float, bool]:
    """Runs the plan; the reduced loss, and whether there were any logits."""
    plan, buffers = _prepared(op, outputs, inputs, settings)
    addresses = {name: tensor.data_ptr() for name, tensor in (*buffers.items(), *results.items())}
    sums = plan.execute_addresses(threads=torch.get_num_threads(), **addresses)
    return sums[0], inputs[0].numel() > 0


def forward(op: str, inputs: Inputs, settings: Settings) -> Tensor:
    dtype = inputs[0].dtype
    if settings[2] == "none":
        # A row without classes costs nothing.
        new = torch.empty if inputs[0].numel() else torch.zeros
        losses = new(loss_shape(op, inputs, settings), dtype=dtype)
        output = "loss" if op == "sigmoid" else "row_loss"
        _execute(op, output, inputs, settings, **{output: losses})
        return losses
    total, any_logits = _execute(op, "sum", inputs, settings)
    return torch.scalar_tensor(total if any_logits or settings[2] == "sum" else math.nan, dtype=dtype)


def backward(op: str, grad: Tensor, inputs: Inputs, settings: Settings) -> Tensor:
    logits = inputs[0]
    result = torch.empty(logits.shape, dtype=logits.dtype)
    if settings[2] == "none":
        _execute(op, "gradient", inputs, settings, gradient=result)
        return result.mul_(grad if op == "sigmoid" else grad.unsqueeze(settings[3]))
    _execute(op, "gradient", inputs, settings, gradient=result)
    return scaled(result, grad)


def scaled(gradient: Tensor, grad: Tensor) -> Tensor:
    """Times the gradient of the reduced loss, in place; it is 1 more often than not."""
    return gradient if grad.item() == 1.0 else gradient.mul_(grad)


def both(op: str, inputs: Inputs, settings: Settings) -> tuple[Tensor, Tensor]:
    """The reduced loss and its gradient in one pass."""
    logits = inputs[0]
    gradient = torch.empty(logits.shape, dtype=logits.dtype)
    total, any_logits = _execute(op, ("sum", "gradient"), inputs, settings, gradient=gradient)
    total = total if any_logits or settings[2] == "sum" else math.nan
    return torch.scalar_tensor(total, dtype=logits.dtype), gradient


# ---- The short way ----------------------------------------------------------------------------


class Recipe:
    """What a kind of call needs besides its tensors, if these are contiguous, with logits, without weights.

    Found by shapes, dtypes and settings: at DETR's sizes finding it out takes longer than the arithmetic.
    """

    __slots__ = ("both", "dtype", "gradient", "loss", "losses", "op", "scalar", "settings")

    def __init__(self, op: str, inputs: Inputs, settings: Settings) -> None:
        self.op, self.settings = op, settings
        self.dtype = inputs.logits.dtype
        self.losses = loss_shape(op, inputs, settings) if settings.reduction == "none" else None
        stored = self.dtype in (torch.float32, torch.float64)
        self.scalar = torch.empty((), dtype=self.dtype) if stored else None  # the pattern of the loss
        output = "sum" if self.losses is None else "loss" if op == "sigmoid" else "row_loss"
        self.loss, self.gradient, self.both = (
            _prepared(op, outputs, inputs, settings)[0].execute_addresses
            for outputs in (output, "gradient", (output, "gradient"))
        )

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        addresses = {"logits": logits.data_ptr(), "targets": targets.data_ptr()}
        threads = torch.get_num_threads()
        if self.losses is None:
            if self.scalar is None:
                return self._scalar(self.loss(threads=threads, **addresses)[0])
            loss = torch.empty_like(self.scalar)
            self.loss(threads=threads, **addresses, sum=loss.data_ptr())
            return loss
        losses = torch.empty(self.losses, dtype=self.dtype)
        name = "loss" if self.op == "sigmoid" else "row_loss"
        self.loss(threads=threads, **addresses, **{name: losses.data_ptr()})
        return losses

    def forward_and_gradient(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Of a reduced loss, in one pass."""
        gradient = torch.empty_like(logits)
        # Made before the kernel runs, which leaves no code of PyTorch in the caches.
        loss = None if self.scalar is None else torch.empty_like(self.scalar)
        sums = self.both(
            logits=logits.data_ptr(),
            targets=targets.data_ptr(),
            gradient=gradient.data_ptr(),
            threads=torch.get_num_threads(),
            sum=0 if loss is None else loss.data_ptr(),
        )
        return self._scalar(sums[0]) if loss is None else loss, gradient

    def _scalar(self, total: float) -> Tensor:
        return torch.scalar_tensor(total, dtype=self.dtype)


_recipes: dict[tuple, Recipe] = {}
_MOST_RECIPES = 512
caches.extend((_plan.cache_clear, _recipes.clear))


def _recipe(key: tuple | None, op: str, inputs: Inputs, settings: Settings) -> Recipe | None:
    """A new one, kept under the key; None if the call has to be looked at each time."""
    if key is None or not (inputs[0].is_contiguous() and inputs[1].is_contiguous()):
        return None
    if inputs[2] is not None or inputs[3] is not None or not inputs[0].numel():
        return None
    if len(_recipes) >= _MOST_RECIPES:
        _recipes.clear()
    recipe = _recipes[key] = Recipe(op, inputs, settings)
    return recipe


def again(key: tuple, logits: Tensor, targets: Tensor) -> Tensor | None:
    """The result of a call of plain, contiguous tensors whose kind was seen before; else None."""
    try:
        recipe = _recipes.get(key)
    except TypeError:  # a setting that is no number, which gets its error later
        return None
    if recipe is None or not (logits.is_contiguous() and targets.is_contiguous()):
        return None
    return _follow(recipe, logits, targets)


def _follow(recipe: Recipe, logits: Tensor, targets: Tensor) -> Tensor:
    if torch.is_grad_enabled() and (logits.requires_grad or targets.requires_grad):
        return _apply_eager(logits, targets, recipe)
    return recipe.forward(logits, targets)


class _Weighed(NamedTuple):
    """In a recipe's place where there is none."""

    op: str
    settings: Settings
    class_weight: Tensor | None
    weight: Tensor | None


class _Eager(torch.autograd.Function):
    """The operator for plain tensors in eager mode: the same, at half the dispatcher's time."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, recipe: Recipe | _Weighed) -> Tensor:
        ctx.recipe = recipe
        one_pass = recipe.settings[2] != "none" and logits.requires_grad
        if type(recipe) is Recipe:
            ctx.save_for_backward(logits, targets)
            if not one_pass:
                return recipe.forward(logits, targets)
            loss, ctx.gradient = recipe.forward_and_gradient(logits, targets)
            return loss
        inputs = Inputs(logits, targets, recipe.class_weight, recipe.weight)
        ctx.save_for_backward(*inputs)
        if not one_pass:
            return forward(recipe.op, inputs, recipe.settings)
        loss, ctx.gradient = both(recipe.op, inputs, recipe.settings)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        """Gives the gradient of the forward pass away once; whoever asks again has it computed anew."""
        gradient = getattr(ctx, "gradient", None)
        if gradient is not None and _is_untouched(grad):
            ctx.gradient = None
            if not ctx.needs_input_grad[1]:
                return scaled(gradient, grad), None, None
        from ._autograd import input_gradients

        recipe, inputs = ctx.recipe, (*ctx.saved_tensors, None, None)[:4]
        return *input_gradients(recipe.op, grad, Inputs(*inputs), recipe.settings, ctx.needs_input_grad), None


# Function.apply() without its look at transforms, which is_plain() had: a microsecond less.
_apply_eager = super(torch.autograd.Function, _Eager).apply

_PLAIN = (Tensor, torch.nn.Parameter)
_transforms = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)
_dispatch_modes = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)
_is_compiling, _autocasts = torch.compiler.is_compiling, torch.is_autocast_enabled
_is_tracing = getattr(torch._C, "_is_tracing", torch.jit.is_tracing)
_function_modes = getattr(torch._C, "_len_torch_function_stack", lambda: 1)


def is_plain(*tensors: Tensor | None) -> bool:
    """Whether nobody but autograd wants to see the operator: no tracing, transform, mode or subclass."""
    for tensor in tensors:
        if tensor is not None and (type(tensor) not in _PLAIN or not tensor.is_cpu):
            return False
    return not (
        _is_compiling()
        or _transforms()
        or _dispatch_modes()
        or _function_modes()
        or _is_tracing()
        or _autocasts("cpu")
    )


def _is_untouched(grad: Tensor) -> bool:
    """is_plain() for a backward pass that nobody differentiates; tracing shows in the tensor's type."""
    return not (torch.is_grad_enabled() or type(grad) is not Tensor or _transforms() or _dispatch_modes())


def differentiates() -> bool:
    """Whether a transform of torch.func besides vmap is at work; those cannot see into an operator."""
    if torch.compiler.is_compiling() or not _transforms():
        return False
    try:
        stack = torch._C._functorch.get_interpreter_stack()
        return any(level.key() != torch._C._functorch.TransformType.Vmap for level in stack)
    except AttributeError:  # private, and may go
        return True


def call(op: str, inputs: Inputs, settings: Settings, key: tuple | None) -> Tensor:
    """key: all that decides what a recipe is; None: no recipe."""
    if not is_plain(*inputs):
        from ._autograd import OPERATORS, reduced

        if differentiates():
            return reduced(op, inputs, settings)
        return OPERATORS[op][0](*inputs, *settings)
    recipe = _recipe(key, op, inputs, settings)
    if recipe is not None:
        return _follow(recipe, inputs[0], inputs[1])
    if torch.is_grad_enabled() and (inputs[0].requires_grad or inputs[1].requires_grad):
        return _apply_eager(inputs[0], inputs[1], _Weighed(op, settings, inputs[2], inputs[3]))
    return forward(op, inputs, settings)
