"""What the simulations of inference share: samples, estimators, and what these tend to."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

INTERCEPT, SLOPES = 1.0, np.array([1.0, -1.0, 0.5, 2.0])
COEFFICIENTS = np.append(INTERCEPT, SLOPES)
SHIFT = 10.0  # of wrong rows

Noise = Callable[[np.random.Generator, np.ndarray], np.ndarray]
REFUSALS = ("does not exist here", "not the lowest minimum")
Answer = TypeVar("Answer")
Maker = Callable[[int, int], object]  # an estimator, from a number of rows and a seed


def design(rng: np.random.Generator, n: int) -> np.ndarray:
    """A normal column, an exponential one, a 20 % dummy, and Student's t with 5 degrees.

    The dummy has two rows of either kind at least: of one alone nothing can be inferred.
    """
    while True:
        dummy = rng.random(n) < 0.2
        if 2 <= dummy.sum() <= n - 2:
            break
    columns = (rng.standard_normal(n), rng.exponential(size=n), dummy, rng.standard_t(5, n))
    return np.column_stack(columns)


def partly(rng: np.random.Generator, n: int, others: np.ndarray) -> np.ndarray:
    """Normal noise, in 10 % of the rows replaced by another one."""
    return np.where(rng.random(n) < 0.1, others, rng.standard_normal(n))


NOISES: dict[str, Noise] = {
    "normal": lambda rng, X: rng.standard_normal(len(X)),
    "t3": lambda rng, X: rng.standard_t(3, len(X)),
    "gross": lambda rng, X: partly(rng, len(X), 10.0 * rng.standard_normal(len(X))),
    "one side": lambda rng, X: partly(rng, len(X), SHIFT + rng.standard_normal(len(X))),
    "uneven": lambda rng, X: (0.3 + X[:, 1]) * rng.standard_normal(len(X)),
    "skewed": lambda rng, X: rng.exponential(size=len(X)),
    "skewed uneven": lambda rng, X: (0.3 + X[:, 1]) * rng.exponential(size=len(X)),
}
MOVED = ("one side", "skewed", "skewed uneven")  # what estimators tend to differs there


def samples(noise: str, n: int, repeats: int) -> Iterator[tuple[np.random.Generator, ...]]:
    """Generator, X and y of each sample, the same for all estimators."""
    seed = [n, list(NOISES).index(noise)]
    for rng in np.random.default_rng(seed).spawn(repeats):
        X = design(rng, n)
        yield rng, X, INTERCEPT + X @ SLOPES + NOISES[noise](rng, X)


def with_intercept(model: object) -> np.ndarray:
    """The coefficients of a fit, the intercept first."""
    return np.append(model.intercept_, model.coef_)


def truth(make: Maker, noise: str, quick: bool) -> np.ndarray:
    """What an estimator tends to, (5,): where noise is not symmetric, the mean of large fits."""
    if noise not in MOVED:
        return COEFFICIENTS
    fits, n = (1, 50_000) if quick else (20, 200_000)
    large = [make(n, i).fit(X, y) for i, (_, X, y) in enumerate(samples(noise, n, fits))]
    found = np.mean([with_intercept(model) for model in large], axis=0)
    if noise != "skewed uneven":
        found[1:] = SLOPES  # noise that does not depend on x moves the intercept alone
    return found


def high_breakdown(estimator: Callable[..., object]) -> Maker:
    """With many rows fewer random starts: these samples have hardly another optimum."""
    return lambda n, seed: estimator(n_subsamples=500 if n < 1000 else 50, random_state=seed)


def unless_refused(question: Callable[[], Answer]) -> Answer | None:
    """The answer, or None where a sample has none: too few densities, or a fit that is improved."""
    try:
        return question()
    except ValueError as error:
        if not any(words in str(error) for words in REFUSALS):
            raise
        return None


def quiet() -> warnings.catch_warnings:
    """Without the warnings of single samples: what they tell of is counted."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)
