"""focal.torch: the operator's contracts with autograd, tracing, batching and scripting."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import focal
import numpy as np
import pytest
import torch
import torchvision
from focal.torch import sigmoid_focal_loss, softmax_focal_loss
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

REDUCTIONS = ("none", "mean", "sum")
torchvision_loss = torchvision.ops.sigmoid_focal_loss


@pytest.fixture
def logits() -> Tensor:
    torch.manual_seed(1)
    return (3 * torch.randn(30, 8)).requires_grad_()


@pytest.fixture
def targets() -> Tensor:
    torch.manual_seed(2)
    return (torch.rand(30, 8) < 0.2).float()


@pytest.fixture
def labels() -> Tensor:
    torch.manual_seed(3)
    return torch.randint(0, 8, (30,))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("gamma", [0, 1, 2, 2.5])
@pytest.mark.parametrize("soft", [False, True])
def test_equals_torchvision(
    logits: Tensor, targets: Tensor, reduction: str, gamma: float, soft: bool
) -> None:
    if soft:
        targets = torch.rand_like(targets)
    ours = sigmoid_focal_loss(logits, targets, 0.3, gamma, reduction)
    theirs = torchvision_loss(logits, targets, 0.3, gamma, reduction)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    grad = torch.rand_like(theirs)
    ours, theirs = (torch.autograd.grad(loss, logits, grad)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_softmax_without_gamma_is_cross_entropy(logits: Tensor, labels: Tensor, reduction: str) -> None:
    ours = softmax_focal_loss(logits, labels, gamma=0, reduction=reduction)
    theirs = functional.cross_entropy(logits, labels, reduction=reduction)
    torch.testing.assert_close(ours, theirs)
    grad = torch.rand_like(theirs)
    ours, theirs = (torch.autograd.grad(loss, logits, grad)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivative(logits: Tensor, targets: Tensor, reduction: str) -> None:
    def second(loss: Tensor) -> tuple[Tensor, ...]:
        grad = torch.ones_like(loss, requires_grad=True)
        (first,) = torch.autograd.grad(loss, logits, grad, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (logits, grad))

    ours = second(sigmoid_focal_loss(logits, targets, reduction=reduction))
    theirs = second(torchvision_loss(logits, targets, reduction=reduction))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradient_in_soft_targets(logits: Tensor, reduction: str) -> None:
    targets = torch.rand(30, 8, requires_grad=True)
    grad = torch.rand(30, 8) if reduction == "none" else torch.tensor(0.7)
    ours, theirs = (
        torch.autograd.grad(loss(logits, targets, reduction=reduction), targets, grad)[0]
        for loss in (sigmoid_focal_loss, torchvision_loss)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_second_backward_is_the_first_again(logits: Tensor, targets: Tensor) -> None:
    loss = sigmoid_focal_loss(logits, targets, reduction="mean")
    first, second = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("op", ["sigmoid", "softmax"])
def test_operator_contracts(logits: Tensor, targets: Tensor, labels: Tensor, op: str, reduction: str) -> None:
    tensors = (logits, targets if op == "sigmoid" else labels, torch.rand(8), torch.rand(30))
    inputs = (*tensors, 0.25, 2.0, reduction, -1, None, 3 if op == "softmax" else None, 0.0)
    names = (f"{op}_focal_loss", f"{op}_focal_loss_backward")
    loss, backward = (getattr(torch.ops.focal, name).default for name in names)
    torch.library.opcheck(loss, inputs)
    grad = torch.rand_like(loss(*inputs)).requires_grad_()
    torch.library.opcheck(backward, (grad, *inputs))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_short_way_is_the_operator(logits: Tensor, targets: Tensor, reduction: str) -> None:
    short = sigmoid_focal_loss(logits, targets, reduction=reduction)
    long = torch.ops.focal.sigmoid_focal_loss(
        logits, targets, None, None, 0.25, 2.0, reduction, -1, None, None, 0.0
    )
    assert "Eager" in type(short.grad_fn).__name__ and "Eager" not in type(long.grad_fn).__name__
    assert torch.equal(short, long)
    grad = torch.rand_like(long)
    short, long = (torch.autograd.grad(loss, logits, grad)[0] for loss in (short, long))
    assert torch.equal(short, long)


def test_compiles_without_a_graph_break(logits: Tensor, targets: Tensor) -> None:
    def step(logits: Tensor, targets: Tensor) -> Tensor:
        return sigmoid_focal_loss(2 * logits, targets, reduction="sum") / 3

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    grads = [torch.autograd.grad(f(logits, targets), logits)[0] for f in (step, compiled)]
    assert torch.equal(step(logits, targets), compiled(logits, targets))
    assert torch.equal(*grads)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_vmap(logits: Tensor, targets: Tensor, labels: Tensor, reduction: str) -> None:
    def batched(loss: object) -> Tensor:
        gradient = torch.func.grad(lambda x, t: loss(x, t, reduction=reduction).sum())
        return torch.vmap(gradient)(logits, targets)

    torch.testing.assert_close(batched(sigmoid_focal_loss), batched(torchvision_loss), rtol=1e-4, atol=1e-6)
    one_by_one = [softmax_focal_loss(x, t, reduction=reduction) for x, t in zip(logits, labels, strict=True)]
    together = torch.vmap(lambda x, t: softmax_focal_loss(x, t, reduction=reduction))(logits, labels)
    torch.testing.assert_close(together, torch.stack(one_by_one))

    def total(x: Tensor, t: Tensor) -> Tensor:
        return softmax_focal_loss(x, t, reduction=reduction).sum()

    slopes = torch.vmap(torch.func.grad(total))(logits, labels)
    expected = [
        torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0][i] for i, loss in enumerate(one_by_one)
    ]
    torch.testing.assert_close(slopes, torch.stack(expected), rtol=1e-4, atol=1e-6)


def test_deterministic_mode(logits: Tensor, targets: Tensor, labels: Tensor) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        for loss, given in ((sigmoid_focal_loss, targets), (softmax_focal_loss, labels)):
            results = [torch.autograd.grad(loss(logits, given).sum(), logits)[0] for _ in range(2)]
            assert torch.equal(*results) and torch.isfinite(results[0]).all()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_calls_seen_before_are_the_same_calls(
    logits: Tensor, targets: Tensor, labels: Tensor, reduction: str
) -> None:
    """The second call of a kind goes another way than the first, with the same bits and derivatives."""
    for loss, given in ((sigmoid_focal_loss, targets), (softmax_focal_loss, labels)):
        results = []
        for _ in range(3):
            value = loss(logits, given, 0.3, 1.75, reduction).sum()
            first = torch.autograd.grad(value, logits, create_graph=True)[0]
            results.append((value, first, torch.autograd.grad(first.sum(), logits)[0]))
        for again in results[1:]:
            assert all(torch.equal(*pair) for pair in zip(results[0], again, strict=True))
        value = loss(logits, given, 0.3, 1.75, reduction).sum()
        grads = [torch.autograd.grad(3 * value, logits, retain_graph=True)[0] for _ in range(2)]
        assert torch.equal(*grads)
        torch.testing.assert_close(grads[0], 3 * results[0][1])
        assert torch.equal(loss(logits.detach(), given, 0.3, 1.75, reduction).sum(), results[0][0])
    soft = targets.clone().requires_grad_()
    slopes = [torch.autograd.grad(sigmoid_focal_loss(logits, soft, gamma=1.75).sum(), soft)[0] for _ in "ab"]
    assert torch.equal(*slopes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_reduced_losses_are_kept_apart(reduction: str, dtype: torch.dtype) -> None:
    """The short way stores the sum by itself: rounded as the operator's, in memory of each call's own."""
    generator = torch.Generator().manual_seed(5)
    targets = torch.zeros(30, 8, dtype=dtype)
    found, expected = [], []
    for wants_gradient in (False, True, True, False):
        logits = torch.randn(30, 8, generator=generator).to(dtype).requires_grad_(wants_gradient)
        found.append(sigmoid_focal_loss(logits, targets, reduction=reduction))
        settings = (None, None, 0.25, 2.0, reduction, -1, None, None, 0.0)
        expected.append(torch.ops.focal.sigmoid_focal_loss(logits, targets, *settings))
    assert all(loss.dtype == dtype and loss.shape == () for loss in found)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    with torch.inference_mode():
        assert torch.equal(sigmoid_focal_loss(logits, targets, reduction=reduction), found[-1])


def test_tensor_of_an_ended_transform() -> None:
    """What torch.func.grad leaves behind computes as the tensor that it wraps."""
    left = []
    x = torch.linspace(-2, 2, 12).reshape(3, 4)
    torch.func.grad(lambda y: left.append(y) or (y * y).sum())(x)
    targets, weight = torch.ones(3, 4), torch.ones(3)
    for keywords in ({}, {"weight": weight}):
        expected = sigmoid_focal_loss(x, targets, reduction="sum", **keywords)
        for _ in range(2):
            assert torch.equal(sigmoid_focal_loss(left[0], targets, reduction="sum", **keywords), expected)


MEMORY = """
import ctypes, torch, focal.torch
from pathlib import Path

def status(key):
    return 1024 * int(Path("/proc/self/status").read_text().split(f"{key}:")[1].split()[0])

torch.set_num_threads(1)
logits, targets = torch.randn(50000, 80, requires_grad=True), torch.zeros(50000, 80)
extra = []
for _ in range(5):
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    focal.torch.sigmoid_focal_loss(logits, targets, reduction="sum").backward()
    extra.append(status("VmHWM") - before)
    logits.grad = None
print(min(extra) - 4 * logits.numel())
"""


def test_memory_is_the_gradients() -> None:
    """Forward and backward want nothing as large as another tensor: blocks, the graph, a few pages."""
    ran = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True)
    assert abs(int(ran.stdout)) < 400_000  # of 16 MB; the kernel counts pages in batches


def test_hessian_by_transforms(logits: Tensor, targets: Tensor) -> None:
    row, target = logits.detach()[0], targets[0]
    ours, theirs = (
        torch.func.hessian(lambda x, loss=loss: loss(x, target, reduction="sum"))(row)
        for loss in (sigmoid_focal_loss, torchvision_loss)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_script(logits: Tensor, targets: Tensor, labels: Tensor) -> None:
    scripted = torch.jit.script(sigmoid_focal_loss)
    assert torch.equal(scripted(logits, targets), sigmoid_focal_loss(logits, targets))
    scripted = torch.jit.script(softmax_focal_loss)
    assert torch.equal(scripted(logits, labels), softmax_focal_loss(logits, labels))


def test_trace_and_export(logits: Tensor, targets: Tensor) -> None:
    module = focal.torch.SigmoidFocalLoss(reduction="mean")
    exported = torch.export.export(module, (logits.detach(), targets)).module()
    traced = torch.jit.trace(module, (logits.detach(), targets))
    for other in (exported, traced):
        assert torch.equal(other(logits.detach(), targets), module(logits.detach(), targets))


def test_fake_and_meta_tensors() -> None:
    logits = torch.empty(5, 3, device="meta")
    assert sigmoid_focal_loss(logits, logits).shape == (5, 3)
    assert softmax_focal_loss(logits, torch.empty(5, dtype=torch.long, device="meta")).shape == (5,)


def test_autocast_computes_in_float32(logits: Tensor, targets: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = sigmoid_focal_loss(logits.bfloat16(), targets.bfloat16(), reduction="sum")
    assert loss.dtype is torch.float32
    assert torch.equal(loss, sigmoid_focal_loss(logits.bfloat16().float(), targets, reduction="sum"))


def test_layouts(logits: Tensor, targets: Tensor) -> None:
    expected = sigmoid_focal_loss(logits, targets)
    wide = torch.full((30, 20), float("nan"))
    wide[:, 4:12] = logits.detach()
    padded = wide[:, 4:12]
    flipped = logits.detach().t().contiguous().t()
    for view in (padded, flipped, logits.detach().reshape(3, 10, 8)):
        assert torch.equal(sigmoid_focal_loss(view, targets.view(view.shape)).reshape(30, 8), expected)


def test_integers_of_the_inputs_shape_are_refused(logits: Tensor, labels: Tensor) -> None:
    """They may be class numbers; torchvision refuses them too. fvcore takes them for numbers."""
    dense = functional.one_hot(labels, 8)
    for targets in (dense, dense.int(), dense.short(), dense.to(torch.int8)):
        for reduction in (*REDUCTIONS, "mean"):
            with pytest.raises(TypeError, match=f"targets: {targets.dtype} .* bool, uint8 or floating"):
                sigmoid_focal_loss(logits, targets, reduction=reduction)
        expected = sigmoid_focal_loss(logits, dense.float(), alpha=-1)
        assert torch.equal(focal.torch.compat.sigmoid_focal_loss(logits, targets), expected)
    with pytest.raises(TypeError, match="targets: .* bool, uint8 or floating"):
        sigmoid_focal_loss(torch.tensor(1.0), torch.tensor(1))
    with pytest.raises(ValueError, match="must be the same as input size"):
        sigmoid_focal_loss(logits, labels.short())
    with pytest.raises(ValueError, match="Labels are uint8, int32 or int64"):
        softmax_focal_loss(logits, labels.short())


def test_targets_as_bytes_and_labels(logits: Tensor, labels: Tensor) -> None:
    dense = functional.one_hot(labels, 8)
    expected = sigmoid_focal_loss(logits, dense.float())
    for targets in (dense.bool(), dense.byte(), labels, labels.int(), labels.byte()):
        assert torch.equal(sigmoid_focal_loss(logits, targets), expected)
    labels[::3] = 8
    dense = functional.one_hot(labels, 9)[:, :8].float()
    with_background = sigmoid_focal_loss(logits, labels, background=8)
    assert torch.equal(with_background, sigmoid_focal_loss(logits, dense))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_empty(reduction: str) -> None:
    for shape in ((0, 4), (4, 0), (0,)):
        logits = torch.empty(shape, requires_grad=True)
        targets = torch.empty(shape)
        both = (sigmoid_focal_loss, torchvision_loss)
        ours, theirs = (loss(logits, targets, reduction=reduction) for loss in both)
        torch.testing.assert_close(ours, theirs, equal_nan=True)
        ours.sum().backward()
        assert logits.grad.shape == shape


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", [sigmoid_focal_loss, softmax_focal_loss])
def test_empty_with_weights(loss: Callable[..., Tensor], reduction: str) -> None:
    for shape, rows in (((0, 3), (0,)), ((2, 3, 0), (2, 0))):
        if loss is sigmoid_focal_loss:
            shape = (*rows, 3)
        logits = torch.empty(shape, requires_grad=True)
        for targets in (torch.empty(shape), torch.empty(rows, dtype=torch.long)):
            expected = loss(logits, targets, reduction=reduction)
            for weights in ({"class_weight": torch.rand(3)}, {"weight": torch.rand(rows)}):
                found = loss(logits, targets, reduction=reduction, **weights)
                torch.testing.assert_close(found, expected, equal_nan=True, rtol=0, atol=0)
                assert torch.autograd.grad(found.sum(), logits)[0].shape == shape
            with pytest.raises(ValueError, match="2 values for 3 classes"):
                loss(logits, targets, reduction=reduction, class_weight=torch.rand(2))


def test_rows_without_classes_cost_nothing() -> None:
    empty = torch.empty(400, 0, requires_grad=True)
    for _ in range(3):
        losses = [softmax_focal_loss(logits, empty) for logits in (empty, empty.detach())]
        losses.append(
            torch.ops.focal.softmax_focal_loss(
                empty, empty, None, None, 0.25, 2.0, "none", -1, None, None, 0.0
            )
        )
        assert all(torch.equal(loss, torch.zeros(400)) for loss in losses)


def test_follows_the_threads_of_torch(logits: Tensor, targets: Tensor) -> None:
    logits, targets = logits.repeat(5000, 1), targets.repeat(5000, 1)
    before = torch.get_num_threads()
    try:
        sums = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            sums.append(sigmoid_focal_loss(logits, targets, reduction="sum").item())
    finally:
        torch.set_num_threads(before)
    assert len(set(sums)) == 1


def test_mistakes_are_named(logits: Tensor, targets: Tensor, labels: Tensor) -> None:
    with pytest.raises(ValueError, match="Invalid alpha"):
        sigmoid_focal_loss(logits, targets, alpha=1.5)
    with pytest.raises(ValueError, match="Invalid value for reduction"):
        sigmoid_focal_loss(logits, targets, reduction="avg")
    with pytest.raises(ValueError, match="must be the same as input size"):
        sigmoid_focal_loss(logits, targets[:, :1])
    with pytest.raises(ValueError, match="gamma"):
        sigmoid_focal_loss(logits, targets, gamma=-1)
    labels[3] = 8
    with pytest.raises(focal.FocalError, match="label 8 of row 3"):
        softmax_focal_loss(logits, labels)
    with pytest.raises(ValueError, match="must be the input size"):
        softmax_focal_loss(logits, labels[:7])


def test_operators_look_at_their_arguments(logits: Tensor, targets: Tensor, labels: Tensor) -> None:
    """TorchScript calls them without the functions' checks; short tensors would be read past their end."""
    sigmoid, softmax = torch.jit.script(sigmoid_focal_loss), torch.jit.script(softmax_focal_loss)
    dense = functional.one_hot(labels, 8)
    wrong = [
        (sigmoid, targets[:2], {}, "targets: "),
        (sigmoid, targets.bool()[:, :1], {}, "targets: "),
        (sigmoid, labels[:1], {}, "targets: "),
        (sigmoid, dense, {}, "targets: "),
        (sigmoid, dense.short(), {}, "targets: "),
        (sigmoid, targets, {"weight": torch.ones(8)}, "weight: "),
        (sigmoid, targets, {"reduction": "avg"}, "Invalid value for reduction"),
        (sigmoid, targets, {"alpha": -2.0}, "Invalid alpha"),
        (softmax, labels[:1], {}, "targets: "),
        (softmax, targets[:1], {}, "targets: "),
        (softmax, dense, {}, "targets: "),
        (softmax, labels, {"weight": torch.ones(1)}, "weight: "),
        (softmax, labels, {"weight": torch.ones(30, 8)}, "weight: "),
    ]
    for loss, given, settings, message in wrong:
        for reduction in REDUCTIONS:
            with pytest.raises(RuntimeError, match=message):
                loss(logits, given, **{"reduction": reduction, **settings})
    inputs = logits.detach(), labels[:1], None, None, -1.0, 2.0, "none", -1, None, None, 0.0
    with pytest.raises(ValueError, match="targets: "):
        torch.ops.focal.softmax_focal_loss_backward(torch.ones(30), *inputs)
    with pytest.raises(ValueError, match="dim: -3 "):
        torch.ops.focal.softmax_focal_loss(logits, labels, *inputs[2:7], -3, *inputs[8:])


NO_NUMBERS = (
    None,
    [0.5] * 8,
    "0.5",
    torch.tensor(0.5),
    torch.full((8,), 0.5),
    np.full(8, 0.5),
    np.array(0.5),
)


@pytest.mark.parametrize("name", ["alpha", "gamma", "label_smoothing"])
def test_settings_are_numbers(logits: Tensor, targets: Tensor, labels: Tensor, name: str) -> None:
    for loss, module in (
        (sigmoid_focal_loss, focal.torch.SigmoidFocalLoss),
        (softmax_focal_loss, focal.torch.SoftmaxFocalLoss),
    ):
        given = targets if loss is sigmoid_focal_loss else labels
        for value in NO_NUMBERS:
            message = f"{name}: .* a number, not {type(value).__name__}"
            with pytest.raises(TypeError, match=message):
                loss(logits, given, **{name: value})
            with pytest.raises(TypeError, match=message):
                module(**{name: value})
        expected = loss(logits, given, **{name: 0.5})
        for value in (np.float32(0.5), np.float64(0.5)):
            assert torch.equal(loss(logits, given, **{name: value}), expected)
    with pytest.raises(TypeError, match="alpha: .*-1 for no alpha"):
        sigmoid_focal_loss(logits, targets, alpha=None)


@pytest.mark.parametrize("module", [focal.torch.SigmoidFocalLoss, focal.torch.SoftmaxFocalLoss])
def test_modules_name_mistakes_when_made(module: type) -> None:
    for mistake in ({"reduction": "avg"}, {"reduction": None}, {"alpha": 1.5}, {"gamma": -1}, {"gamma": 1e4}):
        with pytest.raises(ValueError, match=next(iter(mistake))):
            module(**mistake)
    for smoothing in (-0.1, 1.0):
        with pytest.raises(ValueError, match="label_smoothing"):
            module(label_smoothing=smoothing)
    with pytest.raises(TypeError, match=rf"{module.__name__}\(\) has no setting 'ignore_indx'.*ignore_index"):
        module(ignore_indx=3)
    with pytest.raises(ValueError, match="class_weight: weights are constants"):
        module(class_weight=torch.ones(3, requires_grad=True))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("op", ["sigmoid", "soft sigmoid", "softmax", "soft softmax"])
def test_gradients_by_differences(op: str, gamma: float, reduction: str) -> None:
    """gradcheck and gradgradcheck in double, with everything on."""
    torch.manual_seed(7)
    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    soft = torch.rand(6, 4, dtype=torch.float64).mul(0.8).add(0.1).requires_grad_()
    targets = soft if op.startswith("soft ") else torch.tensor([0, 1, 3, 2, 2, 1])
    keywords = {"class_weight": torch.rand(4), "weight": torch.rand(6), "label_smoothing": 0.1}
    if not targets.is_floating_point():
        keywords["ignore_index"] = 3
    function = sigmoid_focal_loss if "sigmoid" in op else softmax_focal_loss

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return function(logits, targets, 0.3, gamma, reduction, **keywords)

    assert gradcheck(loss, (logits, targets))
    assert gradgradcheck(loss, (logits, targets))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("soft", [False, True])
def test_is_cross_entropy_in_every_setting(reduction: str, soft: bool) -> None:
    torch.manual_seed(8)
    logits = torch.randn(3, 5, 4, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 5, (3, 4, 2))
    labels[0, 1] = -100
    targets = torch.rand(3, 5, 4, 2, dtype=torch.float64).softmax(1) if soft else labels
    class_weight = torch.rand(5, dtype=torch.float64)
    settings = {"reduction": reduction} if soft else {"reduction": reduction, "label_smoothing": 0.0}
    ours = softmax_focal_loss(logits, targets, gamma=0, class_weight=class_weight, **settings)
    if soft and reduction == "mean":  # PyTorch divides by the batch alone
        ours = ours * (3 * 4 * 2) / 3 / 8
        theirs = functional.cross_entropy(logits, targets, class_weight, reduction="sum") / 24
    else:
        theirs = functional.cross_entropy(logits, targets, class_weight, **settings)
    torch.testing.assert_close(ours, theirs)
    grads = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*grads)


def test_where_it_is_not_cross_entropy(logits: Tensor, labels: Tensor) -> None:
    """What docs/python.md says of the differences."""
    logits = logits.detach()
    weight, smoothing = torch.rand(8), 0.1
    unweighted = softmax_focal_loss(logits, labels, gamma=0, label_smoothing=smoothing)
    torch.testing.assert_close(
        unweighted,
        functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none"),
    )
    settings = {"gamma": 0, "class_weight": weight, "label_smoothing": smoothing}
    torch.testing.assert_close(softmax_focal_loss(logits, labels, **settings), unweighted * weight[labels])
    theirs = functional.cross_entropy(logits, labels, weight, label_smoothing=smoothing, reduction="none")
    assert not torch.allclose(softmax_focal_loss(logits, labels, **settings), theirs)
    soft = torch.rand(30, 8).softmax(1)
    torch.testing.assert_close(
        softmax_focal_loss(logits, soft, reduction="mean", **settings),
        functional.cross_entropy(logits, soft, weight, label_smoothing=smoothing),
    )
    ignored = torch.full((30,), -100)
    for none in ({"targets": ignored}, {"targets": labels, "class_weight": torch.zeros(8)}):
        assert softmax_focal_loss(logits, reduction="mean", **none) == 0
        assert functional.cross_entropy(logits, none["targets"], none.get("class_weight")).isnan()
    assert softmax_focal_loss(logits[:0], labels[:0], reduction="mean").isnan()


def test_a_sum_of_halves_is_stored_as_one() -> None:
    logits, targets = torch.full((400, 80), -20.0), torch.ones(400, 80)
    total = sigmoid_focal_loss(logits, targets, reduction="sum").item()
    assert total > 65504
    for _ in range(2):
        half = sigmoid_focal_loss(logits.half(), targets.half(), reduction="sum")
        assert half.dtype is torch.float16 and half.isinf()
        mean = sigmoid_focal_loss(logits.half(), targets.half(), reduction="mean")
        assert mean.item() == pytest.approx(total / logits.numel(), rel=1e-3)
    assert focal.sigmoid_focal_loss(
        logits.half().numpy(), targets.half().numpy(), reduction="sum"
    ) == pytest.approx(total)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtypes(logits: Tensor, targets: Tensor, dtype: torch.dtype) -> None:
    low = logits.detach().to(dtype).requires_grad_()
    ours = sigmoid_focal_loss(low, targets.to(dtype), reduction="mean")
    theirs = torchvision_loss(low.double(), targets.double(), reduction="mean")
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, theirs.to(dtype))
    grads = [torch.autograd.grad(loss, low)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", [sigmoid_focal_loss, softmax_focal_loss])
@pytest.mark.parametrize(
    ("low", "wide"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float16, torch.bfloat16),
        (torch.float32, torch.float64),
        (torch.float64, torch.float32),
        (torch.float32, torch.bfloat16),
    ],
)
def test_soft_targets_keep_their_digits(
    logits: Tensor, loss: Callable[..., Tensor], reduction: str, low: torch.dtype, wide: torch.dtype
) -> None:
    """The loss has the type that PyTorch promotes both to, as that of cross_entropy has."""
    torch.manual_seed(9)
    targets = torch.rand(30, 8, dtype=torch.float64).softmax(1).to(wide)
    logits = logits.detach().to(low).requires_grad_()
    both = torch.promote_types(low, wide)
    peer = functional.cross_entropy(logits, targets)
    for _ in range(2):
        found = loss(logits, targets, reduction=reduction)
        expected = loss(logits.to(both), targets.to(both), reduction=reduction)
        assert found.dtype == both == peer.dtype and torch.equal(found, expected)
        slopes = [torch.autograd.grad(one.sum(), logits)[0] for one in (found, expected)]
        assert slopes[0].dtype == low and torch.equal(*slopes)


def test_class_dim_needs_no_copy_and_changes_no_bit() -> None:
    logits = torch.randn(2, 5, 3, 4, requires_grad=True)
    labels = torch.randint(0, 5, (2, 3, 4))
    last = logits.detach().movedim(1, -1).contiguous().requires_grad_()
    middle = sigmoid_focal_loss(logits, labels, class_dim=1)
    expected = sigmoid_focal_loss(last, labels)
    assert torch.equal(middle, expected.movedim(-1, 1))
    middle.sum().backward()
    expected.sum().backward()
    assert torch.equal(logits.grad, last.grad.movedim(-1, 1))


def test_class_dim_is_one_of_the_inputs() -> None:
    logits = torch.arange(16.0).reshape(4, 4).requires_grad_()
    labels = torch.arange(4)
    scripted = torch.jit.script(sigmoid_focal_loss)
    compiled = torch.compile(sigmoid_focal_loss, fullgraph=True, backend="eager")
    for loss in (sigmoid_focal_loss, scripted, compiled):
        for class_dim in (0, 1):
            for _ in range(2):
                one, other = (loss(logits, labels, class_dim=dim) for dim in (class_dim, class_dim - 2))
                assert torch.equal(one, other)
    for targets in (labels, torch.rand(4, 4)):
        for class_dim in (2, -3, 4, -5) * 2:
            message = rf"class_dim: {class_dim} .* dimensions \(2\)"
            with pytest.raises(ValueError, match=message):
                sigmoid_focal_loss(logits, targets, class_dim=class_dim)
            with pytest.raises(torch.jit.Error, match=message):
                scripted(logits, targets, class_dim=class_dim)
            with pytest.raises(ValueError, match=message):
                focal.torch.SigmoidFocalLoss(class_dim=class_dim)(logits, targets)
    scalar = torch.tensor(1.0)
    assert sigmoid_focal_loss(scalar, scalar, class_dim=0) == sigmoid_focal_loss(scalar, scalar)
    with pytest.raises(ValueError, match="class_dim: 1 "):
        sigmoid_focal_loss(scalar, scalar, class_dim=1)


def test_ignored_rows_and_weights(logits: Tensor, labels: Tensor) -> None:
    labels[4:9] = 255
    loss = sigmoid_focal_loss(logits, labels, ignore_index=255)
    kept = labels != 255
    assert not loss[~kept].any() and torch.equal(loss[kept], sigmoid_focal_loss(logits[kept], labels[kept]))
    weight = torch.rand(30)
    weighted = sigmoid_focal_loss(logits, labels, ignore_index=255, weight=weight)
    torch.testing.assert_close(weighted, loss * weight[:, None])
    assert torch.equal(
        weighted, sigmoid_focal_loss(logits, labels, ignore_index=255, weight=weight[:, None].expand(30, 8))
    )
    with pytest.raises(ValueError, match="weights are constants"):
        sigmoid_focal_loss(logits, labels, weight=weight.requires_grad_())


def test_modules(logits: Tensor, labels: Tensor) -> None:
    class_weight = torch.rand(8)
    for module, function in (
        (focal.torch.SigmoidFocalLoss(class_weight=class_weight, ignore_index=2), sigmoid_focal_loss),
        (focal.torch.SoftmaxFocalLoss(class_weight=class_weight, ignore_index=2), softmax_focal_loss),
    ):
        expected = function(
            logits, labels, module.alpha, reduction="mean", class_weight=class_weight, ignore_index=2
        )
        assert torch.equal(module(logits, labels), expected)
        assert "ignore_index=2" in repr(module) and "class_weight" in module.state_dict()
