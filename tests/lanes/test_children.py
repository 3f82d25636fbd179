"""Kernels that children compile: found in the cache by their parent, who makes itself what a child cannot,
whatever becomes of it.
"""

import os
import signal
import sys
import threading
import time
import warnings
from unittest import mock

import numpy as np
import pytest
from numba import types

import gdsim as gd
from gdsim.lanes import children, compiler
from gdsim.lanes.announcing import announcing
from gdsim.lanes.children import Children, forked, helped_by
from gdsim.population.engine_choice import kernels_of
from gdsim.sweep.execution import threads
from tests.test_compile_errors import Mine, prints

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone"),
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning:tests.lanes"),  # JAX's, where another test has loaded it, of forks in the place of ours
]


def threefold(out):
    out[0] = 3.0 * FACTOR  # noqa: F821


def kernels(*factors):
    """Small kernels that differ by a constant, described."""
    return [compiler.describe(threefold, {"FACTOR": float(f)}, types.void(types.float64[::1]), f"{f:g}") for f in factors]


def value_of(kernel):
    out = np.zeros(1)
    kernel(out)
    return float(out[0])


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """An empty cache, of a process that has compiled nothing."""
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiler, "_kernels", {})
    monkeypatch.setattr(compiler, "compilations", [])


@pytest.fixture
def said():
    """The writing end of a pipe, and what came out of it once all who had it have ended."""
    reading, writing = os.pipe()

    def heard():
        os.close(writing)
        text = b""
        while more := os.read(reading, 4096):
            text += more
        os.close(reading)
        return text.decode()

    return writing, heard


def compiled_with(helpers, wanted, listener=None):
    """(the values of kernels, how many were made here), by a process whose children help."""
    made, compiled = [], compiler._compiled

    def noted(kernel, cache):
        found = compiled(kernel, cache)
        made.extend([] if cache.file.hit else [kernel])
        return found

    with announcing(listener), helped_by(helpers), mock.patch.object(compiler, "_compiled", noted):
        values = [value_of(compiler.kernel_of(k, ask_children=True)) for k in wanted]
    helpers.close()
    return values, len(made)


def test_children_make_what_comes_next_and_their_parent_finds_it():
    wanted, (gate, opening), told = kernels(1, 2, 3), os.pipe(), []

    def listen(what):
        told.append(what)
        if what == "compiling 2":  # it is waited for
            os.write(opening, b"23")

    helpers = Children(2, [wanted[:2], wanted[2:]], lambda k: (os.read(gate, 1), k.leave_in_cache()))
    values, made = compiled_with(helpers, wanted, listen)
    assert values == [3.0, 6.0, 9.0]
    assert made == 1
    assert sorted(compiler.compilations) == sorted(k.digest for k in wanted)  # all of them made on this process's behalf
    assert told[:2] == ["compiling 1", "compiling 2"]
    assert not helpers.going
    compiler._kernels.clear()
    again = Children(2, [wanted], lambda k: pytest.fail("all are in the cache"))
    assert compiled_with(again, wanted) == ([3.0, 6.0, 9.0], 0)


def test_a_child_goes_on_with_what_nobody_has_begun():
    wanted = kernels(1, 2, 3, 4)
    helpers = Children(2, [wanted[:3], wanted[3:]], compiler.Bound.leave_in_cache)
    assert not helpers.has_made(wanted[0])
    (number,) = helpers.going
    os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
    assert [children.is_made(k) for k in wanted] == [False, True, True, False]
    assert compiled_with(helpers, wanted)[0] == [3.0, 6.0, 9.0, 12.0]


def hang(kernel):
    threading.Event().wait()


def hang_beside_a_thread(kernel):
    threading.Thread(target=lambda: [sum(range(9999)) for _ in iter(int, 1)]).start()
    hang(kernel)


def be_killed(kernel):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(kernel):
    raise MemoryError


def refuse():
    raise BlockingIOError("Resource temporarily unavailable")


def leave_nothing(kernel):
    pass


@pytest.mark.parametrize(("make", "tries"), [(hang, (2,)), (hang_beside_a_thread, (2,)), (be_killed, (1, 2)), (leave_nothing, (1, 2)), (fail, (3,))])
def test_what_a_child_cannot_its_parent_does(make, tries, monkeypatch):
    """After one that hangs, is killed or leaves nothing there are no others, but for one that has begun."""
    monkeypatch.setattr(children, "HUNG_TICKS", 10)
    tried, wanted, fork = [], kernels(1, 2, 3, 4), os.fork
    monkeypatch.setattr(os, "fork", lambda: (tried.append(1), fork())[1])
    helpers = Children(2, [[k] for k in wanted], make)
    values, made = compiled_with(helpers, wanted)
    assert values == [3.0, 6.0, 9.0, 12.0]
    assert made == 4
    assert len(tried) in tries
    assert sorted(compiler.compilations) == sorted(k.digest for k in wanted)


def test_where_no_process_can_be_had_all_is_made_here(monkeypatch):
    monkeypatch.setattr(os, "fork", refuse)
    assert compiled_with(Children(9, [kernels(1, 2)], compiler.Bound.leave_in_cache), kernels(1, 2))[0] == [3.0, 6.0]


def test_there_are_no_more_than_cores_or_memory_allow(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)
    monkeypatch.setattr(threads, "usable_memory", lambda: 2**32)
    assert [threads.children_for([], count).processes for count in (1, 3, 100)] == [1, 3, 4]
    monkeypatch.setattr(threads, "usable_memory", lambda: 2**30)
    assert threads.children_for([], 100).processes == 2


def test_there_are_none_while_a_module_is_imported(monkeypatch):
    """Which may be by another thread, and soon over."""
    importing, wanted, tried, fork = [True], kernels(1, 2, 3), [], os.fork
    monkeypatch.setattr(children, "is_importing", lambda: bool(importing))
    monkeypatch.setattr(os, "fork", lambda: (tried.append(1), fork())[1])
    helpers = Children(2, [wanted], compiler.Bound.leave_in_cache)
    assert not helpers.has_made(wanted[0])
    assert not tried
    importing.clear()
    assert compiled_with(helpers, wanted)[0] == [3.0, 6.0, 9.0]
    assert tried


@pytest.mark.parametrize("case", ["one core", "another system", "no folder", "a folder that is not ours to write"])
def test_where_children_are_of_no_use_there_are_none(case, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    if case == "another system":
        monkeypatch.setattr(sys, "platform", "darwin")
    if case == "no folder":
        monkeypatch.setenv("GDSIM_CACHE_DIR", os.devnull)
    if case == "a folder that is not ours to write":
        monkeypatch.setattr(children, "is_writable", lambda folder: False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that kernels are not kept
        assert compiled_with(Children(1 if case == "one core" else 2, [kernels(1, 2)], hang), kernels(1, 2))[0] == [3.0, 6.0]


def test_what_describing_compiles_asks_no_children():
    """As the float mode's kernels, which making a table of samples needs, under a lock."""
    making = threading.Lock()

    def wanted():
        with making:
            yield kernels(1, 2)

    helpers = Children(2, wanted(), compiler.Bound.leave_in_cache)
    with helped_by(helpers), making:
        assert value_of(compiler.bind(threefold, {"FACTOR": 7.0}, types.void(types.float64[::1]))) == 21.0
    assert compiled_with(helpers, kernels(1, 2))[0] == [3.0, 6.0]


def test_who_stops_waiting_ends_the_children():
    wanted = kernels(1, 2)

    def check():
        if helpers.going:
            raise KeyboardInterrupt

    helpers = Children(2, [wanted], hang, check)
    with helped_by(helpers):
        compiler.kernel_of(wanted[0], ask_children=True)
        (child,) = helpers.going.values()
        with pytest.raises(KeyboardInterrupt):
            compiler.kernel_of(wanted[1], ask_children=True)
    helpers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child.number, 0)


def test_a_child_says_nothing_and_hears_no_interrupt(said, capfd):
    writing, heard = said

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        print("said", flush=True)  # noqa: T201
        os.write(1, b"said")
        warnings.warn("said", stacklevel=1)
        os.write(writing, b"alive")

    os.waitpid(forked(work), 0)
    assert heard() == "alive"
    assert capfd.readouterr() == ("", "")


def test_a_child_runs_no_handler_of_its_parents(said):
    writing, heard = said
    held = signal.signal(signal.SIGTERM, lambda *_: os.write(writing, b"handled"))
    try:
        _, status = os.waitpid(forked(lambda: os.kill(os.getpid(), signal.SIGTERM)), 0)
    finally:
        signal.signal(signal.SIGTERM, held)
    assert os.WTERMSIG(status) == signal.SIGTERM
    assert heard() == ""


def test_a_child_ends_with_its_parent(said):
    writing, heard = said

    def parent():
        forked(lambda: hang(None))
        os.write(writing, b"forked")
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(forked(parent), 0)
    assert heard() == "forked"  # which comes to an end when the last has ended that could write


@pytest.mark.parametrize("lock", ["of the compiler", "of LLVM", "of another compiler"])
def test_no_process_is_forked_while_another_thread_is_compiling(lock, monkeypatch):
    from llvmlite.binding import ffi
    from numba.core.compiler_lock import global_compiler_lock

    has_it, released = threading.Event(), []
    held = {"of the compiler": global_compiler_lock, "of LLVM": ffi.lib._lock, "of another compiler": threading.Lock()}[lock]
    if lock == "of another compiler":
        monkeypatch.setattr(children, "locks", [held])

    def compiling():
        with held:
            has_it.set()
            time.sleep(0.05)
            released.append(True)

    thread = threading.Thread(target=compiling)
    thread.start()
    has_it.wait()
    number = forked(kernels(5)[0].leave_in_cache)
    assert released == [True]
    thread.join()
    assert os.waitpid(number, 0)[1] == 0


def test_nobody_is_warned_of_forks_beside_threads(monkeypatch):
    """By Python 3.12, or by JAX; of all else there are warnings."""
    fork, told = os.fork, [
        (DeprecationWarning, "This process (pid=5) is multi-threaded, use of fork() may lead to deadlocks in the child."),
        (RuntimeWarning, "os.fork() was called. os.fork() is incompatible with multithreaded code, and JAX is multithreaded."),
    ]  # fmt: skip

    def warning():
        for category, text in told:
            warnings.warn(text, category, stacklevel=2)
        return fork()

    monkeypatch.setattr(os, "fork", warning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", r"os\.fork", RuntimeWarning, __name__)  # JAX's own, where it is loaded, of the fork above
        for _ in range(2):
            assert os.waitpid(forked(list), 0)[1] == 0
            assert len(warnings.filters) == len(set(warnings.filters))
        for category, _ in told:
            with pytest.raises(category, match="another"):
                warnings.warn_explicit("another", category, "children.py", 1, children.__name__)


@pytest.mark.full
def test_a_mistake_that_a_child_meets_is_told_as_any_other(monkeypatch):
    monkeypatch.setattr(Mine, "update", staticmethod(prints))
    told = {}
    for count in (1, 2):
        kernels_of.cache_clear()
        compiler._kernels.clear()
        sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=0.1), Mine()], starts=2, steps=2)
        with pytest.raises(ValueError, match=r"^Mine on Booth cannot be compiled: [^\n]* it prints[^\n]*$") as found:
            sweep.run(threads=count)
        told[count] = str(found.value)
    kernels_of.cache_clear()
    assert told[1] == told[2]
