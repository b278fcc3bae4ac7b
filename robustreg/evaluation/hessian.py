"""The generalised Hessian of the objective, and what is linear in it."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator

from robustreg._arrays import Array
from robustreg._linalg.factors import least_pivot
from robustreg.evaluation.along import AfterStep, Times
from robustreg.evaluation.evaluated import Curvature, Evaluation
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.sums import Bend, GramOf, Point

# A Gram matrix in single precision will do while this share of it is left in all directions.
LEAST_LEFT = 1e-2


def curvature_to_start_from(objective: Objective) -> Curvature | None:
    """The Gram matrix of all rows at psi' = 1; None where there are no moments.

    Where X is ill-conditioned that matrix has lost its digits, and of a sample it is not known:
    nothing is a start then.
    """
    own = objective.coordinates
    if own.moments is None:
        return None
    if own.by_rows or own.sampled:
        size = (objective.k if own.by_rows else objective.rows.p) + 1
        return Curvature(np.zeros((size, size)), Bend(objective.loss), own.single)
    return Curvature(own.moments.gram, Bend(objective.loss, None, 1.0), own.single)


def hessian_at(
    objective: Objective, here: Evaluation
) -> tuple[Array | LinearOperator, Curvature | None]:
    """Generalised Hessian, ``sum w psi' [x, 1, z][x, 1, z]' / (W sigma) + penalty``.

    And the curvature that it is made of, which is another once a Gram matrix in single
    precision has too few digits: rows with psi' = 0 have taken most of it in some direction.
    Without curvature it is a LinearOperator, with a pass over X for a product. Entries may
    overflow: who asks ignores that, and refuses to factor what is not finite.
    """
    curvature, own = here.curvature, objective.coordinates
    if curvature is None:
        return _operator(objective, here), None
    gram = own.of_gram(curvature.gram)
    if curvature.single and least_pivot(gram) < LEAST_LEFT * objective.rows.total:
        job = GramOf(curvature.bend, own.gram_basis)
        curvature = curvature._replace(gram=objective.rows.sum(job), single=False)
        gram = own.of_gram(curvature.gram)
    lead = objective.lead
    hessian = np.empty((objective.size, objective.size))
    hessian[:lead, :lead] = gram[:lead, :lead]
    if objective.joint:
        assert curvature.curve_z is not None
        hessian[: objective.k, -1] = own.reduce(curvature.curve_z[:-1])
        hessian[objective.k : lead, -1] = curvature.curve_z[-1]
        hessian[-1, :-1] = hessian[:-1, -1]
        hessian[-1, -1] = curvature.curve_zz
    hessian /= objective.rows.total * curvature.sigma
    if objective.penalty.root_curvature:
        hessian[: objective.k, : objective.k] += objective.penalty_hessian
    return hessian, curvature


def _operator(objective: Objective, here: Evaluation) -> LinearOperator:
    point, total = Point(*objective.unpack(here.theta)), objective.rows.total
    bend = Bend(objective.loss, point)

    def times(vector: Array) -> Array:
        change = objective.change_by(vector.ravel())
        return image_of(objective, change, objective.rows.sum(Times(bend, point, change)) / total)

    return LinearOperator((objective.size, objective.size), matvec=times, dtype=np.float64)


def image_of(objective: Objective, change: Point, sums: Array) -> Array:
    """The Hessian times a step, from what the step sums to over the rows.

    That is ``sum w psi' (q'd) [a, 1, z] / (W sigma)``; the penalty's part is added.
    """
    out, p = np.empty(objective.size), objective.rows.p
    slope = sums[:p] + objective.penalty_slope(change.beta)
    out[: objective.k] = objective.coordinates.reduce(slope)
    if objective.rows.fit_intercept:
        out[objective.k] = sums[p]
    if objective.joint:
        out[-1] = sums[-1]
    return out


def after_step(objective: Objective, here: Evaluation, step: Array) -> Array:
    """``psi(z) + psi'(z) dz`` of every row, with the psi' that the Hessian has."""
    point = Point(*objective.unpack(here.theta))
    bend = Bend(objective.loss, point) if here.curvature is None else here.curvature.bend
    return objective.rows.collect(AfterStep(objective.loss, bend, point, objective.change_by(step)))
