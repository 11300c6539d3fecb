"""Write tests/data/golden_forms.txt: exact results of a pairwise design over every form.

Usage: python make_forms.py [--check] [--output FOLDER]

Every two levels of any two factors below meet in some case, unless a rule of focal.h forbids
them. A case is a small problem with all its inputs exactly, and what is wanted of it to 30 digits.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import form_problems
import pairwise
from form_problems import Problem
from forms import SIGMOID_FORMS, Sized
from oracle import EXACT

SEED = 20170807
DESIGNS = 5  # independent ones: what a pair hides from one, another may show

DTYPES = ("f32", "f64", "f16", "bf16")
OTHER = ("default", *DTYPES)
GAMMAS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0)
LABELS = ("label_u8", "label_i32", "label_i64")

FACTORS: dict[str, Sequence[Any]] = {
    "form": (*SIGMOID_FORMS, "softmax"),
    "dtype": DTYPES,
    "targets_dtype": OTHER,
    "loss_dtype": OTHER,
    "gradient_dtype": OTHER,
    "target_kind": ("dense", "dense hard", "binary_u8", *LABELS),
    "gamma_mode": ("scalar", "split", "per_class"),
    "gamma": GAMMAS,
    "alpha_mode": ("off", "scalar", "per_class", "background"),
    "class_weight": (False, True),
    "row_weight": (False, True),
    "element_weight": (False, True),
    "smoothing": ("off", "target", "cross_entropy"),
    "poly_epsilon": (0.0, 1.0, -0.5),
    "margin": (0.0, 0.05),
    "star_beta": (0.0, 1.0),
    "ignore": (None, 255, 2),
    "background": (None, 0, "classes"),
    "normalizer": ("none", "elements", "rows", "weight", "positives", "value"),
    "outputs": ("sum", "loss", "row_loss", "gradient", "hessian", "target_gradient", "all"),
    "hessian_mode": ("exact", "absolute", "upper"),
    "hessian_floor": (0.0, 0.0625),
    "upstream": (None, 0.5),
    "shape": ((3, 5, 1), (2, 3, 2), (4, 1, 1), (1, 4, 3)),
    "layout": ("dense", "padded", "classes apart"),
    "logits": ("mild", "wide", "extreme", "infinite"),
}


def is_label(kind: str) -> bool:
    return kind.startswith("label")


HESSIAN_OUTPUTS = ("hessian", "all")

RULES: list[pairwise.Rule] = [
    (("form", "target_kind"), lambda f, k: f != "softmax" or k != "binary_u8"),
    (("form", "target_kind"), lambda f, k: f != "match" or is_label(k)),
    (("form", "outputs"), lambda f, o: f != "softmax" or o != "loss"),
    (("form", "outputs"), lambda f, o: f != "match" or o == "loss"),
    (("form", "gamma_mode"), lambda f, m: m != "split" or f == "split"),
    (("form", "gamma"), lambda f, g: f != "star" or g > 0),
    (("form", "alpha_mode"), lambda f, a: a != "background" or f == "softmax"),
    # Only integer labels name a background.
    (("alpha_mode", "target_kind"), lambda a, k: a != "background" or is_label(k)),
    (("alpha_mode", "background"), lambda a, b: a != "background" or b == 0),
    (("form", "background"), lambda f, b: b is None or f not in ("softmax", "match") or b == 0),
    (
        ("form", "background", "alpha_mode"),
        lambda f, b, a: f != "softmax" or (b is None) == (a != "background"),
    ),
    (("form", "background"), lambda f, b: f != "match" or b is None),
    (("form", "ignore"), lambda f, i: f != "match" or i is None),
    (("form", "element_weight"), lambda f, w: not w or f not in ("softmax", "match")),
    (("form", "class_weight"), lambda f, w: not w or f != "match"),
    (("form", "row_weight"), lambda f, w: not w or f != "match"),
    (("form", "smoothing"), lambda f, s: f != "match" or s == "off"),
    (
        ("form", "smoothing", "target_kind"),
        lambda f, s, k: not (f == "softmax" and s == "cross_entropy") or is_label(k),
    ),
    (("form", "poly_epsilon"), lambda f, e: e == 0 or f == "focal"),
    (("form", "margin"), lambda f, m: m == 0 or f == "split"),
    (("form", "star_beta"), lambda f, b: b == 0 or f == "star"),
    (("target_kind", "ignore"), lambda k, i: i is None or is_label(k)),
    (("target_kind", "background"), lambda k, b: b is None or is_label(k)),
    (("target_kind", "outputs"), lambda k, o: o != "target_gradient" or k.startswith("dense")),
    (("target_kind", "targets_dtype"), lambda k, d: d == "default" or k.startswith("dense")),
    (("form", "normalizer"), lambda f, n: f != "match" or n == "none"),
    (("outputs", "hessian_mode"), lambda o, m: m == "exact" or o in HESSIAN_OUTPUTS),
    (("outputs", "hessian_floor"), lambda o, m: m == 0 or o in HESSIAN_OUTPUTS),
    (("outputs", "upstream"), lambda o, u: u is None or o not in ("sum", "loss", "row_loss")),
    (("ignore", "shape"), lambda i, s: i != 2 or s[1] >= 3),
    # Limits exist for hard targets, and for softmax as masked classes.
    (
        ("logits", "target_kind"),
        lambda x, k: x != "infinite" or k != "dense",
    ),
    (("logits", "smoothing"), lambda x, s: x != "infinite" or s == "off"),
    (("logits", "form"), lambda x, f: x != "infinite" or f in ("focal", "softmax")),
    (("logits", "poly_epsilon"), lambda x, e: x != "infinite" or e == 0),
    (("logits", "outputs"), lambda x, o: x != "infinite" or o != "target_gradient"),
    (("logits", "shape"), lambda x, s: x != "infinite" or s[1] > 1),
]

HEADER = f"""\
# Exact results of every form of the focal loss, made by tests/oracle/make_forms.py (seed {SEED}):
# a pairwise design over its factors. A case is the lines from "case" to the next one:
#   problem FIELD VALUE ...   fields of focal_problem other than zero
#   NAME VALUE ...            an input, flat, in the order outer, class, inner; exact
#   sums LOSS ROWS POSITIVES IGNORED WEIGHT NORMALIZER
#   want_NAME VALUE[/SIZE]... an output: 30 digits, and the sum of the magnitudes of its terms
#                             where that is not the value's own
# Hessians of mode upper are exact ones, which a bound must not be below; those of softmax whose
# cross-entropy is not smoothed are the bound itself.
"""


# ---- Numbers ----


def rounded(dtype: str, value: float) -> float:
    """To nearest even of a storage type; beyond its largest number that number."""
    if dtype == "f64":
        return value
    if dtype == "f16":
        return float(struct.unpack("<e", struct.pack("<e", max(-6e4, min(6e4, value))))[0])
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    if dtype == "bf16":
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def exactly(value: float) -> str:
    if value == int(value) if abs(value) < 1e6 else False:
        return str(int(value)) if value or str(value)[0] != "-" else "-0x0p+0"
    if abs(value) == float("inf"):
        return "inf" if value > 0 else "-inf"
    mantissa, exponent = value.hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}"


def decimal(value: Any, digits: int = 30) -> str:
    """Beyond what the limit of a logit leaves, infinity or zero."""
    if abs(value) > EXACT.mpf(10) ** 4800:
        return "inf" if value > 0 else "-inf"
    if value == 0 or abs(value) < EXACT.mpf(10) ** -9000:
        return "0"
    return str(EXACT.nstr(value, digits, strip_zeros=True, min_fixed=-3, max_fixed=8))


def sized(part: Sized) -> str:
    text = decimal(part.value)
    if part.size <= abs(part.value) * (1 + EXACT.mpf(10) ** -9):
        return text
    return f"{text}/{decimal(part.size, 6)}"


# ---- Cases ----


class CaseMaker:
    """From the levels of a case to a problem with all its numbers."""

    def __init__(self, number: int, levels: dict[str, Any]) -> None:
        self.levels = levels
        self.stream = random.Random(SEED * 1000 + number)
        self.outer, self.classes, self.inner = levels["shape"]
        self.softmax = levels["form"] == "softmax"
        self.kind = levels["target_kind"].split()[0]
        self.problem: Problem = {}

    def put(self, name: str, value: Any, default: Any = 0) -> None:
        if value != default:
            self.problem[name] = value

    def numbers(self, count: int, choices: Sequence[float]) -> list[float]:
        return [rounded("f32", self.stream.choice(choices)) for _ in range(count)]

    def make(self) -> Problem:
        level = self.levels
        self.put("op", "softmax" if self.softmax else "sigmoid", "sigmoid")
        self.put("form", "focal" if self.softmax else level["form"], "focal")
        self.put("target_kind", self.kind, "dense")
        for name in ("dtype", "targets_dtype", "loss_dtype", "gradient_dtype"):
            self.put(name, level[name], "f32" if name == "dtype" else "default")
        self.problem["outer"], self.problem["classes"] = self.outer, self.classes
        self.put("inner", self.inner, 1)
        self.put("poly_epsilon", level["poly_epsilon"])
        self.put("margin", level["margin"])
        self.put("star_beta", level["star_beta"])
        self.parameters()
        self.put("normalizer", level["normalizer"], "none")
        if level["normalizer"] == "positives":
            floor, add = self.stream.choice(((1.0, 0.0), (0.0, 1.0), (100.0, 0.0), (0.0, 0.0)))
            self.put("normalizer_floor", floor)
            self.put("normalizer_add", add)
        self.put("hessian_mode", level["hessian_mode"], "exact")
        self.put("hessian_floor", level["hessian_floor"])
        self.outputs()
        self.arrays()
        return self.problem

    def parameters(self) -> None:
        level, n = self.levels, self.classes
        self.put("gamma", level["gamma"])
        self.put("gamma_mode", level["gamma_mode"], "scalar")
        if level["gamma_mode"] == "split":
            self.problem["gamma_negative"] = self.stream.choice(GAMMAS)
        if level["gamma_mode"] == "per_class":
            most = [g for g in GAMMAS if g > 0 or level["form"] != "star"]
            self.problem["class_gamma"] = [level["gamma"], *self.numbers(n - 1, most)]
            self.problem.pop("gamma", None)
        self.put("alpha_mode", level["alpha_mode"], "off")
        if level["alpha_mode"] == "per_class":
            self.problem["class_alpha"] = self.numbers(n, (0.25, 0.75, 0.1, 0.5, 1.0, 0.0))
        elif level["alpha_mode"] != "off":
            self.problem["alpha"] = 0.25
        if level["smoothing"] != "off":
            self.problem["smoothing"] = self.stream.choice((0.125, 0.1))
            self.put("smoothing_mode", level["smoothing"], "target")
        if level["class_weight"]:
            self.problem["class_weight"] = self.numbers(n, (0.5, 1.0, 2.0, 0.3))
        if is_label(self.kind):
            if level["ignore"] is not None:
                self.problem["ignore"] = level["ignore"]
            if level["background"] is not None:
                self.problem["background"] = n if level["background"] == "classes" else 0

    def outputs(self) -> None:
        wanted = self.levels["outputs"]
        if wanted == "all":
            names = ["sum", "row_loss", "gradient", "hessian"]
            names += [] if self.softmax else ["loss"]
            # Of a masked class it is infinite.
            dense = self.kind == "dense" and self.levels["logits"] != "infinite"
            names += ["target_gradient"] if dense else []
        else:
            names = [wanted]
        self.problem["outputs"] = names

    def arrays(self) -> None:
        level, problem = self.levels, self.problem
        count = self.outer * self.classes * self.inner
        rows = self.outer * self.inner
        if level["form"] == "match":
            problem["selected"] = 3
            problem["labels"] = [self.stream.randrange(self.classes) for _ in range(3)]
        elif is_label(self.kind):
            problem["labels"] = [self.label() for _ in range(rows)]
        else:
            problem["targets"] = self.targets(count)
        problem["logits"] = [self.logit() for _ in range(count)]
        if level["logits"] == "infinite":
            self.infinities()
        weights = (0.5, 1.0, 2.0, 0.7, 0.0)
        if level["row_weight"]:
            problem["row_weight"] = self.numbers(rows, weights)
        if level["element_weight"]:
            problem["element_weight"] = self.numbers(count, weights)
        self.put("upstream", level["upstream"], None)
        if level["normalizer"] == "value":
            problem["normalizer_value"] = self.stream.choice((8.0, 3.7))

    def label(self) -> int:
        special = [self.problem[name] for name in ("ignore", "background") if name in self.problem]
        if special and self.stream.random() < 0.5:
            return int(self.stream.choice(special))
        return self.stream.randrange(self.classes)

    def targets(self, count: int) -> list[float]:
        dtype = self.levels["targets_dtype"]
        dtype = self.levels["dtype"] if dtype == "default" else dtype
        hard = self.levels["target_kind"] != "dense"
        if hard and self.softmax:
            chosen = [self.stream.randrange(self.classes) for _ in range(self.outer * self.inner)]
            return [
                float(chosen[o * self.inner + i] == c)
                for o in range(self.outer)
                for c in range(self.classes)
                for i in range(self.inner)
            ]
        values = (0.0, 1.0) if hard else (0.0, 1.0, 0.5, 0.7, 0.9, 0.02, 0.3, 0.999)
        return [rounded(dtype, self.stream.choice(values)) for _ in range(count)]

    def logit(self) -> float:
        kind, dtype = self.levels["logits"], self.levels["dtype"]
        if kind == "mild" or self.stream.random() < 0.25:
            value = self.stream.gauss(-1.0, 2.5)
        elif kind == "extreme":
            far = (100.0, 88.5, 17.0, 37.0, 104.0, 1000.0, 1e-30, 0.0)
            far += (700.0, 745.0, 709.5) if dtype == "f64" else ()
            value = self.stream.choice((-1, 1)) * self.stream.choice(far)
        else:
            value = self.stream.uniform(-25.0, 25.0)
        return rounded(dtype, value)

    def infinities(self) -> None:
        """Sigmoid: a few of either sign. Softmax: -infinity for a class without a target."""
        at = self.stream.randrange(len(self.problem["logits"]))
        if not self.softmax:
            for _ in range(3):
                sign = self.stream.choice((-1, 1))
                self.problem["logits"][at] = sign * float("inf")
                at = (at + 2) % len(self.problem["logits"])
            return
        c, i = at // self.inner % self.classes, at % self.inner
        o = at // (self.inner * self.classes)
        evaluation = form_problems.Evaluation(self.problem)
        if evaluation.target(o, c, i) == 0:
            self.problem["logits"][at] = float("-inf")




def strides(problem: Problem, layout: str) -> dict[str, int]:
    """Padded rows; or also classes further apart than they need to be."""
    if layout == "dense":
        return {}
    inner, n = problem.get("inner", 1), problem["classes"]
    found = {}
    for number, name in enumerate(("logits", "targets", "loss", "gradient")):
        apart = inner
        if layout == "classes apart":
            apart = inner + 1 + number
            found[f"{name}_class_stride"] = apart
        most = max(n, problem.get("selected", 0)) if name == "loss" else n
        found[f"{name}_stride"] = most * apart + number + (layout == "padded")
    if "labels" in problem:
        for name in ("targets_stride", "targets_class_stride"):
            found.pop(name, None)
    return found


SCALARS = (
    *("op", "form", "target_kind", "dtype", "targets_dtype", "loss_dtype", "gradient_dtype"),
    *("outer", "classes", "inner", "gamma_mode", "gamma", "gamma_negative", "margin"),
    *("star_beta", "poly_epsilon", "alpha_mode", "alpha", "smoothing", "smoothing_mode"),
    *("ignore", "background", "normalizer", "normalizer_floor", "normalizer_add"),
    *("hessian_mode", "hessian_floor", "selected"),
)
ARRAYS = (
    *("class_alpha", "class_gamma", "class_weight", "logits", "targets", "labels"),
    *("row_weight", "element_weight", "upstream", "normalizer_value"),
)


def field(value: Any) -> str:
    return value if isinstance(value, str) else exactly(float(value))


def case_text(name: str, problem: Problem, layout: str) -> str:
    fields = [f"{key} {field(problem[key])}" for key in SCALARS if key in problem]
    fields += [f"{key} {value}" for key, value in strides(problem, layout).items()]
    outputs = problem["outputs"]
    fields.append("outputs " + "+".join(outputs))
    lines = [f"case {name}", "problem " + " ".join(fields)]
    for key in ARRAYS:
        if key in problem:
            values = problem[key] if isinstance(problem[key], list) else [problem[key]]
            lines.append(f"{key} " + " ".join(field(value) for value in values))
    if problem.get("form") == "match":
        parts = form_problems.match_costs(problem)
        lines.append("want_loss " + " ".join(sized(part) for part in parts))
        return "\n".join(lines) + "\n"
    expected = form_problems.Evaluation(problem).run()
    total = sized(expected.sum) if "sum" in outputs else "0"
    counts = (expected.rows, expected.positives, expected.ignored)
    sums = [total, *map(str, counts), decimal(expected.weight), decimal(expected.normalizer)]
    lines.append("sums " + " ".join(sums))
    for output in outputs:
        if output != "sum":
            values = " ".join(sized(part) for part in getattr(expected, output))
            lines.append(f"want_{output} {values}")
    return "\n".join(lines) + "\n"


def design(seed: int) -> tuple[list[pairwise.Case], list[pairwise.Pair]]:
    made = pairwise.Design(FACTORS, RULES, seed)
    return made.cases(), made.unreachable


def build(designs: int = DESIGNS) -> str:
    cases = [case for turn in range(designs) for case in design(SEED + turn)[0]]
    texts = [HEADER]
    for number, levels in enumerate(cases):
        problem = CaseMaker(number, levels).make()
        texts.append(case_text(f"{number}", problem, levels["layout"]))
    return "".join(texts)


def write(name: str, make: Callable[[], str], argv: Sequence[str] | None = None) -> int:
    """Shared by the scripts that make one file."""
    parser = argparse.ArgumentParser(description=f"Make {name}.")
    parser.add_argument("--check", action="store_true", help="compare with the file, write none")
    data = Path(__file__).resolve().parent.parent / "data"
    parser.add_argument("--output", type=Path, default=data)
    options = parser.parse_args(argv)
    path, text = options.output / name, make()
    print(f"{name}: {text.count(chr(10) + 'case ')} cases, {len(text)} bytes")
    if not options.check:
        path.write_bytes(text.encode("ascii"))
    elif path.read_bytes() != text.encode("ascii"):
        print(f"{path}: differs from what this script makes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(write("golden_forms.txt", build))
