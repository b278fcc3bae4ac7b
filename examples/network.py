"""A small network for house values that somebody has typed with one digit too many.

One in ten of the median house values in California is multiplied by ten before the network sees
it, as in ``boosting.py``. PyTorch trains the same two hidden layers three times, from the same
start and with the rows in the same order, and only the loss differs: losses of robustreg take
tensors, and PyTorch differentiates through them. Huber's and the bisquare loss are functions of
residuals over the scale of the noise; it is estimated anew before every pass over the rows. The
blocks on which the networks are tried have the right values.

Run it with ``python examples/network.py [--output picture.png]``. It needs PyTorch.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _picture import import_pyplot, parse_output, save
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from robustreg.datasets import load_california_housing
from robustreg.losses import Bisquare, Huber, ResidualLoss, Squared
from robustreg.scale import mad

SLIPPED, FACTOR = 0.1, 10.0  # share of the targets, and what they are multiplied by
PASSES, BATCH, RATE, UNITS = 40, 256, 3e-3, 64
LOSSES = {"Squared": Squared(), "Huber": Huber(), "Bisquare": Bisquare()}
COLORS = ("#cc3311", "#0b3c8c", "#117733")


@dataclass(frozen=True)
class Blocks:
    """Prepared features, values in 1000 dollars, and the typed values of the blocks to fit."""

    X: np.ndarray
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    typed: np.ndarray


@dataclass
class Trained:
    """The errors on the other blocks after every pass, the last scale of the noise, the time."""

    errors: list[np.ndarray]
    scale: float
    seconds: float


def load() -> Blocks:
    """Counts as logarithms, the category as dummies, all columns standardised."""
    X, y = load_california_housing(return_X_y=True)
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=0)
    counts = make_pipeline(SimpleImputer(strategy="median"), FunctionTransformer(np.log))
    columns = make_column_transformer(
        (counts, slice(3, 7)), (OneHotEncoder(), [8]), remainder="passthrough"
    )
    y = y / 1000.0
    wrong = np.random.default_rng(0).random(len(train)) < SLIPPED
    typed = np.where(wrong, FACTOR, 1.0) * y[train]
    prepared = make_pipeline(columns, StandardScaler()).fit(X[train]).transform(X)
    return Blocks(prepared, y, train, test, typed)


def import_torch() -> Any:
    """PyTorch on one core; without it the program ends with advice."""
    try:
        import torch
    except ImportError:
        print("No network: PyTorch is missing. Install it with pip install torch.")
        sys.exit(0)
    torch.set_num_threads(1)
    return torch


def new_network(torch: Any, n_features: int) -> Any:
    return torch.nn.Sequential(
        torch.nn.Linear(n_features, UNITS),
        torch.nn.ReLU(),
        torch.nn.Linear(UNITS, UNITS),
        torch.nn.ReLU(),
        torch.nn.Linear(UNITS, 1),
        torch.nn.Flatten(0),
    )


def fit(torch: Any, loss: ResidualLoss, blocks: Blocks) -> Trained:
    """Train a network; targets are centred at their median and divided by their spread."""
    start = perf_counter()
    torch.manual_seed(0)
    centre, unit = np.median(blocks.typed), mad(blocks.typed)
    X = torch.tensor(blocks.X[blocks.train], dtype=torch.float32)
    y = torch.tensor((blocks.typed - centre) / unit, dtype=torch.float32)
    X_test = torch.tensor(blocks.X[blocks.test], dtype=torch.float32)
    network = new_network(torch, X.shape[1])
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = PASSES * (len(y) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    errors = []
    for _ in range(PASSES):
        with torch.no_grad():
            scale = mad((y - network(X)).numpy(), center=0.0)
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            loss(y[rows] / scale, network(X[rows]) / scale).backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            predicted = centre + unit * network(X_test).numpy()
        errors.append(np.abs(predicted - blocks.y[blocks.test]))
    return Trained(errors, unit * scale, perf_counter() - start)


def draw(networks: dict[str, Trained], path: Path) -> None:
    """The median error along the passes."""
    plt = import_pyplot()
    figure, panel = plt.subplots(figsize=(7.2, 4.6), layout="constrained")
    for (name, trained), color in zip(networks.items(), COLORS, strict=True):
        medians = [np.median(error) for error in trained.errors]
        panel.plot(range(1, PASSES + 1), medians, color=color, lw=2.0, label=name)
    panel.set(yscale="log", xlabel="passes over the rows")
    panel.set(ylabel="median error on other blocks, 1000 dollars")
    panel.set(title="House values, one in ten of them ten times too large for the network")
    panel.set_yticks([25, 50, 100, 150], ["25", "50", "100", "150"])
    panel.minorticks_off()
    panel.grid(color="0.9")
    panel.legend(frameon=False)
    save(figure, path)


def main() -> None:
    output = parse_output("Train networks on house values with slips.", "network.png")

    torch, blocks = import_torch(), load()
    wrong = np.sum(blocks.typed != blocks.y[blocks.train])
    print(f"{len(blocks.train)} blocks for the network, {wrong} of them with a value", end=" ")
    print(f"{FACTOR:g} times too large;")
    print(f"{len(blocks.test)} others to try it on.\n")
    print(f"{'errors on the others, in 1000 dollars':38}{'median':>10}{'mean':>10}", end="")
    print(f"{'scale':>10}{'seconds':>10}")
    networks = {}
    for name, loss in LOSSES.items():
        networks[name] = trained = fit(torch, loss, blocks)
        error = trained.errors[-1]
        print(f"{name:38}{np.median(error):10.2f}{np.mean(error):10.2f}", end="")
        print(f"{trained.scale:10.2f}{trained.seconds:10.2f}")
    draw(networks, output)
    print(f"\nPicture: {output}")


if __name__ == "__main__":
    main()
