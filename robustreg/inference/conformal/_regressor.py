"""Bands for new rows by conformal prediction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import indexable
from sklearn.utils.validation import check_is_fitted

from robustreg._arrays import Array, Mask
from robustreg._compat import StrOptions, fit_context
from robustreg._parallel import slices
from robustreg._validation import check_weights
from robustreg.inference.conformal._base import AroundRegressor
from robustreg.inference.conformal._fits import (
    HeldOutFits,
    Rows,
    columns_of,
    ends_of,
    held_out_fits,
    some_of,
)
from robustreg.inference.conformal._folds import Pair, given_folds, has_own_folds, own_folds
from robustreg.inference.conformal._scores import GAUSSIAN_SHARE, Calibration, HeldOutScores

#: Predictions that are held at once, in number: 64 MB of them.
PREDICTIONS_AT_ONCE = 2**23


class ConformalRegressor(AroundRegressor):
    """Bands that a new row falls into with a given probability, around any regressor.

    The estimator is fitted without some of the rows, and the distances of their targets from its
    predictions tell how far new ones will be off. That assumes nothing of the noise or of the
    estimator but that new rows come from where the rows of the fit came from.

    Parameters
    ----------
    estimator : regressor, default=None
        Any with ``fit`` and ``predict``, a pipeline or a search among them; None is
        :class:`robustreg.HuberRegressor`. It is cloned, and not changed. One that predicts several
        columns, as ``QuantileRegressor([0.05, 0.95])`` does, predicts quantiles: see Notes.
    method : {"cv+", "split", "jackknife+"}, default="cv+"
        Which rows are held out: one fold at a time, so that every row gets a score; one half of
        them, once; or one row at a time.
    cv : int, splitter or iterable, default=10
        Folds of method="cv+". A number of them, None for 5, is drawn at random; there are at most
        as many as rows. A splitter, as of scikit-learn, or an iterable of pairs (training rows,
        held-out rows) must hold out every row once at most. method="split" takes one that splits
        once, in place of halves; method="jackknife+" does not look at it.
    outliers : {"keep", "drop"}, default="keep"
        Whom the band is for. "keep": a row like those of the fit, wrong ones included. "drop": a
        good row; scores beyond 2.5 robust scales are left out, and the others are taken for the
        98.758 % of good rows that are within these if noise is Gaussian.
    random_state : int, RandomState instance or None, default=None
        Determines the half, or the folds where ``cv`` is a number.

    Attributes
    ----------
    estimator_ : regressor
        What ``predict`` asks: the fit to all rows, of method="split" that to the training rows.
    estimators_ : list of regressors
        The fits that have not seen the rows which were held out of them.
    scores_ : ndarray of shape (n_samples,)
        How far each target is from its prediction by a fit that has not seen it, in units of y. NaN
        for rows that were never held out, and for those of weight 0.
    outliers_ : ndarray of bool, shape (n_samples,)
        Rows whose score is beyond 2.5 robust scales, the MAD of all scores about 0. Not there for
        quantiles.
    n_features_in_ : int
        Number of columns of X, if the estimator tells.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X has string names.

    Notes
    -----
    With n scores and ``k = ceil((n + 1) level)``, the band of method="split" is ``f(x) -+ q``,
    where q is the k-th smallest. The others have for every row its own fit f_i and score s_i; their
    band reaches from the k-th largest ``f_i(x) - s_i`` to the k-th smallest ``f_i(x) + s_i``. If k
    exceeds n, it is infinite.

    Of rows that could as well have come in any other order, a new one is in the band with
    probability `level` at least for "split", on average over tables and new rows. For "jackknife+"
    it is ``2 level - 1`` at least, for "cv+" a little less than that, and for both about `level`
    in practice. At a given x it may be more or less. With outliers="drop" nothing is guaranteed:
    where the noise of good rows has heavier tails than the Gaussian, or is not of the same size
    everywhere, bands are too narrow.

    Wrong rows have scores, too. Where their share exceeds ``1 - level``, a band of outliers="keep"
    reaches out to them, and ``predict_interval`` warns.

    *Quantiles.* Of several columns of predictions, in any order, the least and the largest of a row
    are the ends of a band. It is made wider, or narrower, by the same ranks of the signed distances
    ``max(lower - y, y - upper)``, and its width follows the noise. ``predict`` is the median of the
    columns.

    *Weights.* ``sample_weight`` counts rows: n is the sum of weights, and a score of weight k
    stands for k. Bands are those of repeated rows as long as copies stay together, as in the folds
    of a `cv` of your own; where copies are dealt into folds at random, or left out one at a time by
    "jackknife+", some remain in the fit that scores the others. Weights that sum to 1 are one row.

    *A model that is fitted already*, and has not seen X: ``sklearn.frozen.FrozenEstimator(model)``
    as `estimator`, with any `cv`.

    The fits are kept, with method="jackknife+" as many as rows. ``predict_interval`` works in
    blocks of new rows, in two arrays of 64 MB at most.

    References
    ----------
    R. F. Barber, E. J. Candes, A. Ramdas, R. J. Tibshirani (2021). Predictive inference with the
    jackknife+. Annals of Statistics 49, 486-507.

    Y. Romano, E. Patterson, E. J. Candes (2019). Conformalized quantile regression. Advances in
    Neural Information Processing Systems 32.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import HuberRegressor
    >>> from robustreg.inference import ConformalRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 2))
    >>> y = X @ [2.0, -1.0] + rng.laplace(size=2000)
    >>> bands = ConformalRegressor(HuberRegressor(), random_state=0).fit(X[:1000], y[:1000])
    >>> lower, upper = bands.predict_interval(X[1000:], level=0.9).T
    >>> print(np.mean((lower <= y[1000:]) & (y[1000:] <= upper)).round(2))
    0.9
    >>> print(np.mean(upper - lower).round(1), -2 * np.log(0.1).round(1))
    4.6 4.6
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "method": [StrOptions({"split", "cv+", "jackknife+"})],
        "cv": ["cv_object"],
        "outliers": [StrOptions({"keep", "drop"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: str = "cv+",
        cv: int | Iterable[Any] | None = 10,
        outliers: str = "keep",
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.outliers = outliers
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        **params: Any,
    ) -> Self:
        """Fit the estimator, and without held-out rows once or several times more.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Regressors, handed on to the estimator as they are, or some rows of them.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, of fits and of scores: weight k counts a row k times, weight 0
            leaves it out. With metadata routing the fits get them if the estimator requests them.
        **params : dict
            ``groups`` for a splitter; with ``sklearn.set_config(
            enable_metadata_routing=True)`` what estimator and splitter ask for.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not what it must be. The estimator is
            then as it was.
        """
        with self._unchanged_on_error():
            for name in ("outliers_", "n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)  # of an earlier fit: not every estimator tells
            self._fit(X, y, sample_weight, params)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, params: dict[str, Any]) -> None:
        model = self._checked_estimator()
        X, target = self._read(X, y)
        weight = None if sample_weight is None else check_weights(sample_weight, X)
        counts = np.ones(len(target), dtype=bool) if weight is None else weight > 0.0
        if counts.sum() < 2:
            raise ValueError(
                "ConformalRegressor needs 2 rows or more, one to fit and one to hold out; got "
                f"n_samples={counts.sum()}{'' if weight is None else ' of positive weight'}."
            )
        to_fit, to_split = self._route(model, weight, params)
        rows = Rows(X, target, weight, model, to_fit)
        folds: Iterable[Pair]
        if has_own_folds(self.method, self.cv):
            folds = own_folds(self.method, self.cv, self.random_state, np.flatnonzero(counts))
        else:
            folds = given_folds(self.method, self.cv, X, target, to_split, counts)
        # a fit to all rows comes first: what it says of bad ones counts columns and rows right
        center = None if self.method == "split" else rows.fit(np.flatnonzero(counts))
        self._keep(held_out_fits(rows, folds), center, target, weight)

    def _keep(self, fits: HeldOutFits, center: Any, y: Array, weight: Array | None) -> None:
        """Store fits and scores."""
        used, share = fits.held_out, 0.0
        if not fits.quantiles:
            self.outliers_ = fits.beyond(y, weight)
            share = float(np.average(self.outliers_[used], weights=_of(weight, used)))
        elif self.outliers == "drop":
            raise ValueError(
                "outliers='drop' needs an estimator that predicts one number for each row: "
                "distances from quantiles do not tell which rows are wrong. Use outliers='keep'."
            )
        kept = 1.0
        if self.outliers == "drop":
            used, kept, share = used & ~self.outliers_, GAUSSIAN_SHARE, 0.0
        scores = HeldOutScores.of(fits.scores[used], fits.number[used], _of(weight, used))
        self._calibration = Calibration(scores, kept, share)
        self.scores_, self.estimators_ = fits.scores, fits.models
        self.estimator_ = fits.models[0] if center is None else center
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))

    def predict(self, X: ArrayLike) -> NDArray[np.floating]:
        """Predict with the estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Regressors.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions of ``estimator_``, of several columns the median.
        """
        check_is_fitted(self)
        prediction = self.estimator_.predict(X)
        return prediction if np.ndim(prediction) == 1 else np.median(columns_of(prediction), axis=1)

    def predict_interval(self, X: ArrayLike, level: float = 0.95) -> NDArray[np.float64]:
        """Bands for new rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Regressors.
        level : float, default=0.95
            Probability that a new row is in its band, between 0 and 1; with outliers="drop" below
            0.98758.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Lower and upper ends, in units of y. They need not be at equal distances from
            ``predict``, but for method="split". Infinite, with a UserWarning, where there are too
            few held-out rows for the level.

        Warns
        -----
        UserWarning
            If the bands are infinite; with outliers="keep", if they reach out to outliers: if more
            than ``1 - level`` of the scores are beyond 2.5 robust scales, besides the 1.24 % that
            are in a Gaussian sample, and not just by chance.

        Raises
        ------
        ValueError
            If `level` or X is not what it must be.
        """
        check_is_fitted(self)
        raised = self._calibration.raised(level)
        n, at_once = _n_rows(X), max(1, PREDICTIONS_AT_ONCE // (2 * len(self.estimators_)))
        if n <= at_once:
            return self._bands(X, raised)
        (X,) = indexable(X)
        return np.concatenate(
            [self._bands(some_of(X, rows), raised) for rows in slices(n, at_once)]
        )

    def _bands(self, X: Any, level: float) -> NDArray[np.float64]:
        """Bands for a block of new rows."""
        ends = [ends_of(model, X) for model in self.estimators_]
        lower = np.stack([each for each, _ in ends], axis=1)
        upper = lower
        if any(low is not high for low, high in ends):
            upper = np.stack([each for _, each in ends], axis=1)
        return self._calibration.scores.bands(lower, upper, level)


def _of(weight: Array | None, rows: Mask) -> Array | None:
    return None if weight is None else weight[rows]


def _n_rows(X: Any) -> int:
    """Number of rows; 0 of what is no table, which the estimator will say."""
    shape = getattr(X, "shape", None) or (len(X) if isinstance(X, (list, tuple)) else 0,)
    return int(shape[0])
