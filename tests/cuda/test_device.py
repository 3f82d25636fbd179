"""A GPU by its driver's functions, with the interpreter in the driver's place."""

import ctypes
import math
import threading

import numpy as np
import pytest

from gdsim.devices import Device, DeviceError, DeviceInfo, NoDeviceError, OutOfDeviceMemoryError, Stations, Stream
from gdsim.lanes.cubins import Compiled
from tests.cuda import driver
from tests.cuda.driver import DriverLibrary
from tests.cuda.test_ptx import text_of

STORES_PLACES = text_of(
    "mov.u32 %r1, %ctaid.x;", "mov.u32 %r2, %ntid.x;", "mov.u32 %r3, %tid.x;", "mad.lo.s32 %r4, %r1, %r2, %r3;", "mul.wide.u32 %rd1, %r4, 8;",
    "add.s64 %rd2, %rd101, %rd1;", "cvt.u64.u32 %rd3, %r4;", "add.s64 %rd4, %rd3, %rd102;", "st.global.u64 [%rd2], %rd4;", parameters=2,
)  # fmt: skip


def compiled(text, entry="k"):
    return Compiled(text.encode(), entry, 32, 0, 0)


def test_a_device_says_what_it_is():
    device = Device(1, DriverLibrary(memory=2**20, multiprocessors=7, gpus=2))
    # NVIDIA states 3.35 TB/s for the card with these clocks and this bus.
    bandwidth = pytest.approx(3.35e12, rel=1e-3)
    assert device.info == DeviceInfo("Interpreter", (9, 0), (13, 1), 2**20, 7, 1.98e9, bandwidth, 232_448, 233_472, 1024)
    assert device.free_memory() == 2**20


def test_the_bandwidth_of_memory_that_a_device_shares_with_its_host_is_no_bound(monkeypatch):
    monkeypatch.setitem(driver.ATTRIBUTES, 36, 0)  # the driver knows no clock of it
    assert Device(library=DriverLibrary()).info.bandwidth == math.inf


def test_what_was_copied_in_comes_out_on_whatever_thread():
    library = DriverLibrary()
    device = Device(library=library)
    stream, first, second = Stream(device), device.allocate(1000), device.allocate(8)
    given, found = np.random.default_rng(0).random(125), np.zeros(124)
    stream.copy_in(first, given)

    def take_out():
        stream.copy_out(found, first + 8)
        stream.wait()

    thread = threading.Thread(target=take_out)
    thread.start()
    thread.join()
    assert (found == given[1:]).all()
    assert len(library.current) == 2
    stream.close()
    device.free(first)
    device.free(second)
    assert device.free_memory() == library.memory


def test_a_stream_does_what_it_is_asked_in_order_and_only_its_own_is_waited_for():
    device = Device(library=DriverLibrary())
    one, other, where = Stream(device), Stream(device), device.allocate(64)
    given, found, not_yet = np.arange(8.0), np.zeros(8), np.zeros(8)
    one.copy_in(where, given)
    other.copy_out(not_yet, where)
    one.copy_out(found, where)
    given[3] = 9.0
    assert 9.0 not in found
    one.wait()
    assert found.tolist() == [0, 1, 2, 9, 4, 5, 6, 7]
    assert 1.0 not in not_yet
    other.wait()
    assert (not_yet == found).all()


@pytest.mark.parametrize("copies", [1, 2, 3, 7, 8, 100])
def test_memory_is_repeated_so_many_times_and_no_more(copies):
    device = Device(library=DriverLibrary())
    stream, where = Stream(device), device.allocate(24 * (copies + 1))
    found = np.zeros((copies + 1, 3))
    stream.copy_in(where, np.zeros_like(found))
    stream.copy_in(where, np.array([1.0, 2.0, 3.0]))
    stream.repeat(where, 24, copies)
    stream.copy_out(found, where)
    stream.wait()
    assert (found[:copies] == [1, 2, 3]).all()
    assert (found[copies] == 0).all()


@pytest.mark.parametrize(("blocks", "threads"), [(1, 32), (3, 32), (2, 128)])
def test_a_kernel_runs_in_all_threads_of_the_grid(blocks, threads):
    device = Device(library=DriverLibrary(multiprocessors=3, blocks=5))
    function, count, stream = device.load(compiled(STORES_PLACES)), blocks * threads, Stream(device)
    where, found = device.allocate(8 * count), np.zeros(count, np.int64)
    stream.launch(function, blocks, threads, [where, 10**12])
    stream.copy_out(found, where)
    stream.wait()
    assert (found == 10**12 + np.arange(count)).all()
    assert device.resident_blocks(function, 128) == 15


def test_a_kernel_has_as_much_near_memory_as_a_block_may_have():
    device = Device(library=DriverLibrary(multiprocessors=3, blocks=8))
    assert device.resident_blocks(device.load(compiled(STORES_PLACES), 100_000), 32, 100_000) == 3 * 2
    assert device.resident_blocks(device.load(compiled(STORES_PLACES), device.info.block_shared), 32, device.info.block_shared) == 3
    with pytest.raises(DeviceError, match="CUDA_ERROR_INVALID_VALUE in cuFuncSetAttribute"):
        device.load(compiled(STORES_PLACES), device.info.block_shared + 1)


def test_a_station_keeps_its_memory_for_the_next_chunk_and_gives_it_back_at_the_end():
    library = DriverLibrary(memory=2**20)
    device, check = Device(library=library), lambda: None
    with Stations(device) as stations:
        with stations.one(check) as station:
            first, pinned = station.memory(1000), station.pinned(100)
            assert station.memory(900) == first
            assert station.pinned(80).ctypes.data == pinned.ctypes.data
            with stations.one(check) as other:
                assert other.memory(500) != first
        with stations.one(check) as again:
            assert again.memory(2000) > 0
            assert library.taken() == 2500
            assert again.pinned(101).size == 101
    assert library.held == library.pinned == {}
    assert [queue for queue in library.streams.values() if queue] == []


def test_there_are_two_stations_and_one_turn_and_waiting_for_them_can_be_ended():
    asked = []

    def give_up_later():
        asked.append(1)
        if len(asked) > 2:
            raise InterruptedError

    with Stations(Device(library=DriverLibrary())) as stations:
        free = lambda: None  # noqa: E731
        with stations.one(free), stations.one(free), stations.turn(free):
            for waits in (stations.one, stations.turn):
                asked.clear()
                with pytest.raises(InterruptedError), waits(give_up_later):
                    pass
                assert len(asked) == 3
        with stations.one(free), stations.one(free), stations.turn(free):
            pass


def test_stations_that_are_closed_give_back_what_is_in_use_and_give_out_no_more():
    library, free = DriverLibrary(), lambda: None
    stations = Stations(Device(library=library))
    with stations.one(free) as station:
        station.memory(1000)
        stations.close()
        assert library.taken() == 1000
    assert library.held == {}
    with pytest.raises(RuntimeError, match="these stations are closed: make others to train more"), stations.one(free):
        pass


def test_memory_that_there_is_not_is_refused():
    device = Device(library=DriverLibrary(memory=2**20))
    with pytest.raises(OutOfDeviceMemoryError, match="CUDA_ERROR_OUT_OF_MEMORY in cuMemAlloc"):
        device.allocate(2**20 + 1)


@pytest.mark.parametrize(
    ("name", "code", "use", "said"),
    [
        ("cuEventSynchronize", 700, lambda device: Stream(device).wait(), "CUDA_ERROR_ILLEGAL_ADDRESS in cuEventSynchronize"),
        ("cuMemHostAlloc", 2, lambda device: device.pinned(8), "CUDA_ERROR_OUT_OF_MEMORY in cuMemHostAlloc"),
        ("cuMemGetInfo_v2", 9999, lambda device: device.free_memory(), "error 9999 in cuMemGetInfo"),
    ],
)
def test_a_call_that_fails_is_named(name, code, use, said):
    library = DriverLibrary()
    device = Device(library=library)
    library.fails[name] = code
    with pytest.raises(DeviceError, match=said):
        use(device)


@pytest.mark.parametrize(("text", "entry", "said"), [("\x7fELF damaged", "k", "INVALID_IMAGE"), (STORES_PLACES, "other", "NOT_FOUND")])
def test_a_damaged_kernel_is_refused(text, entry, said):
    library = DriverLibrary()
    with pytest.raises(DeviceError, match=said):
        Device(library=library).load(compiled(text, entry))
    assert not any(library.modules)


def test_a_stream_is_given_back_where_its_event_cannot_be_made_or_given_back():
    library = DriverLibrary()
    device = Device(library=library)
    library.fails["cuEventCreate"] = 2
    with pytest.raises(OutOfDeviceMemoryError, match="in cuEventCreate"):
        Stream(device)
    del library.fails["cuEventCreate"]
    stream = Stream(device)
    library.fails["cuEventDestroy_v2"] = 201
    with pytest.raises(DeviceError, match="in cuEventDestroy_v2"):
        stream.close()
    assert len(library.streams) == 2
    assert not any(library.streams.values())


def test_a_gpu_that_another_process_has_says_so():
    with pytest.raises(DeviceError, match=r"Interpreter cannot be opened \(CUDA_ERROR_DEVICE_UNAVAILABLE in .*\): another process may have"):
        Device(1, DriverLibrary(gpus=2, busy=[1]))


@pytest.mark.parametrize(("gpus", "number", "said"), [(0, 0, "sees none"), (1, 1, "sees GPU 0 alone"), (4, 4, "sees GPUs 0 to 3"), (2, -1, "no GPU -1")])
def test_a_gpu_that_there_is_not_is_refused(gpus, number, said):
    with pytest.raises(NoDeviceError, match=said):
        Device(number, DriverLibrary(gpus=gpus))


def test_a_driver_without_a_gpu_says_so():
    library = DriverLibrary()
    library.fails["cuInit"] = 100
    with pytest.raises(NoDeviceError, match="finds no GPU that it can use: CUDA_ERROR_NO_DEVICE in cuInit"):
        Device(library=library)


def test_a_machine_without_a_driver_says_so(monkeypatch):
    def load(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)
    with pytest.raises(NoDeviceError, match=r"no driver of an NVIDIA GPU is installed here \(.*cannot open shared object file\): install driver 580 or newer"):
        Device()
