"""A GPU by its driver's functions, with the interpreter in the driver's place."""

import ctypes
import threading

import numpy as np
import pytest

from gdsim.devices import Device, DeviceError, DeviceInfo, NoDeviceError, OutOfDeviceMemoryError
from gdsim.lanes.cubins import Compiled
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


def test_what_was_copied_in_comes_out_on_whatever_thread():
    library = DriverLibrary()
    device = Device(library=library)
    first, second = device.allocate(1000), device.allocate(8)
    given, found = np.random.default_rng(0).random(125), np.zeros(124)
    device.copy_in(first, given)
    thread = threading.Thread(target=device.copy_out, args=(found, first + 8))
    thread.start()
    thread.join()
    assert (found == given[1:]).all()
    assert len(library.current) == 2
    device.free(first)
    device.free(second)
    assert device.free_memory() == library.memory


@pytest.mark.parametrize(("blocks", "threads"), [(1, 32), (3, 32), (2, 128)])
def test_a_kernel_runs_in_all_threads_of_the_grid(blocks, threads):
    device = Device(library=DriverLibrary(multiprocessors=3, blocks=5))
    function, count = device.load(compiled(STORES_PLACES)), blocks * threads
    where, found = device.allocate(8 * count), np.zeros(count, np.int64)
    device.launch(function, blocks, threads, [where, 10**12])
    device.wait()
    device.copy_out(found, where)
    assert (found == 10**12 + np.arange(count)).all()
    assert device.resident_blocks(function, 128) == 15


def test_memory_that_there_is_not_is_refused():
    device = Device(library=DriverLibrary(memory=2**20))
    with pytest.raises(OutOfDeviceMemoryError, match="CUDA_ERROR_OUT_OF_MEMORY in cuMemAlloc"):
        device.allocate(2**20 + 1)


@pytest.mark.parametrize(
    ("name", "code", "use", "said"),
    [
        ("cuCtxSynchronize", 700, lambda device: device.wait(), "CUDA_ERROR_ILLEGAL_ADDRESS in cuCtxSynchronize"),
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
    with pytest.raises(DeviceError, match=said):
        Device(library=DriverLibrary()).load(compiled(text, entry))


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
    with pytest.raises(NoDeviceError, match=r"no driver of an NVIDIA GPU is installed here: .*cannot open"):
        Device()
