"""The Python examples of the documentation run and print what stands below them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import focal
import focal.torch
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/python.md")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:^```text\n(.*?)^```$)?", re.M | re.S)


def examples() -> list[object]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], match[2], id=f"{page}:{line}"))
    return found


@pytest.mark.parametrize(("source", "expected"), examples())
def test_example(source: str, expected: str | None) -> None:
    command = [sys.executable, "-W", "ignore", "-c", source]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    if expected is not None:
        assert ran.stdout == expected


def test_every_name_is_documented() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    for module in (focal, focal.torch):
        missing = [name for name in module.__all__ if not re.search(rf"\b{name}\b", page)]
        assert not missing
        assert all(getattr(module, name).__doc__ for name in module.__all__)
