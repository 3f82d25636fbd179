"""Sweeps on a real SLURM of one node: one job, an array, jobs that come and go; what time limits do to them."""

import re

import pytest

from tests.cluster.manifests import CLUSTER
from tests.faults.machinery import EXPERIMENT, finished, gdsim, shards, wait_until

CUT = ("--chunk-seconds", "0.1")


def copied(script, folder, **lines):
    """A copy of a script whose #SBATCH lines are changed, as its user changes them."""
    text = (CLUSTER / script).read_text()
    for name, value in {"mem-per-cpu": "500M", **lines}.items():
        option = name.replace("_", "-")
        text, count = re.subn(rf"(?m)^#SBATCH --{option}=.*$", f"#SBATCH --{option}={value}", text)
        assert count == 1, option
    place = folder / script.rsplit("/", 1)[1]
    place.write_text(text)
    return place


def experiment(folder, starts):
    """An experiment, and the shards that threads make of it."""
    (folder / "experiment.toml").write_text(EXPERIMENT.format(starts=starts))
    code, said = finished(gdsim("run", "experiment.toml", "--out", "threads", *CUT, cwd=folder))
    assert code == 0, said
    return shards(folder / "threads")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(folder, shards) of a sweep of a few chunks."""
    folder = tmp_path_factory.mktemp("small")
    return folder, experiment(folder, 2000)


def logs(folder):
    """All that jobs have said."""
    return "\n".join(f"{p.name}:\n{p.read_text(errors='replace')}" for p in sorted(folder.glob("gdsim-*")))


def done(slurm, folder):
    """Waits until no job is left."""
    wait_until(lambda: slurm.jobs() == 0, every=0.3)
    return logs(folder)


@pytest.mark.full
def test_one_job_holds_a_sweep(slurm, small):
    """Scheduler, workers and driver; the next job, which waited, is cancelled."""
    folder, expected = small
    slurm.submit(copied("slurm/sweep.sbatch", folder, ntasks=2, time="00:10:00"), "experiment.toml", "job", *CUT, folder=folder)
    said = done(slurm, folder)
    assert (folder / "job" / "shards").is_dir(), said
    assert shards(folder / "job") == expected, said
    assert not list(folder.glob(".gdsim-tls-*"))


@pytest.mark.full
def test_an_array_of_jobs_trains_parts(slurm, small):
    folder, expected = small
    slurm.submit(copied("array/array.sbatch", folder, array="1-2", cpus_per_task=1, time="00:10:00"), "experiment.toml", "array", *CUT, folder=folder)
    said = done(slurm, folder)
    assert shards(folder / "array") == expected, said


@pytest.mark.full
def test_bad_input_ends_the_chain(slurm, small):
    folder, _ = small
    job = slurm.submit(copied("slurm/sweep.sbatch", folder, ntasks=1, time="00:10:00"), "missing.toml", "none", folder=folder)
    said = done(slurm, folder)
    assert "there is no experiment file 'missing.toml'" in said
    assert "ExitCode=2:0" in slurm.says("scontrol", "show", "job", job)
