"""The sigmoid losses of other implementations, and the problems that reproduce them.

Each peer is here twice: as its documentation or source defines it, on rows of logits, in 400
digits and without its clips; and as the problem of docs/forms.md that reproduces it.
peers_softmax.py has the other ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from definitions import WIDE
from form_problems import Problem

Real = Any
Rows = list[list[Real]]

LOGITS = [[0.75, -2.5, 0.125, 4.0], [-4.5, -5.25, 1.5, -0.375], [2.0, -7.0, -3.0, 0.0]]
SOFT = [[0.0, 0.6875, 1.0, 0.25], [0.0, 0.0, 0.875, 0.0], [0.5, 0.03125, 0.0, 1.0]]
HARD = [[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
SHARES = [[0.125, 0.6875, 0.0, 0.1875], [0.0, 0.0, 1.0, 0.0], [0.25, 0.25, 0.25, 0.25]]
ANCHORS = [[*row] for row in LOGITS] + [[1.0, -1.0, -6.0, 3.0], [-3.5, 0.5, -4.0, -9.0]]
CLASS_WEIGHT = [0.5, 2.0, 1.0, 1.5]


def sigmoid(x: Real) -> Real:
    return 1 / (1 + WIDE.exp(-x))


def bce(x: Real, t: Real) -> Real:
    """Binary cross-entropy with logits."""
    return -t * WIDE.log(sigmoid(x)) - (1 - t) * WIDE.log(1 - sigmoid(x))


def softmax(row: Sequence[Real]) -> list[Real]:
    exponentials = [WIDE.exp(x) for x in row]
    return [e / WIDE.fsum(exponentials) for e in exponentials]


def one_hot(label: int, classes: int) -> list[int]:
    return [int(c == label) for c in range(classes)]


@dataclass
class Peer:
    """`losses` gives for each row its losses, one per logit, or just one, and `divisor` what their
    sum is divided by."""

    name: str
    recipe: Problem
    losses: Callable[[Rows], Rows]
    divisor: Real = 1
    logits: Rows = field(default_factory=lambda: LOGITS)
    second: bool = False  # also the second derivative
    hessian: Callable[[Rows], Rows] | None = None  # what the peer has in its place


def torchvision(
    x: Real, t: Real, alpha: Real, gamma: Real, target_in_ce: Real | None = None
) -> Real:
    """p_t, CE * (1 - p_t)^gamma, alpha_t; alpha below 0 is off. fvcore, DETR, Paddle, optax too."""
    p = sigmoid(x)
    p_t = p * t + (1 - p) * (1 - t)
    loss = bce(x, t if target_in_ce is None else target_in_ce) * (1 - p_t) ** WIDE.mpf(gamma)
    if alpha >= 0:
        loss *= alpha * t + (1 - alpha) * (1 - t)
    return loss


def elementwise(f: Callable[[Real, Real], Real], targets: Rows) -> Callable[[Rows], Rows]:
    return lambda rows: [[f(x, WIDE.mpf(t)) for x, t in zip(*pair)] for pair in zip(rows, targets)]


def dense(targets: Rows, **recipe: Any) -> Problem:
    return {"targets": [t for row in targets for t in row], **recipe}


def labelled(labels: list[int], kind: str = "label_i64", **recipe: Any) -> Problem:
    return {"target_kind": kind, "labels": labels, **recipe}


def scalar_alpha(alpha: Real = 0.25, gamma: Real = 2.0, **more: Any) -> Problem:
    return {"alpha_mode": "scalar", "alpha": alpha, "gamma": gamma, **more}


def label_rows(
    labels: Sequence[int], f: Callable[[Real, Real], Real], ignore: int | None = None
) -> Callable[[Rows], Rows]:
    """One-hot rows; an ignored one has no losses, any other label outside has no positive."""

    def losses(rows: Rows) -> Rows:
        return [
            [WIDE.mpf(0)] * len(row)
            if label == ignore
            else [f(x, WIDE.mpf(t)) for x, t in zip(row, one_hot(label, len(row)))]
            for row, label in zip(rows, labels)
        ]

    return losses


# ---- Sigmoid, dense targets ----

ELEMENTS = {"normalizer": "elements"}
ROWS = {"normalizer": "rows"}


def star(x: Real, t: Real, gamma: Real, alpha: Real, beta: Real = 0) -> Real:
    """-log sigmoid(gamma x (2t - 1) + beta) / gamma; beta is the paper's, fvcore has none."""
    loss = -WIDE.log(sigmoid(gamma * x * (2 * t - 1) + beta)) / gamma
    return loss * (alpha * t + (1 - alpha) * (1 - t)) if alpha >= 0 else loss


def kornia_binary(x: Real, t: Real) -> Real:
    p, g, a = sigmoid(x), 2, WIDE.mpf(0.25)
    positive = -a * (1 - p) ** g * t * WIDE.log(p)
    return positive - (1 - a) * p**g * (1 - t) * WIDE.log(1 - p)


def monai_sigmoid(x: Real, t: Real) -> Real:
    loss = x - x * t - WIDE.log(sigmoid(x))
    inverse = WIDE.log(sigmoid(-x * (t * 2 - 1)))
    return WIDE.exp(inverse * 2) * loss


def smp(x: Real, t: Real) -> Real:
    cross_entropy = bce(x, t)
    p_t = WIDE.exp(-cross_entropy)
    return (1 - p_t) ** 2 * cross_entropy * (WIDE.mpf(0.25) * t + WIDE.mpf(0.75) * (1 - t))


def quality(x: Real, t: Real) -> Real:
    return bce(x, t) * abs(t - sigmoid(x)) ** 2


def varifocal(x: Real, t: Real) -> Real:
    weight = t if t > 0 else WIDE.mpf(0.75) * sigmoid(x) ** 2
    return bce(x, t) * weight


def asymmetric(x: Real, t: Real) -> Real:
    """ASL: gamma 1 and 4, clip 0.05 added to 1 - p and cut at 1."""
    positive = sigmoid(x)
    negative = min(1 - positive + WIDE.mpf(0.05), WIDE.mpf(1))
    loss = t * WIDE.log(positive) + (1 - t) * WIDE.log(negative)
    p_t = positive * t + negative * (1 - t)
    return -loss * (1 - p_t) ** (t * 1 + (1 - t) * 4)


def poly1(x: Real, t: Real) -> Real:
    p = sigmoid(x)
    p_t = t * p + (1 - t) * (1 - p)
    return torchvision(x, t, WIDE.mpf(0.25), 2) + (1 - p_t) ** 3


def keras_binary(x: Real, t: Real) -> Real:
    """Label smoothing comes first and is seen by everything."""
    smooth = t * (1 - WIDE.mpf(0.125)) + WIDE.mpf(0.125) / 2
    return torchvision(x, smooth, WIDE.mpf(0.25), 2)


def smoothed_cross_entropy(x: Real, t: Real) -> Real:
    """apex, EfficientDet: alpha 0.25, gamma 1.5, smoothing 0.125 in the cross-entropy alone."""
    smooth = t * (1 - WIDE.mpf(0.125)) + WIDE.mpf(0.125) / 2
    return torchvision(x, t, WIDE.mpf(0.25), 1.5, smooth)


def plain(alpha: Real, gamma: Real) -> Callable[[Real, Real], Real]:
    return lambda x, t: torchvision(x, t, WIDE.mpf(alpha), gamma)


def artemmavrin_binary(x: Real, t: Real) -> Real:
    """pos_weight 3."""
    p = sigmoid(x)
    return 3 * t * (1 - p) ** 2 * -WIDE.log(p) + (1 - t) * p**2 * -WIDE.log(1 - p)


SMOOTHED = {"smoothing": 0.125, "smoothing_mode": "cross_entropy"}

DENSE_PEERS = [
    Peer(
        "torchvision sigmoid_focal_loss mean",
        dense(SOFT, **scalar_alpha(), **ELEMENTS),
        elementwise(plain(0.25, 2), SOFT),
        12,
    ),
    Peer("fvcore sigmoid_focal_loss sum", dense(SOFT, gamma=2.0), elementwise(plain(-1, 2), SOFT)),
    Peer(
        "fvcore sigmoid_focal_loss_star mean",
        dense(SOFT, form="star", **scalar_alpha(gamma=3.0), **ELEMENTS),
        elementwise(lambda x, t: star(x, t, 3, WIDE.mpf(0.25)), SOFT),
        12,
    ),
    Peer(
        "paper appendix A",
        dense(HARD, form="star", gamma=2.0, star_beta=1.0),
        elementwise(lambda x, t: star(x, t, 2, -1, 1), HARD),
    ),
    Peer("optax sigmoid_focal_loss", dense(SOFT, gamma=2.0), elementwise(plain(-1, 2), SOFT)),
    Peer(
        "paddle sigmoid_focal_loss",
        dense(SOFT, **scalar_alpha(), normalizer="value", normalizer_value=3.0),
        elementwise(plain(0.25, 2), SOFT),
        3,
    ),
    Peer(
        "transformers sigmoid_focal_loss",
        dense(SOFT, **scalar_alpha(), normalizer="value", normalizer_value=4 * 7.0),
        elementwise(plain(0.25, 2), SOFT),
        4 * 7,
    ),
    Peer(
        "tensorflow_addons sigmoid_focal_crossentropy",
        dense(HARD, **scalar_alpha()),
        lambda rows: [[WIDE.fsum(r)] for r in elementwise(plain(0.25, 2), HARD)(rows)],
    ),
    Peer(
        "keras binary_focal_crossentropy",
        dense(HARD, smoothing=0.125, **scalar_alpha(), **ELEMENTS),
        elementwise(keras_binary, HARD),
        12,
    ),
    Peer(
        "kornia binary_focal_loss_with_logits",
        dense(SOFT, form="split", **scalar_alpha(), **ELEMENTS),
        elementwise(kornia_binary, SOFT),
        12,
    ),
    Peer(
        "monai FocalLoss",
        dense(SOFT, form="scaled", gamma=2.0, **ELEMENTS),
        elementwise(monai_sigmoid, SOFT),
        12,
    ),
    Peer(
        "segmentation_models_pytorch FocalLoss",
        dense(SOFT, form="confidence", **scalar_alpha(), **ELEMENTS),
        elementwise(smp, SOFT),
        12,
    ),
    Peer(
        "mmdet QualityFocalLoss",
        dense(SOFT, form="quality", gamma=2.0, **ROWS),
        lambda rows: [[WIDE.fsum(r)] for r in elementwise(quality, SOFT)(rows)],
        3,
    ),
    Peer(
        "mmdet VarifocalLoss",
        dense(SOFT, form="varifocal", **scalar_alpha(0.75), **ELEMENTS),
        elementwise(varifocal, SOFT),
        12,
    ),
    Peer(
        "ASL AsymmetricLoss",
        dense(HARD, form="split", gamma_mode="split", gamma=1.0, gamma_negative=4.0, margin=0.05),
        elementwise(asymmetric, HARD),
    ),
    Peer(
        "polyloss Poly1FocalLoss mean",
        dense(HARD, poly_epsilon=1.0, **scalar_alpha(), **ELEMENTS),
        elementwise(poly1, HARD),
        12,
    ),
    Peer(
        "artemmavrin binary_focal_loss",
        dense(SOFT, form="split", row_weight=[4.0] * 3, **scalar_alpha(0.75)),
        elementwise(artemmavrin_binary, SOFT),
    ),
]

# ---- Sigmoid, labels ----

ANCHOR_LABELS = [3, 4, 0, -1, 4]  # 4 is the background, -1 ignored
SHIFTED = [3, -1, 0, -2, -1]  # -1 is the background, -2 ignored

LABEL_PEERS = [
    Peer(
        "detectron2 RetinaNet",
        labelled(
            ANCHOR_LABELS,
            background=4,
            ignore=-1,
            normalizer="value",
            normalizer_value=90.5,
            **scalar_alpha(),
        ),
        label_rows(ANCHOR_LABELS, plain(0.25, 2), -1),
        90.5,
        ANCHORS,
    ),
    Peer(
        "caffe2 SigmoidFocalLoss",
        labelled(
            SHIFTED,
            "label_i32",
            background=-1,
            ignore=-2,
            normalizer="value",
            normalizer_value=2.0,
            **scalar_alpha(gamma=1.0),
        ),
        label_rows(SHIFTED, plain(0.25, 1), -2),
        2,
        ANCHORS,
    ),
    Peer(
        "mmcv sigmoid_focal_loss weight mean",
        labelled(
            [3, 4, 0, 2, 4],
            background=4,
            row_weight=[1.5, 1.0, 0.5, 1.0, 1.0],
            **scalar_alpha(),
            **ROWS,
        ),
        lambda rows: [
            [w * loss for loss in row]
            for w, row in zip(
                (1.5, 1, 0.5, 1, 1), label_rows([3, 4, 0, 2, 4], plain(0.25, 2))(rows)
            )
        ],
        5,
        ANCHORS,
    ),
    Peer(
        "mmdet FocalLoss avg_factor loss_weight",
        labelled(
            [3, 4, 0, 2, 4],
            background=4,
            row_weight=[1.0, 0.0, 1.0, 1.0, 0.5],
            normalizer="value",
            normalizer_value=3.5 / 2.0,
            **scalar_alpha(),
        ),
        lambda rows: [
            [w * loss for loss in row]
            for w, row in zip((1, 0, 1, 1, 0.5), label_rows([3, 4, 0, 2, 4], plain(0.25, 2))(rows))
        ],
        3.5 / 2.0,
        ANCHORS,
    ),
    Peer(
        "apex focal_loss",
        labelled(
            SHIFTED,
            background=-1,
            ignore=-2,
            normalizer="value",
            normalizer_value=2.0,
            **SMOOTHED,
            **scalar_alpha(gamma=1.5),
        ),
        label_rows(SHIFTED, smoothed_cross_entropy, -2),
        2,
        ANCHORS,
    ),
    Peer(
        "efficientdet focal_loss",
        labelled(
            SHIFTED,
            background=-1,
            ignore=-2,
            normalizer="positives",
            normalizer_add=1.0,
            **SMOOTHED,
            **scalar_alpha(gamma=1.5),
        ),
        label_rows(SHIFTED, smoothed_cross_entropy, -2),
        3,
        ANCHORS,
    ),
    Peer(
        "torchvision RetinaNet head",
        labelled(
            ANCHOR_LABELS,
            background=4,
            ignore=-1,
            normalizer="positives",
            normalizer_floor=1.0,
            **scalar_alpha(),
        ),
        label_rows(ANCHOR_LABELS, plain(0.25, 2), -1),
        2,
        ANCHORS,
    ),
    Peer(
        "mmseg FocalLoss alpha list",
        labelled(
            [3, 255, 0, 2, 1],
            "label_u8",
            ignore=255,
            alpha_mode="per_class",
            class_alpha=[0.25, 0.5, 0.75, 0.5],
            class_weight=CLASS_WEIGHT,
            gamma=2.0,
            **ELEMENTS,
        ),
        lambda rows: [
            [
                WIDE.mpf(0)
                if label == 255
                else WIDE.mpf(CLASS_WEIGHT[c])
                * torchvision(x, WIDE.mpf(c == label), (0.25, 0.5, 0.75, 0.5)[c], 2)
                for c, x in enumerate(row)
            ]
            for row, label in zip(rows, (3, 255, 0, 2, 1))
        ],
        20,
        ANCHORS,
    ),
]
