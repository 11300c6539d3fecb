"""The design behind golden_forms.txt, and the files as they stand.

Usage: python test_form_files.py (needs mpmath only), or pytest.
"""

from __future__ import annotations

import itertools
import re
import unittest
from pathlib import Path
from typing import Any

import form_problems
import make_forms
import make_peers
import pairwise
from forms import Sized
from oracle import EXACT

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data"
DEFAULTS = {"dtype": "f32", "op": "sigmoid", "target_kind": "dense"}


def documented_recipes() -> dict[str, dict[str, str]]:
    """The problems of docs/forms.md by peer: fields and their values as text."""
    page = (ROOT / "docs" / "forms.md").read_text(encoding="utf-8")
    section = page[page.index("## Peers") : page.index("## Examples")]
    recipes = {}
    for peer, problem in re.findall(r"^\| ([^|`]+) \| `([^`]+)` \|", section, re.MULTILINE):
        parts = problem.replace("\\|", "|").split(", ")
        recipes[peer] = dict(part.split(" = ", 1) for part in parts)
    return recipes


def recipes_under_test() -> dict[str, dict[str, Any]]:
    recipes = {peer.name: dict(peer.recipe) for peer in make_peers.PEERS}
    recipes["detr HungarianMatcher"] = dict(make_peers.matcher_problem())
    return recipes


class Design(unittest.TestCase):
    def test_small_design_covers_all(self) -> None:
        factors = {"a": (0, 1, 2), "b": (0, 1), "c": (0, 1, 2)}
        rules = [(("a", "b"), lambda a, b: not (a == 2 and b == 1))]
        made = pairwise.Design(factors, rules, 1)
        cases = made.cases()
        self.assertEqual(made.unreachable, [])
        self.assertLessEqual(len(cases), 12)
        for (a, left), (b, right) in itertools.combinations(factors.items(), 2):
            for i, j in itertools.product(left, right):
                seen = any(case[a] == i and case[b] == j for case in cases)
                self.assertEqual(seen, pairwise.allowed({a: i, b: j}, rules), (a, i, b, j))

    def test_chained_rules_make_a_pair_unreachable(self) -> None:
        """c = 1 needs a = 1, which b = 1 forbids: only trying finds that."""
        factors = {"a": (0, 1), "b": (0, 1), "c": (0, 1)}
        rules = [
            (("a", "b"), lambda a, b: not (a and b)),
            (("a", "c"), lambda a, c: a == 1 or c == 0),
        ]
        made = pairwise.Design(factors, rules, 1)
        self.assertTrue(all(pairwise.allowed(case, rules) for case in made.cases()))
        self.assertEqual(made.unreachable, [("b", 1, "c", 1)])

    def test_forms(self) -> None:
        """Every pair of levels that the rules allow, but for those that rules forbid in chains."""
        cases, unreachable = make_forms.design(make_forms.SEED)
        names = list(make_forms.FACTORS)
        missing = 0
        for a, b in itertools.combinations(names, 2):
            seen = {(case[a], case[b]) for case in cases}
            for i, j in itertools.product(make_forms.FACTORS[a], make_forms.FACTORS[b]):
                if pairwise.allowed({a: i, b: j}, make_forms.RULES):
                    missing += (i, j) not in seen
        self.assertEqual(missing, len(unreachable))
        # Such as match (loss alone) with a mode of the Hessian, or FL* with a margin.
        self.assertLess(missing, 60)


class Numbers(unittest.TestCase):
    def test_rounding(self) -> None:
        for dtype, value, expected in (
            ("f16", 2049.0, 2048.0),
            ("f16", 2051.0, 2052.0),
            ("f16", 2.0**-25 * 1.5, 2.0**-24),
            ("bf16", 257.0, 256.0),
            ("bf16", 259.0, 260.0),
            ("bf16", 0.1, 0.10009765625),
            ("f32", 0.1, 0.10000000149011612),
            ("f64", 0.1, 0.1),
        ):
            self.assertEqual(make_forms.rounded(dtype, value), expected, (dtype, value))

    def test_texts(self) -> None:
        third = EXACT.mpf(1) / 3
        self.assertEqual(make_forms.decimal(third), "0." + 30 * "3")
        self.assertEqual(make_forms.sized(Sized(third, third * 3)), "0." + 30 * "3" + "/1.0")
        self.assertEqual(make_forms.decimal(-EXACT.mpf(10) ** 5000), "-inf")
        self.assertEqual(make_forms.decimal(EXACT.mpf(10) ** 161), "1.0e+161")
        for value in (0.1, -700.0, 0.0, -0.0, 5e-324, 12345.0, 2.0**40):
            text = make_forms.exactly(value)
            read = float.fromhex(text) if "x" in text else float(text)
            self.assertEqual((str(read)), str(value))


class Problems(unittest.TestCase):
    """Counts and divisors that can be had by hand."""

    def run_problem(self, **fields: Any) -> form_problems.Expected:
        problem = {
            "outer": 2,
            "classes": 2,
            "inner": 2,
            "logits": [0.0] * 8,
            "target_kind": "label_i32",
            "labels": [0, 2, 9, 1],
            "background": 2,
            "ignore": 9,
            "row_weight": [1.0, 2.0, 4.0, 0.5],
            "upstream": 0.5,
        }
        return form_problems.Evaluation({**problem, **fields}).run()

    def test_row_weights(self) -> None:
        result = self.run_problem(normalizer="rows")
        counts = (result.rows, result.positives, result.ignored)
        self.assertEqual((counts, result.weight, result.normalizer), ((3, 2, 1), 3.5, 3))
        # Cross-entropy at 0 is log 2 whatever the target; the gradient is 1/2 or -1/2.
        log2 = EXACT.log(2)
        self.assertLess(abs(result.sum.value - 7 * log2 / 3), 1e-90)
        self.assertLess(abs(result.row_loss[3].value - log2), 1e-90)
        self.assertEqual(result.row_loss[2].value, 0)
        self.assertLess(abs(result.gradient[0].value + EXACT.mpf(1) / 12), 1e-90)
        self.assertLess(abs(result.gradient[1].value - EXACT.mpf(1) / 6), 1e-90)

    def test_element_weights(self) -> None:
        weights = [float(i) for i in range(8)]
        result = self.run_problem(element_weight=weights, class_weight=[1.0, 2.0])
        # (0 + 2 * 2) 1, (1 + 2 * 3) 2, (5 + 2 * 7) 0.5 without the ignored row
        self.assertEqual(result.weight, 4 + 14 + 9.5)

    def test_positives(self) -> None:
        fields = {"normalizer": "positives", "normalizer_floor": 5.0, "normalizer_add": 1.0}
        self.assertEqual(self.run_problem(**fields).normalizer, 5)
        fields["normalizer_floor"] = 0.0
        self.assertEqual(self.run_problem(**fields).normalizer, 3)
        fields.update(labels=[2, 2, 2, 2], normalizer_add=0.0)
        self.assertEqual(self.run_problem(**fields).normalizer, 1)

    def test_zero_weight_has_no_floor(self) -> None:
        result = self.run_problem(hessian_floor=1.0, row_weight=[0.0, 1.0, 1.0, 1.0])
        self.assertEqual([bend.value for bend in result.hessian[:2]], [0, EXACT.mpf(0.5)])


class Files(unittest.TestCase):
    def test_forms_are_current(self) -> None:
        """The first of its designs; `make_forms.py --check` compares them all."""
        text = (DATA / "golden_forms.txt").read_text(encoding="ascii")
        self.assertTrue(text.startswith(make_forms.build(designs=1)))
        self.assertGreater(text.count("\ncase "), 500)

    def test_peers_are_current(self) -> None:
        text = (DATA / "golden_peers.txt").read_text(encoding="ascii")
        self.assertEqual(text, make_peers.build())


class Recipes(unittest.TestCase):
    """docs/forms.md says what golden_peers.txt tests. A value in words is the caller's."""

    def test_every_peer_is_documented(self) -> None:
        self.assertEqual(set(documented_recipes()), set(recipes_under_test()))

    def test_fields(self) -> None:
        data = {"logits", "targets", "labels", "outer", "classes", "outputs", "normalizer_value"}
        for peer, documented in documented_recipes().items():
            tested = recipes_under_test()[peer]
            flags = documented.pop("label_flags", "")
            for name in ("background", "ignore"):
                self.assertEqual(f"FOCAL_LABEL_{name.upper()}" in flags, name in tested, peer)
            names = {name for name in tested if tested[name] != DEFAULTS.get(name)} - data
            self.assertEqual(set(documented), names, peer)
            for name, text in documented.items():
                self.check_value(f"{peer}: {name}", text, tested[name])

    def check_value(self, where: str, text: str, tested: Any) -> None:
        if re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", text):
            self.assertEqual(float(text), float(tested), where)
        elif text.startswith("FOCAL_"):
            self.assertTrue(text.lower().endswith(tested), f"{where}: {text} is not {tested}")
        else:
            self.assertNotIn("FOCAL", text, where)


if __name__ == "__main__":
    unittest.main()
