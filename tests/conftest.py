"""Set-up that must come before scikit-learn, SciPy or matplotlib is imported."""

import gc
import os

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
