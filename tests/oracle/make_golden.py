"""Write tests/data/golden_sigmoid.txt and golden_softmax.txt: exact losses and gradients.

Usage: python make_golden.py [--check] [--output FOLDER]

Before it is written, every gradient is compared with mpmath's numerical derivative of the
loss; in rows of 100 classes, the label's and every tenth one (all of them pass, in minutes).
"""

from __future__ import annotations

import argparse
import itertools
import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import oracle

WIDE = oracle.EXACT.clone()
WIDE.dps = 300

SEED = 20170807
GAMMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.7, 5.0)
ALPHAS: tuple[float | None, ...] = (None, 0.25)
TARGETS = (0.0, 1.0, 0.1, 0.5, 0.9)
FLOAT_MAX = (2 - 2.0**-23) * 2.0**127
FLOAT_SMALLEST = 2.0**-149

# Taken for every gamma, alpha and target. 16.6355 and 17.3287 are 24 and 25 times log 2, where
# p and 1 - p computed by subtraction in f32 reach one; 88 and 104 are where exp(-x) leaves the
# normal and the subnormal range.
FIXED_MAGNITUDES = [0.0, FLOAT_SMALLEST, 1e-30, 2.0**-24, 16.6355, 17.3287]
FIXED_MAGNITUDES += [88.0, 104.0, 200.0, FLOAT_MAX]
# Magnitudes drawn anew for each combination; both signs.
DRAWN_RANGES = [(1e-6, 1e-2), (1e-2, 1.0), (1.0, 3.0), (3.0, 6.0), (6.0, 16.0), (16.0, 50.0)]
DRAWN_RANGES += [(50.0, 110.0), (110.0, 200.0)]

SOFTMAX_ROWS = {2: 72, 3: 72, 10: 48, 100: 24}

HEADER = """\
# Exact values of the focal loss, made by tests/oracle/make_golden.py (seed {seed}).
# One point a line, fields separated by one space, lines that start with # are comments.
# Floats are C99 hexadecimal (strtod reads them); integers are decimal; alpha nan means off.
# gamma, alpha, logits and targets are exactly representable in f32 (so 0.1 means 0.1f).
# loss and gradient are the exact value rounded once to double, ties to even, with gradual
# underflow: below 2^-1075 they are zero, with the sign of the exact value.
"""

SIGMOID_HEADER = """\
# sigmoid gamma alpha logit target loss gradient
# loss = alpha_t (1-p_t)^gamma BCE(logit, target), p_t = p t + (1-p)(1-t),
# alpha_t = alpha t + (1-alpha)(1-t), or 1 when alpha is off. gradient = d loss / d logit.
"""

SOFTMAX_HEADER = """\
# softmax gamma alpha classes label logits[classes] loss gradients[classes]
# loss = alpha (1-p_t)^gamma (-log p_t), p_t the softmax probability of the label;
# alpha multiplies every row alike, 1 when off. gradients = d loss / d logits.
"""


def float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def hexadecimal(value: float) -> str:
    """As %a prints it: without trailing zeros in the fraction."""
    mantissa, exponent = value.hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}"


def alpha_field(alpha: float | None) -> str:
    return "nan" if alpha is None else hexadecimal(alpha)


def check_derivative(loss: Callable[[Any], Any], at: float, gradient: Any, where: str) -> None:
    """The gradient agrees to 40 digits with a central difference of the loss.

    300 digits and a step of 1e-60 leave enough of both, also at FLT_MAX and where the loss
    itself is as small as exp(-FLT_MAX).
    """
    numerical = WIDE.diff(loss, WIDE.mpf(at), h=WIDE.mpf(10) ** -60)
    tolerance = abs(WIDE.mpf(gradient)) * WIDE.mpf(10) ** -40
    # Only for gradients that are zero, or nearly so, by symmetry.
    tolerance += abs(loss(at)) * WIDE.mpf(10) ** -100
    if abs(numerical - WIDE.mpf(gradient)) > tolerance:
        raise ArithmeticError(f"{where}: gradient {gradient}, numerical derivative {numerical}")


def sigmoid_logits(stream: random.Random) -> Iterator[float]:
    for magnitude in FIXED_MAGNITUDES:
        yield float32(magnitude)
        yield -float32(magnitude)
    for low, high in DRAWN_RANGES:
        yield float32(stream.uniform(low, high))
        yield -float32(stream.uniform(low, high))


def sigmoid_line(logit: float, target: float, gamma: float, alpha: float | None) -> str:
    def wide_loss(x: Any) -> Any:
        return oracle.sigmoid_loss(x, target, gamma, alpha, WIDE)

    loss = oracle.sigmoid_loss(logit, target, gamma, alpha)
    gradient = oracle.sigmoid_gradient(logit, target, gamma, alpha)
    where = f"sigmoid {gamma} {alpha} {logit} {target}"
    check_derivative(wide_loss, logit, gradient, where)
    fields = [hexadecimal(gamma), alpha_field(alpha), hexadecimal(logit), hexadecimal(target)]
    fields += [hexadecimal(oracle.nearest_double(value)) for value in (loss, gradient)]
    return "sigmoid " + " ".join(fields)


def sigmoid_lines() -> Iterator[str]:
    stream = random.Random(SEED)
    for gamma, alpha, target in itertools.product(GAMMAS, ALPHAS, TARGETS):
        for logit in sigmoid_logits(stream):
            yield sigmoid_line(logit, float32(target), float32(gamma), alpha)


def softmax_row(stream: random.Random, kind: int, classes: int, label: int) -> list[float]:
    """One row of logits; kinds 0..7 as the comments say."""
    unit = [stream.gauss(0.0, 1.0) for _ in range(classes)]
    other = (label + 1 + stream.randrange(classes - 1)) % classes
    if kind == 0:  # of order one
        row = unit
    elif kind == 1:  # wide: a few classes matter
        row = [12.0 * value for value in unit]
    elif kind == 2:  # right, confident: 1 - p_t from about 1e-4 to 1e-40
        row = list(unit)
        row[label] += stream.uniform(10.0, 100.0)
    elif kind == 3:  # wrong, confident
        row = list(unit)
        row[other] += stream.uniform(10.0, 100.0)
    elif kind == 4:  # all equal: p_t = 1 / classes
        row = [stream.choice((0.0, -0.0, 3.5, -200.0))] * classes
    elif kind == 5:  # mixed magnitudes, 1e-30 to 200
        row = [stream.choice((-1, 1)) * 10.0 ** stream.uniform(-30.0, 2.3) for _ in unit]
    elif kind == 6:  # a large common offset, as masked or unnormalised scores have
        offset = stream.choice((-1e4, 1e4))
        row = [offset + 3.0 * value for value in unit]
    else:  # one class far out, 200 up or down, label or not
        row = list(unit)
        row[stream.choice((label, other))] = stream.choice((-200.0, 200.0))
    return [float32(value) for value in row]


def softmax_line(row: list[float], label: int, gamma: float, alpha: float | None) -> str:
    loss = oracle.softmax_loss(row, label, gamma, alpha)
    gradients = oracle.softmax_gradient(row, label, gamma, alpha)
    for index in {label, *range(0, len(row), max(1, len(row) // 10))}:

        def wide_loss(x: Any, index: int = index) -> Any:
            changed = [*row[:index], x, *row[index + 1 :]]
            return oracle.softmax_loss(changed, label, gamma, alpha, WIDE)

        where = f"softmax {gamma} {alpha} {len(row)} {label}, class {index}"
        check_derivative(wide_loss, row[index], gradients[index], where)
    fields = [hexadecimal(gamma), alpha_field(alpha), str(len(row)), str(label)]
    fields += [hexadecimal(value) for value in row]
    fields += [hexadecimal(oracle.nearest_double(value)) for value in (loss, *gradients)]
    return "softmax " + " ".join(fields)


def softmax_lines() -> Iterator[str]:
    stream = random.Random(SEED)
    for classes, rows in SOFTMAX_ROWS.items():
        for index in range(rows):
            gamma = float32(GAMMAS[index % len(GAMMAS)])
            alpha = ALPHAS[stream.randrange(len(ALPHAS))]
            label = stream.randrange(classes)
            row = softmax_row(stream, index % 8, classes, label)
            yield softmax_line(row, label, gamma, alpha)


def build() -> dict[str, str]:
    header = HEADER.format(seed=SEED)
    return {
        "golden_sigmoid.txt": header + SIGMOID_HEADER + "\n".join(sigmoid_lines()) + "\n",
        "golden_softmax.txt": header + SOFTMAX_HEADER + "\n".join(softmax_lines()) + "\n",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the golden values.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).resolve().parent.parent / "data"
    )
    options = parser.parse_args()
    different = 0
    for name, text in build().items():
        path = options.output / name
        points = sum(1 for line in text.splitlines() if not line.startswith("#"))
        print(f"{name}: {points} points, {len(text)} bytes")
        if not options.check:
            path.write_bytes(text.encode("ascii"))
        elif path.read_bytes() != text.encode("ascii"):
            print(f"{path}: differs from what this script makes", file=sys.stderr)
            different += 1
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
