#!/usr/bin/env python3
"""What llvm-mca says of the kernels on cores that are not at hand: model values, not measurements.

Traces what bench_trace executes (see instructions.py), in L1, and lets llvm-mca execute it on
models of cores: cycles per logit, and the bound that the busiest execution port sets. Beside each
kernel stands the same workload by SLEEF called per vector.

Usage: model_throughput.py [--build DIR] [--build-aarch64 DIR] [--json FILE] [--quick]
       model_throughput.py --bounds      prints ISA=CYCLES,... of this host, for focal bench --goals
       model_throughput.py --find-tools  prints the llvm-mca that would be used
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from instructions import QEMU, Execution, TraceError, Workload, execution

ROOT = Path(__file__).resolve().parent.parent
OLDEST_LLVM, NEWEST_LLVM = 14, 30
ITERATIONS = 4


class Core(NamedTuple):
    name: str
    cpu: str  # as llvm-mca calls it
    triple: str


X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
NATIVE = Core("this host", "native", X86)
CORES = {
    "avx512": [
        Core("Skylake-SP", "skylake-avx512", X86),
        Core("Sapphire Rapids", "sapphirerapids", X86),
        Core("Zen 4", "znver4", X86),
    ],
    "avx2": [
        Core("Skylake", "skylake", X86),
        Core("Zen 3", "znver3", X86),
        Core("Zen 4", "znver4", X86),
    ],
    "neon": [Core("Neoverse V1", "neoverse-v1", ARM), Core("Neoverse V2", "neoverse-v2", ARM)],
}
# Case, logits, direction, gamma, tiers.
WORKLOADS: list[tuple[str, int, str, float, tuple[str, ...]]] = [
    ("l1", 1024, "loss", 2.0, ("fast", "accurate")),
    ("l1", 1024, "both", 2.0, ("fast", "accurate")),
    ("l1", 1024, "loss", 2.7, ("fast",)),
    ("l1", 1024, "both", 2.7, ("fast",)),
    ("l1_binary", 1024, "loss", 2.0, ("fast",)),
    ("softmax80", 1280, "loss", 2.0, ("fast", "accurate")),
    ("softmax80", 1280, "both", 2.0, ("fast",)),
    ("softmax1000", 1000, "loss", 2.0, ("fast", "accurate")),
    ("softmax1000", 1000, "both", 2.0, ("fast",)),
]


def find_mca() -> str | None:
    """The newest there is."""
    names = [f"llvm-mca-{version}" for version in range(NEWEST_LLVM, OLDEST_LLVM, -1)]
    return next(filter(None, map(shutil.which, [*names, "llvm-mca"])), None)


def version_of(mca: str) -> tuple[str, str]:
    """Of LLVM, and what it takes this host's CPU for."""
    text = subprocess.run([mca, "--version"], capture_output=True, text=True).stdout
    version, cpu = (re.search(pattern, text) for pattern in (r"version (\S+)", r"Host CPU: (\S+)"))
    return version[1] if version else "unknown", cpu[1] if cpu else "unknown"


def known_cores(mca: str) -> set[str]:
    names = {"native"}
    for triple in (X86, ARM):
        done = subprocess.run(
            [mca, f"-mtriple={triple}", "-mcpu=help"], input="", capture_output=True, text=True
        )
        names.update(re.findall(r"(?m)^  (\S+) +- Select", done.stderr + done.stdout))
    return names


def simulate(mca: str, core: Core, run: Execution) -> dict[str, int]:
    """llvm-mca's summary of so many executions in a row."""
    done = subprocess.run(
        [
            *(mca, f"-mtriple={core.triple}", f"-mcpu={core.cpu}", f"-iterations={ITERATIONS}"),
            *("-json", "-all-views=false", "-summary-view"),
        ],
        input=".Ltarget:\n" + "\n".join(run.lines) + "\n",
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise TraceError(f"llvm-mca for {core.cpu}: {lines[0] if lines else 'failed'}")
    return json.loads(done.stdout)["CodeRegions"][0]["SummaryView"]


def model(mca: str, cores: list[Core], workload: Workload, program: Path) -> list[dict[str, Any]]:
    run = execution(program, workload, is_arm=workload.isa == "neon")
    results = []
    for core in cores:
        summary = simulate(mca, core, run)
        results.append(
            {
                **workload._asdict(),
                "kernel": run.kernel,
                "instructions": len(run.lines),
                "core": core.name,
                "cpu": core.cpu,
                "cycles_per_element": summary["TotalCycles"] / ITERATIONS / workload.logits,
                "port_bound_per_element": summary["BlockRThroughput"] / workload.logits,
            }
        )
    return results


def model_or_why(
    mca: str, cores: list[Core], workload: Workload, program: Path
) -> list[dict[str, Any]] | str:
    try:
        return model(mca, cores, workload, program)
    except TraceError as error:
        return str(error)


def workloads(isa: str, quick: bool) -> list[Workload]:
    found = []
    for case, logits, direction, gamma, tiers in WORKLOADS[:1] if quick else WORKLOADS:
        for who in (*tiers, "calls"):
            found.append(Workload(case, logits, direction, gamma, who, isa))
    return found


def usable_rows(build: Path) -> set[str]:
    text = subprocess.run(
        [str(build / "cli" / "focal"), "info", "--json"], check=True, capture_output=True, text=True
    ).stdout
    return {row["name"] for row in json.loads(text)["isa_rows"] if row["usable"]}


def program_of(isa: str, arguments: argparse.Namespace) -> Path:
    """bench_trace for this row; TraceError says why there is none."""
    if isa == "neon":
        program = arguments.build_aarch64 / "bench" / "bench_trace"
        if not shutil.which(QEMU) or not program.exists():
            raise TraceError(f"needs bench_trace for AArch64 and {QEMU}: bench/setup.sh aarch64")
        return program
    program = arguments.build / "bench" / "bench_trace"
    if not program.exists():
        raise TraceError("bench_trace is not built")
    if isa not in usable_rows(arguments.build):
        raise TraceError("this CPU cannot execute the row, so it cannot be traced")
    return program


def model_all(mca: str, arguments: argparse.Namespace) -> dict[str, Any]:
    known = known_cores(mca)
    version, host = version_of(mca)
    report: dict[str, Any] = {"focal_model": 1, "llvm": version, "host_cpu": host}
    report |= {"not_modelled": [], "results": []}
    jobs = []
    for isa, cores in CORES.items():
        for core in cores:
            if core.cpu not in known:
                report["not_modelled"].append(
                    {"isa": isa, "core": core.name, "why": f"LLVM {version} does not know {core.cpu}"}
                )
        there = [core for core in cores if core.cpu in known]
        try:
            program = program_of(isa, arguments)
        except TraceError as error:
            report["not_modelled"] += [{"isa": isa, "core": c.name, "why": str(error)} for c in there]
            continue
        jobs += [(mca, there, workload, program) for workload in workloads(isa, arguments.quick)]
    with ThreadPoolExecutor(2) as pool:
        for job, results in zip(jobs, pool.map(lambda job: model_or_why(*job), jobs)):
            if isinstance(results, list):
                report["results"] += results
                continue
            workload = job[2]
            what = f"{' '.join(workload.arguments())}: {results}"
            report["not_modelled"] += [{"isa": workload.isa, "core": c.name, "why": what} for c in job[1]]
    return report


def speedup(results: list[dict[str, Any]], one: dict[str, Any]) -> float | None:
    """Over SLEEF called per vector."""
    keys = ("case", "direction", "gamma", "isa", "cpu")
    for other in results:
        if other["who"] == "calls" and all(other[key] == one[key] for key in keys):
            return other["cycles_per_element"] / one["cycles_per_element"]
    return None


def print_report(report: dict[str, Any]) -> None:
    print(f"Model values by llvm-mca {report['llvm']}, no measurements: cycles per logit, data in L1")
    print(
        f"{'row':7} {'case':12} {'what':5} {'gamma':>5} {'tier':9} {'core':16}"
        f"{'cycles':>7} {'port bound':>11} {'over SLEEF':>11}"
    )
    for one in report["results"]:
        over = speedup(report["results"], one)
        print(
            f"{one['isa']:7} {one['case']:12} {one['direction']:5} {one['gamma']:5g} "
            f"{one['who']:9} {one['core']:16}{one['cycles_per_element']:7.2f} "
            f"{one['port_bound_per_element']:11.2f} {f'{over:11.2f}' if over else '          -'}"
        )
    for one in report["not_modelled"]:
        print(f"not modelled: {one['isa']} on {one['core']}: {one['why']}")


def print_bounds(mca: str, arguments: argparse.Namespace) -> None:
    """Of the first workload, by the model of this host's own core."""
    bounds = []
    for isa in ("avx512", "avx2"):
        try:
            program = program_of(isa, arguments)
        except TraceError:
            continue
        result = model(mca, [NATIVE], workloads(isa, True)[0], program)[0]
        bounds.append(f"{isa}={result['port_bound_per_element']:.3f}")
    print(",".join(bounds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="release build (build)")
    parser.add_argument("--build-aarch64", type=Path, default=ROOT / "build-aarch64")
    parser.add_argument("--json", type=Path, help="also write the report there")
    parser.add_argument("--quick", action="store_true", help="the first workload only")
    parser.add_argument("--bounds", action="store_true", help="print the port bounds of this host")
    parser.add_argument("--find-tools", action="store_true", help="print which llvm-mca is used")
    arguments = parser.parse_args()
    mca = find_mca()
    if not mca:
        sys.exit("model_throughput.py: there is no llvm-mca: bench/setup.sh model")
    if arguments.find_tools:
        missing = {core.cpu for cores in CORES.values() for core in cores} - known_cores(mca)
        print(mca, *(f"(without {cpu})" for cpu in sorted(missing)))
        return 1 if missing else 0
    try:
        if arguments.bounds:
            print_bounds(mca, arguments)
            return 0
        report = model_all(mca, arguments)
    except TraceError as error:
        sys.exit(f"model_throughput.py: {error}")
    print_report(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
