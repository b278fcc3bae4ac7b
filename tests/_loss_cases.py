"""Losses of every kind with targets and predictions that they take, for tests that ask all of them.

Targets and predictions are in float64, or labels; predictions are such that losses and gradients
are smooth around them, except where a case says "corners".
"""

from dataclasses import dataclass

import numpy as np

from robustreg import losses
from robustreg.losses import LOSSES, Loss


@dataclass(frozen=True)
class Case:
    loss: Loss
    targets: tuple  # none or one
    predictions: tuple

    @property
    def arguments(self):
        return (*self.targets, *self.predictions)


def _log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


RNG = np.random.default_rng(13)
N, C, D = 6, 4, 3
SCORES = RNG.normal(scale=2.0, size=(N, C))
IMAGES = RNG.normal(scale=2.0, size=(N, C, 2, 3))
LABELS = np.array([0, 3, 1, 2, 1, 0])
PIXELS = RNG.integers(0, C, (N, 2, 3))
SHARES = RNG.dirichlet(np.ones(C), N)
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
WEIGHT = (0.5, 1.0, 2.0, 0.25)
SQUARE = RNG.normal(size=(N, 2))
TRUTHS = RNG.integers(0, 2, (N, 2)).astype(float)
CHANCES = RNG.uniform(0.05, 0.95, (N, 2))
VECTORS = tuple(RNG.normal(scale=2.0, size=(N, D)) for _ in range(3))
SEVERAL = np.array(
    [[3, 0, -1, 1], [0, -1, 1, 2], [-1, 0, 1, 2], [1, 2, 3, 0], [2, -1, -1, -1], [0, 3, -1, 2]]
)


def _residual_cases():
    y, error = RNG.normal(size=40), RNG.standard_t(2, size=40)
    others = {
        "smooth_l1 at 0": losses.SmoothL1(0.0),
        "quantile 0.9": losses.Quantile(0.9),
        "log_cosh narrow": losses.LogCosh(0.1),
    }
    for name, loss in {**{name: kind() for name, kind in LOSSES.items()}, **others}.items():
        yield name, Case(loss, (y,), (y + error,))
        corners = np.array([0.0, *loss.kinks(), 1e-8, -1e-8, 19.0 * getattr(loss, "c", 1.0)])
        far = np.array([1e-30, -1e5, 1e10, -1e15])
        r = np.concatenate([corners, far, np.arange(-12.0, 13.0)])
        yield f"{name}, corners", Case(loss, (r,), (np.zeros_like(r),))


def _class_cases():
    for name, loss, score in (
        ("nll", losses.NLL, _log_softmax),
        ("cross_entropy", losses.CrossEntropy, lambda x: x),
    ):
        yield name, Case(loss(), (LABELS,), (score(SCORES),))
        yield f"{name}, weight", Case(loss(weight=WEIGHT), (LABELS,), (score(SCORES),))
        yield f"{name}, balanced", Case(loss(weight="balanced"), (LABELS,), (score(SCORES),))
        ignored = np.where(np.arange(N) == 1, -100, LABELS)
        some = loss(weight=WEIGHT, ignore_index=-100)
        yield f"{name}, ignored", Case(some, (ignored,), (score(SCORES),))
        yield f"{name}, images", Case(loss(weight=WEIGHT), (PIXELS,), (score(IMAGES),))
        yield f"{name}, shares", Case(loss(weight=WEIGHT), (SHARES,), (score(SCORES),))
    smooth = losses.CrossEntropy(weight=WEIGHT, label_smoothing=0.2, ignore_index=3)
    yield "cross_entropy, smoothed", Case(smooth, (LABELS,), (SCORES,))
    yield "cross_entropy, smoothed shares", Case(smooth, (SHARES,), (SCORES,))


def _other_cases():
    bce, logits = losses.BinaryCrossEntropy, losses.BinaryCrossEntropyWithLogits
    yield "binary", Case(bce(), (TRUTHS,), (CHANCES,))
    yield "binary, weight", Case(bce(weight=[0.5, 2.0]), (CHANCES[::-1],), (CHANCES,))
    at_ends = np.array([0.0, 1.0, 0.0, 1.0, 1e-30, 0.5])
    yield "binary, corners", Case(bce(), (np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.25]),), (at_ends,))
    yield "logits", Case(logits(), (CHANCES,), (SQUARE,))
    both = logits(weight=[0.5, 2.0], pos_weight=[3.0, 0.5])
    yield "logits, weights", Case(both, (TRUTHS,), (SQUARE,))
    yield "logits, one weight", Case(logits(pos_weight=9), (TRUTHS,), (SQUARE,))
    far = np.array([0.0, -0.0, 1e-8, 40.0, -40.0, 800.0, -800.0, 1e5, -1e5])
    yield "logits, corners", Case(logits(), (1.0 * (far > 1.0),), (far,))
    yield "soft_margin", Case(losses.SoftMargin(), (SIGNS,), (SQUARE[:, 0],))
    yield "soft_margin, corners", Case(losses.SoftMargin(), (np.ones_like(far),), (far,))
    kl = losses.KLDivergence
    yield "kl", Case(kl(), (SHARES,), (_log_softmax(SCORES),))
    zeros = SHARES * (SHARES > 0.2)
    yield "kl, zeros", Case(kl(), (zeros,), (_log_softmax(SCORES),))
    yield "kl, log", Case(kl(log_target=True), (np.log(SHARES),), (_log_softmax(SCORES),))
    yield "several labels", Case(losses.MultiLabelMargin(), (SEVERAL,), (SCORES,))
    hinge, ranking = losses.HingeEmbedding(margin=0.5), losses.MarginRanking(margin=0.7)
    yield "hinge", Case(hinge, (SIGNS,), (np.abs(SQUARE[:, 0]),))
    at_margin = np.array([0.5, 0.5, 0.0, 2.0, 0.0, 2.0])
    yield "hinge, corners", Case(hinge, (SIGNS,), (at_margin,))
    yield "ranking", Case(ranking, (SIGNS,), (SQUARE[:, 0], SQUARE[:, 1]))
    tied = losses.MarginRanking(), (SIGNS,), (np.ones(N), np.ones(N))
    yield "ranking, corners", Case(*tied)
    for margin in (0.0, 0.3):
        cosine = losses.CosineEmbedding(margin=margin)
        yield f"cosine {margin}", Case(cosine, (SIGNS,), VECTORS[:2])
    long = tuple(1e5 * vector for vector in VECTORS[:2])
    yield "cosine, long", Case(losses.CosineEmbedding(), (SIGNS,), long)
    for options in (
        {},
        {"margin": 2.0, "p": 1.0},
        {"margin": 5.0, "p": 3.0, "swap": True},
        {"margin": 5.0, "p": np.inf, "swap": True},
        {"p": 1.5, "eps": 1e-3},
    ):
        yield f"triplet {options}", Case(losses.TripletMargin(**options), (), VECTORS)
    alike = (VECTORS[0], VECTORS[0], VECTORS[0])
    yield "triplet, corners", Case(losses.TripletMargin(eps=0.0), (), alike)


CASES = {**dict(_residual_cases()), **dict(_class_cases()), **dict(_other_cases())}
SMOOTH = {name: case for name, case in CASES.items() if "corners" not in name}
