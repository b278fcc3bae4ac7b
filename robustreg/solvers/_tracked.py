"""An objective on the way down, for optimisers that ask for its parts one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robustreg._arrays import Array
from robustreg._linalg.factors import length
from robustreg.evaluation.evaluated import Curvature, Evaluation
from robustreg.evaluation.hessian import curvature_to_start_from, hessian_at
from robustreg.evaluation.objective import Objective

# Of this length, in scales, a step may be the last one: residuals are kept, which fits report.
LAST_STEP = 1e-4


class Tracked:
    """An objective, and what the passes over X so far have brought.

    SciPy's optimisers ask for the value, the gradient and the Hessian at a point one after the
    other, all of which come from one evaluation. The last one is therefore kept, and so is the one
    whose Hessian was asked for last: steps that lead up from there are followed by others. The
    Gram matrix goes along, from one evaluation to the next, and from one objective on the same
    rows to the next.

    Parameters
    ----------
    objective : Objective
        What is to be minimised.
    curved : bool, default=True
        Whether Hessians are going to be asked for.
    kept : bool, default=False
        Whether the residuals at the last two points are kept, which takes as much room as y each.
    """

    def __init__(self, objective: Objective, curved: bool = True, kept: bool = False) -> None:
        self.objective, self.kept = objective, kept
        self._curvature: Curvature | None = None
        if curved:
            self._curvature = curvature_to_start_from(objective)
        self._last: Evaluation | None = None
        self._left: Evaluation | None = None  # where the last step began
        self._keys = b"", b""  # of their points: bytes are compared fastest

    def go_on_with(self, objective: Objective) -> None:
        """Another objective of the same rows in the same coordinates takes its place."""
        self.objective, self._last, self._left, self._keys = objective, None, None, (b"", b"")
        if self._curvature is not None:
            self._curvature = self._curvature.elsewhere()

    def at(self, theta: Array) -> Evaluation:
        """The evaluation at a point: of a new one, one pass over X."""
        key = theta.tobytes()
        last, left = self._keys
        if self._last is not None and key == last:
            return self._last
        if self._left is not None and key == left:
            return self._left
        objective, before = self.objective, self._curvature
        keep = objective.rows.one_block or self.kept
        if not keep and before is not None:
            keep = self._is_last(theta)
            if keep:
                self.let_go()
        self._last, self._keys = objective.evaluate(theta, before, keep), (key, left)
        self._curvature = self._last.curvature
        return self._last

    def _is_last(self, theta: Array) -> bool:
        """Whether the step to a point began so near to it that it may be the last."""
        left = self._left
        reach = LAST_STEP * self.objective.scale_at(theta)
        return left is not None and length(theta - left.theta) < reach

    def let_go(self) -> None:
        """Forget the residuals that were kept, which take as much room as y."""
        if self._last is not None and self._last.residual is not None:
            self._last = self._last._replace(residual=None)
        if self._left is not None and self._left.residual is not None:
            self._left = self._left._replace(residual=None)

    def value(self, theta: Array) -> float:
        """F without the penalty's kinks."""
        return self.at(theta).value

    def gradient(self, theta: Array) -> Array:
        """Its gradient."""
        return self.at(theta).gradient

    def left(self, theta: Array) -> Evaluation:
        """The evaluation at a point, as of one that a step is going to begin at."""
        here = self._left = self.at(theta)
        self._keys = self._keys[0], theta.tobytes()
        return here

    def hessian(self, theta: Array) -> Any:
        """Its generalised Hessian."""
        here = self.left(theta)
        hessian, curvature = hessian_at(self.objective, here)
        if curvature is not None and curvature is not here.curvature:
            self._curvature = curvature  # the matrix was summed anew
        return hessian

    def rms_psi(self) -> float:
        """Root mean square of psi where F was evaluated last."""
        assert self._last is not None
        return float(self.objective.rms_psi(self._last.sums))

    def slope_along(self, theta: Array, step: Array) -> Callable[[float], float]:
        """The slope of F along a step."""
        return self.objective.slope_along(theta, step)
