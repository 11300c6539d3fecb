"""examples/distributed: one and two processes take the same steps."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "distributed" / "train.py"


def losses(processes: int) -> list[float]:
    command = [sys.executable, str(PROGRAM), "--processes", str(processes)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(loss) for loss in re.findall(r"^step +\d+ loss (\S+)$", output, re.M)]


def test_processes_do_not_matter() -> None:
    alone = losses(1)
    assert len(alone) == 20 and alone[-1] < alone[0] / 2
    assert losses(2) == pytest.approx(alone, rel=1e-5)
