"""Laws of compute times: their moments and distribution, and that a draw depends on its worker and step alone."""

import math

import numpy as np
import pytest
from scipy import stats

import gdsim as gd
from gdsim.analysis import Rounds, expected_compute
from gdsim.distribution.compute_times import checked_compute_time
from gdsim.distribution.time_draws import summed_times
from gdsim.schedules import Exponential

LAWS = [
    (gd.ExponentialTime(2.0), stats.expon(scale=2.0)),
    (gd.ShiftedExponential(mean=2.0, shift=0.25), stats.expon(loc=0.5, scale=1.5)),
    (gd.LogNormal(mean=2.0, shape=0.5), stats.lognorm(0.5, scale=2.0 * math.exp(-0.125))),
    (gd.Pareto(mean=2.0, index=3.0), stats.pareto(3.0, scale=4.0 / 3.0)),
]
DRAWS = 20_000
CLUSTER = gd.SimulatedCluster(compute=gd.ExponentialTime(0.01), latency=5e-6, bandwidth=1.25e9)


def drawn(law, worker=0, begins=0, lengths=1, seed=0):
    starts = np.arange(DRAWS)
    return summed_times(law, seed, starts, np.full(DRAWS, begins), np.full(DRAWS, lengths), worker)


@pytest.mark.parametrize(("law", "known"), LAWS, ids=lambda v: type(v).__name__)
def test_laws_are_those_of_scipy(law, known):
    times = drawn(law, worker=3, begins=17)
    assert stats.kstest(times, known.cdf).pvalue > 1e-3
    assert law.variance == pytest.approx(known.var(), rel=1e-12)
    some = np.array([0.1, 0.6, 1.0, 2.0, 5.0, 80.0])
    assert law.share_left(some) == pytest.approx(known.sf(some), rel=1e-12)
    assert law.least == pytest.approx(known.support()[0])


def test_constant_times_are_constant():
    assert (drawn(gd.ConstantTime(0.5), lengths=3) == 1.5).all()
    assert gd.ConstantTime(0.5).variance == 0.0
    assert gd.Pareto(1.0, 2.0).variance == math.inf


def test_a_time_is_a_function_of_seed_start_worker_and_step():
    law = gd.LogNormal(1.0, 0.5)
    first, second = drawn(law, 1, 4), drawn(law, 1, 5)
    assert drawn(law, 1, 4, lengths=2) == pytest.approx(first + second, rel=1e-15)
    for other in (second, drawn(law, 2, 4), drawn(law, 1, 4, seed=1), np.roll(first, 1)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.05
    some = summed_times(law, 0, np.array([7, 3]), np.array([4, 5]), np.array([1, 1]), 1)
    assert some.tolist() == [first[7], second[3]]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: gd.ExponentialTime(0.0), r"ExponentialTime.mean must be a finite number in \[1e-12, 1e\+12\]; 0.0 was given"),
        (lambda: gd.ShiftedExponential(1.0, 1.0), r"ShiftedExponential.shift must be a finite number in \[0, 1\)"),
        (lambda: gd.Pareto(1.0, 1.0), r"Pareto.index must be a finite number in \(1, inf\)"),
        (lambda: gd.SimulatedCluster(compute=gd.ExponentialTime([1.0, 2.0])), r"ExponentialTime.mean must be one number here, not an axis"),
        (lambda: gd.SimulatedCluster(compute=gd.ConstantTime(1.0), collective="rng"), r"SimulatedCluster.collective.*'ring'"),
        (lambda: gd.SimulatedCluster(compute=gd.ConstantTime(1.0), speeds=[1.0]).seconds_at(Rounds(2), 0, 1), r"speeds must have one for each of the 2 workers; 1 were given"),
        (lambda: CLUSTER.seconds_at(Rounds(0), 0, 1), r"Rounds.workers must be a whole number from 1; 0 was given"),
        (lambda: CLUSTER.exchange_seconds(Rounds(2, 0)), r"Rounds.period must be a whole number from 1; 0 was given"),
        (lambda: CLUSTER.seconds_at(Rounds(4, 4, groups=((3, 2),)), 0, 1), r"Rounds.groups=\(\(3, 2\),\) of 4 workers at period=4 do not nest"),
        (lambda: CLUSTER.seconds_at(Rounds(4, 4, groups=((0, 2),)), 0, 1), r"Rounds.groups: workers of a group must be a whole number from 1; 0 was given"),
        (lambda: CLUSTER.seconds_at(Rounds(4, spare=1, in_turn=True), 0, 1), r"Rounds.spare=1 workers are not waited for where all meet"),
        (lambda: CLUSTER.seconds_at(Rounds(4, spare=1, topology="ring"), 0, 1), r"Rounds.spare=1 workers .*: leave it out with topology, groups and in_turn"),
        (lambda: CLUSTER.seconds_at(Rounds(4, in_turn=True, topology="ring"), 0, 1), r"Rounds.topology, groups and in_turn each say who meets: give one"),
        (lambda: CLUSTER.seconds_at(Rounds(6, topology="hypercube"), 0, 1), r"topology 'hypercube' needs a power of 2 of workers; 6 were given"),
        (lambda: CLUSTER.seconds_at(Rounds(4), [0, 1], [3, -1]), r"steps must be whole numbers from 0; -1 was given"),
        (lambda: gd.Queue(speeds=[1.0, 1e-300]), r"Queue.speeds must be a finite number in \[1e-06, 1e\+06\]; 1e-300 was given"),
        (lambda: gd.SimulatedCluster(compute=gd.ConstantTime(1.0), speeds=[1e300]), r"SimulatedCluster.speeds must be a finite number in \[1e-06, 1e\+06\]"),
        (lambda: gd.Queue(gd.ConstantTime(1e300)), r"ConstantTime.mean must be a finite number in \[1e-12, 1e\+12\]; 1e\+300 was given"),
        (lambda: expected_compute(gd.LogNormal(1.0, 0.5), 4, steps=2), r"the time of 2 steps has no formula under LogNormal.*steps=1"),
        (lambda: expected_compute(gd.ConstantTime(1.0), 4, awaited=5), r"awaited must be at most the 4 workers; 5 was given"),
    ],
)  # fmt: skip
def test_what_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_what_is_no_law():
    with pytest.raises(TypeError, match=r"SimulatedCluster.compute must be a law of compute times, one of gd.ConstantTime"):
        gd.SimulatedCluster(compute=1.0)


def test_the_schedule_of_the_same_name_stands_for_a_law():
    assert checked_compute_time(Exponential(2.0), "compute") == gd.ExponentialTime(2.0)


def test_the_slowest_and_the_fastest_of_several_workers():
    """The means of order statistics: sums of 1/i for exponential times, else integrals to eight digits."""
    sizes = (2, 4, 8, 16, 64)
    known = {
        gd.ExponentialTime(1.0): (1.5, 2.0833333333, 2.7178571429, 3.3807289932, 4.7438909037),
        gd.LogNormal(1.0, 0.5): (1.27632639, 1.57327137, 1.88760835, 2.21788217, 2.92579237),
        gd.Pareto(1.0, 2.0): (1.3333333333, 1.8285714286, 2.5460761, 3.5727062, 7.1036761),
    }
    for law, values in known.items():
        assert [expected_compute(law, k) for k in sizes] == pytest.approx(values, abs=1e-8, rel=2e-8)
    exponential = gd.ExponentialTime(1.0)
    assert expected_compute(exponential, 9, awaited=8) == pytest.approx(1.8289682540, rel=1e-10)
    assert expected_compute(exponential, 12, awaited=8) == pytest.approx(1.0198773449, rel=1e-10)
    assert expected_compute(gd.ShiftedExponential(1.0, 0.5), 8) == pytest.approx(1.8589285714, rel=1e-10)
    assert expected_compute(gd.Pareto(1.0, 2.0), 9, awaited=8) == pytest.approx(1.34792267, rel=1e-8)
    several = [expected_compute(exponential, 16, steps=h) / h for h in (1, 2, 4, 8, 16, 64)]
    assert several == pytest.approx([3.38072899, 2.58710163, 2.06257742, 1.71762464, 1.48928043, 1.23302161], rel=1e-8)


def test_backup_workers_have_an_optimum_unless_times_are_memoryless():
    law = gd.ShiftedExponential(1.0, 0.5)
    for noise, best, gain in ((20.0, 34, 3.3086), (100.0, 54, 2.4506), (math.inf, 69, 1.9764)):
        cost = [(1 / n if noise == math.inf else 1 + noise / n) * expected_compute(law, 100, awaited=n) for n in range(1, 101)]
        assert 1 + int(np.argmin(cost)) == best
        assert cost[-1] / min(cost) == pytest.approx(gain, abs=5e-5)
    memoryless = [expected_compute(gd.ExponentialTime(1.0), 100, awaited=n) / n for n in range(1, 101)]
    assert int(np.argmin(memoryless)) == 0


def test_where_more_workers_stop_helping():
    seconds = {k: 1000 * (1 + 8 / k) * CLUSTER.expected_round_seconds(Rounds(k, message=4e6)) for k in range(1, 129)}
    known = {1: 90.0, 2: 91.05, 4: 76.99, 8: 65.6971429, 16: 59.9359349, 27: 58.7708729, 64: 61.1650227, 128: 65.8234379}
    assert [seconds[k] for k in known] == pytest.approx([*known.values()], rel=1e-9)
    assert min(seconds, key=lambda k: seconds[k]) == 27


@pytest.mark.parametrize(("workers", "known"), [(8, (0.00567, 0.00563, 0.01923, 0.022435, 0.05121)), (64, (0.00693, 0.00636, 0.03846, 0.201915, 0.40961))])
def test_collectives(workers, known):
    each = [
        gd.SimulatedCluster(compute=gd.ConstantTime(1.0), latency=5e-6, bandwidth=1.25e9, collective=c)
        for c in ("ring", "halving_doubling", "tree", "all_gather", "server")
    ]
    assert [c.exchange_seconds(Rounds(workers, message=4e6)) for c in each] == pytest.approx(known, rel=1e-9)
    assert each[0].exchange_seconds(Rounds(workers, message=4e6, adds_up=False)) == pytest.approx(known[3])
    assert each[0].exchange_seconds(Rounds(workers, message=4e6, topology="ring")) == pytest.approx(2 * (5e-6 + 3.2e-3))
    assert each[4].exchange_seconds(Rounds(1, message=4e6)) == 0.0


@pytest.mark.parametrize("law", [law for law, _ in LAWS], ids=lambda v: type(v).__name__)
@pytest.mark.parametrize(
    ("rounds", "more"),
    [(Rounds(8, message=4e6), {}), (Rounds(8, spare=4), {}), (Rounds(3), {"speeds": [1.0, 1.0, 0.5]}), (Rounds(4, message=3e9), {"overlap": True}), (Rounds(4, period=4), {})],
    ids=["ring", "backup", "speeds", "overlap", "period"],
)  # fmt: skip
def test_drawn_rounds_agree_with_expected_ones(law, rounds, more):
    cluster = gd.SimulatedCluster(compute=law, latency=5e-6, bandwidth=1.25e9, **more)
    found = cluster.seconds_at(rounds, np.arange(DRAWS), rounds.period)
    if rounds.period == 1 or law.adds_up:
        assert abs(found.mean() - cluster.expected_round_seconds(rounds)) < 4 * found.std() / math.sqrt(DRAWS)
    else:
        assert found.mean() < 4 * cluster.expected_round_seconds(rounds._replace(period=1))


def test_seconds_add_up_round_by_round_in_any_order():
    rounds, starts = Rounds(4, period=3, after=4, message=1e6), np.arange(5)
    steps = np.arange(12)
    assert rounds.done_by(steps).tolist() == [0, 1, 2, 3, 4, 4, 4, 5, 5, 5, 6, 6]
    assert rounds.steps_in(rounds.done_by(steps)).tolist() == [0, 1, 2, 3, 4, 4, 4, 7, 7, 7, 10, 10]
    found = CLUSTER.seconds_at(rounds, starts[:, None], steps)
    each = np.stack([[summed_times(CLUSTER.compute, 0, starts, np.full(5, s), np.ones(5), k) for s in steps[:-1]] for k in range(4)])
    clock, expected = np.zeros((4, 5)), [np.zeros(5)]
    for step in steps[1:]:
        clock = clock + each[:, step - 1]
        if rounds.done_by(step) > rounds.done_by(step - 1):
            clock[:] = clock.max(0) + CLUSTER.exchange_seconds(rounds)
        expected.append(clock.max(0))
    assert found == pytest.approx(np.array(expected).T, rel=1e-12)
    assert CLUSTER.seconds_at(rounds, starts[::-1], 7).tolist() == found[::-1, 7].tolist()
