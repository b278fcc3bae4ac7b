"""The diamonds table of ggplot2."""

from typing import Any, Literal, overload

from sklearn.utils import Bunch

from ._table import load_table

# From worst to best, so that a higher code is a better stone.
_CATEGORIES = {
    "cut": ("Fair", "Good", "Very Good", "Premium", "Ideal"),
    "color": ("J", "I", "H", "G", "F", "E", "D"),
    "clarity": ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"),
}


@overload
def load_diamonds(*, return_X_y: Literal[False] = ..., as_frame: bool = ...) -> Bunch: ...
@overload
def load_diamonds(*, return_X_y: Literal[True], as_frame: bool = ...) -> tuple[Any, Any]: ...
def load_diamonds(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load weight, grade, dimensions and price of 53 940 diamonds.

    The table comes from the R package ggplot2 and is bundled (MIT licence, see
    the entry ``DESCR``). About twenty stones have impossible dimensions, such
    as a length of 0 mm or a width of 58.9 mm, which is what makes the table
    useful here.

    ================   =========================================
    Rows               53 940
    Features           9: carat, cut, color, clarity, depth,
                       table, x, y, z (in this order)
    Target             price in US dollars, 326 to 18 823
    Missing values     none
    ================   =========================================

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return pandas objects; only then is pandas imported. The grades `cut`,
        `color` and `clarity` are ordered categories. Otherwise everything is
        an array of floats, and a grade is its position in ``categories``: 0
        is the worst, so a higher number is a better stone.

    Returns
    -------
    diamonds : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (53940, 9), or DataFrame
            The features.
        target : ndarray of shape (53940,), or Series
            The price.
        frame : DataFrame of shape (53940, 10), or None
            `data` and `target` together, if ``as_frame=True``.
        feature_names : list of str
            Names of the features, in the order of the columns.
        target_names : list of str
            Name of the target.
        categories : dict of str to tuple of str
            The grades of `cut`, `color` and `clarity`, from worst to best.
        DESCR : str
            What the columns mean, the origin and the licence.
        filename : str
            Path of the bundled file.

    (data, target) : tuple, if ``return_X_y=True``
        The features and the price.

    Examples
    --------
    >>> from robustreg.datasets import load_diamonds
    >>> diamonds = load_diamonds()
    >>> diamonds.data.shape
    (53940, 9)
    >>> column = dict(zip(diamonds.feature_names, diamonds.data.T))
    >>> volume = column["x"] * column["y"] * column["z"]
    >>> print(f"{volume.min():g} to {volume.max():g} cubic mm")
    0 to 3840.6 cubic mm
    """
    return load_table(
        "diamonds.csv.gz",
        target="price",
        categories=_CATEGORIES,
        ordered=True,
        return_X_y=return_X_y,
        as_frame=as_frame,
    )
