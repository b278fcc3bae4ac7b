"""Softmaxes of linear layers, and groups of rows: what the adaptive softmax computes with.

What automatic differentiation passes through is made of new arrays. NumPy's, which it does not
know, are overwritten where nobody else has them, and are never larger than a block: the logits
are what takes time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from robustreg._namespace import concat, constant, namespace_of
from robustreg.losses.classification._classes import is_class

# Logits at a time, or as many as the layer has weights, if these are more: every block adds to the
# whole derivative by the weight. With one BLAS thread a quarter of it is as fast, but where several
# wait for busy cores at every product, it takes twice the time and more.
BLOCK = 2**22


class Group(NamedTuple):
    """The rows of a batch whose classes are in one tail."""

    tail: int  # which one, from 0
    chosen: Any  # (n,), whether a row belongs to it
    rows: Any  # (m,), the numbers of these rows
    labels: Any  # (m,), their classes, counted from the first one of the tail


class Layer(NamedTuple):
    """A linear layer, whose outputs are logits."""

    name: str  # of its weight
    weight: Any  # (outputs, features)
    bias: Any = None  # (outputs,)

    def logits(self, features: Any) -> Any:
        """Return the outputs for rows of features, in an array of their own."""
        products = features @ self.weight.T
        return products if self.bias is None else products + self.bias

    def blocks(self, features: Any) -> Iterator[slice]:
        """Part the rows such that there is a block of logits at a time."""
        n_rows, (n_outputs, n_features) = features.shape[0], self.weight.shape
        in_parts = namespace_of(features) is np
        step = max(n_features, BLOCK // n_outputs) if in_parts else n_rows
        return (slice(start, start + step) for start in range(0, n_rows, step))


def groups_of(labels: Any, cutoffs: tuple[int, ...], n_classes: int) -> list[Group]:
    """Return the rows of every tail that occurs among the labels."""
    xp = namespace_of(labels)
    groups = []
    for tail, (low, high) in enumerate(zip(cutoffs, (*cutoffs[1:], n_classes), strict=True)):
        chosen = (labels >= low) & (labels < high)
        if bool(xp.any(chosen)):
            rows = xp.nonzero(chosen)[0]
            groups.append(Group(tail, chosen, rows, xp.take(labels, rows, axis=0) - low))
    return groups


def replaced(array: Any, chosen: Any, values: Any) -> Any:
    """Return an array with other values in the chosen rows, in their order."""
    xp = namespace_of(array)
    rows, others = xp.nonzero(chosen)[0], xp.nonzero(~chosen)[0]
    stacked = concat([values, xp.take(array, others, axis=0)])
    return xp.take(stacked, xp.argsort(concat([rows, others])), axis=0)


def log_softmax(features: Any, layer: Layer) -> Any:
    """Return the log-probabilities of all outputs."""
    below = _below_largest(features, layer)
    xp = namespace_of(below)
    return below - xp.log(xp.sum(xp.exp(below), axis=1, keepdims=True))


def most_probable(features: Any, layer: Layer) -> tuple[Any, Any]:
    """Return the most probable output of each row and its log-probability."""
    xp = namespace_of(features)
    outputs, values = [], []
    for rows in layer.blocks(features):
        within = log_softmax(features[rows, :], layer)
        outputs.append(xp.argmax(within, axis=1))
        values.append(xp.max(within, axis=1))
    return concat(outputs), concat(values)


def cross_entropy(features: Any, layer: Layer, labels: Any) -> Any:
    """Return minus the log-probability of one output of each row."""
    return concat(
        [_cross_entropy(features[rows, :], layer, labels[rows]) for rows in layer.blocks(features)]
    )


def _cross_entropy(features: Any, layer: Layer, labels: Any) -> Any:
    below = _below_largest(features, layer)
    xp = namespace_of(below)
    taken = xp.take_along_axis(below, labels[:, None], axis=1)[:, 0]
    return xp.log(xp.sum(_exp(below), axis=1)) - taken


def derivatives(features: Any, layer: Layer, labels: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Return those of the weighted sum of `cross_entropy` by features, weight and bias.

    The derivative by the bias is None where there is none.
    """
    by_features, by_weight, by_bias = [], None, None
    for rows in layer.blocks(features):
        found = _derivatives(features[rows, :], layer, labels[rows], weight[rows])
        by_features.append(found[0])
        by_weight, by_bias = _sum(by_weight, found[1]), _sum(by_bias, found[2])
    return concat(by_features), by_weight, by_bias


def _derivatives(features: Any, layer: Layer, labels: Any, weight: Any) -> tuple[Any, Any, Any]:
    slope = _slope(_below_largest(features, layer), labels, weight)
    by_bias = None if layer.bias is None else namespace_of(slope).sum(slope, axis=0)
    return slope @ layer.weight, slope.T @ features, by_bias


def _slope(below: Any, labels: Any, weight: Any) -> Any:
    """Return the derivative by logits: in a row w times the softmax, less w at the label."""
    xp = namespace_of(below)
    powers = _exp(below)
    share = (weight / xp.sum(powers, axis=1))[:, None]
    if xp is np:
        powers *= share
        powers[np.arange(len(labels)), labels] -= weight
        return powers
    return powers * share - xp.where(is_class(labels, powers), weight[:, None], 0)


def _below_largest(features: Any, layer: Layer) -> Any:
    """Return how far logits are below the largest one of their row, in an array of their own."""
    logits = layer.logits(features)
    xp = namespace_of(logits)
    largest = constant(xp.max(logits, axis=1, keepdims=True))
    if not bool(xp.all(xp.isfinite(largest))):
        raise ValueError(
            f"The logits that {layer.name} gives are out of the range of {logits.dtype}: scale x "
            "or the parameters down."
        )
    return np.subtract(logits, largest, out=logits) if xp is np else logits - largest


def _exp(below: Any) -> Any:
    """Return exponentials, NumPy's in the place of their argument."""
    xp = namespace_of(below)
    return np.exp(below, out=below) if xp is np else xp.exp(below)


def _sum(total: Any, part: Any) -> Any:
    return part if total is None else total + part
