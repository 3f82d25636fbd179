"""The table of cells and what they are ranked by, against NumPy's quantiles and counts by hand."""

import numpy as np
import pytest
import xarray
from hypothesis import given, strategies as st

import gdsim as gd
from gdsim.statistics import median, median_interval, quantile
from gdsim.sweep.ranks.ranking import ranked_cells, ranking_of
from tests.analysis.populations import result_of

NUMBERS = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("inf"))), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def sweep():
    """Two optimizers on a quadratic: cells that meet the target, that miss it, and that diverge."""
    optimizers = [gd.SGD(lr=[0.001, 0.01, 2.0]), gd.Momentum(lr=[0.001, 0.01], momentum=[0.5, 0.9])]
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=optimizers, starts=10, steps=300, stop=[gd.Target(1e-3)])


@pytest.fixture(scope="module")
def result(sweep):
    return sweep.run()


@given(NUMBERS, st.sampled_from([0.25, 0.5, 0.75]))
def test_the_quantile_is_numpys_inverted_cdf(values, share):
    assert quantile(values, share) == np.quantile(values, share, method="inverted_cdf")
    assert quantile([*values, np.nan], share) == quantile(values, share)


def test_the_quantile_goes_along_an_axis():
    table = np.array([[1.0, np.nan, 3.0, np.inf], [np.nan] * 4])
    assert np.array_equal(median(table, axis=1), [3.0, np.nan], equal_nan=True)
    assert np.isnan(median([]))
    assert np.isnan(median_interval([])).all()


def test_cells_are_ranked_by_the_time_to_the_sweeps_target(result):
    table = gd.table(result)
    assert table.attrs["ranked_by"] == "steps to loss 0.001"
    times = np.where(result.status.values == "converged", result.steps_taken.values, np.inf).reshape(10, 7)
    expected = np.quantile(times, 0.5, axis=0, method="inverted_cdf")
    assert np.array_equal(table["median"], np.sort(expected))
    assert np.array_equal(table["median"], expected[table.index])
    for cell, row in table.iterrows():  # ranks 1 and 8 of 10, from 0: David and Nagaraja 2003
        assert (row.low, row.high) == (np.sort(times[:, cell])[1], np.sort(times[:, cell])[8])
        assert row.converged == np.isfinite(times[:, cell]).sum()
    losses = np.where(result.status.values == "diverged", np.inf, result.final_loss.values).reshape(10, 7)
    missed = [c for c in table.index if np.isinf(expected[c])]
    key = lambda c: (-np.isfinite(times[:, c]).sum(), np.quantile(losses[:, c], 0.5, method="inverted_cdf"))  # noqa: E731
    assert missed == sorted(missed, key=key)
    assert len(missed) > 1


def test_what_ranks_may_be_chosen(result):
    losses = np.where(result.status.values == "diverged", np.inf, result.best_loss.values).reshape(10, 7)
    by_loss = gd.table(result, variable="best_loss")
    assert by_loss.attrs["ranked_by"] == "best loss"
    assert np.array_equal(by_loss["median"], np.sort(np.quantile(losses, 0.5, axis=0, method="inverted_cdf")))
    other = gd.table(result, target=1.0)
    times = gd.analysis.time_to_target(result, 1.0).by.values[:, 0].reshape(10, 7)
    assert np.array_equal(other["median"], np.sort(np.quantile(np.where(np.isnan(times), np.inf, times), 0.5, axis=0, method="inverted_cdf")))
    for wrong, text in (({"variable": "best_los"}, "did you mean 'best_loss'"), ({"variable": "loss", "target": 1.0}, "one of the two")):
        with pytest.raises(ValueError, match=text):
            gd.table(result, **wrong)
    with pytest.raises(ValueError, match="'all'"):
        gd.table(result, columns="some")
    with pytest.raises(TypeError, match="a folder's path; int was given"):
        gd.table(3)


def test_a_cell_without_what_ranks_is_missing_and_comes_last(capsys):
    """Three problems: with a validation set, without, and with one where half of the runs diverged."""
    X = np.random.default_rng(0).normal(size=(30, 2))
    y = X @ [1.0, -2.0]
    whole, alone = gd.LinearRegression(gd.Data(X, y, validation=(X[:9], y[:9]))), gd.LinearRegression(gd.Data(X, y))
    result = gd.Sweep(problem=[alone, whole], optimizer=gd.SGD(lr=[0.1, 1e9]), starts=6, steps=20).run()
    lost = (result.status == "diverged").values.reshape(6, 4)
    assert lost.tolist() == [[False, True] * 2] * 6
    for variable, name in ((None, "best validation loss"), ("final_validation_loss", "final validation loss"), ("validation_loss", "last validation loss")):
        table = gd.table(result, variable=variable)
        assert table.attrs["ranked_by"] == name
        assert table.index.tolist() == [2, 3, 0, 1]  # the diverged one before those that have no such number; then by the final loss
        assert np.isfinite(table["median"].iloc[0])
        assert np.isposinf(table["median"].iloc[1])
        assert table[["median", "low", "high"]].iloc[2:].isna().all(axis=None)
        assert f"-: no {name} there, for want of a validation set" in repr(table)
        assert table._repr_html_().count("<td>-</td>") == 6
        found = gd.analysis.best_cell(result, variable=variable, resamples=20)
        assert np.isnan(found.median_loss.values).tolist() == [True, True, False, False]
        assert found["rank"].values.tolist() == [3, 4, 1, 2]
        assert found.probability_best.values.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert not gd.table(result, variable="final_loss")["median"].isna().any()


def with_validation(accuracy=False):
    """Four cells of five runs: the validation loss dips where the final loss does not; one run of the last
    cell diverged.
    """
    loss = np.ones((20, 3)) * [3.0, 2.0, 1.0]
    dip = np.tile([0.4, 0.3, 0.2, 0.1], 5)[:, None] * [3.0, 1.0, 2.0]
    status = np.full(20, "budget", "<U9")
    status[3] = "diverged"
    result = result_of(loss, cells=4, status=status)
    result["validation_loss"] = (("run", "checkpoint"), dip, {"units": "1"})
    if accuracy:
        result["validation_accuracy"] = (("run", "checkpoint"), 1 - dip / 4, {"units": "1"})
    return result


def test_without_a_target_the_best_validation_loss_ranks():
    result = with_validation()
    table = gd.table(result)
    assert table.attrs["ranked_by"] == "best validation loss"
    assert table.index.tolist() == [3, 2, 1, 0]
    assert np.allclose(table["median"], [0.1, 0.2, 0.3, 0.4])
    assert np.isinf(ranking_of(result).values[3])
    assert "converged" not in table
    assert gd.table(result, variable="final_loss").attrs["ranked_by"] == "final loss"


def test_runs_of_an_earlier_version_rank_by_their_curves():
    result, curves = with_validation(), with_validation()
    stored = np.where(np.arange(20) < 10, np.nanmin(result.validation_loss.values, axis=1), np.nan)
    result["best_validation_loss"] = ("run", stored, {"units": "1"})
    assert np.array_equal(ranking_of(result).values, ranking_of(curves).values)
    assert gd.table(result).equals(gd.table(curves))


def test_accuracies_rank_the_highest_first():
    result = with_validation(accuracy=True)
    table = gd.table(result, variable="validation_accuracy")
    assert table.attrs["ranked_by"] == "last validation accuracy"
    assert table.index.tolist() == [3, 2, 1, 0]
    assert np.allclose(table["median"], 1 - np.array([0.2, 0.4, 0.6, 0.8]) / 4)
    assert table[["low", "high"]].isna().all(axis=None)  # of five runs


def test_diverged_runs_are_the_worst_in_every_column():
    result = with_validation(accuracy=True)
    result["status"] = ("run", np.where(np.arange(20) % 4 == 3, "diverged", "budget"))
    whole = gd.table(result, columns="all")
    assert whole["median_validation_loss"].tolist() == pytest.approx([0.8, 0.6, 0.4, np.inf])
    assert whole["median_validation_accuracy"].tolist() == pytest.approx([0.8, 0.85, 0.9, 0.0])
    lacking = result.copy()
    lacking["validation_loss"] = result.validation_loss.where(result.cell != 0)
    assert gd.table(lacking, columns="all")["median_validation_loss"].isna().tolist() == [True, False, False, False]


def test_runs_that_end_above_their_start_are_counted_beside_those_that_diverged():
    curves = [[1.0, 2.0], [1.0, 0.5], [1.0, 3.0], [1.0, 1.0]]
    table = gd.table(result_of(curves, status=["budget", "budget", "diverged", "budget"]))
    assert (table.diverged[0], table.worse_than_start[0]) == (1, 1)
    later = result_of(curves, steps=[5, 6])  # it goes on from another result, and its first loss is not the start's
    assert "worse_than_start" not in gd.table(later)


def test_a_table_prints_whole_at_80_columns():
    lr, momentum = 10.0 ** np.linspace(-4, -1, 7), [0.8, 0.9]
    coordinates = {"optimizer": ["Momentum"] * 14, "lr": np.repeat(lr, 2), "momentum": momentum * 7}
    result = result_of(np.random.default_rng(0).random((280, 2)) / 300, cells=14, coordinates=coordinates)
    result["optimizer"] = result.optimizer.copy(data=np.where(result.cell.values < 7, "Nesterov", "Momentum"))
    result.attrs["may_converge"] = 1
    text = str(gd.table(result))
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) == 1 + 14 + 2
    assert "..." not in text
    assert "ranked by final loss" in text
    assert "worse_than_start" in text
    assert "<p>ranked by final loss" in gd.table(result)._repr_html_()
    wide = gd.table(result).assign(**{f"a_long_name_{k}": 0 for k in range(9)})
    assert "a_long_name_8" in str(wide)
    assert max(map(len, str(wide).splitlines())) <= 80


def test_a_folder_and_a_summary_have_tables(sweep, result, tmp_path):
    import msgspec

    sweep.run(out=tmp_path / "r")
    stored = gd.table(str(tmp_path / "r"))
    assert stored.equals(gd.table(result))
    assert str(stored) == str(gd.table(tmp_path / "r"))
    summary = msgspec.structs.replace(sweep, keep="summary").run()
    counted, exact = gd.table(summary), gd.table(result, variable="final_loss")
    assert counted.attrs["ranked_by"] == "final loss"
    close = exact.loc[counted.index]["median"]
    assert np.allclose(counted["median"], close, rtol=1 / 16, atol=1e-300)
    assert counted.converged.tolist() == exact.loc[counted.index].converged.tolist()
    assert (np.diff(ranked_cells(summary).median[ranked_cells(summary).order][:-1]) >= 0).all()
    with pytest.raises(ValueError, match="keeps none: take the sweep with keep='runs'"):
        gd.table(summary, target=0.1)
    with pytest.raises(ValueError, match="did you mean 'best_loss'"):
        gd.table(summary, variable="best_los")


def test_every_column_lies_in_the_order_of_cells(result):
    whole = gd.table(result, columns="all")
    assert whole.cell.tolist() == list(range(7))
    assert whole["rank"].tolist() == [gd.table(result).index.tolist().index(c) + 1 for c in range(7)]


def test_an_axis_of_one_value_and_the_whole_batch_unstack():
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.02]), starts=3, steps=5)
    grid = gd.grid_of(sweep.run(), lr=0.01)
    assert dict(grid.sizes) == {"start": 3, "checkpoint": 6}
    assert grid.start.values.tolist() == [0, 1, 2]
    numbers = np.arange(12.0)
    batches = result_of(numbers[:, None] * [1.0, 1.0], cells=4, coordinates={"batch": [np.nan, 2.0, 16.0, 64.0]})
    assert gd.table(batches).batch.tolist() == [None, 2.0, 16.0, 64.0]
    assert str(gd.table(batches)).splitlines()[1].split()[:2] == ["0", "None"]
    grid = gd.grid_of(batches)
    assert dict(grid.sizes) == {"checkpoint": 2, "start": 3, "batch": 4}
    assert grid.batch.values.tolist() == [None, 2.0, 16.0, 64.0]
    assert grid.final_loss.transpose("start", "batch").values.tolist() == numbers.reshape(3, 4).tolist()
    whole = gd.grid_of(batches, batch=None)
    assert dict(whole.sizes) == {"start": 3, "checkpoint": 2}
    assert whole.final_loss.values.tolist() == [0.0, 4.0, 8.0]
    with pytest.raises(ValueError, match=r"there are None, 2\.0, 16\.0, 64\.0"):
        gd.grid_of(batches, batch=3)
    xarray.testing.assert_identical(gd.grid_of(batches, batch=16), gd.grid_of(batches.isel(run=np.random.default_rng(0).permutation(12)), batch=16))


def test_a_range_test_of_one_rate_has_one_point():
    test = gd.lr_range_test(gd.functions.Booth(), gd.SGD(), low=0.01, n=1)
    assert test.lr.values.tolist() == [0.01]
    assert test.learns.values.tolist() == [1.0]
    final = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=100).run().final_loss
    assert float(test.median_loss[0]) == np.quantile(final, 0.5, method="inverted_cdf")
