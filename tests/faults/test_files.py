"""Disks that fail, files that are damaged, caches that cannot be trusted: nothing wrong is read, and the next
run mends it.
"""

import contextlib
import errno
import os
import random
import shutil
import subprocess

import pytest

import gdsim as gd
from gdsim.store import files
from gdsim.store.folder import Store
from gdsim.sweep.execution.executor import UnfinishedError
from gdsim.sweep.folder.stored import experiment_in
from gdsim.sweep.survey import survey, verify_folder
from tests.faults.machinery import created_at_once, finished, gdsim, shards


@pytest.fixture(scope="module")
def sweep():
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam()], starts=40, steps=200)


CHUNKS = {"chunk_seconds": 1e-5}


@pytest.fixture(scope="module")
def whole(sweep, tmp_path_factory):
    """An undisturbed folder of some shards."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    sweep.run(out=folder, **CHUNKS)
    assert 4 <= len(shards(folder)) <= 12
    return folder


class FaultyDisk:
    """The module `os` as files are written with it, whose n-th write, sync or rename fails."""

    def __init__(self, operation, n, error):
        self.operation, self.left, self.error = operation, n, error

    def __getattr__(self, name):
        return getattr(os, name)

    def _count(self, operation):
        if operation == self.operation:
            self.left -= 1
            if self.left == 0:
                raise OSError(self.error, os.strerror(self.error))

    def fdopen(self, *arguments):
        disk, file = self, os.fdopen(*arguments)

        class Written:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def __getattr__(self, name):
                return getattr(file, name)

            def write(self, data):
                file.write(data[: len(data) // 2])  # some of it got there
                disk._count("write")
                file.write(data[len(data) // 2 :])

        return Written()

    def fsync(self, handle):
        self._count("fsync")
        os.fsync(handle)

    def replace(self, *names):
        self._count("rename")
        os.replace(*names)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize("operation", ["write", "fsync", "rename"])
def test_the_nth_operation_fails(sweep, whole, tmp_path, monkeypatch, operation, error, told):
    wanted = shards(whole)
    for n in range(1, 1000):
        out = tmp_path / str(n)
        disk = FaultyDisk(operation, n, getattr(errno, error))
        monkeypatch.setattr(files, "os", disk)
        with contextlib.suppress(UnfinishedError):
            sweep.run(out=out, **CHUNKS)
        monkeypatch.setattr(files, "os", os)
        if disk.left > 0:
            break
        assert not list(out.rglob(".writing-*"))
        if (out / "experiment.json").exists():
            assert gd.open(out).load().attrs["finished_runs"] == survey(out).finished_runs
        assert all(wanted[name] == data for name, data in (shards(out) if (out / "shards").exists() else {}).items())
        sweep.run(out=out, **CHUNKS)
        assert shards(out) == wanted
    assert n > len(wanted)
    told("n-th write, fsync or rename fails", **{f"{operation} {error}": n - 1})


@pytest.mark.full
def test_a_file_system_is_really_full(small, tmp_path, told):
    place = tmp_path / "tiny"
    place.mkdir()
    size = max(len(d) for d in small.shards.values()) + 150_000
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        code, said = finished(gdsim(*small.command(place / "out")))
        assert code == 3, said
        assert "No space left on device" in said
        assert "Traceback" not in said
        shutil.copytree(place / "out", tmp_path / "out")
    finally:
        subprocess.run(["umount", place], check=True)
    assert 0 < len(shards(tmp_path / "out")) < len(small.shards)
    code, said = finished(gdsim(*small.command(tmp_path / "out")))
    assert code == 0, said
    assert shards(tmp_path / "out") == small.shards
    told("n-th write, fsync or rename fails", **{"full file system": 1})


def flipped(data):
    """One bit turned over, in any region of the file."""
    place = random.choice([random.randrange(len(data)), random.randrange(8), len(data) - 1 - random.randrange(min(len(data), 2000))])
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


def zeroed(data):
    """A stretch of zeros where there were none."""
    while True:
        first = random.randrange(len(data))
        last = min(len(data), first + random.choice([1, 16, 512, 4096]))
        if any(data[first:last]):
            return data[:first] + bytes(last - first) + data[last:]


def parquet_of_others(_):
    """A sound file of another program."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1, 2, 3]}), sink)
    return sink.getvalue()


DAMAGES = {
    "flipped": flipped, "zeroed": zeroed, "truncated": lambda data: data[: random.randrange(len(data))], "emptied": lambda _: b"",
    "lengthened": lambda data: data + b"\0", "foreign": parquet_of_others, "random": lambda data: random.randbytes(len(data)),
}  # fmt: skip


def test_no_damage_goes_unseen(sweep, whole, large, tmp_path, told):
    wanted = shards(whole)
    shutil.copytree(whole, tmp_path / "out")
    place = tmp_path / "out" / "shards"
    cases, mended = 10_000 if large else 500, 0
    for number in range(cases):
        kind = [*DAMAGES, "duplicate", "stranger"][number % (len(DAMAGES) + 2)]
        name = random.choice(sorted(wanted))
        damaged = name
        if kind == "duplicate":
            damaged = random.choice([f"{name[:-8]} copy.parquet", random.randbytes(16).hex() + name[32:]])
            (place / damaged).write_bytes(wanted[name])
        elif kind == "stranger":
            damaged = "letter.txt"
            (place / damaged).write_text("good day")
        else:
            (place / name).write_bytes(DAMAGES[kind](wanted[name]))
        assert list(verify_folder(tmp_path / "out").damaged) == [f"shards/{damaged}"], kind
        if number % 25 == 0:
            sweep.run(out=tmp_path / "out", **CHUNKS)
            assert shards(tmp_path / "out") == wanted, kind
            mended += 1
        elif damaged in wanted:
            (place / name).write_bytes(wanted[name])
        else:
            (place / damaged).unlink()
    assert verify_folder(tmp_path / "out").damaged == {}
    told("file damaged", **{"files damaged, none undetected": cases, "mended by the same command": mended})


def test_damage_is_never_read_as_results(sweep, whole, tmp_path):
    truth = gd.open(whole).load()
    for kind, damage in DAMAGES.items():
        folder = tmp_path / kind
        shutil.copytree(whole, folder)
        path = random.choice(sorted((folder / "shards").iterdir()))
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(ValueError, match="damaged"):
            gd.open(folder).load()
        assert sweep.run(out=folder, **CHUNKS).load().identical(truth)


def test_what_is_beside_the_shards_may_be_lost_too(sweep, whole, tmp_path):
    truth = gd.open(whole).load()
    for name in ("experiment.json", "data", "log.jsonl"):
        folder = tmp_path / name
        shutil.copytree(whole, folder)
        (shutil.rmtree if (folder / name).is_dir() else os.unlink)(folder / name)
        assert sweep.run(out=folder, **CHUNKS).load().identical(truth)
    (folder / "experiment.json").write_text((folder / "experiment.json").read_text().replace("40", "41", 1))
    with pytest.raises(ValueError, match="damaged: the experiment does not match its hash; remove it and run the same experiment again"):
        gd.open(folder)


# What tests/lanes/test_compiler.py has already, in small, is among the large cases.
CACHE_MODES = ["stale", "home read-only", *(pytest.param(m, marks=pytest.mark.slow) for m in ("damaged", "unwritable", "open to others"))]


@pytest.fixture(scope="module")
def kernels(small, tmp_path_factory):
    """A cache of kernels that are good."""
    folder = tmp_path_factory.mktemp("cache")
    code, said = finished(gdsim(*small.command(folder / "out"), env={**os.environ, "GDSIM_CACHE_DIR": str(folder)}))
    assert code == 0, said
    return folder


@pytest.mark.full
@pytest.mark.parametrize("mode", CACHE_MODES)
def test_a_cache_of_kernels_that_cannot_be_trusted(small, kernels, tmp_path, mode, told):
    folder, settings = tmp_path / "cache", dict(os.environ)
    shutil.copytree(kernels, folder, ignore=shutil.ignore_patterns("out"))
    entries = sorted(folder.rglob("*.kernel"))
    assert len(entries) >= 2
    if mode == "damaged":
        ways = [flipped, zeroed, lambda data: data[: len(data) // 2], lambda _: b""]
        for number, path in enumerate(entries):
            path.write_bytes(ways[number % len(ways)](path.read_bytes()))
    elif mode == "stale":  # each kernel under the name of another
        held = [p.read_bytes() for p in entries]
        for path, data in zip(entries, held[1:] + held[:1], strict=True):
            path.write_bytes(data)
    elif mode == "open to others":
        (folder / "kernels").chmod(0o777)
    settings["GDSIM_CACHE_DIR"] = "/proc/none" if mode == "unwritable" else str(folder)
    if mode == "home read-only":
        settings |= {"HOME": "/proc/none", "XDG_CACHE_HOME": ""}
        del settings["GDSIM_CACHE_DIR"]
    code, said = finished(gdsim(*small.command(tmp_path / "out"), env=settings))
    assert code == 0, said
    assert shards(tmp_path / "out") == small.shards
    told("JIT cache cannot be trusted", **{mode: 1})


def test_of_two_experiments_at_once_one_is_refused(sweep, tmp_path):
    """And nothing of the other is replaced."""
    other = gd.Sweep(problem=gd.functions.Himmelblau(), optimizer=gd.SGD(), steps=5)
    for attempt in range(10):
        (winner,) = created_at_once(tmp_path / str(attempt), [sweep, other])
        assert experiment_in(Store(tmp_path / str(attempt)), kind=gd.Sweep) == winner


def test_where_there_are_no_links_what_lies_there_stays_too(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    assert [files.write_first(tmp_path / "one", data) for data in (b"first", b"second")] == [True, False]
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("one", b"first")]
