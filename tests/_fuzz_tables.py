"""Random tables for the fuzz: mild, hard and extreme ones."""

import numpy as np
from scipy import sparse

CLASSES = ("mild", "hard", "extreme")


def table(rng, kind):
    """Regressors, targets, weights, the plane that y was made of, and a description."""
    n, p, shape = _shape(rng)
    X, names = _regressors(rng, n, p)
    y, plane, noise = _targets(rng, X)
    words = [f"{n}x{p}", shape, "+".join(sorted(set(names))), noise]
    weight = None
    if rng.random() < 0.45:
        weight, name = _weights(rng, n)
        words.append(name)
    if kind != "mild":
        harden = _harden if kind == "hard" else _extreme
        X, y, weight, plane, done = harden(rng, X, y, weight, plane)
        words += done
    with np.errstate(over="ignore", under="ignore"):
        if kind == "mild" and rng.random() < 0.08:
            X = X.astype(np.float32)
            words.append("float32")
        if kind == "mild" and rng.random() < 0.06:
            X = (np.median(X, axis=0) < X).astype(rng.choice(["bool", "int8", "uint8", "int64"]))
            words.append(str(X.dtype))
        if rng.random() < 0.15:
            X = sparse.csr_array(X) if rng.random() < 0.5 else sparse.csr_matrix(X)
            words.append("sparse")
    return X, y, weight, plane, " ".join(word for word in words if word)


def _shape(rng):
    kind = rng.choice(
        ["small", "tiny", "square", "wide", "large", "long"], p=[0.68, 0.1, 0.08, 0.09, 0.03, 0.02]
    )
    p = int(min(1 + rng.geometric(0.3), 12))
    if kind == "small":
        return int(rng.integers(max(6, p + 2), 81)), p, ""
    if kind == "tiny":
        return int(rng.integers(3, 9)), int(rng.integers(1, 4)), ""
    if kind == "square":
        return int(rng.integers(max(3, p - 1), p + 4)), p, "square"
    if kind == "wide":
        n = int(rng.integers(4, 40))
        return n, int(rng.integers(n, 56)), "wide"
    if kind == "large":
        return 200, int(rng.integers(20, 61)), "large"
    return int(rng.integers(2000, 3001)), int(rng.integers(1, 6)), "long"


def _column(rng, n):
    kind = rng.choice(
        ["gauss", "uniform", "t2", "cauchy", "dummy", "rare", "whole", "count", "lognormal",
         "rounded", "dates", "year", "sentinel", "trend", "constant"],
        p=[0.30, 0.08, 0.06, 0.03, 0.12, 0.04, 0.08, 0.05, 0.05, 0.05, 0.03, 0.02, 0.03, 0.03,
           0.03],
    )  # fmt: skip
    if kind == "gauss":
        column = rng.normal(size=n) * rng.choice([1.0, 1.0, 10.0, 0.1]) + rng.choice([0.0, 0.0, 5])
    elif kind == "uniform":
        column = rng.uniform(0, rng.choice([1, 100, 1e4]), n)
    elif kind in ("t2", "cauchy"):
        column = rng.standard_t(2 if kind == "t2" else 1, n)
    elif kind == "dummy":
        column = 1.0 * (rng.random(n) < rng.uniform(0.1, 0.9))
    elif kind == "rare":
        column = 1.0 * (np.arange(n) < rng.integers(1, 3))
    elif kind == "whole":
        column = 1.0 * rng.integers(0, rng.integers(2, 12), n)
    elif kind == "count":
        column = 1.0 * rng.poisson(rng.choice([0.2, 2, 50]), n)
    elif kind == "lognormal":
        column = rng.lognormal(0, rng.choice([1, 3]), n)
    elif kind == "rounded":
        column = rng.normal(size=n).round(1)
    elif kind == "dates":
        column = 1.7e12 + rng.choice([1e3, 8.64e7]) * np.arange(n)
    elif kind == "year":
        column = 1990.0 + np.arange(n) % 30
    elif kind == "sentinel":
        column = np.where(rng.random(n) < 0.2, rng.choice([-999.0, 0, 9999]), rng.normal(size=n))
    elif kind == "trend":
        column = 1.0 * np.arange(n)
    else:
        column = np.full(n, rng.choice([0.0, 1.0, 7.3]))
    return column, str(kind)


def _regressors(rng, n, p):
    if rng.random() < 0.3:  # all of a kind
        columns = [(rng.normal(size=n), "gauss") for _ in range(p)]
    else:
        columns = [_column(rng, n) for _ in range(p)]
    names = [name for _, name in columns]
    X = np.column_stack([column for column, _ in columns])
    if p > 1 and rng.random() < 0.15:
        other = rng.choice(["copy", "sum", "near", "onehot"])
        names.append(str(other))
        if other == "copy":
            X[:, -1] = X[:, 0] * rng.choice([1.0, -2.0, 1e3])
        elif other == "sum":
            X[:, -1] = X[:, :-1].sum(axis=1)
        elif other == "near":
            X[:, -1] = X[:, 0] + 10.0 ** rng.uniform(-5, -1) * rng.normal(size=n)
        else:
            X[:] = rng.integers(0, p, n)[:, None] == np.arange(p)
    repeat = rng.random()
    if repeat < 0.08:
        X = X[rng.integers(0, max(2, n // 3), n)]
        names.append("few distinct rows")
    elif repeat < 0.11:
        X = np.asfortranarray(X)
    return X, names


def _targets(rng, X):
    n, p = X.shape
    spread = X.std(axis=0)
    size = np.where(spread > 0, spread, 1)
    coef = rng.normal(size=p) / size * 10.0 ** rng.uniform(-1, 1)
    coef[rng.random(p) < rng.choice([0, 0.5, 0.9])] = 0
    if rng.random() < 0.25:
        coef = np.round(coef * size) * (size == 1) + np.where(size == 1, 0, coef)
    intercept = float(rng.choice([0, 1, -3.5, 100, 1e6], p=[0.3, 0.3, 0.2, 0.15, 0.05]))
    plane = X @ coef + intercept
    kind = str(
        rng.choice(
            ["gauss", "t", "cauchy", "laplace", "outliers", "one-sided", "exact", "partly exact",
             "rounded", "ratings", "poisson", "binary", "mostly zero", "constant", "one differs",
             "groups", "heteroscedastic", "two values", "tiny noise"],
            p=[0.18, 0.08, 0.04, 0.04, 0.12, 0.07, 0.03, 0.06,
               0.08, 0.04, 0.05, 0.04, 0.03, 0.02, 0.02, 0.03, 0.03, 0.02, 0.02],
        )
    )  # fmt: skip
    noise = rng.normal(size=n)
    y, made = plane + noise, (coef, intercept)
    share = rng.uniform(0.02, 0.45)
    bad = rng.random(n) < share
    if kind == "t":
        y = plane + rng.standard_t(rng.choice([1.5, 3]), n)
    elif kind == "cauchy":
        y = plane + rng.standard_cauchy(n)
    elif kind == "laplace":
        y = plane + rng.laplace(size=n)
    elif kind == "outliers":
        y = y + bad * rng.normal(size=n) * 10.0 ** rng.uniform(1, 4)
    elif kind == "one-sided":
        y = y + bad * 10.0 ** rng.uniform(1, 4)
    elif kind == "exact":
        y = plane
    elif kind == "partly exact":
        y = plane + bad * rng.normal(size=n) * 10.0 ** rng.uniform(0, 3)
    elif kind == "rounded":
        y = np.round(plane + noise * rng.choice([0.5, 1, 5]), int(rng.integers(0, 2)))
    elif kind == "ratings":
        y = np.clip(np.round(3 + (plane - plane.mean()) / (plane.std() or 1) + noise), 1, 5)
    elif kind == "poisson":
        y = 1.0 * rng.poisson(rng.choice([0.3, 1, 5]), n)
    elif kind == "binary":
        y = 1.0 * (rng.random(n) < rng.uniform(0.1, 0.6))
    elif kind == "mostly zero":
        y = np.where(rng.random(n) < 0.6, 0.0, y)
    elif kind == "constant":
        y = np.full(n, float(rng.choice([0.0, 1.0, 7.3])))
    elif kind == "one differs":
        y = np.full(n, float(rng.choice([0.0, 1.0])))
        y[rng.integers(n)] = 5.0
    elif kind == "groups":
        y = np.round(2 * np.sign(plane - np.median(plane))) + 3 + bad * 100.0
    elif kind == "heteroscedastic":
        y = plane + noise * np.exp((X[:, 0] - X[:, 0].mean()) / size[0])
    elif kind == "two values":
        y = np.where(rng.random(n) < 0.5, 1.0, 2.0)
    elif kind == "tiny noise":
        y = plane + 1e-6 * noise
    if rng.random() < 0.1:
        factor = 10.0 ** rng.uniform(-3, 4)
        y, made = factor * y, (factor * coef, factor * intercept)
    return y, made, kind


def _weights(rng, n):
    kind = str(rng.choice(["whole", "uniform", "zeros", "decades", "equal"]))
    if kind == "whole":
        weight = 1.0 * rng.integers(1, 6, n)
    elif kind == "uniform":
        weight = rng.uniform(0.1, 2, n)
    elif kind == "zeros":
        weight = 1.0 * rng.integers(0, 3, n)
    elif kind == "decades":
        weight = 10.0 ** rng.uniform(-3, 3, n)
    else:
        weight = np.full(n, 3.7)
    if not weight.any():
        weight[0] = 1.0
    return weight, "weights " + kind


def _scaled(X, plane, factor, shift=0.0):
    """Columns times factors plus shifts, and the plane moved along."""
    coef, intercept = plane
    with np.errstate(all="ignore"):
        moved = coef / factor
        X = X * factor + shift
        return X, (moved, intercept - float(np.sum(shift * moved)))


def _harden(rng, X, y, weight, plane):
    n, p = X.shape
    X, y, words = np.array(X), np.array(y), []
    picks = rng.random(6) < [0.45, 0.25, 0.3, 0.3, 0.2, 0.12]
    if not picks.any():
        picks[rng.integers(6)] = True
    if picks[0]:
        X, plane = _scaled(X, plane, 10.0 ** rng.uniform(-12, 12, p))
        words.append("columns of all sizes")
    if picks[1]:
        far = rng.random(p) < 0.6
        shift = far * X.std(axis=0) * 10.0 ** rng.uniform(6, 10, p)
        X, plane = _scaled(X, plane, np.ones(p), shift)
        words.append("far means")
    if picks[2]:
        rows = rng.integers(0, n, int(rng.integers(1, 3)))
        column = rng.integers(0, p)
        size = np.abs(X[:, column]).max() or 1.0
        X[rows, column] = size * 10.0 ** rng.uniform(3, 15, len(rows)) * rng.choice([-1, 1])
        words.append("leverage")
    if picks[3]:
        rows = rng.integers(0, n, int(rng.integers(1, 1 + max(1, n // 6))))
        y[rows] += (y.std() or 1.0) * 10.0 ** rng.uniform(3, 15, len(rows)) * rng.choice([-1, 1])
        words.append("gross y")
    if picks[4]:
        factor = 10.0 ** rng.uniform(-12, 12)
        y, plane = y * factor, (plane[0] * factor, plane[1] * factor)
        words.append(f"y times {factor:.0e}")
    if picks[5] and p > 1:
        X[:, 1] = X[:, 0] * (1 + 10.0 ** rng.uniform(-10, -5) * rng.normal(size=n))
        words.append("nearly collinear")
    return X, y, weight, plane, words


def _extreme(rng, X, y, weight, plane):
    n, p = X.shape
    words = []
    picks = rng.random(6) < [0.4, 0.3, 0.2, 0.25, 0.25, 0.12]
    if not picks.any():
        picks[rng.integers(6)] = True
    with np.errstate(all="ignore"):
        if picks[0]:
            power = rng.choice([140, 170, 300, 320])
            each = rng.uniform(-power, min(power, 300), p)
            if rng.random() < 0.5:
                each[:] = each[0]
            X, plane = _scaled(np.array(X), plane, 10.0**each)
            words.append(f"columns of 1e{each.min():.0f} to 1e{each.max():.0f}")
        if picks[1]:
            power = rng.uniform(-320, 305)
            y = y * 10.0**power
            plane = (plane[0] * 10.0**power, plane[1] * 10.0**power)
            words.append(f"y times 1e{power:.0f}")
        if picks[2]:
            X = np.array(X)
            X[rng.integers(n), rng.integers(p)] = 10.0 ** rng.uniform(15, 300)
            words.append("leverage of all sizes")
        if picks[3]:
            y = np.array(y)
            rows = rng.integers(0, n, int(rng.integers(1, 3)))
            y[rows] = (np.abs(y).max() or 1.0) * 10.0 ** rng.choice([15.5, 17, 20, 40, 120, 200])
            words.append("y of all sizes")
        if picks[4]:
            power = rng.choice([20, 100, 300])
            weight = 10.0 ** rng.uniform(-power, power, n)
            if rng.random() < 0.3:
                weight[: n // 2] = weight[0]
            words.append(f"weights 1e+-{power}")
        if picks[5]:
            X = np.array(X)
            X[rng.random(X.shape) < 0.3] = 5e-324 * rng.integers(1, 100)
            words.append("subnormals")
    limit = 1.7e308
    X, y = np.clip(np.nan_to_num(X), -limit, limit), np.clip(np.nan_to_num(y), -limit, limit)
    return X, y, weight, plane, words
