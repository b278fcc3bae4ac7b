"""Engel's food expenditure."""

from typing import Any, Literal, overload

from sklearn.utils import Bunch

from ._table import load_table


@overload
def load_engel(*, return_X_y: Literal[False] = ..., as_frame: bool = ...) -> Bunch: ...
@overload
def load_engel(*, return_X_y: Literal[True], as_frame: bool = ...) -> tuple[Any, Any]: ...
def load_engel(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load income and food expenditure of 235 Belgian working-class households.

    The table of Koenker and Bassett (1982), on which quantile regression is
    usually shown: the richer a household, the wider its choice of how much to
    spend on food, so that the conditional quantiles fan out. It is bundled
    (origin and licence in the entry ``DESCR``).

    ================   =========================================
    Rows               235
    Features           1: yearly income in Belgian francs
    Target             yearly expenditure on food in Belgian
                       francs, 242 to 2033
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
    engel : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (235, 1), or DataFrame
            The income.
        target : ndarray of shape (235,), or Series
            The expenditure on food.
        frame : DataFrame of shape (235, 2), or None
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
        The income and the expenditure on food.

    References
    ----------
    R. Koenker and G. Bassett (1982), "Robust tests of heteroscedasticity
    based on regression quantiles", Econometrica 50, 43-61.

    Examples
    --------
    >>> from robustreg.datasets import load_engel
    >>> income, food = load_engel(return_X_y=True)
    >>> income.shape, food.shape
    ((235, 1), (235,))
    >>> print(f"{(food / income[:, 0]).mean():.0%} of the income goes into food")
    66% of the income goes into food
    """
    return load_table("engel.csv", target="foodexp", return_X_y=return_X_y, as_frame=as_frame)
