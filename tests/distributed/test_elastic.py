"""Elastic averaging: beside the oracle's loop, its roots, limits and floors (Zhang, Choromanska and LeCun 2015)."""

import numpy as np
import pytest

import gdsim as gd
from tests.distributed import reference as oracle
from tests.distributed.problems import noisy_bowl
from tests.distributed.test_gossip import MOMENTUM, RATE, STEPS, apart, assert_same, gradients, noisy, swept


@pytest.mark.parametrize(("workers", "period"), [(1, 1), (1, 5), (4, 1), (5, 4)])
def test_workers_and_centre_draw_each_other(workers, period):
    optimizer = gd.Momentum(RATE, MOMENTUM, convention="torch")
    sweep, result = swept(gd.ElasticAveraging(workers=workers, period=period, moving_rate=0.15), optimizer)
    for run in range(3):
        rule = oracle.heavy_ball(RATE, MOMENTUM)
        found = oracle.elastic(result.trajectory[run, 0].values, gradients(sweep, run, workers), rule, STEPS, workers, 0.15, period=period)
        assert_same(result, run, found.reported, apart(found.workers, found.workers.mean(1)))


@pytest.mark.full
def test_in_turn_each_worker_finds_the_centre_as_the_last_has_left_it():
    sweep, result = swept(gd.ElasticAveraging(workers=4, moving_rate=0.3, turns="round_robin"), gd.SGD(RATE))
    for run in range(3):
        found = oracle.round_robin(result.trajectory[run, 0].values, gradients(sweep, run, 4), oracle.sgd(RATE), 4 * STEPS, 4, 0.3)
        assert_same(result, run, found.reported[::4], apart(found.workers, found.workers.mean(1))[::4])


def statuses(rates, steps, **named):
    return noisy(gd.ElasticAveraging(**named), list(rates), steps, 1, record=gd.Record(every="ends")).status.values.tolist()


LIMITS = [(4, 0.1, 1.875), (4, 0.225, 1.5909090909), (8, 0.1125, 1.7954545455), (4, 0.3, 1.25), (16, 0.05, 1.9166666667)]


@pytest.mark.parametrize(("workers", "alpha", "limit"), LIMITS)
def test_together_it_is_stable_to_its_limit(workers, alpha, limit):
    assert statuses([limit * 0.99, limit * 1.01], 4000, workers=workers, moving_rate=alpha) == ["budget", "diverged"]


def test_with_too_strong_forces_no_rate_is_stable():
    assert set(statuses([0.01, 0.1, 1.0], 20000, workers=4, moving_rate=0.45)) == {"diverged"}


@pytest.mark.full
@pytest.mark.parametrize(("workers", "limit"), [(2, 0.7071067812), (3, 2 / 3), (4, 0.6751308706), (5, 2 / 3), (8, 0.6687398)])
def test_in_turn_it_is_stable_to_its_limit(workers, limit):
    found = [statuses([1.0], 20000, workers=workers, moving_rate=limit * f, turns="round_robin") for f in (0.998, 1.002)]
    assert found == [["budget"], ["diverged"]]


def test_the_centre_goes_by_the_roots_of_its_polynomial():
    """p = 4, alpha = .225, a = .5 without noise: the centre is a sum of powers of the two roots of the mean and the centre."""
    still = {**noisy_bowl(sigma=0.0), "optimizer": gd.SGD(lr=0.5), "init": [[1.0]], "steps": 20, "record": gd.Record(every=1, trajectory=True)}
    result = gd.Sweep(**still, distribution=gd.ElasticAveraging(workers=4, moving_rate=0.225)).run(progress=False)
    path, (first, second) = result.trajectory[0, :, 0].values, (0.6459280, -0.2709280)
    np.testing.assert_allclose(path[2:], (first + second) * path[1:-1] - first * second * path[:-2], atol=1e-7)


@pytest.mark.full
@pytest.mark.parametrize(("workers", "alpha", "floor", "of_mean"), [(4, 0.225, 1.0455839691, 1.0724454712), (16, 0.05, 0.2979015080, 0.3110829906)])
def test_the_floor_of_the_centre_is_below_that_of_synchronous_workers(workers, alpha, floor, of_mean):
    a, starts = 0.1, 8000
    result = noisy(gd.ElasticAveraging(workers=workers, moving_rate=alpha), a, 300, starts, record=gd.Record(every="ends", parameters=True, state=True))
    points = result.state_workers.values.reshape(starts, -1)[:, :workers]
    np.testing.assert_allclose(points.var(1), result.disagreement.values[:, -1], rtol=1e-9)
    assert abs((points.mean(1) ** 2).mean() / a**2 / of_mean - 1) < 4 * np.sqrt(2 / starts)
    found = (result.parameters[:, 0].values ** 2).mean() / a**2
    assert abs(found / floor - 1) < 4 * np.sqrt(2 / starts)
    assert floor < 1 / (workers * a * (2 - a))
    apart = result.disagreement[:, -1].values / a**2
    assert abs(apart.mean() - (1 - 1 / workers) / (1 - (1 - a - alpha) ** 2)) < 4 * apart.std() / np.sqrt(starts)
