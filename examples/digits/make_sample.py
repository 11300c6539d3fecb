"""Train two small classifiers on scikit-learn's digits and write their held-out logits.

Usage: python make_sample.py [--check] [--output FOLDER]

Both models are L2-penalised logistic regressions. Their optimum is unique, so it is
approached to about 1e-13 by Newton steps and rounded to multiples of 2^-16. The pixels are
integers 0..16, hence every logit is an exact sum and the files do not depend on the
processor, the BLAS or the number of threads.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

SEED = 20171
CLASSES = 10
PIXEL_SCALE = 16.0
WEIGHT_STEP = 2.0**-16
INVERSE_PENALTY = 10.0
KEPT_POSITIVES = 0.10
LABEL_SMOOTHING = 0.1


def fit_affine(pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of the penalised optimum, rounded to WEIGHT_STEP."""
    model = LogisticRegression(
        C=INVERSE_PENALTY, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    model.fit(pixels / PIXEL_SCALE, labels)
    bias = model.intercept_
    if len(bias) > 1:
        # A shift common to all softmax biases changes no probability and is not penalised:
        # without centring it would be whatever the solver left.
        bias = bias - bias.mean()
    return np.rint(model.coef_ / WEIGHT_STEP), np.rint(bias / WEIGHT_STEP)


def exact_logits(pixels: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Logits in integer arithmetic: units of WEIGHT_STEP / PIXEL_SCALE, rounded once to f32."""
    units = pixels.astype(np.int64) @ weights.T.astype(np.int64)
    units += bias.astype(np.int64) * int(PIXEL_SCALE)
    return (units.astype(np.float64) * (WEIGHT_STEP / PIXEL_SCALE)).astype("<f4")


def softmax_logits(train: np.ndarray, train_labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    weights, bias = fit_affine(train, train_labels)
    return exact_logits(held_out, weights, bias)


def one_vs_rest_logits(
    train: np.ndarray, train_labels: np.ndarray, held_out: np.ndarray
) -> np.ndarray:
    """One binary classifier a digit, each trained with a tenth of its positives (about 1:90)."""
    random = np.random.RandomState(SEED)
    columns = []
    for digit in range(CLASSES):
        positives = np.flatnonzero(train_labels == digit)
        kept = random.permutation(positives)[: round(KEPT_POSITIVES * len(positives))]
        rows = np.sort(np.concatenate([kept, np.flatnonzero(train_labels != digit)]))
        weights, bias = fit_affine(train[rows], train_labels[rows] == digit)
        columns.append(exact_logits(held_out, weights, bias)[:, 0])
    return np.stack(columns, axis=1)


def build() -> dict[str, np.ndarray]:
    pixels, labels = load_digits(return_X_y=True)
    train, held_out, train_labels, held_out_labels = train_test_split(
        pixels, labels, test_size=0.5, random_state=SEED, stratify=labels
    )
    one_hot = np.eye(CLASSES)[held_out_labels]
    smooth = one_hot * (1.0 - LABEL_SMOOTHING) + 0.5 * LABEL_SMOOTHING
    return {
        "softmax_logits.npy": softmax_logits(train, train_labels, held_out),
        "sigmoid_logits.npy": one_vs_rest_logits(train, train_labels, held_out),
        "labels.npy": held_out_labels.astype("<i8"),
        "labels_u8.npy": held_out_labels.astype("u1"),
        "targets.npy": one_hot.astype("<f4"),
        "targets_smooth.npy": smooth.astype("<f4"),
    }


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0))
    return buffer.getvalue()


def describe(arrays: dict[str, np.ndarray]) -> None:
    labels = arrays["labels.npy"]
    softmax = arrays["softmax_logits.npy"]
    sigmoid = arrays["sigmoid_logits.npy"]
    positive = arrays["targets.npy"] == 1
    print(f"rows {len(labels)}, softmax accuracy {np.mean(softmax.argmax(1) == labels):.4f}")
    print(f"softmax logits {softmax.min():.3f} .. {softmax.max():.3f}")
    print(f"sigmoid logits {sigmoid.min():.3f} .. {sigmoid.max():.3f}")
    print(f"sigmoid recall {np.mean(sigmoid[positive] > 0):.4f}", end=", ")
    print(f"false positives {np.mean(sigmoid[~positive] > 0):.5f}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the digits sample.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    options = parser.parse_args()
    arrays = build()
    describe(arrays)
    different = 0
    for name, array in arrays.items():
        content = npy_bytes(array)
        path = options.output / name
        if not options.check:
            path.write_bytes(content)
        elif path.read_bytes() != content:
            print(f"{path}: differs from what this script makes", file=sys.stderr)
            different += 1
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
