"""Scales of least trimmed squares with few rows: the factor, and what it does."""

import numpy as np
import pytest

from robustreg import LTSRegressor
from robustreg.subsampling.trimming import share_of_squares, trimmed_variance


@pytest.mark.parametrize("m", [1, 5, 12])
def test_all_rows_leave_what_least_squares_leaves(m):
    assert share_of_squares(40.0, 40.0, m) == pytest.approx(1.0 - m / 40.0, rel=1e-14)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
@pytest.mark.parametrize("m", [1, 5, 12])
def test_many_rows_leave_what_the_expansion_says(m, share):
    n = 1e10
    h = share * n
    lost = 1.0 - share_of_squares(n, h, m)
    assert lost == pytest.approx(m / (h * trimmed_variance(share)), rel=1e-3)


@pytest.mark.parametrize("share", [0.55, 0.75, 0.9])
def test_less_is_left_of_fewer_rows_and_with_more_coefficients(share):
    n = np.arange(30, 500)
    by_rows = [share_of_squares(float(rows), share * rows, 5) for rows in n]
    assert np.all(np.diff(by_rows) > 0.0)
    by_coefficients = [share_of_squares(60.0, share * 60.0, m) for m in range(1, 31)]
    assert np.all(np.diff(by_coefficients) < 0.0)
    assert 0.0 < min(by_coefficients) < max(by_coefficients) < 1.0


@pytest.mark.parametrize(
    ("n", "m", "stated", "share"),
    [
        (16, 7, 0.10, None),  # 12 rows, as for a share of 0.75
        (20, 3, 0.05, 0.75),
        (50, 4, 0.05, None),
        (100, 6, 0.05, 0.75),
    ],
)
def test_scales_are_right_with_few_rows(n, m, stated, share):
    raw, final = [], []
    for i, rng in enumerate(np.random.default_rng(n).spawn(40)):
        X = rng.standard_normal((n, m - 1))
        y = 3.0 * rng.standard_normal(n)
        model = LTSRegressor(share, n_subsamples=200, random_state=i).fit(X, y)
        raw.append(model.raw_scale_ / 3.0)
        final.append(model.scale_ / 3.0)
    for scales in np.square([raw, final]):
        found = np.sqrt(scales.mean())
        error = scales.std() / np.sqrt(len(scales)) / (2.0 * found)
        assert abs(found - 1.0) < stated + 2.0 * error
