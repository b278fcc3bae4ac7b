"""M-scales: the equation, its limits, and an independent solver."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from robustreg.losses import (
    LOSSES,
    Andrews,
    Bisquare,
    Hampel,
    Huber,
    Welsch,
    gaussian_breakdown_point,
    tuning_constant,
)
from robustreg.scale import m_scale
from robustreg.scale._m_scale import expected_rho, m_scales

FOLDER = Path(__file__).parent / "golden"
REFERENCE = json.loads((FOLDER / "reference.json").read_text())

C = 1.547644980928226  # the bisquare's constant with breakdown point 0.5


def tuned(loss_class, breakdown_point):
    return loss_class(
        *np.atleast_1d(tuning_constant(loss_class, breakdown_point=breakdown_point)).tolist()
    )


BOUNDED = [
    tuned(loss_class, point)
    for loss_class in (Bisquare, Welsch, Hampel, Andrews)
    for point in (0.5, 0.25, 0.1)
]
all_losses = pytest.mark.parametrize("loss", BOUNDED, ids=repr)


def samples(n=37):
    rng = np.random.default_rng(n)
    normal = rng.normal(size=n)
    return {
        "gaussian": normal,
        "cauchy": rng.standard_cauchy(n),
        "ties": np.round(2.0 * normal),
        "zeros": np.where(np.arange(n) % 5 < 2, 0.0, normal),
        "gross": np.where(np.arange(n) % 11 == 0, 1e300, normal),
        "gross to the limit": np.where(np.arange(n) % 5 < 2, 1e300, normal),
        "two scales": np.where(np.arange(n) % 2, 1e-10, 1.0) * normal,
        "tiny": 1e-150 * normal,
        "huge": 1e150 * normal,
        "wide": 10.0 ** (100.0 * rng.uniform(-1.0, 1.0, n)),
    }


def excess(x, weight, loss, n_parameters=0):
    """The relative excess of the left side of the equation over the right one, of log s."""
    target = expected_rho(loss) * (weight.sum() - n_parameters)

    def function(log_scale):
        with np.errstate(over="ignore"):
            standardised = np.abs(x) / np.exp(log_scale)
        return weight @ loss.rho(standardised) / target - 1.0

    return function


@all_losses
@pytest.mark.parametrize("name", samples())
@pytest.mark.parametrize(("weighted", "n_parameters"), [(False, 0), (True, 3)])
def test_the_equation_holds(loss, name, weighted, n_parameters):
    x = samples()[name]
    weight = np.resize([1.0, 0.3, 2.0], len(x)) if weighted else np.ones(len(x))
    given = weight if weighted else None
    found = m_scale(x, given, loss=loss, center=0.0, n_parameters=n_parameters)
    share = gaussian_breakdown_point(loss) * (weight.sum() - n_parameters)
    if weight[x != 0].sum() <= share:
        assert found == 0.0
        return
    function = excess(x, weight, loss, n_parameters)
    assert abs(function(np.log(found))) <= 1e-12
    for start in (1e-300, 1e-3 * found, 0.99 * found, found, 1.01 * found, 1e3 * found, 1e300):
        again = m_scale(
            x, given, loss=loss, center=0.0, n_parameters=n_parameters, start=float(start)
        )
        assert abs(function(np.log(again))) <= 1e-12


@all_losses
@pytest.mark.parametrize("name", ["gaussian", "cauchy", "ties", "zeros", "gross", "tiny", "huge"])
def test_against_another_solver(loss, name):
    x = samples(50)[name]
    weight = np.resize([1.0, 0.3, 2.0], len(x))
    found = m_scale(x, weight, loss=loss, center=0.0)
    function = excess(x, weight, loss)
    middle = np.log(np.median(np.abs(x[x != 0])))
    expected = np.exp(brentq(function, max(middle - 700, -700), min(middle + 700, 709), xtol=1e-15))
    # a root of size 1 in log s is known to rounding errors of its size
    assert found == pytest.approx(expected, rel=1e-12 + 4e-16 * abs(np.log(found)))


def test_the_default_is_the_bisquare_of_breakdown_point_one_half():
    x = samples()["gaussian"]
    assert m_scale(x) == pytest.approx(m_scale(x, loss=Bisquare(C)), rel=1e-12)
    assert pytest.approx(1.547645, abs=5e-7) == C
    z, width = np.polynomial.legendre.leggauss(60)
    z, width = 0.5 * C * (z + 1.0), 0.5 * C * width
    inside = 2.0 * width @ (norm.pdf(z) * (1.0 - (1.0 - (z / C) ** 2) ** 3))
    assert inside + 2.0 * norm.sf(C) == pytest.approx(0.5, abs=1e-14)


@pytest.mark.parametrize("distance", [1e-150, 1.0, 7.0])
def test_two_values_in_closed_form(distance):
    # both deviations d / 2 have 1 - (1 - u^2)^3 = 1/2
    u = np.sqrt(1.0 - 0.5 ** (1.0 / 3.0))
    expected = 0.5 * distance / (C * u)
    assert m_scale(np.array([0.0, distance])) == pytest.approx(expected, rel=1e-12)


def test_three_of_six_zeros_are_enough_for_zero():
    x = np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0])
    for factor in (1.0, 0.1, 1 / 3, 1e-200):
        assert m_scale(x, np.full(6, factor), center=0.0) == 0.0
    assert m_scale(x, center=0.0) == 0.0
    assert m_scale(x[1:], center=0.0) > 0.5
    # four deviations other than 0: 4 > 0.5 (9 - p) only where p > 1
    x = np.append(np.zeros(5), np.ones(4))
    assert [m_scale(x, center=0.0, n_parameters=p) > 0.0 for p in (0, 1, 2)] == [False, False, True]


@pytest.mark.parametrize("weight", [None, np.full(101, 0.7)])
def test_infinite_values(weight):
    x = np.random.default_rng(0).normal(size=101)
    x[:40:2], x[1:40:2] = 1e300, -1e300
    expected = m_scale(x, weight, center=0.0)
    x[:40:2], x[1:40:2] = np.inf, -np.inf
    assert m_scale(x, weight, center=0.0) == pytest.approx(expected, rel=1e-12)
    assert m_scale(x, weight) == pytest.approx(expected, rel=0.1)
    x[:51] = np.inf
    assert m_scale(x, weight, center=0.0) == np.inf
    x[7] = np.nan
    with pytest.raises(ValueError, match="x must not contain NaN"):
        m_scale(x, weight, center=0.0)
    without = np.where(np.isnan(x), 0.0, 1.0)
    assert m_scale(x, without, center=0.0) == np.inf  # 50 of the other 100
    x[0] = 0.0
    assert m_scale(x, without, center=0.0) < 1e6


def test_numbers_next_to_zero():
    smallest = 5e-324
    x = smallest * np.array([-2.0, -1.0, 0.0, 1.0, 3.0])
    assert 0.0 <= m_scale(x) <= 10 * smallest


def test_many_values_are_evaluated_in_blocks():
    x = np.random.default_rng(0).standard_cauchy(100_000)
    weight = np.resize([1.0, 2.0, 0.5], len(x))
    assert m_scale(np.tile(x[:1000], 100)) == pytest.approx(m_scale(x[:1000]), rel=1e-12)
    found = m_scale(x, weight, center=0.0)
    assert abs(excess(x, weight, Bisquare(C))(np.log(found))) <= 1e-12


@all_losses
@pytest.mark.parametrize("weighted", [False, True])
def test_many_samples_at_once(loss, weighted):
    rows = np.abs([samples()[name] for name in samples()])
    weight = np.resize([1.0, 0.3, 2.0], rows.shape[1]) if weighted else None
    rows[2, 3] = np.nan
    rows = np.vstack([rows, np.zeros(rows.shape[1]), np.full(rows.shape[1], np.inf)])
    total = rows.shape[1] if weight is None else weight.sum()
    found = m_scales(rows, expected_rho(loss) * total, loss, weight=weight)
    known = np.where(np.isnan(rows), 0.0, rows)
    expected = [m_scale(row, weight, loss=loss, center=0.0) for row in known]
    expected[2] = np.nan
    np.testing.assert_allclose(found, expected, rtol=2e-12)
    guess = np.where(found > 0.0, np.minimum(1.3 * found, 1e300), 1.0)
    again = m_scales(rows[::-1], expected_rho(loss) * total, loss, guess[::-1], weight)
    # of the sample with two scales the equation fixes fewer digits
    np.testing.assert_allclose(again[::-1][:6], found[:6], rtol=2e-12)


@pytest.mark.parametrize("loss", [loss() for loss in LOSSES.values()], ids=repr)
def test_unbounded_losses_are_refused(loss):
    if np.isfinite(loss.sup_rho):
        assert m_scale(np.arange(9.0), loss=loss) > 0.0
    else:
        with pytest.raises(ValueError, match=f"bounded loss.*{type(loss).__name__}"):
            m_scale(np.arange(9.0), loss=loss)


@pytest.mark.parametrize("n_parameters", [-1, 5, 6])
def test_too_many_parameters(n_parameters):
    with pytest.raises(ValueError, match="n_parameters"):
        m_scale(np.arange(5.0), n_parameters=n_parameters)
    with pytest.raises(ValueError, match="n_parameters"):
        m_scale(np.arange(3.0), np.array([1.0, 3.0, 1.0]), n_parameters=n_parameters)


@pytest.mark.parametrize("start", [0.0, -1.0, np.inf, np.nan])
def test_starts_are_positive(start):
    with pytest.raises(ValueError, match="start"):
        m_scale(np.arange(5.0), start=start)


def test_a_loss_without_a_formula_of_its_own_for_the_lever():
    r = np.array([0.0, -0.5, 1.0, 1.5, 1.6, 1e300, np.inf])
    for loss in (*BOUNDED, Huber()):
        rho, lever = loss._rho_and_lever(r[:-2])
        np.testing.assert_allclose(rho, loss.rho(r[:-2]), rtol=1e-14)
        np.testing.assert_allclose(lever, r[:-2] * loss.psi(r[:-2]), rtol=1e-13, atol=1e-300)
    for loss in BOUNDED:
        rho, lever = loss._rho_and_lever(r[-2:])
        np.testing.assert_allclose(rho, loss.sup_rho, rtol=1e-14)
        assert not lever.any()


@pytest.mark.parametrize("table", REFERENCE)
def test_against_robustbase(table):
    """The scale of lmrob's S-estimate solves the equation with 0.5 and its rounded constant."""
    columns = np.loadtxt(FOLDER / "data" / f"{table}.csv", delimiter=",", skiprows=1)
    fit = REFERENCE[table]["lmrob"]
    n, p = columns.shape  # the intercept takes the place of the target
    coef = np.asarray(fit["S_coef"])
    residual = columns[:, -1] - coef[0] - columns[:, :-1] @ coef[1:]
    loss = Bisquare(1.54764)
    found = m_scales(np.abs(residual)[np.newaxis], 0.5 * loss.sup_rho * (n - p), loss)[0]
    assert found == pytest.approx(fit["S_scale"], rel=1e-7)
    # the constant itself
    assert m_scale(residual, center=0.0, n_parameters=p) == pytest.approx(found, rel=1e-5)
