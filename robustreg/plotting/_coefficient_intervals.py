"""A display of coefficients with their intervals, of one fit or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from robustreg._arrays import Array
from robustreg._numbers import as_number
from robustreg.inference import Inference, infer
from robustreg.inference._table import cut
from robustreg.plotting._axes import (
    NAME_WIDTH,
    UNDETERMINED,
    chosen_terms,
    merge_style,
    one_axes,
    show_literally,
)

MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # so that fits can be told apart in grey, too
COLORS = ("#0b3c8c", "#e58606", "#117733", "#cc3311", "#33bbee", "0.35")
APART, TOGETHER = 0.24, 0.8  # between fits, and at most for all of them; rows are 1 apart
LEAST_ROW, PER_FIT = 0.28, 0.15  # height of a row in inches


class CoefficientDisplay:
    """Plot of coefficients and their intervals, of one fit or of several side by side.

    There is a row for each coefficient, with a point and a bar for each fit, and a line at 0.
    Where an end of an interval is infinite, as those of rank tests may be, an arrow leads to the
    edge. A hollow point has no interval. A coefficient that the data do not determine (collinear
    columns) has no point, but says so; one that a fit does not have, has nothing.

    Coefficients of columns in different units hardly fit on one axis: `units` says by how much
    each column is to change. The legend is beside the axes: figures of your own want
    ``layout="constrained"``.

    Parameters
    ----------
    results : Inference, or mapping of str to Inference
        What :func:`robustreg.inference.infer` returned; of several fits, by their names for the
        legend.
    terms : sequence of str, default=None
        Names of the coefficients to show, from above; by default all but "intercept", in the order
        in which the fits have them.
    level : float, default=0.95
        Of the intervals, between 0 and 1.
    units : mapping of str to float, default=None
        For names of columns a change of theirs: what is drawn is the change of the
        prediction that it brings, coefficient and interval times the unit. ``X.std()`` of a
        DataFrame makes columns comparable. Other columns have the unit 1.

    Attributes
    ----------
    terms, labels : list of str
        Names of the rows, and of the fits ("" of a single result).
    coefs : ndarray of shape (n_fits, n_terms)
        Coefficients in the units above. NaN where the data do not determine one, or the fit has
        none of that name.
    intervals : ndarray of shape (n_fits, n_terms, 2)
        Their intervals.
    undetermined : ndarray of bool, shape (n_fits, n_terms)
        Where the data do not determine a coefficient.
    level, units
        The parameters.
    ax_ : matplotlib Axes
        Where the points are, after `plot`.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of n_fits matplotlib Line2D
        Points with bars.

    See Also
    --------
    CoefficientDisplay.from_estimators : Infer of fitted models, and draw the results.
    QuantileProcessDisplay : Coefficients over quantiles.

    Examples
    --------
    >>> from robustreg import HuberRegressor, L2Regressor
    >>> from robustreg.datasets import load_engel
    >>> from robustreg.plotting import CoefficientDisplay
    >>> income, food = load_engel(return_X_y=True, as_frame=True)
    >>> models = {"least squares": L2Regressor(), "Huber": HuberRegressor()}
    >>> for model in models.values():
    ...     _ = model.fit(income, food)
    >>> display = CoefficientDisplay.from_estimators(models, income, food)  # doctest: +SKIP
    >>> display.figure_.savefig("coefficients.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        results: Inference | Mapping[str, Inference],
        *,
        terms: Sequence[str] | None = None,
        level: float = 0.95,
        units: Mapping[str, float] | None = None,
    ) -> None:
        by_label = _checked_results(results)
        names = list(dict.fromkeys(name for each in by_label.values() for name in each.names))
        if terms is None and names != ["intercept"]:
            self.terms = [name for name in names if name != "intercept"]
        else:
            self.terms = chosen_terms(terms, names)
        self.labels, self.level = list(by_label), level
        self.units = None if units is None else _checked(units, names)
        cells = [_cells(each, self.terms, level) for each in by_label.values()]
        factor = np.array([(self.units or {}).get(term, 1.0) for term in self.terms])
        self.coefs = np.array([coef for coef, _, _ in cells]) * factor
        self.intervals = np.array([interval for _, interval, _ in cells]) * factor[:, None]
        self.undetermined = np.array([lost for _, _, lost in cells])

    @classmethod
    def from_results(
        cls,
        results: Inference | Mapping[str, Inference],
        *,
        terms: Sequence[str] | None = None,
        level: float = 0.95,
        units: Mapping[str, float] | None = None,
        ax: Any = None,
        **line_kwargs: Any,
    ) -> CoefficientDisplay:
        """Create a display and draw it.

        Parameters
        ----------
        results, terms, level, units
            As of the class.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for points and bars of every fit.

        Returns
        -------
        CoefficientDisplay

        Raises
        ------
        TypeError
            If there is anything else than results of `infer`.
        ValueError
            If there are no results, no such terms, or level or units are not what they must be.
        """
        return cls(results, terms=terms, level=level, units=units).plot(ax, **line_kwargs)

    @classmethod
    def from_estimators(
        cls,
        estimators: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        covariance: str = "auto",
        groups: ArrayLike | None = None,
        terms: Sequence[str] | None = None,
        level: float = 0.95,
        units: Mapping[str, float] | None = None,
        ax: Any = None,
        **line_kwargs: Any,
    ) -> CoefficientDisplay:
        """Infer of models that were fitted to the same rows, and draw the results.

        Parameters
        ----------
        estimators : estimator or Pipeline, or mapping of str to them
            Fitted models that :func:`robustreg.inference.infer` takes; several by their names for
            the legend. To compare kinds of covariance, or fits to other rows, call `infer` and
            :meth:`from_results`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows that they were fitted to.
        y : array-like of shape (n_samples,)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.
        covariance, groups
            As of `infer`, for all models.
        terms, level, units
            As of the class.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for points and bars of every fit.

        Returns
        -------
        CoefficientDisplay

        Raises
        ------
        TypeError, ValueError
            As of `infer`, and of :meth:`from_results`.
        """
        results: dict[str, Any] = {
            label: infer(model, X, y, sample_weight, covariance=covariance, groups=groups)
            for label, model in _by_label(estimators).items()
        }
        return cls.from_results(
            results, terms=terms, level=level, units=units, ax=ax, **line_kwargs
        )

    def plot(self, ax: Any = None, **line_kwargs: Any) -> CoefficientDisplay:
        """Draw the coefficients.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure, the higher the more rows there are.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for points and bars of every fit.

        Returns
        -------
        CoefficientDisplay
            The display itself.
        """
        count, rows = self.coefs.shape
        axes = self.ax_ = one_axes(ax, height=1.0 + rows * max(LEAST_ROW, PER_FIT * count + 0.06))
        self.figure_ = axes.figure
        for row in range(0, rows, 2):  # stripes lead from the names to the points
            axes.axhspan(row - 0.5, row + 0.5, color="0.96", linewidth=0.0, zorder=0.0)
        axes.axvline(0.0, color="0.3", linewidth=1.0, zorder=1.0)
        step = min(APART, TOGETHER / count)
        self.lines_: list[Any] = []
        for number in range(count):
            heights = np.arange(rows) + step * (number - 0.5 * (count - 1))
            self._draw(number, heights, line_kwargs)
        axes.set_yticks(np.arange(rows), [self._row_name(term) for term in self.terms])
        show_literally(axes.get_yticklabels())
        axes.tick_params(axis="y", length=0.0)
        axes.set_ylim(rows - 0.5, -0.5)
        what = "coefficient" if self.units is None else "coefficient x unit"
        axes.set_xlabel(f"{what}, {100.0 * self.level:g} % interval")
        axes.locator_params(axis="x", nbins=6)
        axes.grid(axis="x", alpha=0.3)
        if self.labels != [""]:
            legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
            show_literally(legend.get_texts())
        return self

    def _draw(self, number: int, heights: Array, line_kwargs: dict[str, Any]) -> None:
        """Draw the points and bars of a fit."""
        coef, (low, high) = self.coefs[number], self.intervals[number].T
        hollow = np.isnan(low) & np.isnan(high)
        gap = np.full(len(coef), np.nan)  # to the next row
        line = np.column_stack([low, np.where(hollow, np.nan, coef), high, gap])
        line[np.isinf(line)] = np.nan
        style = {
            "marker": MARKERS[number % len(MARKERS)],
            "markevery": (1, line.shape[1]),  # points, and not the ends
            "color": COLORS[number % len(COLORS)],
            "linewidth": 1.8,
            "markersize": 5.0,
            "label": self.labels[number],
        }
        style = merge_style(style, line_kwargs)
        (drawn,) = self.ax_.plot(line.ravel(), np.repeat(heights, line.shape[1]), **style)
        self.lines_.append(drawn)
        if hollow.any():
            empty = {"markerfacecolor": "white", "linestyle": "", "markevery": None, "label": None}
            self.ax_.plot(coef[hollow], heights[hollow], **style | empty)
        for ends, edge in ((low, 0.0), (high, 1.0)):
            for row in np.flatnonzero(np.isinf(ends)):
                self._point_at_edge(coef[row], heights[row], edge, drawn)
        for row in np.flatnonzero(self.undetermined[number]):
            if not self.undetermined[:, row].all():
                self._say_undetermined(heights[row], drawn.get_color())
            elif number == 0:  # where it is so of all fits, once is enough
                self._say_undetermined(float(row), "0.35")

    def _say_undetermined(self, height: float, color: Any) -> None:
        style: dict[str, Any] = {"va": "center", "fontsize": "x-small", "color": color}
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        where = self.ax_.get_yaxis_transform()
        self.ax_.text(0.01, height, UNDETERMINED, transform=where, **style)

    def _point_at_edge(self, coef: float, height: float, edge: float, like: Any) -> None:
        """Draw an arrow from a coefficient to the edge of the axes, wherever that comes to be."""
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "shrinkA": 0.0, "shrinkB": 0.0}
        arrow |= {"color": like.get_color(), "linewidth": like.get_linewidth()}
        systems = {"xycoords": ("axes fraction", "data"), "textcoords": "data"}
        self.ax_.annotate("", (edge, height), (coef, height), arrowprops=arrow, **systems)

    def _row_name(self, term: str) -> str:
        unit = (self.units or {}).get(term, 1.0)
        return cut(term, NAME_WIDTH) + ("" if unit == 1.0 else f", per {unit:.3g}")


def _checked_results(given: Any) -> dict[str, Inference]:
    results = {str(label): result for label, result in _by_label(given).items()}
    for result in results.values():
        if not isinstance(result, Inference):
            raise TypeError(
                "results must be what infer returns for one fit, or a mapping of names to such "
                f"results; got {type(result).__name__}."
            )
    if not results:
        raise ValueError("results must hold one result at least.")
    return results


def _by_label(given: Any) -> Mapping[Any, Any]:
    return given if isinstance(given, Mapping) else {"": given}


def _checked(units: Mapping[str, float], names: list[str]) -> dict[str, float]:
    """Units as numbers, by the names of coefficients."""
    found = {str(name): as_number(unit) for name, unit in dict(units).items()}
    unknown = [name for name in found if name not in names]
    if unknown:
        raise ValueError(
            f"units must be of names among {', '.join(names)}; got {', '.join(unknown)}."
        )
    for name, unit in found.items():
        if not 0.0 <= unit < np.inf:  # 0 is the spread of a constant column
            raise ValueError(f"units must be finite and not negative; that of {name} is {unit:g}.")
    return found


def _cells(result: Inference, terms: list[str], level: float) -> tuple[Array, Array, Array]:
    """Coefficients, intervals and what is not determined, in the order of the terms."""
    coef, lost = np.full(len(terms), np.nan), np.zeros(len(terms), dtype=bool)
    interval, limits = np.full((len(terms), 2), np.nan), result.conf_int(level)
    for row, term in enumerate(terms):
        if term not in result.names:
            continue
        column = result.names.index(term)
        if result.identified[column]:
            coef[row], interval[row] = result.coef[column], limits[column]
        else:
            lost[row] = True
    return coef, interval, lost
