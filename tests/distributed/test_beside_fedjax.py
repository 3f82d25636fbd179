"""Federated averaging beside FedJAX (Ro, Suresh and Wu 2021, arXiv:2108.02117), by the batches that gdsim draws."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population.client_rounds import over_rounds
from gdsim.population.samples import sample_order

fedjax = pytest.importorskip("fedjax", reason="FedJAX is not installed: pip install -e '.[fedjax]'")
DIGITS = gd.datasets.load("digits")
CLIENTS, SAMPLED, EPOCHS, BATCH, RATE = 12, 4, 2, 16, 0.1


class Drawn:
    """A client's batches of one round, in the place of those that FedJAX would draw."""

    def __init__(self, order, samples):
        self.order, self.samples = order, samples

    def __len__(self):
        return self.samples

    def shuffle_repeat_batch(self, _):
        rows = [step[step >= 0] for step in self.order]
        return [{"x": DIGITS.X[mine].astype(np.float32), "y": DIGITS.y[mine].astype(int)} for mine in rows]


def losses_of_fedjax(jax, parameters, rounds, server):
    """[round] the loss of all samples after each round, from parameters (W, b); `rounds` are (client, batches) of its
    clients.
    """

    def loss(at, batch, _=None):
        logits = batch["x"] @ at[0].T + at[1]
        return -jax.numpy.mean(jax.nn.log_softmax(logits)[jax.numpy.arange(len(batch["y"])), batch["y"]])

    averaging = fedjax.algorithms.fed_avg.federated_averaging(jax.grad(loss), fedjax.optimizers.sgd(RATE), server, None)
    state, whole, found = averaging.init([jax.numpy.array(p, jax.numpy.float32) for p in parameters]), {"x": DIGITS.X, "y": DIGITS.y.astype(int)}, []
    for clients in rounds:
        state, _ = averaging.apply(state, [(str(k).encode(), drawn, jax.random.PRNGKey(0)) for k, drawn in clients])
        found.append(float(loss(state.params, whole)))
    return found


def rounds_of(setting, start, steps):
    """Who is in each round of a start."""
    played = []
    over_rounds(setting, np.array([start]), np.array([steps]), lambda rounds, row, step: played.append(rounds) or row)
    return played[0]


@pytest.mark.parametrize("momentum", [None, 0.5])
def test_losses_are_those_of_fedjax(momentum, monkeypatch):
    jax = pytest.importorskip("jax", reason="pip install jax")
    monkeypatch.setattr(jax, "tree_map", jax.tree_util.tree_map, raising=False)  # by its old name FedJAX calls it
    kind = gd.FederatedAveraging(
        clients=CLIENTS, sampled=SAMPLED, epochs=EPOCHS, server=momentum and gd.Momentum(lr=1.0, momentum=momentum, convention="torch")
    )  # fmt: skip
    problem = gd.LogisticRegression(DIGITS)
    sweep = gd.Sweep(
        problem=problem, optimizer=gd.SGD(lr=RATE), batch=BATCH, steps=200, distribution=kind, partition=gd.Dirichlet(1.0), starts=2, init=gd.Normal(0.01),
        record=gd.Record(every=1, trajectory=True),
    )  # fmt: skip
    result, setting = sweep.run(progress=False), sweep.plan().groups[0].setting
    for start in range(2):
        rounds = rounds_of(setting, start, 200)
        orders, given = {k: sample_order(setting._replace(steps=1000), start, k) for k in range(CLIENTS)}, []  # rounds without a client count too
        ends = rounds.ends[0][rounds.ends[0] <= 200]
        for turn, clients in enumerate(rounds.clients[0, : len(ends)]):
            steps = {k: rounds.steps[0, k] for k in clients}
            given.append([(k, Drawn(orders[k][turn * n : (turn + 1) * n], int(rounds.samples[0, k]))) for k, n in steps.items()])
        assert len(ends) > 5
        known = losses_of_fedjax(jax, problem.unpack(result.trajectory.values[start, 0])[0], given, fedjax.optimizers.sgd(1.0, momentum))
        np.testing.assert_allclose(result.loss.values[start, ends], known, rtol=1e-5)
        assert known[-1] < 0.5 * result.loss.values[start, 0]
