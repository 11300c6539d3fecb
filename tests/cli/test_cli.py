"""Tests of the `focal` command: help, options, `focal info`, and (by load_tests) everything else.

Usage: FOCAL_BIN=build/cli/focal python tests/cli/test_cli.py, or the same through pytest, which
takes the folder. Needs numpy.
"""

from __future__ import annotations

import platform
import re
import sys
import unittest
from pathlib import Path
from typing import Any

import numpy as np
from harness import FAILED, TIERS, USAGE, CommandTest, strict_json

EVAL_OPTIONS = (
    *("logits", "targets", "bf16", "class-axis", "activation", "form", "gamma", "gamma-negative"),
    *("class-gamma", "alpha", "class-alpha", "margin", "beta", "poly", "smoothing", "smoothing-mode"),
    *("background", "ignore", "class-weight", "row-weight", "element-weight", "tier", "reduction"),
    *("normalizer", "normalizer-value", "normalizer-floor", "normalizer-add", "loss", "row-loss"),
    *("grad", "hessian", "hessian-mode", "hessian-floor", "target-grad", "output-dtype", "isa"),
    *("threads", "repeat", "json", "help"),
)


class Help(CommandTest):
    def commands(self) -> list[str]:
        listed = self.focal("--help").split("Commands:\n")[1].split("\n\n")[0]
        return re.findall(r"(?m)^  ([a-z]+) +\S", listed)

    def test_overview(self) -> None:
        text = self.focal("--help")
        for command in ("info", "eval", "help"):
            self.assertIn(command, self.commands())
        for line in (
            "  0  done",
            "  1  a file could not",
            "  2  the command line is wrong",
            "  130  ended by",
        ):
            self.assertIn(line, text)
        self.assertEqual([self.focal("help"), self.focal("-h")], [text, text])

    def test_version(self) -> None:
        self.assertRegex(self.focal("--version"), r"^focal \d+\.\d+\.\d+\n$")

    def test_commands(self) -> None:
        for command in self.commands():
            if command == "help":
                continue
            with self.subTest(command):
                text = self.focal(command, "--help")
                self.assertTrue(text.startswith(f"usage: focal {command} "))
                self.assertIn("Exit codes:", text)
                self.assertEqual(self.focal("help", command), text)
                self.assertEqual(self.focal(command, "-h"), text)
                self.assertLessEqual(max(map(len, text.splitlines())), 96)

    def test_help_wins_over_missing_options(self) -> None:
        self.assertIn("usage: focal eval", self.focal("eval", "--gamma", "2", "--help"))

    def test_eval_lists_every_option(self) -> None:
        listed = re.findall(r"(?m)^  --([a-z0-9-]+)", self.focal("eval", "--help"))
        self.assertEqual(tuple(listed), EVAL_OPTIONS)

    def test_every_option_is_documented(self) -> None:
        page = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
        for option in EVAL_OPTIONS:
            self.assertIn(f"`--{option}", page)


class Usage(CommandTest):
    """Every error of the command line, with exit code 2 and its message."""

    def setUp(self) -> None:
        super().setUp()
        logits = self.save("logits.npy", np.zeros((2, 3)), np.float32)
        labels = self.save("labels.npy", np.zeros(2), np.int64)
        self.eval = "eval", "--logits", logits, "--targets", labels

    def eval_refused(self, message: str, *arguments: Any) -> None:
        self.refused(USAGE, f"focal eval: {message}", *self.eval, *arguments)

    def test_no_command(self) -> None:
        done = self.run_focal()
        self.assertEqual((done.returncode, done.stdout), (USAGE, ""))
        self.assertEqual(done.stderr, self.focal("--help"))

    def test_commands(self) -> None:
        for word, nearest in (("evla", "eval"), ("inf", "info"), ("halp", "help")):
            message = f"focal: unknown command '{word}'; did you mean 'focal {nearest}'?"
            self.refused(USAGE, message, word)
        unknown = "focal: unknown command 'transmogrify'; 'focal --help' lists the commands"
        self.refused(USAGE, unknown, "transmogrify")
        self.refused(USAGE, "unknown command 'evla'; did you mean", "help", "evla")
        self.refused(USAGE, "help takes one command, not 2", "help", "eval", "info")
        self.refused(USAGE, "unknown option --json; the command comes first", "--json", "info")
        for option in ("--version", "--help"):
            self.refused(USAGE, f"unexpected argument 'x' after {option}", option, "x")

    def test_unknown_options(self) -> None:
        for word, nearest in (
            ("--gama", "gamma"),
            ("--thread", "threads"),
            ("--act", "activation"),
            ("--reducton=sum", "reduction"),
            ("-gamma", "gamma"),
            ("--lost", "loss"),
        ):
            self.eval_refused(f"unknown option {word}; did you mean --{nearest}?\n", word, "2")
        for word in ("--frobnicate", "--", "-", "-x", "--=", "--" + "x" * 200):
            message = f"unknown option {word}; 'focal eval --help' lists the options\n"
            self.eval_refused(message, word, "2")
        self.refused(USAGE, "focal info: unknown option --jsn; did you mean --json?", "info", "--jsn")

    def test_arguments_that_are_no_options(self) -> None:
        self.eval_refused("unexpected argument 'x.npy': every input is an option", "x.npy")
        self.eval_refused("unexpected argument '': every input is an option", "")

    def test_values(self) -> None:
        self.eval_refused("--gamma is given twice", "--gamma", "1", "--gamma=2")
        self.eval_refused("--json is given twice", "--json", "--json")
        self.eval_refused("--json takes no value", "--json=yes")
        needs = "--gamma needs a value: --gamma G\n"
        for arguments in (["--gamma"], ["--gamma", ""], ["--gamma="], ["--gamma", "--json"]):
            self.eval_refused(needs, *arguments)

    def test_missing_inputs(self) -> None:
        self.refused(USAGE, "focal eval: --logits is missing: --logits FILE.npy", "eval")
        message = "focal eval: --targets is missing: --targets FILE.npy"
        self.refused(USAGE, message, "eval", "--logits", "x.npy")

    def test_numbers_are_strict(self) -> None:
        words = "two 2x 2,5 0x2 1e 1e+ . - + e5 nan inf infinity 1.2.3 1_000 --2".split()
        for text in (*words, "2 ", " 2"):
            with self.subTest(text):
                message = f"--gamma '{text}' is not a decimal number such as 2 or 0.25"
                self.eval_refused(message, f"--gamma={text}")
                message = f"--alpha '{text}' is not a decimal number such as 0.25, nor off"
                self.eval_refused(message, f"--alpha={text}")
                self.refused(USAGE, message, "verify", f"--alpha={text}")
        for text in ("2.5", "1e2", "0x2", "two", "+", "2 "):
            for option in ("threads", "repeat", "background"):
                message = f"--{option} '{text}' is not an integer"
                self.eval_refused(message, f"--{option}={text}")

    def test_numbers_that_are_accepted(self) -> None:
        for text, value in (
            *(("+2", 2), ("2.", 2), (".5", 0.5), ("1E0", 1), ("25e-1", 2.5), ("0.00", 0)),
            *(("1000", 1000), ("1e-400", 0)),
        ):
            result = strict_json(self.focal(*self.eval, "--json", f"--gamma={text}"))
            self.assertEqual(result["gamma"], value)

    def test_a_locale_changes_nothing(self) -> None:
        environment = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}
        plain = self.focal(*self.eval, "--gamma", "1.5")
        self.assertEqual(plain, self.focal(*self.eval, "--gamma", "1.5", environment=environment))

    def test_ranges(self) -> None:
        # The library's own words about gamma, under the option's name.
        self.eval_refused("--gamma: -1 is outside [0, ", "--gamma", "-1")
        self.eval_refused("--gamma: inf is outside [0, ", "--gamma", "1e999")
        for text in ("-0.1", "1.01", "1e999"):
            message = f"--alpha {text} is outside [0, 1]; --alpha off turns it off"
            self.eval_refused(message, "--alpha", text)
        for option, text, bounds in (
            ("threads", "-1", "0 to 1024"),
            ("threads", "1025", "0 to 1024"),
            ("repeat", "0", "1 to 1000000000"),
            ("repeat", "-5", "1 to 1000000000"),
            ("repeat", "99999999999999999999", "1 to 1000000000"),
            ("background", "9223372036854775808", "-9223372036854775808 to 9223372036854775807"),
        ):
            self.eval_refused(f"--{option} {text} is outside {bounds}", f"--{option}", text)

    def test_names(self) -> None:
        for option, names in (
            ("activation", "sigmoid, softmax"),
            ("reduction", "sum, mean, none"),
            ("tier", ", ".join(TIERS)),
        ):
            for text in ("x", "SUM", "sleef "):
                self.eval_refused(f"--{option} '{text}' is none of: {names}", f"--{option}", text)

    def test_isa(self) -> None:
        for word in ("mmx", "row_weight"):  # the user's words stay as they are
            self.eval_refused(f'--isa: there is no ISA row "{word}"', "--isa", word)
        rows = strict_json(self.focal("info", "--json"))["isa_rows"]
        unusable = [(row["name"], row["built"]) for row in rows if not row["usable"]]
        # No processor has both AVX and NEON.
        self.assertTrue(unusable)
        for name, built in unusable:
            message = f'"{name}" needs ' if built else f'the row "{name}" is not built'
            self.eval_refused(f"--isa: {message}", "--isa", name)

    def test_combinations(self) -> None:
        self.eval_refused("--reduction none needs --loss FILE.npy", "--reduction", "none")
        softmax = "--activation", "softmax", "--background", "1"
        self.eval_refused("--background with softmax names the class that has 1 - alpha", *softmax)
        dense = "eval", "--logits", self.eval[2], "--targets", self.eval[2], "--background", "1"
        message = f"--background is for integer labels, one per row; --targets {self.eval[2]} has"
        self.refused(USAGE, message, *dense)

    def test_everything_is_judged_before_files_are_opened(self) -> None:
        missing = "eval", "--logits", "/no/such.npy", "--targets", "/no/such.npy"
        self.refused(USAGE, "--gamma 'x' is not a decimal number", *missing, "--gamma", "x")
        self.refused(FAILED, "--logits /no/such.npy: No such file", *missing)


class Info(CommandTest):
    def info(self, **environment: str) -> dict[str, Any]:
        result = strict_json(self.focal("info", "--json", environment=environment))
        assert isinstance(result, dict)
        return result

    def test_fields(self) -> None:
        info = self.info()
        expected = {
            **dict.fromkeys(("library_version", "compiler", "sleef", "cpu", "isa"), str),
            **dict.fromkeys(("features", "masked_features", "isa_rows"), list),
            **dict.fromkeys(("l1d_bytes", "l2_bytes", "l3_bytes"), (int, type(None))),
            **dict.fromkeys(("isa_cap", "isa_cap_note", "tuning_file"), type(None)),
            "openmp": bool,
            "tuning_entries": int,
        }
        self.assertEqual(set(info), set(expected))
        for key, kind in expected.items():
            self.assertIsInstance(info[key], kind, key)
        self.assertEqual(f"focal {info['library_version']}\n", self.focal("--version"))
        self.assertRegex(info["compiler"], r"^(gcc|clang) \d+")
        self.assertRegex(info["sleef"], r"^\d+\.\d+")
        if platform.machine() == "x86_64":
            self.assertIn("sse2", info["features"])

    def test_rows(self) -> None:
        info = self.info()
        rows = info["isa_rows"]
        names = [row["name"] for row in rows]
        self.assertEqual(names, ["avx512", "avx2", "neon", "scalarfma", "scalar"])
        for row in rows:
            keys = {"name", "built", "usable", "chosen", "missing", "why"}
            self.assertEqual(set(row), keys)
            self.assertEqual(row["missing"] is None, row["usable"])
            self.assertTrue(row["why"])
            self.assertTrue(row["built"] or not row["usable"])
            if not row["built"]:
                self.assertEqual(row["why"], "not built into this library")
        self.assertTrue(rows[-1]["usable"], "the portable row always is")
        usable = [row["name"] for row in rows if row["usable"]]
        self.assertEqual([row["name"] for row in rows if row["chosen"]], usable[:1])
        self.assertEqual(info["isa"], usable[0])

    def test_cap(self) -> None:
        rows = self.info()["isa_rows"]
        best = next(row["name"] for row in rows if row["usable"])
        capped = self.info(FOCAL_ISA="scalar")
        self.assertEqual((capped["isa"], capped["isa_cap"]), ("scalar", "scalar"))
        why = {row["name"]: row["why"] for row in capped["isa_rows"]}
        self.assertEqual(why["scalar"], "the best usable row up to the cap scalar")
        if best != "scalar":
            self.assertEqual(why[best], "better than the cap scalar allows")
        text = self.focal("info", environment={"FOCAL_ISA": "scalar"})
        self.assertIn("\nISA cap      scalar\n", text)
        self.assertRegex(text, r"\nscalar +yes +yes +yes +the best usable row up to the cap scalar\n")

    def test_cap_that_does_not_exist(self) -> None:
        info = self.info(FOCAL_ISA="avx3")
        self.assertIsNone(info["isa_cap"])
        self.assertIn("FOCAL_ISA=avx3 ignored", info["isa_cap_note"])
        self.assertIn(info["isa_cap_note"], self.focal("info", environment={"FOCAL_ISA": "avx3"}))
        path = self.save("x.npy", [[0.5]], np.float32)
        arguments = "eval", "--logits", path, "--targets", path, "--json"
        done = self.run_focal(*arguments, environment={"FOCAL_ISA": "avx3"})
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, f"focal eval: note: {info['isa_cap_note']}\n")
        self.assertEqual(strict_json(done.stdout), strict_json(self.focal(*arguments)))

    def test_cap_in_eval(self) -> None:
        path = self.save("x.npy", [[0.5]], np.float32)
        arguments = "eval", "--logits", path, "--targets", path, "--json"
        result = strict_json(self.focal(*arguments, environment={"FOCAL_ISA": "scalar"}))
        self.assertEqual(result["isa"], "scalar")
        self.assertIn("capped by FOCAL_ISA", result["plan"])

    def test_text(self) -> None:
        text = self.focal("info")
        info = self.info()
        for line in (
            f"library      libfocal {info['library_version']}",
            f"compiler     {info['compiler']}",
            f"SLEEF        {info['sleef']}",
            f"CPU          {info['cpu']}",
            f"features     {' '.join(info['features']) or 'none'}",
            f"masked       {' '.join(info['masked_features']) or 'none'}",
            "ISA cap      none",
            "tuning file  none (FOCAL_TUNE_FILE is empty)",
        ):
            self.assertIn(line + "\n", text)
        for row in info["isa_rows"]:
            flags = " +".join("yes" if row[key] else "no" for key in ("built", "usable", "chosen"))
            self.assertRegex(text, rf"(?m)^{row['name']} +{flags} +{re.escape(row['why'])}$")


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: Any) -> unittest.TestSuite:
    """Makes this one file run the whole folder under unittest."""
    if pattern is None:
        tests.addTests(loader.loadTestsFromNames(["test_eval", "test_files", "test_verify"]))
    return tests


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    unittest.main()
