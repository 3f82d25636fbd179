"""Sweeps on a real SLURM of one node: one job, an array, jobs that come and go; what time limits do to
them.
"""

import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from gdsim.sweep.cluster.deployment import Slurm, _jobqueue, started
from tests.cluster.conftest import CUT, experiment
from tests.cluster.manifests import CLUSTER
from tests.faults.machinery import finished, gdsim, shards, wait_until

SECOND = ("--chunk-seconds", "1")
# Dask leaves sockets to the garbage collector when its clusters start and end.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


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


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """(folder, shards) of a sweep of some two minutes of a core, in chunks of a second."""
    folder = tmp_path_factory.mktemp("large")
    return folder, experiment(folder, 2_500_000, SECOND)


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
    job = slurm.submit(copied("slurm/sweep.sbatch", folder, ntasks=2, time="00:10:00"), "experiment.toml", "job", *CUT, folder=folder)
    said = done(slurm, folder)
    assert (folder / "job" / "shards").is_dir(), said
    about = slurm.says("scontrol", "show", "job", job).split()
    assert {"JobName=gdsim-experiment", "Requeue=0", "ExitCode=0:0"} <= {*about}
    assert shards(folder / "job") == expected, said
    assert not list(folder.glob(".gdsim-tls-*"))


@pytest.mark.full
def test_an_array_of_jobs_trains_parts(slurm, small):
    folder, expected = small
    slurm.submit(copied("array/array.sbatch", folder, array="1-2", cpus_per_task=1, time="00:10:00"), "experiment.toml", "array", *CUT, folder=folder)
    said = done(slurm, folder)
    assert shards(folder / "array") == expected, said


@pytest.mark.full
def test_an_array_that_is_a_cut_of_its_own_is_refused(slurm, small):
    folder, _ = small
    job = slurm.submit(copied("array/array.sbatch", folder, array='"1,3"', cpus_per_task=1, time="00:10:00"), "experiment.toml", "cut", folder=folder)
    said = done(slurm, folder)
    assert [(folder / f"gdsim-{job}-{n}.log").read_text().count("the array must be 1-N") for n in (1, 3)] == [1, 1], said
    assert not (folder / "cut").exists()


@pytest.mark.full
def test_workers_that_are_lost_are_followed_by_the_next_job(slurm, small, tmp_path):
    """A command stands in for the first job's, which is gone at once."""
    folder, expected = small
    lost = tmp_path / "bin" / "srun"
    lost.parent.mkdir()
    lost.write_text(f'#!/bin/sh\nmkdir {tmp_path}/once 2>/dev/null && sleep 2 && exit 1\nexec {shutil.which("srun")} "$@"\n')
    lost.chmod(0o755)
    script = copied("slurm/sweep.sbatch", folder, ntasks=1, time="00:10:00")
    script.write_text(script.read_text().replace("set -euo pipefail\n", f"set -euo pipefail\nPATH={lost.parent}:$PATH\n"))
    first = slurm.submit(script, "experiment.toml", "lost", *CUT, folder=folder)
    said = done(slurm, folder)
    assert "ExitCode=3:0" in slurm.says("scontrol", "show", "job", first), said
    assert shards(folder / "lost") == expected, said
    assert not list(folder.glob(".gdsim-tls-*"))


@pytest.mark.slow
def test_bad_input_ends_the_chain(slurm, small):
    folder, _ = small
    job = slurm.submit(copied("slurm/sweep.sbatch", folder, ntasks=1, time="00:10:00"), "missing.toml", "none", folder=folder)
    said = done(slurm, folder)
    assert "there is no experiment file 'missing.toml'" in said
    assert "ExitCode=2:0" in slurm.says("scontrol", "show", "job", job)


def jobs_file(folder, **lines):
    """A file of the kind slurm for a node of two processors."""
    table = {"jobs": 1, "workers": 2, "memory": "500 MB", "walltime": "00:10:00", "interface": "lo", **lines}
    (folder / "slurm.toml").write_text("".join(f"{k} = {v if isinstance(v, int) else repr(v)}\n" for k, v in table.items()))
    return "slurm:slurm.toml"


@pytest.fixture
def jobqueue():
    if find_spec("dask_jobqueue") is None:
        pytest.skip("dask-jobqueue is not installed: pip install -e '.[cluster]'")
    return _jobqueue()


def test_what_submits_jobs_leaves_ctrl_c_as_it_was(jobqueue):
    """Imported, it would make of an interrupt a quiet end of the process."""
    interrupt = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    asked = f"{interrupt}; from gdsim.sweep.cluster.deployment import _jobqueue; _jobqueue(); signal.raise_signal(signal.SIGINT)"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in said.stderr


@pytest.mark.full
def test_jobs_are_workers_of_a_command(slurm, small, jobqueue):
    """And are cancelled at its end."""
    folder, expected = small
    command = ("run", "experiment.toml", "--out", "jobs", *CUT, "--cluster", jobs_file(folder))
    code, said = finished(gdsim(*command, cwd=folder, env=slurm.settings))
    assert code == 0, said
    assert shards(folder / "jobs") == expected
    wait_until(lambda: slurm.jobs() == 0, every=0.3)
    assert not list(folder.glob(".gdsim-tls-*"))


@pytest.mark.full
def test_what_slurm_would_refuse_is_one_line(slurm, tmp_path, monkeypatch, jobqueue):
    monkeypatch.setenv("SLURM_CONF", slurm.settings["SLURM_CONF"])
    made = Slurm(memory="500 MB", walltime="00:10:00", partition="no-such", folder=str(tmp_path), interface="lo")
    refusal = r"^the cluster was not started: SLURM would not take its jobs: [^\n]*invalid partition[^\n]*$"
    with pytest.raises(ValueError, match=refusal), started(made):
        pass
    assert slurm.jobs() == 0
    assert not list(tmp_path.glob(".gdsim-tls-*"))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::UserWarning")  # of dask-jobqueue, that the current folder takes the certificates
@pytest.mark.parametrize(("system", "limit"), [("PBS", "#PBS -l walltime=01:00:00"), ("LSF", "#BSUB -W 01:00"), ("SGE", "#$ -l h_rt=01:00:00")])
def test_lines_for_other_systems_make_their_jobs(system, limit, tmp_path, monkeypatch, jobqueue):
    monkeypatch.chdir(tmp_path)
    names = {"dask_jobqueue": jobqueue}
    for line in (CLUSTER / "README.md").read_text().splitlines():
        if line.startswith("    job = ") or f".{system}Cluster(" in line:
            exec(line.strip(), names)
    with names["cluster"] as cluster:
        script = cluster.job_script()
    assert limit in script
    assert "--lifetime 3500s --lifetime-stagger 10s" in script
    assert " tls://" in script


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::UserWarning")  # as above
def test_the_script_of_a_job_with_a_gpu_asks_for_it_and_offers_it(tmp_path, jobqueue):
    made = Slurm(memory="2 GB", walltime="01:00:00", workers=4, gpu=True, folder=str(tmp_path), options=["--constraint=a100"])
    with jobqueue.SLURMCluster(**made.job(60, 5), protocol="tcp://", interface="lo", scheduler_options={"dashboard_address": ":0"}) as cluster:
        lines = cluster.job_script().splitlines()
    directives = [line for line in lines if line.startswith("#SBATCH")]
    assert {"#SBATCH --gres=gpu:1", "#SBATCH --constraint=a100", "#SBATCH -n 1", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=8G"} <= set(directives)
    assert lines[-1].count("--resources GPU=1") == 1
    assert "--nthreads 4" in lines[-1]
    assert "--nworkers" not in lines[-1]


@pytest.mark.parametrize(
    ("option", "is_added"),
    [
        ("--gpus=1", False), ("--gpus a100:1", False), ("-G1", False), ("--gpus-per-node=1", False), ("--gres=gpu:a100:1", False),
        ("--gres=nvme,gpu:1", False), ("--tres-per-task=gres/gpu:1", False), ("--gres=nvme", True), ("--gpu-bind=closest", True), ("--constraint=gpu", True),
    ],
)  # fmt: skip
def test_a_gpu_is_not_asked_for_twice(option, is_added):
    made = Slurm(memory="2 GB", walltime="01:00:00", gpu=True, options=[option])
    assert made.job(60, 5)["job_extra_directives"] == ["--gres=gpu:1"] * is_added + [option]


@pytest.mark.slow
def test_an_interrupt_cancels_the_jobs(slurm, small):
    folder, expected = small
    out = folder / "interrupted"
    process = gdsim("run", "experiment.toml", "--out", out, *CUT, "--cluster", jobs_file(folder), cwd=folder, env=slurm.settings)
    wait_until(lambda: (out / "shards").is_dir() and any(n.suffix == ".parquet" for n in (out / "shards").iterdir()))
    process.send_signal(signal.SIGINT)
    code, said = finished(process)
    assert code == 130, said
    wait_until(lambda: slurm.jobs() == 0, every=0.3)
    assert set(shards(out)) <= set(expected)
    assert not list(folder.glob(".gdsim-tls-*"))


@pytest.mark.slow
def test_a_sweep_outlives_two_lifetimes_of_its_jobs(slurm, large):
    """Jobs of two minutes, whose workers leave before; others come in their place."""
    folder, expected = large
    file = jobs_file(folder, walltime="00:02:00", workers=1)
    lifetime, _ = Slurm(memory="1 GB", walltime="00:02:00").lifetime(1.0)
    began = time.monotonic()
    process = gdsim("run", "experiment.toml", "--out", "jobs", *SECOND, "--cluster", file, cwd=folder, env=slurm.settings)
    seen = set()

    def is_over():
        seen.update(slurm.says("squeue", "-h", "-o", "%i", "-t", "running").split())
        return process.poll() is not None

    wait_until(is_over, every=1)
    code, said = finished(process)
    assert code == 0, said
    assert time.monotonic() - began > 2 * lifetime
    assert len(seen) >= 3
    assert shards(folder / "jobs") == expected


@pytest.mark.slow
def test_a_sweep_goes_on_in_the_next_job_after_its_time_limit(slurm, large):
    """Whose limit is a minute, the least that SLURM has."""
    folder, expected = large
    first = slurm.submit(copied("slurm/sweep.sbatch", folder, ntasks=1, time="00:01:00"), "experiment.toml", "job", *SECOND, folder=folder)
    wait_until(lambda: "JobState=TIMEOUT" in slurm.says("scontrol", "show", "job", first), every=1)
    assert 0 < len(shards(folder / "job")) < len(expected)
    said = done(slurm, folder)
    assert shards(folder / "job") == expected, said
    assert not list(folder.glob(".gdsim-tls-*"))


@pytest.mark.slow
def test_a_chain_without_a_new_shard_ends(slurm, tmp_path):
    """Two jobs whose runs are incomplete (a command stands in for them) are the last."""
    incomplete = tmp_path / "bin" / "gdsim"
    incomplete.parent.mkdir()
    incomplete.write_text("#!/bin/sh\nexit 3\n")
    incomplete.chmod(0o755)
    script = copied("slurm/sweep.sbatch", tmp_path, ntasks=1, time="00:10:00")
    script.write_text(script.read_text().replace("set -euo pipefail\n", f"set -euo pipefail\nPATH={incomplete.parent}:$PATH\n"))
    first = int(slurm.submit(script, "experiment.toml", "job", folder=tmp_path))
    said = done(slurm, tmp_path)
    assert len(list(tmp_path.glob("gdsim-*[0-9].log"))) == 3, said
    for job in range(first, first + 3):
        assert "ExitCode=3:0" in slurm.says("scontrol", "show", "job", job), said
    assert "Invalid job id" in slurm.says("scontrol", "show", "job", first + 3)
