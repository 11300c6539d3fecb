"""Write examples/digits/expected.json: what the focal losses of the digits sample add up to.

Usage: python make_expected.py [--check]

Computed from the .npy files in 100 digits, each figure rounded once to double.
"""

from __future__ import annotations

import argparse
import ast
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oracle
from oracle import EXACT, nearest_double

DIGITS = Path(__file__).resolve().parent.parent.parent / "examples" / "digits"

SIGMOID, SOFTMAX = "sigmoid_logits.npy", "softmax_logits.npy"
# The losses a test of `focal eval` computes: name, operation, logits, targets, gamma, alpha.
CASES = (
    ("sigmoid_gamma2_alpha025", "sigmoid", SIGMOID, "targets.npy", 2.0, 0.25),
    ("sigmoid_gamma0", "sigmoid", SIGMOID, "targets.npy", 0.0, None),
    ("sigmoid_smooth_gamma2_alpha025", "sigmoid", SIGMOID, "targets_smooth.npy", 2.0, 0.25),
    ("softmax_gamma2", "softmax", SOFTMAX, "labels.npy", 2.0, None),
    ("softmax_gamma0", "softmax", SOFTMAX, "labels.npy", 0.0, None),
)


def read_npy(path: Path) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and values of a version 1.0, little-endian, C-ordered .npy file."""
    content = path.read_bytes()
    if content[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError(f"{path}: not a .npy file of version 1.0")
    (header_length,) = struct.unpack_from("<H", content, 8)
    header = ast.literal_eval(content[10 : 10 + header_length].decode("latin-1"))
    letter = {"<f4": "f", "<i8": "q", "|u1": "B"}[header["descr"]]
    if header["fortran_order"]:
        raise ValueError(f"{path}: fortran_order is not supported")
    values = [value for (value,) in struct.iter_unpack(f"<{letter}", content[10 + header_length :])]
    return header["shape"], values


def sigmoid_results(logits: list[Any], targets: list[Any], gamma: float, alpha: Any) -> Any:
    points = list(zip(logits, targets))
    losses = [oracle.sigmoid_loss(x, t, gamma, alpha) for x, t in points]
    gradients = [oracle.sigmoid_gradient(x, t, gamma, alpha) for x, t in points]
    return losses, gradients


def softmax_results(logits: list[Any], labels: list[Any], gamma: float, alpha: Any) -> Any:
    classes = len(logits) // len(labels)
    losses, gradients = [], []
    for row, label in enumerate(labels):
        values = logits[row * classes : (row + 1) * classes]
        losses.append(oracle.softmax_loss(values, label, gamma, alpha))
        gradients += oracle.softmax_gradient(values, label, gamma, alpha)
    return losses, gradients


def picked(values: list[Any]) -> dict[str, float]:
    """First, last, two between, and those of largest and smallest magnitude, by flat index."""
    by_size = sorted(range(len(values)), key=lambda index: abs(values[index]))
    last = len(values) - 1
    indices = {0, 1, last // 2, last, by_size[0], by_size[-1]}
    return {str(index): nearest_double(values[index]) for index in sorted(indices)}


def build() -> str:
    results: dict[str, Callable[..., Any]] = {
        "sigmoid": sigmoid_results,
        "softmax": softmax_results,
    }
    cases = []
    for name, operation, logits_file, targets_file, gamma, alpha in CASES:
        shape, logits = read_npy(DIGITS / logits_file)
        _, targets = read_npy(DIGITS / targets_file)
        losses, gradients = results[operation](logits, targets, gamma, alpha)
        total = EXACT.fsum(losses)
        cases.append(
            {
                "name": name,
                "op": operation,
                "logits": logits_file,
                "targets": targets_file,
                "gamma": gamma,
                "alpha": alpha,
                "rows": shape[0],
                "classes": shape[1],
                "losses": len(losses),
                "sum": nearest_double(total),
                "mean": nearest_double(total / len(losses)),
                "mean_over_rows": nearest_double(total / shape[0]),
                "loss_at": picked(losses),
                "sum_of_absolute_gradients": nearest_double(
                    EXACT.fsum(abs(gradient) for gradient in gradients)
                ),
                "gradient_at": picked(gradients),
            }
        )
    return json.dumps({"made_by": "tests/oracle/make_expected.py", "cases": cases}, indent=2) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the expected results of the sample.")
    parser.add_argument("--check", action="store_true", help="compare with the file, write none")
    options = parser.parse_args()
    path = DIGITS / "expected.json"
    text = build()
    if not options.check:
        path.write_bytes(text.encode("ascii"))
    elif path.read_bytes() != text.encode("ascii"):
        print(f"{path}: differs from what this script makes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
