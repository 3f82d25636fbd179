"""The oracle itself: compressors, memories and outer optimizers against what is known of them exactly."""

import itertools
import math

import numpy as np
import pytest

from tests.distributed import reference, reference_compression

pytestmark = pytest.mark.full

V, W = np.array([3.0, 4, 0, -12]), np.array([5.0, -4, 3, 2, 1])
ONE = np.ones(1)


@pytest.mark.parametrize(("levels", "variance", "nonzeros"), [(1, 78, 1.4615384615), (2, 26, 2.0769230769), (4, 4.875, 2.9230769231), (16, 0.3046875, 3)])
def test_qsgd_by_enumeration(levels, variance, nonzeros):
    """Rounding probabilities are multiples of 1/13: 13 uniforms stand for all, element by element."""
    draws = np.array([reference_compression.qsgd(V, levels, np.full(4, (i + 0.5) / 13)) for i in range(13)])
    np.testing.assert_allclose(draws.mean(0), V, rtol=1e-14, atol=1e-14)
    assert ((draws - V) ** 2).mean(0).sum() == pytest.approx(variance, rel=1e-12)
    assert (draws != 0).mean(0).sum() == pytest.approx(nonzeros, rel=1e-9)


@pytest.mark.parametrize(("k", "top", "scaled", "unscaled"), [(1, 30, 220, 44), (2, 14, 82.5, 33), (3, 5, 36.6666666667, 22)])
def test_sparsifiers_by_enumeration(k, top, scaled, unscaled):
    lost = lambda c: ((c - W) ** 2).sum()  # noqa: E731
    masks = [np.isin(np.arange(5), kept) for kept in itertools.combinations(range(5), k)]
    assert lost(reference_compression.top_k(W, k)) == top
    assert np.mean([lost(reference_compression.random_k(W, m, True)) for m in masks]) == pytest.approx(scaled, rel=1e-10)
    assert np.mean([lost(reference_compression.random_k(W, m, False)) for m in masks]) == pytest.approx(unscaled, rel=1e-12)
    np.testing.assert_allclose(np.mean([reference_compression.random_k(W, m, True) for m in masks], 0), W, rtol=1e-14)


def test_errors_of_signs_and_of_masks_of_several_workers():
    assert ((reference_compression.scaled_sign(W) - W) ** 2).sum() == pytest.approx(10)
    g = np.array([W, V.sum() + W[::-1], W**2])
    masks = [np.isin(np.arange(5), kept) for kept in itertools.combinations(range(5), 2)]
    lost = lambda sent: ((np.mean(sent, 0) - g.mean(0)) ** 2).sum()  # noqa: E731
    apart = np.mean([lost([reference_compression.random_k(v, m, True) for v, m in zip(g, ms, strict=True)]) for ms in itertools.product(masks, repeat=3)])
    shared = np.mean([lost([reference_compression.random_k(v, m, True) for v in g]) for m in masks])
    assert apart == pytest.approx((5 / 2 - 1) * (g**2).sum() / 9, rel=1e-12)
    assert shared == pytest.approx((5 / 2 - 1) * (g.mean(0) ** 2).sum(), rel=1e-12)
    assert reference_compression.top_k(np.array([1.0, -1, 1]), 2).tolist() == [1, -1, 0]


@pytest.mark.parametrize("shared", [False, True])
def test_mean_square_limits_of_random_k_by_enumeration(shared):
    d, k, K, w = 4, 1, 2, np.array([1.0, -2, 0.5, 3])
    masks = [np.arange(d) == i for i in range(d)]
    limit = 2 * k / d if shared else 2 / (1 + (d / k - 1) / K)
    for share in (0.99, 1.01):
        chosen = [(m, m) for m in masks] if shared else list(itertools.product(masks, repeat=K))
        ends = [w - share * limit * np.mean([reference_compression.random_k(w, m, True) for m in ms], 0) for ms in chosen]
        assert (np.mean([end @ end for end in ends]) < w @ w) == (share < 1)


def quartic(worker, step, w):
    return w**3 + (worker + 1) * w - step % 3


@pytest.mark.parametrize("kind", ["top", "random", "sign", "scaled sign", "qsgd"])
def test_what_error_feedback_keeps(kind):
    """w_t - mean e_k = w_0 - the sum of eta mean g_k, for any compressor, also where the rate changes."""
    rng = np.random.default_rng(0)
    compress = {
        "top": lambda k, t, v: reference_compression.top_k(v, 2), "random": lambda k, t, v: reference_compression.random_k(v, rng.permutation(5) < 2, False),
        "sign": lambda k, t, v: 0.01 * np.sign(v), "scaled sign": lambda k, t, v: reference_compression.scaled_sign(v),
        "qsgd": lambda k, t, v: reference_compression.qsgd(v, 4, rng.random(5)),
    }[kind]  # fmt: skip
    run = reference_compression.compressed(0.2 * W, quartic, lambda t: 0.05 / (1 + t), 40, 3, compress, "inside")
    np.testing.assert_allclose(run.path[-1] - run.memories.mean(0), 0.2 * W - run.gradients.sum(0), rtol=1e-14, atol=1e-14)


def test_one_scaled_sign_is_the_number_itself():
    run = reference_compression.compressed(ONE, lambda k, t, w: w, lambda t: 0.1, 30, 2, lambda k, t, v: reference_compression.scaled_sign(v), "inside")
    np.testing.assert_allclose(run.path[:, 0], 0.9 ** np.arange(31), rtol=1e-14)


def test_the_memory_with_and_without_the_rate():
    start, curvature = np.array([1.0, 2, -1]), np.array([1.0, 2, 4])
    rate, top = (lambda t: 0.1 if t < 3 else 0.01), (lambda k, t, v: reference_compression.top_k(v, 1))
    for memory, end in (("inside", (0.69, 0.9024, -0.104)), ("outside", (0.96, 0.9216, -0.168))):
        run = reference_compression.compressed(start, lambda k, t, w: curvature * w, rate, 6, 1, top, memory)
        np.testing.assert_allclose(run.path[-1], end, rtol=1e-12)


def test_a_sign_counterexample_and_its_cure():
    """f = <a1, x>^2 + <a2, x>^2, one term a step (Karimireddy et al. 2019)."""
    a = np.array([[1.5, -0.5], [-0.5, 1.5]])
    gradient = lambda k, t, w: 2 * (a[t % 2] @ w) * a[t % 2]  # noqa: E731
    value = lambda x: ((a @ x) ** 2).sum()  # noqa: E731
    sign, scaled, whole = (lambda k, t, v: np.sign(v)), (lambda k, t, v: reference_compression.scaled_sign(v)), (lambda k, t, v: v)
    run = reference_compression.compressed(np.ones(2), gradient, lambda t: 0.05, 400, 1, sign)
    np.testing.assert_allclose(run.path.sum(1), 2.0, rtol=1e-12)
    assert [value(x) for x in run.path[[1, 2, 100]]] == pytest.approx([2.02, 2, 2])
    fed = reference_compression.compressed(np.ones(2), gradient, lambda t: 0.05, 400, 1, scaled, "inside")
    assert [value(x) for x in fed.path[[1, 10, 100]]] == pytest.approx([2.08, 0.8047651425, 2.1785168576e-5], rel=1e-9)
    assert value(fed.path[400]) < 1e-19
    plain = reference_compression.compressed(np.ones(2), gradient, lambda t: 0.05, 100, 1, whole)
    assert [value(x) for x in plain.path[[1, 10, 100]]] == pytest.approx([1.885, 0.6443632974, 2.1306808488e-5], rel=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_top_1_without_a_memory_diverges(rate):
    """f_k = <a_k, x>^2 + |x|^2 / 4 (Beznosikov et al. 2020)."""
    a = np.array([[-3.0, 2, 2], [2, -3, 2], [2, 2, -3]])
    gradient = lambda k, t, w: 2 * (a[k] @ w) * a[k] + w / 2  # noqa: E731
    top, start = (lambda k, t, v: reference_compression.top_k(v, 1)), np.ones(3)
    run = reference_compression.compressed(start, gradient, lambda t: rate, 100, 3, top)
    np.testing.assert_allclose(run.path[-1], (1 + 11 * rate / 6) ** 100, rtol=1e-12)
    if rate == 0.01:
        for memory in ("inside", "outside", "ef21"):
            end = reference_compression.compressed(start, gradient, lambda t: rate, 100, 3, top, memory).path[-1]
            assert ((end > 0.31) & (end < 0.33)).all()
        full = reference_compression.compressed(start, gradient, lambda t: rate, 100, 3, lambda k, t, v: v)
        np.testing.assert_allclose(full.path[-1], 0.3092746315, rtol=1e-9)


@pytest.mark.parametrize(("K", "drift"), [(1, 0.4), (2, 0.4), (3, 0.568), (5, 0.67384), (6, 0.67384), (9, 0.80238268)])
def test_drift_of_a_majority_by_enumeration(K, drift):
    votes = [(np.array(signs), math.prod(0.7 if s > 0 else 0.3 for s in signs)) for signs in itertools.product((1.0, -1.0), repeat=K)]
    assert sum(p * reference_compression.majority(signs[:, None])[0] for signs, p in votes) == pytest.approx(drift, rel=1e-9)


def test_power_sgd_is_linear_and_finds_the_first_direction():
    rng = np.random.default_rng(1)
    M, q = rng.normal(size=(4, 6, 5)), rng.normal(size=(5, 2))
    for _ in range(3):
        together, next_q = reference_compression.power_sgd(M, q)
        one, one_q = reference_compression.power_sgd(M.mean(0)[None], q)
        np.testing.assert_allclose(together, one, atol=1e-13)
        np.testing.assert_allclose(next_q, one_q, atol=1e-13)
        q = next_q
    low = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 5))
    np.testing.assert_allclose(reference_compression.power_sgd(low[None], rng.normal(size=(5, 2)))[0], low, atol=1e-12)
    s = np.array([4, 2, 1, 0.5, 0.25])
    q = np.ones((5, 1))
    for error in (8.5, 5.5007352794, 5.3242216117):
        found, q = reference_compression.power_sgd(np.diag(s)[None], q)
        assert ((np.diag(s) - found) ** 2).sum() == pytest.approx(error, rel=1e-9)


def test_outer_momentum_on_a_quadratic():
    """DiLoCo's outer Nesterov and the heavy ball in its place: path, floor, and what outer SGD(1) is."""
    bowl, inner = (lambda k, t, w: w), reference.sgd(0.1)
    path = reference.rounds(ONE, bowl, inner, [{0: 5, 1: 5}] * 5, outer=reference.nesterov(0.7, 0.9))[1:, 0]
    np.testing.assert_allclose(path, (0.4553517, -0.0248469993, -0.3260161757, -0.4259145883, -0.3679588401), rtol=1e-9)
    path = reference.rounds(ONE, bowl, inner, [{0: 5}] * 3, outer=reference.heavy_ball(0.7, 0.9))[1:, 0]
    np.testing.assert_allclose(path, (0.713343, 0.2508669356, -0.2372742854), rtol=1e-9)
    same = reference.rounds(ONE, bowl, inner, [{0: 5, 1: 5}] * 3, outer=reference.sgd(1.0))
    np.testing.assert_allclose(same, reference.rounds(ONE, bowl, inner, [{0: 5, 1: 5}] * 3), rtol=1e-14)
    np.testing.assert_allclose(same[:, 0], reference.averaging(ONE, bowl, inner, 15, 2, period=5).reported[::5, 0], rtol=1e-14)
    mixed = lambda k, t, w: w + np.sin(t + k)  # noqa: E731
    every = reference.rounds(ONE, mixed, inner, [{0: 1, 1: 1}] * 30, outer=reference.nesterov(0.7, 0.9))
    np.testing.assert_allclose(every, reference.synchronous(ONE, mixed, reference.nesterov(0.07, 0.9), 30, 2), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("eta", "H", "K", "floor"), [(0.1, 5, 4, 0.0358013048), (0.1, 1, 4, 0.0618552665), (0.1, 50, 8, 0.0125829091)])
def test_floor_of_an_outer_momentum(eta, H, K, floor):
    """One worker has noise; the others, of which K - 1 are alike, stand as one with their share."""
    found = 0.0
    for step in range(H):
        kicked = lambda k, t, w, step=step: w + (k == 0 and t == step)  # noqa: E731
        plan = [{0: H, 1: H}] * max(20, 400 // H)
        run = reference.rounds(0 * ONE, kicked, reference.sgd(eta), plan, outer=reference.nesterov(0.7, 0.9), share={0: 1.0, 1: K - 1.0})
        found += K * (run**2).sum()
    assert found == pytest.approx(floor, rel=1e-8)


def test_lookahead_is_an_outer_rate():
    path = reference.rounds(ONE, lambda k, t, w: w, reference.sgd(0.1), [{0: 5}] * 4, outer=reference.sgd(0.5))[:, 0]
    np.testing.assert_allclose(path, (0.5 + 0.5 * 0.9**5) ** np.arange(5), rtol=1e-14)
