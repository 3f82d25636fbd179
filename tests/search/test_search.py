"""Adaptive search: the published schedules of rungs, survivors with the bits of runs that never paused,
Optuna.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim import search
from tests.helpers import same_bits

XOR = gd.datasets.load("xor")


def sweep_of(cells=9, steps=90, **options):
    """A sweep over learning rates."""
    given = {"problem": gd.functions.Rosenbrock(), "optimizer": gd.Adam(lr=gd.logspace(1e-4, 1.0, cells)), "starts": 7, "steps": steps}
    return gd.Sweep(**{**given, **options})


def scores_of(sweep, steps):
    """The median final losses of a sweep's cells after so many steps."""
    import msgspec

    result = msgspec.structs.replace(sweep, steps=steps).run()
    loss = np.where(result.status.values == "diverged", np.inf, result.final_loss.values)
    return np.sort(loss.reshape(sweep.starts, -1), axis=0)[(sweep.starts - 1) // 2]


def test_halving_keeps_the_best_third_and_its_bits():
    sweep = sweep_of(27, 270)
    found = search.successive_halving(sweep)
    assert found.history.steps.values.tolist() == [10, 30, 90, 270]
    alive = np.arange(27)
    for rung, steps in enumerate((10, 30, 90, 270)):
        expected = scores_of(sweep, steps)
        trained = np.flatnonzero(~np.isnan(found.history.score.values[:, rung]))
        assert trained.tolist() == sorted(alive.tolist())
        assert np.array_equal(found.history.score.values[trained, rung], expected[trained])
        alive = sorted(alive, key=lambda c: (expected[c], c))[: max(1, len(alive) // 3)]
        alive = np.array(alive)
    whole = sweep.run(runs=found.result.run.values)
    for name in ("final_loss", "steps_taken"):
        assert same_bits(found.result[name].values, whole[name].values)
    assert found.history.attrs["run_steps"] == 7 * (27 * 10 + 9 * 20 + 3 * 60 + 180)
    assert found.history.attrs["best"] == found.result.cell.values[0]


@pytest.mark.full
@pytest.mark.parametrize("how", [search.successive_halving, search.hyperband, search.asha])
def test_survivors_on_mini_batches_with_schedules_and_stops_never_notice_the_pause(how):
    sweep = gd.Sweep(
        problem=gd.MLP(gd.datasets.load("moons"), hidden=[4], activation="tanh", loss="log_loss"), optimizer=[gd.SGD(lr=[0.01, 0.1, 1.0]), gd.Adam(lr=[0.001, 0.01, 0.1])],
        schedule=gd.Cosine(cycle=25), starts=4, steps=81, batch=16, stop=[gd.Plateau(patience=2, every=20)],
    )  # fmt: skip
    found = how(sweep, smallest=27)
    assert found.result.sizes["run"] >= 4
    whole = sweep.run()
    for run in found.result.run.values:
        for name in ("final_loss", "steps_taken"):
            assert same_bits(found.result[name].sel(run=run).values, whole[name].sel(run=run).values)
        assert str(found.result.status.sel(run=run).values) == str(whole.status.sel(run=run).values)


def test_hyperband_has_the_brackets_of_its_paper():
    found = search.hyperband(sweep_of(200, 81), eta=3)
    score = found.history.score.values
    assert found.history.steps.values.tolist() == [1, 3, 9, 27, 81]
    assert np.sum(~np.isnan(score[:, 0])) == 81  # the widest bracket; Table 1 of Li et al. 2018
    assert np.sum(~np.isnan(score[:, 4])) >= 5
    again = search.hyperband(sweep_of(200, 81), eta=3)
    assert again.history.identical(found.history)
    assert not search.hyperband(sweep_of(200, 81), eta=3, seed=1).history.identical(found.history)


def test_asha_promotes_the_best_third_of_each_rung():
    sweep = sweep_of(30, 90)
    found = search.asha(sweep, smallest=10, batch=5)
    score = found.history.score.values
    assert (~np.isnan(score[:, 0])).all()
    for rung in range(2):
        there = np.flatnonzero(~np.isnan(score[:, rung]))
        final = sorted(there, key=lambda c: (score[c, rung], c))[: len(there) // 3]
        assert set(final) <= set(np.flatnonzero(~np.isnan(score[:, rung + 1])))
    assert np.array_equal(score[:, 0], scores_of(sweep, 10))


def test_diverged_cells_are_the_first_to_go():
    found = search.successive_halving(sweep_of(9, 90, optimizer=gd.SGD(lr=gd.logspace(1e-3, 1e3, 9))))
    assert np.isinf(found.history.score.values[:, 0]).any()
    assert np.isfinite(found.history.score.values[found.history.attrs["best"], -1])


def test_what_cannot_be_searched_says_why():
    with pytest.raises(TypeError, match=r"takes a gd\.Sweep"):
        search.asha(XOR)
    with pytest.raises(ValueError, match="steps="):
        search.hyperband(gd.Sweep(problem=gd.MLP(XOR, hidden=[2]), optimizer=gd.SGD(), samples=400))
    with pytest.raises(ValueError, match="eta"):
        search.successive_halving(sweep_of(), eta=1)


def test_optuna_is_told_the_losses_of_its_trials():
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install -e '.[optuna]'")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
    space = {"lr": optuna.distributions.FloatDistribution(1e-4, 10.0, log=True), "momentum": optuna.distributions.CategoricalDistribution([0.0, 0.9])}
    sweep = gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.Momentum(), starts=5, steps=100)
    search.tell_batches(study, sweep, space, batches=3, batch=10)
    assert len(study.trials) == 30
    for trial in study.trials:
        alone = gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.Momentum(**trial.params), starts=5, steps=100)
        assert trial.value == scores_of(alone, 100)[0]
    assert any(np.isinf(t.value) for t in study.trials)
    with pytest.raises(ValueError, match="one optimizer without axes"):
        search.tell_batches(study, sweep_of(), space)
    with pytest.raises(ValueError, match="direction='minimize'"):
        search.tell_batches(optuna.create_study(direction="maximize"), sweep, space)


def test_cells_go_up_by_what_ranks():
    options = {"optimizer": gd.Adam(lr=gd.logspace(1e-3, 1.0, 9)), "steps": 270}
    sweep = sweep_of(stop=[gd.Target(0.5)], **options)
    found = search.successive_halving(sweep, smallest=30)
    assert found.history.attrs["ranked_by"] == "steps to loss 0.5"
    whole = sweep.run()
    times = np.where(whole.status.values == "converged", whole.steps_taken.values, np.inf).reshape(7, 9)
    medians = np.quantile(times, 0.5, axis=0, method="inverted_cdf")
    for rung, steps in enumerate(found.history.steps.values):
        known = ~np.isnan(found.history.score.values[:, rung])
        assert np.array_equal(found.history.score.values[known, rung], np.where(medians <= steps, medians, np.inf)[known])
    assert medians[found.history.attrs["best"]] == medians.min()
    own = search.successive_halving(sweep_of(**options), smallest=30, variable="best_loss")
    lowest = np.quantile(sweep_of(**options).run().best_loss.values.reshape(7, 9), 0.5, axis=0, method="inverted_cdf")
    score = own.history.score.values[:, -1]
    assert (score[~np.isnan(score)] >= 0.999 * lowest[~np.isnan(score)]).all()  # checkpoints lie otherwise
    assert own.history.attrs["ranked_by"] == "best loss"
