"""The losses as modules."""

from __future__ import annotations

from torch import Tensor, nn

from ._functional import sigmoid_focal_loss, softmax_focal_loss


class _FocalLoss(nn.Module):
    def __init__(self, alpha: float, gamma: float, reduction: str) -> None:
        super().__init__()
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, gamma={self.gamma}, reduction={self.reduction!r}"


class SigmoidFocalLoss(_FocalLoss):
    """sigmoid_focal_loss() as a module; its reduction is "mean" unless said otherwise."""

    def __init__(
        self, alpha: float = 0.25, gamma: float = 2, reduction: str = "mean", background: int | None = None
    ) -> None:
        super().__init__(alpha, gamma, reduction)
        self.background = background

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return sigmoid_focal_loss(inputs, targets, self.alpha, self.gamma, self.reduction, self.background)


class SoftmaxFocalLoss(_FocalLoss):
    """softmax_focal_loss() as a module; its reduction is "mean" unless said otherwise."""

    def __init__(self, alpha: float = -1, gamma: float = 2, reduction: str = "mean") -> None:
        super().__init__(alpha, gamma, reduction)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return softmax_focal_loss(inputs, targets, self.alpha, self.gamma, self.reduction)
