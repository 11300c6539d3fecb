"""Train under torch.distributed with the loss normalised by the positives of all processes.

Each process has its share of the anchors. RetinaNet divides the sum of the focal losses by the number of
anchors with an object (Lin et al. 2017, section 4.1). A process that counts only its own weighs its images
wrongly; here the counts are added over all processes first, so that any number of processes takes the same
steps as one, up to the rounding of sums.

    python examples/distributed/train.py --processes 2
"""

from __future__ import annotations

import argparse
import os
import tempfile

import focal.torch
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

ANCHORS, FEATURES, CLASSES, STEPS = 4000, 16, 8, 20
BACKGROUND = CLASSES


def make_data() -> tuple[Tensor, Tensor]:
    """Anchors of which one in a hundred or so has an object, all of them among the first half."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(ANCHORS, FEATURES, generator=generator)
    scores = features @ torch.randn(FEATURES, CLASSES, generator=generator)
    best, labels = scores.max(dim=1)
    labels[(best < 11) | (torch.arange(ANCHORS) > ANCHORS // 2)] = BACKGROUND
    return features, labels


def train(rank: int, processes: int, folder: str) -> None:
    distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=processes)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = nn.Linear(FEATURES, CLASSES)
    nn.init.constant_(layer.bias, -4.6)  # -log((1 - 0.01) / 0.01): begins with p = 0.01
    model = DistributedDataParallel(layer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    features, labels = (part.chunk(processes)[rank] for part in make_data())
    losses = []
    for _ in range(STEPS):
        positives = (labels != BACKGROUND).sum()
        distributed.all_reduce(positives)
        total = focal.torch.sigmoid_focal_loss(
            model(features), labels, reduction="sum", background=BACKGROUND
        )
        loss = total / positives.clamp(min=1)
        optimizer.zero_grad()
        (loss * processes).backward()  # DistributedDataParallel divides by the number of processes
        optimizer.step()
        whole = loss.detach().double()
        distributed.all_reduce(whole)
        losses.append(whole.item())
    if rank == 0:
        print(f"{int(positives)} positives of {ANCHORS}")
        for step, value in enumerate(losses):
            print(f"step {step:2} loss {value:.6f}")
    distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    processes = parser.parse_args().processes
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(train, (processes, folder), nprocs=processes)


if __name__ == "__main__":
    main()
