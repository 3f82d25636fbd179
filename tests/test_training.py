"""Whole training runs against PyTorch with the same starts and orders; how runs end; what is recorded."""

import itertools

import numpy as np
import pytest
from scipy import stats

import gdsim as gd
from gdsim.population.samples import sample_order
from tests.helpers import same_bits, torch_loss, torch_tensors


@pytest.fixture(scope="module")
def digits():
    return gd.datasets.load("digits", validation=0.2, seed=0)


@pytest.mark.parametrize(("name", "rate"), [("Adam", 0.003), pytest.param("Momentum", 0.05, marks=pytest.mark.full)])
def test_digits_train_as_in_pytorch(torch, digits, name, rate):
    """Losses agree within 1e-4 after 200 steps of mini-batches, from the same starts with the same sample
    orders.
    """
    problem = gd.MLP(digits, hidden=[32])
    rule = getattr(gd, name)(lr=rate, convention="torch")
    sweep = gd.Sweep(problem=problem, optimizer=rule, starts=2, steps=200, batch=32, record=gd.Record(every=100, trajectory=True))
    result = sweep.run()
    X, y = torch_tensors(torch, digits, torch.float32)
    for start in range(2):
        vector = torch.tensor(result.trajectory.values[start, 0], requires_grad=True)
        make = {"Adam": torch.optim.Adam, "Momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)}[name]
        optimizer = make([vector], lr=rate)
        for samples in sweep.order(start):
            optimizer.zero_grad()
            torch_loss(torch, problem, vector, X[samples], y[samples]).backward()
            optimizer.step()
        assert float(result.final_loss[start]) == pytest.approx(torch_loss(torch, problem, vector, X, y).item(), abs=1e-4)


@pytest.mark.parametrize("drop_last", [True, False])
def test_an_epoch_shows_every_sample_once(drop_last):
    sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("moons")), optimizer=gd.SGD(), starts=5, steps=26, batch=30, drop_last=drop_last)
    order = sweep.order(3)
    per_epoch = 8 if drop_last else 9
    epochs = [order[:per_epoch], order[per_epoch : 2 * per_epoch]]
    for epoch in epochs:
        seen = epoch[epoch >= 0]
        assert len(set(seen.tolist())) == len(seen) == (240 if drop_last else 256)
    assert (epochs[0] != epochs[1]).any()
    assert (order != sweep.order(4)).any()


def test_shuffling_once_repeats_and_replacement_draws_freely():
    options = {"problem": gd.MLP(gd.datasets.load("moons")), "optimizer": gd.SGD(), "steps": 80, "batch": 32}
    once = gd.Sweep(shuffle="once", **options).order(0)
    assert (once[:8] == once[8:16]).all()
    free = gd.Sweep(shuffle="replacement", **options).order(0)
    assert len(np.unique(free[:8])) < 256
    assert abs(np.bincount(free.ravel(), minlength=256) - 10).max() < 20
    assert gd.Sweep(**{**options, "batch": None, "steps": 2}).order(0).tolist() == [list(range(256))] * 2


@pytest.mark.parametrize("shuffle", ["epoch", "replacement"])
def test_replicas_of_a_run_draw_samples_of_their_own(shuffle):
    """The first draws those of the run; cells of 16 x 16 of the samples of two replicas at one place are as
    likely.
    """
    sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("moons")), optimizer=gd.SGD(), starts=4, steps=800, batch=32, shuffle=shuffle)
    setting = sweep.plan().groups[0].setting
    orders = [sample_order(setting, 3, replica) for replica in range(3)]
    assert (orders[0] == sweep.order(3)).all()
    for a, b in itertools.combinations(orders, 2):
        assert stats.chisquare(np.bincount((a // 16 * 16 + b // 16).ravel(), minlength=256)).pvalue > 1e-4


@pytest.mark.full
def test_a_short_last_batch_trains_as_in_pytorch(torch):
    data = gd.datasets.load("moons")
    problem = gd.MLP(data, hidden=[4], activation="tanh")
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.5), steps=9, batch=30, drop_last=False, dtype="float64", record=gd.Record(every=1, trajectory=True))
    path = sweep.run().trajectory.values[0]
    X, y = torch_tensors(torch, data, torch.float64)
    vector = torch.tensor(path[0], requires_grad=True)
    for samples in sweep.order(0):
        chosen = samples[samples >= 0]
        (gradient,) = torch.autograd.grad(torch_loss(torch, problem, vector, X[chosen], y[chosen]), vector)
        vector = (vector - 0.5 * gradient).detach().requires_grad_()
    assert abs(path[-1] - vector.detach().numpy()).max() < 1e-13


@pytest.mark.parametrize("rule", [gd.SGD(lr=2.0), pytest.param(gd.Nesterov(lr=0.5), marks=pytest.mark.full)], ids=["in the kernel", "between steps"])
def test_a_target_ends_a_run_at_the_first_step_that_reaches_it(rule):
    problem = gd.MLP(gd.datasets.load("xor"), hidden=[4], activation="tanh")
    options = {"problem": problem, "optimizer": rule, "starts": 6, "steps": 300, "dtype": "float64", "init": gd.Normal(1.0)}
    free = gd.Sweep(record=gd.Record(every=1), **options).run().loss.values
    result = gd.Sweep(stop=[gd.Target(0.1)], record=gd.Record(every=1, parameters=True), **options).run()
    for run in range(6):
        below = np.flatnonzero(free[run] <= 0.1)
        assert str(result.status.values[run]) == ("converged" if len(below) else "budget")
        assert int(result.steps_taken[run]) == (below[0] if len(below) else 300)
        taken = int(result.steps_taken[run])
        assert float(result.final_loss[run]) == free[run, taken]
        assert np.isnan(result.loss.values[run, taken + 1 :]).all()
        assert float(result.best_loss[run]) == free[run, : taken + 1].min()
    assert result.reason.values.tolist().count("Target") == (result.status.values == "converged").sum() > 0


@pytest.mark.full
def test_a_target_with_batches_is_looked_at_once_an_epoch(digits):
    options = {"problem": gd.MLP(digits, hidden=[32]), "optimizer": gd.Adam(lr=0.01), "steps": 500, "batch": 32}
    result = gd.Sweep(stop=[gd.Target(0.1)], **options).run()
    epoch = len(digits.X) // 32
    assert int(result.steps_taken[0]) % epoch == 0
    assert float(result.final_loss[0]) <= 0.1
    often = gd.Sweep(stop=[gd.Target(0.1, every=7)], **options).run()
    assert int(often.steps_taken[0]) % 7 == 0


@pytest.mark.full
def test_a_run_that_overflows_is_a_result_and_its_neighbours_keep_their_bits(digits):
    problem = gd.MLP(digits, hidden=[8], loss="squared_error")
    calm = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=[0.001, 0.002]), starts=4, steps=50, batch=16, record=gd.Record(parameters=True))
    wild = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=[0.001, 1e30, 10.0, 0.002]), starts=4, steps=50, batch=16, record=gd.Record(parameters=True))
    quiet, loud = calm.run(), wild.run()
    for cell, other in ((0, 0), (1, 3)):
        assert same_bits(quiet.parameters.values[cell::2], loud.parameters.values[other::4])
        assert same_bits(quiet.loss.values[cell::2], loud.loss.values[other::4])
    lost = loud.isel(run=(loud.cell.values == 1) | (loud.cell.values == 2))
    assert set(lost.status.values.tolist()) == {"diverged"}
    assert set(lost.reason.values.tolist()) == {"Diverged"}
    assert (lost.steps_taken.values >= 1).all()
    assert (lost.steps_taken.values < 50).all()
    assert np.isfinite(lost.final_loss.values).all()


@pytest.mark.full
def test_a_run_whose_last_step_overflows_has_diverged():
    """The weights after the last step are finite, their loss is not."""
    problem = gd.MLP(gd.Data([[1e20], [2e20]], [0.0, 1.0]), hidden=[], loss="squared_error")
    points = np.array([[1e-20, 0.0]])
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=1e-20), init=points, steps=1).run()
    assert str(result.status.values[0]) == "diverged"
    assert int(result.steps_taken[0]) == 1
    assert float(result.final_loss[0]) == float(result.loss[0, 0])


def test_recording_changes_nothing(digits):
    options = {"problem": gd.MLP(digits, hidden=[8]), "optimizer": gd.Adam(lr=0.01), "steps": 40, "batch": 32, "starts": 3}
    much = gd.Sweep(record=gd.Record(every=1, parameters=True, trajectory=True, parameter_norm=True), **options).run()
    little = gd.Sweep(record=gd.Record(every="ends", parameters=True, gradient_norm=False), **options).run()
    assert same_bits(much.parameters.values, little.parameters.values)
    assert same_bits(much.final_loss.values, little.final_loss.values)
    assert {"gradient_norm", "parameter_norm"}.isdisjoint(little)
    norms = np.linalg.norm(much.trajectory.values.astype(np.float64), axis=-1)
    assert np.allclose(much.parameter_norm.values, norms, rtol=1e-7, atol=0)
    assert little.step.values.tolist() == [0, 40]
    assert same_bits(much.trajectory.values[:, -1], much.parameters.values)


@pytest.mark.full
def test_the_state_of_a_run_is_what_its_rule_keeps(digits):
    """Momentum's velocity is its last step; Nesterov's weights and velocity give the point that it
    reports.
    """
    options = {"problem": gd.MLP(digits, hidden=[4]), "steps": 12, "batch": 32, "starts": 3, "record": gd.Record(every=1, trajectory=True, state=True)}
    result = gd.Sweep(optimizer=[gd.Momentum(lr=0.05), gd.Nesterov(lr=0.05), gd.Adam()], **options).run()
    momentum, nesterov, adam = (result.isel(run=result.optimizer.values == n) for n in ("Momentum", "Nesterov", "Adam"))
    path = momentum.trajectory.values
    assert same_bits(path[:, -2] - momentum.state_velocity.values, path[:, -1])
    assert same_bits(momentum.state_weights.values, path[:, -1])
    ahead = nesterov.state_weights.values + np.float32(0.9) * nesterov.state_velocity.values
    assert np.allclose(ahead, nesterov.trajectory.values[:, -1], rtol=1e-6, atol=1e-7)
    assert adam.state_bias_correction1.values == pytest.approx(1 - 0.9**12, rel=1e-6)
    assert np.isfinite(adam.state_square.values).all()
    assert np.isnan(momentum.state_square.values).all()
    assert result.state_velocity.attrs["long_name"]


def test_zeros_never_leave_the_symmetric_subspace(digits):
    """All hidden units of a network that starts at zero stay alike."""
    problem = gd.MLP(digits, hidden=[4], activation="tanh")
    result = gd.Sweep(problem=problem, optimizer=gd.Adam(lr=0.01), init="zeros", steps=30, batch=32, record=gd.Record(parameters=True)).run()
    (W, b), (V, _) = problem.unpack(result.parameters.values[0])
    assert (W[0] == W).all()
    assert (b == b[0]).all()
    assert (V[:, :1] == V).all()


@pytest.mark.full
def test_evaluation_agrees_with_what_training_recorded(digits):
    problem = gd.MLP(digits, hidden=[8])
    result = gd.Sweep(problem=problem, optimizer=gd.Nesterov(lr=0.05), steps=20, batch=32, starts=3, record=gd.Record(parameters=True)).run()
    scores = gd.evaluate(problem, result.parameters)
    assert same_bits(scores.loss.values, result.final_loss.values)
    assert same_bits(scores.accuracy.values, result.accuracy.values[:, -1])
    assert same_bits(scores.gradient_norm.values, result.gradient_norm.values[:, -1])
