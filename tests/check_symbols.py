"""Checks what the libraries export.

The shared library's dynamic symbols are exactly those of data/symbols.txt, and every global
symbol of the static library begins with focal_, so that linking it can clash with nothing.

usage: check_symbols.py [--nm NM] [--shared FILE] [--static FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).resolve().parent / "data" / "symbols.txt"


def defined_symbols(nm: str, library: str, *options: str) -> set[str]:
    """Names of the defined global symbols; archives list their members, too."""
    command = [nm, "--defined-only", "--extern-only", "--format=posix", *options, library]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed: {result.stderr.strip()}")
    # "name type value size"; a member's heading is one word.
    lines = [line.split() for line in result.stdout.splitlines()]
    return {words[0].split("@")[0] for words in lines if len(words) >= 2}


def listed_symbols() -> set[str]:
    lines = (line.strip() for line in LIST.read_text(encoding="utf-8").splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nm", default="nm", help="the nm of the target's tool chain")
    parser.add_argument("--shared", help="the shared library")
    parser.add_argument("--static", help="the static library")
    arguments = parser.parse_args()
    if not arguments.shared and not arguments.static:
        parser.error("give --shared, --static, or both")
    expected = listed_symbols()
    complaints: list[str] = []
    if not expected:
        complaints.append(f"{LIST.name} lists nothing")
    if arguments.shared:
        found = defined_symbols(arguments.nm, arguments.shared, "--dynamic")
        complaints += [f"shared: {name} is exported but not listed" for name in found - expected]
        complaints += [f"shared: {name} is listed but not exported" for name in expected - found]
    if arguments.static:
        found = defined_symbols(arguments.nm, arguments.static)
        foreign = {name for name in found if not name.startswith("focal_")}
        complaints += [f"static: {name} does not begin with focal_" for name in foreign]
        complaints += [f"static: {name} is listed but missing" for name in expected - found]
    for complaint in sorted(complaints):
        print(f"FAILED: {complaint}")
    checks = bool(arguments.shared) + bool(arguments.static)
    print(f"{max(checks - len(complaints), 0)} passed, {len(complaints)} failed")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
