"""Counts of ./test.sh: collect what the parts ran, print it as tables, end in one line.

Results are lines of JSON in one file, each a test of a part: {part, name, passed, failed, log,
rows, place}. A test that says "N passed, N failed" counts as that many, any other as one.

Usage: test_report.py RESULTS meson PART PLACE TESTLOG     add every test of a Meson testlog.json
       test_report.py RESULTS run PART NAME STATUS LOG     add a command that ended with STATUS
       test_report.py RESULTS summary [--rows A,B]         print all; fail if anything failed,
                                                           or a row of A,B never ran
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

# The last line of a test program; pytest's says only what there was, unittest's counts all.
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)
PYTEST_WORDS = "passed|failed|errors?|skipped|deselected|warnings?"
PYTEST = re.compile(rf"^(?:=+ )?((?:\d+ (?:{PYTEST_WORDS})(?:, )?)+) in [\d.]+", re.MULTILINE)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)
# What a test program says of each ISA row that it ran: "row avx2: 12 passed, 0 failed", or
# test_kernels' own "avx2  90 kernels, 270 executions, 3600 checks: ...".
ROW = re.compile(r"^row (\w+): (\d+) passed, (\d+) failed$", re.MULTILINE)
KERNEL_ROW = re.compile(r"^(\w+) +\d+ kernels, \d+ executions, (\d+) checks: ", re.MULTILINE)


def words_count(text: str, *words: str) -> int:
    """In "3 failed, 41 passed" or "failures=3": the number beside any of the words."""
    pattern = rf"(\d+) (?:{'|'.join(words)})|(?:{'|'.join(words)})=(\d+)"
    return sum(int(a or b) for a, b in re.findall(pattern, text))


def count(output: str, succeeded: bool) -> tuple[int, int]:
    """Checks passed and failed. What is skipped has not been shown, so it counts as failed."""
    passed, failed = (1, 0) if succeeded else (0, 1)
    if matches := COUNTS.findall(output):
        passed, failed = (int(number) for number in matches[-1])
    elif matches := PYTEST.findall(output):
        passed = words_count(matches[-1], "passed")
        failed = words_count(matches[-1], "failed", "errors?", "skipped")
    elif matches := UNITTEST.findall(output):
        total, _, details = matches[-1]
        failed = words_count(details, "failures", "errors", "skipped")
        passed = int(total) - failed
    if passed + failed == 0 or (not succeeded and failed == 0):
        failed += 1
    return passed, failed


def result(part: str, name: str, place: str, output: str, succeeded: bool, log: str) -> dict[str, Any]:
    passed, failed = count(output, succeeded)
    rows: dict[str, int] = {}
    for row, *checks in ROW.findall(output) + KERNEL_ROW.findall(output):
        rows[row] = rows.get(row, 0) + sum(map(int, checks))
    return {
        "part": part,
        "name": name,
        "place": place,
        "passed": passed,
        "failed": failed,
        "rows": rows,
        "log": log,
    }


def meson_results(part: str, place: str, testlog: Path, logs: Path) -> list[dict[str, Any]]:
    results = []
    logs.mkdir(parents=True, exist_ok=True)
    for line in testlog.read_text().splitlines():
        test = json.loads(line)
        log = logs / (re.sub(r"\W+", "_", test["name"]) + ".log")
        output = test.get("stdout", "")
        log.write_text(
            f"{' '.join(test['command'])}\nresult {test['result']}, exit {test.get('returncode')}\n"
            f"{output}\n--- stderr ---\n{test.get('stderr', '')}\n"
        )
        succeeded = test["result"] in ("OK", "EXPECTEDFAIL")
        results.append(result(part, test["name"], place, output, succeeded, str(log)))
    return results


def table(lines: list[list[str]]) -> None:
    """Columns, the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


def print_rows(results: list[dict[str, Any]], wanted: list[str]) -> list[str]:
    """The table of ISA rows by place; returns the wanted rows that ran nowhere."""
    counts: dict[tuple[str, str], int] = {}
    for test in results:
        for row, checks in test["rows"].items():
            counts[row, test["place"]] = counts.get((row, test["place"]), 0) + checks
    places = ["native", "bochs", "qemu"]
    rows = wanted + sorted({row for row, _ in counts} - set(wanted))
    if rows:
        print("\nChecks of each ISA row, by where it ran:")
        lines = [["row", *places]]
        for row in rows:
            lines.append([row, *(f"{counts.get((row, place), 0) or '-'}" for place in places)])
        table(lines)
    return [row for row in wanted if not any(counts.get((row, place)) for place in places)]


def summary(results: list[dict[str, Any]], wanted: list[str]) -> int:
    parts = list(dict.fromkeys(test["part"] for test in results))
    print("\nChecks of each part:")
    lines = [["part", "tests", "passed", "failed"]]
    for part in parts:
        tests = [test for test in results if test["part"] == part]
        sums = [sum(test[key] for test in tests) for key in ("passed", "failed")]
        lines.append([part, str(len(tests)), *map(str, sums)])
    table(lines)
    missing = print_rows(results, wanted)
    passed = sum(test["passed"] for test in results)
    failed = sum(test["failed"] for test in results) + len(missing)
    if failed:
        print("\nFailures:")
    for test in results:
        if test["failed"]:
            print(f"  {test['part']}: {test['name']}: {test['failed']} failed, see {test['log']}")
    for row in missing:
        print(f"  row {row}: executed nowhere")
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    meson = commands.add_parser("meson")
    meson.add_argument("part")
    meson.add_argument("place")
    meson.add_argument("testlog", type=Path)
    run = commands.add_parser("run")
    run.add_argument("part")
    run.add_argument("name")
    run.add_argument("status", type=int)
    run.add_argument("log", type=Path)
    commands.add_parser("summary").add_argument("--rows", default="")
    arguments = parser.parse_args()

    if arguments.command == "summary":
        lines = arguments.results.read_text().splitlines()
        rows = [row for row in arguments.rows.split(",") if row]
        return summary([json.loads(line) for line in lines], rows)
    if arguments.command == "meson":
        logs = arguments.results.parent / "logs" / arguments.part
        new = meson_results(arguments.part, arguments.place, arguments.testlog, logs)
    else:
        output = arguments.log.read_text(errors="replace")
        succeeded = arguments.status == 0
        name, log = arguments.name, str(arguments.log)
        new = [result(arguments.part, name, "native", output, succeeded, log)]
    with arguments.results.open("a") as file:
        for test in new:
            file.write(json.dumps(test) + "\n")
    failed = [test["name"] for test in new if test["failed"]]
    passed = sum(test["passed"] for test in new)
    trouble = f"; FAILED: {' '.join(failed)}" if failed else ""
    print(f"   {arguments.part}: {passed} checks passed{trouble}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
