"""Focal losses of tensors on the CPU."""

from typing import Optional  # TorchScript knows this spelling in every version

import torch
from torch import Tensor

from . import _autograd, _ops  # noqa: F401  _autograd registers the operators
from ._ops import Inputs, Settings

_LABELS = (torch.uint8, torch.int32, torch.int64)


def _check(inputs: Inputs, settings: Settings) -> None:
    _ops.check_settings(settings.alpha, settings.gamma, settings.reduction, settings.smoothing)
    if not (inputs[0].is_cpu and inputs[1].is_cpu):
        _check_devices(inputs)
    if inputs[2] is not None or inputs[3] is not None:
        _check_devices(inputs)
        check_weights(*inputs[2:])


def _check_devices(inputs: Inputs) -> None:
    for name, tensor in zip(inputs._fields, inputs):
        if tensor is not None and tensor.device.type not in ("cpu", "meta"):
            raise NotImplementedError(f"focal.torch computes on the CPU; {name} is on {tensor.device}")


def check_weights(class_weight: Optional[Tensor], weight: Optional[Tensor] = None) -> None:
    for name, tensor in (("class_weight", class_weight), ("weight", weight)):
        if tensor is not None and tensor.requires_grad:
            raise ValueError(f"{name}: weights are constants, without a gradient")


def _from_end(class_dim: int, dimensions: int) -> int:
    """class_dim counted from the end. A single decision without dimensions has one as well."""
    some = max(dimensions, 1)
    if class_dim < -some or class_dim >= some:
        raise ValueError(f"class_dim: {class_dim} is outside of the inputs' dimensions ({dimensions})")
    return class_dim - some if class_dim >= 0 else class_dim


def _promoted(inputs: Inputs) -> Inputs:
    """Inputs and targets of unlike types in the one that PyTorch promotes them to: both keep their digits."""
    logits, targets = inputs[:2]
    dtype = torch.promote_types(logits.dtype, targets.dtype)
    return inputs._replace(logits=logits.to(dtype), targets=targets.to(dtype))


def _sigmoid(inputs: Inputs, settings: Settings, key: Optional[tuple]) -> Tensor:
    logits, targets = inputs[:2]
    _check(inputs, settings)
    if logits.shape == targets.shape:
        if targets.dtype != logits.dtype and targets.dtype not in (torch.bool, torch.uint8):
            if not targets.is_floating_point():
                raise TypeError(
                    f"targets: {targets.dtype} of the inputs' size; it takes bool, uint8 or floating ones, "
                    "or labels without the dimension of the classes"
                )
            inputs, key = _promoted(inputs), None
    elif targets.dtype not in _LABELS or targets.shape != _ops.rows_shape(logits.shape, settings.dim):
        raise ValueError(
            f"Target size ({targets.shape}) must be the same as input size ({logits.shape}), "
            "or for labels (uint8, int32, int64) that without the dimension of the classes"
        )
    if inputs[3] is not None and inputs[3].shape not in (
        logits.shape,
        _ops.rows_shape(logits.shape, settings.dim),
    ):
        raise ValueError(f"weight: size {inputs[3].shape} is that of neither the rows nor the inputs")
    return _ops.call("sigmoid", inputs, settings, key)


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
    background: Optional[int] = None,
    ignore_index: Optional[int] = None,
    class_weight: Optional[Tensor] = None,
    weight: Optional[Tensor] = None,
    label_smoothing: float = 0.0,
    class_dim: int = -1,
) -> Tensor:
    """Sigmoid focal loss, a drop-in for torchvision.ops.sigmoid_focal_loss.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 5; in nats.

    inputs: logits of any shape; float32, float64, float16 or bfloat16.
    targets: of the inputs' shape, floating with values in [0, 1], or bool or uint8 with 0 and 1; or
        uint8, int32 or int64 class labels of the inputs' shape without class_dim, for which no one-hot
        tensor is made.
    alpha: in [0, 1], weight of target 1, with 1 - alpha for target 0; -1: no weights.
    gamma: focusing parameter, in [0, 1000]; 0 is binary cross-entropy.
    reduction: "none", "mean" (over all elements, ignored ones included) or "sum".
    background: the label of rows without a positive class, any integer.
    ignore_index: the label of rows that count for nothing, any integer.
    class_weight: (classes), a factor of each class's elements.
    weight: a factor of each row (the shape of labels) or of each element.
    label_smoothing: s in [0, 1): targets become t (1 - s) + s / 2.
    class_dim: where the classes are, for labels and class weights; negative ones count from the end.

    Differentiable in inputs and in floating targets, any number of times. Threads are those of
    torch.get_num_threads(); no result depends on them. Raises ValueError, and focal.FocalError (which is
    one) for what the library refuses, such as a label out of range.
    """
    if torch.jit.is_scripting():
        dim = _from_end(class_dim, inputs.dim())
        return torch.ops.focal.sigmoid_focal_loss(
            inputs, targets, class_weight, weight, alpha, gamma, reduction, dim, background, ignore_index,
            label_smoothing,
        )  # fmt: skip
    key = None
    if class_weight is None and weight is None and _ops.is_plain(inputs, targets):
        key = (
            "sigmoid", inputs.shape, inputs.dtype, targets.shape, targets.dtype,
            alpha, gamma, reduction, class_dim, background, ignore_index, label_smoothing,
        )  # fmt: skip
        result = _ops.again(key, inputs, targets)
        if result is not None:
            return result
    dim = _from_end(class_dim, inputs.dim())
    settings = Settings(alpha, gamma, reduction, dim, background, ignore_index, label_smoothing)
    return _sigmoid(Inputs(inputs, targets, class_weight, weight), settings, key)


def _softmax(inputs: Inputs, settings: Settings, key: Optional[tuple]) -> Tensor:
    logits, targets = inputs[:2]
    _check(inputs, settings)
    rows = _ops.rows_shape(logits.shape, settings.dim)
    if targets.is_floating_point():
        if targets.shape != logits.shape:
            raise ValueError(f"Soft targets have the size of the input ({logits.shape}), not {targets.shape}")
        if targets.dtype != logits.dtype:
            inputs, key = _promoted(inputs), None
    elif targets.dtype not in _LABELS:
        raise ValueError(f"Labels are uint8, int32 or int64, not {targets.dtype}")
    elif targets.shape != rows:
        raise ValueError(
            f"Target size ({targets.shape}) must be the input size ({logits.shape}) without the classes"
        )
    if inputs[3] is not None and inputs[3].shape != rows:
        raise ValueError(f"weight: size {inputs[3].shape} is not that of the rows, {rows}")
    return _ops.call("softmax", inputs, settings, key)


def softmax_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = -1,
    gamma: float = 2,
    reduction: str = "none",
    ignore_index: int = -100,
    class_weight: Optional[Tensor] = None,
    weight: Optional[Tensor] = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax focal loss, shaped as torch.nn.functional.cross_entropy, whose losses it has with gamma 0.

    -alpha (1 - p_t)^gamma log p_t per row, p_t the softmax probability of the label. With soft targets t
    the sum over the classes of t_c (1 - p_c)^gamma -log p_c.

    inputs: logits: (classes), (N, classes) or (N, classes, d1, ...).
    targets: uint8, int32 or int64 class labels: (), (N) or (N, d1, ...); or soft, of the inputs' shape.
        Of unlike floating types the loss has the one that PyTorch promotes both to.
    alpha: in [0, 1], factor of every row; -1: 1.
    gamma: focusing parameter, in [0, 1000].
    reduction: "none": a loss per row; "sum"; "mean": over rows that are not ignored, by their weights.
    ignore_index: the label of rows that count for nothing.
    class_weight: (classes), a factor of the rows of each label, smoothed or not.
    weight: a factor of each row.
    label_smoothing: s in [0, 1): targets become t (1 - s) + s / classes.
    """
    dim = 1 - inputs.dim() if inputs.dim() > 1 else -1
    ignore: Optional[int] = ignore_index
    if targets.is_floating_point():
        ignore = None
    if torch.jit.is_scripting():
        return torch.ops.focal.softmax_focal_loss(
            inputs, targets, class_weight, weight, alpha, gamma, reduction, dim, None, ignore, label_smoothing
        )
    key = None
    if class_weight is None and weight is None and _ops.is_plain(inputs, targets):
        key = (
            "softmax", inputs.shape, inputs.dtype, targets.shape, targets.dtype,
            alpha, gamma, reduction, ignore, label_smoothing,
        )  # fmt: skip
        result = _ops.again(key, inputs, targets)
        if result is not None:
            return result
    settings = Settings(alpha, gamma, reduction, dim, None, ignore, label_smoothing)
    return _softmax(Inputs(inputs, targets, class_weight, weight), settings, key)
