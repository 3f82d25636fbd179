"""When runs end, by every stop, beside what their recorded paths say; and lanes that refill without a
trace.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.kernels.stop_tests import CYCLING, EPOCH_PLATEAU, SMALL_STEP, STOP_TESTS
from tests.helpers import same_bits

EVERY = gd.Record(every=1, trajectory=True, parameters=True)


@pytest.fixture(scope="module")
def moons():
    return gd.datasets.load("moons", validation=0.4, seed=1)


def first(mask):
    """The first place where something holds, or None."""
    places = np.flatnonzero(mask)
    return int(places[0]) if len(places) else None


def check_ends(result, free, ends, status, reason):
    """Runs end where their own free paths say, as the free paths were there."""
    last = free.sizes["checkpoint"] - 1
    assert any(e is not None for e in ends)
    for run, end in enumerate(ends):
        expected = last if end is None else end
        assert int(result.steps_taken[run]) == expected
        assert str(result.status.values[run]) == ("budget" if end is None else status)
        assert str(result.reason.values[run]) == ("budget" if end is None else reason)
        assert same_bits(result.parameters.values[run], free.trajectory.values[run, expected])
        assert float(result.final_loss[run]) == float(free.loss[run, expected])
        for curve in ("loss", "gradient_norm", "trajectory"):  # the row of a checkpoint where a run ends, and none later
            assert same_bits(result[curve].values[run, : expected + 1], free[curve].values[run, : expected + 1])
            assert np.isnan(result[curve].values[run, expected + 1 :]).all()


RULES = {"SGD": gd.SGD(lr=[0.0003, 0.001]), "Nesterov": gd.Nesterov(lr=[0.0001, 0.0003], momentum=0.7), "Adam": gd.Adam(lr=[0.01, 0.1])}


@pytest.mark.parametrize("rule", RULES)
def test_a_small_gradient_ends_a_run(rule):
    options = {"problem": gd.functions.Himmelblau(), "optimizer": RULES[rule], "starts": 20, "steps": 400, "record": EVERY}
    free = gd.Sweep(**options).run()
    result = gd.Sweep(stop=[gd.SmallGradient(0.05)], **options).run()
    largest = abs(options["problem"].gradient(free.trajectory.values)).max(-1)
    ends = [first(row <= 0.05 * (1 + abs(loss))) for row, loss in zip(largest, free.loss.values, strict=True)]
    check_ends(result, free, ends, "converged", "SmallGradient")


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("rule", RULES)
def test_small_steps_end_a_run(rule, times):
    options = {"problem": gd.functions.Himmelblau(), "optimizer": RULES[rule], "starts": 20, "steps": 400, "record": EVERY}
    free = gd.Sweep(**options).run()
    result = gd.Sweep(stop=[gd.SmallStep(1e-3, times=times)], **options).run()
    path = free.trajectory.values
    moved = np.linalg.norm(np.diff(path, axis=1), axis=-1) <= 1e-3 * (1 + np.linalg.norm(path[:, 1:], axis=-1))
    ends = []
    for row in moved:
        runs = [all(row[t - k] for k in range(times)) if t >= times - 1 else False for t in range(len(row))]
        found = first(np.array(runs))
        ends.append(None if found is None else found + 1)
    check_ends(result, free, ends, "converged", "SmallStep")


def test_a_share_of_the_first_loss_ends_a_run():
    options = {"problem": gd.functions.Himmelblau(), "optimizer": gd.SGD(lr=[0.0003, 0.001, 0.3]), "starts": 20, "steps": 60, "record": EVERY}
    free = gd.Sweep(**options).run()
    result = gd.Sweep(stop=[gd.RelativeTarget(0.1)], **options).run()
    loss = free.loss.values[free.status.values != "diverged"]
    ends = [first(row <= 0.1 * row[0]) for row in loss]
    assert None in ends
    check_ends(result.isel(run=free.status.values != "diverged"), free.isel(run=free.status.values != "diverged"), ends, "converged", "RelativeTarget")
    assert (result.status.values == "diverged").sum() == (free.status.values == "diverged").sum() > 0
    ranked = gd.table(result)
    met = np.array([np.inf if e is None else e for e in ends]).reshape(20, -1)  # [start, cell] without the cell that diverges
    assert ranked.attrs["ranked_by"] == "steps to 0.1 of the first loss"
    assert ranked["median"][[0, 1]].tolist() == [float(np.sort(column)[9]) for column in met.T]
    assert ranked.index[0] == int(np.argmin([np.sort(column)[9] for column in met.T]))


def test_several_targets_say_when_each_was_met():
    options = {"problem": gd.functions.Booth(), "optimizer": gd.SGD(lr=[0.01, 0.05]), "starts": 10, "steps": 60, "record": EVERY}
    free = gd.Sweep(**options).run()
    result = gd.Sweep(stop=[gd.Target([10.0, 1.0, 0.1])], **options).run()
    for run in range(20):
        met = [first(free.loss.values[run] <= v) for v in (10.0, 1.0, 0.1)]
        assert result.target_step.values[run].tolist() == [-1 if m is None else m for m in met]
    check_ends(result, free, [first(row <= 0.1) for row in free.loss.values], "converged", "Target")


def test_validation_stops_a_run_and_keeps_its_best_weights(moons):
    problem = gd.MLP(moons, hidden=[16], activation="tanh")
    options = {"problem": problem, "optimizer": gd.Adam(lr=[0.05, 0.2]), "starts": 6, "steps": 300, "batch": 8}
    free = gd.Sweep(record=gd.Record(every=10, trajectory=True), **options).run()
    result = gd.Sweep(stop=[gd.Validation(patience=4, every=10)], record=gd.Record(every=10, parameters=True), **options).run()
    ended = 0
    for run in range(12):
        best, waited, place, end = np.inf, 0, 0, None
        for k, loss in enumerate(free.validation_loss.values[run]):
            if loss < best:
                best, waited, place = loss, 0, k
            else:
                waited += 1
            if waited >= 4 and end is None:
                end = k
                break
        assert str(result.status.values[run]) == ("budget" if end is None else "stopped")
        assert int(result.steps_taken[run]) == (300 if end is None else 10 * end)
        assert same_bits(result.best_parameters.values[run], free.trajectory.values[run, place])
        assert same_bits(result.parameters.values[run], free.trajectory.values[run, 30 if end is None else end])
        ended += end is not None
    assert ended > 3


@pytest.mark.full
def test_a_plateau_stalls_a_run_by_looks_of_its_own(moons):
    options = {"problem": gd.MLP(moons, hidden=[4]), "optimizer": gd.SGD(lr=[0.5, 3.0]), "starts": 6, "steps": 400, "batch": 16}
    free = gd.Sweep(record=gd.Record(every=20, trajectory=True), **options).run()
    result = gd.Sweep(stop=[gd.Plateau(patience=3, tolerance=0.01, every=20)], record=gd.Record(every=20, parameters=True), **options).run()
    for run in range(12):
        best, waited, end = np.float32(np.inf), 0, None
        for k, loss in enumerate(free.loss.values[run]):
            if loss < best - (np.float32(0.01) * abs(best) if np.isfinite(best) else 0):
                best, waited = loss, 0
            else:
                waited += 1
            if waited >= 3:
                end = k
                break
        assert str(result.status.values[run]) == ("budget" if end is None else "stalled")
        assert int(result.steps_taken[run]) == (400 if end is None else 20 * end)


def test_means_of_batches_cost_no_pass_and_are_the_losses_before_each_step(moons):
    """With all samples in a batch they are the losses at the checkpoints; the penalty is in both."""
    options = {"problem": gd.MLP(moons, hidden=[4], l2=0.1), "optimizer": gd.Adam(lr=[0.01, 0.1], convention="torch"), "starts": 3, "steps": 30}
    result = gd.Sweep(stop=[gd.Plateau(31, batches=True)], record=gd.Record(every=1), **options).run()
    np.testing.assert_allclose(result.epoch_loss.values, result.loss.values[:, :-1], rtol=2e-6)
    with pytest.raises(ValueError, match=r"looks once an epoch; leave every=3 out"):
        gd.Plateau(batches=True, every=3)
    with pytest.raises(ValueError, match=r"goes with gd\.MLP, and Booth was given"):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), stop=[gd.Plateau(batches=True)])


@pytest.mark.full
def test_means_of_batches_are_the_same_at_any_width_in_folders_and_going_on(moons, tmp_path):
    problem = gd.MLP(moons, hidden=[4], activation="tanh", l2=0.01)
    options = {"problem": problem, "optimizer": gd.Momentum(lr=[0.03, 0.3]), "starts": 5, "batch": gd.grid(16, 40), "drop_last": False, "seed": 4}
    epochs = {16: 10, 40: 4}
    sweep = lambda steps, stop=41: gd.Sweep(stop=[gd.Plateau(stop, 0.01, batches=True)], record=gd.Record(every=20, state=True), steps=steps, **options)  # noqa: E731
    whole = sweep(80).run()
    for batch, epoch in epochs.items():
        losses = whole.epoch_loss.values[whole.batch.values == batch]
        assert np.isfinite(losses).sum(1).tolist() == [-(-80 // epoch)] * 10
    assert same_bits(sweep(80).run(lanes=1).epoch_loss.values, whole.epoch_loss.values)
    sweep(40).run(out=tmp_path / "folder")
    assert same_bits(sweep(80).run(out=tmp_path / "folder").load().epoch_loss.values, whole.epoch_loss.values)
    more = gd.continue_from(sweep(40).run(), steps=40)
    for batch, epoch in epochs.items():
        chosen, before = whole.batch.values == batch, 40 // epoch
        assert same_bits(more.epoch_loss.values[chosen][:, : 80 // epoch - before], whole.epoch_loss.values[chosen][:, before : 80 // epoch])
    with pytest.raises(ValueError, match=r"of an older version, goes on .* after whole epochs, of 10 steps here, and the runs have 28"):
        gd.continue_from(sweep(28).run().drop_vars("state_epoch_total"), steps=12)
    ended = sweep(80, stop=1).run()
    assert "Plateau" in ended.reason.values
    for row, free, taken, batch in zip(ended.epoch_loss.values, whole.epoch_loss.values, ended.steps_taken.values, ended.batch.values, strict=True):
        seen = int(taken) // epochs[batch]
        assert same_bits(row[:seen], free[:seen])
        assert np.isnan(row[seen + 1 :]).all()
    at_checkpoints = ended.sel(run=ended.steps_taken.values % 20 == 0)
    assert (at_checkpoints.reason == "Plateau").any()
    assert (
        at_checkpoints.loss.values[np.arange(at_checkpoints.sizes["run"]), at_checkpoints.steps_taken.values // 20].tolist()
        == at_checkpoints.final_loss.values.tolist()
    )


@pytest.mark.full
def test_means_of_batches_of_a_written_out_network():
    """Thousands of tiny networks have a kernel of their own, and a few of them the common one."""
    options = {"problem": gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="tanh", l2=0.01), "optimizer": gd.Momentum(lr=0.1), "batch": 2, "steps": 100}
    many = gd.Sweep(starts=10_000, stop=[gd.Plateau(51, batches=True)], record=gd.Record(every="ends"), **options)
    assert same_bits(many.run(runs=[17, 4000]).epoch_loss.values, many.run().epoch_loss.values[[17, 4000]])


def test_a_run_that_cycles_is_stalled():
    """At twice the inverse of its curvature gradient descent goes to and fro for ever; at less it
    converges.
    """
    result = gd.Sweep(problem=gd.Quadratic([[1.0]]), optimizer=gd.SGD(lr=[2.0, 0.5]), init=gd.Normal(1.0), starts=3, steps=50, stop=[gd.Cycling()]).run()
    assert result.status.values.tolist() == ["stalled", "budget"] * 3
    assert (result.steps_taken.values[::2] <= 6).all()
    at_end = [row[result.step.values == taken][0] for row, taken in zip(result.loss.values, result.steps_taken.values, strict=True)]
    assert at_end == result.final_loss.values.tolist()


def test_with_a_cyclic_rate_small_steps_are_looked_for_at_the_ends_of_cycles():
    options = {"problem": gd.functions.Booth(), "optimizer": gd.SGD(lr=0.02), "schedule": gd.Cosine(cycle=[10, 16]), "starts": 4, "steps": 200}
    result = gd.Sweep(stop=[gd.SmallStep(1e-4)], **options).run()
    assert set(result.status.values.tolist()) == {"converged"}
    assert (result.steps_taken.values % result.cycle.values == 0).all()
    looked = gd.Sweep(stop=[gd.Plateau(patience=2, tolerance=0.9)], schedule=gd.SGDR(cycle=4), **{k: v for k, v in options.items() if k != "schedule"}).run()
    assert set(looked.steps_taken.values.tolist()) <= {4, 12, 28, 60, 124, 200}
    assert set(looked.status.values[looked.steps_taken.values < 200].tolist()) == {"stalled"}


@pytest.mark.full
def test_a_look_of_validation_where_another_stop_ends_a_run_counts(moons):
    """So large a tolerance calls every step small, and the seventh ends the run."""
    options = {"problem": gd.MLP(moons, hidden=[4]), "optimizer": gd.SGD(lr=0.1), "starts": 6, "steps": 20}
    free = gd.Sweep(record=gd.Record(every=7), **options).run().validation_loss.values[:, :2]
    result = gd.Sweep(stop=[gd.SmallStep(100.0, times=7), gd.Validation(50, every=7)], record=gd.Record(every="ends"), **options).run()
    assert (result.steps_taken.values == 7).all()
    assert free.argmin(1).any()
    assert result.best_validation_step.values.tolist() == (7 * free.argmin(1)).tolist()
    assert same_bits(result.best_validation_loss.values, free.min(1))


def test_one_of_each_stop_and_a_validation_set_where_it_is_needed(moons):
    options = {"problem": gd.functions.Booth(), "optimizer": gd.SGD()}
    with pytest.raises(ValueError, match=r"2 stops of the kind Target.*one with a list of losses"):
        gd.Sweep(stop=[gd.Target(1.0), gd.Target(2.0)], **options)
    with pytest.raises(ValueError, match=r"gd\.Validation needs a validation set"):
        gd.Sweep(stop=[gd.Validation(5)], **options)
    with pytest.raises(ValueError, match=r"SmallGradient.tolerance must be a finite number in \(0"):
        gd.SmallGradient(-1.0)


def test_every_stop_that_no_look_tests_is_one_that_lanes_or_what_they_know_test():
    """Another kind would end no run."""
    untested = {kind for kind, row in enumerate(STOP_TESTS.values()) if row.test is None}
    assert untested == {SMALL_STEP, CYCLING, EPOCH_PLATEAU}


@pytest.mark.parametrize("kind", ["function", pytest.param("network", marks=pytest.mark.full), pytest.param("quadratic", marks=pytest.mark.slow)])
def test_refilling_leaves_no_trace(kind, moons):
    """Runs of very different lengths, by all stops at once: the same bits at every width, alone, and in
    another order of batches.
    """
    stops = [gd.Target(0.3), gd.SmallStep(1e-5), gd.SmallGradient(1e-4, every=7)]
    if kind == "function":
        options = {"problem": gd.functions.Himmelblau(), "optimizer": gd.SGD(lr=gd.logspace(1e-5, 1e-2, 12)), "starts": 9, "steps": 2000}
    elif kind == "quadratic":
        options = {
            "problem": gd.Quadratic(np.diag([1.0, 3.0, 9.0])),
            "optimizer": gd.Momentum(lr=gd.logspace(1e-3, 0.3, 6)),
            "starts": 5,
            "steps": 500,
            "init": gd.Normal(2),
        }
    else:
        stops = [gd.Validation(3, every=9), gd.Target(0.25, every=5), gd.Plateau(4, every=10)]
        options = {"problem": gd.MLP(moons, hidden=[5]), "optimizer": gd.Adam(lr=gd.logspace(1e-3, 0.3, 6)), "starts": 5, "steps": 300, "batch": 8}
    record = gd.Record(every="log", parameters=True)
    whole = gd.Sweep(stop=stops, record=record, **options).run()
    assert len(set(whole.steps_taken.values.tolist())) > 5
    for lanes, threads in ((1, 1), (8, 2), (64, 1)):
        other = gd.Sweep(stop=stops, record=record, **options).run(lanes=lanes, threads=threads)
        assert [n for n in whole.data_vars if not same_bits(whole[n].values, other[n].values) and whole[n].dtype.kind != "U"] == []
        assert whole.reason.values.tolist() == other.reason.values.tolist()
    some = gd.Sweep(stop=stops, record=record, **options).run(runs=[3, 17, 20])
    assert same_bits(some.parameters.values, whole.parameters.values[[3, 17, 20]])


def test_lanes_are_hardly_ever_idle():
    """Lengths spread over a factor of 100, 64 runs per lane: at least 85% of lane-steps are of runs that go
    on.
    """
    from gdsim.population import train_batch
    from gdsim.sweep.experiment.cells import cells_of

    curvature = np.diag([1.0])
    rates = gd.logspace(1e-3, 1e-1, 64)  # the steps to the target go with 1/rate
    sweep = gd.Sweep(problem=gd.Quadratic(curvature), optimizer=gd.SGD(lr=rates), init=np.ones((16, 1)), starts=16, steps=100_000, stop=[gd.Target(1e-6)],
                     record=gd.Record(every="ends"))  # fmt: skip
    plan = sweep.plan(lanes=16)
    trained = train_batch(sweep.setting(cells_of(sweep)[0]), plan.batch_of(plan.chunks[0]), 16)
    lengths = trained.columns["steps_taken"]
    assert lengths.max() > 90 * lengths.min()
    assert trained.used_steps == lengths.sum()
    assert trained.lane_steps < lengths.sum() / 0.85
