"""The losses as modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ._functional import check_weights, sigmoid_focal_loss, softmax_focal_loss
from ._ops import check_settings


class _FocalLoss(nn.Module):
    SETTINGS: tuple[str, ...]

    def __init__(
        self,
        alpha: float,
        gamma: float,
        reduction: str,
        class_weight: Tensor | None,
        settings: dict[str, Any],
    ) -> None:
        super().__init__()
        smoothing = settings.get("label_smoothing", 0.0)
        check_settings(alpha, gamma, reduction, smoothing)
        check_weights(class_weight)
        self._check_rest(gamma, smoothing, settings)
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction
        self.settings = settings
        self.register_buffer("class_weight", class_weight)

    def _check_rest(self, gamma: float, smoothing: float, settings: dict[str, Any]) -> None:
        """What a call leaves to the library, or to Python."""
        if not 0 <= gamma <= 1000:
            raise ValueError(f"gamma: {gamma} is outside of [0, 1000]")
        if not 0 <= smoothing < 1:
            raise ValueError(f"label_smoothing: {smoothing} is outside of [0, 1)")
        for name in settings:
            if name not in self.SETTINGS:
                known = ", ".join(self.SETTINGS)
                raise TypeError(f"{type(self).__name__}() has no setting '{name}'; it takes {known}")

    def extra_repr(self) -> str:
        settings = {"alpha": self.alpha, "gamma": self.gamma, "reduction": self.reduction, **self.settings}
        return ", ".join(f"{name}={value!r}" for name, value in settings.items())


class SigmoidFocalLoss(_FocalLoss):
    """sigmoid_focal_loss() as a module; its reduction is "mean" unless said otherwise.

    settings: background, ignore_index, label_smoothing, class_dim.
    """

    SETTINGS = ("background", "ignore_index", "label_smoothing", "class_dim")

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

    SETTINGS = ("ignore_index", "label_smoothing")

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
