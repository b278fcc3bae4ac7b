"""A display of losses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from robustreg.losses import ResidualLoss
from robustreg.losses._names import get_residual_loss
from robustreg.plotting._axes import given_axes, import_pyplot, merge_style, new_grid

KINDS = ("overlay", "grid")
CURVES = (r"loss $\rho$", r"influence $\psi = \rho'$", r"weight $\psi(r) / r$")
RESIDUAL = "residual / scale"
LINES = ("-", "--", "-.", ":")  # so that curves can be told apart in grey, too
COLUMNS = 4  # of a grid
PANEL = (2.4, 2.1)  # inches; of a grid
WINDOW = (-0.4, 1.05)  # what a grid shows of the curves, in multiples of the largest residual


class LossDisplay:
    """Plot of one or several losses: rho, psi and weights.

    Losses are drawn over each other in three panels, one for rho, one for psi and one for weights,
    which shows where a few losses differ; or side by side in a grid, each in a panel of its own
    with all three curves, which shows what each of many looks like.

    Parameters
    ----------
    *losses : ResidualLoss or str
        Losses, or names of theirs that `robustreg.losses.get_loss` knows.
    r : array-like of shape (n_points,), default=None
        Standardised residuals at which to evaluate. By default 1001 points from -6 to 6.

    Attributes
    ----------
    losses : tuple of ResidualLoss
        What is drawn.
    r : ndarray of shape (n_points,)
        Where, in increasing order.
    figure_ : matplotlib Figure
        The figure, after `plot`.
    axes_ : ndarray of matplotlib Axes
        The three panels of rho, psi and weights, or for a grid one panel for each loss.
    lines_ : ndarray of matplotlib Line2D of shape (n_losses, 3)
        The curves of rho, psi and weights.

    See Also
    --------
    LossDisplay.from_loss : Create the display and draw it.

    Examples
    --------
    >>> from robustreg.losses import LOSSES
    >>> from robustreg.plotting import LossDisplay
    >>> display = LossDisplay.from_loss("huber", "bisquare")  # doctest: +SKIP
    >>> catalogue = LossDisplay.from_loss(*LOSSES, kind="grid")  # doctest: +SKIP
    >>> catalogue.figure_.savefig("losses.png")  # doctest: +SKIP
    """

    def __init__(self, *losses: ResidualLoss | str, r: ArrayLike | None = None) -> None:
        if not losses:
            raise ValueError("LossDisplay needs at least one loss.")
        self.losses = tuple(get_residual_loss(loss) for loss in losses)
        self.r = np.linspace(-6.0, 6.0, 1001) if r is None else np.sort(np.asarray(r, dtype=float))
        if self.r.ndim != 1 or self.r.size < 2 or not np.all(np.isfinite(self.r)):
            raise ValueError("r must be a one-dimensional array of at least two finite numbers.")

    @classmethod
    def from_loss(
        cls,
        *losses: ResidualLoss | str,
        r: ArrayLike | None = None,
        ax: Any = None,
        kind: str = "overlay",
    ) -> Any:
        """Create a display and draw it.

        Parameters
        ----------
        *losses : ResidualLoss or str
            Losses, or their names.
        r : array-like of shape (n_points,), default=None
            Standardised residuals at which to evaluate.
        ax : array-like of matplotlib Axes, default=None
            Where to draw, see `plot`; by default in a new figure.
        kind : {"overlay", "grid"}, default="overlay"
            All losses in three panels, or each loss in one of its own.

        Returns
        -------
        LossDisplay
        """
        return cls(*losses, r=r).plot(ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "overlay", **line_kwargs: Any) -> LossDisplay:
        """Draw the losses.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            Where to draw: three panels, or for a grid one for each loss. By default in a new
            figure.
        kind : {"overlay", "grid"}, default="overlay"
            "overlay" draws all losses over each other, in one panel for rho, one for psi and one
            for weights. "grid" draws the three curves of each loss in a panel of its own. All
            panels of a grid have the same axes, whose vertical one ends at the largest residual
            or a little above, so that steep losses leave them.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for every curve.

        Returns
        -------
        LossDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `kind` is not one of the two, or `ax` holds another number of panels.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be 'overlay' or 'grid', got {kind!r}.")
        if kind == "grid":
            self._plot_grid(ax, line_kwargs)
        else:
            self._plot_overlay(ax, line_kwargs)
        return self

    def _plot_overlay(self, ax: Any, line_kwargs: dict[str, Any]) -> None:
        axes = _new_row() if ax is None else given_axes(ax, 3, "three")
        lines = []
        for number, loss in enumerate(self.losses):
            style = {"label": _label(loss), "linestyle": LINES[number % len(LINES)]}
            lines.append(self._draw(loss, axes, [style] * 3, line_kwargs))
        for panel, label in zip(axes, CURVES, strict=True):
            panel.set(xlabel=RESIDUAL, ylabel=label)
            panel.grid(alpha=0.3)
        # A loss with a kink has an infinite weight at 0, which must not flatten the other curves.
        top = max(self._visible_weight(loss) for loss in self.losses)
        axes[2].set_ylim(-0.05 * top, 1.1 * top)
        self._finish(axes, lines, [line for line, *_ in lines], new=ax is None)

    def _plot_grid(self, ax: Any, line_kwargs: dict[str, Any]) -> None:
        count = len(self.losses)
        if ax is None:
            axes = new_grid(count, COLUMNS, PANEL, same_heights=True)
            axes[0].figure.supxlabel(RESIDUAL, fontsize="small")
        else:
            axes = given_axes(ax, count, str(count))
        styles = [{"label": CURVES[k], "linestyle": LINES[k]} for k in range(3)]
        largest = np.abs(self.r).max() or 1.0
        lines = []
        for panel, loss in zip(axes, self.losses, strict=True):
            lines.append(self._draw(loss, [panel] * 3, styles, line_kwargs))
            panel.set_title(_label(loss), fontsize="small")
            panel.set_ylim(WINDOW[0] * largest, WINDOW[1] * largest)
            panel.grid(alpha=0.3)
            if ax is not None:  # a new figure has one label for all
                panel.set_xlabel(RESIDUAL)
        self._finish(axes, lines, lines[0], new=ax is None)

    def _draw(
        self,
        loss: ResidualLoss,
        panels: Any,
        styles: list[dict[str, Any]],
        line_kwargs: dict[str, Any],
    ) -> list[Any]:
        """Draw rho, psi and weights of a loss, each into its panel."""
        # Both sides of every kink, so that jumps are vertical and corners sharp on any grid.
        kinks = np.array([k for k in loss.kinks() if self.r[0] < k < self.r[-1]])
        sides = [np.nextafter(kinks, -np.inf), np.nextafter(kinks, np.inf)]
        r = np.sort(np.concatenate([self.r, *sides]))
        curves = (loss.rho, loss.psi, loss.weights)
        return [
            panel.plot(r, curve(r), **merge_style(style, line_kwargs))[0]
            for panel, curve, style in zip(panels, curves, styles, strict=True)
        ]

    def _finish(self, axes: Any, lines: list[list[Any]], handles: list[Any], new: bool) -> None:
        self.figure_, self.axes_, self.lines_ = axes[0].figure, axes, np.array(lines)
        if new:
            columns = min(len(handles), 4)
            self.figure_.legend(handles=handles, loc="outside upper center", ncols=columns)
        else:
            axes[0].legend()

    def _visible_weight(self, loss: ResidualLoss) -> float:
        """Return the largest weight to show: the one at 0, or where that is infinite, beside it."""
        weights = loss.weights([0.0, 0.1 * np.ptp(self.r)])
        return float(np.max(weights[np.isfinite(weights)])) or 1.0


def _label(loss: object) -> str:
    """Return the loss's repr with four digits."""
    if not dataclasses.is_dataclass(loss):
        return repr(loss)
    values = ((field.name, getattr(loss, field.name)) for field in dataclasses.fields(loss))
    return f"{type(loss).__name__}({', '.join(f'{name}={value:.4g}' for name, value in values)})"


def _new_row() -> Any:
    return import_pyplot().subplots(1, 3, figsize=(12.0, 3.8), layout="constrained")[1]
