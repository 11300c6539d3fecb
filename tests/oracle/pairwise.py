"""A small pairwise covering design: every two levels of any two factors meet in some case.

Greedy, from a fixed seed: each case starts from a pair that is not covered yet and takes, factor
by factor in random order, the allowed level that covers most. What may not stand together is said
by rules, each a set of factors with a predicate that is asked as soon as all of them are chosen.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Case = dict[str, Any]
Rule = tuple[tuple[str, ...], Callable[..., bool]]
Pair = tuple[str, int, str, int]

CANDIDATES = 12
ATTEMPTS = 60


def allowed(case: Mapping[str, Any], rules: Sequence[Rule]) -> bool:
    return all(
        predicate(*(case[name] for name in names))
        for names, predicate in rules
        if all(name in case for name in names)
    )


class Design:
    def __init__(
        self, factors: Mapping[str, Sequence[Any]], rules: Sequence[Rule], seed: int
    ) -> None:
        self.factors = {name: list(levels) for name, levels in factors.items()}
        self.rules = rules
        self.stream = random.Random(seed)
        names = list(self.factors)
        self.open: dict[Pair, None] = {  # ordered, so that the seed decides everything
            (a, i, b, j): None
            for a, b in itertools.combinations(names, 2)
            for i, left in enumerate(self.factors[a])
            for j, right in enumerate(self.factors[b])
            if allowed({a: left, b: right}, rules)
        }
        self.unreachable: list[Pair] = []
        self.order = {name: number for number, name in enumerate(names)}

    def key(self, a: str, i: int, b: str, j: int) -> Pair:
        return (a, i, b, j) if self.order[a] < self.order[b] else (b, j, a, i)

    def complete(self, chosen: dict[str, int]) -> dict[str, int] | None:
        """All factors, or None in a dead end."""
        rest = [name for name in self.factors if name not in chosen]
        self.stream.shuffle(rest)
        case = {name: self.factors[name][index] for name, index in chosen.items()}
        for name in rest:
            best, best_gain = [], -1
            for index, level in enumerate(self.factors[name]):
                if not allowed({**case, name: level}, self.rules):
                    continue
                gain = sum(
                    self.key(name, index, other, at) in self.open for other, at in chosen.items()
                )
                if gain > best_gain:
                    best, best_gain = [index], gain
                elif gain == best_gain:
                    best.append(index)
            if not best:
                return None
            chosen = {**chosen, name: self.stream.choice(best)}
            case[name] = self.factors[name][chosen[name]]
        return chosen

    def covered(self, chosen: dict[str, int]) -> list[Pair]:
        pairs = itertools.combinations(self.factors, 2)
        keys = (self.key(a, chosen[a], b, chosen[b]) for a, b in pairs)
        return [key for key in keys if key in self.open]

    def next_case(self) -> dict[str, int] | None:
        """The best of some candidates; None if the pair they start from cannot be had."""
        a, i, b, j = next(iter(self.open))
        best: dict[str, int] | None = None
        best_gain = 0
        for attempt in range(ATTEMPTS):
            if attempt >= CANDIDATES and best is not None:
                break
            chosen = self.complete({a: i, b: j})
            gain = len(self.covered(chosen)) if chosen else 0
            if gain > best_gain:
                best, best_gain = chosen, gain
        return best

    def cases(self) -> list[Case]:
        found = []
        while self.open:
            chosen = self.next_case()
            if chosen is None:
                pair = next(iter(self.open))
                self.unreachable.append(pair)
                del self.open[pair]
                continue
            for pair in self.covered(chosen):
                del self.open[pair]
            found.append({name: self.factors[name][chosen[name]] for name in self.factors})
        return found
