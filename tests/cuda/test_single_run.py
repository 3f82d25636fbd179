"""One run over a warp from PTX: its steps and whole training have the processor's bits, and threads wait for each
other wherever they must.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.devices import Device
from gdsim.kernels.cuda import kernels_on_warps
from gdsim.kernels.cuda_driver import loaded
from gdsim.kernels.engines import FUNCTION, NETWORK, RUN_ON_WARP
from gdsim.lanes.warps import block_shared
from gdsim.population.device_training import train_on_device
from gdsim.population.engine_choice import structure_on_warps, structure_with
from tests.cuda.arena import RaceError
from tests.cuda.driver import DriverLibrary
from tests.cuda.kernels import (
    batch_of,
    differing,
    expected,
    jobs_for,
    loadable,
    same_bits,
    stepped,
    trained,
    training_ptx,
)
from tests.cuda.settings import RATES, setting

WINE, DIGITS, DIABETES = (gd.datasets.load(name) for name in ("wine", "digits", "diabetes"))
SMALL = setting(gd.MLP(WINE, hidden=(12,), activation="tanh", loss="cross_entropy"), gd.Adam(), batch=8)


def cases():
    yield "two hidden layers", setting(gd.MLP(WINE, hidden=(5, 40), activation="gelu", loss="cross_entropy"), gd.AdaBelief(), batch=20, dtype="float64")
    yield "digits", setting(gd.MLP(DIGITS, hidden=(16,), activation="relu", loss="cross_entropy"), gd.Adam(), batch=8)
    yield (
        "several blocks",
        setting(gd.MLP(DIABETES, hidden=(8,), activation="tanh", loss="mean_squared_error"), gd.Momentum(), batch=100, shuffle="replacement"),
    )
    yield "whole data", setting(gd.MLP(WINE, hidden=(8, 8), activation="tanh", loss="cross_entropy", skip="residual"), gd.SGD(), batch=None)
    yield "dense", setting(gd.MLP(WINE, hidden=(8, 8), activation="tanh", loss="cross_entropy", skip="dense"), gd.Nesterov(), batch=8)
    yield "one layer", setting(gd.MLP(WINE, hidden=(), loss="cross_entropy"), gd.Momentum(), batch=8)
    yield "weight decay", setting(gd.MLP(WINE, hidden=(8,), activation="relu", loss="cross_entropy", l2=0.01), gd.WeightDecay(gd.SGD(), 0.1), batch=8)


NEAR_ROOM = block_shared((9, 0))


def check_steps(compiled, chosen, steps=2, near_room=0):
    found, truth = stepped(compiled, chosen, batch_of(chosen, 1, RATES[2:3]), steps, engine=RUN_ON_WARP, near_room=near_room)
    assert differing(found, truth) == []
    assert found.step.tolist() == [steps]


@pytest.mark.slow
def test_steps_of_a_run_have_the_processors_bits(compiled):
    check_steps(compiled, SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [pytest.param(chosen, id=name) for name, chosen in cases()])
def test_steps_of_every_kind_of_network_have_the_processors_bits(compiled, chosen):
    check_steps(compiled, chosen)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [pytest.param(chosen, id=name) for name, chosen in cases()])
def test_steps_in_near_memory_have_the_processors_bits(compiled, chosen):
    assert structure_with(chosen, RUN_ON_WARP, NEAR_ROOM).layout.near is not None
    check_steps(compiled, chosen, near_room=NEAR_ROOM)


def check_training(compiled, chosen, runs, warps, budget, near_room=0):
    batch = batch_of(chosen, runs, RATES)
    ptx = training_ptx(compiled, chosen, engine=RUN_ON_WARP, near_room=near_room)
    found = trained(ptx, jobs_for(chosen, batch, warps, room=2**24, engine=RUN_ON_WARP, near_room=near_room), budget, np.random.default_rng(0))
    truth = expected(chosen, batch)
    assert found.keys() == truth.keys()
    assert [name for name in truth if not same_bits(found[name], truth[name])] == []
    return found


XOR = setting(
    gd.MLP(gd.datasets.load("xor"), hidden=(5,), activation="tanh", loss="log_loss", l2=1e-3), gd.Momentum(), batch=2, steps=6,
    stops=(gd.SmallGradient(1e-3), gd.Target(0.69)), schedule=gd.Cosine(cycle=6), record=gd.Record(parameters=True, gradient_norm=True),
)  # fmt: skip


@pytest.mark.full
def test_results_of_runs_have_the_processors_bits(compiled):
    found = check_training(compiled, XOR, 5, 2, 4)
    assert len(set(found["status"].tolist())) > 1


@pytest.mark.full
def test_a_barrier_that_is_missing_is_seen(compiled):
    lines = training_ptx(compiled, XOR, engine=RUN_ON_WARP).split("\n")
    barriers = [number for number, line in enumerate(lines) if "bar.warp.sync" in line]
    seen = 0
    for missing in barriers[:4]:  # some of which stand where runs stop, to which these do not come
        text = "\n".join(lines[:missing] + lines[missing + 1 :])
        try:
            trained(text, jobs_for(XOR, batch_of(XOR, 1, RATES), 1, room=2**23, engine=RUN_ON_WARP), 2, np.random.default_rng(0))
        except RaceError:
            seen += 1
    assert seen >= 2


@pytest.mark.full
@pytest.mark.parametrize("near_room", [0, NEAR_ROOM])
def test_a_devices_memory_is_laid_out_for_warps_that_have_a_run_each(compiled, near_room):
    kernels, batch, library = kernels_on_warps(structure_with(XOR, RUN_ON_WARP, near_room)), batch_of(XOR, 5, RATES), DriverLibrary(2**23)
    assert (kernels.near_bytes > 0) == (near_room > 0)
    library.order = np.random.default_rng(0)
    program = loaded(Device(library=library), kernels, loadable(training_ptx(compiled, XOR, engine=RUN_ON_WARP, near_room=near_room)))
    found, truth = train_on_device(XOR, batch, program, pytest.fail, clock=library.clock), expected(XOR, batch)
    assert [name for name in truth if not same_bits(found.columns[name], truth[name])] == []
    assert found.lane_steps == found.used_steps == truth["steps_taken"].sum()


def test_large_steps_have_a_warp_for_each_run_and_small_ones_packs():
    assert structure_on_warps(SMALL).engine is NETWORK
    assert structure_on_warps(setting(gd.MLP(DIGITS, hidden=(32,)), gd.Adam(), batch=32)).engine is RUN_ON_WARP
    assert structure_on_warps(setting(gd.MLP(DIGITS, hidden=(32,)), gd.SAM(gd.SGD()), batch=32)).engine is NETWORK
    assert structure_on_warps(setting(gd.functions.Rosenbrock(), gd.Adam())).engine is FUNCTION


@pytest.mark.parametrize(("capability", "runs"), [((7, 5), 1), ((8, 0), 3), ((8, 9), 2), ((9, 0), 5), ((10, 0), 5), ((12, 0), 2)])
def test_a_run_of_digits_has_its_steps_in_near_memory_and_others_where_they_fit(capability, runs):
    digits, room = setting(gd.MLP(DIGITS, hidden=(32,)), gd.Adam(), batch=32), block_shared(capability)
    near = kernels_on_warps(structure_on_warps(digits, capability)).near_bytes
    assert (room + 1024) // (near + 1024) == runs  # on a multiprocessor, of which the system takes 1 KB for each
    assert structure_with(digits, RUN_ON_WARP, near) == structure_on_warps(digits, capability)
    assert structure_with(digits, RUN_ON_WARP, near - 1) == structure_on_warps(digits)
    assert structure_on_warps(SMALL, capability) == structure_on_warps(SMALL)


def whole():
    moons, stops = gd.datasets.load("moons", validation=0.3), (gd.Validation(patience=1),)
    problem = gd.MLP(moons, hidden=(5,), activation="tanh", loss="log_loss")
    yield "validation", setting(problem, gd.Momentum(), batch=16, steps=30, stops=stops), 3
    yield "state", setting(SMALL.problem, gd.Nesterov(), batch=16, steps=5, record=gd.Record(state=True, trajectory=True)), 3
    yield "averaged", setting(SMALL.problem, gd.Averaged(gd.SGD()), batch=16, steps=5, dtype="float64", stops=(gd.Plateau(patience=1),)), 3
    yield "gradients", setting(SMALL.problem, gd.SGD(), batch=100, steps=4, stops=(gd.SmallGradient(0.01), gd.Cycling(1e-6))), 3


@pytest.mark.slow
@pytest.mark.parametrize(("chosen", "runs"), [pytest.param(*case[1:], id=case[0]) for case in whole()])
def test_results_of_other_runs_have_the_processors_bits(compiled, chosen, runs):
    check_training(compiled, chosen, runs, 2, 3)


@pytest.mark.slow
def test_results_of_runs_that_go_on_in_near_memory_have_the_processors_bits(compiled):
    chosen = setting(SMALL.problem, gd.AdaBelief(), batch=16, steps=7, record=gd.Record(state=True, trajectory=True, gradient_norm=True))
    check_training(compiled, chosen, 3, 2, 2, NEAR_ROOM)
