"""Tests of the traces under qemu: FOCAL_BUILD_AARCH64 is a build for AArch64 with bench/bench_trace."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import instructions  # noqa: E402
import model_throughput  # noqa: E402

PROGRAM = Path(os.environ["FOCAL_BUILD_AARCH64"]).resolve() / "bench" / "bench_trace"


def test_a_trace_is_the_whole_kernel() -> None:
    """One division per vector of four."""
    for logits in (512, 1024):
        work = instructions.Workload("l1", logits, "loss", 2.0, "fast", "neon")
        found = instructions.execution(PROGRAM, work, is_arm=True)
        assert re.fullmatch(r"focal_f32_sigmoid_dense_loss_g2_fast__neon(_\w+)?", found.kernel)
        assert sum(re.match(r"fdiv\t\w+\.4s", line) is not None for line in found.lines) == logits // 4


def test_models() -> None:
    mca = model_throughput.find_mca()
    assert mca, "bench/setup.sh model"
    works = model_throughput.workloads("neon", True)
    assert [work.who for work in works] == ["fast", "accurate", "calls"]
    for work in works:
        results = model_throughput.model(mca, model_throughput.CORES["neon"], work, PROGRAM)
        assert [one["cpu"] for one in results] == ["neoverse-v1", "neoverse-v2"]
        for one in results:
            assert 0.5 < one["port_bound_per_element"] <= one["cycles_per_element"] < 50.0
