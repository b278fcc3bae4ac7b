"""A display of residuals over robust distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from robustreg._arrays import EPS, Array, Mask
from robustreg._median import mad
from robustreg._numbers import real_values
from robustreg.diagnostics._distances import MAX_SAMPLES, TRUSTED, measure
from robustreg.estimators._judgement import OUTLIER_CUTOFF
from robustreg.evaluation.units import EXACT
from robustreg.plotting._axes import merge_style, one_axes, show_literally

REGULAR, VERTICAL, GOOD, BAD = REGIONS = (
    "regular observation",
    "vertical outlier",
    "good leverage point",
    "bad leverage point",
)
STYLES: dict[str, dict[str, Any]] = {
    REGULAR: {"marker": "o", "color": "0.62", "markersize": 4.0},
    VERTICAL: {"marker": "^", "color": "#e58606", "markersize": 6.0},
    GOOD: {"marker": "s", "color": "#117733", "markersize": 5.0},
    BAD: {"marker": "X", "color": "#cc3311", "markersize": 7.0},
}
N_LABELS = 5
LOGARITHMIC = 20.0  # cut-offs beyond which points make an axis logarithmic, ...
LINEAR = 10.0  # ... from here on, a power of ten for its ticks
BEYOND = 1.25  # where infinite points are drawn, relative to the farthest finite one, ...
LEAST = 2.0  # ... which is taken to be at so many cut-offs at least
INFINITE = 1e30  # for drawing; matplotlib's arithmetic overflows long before that of numbers


class OutlierMapDisplay:
    """Plot of standardised residuals over robust distances: the outlier map.

    The horizontal axis says how far a row lies from the bulk of the rows in X, the vertical one
    how badly the fit describes it. Two cut-offs part the plane into four regions:

    ===================  ===================  ==============================================
    region               beyond the cut-off   what it means
    ===================  ===================  ==============================================
    regular observation  neither              the bulk
    vertical outlier     residual             unusual in y
    good leverage point  distance             unusual in X, but where the fit expects it
    bad leverage point   both                 unusual in X, and not where the fit expects it
    ===================  ===================  ==============================================

    The map is of as much use as the fit is robust: bad leverage points draw a line of least
    squares, or of another convex loss, towards themselves and then look like good ones.

    The cut-offs are those of Rousseeuw and van Zomeren: 2.5 for residuals to both sides, which
    1.24 % of Gaussian rows exceed, and the root of the 97.5 % quantile of chi-squared for
    distances. An axis with points beyond 20 cut-offs is logarithmic from 10 on. Infinite values
    are drawn at the edge, which the axis then says.

    Parameters
    ----------
    residuals : array-like of shape (n_samples,)
        Residuals over the scale of the noise; may be infinite, if that is 0.
    distances : array-like of shape (n_samples,)
        Robust distances of the rows of X, not squared; may be infinite.
    n_dimensions : int
        Degrees of freedom of the distances: the number of columns of X that they are measured in.
    names : sequence of length n_samples, default=None
        Names of the rows; by default their numbers, from 0.

    Attributes
    ----------
    residuals, distances, n_dimensions, names
        The parameters, as arrays and a list.
    distance_cutoff : float
        ``sqrt(chi2.ppf(0.975, n_dimensions))``.
    residual_cutoff : float
        2.5.
    regions : ndarray of str of shape (n_samples,)
        Where each row is: "regular observation", "vertical outlier", "good leverage point" or
        "bad leverage point".
    ax_ : matplotlib Axes
        Where the map is, after `plot`.
    figure_ : matplotlib Figure
        Its figure.
    points_ : dict of str to matplotlib Line2D
        The points by their region.
    cutoffs_ : list of 3 matplotlib Line2D
        The lines at minus and plus the cut-off of the residuals, and at that of the distances.
    labels_ : dict of int to matplotlib Annotation
        The names drawn, by the number of the row.

    See Also
    --------
    OutlierMapDisplay.from_estimator : Compute residuals and distances, and draw the map.
    robustreg.diagnostics.robust_distances : The distances.

    References
    ----------
    P. J. Rousseeuw and B. C. van Zomeren (1990), "Unmasking multivariate outliers and leverage
    points", Journal of the American Statistical Association 85, 633-639.

    Examples
    --------
    >>> from robustreg.plotting import OutlierMapDisplay
    >>> display = OutlierMapDisplay([0.3, 4.0, -1.0, -9.0], [0.8, 1.2, 7.0, 9.0], 2)
    >>> print(*display.regions, sep=", ")
    regular observation, vertical outlier, good leverage point, bad leverage point
    >>> display.plot().figure_.savefig("map.png")  # doctest: +SKIP
    """

    residual_cutoff = OUTLIER_CUTOFF

    def __init__(
        self,
        residuals: ArrayLike,
        distances: ArrayLike,
        n_dimensions: int,
        *,
        names: Sequence[Any] | None = None,
    ) -> None:
        self.residuals = _check(residuals, "residuals")
        self.distances = _check(distances, "distances")
        check_consistent_length(self.residuals, self.distances)
        if self.distances.min() < 0.0:
            raise ValueError("distances must not be negative.")
        if n_dimensions < 1:
            raise ValueError(f"n_dimensions must be at least 1, got {n_dimensions!r}.")
        self.n_dimensions = n_dimensions
        self.names = list(range(len(self.residuals)) if names is None else names)
        if len(self.names) != len(self.residuals):
            raise ValueError(f"names must hold {len(self.residuals)} names, got {len(self.names)}.")
        self.distance_cutoff = float(np.sqrt(chi2.ppf(TRUSTED, n_dimensions)))
        vertical = np.abs(self.residuals) > self.residual_cutoff
        self.regions = np.array(REGIONS)[vertical + 2 * (self.distances > self.distance_cutoff)]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        support_fraction: float | None = None,
        max_samples: int | None = MAX_SAMPLES,
        random_state: int | RandomState | None = None,
        n_labels: int = N_LABELS,
        ax: Any = None,
        **point_kwargs: Any,
    ) -> OutlierMapDisplay:
        """Compute residuals and robust distances, and draw the map.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor with a ``scale_``, best a robust one.
        X : array-like of shape (n_samples, n_features)
            Regressors. The index of a DataFrame names the points.
        y : array-like of shape (n_samples,)
            Targets.
        support_fraction, max_samples, random_state
            As of :func:`robustreg.diagnostics.robust_distances`.
        n_labels : int, default=5
            How many points have their name beside them: of those outside of the regular
            observations the ones that exceed a cut-off by the largest factor.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **point_kwargs
            Passed to matplotlib's ``Axes.plot`` for the points of every region.

        Returns
        -------
        OutlierMapDisplay
            With the residuals over the estimator's ``scale_``. Where that is 0, an exact fit to
            most rows, residuals are 0 or infinite.

        Raises
        ------
        TypeError
            If the estimator has no ``scale_``, or X is sparse.
        ValueError
            If X or y is not what it must be, or X allows no distances.
        sklearn.exceptions.NotFittedError
            If the estimator has not been fitted.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "scale_"):
            raise TypeError(
                "estimator must have a scale_ to divide residuals by, which "
                f"{type(estimator).__name__} has not. For a pipeline, transform X with its other "
                "steps and pass the last one."
            )
        check_consistent_length(X, y)
        target = column_or_1d(real_values(y, "y"), dtype=np.float64)
        distances = measure(X, support_fraction, max_samples, random_state)
        residuals = _standardised(target, estimator.predict(X), estimator.scale_)
        names = getattr(X, "index", None) if hasattr(X, "iloc") else None
        display = cls(residuals, distances.values, distances.n_dimensions, names=names)
        return display.plot(ax, n_labels=n_labels, **point_kwargs)

    def plot(
        self, ax: Any = None, *, n_labels: int = N_LABELS, **point_kwargs: Any
    ) -> OutlierMapDisplay:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        n_labels : int, default=5
            How many points have their name beside them: of those outside of the regular
            observations the ones that exceed a cut-off by the largest factor.
        **point_kwargs
            Passed to matplotlib's ``Axes.plot`` for the points of every region.

        Returns
        -------
        OutlierMapDisplay
            The display itself.
        """
        axes = self.ax_ = one_axes(ax)
        self.figure_ = axes.figure
        cutoff = {"color": "0.3", "linestyle": "--", "linewidth": 1.0, "zorder": 1.0}
        self.cutoffs_ = [axes.axhline(s * self.residual_cutoff, **cutoff) for s in (-1.0, 1.0)]
        self.cutoffs_.append(axes.axvline(self.distance_cutoff, **cutoff))
        x = _drawable(self.distances, self.distance_cutoff)
        y = _drawable(self.residuals, self.residual_cutoff)
        self.points_ = {}
        for region, style in STYLES.items():
            rows = self.regions == region
            style = {"linestyle": "", "label": f"{region}s: {rows.sum()}", **style}
            points = axes.plot(x[rows], y[rows], **merge_style(style, point_kwargs))
            self.points_[region] = points[0]
        _scale_axis(axes, "x", "robust distance", self.distances, self.distance_cutoff)
        _scale_axis(axes, "y", "residual / scale", self.residuals, self.residual_cutoff)
        axes.set_xlim(left=0.0)
        self.labels_ = {
            int(row): axes.annotate(
                str(self.names[row]), (x[row], y[row]), (5.0, 3.0), textcoords="offset points"
            )
            for row in self._extreme(n_labels)
        }
        show_literally(self.labels_.values())
        legend = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "fontsize": "small"}
        axes.legend(ncols=2, frameon=False, **legend)  # above: points may be anywhere inside
        return self

    def _extreme(self, count: int) -> NDArray[np.intp]:
        """The rows that exceed a cut-off by the largest factor; between equal ones the other."""
        excess = np.stack(
            [np.abs(self.residuals) / self.residual_cutoff, self.distances / self.distance_cutoff]
        )
        order = np.lexsort((-excess.min(axis=0), -excess.max(axis=0)))
        return order[self.regions[order] != REGULAR][:count]


def _check(values: ArrayLike, name: str) -> Array:
    array = column_or_1d(real_values(values, name), dtype=np.float64)
    if not len(array) or np.isnan(array).any():
        raise ValueError(f"{name} must hold at least one number, and no NaN.")
    return array


def _standardised(y: Array, predicted: Array, scale: float) -> Array:
    """Residuals over their scale; where that is 0, those that are rounding are 0."""
    residuals = y - column_or_1d(predicted)
    if scale > 0.0:
        return residuals / scale
    off: Mask = np.abs(residuals) > EXACT * mad(y) + 8.0 * EPS * np.abs(y)
    return np.where(off, np.copysign(np.inf, residuals), 0.0)


def _drawable(values: Array, cutoff: float) -> Array:
    """Values with infinite ones brought to the edge."""
    edge = BEYOND * max(_largest(values), LEAST * cutoff)
    return np.clip(values, -edge, edge)


def _scale_axis(ax: Any, which: str, label: str, values: Array, cutoff: float) -> None:
    """Label an axis; make it logarithmic beyond some cut-offs where values are far beyond."""
    infinite = np.abs(values).max() >= INFINITE
    ax.set(**{f"{which}label": f"{label} (at the edge: infinite)" if infinite else label})
    if _largest(values) > LOGARITHMIC * cutoff:
        getattr(ax, f"set_{which}scale")("symlog", linthresh=LINEAR)


def _largest(values: Array) -> float:
    """The largest size of the finite values; 0 if there are none."""
    sizes = np.abs(values)
    return float(sizes[sizes < INFINITE].max(initial=0.0))
