"""The adaptive softmax: the log-likelihood of one of very many classes, at the cost of few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from robustreg._namespace import cast, concat, namespace_of
from robustreg.losses._arrays import FloatArray, Shape, of_one_kind
from robustreg.losses._base import Loss
from robustreg.losses._parameters import keep_flag, keep_number
from robustreg.losses.classification._adaptive_blocks import (
    Group,
    Layer,
    cross_entropy,
    derivatives,
    groups_of,
    log_softmax,
    most_probable,
    replaced,
)
from robustreg.losses.classification._adaptive_input import (
    arrays_of_shapes,
    check_finite,
    drawn,
    keep_count,
    keep_cutoffs,
    labels_of_rows,
    shapes_of,
    tail_names,
)


class _Batch(NamedTuple):
    """What values and derivatives are computed from."""

    x: Any
    parameters: dict[str, Any]
    head_labels: Any  # (n,), the outputs of the head that stand for the labels
    groups: list[Group]


@dataclass(frozen=True)
class AdaptiveLogSoftmax(Loss):
    r"""Minus the log-probability of one of very many classes, under an adaptive softmax.

    Classes are numbered from the most frequent one, 0. The first ``cutoffs[0]``, the shortlist, are
    outputs of the head. The others are in tails, the i-th of which (from 0) has the classes from
    ``cutoffs[i]`` to below the next cutoff or, the last one, to below `n_classes`. The head has one
    more output for each tail. With H the head's weight and b its bias (0 if there is none), A_i and
    B_i the weights of tail i, and x a row of features, the probability of class k is

    .. math::

        \mathrm{softmax}(H x + b)_k
        \quad\text{or}\quad
        \mathrm{softmax}(H x + b)_{c_0 + i} \; \mathrm{softmax}(B_i A_i x)_{k - c_i}

    in the shortlist, or in tail i. A_i takes x to ``floor(in_features / div_value**(i + 1))``
    features, so that rare classes have few parameters.

    The loss takes x and these parameters in place of predictions, ``loss(y_true, x, *parameters)``:
    y_true are n labels, x is of shape (n, in_features), and the parameters are arrays of the shapes
    `parameter_shapes`, in the order of `parameter_names`. The losses are of shape (n,), and "mean"
    divides by the sum of their weights. `gradient` returns the derivatives by x and by each
    parameter; those by a tail of which no class occurs in y_true are zeros.

    Parameters
    ----------
    in_features : int
        How many columns x has.
    n_classes : int
        How many classes there are.
    cutoffs : sequence of int
        At which classes the tails begin: increasing, above 0 and below `n_classes`. Kept as a
        tuple.
    div_value : float, default=4.0
        By what factor a tail has fewer features than the one before it; at least 1.
    head_bias : bool, default=False
        Whether the head has a bias. Tails have none.

    Notes
    -----
    **Cost.** Of n rows, m_i have a class of tail i, which has K_i classes and d_i features; p is
    `in_features`, and h = ``cutoffs[0] + len(cutoffs)`` the number of the head's outputs. Value and
    gradient take O(n p h + sum m_i d_i (p + K_i)) operations, a full softmax O(n p n_classes). The
    sum is over the tails that occur: parameters of the others are not read (they may even be NaN),
    and the gradient has zeros for them. Logits of NumPy arrays are made in blocks of 2^22 numbers,
    or of as many as a layer has weights, so that memory grows with n as x does; arrays of other
    kinds, most of which automatic differentiation would keep anyway, have O(n h + sum m_i K_i)
    logits. A full softmax has O(n n_classes).

    `log_prob` returns n times `n_classes` numbers. `predict` computes a tail for those rows in
    which one of its classes may be the most probable.

    **Names and layout** are those of the parameters of PyTorch's AdaptiveLogSoftmaxWithLoss, whose
    ``output`` is minus the losses of ``reduction="none"``. A weight has a row for each output.
    There, a tail is allowed to project to no features at all, so that its classes are equally
    likely, and `div_value` to be below 1; here both are errors.

    Arrays need not be of one precision: the widest one is that of the results.

    References
    ----------
    E. Grave, A. Joulin, M. Cisse, D. Grangier and H. Jegou (2017). Efficient softmax approximation
    for GPUs. International Conference on Machine Learning, PMLR 70, 1302-1310.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.losses import AdaptiveLogSoftmax
    >>> loss = AdaptiveLogSoftmax(in_features=8, n_classes=1000, cutoffs=[10, 100], div_value=2)
    >>> for name, shape in zip(loss.parameter_names, loss.parameter_shapes):
    ...     print(name, shape)
    head.weight (12, 8)
    tail.0.0.weight (4, 8)
    tail.0.1.weight (90, 4)
    tail.1.0.weight (2, 8)
    tail.1.1.weight (900, 2)
    >>> parameters = loss.initial_parameters(random_state=0)
    >>> x, labels = np.random.default_rng(1).normal(size=(4, 8)), [3, 0, 57, 8]
    >>> for step in range(100):
    ...     _, *slopes = loss.gradient(labels, x, *parameters)
    ...     parameters = [p - slope for p, slope in zip(parameters, slopes)]
    >>> print(f"{loss(labels, x, *parameters):.3f}", loss.predict(x, *parameters))
    0.012 [ 3  0 57  8]
    """

    in_features: int
    n_classes: int
    cutoffs: tuple[int, ...]
    div_value: float = 4.0
    head_bias: bool = False

    def __post_init__(self) -> None:
        keep_count(self, "in_features", 1)
        keep_count(self, "n_classes", 2)
        keep_cutoffs(self)
        keep_number(self, "div_value", 1.0)
        keep_flag(self, "head_bias")
        shapes_of(self)  # refuses a tail without features

    @property
    def n_predictions(self) -> int:  # type: ignore[override]
        """How many arrays follow the labels: x and the parameters."""
        return 1 + len(self.parameter_names)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """What the parameters are called, in the order in which they are passed."""
        return tuple(shapes_of(self))

    @property
    def parameter_shapes(self) -> tuple[Shape, ...]:
        """The shapes of the parameters, in the order of their names."""
        return tuple(shapes_of(self).values())

    def initial_parameters(
        self,
        random_state: int | np.random.Generator | None = None,
        dtype: DTypeLike = np.float64,
    ) -> tuple[NDArray[np.floating[Any]], ...]:
        """Return parameters to start from, drawn uniformly.

        A parameter is between ``-1 / sqrt(k)`` and ``1 / sqrt(k)``, k being the number of features
        that are summed up with it: a sum is then about as large as one of the features.

        Parameters
        ----------
        random_state : int, numpy.random.Generator or None, default=None
            The seed, or where to draw from; None draws anew every time.
        dtype : dtype, default=numpy.float64
            float32 or float64.

        Returns
        -------
        tuple of ndarrays
            Of the shapes `parameter_shapes`.
        """
        return drawn(shapes_of(self), np.random.default_rng(random_state), dtype)

    def log_prob(self, x: ArrayLike, *parameters: ArrayLike) -> Any:
        """Return the log-probabilities of all classes.

        Parameters
        ----------
        x : array-like of shape (n, in_features)
            Features.
        *parameters : array-likes
            As in calling the loss.

        Returns
        -------
        array of shape (n, n_classes)
        """
        x, arrays = self._finite_arrays(x, parameters)
        with np.errstate(all="ignore"):
            head = log_softmax(x, _head(arrays))
            first = self.cutoffs[0]
            parts = [head[:, :first]]
            for tail in range(len(self.cutoffs)):
                projection, layer = _tail(arrays, tail)
                within = log_softmax(x @ projection.T, layer)
                parts.append(within + head[:, first + tail, None])
            return concat(parts, axis=1)

    def predict(self, x: ArrayLike, *parameters: ArrayLike) -> Any:
        """Return the most probable class of each row, the first one of several.

        No class of a tail is more probable than the tail. So rows whose most probable output of the
        head is in the shortlist are done with, and a tail is computed for those of the others in
        which it is more probable than the best class so far.

        Parameters
        ----------
        x : array-like of shape (n, in_features)
            Features.
        *parameters : array-likes
            As in calling the loss.

        Returns
        -------
        array of integers, of shape (n,)
        """
        x, arrays = self._finite_arrays(x, parameters)
        xp, first = namespace_of(x), self.cutoffs[0]
        with np.errstate(all="ignore"):
            head = log_softmax(x, _head(arrays))
            label = xp.argmax(head[:, :first], axis=1)
            best = xp.max(head[:, :first], axis=1)
            for tail, low in enumerate(self.cutoffs):
                of_tail = head[:, first + tail]
                hopeful = of_tail > best
                if not bool(xp.any(hopeful)):
                    continue
                rows = xp.nonzero(hopeful)[0]
                projection, layer = _tail(arrays, tail)
                features = xp.take(x, rows, axis=0) @ projection.T
                found, value = most_probable(features, layer)
                value = replaced(best, hopeful, value + xp.take(of_tail, rows, axis=0))
                candidate = replaced(label, hopeful, found + low)
                label = xp.where(value > best, candidate, label)
                best = xp.where(value > best, value, best)
        return label

    # --- the hooks

    def _checked(
        self, arguments: tuple[ArrayLike, ...], sample_weight: ArrayLike | None, reduction: str
    ) -> tuple[Any, FloatArray | None, float | None]:
        self._by_name(*arguments[1:])
        return super()._checked(arguments, sample_weight, reduction)

    def _check(self, y_true: ArrayLike, *y_pred: ArrayLike) -> tuple[_Batch, Shape]:
        given = of_one_kind({"y_true": y_true, **self._by_name(*y_pred)})
        labels = given.pop("y_true")
        arrays = arrays_of_shapes(given, shapes_of(self))
        labels = labels_of_rows(labels, arrays["x"].shape[0], self.n_classes)
        groups = groups_of(labels, self.cutoffs, self.n_classes)
        absent = set(range(len(self.cutoffs))) - {group.tail for group in groups}
        unused = {name for tail in absent for name in tail_names(tail)}
        check_finite({name: array for name, array in arrays.items() if name not in unused})
        xp, head_labels = namespace_of(labels), labels
        for group in groups:
            head_labels = xp.where(group.chosen, self.cutoffs[0] + group.tail, head_labels)
        return _Batch(arrays.pop("x"), arrays, head_labels, groups), tuple(labels.shape)

    def _values(self, inputs: _Batch) -> Any:
        x, parameters, head_labels, groups = inputs
        xp = namespace_of(x)
        values = cross_entropy(x, _head(parameters), head_labels)
        for tail, chosen, rows, labels in groups:
            projection, layer = _tail(parameters, tail)
            features = xp.take(x, rows, axis=0) @ projection.T
            within = cross_entropy(features, layer, labels)
            values = values + replaced(xp.zeros_like(values), chosen, within)
        return values

    def _derivatives(self, inputs: _Batch, weight: Any) -> tuple[Any, ...]:
        x, parameters, head_labels, groups = inputs
        xp = namespace_of(x)
        weight = xp.ones_like(x[:, 0]) if weight is None else cast(weight, x)
        found: dict[str, Any] = {}
        by_x, found["head.weight"], found["head.bias"] = derivatives(
            x, _head(parameters), head_labels, weight
        )
        for tail, chosen, rows, labels in groups:
            projection, layer = _tail(parameters, tail)
            x_here, weight_here = xp.take(x, rows, axis=0), xp.take(weight, rows, axis=0)
            by_features, by_layer, _ = derivatives(
                x_here @ projection.T, layer, labels, weight_here
            )
            first, second = tail_names(tail)
            found[first], found[second] = by_features.T @ x_here, by_layer
            by_x = by_x + replaced(xp.zeros_like(by_x), chosen, by_features @ projection)
        return by_x, *(
            found[name] if name in found else xp.zeros_like(parameters[name])
            for name in self.parameter_names
        )

    def _by_name(self, x: ArrayLike, *parameters: ArrayLike) -> dict[str, ArrayLike]:
        """Return x and the parameters by their names."""
        names = self.parameter_names
        if len(parameters) != len(names):
            raise TypeError(
                f"AdaptiveLogSoftmax takes x and {len(names)} parameters, {', '.join(names)}, each "
                f"as an argument of its own; got {len(parameters)}."
            )
        return {"x": x, **dict(zip(names, parameters, strict=True))}

    def _finite_arrays(
        self, x: ArrayLike, parameters: tuple[ArrayLike, ...]
    ) -> tuple[Any, dict[str, Any]]:
        """Return x, and all parameters by name."""
        arrays = arrays_of_shapes(of_one_kind(self._by_name(x, *parameters)), shapes_of(self))
        check_finite(arrays)
        return arrays.pop("x"), arrays


def _head(parameters: dict[str, Any]) -> Layer:
    return Layer("head.weight", parameters["head.weight"], parameters.get("head.bias"))


def _tail(parameters: dict[str, Any], tail: int) -> tuple[Any, Layer]:
    """Return the projection of x to the features of a tail, and the layer of its classes."""
    first, second = tail_names(tail)
    return parameters[first], Layer(second, parameters[second])
