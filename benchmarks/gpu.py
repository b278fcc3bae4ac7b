"""Fits of tensors on their device next to those of NumPy's arrays: equal, and how fast.

    python benchmarks/gpu.py [--rows 1e7] [--columns 20] [--device cuda] [--float32]

Needs PyTorch. The table is made on the host and copied to the device once, which is not timed.
Compared fits run in turns. Differences are from the fit to NumPy's arrays: coefficients in scales,
`weights_` and the objective as they are, flags by their number. With `--device cpu` and few rows it
shows that all is well; times are those of PyTorch on the processor then.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # which scikit-learn asks for, before it is imported

import numpy as np
import torch
from _common import about_machine, interleave, synthetic, table
from sklearn import config_context

from robustreg import HuberRegressor, L2Regressor, MRegressor

FITS = {
    "L2": L2Regressor,
    "L2, ridge": lambda: L2Regressor(alpha=0.1),
    "Huber": HuberRegressor,
    "Huber, ridge": lambda: HuberRegressor(alpha=0.1),
    "Huber, scale 1": lambda: HuberRegressor(scale=1.0),
    "log-cosh": MRegressor,
}


def compared(
    make: Callable[[], object], host: tuple, there: tuple, repeats: int
) -> tuple[str, ...]:
    """Times of the fits on the host and on the device, and how far they are apart."""
    models = {"host": make(), "device": make()}

    def on_host() -> None:
        models["host"].fit(*host)

    def on_device() -> None:
        with config_context(array_api_dispatch=True):
            models["device"].fit(*there)
        if there[0].is_cuda:
            torch.cuda.synchronize()

    seconds = interleave({"host": on_host, "device": on_device}, repeats)
    own, other = models["host"], models["device"]
    coef, weights, outliers = (
        getattr(other, name).cpu().numpy() for name in ("coef_", "weights_", "outliers_")
    )
    return (
        f"{seconds['host']:.3g}",
        f"{seconds['device']:.3g}",
        f"{seconds['host'] / seconds['device']:.2f}",
        str(other.n_passes_),
        f"{np.abs(coef - own.coef_).max() / own.scale_:.0e}",
        f"{abs(other.objective_ / own.objective_ - 1.0):.0e}",
        f"{np.abs(weights - own.weights_).max():.0e}",
        str(int((outliers != own.outliers_).sum())),
        "yes" if other.converged_ and own.converged_ else "no",
    )


def main() -> None:
    """Print a table of all fits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=1e7)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fits", nargs="+", choices=FITS, default=[*FITS])
    args = parser.parse_args()
    n, p = int(args.rows), args.columns
    host = synthetic(n, p)
    if args.float32:
        host = tuple(array.astype(np.float32) for array in host)
    there = tuple(torch.asarray(array, device=args.device) for array in host)
    device = torch.cuda.get_device_name(there[0].device) if there[0].is_cuda else args.device
    print(f"{about_machine()}. PyTorch {torch.__version__} on {device}.\n")
    print(f"{n:,} x {p}, {host[0].dtype}.\n")
    lines = [(fit, *compared(FITS[fit], host, there, args.repeats)) for fit in args.fits]
    header = ("fit", "host, s", "device, s", "times faster", "passes", "coefficients", "objective")
    print(table((*header, "weights", "other flags", "certified"), lines))


if __name__ == "__main__":
    main()
