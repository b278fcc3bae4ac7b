"""Fits on a cluster of two worker processes, which may die in the midst of it.

`make test-cluster` runs these; `make test` leaves them out, as starting processes takes seconds.
"""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from _cases import contaminated

from robustreg import HuberRegressor

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")

pytestmark = pytest.mark.cluster

N, P, ROWS = 1_200, 3, 100
BLOCKS = N // ROWS


@pytest.fixture(scope="module")
def client():
    # workers do not have this module
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    # a task that three workers have died of has killed them
    settings = {"distributed.scheduler.allowed-failures": 2}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit="1GiB"
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def table():
    X, y = contaminated(n=N, p=P)
    order = np.random.default_rng(1).permutation(N)
    return X[order], y[order]


def read(folder, dies, block_info=None):
    """The rows of a block; whoever reads one of some blocks for the n-th time may die of it."""
    ((start, stop), *_) = block_info[None]["array-location"]
    with (folder / str(start)).open("a") as counter:
        counter.write(".")
    times = (folder / str(start)).stat().st_size
    if dies(start // ROWS, times):
        os.kill(os.getpid(), signal.SIGKILL)
    return table()[0][start:stop]


def lazy(folder, dies):
    """X as a collection that counts who reads it, and y."""
    folder.mkdir()
    X = da.map_blocks(
        partial(read, folder, dies),
        chunks=((ROWS,) * BLOCKS, (P,)),
        dtype=float,
        meta=np.empty((0, 0)),
    )
    return X, da.from_array(table()[1], chunks=ROWS)


def nobody_dies(block, times):
    return False


def all_die(block, times):
    """In the third pass both workers."""
    return block in (0, BLOCKS - 1) and times == 3


def whoever_reads_it_dies(block, times):
    return block == 5


def digits(model):
    return model.coef_.tobytes(), model.intercept_, model.scale_, model.objective_, model.dual_gap_


@pytest.fixture
def expected(tmp_path):
    """The digits of the fit in this thread."""
    with dask.config.set(scheduler="synchronous"):
        return digits(HuberRegressor().fit(*lazy(tmp_path / "here", nobody_dies)))


def test_the_same_digits_of_rows_that_are_held_by_workers(client, expected, tmp_path):
    held = dask.persist(*lazy(tmp_path / "there", nobody_dies))
    assert digits(HuberRegressor().fit(*held)) == expected
    assert {path.stat().st_size for path in (tmp_path / "there").iterdir()} == {1}


def test_errors_of_workers_say_where_they_are_from(client):
    X, y = table()
    y[733] = np.nan
    model = HuberRegressor()
    with pytest.raises(ValueError, match=r"Partition 7 of the source has NaN") as caught:
        model.fit(da.from_array(X, chunks=(ROWS, P)), da.from_array(y, chunks=ROWS))
    assert caught.value.__notes__ == ["In partition 7 of the Dask collection."]
    assert not hasattr(model, "coef_")


def test_data_frames_in_files(client, tmp_path):
    X, y = table()
    frame = pd.DataFrame(X, columns=list("abc")).assign(y=y)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=130)
    lazy = dd.read_parquet(tmp_path / "t.parquet", split_row_groups=True)
    there = HuberRegressor().fit(lazy[["a", "b", "c"]], lazy["y"])
    with dask.config.set(scheduler="synchronous"):
        here = HuberRegressor().fit(lazy[["a", "b", "c"]], lazy["y"])
    assert digits(there) == digits(here)
    expected = HuberRegressor().fit(X, y)
    assert here.objective_ == pytest.approx(expected.objective_, rel=1e-12)


# Each of these starts workers anew.


def test_the_same_digits_whoever_dies(client, expected, tmp_path):
    model = HuberRegressor().fit(*lazy(tmp_path / "there", all_die))
    assert digits(model) == expected
    # it did happen
    assert max(path.stat().st_size for path in (tmp_path / "there").iterdir()) > model.n_passes_


def test_a_block_that_kills_its_worker_every_time(client, tmp_path):
    X, y = table()
    model = HuberRegressor().fit(X, y)
    before = dict(vars(model))
    with pytest.raises(distributed.KilledWorker):
        model.fit(*lazy(tmp_path / "there", whoever_reads_it_dies))
    assert vars(model) == before


def test_the_example_finds_the_tariff():
    script = Path(__file__).resolve().parent.parent / "examples" / "dask_cluster.py"
    if not script.exists():
        pytest.skip("the examples are not here")
    done = subprocess.run(
        [sys.executable, str(script), "--days", "3", "--rides", "4000"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        check=True,
    )
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert float(lines["L2Regressor"][1]) > 10.0  # dollars, for a tariff of 3
    for name in ("L1Regressor", "HuberRegressor"):
        np.testing.assert_allclose(np.array(lines[name][1:4], float), [3.0, 2.5, 0.5], atol=0.1)
