"""What a meta-estimator of one regressor has: where data and metadata go."""

from __future__ import annotations

import inspect
from typing import Any

from sklearn import get_config
from sklearn.base import MetaEstimatorMixin, RegressorMixin, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from robustreg._arrays import Array
from robustreg._compat import Estimator
from robustreg._numbers import real_array
from robustreg._validation import check_finite
from robustreg.estimators import HuberRegressor
from robustreg.estimators._predictor import LinearPredictor
from robustreg.inference.conformal._folds import has_own_folds
from robustreg.sources._dispatch import refuse_source


class AroundRegressor(MetaEstimatorMixin, RegressorMixin, Estimator):
    """Base of a meta-estimator with the parameters ``estimator``, ``method`` and ``cv``."""

    estimator: Any
    method: str
    cv: Any

    _unchanged_on_error: Any = LinearPredictor._unchanged_on_error

    def _checked_estimator(self) -> Any:
        model = self._model()
        methods = all(hasattr(model, name) for name in ("fit", "predict"))
        if not methods or isinstance(model, type) or is_classifier(model):
            raise ValueError(
                "estimator must be a regressor, an object with fit and predict, or None; got "
                f"{self.estimator!r}."
            )
        return model

    def _model(self) -> Any:
        if self.estimator is not None:
            return self.estimator
        model = HuberRegressor()
        routed = get_config()["enable_metadata_routing"]
        return model.set_fit_request(sample_weight=True) if routed else model

    def _read(self, X: Any, y: Any) -> tuple[Any, Array]:
        """X in a form that can be indexed, and y as finite numbers, one for each row."""
        refuse_source("ConformalRegressor", X)
        if y is None:
            raise ValueError(
                "ConformalRegressor requires y to be passed, but the target y is None."
            )
        target = column_or_1d(real_array(y, "y"), warn=True)
        check_finite(target, "y", type(self).__name__)
        X, _ = indexable(X, target)
        return X, target

    def _route(
        self, model: Any, weight: Array | None, params: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What goes to the fits, and to the splitter."""
        weights = {} if weight is None else {"sample_weight": weight}
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **weights, **params)
            return routed.estimator.fit, routed.splitter.split
        unknown = sorted(set(params) - {"groups"})
        if unknown:
            raise ValueError(
                f"fit() takes no {unknown[0]!r}: without metadata routing only sample_weight and "
                "groups; see sklearn.set_config(enable_metadata_routing=True)."
            )
        if params and has_own_folds(self.method, self.cv):
            raise ValueError(
                "groups are for a splitter as cv, such as sklearn.model_selection.GroupKFold; got "
                f"method={self.method!r} and cv={self.cv!r}."
            )
        if weights and not _takes_weights(model):
            raise ValueError(
                f"sample_weight is for the estimator, but {type(model).__name__}.fit does not take "
                "any. Those of a pipeline's steps need metadata routing; see "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        return weights, params

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata goes where, for scikit-learn's metadata routing.

        Returns
        -------
        MetadataRouter
            ``sample_weight`` of the scores, the estimator's and the splitter's requests.
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        to_split = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(estimator=self._model(), method_mapping=to_fit)
        return router.add(splitter=self.cv, method_mapping=to_split)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        model = self._model()
        if hasattr(model, "__sklearn_tags__") and not isinstance(model, type):
            inner = get_tags(model)
            tags.input_tags.sparse = inner.input_tags.sparse
            tags.input_tags.allow_nan = inner.input_tags.allow_nan
            tags.input_tags.string = inner.input_tags.string
            tags.input_tags.categorical = inner.input_tags.categorical
            tags.regressor_tags.poor_score = inner.regressor_tags.poor_score
            tags.non_deterministic = inner.non_deterministic
        return tags


def _takes_weights(model: Any) -> bool:
    """Whether ``fit`` takes sample_weight, or hands on what it is given."""
    parameters = inspect.signature(model.fit).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    hands_on = inspect.Parameter.VAR_KEYWORD in kinds and not isinstance(model, Pipeline)
    return "sample_weight" in parameters or hands_on
