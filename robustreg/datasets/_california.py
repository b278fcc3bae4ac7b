"""The table of house values in California."""

from typing import Any, Literal, overload

from sklearn.utils import Bunch

from ._table import load_table

# By name: nearness to the sea has an order, these five words have none.
_CATEGORIES = {"ocean_proximity": ("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN")}


@overload
def load_california_housing(*, return_X_y: Literal[False] = ..., as_frame: bool = ...) -> Bunch: ...
@overload
def load_california_housing(
    *, return_X_y: Literal[True], as_frame: bool = ...
) -> tuple[Any, Any]: ...
def load_california_housing(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load house values, houses, people and income of 20 640 block groups in California.

    The table of the census of 1990 of Pace and Barry (1997), with its raw
    columns, missing values and a category: not the derived averages of
    :func:`sklearn.datasets.fetch_california_housing`. It is bundled (origin
    and licence in the entry ``DESCR``).

    ================   =========================================
    Rows               20 640
    Features           9: longitude, latitude,
                       housing_median_age, total_rooms,
                       total_bedrooms, population, households,
                       median_income, ocean_proximity (in this
                       order)
    Target             median house value in US dollars, 14 999
                       to 500 001
    Missing values     207, all in total_bedrooms
    ================   =========================================

    The target is capped: 500 001 stands for everything above 500 000 (965
    rows), so that a fit to it is a fit to censored values.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return pandas objects; only then is pandas imported. `ocean_proximity`
        is a category without an order. Otherwise everything is an array of
        floats, and `ocean_proximity` is its position in ``categories``: a
        mere name, to be turned into dummies before a linear fit. Missing
        values are NaN in both.

    Returns
    -------
    california : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (20640, 9), or DataFrame
            The features.
        target : ndarray of shape (20640,), or Series
            The median house value.
        frame : DataFrame of shape (20640, 10), or None
            `data` and `target` together, if ``as_frame=True``.
        feature_names : list of str
            Names of the features, in the order of the columns.
        target_names : list of str
            Name of the target.
        categories : dict of str to tuple of str
            The values of `ocean_proximity`, in alphabetical order.
        DESCR : str
            What the columns mean, the origin and the licence.
        filename : str
            Path of the bundled file.

    (data, target) : tuple, if ``return_X_y=True``
        The features and the median house value.

    References
    ----------
    R. K. Pace and R. Barry (1997), "Sparse spatial autoregressions",
    Statistics and Probability Letters 33, 291-297.

    Examples
    --------
    Rows without missing values, and dummies for the category:

    >>> import numpy as np
    >>> from robustreg.datasets import load_california_housing
    >>> X, y = load_california_housing(return_X_y=True)
    >>> complete = ~np.isnan(X).any(axis=1)
    >>> X, y = X[complete], y[complete]
    >>> dummies = X[:, -1:] == np.arange(5)
    >>> X = np.hstack([X[:, :-1], dummies])
    >>> X.shape, int((y == 500_001).sum())
    ((20433, 13), 958)
    """
    return load_table(
        "california_housing.csv.gz",
        target="median_house_value",
        categories=_CATEGORIES,
        return_X_y=return_X_y,
        as_frame=as_frame,
    )
