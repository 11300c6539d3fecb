"""The softmax, boosting and matching losses of other implementations; see peers.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from definitions import WIDE
from peers import (
    ANCHORS,
    CLASS_WEIGHT,
    ELEMENTS,
    HARD,
    LOGITS,
    ROWS,
    SHARES,
    Peer,
    Rows,
    dense,
    labelled,
    scalar_alpha,
    sigmoid,
    softmax,
    torchvision,
)

Real = Any

def softmax_label(
    labels: Sequence[int],
    alpha: Sequence[Real],
    gamma: Sequence[Real],
    ignore: Callable[[int], bool] = lambda label: False,
) -> Callable[[Rows], Rows]:
    def losses(rows: Rows) -> Rows:
        found = []
        for row, label in zip(rows, labels):
            if ignore(label):
                found.append([WIDE.mpf(0)])
                continue
            p = softmax(row)[label]
            weight = WIDE.mpf(alpha[label]) * (1 - p) ** WIDE.mpf(gamma[label])
            found.append([weight * -WIDE.log(p)])
        return found

    return losses


def keras_categorical(rows: Rows) -> Rows:
    alpha, s = (0.25, 0.5, 0.75, 0.5), WIDE.mpf(0.125)
    found = []
    for row, targets in zip(rows, SHARES):
        p = softmax(row)
        smooth = [WIDE.mpf(t) * (1 - s) + s / len(p) for t in targets]
        terms = [a * (1 - q) ** 2 * t * -WIDE.log(q) for a, q, t in zip(alpha, p, smooth)]
        found.append([WIDE.fsum(terms)])
    return found


def monai_softmax(rows: Rows) -> Rows:
    """Without alpha; per class, of one-hot or soft targets."""
    return [
        [WIDE.fsum(-((1 - q) ** 2) * WIDE.log(q) * WIDE.mpf(t) for q, t in zip(softmax(r), ts))]
        for r, ts in zip(rows, SHARES)
    ]


def smoothed_softmax(rows: Rows) -> Rows:
    """Cross-entropy with label smoothing 0.1 over all classes, as Liger and PyTorch have it."""
    s = WIDE.mpf(0.1)
    found = []
    for row, label in zip(rows, (3, -100, 0, 2, 1)):
        if label == -100:
            found.append([WIDE.mpf(0)])
            continue
        p = softmax(row)
        even = WIDE.fsum(-WIDE.log(q) for q in p) / len(p)
        found.append([(1 - s) * -WIDE.log(p[label]) + s * even])
    return found


CLASSES5 = [3, 1, 0, 2, 1]
BACKGROUND_ALPHA = [0.75, 0.25, 0.25, 0.25]

SOFTMAX_PEERS = [
    Peer(
        "caffe2 SoftmaxFocalLoss",
        labelled(
            [3, -1, 0, 2, 0],
            "label_i32",
            op="softmax",
            ignore=-1,
            background=0,
            alpha_mode="background",
            alpha=0.25,
            gamma=1.0,
            normalizer="value",
            normalizer_value=2.0,
        ),
        softmax_label([3, -1, 0, 2, 0], BACKGROUND_ALPHA, [1] * 4, lambda label: label < 0),
        2,
        ANCHORS,
    ),
    Peer(
        "mmcv softmax_focal_loss weight mean",
        labelled(CLASSES5, op="softmax", class_weight=CLASS_WEIGHT, **scalar_alpha(), **ROWS),
        softmax_label(CLASSES5, [0.25 * w for w in CLASS_WEIGHT], [2] * 4),
        5,
        ANCHORS,
    ),
    Peer(
        "kornia focal_loss mean",
        labelled(
            [3, -100, 0, 2, 0],
            op="softmax",
            ignore=-100,
            background=0,
            alpha_mode="background",
            alpha=0.25,
            gamma=2.0,
            **ELEMENTS,
        ),
        softmax_label([3, -100, 0, 2, 0], BACKGROUND_ALPHA, [2] * 4, lambda label: label < 0),
        20,
        ANCHORS,
    ),
    Peer(
        "keras categorical_focal_crossentropy",
        dense(
            SHARES,
            op="softmax",
            alpha_mode="per_class",
            class_alpha=[0.25, 0.5, 0.75, 0.5],
            gamma=2.0,
            smoothing=0.125,
            **ROWS,
        ),
        keras_categorical,
        3,
    ),
    Peer(
        "monai FocalLoss use_softmax",
        dense(SHARES, op="softmax", gamma=2.0, **ELEMENTS),
        monai_softmax,
        12,
    ),
    Peer(
        "mindspore FocalLoss",
        labelled(CLASSES5, op="softmax", class_weight=CLASS_WEIGHT, gamma=2.0, **ROWS),
        softmax_label(CLASSES5, CLASS_WEIGHT, [2] * 4),
        5,
        ANCHORS,
    ),
    Peer(
        "artemmavrin sparse_categorical_focal_loss",
        labelled(
            CLASSES5,
            op="softmax",
            gamma_mode="per_class",
            class_gamma=[0.0, 1.0, 2.0, 0.5],
            class_weight=CLASS_WEIGHT,
        ),
        softmax_label(CLASSES5, CLASS_WEIGHT, [0, 1, 2, 0.5]),
        1,
        ANCHORS,
    ),
    Peer(
        "liger cross_entropy label_smoothing",
        labelled([3, -100, 0, 2, 1], op="softmax", ignore=-100, smoothing=0.1, **ROWS),
        smoothed_softmax,
        4,
        ANCHORS,
    ),
]

# ---- Boosting ----

COLUMN = [[x] for row in LOGITS for x in row]
COLUMN_LABELS = [[t] for row in HARD for t in row]
BINARY = {"target_kind": "binary_u8", "targets": [t for row in HARD for t in row], "dtype": "f64"}


def catboost(rows: Rows) -> Rows:
    """Focal:focal_alpha=0.25;focal_gamma=1.5, without the clamp of p."""
    found = []
    for (x,), (t,) in zip(rows, COLUMN_LABELS):
        p = sigmoid(x)
        a, p_t = (WIDE.mpf(0.25), p) if t else (WIDE.mpf(0.75), 1 - p)
        found.append([-a * (1 - p_t) ** WIDE.mpf(1.5) * WIDE.log(p_t)])
    return found


XGBOOST_WEIGHT = [1.0, 0.5, 2.0, 1.0, 0.25]


def xgboost_softprob(rows: Rows) -> Rows:
    plain = softmax_label(CLASSES5, [1] * 4, [0] * 4)(rows)
    return [[WIDE.mpf(w) * loss for loss in row] for w, row in zip(XGBOOST_WEIGHT, plain)]


def xgboost_hessian(rows: Rows) -> Rows:
    """2 p (1-p) w, at least 1e-16."""
    least = WIDE.mpf(1e-16)
    return [
        [max(2 * p * (1 - p) * w, least) for p in softmax(row)]
        for w, row in zip(XGBOOST_WEIGHT, rows)
    ]


BOOSTING_PEERS = [
    Peer(
        "xgboost multi:softprob",
        labelled(
            CLASSES5,
            "label_i32",
            op="softmax",
            row_weight=XGBOOST_WEIGHT,
            hessian_mode="upper",
            hessian_floor=1e-16,
        ),
        xgboost_softprob,
        1,
        [[40 * x for x in row] for row in ANCHORS],
        True,
        xgboost_hessian,
    ),
    Peer("catboost Focal", {**BINARY, **scalar_alpha(gamma=1.5)}, catboost, 1, COLUMN, True),
    Peer(
        "lightgbm focal objective",
        {**BINARY, "gradient_dtype": "f32", **scalar_alpha(gamma=2.0)},
        lambda rows: [
            [torchvision(x, WIDE.mpf(t), WIDE.mpf(0.25), 2)]
            for (x,), (t,) in zip(rows, COLUMN_LABELS)
        ],
        1,
        COLUMN,
        True,
    ),
]

def detr_matcher(logits: Rows, labels: Sequence[int]) -> list[Real]:
    """Positive minus negative focal term of the class, alpha 0.25, gamma 2, without 1e-8."""
    costs = []
    for row in logits:
        for label in labels:
            p = sigmoid(WIDE.mpf(row[label]))
            negative = WIDE.mpf(0.75) * p**2 * -WIDE.log(1 - p)
            positive = WIDE.mpf(0.25) * (1 - p) ** 2 * -WIDE.log(p)
            costs.append(positive - negative)
    return costs
