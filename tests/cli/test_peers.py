"""The options of docs/forms.md that reproduce other libraries, against these libraries' formulas.

A value in capitals and the files of arrays are the caller's: here those of tests/oracle/peers.py,
from which tests/data/golden_peers.txt was made.
"""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path
from typing import Any

import numpy as np
from harness import CommandTest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))

import form_problems  # noqa: E402
import make_peers  # noqa: E402

DTYPES = {
    "binary_u8": np.uint8,
    "label_u8": np.uint8,
    "label_i32": np.int32,
    "label_i64": np.int64,
}
# By option, the field that holds the caller's value.
FIELDS = {
    "--gamma": "gamma",
    "--alpha": "alpha",
    "--smoothing": "smoothing",
    "--background": "background",
    "--normalizer-value": "normalizer_value",
    "--class-alpha": "class_alpha",
    "--class-gamma": "class_gamma",
    "--class-weight": "class_weight",
    "--row-weight": "row_weight",
}


def documented_options() -> dict[str, list[str]]:
    page = (ROOT / "docs" / "forms.md").read_text(encoding="utf-8")
    section = page[page.index("## Peers") : page.index("## Examples")]
    row = re.compile(r"^\| ([^|`]+) \| `[^`]+` \| (`([^`]+)`|the defaults) \|", re.MULTILINE)
    return {match[1]: (match[3] or "").split() for match in row.finditer(section)}


class Peers(CommandTest):
    def arguments(self, options: list[str], problem: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for option in options:
            before = found[-1] if found else ""
            if option.endswith(".npy"):
                found.append(self.save(option, np.array(problem[FIELDS[before]])))
            elif re.fullmatch("[A-Z]", option):
                found.append(repr(problem[FIELDS[before]]))
            else:
                found.append(option)
        return found

    def inputs(self, problem: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        shape = problem["outer"], problem["classes"]
        dtype = np.float64 if problem.get("dtype") == "f64" else np.float32
        logits = np.array(problem["logits"], dtype).reshape(shape)
        kind = problem.get("target_kind", "dense")
        if "labels" in problem:
            return logits, np.array(problem["labels"], DTYPES[kind])
        return logits, np.array(problem["targets"], DTYPES.get(kind, dtype)).reshape(shape)

    def close(self, path: Path, expected: list[Any]) -> None:
        values = np.load(path).astype(np.float64).ravel()
        self.assertEqual(len(values), len(expected))
        for value, exact in zip(values, expected):
            # Ten units in the last place of f32, of what the value is the sum of; or subnormal.
            error = abs(value - float(exact.value))
            bound = 10 * 2.0**-23 * float(exact.size) + 2.0**-149
            self.assertLessEqual(error, bound, (path.name, value))

    def test_every_peer(self) -> None:
        options = documented_options()
        problems = {peer.name: make_peers.completed(peer) for peer in make_peers.PEERS}
        self.assertEqual(set(options), {*problems, "detr HungarianMatcher"})
        for peer, problem in problems.items():
            with self.subTest(peer):
                outputs = [("--grad", "gradient")]
                softmax = problem.get("op") == "softmax"
                outputs.append(("--loss", "row_loss" if softmax else "loss"))
                if "hessian" in problem["outputs"]:
                    outputs.append(("--hessian", "hessian"))
                expected = form_problems.Evaluation(problem).run()
                arguments = self.arguments(options[peer], problem)
                for option, _ in outputs:
                    arguments += [option, self.folder / f"out{option}.npy"]
                result = self.evaluate(*self.inputs(problem), *arguments)
                self.assertClose(result["sum"], float(expected.sum.value), 1e-6)
                for option, name in outputs:
                    self.close(self.folder / f"out{option}.npy", getattr(expected, name))

    def test_matcher(self) -> None:
        problem = make_peers.matcher_problem()
        costs = self.folder / "costs.npy"
        options = documented_options()["detr HungarianMatcher"]
        arguments = self.arguments(options, problem)
        self.evaluate(*self.inputs(problem), *arguments, "--loss", costs)
        self.close(costs, form_problems.match_costs(problem))


if __name__ == "__main__":
    unittest.main()
