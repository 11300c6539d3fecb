"""torchvision's focal loss replaced under code that already uses it."""

import sys
from types import TracebackType
from typing import Any, Optional

from torch import Tensor

from ._functional import sigmoid_focal_loss


class Patch:
    """What patch_torchvision() replaced. undo(), or leaving the `with` block, puts it back."""

    def __init__(self) -> None:
        from torchvision.ops import focal_loss

        self._original = getattr(focal_loss.sigmoid_focal_loss, "_replaces", focal_loss.sigmoid_focal_loss)
        original = self._original

        def replacement(
            inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
        ) -> Tensor:
            if inputs.device.type == "cpu" and targets.is_floating_point():
                return sigmoid_focal_loss(inputs, targets, alpha, gamma, reduction)
            return original(inputs, targets, alpha, gamma, reduction)

        replacement.__doc__ = original.__doc__
        replacement._replaces = original
        self._places: list[tuple[Any, str]] = []
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] != "torchvision":
                continue
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, replacement)
                    self._places.append((module, attribute))

    def undo(self) -> None:
        for module, attribute in self._places:
            setattr(module, attribute, self._original)
        self._places = []

    def __enter__(self) -> "Patch":
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.undo()


def patch_torchvision() -> Patch:
    """Lets torchvision's own models and torchvision.ops compute their focal loss here.

    Replaces sigmoid_focal_loss in every torchvision module that is loaded; tensors that are not on the
    CPU go on to torchvision. Code that took the function by `from torchvision.ops import ...` before keeps
    the old one.

        with focal.torch.patch_torchvision():
            losses = model(images, targets)
    """
    import torchvision.models.detection  # noqa: F401  the modules that use it have to be loaded

    return Patch()
