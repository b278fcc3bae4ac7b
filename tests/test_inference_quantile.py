"""Standard errors, rank intervals and p-values of quantile fits, against R and by identities."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.optimize import linprog

from robustreg import L1Regressor, QuantileRegressor
from robustreg.inference._rows import with_rows_of
from robustreg.inference.quantiles._covariance import (
    check_noise,
    check_objective,
    joint_covariance,
    quantile_covariance,
    r_one,
)
from robustreg.inference.quantiles._density import (
    BOFINGER,
    HALL_SHEATHER,
    bandwidth,
    bandwidth_within,
    in_double_precision,
    nid_density,
    sparsity,
)
from robustreg.inference.quantiles._rank import (
    RankTests,
    cut_off,
    limits_of,
    rank_intervals,
    rank_p_values,
)

FOLDER = Path(__file__).parent / "golden"
REFERENCE = json.loads((FOLDER / "inference_quantile.json").read_text())
REFERENCE.pop("versions")
EPS = np.finfo(float).eps
RULES = {"": HALL_SHEATHER, "_bofinger": BOFINGER}
LEVELS = (0.25, 0.5, 0.75)


def of_rows(work, X, y, weight=None, tau=0.5, fit_intercept=True):
    """What `work` makes of the rows of a fit."""
    model = QuantileRegressor(tau, fit_intercept=fit_intercept).fit(X, y, weight)
    return with_rows_of(model, X, y, weight, work)


def in_columns(fitted, matrix):
    """A covariance matrix of coordinates in the user's columns, the intercept first."""
    basis, extra = fitted.basis, np.zeros((len(fitted.basis), 1))
    if not fitted.has_intercept:
        return basis @ matrix @ basis.T
    constant = np.append(-fitted.center @ basis, 1.0)
    change = np.vstack([constant, np.hstack([basis, extra])])
    return change @ matrix @ change.T


def covariance(fitted, tau, kind, **options):
    return in_columns(fitted, quantile_covariance(fitted, tau, kind, **options).matrix)


def errors(fitted, tau, kind, **options):
    return np.sqrt(np.diag(covariance(fitted, tau, kind, **options)))


def table_of(seed, n=60, p=3, heavy=True):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    noise = rng.standard_t(3, size=n) if heavy else rng.normal(size=n)
    return X, 1.0 + X @ np.arange(p) + (1.0 + 0.5 * np.abs(X[:, 0])) * noise


@pytest.fixture(scope="module", params=REFERENCE)
def table(request):
    """X, y and R's results on them."""
    path = FOLDER / "data" / f"{request.param}.csv"
    columns = np.loadtxt(path, delimiter=",", skiprows=1)
    return request.param, columns[:, :-1], columns[:, -1], REFERENCE[request.param]


# longley has a condition number of 5e9
def allowed(name, usual):
    return 1e-6 if name == "longley" else usual


def test_covariances_are_those_of_r(table):
    name, X, y, reference = table
    for tau in LEVELS:
        expected = reference[str(tau)]
        model = QuantileRegressor(tau).fit(X, y)
        # some optima are not unique: residuals are to be those of R's fit
        model.intercept_, model.coef_ = expected["coef"][0], np.array(expected["coef"][1:])

        def work(fitted, tau=tau, expected=expected):
            found = {}
            for suffix, rule in RULES.items():
                if f"iid{suffix}" in expected:
                    found[f"iid{suffix}"] = errors(fitted, tau, "iid", rule=rule)
                density = nid_density(fitted, tau, rule, least=np.sqrt(EPS) / fitted.y_unit)
                found[f"nid{suffix}"] = errors(fitted, tau, "nid", density=density)
            found["ker"] = errors(fitted, tau, "kernel", rule=HALL_SHEATHER)
            found["r1"] = r_one(fitted, tau)
            return found

        for key, value in with_rows_of(model, X, y, None, work).items():
            np.testing.assert_allclose(
                value, expected[key], rtol=allowed(name, 1e-8), err_msg=f"{key} at {tau}"
            )
        for each, rule in zip(expected["bandwidth"], RULES.values(), strict=True):
            assert bandwidth(tau, len(y), rule) == pytest.approx(each, rel=1e-12)


def test_rank_intervals_are_those_of_r(table):
    """Where R's do not depend on the order of its pivots (others are left out of the file)."""
    name, X, y, reference = table
    for tau in LEVELS:
        expected = reference[str(tau)]
        if "rank_95" not in expected:
            continue
        found = of_rows(lambda fitted, tau=tau: rank_intervals(fitted, tau, 0.95), X, y, tau=tau)
        theirs = np.array(expected["rank_95"], dtype=float)
        regular = ~np.isnan(theirs)
        np.testing.assert_allclose(
            np.clip(found, -1e300, 1e300)[regular], theirs[regular], rtol=allowed(name, 1e-7)
        )
        if "rank_95_nid" in expected:

            def work(fitted, tau=tau):
                least = EPS ** (2 / 3) / fitted.y_unit
                density = nid_density(fitted, tau, HALL_SHEATHER, least=least)
                return rank_intervals(fitted, tau, 0.95, density)

            found = np.clip(of_rows(work, X, y, tau=tau), -1e300, 1e300)
            np.testing.assert_allclose(found, expected["rank_95_nid"], rtol=1e-7)


def statistic_by_programme(D, y, w, tau, j, b):
    """T(b) by a linear programme of its own."""
    x, Z = D[:, j], np.delete(D, j, axis=1)
    root = np.sqrt(w)[:, None]
    Q = np.linalg.qr(Z * root)[0] / root
    left = x - Q @ (Q.T @ (w * x))
    target = y - b * x
    target = target / (np.median(np.abs(target - np.median(target))) or np.abs(target).max())
    options = {"dual_feasibility_tolerance": 1e-10, "primal_feasibility_tolerance": 1e-10}
    found = linprog(
        -w * target,
        A_eq=(Q * w[:, None]).T,
        b_eq=(1.0 - tau) * (w @ Q),
        bounds=(0.0, 1.0),
        method="highs-ds",
        options=options,
    )
    return (w * left) @ (found.x - (1.0 - tau)) / np.sqrt(tau * (1.0 - tau) * (w @ left**2))


def tied_table(seed, ties, weighted):
    """A small table; `ties` of y, of X too, or none."""
    rng = np.random.default_rng(seed)
    n, p = 30, 2
    X = rng.normal(size=(n, p))
    y = X @ rng.normal(size=p) + rng.standard_t(2, size=n)
    if ties == "y":
        y = np.round(y)
    if ties == "rows":
        X, y = np.round(X), np.round(y)
    return X, y, rng.integers(1, 4, n).astype(float) if weighted else None


ENDS = ((0, -1), (1, 1))
TABLES = list(itertools.product(("none", "y", "rows"), (False, True), (0.25, 0.5)))


@pytest.mark.parametrize(("ties", "weighted", "tau"), TABLES)
def test_a_linear_programme_agrees_on_both_sides_of_every_jump(ties, weighted, tau):
    X, y, weight = tied_table(4, ties, weighted)
    D, w = np.c_[np.ones(len(y)), X], np.ones(len(y)) if weight is None else weight

    def work(fitted):
        tests = RankTests.of(fitted, tau)
        return tests.paths(0.95), cut_off(0.95, tests.df)

    paths, cut = of_rows(work, X, y, weight, tau)
    both = [(j, sign, pair[side]) for j, pair in enumerate(paths) for side, sign in ENDS]
    for j, sign, path in both:
        places, values = path
        assert abs(values[-1]) > cut >= np.abs(values[:-1]).max(initial=0.0)
        for i in range(len(places) - 1):
            for share in (1e-4, 1.0 - 1e-4):
                b = (1.0 - share) * places[i] + share * places[i + 1]
                found = statistic_by_programme(D, y, w, tau, j, b)
                assert found == pytest.approx(values[i], abs=1e-6)
        after = statistic_by_programme(D, y, w, tau, j, places[-1] + sign * 1e-6)
        assert after == pytest.approx(values[-1], abs=1e-6)


@pytest.mark.parametrize(("ties", "weighted", "tau"), TABLES)
def test_p_values_are_small_exactly_where_0_is_outside(ties, weighted, tau):
    """Of y moved along a column, so that the same null hypothesis is at many places."""
    X, y, weight = tied_table(4, ties, weighted)

    def work(fitted):
        tests = RankTests.of(fitted, tau)
        return tests.paths(0.95)[1], tests.p_values()[1]

    (low, high), _ = of_rows(work, X, y, weight, tau)
    ends = low.places[-1], high.places[-1]
    for end, side in itertools.product(ends, (-1e-6, 1e-6)):
        _, p = of_rows(work, X, y - (end + side) * X[:, 0], weight, tau)
        assert (p < 0.05) == (not ends[0] < end + side < ends[1])


def test_p_value_is_that_of_the_statistic_at_0():
    X, y = table_of(0, n=25, p=2)
    found = of_rows(lambda fitted: RankTests.of(fitted, 0.5).statistics(), X, y)
    D = np.c_[np.ones(25), X]
    expected = [statistic_by_programme(D, y, np.ones(25), 0.5, j, 0.0) for j in range(3)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    p = of_rows(lambda fitted: rank_p_values(fitted, 0.5), X, y)
    np.testing.assert_allclose(p, 2.0 * stats.t.sf(np.abs(expected), 22), rtol=1e-5)


def test_a_limit_that_the_statistic_never_gets_to_is_infinite():
    rng = np.random.default_rng(0)
    X, y = np.append(np.zeros(20), 1.0)[:, None], rng.normal(size=21)
    found = of_rows(lambda fitted: rank_intervals(fitted, 0.5, 0.95), X, y)
    assert np.isneginf(found[1, 0])
    assert np.isposinf(found[1, 1])
    assert np.isfinite(found[0]).all()


def test_a_path_serves_lower_levels():
    X, y = table_of(1)

    def work(fitted):
        tests = RankTests.of(fitted, 0.5)
        both = limits_of(tests.paths(0.99), 0.9, tests.df)
        return both, rank_intervals(fitted, 0.5, 0.9)

    np.testing.assert_array_equal(*of_rows(work, X, y))


def everything(fitted, tau):
    """Matrices in the user's columns, rank limits and p-values."""
    density = nid_density(fitted, tau)
    return {
        "iid": covariance(fitted, tau, "iid"),
        "nid": covariance(fitted, tau, "nid", density=density),
        "kernel": covariance(fitted, tau, "kernel"),
        "limits": rank_intervals(fitted, tau, 0.95, density),
        "p": rank_p_values(fitted, tau, density),
        "r1": r_one(fitted, tau),
    }


def assert_same(found, expected, rtol, without=()):
    for key in expected:
        if key not in without:
            np.testing.assert_allclose(found[key], expected[key], rtol=rtol, err_msg=key)


@pytest.mark.parametrize("tau", [0.3, 0.5])
def test_weights_are_repeated_rows(tau):
    X, y = table_of(2)
    weight = 1.0 + np.arange(len(y)) % 3
    index = np.repeat(np.arange(len(y)), weight.astype(int))

    def work(fitted):
        return everything(fitted, tau)

    weighted, repeated = (
        of_rows(work, X, y, weight, tau),
        of_rows(work, X[index], y[index], None, tau),
    )
    assert_same(weighted, repeated, 1e-9, without=["iid"])


def test_sparsity_with_weights_is_about_that_of_repeated_rows():
    """Repeated rows have ranks of their own, and a row of some weight one in their middle."""
    X, y = table_of(14, n=2000)
    weight = 1.0 + np.arange(len(y)) % 3
    index = np.repeat(np.arange(len(y)), weight.astype(int))

    def work(fitted):
        return sparsity(fitted, 0.3) * fitted.y_unit

    repeated = of_rows(work, X[index], y[index], tau=0.3)
    assert of_rows(work, X, y, weight, 0.3) == pytest.approx(repeated, rel=0.01)


def test_weights_of_0_leave_rows_out_and_order_does_not_matter():
    X, y = table_of(3)
    weight = (np.arange(len(y)) % 5 > 0).astype(float)
    order = np.random.default_rng(0).permutation(len(y))

    def work(fitted):
        return everything(fitted, 0.5)

    expected = of_rows(work, X[weight > 0], y[weight > 0])
    assert_same(of_rows(work, X[order], y[order], weight[order]), expected, 1e-10)


def test_sparse_columns_are_like_dense_ones():
    X, y = table_of(5)
    X = np.where(np.abs(X) > 0.7, X, 0.0)

    def work(fitted):
        return everything(fitted, 0.5)

    assert_same(of_rows(work, sparse.csr_matrix(X), y), of_rows(work, X, y), 1e-9)


@pytest.mark.parametrize("unit", [-1e-8, 1e8])
def test_units_of_y_and_of_the_columns_do_not_matter(unit):
    """R's "iid" fails at 1e-8, and its "nid" is wrong by a factor of 300."""
    X, y = table_of(6)
    A = np.array([[1.0, 2.0, 0.0], [0.0, 1e3, 1.0], [0.0, 1.0, 2e-3]])
    g = np.array([3.0, -1.0, 2.0])
    tau = 0.3
    own = tau if unit > 0.0 else 1.0 - tau

    def work(fitted, tau):
        found = [covariance(fitted, tau, kind) for kind in ("iid", "nid", "kernel")]
        return found, rank_intervals(fitted, tau, 0.95, nid_density(fitted, tau))

    before, _ = of_rows(lambda fitted: work(fitted, tau), X, y, tau=tau)
    other = unit * y + 2.0 * abs(unit)
    after, _ = of_rows(
        lambda fitted: work(fitted, own), X @ A, other + abs(unit) * (X @ g), tau=own
    )
    back = np.eye(4)
    back[1:, 1:] = A
    for one, two in zip(before, after, strict=True):
        np.testing.assert_allclose(back @ two @ back.T / unit**2, one, rtol=1e-7, atol=1e-9)
    # limits of single coefficients do not mix: columns in other units
    scales = np.array([1e-3, 10.0, 1e4])
    _, limits = of_rows(lambda fitted: work(fitted, tau), X, y, tau=tau)
    _, moved = of_rows(lambda fitted: work(fitted, own), X * scales, other, tau=own)
    expected = limits * unit
    expected[0] += 2.0 * abs(unit)
    expected[1:] /= scales[:, None]
    np.testing.assert_allclose(np.sort(moved, axis=1), np.sort(expected, axis=1), rtol=1e-7)


def test_clusters_are_the_sandwich_of_sums_of_scores():
    X, y = table_of(7)
    weight, numbers = 1.0 + np.arange(60) % 2, np.arange(60) // 6
    D, tau = np.c_[np.ones(60), X], 0.4
    model = QuantileRegressor(tau).fit(X, y, weight)

    def work(fitted):
        density = fitted.rows.collect(nid_density(fitted, tau)) / fitted.y_unit
        return covariance(fitted, tau, "cluster", groups=(numbers, 10)), density

    found, density = with_rows_of(model, X, y, weight, work)
    r = y - model.predict(X)
    below = (r < -1e-9) + 0.5 * (np.abs(r) <= 1e-9)
    scores = D * (weight * (tau - below))[:, None]
    sums = np.array([scores[numbers == g].sum(axis=0) for g in range(10)])
    B = np.linalg.inv(D.T @ ((weight * density)[:, None] * D))
    np.testing.assert_allclose(found, B @ sums.T @ sums @ B, rtol=1e-9)


def matrices(joint):
    return np.array([[joint.matrix(s, t) for t in range(2)] for s in range(2)])


def test_several_quantiles_are_like_one_by_one_and_know_of_each_other():
    X, y = table_of(8)
    taus = (0.25, 0.6)

    def work(fitted):
        return fitted

    fits = [of_rows(work, X, y, tau=tau) for tau in taus]
    fits = [replace(fits[0], point=fit.point) for fit in fits]
    for kind in ("iid", "nid", "kernel"):
        found = matrices(joint_covariance(fits, taus, kind))
        singles = [quantile_covariance(f, t, kind).matrix for f, t in zip(fits, taus, strict=True)]
        np.testing.assert_allclose(found[0, 0], singles[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found[1, 1], singles[1], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found[0, 1], found[1, 0].T, rtol=1e-10, atol=1e-12)
        matrix = np.block([[found[0, 0], found[0, 1]], [found[1, 0], found[1, 1]]])
        assert np.linalg.eigvalsh(matrix).min() > 0.0
    s = [sparsity(f, t) for f, t in zip(fits, taus, strict=True)]
    own = matrices(joint_covariance(fits, taus, "iid"))
    share = (0.25 - 0.25 * 0.6) / (0.25 * 0.75) * s[1] / s[0]
    np.testing.assert_allclose(own[0, 1], share * own[0, 0], rtol=1e-9, atol=1e-12)


def test_collinear_columns_leave_the_others_as_they_were():
    X, y = table_of(9)
    twice = np.column_stack([X, X[:, 2] + X[:, 1]])

    def work(fitted):
        density = nid_density(fitted, 0.5)
        matrix = covariance(fitted, 0.5, "nid", density=density)
        return np.diag(matrix)[:2], rank_intervals(fitted, 0.5, 0.95, density)[:2]

    for found, expected in zip(of_rows(work, twice, y), of_rows(work, X, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_column_alone_and_an_intercept_alone():
    X, y = table_of(10, n=40, p=1)

    def work(fitted):
        return rank_intervals(fitted, 0.5, 0.95)

    slope = of_rows(work, X, y, fit_intercept=False)
    assert slope.shape == (1, 2)
    assert slope[0, 0] < slope[0, 1]
    constant = of_rows(work, np.zeros((40, 1)), y)
    assert np.isnan(constant[1]).all()
    # the sign test: 40 rows, between the 14th and the 15th from either end
    ordered = np.sort(y)
    for end, pair in zip(constant[0], (ordered[12:15], ordered[25:28]), strict=True):
        assert pair[0] <= end <= pair[-1]


def test_single_precision_is_computed_in_double():
    X, y = table_of(11, n=200)
    X = X.astype(np.float32)
    model = L1Regressor().fit(X, y)

    def work(fitted):
        check_objective(fitted, float(model.objective_), "L1Regressor", single=True)
        return everything(in_double_precision(fitted, 0.5), 0.5)

    def wide(fitted):
        return everything(fitted, 0.5)

    found = with_rows_of(model, X, y, None, work)
    assert_same(found, of_rows(wide, X.astype(np.float64), y), 1e-8)


def test_other_rows_are_refused():
    X, y = table_of(12)
    model = L1Regressor().fit(X, y)

    def work(fitted):
        check_objective(fitted, model.objective_, "L1Regressor")

    with_rows_of(model, X, y, None, work)
    with pytest.raises(ValueError, match="not the rows that L1Regressor was fitted to"):
        with_rows_of(model, X, y[::-1].copy(), None, work)
    with pytest.raises(ValueError, match="not the rows that L1Regressor was fitted to"):
        with_rows_of(model, X, y, np.arange(1.0, 61.0), work)


def test_exact_fits_are_refused():
    X, y = table_of(13)
    y[:40] = X[:40] @ [1.0, 2.0, 3.0]
    model = L1Regressor().fit(X, y)
    with pytest.raises(ValueError, match="passes through 40 of 60 rows exactly"):
        with_rows_of(model, X, y, None, lambda fitted: check_noise(fitted, model.scale_))


def test_too_little_density_is_refused():
    rng = np.random.default_rng(0)
    X = np.repeat([0.0, 1.0], [40, 20])[:, None]
    y = np.where(X[:, 0] > 0.0, 5.0, rng.normal(size=60))  # a group without noise
    with pytest.raises(ValueError, match=r"40 of 60 rows have a density.*'kernel' or 'bootstrap'"):
        of_rows(lambda fitted: quantile_covariance(fitted, 0.5, "nid"), X, y)
    low = np.repeat([0.0, 1.0], [5, 95])
    for kind in ("iid", "kernel"):
        with pytest.raises(ValueError, match=f"covariance='{kind}' .*needs?"):
            of_rows(
                lambda fitted, kind=kind: quantile_covariance(fitted, 0.05, kind),
                np.zeros((100, 1)),
                low,
                tau=0.05,
            )


def test_bandwidths_are_halved_until_there_are_such_quantiles():
    assert bandwidth(0.02, 50) > 0.02
    h = bandwidth_within(0.02, 50)
    assert 0.02 - h > 0.0
    assert np.log2(bandwidth(0.02, 50) / h) == pytest.approx(
        round(np.log2(bandwidth(0.02, 50) / h))
    )
    assert bandwidth_within(0.5, 1000) == bandwidth(0.5, 1000)


@pytest.mark.parametrize("kind", ["iid", "nid", "kernel", "cluster"])
def test_the_other_side_has_the_same_errors(kind):
    """The quantile 0.3 of y is that of 0.7 of -y, the rows on the fit included."""
    X, y = table_of(8)
    groups = (np.arange(60) // 8, 8) if kind == "cluster" else None
    found = [
        of_rows(lambda f, tau=tau: errors(f, tau, kind, groups=groups), X, own, tau=tau)
        for tau, own in ((0.3, y), (0.7, -y))
    ]
    np.testing.assert_allclose(*found, rtol=1e-7)
