"""Every kind beside the oracle, on random small problems: unequal curvature, unequal shards, each worker's
gradient that of its whole shard.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population.samples import sample_order
from tests.distributed import reference, reference_gossip
from tests.distributed.problems import ALL, CENTRES, HESSIANS, planes, random_planes, swept

START, STEPS = np.array([2.0, -1.5]), 23
RULES = {
    "sgd": (gd.SGD(lr=0.2), reference.sgd(0.2)),
    "heavy ball": (gd.Momentum(lr=0.1, momentum=0.8, convention="torch"), reference.heavy_ball(0.1, 0.8)),
    "torch Nesterov": (gd.Nesterov(lr=0.1, momentum=0.8, convention="torch"), reference.nesterov(0.1, 0.8)),
    "Nesterov": (gd.Nesterov(lr=0.1, momentum=0.8), reference.lecture_nesterov(0.1, 0.8)),
    "adam": (gd.Adam(lr=0.1, eps=1e-8, convention="torch"), reference.adam(0.1)),
}


def swept_setting(problem, optimizer, start, steps, **options):
    """The setting of the same sweep, which says how samples are drawn."""
    return gd.Sweep(problem=problem, optimizer=optimizer, init=[start.tolist()], steps=steps, dtype="float64", **options).plan().groups[0].setting


def paths(result):
    """{(the run's numbers by name): its reported parameters [step, parameter]}."""
    return [(run, run.trajectory.values) for run in (result.isel(run=k) for k in range(result.sizes["run"]))]


def drawn(problem, orders):
    """The mean gradient of a worker's batches, by the samples of each step."""

    def gradient(worker, step, w):
        rows = orders[worker][step]
        return np.einsum("sij,sj->i", problem.hessians[rows], w - problem.centres[rows]) / len(rows)

    return gradient


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("rule", "state"), [
    ("sgd", "keep"), *(pytest.param(*case, marks=pytest.mark.full) for case in (
        ("heavy ball", "keep"), ("heavy ball", "average"), ("torch Nesterov", "reset"), ("adam", "keep"), ("adam", "average"), ("Nesterov", "keep"), ("Nesterov", "average"),
    )),
])  # fmt: skip
def test_averaging(rule, state):
    optimizer, plain = RULES[rule]
    for seed, workers in ((2, 2), (3, 7)):
        problem = random_planes(seed, workers)
        options = {"batch": 2, "shuffle": "replacement"}
        setting = swept_setting(problem.problem, optimizer, START, STEPS, distribution=gd.LocalSGD(workers=workers), **options)
        gradient = drawn(problem, [sample_order(setting, 0, k) for k in range(workers)])
        result = swept(
            problem.problem, optimizer, gd.LocalSGD(workers=workers, period=[1, 3, 8], after=[0, 5], state=state), START, STEPS, record=ALL, **options
        )
        for run, path in paths(result):
            found = reference.averaging(START, gradient, plain, STEPS, workers, period=int(run.period), after=int(run.after), state=state)
            same(path, found.reported)


@pytest.mark.parametrize("rule", ["torch Nesterov", pytest.param("adam", marks=pytest.mark.slow), pytest.param("Nesterov", marks=pytest.mark.slow)])
def test_synchronous_workers_with_shards_of_their_own(rule):
    """One sample a worker, so that the workers' mean is the mean of all."""
    optimizer, plain = RULES[rule]
    problem = planes(HESSIANS, CENTRES)
    result = swept(problem, optimizer, gd.Synchronous(workers=3), START, STEPS, record=ALL, batch=1)
    same(result.trajectory.values[0], reference.synchronous(START, problem.gradient, plain, STEPS, 3))


@pytest.mark.parametrize(("rule", "outer"), [("sgd", "torch Nesterov"), pytest.param("adam", "heavy ball", marks=pytest.mark.full)])
def test_outer_rules_on_shards_of_unequal_sizes(rule, outer):
    optimizer, plain = RULES[rule]
    own, outer_rule = RULES[outer]
    problem = random_planes(5, 4)
    result = swept(problem, optimizer, gd.LocalSGD(workers=4, period=[1, 5], outer=own), START, 20, record=ALL)
    for run, path in paths(result):
        period = int(run.period)
        found = reference.rounds(START, problem.gradient, plain, [dict.fromkeys(range(4), period)] * (20 // period), outer=outer_rule)
        same(path[::period], found)


@pytest.mark.parametrize("rule", ["sgd", pytest.param("Nesterov", marks=pytest.mark.full)])
def test_elastic_averaging(rule):
    optimizer, plain = RULES[rule]
    problem = random_planes(6, 3)
    result = swept(problem, optimizer, gd.ElasticAveraging(workers=3, moving_rate=[0.1, 0.3], period=[1, 4]), START, STEPS, record=ALL)
    for run, path in paths(result):
        same(path, reference.elastic(START, problem.gradient, plain, STEPS, 3, float(run.moving_rate), period=int(run.period)).reported)


@pytest.mark.parametrize(("rule", "order"), [("heavy ball", "combine"), pytest.param("Nesterov", "adapt", marks=pytest.mark.full)])
def test_gossip(rule, order):
    optimizer, plain = RULES[rule]
    problem = random_planes(7, 5)
    for graph in ("ring", "star"):
        W = reference_gossip.graph(graph, 5)
        result = swept(problem, optimizer, gd.Gossip(workers=5, topology=graph, order=order, period=[1, 3]), START, STEPS, record=ALL)
        for run, path in paths(result):
            found = reference_gossip.gossip(START, problem.gradient, plain, STEPS, lambda t, W=W: W, order=order, period=int(run.period))
            same(path, found.reported)
            np.testing.assert_allclose(run.disagreement.values, found.disagreement, rtol=1e-9, atol=1e-15)


@pytest.mark.full
def test_tracked_gradients():
    problem = random_planes(8, 4)
    result = swept(problem, gd.SGD(lr=0.1), gd.Gossip(workers=4, topology="path", tracking=True), START, STEPS, record=ALL)
    same(result.trajectory.values[0], reference_gossip.tracking(START, problem.gradient, 0.1, STEPS, reference_gossip.graph("path", 4)).reported)
