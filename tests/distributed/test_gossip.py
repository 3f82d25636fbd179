"""Gossip: beside the oracle's loop, and what is known exactly of consensus, stability and disagreement."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.distribution.topologies import mixing_matrices
from gdsim.population.samples import sample_order
from tests.distributed import reference_gossip as oracle
from tests.distributed.problems import lines, noisy_bowl
from tests.distributed.reference import heavy_ball

RATE, MOMENTUM, STEPS = 0.05, 0.9, 23
DIRECTED = [[0.5, 0.3, 0.2], [0.25, 0.7, 0.3], [0.25, 0.0, 0.5]]


def regression():
    rng = np.random.default_rng(0)
    return gd.Data(X := rng.normal(size=(24, 3)), X @ [1.0, -2.0, 0.5] + rng.normal(size=24))


def swept(distribution, optimizer):
    sweep = gd.Sweep(
        problem=gd.LinearRegression(regression()), optimizer=optimizer, distribution=distribution, init=gd.Normal(std=1.0), starts=3, steps=STEPS, batch=4,
        record=gd.Record(every=1, trajectory=True), dtype="float64",
    )  # fmt: skip
    return sweep, sweep.run(progress=False)


def gradients(sweep, start, workers):
    """gradient(worker, step, w) of the mean squared error of the batches that gdsim draws."""
    data = regression()
    setting = sweep.plan().groups[0].setting
    X, y = np.c_[data.X, np.ones(len(data.X))], data.y
    orders = [sample_order(setting, start, k) for k in range(workers)]

    def gradient(worker, step, w):
        rows = orders[worker][min(step, STEPS - 1)]  # trackers look at one more, which nothing here sees
        return 2 * X[rows].T @ (X[rows] @ w - y[rows]) / len(rows)

    return gradient


def assert_same(result, run, path, disagreement):
    np.testing.assert_allclose(result.trajectory[run], path, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(result.disagreement[run], disagreement, rtol=1e-10, atol=1e-15)


def apart(points, centre):
    """The mean squared distance of workers from a point, step by step."""
    return ((points - centre[:, None]) ** 2).sum(2).mean(1)


CASES = [("ring", 5, 1), ("one_peer", 6, 2), ("star", 4, 3), ("torus", 6, 1), ("exponential", 5, 1), ([[0.6, 0.4], [0.4, 0.6]], 2, 4)]


@pytest.mark.full
@pytest.mark.parametrize("order", ["combine", "adapt"])
@pytest.mark.parametrize(("topology", "workers", "period"), CASES, ids=lambda v: str(v)[:12])
def test_workers_mix_with_their_neighbours(topology, workers, period, order):
    optimizer = gd.Momentum(RATE, MOMENTUM, convention="torch")
    sweep, result = swept(gd.Gossip(workers=workers, topology=topology, period=period, order=order), optimizer)
    W = mixing_matrices(topology, workers)
    for run in range(3):
        start = result.trajectory[run, 0].values
        found = oracle.gossip(start, gradients(sweep, run, workers), heavy_ball(RATE, MOMENTUM), STEPS, lambda e: W[e % len(W)], order=order, period=period)
        assert_same(result, run, found.reported, apart(found.workers, found.reported))


@pytest.mark.full
@pytest.mark.parametrize("order", ["combine", "adapt"])
def test_gradients_are_tracked(order):
    sweep, result = swept(gd.Gossip(workers=5, tracking=True, order=order), gd.SGD(RATE))
    W = mixing_matrices("ring", 5)[0]
    for run in range(3):
        found = oracle.tracking(result.trajectory[run, 0].values, gradients(sweep, run, 5), RATE, STEPS, W, order=order)
        assert_same(result, run, found.reported, apart(found.workers, found.reported))


@pytest.mark.full
@pytest.mark.parametrize("order", ["combine", "adapt"])
def test_a_directed_matrix_pushes_shares(order):
    sweep, result = swept(gd.Gossip(workers=3, topology=DIRECTED, order=order), gd.SGD(RATE))
    P, shares = np.array(DIRECTED), [np.ones(3)]
    for _ in range(STEPS):
        shares.append(P @ shares[-1])
    assert abs(shares[-1] - 1).max() > 0.1
    for run in range(3):
        found = oracle.push_sum(result.trajectory[run, 0].values, gradients(sweep, run, 3), RATE, STEPS, lambda _: P, order=order)
        mean = (np.array(shares)[..., None] * found.workers).mean(1)
        assert_same(result, run, mean, apart(found.workers, mean))


@pytest.mark.full
def test_between_exchanges_shares_stay_and_steps_go_by_them():
    sweep, result = swept(gd.Gossip(workers=3, topology=DIRECTED, period=3, order="adapt"), gd.SGD(RATE))
    P, gradient, x, u, path = np.array(DIRECTED), gradients(sweep, 0, 3), None, np.ones((3, 1)), []
    x = np.array([result.trajectory[0, 0].values] * 3)
    for step in range(STEPS):
        x = x - RATE * np.array([gradient(k, step, x[k] / u[k]) for k in range(3)])
        if (step + 1) % 3 == 0:
            x, u = P @ x, P @ u
        path.append(x.mean(0))
    np.testing.assert_allclose(result.trajectory[0, 1:], path, rtol=1e-12)


@pytest.mark.full
def test_workers_that_see_the_same_stay_one_bit_for_bit():
    shared = {"problem": gd.functions.Rosenbrock(), "optimizer": gd.Adam(lr=0.05), "starts": 5, "steps": 40, "record": gd.Record(every=1, trajectory=True)}
    kinds = [
        gd.Gossip(workers=4, topology=gd.grid("ring", "star", "one_peer", "complete"), order=gd.grid("combine", "adapt"), period=[1, 3]),
        gd.Gossip(workers=4, tracking=True, order=gd.grid("combine", "adapt")),
        gd.Gossip(workers=1, topology="hypercube"),
    ]
    plain = gd.Sweep(**shared).run(progress=False)
    result = gd.Sweep(**shared, distribution=kinds).run(progress=False)
    assert result.sizes["run"] == 5 * 19
    for run in range(result.sizes["run"]):
        np.testing.assert_array_equal(result.trajectory[run], plain.trajectory[int(result.start[run])])
    assert float(abs(result.disagreement.fillna(0)).max()) == 0


def kicked(workers, begins, steps, **gossip):
    """Workers that stand at `begins` after the first step, and from then on only mix."""
    data = gd.Data(-np.asarray(begins, float)[:, None], np.zeros(workers))
    return gd.Sweep(
        problem=gd.Expression("w*x", variables=("w",), data=data), optimizer=gd.SGD(lr=1.0), schedule=gd.Piecewise(table=[(0, 1.0), (1, 0.0)]),
        distribution=gd.Gossip(workers=workers, **gossip), partition=np.arange(workers), init=[[0.0]], steps=steps + 1, batch=1, dtype="float64",
        record=gd.Record(every=1, trajectory=True),
    ).run(progress=False)  # fmt: skip


def test_consensus_contracts_by_the_second_eigenvalue():
    result = kicked(8, [8, *[0] * 7], 50)
    rms = np.sqrt(result.disagreement[0].values)
    np.testing.assert_allclose(rms[[2, 3, 11, 51]], [1.2909944487, 0.9362388637, 0.1610865615, 0.0000271167], rtol=1e-6)
    np.testing.assert_allclose(result.trajectory[0, 1:, 0], 1.0, rtol=1e-12)
    slowest = kicked(8, np.cos(2 * np.pi * np.arange(8) / 8), 30)
    rms = np.sqrt(slowest.disagreement[0].values)
    np.testing.assert_allclose(rms[2:] / rms[1:-1], gd.analysis.second_eigenvalue("ring", 8), rtol=1e-9)


@pytest.mark.full
def test_one_peer_agrees_after_as_many_exchanges_as_it_has_hops():
    result = kicked(8, [3, 1, 4, 1, 5, 9, 2, 6], 4, topology="one_peer", order="adapt")
    apart = result.disagreement[0].values
    assert apart[2] > 0.1
    assert apart[4] < 1e-28


@pytest.mark.full
@pytest.mark.parametrize("order", ["combine", "adapt"])
def test_tracked_gradients_find_the_optimum_of_unequal_workers_and_plain_ones_a_point_beside_it(order):
    curvatures, centres = np.array([1.0, 3.0, 0.5, 2.0]), np.array([0.0, 1.0, -2.0, 3.0])
    result = gd.Sweep(
        problem=lines(curvatures, centres).problem, optimizer=gd.SGD(lr=0.1),
        distribution=gd.Gossip(workers=4, tracking=gd.grid(False, True), order=order), partition=np.arange(4), init=[[0.0]], steps=1500,
        dtype="float64", record=gd.Record(every="ends", parameters=True),
    ).run(progress=False)  # fmt: skip
    optimum = (curvatures * centres).sum() / curvatures.sum()
    plain, tracked = result.parameters[:, 0].values
    assert tracked == pytest.approx(optimum, rel=1e-12)
    assert result.disagreement[1, -1] < 1e-24
    W = mixing_matrices("ring", 4)[0]
    mixed = W if order == "adapt" else np.eye(4)
    fixed = np.linalg.solve(np.eye(4) - W + 0.1 * mixed @ np.diag(curvatures), 0.1 * mixed @ (curvatures * centres))
    assert plain == pytest.approx(fixed.mean(), rel=1e-12)
    assert abs(plain - optimum) > 0.01


def noisy(distribution, rate, steps, starts, **options):
    """w^2 / 2 with a gradient w +- 1, drawn for each worker and step."""
    bowl = {**noisy_bowl(), "optimizer": gd.SGD(lr=rate), "distribution": distribution, "init": [[0.0]] * starts}
    return gd.Sweep(**bowl, starts=starts, steps=steps, **options).run(progress=False)


FLOORS = [("ring", 8, 1.1799920859, 0.3911553447), ("torus", 16, 1.1093955065, 0.1846457055), ("hypercube", 8, 1.0205289502, 0.1567398119)]


@pytest.mark.full
@pytest.mark.parametrize(("topology", "workers", "combined", "adapted"), FLOORS)
def test_floors_of_disagreement_and_of_the_mean(topology, workers, combined, adapted):
    a, starts = 0.1, 4000
    kind = gd.Gossip(workers=workers, topology=topology, order=gd.grid("combine", "adapt"))
    result = noisy(kind, a, 150, starts, record=gd.Record(every="ends", parameters=True))
    for order, expected in (("combine", combined), ("adapt", adapted)):
        chosen = result.isel(run=result.order.values == order)
        apart = chosen.disagreement[:, -1].values / a**2
        assert abs(apart.mean() - expected) < 4 * apart.std() / np.sqrt(starts)
        mean = chosen.parameters[:, 0].values
        known = a**2 / (workers * a * (2 - a))
        assert abs((mean**2).mean() / known - 1) < 4 * np.sqrt(2 / starts)


LIMITS = [("ring", 4, 2 / 3), ("torus", 16, 0.4), ("hypercube", 8, 0.5), ("complete", 4, 1.0), ("star", 5, 1.0)]


@pytest.mark.parametrize(("topology", "workers", "limit"), LIMITS)
def test_combining_is_stable_to_one_and_the_least_eigenvalue_and_adapting_to_two(topology, workers, limit):
    assert limit == pytest.approx(min(1 + np.linalg.eigvalsh(mixing_matrices(topology, workers)[0])[0], 2))
    statuses = lambda order, factors: noisy(  # noqa: E731
        gd.Gossip(workers=workers, topology=topology, order=order), [limit * f for f in factors], 4000, 1, record=gd.Record(every="ends")
    ).status.values.tolist()
    assert statuses("combine", [0.98, 1.02]) == ["budget", "diverged"]
    assert statuses("adapt", [1.02, 1.96 / limit]) == ["budget", "budget"]


def test_tracking_is_refused_where_a_rule_asks_for_the_length_of_its_gradient():
    with pytest.raises(ValueError, match=r"^Gossip\(tracking=True\) makes workers step by .*, and ClipNorm goes by the length"):
        swept(gd.Gossip(workers=4, tracking=True), gd.ClipNorm(gd.SGD(0.1), 1.0))
