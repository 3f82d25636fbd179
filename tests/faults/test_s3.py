"""Results in a bucket, against a server of S3 on this machine: the same bytes as in a directory, whatever is in the way."""

import concurrent.futures
import contextlib
import errno
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gdsim as gd
from gdsim.sweep import heartbeat
from gdsim.sweep.outcomes import UnfinishedError
from gdsim.sweep.places import UnreachableError
from gdsim.sweep.store import Store
from gdsim.sweep.survey import survey, verify_folder
from tests import helpers
from tests.faults.machinery import Cluster, created_at_once, finished, free_port, wait_until
from tests.faults.machinery import gdsim as started
from tests.helpers import gdsim

pytestmark = pytest.mark.full
REASON = "needs a server of S3: pip install -e '.[test]'"
CHUNKS = {"chunk_seconds": 1e-5, "progress": False}
SURROUNDINGS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="module")
def server():
    """A server of S3, to which the surroundings point."""
    pytest.importorskip("s3fs", reason=REASON)
    pytest.importorskip("moto", reason=REASON)
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    with pytest.MonkeyPatch.context() as surroundings:
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            surroundings.delenv(name)
        for name, value in {**SURROUNDINGS, "AWS_ENDPOINT_URL": "http://{}:{}".format(*running.get_host_and_port())}.items():
            surroundings.setenv(name, value)
        yield running
    running.stop()


@pytest.fixture(scope="module")
def s3(server):
    """boto's client, which sees what gdsim has put there."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="tests")
    return client


@pytest.fixture(autouse=True)
def commands_here(monkeypatch):
    """Commands run in this process, which spares imports; where one has nothing but the address, the test starts it."""
    monkeypatch.setattr(helpers, "APART", False)


@pytest.fixture
def url(s3, request):
    """A folder of a test's own."""
    return f"s3://tests/{request.node.name}"


@pytest.fixture(scope="module")
def sweep():
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam()], starts=40, steps=200)


@pytest.fixture(scope="module")
def whole(sweep, tmp_path_factory):
    """The folder that the sweep leaves in a directory."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    sweep.run(out=folder, **CHUNKS)
    return folder


def objects(s3, url, folder=""):
    """The bytes of the objects of a folder, by their names in it."""
    return {name: s3.get_object(**key_of(url, folder + name))["Body"].read() for name in names(s3, url, folder)}


def names(s3, url, folder=""):
    """The names of the objects of a folder."""
    prefix = key_of(url, folder)["Key"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="tests", Prefix=prefix)
    return [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ())]


def files(folder, within):
    """The same of a directory."""
    return {p.name: p.read_bytes() for p in (pathlib.Path(folder) / within).iterdir()}


def key_of(url, name):
    return {"Bucket": "tests", "Key": f"{url.removeprefix('s3://tests/')}/{name}"}


def test_the_same_bytes_as_in_a_directory(sweep, whole, s3, url):
    result = sweep.run(out=url, **CHUNKS)
    assert result.identical(gd.open(whole))
    assert objects(s3, url, "shards/") == files(whole, "shards")
    found = objects(s3, url)
    assert json.loads(found["experiment.json"]) == json.loads((whole / "experiment.json").read_bytes())
    assert {name.split("/")[0] for name in found} == {"experiment.json", "shards", "log"}
    entries = [json.loads(data) for name, data in sorted(found.items()) if name.startswith("log/")]
    assert [e["wrote"] for e in entries[1:]] == [e["wrote"] for e in Store(url).entries() if "wrote" in e]
    assert {e["wrote"] for e in entries[1:]} == {name[:32] for name in objects(s3, url, "shards/")}
    assert sweep.run(out=url, **CHUNKS).load().identical(gd.open(whole).load())
    assert objects(s3, url) == found


def test_what_is_missing_or_damaged_is_trained_again(sweep, whole, s3, url):
    sweep.run(out=url, **CHUNKS)
    wanted, truth = objects(s3, url, "shards/"), gd.open(whole).load()
    first, second, *_ = sorted(wanted)
    s3.delete_object(**key_of(url, f"shards/{first}"))
    assert gd.open(url).attrs["finished_runs"] < 120
    damaged = bytearray(wanted[second])
    damaged[len(damaged) // 3] ^= 4
    s3.put_object(**key_of(url, f"shards/{second}"), Body=bytes(damaged))
    assert list(verify_folder(url).damaged) == [f"shards/{second}"]
    with pytest.raises(ValueError, match=f"{second}' is damaged"):
        gd.open(url).load()
    assert sweep.run(out=url, **CHUNKS).load().identical(truth)
    assert objects(s3, url, "shards/") == wanted
    assert objects(s3, url, "quarantine/") == {second: bytes(damaged)}
    s3.put_object(**key_of(url, f"shards/{second}"), Body=b"")
    s3.put_object(**key_of(url, "shards/letter.txt"), Body=b"good day")
    assert sorted(verify_folder(url).damaged) == sorted([f"shards/{second}", "shards/letter.txt"])
    for name in ("experiment.json", f"shards/{first}"):
        s3.delete_object(**key_of(url, name))
        assert sweep.run(out=url, **CHUNKS).load().identical(truth)
    assert objects(s3, url, "shards/") == wanted
    s3.put_object(**key_of(url, "experiment.json"), Body=objects(s3, url)["experiment.json"].replace(b"40", b"41", 1))
    with pytest.raises(ValueError, match="damaged: the experiment does not match its hash"):
        gd.open(url)


def test_data_and_starts_are_kept_and_read_back(s3, url):
    """Also by a process that has nothing but the address."""
    problem = gd.MLP(gd.datasets.load("xor"), hidden=[2])
    points = np.random.default_rng(0).normal(size=(2, problem.parameter_count))
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), init=points, starts=2, steps=3).run(out=url).load()
    assert len(objects(s3, url, "data/")) == 2
    code = f"import gdsim as gd; r = gd.open({url!r}); print(r.final_loss.values.tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == result.final_loss.values.tolist()
    assert done.stderr == ""
    for name in objects(s3, url, "data/"):
        s3.delete_object(**key_of(url, f"data/{name}"))
    with pytest.raises(ValueError, match="there is no data file 's3://tests/"):
        gd.open(url)


def test_a_folder_takes_more_starts_and_summaries(s3, url, tmp_path):
    problem, ways = gd.functions.Booth(), {"optimizer": gd.SGD(lr=[0.001, 0.01]), "steps": 200}
    url = f"{url}/[a b] é+%?*"
    for starts in (20, 40):
        for kind in ("runs", "summary"):
            places = [f"{url}/{kind}", tmp_path / kind]
            here, there = [gd.Sweep(problem=problem, starts=starts, keep=kind, **ways).run(out=out, **CHUNKS).load() for out in places]
            assert here.identical(there)
            assert len(list(Store(places[0]).entries())) == len(list(Store(places[1]).entries())) > 1
    assert objects(s3, f"{url}/summary", "shards/") == files(tmp_path / "summary", "shards")


def test_of_two_experiments_the_second_is_refused(sweep, s3, url):
    """Also if each saw an empty folder: the server takes the first."""
    other = gd.Sweep(problem=gd.functions.Himmelblau(), optimizer=gd.SGD(), steps=5)
    stores = [Store(url), Store(url)]
    seen = [stores[0].check(sweep), stores[1].check(other)]
    assert seen == [None, None]
    assert stores[0].write_experiment(sweep, None)
    assert not stores[1].write_experiment(other, None)
    before = objects(s3, url)
    with pytest.raises(ValueError, match="holds another experiment"):
        other.run(out=url)
    assert objects(s3, url) == before
    (winner,) = created_at_once(f"{url}/race", [sweep, other])
    assert Store(f"{url}/race").sweep() == winner


def test_the_log_does_not_hold_up_the_training(sweep, whole, s3, url, monkeypatch, tmp_path):
    """Where a line takes a while, the next chunks do not wait for it; all lines are there in the end, in order."""
    from gdsim.sweep.buckets import Bucket

    put, lines = Bucket.put, 0
    at_hand, waiting = threading.Event(), []

    def slow(place, name, data):
        if name.startswith("log/") and b"wrote" in data:
            waiting.append(at_hand.wait(timeout=60))
        elif name.startswith("shards/"):
            nonlocal lines
            lines += 1
            if lines == len(files(whole, "shards")):
                at_hand.set()
        put(place, name, data)

    monkeypatch.setattr(Bucket, "put", slow)
    sweep.run(out=url, threads=1, **CHUNKS)
    assert waiting == [True] * lines
    sweep.run(out=tmp_path / "out", threads=1, **CHUNKS)
    bucket, directory = ([e.get("wrote") for e in Store(out).entries()] for out in (url, tmp_path / "out"))
    assert bucket == directory


def test_drivers_share_a_folder(sweep, whole, s3, url):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda _: sweep.run(out=url, threads=1, **CHUNKS).load(), range(2)):
            assert found.identical(gd.open(whole).load())
    assert objects(s3, url, "shards/") == files(whole, "shards")


def test_signs_of_life(sweep, s3, url, monkeypatch):
    sweep.run(out=url, **CHUNKS)
    assert survey(url).state == "finished"
    s3.delete_object(**key_of(url, f"shards/{min(objects(s3, url, 'shards/'))}"))
    assert survey(url).state == "stopped"
    place = Store(url).place
    about = {**heartbeat._mine(), "runs_done": 3}
    place.put_lightly("heartbeat", json.dumps(about).encode())
    found = survey(url)
    assert (found.state, found.driver.pid) == ("running", os.getpid())
    assert abs(place.now() - time.time()) < 5
    place.put_lightly("heartbeat", json.dumps({**about, "host": "elsewhere", "pid": 1}).encode())
    now = place.now() + 90
    monkeypatch.setattr(type(place), "now", lambda _: now)
    assert survey(url).state == "died"


def test_the_nth_request_fails(sweep, whole, s3, url, monkeypatch):
    """What is there stays good, and the same call finishes it."""
    from gdsim.sweep.buckets import Bucket

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
    from gdsim.sweep.buckets import Bucket

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
    """What cannot be read is not taken for damaged: nothing is set aside, and the sweep can be gone on with."""
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


FILE = """
starts = 40
steps = 200
[problem]
type = "booth"
[[optimizer]]
type = "sgd"
lr = [0.001, 0.01]
[[optimizer]]
type = "adam"
"""


def test_the_command_line(whole, s3, url, tmp_path):
    (tmp_path / "booth.toml").write_text(FILE)
    told = gdsim("run", "booth.toml", "--out", url, "--chunk-seconds", 1e-5, folder=tmp_path)
    assert told[0] == 0, told
    assert f"results: {url}" in told[1]
    assert f"plot:    {url}/convergence.png" in told[1]
    assert os.listdir(tmp_path) == ["booth.toml"]
    assert objects(s3, url, "shards/") == files(whole, "shards")
    code, said, _ = gdsim("status", url, folder=tmp_path)
    assert (code, said.split(",")[0]) == (0, "120 of 120 runs are finished (100.0%)")
    assert gdsim("verify", url, folder=tmp_path)[0] == 0
    code, said, _ = gdsim("report", url, folder=tmp_path)
    assert (code, said.splitlines()[-1]) == (0, f"report: {url}/report.html")
    assert b"gd.open(" in objects(s3, url)["report.html"]
    assert gdsim("report", url, "--out", "here.html", folder=tmp_path)[0] == 0
    for target in ("merged", f"{url}/merged", "again"):
        source = url if target != "again" else f"{url}/merged"
        code, said, _ = gdsim("merge", target, source, folder=tmp_path)
        assert (code, said) == (0, f"{len(files(whole, 'shards'))} shards are new in {target}\n")
    assert files(tmp_path / "merged", "shards") == files(tmp_path / "again", "shards") == files(whole, "shards")
    assert gdsim("export", url, "runs.csv", folder=tmp_path)[0] == 0
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 121
    name = min(objects(s3, url, "shards/"))
    s3.put_object(**key_of(url, f"shards/{name}"), Body=b"damaged")
    assert gdsim("verify", url, folder=tmp_path)[0] == 4


@pytest.mark.parametrize(("out", "said"), [
    ("s3://nowhere/out", "there is no bucket 'nowhere'"), ("s3://tests", "is no folder of a bucket"), ("s3://", "is no folder of a bucket"),
    ("gs://bucket/out", "cannot be a folder of results: they lie in a directory, or at s3://bucket/folder"),
    (pathlib.Path("s3://tests/out"), "lacks a slash, as an address does that was made a Path"), ("s3://tests/full", "holds other files and no gdsim results"),
])  # fmt: skip
def test_folders_that_are_none(sweep, s3, out, said, tmp_path):
    s3.put_object(**key_of("s3://tests/full", "letter.txt"), Body=b"good day")
    with pytest.raises((ValueError, OSError), match=said) as caught:
        sweep.run(out=out)
    assert "\n" not in str(caught.value)
    if isinstance(out, str):
        code, _, errors = gdsim("status", out, folder=tmp_path)
        assert (code, len(errors.splitlines())) == (2, 1)
    assert os.listdir(tmp_path) == []


def test_folders_that_hold_nothing(s3, url, tmp_path):
    with pytest.raises(ValueError, match=f"there are no gdsim results in '{url}': no object lies there"):
        gd.open(url)
    with pytest.raises(ValueError, match="an address can be that of a folder of results alone"):
        gd.Data.read("s3://tests/data.csv", target="y")
    assert "an address can be" in gdsim("export", url, "s3://tests/runs.csv", folder=tmp_path)[2]


@pytest.fixture
def anew(s3):
    """s3fs looks at the surroundings once, unless it is told; `anew()` tells it."""
    import s3fs

    yield s3fs.S3FileSystem.clear_instance_cache
    s3fs.S3FileSystem.clear_instance_cache()


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


@pytest.mark.slow
def test_a_server_that_does_not_answer(sweep, url, monkeypatch, anew):
    anew()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for act in (lambda: gd.open(url), lambda: sweep.run(out=url)):
        with pytest.raises((OSError, UnfinishedError), match=f"^'{url}' cannot be reached: Could not connect to the endpoint URL") as caught:
            act()
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_more_objects_than_a_listing_has(s3, url):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(**key_of(url, f"shards/{n:04}"), Body=b"x"), range(1001)))
    assert Store(url).place.names("shards") == [f"{n:04}" for n in range(1001)]
    assert len(Store(url).place.states("shards")) == 1001


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
