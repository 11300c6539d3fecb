"""Tests of `focal bench`: it runs whole, its reports are JSON, compare judges and refuses."""

from __future__ import annotations

import copy
import json
import os
import re
import resource
import stat
from pathlib import Path
from typing import Any

from harness import FAILED, USAGE, CommandTest, limit, strict_json

BENCH = ("bench", "--quiet")


class Run(CommandTest):
    def bench(self, *arguments: Any) -> tuple[str, dict[str, Any]]:
        """A run that must succeed; a note about the machine's load may stand on stderr."""
        path = self.folder / "report.json"
        done = self.run_focal(*BENCH, *arguments, "--json", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"^(focal bench: note: the load average [^\n]*\n)?$")
        report = strict_json(path.read_text())
        assert isinstance(report, dict)
        return done.stdout, report

    def test_smoke_runs_every_case(self) -> None:
        text, report = self.bench("--smoke")
        listed = self.focal("bench", "--list").split("\n\nOpponents")[0]
        cases = re.findall(r"(?m)^  (\w+) +(?:sigmoid|softmax)", listed)
        self.assertGreater(len(cases), 10)
        self.assertEqual(list(dict.fromkeys(r["case"] for r in report["results"])), cases)
        for case in cases:
            self.assertEqual(len(re.findall(rf"(?m)^{case}: f\d\d s", text)), 2)
        for result in report["results"]:
            self.assertEqual(result["rounds"], 1)
            self.assertGreater(result["ns_per_element"], 0.0)
            self.assertLessEqual(result["rows"] * result["classes"], 200_000)
        for key, value in report["host"].items():
            self.assertTrue(value, key)
            self.assertIn(f"{key:15} {value.split()[0]}", text)

    def test_figures_belong_together(self) -> None:
        _, report = self.bench(
            *("--case", "retinanet,softmax80", "--direction", "gradient", "--gamma", "0,2.5"),
            *("--tier", "sleef,fast", "--isa", "scalar", "--smoke"),
        )
        names = "scalar sleef", "scalar fast", "plain", "roofline"
        for result in report["results"]:
            self.assertIn(result["gamma"], (0.0, 2.5))
            self.assertEqual(result["direction"], "gradient")
            elements = result["rows"] * result["classes"]
            self.assertAlmostEqual(result["ns_per_call"] / elements, result["ns_per_element"])
            moved = result["bytes_per_element"] / result["ns_per_element"]
            self.assertAlmostEqual(result["gb_per_second"] / moved, 1.0)
            self.assertAlmostEqual(result["bytes_per_element"], 8.0 + 4.0 / result["classes"])
            self.assertEqual((result["dtype"], result["inner"]), ("f32", 1.0))
            # What the process holds is at least the data; null where the system does not say.
            self.assertGreater(result["peak_memory_bytes"] or 1e9, elements * 8)
        for case, gamma in (("retinanet", 0.0), ("softmax80", 2.5)):
            found = {r["variant"]: r for r in report["results"] if (r["case"], r["gamma"]) == (case, gamma)}
            self.assertLessEqual(set(names), set(found))
            for name in names[:2]:
                ratio = found["plain"]["ns_per_call"] / found[name]["ns_per_call"]
                self.assertAlmostEqual(found[name]["speedup_over"]["plain"][0], ratio)

    def test_sizes(self) -> None:
        _, report = self.bench(
            *("--smoke", "--case", "l1,softmax80", "--size", "100,3000", "--direction", "loss"),
            *("--isa", "scalar", "--against", "none"),
        )
        sizes = [(r["case"], r["rows"], r["classes"]) for r in report["results"]]
        expected = [("l1", 100, 1), ("l1", 3000, 1), ("softmax80", 1, 80), ("softmax80", 37, 80)]
        self.assertEqual(sizes, expected)

    def test_sleef_is_of_the_same_width(self) -> None:
        rows = [r["name"] for r in json.loads(self.focal("info", "--json"))["isa_rows"] if r["usable"]]
        _, report = self.bench("--smoke", "--case", "l1", "--isa", ",".join(rows), "--direction", "loss")
        found = {r["variant"]: r for r in report["results"]}
        for row in ("avx512", "avx2"):
            if row in rows:
                ratio = found[f"sleef on {row}"]["ns_per_call"] / found[f"{row} fast"]["ns_per_call"]
                self.assertAlmostEqual(found[f"{row} fast"]["speedup_over"]["sleef"][0], ratio)

    def test_goals(self) -> None:
        path = self.folder / "goals.json"
        rows = [r["name"] for r in json.loads(self.focal("info", "--json"))["isa_rows"] if r["usable"]]
        measured = [row for row in rows if row in ("avx512", "avx2")] or rows[:1]
        bounds = ",".join(f"{row}=0.001" for row in measured)
        done = self.run_focal(*BENCH, "--goals", "--smoke", "--bound", bounds, "--json", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = strict_json(path.read_text())
        self.assertEqual(list(report), ["focal_goals", "host", "goals"])
        self.assertEqual(list(dict.fromkeys(g["isa"] for g in report["goals"])), measured)
        for goal in report["goals"]:
            self.assertIn(goal["what"], done.stdout)
            if goal["obstacle"]:
                self.assertNotIn("value", goal)
                continue
            self.assertLessEqual(goal["low"], goal["value"])
            value, must, aim = goal["value"], goal["must"], goal["aim"]
            if goal["kind"] in ("cost", "overhead"):
                value, must, aim = -value, -must, -aim
            verdict = "aim" if value >= aim else "must" if value >= must else "missed"
            self.assertEqual(goal["verdict"], verdict)
            ours, theirs = goal["ours"], goal["theirs"]
            if goal["kind"] == "speedup":  # one round: the ratio of the medians is that of the round
                self.assertAlmostEqual(goal["value"], theirs["ns_per_element"] / ours["ns_per_element"])
            if goal["kind"] == "bound":
                self.assertAlmostEqual(goal["value"], 0.001 / ours["cycles_per_element"])
        for row in measured:
            verdicts = [g.get("verdict") for g in report["goals"] if g["isa"] == row]
            missed, aim, open_ = (verdicts.count(word) for word in ("missed", "aim", None))
            met = verdicts.count("must") + aim
            self.assertIn(
                f"{missed} missed, {met} met ({aim} of them with their aim), {open_} not measured",
                done.stdout.split(f"\n{row}\n")[1],
            )

    def test_memory_that_is_not_there_is_said(self) -> None:
        text, report = self.bench("--smoke", "--case", "llm,tiny", "--max-bytes", "100000")
        self.assertIn("llm: skipped: needs 1 MB of memory", text)
        self.assertEqual({r["case"] for r in report["results"]}, {"tiny"})

    def test_nothing_but_skipped_cases(self) -> None:
        path = self.bytes_file("report.json", b"old")
        done = self.run_focal(*BENCH, "--smoke", "--case", "llm,tiny", "--max-bytes", "10", "--json", path)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(
            "focal bench: nothing was measured: every case needs more memory than there is\n", done.stderr
        )
        self.assertEqual(path.read_bytes(), b"old")

    def test_clock_of_the_cpu(self) -> None:
        _, report = self.bench("--smoke", "--case", "tiny", "--clock", "cpu", "--against", "none")
        self.assertTrue(report["host"]["clock"].startswith("cpu time, "))
        self.assertTrue(all(r["speedup_over"].keys() <= {"scalar"} for r in report["results"]))


class Usage(CommandTest):
    def test_refused(self) -> None:
        for message, *arguments in (
            ("--case: there is no 'retinnet'; did you mean retinanet?", "--case", "retinnet"),
            ("--case: there is no 'x'; 'focal bench --list'", "--case", "tiny,x"),
            ("--case 'tiny,,l1'", "--case", "tiny,,l1"),
            ("--case 'tiny,' is not a list", "--case", "tiny,"),
            ("--op softmax: none of the chosen cases", "--op", "softmax", "--case", "tiny"),
            ("--isa 'abacus': there is no such row", "--isa", "abacus"),
            ("--direction 'up' is none of: loss, gradient, both", "--direction", "up"),
            ("--tier 'slow' is none of", "--tier", "fast,slow"),
            ("--gamma -1 is outside [0, 1000]", "--gamma", "2,-1"),
            ("--gamma lists more than 8", "--gamma", "1,1,1,1,1,1,1,1,1"),
            ("--threads '1.5' is not an integer", "--threads", "1.5"),
            ("--size 0 is outside", "--size", "0"),
            ("--size lists more than 32", "--size", ",".join(["1"] * 33)),
            ("--goals has its own cases: leave out --case", "--goals", "--case", "l1"),
            ("--goals has its own cases: leave out --threads", "--goals", "--threads", "1"),
            ("--bound belongs to --goals", "--bound", "scalar=1"),
            ("--bound 'scalar' is not ISA=CYCLES", "--goals", "--bound", "scalar"),
            ("--bound scalar=0 is not above 0", "--goals", "--isa", "scalar", "--bound", "scalar=0"),
            ("--bound abacus=1: that row is not measured", "--goals", "--bound", "abacus=1"),
            ("--budget 0 is not above 0", "--budget", "0"),
            ("--clock 'sun' is none of: wall, cpu", "--clock", "sun"),
            ("--against 'torch' is none of", "--against", "torch"),
            ("unknown argument 'comapre'", "comapre"),
            ("compare takes two files", "compare", "a.json"),
            ("compare takes two files and no options", "compare", "a", "b", "--smoke"),
            ("unexpected argument 'c'", "compare", "a", "b", "c"),
        ):
            with self.subTest(message):
                self.refused(USAGE, f"focal bench: {message}", "bench", *arguments)

    def test_json_that_cannot_be_written(self) -> None:
        os.mkfifo(self.folder / "pipe")
        for path, message in (
            (self.folder / "no" / "report.json", "its folder does not exist"),
            (self.folder, "is a folder; name a file"),
            (self.folder / "pipe", "exists and is not a regular file"),
        ):
            for goals in ([], ["--goals"]):
                with self.subTest(message, goals=goals):
                    self.refused(FAILED, f"--json {path}: {message}", "bench", *goals, "--json", path)

    def test_a_full_disk_leaves_the_old_report(self) -> None:
        path = self.folder / "report.json"
        cases = "--case", "tiny", "--isa", "scalar", "--against", "none", "--gamma", "0,1,2,3"
        for arguments in (cases, ("--goals", "--isa", "scalar")):
            run = *BENCH, "--smoke", *arguments, "--json", path
            self.assertEqual(self.run_focal(*run).returncode, 0)
            path.chmod(0o640)
            whole = path.stat().st_size
            self.assertGreater(whole, 4096 + 500)  # more than the first write
            path.write_bytes(b"old")
            for space in (0, 100, 4096, whole - 500):
                with self.subTest(arguments, space=space):
                    done = self.run_focal(*run, preexec_fn=limit(resource.RLIMIT_FSIZE, space))
                    self.assertEqual(done.returncode, FAILED)
                    self.assertIn(f"focal bench: --json {path}: File too large\n", done.stderr)
                    self.assertEqual((path.read_bytes(), self.names()), (b"old", {"report.json"}))
            self.assertEqual(self.run_focal(*run).returncode, 0)
            self.assertIn("host", strict_json(path.read_text()))
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
            path.unlink()


class Compare(CommandTest):
    def setUp(self) -> None:
        super().setUp()
        path = self.folder / "made.json"
        done = self.run_focal(
            *BENCH, "--smoke", "--case", "tiny", "--isa", "scalar", "--against", "none", "--json", path
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.report: dict[str, Any] = json.loads(path.read_text())
        self.report["host"]["virtual"] = "no"
        for result in self.report["results"]:
            self.assertEqual(result["variant"], "scalar fast")
            result.update(rounds=30, ns_per_element=1.0, low_ns=0.999, high_ns=1.001)

    def write(self, name: str, report: Any) -> Path:
        return self.bytes_file(name, json.dumps(report, indent=1).encode())

    def verdicts(self, factor: float, *, virtual: str = "no", rounds: int = 30) -> list[str]:
        other = copy.deepcopy(self.report)
        other["host"]["virtual"] = virtual
        for result in other["results"]:
            result["rounds"] = rounds
            for key in ("ns_per_element", "low_ns", "high_ns"):
                result[key] *= factor
        text = self.focal("bench", "compare", self.write("a", self.report), self.write("b", other))
        return re.findall(r"(?m)^tiny .*  (\w+)$", text)

    def test_verdicts(self) -> None:
        for factor, verdict in ((1.0, "noise"), (1.02, "noise"), (1.05, "slower"), (0.95, "faster")):
            self.assertEqual(self.verdicts(factor), [verdict] * 2)
        for factor, verdict in ((1.05, "noise"), (0.95, "noise"), (1.2, "slower"), (0.8, "faster")):
            self.assertEqual(self.verdicts(factor, virtual="yes (KVM)"), [verdict] * 2)
        self.assertEqual(self.verdicts(2.0, rounds=5), ["noise"] * 2)

    def test_wide_intervals_are_noise(self) -> None:
        for result in self.report["results"]:
            result["high_ns"] = 1.5
        self.assertEqual(self.verdicts(1.4), ["noise"] * 2)

    def test_other_workloads_are_not_compared(self) -> None:
        other = copy.deepcopy(self.report)
        other["results"][0]["gamma"] = 3.0
        text = self.focal("bench", "compare", self.write("a", self.report), self.write("b", other))
        self.assertIn("not compared: 1 only in the old report, 1 only in the new one", text)
        self.assertEqual(len(re.findall("(?m)^tiny .* noise$", text)), 1)

    def test_other_hosts_are_noted(self) -> None:
        other = copy.deepcopy(self.report)
        other["host"]["cpu"] = "Abacus 3000"
        done = self.run_focal("bench", "compare", self.write("a", self.report), self.write("b", other))
        self.assertEqual(done.returncode, 0)
        self.assertIn("note: different cpu", done.stderr)

    def compare_refused(self, message: str, content: bytes) -> None:
        good, bad = self.write("good", self.report), self.bytes_file("bad", content)
        self.refused(FAILED, message, "bench", "compare", good, bad)
        self.refused(FAILED, message, "bench", "compare", bad, good)

    def test_refused(self) -> None:
        def changed(**parts: Any) -> bytes:
            return json.dumps({**self.report, **parts}).encode()

        host, results = self.report["host"], self.report["results"]
        bare = {key: value for key, value in self.report.items() if key != "host"}
        self.compare_refused("the host card has no 'cpu'", json.dumps(bare).encode())
        short = {key: value for key, value in host.items() if key != "virtual"}
        self.compare_refused("the host card has no 'virtual'", changed(host=short))
        self.compare_refused("different clocks", changed(host={**host, "clock": "cpu time, 1 ns"}))
        self.compare_refused("another version", changed(focal_bench=2))
        self.compare_refused("not a report of focal bench", changed(extra=1))
        self.compare_refused("an unknown line in the host card", changed(host={**host, "mood": "good"}))
        self.compare_refused("an unknown field", changed(results=[{**results[0], "colour": "red"}]))
        for field, value in (("case", ""), ("ns_per_element", 0), ("low_ns", None)):
            self.compare_refused("a result without", changed(results=[{**results[0], field: value}]))
        self.compare_refused("a string is too long", changed(results=[{"case": "x" * 100}]))

    def test_damaged_files(self) -> None:
        whole = json.dumps(self.report, indent=1).encode()
        for length in range(0, len(whole) - 1, 97):
            with self.subTest(length):
                bad = self.bytes_file("bad", whole[:length])
                done = self.run_focal("bench", "compare", bad, bad)
                self.assertEqual((done.returncode, done.stdout), (FAILED, ""))
                self.assertRegex(done.stderr, r"^focal bench: [^\n]+: line \d+: [^\n]+\n$")
        self.compare_refused("text behind the report", whole + b"x")
        self.compare_refused("is no text", whole + b"\0")
        self.refused(FAILED, "No such file", "bench", "compare", self.folder / "none", self.folder / "x")
