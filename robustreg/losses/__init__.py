"""Losses and their derivatives: the mathematics, without data matrices or estimators."""

from __future__ import annotations

from robustreg.losses._base import Loss
from robustreg.losses._check import check_loss
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
from robustreg.losses._residual import ConvexLoss, ResidualLoss
from robustreg.losses._tuning import (
    gaussian_breakdown_point,
    gaussian_efficiency,
    tuning_constant,
)

__all__ = [
    "LOSSES",
    "Absolute",
    "Andrews",
    "Bisquare",
    "Cauchy",
    "ConvexLoss",
    "EpsilonInsensitive",
    "HalfSquared",
    "Hampel",
    "Huber",
    "LogCosh",
    "Loss",
    "PseudoHuber",
    "Quantile",
    "ResidualLoss",
    "SmoothL1",
    "Squared",
    "Welsch",
    "check_loss",
    "gaussian_breakdown_point",
    "gaussian_efficiency",
    "get_loss",
    "tuning_constant",
]

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


def get_loss(spec: str | ResidualLoss) -> ResidualLoss:
    """Return the loss of a residual that `spec` names, or `spec` itself if it is one.

    Examples
    --------
    >>> from robustreg.losses import Huber, get_loss
    >>> get_loss("huber")
    Huber(delta=1.345)
    >>> get_loss(Huber(delta=2.0))
    Huber(delta=2.0)
    """
    if isinstance(spec, ResidualLoss):
        return spec
    if isinstance(spec, str):
        if spec not in LOSSES:
            names = ", ".join(repr(name) for name in LOSSES)
            raise ValueError(f"loss must be a ResidualLoss or one of {names}; got {spec!r}.")
        return LOSSES[spec]()
    raise TypeError(
        "loss must be a name or a ResidualLoss such as Huber(delta=2.0), a function of the "
        f"residual; got {spec!r}, a {type(spec).__name__}."
    )
