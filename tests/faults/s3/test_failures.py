"""A bucket that fails, is out of reach or loses those that use it: what is there stays good, and the same
call goes on.
"""

import contextlib
import errno
import os
import random
import signal
import socket
import sys
import time

import pytest

import gdsim as gd
from gdsim.store.places import UnreachableError
from gdsim.sweep.execution.executor import UnfinishedError
from gdsim.sweep.survey import survey, verify_folder
from tests.faults.machinery import Cluster, finished, free_port, gdsim as started, python, wait_until
from tests.faults.s3 import CHUNKS, files, names, objects

pytestmark = pytest.mark.full


def test_the_nth_request_fails(sweep, whole, s3, url, monkeypatch):
    """What is there stays good, and the same call finishes it."""
    from gdsim.store.buckets import Bucket

    ask, wanted, n = Bucket._call, files(whole, "shards"), 0
    for n in range(1, 60, 5):
        left = [n]

        def failing(self, method, name, _left=left, **more):
            if method == "put_object":
                _left[0] -= 1
                if _left[0] == 0:
                    raise OSError(5, "the server is out of order")
            return ask(self, method, name, **more)

        monkeypatch.setattr(Bucket, "_call", failing)
        with contextlib.suppress(UnfinishedError):
            sweep.run(out=f"{url}/{n}", **CHUNKS)
        monkeypatch.setattr(Bucket, "_call", ask)
        assert all(wanted[name] == data for name, data in objects(s3, f"{url}/{n}", "shards/").items())
        if left[0] > 0:
            break
        sweep.run(out=f"{url}/{n}", **CHUNKS)
        assert objects(s3, f"{url}/{n}", "shards/") == wanted
    assert n > len(wanted)


def test_a_server_that_is_gone_from_the_nth_request_on_is_no_bad_input(sweep, s3, url, monkeypatch):
    """Also when all is trained, and only to be opened."""
    from gdsim.store.buckets import Bucket

    ask, asked, last = Bucket._said, [0], [10**9]

    def counted(place):
        asked[0] += 1
        if asked[0] > last[0]:
            raise UnreachableError(errno.EIO, "the server is gone")
        return ask(place)

    monkeypatch.setattr(Bucket, "_said", counted)
    sweep.run(out=f"{url}/whole", **CHUNKS)
    needed = asked[0]
    for n in sorted({0, needed // 3, *range(needed - 6, needed - 1)}):
        asked[0], last[0] = 0, n
        with pytest.raises(UnfinishedError, match=r"the server is gone$"):
            sweep.run(out=f"{url}/{n}", threads=1, **CHUNKS)


def test_a_server_that_is_busy_has_no_damage(sweep, whole, s3, url, monkeypatch):
    """What cannot be read is not taken for damaged: nothing is set aside, and the sweep can be gone on
    with.
    """
    import s3fs

    sweep.run(out=url, **CHUNKS)
    before = objects(s3, url)

    def busy(*_, **more):
        raise OSError(errno.EBUSY, "Please reduce\nyour request rate")

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem(), "cat_file", busy)
        with pytest.raises(UnfinishedError, match=f"^'{url}' cannot be reached: Please reduce your request rate$"):
            sweep.run(out=url, **CHUNKS)
        for act in (lambda: gd.open(url).load(), lambda: survey(url), lambda: verify_folder(url)):
            with pytest.raises(OSError, match=f"^'{url}' cannot be reached"):
                act()
    assert objects(s3, url) == before
    assert gd.open(url).load().identical(gd.open(whole).load())


def test_a_line_of_the_log_that_hangs_keeps_no_process_from_ending():
    """Nor a thread that has a line to put from taking the next where one could not be put."""
    script = """
import threading
from gdsim.store import notes
held, there, counted = threading.Event(), [], threading.Semaphore(0)
def put(name, data):
    if name == "hangs":
        held.wait()
    if name == "fails":
        raise OSError("no such server")
    there.append(name)
    counted.release()
log = notes.Notes(put)
for name in ["fails"] * notes.AT_ONCE + ["hangs", "a", "b"]:
    log.add(name, b"")
counted.acquire(), counted.acquire()
log.end(0.1)
print(sorted(there), flush=True)
"""
    code, said = finished(python("-c", script))
    assert (code, said.strip()) == (0, "['a', 'b']")


def test_credentials_and_packages_that_are_missing(sweep, url, monkeypatch, anew):
    anew()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(ValueError, match=f"^no credentials for '{url}': set AWS_ACCESS_KEY_ID"):
        sweep.run(out=url)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ValueError, match="needs the package s3fs, which is not installed: pip install"):
        gd.open(url)


def test_a_put_to_a_server_that_says_nothing_ends(s3, monkeypatch, anew):
    from gdsim.store import buckets

    anew()
    monkeypatch.setattr(buckets, "REQUEST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UnreachableError, match=r"^[^\n]*'s3://tests/silent' cannot be reached: [^\n]+$"):
            buckets.Bucket("s3://tests/silent").put("name", b"data")


@pytest.mark.slow
def test_a_server_that_does_not_answer(sweep, url, monkeypatch, anew):
    anew()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for act in (lambda: gd.open(url), lambda: sweep.run(out=url)):
        with pytest.raises((OSError, UnfinishedError), match=f"^'{url}' cannot be reached: Could not connect to the endpoint URL") as caught:
            act()
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_drivers_race_and_are_killed(undisturbed, s3, url, told):
    kills, sweeps = 0, 0
    while kills < 20:
        out = f"{url}/{sweeps}"
        both, there = [started(*undisturbed.command(out)) for _ in range(2)], len(names(s3, out, "shards/"))
        wait_until(lambda out=out, both=both, there=there: len(names(s3, out, "shards/")) > there or any(p.poll() is not None for p in both), every=0.2)
        time.sleep(random.uniform(0.0, 1.0))
        for process in both:
            process.kill()
            code, said = finished(process)
            assert code in (0, -signal.SIGKILL), said
            kills += code != 0
            sweeps += code == 0
        assert all(undisturbed.shards[name] == data for name, data in objects(s3, out, "shards/").items())
    for process in [started(*undisturbed.command(f"{url}/{sweeps}")) for _ in range(2)]:
        code, said = finished(process)
        assert code == 0, said
    assert objects(s3, f"{url}/{sweeps}", "shards/") == undisturbed.shards
    told("driver killed, results in a bucket", kills=kills)


@pytest.mark.slow
def test_workers_are_killed(undisturbed, s3, url, tmp_path, told):
    kills = 0
    with Cluster(tmp_path) as cluster:
        process = started(*undisturbed.command(url, "--scheduler", cluster.address))
        while process.poll() is None:
            time.sleep(random.expovariate(1 / 3.0))
            cluster.kill_worker()
            kills += 1
        code, said = finished(process)
        assert code == 0, said
    assert objects(s3, url, "shards/") == undisturbed.shards
    told("worker killed, results in a bucket", kills=kills)
