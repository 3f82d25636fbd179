"""Machine code for CUDA devices: what is read of it, and how it is kept; ELF files are written here by their
specification, so that no compiler is needed.
"""

import errno
import os
import struct
import sys
import threading
import types

import pytest

import gdsim.lanes
from gdsim.lanes import compiler, cubins, kernel_folder
from gdsim.lanes.announcing import announcing
from gdsim.lanes.children import Children, helped_by
from gdsim.lanes.cubins import Compiled, DeviceKernel, cubin_of, device_kernel, kept_cubin, read_cubin
from gdsim.lanes.kept_files import KeptFile

FUNCTION, ENTRY, GLOBAL = 2, 0x10, 1 << 4
STRINGS, SYMBOLS, PROGRAM, NOTHING = 3, 2, 1, 8
DIGEST = "a" * 64


def cubin_with(registers=24, shared=0, local=0, names=("kernel",), reserved=0, helper_registers=250):
    """A cubin of some kernels, which all take the same, with a helper that they call; `reserved` bytes of shared memory
    are the system's.

    Of section .nv.info three forms of attributes are there: of no value, of two bytes and of a length.
    """
    symbols, texts, info = bytes(24), b"\0", b"\x01\x0f\0\0"
    for place, name in enumerate(("helper", *names), 1):
        is_entry = name != "helper"
        symbols += struct.pack("<IBBHQQ", len(texts), (GLOBAL if is_entry else 0) | FUNCTION, ENTRY if is_entry else 0, 1, 0, 0)
        texts += name.encode() + b"\0"
        info += struct.pack("<BBHII", 4, 0x11, 8, place, 999)  # EIATTR_FRAME_SIZE, which is not asked for
        if registers is not None:
            info += struct.pack("<BBHII", 4, 0x2F, 8, place, registers if is_entry else helper_registers)
        info += b"\x03\x19\x70\x02"
        if is_entry:
            info += struct.pack("<BBHII", 4, 0x12, 8, place, local)
    symbols += struct.pack("<IBBHQQ", len(texts), GLOBAL, 0, 0, reserved, 4)
    texts += b".nv.reservedSmem.cap\0"
    parts = [("", 0, b"", 0, 0), (".strtab", STRINGS, texts, 0, 0), (".symtab", SYMBOLS, symbols, 1, 0), (".nv.info", PROGRAM, info, 2, 0)]
    parts += [(f".nv.shared.{name}", NOTHING, b"", 0, shared + reserved) for name in names if shared]
    section_names = b"\0".join(name.encode() for name, *_ in parts) + b"\0.shstrtab\0"
    parts.append((".shstrtab", STRINGS, section_names, 0, 0))
    body, headers = b"", b""
    for name, kind, content, link, size in parts:
        at = section_names.index(name.encode() + b"\0")
        headers += struct.pack("<IIQQQQIIQQ", at, kind, 0, 0, 64 + len(body), len(content) or size, link, 0, 1, 0)
        body += content
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, 190, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(parts), len(parts) - 1)
    return head + body + headers


@pytest.mark.parametrize("reserved", [0, 1024])
@pytest.mark.parametrize(("registers", "shared", "local"), [(24, 0, 0), (255, 48 * 1024, 0), (168, 1236, 400)])
def test_what_a_kernel_takes_is_read_from_its_machine_code(registers, shared, local, reserved):
    cubin = cubin_with(registers, shared, local, reserved=reserved)
    assert read_cubin(cubin) == Compiled(cubin, "kernel", registers, shared, local)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "this is no ELF file of 64 bits"),
        (b".version 9.0\n.target sm_90\n", "this is no ELF file of 64 bits"),
        (cubin_with(names=()), "a cubin of one kernel is needed, and this has 0"),
        (cubin_with(names=("one", "two")), "a cubin of one kernel is needed, and this has 2"),
        (cubin_with(registers=None), "this cubin does not say how many registers 'kernel' takes"),
    ],
    ids=["empty", "PTX", "no kernel", "two kernels", "no registers"],
)
def test_what_is_no_kernel_is_refused(data, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        read_cubin(data)


def test_machine_code_that_is_cut_anywhere_is_refused():
    whole = cubin_with(shared=100)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="ELF"):
            read_cubin(whole[:length])


def test_no_wrong_byte_is_more_than_refused():
    whole, refused = cubin_with(), 0
    for place in range(len(whole)):
        for wrong in (0, 0x7F, 0xFF):
            try:
                read_cubin(whole[:place] + bytes([wrong]) + whole[place + 1 :])
            except ValueError:
                refused += 1
    assert refused > 100


class Maker:
    """Makes machine code, and counts how often it is asked."""

    def __init__(self, cubin):
        self.cubin, self.times = cubin, 0

    def __call__(self):
        self.times += 1
        return self.cubin


@pytest.fixture
def make():
    return Maker(cubin_with(registers=40, local=8))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A new cache for this process, which has made nothing and said nothing of it yet."""
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_folder, "_told", set())
    monkeypatch.setattr(cubins, "_cubins", {})
    monkeypatch.setattr(compiler, "compilations", [])
    monkeypatch.setattr(cubins, "compilations", compiler.compilations)
    return tmp_path / "kernels"


def in_another_process(make, digest=DIGEST, title="it"):
    """The kernel as a process has it that has made none."""
    cubins._cubins.clear()
    return kept_cubin(digest, title, make)


def test_a_kernel_is_made_once_for_all_processes(folder, make):
    heard = []
    with announcing(heard.append):
        first = kept_cubin(DIGEST, "the kernel", make)
        assert kept_cubin(DIGEST, "the kernel", make) is first
        assert in_another_process(make, title="the kernel") == first == read_cubin(make.cubin)
    assert (make.times, heard, compiler.compilations) == (1, ["compiling the kernel"], [DIGEST])
    assert [p.name for p in folder.glob("*/*.kernel")] == [f"{DIGEST}.kernel"]
    assert kernel_folder.held(folder)[0].kernels == 1


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "foreign", "another kernel's", "no machine code"])
def test_a_file_that_is_not_right_is_made_again(folder, make, damage):
    right = in_another_process(make)
    path = KeptFile(DIGEST).path
    data = path.read_bytes()
    if damage == "another kernel's":
        in_another_process(Maker(cubin_with(registers=99)), "b" * 64)
        path.write_bytes(KeptFile("b" * 64).path.read_bytes())
    elif damage == "no machine code":  # under a checksum that is right
        KeptFile(DIGEST).keep(b".version 9.0")
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.write_bytes({"flipped": flipped, "cut": data[:middle], "empty": b"", "foreign": b"\x80\x04cos\nsystem\n(S'false'\ntR."}[damage])
    assert in_another_process(make) == right
    assert path.read_bytes() == data
    assert in_another_process(make) == right
    assert (make.times, compiler.compilations.count(DIGEST)) == (2, 2)


def test_what_is_made_wrong_is_not_kept(folder):
    with pytest.raises(ValueError, match="no ELF file"):
        in_another_process(Maker(b".version 9.0"))
    assert not KeptFile(DIGEST).exists()


def open_to_others(folder):
    folder.mkdir()
    folder.chmod(0o777)


def no_folder(folder):
    folder.write_text("")


@pytest.mark.parametrize(("spoil", "why"), [(open_to_others, "others may write to it"), (no_folder, "File exists")])
def test_where_nothing_can_be_kept_it_is_told_once_and_the_kernel_is_made_once(folder, make, spoil, why):
    spoil(folder)
    with pytest.warns(RuntimeWarning, match=f"compiled kernels cannot be kept in .*: {why}; set GDSIM_CACHE_DIR"):
        first = kept_cubin(DIGEST, "it", make)
    assert kept_cubin(DIGEST, "it", make) is first
    assert in_another_process(make) == first  # and warns no more
    assert make.times == 2


def test_a_full_disk_costs_the_cache_alone(folder, make, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        assert in_another_process(make).registers == 40
    assert not [*folder.rglob("*.kernel"), *folder.rglob("writing-*")]


def first(x):
    return x + NUMBER  # noqa: F821


def second(x):
    return x - NUMBER  # noqa: F821


@pytest.fixture
def compiles(monkeypatch):
    """Stands for NVIDIA's compilers; the registers of what it makes count the kernels, and its `installed` are versions."""
    stub, made = types.ModuleType("gdsim.lanes.cuda"), []
    stub.installed = ("0.30.4", "12345", "67890")
    stub.versions = lambda: stub.installed
    stub.ptx_of = lambda bound, capability: f"{bound.template.__name__} {sorted(bound.parts.items())} {capability}"
    stub.linked = lambda ptx, capability, most_registers: made.append(ptx) or cubin_with(registers=len(made))
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    monkeypatch.setattr(gdsim.lanes, "cuda", stub, raising=False)
    return stub


def test_a_kernel_is_found_by_all_that_decides_it(folder, compiles):
    asked = (first, {"NUMBER": 1.0}, ("array",), (9, 0))
    others = [
        (second, {"NUMBER": 1.0}, ("array",), (9, 0)),
        (first, {"NUMBER": 2.0}, ("array",), (9, 0)),
        (first, {"NUMBER": 1.0}, ("number",), (9, 0)),
        (first, {"NUMBER": 1.0}, ("array",), (8, 9)),
    ]
    kernels = [cubin_of(*given) for given in (asked, *others)]
    kernels += [cubin_of(*asked, most_registers=limit) for limit in (64, 128)]
    for place in range(len(compiles.installed)):
        compiles.installed = tuple(f"{v} later" if k == place else v for k, v in enumerate(("0.30.4", "12345", "67890")))
        kernels.append(cubin_of(*asked))
    assert [kernel.registers for kernel in kernels] == list(range(1, 11))
    compiles.installed = ("0.30.4", "12345", "67890")
    cubins._cubins.clear()
    assert cubin_of(*asked, title="another name") == kernels[0]
    assert len(compiler.compilations) == 10


@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone")
def test_children_compile_what_comes_next_and_their_parent_finds_it(folder, compiles, monkeypatch):
    """A child in the thread by which it is known that it works, its parent in one that leaves Ctrl-C to be heard."""
    here, asked = [], [(function, {"NUMBER": 1.0}, ("array",), (9, 0)) for function in (first, second)]

    def linked(ptx, capability, most_registers):
        here.append(ptx)
        return cubin_with(registers=40 if threading.current_thread() is threading.main_thread() else 41)

    monkeypatch.setattr(compiles, "linked", linked)
    wanted = [device_kernel(*given) for given in asked]
    helpers = Children(2, [[kernel] for kernel in wanted], DeviceKernel.leave_in_cache)
    with helped_by(helpers):
        assert [cubin_of(*given).registers for given in asked] == [41, 40]
    helpers.close()
    assert len(here) == 1
    assert compiler.compilations == [kernel.digest for kernel in wanted]  # both on this process's behalf
