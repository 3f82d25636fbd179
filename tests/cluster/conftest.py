"""Systems that clusters start on: a SLURM of one node, and a server of SSH, each of a test's own, in a
private folder, on free ports.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

from gdsim.lanes.kernel_folder import private_folder
from tests.faults.machinery import EXPERIMENT, finished, free_port, gdsim, shards, wait_until

CUT = ("--chunk-seconds", "0.1")

SLURM = """
ClusterName=gdsim
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
SSHD = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile {folder}/sshd.pid
UsePAM no
StrictModes no
PasswordAuthentication no
SetEnv GDSIM_CACHE_DIR={cache} GDSIM_STARTED_BY={folder}
"""


def experiment(folder, starts, cut):
    """An experiment, and the shards that threads make of it."""
    (folder / "experiment.toml").write_text(EXPERIMENT.format(starts=starts))
    code, said = finished(gdsim("run", "experiment.toml", "--out", "threads", *cut, cwd=folder))
    assert code == 0, said
    return shards(folder / "threads")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """(folder, shards) of a sweep of a few chunks."""
    folder = tmp_path_factory.mktemp("small")
    return folder, experiment(folder, 3000, CUT)


class Daemons:
    """Processes of a test, ended in the order opposite to that in which they were started."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []

    def start(self, *command, **settings):
        with open(self.folder / "daemons.log", "a") as log:
            options = {"stdout": log, "stderr": log, "start_new_session": True, "env": {**os.environ, **settings}}
            self.processes.append(subprocess.Popen([str(c) for c in command], **options))

    def said(self):
        return "\n".join(file.read_text(errors="replace")[-3000:] for file in sorted(self.folder.glob("*.log")))

    def end(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Slurm(Daemons):
    """A SLURM of one node of two processors, and what its users say to it."""

    def __init__(self, folder):
        super().__init__(folder)
        host = socket.gethostname().split(".")[0]
        (folder / "state").mkdir()
        (folder / "spool").mkdir()
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        configuration = folder / "slurm.conf"
        configuration.write_text(SLURM.format(host=host, folder=folder, controller_port=free_port(), node_port=free_port()))
        files = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("key-file", "pid-file", "log-file", "seed-file")]
        self.start("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
        wait_until((folder / "munge.socket").exists)
        self.start("slurmctld", "-D", "-c", "-f", configuration)
        self.start("slurmd", "-D", "-f", configuration)
        # The commands of users: those of this Python first, and this SLURM's.
        self.settings = {**os.environ, "SLURM_CONF": str(configuration), "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
        wait_until(lambda: "idle" in self.says("sinfo", "-h", "-o", "%t"), every=0.2)

    def says(self, *command, folder=None):
        """What a command of SLURM prints."""
        done = subprocess.run([str(c) for c in command], cwd=folder, env=self.settings, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def submit(self, script, *arguments, folder):
        """The number of a job, submitted from a folder."""
        said = self.says("sbatch", "--parsable", script, *arguments, folder=folder)
        assert said.strip().isdigit(), said
        return said.strip()

    def jobs(self):
        """How many jobs run or wait."""
        return len(self.says("squeue", "-h", "-o", "%i").split())

    def end(self):
        self.says("scancel", "--user=root")
        super().end()


@pytest.fixture(scope="session")
def slurm():
    """A SLURM of this session's own."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {missing[0]}: apt-get install slurm-wlm munge")
    if os.getuid() != 0:
        pytest.skip("a SLURM of one's own needs root")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gdsim-slurm-"))  # whose sockets need short names
    made = Slurm(folder)
    yield made
    made.end()
    shutil.rmtree(folder)


class Sshd(Daemons):
    """A server of SSH on this machine, and the options with which clients reach it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}")
        (folder / "sshd.conf").write_text(SSHD.format(folder=folder, port=self.port, cache=private_folder().parent))
        self.start(shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd.conf")
        wait_until(self.answers)

    def answers(self):
        """Whether the server listens."""
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def lent(folder):
    """A folder of the system's.

    If it was missing it goes with the last of the sessions that use it at once; each has a file in it.
    """
    try:
        folder.mkdir()
        is_ours = True
    except FileExistsError:
        is_ours = any(folder.glob("gdsim-*"))
    mark = folder / f"gdsim-{os.getpid()}"
    if is_ours:
        mark.touch()
    try:
        yield
    finally:
        if is_ours:
            mark.unlink()
            with contextlib.suppress(OSError):  # another's file is there
                folder.rmdir()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    """A server of SSH of this session's own."""
    if shutil.which("sshd") is None and not pathlib.Path("/usr/sbin/sshd").exists():
        pytest.skip("no sshd: apt-get install openssh-server")
    if os.getuid() != 0:
        pytest.skip("a server of SSH of one's own needs root")
    pytest.importorskip("asyncssh", reason="asyncssh is not installed: pip install -e '.[cluster]'")
    with lent(pathlib.Path("/run/sshd")):  # where the server locks itself in
        made = Sshd(tmp_path_factory.mktemp("sshd"))
        yield made
        made.end()
