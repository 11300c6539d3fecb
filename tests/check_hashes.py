#!/usr/bin/env python3
"""Compares the bits of every ISA row with the committed hashes of data/hashes.txt.

Runs `focal verify --hash-only` for each line of the file on each usable row that has fused
multiply-add (all but "scalar", whose bits are its own). --update writes the file anew from
"scalarfma", the bit reference.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

HASHES = Path(__file__).resolve().parent / "data" / "hashes.txt"
HEADER = """\
# Bits of the results, as `focal verify --hash-only` prints them: one line per problem.
# Made by tests/check_hashes.py --update; every ISA row with fused multiply-add, compiler and
# optimisation level must give the same. A change of the bits is a change of the contract.
# op gamma alpha tier stride offset hash
"""
REFERENCE = "scalarfma"
OTHER_BITS = ("scalar",)
GAMMAS = ("0", "0.5", "1", "1.5", "2", "2.5", "3", "3.7", "5")
PROBLEMS = (("sigmoid", "off"), ("sigmoid", "0.25"), ("softmax", "off"))
TIERS = ("sleef",)
# About 2^20 patterns; and 2^12, for emulators. Both strides are prime, so that every bit varies.
STRIDES = ("4099", "1048583")
FIELDS = ("op", "gamma", "alpha", "tier", "stride", "offset")


def problems() -> list[tuple[str, ...]]:
    return [
        (op, gamma, alpha, tier, stride, "0")
        for stride in STRIDES
        for tier in TIERS
        for op, alpha in PROBLEMS
        for gamma in GAMMAS
    ]


def read_hashes(path: Path = HASHES) -> dict[tuple[str, ...], str]:
    """The committed hash of each problem, in file order."""
    hashes: dict[tuple[str, ...], str] = {}
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        words = line.split()
        if line.startswith("#") or not words:
            continue
        if len(words) != len(FIELDS) + 1 or tuple(words[:-1]) in hashes:
            raise SystemExit(f"{path}:{number}: not a new 'op gamma alpha tier stride offset hash'")
        hashes[tuple(words[:-1])] = words[-1]
    return hashes


def run(command: list[str], timeout: float) -> str:
    """Its output; failure or silence ends the check."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0 or not done.stdout:
        raise SystemExit(f"{shlex.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def usable_rows(focal: list[str], timeout: float) -> list[str]:
    info = json.loads(run([*focal, "info", "--json"], timeout))
    return [row["name"] for row in info["isa_rows"] if row["usable"]]


def hash_of(focal: list[str], problem: tuple[str, ...], isa: str, timeout: float) -> str:
    options = [word for pair in zip(FIELDS, problem) for word in (f"--{pair[0]}", pair[1])]
    command = [*focal, "verify", "--hash-only", "--threads", "1", "--isa", isa, *options]
    return run(command, timeout).strip()


def update(focal: list[str], timeout: float) -> None:
    lines = [" ".join((*problem, hash_of(focal, problem, REFERENCE, timeout))) for problem in problems()]
    HASHES.write_text(HEADER + "\n".join(lines) + "\n", encoding="ascii")
    print(f"wrote {len(lines)} hashes of row {REFERENCE} to {HASHES}")


def check_row(focal: list[str], isa: str, hashes: dict[tuple[str, ...], str], timeout: float) -> int:
    """Prints differences and the row's count; returns the number that failed."""
    failed = 0
    for problem, expected in hashes.items():
        actual = hash_of(focal, problem, isa, timeout)
        if actual != expected:
            failed += 1
            print(f"FAILED: row {isa}, {' '.join(problem)}: {actual}, expected {expected}")
    print(f"row {isa}: {len(hashes) - failed} passed, {failed} failed")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("focal", help="the command to test, words separated by blanks (emulator first)")
    parser.add_argument("--update", action="store_true", help="write the file instead of checking")
    parser.add_argument("--stride", choices=STRIDES, help="only the lines of this stride")
    parser.add_argument("--isa", help="only these rows, separated by commas; they must be usable")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds per run (default 300)")
    arguments = parser.parse_args()
    focal = shlex.split(arguments.focal)
    if arguments.update:
        update(focal, arguments.timeout)
        return 0

    hashes = {
        problem: value
        for problem, value in read_hashes().items()
        if arguments.stride in (None, problem[FIELDS.index("stride")])
    }
    stale = set(hashes) ^ {p for p in problems() if arguments.stride in (None, p[4])}
    if stale:
        raise SystemExit(f"{HASHES}: not the list of this script, run --update: {sorted(stale)[0]}")
    usable = usable_rows(focal, arguments.timeout)
    rows = [isa for isa in usable if isa not in OTHER_BITS]
    if arguments.isa:
        rows = arguments.isa.split(",")
        missing = [isa for isa in rows if isa not in usable]
        if missing:
            raise SystemExit(f"not usable here: {', '.join(missing)} (usable: {', '.join(usable)})")
    failed = sum(check_row(focal, isa, hashes, arguments.timeout) for isa in rows)
    total = len(hashes) * len(rows)
    # A row without fused operations must differ, or these hashes tell nothing apart.
    for isa in (row for row in usable if row in OTHER_BITS and not arguments.isa):
        problem = next(problem for problem in hashes if problem[:2] == ("sigmoid", "2"))
        total += 1
        if hash_of(focal, problem, isa, arguments.timeout) == hashes[problem]:
            failed += 1
            print(f"FAILED: row {isa} has the hash of the others: {' '.join(problem)}")
    print(f"{total - failed} passed, {failed} failed")
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
