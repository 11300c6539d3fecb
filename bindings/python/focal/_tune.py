"""Measuring kernels on this machine: focal_tune_run and the tuning file, as docs/tuning.md describes them."""

from __future__ import annotations

import os
from typing import Any

from . import _focal
from ._arrays import forget_plans

Path = str | os.PathLike[str] | None


def tune(
    *, budget_ms: float = 100.0, threads: int | None = None, dry: bool = False, **fields: Any
) -> dict[str, Any]:
    """Measures the kernels for a problem and uses the fastest from now on; no result changes a bit.

    fields: of Plan, such as op="sigmoid", outer=76725, classes=80, outputs=("sum", "gradient"), gamma=2.0.
        What is found serves problems of about that size.
    budget_ms: wall time in milliseconds.
    threads: as in Plan.execute().
    dry: only look.

    Returns the fields of focal_tune_result: kernel and default_kernel, ns and default_ns per logit, their
    ratio with its 95 % interval from low to high, and decided, False if the budget was too short.
    Raises FocalError for a problem that the library refuses.
    """
    result = _focal.tune(budget_ms=budget_ms, threads=threads, dry=dry, **fields)
    forget_plans()
    return result


def tune_save(path: Path = None) -> dict[str, Any]:
    """Merges what was measured into a tuning file: `path`, FOCAL_TUNE_FILE, or the user's own.

    Returns the counts of the file's entries: accepted, stale, foreign, rejected; and its path.
    """
    return _focal.tune_save(path)


def tune_load(path: Path = None) -> dict[str, Any]:
    """Replaces what the process holds by a tuning file, and returns the counts of its entries.

    Raises FocalError, and changes nothing, if there is no such file or it is none.
    """
    report = _focal.tune_load(path)
    forget_plans()
    return report


def tune_state() -> dict[str, Any]:
    """The counts of the entries that the process holds, and the file they are from."""
    return _focal.tune_state()
