"""A display of coefficients along a grid of penalties or of Huber's delta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from robustreg._arrays import Array
from robustreg.estimators import HuberRegressor
from robustreg.estimators._base import LinearRegressor
from robustreg.model_selection import AlphaPath, DeltaPath, huber_delta_path
from robustreg.model_selection._grid import check_length
from robustreg.model_selection._grid_search import GridSearch
from robustreg.model_selection._path import alpha_path
from robustreg.plotting._axes import (
    merge_style,
    one_axes,
    point_marker,
    scale_grid_axis,
    show_literally,
)

NAMED = 10  # lines in the legend: as many as matplotlib's cycle has colours
N_DELTAS = 30
WALKED = ("delta", "warm_start")  # what a path over delta sets by itself


class CoefficientPathDisplay:
    """Plot of coefficients over the strength of the penalty, or over Huber's delta.

    The axis of the grid is logarithmic. alpha falls to the right, delta grows. The ten
    coefficients that are largest on average over the grid have colours and names, in the order
    in which they end on the right; the others are grey. The legend is beside the axes: figures of
    your own want ``layout="constrained"``.

    Parameters
    ----------
    grid : array-like of shape (n_points,)
        Values of alpha or delta. An alpha of 0 is shown one decade from the least other one.
    coefs : array-like of shape (n_features, n_points)
        Coefficients.
    over : {"alpha", "delta"}, default="alpha"
        What the grid is of.
    feature_names : sequence of str of length n_features, default=None
        Names of the columns; by default "x0", "x1", ...
    chosen : float, default=None
        Point of the grid's axis to mark with a vertical line.
    standardized : bool, default=False
        Whether `coefs` are in standard deviations of their columns; decides on the label.

    Attributes
    ----------
    grid, coefs, over, feature_names, chosen, standardized
        The parameters, as arrays and a list.
    ax_ : matplotlib Axes
        Where the curves are, after `plot`.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : ndarray of matplotlib Line2D of shape (n_features,)
        The curves, in the order of the columns.
    chosen_ : matplotlib Line2D or None
        The vertical line.

    See Also
    --------
    CoefficientPathDisplay.from_estimator : Compute the path of an estimator and draw it.
    CoefficientPathDisplay.from_path : Draw a path that has been computed.

    Examples
    --------
    >>> from robustreg import HuberRegressor
    >>> from robustreg.datasets import load_engel
    >>> from robustreg.plotting import CoefficientPathDisplay
    >>> income, food = load_engel(return_X_y=True, as_frame=True)
    >>> display = CoefficientPathDisplay.from_estimator(
    ...     HuberRegressor(), income, food, over="delta"
    ... )  # doctest: +SKIP
    >>> display.figure_.savefig("path.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        grid: ArrayLike,
        coefs: ArrayLike,
        *,
        over: str = "alpha",
        feature_names: Sequence[str] | None = None,
        chosen: float | None = None,
        standardized: bool = False,
    ) -> None:
        self.over = _check_over(over)
        self.grid, self.coefs = np.asarray(grid), np.asarray(coefs)
        if self.grid.ndim != 1 or self.coefs.ndim != 2 or self.coefs.shape[1] != len(self.grid):
            raise ValueError(
                "coefs must be of shape (n_features, n_points) for a grid of shape (n_points,), "
                f"got {self.coefs.shape} and {self.grid.shape}."
            )
        n_features = len(self.coefs)
        if feature_names is None:
            feature_names = [f"x{j}" for j in range(n_features)]
        self.feature_names = [str(name) for name in feature_names]
        if len(self.feature_names) != n_features:
            raise ValueError(
                f"feature_names must hold {n_features} names, got {len(self.feature_names)}."
            )
        self.chosen, self.standardized = chosen, standardized

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        over: str = "alpha",
        alphas: ArrayLike | None = None,
        n_alphas: int = 100,
        eps: float = 1e-3,
        deltas: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        standardize: bool = False,
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
        **line_kwargs: Any,
    ) -> CoefficientPathDisplay:
        """Compute the path of an estimator's model and draw it.

        Parameters
        ----------
        estimator : estimator of robustreg
            A linear regressor, fitted or not, whose parameters other than `over` are kept, or
            a fitted ``HuberRegressorCV``, ``L1RegressorCV`` or ``QuantileRegressorCV``, whose
            choice is kept. It is not changed.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Regressors.
        y : array-like of shape (n_samples,)
            Targets.
        over : {"alpha", "delta"}, default="alpha"
            What varies. "delta" needs a ``HuberRegressor`` or ``HuberRegressorCV``.
        alphas : array-like, default=None
            Strengths of the penalty, at least 0. By default `n_alphas` values in equal ratios:
            for a CV estimator over the range it has searched, else from the alpha at which
            all coefficients vanish down to `eps` times it. A ridge penalty has no such alpha.
        n_alphas : int, default=100
            Length of the grid where `alphas` is None.
        eps : float, default=1e-3
            Smallest alpha of that grid over its largest.
        deltas : array-like, default=None
            Thresholds, above 0. By default 30 values in equal ratios: for a CV estimator over
            the range it has searched, else from 0.1 to 5.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        standardize : bool, default=False
            Multiply each coefficient by its column's weighted standard deviation, which makes
            columns with different units comparable. The fits do not change.
        feature_names : sequence of str of length n_features, default=None
            Names of the columns for the legend; by default those that X has, or "x0", ...
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for every curve.

        Returns
        -------
        CoefficientPathDisplay
            With a vertical line at the estimator's own alpha (where that is not 0) or delta.

        Raises
        ------
        TypeError
            If the estimator is none of those above.
        ValueError
            If a parameter, X, y or sample_weight is not what it must be.
        sklearn.exceptions.NotFittedError
            If a CV estimator has not been fitted.
        """
        unused = "deltas" if _check_over(over) == "alpha" else "alphas"
        if {"alphas": alphas, "deltas": deltas}[unused] is not None:
            raise ValueError(f"{unused} must be None for over={over!r}: that is not what varies.")
        model = _model_to_vary(estimator, over)
        own = getattr(model, over)
        chosen = None if own in (0.0, "auto") else float(own)
        path: AlphaPath | DeltaPath
        if over == "alpha":
            grid = _searched(estimator, "alphas_", n_alphas) if alphas is None else alphas
            path = alpha_path(model, X, y, sample_weight, grid, n_alphas, eps)
        else:
            grid = _searched(estimator, "deltas_", N_DELTAS) if deltas is None else deltas
            others = {k: v for k, v in model.get_params().items() if k not in WALKED}
            path = huber_delta_path(X, y, deltas=grid, sample_weight=sample_weight, **others)
        columns = StandardScaler(with_mean=False).fit(X, sample_weight=sample_weight)
        unit = np.sqrt(columns.var_)[:, None] if standardize else 1.0
        if feature_names is None:
            feature_names = columns.get_feature_names_out()
        return cls(
            path[0],
            path.coefs * unit,
            over=over,
            feature_names=feature_names,
            chosen=chosen,
            standardized=standardize,
        ).plot(ax, **line_kwargs)

    @classmethod
    def from_path(
        cls,
        path: AlphaPath | DeltaPath,
        *,
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
        **line_kwargs: Any,
    ) -> CoefficientPathDisplay:
        """Draw a path that has been computed.

        Parameters
        ----------
        path : AlphaPath or DeltaPath
            What ``huber_path``, ``l1_path``, ``quantile_path`` or ``huber_delta_path`` returned.
        feature_names : sequence of str of length n_features, default=None
            Names of the columns; by default "x0", "x1", ...
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for every curve.

        Returns
        -------
        CoefficientPathDisplay

        Raises
        ------
        TypeError
            If the path is neither of the two.
        ValueError
            If there are not as many names as coefficients.
        """
        if not isinstance(path, (AlphaPath, DeltaPath)):
            raise TypeError(f"path must be an AlphaPath or a DeltaPath, got {type(path).__name__}.")
        over = "alpha" if isinstance(path, AlphaPath) else "delta"
        display = cls(path[0], path.coefs, over=over, feature_names=feature_names)
        return display.plot(ax, **line_kwargs)

    def plot(self, ax: Any = None, **line_kwargs: Any) -> CoefficientPathDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for every curve.

        Returns
        -------
        CoefficientPathDisplay
            The display itself.
        """
        axes = one_axes(ax)
        scale_grid_axis(axes, self.over, self.grid)
        end = self.coefs[:, -1 if self.over == "delta" else np.argmin(self.grid)]
        largest = np.argsort(-np.abs(self.coefs).mean(axis=1), kind="stable")[:NAMED]
        self.lines_ = np.empty(len(self.coefs), dtype=object)
        for j, coef in enumerate(self.coefs):
            style: dict[str, Any] = {"color": "0.75", "linewidth": 1.0}
            if j in largest:
                style = {"label": self.feature_names[j], "zorder": 2.1}
            style["marker"] = point_marker(self.grid)
            (self.lines_[j],) = axes.plot(self.grid, coef, **merge_style(style, line_kwargs))
        self.chosen_ = None
        if self.chosen is not None:
            self.chosen_ = axes.axvline(self.chosen, color="0.3", linestyle="--", zorder=1.0)
        axes.set_ylabel("coefficient x standard deviation" if self.standardized else "coefficient")
        axes.grid(alpha=0.3)
        self.ax_, self.figure_ = axes, axes.figure
        handles = list(self.lines_[largest[np.argsort(-end[largest], kind="stable")]])
        if self.chosen_ is not None:
            self.chosen_.set_label(f"{self.over} = {self.chosen:.4g}")
            handles.append(self.chosen_)
        # Beside the axes: curves may be anywhere inside.
        legend = axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
        show_literally(legend.get_texts())
        return self


def _check_over(over: str) -> str:
    if over not in ("alpha", "delta"):
        raise ValueError(f"over must be 'alpha' or 'delta', got {over!r}.")
    return over


def _model_to_vary(estimator: Any, over: str) -> LinearRegressor:
    """A new estimator with the parameters of this one, or with those that it has chosen."""
    if isinstance(estimator, GridSearch):
        check_is_fitted(estimator)
        model = estimator._chosen_model()
    elif isinstance(estimator, LinearRegressor):
        model = clone(estimator)
    else:
        raise TypeError(
            "estimator must be a linear regressor of robustreg, or its search by "
            f"cross-validation; got {type(estimator).__name__}."
        )
    if over == "delta" and not isinstance(model, HuberRegressor):
        raise ValueError(
            "over='delta' needs a HuberRegressor or HuberRegressorCV, got "
            f"{type(estimator).__name__}."
        )
    model._check()
    if getattr(model, "delta", None) == "auto":
        if over == "alpha":
            check_is_fitted(estimator, msg="delta='auto' has a path only after fit has chosen one.")
        model.set_params(delta=getattr(estimator, "delta_", "auto"))
    if np.ndim(getattr(model, "quantile", 0.5)):
        raise ValueError(f"quantile must be one number for a path, got {model.quantile!r}.")
    return model


def _searched(estimator: Any, name: str, length: int) -> Array | None:
    """The range of a grid that a CV estimator has searched, more densely; None without one."""
    grid = getattr(estimator, name, np.zeros(0))
    grid = grid[grid > 0.0]
    length = check_length(f"n_{name.rstrip('_')}", length)
    return np.geomspace(grid.min(), grid.max(), length) if len(grid) > 1 else None
