"""Success and paired comparison, of runs and of summaries."""

import numpy as np
import pytest

import gdsim as gd
from gdsim import analysis
from tests.analysis.populations import result_of, rosenbrock


def test_success_is_counted_by_status_by_loss_or_as_given():
    result = rosenbrock().run()
    for target, success in (
        (None, result.status.values == "converged"),
        (0.1, result.best_loss.values <= 0.1),
        (result.steps_taken.values < 500, result.steps_taken.values < 500),
    ):
        found = analysis.success_probability(result, target=target)
        assert found.successes.values.tolist() == [int(success[result.cell.values == c].sum()) for c in range(5)]
        assert found.runs.values.tolist() == [40] * 5
    assert found.lr.values.tolist() == [1e-4, 1e-3, 1e-2, 0.01, 0.3]


def test_a_target_of_the_sweep_is_met_at_looks_of_its_stop():
    """A dip at a checkpoint between two looks is no success and has no time; a dip below another loss is
    both.
    """
    curves = np.array([[5.0, 0.5, 3.0], [5.0, 4.0, 0.5], [5.0, 0.5, 3.0]])
    result = result_of(curves, steps=[0, 10, 20], status=["budget", "converged", "budget"])
    result.attrs["targets"] = [1.0]
    result["target_step"] = (("run", "target"), np.array([[-1], [20], [-1]]))
    result = result.assign_coords(target=[1.0])
    for target, successes in ((1.0, 1), (0.75, 3)):
        met = gd.analysis.success_probability(result, target=target)
        assert int(met.successes[0]) == successes
        assert int(gd.analysis.expected_running_time(result, target).successes[0, 0]) == successes


def test_summaries_give_the_same_successes_or_say_why_not():
    runs, summary = rosenbrock().run(), rosenbrock(keep="summary").run()
    a, b = analysis.success_probability(runs), analysis.success_probability(summary)
    assert np.array_equal(a.successes, b.successes)
    assert np.array_equal(a.low, b.low)
    with pytest.raises(ValueError, match=r"take the target 0\.09375 or 0\.1015625"):
        analysis.success_probability(summary, target=0.1)
    for edge in (0.09375, 0.1015625):
        assert np.array_equal(analysis.success_probability(runs, target=edge).successes, analysis.success_probability(summary, target=edge).successes)
    maps = [analysis.divergence_map(r, "lr", "optimizer") for r in (runs, summary)]
    assert maps[0].identical(maps[1])
    with pytest.raises(ValueError, match="a summary has none"):
        analysis.compare_success(summary)


def test_cells_are_compared_on_their_common_starts():
    rng = np.random.default_rng(0)
    table = rng.random((80, 3)) < [0.5, 0.9, 0.5]
    table[:, 2] = table[:, 0]
    status = np.where(table.ravel(), "converged", "budget")
    found = analysis.compare_success(result_of(np.ones((240, 1)), cells=3, status=status))
    b, c = (table[:, 1] & ~table[:, 0]).sum(), (table[:, 0] & ~table[:, 1]).sum()
    assert found.cell_only.values.tolist() == [0, b, 0]
    assert found.reference_only.values.tolist() == [0, c, 0]
    assert found.difference.values[1] == pytest.approx(table[:, 1].mean() - table[:, 0].mean())
    assert found.low[1] <= found.difference[1] <= found.high[1]
    assert found.p_value.values[2] == 1.0
    assert np.isnan(found.p_value.values[0])
    assert found.p_holm.values[1] == pytest.approx(min(1.0, 2 * found.p_value.values[1]))


def test_starts_that_one_cell_lacks_count_for_neither():
    result = result_of(np.ones((40, 1)), cells=2, status=np.where(np.arange(40) % 2 == 0, "converged", "budget"))
    part = result.isel(run=np.flatnonzero((result.start.values < 10) | (result.cell.values == 0)))
    assert analysis.compare_success(part).starts.values.tolist() == [20, 10]


def test_the_interval_of_a_difference_covers():
    rng = np.random.default_rng(3)
    cells = 2000
    first = rng.random((40, 1)) < 0.4  # one reference, as every cell has it
    covered = []
    for _ in range(20):
        first = rng.random((40, 1)) < 0.4
        second = rng.random((40, cells // 20)) < 0.7
        table = np.concatenate([first, second], 1)
        found = analysis.compare_success(result_of(np.ones((table.size, 1)), cells=table.shape[1], status=np.where(table.ravel(), "converged", "budget")))
        covered.append(np.mean((found.low.values[1:] <= 0.3) & (found.high.values[1:] >= 0.3)))
    assert 0.85 <= np.mean(covered) <= 1.0  # twenty references: the average over them varies


def test_no_run_is_refused_and_one_run_has_statistics():
    empty = result_of(np.ones((2, 3))).isel(run=[])
    for function in (analysis.success_probability, analysis.bands, lambda r: analysis.ecdf(r, 0.1), lambda r: analysis.expected_running_time(r, 0.1)):
        with pytest.raises(ValueError, match="was given a result that has no runs"):
            function(empty)
    with pytest.raises(ValueError, match=r"this one has no 'status', as one of gd\.evaluate"):
        analysis.best_cell(result_of(np.ones((2, 3))).drop_vars("status"))
    one = result_of([[1.0, 0.1, np.nan]], taken=[1], status=["converged"])
    assert float(analysis.success_probability(one).probability[0]) == 1.0
    assert float(analysis.expected_running_time(one, 0.5).ert[0, 0]) == 1.0
    assert np.isnan(analysis.best_cell(one).probability_best[0])
    met = analysis.expected_running_time(one, 0.5)
    assert np.isnan([met.low, met.high]).all()  # drawn anew, one run is itself


def test_a_reference_that_is_no_cell_is_refused():
    with pytest.raises(ValueError, match="is no cell of this result; it has 0, 1"):
        analysis.compare_success(result_of(np.ones((4, 1)), cells=2), 7)
    with pytest.raises(ValueError, match="did you mean 'wilson'"):
        analysis.success_probability(result_of(np.ones((4, 1))), interval="wilsn")
    with pytest.raises(ValueError, match="True and False for each of the 4 runs"):
        analysis.success_probability(result_of(np.ones((4, 1))), target=[True])
    assert gd.analysis is analysis


@pytest.mark.parametrize("keep", ["runs", "summary"])
def test_without_a_stop_that_could_end_a_run_as_converged_nothing_is_counted(keep):
    result = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.02]), starts=8, steps=30, keep=keep).run()
    with pytest.raises(ValueError, match=r"this sweep has no stop that ends runs so: give target=, a loss that counts as one, or the sweep a stop such as"):
        analysis.success_probability(result)
    if keep == "runs":
        with pytest.raises(ValueError, match="this sweep has no stop"):
            analysis.compare_success(result)
        assert analysis.success_probability(result, target=1e9).probability.values.tolist() == [1.0, 1.0]
