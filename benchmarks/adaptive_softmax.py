"""What the adaptive softmax of many classes costs, next to a full one and to PyTorch's.

    python benchmarks/adaptive_softmax.py [--repeats 7] [--quick] [--only memory ...]

512 rows of 256 standard normal features and 100,000 classes; the k-th class has a share of labels
proportional to 1 / k, and tails begin at classes 2,000 and 10,000. Value and gradient are two
calls; the gradient is by features and parameters. All is in float64, and runs in turns in one
process. The full softmax, ``x @ W.T``, is that of `CrossEntropy`, and besides one that only does
what cannot be left out and overwrites its logits. PyTorch's module, where it is installed, has the
same parameters; its gradient is a pass forward and backward.
"""

from __future__ import annotations

import argparse
import tracemalloc
from collections.abc import Callable

import numpy as np
from _common import about_machine, interleave, milliseconds, table, timing_parser

from robustreg.losses import AdaptiveLogSoftmax, CrossEntropy

N_ROWS, N_FEATURES, N_CLASSES = 512, 256, 100_000
LOSS = AdaptiveLogSoftmax(N_FEATURES, N_CLASSES, cutoffs=(2_000, 10_000))
OURS, FULL, LEAN = "AdaptiveLogSoftmax", "full, CrossEntropy", "full, in place"
TORCH, TORCH_FULL = "PyTorch's adaptive", "PyTorch's full"
KINDS = ("value", "gradient")
Tasks = dict[tuple[str, str], Callable[[], object]]  # by method and kind


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Labels by Zipf's law, and features."""
    rng = np.random.default_rng(0)
    share = 1.0 / np.arange(1.0, N_CLASSES + 1.0)
    labels = rng.choice(N_CLASSES, N_ROWS, p=share / share.sum())
    return labels, rng.standard_normal((N_ROWS, N_FEATURES))


def full_weight() -> np.ndarray:
    """The one parameter of a full softmax."""
    bound = N_FEATURES**-0.5
    return np.random.default_rng(1).uniform(-bound, bound, (N_CLASSES, N_FEATURES))


def our_tasks(labels: np.ndarray, x: np.ndarray) -> Tasks:
    """The adaptive softmax, and CrossEntropy of all logits."""
    parameters, weight = LOSS.initial_parameters(0), full_weight()

    def full_gradient() -> tuple[np.ndarray, np.ndarray]:
        slope = CrossEntropy().gradient(labels, x @ weight.T)
        return slope @ weight, slope.T @ x

    return {
        (OURS, "value"): lambda: LOSS(labels, x, *parameters),
        (OURS, "gradient"): lambda: LOSS.gradient(labels, x, *parameters),
        (FULL, "value"): lambda: CrossEntropy()(labels, x @ weight.T),
        (FULL, "gradient"): full_gradient,
        (LEAN, "value"): lambda: lean_value(labels, x, weight),
        (LEAN, "gradient"): lambda: lean_gradient(labels, x, weight),
    }


def lean_value(labels: np.ndarray, x: np.ndarray, weight: np.ndarray) -> float:
    """The mean cross-entropy, with one array of logits."""
    logits = x @ weight.T
    logits -= logits.max(axis=1, keepdims=True)
    at_label = logits[np.arange(N_ROWS), labels]
    return float(np.mean(np.log(np.exp(logits, out=logits).sum(axis=1)) - at_label))


def lean_gradient(
    labels: np.ndarray, x: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The derivatives of `lean_value`."""
    logits = x @ weight.T
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= N_ROWS * logits.sum(axis=1, keepdims=True)
    logits[np.arange(N_ROWS), labels] -= 1.0 / N_ROWS
    return logits @ weight, logits.T @ x


def torch_tasks(labels: np.ndarray, x: np.ndarray) -> Tasks:
    """PyTorch's module and its full softmax; nothing where it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    target, features = torch.from_numpy(labels), torch.from_numpy(x).requires_grad_()
    module = torch.nn.AdaptiveLogSoftmaxWithLoss(
        N_FEATURES, N_CLASSES, list(LOSS.cutoffs), dtype=torch.float64
    )
    parameters = zip(LOSS.parameter_names, LOSS.initial_parameters(0), strict=True)
    module.load_state_dict({name: torch.from_numpy(values) for name, values in parameters})
    weight = torch.from_numpy(full_weight()).requires_grad_()

    def adaptive() -> torch.Tensor:
        return module(features, target).loss

    def full() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(features @ weight.T, target)

    def value(loss: Callable[[], torch.Tensor]) -> Callable[[], object]:
        return torch.no_grad()(loss)

    def gradient(loss: Callable[[], torch.Tensor], *by: torch.Tensor) -> Callable[[], object]:
        return lambda: torch.autograd.grad(loss(), by)

    ours = LOSS(labels, x, *LOSS.initial_parameters(0))
    np.testing.assert_allclose(value(adaptive)().item(), ours, rtol=1e-13)
    return {
        (TORCH, "value"): value(adaptive),
        (TORCH, "gradient"): gradient(adaptive, features, *module.parameters()),
        (TORCH_FULL, "value"): value(full),
        (TORCH_FULL, "gradient"): gradient(full, features, weight),
    }


def times(args: argparse.Namespace) -> str:
    """Time of value and gradient."""
    labels, x = batch()
    tasks = our_tasks(labels, x) | torch_tasks(labels, x)
    # a tuple, for `interleave` would take a value for seconds
    seconds = interleave(
        {task: lambda call=call: (call(),) for task, call in tasks.items()}, args.repeats
    )
    rows = []
    for method in dict.fromkeys(method for method, _ in tasks):
        cells = []
        for kind in KINDS:
            time = seconds[method, kind]
            cells += [milliseconds(time), f"{time / seconds[OURS, kind]:.1f}"]
        rows.append((method, *cells))
    header = ("softmax", "value, ms", "times ours", "gradient, ms", "times ours")
    return table(header, rows)


def memory(args: argparse.Namespace) -> str:
    """Peak memory of a call, what it returns included."""
    tasks = our_tasks(*batch())
    peaks = {task: peak(call) for task, call in tasks.items()}
    rows = []
    for method in (OURS, FULL, LEAN):
        cells = []
        for kind in KINDS:
            most = peaks[method, kind]
            cells += [f"{most / 2**20:.0f}", f"{most / peaks[OURS, kind]:.1f}"]
        rows.append((method, *cells))
    header = ("softmax", "value, MiB", "times ours", "gradient, MiB", "times ours")
    return table(header, rows)


def peak(call: Callable[[], object]) -> int:
    """Bytes that Python and NumPy have at a time during a call, beyond those before it."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


SECTIONS = {"times": times, "memory": memory}


def main() -> None:
    """Print one section after the other."""
    args = timing_parser(__doc__, SECTIONS, repeats=7).parse_args()
    labels, _ = batch()
    parts = zip((0, *LOSS.cutoffs), (*LOSS.cutoffs, N_CLASSES), strict=True)
    counts = [np.count_nonzero((labels >= low) & (labels < high)) for low, high in parts]
    print(f"{about_machine()}; medians of {args.repeats}.")
    print(f"Rows of the shortlist and of the tails: {', '.join(map(str, counts))}.")
    for section in args.only:
        print(f"\n### {SECTIONS[section].__doc__}\n\n{SECTIONS[section](args)}", flush=True)


if __name__ == "__main__":
    main()
