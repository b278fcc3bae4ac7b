"""Set-up that must come before scikit-learn, SciPy or matplotlib is imported."""

import gc
import os
from collections import Counter

# Run with SciPy's array API support, as array API users do, unless told otherwise. Besides, the
# estimator checks of scikit-learn 1.6 cannot be imported without it where array-api-compat is
# installed.
if not os.environ.get("WITHOUT_ARRAY_API"):
    os.environ.setdefault("SCIPY_ARRAY_API", "1")

# Draw without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

# What made the golden values is no test, and needs PyTorch.
collect_ignore = ["golden/make_torch_losses.py"]


# Spare the garbage collector the many tests, which it would look at again and again.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_addoption(parser):
    parser.addoption(
        "--one-case-of",
        type=int,
        default=1,
        metavar="N",
        help="of every parametrised test run the first case of each N",
    )


def pytest_collection_modifyitems(config, items):
    """Leave out cases of tests that have many, and no test."""
    step = config.getoption("--one-case-of")
    seen = Counter()
    kept, left_out = [], []
    for item in items:
        name = item.nodeid.partition("[")[0]
        (left_out if seen[name] % step else kept).append(item)
        seen[name] += 1
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
