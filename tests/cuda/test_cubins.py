"""Machine code of kernels by NVIDIA's compiler: what is read from it is what the compiler says, and small kernels keep
all that they need in registers.
"""

import re
import subprocess
import sys
import threading

import pytest

import gdsim as gd
from gdsim.kernels.cuda import kernels_on_warps, stepping
from gdsim.lanes.cubins import cubin_of, read_cubin
from gdsim.lanes.warps import capability_text
from gdsim.population.engine_choice import structure_of
from tests.cuda.arena import WARP
from tests.cuda.resources import CAPABILITIES, KERNELS, MORE, known, taken_by
from tests.cuda.settings import setting

# 309 numbers of a block's and 100 of a thread's own, read at a place that is known only at run time.
BY_HAND = """
.version 7.0
.target sm_75
.address_size 64
.visible .entry by_hand(.param .u64 out)
{
    .reg .b32 %r<5>;
    .reg .b64 %d<8>;
    .shared .align 4 .b8 room[1236];
    .local .align 4 .b8 own[400];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %d1, %r1, 4;
    mov.u64 %d2, room;
    add.s64 %d3, %d2, %d1;
    st.shared.u32 [%d3], %r1;
    mov.u64 %d4, own;
    add.s64 %d5, %d4, %d1;
    st.local.u32 [%d5], %r1;
    bar.sync 0;
    ld.shared.u32 %r2, [room+8];
    ld.local.u32 %r3, [own+12];
    add.s32 %r4, %r2, %r3;
    ld.param.u64 %d6, [out];
    cvta.to.global.u64 %d7, %d6;
    st.global.u32 [%d7], %r4;
    ret;
}
"""

# 400 bytes of a kernel's own, and 200 of a function that it calls.
CALLING = """
.version 7.0
.target sm_75
.address_size 64
.func (.param .b32 back) deeper(.param .b32 given)
{
    .reg .b32 %r<3>;
    .reg .b64 %d<4>;
    .local .align 4 .b8 own[200];
    ld.param.u32 %r1, [given];
    mul.wide.u32 %d1, %r1, 4;
    mov.u64 %d2, own;
    add.s64 %d3, %d2, %d1;
    st.local.u32 [%d3], %r1;
    ld.local.u32 %r2, [own+8];
    st.param.b32 [back], %r2;
    ret;
}
.visible .entry calling(.param .u64 out)
{
    .reg .b32 %r<5>;
    .reg .b64 %d<5>;
    .local .align 4 .b8 own[400];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %d1, %r1, 4;
    mov.u64 %d2, own;
    add.s64 %d3, %d2, %d1;
    st.local.u32 [%d3], %r1;
    {
        .param .b32 given;
        .param .b32 back;
        st.param.b32 [given], %r1;
        call (back), deeper, (given);
        ld.param.b32 %r2, [back];
    }
    ld.local.u32 %r3, [own+12];
    add.s32 %r4, %r2, %r3;
    ld.param.u64 %d4, [out];
    st.global.u32 [%d4], %r4;
    ret;
}
"""


def said_of(ptx, capability, *options):
    """(registers, bytes of shared and of local memory) of a kernel as nvJitLink tells in words."""
    from cuda.bindings import nvjitlink

    options = [f"-arch=sm_{capability[0]}{capability[1]}", "-verbose", *options]
    handle = nvjitlink.create(len(options), options)
    nvjitlink.add_data(handle, nvjitlink.InputType.PTX, ptx.encode(), len(ptx), "kernel")
    nvjitlink.complete(handle)
    log = bytearray(nvjitlink.get_info_log_size(handle))
    nvjitlink.get_info_log(handle, log)
    nvjitlink.destroy(handle)
    text = log.decode()
    shared = re.search(r"(\d+) bytes smem", text)
    return int(re.search(r"Used (\d+) registers", text)[1]), int(shared[1]) if shared else 0, int(re.search(r"(\d+) bytes stack frame", text)[1])


def words():
    from numba.cuda import types

    return types.Array(types.int64, 1, "C"), types.int64, types.Array(types.int64, 1, "C")


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_what_is_read_from_machine_code_is_what_the_compiler_says(cuda, capability):
    found = read_cubin(cuda.linked(BY_HAND, capability))
    assert found[1:] == ("by_hand", said_of(BY_HAND, capability)[0], 1236, 400)
    assert found[2:] == said_of(BY_HAND, capability)


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_local_memory_is_that_of_a_kernel_and_of_what_it_calls(cuda, capability):
    found = read_cubin(cuda.linked(CALLING, capability))
    assert (found.entry, found.shared_bytes, found.local_bytes) == ("calling", 0, 600)


def kernel_of(template, problem=None, rule=None, dtype="float32"):
    """A kernel of some runs: its function and parts."""
    chosen = setting(problem or gd.functions.Rosenbrock(), rule or gd.Adam(), dtype=dtype)
    return template(kernels_on_warps(structure_of(chosen, WARP)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path))


def test_values_beyond_the_registers_that_a_thread_may_take_lie_in_local_memory(cuda, folder):
    template = kernel_of(stepping)
    free, limited = (cubin_of(*template, words(), (9, 0), most_registers=limit) for limit in (None, 32))
    ptx = cuda.compile_ptx(*template, words(), (9, 0))
    assert free[2:] == said_of(ptx, (9, 0))
    assert limited[2:] == said_of(ptx, (9, 0), "-maxrregcount=32")
    assert limited.registers <= 32 < free.registers
    assert free.local_bytes == 0 < limited.local_bytes


def asked_about():
    for name, kernel in KERNELS.items():
        for capability in CAPABILITIES:
            tier = "slow" if kernel.tier == "full" and capability != (9, 0) else kernel.tier
            marks = [] if tier == "plain" else [getattr(pytest.mark, tier)]
            yield pytest.param(name, capability, id=f"{name}, {capability_text(capability)}", marks=marks)


@pytest.mark.parametrize(("name", "capability"), asked_about())
def test_kernels_take_no_more_of_a_device_than_they_did(cuda, name, capability):
    found, (registers, shared, local) = taken_by(name, capability), known()[name][capability_text(capability)]
    assert found[0] <= MORE * registers
    assert (found[1] <= shared, found[2] <= local) == (True, True)  # what is spilled lies in local memory


def test_kernels_keep_all_in_registers_but_for_what_is_said():
    assert {name: {capability_text(c) for c in CAPABILITIES} for name in KERNELS} == {name: set(of) for name, of in known().items()}
    most = {name: max(local for _, _, local in taken.values()) for name, taken in known().items()}
    assert most == {name: kernel.local_bytes for name, kernel in KERNELS.items()}
    assert max(registers for of in known().values() for registers, *_ in of.values()) <= 255


def test_a_second_process_finds_the_machine_code(cuda, folder):
    script = (
        "from tests.cuda.test_cubins import *; from gdsim.lanes import compiler; "
        "print(cubin_of(*kernel_of(stepping), words(), (9, 0))[2:], len(compiler.compilations))"
    )
    said = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    assert [words[-1] for words in said] == ["1", "0"]
    assert said[0][:-1] == said[1][:-1]


def test_threads_that_compile_for_several_capabilities_at_once_get_their_own(cuda):
    template, found = kernel_of(stepping), {}

    def ptx_for(capability):  # without the numbers of functions in names, which count on
        return re.sub(r"B\d+v\d+B\d+", "", cuda.compile_ptx(*template, words(), capability))

    def compile_for(capability):
        found[capability] = ptx_for(capability)

    threads = [threading.Thread(target=compile_for, args=(c,)) for c in ((7, 5), (12, 0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {capability: ptx_for(capability) for capability in found}
    assert ".target sm_75" in found[7, 5]
    assert ".target sm_120" in found[12, 0]


@pytest.mark.parametrize("capability", [(7, 0), (9, 1), (99, 0)])
def test_a_capability_that_the_compiler_does_not_know_is_refused(cuda, folder, capability):
    said = rf"no code is made for compute capability {capability[0]}\.{capability[1]}: the CUDA compiler that is installed knows .*7\.5, 8\.0"
    with pytest.raises(ValueError, match=said):
        cubin_of(*kernel_of(stepping), words(), capability)


def test_what_the_compiler_says_of_wrong_text_is_told(cuda):
    with pytest.raises(RuntimeError, match=r"nvJitLink refused a kernel for compute capability 9\.0: .* 'move'; [^\n]*$"):
        cuda.linked(BY_HAND.replace("mov.u32", "move.u32"), (9, 0))
