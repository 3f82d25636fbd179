"""The Dataset obeys xarray's idioms, in memory and opened from a folder alike."""

import matplotlib.pyplot
import numpy as np
import pytest
import xarray

import gdsim as gd
from gdsim.sweep.results import dataset as results
from tests.helpers import same_bits

# Dask leaves sockets to the garbage collector when its clusters start and end.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

SWEEP = gd.Sweep(
    problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01, 0.1]), gd.Adam(lr=0.1)], schedule=[gd.Constant(), gd.Cosine(cycle=10)],
    starts=5, steps=30, record=gd.Record(every=5, parameters=True),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "out"
    SWEEP.run(out=folder, chunk_seconds=1e-6)
    return folder


@pytest.fixture(scope="module", params=["in memory", "opened"])
def result(request, folder):
    return SWEEP.run() if request.param == "in memory" else gd.open(folder)


def test_step_is_an_indexed_coordinate_of_the_checkpoints(result):
    assert result.step.dims == ("checkpoint",)
    assert "step" in result.coords
    assert "step" in result.xindexes
    assert result.step.values.tolist() == [0, 5, 10, 15, 20, 25, 30]
    assert result.step.attrs["units"] == "steps"
    assert same_bits(result.loss.sel(step=10).values, result.loss.values[:, 2])
    assert same_bits(result.loss.sel(step=11, method="nearest").values, result.loss.values[:, 2])
    assert result.sel(step=slice(5, 20)).step.values.tolist() == [5, 10, 15, 20]
    assert same_bits(result.loss.sel(run=7, step=30).values, result.loss.values[7, 6])
    assert result.isel(checkpoint=-1).step.item() == 30


def test_curves_are_drawn_over_steps(result):
    drawn = result.loss.isel(run=0).plot(x="step")[0]
    assert drawn.get_xdata().tolist() == [0, 5, 10, 15, 20, 25, 30]
    assert drawn.axes.get_xlabel().split() == ["updates", "applied", "at", "the", "checkpoint", "[steps]"]
    several = result.loss.isel(run=[0, 1, 2]).plot(x="step", hue="run")
    assert len(several) == 3
    matplotlib.pyplot.close("all")


def test_runs_are_grouped_by_words(result):
    means = result.final_loss.load().groupby("optimizer").mean()
    assert means.optimizer.values.tolist() == ["Adam", "SGD"]
    for name in ("Adam", "SGD"):
        assert float(means.sel(optimizer=name)) == pytest.approx(result.final_loss.values[result.optimizer.values == name].mean())
    assert result.groupby("label").map(lambda group: group.isel(run=[0])).sizes["run"] == 8
    assert result.final_loss.load().groupby(result.status).count().sum() == 40


def test_words_choose_runs(result):
    adam = result.where(result.optimizer == "Adam", drop=True)
    assert adam.run.values.tolist() == [r for r in range(40) if r % 8 >= 6]
    assert same_bits(adam.final_loss.values, result.final_loss.values[adam.run.values])
    assert set(adam.optimizer.values.tolist()) == {"Adam"}
    ended = result.where(result.status == "budget", drop=True)
    assert ended.sizes["run"] == int((result.status.values == "budget").sum())
    assert result.isel(run=(result.schedule.values != "Constant")).sizes["run"] == 20


def test_texts_are_shared_objects(result):
    for name in ("optimizer", "label", "schedule"):
        values = result[name].values
        assert isinstance(result[name].variable._data, np.ndarray), name
        assert values.dtype == object
        assert len({id(v) for v in values}) == len(set(values.tolist()))


def test_results_become_tables_and_files(result, tmp_path):
    frame = result[["final_loss", "status"]].to_dataframe()
    assert frame.loc[3, "optimizer"] == "SGD"
    assert frame.shape[0] == 40
    curves = result.loss.swap_dims(checkpoint="step").to_dataframe()
    assert curves.loc[(3, 10), "loss"] == result.loss.sel(run=3, step=10)
    result.to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "result.nc", engine="h5netcdf") as again:
        assert again.optimizer.values.tolist() == result.optimizer.values.tolist()
        assert same_bits(again.loss.values, result.loss.values)
        assert again.set_xindex("step").loss.sel(step=10).shape == (40,)


def test_results_are_joined(result):
    parts = [result.isel(run=slice(0, 16)), result.isel(run=slice(16, 40))]
    whole = xarray.concat(parts, "run", combine_attrs="override")
    assert whole.load().identical(result.load())
    both = xarray.concat([result.isel(run=[0]), SWEEP.run(runs=[1])], "run", combine_attrs="override")
    assert same_bits(both.loss.values, result.loss.values[:2])


def test_opened_and_in_memory_are_the_same(folder):
    assert gd.open(folder).load().identical(SWEEP.run())


def test_texts_of_very_many_runs_are_lazy(folder, monkeypatch):
    wanted = gd.open(folder)
    monkeypatch.setattr(results, "MOST_IN_MEMORY", 39)
    monkeypatch.setattr(results, "BLOCK_RUNS", 7)
    for lazy in (SWEEP.run(), gd.open(folder)):
        assert lazy.optimizer.chunks is not None
        assert lazy.load().identical(wanted.load())


def test_a_summary_has_the_same_idioms():
    summary = gd.Sweep(problem=SWEEP.problem[0], optimizer=SWEEP.optimizer, starts=5, steps=30, keep="summary", record=gd.Record(every=5)).run()
    assert summary.loss_mean.sel(step=10).dims == ("cell",)
    assert summary.where(summary.optimizer == "Adam", drop=True).cell.values.tolist() == [3]
    assert summary.final_loss_mean.groupby("optimizer").mean().sizes == {"optimizer": 2}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([3, 1], [1, 3]),
        (2, [2]),
        (np.array([True, False, True, False]), [0, 2]),
        ([False, False, False, True], [3]),
        (range(1, 3), [1, 2]),
        ([2.0], [2]),
        (xarray.DataArray([0, 3], dims="run"), [0, 3]),
    ],
)
def test_runs_are_chosen_by_number_or_mask(given, wanted):
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=4, steps=5)
    assert sweep.run(runs=given).run.values.tolist() == wanted


@pytest.mark.parametrize(
    "given",
    [[1.5], [], [True, False], [True, 2], [4], [-1], "some", [np.nan], [2**64], np.array([2**63], np.uint64), [[1], [2, 3]], {1, 2},
     np.ma.masked_array([0, 1], [False, True]), [False] * 4, [[0, 1]]],
)  # fmt: skip
def test_runs_that_may_mean_another_thing_are_refused(given):
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=4, steps=5)
    with pytest.raises(ValueError, match=r"^runs must be whole numbers from 0 to 3, a mask of 4 values, or None for all; .* given$"):
        sweep.run(runs=given)
