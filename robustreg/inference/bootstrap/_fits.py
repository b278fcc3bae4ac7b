"""The equations of all fits that have a fast and robust bootstrap."""

from __future__ import annotations

from robustreg.evaluation.moments import bordered
from robustreg.evaluation.sums import standardised
from robustreg.inference import _high_breakdown
from robustreg.inference._covariance import Bread, Covariance, slope_of_equations
from robustreg.inference._good_rows import residuals
from robustreg.inference._parts import Asked
from robustreg.inference._rows import FittedRows
from robustreg.inference._signed_sums import Solved, Start
from robustreg.inference._sums import Scored
from robustreg.inference._trimmed import Kept, Trimmed, moves_of
from robustreg.inference.bootstrap._steps import Equations, bootstrap


def of_smooth(fitted: FittedRows, scored: Scored, asked: Asked) -> Covariance:
    """Of a smooth convex fit; ``chi = rho*(psi)`` of a joint scale, and J its Hessian.

    Least squares has q = 1 and J = M: its estimates are those of fits to the draws.
    """
    loss, total = fitted.loss, fitted.rows.total
    z = fitted.rows.collect(lambda block: standardised(block, fitted.point))
    derivative, scale = slope_of_equations(fitted, scored), None
    bread = Bread.of(derivative, total)
    if fitted.joint:
        curve = fitted.lead_of(scored.curve_z)
        bread = Bread.of(bordered(derivative, curve, scored.curve_zz), total)
        scale = loss.conjugate_of_psi(z) - loss.kappa
    unknown = bread.unknown[: fitted.size]
    equations = Equations(loss.weights(z), loss.psi(z), scale, bread.inverse, unknown)
    return bootstrap(fitted, equations, asked)


def of_rejecting(fitted: FittedRows, start: Start, solved: Solved, asked: Asked) -> Covariance:
    """Of an S-, MM- or redescending M-estimate; chi is at the residuals of its scale."""
    loss, rows = start.psi, fitted.rows
    z = rows.collect(lambda block: residuals(block, fitted.point))
    bread = Bread.of(fitted.lead(solved.bread), rows.total)
    scale, inverse = None, bread.inverse
    if start.chi is not None:
        chi = rows.collect(lambda block: start.of_scale(block, fitted.point))
        scale = chi - solved.chi / rows.total
        inverse = _high_breakdown.inverse_derivative(fitted, start, bread, solved)
    equations = Equations(loss.weights(z), loss.psi(z), scale, inverse, bread.unknown)
    return bootstrap(fitted, equations, asked)


def of_trimmed(fitted: FittedRows, trimmed: Trimmed, kept: Kept, asked: Asked) -> Covariance:
    """Of reweighted least trimmed squares: q is 1 of the rows that are kept, and 0 of others.

    In place of psi there is what rows move the estimate by, ``r 1(kept) + B r0 1(one of the h)``:
    the raw fit that chose the rows is drawn anew to first order only.
    """
    bread = Bread.of(fitted.lead(kept.bread), fitted.rows.total)
    moves, within = moves_of(fitted, trimmed)
    equations = Equations(within, moves, None, bread.inverse, bread.unknown)
    return bootstrap(fitted, equations, asked)
