"""The sums over rows that covariances of S-, MM- and redescending M-estimates are made of.

As `_sums`, where psi' takes both signs, and the equation of the scale may have residuals z0 of its
own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from robustreg._arrays import Array, Index
from robustreg.evaluation.moments import about, weighted_gram
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Point, slopes_of
from robustreg.inference._covariance import Bread
from robustreg.inference._good_rows import residuals
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import ALL_LEVERAGE, STEEP, Added, Fit, LeaveOut, Middle, explained
from robustreg.losses import ResidualLoss


@dataclass(frozen=True)
class Start:
    """What determines the scale of an estimate.

    Attributes
    ----------
    psi : ResidualLoss
        The loss of the estimate.
    chi : ResidualLoss or None
        The loss whose mean the scale is determined by; None: the scale was given.
    point : Point or None
        Where the residuals of `chi` are those of; None: the estimate's own.
    rank : int
        k, the rank of the regressors.
    """

    psi: ResidualLoss
    chi: ResidualLoss | None
    point: Point | None
    rank: int

    def residuals(self, block: Block, own: Point) -> tuple[Array, Array]:
        """The residuals z of the estimate, and z0 of the scale."""
        if self.point is None:
            z = residuals(block, own)
            return z, z
        return residuals(block, own), residuals(block, self.point)

    def of_scale(self, block: Block, own: Point) -> Array:
        """``chi(z0)``; 0 where the scale was given."""
        if self.chi is None:
            return np.zeros(len(block.target))
        found: Array = self.chi.rho(residuals(block, own if self.point is None else self.point))
        return found


@dataclass(frozen=True)
class Solved(Added):
    """The sums that the equations and their derivatives are made of, at z and z0.

    Gram matrices have the shape (q + 1, q + 1) of ``coordinates.of_gram``, slopes (p + 1,).
    """

    bread: Array  # sum w psi' [a, 1][a, 1]'
    against: Array  # sum w max(-psi', 0) [a, 1][a, 1]', which the bread has lost
    psi: Array  # sum w psi [a, 1]
    psi_square: float  # sum w psi^2
    bend: float  # sum w psi'
    bend_square: float  # sum w psi'^2
    fit: Fit
    curve_z: Array  # sum w psi' z [a, 1]
    chi: float  # sum w chi(z0)
    lever: float  # sum w chi'(z0) z0
    chi_slope: Array  # sum w chi'(z0) [a, 1]
    chi_slope_square: float  # sum w chi'(z0)^2

    def about(self, mean: Array) -> Solved:
        """The same of columns that are centred that far from where they were; columns' sums."""

        def moved(slope: Array) -> Array:
            return np.append(slope[:-1] - slope[-1] * mean, slope[-1])

        return replace(
            self,
            bread=about(self.bread.copy(), mean),
            against=about(self.against.copy(), mean),
            psi=moved(self.psi),
            curve_z=moved(self.curve_z),
            chi_slope=moved(self.chi_slope),
        )


@dataclass(frozen=True)
class Score:
    """The job that sums scores and their derivatives."""

    start: Start
    point: Point
    basis: Array | None  # of the coordinates that Gram matrices are summed in; None: the columns

    def __call__(self, block: Block) -> Solved:
        loss, chi = self.start.psi, self.start.chi
        z, z0 = self.start.residuals(block, self.point)
        psi, bend = loss.psi(z), loss.psi_prime(z)
        curve = block.weighted(bend)
        slope = np.zeros(len(z)) if chi is None else chi.psi(z0)
        value = slope if chi is None else chi.rho(z0)
        own, steep = block.weighted(psi), block.weighted(slope)
        bread, against = self._grams(block, curve)
        return Solved(
            bread=bread,
            against=against,
            psi=slopes_of(block, own),
            psi_square=float(own @ psi),
            bend=float(curve.sum()),
            bend_square=float(curve @ bend),
            fit=explained(block, good(loss, z), self.point.sigma * z),
            curve_z=slopes_of(block, curve * z),
            chi=float(block.weighted(value).sum()),
            lever=float(steep @ z0),
            chi_slope=slopes_of(block, steep),
            chi_slope_square=float(steep @ slope),
        )

    def _grams(self, block: Block, curve: Array) -> tuple[Array, Array]:
        """``sum v [a, 1][a, 1]'`` over a block, and minus that of the negative v."""
        gram = weighted_gram(block.reading, block.X, np.maximum(curve, 0.0), self.basis)
        negative = np.flatnonzero(curve < 0.0)
        if not len(negative):
            return gram, np.zeros_like(gram)
        X = block.X[negative]
        against = weighted_gram(block.reading, X, -curve[negative], self.basis)
        gram -= against
        return gram, against


class Steep(NamedTuple):
    """A row with a leverage of `STEEP` or more, which the other sums leave out."""

    place: int  # which row of the table it is
    x: Array  # (K,) in the K coordinates
    share: float  # its robustness weight, 1 at most
    psi: float  # this and chi times the root of its weight
    chi: float


@dataclass(frozen=True)
class Left(Added):
    """The variance of scores that are divided by what leaving a row out makes of them."""

    middle: Middle  # without the steep rows
    steep: list[Steep]


@dataclass(frozen=True)
class Leave:
    """The job that sums squares of scores, of which psi is divided by a power of 1 - h."""

    start: Start
    point: Point
    leave_out: LeaveOut
    mean: float  # of chi
    basis: Array  # (p, k) of the coordinates

    def __call__(self, block: Block) -> Left:
        loss, chi = self.start.psi, self.start.chi
        z, z0 = self.start.residuals(block, self.point)
        psi = loss.psi(z)
        share, middle, aside = self.leave_out(block, psi, loss.psi_prime(z), STEEP)
        beside = np.zeros(len(z)) if chi is None else chi.rho(z0) - self.mean
        weighted = block.weighted(beside)
        share *= psi
        share *= weighted
        index = np.array([place - block.place.start for place, _ in aside], dtype=np.intp)
        steep = self._steep(block, index, z, psi, beside) if len(index) else []
        crossed = slopes_of(block, share)
        return Left(Middle(middle, crossed, float(weighted @ beside), []), steep)

    def _steep(
        self, block: Block, index: Index, z: Array, psi: Array, beside: Array
    ) -> list[Steep]:
        """The rows of a block that are set aside."""
        x = block.reading.centred(block.X, index) @ self.basis
        if block.reading.fit_intercept:
            x = np.hstack([x, np.ones((len(x), 1))])
        root = np.ones(len(index)) if block.weight is None else np.sqrt(block.weight[index])
        columns = good(self.start.psi, z[index]), root * psi[index], root * beside[index]
        places = (block.place.start + index).tolist()
        return [Steep(*each) for each in zip(places, x, *columns, strict=True)]


def left_out(fitted: FittedRows, job: Leave, bread: Bread) -> Middle:
    """What the job sums, in the K coordinates.

    Where curvatures of either sign make up A, a leverage may be large though the fit can do without
    the row: that among the good rows, ``v x'(sum w v x x')^-1 x``, tells. Of the steep rows those
    that the fit can do without have h = `STEEP`.
    """
    sums = fitted.rows.sum(job)
    found = sums.middle.lifted(job.leave_out.lift)
    crossed = fitted.lead_of(found.crossed)
    if not sums.steep:
        return replace(found, crossed=crossed)
    index, x, share, psi, chi = (np.array(column) for column in zip(*sums.steep, strict=True))
    known = Bread.of(gram_of_good(fitted, job.start.psi), fitted.rows.total).inverse
    lost = share * np.einsum("ij,ij->i", x @ known, x) >= fitted.weight_unit * ALL_LEVERAGE
    psi *= (1.0 - STEEP) ** -job.leave_out.power
    moves = x @ bread.inverse
    scores = (psi[:, None] * moves)[~lost]
    return replace(
        found,
        middle=found.middle + scores.T @ scores,
        crossed=crossed + (psi * chi)[~lost] @ x[~lost],
        alone=list(zip(index[lost].tolist(), moves[lost], strict=True)),
    )


def gram_of_good(fitted: FittedRows, loss: ResidualLoss) -> Array:
    """``sum w v x x'`` in the K coordinates, with the robustness weights v of the rows."""
    job = _GramOfGood(loss, fitted.point, fitted.coordinates.gram_basis)
    return fitted.lead(fitted.rows.sum(job))


@dataclass(frozen=True)
class _GramOfGood:
    """The job that sums it, as it is summed."""

    loss: ResidualLoss
    point: Point
    basis: Array | None  # of the coordinates that Gram matrices are summed in; None: the columns

    def __call__(self, block: Block) -> Array:
        share = good(self.loss, residuals(block, self.point))
        return weighted_gram(block.reading, block.X, block.weighted(share), self.basis)


@dataclass(frozen=True)
class Good:
    """What gives robustness weights."""

    loss: ResidualLoss

    def __call__(self, z: Array) -> Array:
        return good(self.loss, z)


def good(loss: ResidualLoss, z: Array) -> Array:
    """Robustness weights, 1 at most."""
    weights = loss.weights(z)
    weights /= float(loss.weights(0.0))
    return weights
