"""What rounds of clients cost: beside a count of the rounds that results show themselves."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.analysis import expected_compute, simulated_seconds
from gdsim.distribution.time_draws import summed_times
from gdsim.sweep.results.opening import open_results
from tests.distributed.problems import lines
from tests.distributed.test_folders import same
from tests.faults.machinery import shards
from tests.helpers import same_bits

HELD = np.array([3, 7, 12, 18])  # samples of each client
CENTRES = np.array([1.0, 2.0, 4.0, 8.0])  # so that the sum of some tells which they are
WHOSE = np.repeat(np.arange(4), HELD)
COSTS = ("samples", "round", "bytes_sent")
# A step goes to the client's centre: after a round theta is the mean of the centres of those who were in it.
SHOWN = {
    "problem": lines(np.ones(40), CENTRES[WHOSE]).problem, "optimizer": gd.SGD(lr=1.0), "dtype": "float64",
    "partition": WHOSE, "record": gd.Record(every=1, trajectory=True), "init": 0.0, "batch": 4, "steps": 60, "starts": 3,
}  # fmt: skip
KINDS = {"averaging": gd.FederatedAveraging(clients=4, sampled=2, epochs=2, weighting="uniform"), "scaffold": gd.Scaffold(clients=4, sampled=2, period=5)}


@pytest.fixture(scope="module")
def chosen():
    """[run][round] the clients of each round, whatever its length: here of one step."""
    result = gd.Sweep(**(SHOWN | {"batch": None}), distribution=gd.FederatedAveraging(clients=4, sampled=2, weighting="uniform")).run(progress=False)
    totals = (2 * result.trajectory.values[:, 1:, 0]).round().astype(int)
    return [[[k for k in range(4) if total >> k & 1] for total in run] for run in totals]


def batches_of(client, batch, shuffle):
    """The sizes of the batches of one pass of a client."""
    if batch is None:
        return [HELD[client]]
    whole, rest = divmod(int(HELD[client]), batch)
    return [batch] * (whole + bool(rest)) if shuffle == "replacement" else [batch] * whole + [rest] * bool(rest)


@pytest.mark.full
@pytest.mark.parametrize(("batch", "shuffle"), [(4, "epoch"), (4, "replacement"), (None, "epoch")])
@pytest.mark.parametrize("name", KINDS)
def test_samples_are_those_that_clients_see_and_rounds_as_long_as_their_longest_client(name, batch, shuffle, chosen):
    kind = KINDS[name]
    result = gd.Sweep(**(SHOWN | {"batch": batch, "shuffle": shuffle}), distribution=kind).run(progress=False)
    message = 8 if name == "averaging" else 16  # one parameter, and of SCAFFOLD the change of its control
    lengths = set()
    for run in range(3):
        samples, begin = [0], 0
        ends = np.flatnonzero(result.disagreement.values[run] == 0)[1:]  # all clients have theta, which has none within a round
        for done, (end, clients) in enumerate(zip(ends, chosen[run], strict=False)):
            seen = []
            for client in clients:
                passed = batches_of(client, batch, shuffle)
                steps = 2 * len(passed) if name == "averaging" else 5
                seen.append([passed[k % len(passed)] if k < steps else 0 for k in range(end - begin)])
            assert len(clients) == 2
            assert end - begin == max(np.count_nonzero(s) for s in seen)
            samples += (samples[-1] + np.cumsum(np.sum(seen, 0))).tolist()
            assert result["round"].values[run, begin:end].tolist() == [done] * (end - begin)
            lengths.add(end - begin)
            begin = end
        assert result.samples.values[run, : begin + 1].tolist() == samples
        assert result["round"].values[run, begin] == len(ends) >= 6
        assert (result.bytes_sent.values[run] == message * result["round"].values[run]).all()
    assert len(lengths) > 1 or name == "scaffold" or batch is None


@pytest.mark.full
def test_the_last_batch_of_clients_is_kept_whatever_is_said_of_epochs():
    """drop_last speaks of epochs of all samples."""
    one, other = (gd.Sweep(**SHOWN, distribution=[*KINDS.values()], drop_last=drop).run(progress=False) for drop in (True, False))
    same(one, other)
    assert (one.samples.values % 4).any()


@pytest.mark.full
def test_clients_without_a_partition_pass_over_all_samples():
    result = gd.Sweep(**(SHOWN | {"partition": "shared", "batch": 16}), distribution=gd.FederatedAveraging(clients=9, sampled=3)).run(progress=False)
    assert result.samples.values[0, :5].tolist() == [0, 48, 96, 120, 168]
    assert result["round"].values[0, :7].tolist() == [0, 0, 0, 1, 1, 1, 2]


def kept(**more):
    """A sweep whose clients have other samples in each start, and which ends some runs early."""
    data = gd.datasets.load("moons")
    options = {
        "problem": gd.MLP(data, hidden=[3]), "optimizer": gd.SGD(lr=[0.1, 1.0]), "batch": 8, "starts": 3, "steps": 60, "record": gd.Record(every=3, state=True),
        "distribution": [gd.FederatedAveraging(clients=6, sampled=[1, 3]), gd.Scaffold(clients=6, sampled=2, period=7), gd.LocalSGD(workers=3)],
        "partition": [gd.Dirichlet([0.3, 3.0]), "iid"],
    }  # fmt: skip
    return gd.Sweep(**(options | more))


@pytest.mark.full
def test_costs_are_in_folders_that_are_left_resumed_and_read_in_parts(tmp_path):
    sweep = kept(stop=gd.Target(0.5, every=1))
    found = sweep.run(progress=False)
    assert (found.steps_taken.values < 60).any()
    sweep.run(out=tmp_path / "runs", chunk_seconds=1e-7, progress=False)
    for name in [*shards(tmp_path / "runs")][::3]:
        (tmp_path / "runs" / "shards" / name).unlink()
    same(sweep.run(out=tmp_path / "runs", progress=False), found)
    throughout = open_results(tmp_path / "runs", dask_throughout=True)
    for name in COSTS:
        assert (np.isnan(found[name].values) == (found.step.values > found.steps_taken.values[:, None])).all()
        assert same_bits(throughout[name].compute().values, found[name].values)
        assert same_bits(throughout[name].isel(run=slice(3, 11), checkpoint=5).values, found[name].values[3:11, 5])


@pytest.mark.full
def test_runs_that_go_on_count_on():
    half, whole = (kept(steps=steps).run(progress=False) for steps in (21, 60))
    more = gd.continue_from(half, steps=39)
    for name in ("loss", *COSTS):
        assert same_bits(more[name].values, whole[name].values[:, 7:]), name


@pytest.mark.full
def test_times_to_targets_count_what_clients_did():
    result = kept(stop=gd.Target(0.5, every=1), record=gd.Record(every=1)).run(progress=False)
    steps = gd.analysis.time_to_target(result, 0.5).time.values[:, 0]
    met = np.flatnonzero(np.isfinite(steps))
    assert len(met) > 3
    for unit, name in (("rounds", "round"), ("bytes", "bytes_sent"), ("samples", "samples")):
        found = gd.analysis.time_to_target(result, 0.5, unit=unit).time.values[:, 0]
        assert found[met].tolist() == result[name].values[met, steps[met].astype(int)].tolist()
    gradients = gd.analysis.time_to_target(result, 0.5, unit="gradients").time.values[:, 0]
    np.testing.assert_allclose(gradients[met] * 256, result.samples.values[met, steps[met].astype(int)])


@pytest.mark.full
@pytest.mark.parametrize("name", KINDS)
def test_rounds_take_as_long_as_their_slowest_client_and_the_server(name, chosen):
    kind, speeds = KINDS[name], np.array([1.0, 2.0, 0.5, 4.0])
    result = gd.Sweep(**SHOWN, distribution=kind).run(progress=False)
    cluster = gd.SimulatedCluster(compute=gd.ConstantTime(0.25), latency=0.125, bandwidth=32.0, shards=2, speeds=speeds.tolist(), collective="tree")
    found = simulated_seconds(result, cluster)
    message = 8 if name == "averaging" else 16
    exchange = 2 * 0.125 + 2 * 2 * message / 32 / 2
    steps = np.array([2 * len(batches_of(k, 4, "epoch")) if name == "averaging" else 5 for k in range(4)])
    for run in range(3):
        ends, clock = np.flatnonzero(result.disagreement.values[run] == 0), 0.0
        for begin, end, clients in zip(ends[:-1], ends[1:], chosen[run], strict=False):
            computed = max(0.25 * steps[k] / speeds[k] for k in clients)
            partly = max(0.25 * min(steps[k], 2) / speeds[k] for k in clients)
            assert found.values[run, begin + 2] == pytest.approx(clock + partly, rel=1e-12) or end == begin + 2
            clock += computed + exchange
            assert found.values[run, end] == pytest.approx(clock, rel=1e-12)


def test_each_client_computes_by_draws_of_its_own(chosen):
    """They are those of the client's own steps: whole rounds of it, whether it was in them or not."""
    law = gd.LogNormal(0.1, 0.5)
    result = gd.Sweep(**SHOWN, distribution=KINDS["averaging"]).run(progress=False)
    seconds, steps = simulated_seconds(result, gd.SimulatedCluster(compute=law)), 2 * -(-HELD // 4)
    for run in range(3):
        clock, end, turn = 0.0, 0, 0
        for turn, clients in enumerate(chosen[run]):
            if end + steps[clients].max() > 60:
                break
            clock += max(summed_times(law, 0, np.array([run]), turn * steps[[k]], steps[[k]], k)[0] for k in clients)
            end += steps[clients].max()
            assert seconds.values[run, end] == pytest.approx(clock, rel=1e-12)
        assert turn > 5


@pytest.mark.parametrize(("sampled", "passes"), [(4, 1), (3, 5), (1, 2)])
def test_rounds_of_exponential_times_last_as_order_statistics_say(sampled, passes):
    """The sampled of them wait for each other, and not for those that are not in the round."""
    options = SHOWN | {"partition": np.arange(40) % 8, "batch": 5, "starts": 200, "steps": 10 * passes, "record": gd.Record(every="ends")}
    result = gd.Sweep(**options, distribution=gd.FederatedAveraging(clients=8, sampled=sampled, epochs=passes)).run(progress=False)
    law = gd.ExponentialTime(0.1)
    found = simulated_seconds(result, gd.SimulatedCluster(compute=law, latency=0.5)).values[:, -1]
    known = 10 * (expected_compute(law, sampled, steps=passes) + 1.0)
    assert abs(found.mean() - known) < 4 * found.std() / 200**0.5
    if passes == 1:
        assert known == pytest.approx(10 * (0.1 * 25 / 12 + 1.0), rel=1e-12)


def test_speeds_of_clients_are_those_of_all():
    result = gd.Sweep(**SHOWN, distribution=KINDS["scaffold"]).run(progress=False)
    with pytest.raises(ValueError, match=r"SimulatedCluster.speeds must have one for each of the 4 workers; 2 were given"):
        simulated_seconds(result, gd.SimulatedCluster(compute=gd.ConstantTime(1.0), speeds=[1.0, 2.0]))
