"""Sessions, whose fits are those one by one, and solvers of the user's own, judged as ours are."""

import doctest
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _cases import clean, contaminated, is_l1, rank_deficient
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1Regressor,
    L1RegressorCV,
    L2Regressor,
    MRegressor,
    QuantileRegressor,
    QuantileRegressorCV,
    huber_delta_path,
    huber_path,
    l1_path,
    quantile_path,
    select_solver,
)
from robustreg.evaluation.choice import white
from robustreg.evaluation.posed import Data, make_problem
from robustreg.losses import Absolute, HalfSquared, Huber, LogCosh, Quantile
from robustreg.penalties import ElasticNet
from robustreg.solvers import SOLVERS, Estimate, Session, SolverSpec, solver_names
from robustreg.solvers._ended import Ended
from robustreg.solvers._faint import has_faint
from robustreg.solvers.smooth import NewtonSession, _from_above

LIMITS = {"max_iter": 1000, "tol": 1e-7}
BUILT_IN = list(SOLVERS)


def problem_of(X, y, loss, penalty=None, weight=None, scale=1.0, fit_intercept=True):
    return make_problem(
        Data(X, y, weight, 1),
        loss=loss,
        scale=scale,
        penalty=penalty or ElasticNet(),
        fit_intercept=fit_intercept,
    )


# --- sessions

PENALTIES = {
    "none": ElasticNet(),
    "ridge": ElasticNet(1.0),
    "net": ElasticNet(1.0, 0.5),
    "lasso": ElasticNet(1.0, 1.0),
    "positive": ElasticNet(positive=True),
}
LOSSES = {
    "quadratic": [(HalfSquared(),) * 2],
    "smooth": [(Huber(), Huber(2.0)), (LogCosh(), Huber(0.7))],
    "homogeneous": [(Quantile(0.1), Quantile(0.7)), (Absolute(), Quantile(0.3))],
}
SCALES = {"quadratic": [1.0], "smooth": [None, 0.7], "homogeneous": [1.0]}


def serves(name, loss, penalty, scale):
    try:
        select_solver(
            loss,
            n_features=4,
            scale="joint" if scale is None else scale,
            alpha=penalty.alpha,
            l1_ratio=penalty.l1_ratio,
            positive=penalty.positive,
            solver=name,
        )
    except ValueError:
        return False
    return True


CELLS = [
    (name, losses, scale, penalty)
    for name, spec in SOLVERS.items()
    for losses in LOSSES[spec.losses]
    for scale in SCALES[spec.losses]
    for penalty in PENALTIES
    if serves(name, losses[0], PENALTIES[penalty], scale)
]


def assert_same(found, expected, unique):
    assert found.converged
    assert expected.converged
    assert found.objective == pytest.approx(expected.objective, rel=1e-9)
    if unique:
        size = abs(expected.coef).max()
        np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-6, atol=1e-7 * size)
        assert found.sigma == pytest.approx(expected.sigma, rel=1e-6)


def test_every_solver_is_among_the_cells():
    assert {cell[0] for cell in CELLS} == set(BUILT_IN)


@pytest.mark.parametrize(
    ("name", "losses", "scale", "penalty", "table"),
    [(*cell, (clean, rank_deficient)[i % 2]) for i, cell in enumerate(CELLS)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_fits_of_a_session_are_those_one_by_one(name, losses, scale, penalty, table):
    X, y = table(n=80)
    weight = np.linspace(0.5, 1.5, len(y))
    spec, session, start = SOLVERS[name], None, None
    # a programme may have several vertices, and a sign constraint chooses no norm
    open_to_choice = spec.losses == "homogeneous" or (table, penalty) == (
        rank_deficient,
        "positive",
    )
    for loss in losses:
        problem = problem_of(X, y, loss, PENALTIES[penalty], weight, scale)
        for alpha in (0.3, 0.3, 0.01, 0.0) if PENALTIES[penalty].alpha else (0.0, 0.0):
            cell = problem.with_alpha(alpha)
            if not serves(name, loss, cell.penalty, scale):
                continue
            session = session or spec.prepare(cell)
            fit = session.fit(cell, start=start, **LIMITS)
            start = fit.start if cell.can_start_from(fit.sigma) else None
            assert_same(fit, spec.solve(cell, **LIMITS), unique=not open_to_choice)


@pytest.mark.parametrize("name", SOLVERS)
def test_the_first_fit_of_a_session_is_that_of_the_solver(name):
    spec = SOLVERS[name]
    ((loss, _), *_) = LOSSES[spec.losses]
    penalty = PENALTIES["lasso" if spec.kinked else "none"]
    problem = problem_of(*contaminated(), loss, penalty)
    alone, first = (way(problem, **LIMITS) for way in (spec.solve, spec.prepare(problem).fit))
    assert np.array_equal(alone.coef, first.coef)
    assert (alone.n_iter, alone.gap) == (first.n_iter, first.gap)


@pytest.mark.parametrize("name", SOLVERS)
def test_who_has_no_way_to_fit_together_says_so(name):
    spec = SOLVERS[name]
    ((loss, _), *_) = LOSSES[spec.losses]
    problem = problem_of(*clean(), loss, PENALTIES["lasso" if spec.kinked else "ridge"])
    start = spec.solve(problem).start
    fits = spec.prepare(problem).fit_together([problem] * 2, [start] * 2, **LIMITS)
    assert [fit is not None for fit in fits] == [name == "newton"] * 2


@pytest.mark.parametrize("name", ["newton", "interior"])
@pytest.mark.parametrize("what", ["constant", "followed", "faint"])
def test_what_follows_a_fit_follows_those_of_sessions(name, what):
    """Of gross errors in most rows, of rows of no weight, and of a y that does not vary."""
    X, y = clean(n=60)
    weight = None
    if what == "constant":
        y[:] = 3.0
    elif what == "followed":
        y[:40] += 1e20
    else:
        weight = np.ones(60)
        weight[0], X[:, 0], X[0, 0] = 1e-20, 0.0, 1.0
    loss = Huber() if name == "newton" else Absolute()
    problem = problem_of(X, y, loss, weight=weight)
    assert has_faint(problem) == (what == "faint")
    expected, session = SOLVERS[name].solve(problem), SOLVERS[name].prepare(problem)
    for _ in range(3):
        fit = session.fit(problem)
        assert fit.converged == expected.converged
        assert fit.followed == 0.0
        assert fit.objective == pytest.approx(expected.objective, rel=1e-9, abs=1e-300)
        assert fit.gap <= 1e-7 * fit.objective


class Misled(Session):
    """A session whose fits are nowhere near after the first."""

    def __init__(self, solve):
        self.solve, self.count = solve, 0

    def fit(self, problem, **options):
        self.count += 1
        fit = self.solve(problem, **options)
        off = 0.0 if self.count == 1 else 1.0
        return Estimate(fit.coef + off, fit.intercept, fit.sigma, fit.n_iter)

    def fit_together(self, problems, starts, **options):
        fits = [self.fit(problem, **options) for problem in problems]
        return [None, *fits[1:]]


class Sharer:
    """A solver with a session that misleads."""

    def __init__(self, name):
        self.solver, self.alone = SOLVERS[name].solve, []

    def __call__(self, problem, *, start, max_iter, tol):
        self.alone.append(start)
        return self.solver(problem, start=start, max_iter=max_iter, tol=tol)

    def prepare(self, problem):
        return Misled(self.solver)


def test_a_fit_that_sharing_misleads_is_made_by_itself():
    solver = Sharer("newton")
    spec = SolverSpec(solver, "smooth", joint_scale=True, ridge=True)
    problem = problem_of(*clean(), Huber(), ElasticNet(0.1), scale=None)
    session, expected = spec.prepare(problem), SOLVERS["newton"].solve(problem)
    assert_same(session.fit(problem, start=expected.start), expected, unique=True)
    assert solver.alone == []
    assert_same(session.fit(problem, start=expected.start), expected, unique=True)
    assert solver.alone == [None]
    assert session.fit_together([problem] * 3, [expected.start] * 3) == [None] * 3


def test_who_makes_a_fit_once_more_by_itself_has_gone_no_other_ways_before(monkeypatch):
    """The first of a session stands for itself; of this wide table none shares coordinates."""
    g = np.random.default_rng(9)
    X, y = g.normal(size=(9, 14)) * 10.0 ** g.uniform(-12, 12, 14), g.standard_cauchy(9)
    y[0] = 1e14
    problem, others = problem_of(X, y, Huber(2.0), ElasticNet(1e-6), scale=1e-16), []

    def recorded(*arguments):
        others.append(arguments)
        return _from_above(*arguments)

    monkeypatch.setattr("robustreg.solvers.smooth._from_above", recorded)
    session = NewtonSession()
    for _ in range(2):
        assert not session.fit(problem, max_iter=100).converged
    assert len(others) == 1


def test_fits_with_rows_of_no_weight_share_nothing():
    X, y = clean(n=60)
    problem = problem_of(X, y, Huber(), weight=np.append(np.full(59, 1.0), 1e-20))
    solver = Sharer("newton")
    session = SolverSpec(solver, "smooth", joint_scale=True, ridge=True).prepare(problem)
    start = session.fit(problem).start
    solver.alone.clear()
    assert session.fit(problem, start=start).converged
    assert solver.alone[0] is start  # then come the other rows


def test_coordinates_of_a_programme_are_made_once_for_a_penalty(monkeypatch):
    made = []

    def recorded(problem):
        made.append(problem.penalty.alpha)
        return white(problem)

    monkeypatch.setattr("robustreg.solvers.programme.session.white", recorded)
    X, y = clean()
    QuantileRegressor([0.1, 0.5, 0.9]).fit(X, y)
    assert len(made) == 1
    made.clear()
    l1_path(X, y, alphas=[0.0, 0.1, 0.2])
    assert len(set(made)) == len(made) == 3


# --- a solver of the user's own


def documented(name):
    """A function of docs/extending.md, as it stands there."""
    text = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
    examples = doctest.DocTestParser().get_examples(text)
    (source,) = [each.source for each in examples if each.source.startswith(f"def {name}(")]
    scope = {"np": np, "Estimate": Estimate}
    exec(compile(source, "docs/extending.md", "exec"), scope)
    return scope[name]


def highs(problem, *, start, max_iter, tol):
    """Another's vertex, as coefficients alone."""
    fit = SOLVERS["linprog"].solve(problem, max_iter=max_iter, tol=tol)
    return Estimate(list(fit.coef), fit.intercept, n_iter=fit.n_iter)


def proximal(problem, *, start, max_iter, tol):
    """Proximal gradient steps, for penalties with kinks: slow, and exact at 0."""
    X, y, penalty = problem.X, problem.y, problem.penalty
    sigma, share = problem.scale, np.full(problem.n, 1.0 / problem.n)
    centre = X.mean(axis=0)
    Z = X - centre
    length = sigma / np.linalg.eigvalsh(Z.T @ (share[:, None] * Z))[-1]
    coef, level = np.zeros(problem.p), 0.0
    for _ in range(max_iter):
        psi = problem.loss.psi((y - Z @ coef - level) / sigma)
        moved = coef + length * (Z.T @ (share * psi) - penalty.root_curvature**2 * coef)
        low = 0.0 if penalty.positive else -np.inf
        new = np.sign(moved) * np.maximum(abs(moved) - length * penalty.slope, 0.0)
        new, rise = np.maximum(new, low), sigma * (share @ psi)
        small = abs(new - coef).max() + abs(rise) < 1e-12
        coef, level = new, level + rise
        if small:
            break
    return Estimate(coef, level - centre @ coef, n_iter=max_iter, finished=small)


def again(problem, **options):
    """A solver of the package's own, of which only the coefficients are believed."""
    return SOLVERS["interior"].solve(problem, **options)


KINKS = {"l1": True, "positive": True}
OWN = {
    "irls": SolverSpec(documented("irls"), "smooth", joint_scale=True, ridge=True),
    "proximal": SolverSpec(proximal, "smooth", joint_scale=False, ridge=True, **KINKS),
    "highs": SolverSpec(highs, "homogeneous", joint_scale=False, ridge=False, **KINKS),
    "again": SolverSpec(again, "homogeneous", joint_scale=False, ridge=True, **KINKS),
}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for name, spec in OWN.items():
        monkeypatch.setitem(SOLVERS, name, spec)


MODELS = {
    "huber": HuberRegressor(solver="irls"),
    "huber-ridge": HuberRegressor(alpha=0.1, solver="irls"),
    "huber-mad": HuberRegressor(scale="mad", solver="irls"),
    "huber-auto": HuberRegressor("auto", solver="irls"),
    "huber-through-0": HuberRegressor(fit_intercept=False, solver="irls"),
    "huber-lasso": HuberRegressor(scale=1.0, alpha=0.1, l1_ratio=1.0, solver="proximal"),
    "huber-net": HuberRegressor(scale=1.0, alpha=0.1, l1_ratio=0.5, solver="proximal"),
    "huber-positive": HuberRegressor(scale=1.0, positive=True, solver="proximal"),
    "log-cosh": MRegressor("log_cosh", solver="irls"),
    "squared": MRegressor("squared", scale=2.0, alpha=0.1, solver="irls"),
    "l2": L2Regressor(solver="irls"),
    "l2-ridge": L2Regressor(alpha=0.1, solver="irls"),
    "l1": L1Regressor(solver="highs"),
    "l1-lasso": L1Regressor(alpha=0.1, l1_ratio=1.0, solver="highs"),
    "l1-ridge": L1Regressor(alpha=0.1, solver="again"),
    "l1-positive": L1Regressor(positive=True, solver="highs"),
    "quantile": QuantileRegressor(0.3, solver="highs"),
    "quantiles": QuantileRegressor([0.9, 0.1, 0.5], solver="highs"),
    "quantiles-net": QuantileRegressor([0.1, 0.5], alpha=0.1, l1_ratio=0.5, solver="again"),
}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        *((name, table) for name in MODELS for table in (clean, contaminated)),
        *((name, rank_deficient) for name in ("l1", "quantile", "quantiles")),
    ],
)
def test_own_solvers_in_every_estimator(name, table):
    model = MODELS[name]
    X, y = table(n=70)
    fit = clone(model).set_params(max_iter=100_000).fit(X, y)
    expected = clone(model).set_params(solver="auto").fit(X, y)
    assert fit.converged_
    assert fit.solver_ == model.solver
    # a delta that is chosen has no more digits than the residuals that it is chosen by
    rtol = 1e-8 if name == "huber-auto" else 1e-9
    np.testing.assert_allclose(fit.objective_, expected.objective_, rtol=rtol)
    assert np.all(fit.dual_gap_ <= 1e-7 * fit.objective_)
    if not is_l1(model):
        np.testing.assert_allclose(fit.coef_, expected.coef_, rtol=1e-5, atol=1e-5)
        assert fit.scale_ == pytest.approx(expected.scale_, rel=1e-5)


@pytest.mark.parametrize("model", ["huber-lasso", "l1-lasso"])
def test_own_solvers_on_sparse_and_single_precision(model):
    X, y = clean(n=70)
    given = MODELS[model]
    fit = clone(given).fit(X.astype(np.float32), y.astype(np.float32))
    assert fit.converged_
    if given.solver == "highs":
        assert clone(given).fit(sparse.csr_array(X), y).converged_


ALPHAS = np.array([0.5, 0.1, 0.0])
PATHS = {
    "huber": (huber_path, {"l1_ratio": 0.0, "alphas": ALPHAS, "solver": "irls"}),
    "lasso": (huber_path, {"scale": 1.0, "n_alphas": 5, "solver": "proximal"}),
    "delta": (huber_delta_path, {"n_deltas": 4, "solver": "irls"}),
    "l1": (l1_path, {"n_alphas": 5, "solver": "highs"}),
    "quantile": (quantile_path, {"quantile": 0.7, "n_alphas": 5, "solver": "highs"}),
}


@pytest.mark.parametrize(("path", "parameters"), PATHS.values(), ids=PATHS)
def test_own_solvers_along_every_path(path, parameters):
    X, y = clean(n=70)
    found = path(X, y, max_iter=100_000, **parameters)
    expected = path(X, y, **parameters | {"solver": "auto"})
    assert (found.n_iters > 0).any()
    assert np.all(found.dual_gaps <= 1e-6)
    # at the largest alpha of a grid the null model and another may tie
    np.testing.assert_allclose(found.coefs[:, 1:], expected.coefs[:, 1:], rtol=1e-4, atol=1e-5)


SEARCHES = {
    "huber": HuberRegressorCV(alphas=ALPHAS, solver="irls", cv=3),
    "l1": L1RegressorCV(alphas=ALPHAS, solver="highs", cv=3),
    "quantile": QuantileRegressorCV(0.3, alphas=ALPHAS, solver="highs", cv=3),
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_own_solvers_in_every_search(search):
    X, y = clean(n=70)
    found = clone(search).set_params(max_iter=100_000).fit(X, y)
    expected = clone(search).set_params(solver="auto").fit(X, y)
    assert found.solver_ == search.solver
    assert found.alpha_ == expected.alpha_
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-5, atol=1e-6)


def test_names_are_known_from_the_table_as_it_is():
    assert "irls" in solver_names()
    assert select_solver("huber", n_features=3, solver="irls") == "irls"
    assert select_solver("huber", n_features=3) == "newton"
    del SOLVERS["irls"]
    with pytest.raises(ValueError, match=r"solver must be one of .*'linprog'.*, got 'irls'"):
        HuberRegressor(solver="irls").fit(*clean())
    with pytest.raises(ValueError, match="solver='proximal' does not support scale='joint'"):
        HuberRegressor(solver="proximal").fit(*clean())


def test_a_solver_put_in_anothers_place_is_asked():
    fits = []

    def own(problem, **options):
        fits.append(problem)
        return SOLVERS["linprog"].solve(problem, **options)

    SOLVERS["own"] = replace(SOLVERS["interior"], solve=own)
    try:
        QuantileRegressor([0.1, 0.5], solver="own").fit(*clean())
    finally:
        del SOLVERS["own"]
    assert len(fits) == 2


@pytest.mark.parametrize("far", [1e18, 1e20])
def test_own_fits_that_follow_gross_errors_are_made_anew(far):
    X, y = clean(n=60)
    y[:40] += far
    for name, model in (("irls", HuberRegressor(scale=1.0)), ("highs", L1Regressor())):
        fit = clone(model).set_params(solver=name, max_iter=1000).fit(X, y)
        expected = clone(model).fit(X, y)
        assert fit.converged_ == expected.converged_
        assert fit.objective_ == pytest.approx(expected.objective_, rel=1e-7)


# --- what own solvers get wrong


def of(point, losses="smooth"):
    return SolverSpec(
        lambda problem, **options: point(problem),
        losses,
        joint_scale=losses == "smooth",
        ridge=True,
        l1=True,
        positive=True,
    )


def optimum(problem):
    name = "newton" if problem.loss.smoothness else "interior"
    return SOLVERS[name].solve(problem)


def moved(off, **how):
    def point(problem):
        fit = optimum(problem)
        return Estimate(fit.coef + off, fit.intercept, fit.sigma * how.get("scale", 1.0), 3)

    return point


POOR = {
    "null": lambda problem: Estimate(np.zeros(problem.p), 0.0, problem.spread),
    "off": moved(0.05),
    "wide": moved(0.0, scale=1.3),
    "no scale": moved(0.0, scale=0.0),
    "huge": moved(1e100),
    "said to be certified": lambda problem: replace(optimum(problem), coef=np.ones(problem.p)),
}


@pytest.mark.parametrize("penalty", [{}, {"alpha": 0.1}, {"alpha": 0.1, "l1_ratio": 1.0}])
@pytest.mark.parametrize(
    ("model", "poor"),
    [
        *((HuberRegressor(), poor) for poor in POOR),
        *((L1Regressor(), poor) for poor in POOR if poor not in {"wide", "no scale"}),
    ],
)
def test_a_poor_fit_warns_with_its_gap(model, poor, penalty):
    X, y = clean()
    SOLVERS["poor"] = of(POOR[poor], "homogeneous" if is_l1(model) else "smooth")
    try:
        with pytest.warns(ConvergenceWarning, match="did not converge with solver 'poor'"):
            fit = clone(model).set_params(solver="poor", **penalty).fit(X, y)
    finally:
        del SOLVERS["poor"]
    best = clone(model).set_params(**penalty).fit(X, y)
    assert not fit.converged_
    assert fit.objective_ > best.objective_ * (1 + 1e-6)
    assert fit.objective_ - fit.dual_gap_ <= best.objective_ * (1 + 1e-9)


@pytest.mark.parametrize("finished", [True, False])
def test_iterations_that_ran_out_are_no_end(finished):
    def point(problem):
        fit = optimum(problem)
        return Estimate(fit.coef, fit.intercept, fit.sigma, 7, finished)

    problem = problem_of(*clean(), Huber(), scale=None)
    fit = of(point).solve(problem)
    assert fit.converged == finished
    assert fit.ended == (Ended.FINISHED if finished else Ended.MAX_ITER)
    assert fit.n_iter == 7


BAD = {
    "shape": (
        lambda p: Estimate(np.ones((1, p)), 0.0, 1.0),
        r"coef of shape \(1, 3\); X has 3 col",
    ),
    "count": (lambda p: Estimate(np.ones(p + 1), 0.0, 1.0), r"coef of shape \(4,\)"),
    "nan": (lambda p: Estimate(np.full(p, np.nan), 0.0, 1.0), "coef=.*must be finite"),
    "intercept": (lambda p: Estimate(np.ones(p), np.inf, 1.0), "intercept=inf, which must be fin"),
    "no scale": (lambda p: Estimate(np.ones(p)), "sigma=None where the scale is to be estimated"),
    "scale": (lambda p: Estimate(np.ones(p), 0.0, -1.0), "sigma=-1.0, which must not be negative"),
    "words": (lambda p: Estimate(["a"] * p, 0.0, 1.0), "no numbers"),
    "overflow": (lambda p: Estimate(np.full(p, 1e308), 0.0, 1.0), "predictions of this fit"),
}


@pytest.mark.parametrize(("point", "message"), BAD.values(), ids=BAD)
def test_an_answer_that_is_none_says_why(point, message):
    X, y = clean()
    SOLVERS["bad"] = of(lambda problem: point(problem.p))
    try:
        with pytest.raises(ValueError, match=message):
            HuberRegressor(solver="bad").fit(10 * X, y)
    finally:
        del SOLVERS["bad"]


@pytest.mark.parametrize(
    ("answer", "parameters", "error", "message"),
    [
        (np.ones(3), {}, TypeError, "must return an Estimate, got ndarray"),
        (None, {}, TypeError, "must return an Estimate, got NoneType"),
        (Estimate([-1.0, 1.0, 1.0], 0.0, 1.0), {"positive": True}, ValueError, "not be negative"),
        (Estimate(np.ones(3), 0.5, 1.0), {"fit_intercept": False}, ValueError, "intercept=0.5"),
    ],
)
def test_other_answers(answer, parameters, error, message):
    SOLVERS["bad"] = of(lambda problem: answer)
    try:
        with pytest.raises(error, match=message):
            HuberRegressor(solver="bad", **parameters).fit(*clean())
    finally:
        del SOLVERS["bad"]


def test_own_solvers_are_not_asked_where_there_is_nothing_to_find():
    def refuse(problem):
        raise AssertionError("asked")

    SOLVERS["refusing"] = of(refuse)
    try:
        X, y = clean()
        assert HuberRegressor(solver="refusing").fit(X, np.ones(len(y))).converged_
        X[3, 1] = np.nan
        with pytest.raises(ValueError, match="X contains NaN"):
            HuberRegressor(solver="refusing").fit(X, y)
    finally:
        del SOLVERS["refusing"]


def test_exact_fits_are_certified_at_scale_zero():
    X, _ = clean(n=40)
    y = X @ [1.0, 2.0, 3.0] + 1.0
    y[:8] += 5.0
    fit = of(lambda problem: replace(optimum(problem))).solve(problem_of(X, y, Huber(), scale=None))
    assert fit.sigma == 0.0
    assert fit.converged


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("penalty", [ElasticNet(), ElasticNet(0.1, 1.0)])
def test_the_gap_of_a_point_is_of_second_order(penalty, scale):
    """Small where the point is near: the dual point takes a step of its own.

    Of losses with a kink in psi, a row that is next to it has a nu that may leave its bounds.
    """
    X, y = clean()
    problem = problem_of(X * [1.0, 1.0, 10.0], y, LogCosh(), penalty, scale=scale)
    best = optimum(problem)
    for off in (1e-3, 1e-5):
        there = replace(best, coef=np.where(best.coef, best.coef + off * problem.spread, 0.0))
        fit = of(lambda problem, at=there: at).solve(problem)
        assert fit.objective - best.objective <= fit.gap * (1 + 1e-6) + 1e-13
        assert fit.gap <= 1e3 * off**2 * best.objective + 1e-13


def test_coefficients_are_reported_as_they_were_found():
    problem = problem_of(*clean(), Absolute(), ElasticNet(0.1, 1.0))
    for coef in ([0.0, 1.0, -1.0], [1e-13, 1.0, -1.0]):
        fit = of(lambda problem, at=coef: Estimate(at, 3.0), "homogeneous").solve(problem)
        np.testing.assert_allclose(fit.coef, coef, rtol=1e-14, atol=1e-15)
        assert (fit.coef[0] == 0.0) == (coef[0] == 0.0)


@pytest.mark.parametrize("penalty", [ElasticNet(0.1), ElasticNet(0.1, 1.0)])
def test_wide_tables_are_judged_without_second_moments(penalty, monkeypatch):
    monkeypatch.setattr("robustreg.solvers._judged.MAX_WHITENED", 2)
    problem = problem_of(*clean(n=60, p=6), Huber(), penalty, scale=None)
    assert of(optimum).solve(problem).converged
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not of(moved(0.1)).solve(problem).converged
