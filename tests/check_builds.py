#!/usr/bin/env python3
"""The same bits from every compiler and optimisation level.

Builds the command and two test programs with gcc and clang at -O1 and -O3, each in a temporary
folder; runs the programs, and compares the hashes of the row "scalar", which has no committed ones,
between the builds.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SOURCE = TESTS.parent
LEVELS = ("1", "3")
TARGETS = ("cli/focal", "tests/test_hashes", "tests/test_determinism")
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)
SCALAR_PROBLEMS = [
    ["--op", op, "--gamma", gamma, "--stride", "4099"]
    for op in ("sigmoid", "softmax")
    for gamma in ("0", "1.5", "2", "3.7")
]


class Failure(Exception):
    """A step of one build that did not work, with what it printed."""


def run(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


def build(folder: Path, compiler: str, level: str) -> None:
    options = ["--buildtype=plain", f"-Doptimization={level}", "-Dtests=true", "-Dcli=true"]
    run(["meson", "setup", str(folder), str(SOURCE), *options], CC=compiler)
    run(["ninja", "-C", str(folder), *TARGETS])


def run_program(name: str, folder: Path, *arguments: str) -> tuple[int, int]:
    """Checks passed and failed, by the program's last line."""
    try:
        output = run([str(folder / "tests" / name), *arguments])
    except Failure as failure:
        output = str(failure)
        print(output)
    counts = COUNTS.findall(output)
    if not counts:
        return 0, 1
    return int(counts[-1][0]), int(counts[-1][1])


def scalar_hashes(folder: Path) -> list[str]:
    command = [str(folder / "cli" / "focal"), "verify", "--hash-only", "--isa", "scalar"]
    return [run([*command, *problem]).strip() for problem in SCALAR_PROBLEMS]


def check_build(compiler: str, level: str, scalar: dict[str, list[str]]) -> tuple[int, int]:
    name = f"{compiler} -O{level}"
    with tempfile.TemporaryDirectory(prefix="focal-build-") as scratch:
        folder = Path(scratch) / "build"
        try:
            build(folder, compiler, level)
            scalar[name] = scalar_hashes(folder)
        except Failure as failure:
            print(f"FAILED: {name}: {failure}")
            return 0, 1
        dense = run_program("test_hashes", folder, str(TESTS / "data" / "hashes.txt"))
        manners = run_program("test_determinism", folder)
    passed, failed = dense[0] + manners[0], dense[1] + manners[1]
    print(f"{name}: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compilers", default="gcc,clang", help="separated by commas")
    arguments = parser.parse_args()
    scalar: dict[str, list[str]] = {}
    passed = failed = 0
    for compiler in arguments.compilers.split(","):
        for level in LEVELS:
            counts = check_build(compiler, level, scalar)
            passed += counts[0]
            failed += counts[1]
    first = next(iter(scalar), "")
    for name, hashes in scalar.items():
        for problem, hash_, expected in zip(SCALAR_PROBLEMS, hashes, scalar[first]):
            passed += hash_ == expected
            failed += hash_ != expected
            if hash_ != expected:
                print(f"FAILED: row scalar, {' '.join(problem)}: {hash_} by {name}, {expected} by {first}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
