"""Synchronous workers whose gradients do not all arrive: some are lost, some belong to the slowest, who are not
waited for.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.analysis import Rounds, simulated_seconds
from gdsim.distribution.time_draws import summed_times
from gdsim.lanes.draws import uniform_numbers
from gdsim.lanes.philox import ARRIVAL, purpose_of
from tests.distributed import reference
from tests.distributed.problems import ALL, FINAL, lines, noisy_bowl, random_planes, swept
from tests.distributed.reference_compression import compressed, top_k
from tests.helpers import same_bits

START, STEPS = np.array([2.0, -1.5]), 23
LAW, SPEEDS = gd.LogNormal(1.0, 0.5), (1.0, 0.8, 1.0, 2.0)


def arrivals(start, steps, workers, dropped=0.0, awaited=None, law=LAW, speeds=None):
    """[step] who arrives: the first of the workers by their times, the lower of equals, without the lost."""
    local, one = np.arange(steps), np.ones(steps, int)
    times = np.array([summed_times(law, 0, start * one, local, one, k) / (speeds or [1.0] * workers)[k] for k in range(workers)])
    first = np.argsort(times, axis=0, kind="stable")[:awaited]
    lost = [[uniform_numbers(0, np.array([start]), (int(purpose_of(ARRIVAL, k)), step), 1)[0, 0] < dropped for k in range(workers)] for step in range(steps)]
    return [[k for k in range(workers) if k in first[:, step] and not lost[step][k]] for step in range(steps)]


def of_cells(result, name):
    """[cell, start, ...] of a variable."""
    return np.stack([result[name].values[result.cell.values == cell] for cell in np.unique(result.cell)])


def population(starts):
    return {"init": np.tile(START, (starts, 1)).tolist(), "starts": starts}


@pytest.mark.parametrize("over", ["arrived", "workers"])
def test_a_step_is_made_of_the_gradients_that_arrive(over):
    problem, starts = random_planes(5, 4), 400
    optimizer = gd.Momentum(lr=0.1, momentum=0.8, convention="torch")
    distribution = gd.Synchronous(workers=4, dropped=[0.3, 0.9], mean_over=over)
    result = gd.Sweep(
        problem=problem.problem, partition=problem.partition, optimizer=optimizer, distribution=distribution, batch=None, steps=STEPS, dtype="float64",
        record=ALL, schedule=gd.Piecewise([(0, 1.0), (12, 0.25)]), **population(starts),
    ).run(progress=False)  # fmt: skip
    gradients = np.array([problem.gradient(k, 0, START) for k in range(4)])
    for dropped in (0.3, 0.9):
        runs = result.isel(run=result.dropped.values == dropped)
        for start in (0, 7, 399):
            who = arrivals(start, STEPS, 4, dropped)
            expected = reference.synchronous(
                START, problem.gradient, reference.heavy_ball(0.1, 0.8), STEPS, 4, who.__getitem__, over=4 if over == "workers" else None,
                scale=lambda step: 1.0 if step < 12 else 0.25,
            )  # fmt: skip
            np.testing.assert_allclose(runs.trajectory.values[start], expected, rtol=1e-11, atol=1e-13)
        first = (START - runs.trajectory.values[:, 1]) / 0.1
        steps = first[(first != 0.0).any(1)] if over == "arrived" else first / (1.0 - dropped)
        assert (np.abs(steps.mean(0) - gradients.mean(0)) < 4 * steps.std(0) / np.sqrt(len(steps))).all()
    assert (result.samples.values == len(problem.partition) * result.step.values).all()  # the lost ones' too


@pytest.mark.full
def test_a_step_without_gradients_is_none_and_nothing_lost_is_the_plain_run():
    """One worker on all of its samples: what it does is the plain run with pauses, Adam's count of steps too."""
    options = {"problem": lines([1.0, 3.0], [0.0, 1.0]).problem, "optimizer": gd.Adam(lr=0.1), "batch": None, "starts": 9, "steps": 40}
    options |= {"init": np.arange(9.0)[:, None].tolist(), "dtype": "float64", "record": ALL}
    result = gd.Sweep(distribution=[None, gd.Synchronous(workers=1, dropped=[0.0, 1e-300, 0.5])], **options).run(progress=False)
    paths = of_cells(result, "trajectory")
    assert same_bits(paths[1], paths[0])
    np.testing.assert_allclose(paths[2], paths[0], rtol=1e-12)
    for start in range(9):
        made = np.cumsum([0, *map(len, arrivals(start, 40, 1, 0.5))])
        assert made[-1] < 40
        assert same_bits(paths[3, start], paths[2, start, made])


@pytest.mark.full
@pytest.mark.parametrize("rule", [gd.ClipNorm(gd.Momentum(lr=0.1), 0.2), gd.Nesterov(lr=0.05), gd.AdamW(lr=0.1, weight_decay=0.1)])
def test_gradients_apart_make_the_steps_of_one_batch(rule):
    problem = gd.LogisticRegression(gd.Data(np.random.default_rng(0).normal(size=(24, 2)), np.arange(24) % 5 // 3), l2=0.1)
    options = {"problem": problem, "optimizer": rule, "batch": 4, "schedule": gd.Cosine(9), "starts": 3, "steps": 40, "dtype": "float64", "record": ALL}
    paths = of_cells(gd.Sweep(distribution=gd.Synchronous(workers=3, dropped=[0.0, 1e-300]), **options).run(progress=False), "trajectory")
    np.testing.assert_allclose(paths[1], paths[0], rtol=1e-11, atol=1e-13)


@pytest.mark.full
@pytest.mark.parametrize("over", ["arrived", "workers"])
def test_the_floor_of_gradients_that_are_lost(over):
    """With a = eta L, n of K gradients arrive. Of the mean of those: V = (eta sigma)^2 E[1/n | n > 0] / (a (2 - a)); of
    their sum over K, with q = 1 - p: V = (eta sigma)^2 (q / K) / (2 a q - a^2 (q^2 + p q / K)).
    """
    K, a, starts, drops = 4, 1.0, 4000, (0.2, 0.7)
    result = gd.Sweep(
        distribution=gd.Synchronous(workers=K, dropped=list(drops), mean_over=over), optimizer=gd.SGD(lr=a), steps=30, record=FINAL,
        init=np.zeros((starts, 1)).tolist(), starts=starts, **noisy_bowl(),
    ).run(progress=False)  # fmt: skip
    from scipy.stats import binom

    for p, found in zip(drops, of_cells(result, "parameters")[:, :, 0], strict=True):
        n, q = np.arange(1, K + 1), 1 - p
        per_arrived = (binom.pmf(n, K, q) / n).sum() / (1 - p**K)
        floor = a**2 * per_arrived / (a * (2 - a)) if over == "arrived" else a**2 * q / K / (2 * a * q - a**2 * (q**2 + p * q / K))
        assert found.mean() == pytest.approx(0.0, abs=4 * np.sqrt(floor / starts))
        assert found.var() == pytest.approx(floor, rel=4 * np.sqrt(2 / starts))


@pytest.mark.parametrize("dropped", [0.0, pytest.param(0.4, marks=pytest.mark.full)])
def test_the_slowest_of_a_step_are_left_out(dropped):
    problem = lines([1.0, 3.0, 0.5, 2.0], [0.0, 1.0, 5.0, -2.0])
    distribution = gd.Synchronous(workers=3, backup=1, dropped=dropped, compute=LAW, speeds=SPEEDS)
    result = swept(problem, gd.SGD(lr=0.2), distribution, [2.0], STEPS, record=ALL)
    who = arrivals(0, STEPS, 4, dropped, awaited=3, speeds=SPEEDS)
    assert len({tuple(w) for w in who}) > 2
    np.testing.assert_allclose(
        result.trajectory.values[0], reference.synchronous(np.array([2.0]), problem.gradient, reference.sgd(0.2), STEPS, 4, who.__getitem__), rtol=1e-11
    )
    cluster = gd.SimulatedCluster(compute=gd.LogNormal(0.02, 0.5), speeds=SPEEDS, latency=0.001)
    seconds = simulated_seconds(result, cluster).values[0]
    assert seconds.tolist() == cluster.seconds_at(Rounds(3, spare=1, message=8), 0, np.arange(STEPS + 1)).tolist()
    law, speeds = r"compute=LogNormal\(1, 0.5\), and another law would leave out", r"speeds=\[1.0, 0.8, 1.0, 2.0\], and others would leave out .*; \[1.0, 1.0"
    others = [(gd.LogNormal(0.02, 0.6), SPEEDS, law), (LAW, None, speeds), (gd.ExponentialTime(1.0), SPEEDS, law)]
    for compute, its, said in others:
        with pytest.raises(ValueError, match=f"made with {said}"):
            simulated_seconds(result, gd.SimulatedCluster(compute=compute, speeds=its))


def test_workers_that_are_always_slow_teach_nothing_and_of_equals_the_lower_are_waited_for():
    problem = lines([1.0, 1.0, 1.0], [0.0, 1.0, 5.0])
    for speeds, limit in ((None, 0.5), ([1.0, 0.5, 1.0], 2.5)):
        distribution = gd.Synchronous(workers=2, backup=1, compute=gd.LogNormal(3.0, 0.0), speeds=speeds)  # all times are the mean
        found = swept(problem, gd.SGD(lr=0.5), distribution, [0.0], 60)
        assert found.parameters.values[0, 0] == pytest.approx(limit, rel=1e-12)


@pytest.mark.full
def test_memoryless_workers_are_each_as_often_the_first_by_the_times_of_their_seconds():
    starts = 3000
    problem = lines([1.0, 1.0, 1.0], [1.0, 2.0, 4.0])
    result = gd.Sweep(
        problem=problem.problem, partition=problem.partition, optimizer=gd.SGD(lr=1.0), distribution=gd.Synchronous(workers=1, backup=2), batch=None, steps=1,
        init=np.zeros((starts, 1)).tolist(), starts=starts, dtype="float64", record=FINAL,
    ).run(progress=False)  # fmt: skip
    cluster = gd.SimulatedCluster(compute=gd.ExponentialTime(0.1))
    rows, none = np.arange(starts), np.zeros(starts, int)
    times = np.array([summed_times(cluster.compute, 0, rows, none, none + 1, k) for k in range(3)])
    taken = result.parameters.values[:, 0]
    assert taken.tolist() == np.array([1.0, 2.0, 4.0])[times.argmin(0)].tolist()
    assert simulated_seconds(result, cluster).values[:, -1].tolist() == times.min(0).tolist()
    for value in (1.0, 2.0, 4.0):
        assert (taken == value).mean() == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / starts))


@pytest.mark.full
@pytest.mark.parametrize(
    ("compression", "memory"),
    [
        (gd.ErrorFeedback(gd.TopK(count=1)), "inside"),
        pytest.param(gd.EF21(gd.TopK(count=1)), "ef21", marks=pytest.mark.full),
        pytest.param(gd.TopK(count=1), None, marks=pytest.mark.full),
    ],
)
def test_lost_messages_stay_lost_and_vectors_that_both_ends_have_stay(compression, memory):
    problem = random_planes(5, 4)
    distribution = gd.Synchronous(workers=3, backup=1, dropped=[0.1, 0.6], compression=compression, compute=LAW)
    result = swept(problem, gd.SGD(lr=0.1), distribution, START, STEPS, record=ALL)
    for run, dropped in enumerate((0.1, 0.6)):
        who = arrivals(0, STEPS, 4, dropped, awaited=3)
        expected = compressed(START, problem.gradient, lambda t: 0.1, STEPS, 4, lambda k, t, v: top_k(v, 1), memory, who.__getitem__)
        np.testing.assert_allclose(result.trajectory.values[run], expected.path, rtol=1e-11)


@pytest.mark.full
def test_a_factor_that_nobody_receives_is_kept():
    """One worker of PowerSGD with a memory: the run without losses, with pauses in which memory and basis stay."""
    rng = np.random.default_rng(0)
    problem = gd.MLP(gd.Data(rng.normal(size=(12, 4)), np.arange(12) % 3), hidden=[3])
    distribution = gd.Synchronous(workers=1, dropped=[1e-300, 0.5], compression=gd.ErrorFeedback(gd.PowerSGD(), rate="outside"))
    result = gd.Sweep(
        problem=problem, optimizer=gd.SGD(lr=0.3), distribution=distribution, batch=None, starts=6, steps=30, dtype="float64", record=ALL
    ).run(progress=False)  # fmt: skip
    paths = of_cells(result, "trajectory")
    who = [arrivals(start, 30, 1, 0.5) for start in range(6)]
    begun = [start for start in range(6) if who[start][0]]  # a basis is drawn in the first step that something arrives in
    assert 0 < len(begun) < 6
    for start in begun:
        assert same_bits(paths[1, start], paths[0, start, np.cumsum([0, *map(len, who[start])])])


def test_backup_workers_that_share_samples_take_the_plain_path_unless_their_times_are_given():
    plain = gd.Synchronous(workers=2, backup=[0, 1])
    settings = [g.setting for g in gd.Sweep(problem=gd.MLP(gd.datasets.load("moons")), optimizer=gd.SGD(), batch=4, distribution=plain).plan().groups]
    assert [(s.makes_one_batch, s.workers, s.gradients_per_step) for s in settings] == [(True, 2, 1)] * 2
    timed = gd.Synchronous(workers=[2, 3], backup=1, compute=gd.grid(gd.Exponential(1.0), gd.ConstantTime(1.0)))
    settings = [g.setting for g in gd.Sweep(problem=gd.MLP(gd.datasets.load("moons")), optimizer=gd.SGD(), batch=4, distribution=timed).plan().groups]
    assert [(s.makes_one_batch, s.workers, s.gradients_per_step) for s in settings] == [(False, 3, 3), (False, 4, 4)] * 2
    spared = gd.Synchronous(workers=gd.zip(4, 3), backup=gd.zip(0, 1), speeds=[1, 1, 1, 0.5])
    cells = gd.Sweep(problem=gd.MLP(gd.datasets.load("moons")), optimizer=gd.SGD(), batch=4, distribution=spared).plan().cells
    assert [(c.distribution.workers, c.distribution.backup) for c in cells] == [(4, 0), (3, 1)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.Synchronous(workers=3, backup=1, speeds=[1.0, 1.0]), r"^Synchronous.speeds must have one for each of the 4 workers that are launched; 2 were given$"),
        (
            lambda: gd.Synchronous(workers=3, backup=[0, 1], speeds=[1, 1, 1, 0.5]),
            r"^Synchronous.speeds are of one number of workers .* make 3 and 4: let them advance together, as workers=gd.zip\(4, 3\), backup=gd.zip\(0, 1\) do$",
        ),
        (lambda: gd.Synchronous(workers=3, backup=1, compute="fast"), r"^Synchronous.compute must be a law of compute times"),
        (lambda: gd.Synchronous(workers=3, dropped=1.0), r"^Synchronous.dropped must be .* in \[0, 1\)"),
        (
            lambda: swept(lines([1.0, 1.0], [0.0, 1.0]), gd.SGD(), gd.Synchronous(workers=2, speeds=[1.0, 2.0]), [0.0], 1),
            r"^Synchronous.speeds is for leaving out the slowest workers, and backup=0 leaves out none",
        ),
        (
            lambda: swept(lines([1.0, 1.0], [0.0, 1.0]), gd.SGD(), gd.Synchronous(workers=2, mean_over=gd.grid("arrived", "workers")), [0.0], 1),
            r"^Synchronous.mean_over is for gradients that are lost, and dropped=0 loses none",
        ),
        (
            lambda: swept(lines([1.0, 1.0], [0.0, 1.0]), gd.SGD(), gd.Synchronous(workers=2, backup=1), [0.0], 1),
            r"^Synchronous has 3 workers, and the data 2 samples: give at most as many workers as samples$",
        ),
        (
            lambda: swept(lines([1.0, 1.0], [0.0, 1.0]), gd.SAM(gd.SGD()), gd.Synchronous(workers=2, dropped=0.1), [0.0], 1),
            r"^Synchronous has single gradients or messages, with compression, dropped, or backup on shards, and no losses.*take another optimizer than SAM$",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_line(make, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
