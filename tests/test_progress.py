"""How far a fit is: callbacks of scikit-learn, and lines that are printed."""

import numpy as np
import pytest
from _cases import DEFAULTS, HIGH, clean
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from robustreg import HuberRegressor, L2Regressor, MMRegressor, QuantileRegressor
from robustreg.estimators._from_source import _how_it_ended
from robustreg.sources import tree_sum


class Recorder:
    """A callback that keeps what it hears of, and fails at one of these if that is wanted."""

    max_propagation_depth = None  # it is handed on to estimators inside of others

    def __init__(self, fails_at=None):
        self.events, self.fails_at = [], fails_at

    def setup(self, estimator, context):
        self.events.append(("setup", ""))

    def teardown(self, estimator, context):
        self.events.append(("teardown", ""))

    def on_fit_task_begin(self, estimator, context):
        self.hear("begin", context.task_name)

    def on_fit_task_end(self, estimator, context):
        self.hear("end", context.task_name)

    def hear(self, what, name):
        self.events.append((what, name))
        if self.fails_at == (what, name):
            raise RuntimeError("a callback")


class Parts:
    """Rows in two partitions, reading which is interrupted once it was done so many times."""

    names = None

    def __init__(self, X, y, passes=np.inf):
        self.X, self.y, self.left, self.n_columns = X, y, passes, X.shape[1]

    def total(self, job):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        half = len(self.y) // 2
        parts = [slice(None, half), slice(half, None)]
        return tree_sum(job(self.X[s], self.y[s], None, k) for k, s in enumerate(parts))


def with_recorder(model, **options):
    pytest.importorskip("sklearn.callback")
    recorder = Recorder(**options)
    return clone(model).set_callbacks(recorder), recorder


@pytest.mark.parametrize("model", [L2Regressor(), HuberRegressor(), QuantileRegressor([0.3, 0.5])])
def test_callbacks_hear_of_every_pass(model):
    model, recorder = with_recorder(model)
    model.fit(Parts(*clean()))
    passes = [
        (what, f"pass {k}") for k in range(1, model.n_passes_ + 1) for what in ("begin", "end")
    ]
    ends = [("setup", ""), ("begin", "fit")], [("end", "fit"), ("teardown", "")]
    assert recorder.events == [*ends[0], *passes, *ends[1]]
    plain = clone(model).set_callbacks().fit(Parts(*clean()))
    np.testing.assert_array_equal(plain.coef_, model.coef_)
    assert not {"_callback_fit_ctx", "_skl_callbacks_to_teardown"} & vars(model).keys()


@pytest.mark.parametrize("model", [*DEFAULTS.values(), *HIGH.values()])
def test_a_fit_in_memory_is_one_task(model):
    model, recorder = with_recorder(model)
    model.fit(*clean())
    assert [what for what, _ in recorder.events] == ["setup", "begin", "end", "teardown"]


def test_a_search_has_the_fits_in_it():
    search, recorder = with_recorder(GridSearchCV(HuberRegressor(), {"delta": [1.0, 2.0]}, cv=3))
    search.fit(*clean())
    fits = sum(event[0] == "end" for event in recorder.events)
    assert fits > 2 * 3
    assert recorder.events[-1] == ("teardown", "")


@pytest.mark.parametrize(
    "fails_at",
    [(what, name) for name in ("fit", "pass 1", "pass 3") for what in ("begin", "end")],
)
def test_a_callback_that_fails_leaves_the_model_as_it_was(fails_at):
    X, y = clean()
    model, recorder = with_recorder(HuberRegressor(), fails_at=fails_at)
    recorder.fails_at = None
    before = dict(vars(model.fit(X, y)))
    recorder.fails_at = fails_at
    with pytest.raises(RuntimeError, match="a callback"):
        model.fit(Parts(X, y - 1.0))
    assert vars(model) == before
    assert recorder.events[-1] == ("teardown", "")


@pytest.mark.parametrize("passes", range(3))
def test_an_interrupt_in_a_pass_leaves_the_model_as_it_was(passes):
    X, y = clean()
    model, _ = with_recorder(HuberRegressor())
    before = dict(vars(model.fit(X, y)))
    with pytest.raises(KeyboardInterrupt):
        model.fit(Parts(X, y - 1.0, passes))
    assert vars(model) == before


@pytest.mark.parametrize(
    "model", [HuberRegressor(), QuantileRegressor([0.3, 0.5]), MMRegressor(random_state=0)]
)
def test_a_line_for_every_pass(model, capsys):
    clone(model).fit(Parts(*clean()))
    clone(model).set_params(verbose=1).fit(*clean())
    assert capsys.readouterr().out == ""
    model = clone(model).set_params(verbose=1).fit(Parts(*clean()))
    lines = capsys.readouterr().out.splitlines()
    name, count = type(model).__name__, model.n_passes_
    assert len(lines) == count + 1
    assert all(line.startswith(f"[{name}] pass {k}: ") for k, line in enumerate(lines[:-1], 1))
    value = np.max(model.objective_)
    assert lines[-1].startswith(f"[{name}] converged in {count} passes: objective {value:.6g}")


@pytest.mark.parametrize("converged", [True, False, [True, False]])
def test_the_last_line_says_whether_fits_converged(converged):
    found = {"converged_": converged, "n_passes_": 5, "objective_": [1.0, 2.0], "dual_gap_": 1e-9}
    how = "converged" if converged is True else "not converged"
    assert _how_it_ended(found) == f"{how} in 5 passes: objective 2, dual gap 1.0e-09"
