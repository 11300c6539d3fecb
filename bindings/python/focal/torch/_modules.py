"""The losses as modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ._functional import sigmoid_focal_loss, softmax_focal_loss


class _FocalLoss(nn.Module):
    def __init__(
        self,
        alpha: float,
        gamma: float,
        reduction: str,
        class_weight: Tensor | None,
        settings: dict[str, Any],
    ) -> None:
        super().__init__()
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction
        self.settings = settings
        self.register_buffer("class_weight", class_weight)

    def extra_repr(self) -> str:
        settings = {"alpha": self.alpha, "gamma": self.gamma, "reduction": self.reduction, **self.settings}
        return ", ".join(f"{name}={value!r}" for name, value in settings.items())


class SigmoidFocalLoss(_FocalLoss):
    """sigmoid_focal_loss() as a module; its reduction is "mean" unless said otherwise.

    settings: background, ignore_index, label_smoothing, class_dim.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2,
        reduction: str = "mean",
        class_weight: Tensor | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(alpha, gamma, reduction, class_weight, settings)

    def forward(self, inputs: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        return sigmoid_focal_loss(
            inputs, targets, self.alpha, self.gamma, self.reduction,
            class_weight=self.class_weight, weight=weight, **self.settings,
        )  # fmt: skip


class SoftmaxFocalLoss(_FocalLoss):
    """softmax_focal_loss() as a module; its reduction is "mean" unless said otherwise.

    settings: ignore_index, label_smoothing.
    """

    def __init__(
        self,
        alpha: float = -1,
        gamma: float = 2,
        reduction: str = "mean",
        class_weight: Tensor | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(alpha, gamma, reduction, class_weight, settings)

    def forward(self, inputs: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        return softmax_focal_loss(
            inputs, targets, self.alpha, self.gamma, self.reduction,
            class_weight=self.class_weight, weight=weight, **self.settings,
        )  # fmt: skip
