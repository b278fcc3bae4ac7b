"""A delta chosen in passes over rows that nobody holds is that of the arrays."""

import numpy as np
import pytest
from _cases import contaminated, heavy_tails
from _sources import Guarded

from robustreg import HuberRegressor


@pytest.mark.parametrize("scale", ["joint", "mad", 0.5])
@pytest.mark.parametrize(("table", "weighted"), [(contaminated, False), (heavy_tails, True)])
def test_the_choice_is_that_of_the_array(scale, table, weighted):
    X, y = table(n=3_000)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order], y[order]
    weight = np.resize([1.0, 2.0, 0.5, 0.0], len(y)) if weighted else None
    source = Guarded(X, y, weight, edges=(700, 700, 1_900))
    found = HuberRegressor("auto", scale=scale).fit(source)
    same = HuberRegressor("auto", scale=scale).fit(X, y, weight)
    assert found.delta_ == pytest.approx(same.delta_, rel=1e-9)
    np.testing.assert_allclose(found.coef_, same.coef_, rtol=1e-9, atol=1e-9 * same.scale_)
    assert found.converged_
    assert found.n_passes_ == source.passes <= (16 if scale == "joint" else 26)


def test_a_small_sample_leads_to_the_same_delta(monkeypatch):
    """Thresholds of a sample are far from those of all rows: more steps lead to them."""
    monkeypatch.setattr("robustreg.sources._surveyed.SAMPLE_ROWS", 200)
    X, y = heavy_tails(n=3_000)
    found = HuberRegressor("auto").fit(Guarded(X, y, edges=(1_000,)))
    assert found.delta_ == pytest.approx(HuberRegressor("auto").fit(X, y).delta_, rel=1e-9)
