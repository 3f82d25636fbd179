"""What a summary says is what its runs say, exactly, however they were cut, merged and stored."""

import math
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gdsim as gd
from gdsim.population.summary import Table, bin_edges, bin_of, merge
from gdsim.sweep.cluster.client import can_encrypt, connected
from tests.faults.machinery import shards

# Dask leaves sockets to the garbage collector when its clusters start and end.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def sweep():
    """Runs that converge, diverge and do neither, with curves of both signs."""
    wells = gd.Expression("x**4 - 3*x**2 + y**2 + x*y")
    rules = [gd.SGD(lr=[0.01, 0.3]), gd.Adam(lr=[0.1])]
    options = {"starts": 200, "steps": 60, "record": gd.Record(every=7), "stop": [gd.Target(-2.0)], "init": gd.Uniform(low=-4, high=4)}
    return gd.Sweep(problem=wells, optimizer=rules, keep="summary", **options)


@pytest.fixture(scope="module")
def summary(sweep):
    return sweep.run()


@pytest.fixture(scope="module")
def runs(sweep):
    return msgspec.structs.replace(sweep, keep="runs").run()


@pytest.mark.parametrize("name", ["loss", "gradient_norm", "final_loss", "best_loss", "steps_taken"])
def test_statistics_are_those_of_the_runs(summary, runs, name):
    curves = runs[name].values.astype(float).reshape(runs.sizes["run"], -1).copy()
    if name == "final_loss":
        curves[runs.status.values == "diverged"] = np.inf
    for cell in range(3):
        mine = np.flatnonzero(runs.cell.values == cell)
        for place in range(curves.shape[1]):
            values = curves[mine, place]
            at = (cell, place) if summary[f"{name}_mean"].ndim == 2 else (cell,)
            says = {n: summary[f"{name}_{n}"].values[at] for n in ("count", "mean", "variance", "min", "min_run", "max", "max_run", "histogram")}
            known, finite = values[~np.isnan(values)], [Fraction(v) for v in values[np.isfinite(values)]]
            assert says["count"] == len(known)
            if not finite:
                assert math.isnan(says["mean"])
                continue
            mean = sum(finite) / len(finite)
            assert says["mean"] == float(mean)
            assert says["variance"] == float(sum((v - mean) ** 2 for v in finite) / len(finite))
            assert says["min"] == known.min()
            assert says["max"] == known.max()
            assert says["min_run"] == runs.run.values[mine[np.flatnonzero(values == known.min())[0]]]
            assert says["max_run"] == runs.run.values[mine[np.flatnonzero(values == known.max())[0]]]
            for low, high, count in zip(summary.bin_low.values, summary.bin_high.values, says["histogram"], strict=True):
                inside = (known >= low) & (known < high)
                assert count == inside.sum() or (math.isnan(high) and count == np.isinf(known).sum())


def test_endings_are_those_of_the_runs(summary, runs):
    assert {"converged", "diverged", "budget"} <= set(runs.status.values.tolist())
    for cell in range(3):
        mine = runs.isel(run=runs.cell.values == cell)
        for status in ("converged", "stopped", "stalled", "diverged", "budget"):
            for place, step in enumerate(summary.step.values):
                wanted = ((mine.status.values == status) & (mine.steps_taken.values <= step)).sum()
                assert summary.ended.sel(status=status).values[cell, place] == wanted


def test_the_table_of_a_summary_is_near_that_of_the_runs(summary, runs):
    few, all = (gd.table(r, columns="all").reset_index() for r in (summary, runs))
    for name in ("cell", "label", "lr", "runs", "converged", "diverged", "lowest_final_loss"):
        assert few[name].tolist() == all[name].tolist(), name
    for name in ("median_loss", "quartile_low", "quartile_high", "median_steps"):
        assert few[name].to_numpy() == pytest.approx(all[name].to_numpy(), rel=0.0626, abs=1e-3), name


@pytest.mark.parametrize("cut", [10.0, 1e-5, 1e-6])
def test_any_chunks_any_threads_any_lanes_give_the_same(sweep, summary, tmp_path, cut):
    kept = sweep.run(out=tmp_path / "out", chunk_seconds=cut, threads=1 if cut < 1e-5 else 2, lanes=8)
    assert kept.identical(summary)
    assert gd.open(tmp_path / "out").identical(summary)
    assert len(shards(tmp_path / "out")) > (10 if cut < 1.0 else 1)


@pytest.mark.full
def test_a_cluster_gives_the_same_and_more_starts_are_added(sweep, summary, tmp_path):
    half = msgspec.structs.replace(sweep, starts=90)
    with connected(workers=2) as client:
        assert client.scheduler.address.startswith("tls://" if can_encrypt() else "tcp://")  # within this machine too
        half.run(out=tmp_path / "out", client=client, chunk_seconds=1e-5)
    before = set(shards(tmp_path / "out"))
    assert sweep.run(out=tmp_path / "out", chunk_seconds=1e-5).identical(summary)
    assert before < set(shards(tmp_path / "out"))


def test_runs_that_two_chunks_hold_are_counted_once(sweep, summary, tmp_path):
    for cut, folder in ((1e-5, "a"), (3e-6, "b")):
        sweep.run(out=tmp_path / folder, chunk_seconds=cut)
    for path in (tmp_path / "b" / "shards").iterdir():
        path.rename(tmp_path / "a" / "shards" / path.name)
    assert gd.open(tmp_path / "a").attrs["finished_runs"] <= summary.attrs["planned_runs"]
    assert sweep.run(out=tmp_path / "a", chunk_seconds=1e-5).identical(summary)


VALUES = st.lists(st.floats(width=64), min_size=1, max_size=30)


@settings(deadline=None, max_examples=100)
@given(VALUES, st.randoms())
def test_merging_is_the_same_in_any_order(values, random):
    """Of any doubles: tiny, huge, infinite, NaN, of both signs."""

    def entries(chosen):
        table = Table(1, 1)
        numbers = np.array([values[i] for i in chosen])[:, None]
        table.add(numbers, np.zeros(len(chosen), np.int64), np.array(chosen, np.int64))
        return {(cell, place): entry for cell, place, entry in table.entries()}

    whole = entries(range(len(values)))
    order = random.sample(range(len(values)), len(values))
    merged = {}
    for part in (order[::3], order[1::3], order[2::3]):
        if part:
            merge(merged, entries(part))
    assert merged == whole
    for entry in whole.values():
        finite = [Fraction(v) for v in values if math.isfinite(v)]
        assert entry.finite == len(finite)
        if finite:
            mean = sum(finite) / len(finite)
            assert Fraction(entry.total, 2**1074) == sum(finite)
            assert Fraction(entry.squares, 2**2148) == sum(v * v for v in finite)
            assert entry.mean == float(mean)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_bin_holds_its_values_and_is_an_eighth_of_a_factor_of_two(value):
    low, high = bin_edges([bin_of(value), bin_of(value) + 1])
    assert low <= value < high or (value < 0 and low <= value <= high)
    if abs(value) > 1e-300 and np.isfinite(high):
        assert abs(high - low) <= abs(value) / 8 * (1 + 1e-15) + abs(value) / 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"record": gd.Record(state=True)}, "keeps no runs, and so no state of theirs"),
        ({"record": gd.Record(every=1), "steps": 5000}, "takes at most 2,048 checkpoints"),
    ],
)
def test_what_summaries_cannot_keep(sweep, changes, message):
    with pytest.raises(ValueError, match=message):
        msgspec.structs.replace(sweep, **changes)


def test_summaries_have_no_runs_to_choose_or_follow(sweep, summary):
    with pytest.raises(ValueError, match="keeps no runs that could be chosen"):
        sweep.run(runs=[3])
    with pytest.raises(ValueError, match="runs of this summary ended early"):
        gd.plots.convergence_bands(summary)
