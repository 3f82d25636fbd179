"""What a cluster's file may say: the files to copy are read, mistakes are told in one line, time limits leave
room for chunks.
"""

import ast
import contextlib
import copy
import importlib.util
import logging
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import dask.config
import distributed
import pytest

from gdsim.store.files import this_process
from gdsim.sweep.cluster import deployment
from gdsim.sweep.cluster.certificates import certificates
from gdsim.sweep.cluster.dasksettings import SELDOM, exports
from gdsim.sweep.cluster.deployment import KINDS, Local, Slurm, Ssh, read_deployment
from gdsim.sweep.execution.executor import UnfinishedError
from tests.cluster.manifests import CLUSTER
from tests.helpers import gdsim

MISTAKES = [
    ("local", "wrokers = 4", "Local has no 'wrokers'; did you mean 'workers'?"),
    ("local", "workers = 0", "workers must be a whole number from 1; 0 was given"),
    ("local", "threads = true", "threads must be a whole number from 1; True was given"),
    ("local", 'memory = "10 MB"', "memory = '10 MB': each may have 10.0 MB, and a worker takes 200.0 MB before it trains anything"),
    ("local", 'memory = "16 gigs"', "memory must say how much each worker may use, as in memory = \"4 GB\"; '16 gigs' was given"),
    ("local", "memory = 4", "4 was given"),
    ("local", 'tls = "yes"', "tls must be true or false; 'yes' was given"),
    ("local", "workers = ", "not valid TOML"),
    ("ssh", "workers = 2", "Ssh.hosts is missing"),
    ("ssh", "hosts = []", "hosts is an empty list"),
    ("ssh", 'hosts = "node1"', 'hosts must be a list of texts, as in hosts = ["node1", "node2"]; \'node1\' was given'),
    ("ssh", 'hosts = ["a"]\nport = 70000', "port must be a whole number from 1 to 65535"),
    ("ssh", 'hosts = ["a"]\nkey = "no-such-key"', "key: there is no file 'no-such-key'"),
    ("ssh", 'hosts = ["a"]\nfolder = "no-such-folder"', "folder: there is no folder 'no-such-folder'"),
    ("ssh", 'hosts = ["a"]\ndashboard = "8787"', 'dashboard must be HOST:PORT, as in "127.0.0.1:8787", or ":8787" for all networks; \'8787\' was given'),
    ("ssh", 'hosts = ["a"]\nuser = 7', "user must be a text; 7 was given"),
    ("slurm", 'walltime = "1:00:00"', "Slurm.memory is missing"),
    ("slurm", 'memory = "2 GB"', "Slurm.walltime is missing"),
    ("slurm", 'memory = "2 GB"\nwalltime = "an hour"', "walltime must be a time limit such as"),
    ("slurm", 'memory = "2 GB"\nwalltime = "01:00:00"\njobs = 0', "jobs must be a whole number from 1"),
    ("slurm", 'memory = "2 GB"\nwalltime = "01:00:00"\npartitoin = "short"', "Slurm has no 'partitoin'; did you mean 'partition'?"),
    ("slurm", 'memory = "2 GB"\nwalltime = "01:00:00"\noptions = "--gres=none"', "options must be a list of texts"),
]


@pytest.mark.parametrize(("kind", "text", "message"), MISTAKES)
def test_mistakes_are_one_line(kind, text, message, tmp_path):
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(ValueError, match=r"^[^\n]*cluster.toml: [^\n]*$") as told:
        read_deployment(f"{kind}:{tmp_path / 'cluster.toml'}")
    assert message in str(told.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_to_copy_are_read(kind):
    """As they are, and with each of the lines that are commented out."""
    path = CLUSTER / kind / f"{kind}.toml"
    assert isinstance(read_deployment(f"{kind}:{path}"), KINDS[kind])
    said = {line.removeprefix("# ").split(" = ")[0] for line in path.read_text().splitlines() if " = " in line and "gdsim run" not in line}
    assert said == set(KINDS[kind].__struct_fields__)


def test_what_is_commented_out_in_the_files_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    for name in ("id_ed25519", "known_hosts"):
        (tmp_path / ".ssh" / name).touch()
    for kind in KINDS:
        lines = (CLUSTER / kind / f"{kind}.toml").read_text().replace("/shared/me", str(tmp_path)).splitlines()
        used = [line.removeprefix("# ") for line in lines if line.startswith("# ") and " = " in line and not line.startswith(("# Worker", "# Jobs"))]
        kept = [line for line in lines if not line.startswith("#")]
        (tmp_path / "all.toml").write_text("\n".join([*kept, *used]))
        made = read_deployment(f"{kind}:{tmp_path / 'all.toml'}")
        assert all(getattr(made, name) is not None for name in made.__struct_fields__)


@pytest.mark.parametrize("walltime", ["00:05:00", "04:00:00", "1-00:00:00", "90"])
@pytest.mark.parametrize("chunk", [0.5, 10.0, 60.0])
def test_workers_leave_before_the_time_limit(walltime, chunk):
    """At the latest by a stagger late, a chunk before it and the minute that SLURM's limits are early."""
    days, _, rest = walltime.rpartition("-")
    parts = [int(p) for p in rest.split(":")]
    limit = parts[0] * 60 if len(parts) == 1 else (int(days or 0) * 24 + parts[0]) * 3600 + parts[1] * 60 + parts[2]
    lifetime, stagger = Slurm(memory="1 GB", walltime=walltime).lifetime(chunk)
    assert stagger >= chunk
    assert lifetime + stagger + 30 <= limit - 60
    assert lifetime > stagger


def test_a_time_limit_without_room_is_refused():
    with pytest.raises(ValueError, match="walltime='00:01:00' leaves no time for chunks of 10 s; give at least 2 minutes"):
        Slurm(memory="1 GB", walltime="00:01:00").lifetime(10.0)
    assert Slurm(memory="1 GB", walltime="00:02:00").lifetime(10.0) == (20, 10)


def test_what_killed_sweeps_have_left_is_removed_by_the_next(tmp_path):
    """Of this machine and container; another's may live."""
    pytest.importorskip("cryptography", reason="cryptography is not installed: pip install -e '.[cluster]'")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    gone = this_process()._replace(pid=ended.pid)
    others = [this_process(), gone._replace(host="elsewhere"), gone._replace(host=f"{gone.host}-{gone.pid}", pid=1), gone._replace(processes="1")]
    left = [tmp_path / f".gdsim-tls-{process.host}@{process.pid}@{process.processes}-abc" for process in (gone, *others)]
    for folder in left:
        folder.mkdir()
        (folder / "key.pem").touch()
    with certificates(str(tmp_path)) as made:
        assert pathlib.Path(made.tls_client_key).stat().st_mode & 0o077 == 0 or pathlib.Path(made.tls_client_key).parent.stat().st_mode & 0o077 == 0
        assert [folder.exists() for folder in left] == [False, True, True, True, True]
    assert sorted(tmp_path.iterdir()) == sorted(left[1:])


def test_memory_that_is_given_is_not_held_against_the_machines(monkeypatch):
    """Without it, the processes share what there is."""
    monkeypatch.setattr(deployment, "usable_memory", lambda: 10**9)
    monkeypatch.setattr(distributed, "LocalCluster", lambda **options: contextlib.nullcontext(options["memory_limit"]))
    with contextlib.ExitStack() as stack:
        assert Local(workers=8, tls=False, memory="300 MB").start(stack, 10.0) == 300_000_000
        assert Local(workers=4, tls=False).start(stack, 10.0) == 250_000_000
        with pytest.raises(ValueError, match=r"^8 workers here: each may have 125\.0 MB"):
            Local(workers=8, tls=False).start(stack, 10.0)


def test_dasks_settings_and_logs_are_as_they_were_after_a_cluster(monkeypatch):
    """And what the user has set counts meanwhile."""
    logger = logging.getLogger("distributed")
    monkeypatch.setattr(deployment.Local, "start", lambda *_: (dask.config.get("distributed.admin.tick.interval"), logger.level))
    with dask.config.set({"distributed.admin.system-monitor.interval": "7s"}):
        before = copy.deepcopy(dask.config.config), logger.level, dict(os.environ), len(dask.config.defaults)
        with deployment.started(Local()) as seen:
            assert seen == ("1s", logging.CRITICAL)
            assert dask.config.get("distributed.admin.system-monitor.interval") == "7s"
        assert (dask.config.config, logger.level, dict(os.environ), len(dask.config.defaults)) == before


def test_jobs_look_at_themselves_as_seldom_as_processes_here():
    """By Dask's own reading of the lines."""
    lines = exports(SELDOM)
    said = dask.config.collect_env(dict(line.removeprefix("export ").split("=", 1) for line in lines))
    for name in ("admin.tick.interval", "admin.system-monitor.interval", "admin.low-level-log-length", "worker.profile.enabled"):
        key = f"distributed.{name}"
        assert dask.config.get(key, config=said) == dask.config.get(key, config=SELDOM)


def test_the_table_names_every_folder_and_says_what_was_done():
    """Of its files some test of these reads or runs each."""
    rows = [line.strip("|").split(" | ") for line in (CLUSTER / "README.md").read_text().splitlines() if line.startswith("| ")][1:]
    links = {link for row in rows for link in re.findall(r"\]\(([^)#]+)\)", row[1])}
    assert all((CLUSTER / link).exists() for link in links)
    assert {path.name for path in CLUSTER.iterdir() if path.is_dir()} == {link.split("/")[0] for link in links}
    for row in rows:
        assert len(row) == 4
        assert re.match(r" ?(ran here|ran against a real|validated against the schema|not run)", row[2])
        assert (row[3].strip() == "") == row[2].startswith("not run")
    trees = [ast.parse(path.read_text()) for path in pathlib.Path(__file__).parent.glob("test_*.py")]
    named = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named |= {f"{kind}.toml" for kind in KINDS}  # above
    files = [
        path for path in CLUSTER.rglob("*") if path.is_file() and path.name != "README.md" and not path.match("kubernetes/*.yaml")
    ]  # all of which test_kubernetes reads
    unread = [path for path in files if not {str(path.relative_to(CLUSTER)), path.name} & named]
    assert unread == []


def test_the_command_tells_a_cluster_that_cannot_be(tmp_path):
    (tmp_path / "experiment.toml").write_text('starts = 2\nsteps = 2\n[problem]\ntype = "rosenbrock"\n[[optimizer]]\ntype = "sgd"\n')
    (tmp_path / "cluster.toml").write_text("wrokers = 4")
    for named, message in [
        ("local:cluster.toml", "cluster.toml: Local has no 'wrokers'"),
        ("local:none.toml", "there is no cluster file 'none.toml'"),
        ("slrum:cluster.toml", "there is no cluster of the kind 'slrum'; did you mean 'slurm'?"),
        ("local", "must be KIND:FILE.toml"),
    ]:
        code, _, errors = gdsim("run", "experiment.toml", "--cluster", named, folder=tmp_path)
        assert code == 2
        assert message in errors
    code, _, errors = gdsim("run", "experiment.toml", "--cluster", "local:cluster.toml", "--workers", 2, folder=tmp_path)
    assert code == 2
    assert "give one cluster" in errors
    assert not (tmp_path / "results").exists()


def test_a_device_that_no_worker_will_have_is_refused_before_any_is_started(tmp_path):
    """Rather than that workers without a GPU wait for one with it."""
    (tmp_path / "experiment.toml").write_text('starts = 2\nsteps = 2\n[problem]\ntype = "rosenbrock"\n[[optimizer]]\ntype = "sgd"\n')
    (tmp_path / "local.toml").write_text("workers = 2")
    (tmp_path / "slurm.toml").write_text('memory = "1 GB"\nwalltime = "01:00:00"')
    for option, named, device, message in [
        ("--workers", "2", "cuda", "--workers starts workers that offer no GPU"),
        ("--cluster", "local:local.toml", "cuda", "--cluster starts workers that offer no GPU"),
        ("--cluster", "slurm:slurm.toml", "cuda", "--cluster starts workers that offer no GPU"),
        ("--workers", "2", "cuda:1", "device='cuda:1' is a GPU of this machine"),
        ("--workers", "2", "gpu", "device must be 'cpu', 'cuda'"),
    ]:
        code, out, errors = gdsim("run", "experiment.toml", option, named, "--device", device, folder=tmp_path)
        assert (code, errors.count("\n")) == (2, 1)
        assert message in errors
        assert "starting" not in out
    assert not (tmp_path / "results").exists()
    assert [Local().offers_gpus, *(Slurm(memory="1 GB", walltime="01:00:00", gpu=gpu).offers_gpus for gpu in (False, True))] == [False, False, True]


@pytest.mark.parametrize(
    ("made", "package"),
    [(Local(), "cryptography"), (Ssh(hosts=["a"]), "asyncssh"), (Slurm(memory="1 GB", walltime="01:00:00"), "dask-jobqueue")],
)
def test_a_missing_package_is_one_line(made, package, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package.replace("-", "_") else found(name, *rest))
    with pytest.raises(ValueError, match=rf"needs the package {package}, which is not installed: pip install "), deployment.started(made):
        pass
    project = tomllib.loads((CLUSTER.parent / "pyproject.toml").read_text())["project"]
    assert [line for line in project["optional-dependencies"]["cluster"] if line.startswith(package)]


@pytest.mark.parametrize("script", ["slurm/sweep.sbatch", "array/array.sbatch"])
def test_scripts_are_bash(script):
    """By bash's reading, and where it is installed by shellcheck's."""
    checks = [["bash", "-n"], *([["shellcheck"]] if shutil.which("shellcheck") else [])]
    for command in checks:
        done = subprocess.run([*command, CLUSTER / script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "lines", "told"),
    [
        (ValueError, ["error: invalid partition specified: nono", "error: Batch job submission failed"], "SLURM would not take its jobs: invalid partition"),
        (UnfinishedError, ["error: Unable to contact slurm controller (connect failure)"], "SLURM does not answer: Unable to contact slurm controller"),
        (
            UnfinishedError,
            ["error: fetch_config: DNS SRV lookup failed", "fatal: Could not establish a configuration source"],
            "does not answer: fetch_config: ",
        ),
    ],
    ids=["refused", "silent", "without a source"],
)
def test_what_slurm_says_of_a_job_is_told_as_a_mistake_or_as_silence(tmp_path, monkeypatch, kind, lines, told):
    script = tmp_path / "sbatch"
    script.write_text("#!/bin/sh\n" + "".join(f"echo 'sbatch: {line}' >&2\n" for line in lines) + "exit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(kind) as error:
        deployment._check_job("#!/bin/sh")
    assert told in str(error.value)
    assert "sbatch:" not in str(error.value)
    assert str(error.value).count("; ") == len(lines) - 1


def test_a_job_with_a_gpu_is_one_process_that_offers_it():
    given = {"workers": 4, "threads": 2, "memory": "1 GB", "walltime": "01:00:00", "options": ["--constraint=a100"]}
    plain, gpu = (Slurm(**given, gpu=gpu).job(60, 5) for gpu in (False, True))
    changed = {name for name in plain if plain[name] != gpu[name]}
    assert changed == {"processes", "job_extra_directives", "worker_extra_args"}
    assert (plain["processes"], gpu["processes"], gpu["cores"]) == (4, 1, 8)
    assert gpu["job_extra_directives"] == ["--gres=gpu:1", "--constraint=a100"]
    assert gpu["worker_extra_args"] == [*plain["worker_extra_args"], "--resources", "GPU=1"]
