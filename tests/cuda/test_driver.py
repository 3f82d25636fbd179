"""Training on a device by its driver, with the interpreter in the device's place: memory, launches, chunks."""

import concurrent.futures
import signal
import threading
import time

import numpy as np
import pytest

import gdsim as gd
from gdsim.devices import STATIONS, Device, DeviceError, OutOfDeviceMemoryError, Stations, Stream
from gdsim.devices.stations import SHARE
from gdsim.kernels import arena, cuda as cuda_kernels
from gdsim.kernels.cuda import kernels_on_warps
from gdsim.kernels.cuda_driver import BLOCK_WARPS, FIRST_STEPS, LAUNCH_SECONDS, Needs, busy_warps, chunk_for, loaded, needs_of, training_layout
from gdsim.population import device_training
from gdsim.population.device_training import SAMPLED, program_for, train_on_device
from gdsim.population.engine_choice import full_width, structure_of
from gdsim.population.setting import Tangent
from gdsim.population.training import InterruptedTrainingError, job_for, prepared_for, train_batch
from tests.cuda.arena import WARP
from tests.cuda.driver import DriverLibrary
from tests.cuda.kernels import batch_of, expected, loadable, same_bits, training_ptx
from tests.cuda.settings import RATES, setting
from tests.cuda.table import TABLE

RUNS = 150
STOPS = (gd.SmallGradient(1e-3), gd.Target(0.5))
CHOSEN = setting(gd.functions.Rosenbrock(), gd.Adam(), steps=30, stops=STOPS, record=gd.Record(parameters=True, state=True))


@pytest.fixture(scope="module")
def rosenbrock(compiled):
    """The kernel, runs, and their results by processors."""
    batch = batch_of(CHOSEN, RUNS, RATES)
    return loadable(training_ptx(compiled, CHOSEN)), batch, expected(CHOSEN, batch)


def train(kernel, batch, library, say=pytest.fail, chosen=CHOSEN, **others):
    kernels = kernels_on_warps(structure_of(chosen, WARP))
    return train_on_device(chosen, batch, loaded(Device(library=library), kernels, kernel), say, clock=library.clock, **others)


def check(found, truth):
    assert found.keys() == truth.keys()
    assert [name for name in truth if not same_bits(found[name], truth[name])] == []


def job_of(chosen, runs):
    kernels = kernels_on_warps(structure_of(chosen, WARP))
    return job_for(chosen, kernels, prepared_for(chosen, kernels, batch_of(chosen, runs, RATES)), kernels.model(chosen.samples_per_step))


def room_for(runs):
    """A library whose device has room for so many runs in each station, with one block of warps."""
    needs = needs_of(*(job_of(CHOSEN, few) for few in SAMPLED))
    return DriverLibrary(int(STATIONS * needs.size(runs, BLOCK_WARPS) / SHARE) + 2**10)


@pytest.mark.parametrize(("multiprocessors", "blocks", "warps", "warps_of_a_block"), [(1, 1, 4, 4), (4, 3, 8, 2), (8, 1, 8, 1)])
def test_a_device_gives_the_processors_bits_however_many_warps_it_has_room_for(rosenbrock, multiprocessors, blocks, warps, warps_of_a_block):
    kernel, batch, truth = rosenbrock
    library = DriverLibrary(2**23, multiprocessors, blocks)
    found = train(kernel, batch, library)
    check(found.columns, truth)
    assert {launch[:2] for launch in library.launches} == {(warps // warps_of_a_block, warps_of_a_block * WARP)}
    assert found.lane_steps >= found.used_steps >= truth["steps_taken"].sum()
    assert library.held == {}


@pytest.mark.full
@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in TABLE if one.tier == "full" and one.setting.problem.data is not None])
def test_the_memory_of_every_kind_of_problem_lies_where_the_kernel_looks_for_it(compiled, one):
    half = one.setting._replace(steps=one.setting.steps // 2)  # all of them are made in test_table
    batch, library = batch_of(half, one.runs, RATES), DriverLibrary(2**25, multiprocessors=2)
    check(train(loadable(training_ptx(compiled, half)), batch, library, chosen=half).columns, expected(half, batch))


def test_launches_last_as_long_as_the_host_can_wait(rosenbrock):
    kernel, batch, truth = rosenbrock
    library = DriverLibrary(2**23, seconds_per_step=LAUNCH_SECONDS / 5.5)
    check(train(kernel, batch, library).columns, truth)
    steps = [words[7] for _, _, words in library.launches]
    assert steps[0] == FIRST_STEPS
    assert set(steps[1:]) == {5}
    assert len(steps) > 3


def test_a_sweep_that_is_stopped_ends_after_the_launch_and_gives_the_memory_back(rosenbrock):
    kernel, batch, _ = rosenbrock
    library, stopping = DriverLibrary(2**23), threading.Event()
    library.on_launch = stopping.set
    with pytest.raises(InterruptedTrainingError):
        train(kernel, batch, library, stopping=stopping)
    assert len(library.launches) == 1
    assert library.held == {}


def test_ctrl_c_is_heard_between_launches(rosenbrock):
    kernel, batch, _ = rosenbrock
    library = DriverLibrary(2**23, seconds_per_step=LAUNCH_SECONDS)

    def press():
        library.on_launch = lambda: None
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    library.on_launch = press
    with pytest.raises(KeyboardInterrupt):
        train(kernel, batch, library)
    assert len(library.launches) < 4
    assert library.held == library.pinned == {}


def copies_in(arena):
    """How many copies fill a device's memory."""
    return sum(len(list(region.spans())) + len(region.filled) for region in arena.regions)


def chunks_of(library, runs):
    """How many chunks train so many runs, with the room that each has of a library's device."""
    needs, count, room = needs_of(*(job_of(CHOSEN, few) for few in SAMPLED)), 0, int(SHARE * library.memory) // STATIONS
    while runs:
        runs, count = runs - chunk_for(needs, runs, BLOCK_WARPS * library.multiprocessors, room).runs, count + 1
    return count


def test_runs_that_have_no_room_together_are_copied_in_and_their_results_out_while_others_are_trained(rosenbrock, monkeypatch):
    """Who trains waits here for who copies, which takes for ever where that waits for the training."""
    kernel, batch, truth = rosenbrock
    monkeypatch.setattr(arena, "FILLED_BYTES", 1)  # so that the device fills much
    library, begun, copies = room_for(50), [], copies_in(training_layout(job_of(CHOSEN, 64), BLOCK_WARPS).arena)
    chunks = chunks_of(library, RUNS)

    def count(kind):
        return sum(done == kind for done, _ in library.log)

    def wait_for_others():
        if library.launches[-1][2][7] != FIRST_STEPS:
            return
        begun.append(library.launches[-1])
        copied_in, copied_out, until = copies * min(len(begun) + 1, chunks), 2 * (len(begun) - 1), time.perf_counter() + 60
        while count("in") < copied_in or count("out") - count("kernel") < copied_out:  # of each launch one is copied out too
            assert time.perf_counter() < until, f"nothing is done beside the training of chunk {len(begun)}: {library.log}"
            time.sleep(0.01)

    library.on_launch = wait_for_others
    check(train(kernel, batch, library).columns, truth)
    assert len(begun) == chunks > 2
    assert count("in") == copies * chunks
    assert len({stream for _, stream in library.log}) == STATIONS


def test_results_that_are_not_waited_for_are_wrong(rosenbrock, monkeypatch):
    kernel, batch, truth = rosenbrock
    library, wait = DriverLibrary(2**23), Stream.wait

    def forgetful(stream):
        if [one.kind for queue in library.streams.values() for one in queue.asked] != ["out", "out"]:
            wait(stream)

    monkeypatch.setattr(Stream, "wait", forgetful)
    monkeypatch.setattr(device_training, "STATIONS", 1)
    with pytest.raises((AssertionError, IndexError)):
        check(train(kernel, batch, library).columns, truth)


def test_threads_that_share_stations_train_batches_in_turn(rosenbrock):
    kernel, batch, truth = rosenbrock
    library = DriverLibrary(2**23)
    parts = [np.arange(100), np.arange(100, RUNS)]
    with Stations(Device(library=library)) as stations, concurrent.futures.ThreadPoolExecutor(2) as pool:
        training = [pool.submit(train, kernel, batch.part(part), library, stations=stations) for part in parts]
        for part, thread in zip(parts, training, strict=True):
            check(thread.result().columns, {name: values[part] for name, values in truth.items()})
        assert len(library.held) == STATIONS
    assert library.held == library.pinned == {}


def test_where_the_device_gives_less_than_it_had_free_chunks_are_halved_and_it_is_said(rosenbrock):
    kernel, batch, truth = rosenbrock
    said, library = [], DriverLibrary(2**23, multiprocessors=4)
    whole = training_layout(job_of(CHOSEN, RUNS), 8).arena.size
    library.largest = whole * 2 // 3
    check(train(kernel, batch, library, said.append).columns, truth)
    assert len(said) == 1
    assert "Interpreter had no room for" in said[0]
    assert "CUDA_ERROR_OUT_OF_MEMORY" in said[0]
    assert "half" in said[0]


def test_a_device_that_gives_nothing_ends_the_training(rosenbrock):
    kernel, batch, _ = rosenbrock
    said, library = [], DriverLibrary(2**23)
    library.largest = 1000
    with pytest.raises(OutOfDeviceMemoryError, match=r"training takes .* kB of the device's memory at least, and .* can be had"):
        train(kernel, batch, library, said.append)
    assert len(said) > 1


def test_a_kernel_that_fails_is_no_result(rosenbrock):
    kernel, batch, _ = rosenbrock
    library = DriverLibrary(2**23)
    library.on_launch = lambda: library.fails.update(cuEventSynchronize=700)
    with pytest.raises(DeviceError, match="CUDA_ERROR_ILLEGAL_ADDRESS in cuEventSynchronize"):
        train(kernel, batch, library)


def test_runs_go_on_from_where_they_ended(rosenbrock):
    kernel, batch, _ = rosenbrock
    ends = expected(CHOSEN._replace(steps=10), batch)
    goes_on = np.flatnonzero(ends["steps_taken"] == 10)
    later, rest, earlier = CHOSEN._replace(began=10), batch.part(goes_on), {name: values[goes_on] for name, values in ends.items()}
    truth = train_batch(later, rest, full_width(later), earlier=earlier).columns
    assert 10 < len(goes_on) < RUNS
    assert truth["steps_taken"].max() == 30
    check(train(kernel, rest, DriverLibrary(2**23), chosen=later, earlier=earlier).columns, truth)


@pytest.mark.parametrize(
    "chosen",
    [
        CHOSEN,
        setting(gd.LinearRegression(gd.datasets.load("diabetes")), gd.SGD(), batch=8),
        setting(gd.functions.Ackley(), gd.AMSGrad(), dtype="float64"),
        CHOSEN._replace(tangents=(Tangent("lr", "lr"),)),
        setting(gd.LinearRegression(gd.datasets.load("diabetes")), gd.SGD(), batch=8, distribution=gd.Asynchronous(workers=3)),
    ],
    ids=["Rosenbrock", "linear", "float64", "tangents", "workers"],
)
def test_what_runs_and_warps_take_is_known_beforehand(chosen):
    needs = needs_of(*(job_of(chosen, runs) for runs in SAMPLED))
    for runs, warps in ((192, 4), (640, 8), (4096, 40)):
        size = training_layout(job_of(chosen, runs), warps).arena.size
        assert size == pytest.approx(needs.size(runs, warps), abs=16 * warps + 512)


@pytest.mark.parametrize("seed", range(50))
def test_a_chunk_has_room_and_no_larger_one_has(seed):
    rng = np.random.default_rng(seed)
    needs = Needs(int(rng.integers(0, 10**6)), float(rng.integers(50, 5000)), int(rng.integers(10**3, 10**6)), (1, WARP)[seed % 2])
    runs, resident, room = int(rng.integers(1, 10**6)), 4 * int(rng.integers(1, 500)), int(10 ** rng.uniform(6.5, 10))
    taken = needs.size
    try:
        chunk = chunk_for(needs, runs, resident, room)
    except OutOfDeviceMemoryError:
        assert taken(1, BLOCK_WARPS) > room
        return
    wanted, free = min(resident, busy_warps(runs, needs.width)), room - needs.fixed
    assert 1 <= chunk.runs <= runs
    assert chunk.warps % BLOCK_WARPS == 0
    assert 0 < chunk.warps <= min(resident, busy_warps(chunk.runs, needs.width))
    assert taken(*chunk) <= room
    assert chunk == (runs, wanted) or taken(runs, wanted) > room
    if chunk.runs < runs:
        assert taken(chunk.runs + 1, wanted) > room
        assert (chunk.runs + 1) * needs.run > min(free / 2, free - BLOCK_WARPS * needs.warp)


def test_a_program_is_compiled_for_the_devices_capability_and_loaded_once_for_a_structure(rosenbrock, monkeypatch):
    kernel, batch, truth = rosenbrock
    asked, library = [], DriverLibrary(2**23)

    def made(template, parts, arguments, capability, title):
        asked.append((template, len(arguments), capability, title))
        return kernel

    monkeypatch.setattr(cuda_kernels, "cubin_of", made)
    device = Device(library=library)
    program = program_for(CHOSEN, device)
    assert program_for(CHOSEN._replace(steps=10, seed=1), device) is program
    assert asked == [(cuda_kernels.train_packs, 3, (9, 0), "Adam on Rosenbrock for a GPU")]
    assert len(library.modules) == 1
    check(train_on_device(CHOSEN, batch, program, pytest.fail).columns, truth)


@pytest.mark.full
def test_the_machine_code_of_a_setting_is_made_once(cuda):
    kernels = kernels_on_warps(structure_of(CHOSEN, WARP))
    made = cuda_kernels.compiled_training(kernels, (9, 0))
    assert made.cubin.startswith(b"\x7fELF")
    assert "train_packs" in made.entry
    assert cuda_kernels.compiled_training(kernels, (9, 0)) is made
