"""How a problem is posed: in what units, what in them counts as far or as 0, and the way back."""

import numpy as np
import pytest
from _reference import Reference, mad, spread_of_y
from _sources import Guarded
from numpy.testing import assert_allclose, assert_array_equal

from robustreg._arrays import EPS, TINY
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.units import SURVEY_ROWS, Targets, units_of
from robustreg.losses import Absolute, HalfSquared, Huber, LogCosh, Quantile, Squared
from robustreg.penalties import ElasticNet
from robustreg.sources import _surveyed
from robustreg.sources._surveyed import NotInMemoryError, survey

LIMIT = 1e15  # spreads of y: targets further out are brought in to there
FAINT = TINY / 8.0  # with fewer digits than others


def table(n=40, unit=37.0):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n, 3)) * [1.0, 20.0, 0.3]
    return X, unit * (3.0 + X @ [1.0, -0.1, 2.0] + rng.standard_t(3, size=n))


def pose(data, loss=None, scale=None, fit_intercept=True, **penalty):
    if isinstance(data, tuple):
        data = Data(*data, *[None] * (3 - len(data)), 1)
    loss = Huber() if loss is None else loss
    net = ElasticNet(**penalty)
    return make_problem(data, loss=loss, scale=scale, penalty=net, fit_intercept=fit_intercept)


# --- what counts as 0


SCALES = [None, 0.1, 1.0, 30.0]
LOSSES = [(loss, scale) for loss in (Huber(2.0), LogCosh(0.7), HalfSquared()) for scale in SCALES]
LOSSES += [(Quantile(0.3), 1.0), (Quantile(0.8), 1.0)]


@pytest.mark.parametrize("unit", [2.0**-70, 37.0])
@pytest.mark.parametrize(("loss", "scale"), LOSSES)
def test_what_is_negligible_by_its_definition(loss, scale, unit):
    """64 eps of what F is where all residuals are one spread of y, or what 1e-9 spreads make."""
    X, y = table(unit=unit)
    scale = scale if scale is None or loss.homogeneity == 1 else scale * unit
    problem = pose((X, y), loss, scale)
    spread = mad(y, np.ones(len(y)))

    def value(size):
        sigma = spread if scale is None else scale
        kappa = loss.kappa if scale is None else 0.0
        return sigma * (max(loss.rho(size / sigma), loss.rho(-size / sigma)) + kappa)

    expected = 64 * EPS * value(spread)
    if scale is not None:
        expected = min(expected, value(1e-9 * spread))
    found = problem.in_units_of_objective(problem.negligible)
    assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [None, 2.0])
def test_nothing_but_0_is_negligible_beside_a_constant_target(scale):
    assert pose((table()[0], np.full(40, 5.0)), scale=scale).negligible == 0.0


def test_losses_at_scale_0_are_their_limit_or_sizes_where_there_is_none():
    residual = np.array([-3.0, 0.0, 0.25])
    for loss in (Huber(2.0), LogCosh(0.7)):
        problem = pose(table(), loss)
        near = problem.losses(residual, 1e-12)
        assert_allclose(problem.losses(residual, 0.0), near, rtol=0, atol=1e-11)
    for loss in (Squared(), HalfSquared()):
        assert_array_equal(pose(table(), loss).losses(residual, 0.0), [3.0, 0.0, 0.25])


# --- where to start


def test_a_joint_scale_next_to_0_is_none_to_start_from():
    problem, fixed = pose(table()), pose(table(), scale=1.0)
    assert problem.can_start_from(problem.spread)
    assert not problem.can_start_from(1e-9 * problem.spread)
    assert fixed.can_start_from(problem.spread)
    assert fixed.can_start_from(1e-9 * problem.spread)
    assert not pose((table()[0], np.full(40, 5.0))).can_start_from(0.0)


@pytest.mark.parametrize("several", [False, True])
def test_coefficients_go_to_the_users_units_and_back(several):
    shape = (4, 3) if several else (3,)
    coef = np.random.default_rng(1).normal(size=shape)
    intercept = np.array([1.5, -2.0, 0.0, 3.0]) if several else 1.5
    problem = pose(table())
    assert problem.y_unit != 1.0
    found = problem.in_user_units(coef, intercept)
    assert_array_equal(found[0], problem.y_unit * coef)
    assert_array_equal(found[1], problem.y_unit * intercept + problem.y_offset)
    back = problem.in_own_units(*found)
    assert_array_equal(back[0], coef)
    assert_allclose(back[1], intercept, rtol=0, atol=1e-13)
    # of a fit with an intercept that another without one starts from
    own = pose(table(), fit_intercept=False).in_own_units(coef, intercept)[1]
    assert_array_equal(own, 0.0 * intercept)


# --- digits lost next to 0


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("several", [False, True])
def test_a_coefficient_whose_lost_digits_matter_is_refused(column, several):
    """They do where X is so large that the last of them moves a prediction."""
    X, y = table(unit=2.0**-60)
    large, small = X.copy(), 1e300 * np.sign(X)
    large[:, column] *= 1e300
    small[:, column] = X[:, column]
    coef, intercept = np.ones((2, 3)), np.zeros(2)
    coef[1, column] = FAINT / pose((X, y)).y_unit
    found = (coef, intercept) if several else (coef[1], 0.0)
    with pytest.raises(ValueError, match="coefficients of this fit cannot be represented"):
        pose((large, y)).in_user_units(*found)
    problem = pose((small, y))
    assert_array_equal(problem.in_user_units(*found)[0], found[0] * problem.y_unit)


def test_the_smallest_number_with_all_digits_has_lost_none():
    X, y = table(unit=2.0**-60)
    problem = pose((np.column_stack([1e300 * np.sign(X[:, 0]), 1e-300 * X[:, 1]]), y))
    coef = np.array([TINY, FAINT]) / problem.y_unit
    assert_array_equal(problem.in_user_units(coef, 0.0)[0], [TINY, FAINT])


def test_digits_that_not_even_the_smallest_number_has_do_not_matter():
    """Of a constant target nothing counts as an exact fit but 0."""
    problem = pose((table()[0], np.full(40, 5.0)))
    assert_array_equal(problem.in_user_units(np.full(3, FAINT), 0.0)[0], 4.0 * FAINT)


# --- rows


def test_any_row_may_be_among_some():
    X, y = table(n=4)
    weight = np.array([1.0, 2.0, 4.0, 8.0])
    whole = pose((X, y, weight))
    some = whole.some(200)
    place = np.argmax(some.X[:, :1] == X[:, 0], axis=1)
    assert_array_equal(np.unique(place), [0, 1, 2, 3])
    assert_array_equal(some.X, X[place])
    assert_array_equal(some.y, whole.y[place])
    assert_array_equal(some.weight, weight[place] / 8.0)


def far_table(far=(1e17, -1e22)):
    X, y = table()
    y[3], y[8] = far
    return X, y


def test_targets_are_brought_in_to_so_many_spreads():
    X, y = far_table()
    problem, spread = pose((X, y)), mad(y, np.ones(len(y)))
    seen = problem.y * problem.y_unit + problem.y_offset
    assert_array_equal(problem.far, [3, 8])
    assert_allclose(seen[[3, 8]], [LIMIT * spread, -LIMIT * spread], rtol=1e-12)
    near = np.delete(np.arange(40), [3, 8])
    assert_allclose(seen[near], y[near], rtol=1e-12)
    beyond = [1e17 - LIMIT * spread, LIMIT * spread - 1e22]
    assert_allclose(problem.beyond * problem.y_unit, beyond, rtol=1e-12)
    nothing = pose(table())
    assert len(nothing.far) == len(nothing.beyond) == 0


PENALTIES = [{}, {"alpha": 0.3, "l1_ratio": 0.4}]


@pytest.mark.parametrize("penalty", PENALTIES, ids=["free", "net"])
@pytest.mark.parametrize("reach", [1e18, 1e30])
@pytest.mark.parametrize(
    ("loss", "scale"), [(Huber(), None), (Huber(), 20.0), (LogCosh(), 1e16), (Absolute(), 1.0)]
)
def test_a_wider_problem_is_the_same_to_targets_within_reach(loss, scale, reach, penalty):
    X, y = far_table()
    problem = pose((X, y), loss, scale, **penalty)
    wider = problem.within(reach / problem.y_unit)
    assert_array_equal(wider.far, np.flatnonzero(np.abs(y) > reach))
    whole = wider.put_back(wider.y) * wider.y_unit + wider.y_offset
    assert_allclose(whole, y, rtol=1e-12, atol=1e-15 * reach)
    # in units near 1, in which the reach lies next to the limit
    assert 1.0 <= wider.spread < 8.0
    limit = LIMIT * wider.spread * wider.y_unit
    assert reach <= limit < 4.0 * reach
    assert_allclose(wider.exact, 1e-9 * wider.spread, rtol=1e-12)
    # F, of coefficients that follow the far targets, is what it is
    coef, intercept, sigma = np.array([1e15, -3.0, 1e16]), 2e15, scale or 1e15
    reference = Reference(X, y, loss, scale="joint" if scale is None else scale, **penalty)
    own_coef, own_intercept = wider.in_own_units(coef, intercept)
    own = wider.scale_or(sigma / wider.y_unit)
    residual = wider.put_back(wider.y - X @ own_coef - own_intercept)
    value = wider.losses(residual, own).mean() + wider.penalty.value(own_coef)
    value += own * loss.kappa if scale is None else 0.0
    expected = reference.value(coef, intercept, sigma)
    assert_allclose(wider.in_units_of_objective(value), expected, rtol=1e-9)


@pytest.mark.parametrize("factor", [1.0, 1.3, 1.7])
def test_what_is_within_reach_already_keeps_its_units(factor):
    X, y = far_table()
    problem = pose((X, factor * y))
    same = problem.within(LIMIT * problem.spread)
    assert same.y_unit == problem.y_unit
    assert same.y_offset == problem.y_offset


# --- units


POSED = [
    (Huber(), None),
    (HalfSquared(), None),
    (Absolute(), 1.0),
    (Huber(), 5.0),
    (HalfSquared(), 1.0),
    (Squared(), 3e-7),
    (HalfSquared(), 7e12),
]


@pytest.mark.parametrize("unit", [2.0**-30, 1.0, 2.0**30])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(("loss", "scale"), POSED)
def test_losses_and_penalties_in_any_units_of_y(loss, scale, fit_intercept, l1_ratio, unit):
    X, y = table(unit=unit)
    weight = 1.0 + np.arange(40) % 3
    options = {"fit_intercept": fit_intercept, "l1_ratio": l1_ratio}
    problem = pose((X, y, weight), loss, scale, alpha=0.3, **options)
    other = pose((X, y, weight), loss, scale, alpha=0.02, **options)
    spread = spread_of_y(y, weight, fit_intercept)
    penalty_unit = spread if scale is None or loss.homogeneity == 1 else scale
    for size in (unit, penalty_unit):  # the one of losses, the other where both parts count
        coef = size * np.array([0.7, 0.01, -1.5])
        found, own_size = problem.in_own_units(coef, 0.0)[0], np.abs(coef).sum()
        expected = l1_ratio * own_size + (1.0 - l1_ratio) * (coef @ coef) / (2.0 * penalty_unit)
        for which, alpha in ((problem, 0.3), (other, 0.02), (problem.with_alpha(0.02), 0.02)):
            value = which.in_units_of_objective(which.penalty.value(found))
            assert_allclose(value, alpha * expected, rtol=1e-12)
        sigma = spread if scale is None else scale
        own = problem.losses(problem.y - X @ found, problem.scale_or(sigma / problem.y_unit))
        losses = sigma * loss.rho((y - problem.y_offset - X @ coef) / sigma)
        assert_allclose([*map(problem.in_units_of_objective, own)], losses, rtol=1e-9, atol=0)


TIGHT = 1.0 + np.array([0.0, 1.0, 2.0, 5.0, 9.0, 14.0, -3.0]) * EPS
WIDE = np.array([1.9, -1.9, 1.5, -1.25, 1.5, -1.8])


@pytest.mark.parametrize(("y", "power"), [(TIGHT, -1000), (TIGHT, 600), (WIDE, 1023), (WIDE, -900)])
def test_units_that_leave_the_range_have_room_for_targets_that_do_not(y, power):
    ordinary = units_of(y, None, 1, False, True)
    extreme = units_of(np.ldexp(y, power), None, 1, False, True)
    assert extreme[1:] == ordinary[1:]
    assert_array_equal(extreme.of(np.ldexp(y, power)), ordinary.of(y))


def test_targets_next_to_0_beside_others_count_as_0_if_they_have_lost_digits():
    units = units_of(np.array([FAINT, FAINT, FAINT, 1e300]), None, 1, False, True)
    assert units.spread > 0.0
    with pytest.raises(ValueError, match="too far apart"):
        units_of(np.array([TINY, TINY, TINY, 1e300]), None, 1, False, True)


def test_what_is_rounding_beside_timestamps_is_an_exact_fit_without_an_intercept():
    y = 1.7e9 + 5e3 * np.random.default_rng(0).normal(size=51)
    units = units_of(y, None, 1, False, False)
    size = spread_of_y(y, np.ones(51), fit_intercept=False)
    assert_allclose(units.exact * units.y_unit, 64 * EPS * size, rtol=1e-12)
    y += 1e3 * (y - np.median(y))
    units = units_of(y, None, 1, False, False)
    assert_allclose(units.exact * units.y_unit, 1e-9 * mad(y, np.ones(51)), rtol=1e-12)


def test_nothing_is_brought_in_to_no_limit():
    units = units_of(WIDE, None, 1, False, True)
    assert [len(part) for part in Targets(units).brought_in(1e300 * WIDE)] == [0, 0]


# --- a part of the targets


@pytest.mark.parametrize("loss", [Huber(), Absolute()])
def test_the_unit_of_a_penalty_is_the_mad_of_all_rows(loss):
    """Half of the rows would do for what units of y are near 1."""
    X, y = table(n=2 * SURVEY_ROWS)
    y[::2] *= 5.0
    problem = pose((X, y), loss, None if isinstance(loss, Huber) else 1.0, alpha=0.1)
    whole = mad(y, np.ones(len(y)))
    assert_allclose(problem.penalty.unit * problem.y_unit, whole, rtol=1e-12)


def test_targets_of_which_those_drawn_are_alike_are_refused(monkeypatch):
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 8)
    X, y = np.arange(100.0)[:, None], np.full(100, 3.0)
    constant = survey(Guarded(X, y), 1)
    assert pose(constant).spread == 0.0
    y[np.setdiff1d(X[:, 0], constant.sample.X[:, 0]).astype(int)[5]] = 4.0
    with pytest.raises(NotInMemoryError, match="drawn are all alike, and not all of them are"):
        pose(survey(Guarded(X, y), 1))
