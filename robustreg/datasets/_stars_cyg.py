"""The stars of the cluster CYG OB1."""

from typing import Any, Literal, overload

from sklearn.utils import Bunch

from ._table import load_table


@overload
def load_stars_cyg(*, return_X_y: Literal[False] = ..., as_frame: bool = ...) -> Bunch: ...
@overload
def load_stars_cyg(*, return_X_y: Literal[True], as_frame: bool = ...) -> tuple[Any, Any]: ...
def load_stars_cyg(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load temperature and brightness of 47 stars of the cluster CYG OB1.

    The table of Rousseeuw and Leroy (1987), on which bad leverage points are
    usually shown: four giants, cool and bright, turn the line of least
    squares, and of every convex loss, upside down. The others lie on the main
    sequence, where hotter stars are brighter. It is bundled (origin and
    licence in the entry ``DESCR``).

    ================   =========================================
    Rows               47
    Features           1: decimal logarithm of the surface
                       temperature in kelvin
    Target             decimal logarithm of the light intensity
                       relative to the sun's, 3.94 to 6.29
    Missing values     none
    ================   =========================================

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return pandas objects; only then is pandas imported.

    Returns
    -------
    stars : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (47, 1), or DataFrame
            The logarithm of the temperature.
        target : ndarray of shape (47,), or Series
            The logarithm of the light intensity.
        frame : DataFrame of shape (47, 2), or None
            `data` and `target` together, if ``as_frame=True``.
        feature_names : list of str
            Name of the feature.
        target_names : list of str
            Name of the target.
        DESCR : str
            What the columns mean, the origin and the licence.
        filename : str
            Path of the bundled file.

    (data, target) : tuple, if ``return_X_y=True``
        The logarithms of temperature and light intensity.

    References
    ----------
    P. J. Rousseeuw and A. M. Leroy (1987), Robust Regression and Outlier
    Detection, Wiley, chapter 2, table 3.

    Examples
    --------
    >>> from robustreg import L2Regressor
    >>> from robustreg.datasets import load_stars_cyg
    >>> X, y = load_stars_cyg(return_X_y=True)
    >>> giants = X[:, 0] < 3.6
    >>> for rows in giants | True, ~giants:
    ...     line = L2Regressor().fit(X[rows], y[rows])
    ...     print(f"slope of {rows.sum()} stars: {line.coef_[0]:.2f}")
    slope of 47 stars: -0.41
    slope of 43 stars: 2.05
    """
    return load_table("stars_cyg.csv", target="log_light", return_X_y=return_X_y, as_frame=as_frame)
