"""Results in a bucket: the same bytes as in a directory, by whoever writes there too."""

import concurrent.futures
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gdsim as gd
from gdsim.questions import ask
from gdsim.questions.survey import survey_answer
from gdsim.store.files import this_process
from gdsim.store.folder import Store
from gdsim.sweep.folder.admission import check, document_of
from gdsim.sweep.folder.stored import experiment_in
from gdsim.sweep.survey import survey, verify_folder
from tests.faults.machinery import created_at_once
from tests.faults.s3 import CHUNKS, files, key_of, objects
from tests.squares import question

pytestmark = pytest.mark.full


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
    seen = [check(stores[0], sweep), check(stores[1], other)]
    assert seen == [None, None]
    assert stores[0].write_experiment(document_of(stores[0], sweep), None)
    assert not stores[1].write_experiment(document_of(stores[1], other), None)
    before = objects(s3, url)
    with pytest.raises(ValueError, match="holds another experiment"):
        other.run(out=url)
    assert objects(s3, url) == before
    (winner,) = created_at_once(f"{url}/race", [sweep, other])
    assert experiment_in(Store(f"{url}/race"), kind=gd.Sweep) == winner


def test_the_log_does_not_hold_up_the_training(sweep, whole, s3, url, monkeypatch, tmp_path):
    """Where a line takes a while, the next chunks do not wait for it; all lines are there in the end, in
    order.
    """
    from gdsim.store.buckets import Bucket

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
    about = {**this_process()._asdict(), "runs_done": 3}
    place.put_lightly("heartbeat", json.dumps(about).encode())
    found = survey(url)
    assert (found.state, found.driver.pid) == ("running", os.getpid())
    assert abs(place.now() - time.time()) < 5
    place.put_lightly("heartbeat", json.dumps({**about, "host": "elsewhere", "pid": 1}).encode())
    now = place.now() + 90
    monkeypatch.setattr(type(place), "now", lambda _: now)
    assert survey(url).state == "died"


@pytest.mark.slow
def test_more_objects_than_a_listing_has(s3, url):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(**key_of(url, f"shards/{n:04}"), Body=b"x"), range(1001)))
    assert Store(url).place.names("shards") == [f"{n:04}" for n in range(1001)]
    assert len(Store(url).place.states("shards")) == 1001


def test_an_answer_in_a_bucket_is_that_of_a_directory(url, s3, tmp_path):
    here, there = ask(question(), out=tmp_path / "out"), ask(question(), out=url)
    assert here.identical(there)
    kept = objects(s3, url, "pieces/")
    assert kept == files(tmp_path / "out", "pieces")
    s3.put_object(**key_of(url, f"pieces/{min(kept)}"), Body=b"nothing")
    assert survey_answer(url).missing_items == 2
    assert here.identical(ask(question(), out=url))
    assert objects(s3, url, "pieces/") == kept
