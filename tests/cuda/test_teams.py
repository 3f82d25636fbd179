"""Runs of several workers on warps: all that is known of them has the processor's bits, whatever workers tell each other."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.distribution import DISTRIBUTIONS, Iid
from gdsim.kernels.cuda import kernels_on_warps
from gdsim.kernels.team_kernels import kernels_of_width
from gdsim.lanes.memory import table_of
from gdsim.population.engine_choice import structure_of
from tests.cuda.arena import WARP, Arena
from tests.cuda.kernels import batch_of, differing, expected, jobs_for, on_device, seated, stepping_ptx, trained, training_ptx
from tests.cuda.ptx import Program
from tests.cuda.settings import RATES, setting

NUMBERS = np.random.default_rng(0).normal(size=(16, 2))
LINE = gd.Expression("(a*x + b - y)**2", data=gd.Data(NUMBERS[:, :1], NUMBERS[:, 1]))
RATED = gd.MLP(gd.Data(NUMBERS, NUMBERS[:, ::-1] * 2.0), hidden=[3], activation="tanh", loss="squared_error")
RECORD = gd.Record(parameters=True, state=True)
IN_FULL = "controls"  # whose runs are trained in the full tier: most is done lane by lane there


def teams():
    """(what is tried, a setting of it)."""
    line = lambda rule, distribution, **others: setting(LINE, rule, distribution=distribution, record=RECORD, **{"steps": 20, "batch": 1, **others})  # noqa: E731
    yield "local steps", line(gd.Momentum(), gd.LocalSGD(workers=3, period=2))
    yield "queue", line(gd.Momentum(), gd.Asynchronous(workers=4, staleness=gd.Queue(speeds=[1, 1, 0.5, 2]), bound=2), dtype="float64")
    yield "rounds", line(gd.Momentum(), gd.FederatedAveraging(clients=5, sampled=2, server=gd.Adam()), batch=2, partition=gd.Overlap(0.3))
    yield "controls", line(gd.SGD(), gd.Scaffold(clients=4, sampled=2, period=3), batch=2, partition=Iid())
    yield "largest", line(gd.Adam(), gd.Synchronous(workers=3, compression=gd.EF21(gd.TopK(count=1))))
    yield "graph", line(gd.Nesterov(), gd.Gossip(workers=3, topology="ring", period=2, tracking=True))
    factors = gd.LocalSGD(workers=2, period=1, compression=gd.ErrorFeedback(gd.PowerSGD(rank=1)))
    yield "factors", setting(RATED, gd.SGD(), steps=3, batch=4, record=RECORD, distribution=factors)
    yield "groups", line(gd.Averaged(gd.SGD()), gd.LocalSGD(workers=4, period=6, groups=[(2, 2)], state="reset"))
    yield "outer", line(gd.Adam(), gd.LocalSGD(workers=3, period=3, after=2, state="average", outer=gd.ClipNorm(gd.Nesterov(), 1.0)))
    yield "centre", line(gd.Nesterov(convention="torch"), gd.ElasticAveraging(workers=3, moving_rate=0.2, period=2, turns="round_robin"))
    yield "directed", line(gd.SGD(), gd.Gossip(workers=4, topology="exponential", order="adapt"), dtype="float64")
    yield "lost and late", line(gd.SGD(), gd.Synchronous(workers=3, backup=1, dropped=0.3, compression=gd.QSGD(levels=4)))
    yield "signs", line(gd.SGD(), gd.Synchronous(workers=2, compression=gd.ScaledSign()))
    yield "ages", line(gd.Momentum(), gd.Asynchronous(workers=3, staleness=gd.GeometricStaleness(mean=2), buffer=2))
    yield "slow outer", line(gd.SGD(), gd.DiLoCo(workers=2, period=4), partition=Iid(), batch=4)
    yield "drawn", line(gd.SGD(), gd.LocalSGD(workers=2, period=2, compression=gd.ErrorFeedback(gd.RandomK(count=1))))


TEAMS = dict(teams())
WHOLE = [pytest.param(name, marks=pytest.mark.full if name == IN_FULL else pytest.mark.slow) for name in ("local steps", "queue", "rounds", "controls")]


def test_every_kind_of_team_is_tried():
    assert {type(chosen.distribution) for chosen in TEAMS.values()} == set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", WHOLE)
def test_runs_of_teams_have_the_processors_bits(compiled, name):
    chosen = TEAMS[name]
    batch = batch_of(chosen, 50, RATES[:5])
    ptx, truth = training_ptx(compiled, chosen), expected(chosen, batch)
    assert len(np.unique(truth["final_loss"])) > 20
    for found in (trained(ptx, jobs_for(chosen, batch, 2), 10**6, np.random.default_rng(0)), on_device(ptx, chosen, batch)):
        assert found.keys() == truth.keys()
        assert [name for name in truth if found[name].tobytes() != truth[name].tobytes()] == []


def begun(chosen, kernels):
    """A job with a run in each lane, whose team has not begun."""
    job = seated(chosen, kernels, batch_of(chosen, WARP, RATES[:4]))
    job.lanes.run[:], job.pack.shard[:] = np.arange(WARP), job.runs.shard
    return job


@pytest.mark.slow
@pytest.mark.parametrize("name", TEAMS)
def test_steps_of_teams_have_the_processors_bits(compiled, name):
    chosen, structure, steps = TEAMS[name], structure_of(TEAMS[name], WARP), 12
    kernels, arena = kernels_on_warps(structure), Arena(2**23)
    job = kernels.with_tables(arena.hold(begun(chosen, kernels)))
    tables = arena.put(np.array([arena.put(table_of(job)).ctypes.data]))
    Program(stepping_ptx(compiled, chosen)).run(arena, [tables, steps, arena.put(np.zeros(1, np.int64))], order=np.random.default_rng(0))
    plain = kernels_of_width(structure, WARP)
    own = begun(chosen, plain)
    table = table_of(own)
    assert plain.compiled(plain.bound_advance)(table.ctypes.data, steps) == steps
    assert differing(job.pack, own.pack) == []
    assert len(np.unique(own.pack.slots)) > WARP
    assert job.pack.step.tolist() == [steps] * WARP
