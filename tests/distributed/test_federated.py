"""Federated averaging and SCAFFOLD: what is known of their fixed points, of the clients of a round, and beside a
loop over the batches that gdsim draws.
"""

import itertools

import numpy as np
import pytest

import gdsim as gd
from gdsim.kernels.teams.federated import OF_CLIENT, OF_ROUND, ROUND
from gdsim.population.samples import sample_order
from gdsim.population.training import train_batch
from tests.distributed.problems import OPTIMUM, A, B, lines, planes

HALVES, PLANE = lines(A, B).problem, planes().problem
EPOCHS = (1, 2, 4, 8, 16, 64)
FIXED_POINTS = (0.75, 0.7285714286, 0.6884399348, 0.6232961681, 0.5502322151, 0.5002949284)
KEPT = {"record": gd.Record(parameters=True), "dtype": "float64"}


def ends_of(problem, distribution, partition, steps, lr=0.1, **more):
    options = {"init": 0.0, "batch": 1, **KEPT}
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=lr), distribution=distribution, partition=partition, steps=steps, **(options | more))
    return sweep.run(progress=False).parameters.values


def test_averaging_after_more_passes_ends_further_off_where_curvatures_differ():
    """sum (1 - M_k) b_k / sum (1 - M_k), M_k = (1 - eta A_k)^H: the optimum, 0.75, for H = 1 alone."""
    found = ends_of(HALVES, gd.FederatedAveraging(clients=2, sampled=2, epochs=EPOCHS), [0, 1], 640)
    np.testing.assert_allclose(found.ravel(), FIXED_POINTS, rtol=1e-9)


def test_scaffold_ends_at_the_optimum():
    """With control variates there is no drift (Karimireddy et al. 2020), from the second round on."""
    paths = [ends_of(HALVES, gd.Scaffold(clients=2, sampled=2, period=5), [0, 1], 5 * rounds).item() for rounds in (1, 2, 3, 10, 100)]
    np.testing.assert_allclose(paths, [0.415965, 0.6287228, 0.7150249, 0.7500443, 0.75], rtol=2e-7)
    assert paths[-1] == pytest.approx(0.75, rel=1e-9)
    assert paths[0] == pytest.approx(ends_of(HALVES, gd.FederatedAveraging(clients=2, sampled=2, epochs=5), [0, 1], 5).item(), rel=1e-12)


@pytest.mark.full
@pytest.mark.parametrize(
    ("period", "corrected", "averaged"), [(1, 0.8, 0.8), (2, 0.635048, 0.65), (5, 0.383021, 0.37928), (10, 0.352165, 0.188463), (20, 0.683906, 0.061187)]
)
def test_corrections_make_rounds_no_faster(period, corrected, averaged):
    """By how much the error falls per round in the end, for SCAFFOLD from the linear recurrence of its path."""
    kinds = [gd.Scaffold(clients=2, sampled=2, period=period), gd.FederatedAveraging(clients=2, sampled=2, epochs=period)]
    path = gd.Sweep(
        problem=HALVES, optimizer=gd.SGD(lr=0.1), distribution=kinds, partition=[0, 1], steps=12 * period, init=0.0, batch=1, dtype="float64",
        record=gd.Record(every=period, trajectory=True),
    ).run(progress=False).trajectory.values[:, :, 0]  # fmt: skip
    error = path[0] - 0.75
    recurrence = np.linalg.lstsq(np.stack([error[1:-1], error[:-2]], 1), error[2:], rcond=None)[0]
    assert abs(np.roots([1.0, *-recurrence])).max() == pytest.approx(corrected, abs=1e-6)
    assert (path[1, 2] - path[1, 1]) / (path[1, 1] - path[1, 0]) == pytest.approx(averaged, abs=1e-6)


@pytest.mark.full
def test_scaffold_removes_the_bias_of_averaging_in_the_plane():
    """[sum (I - M_k)]^-1 sum (I - M_k) b_k, M_k = (I - eta A_k)^H, against [sum A_k]^-1 sum A_k b_k."""
    every = {"clients": 3, "sampled": 3}
    found = [ends_of(PLANE, gd.Scaffold(**every, period=h), [0, 1, 2], 400 * h, lr)[0] for h, lr in ((2, 0.2), (5, 0.2), (20, 0.05))]
    np.testing.assert_allclose(OPTIMUM, [0.355976486, 1.180274331], rtol=1e-9)
    np.testing.assert_allclose(found, [OPTIMUM] * 3, rtol=1e-12)
    biased = ends_of(PLANE, gd.FederatedAveraging(**every, epochs=5), [0, 1, 2], 2000, 0.2)[0]
    np.testing.assert_allclose(biased, [0.324795244, 0.577182628], rtol=1e-8)


@pytest.mark.full
def test_nova_removes_the_bias_of_clients_that_make_more_steps():
    """With one curvature, shares p and H steps: theta = sum s b / sum s, s = p (1 - rho^H), over H by FedNova."""
    problem = lines(np.ones(4), [0.0, 1.0, 1.0, 1.0]).problem  # one sample at 0, three at 1: the optimum is 0.75
    distribution = gd.FederatedAveraging(clients=2, sampled=2, epochs=2, weighting=gd.grid("samples", "uniform", "nova"))
    for lr, rounds in ((0.1, 100), (0.002, 8000)):
        steps, pulled = np.array([2, 6]), 1 - (1 - lr) ** np.array([2, 6])
        by = [np.array([1, 3]) * pulled, pulled, np.array([1, 3]) * pulled / steps]
        known = [s[1] / s.sum() for s in by]
        np.testing.assert_allclose(ends_of(problem, distribution, [0, 1, 1, 1], 6 * rounds, lr).ravel(), known, rtol=1e-9)
    assert abs(known[2] - 0.75) < 1e-3 < abs(known[0] - 0.9) + 2e-3


DELTAS = np.array([1.0, 2.0, 4.0, 7.0, -3.0])


@pytest.mark.full
@pytest.mark.parametrize(("sampled", "variance"), [(1, 10.96), (2, 4.11), (3, 1.8266666667), (5, 0.0)])
def test_each_set_of_clients_is_as_likely(sampled, variance):
    """The variance of the mean of so many of five, drawn without replacement."""
    known = [np.mean(chosen) for chosen in itertools.combinations(DELTAS, sampled)]
    assert np.var(known) == pytest.approx(variance, rel=1e-9)
    problem = lines(np.ones(5), DELTAS).problem
    found = ends_of(problem, gd.FederatedAveraging(clients=5, sampled=sampled), np.arange(5), 1, 1.0, starts=4000).ravel()
    distance = abs(found[:, None] - np.array(known))
    assert distance.min(1).max() < 1e-12
    assert np.var(found) == pytest.approx(variance, rel=4 * (2 / len(found)) ** 0.5, abs=1e-20)
    assert abs(found.mean() - DELTAS.mean()) <= 4 * (variance / len(found)) ** 0.5 + 1e-12


RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
DATA = gd.Data(X, X @ [1.0, -2.0, 0.5] + RNG.normal(size=40))
CLIENTS = np.repeat(range(4), [3, 7, 12, 18])
RATE, PROXIMAL = 0.05, 0.3


def rounds_of(orders, counts, batch, server):
    """theta after rounds of all clients, two passes each, the server's momentum on their mean by samples."""
    inputs, theta, velocity = np.c_[DATA.X, np.ones(40)], np.zeros(4), np.zeros(4)
    steps = 2 * -(-counts // batch)
    for turn in range(3):
        ends = []
        for order, count in zip(orders, steps, strict=True):
            w = theta.copy()
            for step in range(count):
                rows = order[turn * count + step]
                rows = rows[rows >= 0]
                w -= RATE * (2 * inputs[rows].T @ (inputs[rows] @ w - DATA.y[rows]) / len(rows) + PROXIMAL * (w - theta))
            ends.append(w)
        way = theta - np.average(ends, 0, counts)
        velocity = server * velocity + way
        theta = theta - velocity
    return theta


@pytest.mark.full
@pytest.mark.parametrize("server", [0.0, 0.5])
def test_clients_pass_over_their_own_samples_and_the_server_steps(server):
    kind = gd.FederatedAveraging(
        clients=4, sampled=4, epochs=2, proximal=PROXIMAL, server=gd.Momentum(lr=1.0, momentum=server, convention="torch") if server else None
    )
    sweep = gd.Sweep(
        problem=gd.LinearRegression(DATA), optimizer=gd.SGD(lr=RATE), batch=4, steps=3 * 10, distribution=kind, partition=CLIENTS, starts=3, init=0.0, **KEPT
    )
    setting, found = sweep.plan().groups[0].setting, sweep.run(progress=False).parameters.values
    for start in range(3):
        orders = [sample_order(setting, start, client) for client in range(4)]
        assert all(
            sorted(order[: -(-n // 4)][order[: -(-n // 4)] >= 0]) == sorted(np.flatnonzero(k == CLIENTS))
            for k, (order, n) in enumerate(zip(orders, [3, 7, 12, 18], strict=True))
        )
        np.testing.assert_allclose(found[start], rounds_of(orders, np.array([3, 7, 12, 18]), 4, server), rtol=1e-12)


SOME = gd.FederatedAveraging(clients=4, sampled=[1, 3])


@pytest.mark.full
def test_rounds_are_counted_where_numbers_of_32_bits_leave_some_out():
    """From states between two rounds, after nearly 2^24 steps and rounds: the clients are those of exact numbers."""
    began, turn, sums = 2**24 - 20, 2**24 - 10, {}
    for dtype in ("float32", "float64"):
        sweep = gd.Sweep(
            problem=lines(np.ones(5), 2.0 ** np.arange(5)).problem, optimizer=gd.SGD(lr=1.0), steps=3, init=0.0, batch=1, starts=6, dtype=dtype,
            partition=np.arange(5), distribution=gd.FederatedAveraging(clients=5, sampled=2, epochs=3), record=gd.Record(every="ends", parameters=True, state=True),
        )  # fmt: skip
        plan = sweep.plan()
        setting, batch = plan.groups[0].setting, plan.batch_of(plan.chunks[0])
        begun = train_batch(setting, batch, 8).columns
        begun["state_team"][:, -OF_ROUND - 2 * OF_CLIENT :][:, ROUND : ROUND + 2] = turn // 65536, turn % 65536
        for rounds in range(6, 16):
            steps = (began + 3 * rounds - 1, began + 3 * rounds)
            within, over = (train_batch(setting._replace(began=began, steps=s), batch, 8, earlier=begun).columns for s in steps)
            assert (within["disagreement"][:, -1] > 0).all()
            assert (over["disagreement"][:, -1] == 0).all()
            sums[dtype, rounds] = (2 * over["parameters"][:, 0]).astype(int).tolist()
    assert all(sums["float32", rounds] == sums["float64", rounds] for rounds in range(6, 16))
    for start in range(6):
        assert len({sums["float32", rounds][start] for rounds in range(10, 16)}) > 2  # of 10 pairs


REFUSED = {
    "more than there are": (lambda: gd.Scaffold(clients=4, sampled=5), "Scaffold.sampled=5 clients of 4 were asked for"),
    "no samples": (lambda: gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), distribution=SOME), "FederatedAveraging: clients have samples, and Booth has none"),
    "another rule": (
        lambda: gd.Sweep(problem=HALVES, optimizer=gd.Momentum(), distribution=gd.Scaffold(clients=2, sampled=2)),
        "Scaffold corrects the gradients of gd.SGD's steps: take another optimizer than Momentum",
    ),
    "another point": (lambda: gd.Sweep(problem=gd.LinearRegression(DATA), optimizer=gd.Nesterov(), distribution=SOME), "FederatedAveraging has clients, who send the weights that they step from and not others: take another optimizer than Nesterov"),
    "no round": (
        lambda: gd.Sweep(problem=gd.LinearRegression(DATA), optimizer=gd.SGD(), distribution=SOME, batch=4, steps=9),
        "FederatedAveraging.epochs=1 of 40 samples make rounds of 10 steps, and the runs have 9 steps: no round would end",
    ),
    "a round too long": (
        lambda: gd.Sweep(problem=gd.LogisticRegression(gd.datasets.load("digits")), optimizer=gd.SGD(), batch=1, distribution=gd.FederatedAveraging(clients=4, sampled=1, epochs=[1, 65536]), partition="iid"),
        "FederatedAveraging.epochs=65536 of 1,797 samples make rounds of up to 117,768,192 steps, and 16,777,216 are the most: give fewer epochs or a larger batch",
    ),
    "epochs": (lambda: gd.FederatedAveraging(clients=2, sampled=2, epochs=0.5), r"FederatedAveraging.epochs must be a finite number in \[1, "),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_round_can_be_is_refused_in_one_line(case):
    made, said = REFUSED[case]
    with pytest.raises(ValueError, match=f"^{said}") as error:
        made()
    assert "\n" not in str(error.value)


def test_the_plan_counts_what_all_clients_keep():
    few, many = (
        gd.Sweep(problem=gd.LinearRegression(DATA), optimizer=gd.SGD(), batch=1, distribution=gd.Scaffold(clients=n, sampled=2)).plan().memory for n in (4, 40)
    )
    assert many > few
