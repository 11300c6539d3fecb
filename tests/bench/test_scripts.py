"""Tests of the scripts in bench/: they run whole, what they write is strict, no figure is judged.

FOCAL_BUILD is a release build whose bench/bench_trace and cli/focal are used.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
BUILD = Path(os.environ["FOCAL_BUILD"]).resolve()
LARGEST_PICTURE = 150 * 1024
PARTS = ("model", "goals", "small", "large", "tiers", "sweep", "processes")

sys.path.insert(0, str(BENCH))

import instructions  # noqa: E402
import model_throughput  # noqa: E402
import report as report_script  # noqa: E402
from reports import ReportError, load, split_variant  # noqa: E402


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def strict(path: Path) -> Any:
    return json.loads(path.read_text(), parse_constant=refuse)


def run(*command: Any, fails: bool = False) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done


def vector_rows() -> list[str]:
    info = json.loads(run(BUILD / "cli" / "focal", "info", "--json").stdout)
    return [r["name"] for r in info["isa_rows"] if r["usable"] and r["name"] in ("avx512", "avx2")]


# ---- Instructions ----


def test_text_for_the_model() -> None:
    for text, expected in (
        ("vmovups (%rdi,%rax,1),%zmm17", "vmovups (%rdi,%rax,1),%zmm17"),
        ("vmovaps 0x0(%rip),%zmm13        # 326dd <kernel+0x12d>", "vmovaps 0x0(%rip),%zmm13"),
        ("jbe    32c2f <kernel+0x67f>", "jbe    .Ltarget"),
        ("bnd jmp *0x2f75(%rip)        # 404010 <f@GLIBC>", "jmp .Ltarget"),
        ("call   23870 <sigmoid_run_exp>", None),
        ("ret", None),
        ("b.eq\t22020 <sigmoid_run_exp+0x170>  // b.none", "b.eq\t.Ltarget"),
        ("tbnz\tw3, #0, 4010 <f+0x4>", "tbnz\tw3, #0, .Ltarget"),
        ("adrp\tx0, 4e0000 <table+0x20>", "adrp\tx0, .Ltarget"),
        ("add\tx6, x6, #0x40", "add\tx6, x6, #0x40"),
        ("fmla\tv3.4s, v27.4s, v6.4s", "fmla\tv3.4s, v27.4s, v6.4s"),
        ("bl\t401440 <memcpy@plt>", None),
        ("blendv %xmm0,%xmm1,%xmm2", "blendv %xmm0,%xmm1,%xmm2"),
    ):
        assert instructions.for_mca(text) == expected


def test_a_trace_is_the_whole_kernel() -> None:
    """The quotient e / (1 + e) is the only division of the fast loss: one per vector."""
    program = BUILD / "bench" / "bench_trace"
    assert vector_rows(), "this CPU has no row that can be traced"
    for row, logits in itertools.product(vector_rows(), (512, 1024)):
        lanes = {"avx512": 16, "avx2": 8}[row]
        work = instructions.Workload("l1", logits, "loss", 2.0, "fast", row)
        found = instructions.execution(program, work, is_arm=False)
        assert re.fullmatch(rf"focal_f32_sigmoid_dense_loss_g2_fast__{row}(_\w+)?", found.kernel)
        divisions = sum(line.startswith("vdivps") for line in found.lines)
        assert divisions == logits // lanes
        assert sum("fmadd" in line or "fnmadd" in line for line in found.lines) > 8 * divisions


def test_a_trace_that_cannot_be() -> None:
    program = BUILD / "bench" / "bench_trace"
    for change in ({"case": "none"}, {"who": "none"}, {"isa": "abacus"}, {"direction": "up"}):
        work = instructions.Workload("l1", 64, "loss", 2.0, "fast", "avx2")._replace(**change)
        with pytest.raises(instructions.TraceError, match="bench_trace: "):
            instructions.execution(program, work, is_arm=False)


# ---- Models ----


@pytest.mark.parametrize("isa", ["neon", "avx2"])
def test_a_missing_program_is_told_without_the_machines_paths(isa: str) -> None:
    """What stands in a report's "why" is committed with docs/performance.md."""
    absent = ROOT / "no-such-build"
    arguments = argparse.Namespace(build=absent, build_aarch64=absent)
    with pytest.raises(model_throughput.TraceError, match="bench_trace") as failure:
        model_throughput.program_of(isa, arguments)
    assert str(ROOT) not in str(failure.value)


def test_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = vector_rows()
    made_up = model_throughput.Core("Abacus", "abacus", model_throughput.X86)
    zen4 = model_throughput.Core("Zen 4", "znver4", model_throughput.X86)
    monkeypatch.setattr(model_throughput, "CORES", {row: [made_up, zen4] for row in rows})
    path = tmp_path / "model.json"
    arguments = ["model_throughput.py", "--build", str(BUILD), "--quick", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert model_throughput.main() == 0
    report = strict(path)
    assert [one["core"] for one in report["not_modelled"]] == ["Abacus"] * len(rows)
    assert all("does not know abacus" in one["why"] for one in report["not_modelled"])
    assert [(one["isa"], one["who"]) for one in report["results"]] == [
        (row, who) for row in rows for who in ("fast", "accurate", "calls")
    ]
    for one in report["results"]:
        # No core of today does a logit in a tenth of a cycle, and simulating cannot beat the ports.
        assert 0.1 < one["port_bound_per_element"] <= one["cycles_per_element"] < 100.0


def test_bounds_are_what_bench_takes() -> None:
    text = run(BENCH / "model_throughput.py", "--build", BUILD, "--bounds").stdout.strip()
    assert [part.split("=")[0] for part in text.split(",")] == vector_rows()
    run(BUILD / "cli" / "focal", "bench", "--goals", "--smoke", "--quiet", "--bound", text)


# ---- Whole processes, set-up ----


def test_processes(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    small = ("--build", BUILD, "--copies", 2, "--repeat", 1, "--runs", 2)
    text = run(BENCH / "compare_isas.sh", *small, "--json", path).stdout
    names = [one["command"] for one in strict(path)["results"]]
    assert names == [*vector_rows(), "scalar"]
    assert all(f"`{name}`" in text for name in names)
    assert "--sample is" not in text
    for wrong in (("--sample",), ("--runs",), ("--build", tmp_path)):
        assert "compare_isas.sh: " in run(BENCH / "compare_isas.sh", *wrong, fails=True).stderr


def test_set_up_finds_what_is_there() -> None:
    run(BENCH / "setup.sh", "--no-install", "hyperfine", "model", "plot")
    assert "unknown argument" in run(BENCH / "setup.sh", "abacus", fails=True).stderr


# ---- The record ----


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("record")
    shutil.copy(ROOT / "docs" / "performance.md", folder / "page.md")
    run(
        *(BENCH / "record.sh", "--smoke", "--build", BUILD, "--results", folder / "results"),
        *("--page", folder / "page.md", "--pictures", folder / "pictures"),
    )
    return folder


def test_record_is_strict_json(record: Path) -> None:
    listed = run(BUILD / "cli" / "focal", "bench", "--list").stdout
    parts = {*PARTS, *(("doubles",) if "  l1_f64 " in listed else ())}
    assert {path.stem for path in (record / "results").glob("*.json")} == parts
    for part in parts:
        strict(record / "results" / f"{part}.json")


def test_page_has_every_table(record: Path) -> None:
    page = (record / "page.md").read_text()
    goals = strict(record / "results" / "goals.json")["goals"]
    for goal in goals:
        assert f"| {goal['what']} |" in page
    for case in ("retinanet", "softmax1000", "llm"):
        assert re.search(rf"(?m)^\| {case} \| both \| ", page)
    for name in report_script.SECTIONS:
        table = page.split(f"<!-- begin: {name} -->")[1].split(f"<!-- end: {name} -->")[0]
        assert len(table.strip().splitlines()) > 3, name
    # Tables are whole: every line has as many cells as its head.
    for table in re.findall(r"(?m)(?:^\|.*\|\n)+", page):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    again = record / "again.md"
    again.write_text(page)
    run(BENCH / "report.py", record / "results", again)
    assert again.read_text() == page


def check_picture(path: Path) -> str:
    assert path.stat().st_size < LARGEST_PICTURE
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return " ".join("".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text"))


def test_pictures(record: Path) -> None:
    cpu = strict(record / "results" / "goals.json")["host"]["cpu"]
    for name, words in (
        ("cycles", ("SLEEF per vector", "accurate", "core cycles per logit")),
        ("roofline", ("retinanet", "memory, reading", "logits per second")),
        ("sweep", ("ns per logit", "L1", "moving the bytes alone")),
    ):
        text = check_picture(record / "pictures" / f"{name}.svg")
        assert all(word in text for word in (*words, cpu)), name
    run(BENCH / "plot.py", record / "results", record / "again")
    for path in (record / "pictures").iterdir():
        assert path.read_bytes() == (record / "again" / path.name).read_bytes()


def test_committed_pictures_are_small() -> None:
    pictures = re.findall(r"\]\((pictures/\w+\.svg)\)", (ROOT / "docs" / "performance.md").read_text())
    assert len(pictures) == 4
    for name in pictures:
        check_picture(ROOT / "docs" / name)


def test_damage_is_refused(record: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for damage, message in (
        (lambda p: p.unlink(), "goals.json: No such file"),
        (lambda p: p.write_text("{"), "goals.json: "),
        (lambda p: p.write_text('{"focal_goals": NaN}'), "NaN is not JSON"),
        (lambda p: p.write_text('{"focal_goals": 2}'), "not a report with focal_goals 1"),
    ):
        folder = tmp_path / "results"
        shutil.copytree(record / "results", folder)
        damage(folder / "goals.json")
        shutil.copy(record / "page.md", page)
        assert message in run(BENCH / "report.py", folder, page, fails=True).stderr
        assert page.read_text() == (record / "page.md").read_text()
        shutil.rmtree(folder)
    page.write_text((record / "page.md").read_text().replace("<!-- begin: tiers -->", ""))
    assert "0 places for the table tiers" in run(
        BENCH / "report.py", record / "results", page, fails=True
    ).stderr
    assert "tiers.json: No such" in run(BENCH / "plot.py", tmp_path, tmp_path, fails=True).stderr
    for wrong in (("--only", "nothing"), ("--none",), ("--build", tmp_path)):
        assert "record.sh: " in run(BENCH / "record.sh", *wrong, fails=True).stderr


def test_reading(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ReportError, match="not a report"):
        load(tmp_path, "list", "focal_bench")
    assert split_variant("avx2 accurate") == ("avx2", "accurate")
    assert split_variant("sleef on avx512") == ("avx512", "SLEEF per vector")
    assert split_variant("avx2 fast x2") == ("", "avx2 fast x2")
    assert split_variant("roofline") == ("", "roofline")
