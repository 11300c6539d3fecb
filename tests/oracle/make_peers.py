"""Write tests/data/golden_peers.txt: what other implementations compute, by their own formulas.

Usage: python make_peers.py [--check] [--output FOLDER]

The file has the problem of docs/forms.md that reproduces a peer, and the peer's own results, with
derivatives by differences. It is not written unless the oracle of the problem (form_problems.py)
agrees with the peer to 25 digits.
"""

from __future__ import annotations

import sys
from typing import Any

import definitions
import form_problems
from definitions import WIDE
from form_problems import Problem
from forms import Sized
from make_forms import case_text, rounded, sized, write
from oracle import EXACT
from peers import DENSE_PEERS, LABEL_PEERS, LOGITS, Peer, scalar_alpha
from peers_softmax import BOOSTING_PEERS, SOFTMAX_PEERS, detr_matcher

Real = Any

PEERS = [*DENSE_PEERS, *LABEL_PEERS, *SOFTMAX_PEERS, *BOOSTING_PEERS]

HEADER = """\
# What other implementations compute, by their own formulas without their clips, as the problems
# that reproduce them: made by tests/oracle/make_peers.py; the format is that of golden_forms.txt.
"""


def agree(where: str, mine: Sized, peer: Real) -> Sized:
    """The peer's value, with the magnitude of the terms; must be that of the recipe."""
    if abs(WIDE.mpf(mine.value) - peer) > WIDE.mpf(mine.size) * WIDE.mpf(10) ** -25:
        raise ArithmeticError(f"{where}: the recipe gives {mine.value}, the peer {peer}")
    return Sized(EXACT.mpf(peer), mine.size)


def completed(peer: Peer) -> Problem:
    """The recipe with shape, logits and outputs."""
    rows = peer.logits
    problem: Problem = {
        "outer": len(rows),
        "classes": len(rows[0]),
        "logits": [x for row in rows for x in row],
        **peer.recipe,
    }
    if "targets" in problem:
        dtype = problem.get("dtype", "f32")
        assert all(rounded(dtype, x) == x for x in problem["logits"])
    per_logit = len(peer.losses([[WIDE.mpf(x) for x in row] for row in rows])[0]) > 1
    one = per_logit or len(rows[0]) == 1
    problem["outputs"] = ["sum", "loss" if one else "row_loss", "gradient"]
    problem["outputs"] += ["hessian"] if peer.second else []
    return problem


def peer_text(peer: Peer) -> str:
    problem = completed(peer)
    expected = form_problems.Evaluation(problem).run()
    rows = [[WIDE.mpf(x) for x in row] for row in peer.logits]

    def reduced(r: int, c: int, x: Real) -> Real:
        changed = [[*row] for row in rows]
        changed[r][c] = x
        return WIDE.fsum(loss for row in peer.losses(changed) for loss in row) / peer.divisor

    name = peer.name
    flat = [loss for row in peer.losses(rows) for loss in row]
    output = problem["outputs"][1]
    mine = getattr(expected, output)
    wanted = {output: [agree(f"{name} {output}", a, b) for a, b in zip(mine, flat)]}
    assert len(mine) == len(flat), name
    places = [(r, c) for r in range(len(rows)) for c in range(len(rows[0]))]
    for quantity, order in (("gradient", 1), ("hessian", 2)):
        if quantity not in problem["outputs"]:
            continue
        if quantity == "hessian" and peer.hessian:
            own = [bend for row in peer.hessian(rows) for bend in row]
            wanted[quantity] = [agree(f"{name} hessian", *pair) for pair in zip(expected.hessian, own)]
            continue
        wanted[quantity] = [
            agree(
                f"{name} {quantity} {r} {c}",
                a,
                definitions.derivative(
                    lambda x, r=r, c=c: reduced(r, c, x), peer.logits[r][c], order
                ),
            )
            for a, (r, c) in zip(getattr(expected, quantity), places)
        ]
    total = agree(f"{name} sum", expected.sum, reduced(0, 0, rows[0][0]))
    lines = case_text(name.replace(" ", "_"), problem, "dense").splitlines()
    for number, line in enumerate(lines):
        word = line.split(" ")[0]
        if word == "sums":
            counts = line.split(" ")[2:]
            lines[number] = " ".join(["sums", sized(total), *counts])
        elif word.startswith("want_"):
            values = wanted[word.removeprefix("want_")]
            lines[number] = " ".join([word, *(sized(part) for part in values)])
    return "\n".join(lines) + "\n"


def matcher_problem() -> Problem:
    return {
        "form": "match",
        "target_kind": "label_i32",
        "outer": 3,
        "classes": 4,
        "selected": 3,
        "labels": [2, 0, 3],
        "logits": [x for row in LOGITS for x in row],
        "outputs": ["loss"],
        **scalar_alpha(),
    }


def matcher_text() -> str:
    problem = matcher_problem()
    mine = form_problems.match_costs(problem)
    for a, b in zip(mine, detr_matcher(LOGITS, problem["labels"])):
        agree("matcher", a, b)
    return case_text("detr_HungarianMatcher", problem, "dense")


def build() -> str:
    return HEADER + "".join(peer_text(peer) for peer in PEERS) + matcher_text()


if __name__ == "__main__":
    sys.exit(write("golden_peers.txt", build))
