"""Asynchronous runs: beside the oracle, event by event, and what is known exactly of delayed gradients."""

import math

import msgspec
import numpy as np
import pytest

import gdsim as gd
from gdsim.distribution.time_draws import summed_times
from gdsim.kernels.teams.asynchronous import AGES, AGES_HIGH, FIRST, MANY_AGES, OLDEST
from gdsim.kernels.teams.queue import EACH, LEFT, MADE, MADE_HIGH, READ
from gdsim.population.samples import sample_order
from gdsim.starts import initial_points
from gdsim.sweep.resume import continue_with
from tests.distributed import reference

RNG = np.random.default_rng(0)
DATA = gd.Data(X := RNG.normal(size=(60, 3)), X @ [1.0, -2.0, 0.5] + RNG.normal(size=60))
PARABOLA = gd.Expression("w**2/2", variables=["w"])
NOISE = {"init": 0.0, "batch": 1, "shuffle": "replacement", "dtype": "float64"}  # of samples at +-1


def noisy(samples=2):
    return gd.Quadratic([[1.0]], centers=[[1.0], [-1.0]] * (samples // 2))


def regression(distribution, optimizer, steps=50, **options):
    kept = {"dtype": "float64", "record": gd.Record(every=1, trajectory=True), **options}
    return gd.Sweep(problem=gd.LinearRegression(DATA), optimizer=optimizer, distribution=distribution, starts=20, steps=steps, batch=4, **kept)


def gradient_of(setting, run):
    """The oracle's gradient(worker, its step, point) of a run, on the samples that gdsim draws."""
    orders = [sample_order(setting, run, k) for k in range(setting.workers)]
    inputs = np.c_[DATA.X, np.ones(len(DATA.X))]

    def gradient(worker, step, w):
        rows = orders[worker][step]
        return 2 * inputs[rows].T @ (inputs[rows] @ w - DATA.y[rows]) / len(rows)

    return gradient


def computing(setting, run, steps=50):
    """[worker, step] compute times of a run's workers."""
    queue = setting.distribution.staleness
    starts, own = np.full(steps, run), np.arange(steps)
    speeds = queue.speeds or (1.0,) * setting.workers
    law = type(queue.compute)(1.0, *([getattr(queue.compute, queue.compute.shape_name)] if queue.compute.shape_name else []))
    told = queue.messages / queue.compute.mean
    return np.array([summed_times(law, setting.seed, starts, own, np.ones(steps), k) * (1.0 / v) + told for k, v in enumerate(speeds)])


def only_setting(sweep):
    (group,) = sweep.plan().groups
    return group.setting


@pytest.mark.parametrize(
    ("queue", "options", "optimizer", "rule"),
    [
        (gd.Queue(gd.ConstantTime(3.0)), {}, gd.Momentum(lr=0.05, momentum=0.5, convention="torch"), reference.heavy_ball(0.05, 0.5)),
        *(
            pytest.param(*case, marks=pytest.mark.full)
            for case in (
                (gd.Queue(gd.LogNormal(2.0, 0.5), speeds=[1.0, 0.25, 4.0], messages=1.5), {"aware": "inverse"}, gd.SGD(lr=0.05), reference.sgd(0.05)),
                (gd.Queue(gd.ShiftedExponential(1.0, 0.5)), {"buffer": 4, "aware": "inverse"}, gd.Adam(lr=0.05, convention="torch"), reference.adam(0.05)),
            )
        ),
    ],
    ids=["constant, momentum", "speeds, messages, aware, own samples", "buffer, aware"],
)  # fmt: skip
def test_a_queue_goes_event_by_event_as_the_oracle(queue, options, optimizer, rule):
    sweep = regression(gd.Asynchronous(workers=3, staleness=queue, **options), optimizer, partition="iid" if queue.speeds else None)
    result, setting = sweep.run(progress=False), only_setting(sweep)
    starts = initial_points(setting.init, setting.problem, setting.seed, np.arange(20))
    for run in (0, 13):
        order = reference.arrivals(computing(setting, run), 50)
        known = reference.asynchronous(
            starts[run], gradient_of(setting, run), rule, order, aware=options.get("aware") == "inverse", buffer=options.get("buffer", 1)
        )
        found, buffer = result.trajectory.values[run], options.get("buffer", 1)
        np.testing.assert_allclose(found[::buffer][: len(known.path)], known.path[: len(found[::buffer])], rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(result.staleness.values[run, 1:], np.cumsum(known.staleness) / np.arange(1, 51), rtol=1e-12)
        assert result.largest_staleness.values[run, -1] == known.staleness.max()


@pytest.mark.full
@pytest.mark.parametrize(
    ("staleness", "probabilities"),
    [
        (gd.FixedStaleness(4), [0, 0, 0, 0, 1]), (gd.UniformStaleness(3), [0.25] * 4),
        (gd.GeometricStaleness(2.0), [(1 / 3) * (2 / 3) ** k for k in range(30)]),
    ],
    ids=["fixed", "uniform", "geometric"],
)  # fmt: skip
def test_ages_that_are_given_are_of_their_law_and_make_the_oracles_path(staleness, probabilities):
    sweep = regression(gd.Asynchronous(workers=2, staleness=staleness, aware="inverse"), gd.SGD(lr=0.05))
    result, setting = sweep.run(progress=False), only_setting(sweep)
    starts = initial_points(setting.init, setting.problem, setting.seed, np.arange(20))
    ages = np.rint(np.diff(result.staleness.values * np.arange(51), axis=1)).astype(int)
    known = reference.delayed(starts[7], gradient_of(setting, 7), reference.sgd(0.05), ages[7], workers=2, aware=True)
    np.testing.assert_allclose(result.trajectory.values[7], known.path, rtol=1e-11, atol=1e-12)
    later = ages[:, 30:].ravel()  # which the start does not cut
    counts = np.bincount(later, minlength=len(probabilities))[: len(probabilities)]
    spread = np.sqrt(len(later) * np.array(probabilities) * (1 - np.array(probabilities)))
    assert (np.abs(counts - len(later) * np.array(probabilities)) <= 4 * spread + 1).all()


@pytest.mark.full
def test_a_worker_that_is_ahead_waits_for_the_slowest():
    sweep = regression(gd.Asynchronous(workers=3, staleness=gd.Queue(speeds=[1.0, 5.0, 5.0]), bound=2), gd.SGD(lr=0.05))
    result, setting = sweep.run(progress=False), only_setting(sweep)
    for run in (0, 5):
        times = computing(setting, run)
        ends, made, read, ages = times[:, 0].copy(), [0] * 3, [0] * 3, []
        for t in range(50):
            k = int(np.argmin(ends))
            now, ends[k] = ends[k], np.inf
            ages.append(t - read[k])
            made[k] += 1
            for j in np.flatnonzero(np.isinf(ends)):
                if made[j] < min(made) + 2:
                    ends[j], read[j] = now + times[j, made[j]], t + 1
            assert max(made) - min(made) <= 2
        np.testing.assert_allclose(result.staleness.values[run, 1:], np.cumsum(ages) / np.arange(1, 51), rtol=1e-12)


@pytest.mark.full
def test_disagreement_is_how_far_off_gradients_are_taken():
    """For a queue the mean over workers of |what it has read - the server's|^2, else that over the ages of the law,
    however many points are kept for other cells beside.
    """
    laws = [gd.FixedStaleness([3, 20]), gd.UniformStaleness([2, 9]), gd.GeometricStaleness([0.0, 1.5])]
    sweep = regression([gd.Asynchronous(workers=2, staleness=one) for one in [*laws, gd.Queue(gd.ConstantTime(1.0))]], gd.SGD(lr=0.05))
    result = sweep.run(progress=False)
    ages = np.arange(51)
    laws = [ages == 3, ages == 20, (ages < 3) / 3, (ages < 10) / 10, ages == 0, 0.4 * 0.6**ages, (ages < 2) / 2]
    for cell, shares in enumerate(laws):
        run = int(np.flatnonzero(result.cell.values == cell)[5])
        path = result.trajectory.values[run]
        off = np.array([[np.sum((path[max(t - age, 0)] - path[t]) ** 2) for age in ages] for t in ages])
        known = off @ shares + off[:, -1] * (1 - np.sum(shares))
        np.testing.assert_allclose(result.disagreement.values[run], known, rtol=1e-9, atol=1e-13)


@pytest.mark.full
def test_counts_go_on_where_numbers_of_32_bits_leave_some_out():
    """From states in which all workers have just read, after nearly 2^24 updates and steps of their own."""
    began, made, ages, law = 2**24 - 20, [2**24 - 5, 2**24 - 2, 2**24 + 1], 5 * 2**24, gd.ExponentialTime(1.0)
    sweep = gd.Sweep(
        problem=PARABOLA, optimizer=gd.SGD(lr=0.2), schedule=gd.Cosine(cycle=3), steps=12, init=1.0, starts=8, dtype="float32",
        distribution=gd.Asynchronous(workers=3, aware="inverse"), record=gd.Record(parameters=True, state=True),
    )  # fmt: skip
    result = sweep.run(progress=False)
    numbers = result.state_team.values[:, -FIRST - 3 * EACH :]
    numbers[:, [AGES_HIGH, AGES, OLDEST]] = ages / MANY_AGES, 0.0, 2.0
    times = np.array([[summed_times(law, 0, np.full(60, s), n + np.arange(60), np.ones(60), k) for k, n in enumerate(made)] for s in range(8)])
    for k, n in enumerate(made):
        first = FIRST + k * EACH
        numbers[:, first + LEFT] = times[:, k, 0]
        numbers[:, [first + MADE_HIGH, first + MADE, first + READ]] = n // 65536, n % 65536, began
    points = result.state_workers.values
    points[:, -3:] = points[:, :1]  # which the workers have read
    longer = msgspec.structs.replace(sweep, steps=began + 60)
    found = continue_with(result, longer, began=began, threads=1)

    def rule(w, gradient, state, scale):
        done = began if state is None else state
        return w - scale * 0.1 * (1 + math.cos(math.pi * (done % 3) / 3)) * gradient(w), done + 1

    for run in range(8):
        known = reference.asynchronous(points[run, 0], lambda worker, step, w: w, rule, reference.arrivals(times[run], 60), aware=True)
        np.testing.assert_allclose(found.parameters.values[run], known.path[-1], rtol=1e-4)
        total = float(found.staleness.values[run, -1]) * (began + 60)
        assert abs(total - ages - known.staleness.sum()) < 12  # what the mean is rounded by
        assert known.staleness.sum() > 60


def test_a_delayed_gradient_step_by_step():
    """w_{t+1} = w_t - a w_{t - 2}, from 1 and at 1 before it."""
    sweep = gd.Sweep(
        problem=PARABOLA, optimizer=gd.SGD(lr=0.3), steps=9, init=1.0, dtype="float64", record=gd.Record(every=1, trajectory=True),
        distribution=gd.Asynchronous(workers=1, staleness=gd.FixedStaleness(2)),
    )  # fmt: skip
    assert sweep.run(progress=False).trajectory.values[0, 1:, 0] == pytest.approx([0.7, 0.4, 0.1, -0.11, -0.23, -0.26, -0.227, -0.158, -0.08], abs=1e-14)


@pytest.mark.full
def test_where_delayed_gradients_are_stable():
    """0 < a < 2 sin(pi / (2 (2 tau + 1)))."""
    for tau, limit in ((0, 2.0), (1, 1.0), (2, 0.6180339887), (4, 0.3472963553), (8, 0.1845367189), (32, 0.0483274905)):
        assert 2 * math.sin(math.pi / (2 * (2 * tau + 1))) == pytest.approx(limit, rel=1e-9)
        distribution = gd.Asynchronous(workers=1, staleness=gd.FixedStaleness(tau))
        sweep = gd.Sweep(
            problem=PARABOLA, optimizer=gd.SGD(lr=[0.999 * limit, 1.001 * limit]), steps=1_000_000, init=1.0, dtype="float64", distribution=distribution
        )
        below, above = sweep.run(progress=False).final_loss.values
        assert below < 0.01
        assert not above < 1.0


@pytest.mark.full
@pytest.mark.parametrize(
    ("tau", "rate", "known"), [(1, 0.5, 2.4), (2, 0.3, 3.8894246223), (4, 0.1, 7.9797145568), (4, 0.3, 15.5710739777), (8, 0.1, 13.2913703900)]
)
def test_the_floor_of_delayed_gradients(tau, rate, known):
    """Var w = (eta sigma^2 / (2 L)) (1 + sin x) / (cos x sqrt(1 - a^2 / 4)), x = (2 tau + 1) arcsin(a / 2)."""
    x = (2 * tau + 1) * math.asin(rate / 2)
    assert (1 + math.sin(x)) / (math.cos(x) * math.sqrt(1 - rate**2 / 4)) / (2 * rate) == pytest.approx(known, rel=1e-9)
    distribution = gd.Asynchronous(workers=1, staleness=gd.FixedStaleness(tau))
    sweep = gd.Sweep(
        problem=noisy(), optimizer=gd.SGD(lr=rate), starts=20000, steps=300, record=gd.Record(every=300, trajectory=True), distribution=distribution, **NOISE
    )
    assert np.mean((sweep.run(progress=False).trajectory.values[:, -1, 0] / rate) ** 2) == pytest.approx(known, rel=4 * math.sqrt(2 / 20000))


@pytest.mark.full
def test_asynchrony_begets_momentum():
    """With K memoryless workers the mean path is heavy ball's of momentum 1 - 1/K, begun by the first gradient
    (Mitliagkas et al. 2016).
    """
    known = {1: 0.5, 2: 0.0625, 3: -0.2734375, 5: -0.5931396484, 10: -0.1245886, 20: -0.0016818}
    sweep = gd.Sweep(
        problem=PARABOLA, optimizer=gd.SGD(lr=0.5), starts=20000, steps=20, init=1.0, dtype="float64", record=gd.Record(every=1, trajectory=True), distribution=gd.Asynchronous(workers=4),
    )  # fmt: skip
    path = sweep.run(progress=False).trajectory.values[:, :, 0]
    for step, mean in known.items():
        assert abs(path[:, step].mean() - mean) <= 4 * path[:, step].std() / math.sqrt(20000) + 1e-12


@pytest.mark.full
def test_the_momentum_that_asynchrony_begets_is_1_minus_1_over_the_workers():
    """Fitted to the mean path of K memoryless workers, E (w'' - w') = mu E (w' - w) - eta E w' (Mitliagkas et al. 2016)."""
    workers = [2, 4, 8, 16]
    sweep = gd.Sweep(
        problem=PARABOLA, optimizer=gd.SGD(lr=0.2), starts=20000, steps=120, init=1.0, dtype="float64", record=gd.Record(every=1, trajectory=True),
        distribution=gd.Asynchronous(workers=workers),
    )  # fmt: skip
    result = sweep.run(progress=False)
    for cell, count in enumerate(workers):
        path = result.trajectory.values[result.cell.values == cell, :, 0].mean(0)
        way = np.diff(path)
        momentum, rate = np.linalg.lstsq(np.stack([way[:-1], -path[1:-1]], 1), way[1:], rcond=None)[0]
        assert momentum == pytest.approx(1 - 1 / count, abs=1e-3)
        assert rate == pytest.approx(0.2 / count, abs=1e-3)


@pytest.mark.full
@pytest.mark.parametrize(("workers", "known"), [(2, 5.7692307692), (4, 6.7961165049), (8, 8.9108910891), (16, 13.4020618557)])
def test_the_floor_of_asynchronous_workers(workers, known):
    """Var w = (eta sigma^2 / L) (1 + K a) / (2 + a - K a^2), milder than a constant staleness of K - 1."""
    sweep = gd.Sweep(
        problem=noisy(16), optimizer=gd.SGD(lr=0.1), starts=20000, steps=300, record=gd.Record(every=300, trajectory=True), distribution=gd.Asynchronous(workers=workers), **NOISE
    )  # fmt: skip
    result = sweep.run(progress=False)
    assert np.mean((result.trajectory.values[:, -1, 0] / 0.1) ** 2) == pytest.approx(known, rel=4 * math.sqrt(2 / 20000))
    # The ages of 300 updates add up to the sum of the workers' last updates - 300 + K; last updates are K - 1 before the end in the mean.
    assert result.staleness.values[:, -1].mean() == pytest.approx((workers - 1) * (1 - workers / 300), rel=0.005)


@pytest.mark.full
def test_the_mean_square_limit_of_asynchronous_workers():
    """Stable iff a < (1 + sqrt(1 + 8 K)) / (2 K), far below where the mean path is."""
    limit = (1 + math.sqrt(33)) / 8
    assert limit == pytest.approx(0.8430703308)
    sweep = gd.Sweep(
        problem=PARABOLA,
        optimizer=gd.SGD(lr=[0.85 * limit, 1.2 * limit]),
        starts=4000,
        steps=300,
        init=1.0,
        dtype="float64",
        distribution=gd.Asynchronous(workers=4),
    )
    result = sweep.run(progress=False)
    below, above = (result.final_loss.values[result.cell.values == cell].mean() for cell in (0, 1))
    assert below < 1e-6
    assert above > 100.0


@pytest.mark.full
def test_workers_of_constant_equal_times_make_a_constant_staleness():
    sweep = regression(gd.Asynchronous(workers=4, staleness=gd.Queue(gd.ConstantTime(0.3))), gd.Momentum(lr=0.05, momentum=0.5, convention="torch"))
    ages = np.diff(sweep.run(progress=False).staleness.values * np.arange(51), axis=1)
    assert np.rint(ages).tolist() == [[0, 1, 2] + [3] * 47] * 20


@pytest.mark.full
@pytest.mark.parametrize("optimizer", [gd.Nesterov(lr=0.05), gd.WeightDecay(gd.Adam(lr=0.05), 0.1)], ids=lambda o: type(o).__name__)
def test_the_kernel_of_teams_makes_of_one_worker_without_delay_the_plain_run(optimizer):
    kept = {"record": gd.Record(every=10, trajectory=True), "steps": 60, "schedule": gd.InverseTime()}
    plain = regression(None, optimizer, **kept).run(progress=False)
    result = regression(gd.Asynchronous(workers=1, staleness=gd.UniformStaleness(0)), optimizer, **kept).run(progress=False)
    np.testing.assert_array_equal(result.trajectory.values, plain.trajectory.values)
    np.testing.assert_array_equal(result.loss.values, plain.loss.values)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: gd.Asynchronous(workers=2, staleness=gd.Queue(speeds=[1.0])), "Queue.speeds must have one for each of the 2 workers; 1 were given"),
        (lambda: gd.Asynchronous(workers=2, staleness=gd.FixedStaleness(1), bound=2), "bound makes workers of a gd.Queue wait, and FixedStaleness gives ages itself"),
        (lambda: gd.Queue(gd.ConstantTime([1e-6, 1.0]), messages=10.0), "Queue.messages=10 must be at most 1e.06 times the mean of compute, 1e-06: give both in the same unit"),
        (lambda: gd.Queue(messages=-1.0), r"Queue.messages must be a finite number in \[0, 1e.12\]; -1.0 was given"),
        (lambda: gd.Asynchronous(workers=2, aware="inverted"), "Asynchronous.aware.*'inverse'"),
        (lambda: gd.FixedStaleness(1.5), "FixedStaleness.steps must be a whole number; 1.5 was given"),
        (lambda: regression(gd.Asynchronous(workers=2), gd.SAM(gd.SGD(lr=0.1))), "a step uphill from there is not defined: take another optimizer than SAM"),
        (lambda: regression(gd.Asynchronous(workers=16), gd.SGD(lr=0.1)), "16 workers with batch=4 take 64 samples"),
    ],
)  # fmt: skip
def test_what_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
