"""Seconds of results on simulated clusters, and times to targets in what workers cost."""

import math

import numpy as np
import pytest

import gdsim as gd
from gdsim.analysis import Rounds, simulated_seconds, time_to_target
from gdsim.distribution.time_draws import summed_times
from tests.distributed import reference

BOOTH = gd.functions.Booth()
CLUSTER = gd.SimulatedCluster(compute=gd.LogNormal(0.01, 0.5), latency=0.001, bandwidth=1e6)
PASSING = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]  # nobody keeps a share of its own


def trained(distribution, starts=4, steps=40, **options):
    return gd.Sweep(
        problem=BOOTH, optimizer=gd.SGD(lr=0.02), starts=starts, steps=steps, record=gd.Record(every=1), distribution=distribution, dtype="float64", **options
    ).run(progress=False)


@pytest.mark.full
def test_seconds_are_those_of_each_cells_rounds():
    result = trained(
        [
            gd.LocalSGD(workers=[1, 4], period=8),
            gd.LocalSGD(workers=3, period=5, after=10),
            gd.Gossip(workers=8, topology="ring", period=2),
            gd.Gossip(workers=3, topology=PASSING),
        ]
    )
    seconds = simulated_seconds(result, CLUSTER)
    known = [
        Rounds(1, 8),
        Rounds(4, 8, message=16),
        Rounds(3, 5, 10, message=16),
        Rounds(8, 2, message=16, topology="ring"),
        Rounds(3, message=16, topology=PASSING),
    ]
    for run in range(result.sizes["run"]):
        rounds = known[int(result.cell.values[run])]
        np.testing.assert_array_equal(seconds.values[run], CLUSTER.seconds_at(rounds, result.start.values[run], result.step.values))
    assert seconds.dims == ("run", "checkpoint")
    assert "seconds" in result.assign(seconds=seconds)


def test_a_run_that_has_ended_takes_no_more_seconds_and_all_backup_workers_are_launched():
    result = trained([gd.Synchronous(workers=4, backup=[0, 2])], steps=2000, stop=[gd.Target(1e-3)])
    seconds = simulated_seconds(result, CLUSTER).values
    taken = result.steps_taken.values
    assert (taken < 2000).all()
    assert (np.isnan(seconds) == (result.step.values > taken[:, None])).all()
    ends = seconds[np.arange(len(taken)), taken]
    without, waits = ends[result.cell.values == 1], ends[result.cell.values == 0]
    assert (without < waits).all()
    assert waits[0] == CLUSTER.seconds_at(Rounds(4, message=16), 0, taken[0])


@pytest.mark.full
@pytest.mark.parametrize(
    ("queue", "bound"), [(gd.Queue(gd.LogNormal(1.0, 0.5), speeds=[1.0, 3.0, 1.0]), None), (gd.Queue(gd.ConstantTime(5.0)), None)], ids=["speeds", "constant"]
)
def test_asynchronous_runs_take_their_event_times(queue, bound):
    result = trained(gd.Asynchronous(workers=3, staleness=queue, bound=bound))
    law = gd.LogNormal(0.2, 0.5) if queue.speeds else gd.ConstantTime(0.2)
    found = simulated_seconds(result, gd.SimulatedCluster(compute=law, speeds=queue.speeds)).values
    for start in (0, 3):
        speeds = queue.speeds or (1.0, 1.0, 1.0)
        times = np.array([summed_times(law, 0, np.full(40, start), np.arange(40), np.ones(40), k) / v for k, v in enumerate(speeds)])
        order, made, ends = reference.arrivals(times, 40), [0, 0, 0], [0.0]
        for k in order:
            made[k] += 1
            ends.append(times[k, : made[k]].sum())
        np.testing.assert_allclose(found[start], ends, rtol=1e-12)


@pytest.mark.full
def test_updates_of_memoryless_workers_are_a_poisson_process():
    result = trained(gd.Asynchronous(workers=8), starts=400)
    found = simulated_seconds(result, gd.SimulatedCluster(compute=gd.ExponentialTime(0.1))).values[:, -1]
    assert abs(found.mean() - 40 * 0.1 / 8) < 4 * found.std() / math.sqrt(400)
    assert found.var() == pytest.approx(40 * (0.1 / 8) ** 2, rel=4 * math.sqrt(2 / 400))


@pytest.mark.full
@pytest.mark.parametrize(
    ("law", "own"), [(gd.ConstantTime(0.5), gd.ConstantTime(2.0)), (gd.ExponentialTime(0.5), gd.ExponentialTime(2.0))], ids=["constant", "exponential"]
)
def test_messages_are_part_of_every_cycle_of_an_asynchronous_worker(law, own):
    """On the cluster they take 2 (0.01 + 16 / 200) = 0.18 s beside compute times of 0.5 s, as 0.72 beside 2."""
    cluster = gd.SimulatedCluster(compute=law, latency=0.01, bandwidth=100.0, shards=2)
    result = trained(gd.Asynchronous(workers=[1, 4], staleness=gd.Queue(own, messages=0.72)))
    found, cell = simulated_seconds(result, cluster).values, result.cell.values
    for start in range(4):
        times = np.array([summed_times(law, 0, np.full(40, start), np.arange(40), np.ones(40), k) for k in range(4)])
        ends = np.sort(np.cumsum(times + 0.18, 1).ravel())[:40]
        np.testing.assert_allclose(found[cell == 1][start, 1:], ends, rtol=1e-12)
        np.testing.assert_allclose(found[cell == 0][start, 1:], np.cumsum(times[0] + 0.18), rtol=1e-12)
    if law == gd.ConstantTime(0.5):
        np.testing.assert_allclose(found[cell == 1][0, 1:], 0.68 * (1 + np.arange(40) // 4), rtol=1e-12)


@pytest.mark.full
def test_a_worker_that_waits_makes_updates_late():
    compute, speeds = gd.ConstantTime(1.0), (1.0, 4.0)
    result = trained(gd.Asynchronous(workers=2, staleness=gd.Queue(compute, speeds=speeds), bound=2), steps=6)
    # Worker 1 has made two steps at 0.5 and waits; worker 0's ends at 1, 2, ... let it make one more each.
    assert simulated_seconds(result, gd.SimulatedCluster(compute=compute, speeds=speeds)).values[0].tolist() == [0, 0.25, 0.5, 1.0, 1.25, 2.0, 2.25]


@pytest.mark.parametrize(
    ("staleness", "cluster", "said"),
    [
        (gd.Queue(), {"compute": gd.ConstantTime(1.0)}, r"made with compute=ExponentialTime\(1\), and another law would order its updates otherwise; ConstantTime\(1\) was given"),
        (gd.Queue(speeds=[1.0, 2.0]), {"compute": gd.ExponentialTime(1.0)}, r"made with speeds=\[1.0, 2.0\], and others would order its updates otherwise: give the cluster these; \[1.0, 1.0\] were given"),
        (gd.Queue(), {"compute": gd.ExponentialTime(1.0), "speeds": [1.0, 0.5]}, r"made with speeds=\[1.0, 1.0\], and others .*; \[1.0, 0.5\] were given"),
        (gd.Queue(), {"compute": gd.ExponentialTime(1.0), "latency": 0.1}, r"messages take .* = 0.2 s .*made with messages=0, .*: train it with gd.Queue\(..., messages=0.2\)"),
        (gd.Queue(messages=0.1), {"compute": gd.ExponentialTime(1.0)}, r"made with messages=0.1, .*: train it with gd.Queue\(..., messages=0\)"),
        (gd.Queue(messages=0.1), {"compute": gd.ExponentialTime(1.0), "latency": 0.05, "overlap": True}, "leave overlap=True of the cluster out"),
        (gd.FixedStaleness(1), {"compute": gd.ExponentialTime(1.0)}, "FixedStaleness gives ages and no times"),
    ],
)  # fmt: skip
def test_clusters_on_which_events_would_be_others_are_refused(staleness, cluster, said):
    result = trained(gd.Asynchronous(workers=2, staleness=staleness), starts=1, steps=2)
    with pytest.raises(ValueError, match=said):
        simulated_seconds(result, gd.SimulatedCluster(**cluster))


@pytest.mark.parametrize(
    ("distribution", "who"),
    [
        (gd.FederatedAveraging(clients=4, sampled=2), "clients"),
        (gd.ElasticAveraging(workers=3, moving_rate=0.1, turns="round_robin"), "workers that exchange in turn"),
        (gd.Asynchronous(workers=2), "asynchronous workers"),
    ],
)
def test_messages_do_not_go_beside_what_begins_at_their_answer(distribution, who):
    lines = gd.LinearRegression(gd.Data([[1.0], [2.0], [3.0], [4.0]], [2.5, 3.5, 6.5, 7.5]))
    result = gd.Sweep(problem=lines, optimizer=gd.SGD(lr=0.01), batch=1, steps=4, distribution=distribution).run(progress=False)
    cluster = gd.SimulatedCluster(compute=gd.ExponentialTime(1.0), overlap=True)
    with pytest.raises(ValueError, match=f"^{who} compute from what answers their messages, which cannot go beside: leave overlap=True of the cluster out$"):
        simulated_seconds(result, cluster)


def test_what_is_no_cluster():
    with pytest.raises(TypeError, match=r"cluster must be a gd.SimulatedCluster; 3 was given"):
        simulated_seconds(trained(gd.LocalSGD(workers=2), starts=1, steps=2), 3)  # pyright: ignore[reportArgumentType]


def test_times_to_targets_in_rounds_bytes_and_seconds():
    result = trained(gd.LocalSGD(workers=[1, 4], period=8), steps=400)
    steps = time_to_target(result, 0.1).time.values[:, 0]
    assert np.isfinite(steps).all()
    assert time_to_target(result, 0.1, unit="rounds").time.values[:, 0].tolist() == (steps // 8).tolist()
    assert time_to_target(result, 0.1, unit="bytes").time.values[:, 0].tolist() == (steps // 8 * 16 * (result.cell.values == 1)).tolist()
    seconds = time_to_target(result, 0.1, unit="seconds", cluster=CLUSTER).time.values[:, 0]
    assert seconds.tolist() == simulated_seconds(result, CLUSTER).values[np.arange(len(steps)), steps.astype(int)].tolist()
    with pytest.raises(ValueError, match="give both, unit='seconds' and cluster="):
        time_to_target(result, 0.1, unit="seconds")


def waiting(law, starts, steps, workers):
    """[start, worker, step] compute times."""
    begins = np.arange(steps)
    return np.array([[summed_times(law, 0, np.full(steps, s), begins, np.ones(steps), k) for k in range(workers)] for s in starts])


@pytest.mark.full
@pytest.mark.parametrize("overlap", [False, True], ids=["after", "beside"])
def test_workers_of_a_group_wait_for_each_other_alone(overlap):
    cluster = gd.SimulatedCluster(compute=gd.ExponentialTime(0.01), latency=0.001, bandwidth=1e4, collective="tree", overlap=overlap)
    result = trained(gd.LocalSGD(workers=8, period=12, after=3, groups=[(2, 2), (4, 6)]))
    found, known = simulated_seconds(result, cluster).values, np.zeros((4, 41))
    told = {size: 2 * math.log2(size) * (0.001 + 16 / 1e4) for size in (2, 4, 8)}
    for start, times in enumerate(waiting(cluster.compute, range(4), 40, 8)):
        begin, own = np.zeros(8), np.zeros(8)
        for step in range(1, 41):
            own += times[:, step - 1]
            known[start, step] = (begin + own).max()
            since = step - 3
            size = 8 if since <= 0 or since % 12 == 0 else 4 if since % 6 == 0 else 2 if since % 2 == 0 else 0
            for first in range(0, 8, size) if size else []:
                group = slice(first, first + size)
                ends = begin[group] + (np.maximum(own[group], told[size]) if overlap else own[group] + told[size])
                begin[group], own[group] = ends.max(), 0.0
            if size:
                known[start, step] = begin.max()
    np.testing.assert_allclose(found, known, rtol=1e-12)


@pytest.mark.full
def test_a_centre_serves_workers_in_turn():
    cluster = gd.SimulatedCluster(compute=gd.ExponentialTime(0.01), latency=0.001, bandwidth=1e4, shards=2)
    served, result = 2 * (0.001 + 16 / 2e4), trained(gd.ElasticAveraging(workers=3, moving_rate=0.1, period=4, turns="round_robin"))
    found, known = simulated_seconds(result, cluster).values, np.zeros((4, 41))
    for start, times in enumerate(waiting(cluster.compute, range(4), 40, 3)):
        clock, is_free = np.zeros(3), 0.0
        for step in range(1, 41):
            clock += times[:, step - 1]
            for k in range(3) if step % 4 == 0 else []:
                clock[k] = is_free = max(clock[k], is_free) + served
            known[start, step] = clock.max()
    np.testing.assert_allclose(found, known, rtol=1e-12)


@pytest.mark.parametrize(
    ("served", "known"),
    [(0.5, (3.5, 6.0, 8.5)), (3.0, (11.0, 20.0, 29.0))],
)
def test_workers_in_turn_of_constant_times(served, known):
    """3 workers of 2 s: the first round takes 2 + 3 served, each other the longer of 2 + served and 3 served."""
    cluster = gd.SimulatedCluster(compute=gd.ConstantTime(2.0), latency=served / 2)
    assert cluster.seconds_at(Rounds(3, in_turn=True), 0, [1, 2, 3]).tolist() == [*known]


NEIGHBOURS = {  # (whom worker i of 8 reads in exchange e, how many read it)
    "ring": (lambda i, e: [i - 1, i + 1], lambda i: 2),
    "star": (lambda i, e: [0] if i else [*range(1, 8)], lambda i: 1 if i else 7),
    "path": (lambda i, e: [j for j in (i - 1, i + 1) if 0 <= j < 8], lambda i: 1 if i in (0, 7) else 2),
    "exponential": (lambda i, e: [i - 1, i - 2, i - 4], lambda i: 3),
    "one_peer": (lambda i, e: [i - 2 ** (e % 3)], lambda i: 1),
}


@pytest.mark.full
@pytest.mark.parametrize("overlap", [False, True], ids=["after", "beside"])
@pytest.mark.parametrize("topology", [*NEIGHBOURS])
def test_workers_in_a_graph_wait_for_their_neighbours_alone(topology, overlap):
    cluster = gd.SimulatedCluster(compute=gd.ExponentialTime(0.01), latency=0.001, bandwidth=1e4, overlap=overlap)
    result = trained(gd.Gossip(workers=8, topology=topology, period=3))
    found, known = simulated_seconds(result, cluster).values, np.zeros((4, 41))
    reads, readers = NEIGHBOURS[topology]
    mean_readers = np.mean([readers(i) for i in range(8)])
    told = [readers(i) * (0.001 + result.bytes_sent.values[0, 3] / mean_readers / 1e4) for i in range(8)]
    for start, times in enumerate(waiting(cluster.compute, range(4), 40, 8)):
        begin, own = [0.0] * 8, np.zeros(8)
        for step in range(1, 41):
            own += times[:, step - 1]
            if step % 3 == 0:
                those = [[i, *(j % 8 for j in reads(i, step // 3 - 1))] for i in range(8)]
                heard = [max(begin[j] + own[j] for j in them) for them in those]
                begin = [max(heard[i], max(begin[j] for j in those[i]) + told[i]) if overlap else heard[i] + told[i] for i in range(8)]
                own[:] = 0.0
            known[start, step] = max(begin + own)
    np.testing.assert_allclose(found, known, rtol=1e-12)


@pytest.mark.parametrize(("topology", "messages"), [("ring", 2), ("path", 2), ("star", 4), ("complete", 4), ("exponential", 3), ("one_peer", 1)])
def test_steps_in_a_graph_of_constant_times_take_computing_and_the_most_messages(topology, messages):
    cluster = gd.SimulatedCluster(compute=gd.ConstantTime(1.0), latency=0.1, bandwidth=100.0)
    found = cluster.seconds_at(Rounds(5, message=10.0, topology=topology), 0, [0, 1, 2, 7])
    np.testing.assert_allclose(found, np.array([0, 1, 2, 7]) * (1.0 + messages * 0.2), rtol=1e-12)
    beside = gd.SimulatedCluster(compute=gd.ConstantTime(1.0), latency=0.1, bandwidth=100.0, overlap=True)
    np.testing.assert_allclose(beside.seconds_at(Rounds(5, message=10.0, topology=topology), 0, [0, 7]), [0.0, 7.0], rtol=1e-12)


def test_a_ring_goes_on_sooner_than_all_do():
    """A ring of 16 under Exp(1) takes less a step than the mean of the largest of 16, and one where all are neighbours as long."""
    cluster, starts = gd.SimulatedCluster(compute=gd.ExponentialTime(1.0)), np.arange(64)
    seconds = {topology: cluster.seconds_at(Rounds(16, topology=topology), starts, 200) for topology in ("ring", "complete", None)}
    np.testing.assert_allclose(seconds["complete"], seconds[None], rtol=1e-12)
    rng, clock = np.random.default_rng(1), np.zeros((2000, 16))
    for _ in range(200):
        done = clock + rng.exponential(size=clock.shape)
        clock = np.maximum(done, np.maximum(np.roll(done, 1, 1), np.roll(done, -1, 1)))
    truth, sample = clock.max(1), seconds["ring"]
    assert abs(sample.mean() - truth.mean()) < 4 * math.hypot(sample.std() / 8, truth.std() / math.sqrt(2000))
    assert truth.mean() / 200 < 2.4 < 3.2 < seconds[None].mean() / 200


def test_rounds_in_groups_or_graphs_have_no_expected_seconds():
    for rounds in (Rounds(4, 4, groups=((2, 2),)), Rounds(4, topology="ring")):
        with pytest.raises(ValueError, match="workers that meet in a graph, in groups or in turn have no formula: take the mean of seconds_at"):
            CLUSTER.expected_round_seconds(rounds)


@pytest.mark.parametrize("cluster", [gd.SimulatedCluster(compute=gd.ConstantTime(0.01), latency=0.001), gd.SimulatedCluster(compute=gd.ConstantTime(0.01))])
def test_messages_of_one_asynchronous_worker_take_time(cluster):
    """200 steps of 0.01 s and messages of 0.002 s take 2.4 s; without delay they are the plain run's 2 s."""
    messages = 2 * cluster.latency
    alone = gd.Asynchronous(workers=1, staleness=gd.Queue(gd.ConstantTime(0.01), messages=messages))
    result, plain = trained(alone, starts=1, steps=200), trained(None, starts=1, steps=200)
    assert simulated_seconds(result, cluster).values[0, -1] == pytest.approx(200 * (0.01 + messages), rel=1e-12)
    assert gd.analysis.worker_updates(alone, updates=200).end.values[-1] == pytest.approx(200 * (0.01 + messages), rel=1e-12)
    np.testing.assert_array_equal(result.loss.values, plain.loss.values)
    with pytest.raises(ValueError, match=r"messages take .*: train it with gd.Queue\(..., messages=0.02\)"):
        simulated_seconds(result, gd.SimulatedCluster(compute=gd.ConstantTime(0.01), latency=0.01))


@pytest.mark.parametrize(
    ("collective", "told"), [("ring", 0.002 + 16e-6), ("halving_doubling", 0.002 + 16e-6), ("tree", 0.002 + 32e-6), ("all_gather", 0.001 + 16e-6), ("server", 0.002 + 32e-6)]
)  # fmt: skip
def test_one_worker_that_is_waited_for_tells_the_one_beside_it(collective, told):
    """Of two workers of 10 ms and 20 ms the first is waited for; 16 bytes go to the other, or to the server and back."""
    result = trained(gd.Synchronous(workers=1, backup=1), starts=1)
    assert result.bytes_sent.values[0].tolist() == (16 * result.step.values).tolist()
    cluster = gd.SimulatedCluster(compute=gd.ConstantTime(0.01), speeds=[0.5, 1.0], latency=0.001, bandwidth=1e6, collective=collective)
    np.testing.assert_allclose(simulated_seconds(result, cluster).values[0], (0.01 + told) * result.step.values, rtol=1e-12)
