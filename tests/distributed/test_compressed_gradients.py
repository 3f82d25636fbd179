"""Synchronous workers whose gradients are sent compressed: what is known exactly of them (Karimireddy et al. 2019,
Beznosikov et al. 2020, Bernstein et al. 2018, Vogels et al. 2019), and the loop of the oracle beside them.
"""

import numpy as np
import pytest
from scipy.stats import binom, norm

import gdsim as gd
from gdsim.population.samples import sample_order
from gdsim.starts import initial_points
from tests.distributed.reference_compression import compressed, scaled_sign, top_k

PAIR = gd.Data(np.array([[1.5, -0.5], [-0.5, 1.5]]), np.zeros(2))
TRIPLE = gd.Data(np.array([[-3.0, 2, 2], [2, -3, 2], [2, 2, -3]]), np.zeros(3))


def run(problem, distribution, lr, steps, **more):
    options = {"optimizer": gd.SGD(lr=lr), "record": gd.Record(parameters=True), "dtype": "float64"}
    return gd.Sweep(problem=problem, distribution=distribution, steps=steps, **(options | more)).run()


def ends(result):
    return result.parameters.values.reshape(-1, result.sizes["parameter"])


def workers(count, compression):
    return gd.Synchronous(workers=count, compression=compression)


@pytest.mark.parametrize(
    ("compression", "compress", "memory"),
    [
        pytest.param(gd.TopK(count=2), lambda v: top_k(v, 2), None, marks=pytest.mark.full),
        (gd.ErrorFeedback(gd.TopK(count=2)), lambda v: top_k(v, 2), "inside"),
        pytest.param(gd.ErrorFeedback(gd.ScaledSign(), rate="outside"), scaled_sign, "outside", marks=pytest.mark.full),
        pytest.param(gd.EF21(gd.TopK(count=1)), lambda v: top_k(v, 1), "ef21", marks=pytest.mark.full),
    ],
)
def test_runs_are_the_oracles(compression, compress, memory):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, 4)), rng.normal(size=24)
    rates, problem = (0.05, 0.02), gd.LinearRegression(gd.Data(X, y))
    sweep = gd.Sweep(
        problem=problem, optimizer=gd.SGD(lr=rates[0]), schedule=gd.Piecewise([(0, 1.0), (20, 0.4)]), batch=4, steps=40, starts=4, dtype="float64",
        distribution=workers(3, compression), record=gd.Record(parameters=True),
    )  # fmt: skip
    setting, A = sweep.plan().groups[0].setting, np.c_[X, np.ones(24)]
    starts, found = initial_points(setting.init, setting.problem, setting.seed, np.arange(4)), ends(sweep.run())
    for start in (0, 3):
        orders = [sample_order(setting, start, k) for k in range(3)]

        def gradient(k, step, w, orders=orders):
            rows = orders[k][min(step, 39)]
            return 2 * A[rows].T @ (A[rows] @ w - y[rows]) / len(rows)

        expected = compressed(starts[start], gradient, lambda step: rates[step >= 20], 40, 3, lambda k, step, v: compress(v), memory)
        np.testing.assert_allclose(found[start], expected.path[40], rtol=1e-11)
        if memory == "inside":  # the identity of error feedback
            np.testing.assert_allclose(found[start] - expected.memories.mean(0), starts[start] - expected.gradients.sum(0), atol=1e-13)


@pytest.mark.full
@pytest.mark.parametrize(("rate", "expected"), [("inside", (0.69, 0.9024, -0.104)), ("outside", (0.96, 0.9216, -0.168))])
def test_a_rate_inside_the_memory_and_one_outside_part_where_it_changes(rate, expected):
    problem, schedule = gd.Quadratic(matrix=np.diag([1.0, 2.0, 4.0])), gd.Piecewise([(0, 1.0), (3, 0.1)])
    distribution = workers(1, gd.ErrorFeedback(gd.TopK(count=1), rate=rate))
    result = run(problem, distribution, 0.1, 6, schedule=schedule, init=[[1.0, 2.0, -1.0]])
    np.testing.assert_allclose(ends(result)[0], expected, rtol=1e-12)


@pytest.mark.full
def test_the_scaled_sign_of_one_number_is_that_number():
    problem = gd.Quadratic(matrix=np.eye(1))
    plain, fed = (run(problem, d, 0.3, 20, init=[[1.0]]) for d in (None, workers(1, gd.ErrorFeedback(gd.ScaledSign()))))
    np.testing.assert_allclose(ends(fed), ends(plain), rtol=1e-14)


@pytest.mark.full
def test_signs_stay_where_error_feedback_goes_to_the_minimum():
    record = gd.Record(every=1)
    losses = {}
    for name, compression in (("sign", gd.Sign()), ("fed", gd.ErrorFeedback(gd.ScaledSign())), ("none", None)):
        problem = gd.LinearRegression(PAIR, intercept=False)
        options = {"batch": 1, "shuffle": "once", "starts": 8, "init": np.ones((8, 2)), "record": record}
        result = run(problem, workers(1, compression), 0.05, 400, **options)
        setting = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.05), dtype="float64", steps=1, batch=1, shuffle="once").plan().groups[0].setting
        first = next(s for s in range(8) if sample_order(setting, s)[0, 0] == 0)
        at = result.loss.sel(step=[1, 10, 100, 400]).values.reshape(8, 4)[first]
        losses[name] = 2 * at  # the sum of the two terms
    np.testing.assert_allclose(losses["sign"], [2.02, 2, 2, 2], rtol=1e-12)
    np.testing.assert_allclose(losses["fed"][:3], [2.08, 0.8047651425, 2.1785168576e-5], rtol=1e-9)
    assert losses["fed"][3] < 1e-19
    np.testing.assert_allclose(losses["none"][:3], [1.885, 0.6443632974, 2.1306808488e-5], rtol=1e-9)


@pytest.mark.full
def test_top_1_diverges_without_a_memory():
    problem = gd.LinearRegression(TRIPLE, intercept=False, l2=0.5)
    found = {}
    for name, compression in (("bare", gd.TopK(count=1)), ("fed", gd.ErrorFeedback(gd.TopK(count=1))), ("ef21", gd.EF21(gd.TopK(count=1)))):
        found[name] = ends(run(problem, workers(3, compression), 0.01, 100, partition=np.arange(3), batch=1, init=[[1.0, 1, 1]]))[0]
    np.testing.assert_allclose(found["bare"], 6.1517118676, rtol=1e-9)
    assert all(0.31 < x < 0.33 for x in (*found["fed"], *found["ef21"]))


@pytest.mark.full
@pytest.mark.parametrize(
    ("d", "k", "count", "masks"), [(10, 1, 1, "independent"), (10, 2, 4, "independent"), (100, 1, 16, "independent"), (10, 2, 4, "shared")]
)
def test_random_k_scaled_keeps_the_mean_square_at_its_limit(d, k, count, masks):
    """One step from (1, .., 1) on |w|^2 / 2: E|w|^2 is as before at a = 2 / (1 + (d/k - 1) / K) with masks of K
    workers' own, and at a = 2 k / d with one mask for all.
    """
    starts, rate = 4000, 2 / (1 + (d / k - 1) / (count if masks == "independent" else 1))
    result = run(gd.Quadratic(matrix=np.eye(d)), workers(count, gd.RandomK(count=k, masks=masks)), rate, 1, starts=starts, init=np.ones((starts, d)))
    squares = (ends(result) ** 2).sum(1)
    assert abs(squares.mean() - d) <= 4 * squares.std() / np.sqrt(starts) + 1e-9


VOTERS = {
    "3 of 10 wrong": (np.array([1.0] * 7 + [-1.0] * 3), {1: 0.4, 3: 0.568, 5: 0.67384, 9: 0.80238268, 15: 0.8999749199, 25: 0.9650605189}),
    "gaussian": (1 + 2 * norm.ppf((np.arange(1 << 14) + 0.5) / (1 << 14)), {1: 0.3829249225, 3: 0.5463129566, 5: 0.6508856083, 9: 0.7807802296}),
    "Karimireddy": (np.array([4.0, -1.0, -1.0, -1.0]), {1: -0.5}),
}  # gradients that are right in the mean, of slope 1, 1 and 1/4, and the drift of their majority


@pytest.mark.full
@pytest.mark.parametrize("name", VOTERS)
def test_a_majority_drifts_by_how_often_signs_are_wrong(name):
    """Each wrong with probability q, K votes go 1 - 2 P(wrong) - P(tie) towards the minimum; an even number of them as
    one less. In the counterexample of Karimireddy et al. (2019), (1), q = 3/4, and one worker goes away from it.
    """
    gradients, known = VOTERS[name]
    starts, q, counts = 4000, (gradients < 0).mean(), (1, 2, 3, 4, 5, 9, 15, 25)
    problem = gd.Expression("x*w + 0*y", data=gd.Data(gradients[:, None], 0 * gradients), variables=["w"])
    options = {"batch": 1, "shuffle": "replacement", "starts": starts, "init": np.zeros((starts, 1))}
    result = run(problem, workers(counts, gd.Sign()), 1.0, 1, **options)
    for cell, count in enumerate(counts):
        votes = count - 1 + count % 2
        drift = 1 - 2 * binom.sf(votes // 2, votes, q)
        assert drift == pytest.approx(known.get(votes, drift), abs=2e-5)
        steps = -ends(result)[result.cell.values == cell, 0]
        assert set(steps) <= ({-1.0, 1.0} if count % 2 else {-1.0, 0.0, 1.0})
        assert abs(steps.mean() - drift) <= 4 * steps.std() / np.sqrt(starts)
    if name == "Karimireddy":  # the scaled sign of one number in a memory is the gradient, and goes down
        steps = -ends(run(problem, workers(1, gd.ErrorFeedback(gd.ScaledSign())), 1.0, 1, **options))[:, 0]
        assert abs(steps.mean() - 0.25) <= 4 * steps.std() / np.sqrt(starts)


def test_signs_of_subgradients_keep_the_sum_where_error_feedback_goes_to_the_minimum():
    """|u + v| / 2 + |u - v| from (1, 1), the counterexample of Karimireddy et al. (2019), (2), but a hair beside it, where
    u - v has a sign.
    """
    problem = gd.Expression("0.5*abs(u + v) + abs(u - v)", variables=("u", "v"))
    for compression in (gd.Sign(), gd.ErrorFeedback(gd.ScaledSign())):
        result = run(problem, workers(1, compression), 0.01, 2000, init=[[1.0 + 1e-9, 1.0]], record=gd.Record(every=1, parameters=True))
        if compression == gd.Sign():
            assert ends(result)[0].sum() == pytest.approx(2.0, rel=1e-9)
            assert result.loss.values.min() >= 1.0 - 1e-12
        else:
            assert result.loss.values[0, -1] < 0.05


@pytest.mark.full
def test_power_sgd_of_many_workers_is_that_of_one_with_all_samples():
    rng = np.random.default_rng(1)
    data = gd.Data(rng.normal(size=(32, 6)), rng.integers(0, 3, 32))
    found = []
    for count, batch in ((4, 2), (1, 8)):
        distribution = workers(count, gd.ErrorFeedback(gd.PowerSGD(rank=1), rate="outside"))
        found.append(ends(run(gd.MLP(data, hidden=[5]), distribution, 0.1, 20, batch=batch, starts=3)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10, atol=1e-13)


def test_rules_that_need_more_than_messages_are_refused():
    with pytest.raises(ValueError, match="Synchronous has single gradients or messages, with compression, dropped, or backup on shards"):
        run(gd.functions.Booth(), workers(2, gd.TopK(count=1)), 0.1, 5, optimizer=gd.SAM(gd.SGD()))
