#!/usr/bin/env python3
"""Pictures of reports: cycles by tier and ISA row, the roofline, a sweep from L1 to DRAM.

Reads tiers.json, small.json, large.json, sweep.json and model.json of a folder that bench/record.sh
filled, and writes cycles.svg, roofline.svg and sweep.svg. Needs bench/requirements.txt.

Usage: plot.py RESULTS PICTURES
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402 - after the choice of the backend
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from reports import (  # noqa: E402
    ROW_COLOURS,
    Record,
    ReportError,
    host_line,
    load,
    records,
    select,
    split_variant,
)

# Text stays text, and the same data give the same file.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "libfocal",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "axes.axisbelow": True,
}
KIB = 1024
LABEL_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 1}


def save(figure: Figure, path: Path, host: dict[str, str]) -> None:
    figure.text(0.01, 0.005, host_line(host), fontsize=6, color="#555555")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


# ---- Cycles by tier and row ----

PANELS = [
    ("l1", "loss", 2.0, "sigmoid, loss, gamma 2"),
    ("l1", "both", 2.0, "sigmoid, loss and gradient, gamma 2"),
    ("l1", "loss", 2.7, "sigmoid, loss, gamma 2.7"),
    ("softmax1000", "both", 2.0, "softmax of 1000, loss and gradient, gamma 2"),
]
KINDS = ["fast", "accurate", "sleef", "SLEEF per vector", "vectorised"]
KIND_LABELS = {"sleef": "sleef (tier)", "vectorised": "the compiler's own"}


def draw_bars(axes: Axes, found: list[Record], title: str) -> None:
    rows = [row for row in ROW_COLOURS if any(split_variant(r["variant"])[0] == row for r in found)]
    height = 0.8 / len(rows)
    for one in found:
        row, kind = split_variant(one["variant"])
        if kind not in KINDS or not one["cycles_per_element"]:
            continue
        place = rows.index(row) if row else 0.5 * (len(rows) - 1)
        y = KINDS.index(kind) - 0.4 + height * (place + 0.5)
        cycles = one["cycles_per_element"]
        axes.barh(y, cycles, height * 0.92, color=ROW_COLOURS.get(row, "#aaaaaa"))
        axes.text(cycles, y, f" {cycles:.2f}", va="center", fontsize=7)
    axes.set_yticks(range(len(KINDS)), [KIND_LABELS.get(kind, kind) for kind in KINDS])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.12)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("core cycles per logit (less is better)")


def plot_cycles(results: Path, path: Path) -> None:
    report = load(results, "tiers", "focal_bench")
    figure, grid = plt.subplots(2, 2, figsize=(9, 5.6))
    for axes, (case, direction, gamma, title) in zip(grid.flat, PANELS):
        found = select(report["results"], case=case, direction=direction, gamma=gamma)
        if not found:
            raise ReportError(f"tiers.json has no {case} {direction} gamma {gamma:g}")
        draw_bars(axes, found, title)
    rows = {split_variant(r["variant"])[0] for r in report["results"]} - {""}
    handles = [plt.Rectangle((0, 0), 1, 1, color=c) for row, c in ROW_COLOURS.items() if row in rows]
    figure.legend(handles, [row for row in ROW_COLOURS if row in rows], loc="upper right", ncols=4)
    figure.suptitle("Tiers and opponents, data in L1, one thread", x=0.01, ha="left")
    figure.tight_layout(rect=(0, 0.02, 1, 0.99))
    save(figure, path, report["host"])


# ---- The roofline ----


def bandwidths(host: dict[str, str]) -> dict[str, float]:
    """GB/s of one thread from memory, of the host card."""
    found = {}
    for key, name in (("read_bandwidth", "memory, reading"), ("copy_bandwidth", "memory, copying")):
        if match := re.match(r"([\d.]+) GB/s", host[key]):
            found[name] = float(match[1])
    return found


def port_roofs(results: Path, gigahertz: float) -> dict[str, tuple[str, float]]:
    """Logits per ns that the ports of this host's core allow for the sigmoid loss, by row."""
    model = load(results, "model", "focal_model")
    roofs = {}
    for one in select(model["results"], case="l1", direction="loss", gamma=2.0, who="fast"):
        if one["cpu"] == model["host_cpu"]:
            roofs[one["isa"]] = (one["core"], gigahertz / one["port_bound_per_element"])
    return roofs


def plot_roofline(results: Path, path: Path) -> None:
    report = load(results, "large", "focal_bench")
    found = records(results, "small", "large")
    figure, axes = plt.subplots(figsize=(9, 5))
    widths = dict(bandwidths(report["host"]))
    for one in select(found, case="l1", direction="loss", variant="roofline"):
        widths["L1, reading"] = one["gb_per_second"]
    low, high = 0.06, 0.32
    for i, (name, width) in enumerate(widths.items()):
        x, y = (low, high)[i % 2], width * (low, high)[i % 2]
        axes.plot([low, high], [width * low, width * high], color="#555555", linewidth=1)
        axes.annotate(
            f"{name} {width:.0f} GB/s",
            (x, min(y, 11.0)),
            (0, 0),
            textcoords="offset points",
            fontsize=7,
            ha=("left", "right")[i % 2],
            color="#555555",
            bbox=LABEL_BOX,
        )
    match = re.match(r"([\d.]+) GHz", report["host"]["frequency"])
    roofs = port_roofs(results, float(match[1]) if match else 0.0)
    for i, (row, (core, roof)) in enumerate(roofs.items()):
        axes.axhline(roof, color=ROW_COLOURS[row], linewidth=1, linestyle=("--", ":")[i % 2])
        text = f"ports of {core}, sigmoid loss, {row} (model)"
        x, y = (high, roof * 1.05) if i % 2 == 0 else (low * 1.01, roof * 0.9)
        side = ("right", "left")[i % 2]
        axes.text(x, y, text, fontsize=7, ha=side, color=ROW_COLOURS[row], bbox=LABEL_BOX)
    best = next(row for row in ROW_COLOURS if select(found, variant=f"{row} fast"))
    for one in found:
        row, kind = split_variant(one["variant"])
        if kind != "fast" or row == "scalar" or one["gamma"] != 2.0 or one["dtype"] != "f32":
            continue
        marker = {"sigmoid": "o", "softmax": "s"}[one["op"]]
        filled = ROW_COLOURS[row] if one["direction"] == "loss" else "white"
        x, y = 1.0 / one["bytes_per_element"], 1.0 / one["ns_per_element"]
        axes.plot(x, y, marker, color=ROW_COLOURS[row], markerfacecolor=filled, markersize=5)
        if row == best and one["case"] in ("tiny", "n80", "retinanet", "softmax32000"):
            axes.annotate(one["case"], (x, y), (5, -2), textcoords="offset points", fontsize=6)
    axes.set(xscale="log", yscale="log", xlim=(low, high * 1.02), ylim=(0.3, 12))
    ticks = [1 / 12, 1 / 8, 1 / 4]
    axes.set_xticks(ticks, [f"1/{round(1 / tick)}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    axes.set_xlabel("logits per byte that must move")
    axes.set_ylabel("10⁹ logits per second, one thread")
    axes.set_title(
        "f32, tier fast, gamma 2. Circles sigmoid, squares softmax; full loss, hollow loss and gradient",
        fontsize=9,
        loc="left",
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    save(figure, path, report["host"])


# ---- From L1 to DRAM ----


def cache_bytes(host: dict[str, str]) -> dict[str, int]:
    return {name: int(kib) * KIB for name, kib in re.findall(r"(L\d)d? (\d+) KiB", host["caches"])}


def plot_sweep(results: Path, path: Path) -> None:
    report = load(results, "sweep", "focal_bench")
    found = report["results"]
    figure, axes = plt.subplots(figsize=(9, 4.2))
    for direction, style in (("loss", "-"), ("both", "--")):
        for variant in dict.fromkeys(one["variant"] for one in found):
            line = sorted(select(found, direction=direction, variant=variant), key=lambda r: r["rows"])
            row, kind = split_variant(variant)
            sizes = [one["rows"] * one["classes"] * one["bytes_per_element"] / KIB for one in line]
            times = [one["ns_per_element"] for one in line]
            errors = [
                [one["ns_per_element"] - one["low_ns"] for one in line],
                [one["high_ns"] - one["ns_per_element"] for one in line],
            ]
            what = "loss" if direction == "loss" else "loss and gradient"
            label = f"{row or 'moving the bytes alone'}, {what}"
            colour = ROW_COLOURS.get(row, "#555555")
            axes.errorbar(
                *(sizes, times, errors, None, style),
                color=colour,
                label=label,
                marker=".",
                linewidth=1,
                markersize=4,
            )
    top = axes.get_ylim()[1]
    for name, size in cache_bytes(report["host"]).items():
        axes.axvline(size / KIB, color="#bbbbbb", linewidth=1)
        axes.text(size / KIB, top * 0.98, f" {name}", fontsize=8, color="#777777", va="top")
    axes.set(xscale="log", ylim=(0, top))
    ticks = [1, 8, 64, 512, 4 * KIB, 32 * KIB, 256 * KIB]
    axes.set_xticks(ticks, [f"{t} KiB" if t < KIB else f"{t // KIB} MiB" for t in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("bytes that one execution reads and writes")
    axes.set_ylabel("ns per logit")
    axes.set_title("Sigmoid, dense targets, gamma 2, tier fast, from L1 to DRAM", fontsize=9, loc="left")
    axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 0.92))
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    save(figure, path, report["host"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a folder that bench/record.sh filled")
    parser.add_argument("pictures", type=Path, help="where the SVG files go")
    arguments = parser.parse_args()
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams.update(STYLE)
    try:
        for name, draw in (("cycles", plot_cycles), ("roofline", plot_roofline), ("sweep", plot_sweep)):
            path = arguments.pictures / f"{name}.svg"
            draw(arguments.results, path)
            print(f"{path}: {path.stat().st_size} bytes")
    except ReportError as error:
        sys.exit(f"plot.py: {error}")


if __name__ == "__main__":
    main()
