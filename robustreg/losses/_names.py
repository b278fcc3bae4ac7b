"""Losses by their names: one of our own for each class, and those that other packages use."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from robustreg.losses._base import Loss
from robustreg.losses._classical import (
    Absolute,
    EpsilonInsensitive,
    HalfSquared,
    Quantile,
    Squared,
)
from robustreg.losses._hampel import Andrews, Hampel
from robustreg.losses._huber_family import Huber, LogCosh, PseudoHuber, SmoothL1
from robustreg.losses._redescending import Bisquare, Cauchy, Welsch
from robustreg.losses._residual import ResidualLoss
from robustreg.losses.classification import (
    NLL,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    CrossEntropy,
    KLDivergence,
    MultiLabelMargin,
    SoftMargin,
)
from robustreg.losses.embedding import (
    CosineEmbedding,
    HingeEmbedding,
    MarginRanking,
    TripletMargin,
)

#: Losses of a residual, which estimators take by these names.
LOSSES: dict[str, type[ResidualLoss]] = {
    "squared": Squared,
    "half_squared": HalfSquared,
    "absolute": Absolute,
    "huber": Huber,
    "smooth_l1": SmoothL1,
    "pseudo_huber": PseudoHuber,
    "log_cosh": LogCosh,
    "quantile": Quantile,
    "epsilon_insensitive": EpsilonInsensitive,
    "bisquare": Bisquare,
    "welsch": Welsch,
    "cauchy": Cauchy,
    "hampel": Hampel,
    "andrews": Andrews,
}

#: Losses of other kinds. AdaptiveLogSoftmax is not among them: it needs the sizes of its layers.
OTHER_LOSSES: dict[str, type[Loss]] = {
    "nll": NLL,
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "binary_cross_entropy_with_logits": BinaryCrossEntropyWithLogits,
    "kl_divergence": KLDivergence,
    "soft_margin": SoftMargin,
    "multilabel_margin": MultiLabelMargin,
    "hinge_embedding": HingeEmbedding,
    "margin_ranking": MarginRanking,
    "cosine_embedding": CosineEmbedding,
    "triplet_margin": TripletMargin,
}

#: Names of other packages for the same functions, up to their constants.
ALIASES: dict[str, str] = {
    "l2": "squared",  # LightGBM
    "mse": "squared",  # Keras, LightGBM
    "squared_error": "squared",  # scikit-learn
    "mean_squared_error": "squared",  # scikit-learn, Keras, LightGBM
    "l1": "absolute",  # LightGBM; PyTorch's L1Loss
    "mae": "absolute",  # Keras, LightGBM
    "absolute_error": "absolute",  # scikit-learn
    "mean_absolute_error": "absolute",  # scikit-learn, Keras, LightGBM
    "lad": "absolute",  # scikit-learn before 1.2: least absolute deviations
    "pinball": "quantile",  # scikit-learn's mean_pinball_loss
    "logcosh": "log_cosh",  # CatBoost, Keras for R
    "soft_l1": "pseudo_huber",  # SciPy's least_squares
    "charbonnier": "pseudo_huber",  # computer vision, as are leclerc and lorentzian
    "leclerc": "welsch",
    "lorentzian": "cauchy",
    "tukey": "bisquare",  # R's robustbase, as is biweight
    "biweight": "bisquare",
    "tukey_biweight": "bisquare",  # statsmodels' TukeyBiweight
    "bce": "binary_cross_entropy",  # Keras; PyTorch's BCELoss
    "binary_crossentropy": "binary_cross_entropy",  # Keras, of probabilities by default
    "bce_with_logits": "binary_cross_entropy_with_logits",  # PyTorch's BCEWithLogitsLoss
    "kl_div": "kl_divergence",  # PyTorch
}


def get_loss(spec: str | Loss) -> Loss:
    """Return the loss that `spec` names, with its default constants, or `spec` if it is a loss.

    Parameters
    ----------
    spec : str or Loss
        A loss; or a name in lower case, of a loss of a residual (the keys of `LOSSES`) or of
        another kind, such as "cross_entropy"; or the name that is customary elsewhere, such as
        "mse", "mae", "l1", "l2", "pinball", "tukey", "bce" or "kl_div".

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        If there is no loss of this name. The message lists the names, and the one most like it.
    TypeError
        If `spec` is neither a string nor a loss; a class of losses, for example.

    Notes
    -----
    An alias brings the loss, not the constants of the package that it comes from: "huber" is
    ``Huber(delta=1.345)``, where PyTorch and Keras have 1.0, and "pinball" is the median's
    ``Quantile(q=0.5)``. "l2" and "squared_error" are the squared error, of which some packages
    minimise the half under this name; that is "half_squared".

    "log_loss" is no name here, because scikit-learn's takes probabilities as a metric and scores
    as a loss: take "binary_cross_entropy" or "binary_cross_entropy_with_logits", or for several
    classes "nll" or "cross_entropy".

    Examples
    --------
    >>> from robustreg.losses import Huber, get_loss
    >>> get_loss("huber")
    Huber(delta=1.345)
    >>> get_loss("mse")
    Squared()
    >>> get_loss(Huber(delta=2.0))
    Huber(delta=2.0)
    """
    if isinstance(spec, Loss):
        return spec
    if not isinstance(spec, str):
        raise TypeError(
            "loss must be a name or a Loss such as Huber(delta=2.0); "
            f"got {spec!r}, a {type(spec).__name__}."
        )
    return _class_of(spec, (*LOSSES, *OTHER_LOSSES))()


def get_residual_loss(spec: str | ResidualLoss) -> ResidualLoss:
    """Return the loss of a residual that `spec` names, or `spec` itself if it is one.

    As `get_loss`, for what needs a function of the residual: a loss of another kind is refused, by
    a TypeError if it is an object, and by a ValueError if it is a name.

    Examples
    --------
    >>> from robustreg.losses._names import get_residual_loss
    >>> get_residual_loss("tukey")
    Bisquare(c=4.685)
    """
    if isinstance(spec, ResidualLoss):
        return spec
    if not isinstance(spec, str):
        raise TypeError(
            "loss must be a name or a ResidualLoss such as Huber(delta=2.0), a function of the "
            f"residual; got {spec!r}, a {type(spec).__name__}."
        )
    kind = _class_of(spec, tuple(LOSSES))
    if not issubclass(kind, ResidualLoss):
        raise ValueError(
            f"loss must be a function of the residual, one of {_listed(LOSSES)}; got {spec!r}, "
            f"which is {kind.__name__}, a loss of another kind."
        )
    return kind()


def _class_of(name: str, allowed: tuple[str, ...]) -> type[Loss]:
    """Return the class of a name or alias; the message about an unknown one lists `allowed`."""
    classes: dict[str, type[Loss]] = {**LOSSES, **OTHER_LOSSES}
    found = classes.get(ALIASES.get(name, name))
    if found is None:
        advice = _advice(name, allowed)
        raise ValueError(f"loss must be one of {_listed(allowed)}; got {name!r}.{advice}")
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _advice(name: str, allowed: tuple[str, ...]) -> str:
    """Return the name or alias most like an unknown one, as a sentence that follows another."""
    # As elsewhere classes and functions are written: HuberLoss, huber_loss, smooth-l1.
    plain = name.lower().replace("-", "_").replace(" ", "_").removesuffix("loss").strip("_")
    known = [*allowed, *(alias for alias, meant in ALIASES.items() if meant in allowed)]
    near = get_close_matches(plain, known, n=1, cutoff=0.7)
    return f" Did you mean {near[0]!r}?" if near else ""
