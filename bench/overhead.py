"""What a call costs besides the arithmetic, and what importing the package costs beside NumPy.

Calls are of 1 x 80 logits, whose arithmetic takes about a tenth of a microsecond, and are measured in turn.
Of forward and backward in PyTorch, what x.sum() and its backward take is subtracted in the same round: the
cheapest loss that PyTorch has, so that the rest is beyond what its autograd engine costs anyway.

    bench/overhead.py --json overhead.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--imports", type=int, default=15, help="rounds of starting Python")
    parser.add_argument("--json", type=Path, help="write all figures here")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = [import_time(arguments.imports), *numpy_calls(arguments.rounds), *torch_calls(arguments.rounds)]
    for one in results:
        print(f"{one['value']:8.2f} {one['unit']}  [{one['low']:.2f}, {one['high']:.2f}]  {one['what']}")
    if arguments.json:
        report = {"focal_overhead": 1, "results": results}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def summary(what: str, unit: str, must: float | None, values: list[float]) -> dict[str, Any]:
    low, median, high = statistics.quantiles(values, n=4)
    return {"what": what, "unit": unit, "must": must, "value": median, "low": low, "high": high}


# ---- Importing --------------------------------------------------------------------------------


def import_time(rounds: int) -> dict[str, Any]:
    """Of `import focal` in a process that has imported NumPy; in milliseconds."""
    program = "import numpy, time; t = time.perf_counter(); import focal; print(time.perf_counter() - t)"
    values = []
    for _ in range(rounds):
        ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        values.append(1e3 * float(ran.stdout))
    return summary("import focal, after NumPy", "ms", 50, values[1:])


# ---- Calls ------------------------------------------------------------------------------------


def times_of(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Microseconds of each call, in turn; each figure is the mean of a few hundred calls."""
    repeats = 300
    for call in calls.values():
        for _ in range(repeats):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(repeats):
                call()
            times[name].append(1e6 * (time.perf_counter() - started) / repeats)
    return times


def numpy_calls(rounds: int) -> list[dict[str, Any]]:
    import focal
    import numpy as np

    focal.set_num_threads(1)
    logits = np.linspace(-5, 5, 80, dtype=np.float32).reshape(1, 80)
    targets = (logits > 4).astype(np.float32)
    labels = np.array([3])
    calls = {
        "sigmoid, losses": lambda: focal.sigmoid_focal_loss(logits, targets),
        "sigmoid, sum": lambda: focal.sigmoid_focal_loss(logits, targets, reduction="sum"),
        "sigmoid, sum and gradient": lambda: focal.sigmoid_focal_loss_with_grad(
            logits, targets, reduction="sum"
        ),
        "softmax, mean and gradient": lambda: focal.softmax_focal_loss_with_grad(
            logits, labels, reduction="mean"
        ),
    }
    times = times_of(calls, rounds)
    return [summary(f"NumPy, {name}", "µs", 5, values) for name, values in times.items()]


def torch_calls(rounds: int) -> list[dict[str, Any]]:
    import focal.torch
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    plain = torch.linspace(-5, 5, 80).reshape(1, 80)
    logits = plain.clone().requires_grad_()
    targets, labels = (plain > 4).float(), torch.tensor([3])

    def both(loss: Callable[[], Any]) -> Callable[[], None]:
        def call() -> None:
            logits.grad = None
            loss().backward()

        return call

    def sigmoid(x: torch.Tensor, reduction: str) -> torch.Tensor:
        return focal.torch.sigmoid_focal_loss(x, targets, reduction=reduction)

    forward = {
        "sigmoid, losses": lambda: sigmoid(plain, "none"),
        "sigmoid, sum": lambda: sigmoid(plain, "sum"),
    }
    floor = "x.sum(), forward and backward"
    backward = {
        floor: both(lambda: logits.sum()),
        "sigmoid, sum, forward and backward": both(lambda: sigmoid(logits, "sum")),
        "softmax, mean, forward and backward": both(
            lambda: focal.torch.softmax_focal_loss(logits, labels, reduction="mean")
        ),
        "binary_cross_entropy_with_logits, forward and backward": both(
            lambda: functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        ),
    }
    times = times_of({**forward, **backward}, rounds)
    found = [summary(f"PyTorch, {name}", "µs", 15, times[name]) for name in forward]
    found.append(summary(f"PyTorch's own {floor}", "µs", None, times[floor]))
    for name in list(backward)[1:]:
        beyond = [time - least for time, least in zip(times[name], times[floor])]
        ours = "cross_entropy" not in name
        name = f"PyTorch, {name}, beyond x.sum()" if ours else f"PyTorch's own {name}, beyond x.sum()"
        found.append(summary(name, "µs", 15 if ours else None, beyond))
    return found


if __name__ == "__main__":
    main()
