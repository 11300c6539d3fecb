"""What tools/test_report.py makes of outputs: nothing that went wrong may count as passed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import test_report  # noqa: E402


@pytest.mark.parametrize(
    ("output", "succeeded", "expected"),
    [
        ("noise\n12 passed, 0 failed\n", True, (12, 0)),
        ("12 passed, 3 failed\n", False, (12, 3)),
        ("3 passed, 0 failed\nmore\n5 passed, 0 failed\n", True, (5, 0)),
        ("12 passed, 0 failed\n", False, (12, 1)),  # crashed after its last line
        ("0 passed, 0 failed\n", True, (0, 1)),  # ran nothing
        ("no counts", True, (1, 0)),
        ("no counts", False, (0, 1)),
        ("....\n4 passed in 0.12s\n", True, (4, 0)),
        ("==== 1 failed, 3 passed, 2 errors in 1.20s ====\n", False, (3, 3)),
        ("3 passed, 2 skipped in 1.20s\n", True, (3, 2)),
        ("3 passed, 2 deselected in 1.20s\n", True, (3, 0)),
        ("3 passed, 1 skipped, 2 deselected in 1.20s\n", True, (3, 1)),
        ("no tests ran in 0.01s\n", False, (0, 1)),
        ("Ran 7 tests in 0.5s\n\nOK\n", True, (7, 0)),
        ("Ran 7 tests in 0.5s\n\nFAILED (failures=1, errors=2)\n", False, (4, 3)),
        ("Ran 7 tests in 0.5s\n\nOK (skipped=2)\n", True, (5, 2)),
    ],
)
def test_count(output: str, succeeded: bool, expected: tuple[int, int]) -> None:
    assert test_report.count(output, succeeded) == expected


def run_report(results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "test_report.py"), str(results), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def meson_line(name: str, result: str, output: str) -> str:
    test = {"name": name, "result": result, "stdout": output, "returncode": 0, "command": [name]}
    return json.dumps(test) + "\n"


def test_summary_of_meson_tests(tmp_path: Path) -> None:
    rows = "row avx2: 3 passed, 0 failed\nscalarfma   90 kernels, 270 executions, 40 checks: equal\n"
    testlog = tmp_path / "testlog.json"
    testlog.write_text(
        meson_line("good", "OK", f"{rows}5 passed, 0 failed\n")
        + meson_line("skipped", "SKIP", "")
        + meson_line("slow", "TIMEOUT", "2 passed, 0 failed\n")
    )
    results = tmp_path / "results.jsonl"
    assert run_report(results, "meson", "gcc", "native", str(testlog)).returncode == 0
    summary = run_report(results, "summary", "--rows", "avx2,neon")
    assert summary.returncode == 1
    # 5 and 2 passed; failed are the skipped one, the slow one, and neon, which ran nowhere.
    assert summary.stdout.splitlines()[-1] == "7 passed, 3 failed"
    table = [line.split() for line in summary.stdout.splitlines()]
    assert ["avx2", "3", "-", "-"] in table
    assert ["scalarfma", "40", "-", "-"] in table
    assert ["neon", "-", "-", "-"] in table
    assert "  row neon: executed nowhere" in summary.stdout.splitlines()


def test_summary_of_nothing_fails(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text("")
    assert run_report(results, "summary").returncode == 1
