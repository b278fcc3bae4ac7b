"""Every loss of the package, in two pictures.

`LossDisplay` draws those of a residual, each in a panel of its own: the loss, its derivative, which
is the influence of a row on a fit, and the weight that the row has in it. The table that is printed
says what the shapes are worth: the efficiency on clean Gaussian data, the largest influence of a
row, and how much of its weight is left to a row six scales away.

The second picture, written beside the first, has the losses of other kinds over what they judge.

Run it with ``python examples/losses.py [--output picture.png]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _picture import import_pyplot, parse_output, save

from robustreg.losses import (
    LOSSES,
    NLL,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    CosineEmbedding,
    CrossEntropy,
    EpsilonInsensitive,
    HingeEmbedding,
    KLDivergence,
    Loss,
    MarginRanking,
    MultiLabelMargin,
    Quantile,
    SoftMargin,
    TripletMargin,
    gaussian_efficiency,
)
from robustreg.plotting import LossDisplay

# Constants that show the shape better than the defaults do.
TELLING = {"quantile": Quantile(0.8), "epsilon_insensitive": EpsilonInsensitive(1.0)}
RESIDUAL = [TELLING.get(name, kind()) for name, kind in LOSSES.items()]
FAR = 6.0  # scales
LINES = ("-", "--")


class Judged(NamedTuple):
    """One panel: a loss over what it judges, a curve for each target."""

    name: str
    axis: str
    x: np.ndarray
    curves: dict[str, np.ndarray]


def print_shapes() -> None:
    print(f"{'':36}{'efficiency':>12}{'influence':>12}{'weight at 6':>14}")
    for loss in RESIDUAL:
        influence = np.abs(loss.psi([-1e6, *np.linspace(-FAR, FAR, 1201), 1e6])).max()
        bound = f"{influence:.3f}" if influence < 100.0 else "unbounded"
        centre = loss.weights(0.0)
        left = f"{loss.weights(FAR) / centre:.3f}" if 0.0 < centre < np.inf else "-"
        print(f"{loss!r:36}{gaussian_efficiency(loss):12.3f}{bound:>12}{left:>14}")


def columns(*parts: np.ndarray | float) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*parts), axis=1)


def by_target(loss: Loss, low: float, *predictions: np.ndarray) -> dict[str, np.ndarray]:
    """The losses of predictions, once with all targets 1 and once with all of them `low`."""
    return {
        f"y = {target:g}": loss(
            np.full(len(predictions[0]), target), *predictions, reduction="none"
        )
        for target in (1.0, low)
    }


def of_classes() -> Iterator[Judged]:
    """Losses of labels and probabilities, by what is predicted for the first of the classes."""
    p, s = np.linspace(0.002, 0.998, 499), np.linspace(-4.0, 4.0, 401)
    log_p, logits, scores = np.log(columns(p, 1.0 - p)), columns(s, 0.0), columns(s, 0.0, 0.0)
    label, every = np.zeros(499, dtype=int), {"reduction": "none"}
    yield Judged("NLL", "probability of its class", p, {"": NLL()(label, log_p, **every)})
    smoothed = {
        f"smoothing {share:g}": CrossEntropy(label_smoothing=share)(label[:401], logits, **every)
        for share in (0.0, 0.2)
    }
    yield Judged("CrossEntropy, two classes", "logit of its class, the other's 0", s, smoothed)
    yield Judged("BinaryCrossEntropy", "probability", p, by_target(BinaryCrossEntropy(), 0.0, p))
    binary = by_target(BinaryCrossEntropyWithLogits(), 0.0, s)
    yield Judged("BinaryCrossEntropyWithLogits", "logit", s, binary)
    divergences = {
        f"truth {share:g}": KLDivergence()(columns(0.0 * p + share, 1.0 - share), log_p, **every)
        for share in (0.3, 0.7)
    }
    sums = {name: values.sum(axis=1) for name, values in divergences.items()}
    yield Judged("KLDivergence, two classes", "probability of the first", p, sums)
    yield Judged("SoftMargin", "score", s, by_target(SoftMargin(), -1.0, s))
    margins = {
        f"labels {labels[: labels.index(-1)]}": MultiLabelMargin()([labels] * 401, scores, **every)
        for labels in ([0, -1, -1], [0, 1, -1])
    }
    yield Judged("MultiLabelMargin, three classes", "score of class 0, the others' 0", s, margins)


def of_comparisons() -> Iterator[Judged]:
    """Losses of a distance, a difference, an angle, and of two distances."""
    d, s, t = np.linspace(0.0, 3.0, 301), np.linspace(-2.0, 2.0, 401), np.linspace(0.0, np.pi, 301)
    yield Judged("HingeEmbedding", "distance", d, by_target(HingeEmbedding(), -1.0, d))
    ranking = by_target(MarginRanking(margin=0.5), -1.0, s, 0.0 * s)
    yield Judged("MarginRanking(margin=0.5)", "x1 - x2", s, ranking)
    east, turned = columns(1.0, 0.0 * t), columns(np.cos(t), np.sin(t))
    cosine = by_target(CosineEmbedding(), -1.0, east, turned)
    yield Judged("CosineEmbedding", "cosine of the angle", np.cos(t), cosine)
    anchor, positive, negative = columns(0.0 * d), columns(0.0 * d + 1.0), columns(d)
    triplet = TripletMargin()(anchor, positive, negative, reduction="none")
    yield Judged("TripletMargin, the positive at 1", "distance of the negative", d, {"": triplet})


def draw_others(path: Path) -> None:
    panels = [*of_classes(), *of_comparisons()]
    figure, axes = import_pyplot().subplots(3, 4, figsize=(9.6, 6.6), layout="constrained")
    for panel, judged in zip(axes.ravel(), panels, strict=False):
        for (target, values), line in zip(judged.curves.items(), LINES, strict=False):
            panel.plot(judged.x, values, line, label=target)
        panel.set_title(judged.name, fontsize="small")
        panel.set_xlabel(judged.axis, fontsize="small")
        panel.grid(alpha=0.3)
        if len(judged.curves) > 1:
            panel.legend(frameon=False, fontsize="x-small")
    for unused in axes.ravel()[len(panels) :]:
        unused.remove()
    save(figure, path)


def main() -> None:
    output = parse_output("All losses, and what they are worth.", "losses.png")
    beside = output.with_name(f"other_{output.name}")

    print_shapes()
    import_pyplot()  # which must come before LossDisplay's: it draws into files
    save(LossDisplay.from_loss(*RESIDUAL, kind="grid").figure_, output)
    draw_others(beside)
    print(f"\nPictures: {output}, {beside}")


if __name__ == "__main__":
    main()
