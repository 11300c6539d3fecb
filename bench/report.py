#!/usr/bin/env python3
"""Write the tables of docs/performance.md anew from the reports of bench/record.sh.

What stands between "<!-- begin: NAME -->" and "<!-- end: NAME -->" is replaced; the rest of the page
is left alone, and nothing is written unless every table could be made.

Usage: report.py RESULTS PAGE
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, Callable

from reports import ROW_COLOURS, Record, ReportError, load, records, select, split_variant

TIERS = ("fast", "accurate", "sleef")
# Of focal bench's references, in the order of the columns.
REFERENCES = ("sleef", "plain", "vectorised", "scalar", "roofline")


def table(heads: list[str], rows: list[list[str]], left: int) -> str:
    """A Markdown table whose first `left` columns are words."""
    rule = ["---"] * left + ["--:"] * (len(heads) - left)
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rule, *rows])


def number(value: float | None, decimals: int = 2) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


# ---- Goals ----

GOAL_UNITS = {"speedup": ("≥", 2), "cost": ("≤", 3), "overhead": ("≤", 0), "bound": ("≥", 2)}


def goal_cell(goal: Record) -> str:
    if goal["obstacle"]:
        return "not measured"
    decimals = GOAL_UNITS[goal["kind"]][1]
    value, low, high = (f"{goal[key]:.{decimals}f}" for key in ("value", "low", "high"))
    verdict = "**missed**" if goal["verdict"] == "missed" else goal["verdict"]
    return f"{value} [{low}, {high}] {verdict}"


def goals(results: Path) -> str:
    found = load(results, "goals", "focal_goals")["goals"]
    rows = list(dict.fromkeys(goal["isa"] for goal in found))
    lines = []
    for name in dict.fromkeys(goal["goal"] for goal in found):
        by_row = {goal["isa"]: goal for goal in found if goal["goal"] == name}
        first = next(iter(by_row.values()))
        sign = GOAL_UNITS[first["kind"]][0]
        limits = [f"{sign} {first['must']:g}", f"{first['aim']:g}"]
        lines.append([first["what"], *limits, *(goal_cell(by_row[row]) for row in rows)])
    return table(["goal", "must", "aim", *rows], lines, 1) + "\n\n" + counts(found, rows)


def counts(found: list[Record], rows: list[str]) -> str:
    texts = []
    for row in rows:
        verdicts = [goal.get("verdict") for goal in found if goal["isa"] == row]
        met = sum(verdict in ("must", "aim") for verdict in verdicts)
        texts.append(f"{row}: {met} of {len(verdicts)} met, {verdicts.count('missed')} missed")
    return "; ".join(texts) + "."


# ---- Cases, tiers, threads ----


def cases(results: Path) -> str:
    lines = []
    doubles = ["doubles"] if (results / "doubles.json").exists() else []
    for one in records(results, "large", "small", *doubles):
        row, kind = split_variant(one["variant"])
        if kind != "fast" or row in ("", "scalar"):
            continue
        over = one["speedup_over"]
        ratios = [number(over[name][0]) if name in over else "-" for name in REFERENCES]
        times = [number(one["cycles_per_element"])]
        times += [number(one[key], 3) for key in ("ns_per_element", "mad_ns")]
        peak = one["peak_memory_bytes"]
        last = [number(peak / 1e6, 0) if peak else "-", f"{one['rounds']:.0f}"]
        lines.append([one["case"], one["direction"], row, *ratios, *times, *last])
    heads = ["case", "what", "row", *REFERENCES, "cyc/el", "ns/el", "MAD", "peak MB", "rounds"]
    return table(heads, lines, 3)


def tiers(results: Path) -> str:
    found = load(results, "tiers", "focal_bench")["results"]
    lines = []
    keys = dict.fromkeys((r["case"], r["gamma"], r["direction"]) for r in found)
    for case, gamma, direction in keys:
        some = select(found, case=case, gamma=gamma, direction=direction)
        for row in (row for row in ROW_COLOURS if select(some, variant=f"{row} fast")):
            cells = []
            for variant in (*(f"{row} {tier}" for tier in TIERS), f"sleef on {row}"):
                for one in select(some, variant=variant)[:1] or [None]:
                    over = one["speedup_over"].get("sleef") if one else None
                    cells.append(number(one["cycles_per_element"]) if one else "-")
                    cells.append(number(over[0]) if over else "-")
            lines.append([case, f"{gamma:g}", direction, row, *cells[:-1]])
    heads = [text for tier in TIERS for text in (tier, "over SLEEF")]
    return table(["case", "gamma", "what", "row", *heads, "SLEEF per vector"], lines, 4)


# ---- Models, processes, host ----


def model_table(found: list[Record], isa: str) -> str:
    some = select(found, isa=isa)
    cores = list(dict.fromkeys(one["core"] for one in some))
    lines = []
    for case, direction, gamma, who in dict.fromkeys(
        (one["case"], one["direction"], one["gamma"], one["who"]) for one in some
    ):
        same = select(some, case=case, direction=direction, gamma=gamma)
        cells = []
        for core in cores:
            one = select(same, who=who, core=core)[0]
            calls = select(same, who="calls", core=core)
            over = calls[0]["cycles_per_element"] / one["cycles_per_element"] if calls else None
            cells += [number(one["cycles_per_element"]), number(one["port_bound_per_element"]), number(over)]
        if who != "calls":
            lines.append([case, direction, f"{gamma:g}", who, *cells])
    heads = [text for core in cores for text in (core, "bound", "over SLEEF")]
    return f"Row {isa}:\n\n" + table(["case", "what", "gamma", "tier", *heads], lines, 4)


def model(results: Path) -> str:
    report = load(results, "model", "focal_model")
    parts = [f"llvm-mca {report['llvm']}; it takes this host's CPU for `{report['host_cpu']}`."]
    for isa in dict.fromkeys(one["isa"] for one in report["results"]):
        parts.append(model_table(report["results"], isa))
    whys = dict.fromkeys(f"{one['core']} ({one['isa']}): {one['why']}" for one in report["not_modelled"])
    if whys:
        parts.append("Not modelled:\n\n" + "\n".join(f"- {why}" for why in whys))
    return "\n\n".join(parts)


def agreement(results: Path) -> str:
    """Model and measurement of the same workloads on this host."""
    report = load(results, "model", "focal_model")
    measured = records(results, "tiers")
    lines = []
    for one in select(report["results"], cpu=report["host_cpu"]):
        variant = f"sleef on {one['isa']}" if one["who"] == "calls" else f"{one['isa']} {one['who']}"
        keys = {key: one[key] for key in ("case", "direction", "gamma")}
        for other in select(measured, variant=variant, **keys):
            modelled, cycles = one["cycles_per_element"], other["cycles_per_element"]
            what = [one["case"], one["direction"], f"{one['gamma']:g}", variant]
            lines.append([*what, number(modelled), number(cycles), number(modelled / cycles)])
    return table(["case", "what", "gamma", "variant", "model", "measured", "model/measured"], lines, 4)


def processes(results: Path) -> str:
    path = results / "processes.json"
    try:
        found = json.loads(path.read_text())["results"]
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"{path}: {error}") from None
    fastest = min(one["median"] for one in found)
    lines = [
        [one["command"]]
        + [number(1e3 * one[key], 1) for key in ("median", "min", "max")]
        + [number(one["median"] / fastest), str(len(one["times"]))]
        for one in found
    ]
    return table(["row", "median ms", "min", "max", "relative", "runs"], lines, 1)


def host(results: Path) -> str:
    """The card of the goals; the other reports were made in the same quarter of an hour."""
    card = load(results, "goals", "focal_goals")["host"]
    return "```text\n" + "\n".join(f"{key:15} {value}" for key, value in card.items()) + "\n```"


SECTIONS: dict[str, Callable[[Path], str]] = {
    "goals": goals,
    "cases": cases,
    "tiers": tiers,
    "model": model,
    "agreement": agreement,
    "processes": processes,
    "host": host,
}


def replace(page: str, name: str, text: str) -> str:
    pattern = rf"(?s)(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)"
    new, count = re.subn(pattern, lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)
    if count != 1:
        raise ReportError(f"the page has {count} places for the table {name}, not 1")
    return new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a folder that bench/record.sh filled")
    parser.add_argument("page", type=Path, help="docs/performance.md")
    arguments = parser.parse_args()
    page: Any = arguments.page.read_text()
    try:
        for name, make in SECTIONS.items():
            page = replace(page, name, make(arguments.results))
    except ReportError as error:
        sys.exit(f"report.py: {error}")
    arguments.page.write_text(page)


if __name__ == "__main__":
    main()
