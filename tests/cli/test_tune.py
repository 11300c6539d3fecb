"""Tests of `focal tune`: its files, its answers, and what becomes of an interrupted run."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import time
import unittest
import zlib
from pathlib import Path
from typing import Any

from harness import DONE, FAILED, FOCAL, USAGE, CommandTest, limit, strict_json

QUICK = ("--budget", "5s", "--gamma", "2", "--quiet")
SMALL = "op=sigmoid,targets=dense,direction=both,gamma=2,rows=51,classes=80"


def fingerprint(word: str, rest: str) -> str:
    return f"{word} {zlib.crc32(rest.encode()):08x} {rest}\n"


def section(host: str, build: str, *lines: str) -> str:
    """A section of the format, written down from docs/tuning.md alone."""
    text = fingerprint("host", host) + fingerprint("build", build) + "".join(f"{x}\n" for x in lines)
    return text + f"end {zlib.crc32(text.encode()):08x}\n"


def entry(kernel: str, n: int = 11, **values: int) -> str:
    numbers = {"task": 0, "ps": 900, "base": 1000, "mad": 3, "ratio": 9000, "low": 8900, "high": 9100}
    numbers |= {"rounds": 15, "date": 20261125, "rows": 51, "classes": 80, "inner": 1, "gamma": 2000}
    numbers.update(values)
    key = f"{kernel.split('__')[0]} dense f32 n={n} c=0 i=0 t=1"
    return f"entry {key} -> {kernel} " + " ".join(f"{k}={v}" for k, v in numbers.items())


FOREIGN = section("vendor=nobody family=1", "version=9.9.9", entry("focal_x__avx2_u16"), "# kept")


class TuneTest(CommandTest):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.folder / "tuning.txt"

    def tune(self, *arguments: Any, **options: Any) -> str:
        return self.focal("tune", *arguments, **options)

    def tuned(self, *arguments: Any) -> str:
        return self.tune("run", "--file", self.file, *QUICK, *arguments)

    def sections(self) -> list[str]:
        text = self.file.read_text()
        self.assertTrue(text.startswith("focal-tune 1\n"))
        return re.findall(r"(?ms)^host .*?^end \w{8}\n", text)

    def own(self) -> tuple[str, str]:
        """The fingerprints of this host and build, as a run writes them."""
        self.tuned("--problem", SMALL)
        lines = self.sections()[-1].splitlines()
        return lines[0].split(" ", 2)[2], lines[1].split(" ", 2)[2]

    def usable_rows(self) -> list[str]:
        rows = strict_json(self.focal("info", "--json"))["isa_rows"]
        return [row["name"] for row in rows if row["usable"]]


class Run(TuneTest):
    def test_one_problem(self) -> None:
        text = self.tuned("--problem", SMALL, "--all")
        self.assertIn("sigmoid dense 51 x 80, both, gamma 2, fast", text)
        self.assertIn("1 of 1 cases measured", text)
        self.assertIn(f"{self.file}: 1 entries for this host", text)
        (own,) = self.sections()
        lines = own.splitlines()
        for line, word in zip(lines, ("host", "build")):
            self.assertEqual(line + "\n", fingerprint(word, line.split(" ", 2)[2]))
        crc = zlib.crc32("".join(x + "\n" for x in lines[:-1]).encode())
        self.assertEqual(lines[-1], f"end {crc:08x}")
        self.assertRegex(
            lines[2],
            r"^entry focal_f32_sigmoid_dense_both_g2_fast dense f32 n=11 c=0 i=0 t=1 -> "
            r"focal_f32_sigmoid_dense_both_g2_fast__\w+_u\w+ task=0 ps=\d+ base=\d+ mad=\d+ "
            r"ratio=\d+ low=\d+ high=\d+ rounds=\d+ date=20\d{6} rows=51 classes=80 inner=1 gamma=2000$",
        )
        self.assertEqual(self.names() - {"tuning.txt", "tuning.txt.lock"}, set())

    def test_runs_add_up_and_foreign_sections_stay(self) -> None:
        self.file.write_text("focal-tune 1\n" + FOREIGN)
        self.tuned("--problem", SMALL)
        self.tuned("--problem", SMALL.replace("rows=51", "rows=820"))
        self.tuned("--problem", SMALL)
        foreign, own = self.sections()
        self.assertEqual(foreign, FOREIGN)
        self.assertEqual(own.count("entry "), 2)

    def test_usual_shapes(self) -> None:
        text = self.tune("run", "--file", self.file, "--only", "softmax", "--budget", "20s", "--gamma", "2")
        found = re.search(r"(\d+) of (\d+) cases measured", text)
        assert found
        self.assertGreater(int(found[1]), 3)
        self.assertEqual(int(found[2]), 15)
        self.assertNotIn("sigmoid", self.file.read_text())

    def test_workloads(self) -> None:
        text = self.tuned("--case", "tiny,softmax80", "--all")
        self.assertIn("tiny, both, gamma 2, fast", text)
        self.assertIn("softmax80, loss, gamma 2, fast", text)
        text = self.tune("check", "--file", self.file, "--case", "tiny,softmax80", "--quiet")
        self.assertIn("4 of 4 cases measured", text)

    def test_budget_ends_a_run(self) -> None:
        started = time.monotonic()
        self.tune("run", "--file", self.file, "--budget", "300ms", "--quiet")
        self.assertLess(time.monotonic() - started, 30.0)

    def test_usual_place(self) -> None:
        cache = {"XDG_CACHE_HOME": str(self.folder)}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FOCAL_")} | cache
        done = subprocess.run(
            [FOCAL, "tune", "run", "--problem", SMALL, "--quiet"],
            env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (DONE, ""))
        path = self.folder / "focal" / "tuning.txt"
        self.assertTrue(path.is_file())
        info = subprocess.run([FOCAL, "info"], env=environment, capture_output=True, text=True, timeout=60)
        self.assertIn(f"tuning file  {path} (1 entries used)", info.stdout)
        self.assertIn(f"tuning file  none (there is no {self.folder}", self.no_file_info())

    def no_file_info(self) -> str:
        environment = dict(os.environ, XDG_CACHE_HOME=str(self.folder / "empty"))
        environment.pop("FOCAL_TUNE_FILE", None)
        return subprocess.run(
            [FOCAL, "info"], env=environment, capture_output=True, text=True, timeout=60
        ).stdout

    def interrupted(self, *arguments: str) -> tuple[str, str]:
        """What a command says that Ctrl-C ends after a second and a half."""
        process = subprocess.Popen(
            [FOCAL, "tune", *arguments, "--budget", "60s", "--quiet"],
            env=dict(os.environ, FOCAL_TUNE_FILE=str(self.file)),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGINT, err)
        return out, err

    def test_interrupt_keeps_what_was_measured(self) -> None:
        out, err = self.interrupted("run")
        self.assertIn("interrupted; what was measured is saved", err)
        measured = re.search(r"(\d+) of \d+ cases measured", out)
        assert measured
        self.assertGreater(int(measured[1]), 0)
        (own,) = self.sections()
        self.assertEqual(own.count("entry "), int(measured[1]))

    def test_interrupted_checks(self) -> None:
        # Together they take longer than the interrupt.
        host, build = self.own()
        row = self.usable_rows()[0]
        entries = [
            entry(f"focal_f32_sigmoid_dense_{way}_g{gamma}_fast__{row}_u16", n=n, rows=2 ** (n - 6), gamma=g)
            for gamma, g in ((0, 0), (1, 1000), (2, 2000))
            for way in ("loss", "gradient", "both")
            for n in (23, 24)
        ]
        self.file.write_text("focal-tune 1\n" + section(host, build, *entries))
        for arguments in ((), ("--case", "llm,n80,dram")):
            out, err = self.interrupted("check", *arguments)
            self.assertRegex(err, r"focal tune: note: interrupted; what is above is not all\n$")
            done = re.search(r"(?m)^(\d+) of (\d+) (entries|cases) measured", out)
            assert done, out
            self.assertLess(int(done[1]), int(done[2]))


class Together(TuneTest):
    """Processes that tune into one file at once."""

    def start(self, rows: int, *arguments: str) -> subprocess.Popen[str]:
        problem = SMALL.replace("rows=51", f"rows={rows}")
        return subprocess.Popen(
            [FOCAL, "tune", "run", "--file", str(self.file), "--quiet", "--problem", problem, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def test_eight_tune_at_once(self) -> None:
        self.file.write_text("focal-tune 1\n" + FOREIGN)
        rows = [2**k for k in range(4, 12)]
        for process in [self.start(n) for n in rows]:
            _, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, err)
        foreign, own = self.sections()
        self.assertEqual(foreign, FOREIGN)
        self.assertEqual(sorted(map(int, re.findall(r" rows=(\d+) ", own))), rows)

    def test_kill_in_the_middle(self) -> None:
        self.file.write_text("focal-tune 1\n" + FOREIGN)
        self.tuned("--problem", SMALL)
        whole = self.file.read_text()
        for delay in (0.0, 0.01, 0.03, 0.1, 0.2):
            process = self.start(820)
            time.sleep(delay)
            process.kill()
            process.communicate(timeout=60)
            self.assertIn(FOREIGN, self.file.read_text())
            self.assertTrue(set(whole.splitlines()[:-1]) <= set(self.file.read_text().splitlines()))
            self.assertIn(" 0 rejected", self.tune("show", "--file", self.file))
        self.tuned("--problem", SMALL.replace("rows=51", "rows=820"))
        self.assertEqual(self.sections()[1].count("entry "), 2)


class UnwritableTest(TuneTest):
    def test_fails_before_it_measures(self) -> None:
        started = time.monotonic()
        for path, message in (
            (self.folder / "no" / "such", "No such file or directory"),
            (self.folder, "is no regular file"),
            (self.bytes_file("diary", b"dear diary\n"), "does not begin"),
            (self.bytes_file("new", b"focal-tune 2\n"), "version 2"),
        ):
            self.refused(FAILED, message, "tune", "run", "--file", path, "--quiet")
        self.assertLess(time.monotonic() - started, 20.0)
        self.assertEqual((self.folder / "diary").read_bytes(), b"dear diary\n")
        self.assertEqual((self.folder / "new").read_bytes(), b"focal-tune 2\n")

    @unittest.skipUnless(os.path.exists("/dev/full"), "there is no /dev/full")
    def test_export_to_a_full_disk(self) -> None:
        self.file.write_text("focal-tune 1\n" + FOREIGN)
        self.refused(FAILED, "", "tune", "export", "--file", self.file, "--out", "/dev/full")

    def test_export_that_fails_leaves_the_old_one(self) -> None:
        self.file.write_text("focal-tune 1\n" + FOREIGN)
        out = self.bytes_file("out.txt", b"old")
        names, size = self.names(), self.file.stat().st_size
        arguments = "tune", "export", "--file", self.file, "--out", out
        for space in (0, 100, size - 1):
            full = limit(resource.RLIMIT_FSIZE, space)
            self.refused(FAILED, f"--out {out}: File too large", *arguments, preexec_fn=full)
            self.assertEqual((out.read_bytes(), self.names()), (b"old", names))
        self.focal(*arguments, preexec_fn=limit(resource.RLIMIT_FSIZE, size))
        self.assertEqual(out.read_text(), self.file.read_text())
        nowhere = self.folder / "no" / "out.txt"
        message = f"--out {nowhere}: its folder does not exist"
        self.refused(FAILED, message, *arguments[:-1], nowhere)

    def test_the_option_is_named(self) -> None:
        none, nowhere = self.folder / "none", self.folder / "no" / "t.txt"
        bad = self.bytes_file("bad", b"nonsense\n")
        for option, path, message, *arguments in (
            ("--file", none, "cannot be opened: No such file", "show"),
            ("--file", none, "cannot be opened: No such file", "check"),
            ("--file", none, "cannot be opened: No such file", "export"),
            ("--file", none, "cannot be opened: No such file", "forget", "--all"),
            ("--file", bad, "does not begin with", "show"),
            ("--file", bad, "does not begin with", "run"),
            ("--out", bad, "does not begin with", "run"),
            ("--file", nowhere, "No such file or directory", "run"),
            ("--out", nowhere, "No such file or directory", "run"),
        ):
            with self.subTest(arguments, path=path):
                done = self.run_focal("tune", *arguments, option, path)
                self.assertEqual(done.returncode, FAILED)
                self.assertRegex(done.stderr, rf"^focal tune: {option} {path}(\.lock)?: .*{message}")
        self.refused(FAILED, f"focal tune: {bad}: ", "tune", "import", bad, "--file", none)
        environment = {"FOCAL_TUNE_FILE": str(nowhere)}
        self.refused(FAILED, f"focal tune: {nowhere}", "tune", "run", environment=environment)
        done = self.run_focal("tune", "show", "--file", "row_weight", cwd=self.folder)
        self.assertEqual(done.stderr.split(": ")[1], "--file row_weight")
        # The library's messages have room for no more than the beginning of a path.
        long = self.folder / ("x" * 200)
        self.refused(FAILED, f"focal tune: --file {str(long)[:100]}", "tune", "show", "--file", long)


class Files(TuneTest):
    def test_show(self) -> None:
        host, build = self.own()
        row = self.usable_rows()[0]
        kernel = f"focal_f32_sigmoid_dense_loss_g2_fast__{row}_u32"
        self.file.write_text(
            "focal-tune 1\n" + FOREIGN + section(host, build, entry(kernel), entry("focal_x__y_u1"))
            + section(host, "version=0.0.1", entry(kernel), entry(kernel, n=4))
        )  # fmt: skip
        text = self.tune("show", "--file", self.file)
        self.assertIn("entries      1 used, 2 stale (other builds), 1 of other hosts, 1 rejected", text)
        self.assertIn("focal_x__y_u1: there is no such contract", text)
        self.assertRegex(text, rf"loss_g2_fast +dense +11 +0 +1  {row}_u32 +0\.900 ns +10\.0 %  2026-11-25\n")
        self.assertIn("REFUSED", text)
        self.assertIn("vendor=nobody", text)
        # The plan says what it got, and the result is the one without.
        arguments = self.sample()
        tuned = self.focal("eval", *arguments, environment={"FOCAL_TUNE_FILE": str(self.file)})
        plain = self.focal("eval", *arguments)
        self.assertIn(f"{kernel}: isa {row} (tuned 2026-11-25, gain 10.0 %)", tuned)
        self.assertIn("(default)", plain)
        for line in ("sum", "mean"):
            pattern = rf"(?m)^{line} .*$"
            self.assertEqual(re.findall(pattern, tuned), re.findall(pattern, plain))

    def sample(self) -> tuple[Any, ...]:
        digits = Path(__file__).resolve().parents[2] / "examples" / "digits"
        return "--logits", digits / "sigmoid_logits.npy", "--targets", digits / "targets.npy"

    def test_damage_is_reported_and_the_rest_is_used(self) -> None:
        host, build = self.own()
        kernel = f"focal_f32_sigmoid_dense_loss_g2_fast__{self.usable_rows()[0]}_u16"
        self.file.write_text(
            "focal-tune 1\n" + FOREIGN.replace("ps=900", "ps=901") + section(host, build, entry(kernel))
        )
        text = self.tune("show", "--file", self.file)
        self.assertIn("entries      1 used, 0 stale (other builds), 0 of other hosts, 1 rejected", text)
        self.assertIn("line 6: the checksum of the section does not fit", text)
        done = self.run_focal("tune", "check", "--file", self.file, "--quiet")
        self.assertIn("note", done.stderr)
        self.assertIn("line 6", done.stderr)

    def test_export_import_forget(self) -> None:
        host, build = self.own()
        kernel = f"focal_f32_sigmoid_dense_loss_g2_fast__{self.usable_rows()[0]}_u16"
        whole = "focal-tune 1\n" + section(host, build, entry(kernel), "# a note") + FOREIGN
        self.file.write_text(whole)
        self.assertEqual(self.tune("export", "--file", self.file), whole)
        out = self.folder / "out.txt"
        self.assertEqual(self.tune("export", "--file", self.file, "--out", out), "")
        self.assertEqual(out.read_text(), whole)
        other = self.folder / "other.txt"
        text = self.tune("import", out, "--file", other)
        self.assertEqual(text.count("entries      1 used, 0 stale (other builds), 1 of other hosts"), 2)
        self.assertEqual(other.read_text(), whole)
        self.tune("forget", "--file", other, "--foreign")
        self.assertEqual(other.read_text(), whole.replace(FOREIGN, ""))
        self.tune("forget", "--file", other, "--stale")
        self.assertEqual(other.read_text(), whole.replace(FOREIGN, ""))
        self.tune("forget", "--file", other, "--all")
        self.assertEqual(other.read_text(), "focal-tune 1\n")
        self.refused(FAILED, "nothing to check", "tune", "check", "--file", other)

    def test_hostile_entry_for_other_bits(self) -> None:
        host, build = self.own()
        if self.usable_rows()[0] == "scalar":
            return
        bad = "focal_f32_sigmoid_dense_loss_g2_fast__scalar_u16"
        self.file.write_text("focal-tune 1\n" + section(host, build, entry(bad)))
        text = self.tune("show", "--file", self.file)
        self.assertIn("0 used", text)
        self.assertIn("other bits", text)
        environment = {"FOCAL_TUNE_FILE": str(self.file)}
        self.assertIn("(default)", self.focal("eval", *self.sample(), environment=environment))

    def test_verbose_names_the_file(self) -> None:
        environment = {"FOCAL_VERBOSE": "1", "FOCAL_TUNE_FILE": str(self.bytes_file("bad", b"nonsense\n"))}
        done = self.run_focal("eval", *self.sample(), environment=environment)
        self.assertEqual(done.returncode, DONE)
        self.assertIn(f"tuning file {self.folder / 'bad'}: ", done.stderr)
        self.assertIn("does not begin", done.stderr)
        for name in ("bad", "none/t.txt", "x" * 150, "."):
            path = self.folder / name
            if not name.startswith((".", "none")):
                path.write_text("nonsense\n")
            text = self.focal("info", environment={"FOCAL_TUNE_FILE": str(path)})
            (line,) = (part for part in text.splitlines() if part.startswith("tuning file "))
            self.assertEqual(line.count(str(self.folder)), 1, line)
            self.assertNotIn("path:", line)
        info = strict_json(self.focal("info", "--json", environment=environment))
        self.assertEqual(info["tuning_file"], str(self.folder / "bad"))
        self.assertEqual(info["tuning_entries"], 0)


class Drift(TuneTest):
    def test_drift_is_found_and_mended(self) -> None:
        """An entry that names the slowest row has drifted; a run finds the way back."""
        host, build = self.own()
        rows = self.usable_rows()
        if rows[0] == "scalar" or "scalarfma" not in rows or rows[0] == "scalarfma":
            return
        slow = "focal_f32_sigmoid_dense_both_g2_fast__scalarfma_u16"
        self.file.write_text("focal-tune 1\n" + section(host, build, entry(slow)))
        done = self.run_focal("tune", "check", "--file", self.file, "--quiet", "--budget", "20s")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("DRIFTED", done.stdout)
        self.assertIn("run 'focal tune run'", done.stderr)
        self.tune("run", "--file", self.file, "--problem", SMALL, "--quiet")
        self.assertNotIn("scalarfma", self.file.read_text())


class Usage(TuneTest):
    def test_refusals(self) -> None:
        for message, *arguments in (
            ("say what to do",),
            ("action 'rn' is none of: run, show, check, export, import, forget\n", "rn"),
            ("takes no such option", "show", "--budget", "3s"),
            ("takes no such option", "run", "--stale"),
            ("say what: --stale", "forget", "--file", "x"),
            ("needs a file", "import"),
            ("unexpected argument", "show", "file"),
            (
                "--budget 'soon' is not a number with ms, s or m behind it, such as 30s",
                "run",
                "--budget",
                "soon",
            ),
            ("--budget '5h' is not a number with ms, s or m behind it", "run", "--budget", "5h"),
            ("--budget 's' is not a number with", "run", "--budget", "s"),
            ("no time above 0", "run", "--budget", "0s"),
            ("none of: sigmoid", "run", "--only", "tanh"),
            ("not a list", "run", "--gamma", "2,,3"),
            ("outside [0, 1000]", "run", "--gamma", "2000"),
            ("there is no 'nonsense'", "run", "--case", "nonsense"),
            ("there is no part 'row'", "run", "--problem", "row=3"),
            ("is not NAME=VALUE", "run", "--problem", "rows"),
            ("needs rows=N", "run", "--problem", "op=softmax"),
            ("--problem: rows is given twice", "run", "--problem", "rows=4,classes=4,rows=5"),
            ("--problem: op is given twice", "run", "--problem", "op=sigmoid,op=sigmoid"),
            ("not both", "run", "--problem", SMALL, "--case", "tiny"),
            ("name the same thing", "run", "--file", "a", "--out", "b"),
        ):
            with self.subTest(arguments):
                self.refused(USAGE, message, "tune", *arguments)
        negative = SMALL.replace("gamma=2", "gamma=-1")
        binary = "op=softmax,targets=binary_u8,rows=3,classes=3"
        message = "softmax takes one integer label per row (label_*) or dense targets"
        self.refused(FAILED, message, "tune", "run", "--file", self.file, "--problem", binary)
        self.refused(FAILED, "gamma: -1 is", "tune", "run", "--file", self.file, "--problem", negative)


if __name__ == "__main__":
    unittest.main()
