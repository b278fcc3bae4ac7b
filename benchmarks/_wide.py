"""One objective of one table, minimised by several programs, each as accurately as by ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from _common import interleave
from _objectives import Objective, sklearn_peers
from _r import R, start_r
from _worker import Make, Table, Worker
from scipy import sparse

EQUAL = 1e-8  # by which share of ours a peer's objective may be above it
LONG = 10.0  # seconds; what takes longer is timed once
SMALL = (1e-6, 1e-8, 1e-10, 1e-12)  # tolerances of R's rq.fit.sfn; the first is its default
OURS = "robustreg"
HEADER = ("data", "fit", "robustreg, s", "peer", "s", "times faster", "at least", "excess")

Trial = Callable[[], tuple[float, float]]  # seconds and the objective that was reached


@dataclass(frozen=True)
class Limits:
    """How often and how long.

    Attributes
    ----------
    repeats : int
        Timed rounds of what takes less than `LONG` seconds.
    seconds : float
        After which a peer is stopped, and ours after twice as many.
    """

    repeats: int
    seconds: float


class Contest:
    """Fits of one objective to one table, in turns.

    Attributes
    ----------
    seconds : dict of str to float
        Median times; of what has not ended the limit.
    values : dict of str to float
        The objectives that were reached.
    stopped : dict of str to str
        Of what has no value, "> " for over its limit, or "fails".
    """

    def __init__(self, data: Table, worker: Worker, objective: Objective, limits: Limits) -> None:
        self.X, self.y = data
        self.objective, self.limits = objective, limits
        self.seconds: dict[str, float] = {}
        self.values: dict[str, float] = {}
        self.stopped: dict[str, str] = {}
        self._worker = worker
        self._again: dict[str, Trial] = {}  # what is short enough for rounds in turns
        self._last: list[str] = []  # of every peer its last attempt
        self._run()

    def rows(self, target: object = "") -> list[list[object]]:
        """One row for each attempt; the target stands at the fastest peer as accurate as ours."""
        close = [name for name in self._last if self._excess(name) <= EQUAL]
        rival = min(close or self._last, key=self.seconds.__getitem__, default="")
        return [
            self._row(name, target if name == rival else "")
            for name in self.seconds
            if name != OURS
        ] or [self._row("", target)]

    def _run(self) -> None:
        """Ours, then every peer until it is as accurate, untimed; then what was short, in turns."""
        objective, limit = self.objective, self.limits.seconds
        self._climb({OURS: self._of_model(objective.ours, 1.0, 2.0 * limit)})
        for attempts in sklearn_peers(objective, self.y, sparse.issparse(self.X)):
            self._climb({a.label: self._of_model(a.model, a.scale_unit, limit) for a in attempts})
        r = start_r("quantreg") if objective.loss == "L1" and objective.penalty != "ridge" else None
        if r:
            self._climb(self._in_r(r))
        self.seconds |= interleave(
            {name: lambda trial=trial: trial()[0] for name, trial in self._again.items()},
            self.limits.repeats,
            untimed=0,
        )
        if r:
            r.close()

    def _climb(self, ladder: Mapping[str, Trial]) -> None:
        """Try one attempt of somebody after the other until one is close; keep first and last.

        Where ours was stopped, there is nothing to be close to, and one attempt is all.
        """
        names = list(ladder)
        for place, name in enumerate(names):
            goes_on = self._try(name, ladder[name])
            if place > 1:
                for kept in (self.seconds, self.values, self._again):
                    kept.pop(names[place - 1], None)
            if not goes_on or OURS in self.stopped or self._excess(name) <= EQUAL:
                break
        if ladder and name != OURS:
            self._last.append(name)

    def _try(self, name: str, trial: Trial) -> bool:
        """One fit; whether it ended."""
        try:
            self.seconds[name], self.values[name] = trial()
        except (TimeoutError, RuntimeError) as error:
            if name == OURS and isinstance(error, RuntimeError):
                raise
            self.seconds[name] = (2.0 if name == OURS else 1.0) * self.limits.seconds
            self.stopped[name] = "> " if isinstance(error, TimeoutError) else "fails"
            return False
        if self.seconds[name] <= LONG:
            self._again[name] = trial
        return True

    def _of_model(self, model: Any, scale_unit: float, limit: float) -> Trial:
        def trial() -> tuple[float, float]:
            fit = self._worker.fit(model, limit)
            return fit.seconds, self._value(fit.coef, fit.scale / scale_unit)

        return trial

    def _in_r(self, r: R) -> dict[str, Trial]:
        """Attempts of quantreg, which is handed the table first."""
        limit = self.limits.seconds

        def trial(method: str, *arguments: float) -> Trial:
            def ask() -> tuple[float, float]:
                seconds, coef = r.fit(method, 0.5, *arguments, limit=limit)
                return seconds, self._value(coef)

            return ask

        if sparse.issparse(self.X):
            r.load_sparse(*self._extended())
            names = "sfn, its defaults", *(f"sfn, small={small:.0e}" for small in SMALL[1:])
            return {name: trial("sfn", small) for name, small in zip(names, SMALL, strict=True)}
        if self.objective.penalty == "lasso":
            return {}
        r.load(self.X, self.y)
        return {"quantreg fnb": trial("fnb")}

    def _extended(self) -> tuple[sparse.csr_matrix, np.ndarray]:
        """The table with a column of ones, and a row for each coefficient that a lasso shrinks."""
        n, p = self.X.shape
        X, y = sparse.hstack([np.ones((n, 1)), self.X], format="csr"), self.y
        if self.objective.penalty == "lasso":
            shrinking = sparse.diags(np.full(p, n * self.objective.alpha))
            shrinking = sparse.hstack([sparse.csr_matrix((p, 1)), shrinking])
            X, y = sparse.vstack([X, shrinking], format="csr"), np.append(y, np.zeros(p))
        return X, y

    def _value(self, coef: np.ndarray, scale: float = np.nan) -> float:
        return self.objective.value(self.X, self.y, coef, scale)

    def _excess(self, name: str) -> float:
        """By which share of ours an objective is above it; infinite where one is missing."""
        if name not in self.values or OURS not in self.values:
            return np.inf
        return self.values[name] / self.values[OURS] - 1.0

    def _row(self, peer: str, target: object) -> list[object]:
        data = "{:,} x {:,}".format(*self.X.shape)
        row = [data, str(self.objective), self._shown(OURS), peer, self._shown(peer)]
        if not peer:
            return [*row, "", target, ""]
        ratio = f"{self.seconds[peer] / self.seconds[OURS]:.2f}"
        if OURS in self.stopped or peer in self.stopped:
            ratio = self._bound(ratio, peer)
        excess = self._excess(peer)
        return [*row, ratio, target, f"{excess:.0e}" if np.isfinite(excess) else ""]

    def _bound(self, ratio: str, peer: str) -> str:
        """What is known of a ratio where one of the two was stopped."""
        if OURS in self.stopped:
            return "" if peer in self.stopped else f"< {ratio}"
        return f"> {ratio}" if self.stopped[peer] == "> " else ""

    def _shown(self, name: str) -> str:
        if name not in self.seconds:
            return ""
        if self.stopped.get(name) == "fails":
            return "fails"
        return ("> " if name in self.stopped else "") + f"{self.seconds[name]:.3g}"


def contests(
    tables: Mapping[Make, Mapping[Objective, object]], limits: Limits
) -> Iterator[list[object]]:
    """Rows of many contests, whose targets are given."""
    worker = Worker(next(iter(tables)))
    for make, targets in tables.items():
        data = make()
        worker.load(make)
        for objective, target in targets.items():
            yield from Contest(data, worker, objective, limits).rows(target)
    worker.close()
