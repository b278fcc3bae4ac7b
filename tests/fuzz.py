"""Random tables and estimators, judged in extended precision: make fuzz N=20000 SEED=0 JOBS=2.

A case is its seed. ``python tests/fuzz.py --seed 12345 --one`` runs one again and says what was
found; in Python, ``from fuzz import case_of`` (with tests/ on the path) gives its table and model.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_name, "1")
# the package of the working directory, whatever is installed, and the siblings of this file
sys.path[:0] = [os.getcwd()]
sys.path.append(str(Path(__file__).parent))

from _fuzz_judge import KINDS, Verdict  # noqa: E402
from _fuzz_models import case_of  # noqa: E402
from _fuzz_run import LIMIT, Outcome, run  # noqa: E402
from _fuzz_tables import CLASSES  # noqa: E402

__all__ = ["case_of", "main", "run"]

SILENT = 5 * LIMIT  # seconds after which a process that says nothing is taken to hang


def main(arguments=None):
    """Run the fuzz; the exit status says whether anything is beyond the limits."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="number of cases")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--one", action="store_true", help="run the case of this seed alone")
    parser.add_argument("--quiet", action="store_true", help="list neither alarms nor refusals")
    options = parser.parse_args(arguments)
    if options.one:
        options.n, options.jobs = 1, 1
    import robustreg

    print(f"robustreg {robustreg.__version__} in {Path(robustreg.__file__).parent}")
    print(f"seeds {options.seed} to {options.seed + options.n - 1}", flush=True)
    seeds = range(options.seed, options.seed + options.n)
    began, outcomes = time.monotonic(), []
    for outcome in _outcomes(seeds, options.jobs):
        outcomes.append(outcome)
        first = {verdict.kind: verdict for verdict in reversed(outcome.verdicts)}
        for verdict in first.values():
            if options.quiet and verdict.kind in ("alarm", "stuck", "digits", "refused", "slow"):
                continue
            print(f"{verdict.kind}: {outcome.words}\n    {verdict.words}", flush=True)
    if options.one:
        print(f"{outcomes[0].words}: {len(outcomes[0].verdicts)} findings")
    print(summary(outcomes))
    print(f"{time.monotonic() - began:.0f} s")
    return int(beyond_limits(outcomes))


def _outcomes(seeds, jobs):
    """The outcomes of seeds, as they come."""
    if jobs <= 1:
        yield from map(run, seeds)
        return
    left = list(seeds)
    while left:
        # fork would copy what the parent has imported, threads included; spawn starts afresh
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            results = pool.imap_unordered(run, tuple(left))  # which is read as it goes
            try:
                while True:
                    outcome = results.next(timeout=SILENT)
                    left.remove(outcome.seed)
                    yield outcome
            except StopIteration:
                return
            except multiprocessing.TimeoutError:  # not even a signal gets through
                for seed in left[:jobs]:
                    case = case_of(seed)
                    verdict = Verdict("hang", f"no answer for {SILENT:g} s")
                    yield Outcome(seed, case.kind, [verdict], str(case))
                left = left[jobs:]


def summary(outcomes):
    """A table of counts for each class."""
    columns = [*KINDS, "judge"]
    lines = [f"{'':9}{'cases':>7}{'fits':>7}" + "".join(f"{name:>12}" for name in columns)]
    for kind in CLASSES:
        own = [outcome for outcome in outcomes if outcome.kind == kind]
        counts = Counter()
        for outcome in own:
            counts.update({verdict.kind for verdict in outcome.verdicts})
        line = f"{kind:9}{len(own):7}{sum(outcome.fits for outcome in own):7}"
        lines.append(line + "".join(f"{counts[name]:12}" for name in columns))
    calls, judging = (sum(getattr(o, name) for o in outcomes) for name in ("seconds", "judging"))
    count = max(1, len(outcomes))
    lines.append(
        f"ms a case: {1e3 * calls / count:.1f} for calls, {1e3 * judging / count:.1f} judging"
    )
    return "\n".join(lines)


def beyond_limits(outcomes):
    """Whether there is a finding that there must not be.

    Mild and hard tables: nothing wrong, no alarms but one in a thousand. Extreme ones: nothing
    silently wrong.
    """
    counts = {kind: Counter() for kind in CLASSES}
    for outcome in outcomes:
        counts[outcome.kind].update({verdict.kind for verdict in outcome.verdicts})
    ordinary = counts["mild"] + counts["hard"]
    fits = sum(outcome.fits for outcome in outcomes if outcome.kind != "extreme")
    never = ("wrong", "certificate", "objective", "attributes", "judge")
    return (
        any(ordinary[name] for name in (*never, "crash", "leak", "hang"))
        or any(counts["extreme"][name] for name in (*never, "crash"))
        or ordinary["alarm"] + ordinary["stuck"] > 1e-3 * fits
    )


if __name__ == "__main__":
    sys.exit(main())
