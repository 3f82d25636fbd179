"""The cache of compiled kernels: one process makes a kernel for all, what cannot be trusted is made again, and
what cannot be kept is told.
"""

import errno
import fcntl
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import types
from typing import Any

import pytest

from gdsim.lanes import kept_files, kernel_folder, turns as waits
from gdsim.lanes.cache import DiskCache
from gdsim.lanes.kept_files import KeptFile
from gdsim.lanes.kernel_folder import NoCacheError, held, private_folder
from gdsim.sweep import doctor
from tests.helpers import gdsim, python

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
signal.signal(signal.SIGINT, signal.default_int_handler)  # which what runs in the background of a shell is born without
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
    compiler._compiled = lambda bound, cache: compiled(bound, cache) if cache.file.exists() else slowly(bound, cache)
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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A new cache for this process, which has said nothing of it yet."""
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_folder, "_told", set())
    return tmp_path / "kernels"


LIBRARY = types.SimpleNamespace(has_dynamic_globals=False)
RESULT: Any = types.SimpleNamespace(library=LIBRARY, _reduce=lambda: (1, 2))  # stands for what Numba has compiled


def kept(digest):
    """The file of a kernel that this process has made."""
    entry = DiskCache(digest)
    with entry.file.made_once("it"):
        entry.save_overload((), RESULT)
    return entry.file


def open_to_others(folder):
    folder.mkdir()
    folder.chmod(0o777)


def another_users(folder):
    folder.mkdir()
    if os.getuid() == 0:
        os.chown(folder, 12345, -1)


def linked(folder):
    open_to_others(folder.parent / "elsewhere")
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda folder: folder.write_text(""), "File exists"),
        (open_to_others, "others may write to it"),
        (linked, "others may write to it"),
        (another_users, "it is another user's"),
    ],
    ids=["no folder", "open to others", "a link to one", "another user's"],
)
def test_a_folder_that_cannot_hold_kernels_is_told_once(folder, monkeypatch, make, why):
    make(folder)
    if make is another_users and os.getuid():
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    said = f"compiled kernels cannot be kept in {str(folder)!r}, where GDSIM_CACHE_DIR says: {why}; set GDSIM_CACHE_DIR to a folder of yours"
    with pytest.raises(NoCacheError, match=re.escape(said)):
        private_folder()
    with pytest.warns(RuntimeWarning, match=re.escape(said)):
        kept("a" * 64)
    assert not kept("a" * 64).exists()  # and warns no more
    (folder.parent / "e.toml").write_text("problem = {type = 'booth'}\noptimizer = {type = 'sgd'}\n")
    for command in (("doctor", "--clean-cache"), ("compile", "e.toml")):
        assert gdsim(*command, folder=folder.parent)[::2] == (2, f"Error: {said}\n")
    monkeypatch.setattr(doctor, "wrong_answers", list)
    code, out, _ = gdsim("doctor", folder=folder.parent, patched=True)
    assert code == 4
    assert out.endswith(f"problem: {said}\n")
    assert not [*folder.parent.rglob("*.kernel")]


def test_where_there_is_no_home_it_is_told(monkeypatch):
    def missing():
        raise RuntimeError

    monkeypatch.delenv("GDSIM_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pathlib.Path, "home", missing)
    with pytest.raises(NoCacheError, match="there is no home folder to keep compiled kernels in: set GDSIM_CACHE_DIR to a folder of yours"):
        private_folder()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_kernel_that_cannot_be_written_is_told_and_leaves_nothing(folder, monkeypatch, number):
    good = kept("a" * 64)

    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refused)
    with pytest.warns(RuntimeWarning, match=os.strerror(number)):
        kept("b" * 64)
    kept("c" * 64)
    assert [p.name for p in sorted(good.path.parent.iterdir())] == ["a" * 64 + ".kernel", "about.txt", "locks"]


def test_a_cache_that_can_be_read_alone_is_read(folder, monkeypatch):
    """As in an image: its kernels are found, and others are told not to be kept."""
    kept("a" * 64)

    def refused(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(kernel_folder, "make_machine_folder", refused)
    monkeypatch.setattr(kept_files, "make_machine_folder", refused)
    entry = KeptFile("a" * 64)
    with entry.made_once("it"):
        assert entry.exists()
    with pytest.warns(RuntimeWarning, match="Read-only file system"):
        kept("b" * 64)


def test_no_kernel_is_taken_for_another(folder):
    path, other = kept("a" * 64).path, KeptFile("b" * 64)
    os.link(path, other.path)
    assert not other.exists()
    assert not other.path.exists()


def aged(path, days, data=b"ten bytes."):
    """A file that was last used so many days ago."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(data)
    os.utime(path, (time.time() - 86400 * days,) * 2)
    return path


def test_what_was_not_used_for_a_month_goes_by_itself(folder):
    own = kept("a" * 64).path
    used, unused = aged(kept("b" * 64).path, 2), aged(own, 31)
    gone = [aged(folder / name, 31) for name in ("old.kernel", "0123/x.kernel", "0123/about.txt", "0123/locks", f"{own.parent.name}/writing-it")]
    left = [aged(folder / name, 29) for name in ("of before.kernel", "4567/x.kernel", "4567/about.txt", f"{own.parent.name}/about.txt")]
    young = aged(own.parent / "writing-this", 0)
    assert KeptFile("b" * 64).exists()  # which counts as a use
    assert time.time() - used.stat().st_mtime < 3600
    kept("c" * 64)
    assert all(p.exists() for p in gone)  # as it was looked at in this week
    aged(folder / "tidied", 8)
    kept("d" * 64)
    assert not any(p.exists() for p in [*gone, unused, folder / "0123"])
    assert all(p.exists() for p in [*left, young, used])


def test_kernels_of_others_are_counted_and_removed_when_asked_for(folder):
    own = kept("a" * 64).path
    for name in ("old.kernel", "0123/x.kernel", "0123/about.txt", "0123/writing-it"):
        aged(folder / name, 3)
    assert held(folder) == ((1, own.stat().st_size), (2, 30))
    text = f"removed 2 kernels in 30 bytes; 1 kernel in {own.stat().st_size} bytes of this gdsim for this processor are in {folder}\n"
    assert gdsim("doctor", "--clean-cache", folder=folder.parent) == (0, text, "")
    assert sorted(p.name for p in folder.rglob("*")) == sorted([own.name, "about.txt", "locks", "tidied", own.parent.name])
    code, _, errors = gdsim("doctor", "--clean-cache", "--scheduler", "tcp://10.0.0.5:8786", folder=folder.parent)
    assert (code, errors) == (2, "Error: --clean-cache is of this machine's cache: give it without a cluster\n")


def test_who_has_waited_in_vain_waits_less_for_the_next(tmp_path, monkeypatch):
    def taken(handle, how, *place):
        if how & fcntl.LOCK_NB:
            raise BlockingIOError

    monkeypatch.setattr(waits.fcntl, "lockf", taken)
    monkeypatch.setattr(waits, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(waits, "LATER_SECONDS", 0.0)
    heard = []
    for name in ("first", "second"):
        with waits.turn(tmp_path / f"{name}.kernel", lambda: False, lambda name=name: heard.append(name)):
            pass
    assert set(heard) == {"first"}
