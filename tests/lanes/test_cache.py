"""The cache of compiled kernels: one process makes a kernel for all, what cannot be trusted is made again, and
what cannot be kept is told.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers import python

COMPUTES = """
from gdsim import lanes
from gdsim.lanes import compiler
print(float(lanes.exp(0.3) + lanes.tanh(0.7)).hex(), len(compiler.compilations))
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache that one process has filled, and what that process printed."""
    folder = tmp_path_factory.mktemp("cache")
    line, code, said = python(COMPUTES, folder)
    assert code == 0, said
    return folder, line.split()


def test_a_second_process_compiles_nothing(warm):
    folder, (value, compiled) = warm
    assert int(compiled) > 0
    assert python(COMPUTES, folder)[0].split() == [value, "0"]


@pytest.mark.parametrize("damage", ["flipped", *(pytest.param(d, marks=pytest.mark.full) for d in ("foreign", "cut", "empty"))])
def test_a_damaged_cache_is_made_again(warm, tmp_path, damage):
    folder, (value, _) = warm
    files = sorted(folder.glob("kernels/*/*.kernel"))
    (tmp_path / files[0].relative_to(folder)).parent.mkdir(mode=0o700, parents=True)
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        spoilt = {"flipped": bytes(data), "cut": bytes(data[: len(data) // 2]), "empty": b"", "foreign": b"\x80\x04cos\nsystem\n(S'false'\ntR."}[damage]
        (tmp_path / file.relative_to(folder)).write_bytes(spoilt)
    assert python(COMPUTES, tmp_path)[0].split() == [value, str(len(files))]
    assert python(COMPUTES, tmp_path)[0].split() == [value, "0"]


@pytest.mark.full
def test_two_processes_at_once_on_an_empty_cache(warm, tmp_path):
    variables = {**os.environ, "GDSIM_CACHE_DIR": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", COMPUTES], env=variables, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].split() for process in both]
    assert [value for value, _ in said] == [warm[1][0]] * 2
    assert sum(int(compiled) for _, compiled in said) == int(warm[1][1])
    assert not list(tmp_path.glob("kernels/*/writing-*"))


# Processes that are forked from one, so that they begin at once: each binds a kernel and says how many it made.
TURNS = """
import errno, fcntl, json, os, signal, sys, time
from numba import types
from gdsim.lanes import cpu, compiler, turns
from gdsim.lanes.announcing import announcing
cpu.register()
compiled = compiler._compiled

def part(x):
    return x + 1.0

def template(out):
    out[0] = part(1.0)

def child(way, seconds=0.0):
    reading, writing = os.pipe()
    number = os.fork()
    if number:
        os.close(writing)
        return number, reading
    heard = []
    def slowly(*given):
        os.write(writing, b"compiling;")
        time.sleep(seconds)
        return compiled(*given)
    compiler._compiled = lambda bound, cache: compiled(bound, cache) if cache.exists() else slowly(bound, cache)
    os.environ["GDSIM_CACHE_DIR"] = os.path.join(sys.argv[1], way)
    def listener(what):
        if what not in heard:
            heard.append(what)
            os.write(writing, what.encode() + b";")
    try:
        with announcing(listener):
            compiler.bind(template, {}, types.void(types.float64[::1]), "it")
        os.write(writing, b"done")
    except KeyboardInterrupt:
        os.write(writing, b"interrupted")
    finally:
        os._exit(0)

def said(process, until=None):
    text = b""
    while (more := os.read(process[1], 4096)) and (until is None or until not in text + more):
        text += more
    return (text + more).decode()

WAITS = b"waiting for another"
def at_once(way, count, seconds=0.0):
    processes = [child(way, seconds) for _ in range(count)]
    return [said(p) for p in processes]

found = {"eight": at_once("eight", 8, 0.2), "again": at_once("eight", 2)}
holder = child("killed", 600.0)
said(holder, b"compiling;")
others = [child("killed") for _ in range(2)]
for other in others:
    said(other, WAITS)
os.kill(holder[0], signal.SIGKILL)
found["killed"] = [said(p) for p in others]
holder = child("hung", 600.0)
said(holder, b"compiling;")
waiting = child("hung")
said(waiting, WAITS)
os.kill(waiting[0], signal.SIGINT)
found["interrupted"] = [said(waiting)]
turns.LONGEST_SECONDS = 0.1
found["hung"] = at_once("hung", 1)
os.kill(holder[0], signal.SIGKILL)
def refused(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.lockf = refused
found["lockless"] = at_once("lockless", 2, 0.2)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    """What processes said that came for one kernel at once, in several bad cases."""
    folder = tmp_path_factory.mktemp("turns")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", TURNS, str(folder)], capture_output=True, text=True, check=True, timeout=300)
    assert not list(folder.glob("*/kernels/*/writing-*"))
    return json.loads(done.stdout)


WAITED, MADE = "waiting for another process that compiles it;done", "compiling it;compiling;done"


def test_of_eight_processes_at_once_one_compiles(turns):
    assert sorted(turns["eight"]) == sorted([MADE, *[WAITED] * 7])
    assert turns["again"] == ["done"] * 2


def test_a_lock_ends_with_the_process_that_had_it(turns):
    assert sorted(turns["killed"]) == sorted(["done", MADE])


def test_a_process_that_waits_hears_an_interrupt(turns):
    assert turns["interrupted"] == ["interrupted"]


def test_a_process_waits_for_one_that_hangs_for_a_while(turns):
    assert turns["hung"] == [f"waiting for another process that compiles it;{MADE}"]


def test_without_locks_each_compiles_for_itself(turns):
    assert turns["lockless"] == [MADE] * 2
