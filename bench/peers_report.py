#!/usr/bin/env python3
"""Write the tables and the picture of bench/record_peers.sh: what other implementations take.

What stands between "<!-- begin: NAME -->" and "<!-- end: NAME -->" of a page is replaced.

Usage: peers_report.py RESULTS PERFORMANCE-PAGE PYTHON-PAGE PICTURES
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from report import replace, table
from reports import Record, ReportError, load, select

PASSES = ("forward", "forward+backward")


def unique(items: Any) -> list[Any]:
    return list(dict.fromkeys(items))


# ---- Tables -----------------------------------------------------------------------------------


def time_cell(line: Record | None) -> list[str]:
    return [f"{line['microseconds']:.4g} ± {line['mad']:.2g}", f"{line['ratio']:.2f}"] if line else ["-", "-"]


def workload_table(lines: list[Record]) -> str:
    threads = unique(line["threads"] for line in lines)
    columns = [(count, direction) for count in threads for direction in PASSES]
    last = select(lines, threads=threads[0], **{"pass": PASSES[1]})
    rows = []
    for name in (line["implementation"] for line in sorted(last, key=lambda line: line["microseconds"])):
        cells = [name]
        for count, direction in columns:
            found = select(lines, implementation=name, threads=count, **{"pass": direction})
            cells += time_cell(found[0] if found else None)
        peak = select(last, implementation=name)[0]["peak_bytes"]
        rows.append([*cells, f"{peak / 1e6:.1f}"])
    heads = ["implementation"]
    for count, direction in columns:
        heads += [f"{direction}, {count} thread{'s' * (count > 1)}", "×"]
    return table([*heads, "extra MB"], rows, 1)


def peers(results: Path) -> str:
    report = load(results, "peers", "focal_peers")
    host = report["host"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    parts = [f"{host['cpu']}, {host['cpus']} CPUs, {host['isa']}; libfocal {host['library']}; {versions}."]
    for workload in unique(line["workload"] for line in report["lines"]):
        lines = select(report["lines"], workload=workload)
        rows, classes = lines[0]["shape"]
        rounds = min(line["rounds"] for line in lines)
        parts.append(f"{workload}, {rows} x {classes}; microseconds, {rounds} rounds or more:")
        parts.append(workload_table(lines))
    return "\n\n".join(parts)


def accuracy(results: Path) -> str:
    found = load(results, "peers", "focal_peers")["accuracy"]
    edges = found["edges"]
    heads = [f"{low:g} to {high:g}" for low, high in zip(edges, edges[1:])]
    rows = []
    for name, one in found["implementations"].items():
        cells = [f"{loss:.0e} / {gradient:.0e}" for loss, gradient in one["bands"]]
        end = one["first_nonfinite"]
        rows.append([name, *cells, "never" if end is None else f"{end:g}"])
    return table(["implementation", *heads, "not finite from"], rows, 1)


def overhead(results: Path) -> str:
    found = load(results, "overhead", "focal_overhead")
    rows = [
        [one["what"], f"{one['value']:.1f} {one['unit']}", f"{one['low']:.1f} to {one['high']:.1f}",
         f"< {one['must']:g} {one['unit']}" if one["must"] else "-"]
        for one in found["results"]
    ]  # fmt: skip
    return table(["what", "median", "quartiles", "must be"], rows, 1)


def retinanet(results: Path) -> str:
    found = load(results, "retinanet", "focal_retinanet")
    rows = []
    for one in found["runs"]:
        times = [f"{1e3 * one[key]:.1f} ms" for key in ("step_seconds", "loss_seconds")]
        rows.append([one["loss"], *times, f"{one['peak_bytes'] / 1e6:.0f} MB", f"{one['losses'][-1]:.6f}"])
    heads = ["focal loss of", "step", "of it the loss, forward", "peak of the process", "last loss"]
    text = (
        f"{found['steps']} steps, {found['images']} images of {found['size']} x {found['size']}, "
        f"{found['classes']} classes, {found['anchors']} anchors an image, {found['threads']} threads. "
        f"The curves differ by {found['greatest_difference']:.1e} at most, relative to the loss."
    )
    return table(heads, rows, 1) + "\n\n" + text


# ---- The plot ---------------------------------------------------------------------------------


def svg(results: Path) -> str:
    """Bars on a logarithmic scale: time of forward and backward, one group per workload, one thread."""
    lines = select(load(results, "peers", "focal_peers")["lines"], threads=1, **{"pass": PASSES[1]})
    groups = [select(lines, workload=name) for name in unique(line["workload"] for line in lines)]
    bar, left, width = 18, 240, 460
    height = sum(40 + bar * len(group) for group in groups) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 120}" height="{height}" '
        'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
    ]
    y = 10
    for group in groups:
        group = sorted(group, key=lambda line: line["microseconds"])
        rows, classes = group[0]["shape"]
        y += 24
        what = "forward and backward, one thread (microseconds, log scale; times focal.torch)"
        title = f"{group[0]['workload']}, {rows} x {classes}: {what}"
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}</text>\n')
        low = 10 ** floor(log10(group[0]["microseconds"]) - 0.3)
        decades = max(1, ceil(log10(group[-1]["microseconds"] / low)))
        for line in group:
            y += bar
            length = width * log10(line["microseconds"] / low) / decades
            color = "#0072b2" if line["implementation"].startswith("focal") else "#bbbbbb"
            name = escape(line["implementation"])
            parts.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">{name}</text>\n')
            parts.append(
                f'<rect x="{left}" y="{y - 11}" width="{length:.1f}" height="{bar - 5}" fill="{color}"/>\n'
            )
            label = f"{line['microseconds']:.4g} ({line['ratio']:.1f}×)"
            parts.append(f'<text x="{left + length + 6:.1f}" y="{y}">{label}</text>\n')
        y += 16
    return "".join([*parts, "</svg>\n"])


PERFORMANCE: dict[str, Callable[[Path], str]] = {"peers": peers, "accuracy": accuracy}
PYTHON: dict[str, Callable[[Path], str]] = {"overhead": overhead, "retinanet": retinanet}


def filled(page: Path, sections: dict[str, Callable[[Path], str]], results: Path) -> str:
    text = page.read_text()
    for name, make in sections.items():
        text = replace(text, name, make(results))
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a folder that bench/record_peers.sh filled")
    parser.add_argument("performance", type=Path, help="docs/performance.md")
    parser.add_argument("python", type=Path, help="docs/python.md")
    parser.add_argument("pictures", type=Path, help="where peers.svg goes")
    arguments = parser.parse_args()
    try:
        performance = filled(arguments.performance, PERFORMANCE, arguments.results)
        python = filled(arguments.python, PYTHON, arguments.results)
        picture = svg(arguments.results)
    except ReportError as error:
        sys.exit(f"peers_report.py: {error}")
    arguments.performance.write_text(performance)
    arguments.python.write_text(python)
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    (arguments.pictures / "peers.svg").write_text(picture)


if __name__ == "__main__":
    main()
