"""What all losses have in common: the metric face, its weights and reductions, and its gradient.

Nothing here knows what a loss is computed from; a kind of losses says so in three hooks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from robustreg.losses._arrays import (
    FloatArray,
    apply_weight,
    check_reduction,
    check_weight,
    divided,
    total_weight,
)

Shape = tuple[int, ...]


class Loss(ABC):
    """What predictions cost, given their targets: the base class of losses of every kind.

    A loss gives a value to each of a number of elements, the rows of a table for example. Called,
    it weights these values and reduces them; `gradient` differentiates the result. Losses of the
    residual, target minus prediction, derive from `ResidualLoss`, which is what estimators take.

    Concrete losses are immutable, hashable and comparable dataclasses: they can be parameters of
    estimators, survive ``clone`` and ``pickle``, and serve as keys of a cache.

    Attributes
    ----------
    n_predictions : int
        How many arrays of predictions the loss takes after the targets.

    Notes
    -----
    With the values v_i of the elements and weights w_i (1 where none are given), the reductions
    are ``w_i v_i`` for each i ("none"), ``sum w_i v_i`` ("sum"), and that sum over
    ``D = sum w_i`` ("mean"). D does not depend on the predictions, so the derivative by one of
    them is ``sum w_i dv_i`` ("none" and "sum") or this over D ("mean").

    A new kind of losses implements the hooks ``_check``, ``_values`` and ``_derivatives``, and
    ``_divisor`` where its mean is not over the sum of the weights. The formulas run with
    floating-point warnings off.
    """

    n_predictions: ClassVar[int] = 1

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
            "mean" divides the weighted sum by the sum of the weights; "none" returns the weighted
            losses elementwise.

        Returns
        -------
        float or ndarray
            A number; for "none" an array, one loss for each element.
        """
        inputs, weight, divisor = self._checked((y_true, y_pred, *others), sample_weight, reduction)
        with np.errstate(all="ignore"):
            values = apply_weight(self._values(inputs), weight)
            if reduction == "none":
                return values
            total = np.sum(values, dtype=np.float64)
        return divided(total, divisor)

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
        ndarray or tuple of ndarrays
            Of the shape of `y_pred`; for losses of several predictions one for each.

        Examples
        --------
        >>> from robustreg.losses import Absolute
        >>> print(Absolute().gradient([1.0, 2.0], [0.0, 5.0]))
        [-0.5  0.5]
        """
        inputs, weight, divisor = self._checked((y_true, y_pred, *others), sample_weight, reduction)
        with np.errstate(all="ignore"):
            derivatives = self._derivatives(inputs, weight)
        reduced = tuple(divided(derivative, divisor) for derivative in derivatives)
        return reduced if self.n_predictions > 1 else reduced[0]

    def _checked(
        self, arguments: tuple[ArrayLike, ...], sample_weight: ArrayLike | None, reduction: str
    ) -> tuple[Any, FloatArray | None, float | None]:
        """Return what the formulas take, the elements' weights, and what sums are divided by."""
        check_reduction(reduction)
        given = len(arguments) - 1
        if given != self.n_predictions:
            raise TypeError(
                f"{type(self).__name__} takes y_true and {self.n_predictions} array(s) of "
                f"predictions, got {given}; sample_weight and reduction are given by name."
            )
        inputs, shape = self._check(*arguments)
        weight = check_weight(sample_weight, shape)
        return inputs, weight, self._divisor(inputs, weight, shape) if reduction == "mean" else None

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

    def _divisor(self, inputs: Any, weight: FloatArray | None, shape: Shape) -> float:
        """Return what "mean" divides the weighted sum by: the sum of the weights."""
        return total_weight(weight, shape)
