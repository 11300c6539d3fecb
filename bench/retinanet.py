"""torchvision's RetinaNet trained with its own focal loss and with this library's, step by step alike.

Random weights, synthetic images and boxes, a small backbone. Each training has a process of its own, and the
same seeds; focal.torch.patch_torchvision() is the only difference. `step` is the median time of a whole step,
`loss` that of the calls of the focal loss in it, which are measured in both; memory is the process's peak.

    bench/retinanet.py --json retinanet.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLASSES = 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--size", type=int, default=256, help="of the square images, in pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--wrapper", default="", help="command put before each child's")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--child", choices=["torchvision", "focal.torch"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(train(arguments, patched=arguments.child == "focal.torch")))
        return
    runs = []
    for loss in ("torchvision", "focal.torch"):
        command = [*shlex.split(arguments.wrapper), sys.executable, __file__, *sys.argv[1:], "--child", loss]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if ran.returncode != 0:
            sys.exit(f"retinanet.py: training with {loss} ended with {ran.returncode}")
        runs.append({"loss": loss, **json.loads(ran.stdout.splitlines()[-1])})
    difference = max(abs(a - b) / abs(a) for a, b in zip(runs[0]["losses"], runs[1]["losses"]))
    for run in runs:
        print(
            f"{run['loss']:12} step {1e3 * run['step_seconds']:.1f} ms, of it the loss "
            f"{1e3 * run['loss_seconds']:.2f} ms, peak {run['peak_bytes'] / 1e6:.0f} MB, "
            f"losses {run['losses'][0]:.6f} ... {run['losses'][-1]:.6f}"
        )
    print(f"greatest relative difference of the losses: {difference:.2e}")
    if arguments.json:
        setting = {key: getattr(arguments, key) for key in ("steps", "images", "size", "threads")}
        report = {"focal_retinanet": 1, **setting, "classes": CLASSES, "anchors": runs[0]["anchors"]}
        report |= {"greatest_difference": difference, "runs": runs}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def make_model(size: int) -> Any:
    """RetinaNet on three convolutions, as torchvision builds it on any backbone; anchors every 8 pixels."""
    import torch
    from torch import nn
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inside, outside in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inside, outside, 3, 2, 1), nn.ReLU()]
    backbone = nn.Sequential(*layers)
    backbone.out_channels = 64
    anchors = AnchorGenerator(((16, 24, 32),), ((0.5, 1.0, 2.0),))
    return RetinaNet(backbone, CLASSES, min_size=size, max_size=size, anchor_generator=anchors)


def make_batch(generator: Any, images: int, size: int) -> tuple[list[Any], list[dict[str, Any]]]:
    import torch

    pictures = [torch.rand(3, size, size, generator=generator) for _ in range(images)]
    targets = []
    for _ in range(images):
        corner = torch.rand(4, 2, generator=generator) * (size - 48)
        labels = torch.randint(0, CLASSES, (4,), generator=generator)
        targets.append({"boxes": torch.cat([corner, corner + 40], dim=1), "labels": labels})
    return pictures, targets


def train(arguments: argparse.Namespace, patched: bool) -> dict[str, Any]:
    import resource

    import focal.torch
    import torch
    from torchvision.models.detection import retinanet

    torch.set_num_threads(arguments.threads)
    model = make_model(arguments.size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    losses, steps, shares = [], [], []
    spent = anchors = 0.0
    with focal.torch.patch_torchvision() if patched else contextlib.nullcontext():
        loss_in_place = retinanet.sigmoid_focal_loss

        def measured(inputs: torch.Tensor, *others: Any, **keywords: Any) -> torch.Tensor:
            nonlocal spent, anchors
            started = time.perf_counter()
            result = loss_in_place(inputs, *others, **keywords)
            spent += time.perf_counter() - started
            anchors = inputs.shape[0]
            return result

        retinanet.sigmoid_focal_loss = measured
        for _ in range(arguments.steps):
            batch = make_batch(generator, arguments.images, arguments.size)
            started, spent = time.perf_counter(), 0.0
            loss = sum(model(*batch).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps.append(time.perf_counter() - started)
            shares.append(spent)
            losses.append(loss.item())
        retinanet.sigmoid_focal_loss = loss_in_place
    return {
        "losses": losses,
        "step_seconds": statistics.median(steps),
        "loss_seconds": statistics.median(shares),
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "anchors": anchors,
    }


if __name__ == "__main__":
    main()
