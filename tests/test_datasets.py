import sys
from pathlib import Path

import numpy as np
import pytest

from robustreg.datasets import (
    load_california_housing,
    load_diamonds,
    load_engel,
    load_stars_cyg,
)

GOLDEN = Path(__file__).parent / "golden" / "data"
NAMES = ["carat", "cut", "color", "clarity", "depth", "table", "x", "y", "z"]


@pytest.fixture(scope="module")
def diamonds():
    return load_diamonds()


@pytest.fixture(scope="module")
def diamonds_frame():
    pytest.importorskip("pandas")
    return load_diamonds(as_frame=True)


def test_arrays(diamonds):
    assert diamonds.data.shape == (53940, 9)
    assert diamonds.target.shape == (53940,)
    assert diamonds.data.dtype == diamonds.target.dtype == np.float64
    assert diamonds.data.flags.c_contiguous
    assert diamonds.target.flags.c_contiguous
    assert diamonds.frame is None
    assert diamonds.feature_names == NAMES
    assert diamonds.target_names == ["price"]
    assert np.isfinite(diamonds.data).all()


def test_first_and_last_row(diamonds):
    # 0.23, Ideal, E, SI2, 61.5, 55, $326, 3.95, 3.98, 2.43
    np.testing.assert_array_equal(diamonds.data[0], [0.23, 4, 5, 1, 61.5, 55, 3.95, 3.98, 2.43])
    # 0.75, Ideal, D, SI2, 62.2, 55, $2757, 5.83, 5.87, 3.64
    np.testing.assert_array_equal(diamonds.data[-1], [0.75, 4, 6, 1, 62.2, 55, 5.83, 5.87, 3.64])
    assert diamonds.target[[0, -1]].tolist() == [326, 2757]


def test_impossible_entries_are_kept(diamonds):
    x, y, z = diamonds.data[:, 6:].T
    assert [(side == 0).sum() for side in (x, y, z)] == [8, 7, 20]
    assert ((x == 0) | (y == 0) | (z == 0)).sum() == 20
    assert [(side > 20).sum() for side in (x, y, z)] == [0, 2, 1]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("cut", {"Fair": 1610, "Good": 4906, "Very Good": 12082, "Premium": 13791, "Ideal": 21551}),
        (
            "color",
            {"J": 2808, "I": 5422, "H": 8304, "G": 11292, "F": 9542, "E": 9797, "D": 6775},
        ),
        (
            "clarity",
            {
                "I1": 741,
                "SI2": 9194,
                "SI1": 13065,
                "VS2": 12258,
                "VS1": 8171,
                "VVS2": 5066,
                "VVS1": 3655,
                "IF": 1790,
            },
        ),
    ],
)
def test_grades_run_from_worst_to_best(diamonds, name, counts):
    codes = diamonds.data[:, NAMES.index(name)].astype(int)
    assert diamonds.categories[name] == tuple(counts)
    assert np.bincount(codes).tolist() == list(counts.values())


def test_return_X_y(diamonds):
    X, y = load_diamonds(return_X_y=True)
    np.testing.assert_array_equal(X, diamonds.data)
    np.testing.assert_array_equal(y, diamonds.target)


def test_as_frame(diamonds, diamonds_frame):
    frame = diamonds_frame.frame
    assert frame.shape == (53940, 10)
    assert list(frame.columns) == [*NAMES, "price"]
    assert diamonds_frame.data.equals(frame[NAMES])
    assert diamonds_frame.target.equals(frame["price"])
    for name, column in zip(NAMES, diamonds.data.T, strict=True):
        if name in diamonds.categories:
            assert frame[name].cat.ordered
            assert tuple(frame[name].cat.categories) == diamonds.categories[name]
            np.testing.assert_array_equal(frame[name].cat.codes, column)
        else:
            assert frame[name].dtype == np.float64
            np.testing.assert_array_equal(frame[name], column)
    assert frame.iloc[0, :4].tolist() == [0.23, "Ideal", "E", "SI2"]


def test_as_frame_return_X_y(diamonds_frame):
    X, y = load_diamonds(return_X_y=True, as_frame=True)
    assert X.equals(diamonds_frame.data)
    assert y.equals(diamonds_frame.target)
    assert y.name == "price"


def test_origin_and_licence_are_stated(diamonds):
    for word in ("ggplot2", "MIT", "copyright", "US dollars", "mm"):
        assert word in diamonds.DESCR
    notice = Path(diamonds.filename).with_name("LICENSE-ggplot2.txt").read_text()
    assert "Permission is hereby granted, free of charge" in notice
    assert "ggplot2 core developer team" in notice


def test_calls_are_independent(diamonds):
    again = load_diamonds()
    again.data[:] = 0
    again.categories.clear()
    assert diamonds.data[0, 0] == 0.23
    assert load_diamonds().categories == diamonds.categories


@pytest.mark.parametrize(
    "load", [load_california_housing, load_diamonds, load_engel, load_stars_cyg]
)
def test_pandas_is_imported_only_for_frames(monkeypatch, load):
    monkeypatch.setitem(sys.modules, "pandas", None)  # importing it fails
    load()
    with pytest.raises(ImportError, match="pandas"):
        load(as_frame=True)


# ---- Engel's food expenditure


def test_engel_arrays():
    engel = load_engel()
    assert engel.data.shape == (235, 1)
    assert engel.target.shape == (235,)
    assert engel.data.dtype == engel.target.dtype == np.float64
    assert engel.data.flags.c_contiguous
    assert engel.target.flags.c_contiguous
    assert engel.frame is None
    assert (engel.feature_names, engel.target_names) == (["income"], ["foodexp"])
    X, y = load_engel(return_X_y=True)
    np.testing.assert_array_equal(X, engel.data)
    np.testing.assert_array_equal(y, engel.target)


def test_engel_is_the_table_of_the_reference_results():
    table = np.loadtxt(GOLDEN / "engel.csv", delimiter=",", skiprows=1)
    X, y = load_engel(return_X_y=True)
    np.testing.assert_array_equal(np.column_stack([X, y]), table)


def test_engel_frame():
    pytest.importorskip("pandas")
    engel, arrays = load_engel(as_frame=True), load_engel()
    assert list(engel.frame.columns) == ["income", "foodexp"]
    np.testing.assert_array_equal(engel.data["income"], arrays.data[:, 0])
    np.testing.assert_array_equal(engel.target, arrays.target)
    X, y = load_engel(return_X_y=True, as_frame=True)
    assert X.equals(engel.data)
    assert y.equals(engel.target)
    assert y.name == "foodexp"


def test_engel_origin_is_stated():
    engel = load_engel()
    for word in ("Koenker", "Bassett", "Econometrica", "quantreg", "GPL", "Belgian francs"):
        assert word in engel.DESCR
    for column in (engel.data, engel.target):
        for bound in (column.min(), column.max()):
            assert f"{bound:.2f}" in engel.DESCR
    assert Path(engel.filename).name == "engel.csv"


def test_engel_calls_are_independent():
    first = load_engel()
    first.data[:] = 0
    first.target[:] = 0
    assert load_engel().data[0, 0] == 420.157650843928


# ---- stars of CYG OB1


def test_stars_are_the_table_of_the_reference_results():
    table = np.loadtxt(GOLDEN / "starsCYG.csv", delimiter=",", skiprows=1)
    X, y = load_stars_cyg(return_X_y=True)
    np.testing.assert_array_equal(np.column_stack([X, y]), table)


def test_stars():
    stars = load_stars_cyg()
    assert stars.data.shape == (47, 1)
    assert stars.frame is None
    assert (stars.feature_names, stars.target_names) == (["log_temperature"], ["log_light"])
    giants = np.flatnonzero((stars.data[:, 0] < 3.6) & (stars.target > 5.7))
    assert giants.tolist() == [10, 19, 29, 33]
    assert "rows 10, 19, 29 and 33" in stars.DESCR


def test_stars_frame():
    pytest.importorskip("pandas")
    stars, arrays = load_stars_cyg(as_frame=True), load_stars_cyg()
    assert list(stars.frame.columns) == ["log_temperature", "log_light"]
    np.testing.assert_array_equal(stars.data["log_temperature"], arrays.data[:, 0])
    np.testing.assert_array_equal(stars.target, arrays.target)


def test_stars_origin_is_stated():
    stars = load_stars_cyg()
    for word in ("Rousseeuw", "Leroy", "table 3", "robustbase", "GPL", "kelvin"):
        assert word in stars.DESCR
    for column in (stars.data, stars.target):
        for bound in (column.min(), column.max()):
            assert f"{bound:.2f}" in stars.DESCR
    assert Path(stars.filename).name == "stars_cyg.csv"


# ---- California housing

BLOCK_COLUMNS = [
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
    "ocean_proximity",
]


@pytest.fixture(scope="module")
def california():
    return load_california_housing()


def test_california_arrays(california):
    assert california.data.shape == (20640, 9)
    assert california.target.shape == (20640,)
    assert california.data.dtype == california.target.dtype == np.float64
    assert california.data.flags.c_contiguous
    assert california.target.flags.c_contiguous
    assert california.frame is None
    assert california.feature_names == BLOCK_COLUMNS
    assert california.target_names == ["median_house_value"]
    X, y = load_california_housing(return_X_y=True)
    np.testing.assert_array_equal(X, california.data)
    np.testing.assert_array_equal(y, california.target)


def test_california_first_and_last_row(california):
    first = [-122.23, 37.88, 41, 880, 129, 322, 126, 8.3252, 3]  # NEAR BAY
    last = [-121.24, 39.37, 16, 2785, 616, 1387, 530, 2.3886, 1]  # INLAND
    np.testing.assert_array_equal(california.data[[0, -1]], [first, last])
    assert california.target[[0, -1]].tolist() == [452600, 89400]


def test_california_keeps_what_is_missing_and_what_is_capped(california):
    missing = np.isnan(california.data)
    assert missing.sum(axis=0).tolist() == [0, 0, 0, 0, 207, 0, 0, 0, 0]
    assert (california.target.min(), california.target.max()) == (14999, 500001)
    age, income = california.data[:, 2], california.data[:, 7]
    for column, cap, count in [
        (california.target, 500001, 965),
        (california.target, 14999, 4),
        (age, 52, 1273),
        (income, 0.4999, 12),
        (income, 15.0001, 49),
    ]:
        assert (column == cap).sum() == count
        assert str(count) in california.DESCR


def test_california_category(california):
    counts = {
        "<1H OCEAN": 9136,
        "INLAND": 6551,
        "ISLAND": 5,
        "NEAR BAY": 2290,
        "NEAR OCEAN": 2658,
    }
    assert california.categories == {"ocean_proximity": tuple(counts)}
    codes = california.data[:, -1].astype(int)
    assert np.bincount(codes).tolist() == list(counts.values())


def test_california_frame(california):
    pytest.importorskip("pandas")
    frame = load_california_housing(as_frame=True).frame
    assert list(frame.columns) == [*BLOCK_COLUMNS, "median_house_value"]
    for name, column in zip(BLOCK_COLUMNS[:-1], california.data.T, strict=False):
        assert frame[name].dtype == np.float64
        np.testing.assert_array_equal(frame[name], column)
    category = frame["ocean_proximity"].cat
    assert not category.ordered
    assert tuple(category.categories) == california.categories["ocean_proximity"]
    np.testing.assert_array_equal(category.codes, california.data[:, -1])
    assert frame["ocean_proximity"].iloc[0] == "NEAR BAY"
    X, y = load_california_housing(return_X_y=True, as_frame=True)
    assert X.equals(frame[BLOCK_COLUMNS])
    assert y.equals(frame["median_house_value"])


def test_california_origin_and_licence_are_stated(california):
    for word in ("Pace", "Barry", "census of 1990", "handson-ml2", "Apache", "capped"):
        assert word in california.DESCR
    notice = Path(california.filename).with_name("LICENSE-handson-ml2.txt").read_text()
    assert "Apache License" in notice
    assert "END OF TERMS AND CONDITIONS" in notice


def test_california_calls_are_independent(california):
    again = load_california_housing()
    again.data[:] = 0
    again.target[:] = 0
    again.categories.clear()
    assert california.data[0, 0] == load_california_housing().data[0, 0] == -122.23
