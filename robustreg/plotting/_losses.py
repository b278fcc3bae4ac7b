"""A display of losses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from robustreg.losses import ResidualLoss, get_loss
from robustreg.plotting._axes import import_pyplot, merge_style


class LossDisplay:
    """Plot of one or several losses: rho, psi and weights side by side.

    Parameters
    ----------
    *losses : ResidualLoss or str
        Losses, or their names in `robustreg.losses.LOSSES`.
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
    axes_ : ndarray of 3 matplotlib Axes
        The panels of rho, psi and weights.
    lines_ : ndarray of matplotlib Line2D of shape (n_losses, 3)
        The curves.

    See Also
    --------
    LossDisplay.from_loss : Create the display and draw it.

    Examples
    --------
    >>> from robustreg.plotting import LossDisplay
    >>> display = LossDisplay.from_loss("huber", "bisquare")  # doctest: +SKIP
    >>> display.figure_.savefig("losses.png")  # doctest: +SKIP
    """

    def __init__(self, *losses: ResidualLoss | str, r: ArrayLike | None = None) -> None:
        if not losses:
            raise ValueError("LossDisplay needs at least one loss.")
        self.losses = tuple(get_loss(loss) for loss in losses)
        self.r = np.linspace(-6.0, 6.0, 1001) if r is None else np.sort(np.asarray(r, dtype=float))
        if self.r.ndim != 1 or self.r.size < 2 or not np.all(np.isfinite(self.r)):
            raise ValueError("r must be a one-dimensional array of at least two finite numbers.")

    @classmethod
    def from_loss(
        cls, *losses: ResidualLoss | str, r: ArrayLike | None = None, ax: Any = None
    ) -> Any:
        """Create a display and draw it.

        Parameters
        ----------
        *losses : ResidualLoss or str
            Losses, or their names.
        r : array-like of shape (n_points,), default=None
            Standardised residuals at which to evaluate.
        ax : array-like of 3 matplotlib Axes, default=None
            Where to draw; by default in a new figure.

        Returns
        -------
        LossDisplay
        """
        return cls(*losses, r=r).plot(ax)

    def plot(self, ax: Any = None, **line_kwargs: Any) -> LossDisplay:
        """Draw the three panels.

        Parameters
        ----------
        ax : array-like of 3 matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **line_kwargs
            Passed to matplotlib's ``Axes.plot`` for every curve.

        Returns
        -------
        LossDisplay
            The display itself.
        """
        axes = _three_axes(ax)
        curves = [self._draw(axes, number, line_kwargs) for number in range(len(self.losses))]
        labels = (r"loss $\rho$", r"influence $\psi = \rho'$", r"weight $\psi(r) / r$")
        for panel, label in zip(axes, labels, strict=True):
            panel.set(xlabel="residual / scale", ylabel=label)
            panel.grid(alpha=0.3)
        # A loss with a kink has an infinite weight at 0, which must not flatten the other curves.
        top = max(self._visible_weight(loss) for loss in self.losses)
        axes[2].set_ylim(-0.05 * top, 1.1 * top)
        self.figure_, self.axes_, self.lines_ = axes[0].figure, axes, np.array(curves)
        if ax is None:
            columns = min(len(self.losses), 4)
            handles = [line for line, *_ in curves]
            self.figure_.legend(handles=handles, loc="outside upper center", ncols=columns)
        else:
            axes[0].legend()
        return self

    def _draw(self, axes: Any, number: int, line_kwargs: dict[str, Any]) -> list[Any]:
        loss = self.losses[number]
        # Both sides of every kink, so that jumps are vertical and corners sharp on any grid.
        kinks = np.array([k for k in loss.kinks() if self.r[0] < k < self.r[-1]])
        sides = [np.nextafter(kinks, -np.inf), np.nextafter(kinks, np.inf)]
        r = np.sort(np.concatenate([self.r, *sides]))
        style = {"label": _label(loss), "linestyle": ("-", "--", "-.", ":")[number % 4]}
        return [
            panel.plot(r, curve(r), **merge_style(style, line_kwargs))[0]
            for panel, curve in zip(axes, (loss.rho, loss.psi, loss.weights), strict=True)
        ]

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


def _three_axes(ax: Any) -> Any:
    if ax is None:
        return import_pyplot().subplots(1, 3, figsize=(12.0, 3.8), layout="constrained")[1]
    axes = np.asarray(ax, dtype=object).ravel()
    if axes.size != 3:
        raise ValueError(f"ax must hold three matplotlib Axes, got {axes.size}.")
    return axes
