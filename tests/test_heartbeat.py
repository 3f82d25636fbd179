"""Whether a folder's sweep is going on, or its driver has died: by a file that the driver touches."""

import json
import os
import platform
import re
import subprocess
import sys
import time

import pytest

import gdsim as gd
from gdsim.store.directories import Directory
from gdsim.sweep.execution.heartbeat import NAME, beating, driver_of, silence
from gdsim.sweep.execution.progress import Progress, Tally
from gdsim.sweep.planning.job_parts import PlanPart
from gdsim.sweep.survey import survey


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of which a shard is missing; a sweep in it has seen its own driver alive."""
    folder, seen = tmp_path_factory.mktemp("sweeps") / "booth", []
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=40, steps=5)

    def look(state):
        if (folder / "experiment.json").exists():
            seen.append(driver_of(Directory(folder)))

    sweep.run(out=folder, progress=look, chunk_seconds=1e-7)
    assert any(d is not None and d.is_alive and d.pid == os.getpid() for d in seen)
    assert not (folder / NAME).exists()
    assert survey(folder).state == "finished"
    next((folder / "shards").iterdir()).unlink()
    return folder


@pytest.fixture
def beat(folder):
    """Writes a heartbeat as some driver's."""

    def write(age=0.0, **held):
        path = folder / NAME
        with beating(Directory(folder), Progress(80)):
            while not path.exists():
                time.sleep(0.01)
            own = json.loads(path.read_text())
        path.write_text(json.dumps({**own, **held}))
        os.utime(path, (path.stat().st_mtime - age,) * 2)

    yield write
    (folder / NAME).unlink(missing_ok=True)


def test_who_ends_at_once_takes_its_own_files_away(folder, beat):
    beat()
    silence(Directory(folder))
    assert driver_of(Directory(folder)) is None
    beat(pid=dead_process(), host="elsewhere")
    silence(Directory(folder))
    assert driver_of(Directory(folder)).host == "elsewhere"


def dead_process():
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_sweep_that_runs_a_sweep_that_died_and_one_that_ended(folder, beat):
    found = survey(folder)
    assert (found.state, found.driver, found.runs_per_second) == ("stopped", None, None)
    assert "not running; the command that began it goes on with it" in str(found)
    beat()
    found = survey(folder)
    assert found.state == "running"
    assert re.search(rf"running \(pid {os.getpid()} on {re.escape(platform.node())}, \d+ s ago\)", str(found))
    beat(age=30.0, pid=1, host="elsewhere")
    assert survey(folder).state == "running"
    beat(age=90.0, pid=1, host="elsewhere")
    found = survey(folder)
    assert found.state == "died"
    assert "not running: its driver died (pid 1 on elsewhere, last sign of life 1 min 3" in str(found)


def test_a_process_that_is_gone_from_this_machine_has_died(folder, beat):
    beat(pid=dead_process())
    assert survey(folder).state == "died"
    beat(pid=dead_process(), processes="of another container")
    assert survey(folder).state == "running"


def test_what_writers_have_left_is_removed_by_the_same_rule(tmp_path):
    """The number of a process in another container, which bears the same host's name, says nothing here."""
    dead = dead_process()
    own = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid")) if os.path.exists("/proc/self/ns/pid") else ""
    names = {f".writing-{platform.node()}@{dead}@{own}-a": False, f".writing-{platform.node()}@{dead}@{own}1-a": True,
             f".writing-{platform.node()}@{os.getpid()}@{own}-a": True, f".writing-elsewhere@{dead}@{own}-a": True, f".writing-{platform.node()}@{dead}-a": True}  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    Directory(tmp_path).make()
    assert {name: (tmp_path / name).exists() for name in names} == names
    os.utime(tmp_path / f".writing-elsewhere@{dead}@{own}-a", (0, 0))
    Directory(tmp_path).make()
    assert not (tmp_path / f".writing-elsewhere@{dead}@{own}-a").exists()


def test_the_clock_is_the_file_systems(folder, beat, monkeypatch):
    beat(pid=1, host="elsewhere")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86400)
    assert survey(folder).state == "running"


def test_nothing_else_is_believed_or_disturbed(folder, beat):
    before = survey(folder).finished_runs
    beat(runs_done=10**9)
    found = survey(folder)
    assert found.finished_runs == before
    assert found.shards == len(list((folder / "shards").iterdir()))
    for text in ("", "{}", "[1]", "null", '{"host": "a", "pid": "x", "runs_done": 1}', "\x00" * 10):
        (folder / NAME).write_text(text)
        assert survey(folder).state == "stopped"
    assert gd.open(folder).sizes["run"] == before


def test_another_drivers_heartbeat_stays(folder):
    progress = Progress(80)
    progress.add(Tally(runs=3))
    with beating(Directory(folder), progress):
        while driver_of(Directory(folder)) is None:
            time.sleep(0.01)
        assert driver_of(Directory(folder)).runs_done == 3
        (folder / NAME).write_text(json.dumps({"host": "elsewhere", "pid": 1, "runs_done": 0}))
    assert driver_of(Directory(folder)).host == "elsewhere"
    (folder / NAME).unlink()


def test_of_several_parts_the_last_that_is_alive_is_told_of(folder, beat):
    beat(pid=dead_process())
    assert survey(folder).state == "died"
    progress = Progress(40)
    progress.add(Tally(runs=7))
    with beating(Directory(folder), progress, PlanPart(2, 3)):
        while not (folder / "heartbeat-2-of-3").exists():
            time.sleep(0.01)
        with beating(Directory(folder), Progress(40), PlanPart(1, 3)):
            pass
        found = survey(folder)
        assert (found.state, found.driver.runs_done) == ("running", 7)


def test_a_new_driver_clears_away_those_that_have_died(folder, beat):
    """As parts of another cut do; one that may be alive, elsewhere, stays."""
    beat(host="elsewhere")
    alive = (folder / NAME).rename(folder / f"{NAME}-2-of-5")
    beat(pid=dead_process())
    dead = (folder / NAME).rename(folder / f"{NAME}-3-of-5")
    with beating(Directory(folder), Progress(40), PlanPart(1, 2)):
        assert (alive.exists(), dead.exists()) == (True, False)
    alive.unlink()


def test_a_folder_that_may_not_be_written_to_ends_nothing(tmp_path):
    with beating(Directory(tmp_path / "none"), Progress(1)):
        pass
    assert driver_of(Directory(tmp_path / "none")) is None
