"""The oracle itself: what is known exactly of periodic averaging, delays, elastic averaging and gossip, by formula
or by enumeration. The floor of a linear scheme is the sum of the squares of what one kick of noise leaves.
"""

import itertools

import numpy as np
import pytest

from tests.distributed import reference, reference_gossip

pytestmark = pytest.mark.full

A, B = np.array([1.0, 3.0]), np.array([0.0, 1.0])  # unequal curvature: f_k = A_k/2 (w - b_k)^2
HESSIANS = np.array([[[2, 0.5], [0.5, 1]], [[1, 0], [0, 3.0]], [[0.5, -0.2], [-0.2, 0.4]]])
CENTRES = np.array([[1.0, 0], [-1, 2], [0, -3]])
OPTIMUM = np.linalg.solve(HESSIANS.sum(0), np.einsum("kij,kj->i", HESSIANS, CENTRES))
ONE, ZERO = np.ones(1), np.zeros(1)


def line(worker, step, w):
    return A[worker] * (w - B[worker])


def plane(worker, step, w):
    return HESSIANS[worker] @ (w - CENTRES[worker])


def bowl(worker, step, w):
    """f = w^2 / 2."""
    return w


def five(worker, step, w):
    """Five bowls around 0, 1, 2, 3, 4."""
    return w - worker


def kick(worker=0, step=0):
    """The bowl with a unit of noise at one step of one worker."""
    return lambda k, t, w: w + (k == worker and t == step)


def logistic(seed, samples=24, features=4):
    """(gradient of a worker's batch of four samples out of the common order, gradient of the block of all)."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(samples, features)), rng.integers(0, 2, samples)

    def of(rows, w):
        return X[rows].T @ (1 / (1 + np.exp(-X[rows] @ w)) - y[rows]) / len(rows)

    def block(step, size):
        return np.arange(step * size, (step + 1) * size) % samples

    return of, block


def all_rules():
    return {
        "sgd": reference.sgd(0.1), "heavy ball": reference.heavy_ball(0.1, 0.9), "torch": reference.nesterov(0.1, 0.9),
        "lecture": reference.lecture_nesterov(0.1, 0.9), "adam": reference.adam(0.1),
    }  # fmt: skip


@pytest.mark.parametrize("rule", all_rules())
def test_synchronous_workers_are_one_with_all_their_samples(rule):
    of, block = logistic(0)
    start = np.full(4, 0.1)
    together = reference.synchronous(start, lambda k, t, w: of(block(t, 12), w), all_rules()[rule], 50, 1)
    apart = reference.synchronous(start, lambda k, t, w: of(block(t, 12)[4 * k : 4 * k + 4], w), all_rules()[rule], 50, 3)
    np.testing.assert_allclose(apart, together, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("rule", "state", "equal"), [
    ("sgd", "keep", True), ("heavy ball", "keep", True), ("heavy ball", "average", True), ("torch", "keep", True), ("torch", "average", True),
    ("lecture", "keep", False), ("lecture", "average", True), ("adam", "keep", False), ("adam", "average", False),
])  # fmt: skip
def test_averaging_every_step_is_synchronous_for_rules_linear_in_the_gradient_alone(rule, state, equal):
    of, block = logistic(1)
    gradient = lambda k, t, w: of(block(t, 12)[4 * k : 4 * k + 4], w)  # noqa: E731
    start = np.full(4, 0.1)
    apart = reference.averaging(start, gradient, all_rules()[rule], 50, 3, state=state).reported
    error = np.abs(apart - reference.synchronous(start, gradient, all_rules()[rule], 50, 3)).max()
    assert (error < 1e-13) if equal else error > 1e-3


def test_with_equal_curvature_the_period_does_not_move_the_mean():
    noise = np.random.default_rng(2).normal(size=(3, 100))
    gradient = lambda k, t, w: 2.0 * (w - [0.0, 1.0, 5.0][k]) + noise[k, t]  # noqa: E731
    paths = [reference.averaging(ZERO, gradient, reference.sgd(0.1), 100, 3, period=H).reported for H in (1, 10, 100)]
    assert max(np.abs(path - paths[0]).max() for path in paths) < 1e-14
    still = reference.averaging(ZERO, lambda k, t, w: 2.0 * (w - [0.0, 1.0, 5.0][k]), reference.sgd(0.1), 1000, 3, period=10)
    assert still.reported[-1, 0] == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize(("K", "H", "mean", "worker"), [
    (4, 1, 0.0441176471, 0.1116176471), (4, 4, 0.0441176471, 0.1688407046), (4, 16, 0.0441176471, 0.1764691265), (16, 4, 0.0110294118, 0.1669332336),
])  # fmt: skip
def test_floors_of_the_mean_and_of_a_worker_before_averaging(K, H, mean, worker):
    """A worker has the mean's variance and that of its own noise since the last average."""
    of_mean = apart = 0.0
    for step in range(H):
        run = reference.averaging(ZERO, kick(0, step), reference.sgd(0.3), 20 * H + 50, K, period=H)
        of_mean += K * (run.reported[H::H] ** 2).sum()
        apart += K * reference.averaging(ZERO, kick(0, step), reference.sgd(0.3), H, K, period=H + 1).disagreement[-1]
    assert of_mean == pytest.approx(mean, rel=1e-8)
    assert of_mean + apart == pytest.approx(worker, rel=1e-8)


@pytest.mark.parametrize(("H", "point", "rate"), [
    (1, 0.75, 0.8), (2, 0.7285714286, 0.65), (4, 0.6884399348, 0.4481), (8, 0.6232961681, 0.24405761),
    (16, 0.5502322151, 0.094312656), (64, 0.5002949284, 0.0005895093),
])  # fmt: skip
def test_unequal_curvature_biases_the_fixed_point(H, point, rate):
    path = reference.averaging(ZERO, line, reference.sgd(0.1), 200 * H, 2, period=H).reported[::H, 0]
    assert path[-1] == pytest.approx(point, rel=1e-9)
    assert (path[2] - path[-1]) / (path[1] - path[-1]) == pytest.approx(rate, rel=1e-6)


def test_client_drift_in_two_dimensions():
    np.testing.assert_allclose(OPTIMUM, (0.355976486, 1.180274331), rtol=1e-9)
    path = reference.averaging(np.zeros(2), plane, reference.sgd(0.2), 2000, 3, period=5).reported
    np.testing.assert_allclose(path[-1], (0.324795244, 0.577182628), rtol=1e-8)
    small = reference.averaging(0.75 * ONE, line, reference.sgd(1e-4), 5 * 10_000, 2, period=5).reported[-1, 0]
    assert small - 0.75 == pytest.approx(-0.75007e-4, rel=1e-4)


@pytest.mark.parametrize(("tau", "limit"), enumerate([2, 1, 0.6180339887, 0.4450418679, 0.3472963553]))
def test_a_delayed_gradient_is_stable_up_to_a_formula(tau, limit):
    ends = [np.abs(reference.delayed(ONE, bowl, reference.sgd(share * limit), [tau] * 20_000).path[-60:]).max() for share in (0.99, 1.01)]
    assert ends[0] < 1e-9 < 1e9 < ends[1]


@pytest.mark.parametrize(
    ("tau", "a", "floor"),
    [(0, 0.5, 1.3333333333), (1, 0.5, 2.4), (2, 0.3, 3.8894246223), (4, 0.1, 7.9797145568), (4, 0.3, 15.5710739777), (8, 0.1, 13.29137039)],
)
def test_path_and_floor_of_a_delayed_gradient(tau, a, floor):
    h = reference.delayed(ZERO, kick(), reference.sgd(a), [tau] * 3000).path / a
    assert (h**2).sum() == pytest.approx(floor, rel=1e-9)
    path = reference.delayed(ONE, bowl, reference.sgd(0.3), [2] * 10).path[1:, 0]
    np.testing.assert_allclose(path, (0.7, 0.4, 0.1, -0.11, -0.23, -0.26, -0.227, -0.158, -0.08, -0.0119), atol=1e-12)


@pytest.mark.parametrize(("K", "expected"), [(4, {1: 0.5, 2: 0.0625, 3: -0.2734375, 5: -0.5931396484}), (2, {1: 0.5, 2: 0.125, 3: -0.09375, 4: -0.1796875})])
def test_memoryless_workers_beget_momentum(K, expected):
    """Every order of arrivals, each as likely as the others."""
    paths = [reference.asynchronous(ONE, bowl, reference.sgd(0.5), order).path[:, 0] for order in itertools.product(range(K), repeat=max(expected))]
    mean = np.mean(paths, 0)
    assert [mean[t] for t in expected] == pytest.approx(list(expected.values()), abs=1e-10)
    G, w, heavy = 1.0, 1.0, []
    for _ in range(max(expected)):
        w, heavy = w - 0.5 * G, [*heavy, w - 0.5 * G]
        G = (1 - 1 / K) * G + w / K
    np.testing.assert_allclose(mean[1:], heavy, rtol=1e-13)


def test_the_staleness_of_a_queue():
    """sum of tau = sum of the workers' last updates - T + K, whatever the times; equal times: 0, 1, .., K - 1, K - 1, .."""
    order = reference.arrivals(np.random.default_rng(3).exponential(size=(5, 400)), 400)
    staleness = reference.asynchronous(ONE, bowl, reference.sgd(0.01), order).staleness
    last = [max(t for t, k in enumerate(order) if k == worker) for worker in range(5)]
    assert staleness.sum() == sum(last) - 400 + 5
    even = reference.arrivals(np.ones((4, 30)), 30)
    assert even == [t % 4 for t in range(30)]
    run = reference.asynchronous(ONE, bowl, reference.sgd(0.1), even)
    assert run.staleness.tolist() == [0, 1, 2] + [3] * 27
    fixed = reference.delayed(ONE, bowl, reference.sgd(0.1), [3] * 30)
    np.testing.assert_allclose(run.path, fixed.path, rtol=1e-14)
    bounded = reference.arrivals(np.random.default_rng(4).exponential(size=(3, 200)) * [[1.0], [1.0], [9.0]], 100, bound=2)
    counts = np.cumsum(np.eye(3)[bounded], 0)
    assert (counts.max(1) - counts.min(1)).max() == 2


def test_scaffold_goes_where_averaging_does_not():
    path, c, own = reference.scaffold(ZERO, line, 0.1, [{0: 5, 1: 5}] * 400, 2)
    assert path[[1, 2, 3, 10], 0] == pytest.approx((0.415965, 0.6287228, 0.7150249, 0.7500443), abs=5e-8)
    assert path[-1, 0] == pytest.approx(0.75, rel=1e-13)
    assert abs(c[0]) < 1e-13
    np.testing.assert_allclose(own[:, 0], A * (0.75 - B), rtol=1e-12)
    assert path[1, 0] == reference.rounds(ZERO, line, reference.sgd(0.1), [{0: 5, 1: 5}])[1, 0]
    for H, lr in ((2, 0.2), (5, 0.2), (20, 0.05)):
        path, _, _ = reference.scaffold(np.zeros(2), plane, lr, [dict.fromkeys(range(3), H)] * 400, 3)
        np.testing.assert_allclose(path[-1], OPTIMUM, rtol=1e-12)


def test_nova_takes_out_what_unequal_numbers_of_steps_put_in():
    plan = [{0: 2, 1: 8}] * 3_000
    biased, nova = (reference.rounds(ZERO, line, reference.sgd(1e-2), plan, nova=nova)[-1, 0] for nova in (False, True))
    assert abs(biased - 0.75) > 0.1
    assert abs(nova - 0.75) < 0.02


def test_a_proximal_pull_keeps_clients_near():
    far, near = (reference.rounds(ZERO, line, reference.sgd(0.05), [{0: 50, 1: 50}] * 100, proximal=mu)[-1, 0] for mu in (0.0, 10.0))
    assert abs(near - 0.75) < 0.3 * abs(far - 0.75)
    one = reference.rounds(ONE, bowl, reference.sgd(0.1), [{0: 3}], proximal=2.0)[1, 0]
    w = 1.0
    for _ in range(3):
        w -= 0.1 * (w + 2.0 * (w - 1.0))
    assert one == pytest.approx(w, rel=1e-15)


@pytest.mark.parametrize(
    ("p", "alpha", "limit"), [(4, 0.1, 1.875), (4, 0.225, 1.5909090909), (8, 0.1125, 1.7954545455), (4, 0.3, 1.25), (16, 0.05, 1.9166666667)]
)
def test_elastic_averaging_is_stable_up_to_a_formula(p, alpha, limit):
    apart = np.linspace(-1, 2, p)[:, None]
    ends = []
    for share in (0.99, 1.01):
        run = reference.elastic(ONE, bowl, reference.sgd(share * limit), 4000, p, alpha, points=apart)
        ends.append(np.abs(run.workers[-1]).max())
    assert ends[0] < 1e-9 < 1e9 < ends[1]


@pytest.mark.parametrize(("p", "alpha", "centre", "mean"), [(4, 0.225, 1.0455839691, 1.0724454712), (16, 0.05, 0.297901508, 0.31108299)])
def test_floors_of_elastic_averaging(p, alpha, centre, mean):
    run = reference.elastic(ZERO, kick(), reference.sgd(0.1), 2000, p, alpha)
    assert p * (run.reported**2).sum() / 0.01 == pytest.approx(centre, rel=1e-8)
    assert p * (run.workers.mean(1) ** 2).sum() / 0.01 == pytest.approx(mean, rel=1e-8)


@pytest.mark.parametrize(("p", "limit"), [(3, 2 / 3), (5, 2 / 3), (2, 0.7071067812), (4, 0.6751308706), (8, 0.6687398)])
def test_elastic_averaging_one_worker_a_tick(p, limit):
    """The spectral radius of a cycle of p ticks at eta = 1 passes 1 at the limit."""

    def radius(alpha):
        cycle = []
        for column in np.eye(p + 1):
            run = reference.round_robin(ZERO, bowl, reference.sgd(1.0), p, p, alpha, points=column[:p, None], centre=column[p:])
            cycle.append([*run.workers[-1, :, 0], run.reported[-1, 0]])
        return np.abs(np.linalg.eigvals(np.array(cycle).T)).max()

    assert radius(limit * (1 - 1e-5)) < 1 < radius(limit * (1 + 1e-5))


def test_consensus_on_a_ring_contracts_by_its_second_eigenvalue():
    W = reference_gossip.graph("ring", 8)
    still = lambda k, t, w: 0 * w  # noqa: E731
    run = reference_gossip.gossip(ZERO, still, reference.sgd(0.1), 50, lambda t: W, points=8.0 * np.eye(8)[:, :1])
    assert np.sqrt(run.disagreement)[[1, 2, 10, 50]] == pytest.approx((1.2909944487, 0.9362388637, 0.1610865615, 0.0000271167), abs=1e-10)
    np.testing.assert_allclose(run.reported, 1.0, rtol=1e-13)
    wave = reference_gossip.gossip(ZERO, still, reference.sgd(0.1), 5, lambda t: W, points=np.cos(2 * np.pi * np.arange(8) / 8)[:, None])
    np.testing.assert_allclose(wave.workers[5, 0, 0], 0.8047378541**5, rtol=1e-9)


@pytest.mark.parametrize(("name", "size", "sides", "second"), [
    ("complete", 6, None, 0.0), ("ring", 4, None, 1 / 3), ("ring", 16, None, 0.9492530217), ("torus", 9, (3, 3), 0.4), ("torus", 16, (4, 4), 0.6), ("torus", 64, (8, 8), 0.8828427125),
    ("hypercube", 8, None, 0.5), ("star", 8, None, 1 - 1 / 8), ("path", 8, None, 0.9492530217),
])  # fmt: skip
def test_second_eigenvalues_of_graphs(name, size, sides, second):
    W = reference_gossip.graph(name, size, sides)
    np.testing.assert_allclose(W.sum(1), 1.0, rtol=1e-14)
    assert np.sort(np.abs(np.linalg.eigvalsh(W)))[-2] == pytest.approx(second, abs=1e-10)


def test_directed_graphs_average_too():
    for size, norm in ((8, 0.5), (12, 0.6), (16, 0.6)):
        W = reference_gossip.graph("exponential", size)
        assert np.linalg.norm(W - 1 / size, 2) == pytest.approx(norm, rel=1e-12)
    x = np.random.default_rng(5).normal(size=8)
    for t in range(3):
        x = reference_gossip.one_peer(8, t) @ x
    assert np.ptp(x) < 1e-15
    P = np.random.default_rng(6).random((5, 5)) * (np.arange(25).reshape(5, 5) % 3 > 0) + np.eye(5)
    P /= P.sum(0)
    run = reference_gossip.push_sum(ZERO, five, 0.02, 20_000, lambda t: P, order="adapt")
    assert np.abs(run.workers[-1] - 2.0).max() < 0.2  # the minimum of the sum, up to the rate


@pytest.mark.parametrize(("name", "size", "sides", "limit", "combine", "adapt"), [
    ("ring", 8, None, 0.6666666667, 1.1799920859, 0.3911553447), ("torus", 16, (4, 4), 0.4, 1.1093955065, 0.1846457055), ("hypercube", 8, None, 0.5, 1.0205289502, 0.1567398119),
])  # fmt: skip
def test_gossip_is_stable_and_disagrees_by_its_order(name, size, sides, limit, combine, adapt):
    matrix = lambda t: W  # noqa: E731
    W = reference_gossip.graph(name, size, sides)
    for order, disagreement in (("combine", combine), ("adapt", adapt)):
        run = reference_gossip.gossip(ZERO, kick(), reference.sgd(0.1), 3000, matrix, order=order)
        assert size * run.disagreement.sum() / 0.01 == pytest.approx(disagreement, rel=1e-9)
        assert size * (run.reported**2).sum() / 0.01 == pytest.approx(1 / (size * 0.1 * 1.9), rel=1e-9)
        for share in (0.99, 1.01):
            rate = share * (limit if order == "combine" else 2.0)
            one = [
                reference_gossip.gossip(ZERO, bowl, reference.sgd(rate), 1, matrix, order=order, points=column[:, None]).workers[1, :, 0]
                for column in np.eye(size)
            ]
            assert (np.abs(np.linalg.eigvals(np.array(one))).max() < 1) == (share < 1)


def test_tracking_finds_the_minimum_at_a_constant_rate():
    W = reference_gossip.graph("path", 3)
    for order in ("combine", "adapt"):
        run = reference_gossip.tracking(np.zeros(2), plane, 0.05, 2000, W, order=order)
        np.testing.assert_allclose(run.workers[-1], [OPTIMUM] * 3, rtol=1e-9)
        lost = reference_gossip.gossip(np.zeros(2), plane, reference.sgd(0.05), 2000, lambda t: W, order=order)
        assert np.abs(lost.workers[-1] - OPTIMUM).max() > 0.01
