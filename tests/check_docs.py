"""Check the documentation against the project: examples run, links and names exist.

Of README.md, CONTRIBUTING.md, NEWS.md and docs/**/*.md:
- every ```c block compiles without a warning, links and runs. A block with main() is a program of
  its own; a page's first block without it, if it has only declarations, is shared by the page's
  others, each of which is the body of a function. A block ```text right after a program must be
  what it prints.
- every relative link leads to a file, and its #fragment to a heading.
- every public name of the headers stands in docs/api.md, every command is documented.
- every ```console line "$ focal ..." runs and prints the lines below it; lines with times, and
  those where the page says "...", are not compared.
- the sums in README.md's table of rows are those of the command here.

Usage: check_docs.py --build DIRECTORY (a build of the library and the command)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FLAGS = "-std=c11 -O1 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror".split()
HEADERS = ("focal.h", "focal_openmp.h")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The machine decides these, so no page can promise them.
VARIES = re.compile(r"\bns\b|\bms\b|\.\.\.|^(isa|plan|time) ")


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


class Checks:
    """Counts, and says at once what is wrong."""

    def __init__(self) -> None:
        self.passed = self.failed = 0

    def that(self, holds: bool, place: str, message: str) -> bool:
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {place}: {message}")
        return holds


def pages() -> Iterator[Path]:
    for name in ("README.md", "CONTRIBUTING.md", "NEWS.md"):
        yield ROOT / name
    yield from sorted((ROOT / "docs").rglob("*.md"))


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match[1], match[2]))
    return found


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


class Compiler:
    def __init__(self, build: Path, checks: Checks, folder: Path) -> None:
        self.build, self.checks, self.folder = build, checks, folder
        self.environment = dict(os.environ, LD_LIBRARY_PATH=str(build), FOCAL_TUNE_FILE="")

    def run(self, block: Block, source: str) -> str | None:
        """The output of the program, None if it does not compile or fails."""
        file = self.folder / "example.c"
        program = self.folder / "example"
        file.write_text(source)
        openmp = ["-fopenmp"] if "focal_openmp.h" in source else []
        compiler = shlex.split(os.environ.get("CC", "cc"))
        # A fragment need not use all that its page shares.
        unused = [] if source == block.text else ["-Wno-unused-variable"]
        command = [*compiler, *FLAGS, *unused, *openmp, f"-I{ROOT / 'include'}", str(file)]
        command += ["-o", str(program), f"-L{self.build}", "-lfocal", "-lm"]
        compiled = subprocess.run(command, capture_output=True, text=True)
        if not self.checks.that(compiled.returncode == 0, block.place, "does not compile"):
            print(compiled.stderr)
            return None
        ran = subprocess.run([program], capture_output=True, text=True, env=self.environment, cwd=ROOT)
        good = self.checks.that(ran.returncode == 0, block.place, f"exits with {ran.returncode}")
        if not good:
            print(ran.stdout + ran.stderr)
        return ran.stdout if good else None


def check_examples(page: Path, compiler: Compiler) -> None:
    shared = ""
    found = blocks(page)
    for block, following in zip(found, [*found[1:], None]):
        if block.language != "c":
            continue
        if "int main(" in block.text:
            output = compiler.run(block, block.text)
            if output is not None and following and following.language == "text":
                message = f"prints\n{output}"
                compiler.checks.that(output == following.text, following.place, message)
        elif block.text.startswith("#include"):
            shared = block.text
            compiler.run(block, f"{shared}\nint main(void) {{ return 0; }}\n")
        else:
            body = f"static int example(void) {{\n{block.text}return 0;\n}}\n"
            compiler.run(block, f"{shared}\n{body}\nint main(void) {{ return example(); }}\n")


def anchor(heading: str) -> str:
    """As the usual renderers of Markdown make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def check_links(page: Path, checks: Checks) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        file = page if not path else (page.parent / path).resolve()
        place = str(page.relative_to(ROOT))
        if checks.that(file.exists(), place, f"links to {target}, which is not there") and fragment:
            anchors = [anchor(heading) for heading in re.findall(r"^#+ (.*)$", file.read_text(), re.M)]
            checks.that(fragment in anchors, place, f"links to {target}, but there is no such heading")


def public_names() -> set[str]:
    """Functions, types, enumerators and macros that the headers declare."""
    names: set[str] = set()
    for header in HEADERS:
        text = re.sub(r"/\*.*?\*/", "", (ROOT / "include" / header).read_text(), flags=re.DOTALL)
        names |= set(re.findall(r"\bfocal_\w+(?=\()", text))
        names |= set(re.findall(r"typedef (?:struct|enum) (focal_\w+)", text))
        names |= set(re.findall(r"^\s*(?:X\()?(FOCAL_\w+)(?:,| =)", text, re.MULTILINE))
        names |= set(re.findall(r"^#\s*define (FOCAL_\w+)", text, re.MULTILINE))
    internal = {"FOCAL_H", "FOCAL_OPENMP_H", "FOCAL_API"}
    internal |= {f"FOCAL_{name}_ENUM" for name in ("STATUS", "TIER", "DTYPE", "FORM", "NORMALIZER")}
    internal |= {"focal_openmp_run", "focal_openmp_threads"}
    return names - internal


def check_names(checks: Checks) -> None:
    api = (ROOT / "docs" / "api.md").read_text()
    words = set(re.findall(r"\w+", api))
    for name in sorted(public_names()):
        checks.that(name in words, "docs/api.md", f"does not mention {name}")
    known = public_names()
    for name in sorted(set(re.findall(r"\bfocal_\w+(?=\()", api))):
        checks.that(name in known, "docs/api.md", f"mentions {name}, which no header declares")


def same(printed: str, documented: str) -> bool:
    return printed == documented or bool(VARIES.search(documented))


def check_console(page: Path, build: Path, checks: Checks) -> None:
    """Commands of the page that begin with focal; others need what a test cannot give them."""
    environment = dict(os.environ, PATH=f"{build / 'cli'}:{os.environ['PATH']}")
    environment.pop("FOCAL_ISA", None)
    environment["FOCAL_TUNE_FILE"] = ""
    for block in blocks(page):
        if block.language != "console":
            continue
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, *documented = (line for line in part.splitlines() if line.strip())
            command = command.replace("build/cli/focal", "focal")
            if not re.match(r"(\w+=\w+ )*focal ", command):
                continue
            ran = subprocess.run(
                command, shell=True, capture_output=True, text=True, env=environment, cwd=ROOT
            )
            printed = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
            lines = [line for line in documented if line.strip() != "..."]
            good = all(any(same(p, d) for p in printed) for d in lines)
            good = good and (lines != documented or len(printed) == len(documented))
            checks.that(good, f"{block.place}: $ {command}", "prints\n" + "\n".join(printed))


def check_sums(build: Path, checks: Checks, folder: Path) -> None:
    """The last column of quickstart.sh's table, for the rows that this machine has."""
    focal = build / "cli" / "focal"
    info = subprocess.run([focal, "info", "--json"], check=True, capture_output=True, text=True)
    usable = {row["name"] for row in json.loads(info.stdout)["isa_rows"] if row["usable"]}
    script = ROOT / "examples" / "digits" / "repeat_sample.py"
    subprocess.run([sys.executable, script, "--copies", "10", folder], check=True, capture_output=True)
    files = ["--logits", folder / "sigmoid_logits.npy", "--targets", folder / "targets.npy"]
    table = re.findall(r"^ +(\w+)(?: +[\d.]+){3} +([\d.]+)$", (ROOT / "README.md").read_text(), re.M)
    checks.that(len(table) == 4, "README.md", f"has {len(table)} rows in its table of rows")
    for row, documented in table:
        if row not in usable:
            continue
        command = [focal, "eval", *files, "--isa", row, "--json"]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        printed = json.loads(ran.stdout)["sum"]
        checks.that(printed == float(documented), "README.md", f"row {row}: the sum is {printed!r}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    build = parser.parse_args().build.resolve()
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(build, checks, Path(folder))
        for page in pages():
            check_links(page, checks)
            check_examples(page, compiler)
            check_console(page, build, checks)
        check_sums(build, checks, Path(folder))
    check_names(checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
