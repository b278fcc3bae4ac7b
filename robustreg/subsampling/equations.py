"""Estimating equations over all rows of a long table: sums that a pass brings, and their steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from robustreg._arrays import Array
from robustreg.losses import ResidualLoss
from robustreg.subsampling.table import REJECTED, Part


class Place(NamedTuple):
    """Where equations are evaluated, and with what matrix: of Newton's steps or of reweighting."""

    theta: Array
    scale: float
    reweighted: bool = False


@dataclass(frozen=True)
class Sums:
    """Sums of the equations ``sum w psi(z) q = 0`` and ``sum w rho(z) = target``, ``z = r / s``.

    Attributes
    ----------
    gram : ndarray of shape (m, m)
        ``sum w psi'(z) q q'``, or with the weights ``psi(z) / z`` in place of psi'.
    pull : ndarray of shape (m,)
        ``sum w psi(z) q``.
    turn : ndarray of shape (m,)
        ``sum w psi'(z) z q``: by how much the scale changes the pull.
    rho, lever : float
        ``sum w rho(z)`` and ``sum w psi(z) z``, of the loss of the scale's equation.
    fall : ndarray of shape (m,)
        ``sum w psi(z) q`` of that loss: by how much coefficients change its rho.
    off : float
        The weight of rows that are not fitted exactly.
    followed : float
        The weight of rows that were brought in, and may have a say in the fit.
    """

    gram: Array
    pull: Array
    turn: Array
    rho: float
    lever: float
    fall: Array
    off: float
    followed: float

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.gram + other.gram,
            self.pull + other.pull,
            self.turn + other.turn,
            self.rho + other.rho,
            self.lever + other.lever,
            self.fall + other.fall,
            self.off + other.off,
            self.followed + other.followed,
        )


@dataclass(frozen=True)
class Several:
    """Sums at several places."""

    sums: tuple[Sums, ...]

    def __add__(self, other: Several) -> Several:
        return Several(tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)))


@dataclass(frozen=True)
class Equations:
    """The job that sums the equations at some places; the scale's may be of another loss."""

    loss: ResidualLoss
    places: tuple[Place, ...]
    zero: float
    chi: ResidualLoss | None = None

    def __call__(self, part: Part) -> Several:
        """The sums of some rows."""
        return Several(tuple(self._at(part, place) for place in self.places))

    def _at(self, part: Part, place: Place) -> Sums:
        residual = part.residuals(place.theta)
        z = residual / place.scale
        rho, lever = (self.chi or self.loss)._rho_and_lever(z)
        psi = part.weighted(self.loss._psi(z))
        bend = part.weighted(self.loss._weights(z) if place.reweighted else self.loss._psi_prime(z))
        pulls = [psi, bend * z]
        if self.chi is not None:
            pulls.append(part.weighted(self.chi._psi(z)))
        gram, slopes = part.products(bend, np.array(pulls))
        near = np.abs(residual[part.cut]) <= REJECTED * place.scale
        return Sums(
            gram=gram,
            pull=slopes[0],
            turn=slopes[1],
            rho=part.sum(rho),
            lever=part.sum(lever),
            fall=slopes[0 if self.chi is None else 2],
            off=off_plane(part, residual, self.zero),
            followed=float(np.count_nonzero(near)),
        )


def off_plane(part: Part, residual: Array, zero: float) -> float:
    """The weight of the rows that are off a plane."""
    return part.sum((~(np.abs(residual) <= zero)).astype(np.float64))


@dataclass(frozen=True)
class OnPlane:
    """Sums of the rows that lie on a plane: normal equations for what is left of them."""

    gram: Array
    pull: Array
    off: float
    followed: float

    def __add__(self, other: OnPlane) -> OnPlane:
        return OnPlane(
            self.gram + other.gram,
            self.pull + other.pull,
            self.off + other.off,
            self.followed + other.followed,
        )


@dataclass(frozen=True)
class SumOnPlane:
    """The job that sums them: rows on the plane ``theta``, what is left of them by ``refined``."""

    theta: Array
    refined: Array
    zero: float

    def __call__(self, part: Part) -> OnPlane:
        """The sums of some rows."""
        residual = part.residuals(self.theta)
        on = part.weighted((np.abs(residual) <= self.zero).astype(np.float64))
        left = on * part.residuals(self.refined)
        gram, (pull,) = part.products(on, left[None])
        near = np.abs(residual[part.cut]) <= REJECTED * self.zero
        return OnPlane(
            gram=gram,
            pull=pull,
            off=off_plane(part, residual, self.zero),
            followed=float(np.count_nonzero(near)),
        )
