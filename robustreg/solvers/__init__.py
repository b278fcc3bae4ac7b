"""Solvers, and the table that says which one serves which problem.

============  =====================  ==========  ==================================================
solver        losses                 scale       method
============  =====================  ==========  ==================================================
newton_cg     smooth convex          both        inexact Newton, products with wide X alone
direct        quadratic              fixed       Cholesky of the Gram matrix or QR, then refinement
working_set   smooth convex          both        newton on a growing set of columns, for kinks
newton        smooth convex          both        semismooth Newton, whitened, exact Gram matrices
lbfgs         smooth convex          both        L-BFGS-B in whitened or scaled coordinates
sparse        absolute, quantile     fixed       interior point, zeros of X kept, exact vertex
simplex       the same, no ridge     fixed       HiGHS on the dual in X's own columns, exact vertex
reduced       absolute, quantile     fixed       interior point on few rows, all signs confirmed
interior      absolute, quantile     fixed       primal-dual interior point, exact vertex
linprog       the same, no ridge     fixed       HiGHS on the dual linear programme, exact vertex
============  =====================  ==========  ==================================================

``newton``, ``sparse``, ``simplex``, ``reduced``, ``interior`` and ``linprog`` take L1 norms and
sign constraints, too.

``solver="auto"`` takes the first row of ``SOLVERS`` that applies: see :func:`select_solver`. A
solver of your own serves by name once it stands there; it returns an :class:`Estimate`, of which
the package makes a fit with a certificate (docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from robustreg.evaluation.choice import MAX_WHITENED
from robustreg.evaluation.problem import Problem
from robustreg.losses import ConvexLoss, ResidualLoss
from robustreg.losses._names import get_residual_loss
from robustreg.penalties import Penalty
from robustreg.solvers._guarded import Guarded
from robustreg.solvers._judged import Estimate, Judged
from robustreg.solvers._session import Session, Sharing
from robustreg.solvers._solution import Solve
from robustreg.solvers.growing_set import working_set
from robustreg.solvers.inexact import newton_cg
from robustreg.solvers.least_squares import direct
from robustreg.solvers.programme.dual import linprog, linprog_in
from robustreg.solvers.programme.interior import interior_in, interior_point
from robustreg.solvers.programme.reduction import reduced, reduced_in
from robustreg.solvers.programme.session import ProgrammeSession, SolveIn
from robustreg.solvers.programme.sparse_dual import share_of_zeros, simplex, simplex_in, zeros_of
from robustreg.solvers.programme.sparse_session import SparseSession, sparse_interior
from robustreg.solvers.smooth import NewtonSession, lbfgs, newton
from robustreg.sources._array import ArraySource

__all__ = [
    "SOLVERS",
    "Estimate",
    "Session",
    "SolverSpec",
    "select_solver",
    "share_of_zeros",
    "solver_names",
]


@dataclass(frozen=True)
class SolverSpec:
    """What a solver can do, and how far it is the best choice.

    Attributes
    ----------
    solve : callable
        ``solve(problem, *, start, max_iter, tol)``, which returns an :class:`Estimate`. Where fits
        of the same rows can share work, it may be an object that has a method
        ``prepare(problem)``, too, whose result is a :class:`Session` with such answers. The
        attribute is the same function with the package's judgement of what it finds: it
        returns a ``Solution`` with the certificate that an estimator reports.
    losses : {"quadratic", "smooth", "homogeneous"}
        Which losses it minimises; "smooth" includes the quadratic ones, "homogeneous" are
        absolute deviations and quantiles.
    joint_scale, ridge, l1, positive : bool
        Whether it estimates the scale jointly, which penalties it takes (an elastic net needs
        both), and whether it keeps coefficients from being negative.
    kinked : bool
        Whether it needs an L1 penalty or such a constraint.
    max_columns : int or None
        "auto" passes it over for more columns than this.
    min_columns, min_rows : int
        "auto" passes it over for fewer columns or rows than these.
    min_zeros : float
        "auto" passes it over where less than this share of X is zero.
    dense_columns : (int, int) or None
        From how many columns to how many, without a limit under a penalty, "auto" takes it
        whatever the share of zeros, for losses that are not quadratic.
    max_rows_per_column : int or None
        "auto" passes it over for more rows than so many times the columns.
    any_penalty : bool
        Whether it takes any penalty that has what :class:`robustreg.penalties.Penalty` asks for.
    """

    solve: Callable[..., Any]
    losses: str
    joint_scale: bool
    ridge: bool
    l1: bool = False
    positive: bool = False
    kinked: bool = False
    max_columns: int | None = None
    min_columns: int = 0
    min_rows: int = 0
    min_zeros: float = 0.0
    dense_columns: tuple[int, int] | None = None
    max_rows_per_column: int | None = None
    any_penalty: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.solve, Guarded):
            guarded = Guarded(Judged(self.solve), refines=False)
            object.__setattr__(self, "solve", guarded)

    def prepare(self, problem: Problem) -> Session:
        """A session for fits of the rows of a problem; its first is that of ``solve``.

        Parameters
        ----------
        problem : Problem
            Any of the problems.

        Returns
        -------
        Session
            Whose fits are judged as that of ``solve``.
        """
        session: Session = self.solve.prepare(problem)  # type: ignore[attr-defined]
        return session


def _programme(solve: Solve, solve_in: SolveIn) -> Guarded:
    """A solver whose fits of the same rows share coordinates."""
    return Guarded(Sharing(solve, partial(ProgrammeSession, solve_in)))


SOLVERS: dict[str, SolverSpec] = {
    "newton_cg": SolverSpec(
        Guarded(newton_cg),
        "smooth",
        joint_scale=True,
        ridge=True,
        min_columns=300,
        min_zeros=0.5,
        dense_columns=(1000, MAX_WHITENED),
    ),
    "direct": SolverSpec(
        Guarded(direct), "quadratic", joint_scale=False, ridge=True, max_columns=2000
    ),
    "working_set": SolverSpec(
        Guarded(working_set),
        "smooth",
        joint_scale=True,
        ridge=True,
        l1=True,
        positive=True,
        kinked=True,
        min_columns=300,
    ),
    "newton": SolverSpec(
        Guarded(Sharing(newton, NewtonSession)),
        "smooth",
        joint_scale=True,
        ridge=True,
        l1=True,
        positive=True,
        max_columns=1000,
        any_penalty=True,
    ),
    "lbfgs": SolverSpec(Guarded(lbfgs), "smooth", joint_scale=True, ridge=True),
    "sparse": SolverSpec(
        Guarded(Sharing(sparse_interior, SparseSession)),
        "homogeneous",
        joint_scale=False,
        ridge=False,
        l1=True,
        positive=True,
        min_columns=50,
        min_rows=2000,
        min_zeros=0.75,
    ),
    "simplex": SolverSpec(
        _programme(simplex, simplex_in),
        "homogeneous",
        joint_scale=False,
        ridge=False,
        l1=True,
        positive=True,
        min_columns=50,
        min_zeros=0.75,
        max_rows_per_column=100,
    ),
    "reduced": SolverSpec(
        _programme(reduced, reduced_in),
        "homogeneous",
        joint_scale=False,
        ridge=True,
        l1=True,
        positive=True,
        min_rows=2000,
    ),
    "interior": SolverSpec(
        _programme(interior_point, interior_in),
        "homogeneous",
        joint_scale=False,
        ridge=True,
        l1=True,
        positive=True,
    ),
    "linprog": SolverSpec(
        _programme(linprog, linprog_in),
        "homogeneous",
        joint_scale=False,
        ridge=False,
        l1=True,
        positive=True,
    ),
}


#: Of absolute deviations and quantiles the only one that works in passes.
KINKED_IN_PASSES = "reduced"


def solver_names() -> list[str]:
    """Names that ``solver`` may take, "auto" first."""
    return ["auto", *SOLVERS]


def select_solver(
    loss: str | ResidualLoss,
    *,
    n_features: int,
    n_samples: int = 0,
    zeros: float = 0.0,
    scale: Any = "joint",
    alpha: float = 0.0,
    l1_ratio: float = 0.0,
    positive: bool = False,
    penalty: Penalty | None = None,
    solver: str = "auto",
) -> str:
    """Name of the solver that a fit will use.

    Parameters
    ----------
    loss : str or ResidualLoss
        Loss, by name or object.
    n_features : int
        Number of columns of X.
    n_samples : int, default=0
        Number of rows; some solvers pay in long tables only, others in short ones.
    zeros : float, default=0.0
        Share of zeros in X; some solvers pay where nearly all entries are, as those of dummies.
    scale : "joint", "mad" or float, default="joint"
        How the scale is obtained.
    alpha : float, default=0.0
        Strength of the penalty.
    l1_ratio : float, default=0.0
        Share of the L1 norm in it.
    positive : bool, default=False
        Whether coefficients must not be negative.
    penalty : Penalty, default=None
        A penalty of your own, in place of the one that these make.
    solver : str, default="auto"
        The solver asked for; "auto" takes the first that applies.

    Returns
    -------
    str
        A key of ``SOLVERS``.

    Raises
    ------
    ValueError
        If nothing, or not the solver asked for, serves this problem; the message says
        which capability is missing.

    Examples
    --------
    >>> from robustreg.solvers import select_solver
    >>> select_solver("huber", n_features=20)
    'newton'
    >>> select_solver("huber", n_features=2000, alpha=0.1, l1_ratio=1.0)
    'working_set'
    >>> select_solver("absolute", n_features=20, scale=1.0)
    'interior'
    """
    loss = get_residual_loss(loss)
    if solver != "auto" and solver not in SOLVERS:
        raise ValueError(f"solver must be one of {solver_names()}, got {solver!r}.")
    missing: dict[str, str] = {}
    for name, spec in SOLVERS.items():
        lack = _lacks(spec, loss, scale, alpha, l1_ratio, positive)
        if not lack and penalty is not None and not spec.any_penalty:
            lack = f"penalties of another kind (penalty={penalty!r})"
        too_wide = spec.max_columns is not None and n_features > spec.max_columns
        too_small = n_features < spec.min_columns or n_samples < spec.min_rows
        dense = spec.dense_columns
        limit = np.inf if alpha or not dense else dense[1]
        wide = dense and dense[0] <= n_features <= limit and not _is_quadratic(loss)
        full_enough = zeros >= spec.min_zeros or wide
        most_rows = n_features * (spec.max_rows_per_column or np.inf)
        unsuited = too_wide or too_small or not full_enough or n_samples > most_rows
        if lack:
            missing[name] = lack
        elif name == solver or (solver == "auto" and not unsuited):
            return name
    if solver in missing:
        raise ValueError(f"solver={solver!r} does not support {missing[solver]}.")
    reasons = "; ".join(f"{name!r} does not support {lack}" for name, lack in missing.items())
    raise ValueError(f"No solver serves this problem: {reasons}.")


def absolute_solver(problem: Problem) -> str:
    """Name of the solver for absolute deviations without a penalty in a problem."""
    source = problem.observed.source
    if not isinstance(source, ArraySource):
        return KINKED_IN_PASSES
    return select_solver(
        "absolute",
        n_features=problem.p,
        n_samples=problem.n,
        zeros=zeros_of(source),
        scale=1.0,
    )


def _is_quadratic(loss: ResidualLoss) -> bool:
    """Whether a loss is one parabola: squares with a factor for each side are homogeneous, too."""
    return loss.homogeneity == 2 and isinstance(loss, ConvexLoss) and loss.quadratic_conjugate


def _lacks(
    spec: SolverSpec, loss: ResidualLoss, scale: Any, alpha: float, l1_ratio: float, positive: bool
) -> str:
    """The capability a solver lacks for a problem; empty if none."""
    kinds = {"smooth"} if isinstance(loss, ConvexLoss) and loss.smoothness >= 1 else set()
    if _is_quadratic(loss):
        kinds.add("quadratic")
    if loss.homogeneity == 1:
        kinds.add("homogeneous")
    if spec.losses not in kinds:
        return f"the loss {loss!r}"
    if scale == "joint" and not spec.joint_scale:
        return "scale='joint'"
    if alpha and l1_ratio < 1 and not spec.ridge:
        return f"a ridge penalty (alpha={alpha!r}, l1_ratio={l1_ratio!r})"
    if alpha and l1_ratio and not spec.l1:
        return f"an L1 penalty (alpha={alpha!r}, l1_ratio={l1_ratio!r})"
    if positive and not spec.positive:
        return "positive=True"
    if spec.kinked and not ((alpha and l1_ratio) or positive):
        return (
            f"a fit without an L1 penalty or positive=True (alpha={alpha!r}, l1_ratio={l1_ratio!r})"
        )
    return ""
