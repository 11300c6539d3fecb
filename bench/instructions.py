"""Which instructions a workload executes: traces of bench_trace as text that llvm-mca reads.

On x86-64 the program steps through its own child; programs for AArch64 run under qemu's user
mode, which logs every instruction.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

QEMU = "qemu-aarch64-static"
QEMU_LINE = re.compile(r"^Trace \d+: \S+ \[\w+/(\w+)/")
LISTING_LINE = re.compile(r"^\s*([0-9a-f]+):\t(.+)$")
# Two executed addresses farther apart than this are listed apart.
LARGEST_GAP = 4096

CALL_OR_RETURN = re.compile(r"^(call|ret|bl|blr|br|leave)\b")
# The target of a jump, or the page of an address: what follows does not decide its cost.
TARGET = re.compile(r"(?:0x)?[0-9a-f]+ <[^>]*>$|\*.*$")
JUMP = re.compile(r"^(j\w+|b(\.\w+)?|cbn?z|tbn?z|adrp?)\s")
PREFIX = re.compile(r"^(bnd|notrack|data16|cs|rep[nz]*) (?=\w)")


class TraceError(Exception):
    """No trace could be made; says why in one line."""


class Workload(NamedTuple):
    """What bench_trace executes; `who` is a tier, or "calls" for SLEEF called per vector."""

    case: str
    logits: int
    direction: str
    gamma: float
    who: str
    isa: str

    def arguments(self) -> list[str]:
        return [self.case, str(self.logits), self.direction, f"{self.gamma:g}", self.who, self.isa]


@dataclass
class Module:
    """A file in memory: addresses from `first` to `last` are `shift` above the file's own."""

    path: str
    first: int
    last: int
    shift: int


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise TraceError(f"{Path(command[0]).name}: {last}")
    return done.stdout


def modules_of(output: str, program: Path) -> list[Module]:
    """What stands where, of which the program itself is at its fixed addresses."""
    modules = []
    for line in output.splitlines():
        if line.startswith("map "):
            _, first, last, offset, path = line.split(" ", 4)
            fixed = Path(path).resolve() == program.resolve()
            shift = 0 if fixed else int(first, 16) - int(offset, 16)
            modules.append(Module(path, int(first, 16), int(last, 16), shift))
    return modules


def trace_here(program: Path, workload: Workload) -> tuple[list[Module], list[int]]:
    output = run([str(program), *workload.arguments()])
    addresses = [int(line, 16) for line in output.splitlines() if not line.startswith("map ")]
    return modules_of(output, program), addresses


def trace_emulated(program: Path, workload: Workload) -> tuple[list[Module], list[int]]:
    options = run([QEMU, "--help"])
    single = "-one-insn-per-tb" if "-one-insn-per-tb" in options else "-singlestep"
    with tempfile.NamedTemporaryFile() as log:
        output = run(
            [QEMU, single, "-d", "nochain,exec", "-D", log.name, str(program), *workload.arguments()]
        )
        with open(log.name) as lines:
            addresses = [int(found[1], 16) for found in map(QEMU_LINE.match, lines) if found]
    return modules_of(output, program), addresses


def executed_range(program: Path, pattern: str, addresses: Iterable[int]) -> tuple[str, int, int]:
    """Name and addresses of the function of such a name that was executed."""
    starts, symbols = set(addresses), []
    for line in run(["nm", "-n", str(program)]).splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1] in "tT":
            symbols.append((int(parts[0], 16), parts[2]))
    for (start, name), (end, _) in zip(symbols, symbols[1:]):
        if start in starts and re.match(pattern, name):
            return name, start, end
    raise TraceError(f"no function {pattern} was executed")


def listing(objdump: str, module: Module, addresses: set[int]) -> dict[int, str]:
    """The instructions at these addresses of the file, as the disassembler writes them."""
    ordered = sorted(addresses)
    code: dict[int, str] = {}
    start = 0
    for i, address in enumerate(ordered):
        if i + 1 < len(ordered) and ordered[i + 1] - address < LARGEST_GAP:
            continue
        part = [f"--start-address={ordered[start]:#x}", f"--stop-address={address + 16:#x}"]
        for line in run([objdump, "-d", "--no-show-raw-insn", *part, module.path]).splitlines():
            if found := LISTING_LINE.match(line):
                code[int(found[1], 16)] = found[2]
        start = i + 1
    if missing := addresses - code.keys():
        raise TraceError(f"{module.path}: no instruction begins at {min(missing):#x}")
    return code


def for_mca(text: str) -> str | None:
    """An instruction as llvm-mca takes it; None for calls and returns, which it cannot model."""
    text = re.split(r"\s+(?:# |//)", text)[0].strip()
    text = PREFIX.sub("", text)
    if CALL_OR_RETURN.match(text):
        return None
    if JUMP.match(text):
        return TARGET.sub(".Ltarget", text)
    return re.sub(r" <[^>]*>$", "", text)


@dataclass
class Execution:
    """The instructions of one execution, and the kernel's name ("" for calls)."""

    kernel: str
    lines: list[str]


def execution(program: Path, workload: Workload, *, is_arm: bool) -> Execution:
    """Of a library's tier: from the kernel's first instruction to its last, without the plan."""
    trace = trace_emulated if is_arm else trace_here
    modules, addresses = trace(program, workload)
    wanted = r"execute$" if workload.who == "calls" else rf"focal_\w+__{workload.isa}(_\w+)?$"
    name, start, end = executed_range(program, wanted, addresses)
    inside = [i for i, address in enumerate(addresses) if start <= address < end]
    addresses = addresses[inside[0] : inside[-1] + 1]
    objdump = "aarch64-linux-gnu-objdump" if is_arm else "objdump"
    texts: dict[int, str] = {}
    for module in modules:
        wanted = {a - module.shift for a in set(addresses) if module.first <= a < module.last}
        if wanted:
            found = listing(objdump, module, wanted)
            texts.update((address + module.shift, found[address]) for address in wanted)
    unknown = sum(address not in texts for address in addresses)
    if unknown:
        raise TraceError(f"{unknown} of {len(addresses)} instructions are in no file")
    lines = [for_mca(texts[address]) for address in addresses if address in texts]
    return Execution("" if workload.who == "calls" else name, [line for line in lines if line])
