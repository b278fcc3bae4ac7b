"""The judge of the estimators without a certificate: S, MM, LTS and redescending M."""

import numpy as np
from _fuzz_judge import Verdict


def judge_high_breakdown(case, model):
    """Whether the attributes are finite, and the objective not above that of known points."""
    for name in ("coef_", "intercept_", "scale_", "objective_", "weights_"):
        if not np.all(np.isfinite(getattr(model, name))):
            return [Verdict("attributes", f"{name} is {getattr(model, name)}")]
    if model.scale_ < 0:
        return [Verdict("attributes", f"scale_ is {model.scale_}")]
    return []
