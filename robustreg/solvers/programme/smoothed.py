"""A programme with its kinks rounded off: the quick way near its solution.

With ``rounded`` of :class:`robustreg.solvers.programme.rows.Programme` in place of the loss the
objective is smooth, and its second derivative is that of the rows with ``|r| <= width``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.optimize import minimize

from robustreg._arrays import Array
from robustreg.solvers._newton import semismooth_newton
from robustreg.solvers.programme.rows import Programme, Rounded
from robustreg.solvers.programme.vertex import typical_size

NARROWING = 0.25  # of one width to the next
MUCH_WIDER = 2.0  # than what residuals there ask for: a width that the start has misled
XTOL = 0.1  # length of the last step, in widths: the next width needs no more


class Roundable(Protocol):
    """A programme whose kinks can be rounded off."""

    @property
    def ridge(self) -> Array:
        """As of a programme."""

    def pull(self, theta: Array) -> Array:
        """As of a programme."""

    def rounded(self, theta: Array, width: float) -> Rounded:
        """As of a programme."""


class Smoothed:
    """The smoothed objective for one width, as SciPy's minimisers want it."""

    def __init__(self, programme: Roundable, width: float) -> None:
        self.programme, self.width = programme, width
        self.here: Rounded | None = None

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Value and gradient."""
        here = self.here = self.programme.rounded(theta, self.width)
        pull = self.programme.pull(theta)
        return here.loss + 0.5 * float(theta @ pull), pull - here.slopes

    def hessian(self, theta: Array) -> Array:
        """Generalised second derivative, at the theta evaluated last."""
        assert self.here is not None
        return self.here.hessian() + self.programme.ridge

    def minimise(
        self, theta: Array, max_iter: int, xtol: float, hessian: Array | None = None
    ) -> Array:
        """Newton steps until they are shorter than ``xtol`` in the whitened coordinates.

        With a ``hessian`` it serves at every theta.
        """
        fit = minimize(
            self,
            theta,
            jac=True,
            hess=self.hessian if hessian is None else lambda _: hessian,
            method=semismooth_newton,
            options={"xtol": xtol, "max_iter": max_iter, "unseen": True},
        )
        return fit.x


def narrowed(
    programme: Programme, theta: Array, max_iter: int, share: float, least: float, robust: bool
) -> tuple[Array, float]:
    """The smoothed solution, the width coming down from the residuals' size to ``share`` of it.

    No width is below ``least``. ``robust`` says that residuals at theta are those of a robust fit.
    Returns theta and the last width.
    """

    def size() -> float:
        return max(typical_size(np.abs(programme.residuals(theta))), least)

    width = size()
    for _ in range(0 if robust else 2):  # the second time from the size of a robust fit
        theta = Smoothed(programme, width).minimise(theta, max_iter, XTOL * width)
        width = size()
    last = max(share * width, least)
    while True:
        width = max(NARROWING * width, last)
        theta = Smoothed(programme, width).minimise(theta, max_iter, XTOL * width)
        if width <= last:
            last = max(share * size(), least)  # no longer that of a start far off
            if width <= MUCH_WIDER * last:
                return theta, width
