"""bench/record_peers.sh runs whole and fills pages and picture; no figure is judged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import focal
import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(focal.__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peers")
    for page in ("performance.md", "python.md"):
        shutil.copy(ROOT / "docs" / page, folder)
    command = [ROOT / "bench" / "record_peers.sh", "--smoke", "--site", SITE, "--python", sys.executable]
    command += ["--results", folder, "--performance", folder / "performance.md"]
    command += ["--page", folder / "python.md", "--pictures", folder]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def test_reports(recorded: Path) -> None:
    peers = json.loads((recorded / "peers.json").read_text())
    names = {line["implementation"] for line in peers["lines"]}
    assert {"focal.torch", "focal, NumPy", "torchvision", "PyTorch cross-entropy"} <= names
    for line in peers["lines"]:
        assert line["microseconds"] > 0 and line["ratio"] > 0 and line["rounds"] >= 3
    ours = peers["accuracy"]["implementations"]["focal.torch"]
    assert max(error for band in ours["bands"] for error in band) < 1e-6
    assert ours["first_nonfinite"] is None
    for one in json.loads((recorded / "overhead.json").read_text())["results"]:
        assert one["low"] <= one["value"] <= one["high"]
    training = json.loads((recorded / "retinanet.json").read_text())
    assert len(training["runs"][0]["losses"]) == training["steps"]
    assert training["greatest_difference"] < 1e-5


def test_pages_and_picture(recorded: Path) -> None:
    for page, tables in (("performance.md", ("peers", "accuracy")), ("python.md", ("overhead", "retinanet"))):
        text = (recorded / page).read_text()
        for name in tables:
            found = re.search(rf"<!-- begin: {name} -->\n(.*?)<!-- end: {name} -->", text, re.S)
            assert found and "| focal.torch |" in found[1] or "NumPy" in found[1]
    assert ElementTree.parse(recorded / "peers.svg").getroot().tag.endswith("svg")


def test_mistakes_are_named() -> None:
    for options, message in (
        (["--only", "nonsense"], "there is no part 'nonsense'"),
        (["--python", "/absent"], "/absent is missing"),
        (["--results"], "--results needs a value"),
    ):
        command = [ROOT / "bench" / "record_peers.sh", *options]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode != 0 and message in ran.stderr
