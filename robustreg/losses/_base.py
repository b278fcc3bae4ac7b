"""What all losses have in common: the metric face, its weights and reductions, and its gradient.

Nothing here knows what a loss is computed from; a kind of losses says so in three hooks.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from robustreg._namespace import as_type
from robustreg.losses._arrays import (
    REDUCTIONS,
    FloatArray,
    Shape,
    apply_weight,
    check_reduction,
    check_weight,
    divided,
    half_type,
    total_of,
    total_weight,
)


class Loss(ABC):
    """What predictions cost, given their targets: the base class of losses of every kind.

    A loss gives a value to each of a number of elements, the rows of a table for example. Called,
    it weights these values and reduces them; `gradient` differentiates the result. Losses of the
    residual, target minus prediction, derive from `ResidualLoss`, which is what estimators take.

    Concrete losses are immutable, hashable and comparable dataclasses: they can be parameters of
    estimators, survive ``clone`` and ``pickle``, and serve as keys of a cache.

    Attributes
    ----------
    n_targets : int
        How many arrays of targets the loss takes: 1, or 0 where it compares predictions alone.
    n_predictions : int
        How many arrays of predictions the loss takes after the targets.
    reductions : tuple of str
        The reductions that it has.

    Notes
    -----
    With the values v_i of the elements and weights w_i (1 where none are given), the reductions
    are ``w_i v_i`` for each i ("none"), ``sum w_i v_i`` ("sum"), and that sum over
    ``D = sum w_i`` ("mean"). D does not depend on the predictions, so the derivative by one of
    them is ``sum w_i dv_i`` ("none" and "sum") or this over D ("mean").

    Arrays may be NumPy's, or all of another kind that follows the array API standard: tensors of
    PyTorch, arrays of CuPy or JAX. The result is of the same kind then, on the same device and in
    the same precision, and automatic differentiation goes through it, but not by the weights.
    Floats of 16 bits are computed in 32. Everything else, lists and
    frames for example, becomes an array of NumPy's.

    A new kind of losses implements the hooks ``_check``, ``_values`` and ``_derivatives``, and
    ``_divisor`` where its mean is not over the sum of the weights. The formulas run with
    floating-point warnings off.
    """

    n_targets: ClassVar[int] = 1
    n_predictions: ClassVar[int] = 1
    reductions: ClassVar[tuple[str, ...]] = REDUCTIONS

    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *others: ArrayLike,
        sample_weight: ArrayLike | None = None,
        reduction: str = "mean",
    ) -> Any:
        """Return the loss of predictions, weighted and reduced.

        Parameters
        ----------
        y_true : array-like
            Targets.
        y_pred : array-like
            Predictions, for most losses of the shape of `y_true`.
        *others : array-like
            Further predictions, for losses of several.
        sample_weight : array-like, default=None
            Non-negative weights, of the shape of the losses or one for each of their rows. Weight k
            counts as k repetitions.
        reduction : {"mean", "sum", "none"}, default="mean"
            "mean" divides the weighted sum by the sum of the weights, where the loss does not say
            otherwise; "none" returns the weighted losses elementwise.

        Returns
        -------
        float or array
            A number, for arrays that are not NumPy's one of theirs without dimensions; for "none"
            an array, one loss for each element.

        Raises
        ------
        ValueError
            If an argument has a wrong shape or wrong values; the message names it.
        TypeError
            If there are too few or too many arrays, or arrays of several kinds.
        """
        arguments = (y_true, y_pred, *others)
        with np.errstate(all="ignore"):
            inputs, weight, divisor = self._checked(arguments, sample_weight, reduction)
            values = apply_weight(self._values(inputs), weight)
            if reduction != "none":
                values = divided(total_of(values), divisor)
        return as_type(values, half_type(arguments))

    def gradient(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *others: ArrayLike,
        sample_weight: ArrayLike | None = None,
        reduction: str = "mean",
    ) -> Any:
        """Return the derivative of the reduced loss with respect to each entry of the predictions.

        Parameters are those of calling the loss. "none" gives the derivative of each element's own
        weighted loss, which is also the derivative of the "sum".

        Returns
        -------
        array or tuple of arrays
            Of the shape of `y_pred`; for losses of several predictions one for each.

        Examples
        --------
        >>> from robustreg.losses import Absolute
        >>> print(Absolute().gradient([1.0, 2.0], [0.0, 5.0]))
        [-0.5  0.5]
        """
        arguments = (y_true, y_pred, *others)
        with np.errstate(all="ignore"):
            inputs, weight, divisor = self._checked(arguments, sample_weight, reduction)
            derivatives = self._derivatives(inputs, weight)
            reduced = tuple(divided(derivative, divisor) for derivative in derivatives)
        half = half_type(arguments)
        reduced = tuple(as_type(derivative, half) for derivative in reduced)
        return reduced if self.n_predictions > 1 else reduced[0]

    def _checked(
        self, arguments: tuple[ArrayLike, ...], sample_weight: ArrayLike | None, reduction: str
    ) -> tuple[Any, FloatArray | None, float | None]:
        """Return what the formulas take, the elements' weights, and what sums are divided by."""
        check_reduction(reduction, self.reductions)
        given = len(arguments) - self.n_targets
        if given != self.n_predictions:
            targets = "y_true and " if self.n_targets else ""
            raise TypeError(
                f"{type(self).__name__} takes {targets}{self.n_predictions} array(s) of "
                f"predictions, got {given}; sample_weight and reduction are given by name."
            )
        inputs, shape = self._check(*arguments)
        weight = check_weight(sample_weight, shape, arguments)
        inputs = self._weighted(inputs, weight)
        if reduction in ("none", "sum"):
            return inputs, weight, None
        if reduction == "batchmean":
            divisor = total_weight(weight, shape) / math.prod(shape[1:])
        else:
            divisor = self._divisor(inputs, weight, shape)
        if divisor <= 0.0:
            raise ValueError(
                f"reduction={reduction!r} of {type(self).__name__} divides by {divisor:g}: no "
                "element that counts has a weight."
            )
        return inputs, weight, divisor

    @abstractmethod
    def _check(self, y_true: ArrayLike, *y_pred: ArrayLike) -> tuple[Any, Shape]:
        """Validate targets and predictions.

        Returns
        -------
        inputs : object
            What the other hooks compute from.
        shape : tuple of int
            The shape of the array of losses that these give.
        """

    @abstractmethod
    def _values(self, inputs: Any) -> FloatArray:
        """Return the loss of each element, an array of the shape that ``_check`` announced."""

    @abstractmethod
    def _derivatives(self, inputs: Any, weight: FloatArray | None) -> tuple[FloatArray, ...]:
        """Return the derivative of ``sum(weight * values)`` by each array of predictions.

        `weight` has the shape of the values; None stands for weights of 1.
        """

    def _weighted(self, inputs: Any, weight: FloatArray | None) -> Any:
        """Return the inputs, or what becomes of them where they depend on the weights."""
        return inputs

    def _divisor(self, inputs: Any, weight: FloatArray | None, shape: Shape) -> float:
        """Return what "mean" divides the weighted sum by: the sum of the weights."""
        return total_weight(weight, shape)
