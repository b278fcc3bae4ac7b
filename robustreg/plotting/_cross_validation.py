"""A display of the scores of a search by cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from robustreg._arrays import Array
from robustreg.model_selection._grid_search import GridSearch
from robustreg.plotting._axes import import_pyplot, one_axes, scale_grid_axis

KINDS = ("auto", "curve", "heatmap")
TICKS = 6  # on each axis of a heat map, at most
WORST = 0.25  # of the cells of a heat map share its darkest colour


class CVCurveDisplay:
    """Plot of cross-validated scores over the penalty and Huber's delta.

    Curves show the mean score over the folds. The abscissa is alpha, with a curve for each
    delta; where there is but one alpha it is delta. The curve with the best score has a band of
    one standard error to both sides: the standard deviation over the folds, by the root of their
    number. (Folds share training rows, so that it is a guide and not a test.) A heat map shows
    the means alone.

    Parameters
    ----------
    scores : array-like of shape (n_alphas, n_folds) or (n_deltas, n_alphas, n_folds)
        Scores, of which higher is better.
    alphas : array-like of shape (n_alphas,)
        Strengths of the penalty.
    deltas : array-like of shape (n_deltas,), default=None
        Thresholds, where these were searched, too.
    alpha, delta : float
        The best cell: one of `alphas` and, where there are `deltas`, one of these.
    score_name : str, default="score"
        What the scores are.

    Attributes
    ----------
    scores, alphas, deltas, alpha, delta, score_name
        The parameters, as arrays where they are sequences.
    ax_ : matplotlib Axes
        Where the curves or the heat map are, after `plot`.
    figure_ : matplotlib Figure
        Their figure.
    best_ : matplotlib Line2D
        The mark at the best cell.
    lines_ : list of matplotlib Line2D
        The curves; empty for a heat map.
    band_ : matplotlib PolyCollection or None
        The band; None for a heat map, and where there is but one fold.
    image_ : matplotlib AxesImage or None
        The heat map. The lowest quarter of its cells share the darkest colour, so that
        hopeless ones do not hide the differences between the good ones.

    See Also
    --------
    CVCurveDisplay.from_estimator : Draw the scores of a fitted CV estimator.

    Examples
    --------
    >>> from robustreg import HuberRegressorCV
    >>> from robustreg.datasets import load_engel
    >>> from robustreg.plotting import CVCurveDisplay
    >>> search = HuberRegressorCV().fit(*load_engel(return_X_y=True))
    >>> display = CVCurveDisplay.from_estimator(search)  # doctest: +SKIP
    >>> display.figure_.savefig("scores.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        scores: ArrayLike,
        alphas: ArrayLike,
        *,
        deltas: ArrayLike | None = None,
        alpha: float,
        delta: float | None = None,
        score_name: str = "score",
    ) -> None:
        self.scores, self.alphas = np.asarray(scores), np.asarray(alphas)
        self.deltas = None if deltas is None else np.asarray(deltas)
        self.alpha, self.delta, self.score_name = alpha, delta, score_name
        cells = self.alphas.shape if self.deltas is None else self.deltas.shape + self.alphas.shape
        if self.scores.shape[:-1] != cells:
            raise ValueError(
                f"scores must be of shape {cells} and the number of folds, got {self.scores.shape}."
            )
        for name, grid in (("alpha", self.alphas), ("delta", self.deltas)):
            if grid is not None and getattr(self, name) not in grid:
                raise ValueError(f"{name} must be one of {name}s, got {getattr(self, name)!r}.")

    @classmethod
    def from_estimator(cls, estimator: Any, *, kind: str = "auto", ax: Any = None) -> Any:
        """Draw the scores of a fitted CV estimator.

        Parameters
        ----------
        estimator : HuberRegressorCV, L1RegressorCV or QuantileRegressorCV
            A fitted one.
        kind : {"auto", "curve", "heatmap"}, default="auto"
            As of :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.

        Returns
        -------
        CVCurveDisplay

        Raises
        ------
        TypeError
            If the estimator is none of those above.
        ValueError
            If `kind` is not one of the three, or there is nothing to draw that way.
        sklearn.exceptions.NotFittedError
            If the estimator has not been fitted.
        """
        if not isinstance(estimator, GridSearch):
            raise TypeError(
                "estimator must be a HuberRegressorCV, L1RegressorCV or QuantileRegressorCV, got "
                f"{type(estimator).__name__}."
            )
        check_is_fitted(estimator)
        display = cls(
            estimator.scores_path_,
            estimator.alphas_,
            deltas=getattr(estimator, "deltas_", None),
            alpha=estimator.alpha_,
            delta=getattr(estimator, "delta_", None),
            score_name=_name_of(estimator.scoring),
        )
        return display.plot(ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "auto") -> CVCurveDisplay:
        """Draw the curves or the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        kind : {"auto", "curve", "heatmap"}, default="auto"
            "auto" is a heat map over alpha and delta where several of both were searched, and
            curves otherwise.

        Returns
        -------
        CVCurveDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `kind` is not one of the three, or "heatmap" where no deltas were searched.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be 'auto', 'curve' or 'heatmap', got {kind!r}.")
        if kind == "heatmap" and self.deltas is None:
            raise ValueError("kind='heatmap' needs deltas besides alphas: use kind='curve'.")
        several = self.deltas is not None and min(len(self.deltas), len(self.alphas)) > 1
        self.lines_: list[Any] = []
        self.band_: Any = None
        self.image_: Any = None
        self.ax_ = one_axes(ax)
        self.figure_ = self.ax_.figure
        if kind == "heatmap" or (kind == "auto" and several):
            self._draw_cells()
        else:
            self._draw_curves()
        parts = [f"alpha = {self.alpha:.4g}"]
        if self.delta is not None:
            parts.append(f"delta = {self.delta:.4g}")
        self.ax_.set_title("best: " + ", ".join(parts))
        return self

    def _draw_curves(self) -> None:
        deltas = np.full(1, np.nan) if self.deltas is None else self.deltas
        scores = self.scores.reshape(len(deltas), len(self.alphas), -1)
        row, column = self._best_cell()
        over, grid, other, values = "alpha", self.alphas, "delta", deltas
        if self.deltas is not None and len(self.alphas) == 1:
            over, grid, other, values = "delta", self.deltas, "alpha", self.alphas
            scores, row, column = scores.swapaxes(0, 1), column, row
        ax, means = self.ax_, scores.mean(axis=-1)
        scale_grid_axis(ax, over, grid)
        colors = import_pyplot().get_cmap("viridis")(np.linspace(0.0, 0.9, len(values)))
        for value, mean, color in zip(values, means, colors, strict=True):
            label = f"{other} = {value:.4g}"
            self.lines_ += ax.plot(grid, mean, "o-", ms=3.0, color=color, label=label)
        if scores.shape[-1] > 1:
            error = _standard_error(scores[row])
            band = (grid, means[row] - error, means[row] + error)
            self.band_ = ax.fill_between(*band, color=colors[row], alpha=0.2, lw=0.0)
        self._mark(grid[column], means[row, column])
        ax.set_ylabel(self._score_label())
        ax.grid(alpha=0.3)
        if len(values) > 1:
            ax.legend()

    def _draw_cells(self) -> None:
        assert self.deltas is not None
        means = np.ma.masked_invalid(self.scores.mean(axis=-1))
        lowest = np.quantile(means.compressed(), WORST)
        ax = self.ax_
        self.image_ = ax.imshow(means, aspect="auto", origin="lower", vmin=lowest)
        self.figure_.colorbar(self.image_, ax=ax, label=self._score_label(), extend="min")
        for axis, grid in ((ax.xaxis, self.alphas), (ax.yaxis, self.deltas)):
            shown = np.linspace(0.0, len(grid) - 1.0, min(len(grid), TICKS)).round().astype(int)
            axis.set_ticks(shown, [f"{value:.4g}" for value in grid[shown]])
        row, column = self._best_cell()
        self._mark(column, row)
        ax.set(xlabel="alpha", ylabel="delta")

    def _mark(self, x: float, y: float) -> None:
        (self.best_,) = self.ax_.plot(x, y, "*", ms=14.0, color="#e58606", mec="k")

    def _best_cell(self) -> tuple[int, int]:
        """Position of the best cell in the grids of delta and alpha."""
        row = 0 if self.deltas is None else int(np.argmax(self.deltas == self.delta))
        return row, int(np.argmax(self.alphas == self.alpha))

    def _score_label(self) -> str:
        n_folds = self.scores.shape[-1]
        return f"{self.score_name}, mean of {n_folds} folds"


def _standard_error(scores: Array) -> Array:
    """Standard errors of means over the last axis."""
    with np.errstate(invalid="ignore"):  # scores may be infinite
        return scores.std(axis=-1, ddof=1) / np.sqrt(scores.shape[-1])


def _name_of(scoring: Any) -> str:
    """What a parameter `scoring` is called on an axis."""
    if scoring is None:
        return "R squared"
    if not isinstance(scoring, str):
        return str(getattr(scoring, "__name__", scoring))
    if scoring.startswith("neg_"):
        scoring = "negative " + scoring.removeprefix("neg_")
    return scoring.replace("_", " ")
