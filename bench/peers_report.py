"""Tables and the plot of bench/peers.py."""

from __future__ import annotations

from html import escape
from math import ceil, log10
from typing import Any


def markdown(results: list[dict[str, Any]]) -> str:
    first = results[0]
    card = first["card"]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    parts = [f"{card['cpu']}, {card['cpus']} CPUs, {card['isa']}; libfocal {card['library']}; {versions}.\n"]
    for result in results:
        for workload, direction in unique((line["workload"], line["pass"]) for line in result["lines"]):
            lines = select(result, workload, direction)
            rows, classes = lines[0]["shape"]
            parts.append(f"\n{workload}, {rows} x {classes}, {direction}, threads: {result['threads']}\n\n")
            parts.append(
                "| implementation | microseconds | MAD | min | times focal.torch | peak MB | rounds |\n"
            )
            parts.append("|---|--:|--:|--:|--:|--:|--:|\n")
            for line in sorted(lines, key=lambda line: line["microseconds"]):
                parts.append(
                    f"| {line['implementation']} | {line['microseconds']:.4g} | {line['mad']:.2g} "
                    f"| {line['min']:.4g} | {line['ratio']:.2f} | {line['peak_bytes'] / 1e6:.1f} "
                    f"| {line['rounds']} |\n"
                )
        if "accuracy" in result:
            parts.append(accuracy_table(result["accuracy"]))
    return "".join(parts)


def unique(items: Any) -> list[Any]:
    return list(dict.fromkeys(items))


def select(result: dict[str, Any], workload: str, direction: str) -> list[dict[str, Any]]:
    return [line for line in result["lines"] if (line["workload"], line["pass"]) == (workload, direction)]


def accuracy_table(accuracy: dict[str, Any]) -> str:
    edges = accuracy["edges"]
    heads = [f"{low:g} to {high:g}" for low, high in zip(edges, edges[1:])]
    parts = [
        "\nGreatest relative error of loss / gradient by |logit|; first gradient not finite, gamma 0.5\n\n"
    ]
    parts.append("| implementation | " + " | ".join(heads) + " | not finite from |\n")
    parts.append("|---|" + "--:|" * (len(heads) + 1) + "\n")
    for name, found in accuracy["implementations"].items():
        cells = [f"{loss:.0e} / {gradient:.0e}" for loss, gradient in found["bands"]]
        end = found["first_nonfinite"]
        parts.append(f"| {name} | " + " | ".join(cells) + f" | {'never' if end is None else f'{end:g}'} |\n")
    return "".join(parts)


def svg(results: list[dict[str, Any]]) -> str:
    """Bars on a logarithmic scale: time of forward and backward, one group per workload, one thread."""
    groups = []
    for workload in unique(line["workload"] for line in results[0]["lines"]):
        lines = select(results[0], workload, "forward+backward")
        groups.append((workload, lines[0]["shape"], sorted(lines, key=lambda line: line["microseconds"])))
    bar, left, width = 18, 240, 460
    height = sum(40 + bar * len(lines) for _, _, lines in groups) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 120}" height="{height}" '
        'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
    ]
    y = 10
    for workload, (rows, classes), lines in groups:
        y += 24
        title = f"{workload}, {rows} x {classes}: forward and backward, one thread (microseconds, log scale)"
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}</text>\n')
        low = 10 ** int(log10(lines[0]["microseconds"]) - 0.5)
        decades = max(1, ceil(log10(lines[-1]["microseconds"] / low)))
        for line in lines:
            y += bar
            length = width * log10(line["microseconds"] / low) / decades
            color = "#2a6f97" if line["implementation"].startswith("focal") else "#bbbbbb"
            name = escape(line["implementation"])
            parts.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">{name}</text>\n')
            parts.append(
                f'<rect x="{left}" y="{y - 11}" width="{length:.1f}" height="{bar - 5}" fill="{color}"/>\n'
            )
            label = f"{line['microseconds']:.4g} ({line['ratio']:.1f}x)"
            parts.append(f'<text x="{left + length + 6:.1f}" y="{y}">{label}</text>\n')
        y += 16
    return "".join([*parts, "</svg>\n"])
