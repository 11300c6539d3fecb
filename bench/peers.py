"""This library against what people use today, side by side in one run.

Every thread count and workload has a child process, pinned to as many CPUs. In it every implementation
computes once per round, in an order that changes, after warming up; the figures are medians over the rounds,
ratios those of the same rounds. Memory is the growth of the process's peak during one call, the
median of five; page faults are of the measured calls. Accuracy is against mpmath.

    bench/peers.py --json peers.json

bench/record_peers.sh makes tables and a picture of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
GAMMA, ALPHA = 2.0, 0.25


class Workload(NamedTuple):
    name: str
    op: str
    rows: int
    classes: int


# Names and sizes as in bench/cases.def: anchors x classes of RetinaNet, queries x classes of DETR.
WORKLOADS = (
    Workload("retinanet", "sigmoid", 76725, 80),
    Workload("detr300", "sigmoid", 300, 91),
    Workload("tiny", "sigmoid", 1, 80),
    Workload("softmax1000", "softmax", 2000, 1000),
)
BANDS = (0.0, 4.6, 8.0, 16.0, 30.0, 80.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2", help="comma-separated")
    parser.add_argument("--seconds", type=float, default=3.0, help="per workload and pass")
    parser.add_argument("--rounds", type=int, default=9, help="at least so many, however long they take")
    parser.add_argument("--only", help="workloads, comma-separated; accuracy is one of them")
    parser.add_argument("--keep", action="store_true", help="keep what the file has of other workloads")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile, which is slow")
    parser.add_argument("--wrapper", default="", help="command put before each child's, such as nice -n -5")
    parser.add_argument("--json", type=Path, required=True, help="write all figures here")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        threads, what = arguments.child.split(":")
        print(json.dumps(measure(int(threads), what, arguments)))
        return
    wanted = arguments.only.split(",") if arguments.only else [*(w.name for w in WORKLOADS), "accuracy"]
    if unknown := set(wanted) - {*(w.name for w in WORKLOADS), "accuracy"}:
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    report: dict[str, Any] = {"focal_peers": 1, "lines": []}
    if arguments.keep and arguments.json.exists():
        report = json.loads(arguments.json.read_text())
    for threads in arguments.threads.split(","):
        for what in wanted:
            if what == "accuracy" and threads != arguments.threads.split(",")[0]:
                continue
            print(f"measuring {what} with {threads} thread(s)", file=sys.stderr)
            found = run_child(f"{threads}:{what}", arguments)
            others = [
                one for one in report["lines"] if (one["threads"], one["workload"]) != (int(threads), what)
            ]
            report["lines"] = others + found.pop("lines", [])
            report.update(found)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def run_child(child: str, arguments: argparse.Namespace) -> dict[str, Any]:
    command = [*shlex.split(arguments.wrapper), sys.executable, __file__, "--child", child]
    command += ["--seconds", str(arguments.seconds), "--rounds", str(arguments.rounds)]
    command += ["--json", str(arguments.json), *["--no-compile"] * arguments.no_compile]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"{ran.stderr}\npeers.py: the child for {child} ended with {ran.returncode}")
    for line in ran.stderr.splitlines():
        if line.startswith("without "):
            print(line, file=sys.stderr)
    return json.loads(ran.stdout.splitlines()[-1])


# ---- The child: implementations ---------------------------------------------------------------


class Data(NamedTuple):
    """One workload's arrays: logits around -4.6 as at the start of training, 0.1 % positives."""

    logits: Any
    targets: Any
    labels: Any


def make_data(workload: Workload) -> Data:
    import numpy as np

    generator = np.random.default_rng(7)
    shape = (workload.rows, workload.classes)
    logits = generator.standard_normal(shape, dtype=np.float32) - 4.6 * (workload.op == "sigmoid")
    labels = generator.integers(0, workload.classes, workload.rows)
    if workload.op == "sigmoid":
        labels[generator.random(workload.rows) > 0.08] = workload.classes
    targets = np.zeros((workload.rows, workload.classes + 1), np.float32)
    targets[np.arange(workload.rows), labels] = 1
    return Data(np.float32(logits), np.ascontiguousarray(targets[:, : workload.classes]), labels)


# make(workload, data, gradient, reduction): a call without arguments that computes the sum of losses, with
# reduction "none" the losses, and with `gradient` the gradient of the sum, forward and backward.
Maker = Callable[..., Callable[[], Any]]


def torch_maker(loss: Callable[[Any, Any, str], Any], labels: bool = False) -> Maker:
    def make(workload: Workload, data: Data, gradient: bool, reduction: str = "sum") -> Callable[[], Any]:
        import torch

        logits = torch.from_numpy(data.logits).requires_grad_(gradient)
        targets = torch.from_numpy(data.labels if labels else data.targets)

        def call() -> Any:
            if not gradient:
                return loss(logits, targets, reduction).detach().numpy()
            loss(logits, targets, "sum").backward()
            result, logits.grad = logits.grad, None  # so that no call finds the last one's memory in use
            return result.numpy()

        return call

    return make


def numpy_maker(workload: Workload, data: Data, gradient: bool, reduction: str = "sum") -> Callable[[], Any]:
    import numpy as np

    def call() -> Any:
        x, t = data.logits, data.targets
        p = 1 / (1 + np.exp(-x))
        p_t = p * t + (1 - p) * (1 - t)
        cross_entropy = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))
        alpha_t = ALPHA * t + (1 - ALPHA) * (1 - t)
        if not gradient:
            losses = alpha_t * (1 - p_t) ** GAMMA * cross_entropy
            return losses.sum() if reduction == "sum" else losses
        sign = 1 - 2 * t
        return alpha_t * (1 - p_t) ** GAMMA * sign * ((1 - p_t) + GAMMA * p_t * cross_entropy)

    return call


def ours_maker(labels: bool) -> Maker:
    def make(workload: Workload, data: Data, gradient: bool, reduction: str = "sum") -> Callable[[], Any]:
        import focal

        name = f"{workload.op}_focal_loss" + ("_with_grad" if gradient else "")
        loss = getattr(focal, name)
        targets = data.labels if labels else data.targets
        keywords = {
            "gamma": GAMMA,
            "alpha": ALPHA if workload.op == "sigmoid" else None,
            "reduction": reduction,
        }
        if workload.op == "sigmoid" and labels:
            keywords["background"] = workload.classes
        if gradient:
            return lambda: loss(data.logits, targets, **keywords)[1]
        return lambda: loss(data.logits, targets, **keywords)

    return make


def jax_maker(losses: Callable[[Any, Any], Any], labels: bool = False) -> Maker:
    def make(workload: Workload, data: Data, gradient: bool, reduction: str = "sum") -> Callable[[], Any]:
        import jax

        def total(x: Any, t: Any) -> Any:
            return losses(x, t).sum()

        compiled = jax.jit(jax.grad(total) if gradient else total if reduction == "sum" else losses)
        logits = jax.numpy.asarray(data.logits)
        targets = jax.numpy.asarray(data.labels if labels else data.targets)
        return lambda: compiled(logits, targets).block_until_ready()

    return make


def optional(makers: dict[str, Maker], name: str, maker: Callable[[], Maker]) -> None:
    """A peer that may be missing; its absence is said."""
    try:
        makers[name] = maker()
    except ImportError as error:
        print(f"without {name}: {error}", file=sys.stderr)


def sigmoid_makers() -> dict[str, Maker]:
    import focal.torch
    import torch
    import torchvision
    from torch.nn import functional

    def ours(x: Any, t: Any, reduction: str) -> Any:
        return focal.torch.sigmoid_focal_loss(x, t, ALPHA, GAMMA, reduction)

    def with_labels(x: Any, t: Any, reduction: str) -> Any:
        return focal.torch.sigmoid_focal_loss(x, t, ALPHA, GAMMA, reduction, background=x.shape[1])

    def theirs(x: Any, t: Any, reduction: str) -> Any:
        return torchvision.ops.sigmoid_focal_loss(x, t, ALPHA, GAMMA, reduction)

    def cross_entropy(x: Any, t: Any, reduction: str) -> Any:
        return functional.binary_cross_entropy_with_logits(x, t, reduction=reduction)

    def optax() -> Maker:
        import optax

        return jax_maker(lambda x, t: optax.losses.sigmoid_focal_loss(x, t, alpha=ALPHA, gamma=GAMMA))

    def kornia() -> Maker:
        from kornia.losses import binary_focal_loss_with_logits as loss

        return torch_maker(lambda x, t, reduction: loss(x, t, ALPHA, GAMMA, reduction, ignore_index=None))

    def keras() -> Maker:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        from keras import losses

        def loss(x: Any, t: Any, reduction: str) -> Any:
            keywords = {"apply_class_balancing": True, "alpha": ALPHA, "gamma": GAMMA, "from_logits": True}
            if reduction == "none":  # Keras takes the mean of the last axis
                return losses.binary_focal_crossentropy(t[..., None], x[..., None], **keywords)
            return losses.binary_focal_crossentropy(t, x, **keywords).sum() * x.shape[1]

        return torch_maker(loss)

    makers = {
        "focal.torch": torch_maker(ours),
        "focal.torch, labels": torch_maker(with_labels, labels=True),
        "focal, NumPy": ours_maker(labels=False),
        "torchvision": torch_maker(theirs),
        "torchvision, torch.compile": torch_maker(torch.compile(theirs, dynamic=False)),
        "NumPy formula": numpy_maker,
        "PyTorch cross-entropy": torch_maker(cross_entropy),
    }
    optional(makers, "optax, jax.jit", optax)
    optional(makers, "kornia", kornia)
    optional(makers, "Keras on PyTorch", keras)
    return makers


def softmax_makers() -> dict[str, Maker]:
    import focal.torch
    import torch
    from torch.nn import functional

    def ours(x: Any, t: Any, reduction: str) -> Any:
        return focal.torch.softmax_focal_loss(x, t, -1, GAMMA, reduction)

    def composed(x: Any, t: Any, reduction: str) -> Any:
        cross_entropy = functional.cross_entropy(x, t, reduction="none")
        losses = (1 - torch.exp(-cross_entropy)) ** GAMMA * cross_entropy
        return losses.sum() if reduction == "sum" else losses

    def cross_entropy(x: Any, t: Any, reduction: str) -> Any:
        return functional.cross_entropy(x, t, reduction=reduction)

    def optax() -> Maker:
        import jax
        import optax

        def losses(x: Any, t: Any) -> Any:
            cross_entropy = optax.losses.softmax_cross_entropy_with_integer_labels(x, t)
            return (1 - jax.numpy.exp(-cross_entropy)) ** GAMMA * cross_entropy

        return jax_maker(losses, labels=True)

    makers = {
        "focal.torch": torch_maker(ours, labels=True),
        "focal, NumPy": ours_maker(labels=True),
        "PyTorch composed": torch_maker(composed, labels=True),
        "PyTorch composed, torch.compile": torch_maker(torch.compile(composed, dynamic=False), labels=True),
        "PyTorch cross-entropy": torch_maker(cross_entropy, labels=True),
    }
    optional(makers, "optax composed, jax.jit", optax)
    return makers


# ---- The child: measuring ---------------------------------------------------------------------


def measure(threads: int, what: str, arguments: argparse.Namespace) -> dict[str, Any]:
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import focal
    import torch

    torch.set_num_threads(threads)
    focal.set_num_threads(threads)
    workload = next((one for one in WORKLOADS if one.name == what), None)
    implementations = softmax_makers() if workload and workload.op == "softmax" else sigmoid_makers()
    if arguments.no_compile:
        implementations = {name: make for name, make in implementations.items() if "compile" not in name}
    if workload is None:
        return {"accuracy": accuracy(implementations)}
    data = make_data(workload)
    lines = []
    for gradient in (False, True):
        calls = {name: make(workload, data, gradient) for name, make in implementations.items()}
        lines += time_all(workload, gradient, calls, arguments.seconds, arguments.rounds)
    for line in lines:
        line["threads"] = threads
    return {"host": card(), "versions": versions(), "lines": lines}


def time_all(
    workload: Workload, gradient: bool, calls: dict[str, Callable[[], Any]], seconds: float, rounds: int
) -> list[dict[str, Any]]:
    repeats = {}
    for name, call in calls.items():
        for _ in range(3):
            call()
        started = time.perf_counter()
        call()
        repeats[name] = max(1, min(1000, int(2e-3 / (time.perf_counter() - started))))
    times: dict[str, list[float]] = {name: [] for name in calls}
    faults: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    order, shuffle = list(calls.items()), random.Random(7).shuffle
    while time.perf_counter() < end or len(times["focal.torch"]) < rounds:
        shuffle(order)  # nobody always comes after the same one, who leaves caches and garbage
        for name, call in order:
            before, started = page_faults(), time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.perf_counter() - started) / repeats[name])
            faults[name].append((page_faults() - before) / repeats[name])
    lines = []
    for name, values in times.items():
        median = statistics.median(values)
        ratios = [value / ours for value, ours in zip(values, times["focal.torch"])]
        lines.append(
            {
                "workload": workload.name,
                "shape": [workload.rows, workload.classes],
                "pass": "forward+backward" if gradient else "forward",
                "implementation": name,
                "microseconds": 1e6 * median,
                "mad": 1e6 * statistics.median([abs(value - median) for value in values]),
                "min": 1e6 * min(values),
                "ratio": statistics.median(ratios),
                "rounds": len(values),
                "faults": statistics.median(faults[name]),
                "peak_bytes": int(statistics.median(peak_memory(calls[name]) for _ in range(5))),
            }
        )
    return lines


def page_faults() -> int:
    """Of this process so far, without the disk: mostly memory that was given back and comes anew."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def peak_memory(call: Callable[[], Any]) -> int:
    """By how much the process grows at most during a call, beyond what it keeps."""
    import ctypes

    def status(key: str) -> int:
        text = Path("/proc/self/status").read_text()
        return 1024 * int(text.split(f"{key}:")[1].split()[0])

    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = status("VmRSS")
    call()
    return max(0, status("VmHWM") - before)


def accuracy(makers: dict[str, Maker]) -> dict[str, Any]:
    """Greatest relative errors of loss and gradient by band of |logit|, and where gradients end."""
    import numpy as np

    sys.path.insert(0, str(ROOT / "tests" / "oracle"))
    import oracle

    generator = np.random.default_rng(11)
    count = 200
    sizes = np.concatenate([generator.uniform(low, high, count) for low, high in zip(BANDS, BANDS[1:])])
    logits = np.float32(np.concatenate([sizes, -sizes, sizes, -sizes]))
    targets = np.float32(np.repeat([0, 1], 2 * sizes.size))
    exact = [
        [float(function(float(x), float(t), GAMMA, ALPHA)) for x, t in zip(logits, targets)]
        for function in (oracle.sigmoid_loss, oracle.sigmoid_gradient)
    ]
    normal = [np.abs(values) >= 2.0**-126 for values in exact]
    data = Data(logits[:, None], targets[:, None], None)
    workload = Workload("accuracy", "sigmoid", logits.size, 1)
    result: dict[str, Any] = {}
    for name, make in makers.items():
        if "labels" in name or "cross-entropy" in name:
            continue
        errors = []
        for gradient in (False, True):
            got = np.asarray(make(workload, data, gradient, reduction="none")()).reshape(-1).astype(float)
            wanted = np.array(exact[gradient])
            error = np.where(np.isfinite(got), np.abs(got - wanted) / np.abs(wanted), np.inf)
            errors.append(
                np.where(normal[gradient], error, 0.0).reshape(4, len(BANDS) - 1, count).max((0, 2))
            )
        result[name] = {"bands": np.transpose(errors).tolist(), "first_nonfinite": first_nonfinite(make)}
    return {"edges": BANDS, "implementations": result}


def first_nonfinite(make: Maker) -> float | None:
    """The least |logit| up to 200 with a gradient that is not finite at gamma 0.5; None if there is none."""
    global GAMMA
    import numpy as np

    before, GAMMA = GAMMA, 0.5
    try:
        size = np.linspace(0, 200, 4001, dtype=np.float32)
        x = np.concatenate([size, -size, size, -size])[:, None]
        t = np.float32(np.repeat([0, 1], 2 * size.size))[:, None]
        gradient = np.asarray(make(Workload("many", "sigmoid", x.size, 1), Data(x, t, None), True)())
        bad = np.abs(x[~np.isfinite(gradient)])
        return float(bad.min()) if bad.size else None
    finally:
        GAMMA = before


def versions() -> dict[str, str]:
    from importlib import metadata

    found = {}
    for name in ("torch", "torchvision", "jax", "jaxlib", "optax", "kornia", "keras", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": sys.version.split()[0], **found}


def card() -> dict[str, Any]:
    import focal

    info = focal.info()
    usable = [isa["name"] for isa in info["isa"] if isa["usable"]]
    chosen = [isa["name"] for isa in info["isa"] if isa["chosen"]]
    return {
        "cpu": info["cpu"],
        "isa": f"{chosen[0]} of {', '.join(usable)}",
        "caches": [info["l1d_bytes"], info["l2_bytes"], info["l3_bytes"]],
        "cpus": os.cpu_count(),
        "library": f"{info['version']}, {info['compiler']}, SLEEF {info['sleef']}",
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
