"""One case of the fuzz: the call, its time, its exceptions and warnings, and the judgement."""

import signal
import time
import traceback
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _fuzz_high import judge_high_breakdown
from _fuzz_judge import Fit, Judge, Verdict
from _fuzz_models import case_of
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold

import robustreg
from robustreg import HuberRegressor, L1Regressor, QuantileRegressor
from robustreg.model_selection import HuberRegressorCV, L1RegressorCV, QuantileRegressorCV

LIMIT = 20.0  # seconds of processor time that a call may take
SLOW = 2.0
DELTAS = [0.7, 2.0]  # of searches
OURS = str(Path(robustreg.__file__).parent)
CHECKS = (OURS, "/sklearn/utils/", "/sklearn/model_selection/")
SEARCHES = {
    "HuberRegressor": HuberRegressorCV,
    "L1Regressor": L1RegressorCV,
    "QuantileRegressor": QuantileRegressorCV,
}


class HangError(BaseException):
    """A call has taken too long; not an Exception, so that nothing on the way catches it."""


@dataclass
class Outcome:
    """What came of a case."""

    seed: int
    kind: str
    verdicts: list = field(default_factory=list)
    words: str = ""
    seconds: float = 0.0  # of the call
    judging: float = 0.0
    warned: bool = False
    fits: int = 0


def run(seed):
    """Run the case of a seed and judge it."""
    return run_case(case_of(seed))


def run_case(case):
    """Run a case and judge it."""
    outcome = Outcome(case.seed, case.kind, words=str(case))
    began = time.process_time()
    caught, found = [], None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with _time_limit(LIMIT):
                found = _call(case)
    except HangError:
        outcome.verdicts.append(Verdict("hang", f"over {LIMIT:g} s"))
    except Exception as error:
        outcome.verdicts.append(_of_exception(error))
    outcome.seconds = time.process_time() - began
    if outcome.seconds > SLOW and found is not None:
        outcome.verdicts.append(Verdict("slow", f"{outcome.seconds:.1f} s"))
    leaks = [each for each in caught if not issubclass(each.category, ConvergenceWarning)]
    if leaks:
        first = leaks[0]
        words = f"{len(leaks)} x {first.category.__name__}: {first.message} ({_place(first)})"
        outcome.verdicts.append(Verdict("leak", words))
    outcome.warned = len(leaks) < len(caught)
    if case.spoilt and found is not None:
        outcome.verdicts.append(Verdict("wrong", "accepted"))
    elif found is not None:
        began = time.process_time()
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with _time_limit(3 * LIMIT):
                    outcome.verdicts += _judge(case, found, outcome)
            except HangError:
                outcome.verdicts.append(Verdict("judge", "judging takes too long"))
            except Exception as error:
                place = _place(traceback.extract_tb(error.__traceback__)[-1])
                words = f"{type(error).__name__}: {error} ({place})"
                outcome.verdicts.append(Verdict("judge", words))
        outcome.judging = time.process_time() - began
    return outcome


@contextmanager
def _time_limit(seconds):
    """Raise HangError after so many seconds of processor time, where signals can do that."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_number, _frame):
        raise HangError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _of_exception(error):
    """A refusal, if somebody has written ``raise ValueError`` to check an input; else a crash."""
    frames = traceback.extract_tb(error.__traceback__)
    last, own = frames[-1], [each for each in frames if each.filename.startswith(OURS)]
    checked = any(folder in last.filename for folder in CHECKS)
    deliberate = isinstance(error, ValueError) and checked and str(last.line).startswith("raise")
    place = _place(last)
    if own and own[-1] is not last:
        place += f" from {_place(own[-1])}"
    words = f"{type(error).__name__}: {str(error)[:160]} ({place})"
    return Verdict("refused" if deliberate else "crash", words)


def _place(frame):
    return f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"


def _call(case):
    """Fit, or follow a path, or search."""
    if case.call == "fit":
        model = clone(case.model)
        if case.options:  # a warm start from another fit
            model.fit(case.X, case.y[::-1], case.weight)
        return model.fit(case.X, case.y, case.weight)
    model, options = case.model, dict(case.options)
    if case.call == "cv":
        parameters = model.get_params()
        kept = {
            name: parameters[name]
            for name in ("l1_ratio", "positive", "scale", "fit_intercept", "quantile")
            if name in parameters
        }
        if isinstance(model, HuberRegressor):
            kept["deltas"] = DELTAS
        search = SEARCHES[type(model).__name__](**kept, **options, cv=min(3, len(case.y)))
        return search.fit(case.X, case.y, case.weight)
    names = ("l1_ratio", "positive", "scale", "fit_intercept", "quantile", "delta", "alpha")
    given = {name: value for name, value in model.get_params().items() if name in names}
    given.pop("delta" if case.call == "huber_delta_path" else "alpha")
    path = getattr(robustreg, case.call)
    return path(case.X, case.y, sample_weight=case.weight, **given, **options)


def _judge(case, found, outcome):
    """All verdicts on what a call has returned."""
    rng = np.random.default_rng([case.seed, 1])
    dense = case.dense
    if case.call == "fit" and (not hasattr(found, "dual_gap_") or hasattr(found, "initial_coef_")):
        outcome.fits = 1
        return judge_high_breakdown(case, found)
    verdicts = []
    for model, fit in _fits(case, found, outcome.warned):
        outcome.fits += 1
        judge = Judge(model, case.X, dense, case.y, case.weight, case.plane, rng)
        verdicts += judge.verdicts(fit, outcome.warned and not fit.converged)
    if outcome.warned and not _of_warnings(verdicts):
        verdicts.append(_judge_on_the_way(case, found, rng))
    return verdicts


def _of_warnings(verdicts):
    """Those that are about a warning, gravest first."""
    kinds = ("stuck", "alarm", "digits")
    return sorted(
        (each for each in verdicts if each.kind in kinds), key=lambda v: kinds.index(v.kind)
    )


def _judge_on_the_way(case, found, rng):
    """The gravest verdict on the fits behind a call that it does not show, each made alone."""
    verdicts = []
    for model, rows in _on_the_way(case, found):
        X, y = case.X[rows], case.y[rows]
        weight = None if case.weight is None else case.weight[rows]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with suppress(ValueError):  # coefficients that the call did not have to report
                model.fit(X, y, weight)
        if caught and not getattr(model, "converged_", True):
            judge = Judge(model, X, case.dense[rows], y, weight, case.plane, rng)
            verdicts += judge.verdicts(_fit_of(model, model.tol), True)
    worst = [*_of_warnings(verdicts), Verdict("alarm", "none that is made alone warns")][0]
    return Verdict(worst.kind, f"of a fit on the way: {worst.words}")


def _on_the_way(case, found):
    """Models, and the rows that they are fitted to."""
    everything = np.arange(len(case.y))
    pilot = getattr(case.model, "scale", None) == "mad"
    if pilot:
        yield L1Regressor(fit_intercept=case.model.fit_intercept), everything
    if getattr(case.model, "delta", None) == "auto":
        yield clone(case.model).set_params(delta=HuberRegressor().delta), everything
    if case.call == "cv":
        for train, _ in KFold(min(3, len(case.y))).split(case.y):
            if pilot:
                yield L1Regressor(fit_intercept=case.model.fit_intercept), train
            for alpha in found.alphas_:
                for delta in DELTAS if isinstance(case.model, HuberRegressor) else [None]:
                    own = {"alpha": alpha} if delta is None else {"alpha": alpha, "delta": delta}
                    yield clone(case.model).set_params(**own), train


def _fits(case, found, warned):
    """The fits that a call has made, each with the model that makes it alone."""
    if case.call == "cv":
        model = clone(case.model).set_params(alpha=found.alpha_)
        if isinstance(model, HuberRegressor):
            model.set_params(delta=found.delta_)
        yield model, _fit_of(found, model.tol)
    elif case.call == "huber_delta_path":
        for i, delta in enumerate(found.deltas):
            yield clone(case.model).set_params(delta=delta), _fit_on_path(found, i, warned)
    elif case.call != "fit":
        for i, alpha in enumerate(found.alphas):
            yield clone(case.model).set_params(alpha=alpha), _fit_on_path(found, i, warned)
    elif np.ndim(getattr(found, "quantile", 0.5)):
        for i, quantile in enumerate(found.quantile):
            model = QuantileRegressor(**found.get_params()).set_params(quantile=quantile)
            yield model, _fit_of(found, model.tol, i)
    else:
        yield found, _fit_of(found, found.tol)


def _fit_of(model, tol, index=None):
    def of(name):
        value = getattr(model, name)
        return value if index is None or np.ndim(value) == 0 else value[index]

    return Fit(
        of("coef_"), of("intercept_"), of("scale_"), of("objective_"), of("dual_gap_"),
        model.converged_, tol,
    )  # fmt: skip


def _fit_on_path(path, i, warned):
    return Fit(
        path.coefs[:, i], path.intercepts[i], path.scales[i], None, path.dual_gaps[i],
        not warned, 1e-7,
    )  # fmt: skip
