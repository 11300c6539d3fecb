"""Reports of `focal bench` and bench/model_throughput.py, read for pictures and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]

# Best first; colours of Okabe and Ito, which colour-blind people can tell apart.
ROW_COLOURS = {"avx512": "#0072b2", "avx2": "#e69f00", "neon": "#009e73", "scalar": "#999999"}


class ReportError(Exception):
    """A file that is missing or no report; says which and why."""


def load(folder: Path, name: str, kind: str) -> dict[str, Any]:
    """The report NAME.json of a folder; `kind` is the key that says what it is."""
    path = folder / f"{name}.json"
    try:
        report = json.loads(path.read_text(), parse_constant=refuse)
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ReportError(f"{path}: {error}") from None
    if not isinstance(report, dict) or report.get(kind) != 1:
        raise ReportError(f"{path}: not a report with {kind} 1")
    return report


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def records(folder: Path, *names: str) -> list[Record]:
    """The results of reports of focal bench, together."""
    return [one for name in names for one in load(folder, name, "focal_bench")["results"]]


def select(found: list[Record], **wanted: Any) -> list[Record]:
    """Those whose fields are as wanted."""
    return [one for one in found if all(one[key] == value for key, value in wanted.items())]


def split_variant(variant: str) -> tuple[str, str]:
    """Row and kind: "avx2 fast" has ("avx2", "fast"), "sleef on avx2" ("avx2", "SLEEF per vector"), and
    "plain" no row."""
    words = variant.split()
    if words[:2] == ["sleef", "on"]:
        return words[2], "SLEEF per vector"
    if len(words) == 2 and words[0] in ROW_COLOURS:
        return words[0], words[1]
    return "", variant


def host_line(host: dict[str, str]) -> str:
    """The card in one line, for pictures."""
    parts = [
        host["cpu"],
        f"virtual: {host['virtual']}",
        host["frequency"].split(" by ")[0],
        f"{host['library']} {host['commit']}",
        host["compiler"],
        host["pinned"] if host["pinned"].startswith("no") else f"pinned {host['pinned']}",
        f"load {host['load']}",
    ]
    return " · ".join(parts)
