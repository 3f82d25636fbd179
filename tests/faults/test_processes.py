"""Whatever dies on the way, the same command finishes the sweep, and its shards are those of an undisturbed
run, byte for byte.
"""

import os
import random
import signal
import time

import pytest

from tests.faults.machinery import Cluster, finished, gdsim, shards, wait_until

pytestmark = [pytest.mark.full, pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds processes by /proc")]


def test_workers_are_killed(undisturbed, large, tmp_path, told):
    wanted, kills, sweeps = 200 if large else 5, 0, 0
    with Cluster(tmp_path) as cluster:
        while kills < wanted:
            out = tmp_path / f"out{sweeps}"
            process = gdsim(*undisturbed.command(out, "--scheduler", cluster.address))
            while process.poll() is None:
                time.sleep(random.expovariate(1 / 2.0))
                cluster.kill_worker()
                kills += process.poll() is None  # a worker that had nothing to do any more counts for nothing
            code, said = finished(process)
            assert code == 0, said
            assert shards(out) == undisturbed.shards
            sweeps += 1
    told("worker killed", kills=kills, sweeps=sweeps)


def test_the_scheduler_is_killed(undisturbed, large, tmp_path, told):
    """Once it comes back while the client still looks for it, and the sweep goes on; else the same command is
    given again.
    """
    kills, resumes = 20 if large else 1, 0
    impatient = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "4s"}
    for number in range(kills):
        out, comes_back = tmp_path / str(number), number % 3 == 1
        with Cluster(tmp_path) as cluster:
            process = gdsim(*undisturbed.command(out, "--scheduler", cluster.address), env=impatient)
            wait_until(lambda out=out: len(list(out.glob("shards/*.parquet"))) > 3)
            time.sleep(random.uniform(0.0, 2.0))
            assert process.poll() is None
            cluster.kill_scheduler()
            if comes_back:
                cluster.restart()
            code, said = finished(process)
            if not comes_back:
                assert code == 3, said
                assert "To go on: gdsim" in said
                assert "Traceback" not in said
                cluster.restart()
                code, said = finished(gdsim(*undisturbed.command(out, "--scheduler", cluster.address)))
                resumes += 1
        assert code == 0, said
        assert shards(out) == undisturbed.shards
    told("scheduler killed", kills=kills, resumes=resumes)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_the_driver_is_killed(undisturbed, large, tmp_path, how, told):
    wanted, kills, ended, out = -(-(100 if large else 6) // 3), 0, 0, tmp_path / "out"
    while kills < wanted:
        process = gdsim(*undisturbed.command(out), start_new_session=True)
        time.sleep(random.uniform(0.2, 3.0))
        process.send_signal(getattr(signal, how))
        code, said = finished(process)
        if code == 0:  # it had ended before: that counts for nothing
            assert shards(out) == undisturbed.shards
            ended += 1
            out = tmp_path / f"out{ended}"
            continue
        kills += 1
        if code != -getattr(signal, how):  # which is to die before gdsim listens, or at once
            assert how != "SIGKILL"
            assert code == 130, said
            assert "To go on: gdsim" in said
            assert "Traceback" not in said
    code, said = finished(gdsim(*undisturbed.command(out)))
    assert code == 0, said
    assert shards(out) == undisturbed.shards
    told("driver killed, interrupted, terminated", **{how: kills})


def test_two_drivers_share_a_folder(small, large, tmp_path, told):
    rounds = 20 if large else 1
    for number in range(rounds):
        both = [gdsim(*small.command(tmp_path / str(number))) for _ in range(2)]
        for process in both:
            code, said = finished(process)
            assert code == 0, said
        assert shards(tmp_path / str(number)) == small.shards
    told("two drivers, one folder", rounds=rounds)


def test_jobs_of_an_array_race_and_one_is_killed(small, tmp_path, told):
    """Three parts into one folder at once, one of which is killed and given again: the bytes of one run, and
    its code says when.
    """
    jobs = [gdsim(*small.command(tmp_path / "out", "--part", f"{n}/3", "--threads", 1)) for n in (1, 2, 3)]
    while not list((tmp_path / "out" / "shards").glob("*.parquet")):
        time.sleep(0.01)
    jobs[0].kill()
    codes = [finished(job)[0] for job in jobs]
    assert codes[0] in (0, -signal.SIGKILL)
    assert codes[1:] == [0, 0]
    code, said = finished(gdsim(*small.command(tmp_path / "out", "--part", "1/3", "--threads", 1)))
    assert code == 0, said
    assert "12,000 of 12,000 runs of the whole are there" in said
    assert shards(tmp_path / "out") == small.shards
    assert finished(gdsim("status", tmp_path / "out"))[0] == 0
    told("jobs of an array, one folder", parts=3, killed=1)


@pytest.mark.slow
def test_a_worker_stalls_and_comes_back(undisturbed, large, tmp_path, told):
    """It is stopped for longer than the scheduler believes it alive, and then goes on as if nothing had
    been.
    """
    wanted, stalls, out, sweeps = 20 if large else 2, 0, tmp_path / "out0", 0
    with Cluster(tmp_path, settings={"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2s"}) as cluster:
        while stalls < wanted:
            process = gdsim(*undisturbed.command(out, "--scheduler", cluster.address))
            time.sleep(4.0)
            while process.poll() is None and stalls < wanted:
                worker = cluster.workers[stalls % 2]
                os.kill(worker.pid, signal.SIGSTOP)
                time.sleep(5.0)
                os.kill(worker.pid, signal.SIGCONT)
                time.sleep(1.0)
                stalls += 1
                if worker.poll() is not None:
                    cluster.start_worker(cluster.workers.index(worker))
            code, said = finished(process)
            assert code == 0, said
            assert shards(out) == undisturbed.shards
            sweeps += 1
            out = tmp_path / f"out{sweeps}"
    told("worker stalled and back", stalls=stalls, sweeps=sweeps)
