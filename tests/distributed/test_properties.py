"""What holds of every kind of distributed training: a run is its own, alone and among others, in pieces, in a
folder and on a cluster.
"""

import msgspec
import numpy as np
import pytest

import gdsim as gd
from gdsim.sweep.cluster.client import connected
from gdsim.sweep.cluster.deployment import Local
from tests.faults.machinery import shards
from tests.helpers import same_bits, same_results

UNEQUAL = np.repeat([0, 1, 2], [24, 64, 104])  # of the 192 training samples
# Each with several values of what is data, so that runs of other numbers stand side by side; the first tier has some.
KINDS = {
    "local": {"distribution": gd.LocalSGD(workers=3, period=[4, 7], after=2)},
    "local, all state": {"distribution": gd.LocalSGD(workers=[2, 5], period=6, state="average"), "partition": gd.Overlap(0.5)},
    "local, in groups": {"distribution": gd.LocalSGD(workers=4, period=[8, 12], groups=[(2, 2)], state="reset"), "optimizer": gd.Nesterov(lr=[0.01, 0.1, 1e30])},
    "local, messages": {"distribution": gd.LocalSGD(workers=3, period=[4, 5], compression=gd.EF21(gd.RandomK(count=5)))},
    "outer": {"distribution": gd.DiLoCo(workers=3, period=[4, 7]), "partition": "sorted"},
    "outer, all state": {"distribution": gd.LocalSGD(workers=3, period=[1, 7], state="average", outer=gd.ClipNorm(gd.Averaged(gd.Adam(lr=0.1)), 0.1))},
    "gossip": {"distribution": gd.Gossip(workers=4, topology="one_peer", period=[1, 4], tracking=True), "partition": "iid"},
    "push-sum": {"distribution": gd.Gossip(workers=3, topology=[[0.5, 0.3, 0.2], [0.25, 0.7, 0.3], [0.25, 0.0, 0.5]], period=[1, 3])},
    "elastic": {"distribution": gd.ElasticAveraging(workers=3, period=[1, 4], moving_rate=0.3), "partition": UNEQUAL},
    "elastic, in turn": {"distribution": gd.ElasticAveraging(workers=3, period=2, moving_rate=[0.1, 0.3], turns="round_robin")},
    "synchronous on shards": {"distribution": gd.Synchronous(workers=3), "partition": gd.Dirichlet(alpha=2.0)},
    "synchronous, messages": {"distribution": gd.Synchronous(workers=3, compression=gd.ErrorFeedback(gd.PowerSGD()))},
    "lost and late": {
        "distribution": gd.Synchronous(workers=2, backup=1, dropped=[0.2, 0.6], compression=gd.ErrorFeedback(gd.TopK(fraction=0.5))), "partition": "sorted",
    },
    "asynchronous": {"distribution": gd.Asynchronous(workers=[2, 5], aware="inverse")},
    "asynchronous, ages": {"distribution": gd.Asynchronous(workers=2, staleness=gd.GeometricStaleness([1.0, 3.0]), buffer=2)},
    "clients": {
        "distribution": gd.FederatedAveraging(clients=3, sampled=[1, 2], proximal=0.1, server=gd.Momentum(lr=0.5)), "partition": UNEQUAL,
        "stop": [gd.Target(0.3, every=3), gd.Validation(20, every=2)],  # theta stays for rounds of up to 13 steps
    },
    "clients, controls": {"distribution": gd.Scaffold(clients=4, sampled=2, period=[3, 7]), "optimizer": gd.SGD(lr=[0.1, 1.0, 1e30])},
}  # fmt: skip
FIRST = ("local", "gossip", "asynchronous", "clients")
EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=() if kind in FIRST else pytest.mark.full) for kind in KINDS])
OF_OTHERS = ("local, all state", "outer, all state", "local, messages", "elastic, in turn", "lost and late")  # whose parts others have
LONG, CUT = 30, 15


@pytest.fixture(scope="module")
def moons():
    return gd.MLP(gd.datasets.load("moons", validation=0.25), hidden=[3], activation="tanh")


def sweep_of(problem, kind, **options):
    """Networks of which some reach the target, some diverge and most do neither."""
    given = {
        "optimizer": gd.Adam(lr=[0.01, 0.1, 1e30]), "schedule": gd.Cosine(cycle=11, minimum=1e-3), "starts": 9, "steps": LONG, "batch": 8,
        "stop": [gd.Target(0.3, every=3), gd.Validation(4, every=2)], "record": gd.Record(every=5, trajectory=True, state=True),
    }  # fmt: skip
    return gd.Sweep(problem=problem, **{**given, **KINDS[kind], **options})


@pytest.fixture(scope="module")
def populations(moons):
    """Each kind's population, trained once on one thread."""
    done = {}

    def of(kind):
        if kind not in done:
            done[kind] = sweep_of(moons, kind).run(threads=1, progress=False)
        return done[kind]

    return of


@EACH_KIND
def test_a_run_has_its_bits_alone_and_on_any_threads_and_in_any_chunks(moons, populations, kind):
    whole, sweep = populations(kind), sweep_of(moons, kind)
    assert {"diverged", "budget"} <= set(whole.status.values.tolist())
    assert same_results(sweep.run(threads=2, chunk_seconds=1e-4, progress=False), whole) == []
    for run in (0, whole.sizes["run"] // 2, whole.sizes["run"] - 1):
        assert same_results(*padded(sweep.run(runs=[run], progress=False), whole)) == []
    (rule,) = sweep.optimizer
    few = msgspec.structs.replace(sweep, starts=2, optimizer=msgspec.structs.replace(rule, lr=rule.lr[1]))
    assert same_results(*padded(few.run(progress=False), only(whole, lr=rule.lr[1], starts=2))) == []


def padded(few, whole):
    """Both, with as much room for workers' states as the larger teams of the second need."""
    room = {dim: (0, whole.sizes[dim] - few.sizes[dim]) for dim in ("team_slot", "team_number") if dim in few.dims}
    names = [name for name in few if room.keys() & set(few[name].dims)]
    return few.drop_vars(names).assign(few[names].pad(room)), whole


def only(result, lr, starts):
    """The runs of a rate and of the first starts, numbered as a sweep of these alone would."""
    chosen = result.isel(run=(result.lr.values == lr) & (result.start.values < starts))
    return chosen.assign_coords(run=np.arange(chosen.sizes["run"]))


@pytest.mark.full
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow if kind in OF_OTHERS else ()) for kind in KINDS])
def test_a_run_has_its_bits_at_every_lane_width(moons, populations, kind):
    assert same_results(sweep_of(moons, kind, starts=2).run(lanes=8, progress=False), populations(kind)) == []


@EACH_KIND
def test_going_on_is_never_having_stopped(moons, populations, kind):
    """From inside a round too."""
    whole = populations(kind)
    half = sweep_of(moons, kind, steps=CUT).run(progress=False)
    rest = gd.continue_from(half, steps=LONG - CUT, threads=1)
    names = [n for n in whole.data_vars if "checkpoint" not in whole[n].dims and "epoch" not in str(n)]
    assert {"final_loss", "state_weights", "status", "best_validation_loss"} <= set(map(str, names))
    left = whole.steps_taken.values == LONG
    assert left.any()
    for name in names:
        ours, theirs = rest[name].values, whole[name].values
        if str(name).startswith("state_"):
            ours, theirs = ours[left], theirs[left]
        assert ours.tolist() == theirs.tolist() if ours.dtype.kind in "UO" else same_bits(ours, theirs), name
    curves = [n for n in whole.data_vars if "checkpoint" in whole[n].dims]
    assert {"loss", "trajectory", "disagreement", "samples", "bytes_sent"} <= set(curves)
    for name in curves:
        assert same_bits(rest[name].values[left][:, -3:], whole[name].values[left][:, -3:]), name


@pytest.mark.full
def test_folders_and_clusters_have_the_runs_of_memory(moons, tmp_path):
    """All kinds in one sweep; a folder that has lost half of its shards, as one whose driver was killed, is
    filled with the same bytes, and takes more steps.
    """
    every = [kind["distribution"] for kind in KINDS.values() if len(kind) == 1]
    sweep = sweep_of(moons, "local", distribution=every, optimizer=gd.Adam(lr=0.1), starts=3, steps=20)
    memory = sweep.run(progress=False)
    kept = sweep.run(out=tmp_path / "folder", chunk_seconds=1e-4, progress=False).load()
    assert same_results(kept, memory) == []
    whole = shards(tmp_path / "folder")
    assert len(whole) > 2
    for name in list(whole)[::2]:
        (tmp_path / "folder" / "shards" / name).unlink()
    sweep.run(out=tmp_path / "folder", chunk_seconds=1e-4, progress=False)
    assert shards(tmp_path / "folder") == whole
    longer = msgspec.structs.replace(sweep, steps=33)
    assert same_bits(longer.run(out=tmp_path / "folder", progress=False).final_loss.values, longer.run(progress=False).final_loss.values)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_writes_the_shards_of_threads(moons, tmp_path):
    every = [kind["distribution"] for kind in KINDS.values() if len(kind) == 1]
    sweep = sweep_of(moons, "local", distribution=every, optimizer=gd.Adam(lr=0.1), starts=3, steps=20)
    sweep.run(out=tmp_path / "here", chunk_seconds=1e-4, progress=False)
    with connected(deployment=Local(workers=2, tls=False)) as client:
        sweep.run(out=tmp_path / "there", client=client, chunk_seconds=1e-4, progress=False)
    assert shards(tmp_path / "here") == shards(tmp_path / "there")


ALONE = {
    "synchronous": gd.Synchronous(workers=1), "local": gd.LocalSGD(workers=1, period=4), "gossip": gd.Gossip(workers=1),
    "asynchronous": gd.Asynchronous(workers=1, staleness=gd.FixedStaleness(0)),
}  # fmt: skip


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=() if kind == "local" else pytest.mark.full) for kind in ALONE])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_one_worker_is_the_plain_run(moons, kind, dtype):
    options = {
        "problem": moons, "optimizer": [gd.Adam(lr=[0.01, 1e30]), gd.ClipNorm(gd.Momentum(lr=0.1), 1.0)], "starts": 5, "steps": 25, "batch": 8, "dtype": dtype,
        "record": gd.Record(every=5, trajectory=True),
    }  # fmt: skip
    plain = gd.Sweep(**options).run(progress=False)
    alone = gd.Sweep(distribution=ALONE[kind], **options).run(progress=False)
    for name in plain.data_vars:
        ours, theirs = alone[name].values, plain[name].values
        assert ours.tolist() == theirs.tolist() if ours.dtype.kind in "UO" else same_bits(ours, theirs), name


AGREED = {
    "local": gd.LocalSGD(workers=3, period=[1, 4]), "local, all state": gd.LocalSGD(workers=5, period=3, state="average"),
    "gossip": gd.Gossip(workers=4, topology="star", period=[1, 2]),
}  # fmt: skip
RULES = (
    gd.SGD(lr=0.01), gd.Nesterov(lr=0.0001), gd.Adam(lr=[0.05, 1e38]), gd.Lion(lr=0.01), gd.SAM(gd.SGD(lr=0.01)),
    gd.ClipNorm(gd.Momentum(lr=0.01), 1.0), gd.Averaged(gd.Adam(lr=0.05), start=4),
)  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.slow if k == "gossip" else ()) for k in AGREED])
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_workers_that_see_the_same_are_one(kind, dtype):
    """Of a function there is one gradient: whatever the optimizer, all workers go the plain run's way, and
    their average is it, bit for bit.
    """
    options = {
        "problem": gd.functions.Rosenbrock(),
        "optimizer": list(RULES),
        "schedule": gd.Cosine(cycle=9, minimum=1e-3),
        "starts": 3,
        "steps": 20,
        "dtype": dtype,
    }
    options["record"] = gd.Record(every=4, trajectory=True)
    plain = gd.Sweep(**options).run(progress=False)
    team = gd.Sweep(distribution=AGREED[kind], **options).run(progress=False)
    copies = team.sizes["run"] // plain.sizes["run"]
    assert copies == len(np.atleast_1d(AGREED[kind].period))
    assert np.isfinite(team.disagreement.values).any()
    assert (team.disagreement.values[np.isfinite(team.disagreement.values)] == 0.0).all()
    for optimizer in set(plain.optimizer.values):
        ours = team.trajectory.values[team.optimizer.values == optimizer]
        theirs = plain.trajectory.values[plain.optimizer.values == optimizer]
        assert {row.tobytes() for row in ours} == {row.tobytes() for row in theirs}, optimizer
