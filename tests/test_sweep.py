"""Axes, cells, plans and results: what a sweep is made of and how it is read."""

import numpy as np
import pytest

import gdsim as gd
from gdsim import axes
from gdsim.axes import Axis
from gdsim.lanes import compiler
from gdsim.rules import SGD
from gdsim.rules.base import BY_CONVENTION, RATE
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.planning.plan import plan_of
from gdsim.sweep.results.dataset import coordinates_of
from tests.helpers import same_results


@pytest.fixture(scope="module")
def moons():
    return gd.MLP(gd.datasets.load("moons"), hidden=[4], activation="tanh")


def test_axes_have_the_values_that_they_say():
    assert axes.values(gd.logspace(1e-4, 1e-1, 4)) == (0.0001, 0.001, 0.01, 0.1)
    assert axes.values(gd.linspace(-1, 1, 5)) == (-1.0, -0.5, 0.0, 0.5, 1.0)
    assert axes.values(gd.logspace(0.5, 0.5, 1)) == (0.5,)
    drawn = axes.values(gd.loguniform(1e-3, 1e3, draws=2000), seed=1, name="lr")
    assert abs(np.log10(drawn).mean()) < 0.15
    assert min(drawn) > 1e-3
    assert max(drawn) < 1e3
    assert drawn != axes.values(gd.loguniform(1e-3, 1e3, draws=2000), seed=2, name="lr")
    assert axes.values(gd.uniform(2, 3, draws=5), 0, "a") != axes.values(gd.uniform(2, 3, draws=5), 0, "b")


def test_a_hundred_learning_rates_are_one_structure_and_compile_nothing_more():
    few = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.02]), steps=5)
    many = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-4, 1e-1, 100)), steps=5)
    few.run()
    kernels = {*compiler._kernels}
    assert many.run().sizes["run"] == 100
    assert {*compiler._kernels} == kernels


def test_the_last_axis_is_the_fastest(moons):
    sweep = gd.Sweep(problem=moons, optimizer=[gd.SGD(lr=[1, 2]), gd.Momentum(lr=[3, 4], momentum=[0.1, 0.2])], batch=gd.grid(8, 32), steps=1)
    rows = [(type(c.rule).__name__, *c.numbers().values(), c.batch) for c in cells_of(sweep)]
    assert [r[:2] for r in rows[:4]] == [("SGD", 1.0), ("SGD", 1.0), ("SGD", 2.0), ("SGD", 2.0)]
    assert [r[1:3] for r in rows[4::2]] == [(3.0, 0.1), (3.0, 0.2), (4.0, 0.1), (4.0, 0.2)]
    assert [r[-1] for r in rows] == [8, 32] * 6


def test_draws_of_one_object_are_joint(moons):
    sweep = gd.Sweep(problem=moons, optimizer=gd.Momentum(lr=gd.loguniform(1e-3, 1, draws=6), momentum=gd.uniform(0, 1, draws=6)), steps=1)
    assert len(cells_of(sweep)) == 6
    crossed = gd.Sweep(problem=moons, optimizer=gd.Momentum(lr=gd.loguniform(1e-3, 1, draws=6), momentum=[0.5, 0.9]), steps=1)
    assert len(cells_of(crossed)) == 12


def test_runs_are_numbered_by_start_and_cell(moons):
    result = gd.Sweep(problem=moons, optimizer=gd.SGD(lr=[0.1, 0.2, 0.3]), starts=4, steps=2).run()
    assert (result.run.values == np.arange(12)).all()
    assert (result.run.values == result.start.values * 3 + result.cell.values).all()
    assert (result.lr.values[:3] == [0.1, 0.2, 0.3]).all()
    assert len(set(result.loss.values[result.start.values == 2][:, 0].tolist())) == 1


def test_a_result_describes_itself(moons):
    problem = gd.MLP(gd.datasets.load("moons", validation=0.25), hidden=gd.grid([4], [3, 2]), activation="tanh")
    optimizers = [gd.SGD(lr=[0.1, 1.0]), gd.Adam()]
    result = gd.Sweep(problem=problem, optimizer=optimizers, schedule=[gd.Constant(), gd.Cosine(cycle=5)], steps=10, record=gd.Record(parameters=True)).run()
    assert set(result.dims) == {"run", "checkpoint", "parameter"}
    for name in ("loss", "gradient_norm", "accuracy", "validation_loss", "validation_accuracy"):
        assert result[name].dims == ("run", "checkpoint")
    for name in ("final_loss", "best_loss", "steps_taken", "status", "reason", "parameter_count"):
        assert result[name].dims == ("run",)
    for name in result.variables:
        assert result[name].attrs["long_name"], name
        assert "units" in result[name].attrs, name
    assert set(map(str, result.coords)) == {"run", "cell", "start", "step", "optimizer", "label", "lr", "hidden", "schedule"}
    assert len(set(result.label.values.tolist())) == result.sizes["run"] == 12
    counts = result.parameter_count.values
    assert sorted(set(counts.tolist())) == [22, 23]  # 2-4-2 and 2-3-2-2, with biases
    assert (np.isnan(result.parameters.values).sum(1) == result.sizes["parameter"] - counts).all()
    assert result.attrs["planned_runs"] == result.attrs["finished_runs"] == 12


class Floored(SGD, tag="floored", frozen=True):
    """A rule with a hyperparameter that some schedules have too."""

    minimum: Axis = BY_CONVENTION

    defaults = {"lecture": {"lr": 0.01, "minimum": 0.0}}
    ranges = {"lr": RATE, "minimum": RATE}


def test_names_that_two_objects_vary_are_told_apart(moons):
    schedule = gd.Cosine(cycle=5, minimum=[0.0, 0.1])
    alone, both = (gd.Sweep(problem=moons, optimizer=rule, schedule=schedule, steps=2).plan() for rule in (SGD(lr=[1, 2]), Floored(minimum=[0.2, 0.3])))
    assert set(coordinates_of(alone)) == {"optimizer", "label", "lr", "minimum"}
    assert coordinates_of(both)["minimum"] == [0.2, 0.2, 0.3, 0.3]
    assert coordinates_of(both)["schedule_minimum"] == [0.0, 0.1, 0.0, 0.1]


def test_a_grid_unstacks_one_structure(moons):
    optimizers = [gd.Adam(lr=[0.1, 0.2, 0.3]), gd.Momentum(lr=[0.1, 0.2], momentum=[0.5, 0.9])]
    result = gd.Sweep(problem=moons, optimizer=optimizers, starts=3, steps=2).run()
    grid = gd.grid_of(result, optimizer="Momentum")
    assert dict(grid.sizes) == {"checkpoint": grid.sizes["checkpoint"], "start": 3, "lr": 2, "momentum": 2}
    one = result.isel(run=(result.optimizer.values == "Momentum") & (result.lr.values == 0.2) & (result.momentum.values == 0.9) & (result.start.values == 1))
    assert float(grid.final_loss.sel(start=1, lr=0.2, momentum=0.9)) == float(one.final_loss[0])
    assert gd.grid_of(result, optimizer="Adam").sizes["lr"] == 3
    with pytest.raises(ValueError, match="do not fill a grid"):
        gd.grid_of(result)
    with pytest.raises(ValueError, match=r"no run has optimizer='Lion'; there are Adam, Momentum"):
        gd.grid_of(result, optimizer="Lion")


def test_a_table_has_a_row_per_cell(moons):
    result = gd.Sweep(problem=moons, optimizer=gd.SGD(lr=[0.1, 1.0, 1e6]), starts=8, steps=60, stop=[gd.Target(0.6)]).run()
    table = gd.table(result, columns="all")
    assert table.lr.tolist() == [0.1, 1.0, 1e6]
    assert table.runs.tolist() == [8, 8, 8]
    for row in table.itertuples():
        runs = result.isel(run=result.cell.values == row.cell)
        assert row.converged == (runs.status.values == "converged").sum()
        assert row.diverged == (runs.status.values == "diverged").sum()
        loss = np.where(runs.status.values == "diverged", np.inf, runs.final_loss.values)
        for name, share in (("lowest_final_loss", 0.0), ("quartile_low", 0.25), ("median_loss", 0.5), ("quartile_high", 0.75)):
            assert getattr(row, name) == np.quantile(loss, share, method="inverted_cdf")


def test_the_plan_is_counted_and_the_same_everywhere(moons):
    sweep = gd.Sweep(problem=moons, optimizer=[gd.SGD(lr=[0.1, 0.2]), gd.Adam()], starts=1000, steps=100, batch=16)
    plan = sweep.plan(chunk_seconds=0.01)
    assert plan.runs == 3000
    assert len(plan.groups) == 2
    assert plan.run_steps == 300_000
    numbers = sorted(int(n) for c in plan.chunks for n in plan.numbers_of(c))
    assert numbers == list(range(3000))
    assert {c.group for c in plan.chunks[:2]} == {0, 1}
    assert plan == plan_of(sweep, 0.01, None)
    assert len(plan.chunks) > len(sweep.plan().chunks)
    assert plan.disk == 3000 * (
        4 * (3 * len(plan.checkpoints) + 2) + 8 + 8 + 4 + 2
    )  # loss, gradient norm and accuracy; final and best loss; start, steps, cell, how it ended
    assert "3,000 runs" in str(plan)


def test_an_identity_follows_the_settings(moons):
    options = {"problem": moons, "steps": 5, "batch": 16}
    first = gd.Sweep(optimizer=gd.Adam(lr=[0.1, 0.2]), starts=3, **options).plan().identities
    assert gd.Sweep(optimizer=gd.Adam(lr=[0.2, 0.1, 0.3]), starts=9, **options).plan().identities[:2] == first[::-1]
    for change in ({"seed": 1}, {"steps": 6}, {"init": "he"}, {"shuffle": "once"}, {"dtype": "float64"}, {"stop": [gd.Target(0.1)]}):
        assert not set(gd.Sweep(optimizer=gd.Adam(lr=[0.1, 0.2]), **{**options, **change}).plan().identities) & set(first)
    assert gd.Sweep(optimizer=gd.Adam(lr=[0.1, 0.2]), record=gd.Record(every=1), **options).plan().identities == first


def test_initial_points_may_be_given(moons):
    points = np.random.default_rng(0).normal(size=(3, moons.parameter_count)).astype(np.float32)
    result = gd.Sweep(problem=moons, optimizer=gd.SGD(lr=0.0), init=points, starts=3, steps=1, record=gd.Record(parameters=True)).run()
    assert (result.parameters.values == points).all()


def test_progress_is_told(moons):
    states = []
    result = gd.Sweep(problem=moons, optimizer=gd.SGD(lr=[0.1, 1e9]), starts=20, steps=5).run(progress=states.append)
    assert states[-1].runs_done == states[-1].runs == 40
    assert states[-1].run_steps_done == result.steps_taken.sum() < 40 * 5
    assert states[-1].diverged == (result.status == "diverged").sum() > 0
    assert [s.runs_done for s in states] == sorted(s.runs_done for s in states)


def test_figures_of_any_result(moons):
    from gdsim.plots import convergence_bands

    for optimizers in (gd.SGD(lr=1e9), [gd.SGD(lr=[0.1, 1e9]), gd.Adam(lr=gd.logspace(1e-3, 1, 9))]):
        figure = convergence_bands(gd.Sweep(problem=moons, optimizer=optimizers, starts=3, steps=8).run())
        figure.canvas.draw()
        assert "loss" in figure.get_supylabel() + "".join(a.get_ylabel() for a in figure.axes)


def test_a_batch_of_many_blocks_is_a_run_like_any_other(moons):
    sweep = gd.Sweep(problem=moons, optimizer=gd.Adam(lr=0.1), batch=150, drop_last=False, steps=7, starts=3, record=gd.Record(trajectory=True))
    assert same_results(sweep.run(lanes=8), sweep.run()) == []
