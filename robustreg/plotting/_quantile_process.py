"""A display of coefficients over quantiles, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from robustreg._arrays import Array
from robustreg.estimators import L2Regressor
from robustreg.inference import Inference, infer
from robustreg.inference._pipeline import last_step
from robustreg.inference._table import cut
from robustreg.inference.quantiles._result import QuantileInference
from robustreg.plotting._axes import (
    NAME_WIDTH,
    UNDETERMINED,
    chosen_terms,
    given_axes,
    merge_style,
    new_grid,
    show_literally,
)

COLUMNS = 4
PANEL, ONLY_PANEL = (3.0, 2.3), (5.5, 3.4)  # inches
CURVE = {"color": "#0b3c8c", "marker": "o", "markersize": 4.0, "linewidth": 1.8}
BAND = {"facecolor": "#c2d1ec", "edgecolor": "#c2d1ec"}
REFERENCE: dict[str, Any] = {"color": "#cc3311", "linewidth": 1.4, "zorder": 1.5}
MARGIN = 0.06  # of the axes, where an end of an interval is infinite


class QuantileProcessDisplay:
    """Plot of the coefficients of quantiles over these, with bands of their intervals.

    There is a panel for each coefficient, with a line at 0 if that is in sight. Where the curve
    rises, a column matters more for the large targets than for the small ones; where the noise does
    not depend on the columns, all curves but the intercept's are level, up to chance. The
    intervals hold for one quantile at a time: they are no band for the whole curve. The test of
    equal slopes is ``QuantileInference.equal_slopes_test``.

    Parameters
    ----------
    process : QuantileInference
        What :func:`robustreg.inference.infer` returned for several quantiles.
    reference : Inference, default=None
        A fit to compare with: its coefficients are horizontal lines, with dashed ones at the ends
        of their intervals. In panels of coefficients that it does not have, there are none.
    terms : sequence of str, default=None
        Names of the coefficients to show; by default all, the intercept first.
    level : float, default=0.95
        Of all intervals, between 0 and 1.

    Attributes
    ----------
    terms : list of str
        Names of the panels.
    quantiles : ndarray of shape (m,)
        In increasing order.
    coefs : ndarray of shape (n_terms, m)
        Coefficients; NaN where the data do not determine them (collinear columns).
    intervals : ndarray of shape (n_terms, m, 2)
        Their intervals.
    process, reference, level
        The parameters.
    axes_ : ndarray of matplotlib Axes of shape (n_terms,)
        The panels, after `plot`.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of n_terms matplotlib Line2D
        The curves.
    bands_ : list of n_terms matplotlib collections
        The bands.

    See Also
    --------
    QuantileProcessDisplay.from_estimator : Infer, compare with least squares, and draw.
    CoefficientDisplay : Coefficients of single fits side by side.

    Examples
    --------
    >>> from robustreg import QuantileRegressor
    >>> from robustreg.datasets import load_engel
    >>> from robustreg.plotting import QuantileProcessDisplay
    >>> income, food = load_engel(return_X_y=True, as_frame=True)
    >>> model = QuantileRegressor([0.1, 0.25, 0.5, 0.75, 0.9]).fit(income, food)
    >>> display = QuantileProcessDisplay.from_estimator(model, income, food)  # doctest: +SKIP
    >>> display.figure_.savefig("process.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        process: QuantileInference,
        *,
        reference: Inference | None = None,
        terms: Sequence[str] | None = None,
        level: float = 0.95,
    ) -> None:
        if not isinstance(process, QuantileInference):
            raise TypeError(
                "process must be what infer returns for several quantiles, got "
                f"{type(process).__name__}."
            )
        if reference is not None and not isinstance(reference, Inference):
            raise TypeError(
                f"reference must be what infer returns for one fit, got {type(reference).__name__}."
            )
        names = list(process.names)
        self.process, self.reference, self.level = process, reference, level
        self.terms = chosen_terms(terms, names)
        if reference is not None and not set(self.terms) & set(reference.names):
            raise ValueError(
                f"reference must have one at least of the coefficients {', '.join(self.terms)}; "
                f"it has {', '.join(reference.names)}."
            )
        order = np.argsort(process.quantiles)
        columns = [names.index(term) for term in self.terms]
        self.quantiles = np.asarray(process.quantiles)[order]
        known = process.results[0].identified[columns]
        self.coefs = np.where(known[:, None], process.coef[order].T[columns], np.nan)
        self.intervals = process.conf_int(level)[order].swapaxes(0, 1)[columns]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        covariance: str = "auto",
        groups: ArrayLike | None = None,
        terms: Sequence[str] | None = None,
        level: float = 0.95,
        ax: Any = None,
        **line_kwargs: Any,
    ) -> QuantileProcessDisplay:
        """Infer of a fit of several quantiles, compare with least squares, and draw.

        Parameters
        ----------
        estimator : QuantileRegressor or Pipeline
            A fitted one, of several quantiles.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows that it was fitted to.
        y : array-like of shape (n_samples,)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.
        covariance, groups
            As of :func:`robustreg.inference.infer`, for the quantiles. Least squares have its
            default, with the same groups.
        terms, level
            As of the class.
        ax : array-like of matplotlib Axes, default=None
            Where to draw, see `plot`; by default in a new figure.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for every curve.

        Returns
        -------
        QuantileProcessDisplay

        Raises
        ------
        TypeError
            If the estimator is no fit of several quantiles.
        ValueError
            As of `infer`, or if there are no such terms.
        """
        process: Any = infer(estimator, X, y, sample_weight, covariance=covariance, groups=groups)
        last, table, _ = last_step(estimator, X)
        squares = L2Regressor(fit_intercept=last.fit_intercept).fit(table, y, sample_weight)
        reference: Any = infer(squares, table, y, sample_weight, groups=groups)
        named = replace(reference, names=process.names)
        display = cls(process, reference=named, terms=terms, level=level)
        return display.plot(ax, **line_kwargs)

    def plot(self, ax: Any = None, **line_kwargs: Any) -> QuantileProcessDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : array-like of n_terms matplotlib Axes, default=None
            Where to draw: a panel for each coefficient. By default in a new figure.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for every curve.

        Returns
        -------
        QuantileProcessDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `ax` holds another number of panels.
        """
        count = len(self.terms)
        if ax is None:
            size = ONLY_PANEL if count == 1 else PANEL
            self.axes_ = new_grid(count, COLUMNS, size, same_heights=False)
        else:
            self.axes_ = given_axes(ax, count, str(count))
        self.figure_ = self.axes_[0].figure
        self.lines_: list[Any] = []
        self.bands_: list[Any] = []
        for number, panel in enumerate(self.axes_):
            self._draw(number, panel, line_kwargs)
            panel.set_title(cut(self.terms[number], NAME_WIDTH), fontsize="medium")
            panel.grid(alpha=0.3)
            if ax is not None:  # a new figure has one label for all
                panel.set(xlabel="quantile", ylabel="coefficient")
        show_literally(panel.title for panel in self.axes_)
        self._explain(new=ax is None)
        return self

    def _explain(self, new: bool) -> None:
        handles = [self.lines_[0], self.bands_[0], *self._reference_handles()]
        if not new:
            self.axes_[0].legend(handles=handles, fontsize="small")
            return
        self.figure_.supxlabel("quantile", fontsize="medium")
        self.figure_.supylabel("coefficient", fontsize="medium")
        columns = len(handles) if len(self.terms) > 2 else 2
        self.figure_.legend(handles=handles, loc="outside upper center", ncols=columns)

    def _draw(self, number: int, panel: Any, line_kwargs: dict[str, Any]) -> None:
        """Draw a coefficient, its band and the lines of the reference."""
        coef, limits = self.coefs[number], self.intervals[number]
        lines = self._reference_lines(self.terms[number])
        bottom, top = _window(np.concatenate([coef, limits.ravel(), lines]))
        if np.isinf(limits).any():
            panel.set_ylim(bottom, top)
        label = f"{100.0 * self.level:g} % interval"
        low, high = np.clip(limits, bottom, top).T
        # The edge makes the band of a single quantile a bar.
        width = 4.0 if len(coef) == 1 else 0.0
        band = panel.fill_between(self.quantiles, low, high, linewidth=width, label=label, **BAND)
        style = merge_style({"label": "quantile", **CURVE}, line_kwargs)
        self.lines_ += panel.plot(self.quantiles, coef, **style)
        self.bands_.append(band)
        if np.isnan(coef).all():
            where = {"transform": panel.transAxes, "ha": "center", "va": "center"}
            panel.text(0.5, 0.5, UNDETERMINED, fontsize="small", color="0.35", **where)
        for height, dashes in zip(lines, ("-", "--", "--"), strict=False):
            panel.axhline(height, linestyle=dashes, **REFERENCE)
        if bottom < 0.0 < top:
            panel.axhline(0.0, color="0.3", linestyle=":", linewidth=1.0, zorder=1.0)

    def _reference_lines(self, term: str) -> Array:
        """Coefficient, lower and upper end of the reference, where it has these."""
        if self.reference is None or term not in self.reference.names:
            return np.zeros(0)
        column = self.reference.names.index(term)
        if not self.reference.identified[column]:
            return np.zeros(0)
        ends = self.reference.conf_int(self.level)[column]
        return np.append(self.reference.coef[column], ends[np.isfinite(ends)])

    def _reference_handles(self) -> list[Any]:
        """What the legend shows of the reference."""
        if self.reference is None:
            return []
        from matplotlib.lines import Line2D

        name = self.reference.title.partition("(")[0]
        ends = f"its {100.0 * self.level:g} % interval"
        return [
            Line2D([], [], label=name, linestyle="-", **REFERENCE),
            Line2D([], [], label=ends, linestyle="--", **REFERENCE),
        ]


def _window(values: Array) -> tuple[float, float]:
    """What a panel shows: the finite values, and a margin."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return -1.0, 1.0
    margin = MARGIN * (np.ptp(finite) or 1.0)
    return float(finite.min() - margin), float(finite.max() + margin)
