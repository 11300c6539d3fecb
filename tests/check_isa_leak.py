#!/usr/bin/env python3
"""Proves from the machine code that no instruction stands where its features are not guaranteed.

usage: check_isa_leak.py BUILD

For every object of kernels/, dispatch/, tune/ and cli/ in a finished build, and for every function
of the shared library: only instructions of the features that its ISA row is chosen by. For
kernels: no fused multiply-add that the source does not write. The proof is a second compilation in
which each written one is a call to an unknown function (opaque_fma.h): what is left is contraction.
A third one, of some kernels, allows contraction, which has to be seen.
For x86 rows: vzeroupper on every way out. Planted faults show first that each check can fire.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import isa_disassembly as isa

TESTS = Path(__file__).resolve().parent
SOURCE = TESTS.parent
LIBRARY_FOLDERS = ("kernels", "dispatch", "tune")
PROJECT_FOLDERS = (*LIBRARY_FOLDERS, "cli")

# What each row of kernels/isas.def may use. AVX-512 F implies the others in every compiler.
ROW_FEATURES: dict[str, set[str]] = {
    "scalar": set(),
    "scalarfma": {"avx", "fma"},
    "avx2": {"avx", "avx2", "fma", "f16c"},
    "avx512": {"avx", "avx2", "fma", "f16c", "avx512"},
    "neon": set(),
}
FLAG_FEATURE = {
    "-mfma": "fma",
    "-mavx2": "avx2",
    "-mf16c": "f16c",
    "-mavx512f": "avx512",
    "-mavx512bw": "avx512",
    "-mavx512dq": "avx512",
    "-mavx512vl": "avx512",
}
FORBIDDEN_FLAG = re.compile(
    r"^(-march=|-mtune=|-mcpu=|-Ofast|-ffast-math|-funsafe-math|-fassociative-math|"
    r"-freciprocal-math|-ffinite-math|-ffp-contract=(?!off)|-ftree-parallelize|-flto)"
)
X86 = ("elf64-x86-64",)
ARM = ("elf64-littleaarch64",)


class Checks:
    """Counts, and prints what failed with up to five reasons."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def expect(self, what: str, faults: list[str]) -> None:
        if not faults:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED: {what}: {len(faults)} faults")
        for fault in faults[:5]:
            print(f"    {fault}")

    def expect_caught(self, what: str, faults: list[str], word: str) -> None:
        caught = any(word in fault for fault in faults)
        self.expect(f"planted: {what}", [] if caught else [f"not caught ({word}): {faults}"])


def object_format(path: str) -> str:
    """ "elf64-x86-64" or another BFD name; any objdump can tell of its own and most foreign files."""
    header = subprocess.run(["readelf", "-h", path], check=True, capture_output=True, text=True)
    machine = re.search(r"Machine:\s+(.+)", header.stdout)
    name = machine[1] if machine else ""
    if "X86-64" in name:
        return X86[0]
    if "AArch64" in name:
        return ARM[0]
    raise SystemExit(f"check_isa_leak: {path}: no rules for machine '{name}'")


def objdump_for(file_format: str) -> str:
    """The native objdump if it can, else the cross toolchain's."""
    names = {X86[0]: "x86_64-linux-gnu-objdump", ARM[0]: "aarch64-linux-gnu-objdump"}
    formats = subprocess.run(["objdump", "--info"], check=True, capture_output=True, text=True)
    if file_format in formats.stdout.split():
        return "objdump"
    if shutil.which(names[file_format]):
        return names[file_format]
    raise SystemExit(f"check_isa_leak: no objdump for {file_format}: install {names[file_format]}")


def load(path: str) -> tuple[str, list[isa.Function]]:
    file_format = object_format(path)
    functions = isa.disassemble(objdump_for(file_format), path)
    if not functions:
        raise SystemExit(f"check_isa_leak: {path}: nothing to disassemble")
    return file_format, functions


@functools.cache
def load_built(path: str) -> tuple[str, list[isa.Function]]:
    """Of the build's own objects, which do not change meanwhile."""
    return load(path)


def leaks(file_format: str, function: isa.Function, allowed: set[str]) -> list[str]:
    """Instructions beyond the allowed features."""
    needs: Callable[[isa.Instruction], set[str]] = (
        isa.features_x86 if file_format in X86 else isa.features_arm
    )
    return [
        f"{function.name}: {instruction.text()} needs {', '.join(sorted(beyond))}"
        for instruction in function.instructions
        if (beyond := needs(instruction) - allowed)
    ]


def fused(functions: list[isa.Function]) -> list[str]:
    return [
        f"{function.name}: {instruction.text()}"
        for function in functions
        for instruction in function.instructions
        if isa.is_fma(instruction)
    ]


def row_of(source: Path) -> str:
    """The ISA row that a source file makes, or ""."""
    match = re.fullmatch(r"isa_(\w+)\.c", source.name)
    return match[1] if match and match[1] in ROW_FEATURES else ""


class Entry:
    """One line of compile_commands.json."""

    def __init__(self, line: dict[str, str]) -> None:
        self.directory = line["directory"]
        self.arguments = shlex.split(line["command"])
        if Path(self.arguments[0]).name == "ccache":
            del self.arguments[0]
        self.source = Path(os.path.normpath(os.path.join(self.directory, line["file"])))
        self.object = os.path.join(self.directory, line["output"])
        inside = SOURCE in self.source.parents
        self.folder = self.source.relative_to(SOURCE).parts[0] if inside else ""
        self.row = row_of(self.source) if self.folder == "kernels" else ""

    def name(self) -> str:
        return str(self.source.relative_to(SOURCE))

    def compile_again(self, output: str, *extra: str) -> None:
        """Compiles the source, or what `extra` names in its place, its own flags first."""
        arguments = list(self.arguments)
        for flag, count in (("-o", 2), ("-c", 2), ("-MQ", 2), ("-MF", 2), ("-MD", 1)):
            if flag in arguments:
                at = arguments.index(flag)
                del arguments[at : at + count]
        source = [] if "-c" in extra else ["-c", str(self.source)]
        command = [*arguments, "-w", "-o", output, *extra, *source]
        subprocess.run(command, cwd=self.directory, check=True)


def read_entries(build: Path) -> list[Entry]:
    with open(build / "compile_commands.json", encoding="utf-8") as file:
        entries = [Entry(line) for line in json.load(file)]
    chosen = [entry for entry in entries if entry.folder in PROJECT_FOLDERS]
    if not any(entry.row for entry in chosen):
        raise SystemExit(f"check_isa_leak: {build}: no ISA object in compile_commands.json")
    missing = [entry.object for entry in chosen if not os.path.exists(entry.object)]
    if missing:
        raise SystemExit(f"check_isa_leak: not built: {', '.join(missing[:3])}")
    return chosen


def flag_faults(entry: Entry) -> list[str]:
    """Flags that let the compiler use more, or compute otherwise, than the row allows."""
    arguments = entry.arguments
    faults = [flag for flag in arguments if FORBIDDEN_FLAG.match(flag)]
    if entry.folder in LIBRARY_FOLDERS and "-ffp-contract=off" not in arguments:
        faults.append("-ffp-contract=off is missing")
    for flag in arguments:
        if flag.startswith("-m") and flag != "-m64":
            if FLAG_FEATURE.get(flag, flag) not in ROW_FEATURES.get(entry.row, set()):
                faults.append(f"{flag} is not for this file")
    return faults


def check_object(checks: Checks, entry: Entry) -> None:
    file_format, functions = load_built(entry.object)
    allowed = ROW_FEATURES.get(entry.row, set())
    checks.expect(f"{entry.name()}: flags", flag_faults(entry))
    found = [leak for function in functions for leak in leaks(file_format, function, allowed)]
    checks.expect(f"{entry.name()}: instructions", found)
    if file_format in X86 and "avx" in allowed:
        dirty = [fault for function in functions for fault in isa.dirty_exits(function)]
        checks.expect(f"{entry.name()}: vzeroupper", dirty)


# A line of a row's tables, after the preprocessor.
TABLE_LINE = re.compile(r'\{ *"focal_\w+__\w+",[^{}]*\},')
OPAQUE = ("-include", str(TESTS / "opaque_fma.h"))


def opaque_contractions(entry: Entry) -> list[str]:
    """FMA instructions that stay when none is written."""
    with tempfile.TemporaryDirectory(prefix="focal-contraction-") as scratch:
        output = os.path.join(scratch, "opaque.o")
        entry.compile_again(output, *OPAQUE)
        return fused(load(output)[1])


def allowed_contractions(entry: Entry) -> list[str]:
    """The same with -ffp-contract=fast, for every twelfth kernel from the last on, which is a form's.

    Who is in no table is not compiled. The optimisation is the build's own: some rows contract
    nothing at a lower one.
    """
    with tempfile.TemporaryDirectory(prefix="focal-contraction-") as scratch:
        text, output = os.path.join(scratch, "some.i"), os.path.join(scratch, "some.o")
        entry.compile_again(text, *OPAQUE, "-E", "-P", "-c", str(entry.source))
        whole = Path(text).read_text(encoding="utf-8")
        lines = TABLE_LINE.findall(whole)
        kept = set(lines[::-12])
        some = TABLE_LINE.sub(lambda line: line[0] if line[0] in kept else "", whole)
        Path(text).write_text(some, encoding="utf-8")
        entry.compile_again(output, "-ffp-contract=fast", "-x", "cpp-output", "-c", text)
        return fused(load(output)[1])


def writes_none(entry: Entry) -> bool:
    """The row scalar writes one, the C library's fma: a call on x86, and elsewhere an instruction."""
    return entry.row == "scalar" and object_format(entry.object) in X86


def found_contractions(entry: Entry) -> list[str]:
    return fused(load_built(entry.object)[1]) if writes_none(entry) else opaque_contractions(entry)


def planted_contractions(entry: Entry) -> list[str]:
    return [] if writes_none(entry) else allowed_contractions(entry)


def check_contraction(checks: Checks, entry: Entry, found: list[str], planted: list[str]) -> None:
    """No FMA that the source does not write."""
    checks.expect(f"{entry.name()}: contraction", found)
    if writes_none(entry):
        return
    checks.expect_caught(f"{entry.name()} with -ffp-contract=fast", planted, "")
    written = len(fused(load_built(entry.object)[1]))
    print(
        f"{entry.name()}: {written} FMA instructions, 0 wanted by contraction "
        f"({len(planted)} in some kernels with -ffp-contract=fast)"
    )


def check_contractions(checks: Checks, rows: list[Entry]) -> None:
    """On all processors, since each is compiled again."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(found_contractions, rows)
        planted = pool.map(planted_contractions, rows)
        for entry, faults, caught in zip(rows, found, planted):
            check_contraction(checks, entry, faults, caught)


def check_library(checks: Checks, path: str, rows: dict[str, str]) -> None:
    """The linked library, function by function; `rows` maps source file names to ISA rows."""
    symbols = subprocess.run(["readelf", "-sW", path], check=True, capture_output=True, text=True)
    file = ""
    owner: dict[int, str] = {}
    for line in symbols.stdout.splitlines():
        words = line.split()
        if len(words) >= 7 and words[3] == "FILE":
            file = words[7] if len(words) > 7 else ""
        elif len(words) >= 8 and words[3] == "FUNC" and words[6] != "UND":
            owner.setdefault(int(words[1], 16), file if words[4] == "LOCAL" else "")
    file_format, functions = load(path)
    faults, wide = [], 0
    for function in functions:
        row = rows.get(owner.get(function.address, ""), "")
        wide += bool(row)
        faults += leaks(file_format, function, ROW_FEATURES.get(row, set()))
    checks.expect(f"{os.path.basename(path)}: functions", faults)
    checks.expect(f"{os.path.basename(path)}: kernels found", [] if wide else ["none"])
    print(f"{os.path.basename(path)}: {len(functions)} functions, {wide} of them of ISA rows")


# ---- Planted faults ----

LOOP = "void f(float *a, const float *b, int n)\n{ for (int i = 0; i < n; i++) a[i] += b[i] * 3; }"
POPCOUNT = "int f(unsigned a) { return __builtin_popcount(a); }"
ROUND = "double f(double a) { return __builtin_floor(a); }"
INTEGERS = "void f(int *a, const int *b, int n)\n{ for (int i = 0; i < n; i++) a[i] += b[i]; }"
ONE_PATH = """
    .globl f
    .type f, @function
f:  vaddps %ymm0, %ymm1, %ymm0
    vmovups %ymm0, (%rdi)
    test %esi, %esi
    je 1f
    vzeroupper
1:  {end}
"""


class Planter:
    """Compiles small texts with the build's own compiler."""

    def __init__(self, compiler: str, scratch: str) -> None:
        self.compiler = compiler
        self.scratch = scratch

    def compile(self, text: str, suffix: str, *flags: str) -> tuple[str, list[isa.Function]]:
        source = os.path.join(self.scratch, "planted" + suffix)
        output = os.path.join(self.scratch, "planted.o")
        Path(source).write_text(text, encoding="utf-8")
        subprocess.run([self.compiler, "-O3", *flags, "-c", source, "-o", output], check=True)
        return load(output)

    def leaks(self, row: str, text: str, suffix: str, *flags: str) -> list[str]:
        file_format, functions = self.compile(text, suffix, *flags)
        allowed = ROW_FEATURES.get(row, set())
        return [leak for function in functions for leak in leaks(file_format, function, allowed)]


def check_arm_plants(checks: Checks, planter: Planter) -> None:
    sve = "f: ptrue p0.b\n add z0.s, z1.s, z2.s\n ret\n"
    faults = planter.leaks("neon", sve, ".s", "-march=armv8-a+sve")
    checks.expect("planted: SVE in neon", [] if len(faults) == 2 else [str(faults)])
    checks.expect("plain object", planter.leaks("neon", LOOP, ".c", "-ffp-contract=off"))
    functions = planter.compile(LOOP, ".c", "-ffp-contract=fast")[1]
    checks.expect_caught("contraction of a * b + c", fused(functions), "fm")


def check_x86_plants(checks: Checks, planter: Planter) -> None:
    def found(row: str, text: str, *flags: str) -> list[str]:
        return planter.leaks(row, text, ".c", *flags)

    contract = ("-mfma", "-ffp-contract=fast")
    checks.expect("plain object", found("", LOOP))
    checks.expect("AVX2 in its row", found("avx2", LOOP, "-mavx2", "-mfma"))
    checks.expect_caught("AVX2 outside", found("", LOOP, "-mavx2"), "needs avx")
    checks.expect_caught("FMA outside", found("scalar", LOOP, *contract), "fma")
    checks.expect_caught("AVX2 in scalarfma", found("scalarfma", INTEGERS, "-mavx2"), "needs avx2")
    halves = "f: vcvtph2ps (%rdi), %ymm0\n vcvtps2ph $0, %ymm0, (%rsi)\n vzeroupper\n ret\n"
    checks.expect("F16C in its row", planter.leaks("avx2", halves, ".s"))
    checks.expect_caught("F16C outside", planter.leaks("scalarfma", halves, ".s"), "needs f16c")
    checks.expect_caught("popcnt outside", found("", POPCOUNT, "-mpopcnt"), "bit manipulation")
    checks.expect_caught("SSE4.1 outside", found("", ROUND, "-msse4.1"), "SSE3 or later")
    zmm = "vaddps %zmm0, %zmm1, %zmm0\nvpabsd %ymm17, %ymm0\nkmovw %eax, %k1\nret\n"
    faults = planter.leaks("avx2", "f: " + zmm, ".s")
    checks.expect("planted: three of AVX-512 in avx2", [] if len(faults) == 3 else [str(faults)])
    vnni = "f: vpdpbusd %zmm1, %zmm2, %zmm3\n"
    checks.expect_caught("VNNI in avx512", planter.leaks("avx512", vnni, ".s"), "AVX-512 F")
    for name, end in (("return", "ret"), ("jump", "jmp elsewhere"), ("call", "call elsewhere")):
        clean = ONE_PATH.format(end=f"vzeroupper\n    {end}")
        faults = isa.dirty_exits(planter.compile(clean, ".s")[1][0])
        checks.expect(f"vzeroupper before {name}", faults)
        faults = isa.dirty_exits(planter.compile(ONE_PATH.format(end=end), ".s")[1][0])
        checks.expect_caught(f"vzeroupper on one path of two before {name}", faults, name)
    functions = planter.compile(LOOP, ".c", *contract)[1]
    checks.expect_caught("contraction of a * b + c", fused(functions), "fmadd")


def check_build(checks: Checks, build: Path, scratch: str) -> None:
    entries = read_entries(build)
    planter = Planter(entries[0].arguments[0], scratch)
    if object_format(entries[0].object) in X86:
        check_x86_plants(checks, planter)
    else:
        check_arm_plants(checks, planter)
    for entry in entries:
        check_object(checks, entry)
    rows = [entry for entry in entries if entry.row]
    check_contractions(checks, rows)
    libraries = sorted(build.glob("libfocal.so.*.*.*"))
    found = [str(path) for path in libraries if path.is_file()]
    checks.expect("shared library", [] if len(found) == 1 else [f"found {found}"])
    for path in found:
        check_library(checks, path, {entry.source.name: entry.row for entry in rows})
    print(f"{len(entries)} objects, {len(rows)} of them ISA rows")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="focal-leak-") as scratch:
        check_build(checks, Path(sys.argv[1]).resolve(), scratch)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    sys.exit(main())
