"""focal.torch in torchvision's place: the assertions of torchvision's tests, and RetinaNet trained."""

from __future__ import annotations

import focal.torch
import pytest
import torch
import torchvision
from focal.torch import compat
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

RANGES = {"small": (0.0, 0.2), "big": (0.8, 1.0), "all": (0.0, 1.0)}


# torchvision skips half precision on the CPU; here it is computed in float32 and rounded once.
DTYPES = {torch.float32: 1e-5, torch.half: 1e-3}


def pairs(seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits of small, large and any probabilities, each with targets 0, 1 and both."""
    torch.manual_seed(seed)
    inputs, targets = [], []
    for low, high in RANGES.values():
        for target in (torch.zeros(5, 2), torch.ones(5, 2), torch.randint(0, 2, (5, 2)).float()):
            inputs.append(torch.logit(low + (high - low) * torch.rand(5, 2)))
            targets.append(target)
    return torch.cat(inputs).to(dtype), torch.cat(targets).to(dtype)


@pytest.fixture
def patched() -> object:
    with focal.torch.patch_torchvision():
        yield torchvision.ops


@pytest.fixture(scope="module")
def scripted() -> object:
    """torchvision.ops.sigmoid_focal_loss under the patch, as TorchScript; that takes a second."""
    with focal.torch.patch_torchvision():
        return torch.jit.script(torchvision.ops.sigmoid_focal_loss)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.58, 1.0])
@pytest.mark.parametrize("gamma", [0, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_ratio_to_cross_entropy(patched: object, alpha: float, gamma: float, seed: int) -> None:
    inputs, targets = pairs(seed)
    loss = patched.sigmoid_focal_loss(inputs, targets, gamma=gamma, alpha=alpha, reduction="none")
    cross_entropy = functional.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    # torchvision compares with this cross-entropy, which is up to 300 ulp too low here: equal without gamma
    # and alpha, a loss that is right by 1.4 ulp is above it. In float64 it is a judge.
    exact = functional.binary_cross_entropy_with_logits(inputs.double(), targets.double(), reduction="none")
    assert torch.all(loss <= exact * (1 + 2 * torch.finfo(torch.float32).eps))
    assert torch.all(loss <= cross_entropy + 1e-6)
    p = torch.sigmoid(inputs)
    ratio = (1 - p * targets - (1 - p) * (1 - targets)) ** gamma
    if alpha >= 0:
        ratio = ratio * (alpha * targets + (1 - alpha) * (1 - targets))
    torch.testing.assert_close(ratio, loss / cross_entropy, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", [2, 3])
def test_is_cross_entropy_without_gamma(
    patched: object, reduction: str, dtype: torch.dtype, seed: int
) -> None:
    inputs, targets = pairs(seed, dtype)
    results = []
    for loss in (
        lambda x: patched.sigmoid_focal_loss(x, targets, gamma=0, alpha=-1, reduction=reduction),
        lambda x: functional.binary_cross_entropy_with_logits(x, targets, reduction=reduction),
    ):
        x = inputs.clone().requires_grad_()
        value = loss(x)
        value.backward()
        results.append((value, x.grad))
    torch.testing.assert_close(*results, rtol=DTYPES[dtype], atol=DTYPES[dtype])


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.58, 1.0])
@pytest.mark.parametrize("gamma", [0, 2])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", [4, 5])
def test_scripted(
    patched: object,
    scripted: object,
    alpha: float,
    gamma: float,
    reduction: str,
    dtype: torch.dtype,
    seed: int,
) -> None:
    inputs, targets = pairs(seed, dtype)
    results = [
        f(inputs, targets, gamma=gamma, alpha=alpha, reduction=reduction)
        for f in (scripted, patched.sigmoid_focal_loss)
    ]
    torch.testing.assert_close(*results, rtol=DTYPES[dtype], atol=DTYPES[dtype])


def test_unknown_reduction(patched: object) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        patched.sigmoid_focal_loss(*pairs(0), 0.25, 2, "xyz")


def test_patch_is_undone() -> None:
    from torchvision.models.detection import retinanet

    original = torchvision.ops.sigmoid_focal_loss
    with focal.torch.patch_torchvision():
        assert retinanet.sigmoid_focal_loss is torchvision.ops.sigmoid_focal_loss is not original
        patch = focal.torch.patch_torchvision()
        patch.undo()
    assert retinanet.sigmoid_focal_loss is torchvision.ops.sigmoid_focal_loss is original


def train_retinanet(steps: int) -> list[float]:
    """Losses of torchvision's RetinaNet on a small backbone, random weights and synthetic images."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, 4, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 4, 1), nn.ReLU()]
    backbone = nn.Sequential(*layers, nn.Conv2d(32, 32, 3, 1, 1))
    backbone.out_channels = 32
    anchors = AnchorGenerator(((16, 24, 32),), ((0.5, 1.0, 2.0),))
    model = RetinaNet(backbone, 20, min_size=128, max_size=128, anchor_generator=anchors)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(steps):
        images = [torch.rand(3, 128, 128, generator=generator) for _ in range(2)]
        corners = [torch.rand(3, 2, generator=generator) * 96 for _ in range(2)]
        boxes = [torch.cat([corner, corner + 30], dim=1) for corner in corners]
        targets = [{"boxes": box, "labels": torch.tensor([1, 2, 3])} for box in boxes]
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_retinanet_trains_alike() -> None:
    expected = train_retinanet(20)
    with focal.torch.patch_torchvision():
        losses = train_retinanet(20)
    assert losses != expected and losses[-1] < losses[0]
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(expected), rtol=1e-5, atol=1e-5)


def one_hot_loss(logits: Tensor, labels: Tensor, alpha: float) -> Tensor:
    targets = functional.one_hot(torch.where(labels < 0, 6, labels), 7)[:, :6].float()
    return torchvision.ops.sigmoid_focal_loss(logits, targets, alpha, 2)


def test_mmcv_signatures() -> None:
    torch.manual_seed(5)
    logits, labels = torch.randn(20, 6), torch.randint(-1, 7, (20,))
    weight = torch.rand(6)
    expected = one_hot_loss(logits, labels, 0.25)
    torch.testing.assert_close(compat.mmcv_sigmoid_focal_loss(logits, labels), expected.sum() / 20)
    rows = torch.tensor([weight[i] if 0 <= i < 6 else 1.0 for i in labels.tolist()])
    loss = compat.SigmoidFocalLoss(2.0, 0.25, weight, "none")(logits, labels)
    torch.testing.assert_close(loss, expected * rows[:, None])

    labels[labels == 6] = 0
    expected = focal.torch.softmax_focal_loss(logits, labels.clamp(min=0)) * 0.25 * (labels >= 0)
    torch.testing.assert_close(compat.mmcv_softmax_focal_loss(logits, labels), expected.sum() / 20)
    rows = torch.tensor([weight[i] if i >= 0 else 0.0 for i in labels.tolist()])
    loss = compat.SoftmaxFocalLoss(2.0, 0.25, weight, "sum")(logits, labels)
    torch.testing.assert_close(loss, (expected * rows).sum())
    empty = compat.mmcv_sigmoid_focal_loss(logits[:0], labels[:0])
    assert empty == 0


def test_fvcore_signatures() -> None:
    inputs, targets = pairs(6)
    loss = compat.sigmoid_focal_loss(inputs, targets)
    torch.testing.assert_close(loss, torchvision.ops.sigmoid_focal_loss(inputs, targets, -1, 2))
    star = compat.sigmoid_focal_loss_star(inputs, targets, gamma=3, reduction="sum")
    p = torch.sigmoid(3 * inputs.double())
    exact = -(targets * p.log() + (1 - targets) * (1 - p).log()) / 3
    torch.testing.assert_close(star.double(), exact.sum(), rtol=1e-5, atol=0)
