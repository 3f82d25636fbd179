"""Clusters that are started for one sweep and stopped at its end: processes of this machine, over SSH, or as
jobs of SLURM.

Each kind is a declaration, written in a TOML file (`gdsim run FILE --cluster slurm:slurm.toml`) or in Python,
where `started(read_deployment("slurm:slurm.toml"))` gives the cluster that `sweep.run(client=...)` takes.
"""

import contextlib
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

import msgspec

from gdsim.axes import checked_truth, checked_whole
from gdsim.declarations import Declaration
from gdsim.filenames import user_path
from gdsim.sweep.cluster.certificates import certificates, settings_of
from gdsim.sweep.cluster.dasksettings import SELDOM, exports, forked, quiet, seldom
from gdsim.sweep.cluster.pools import GPU
from gdsim.sweep.execution.executor import UnfinishedError
from gdsim.sweep.experiment.toml import read_toml
from gdsim.sweep.planning.machine import usable_cores, usable_memory
from gdsim.sweep.planning.memory import WORKER_BYTES
from gdsim.words import count_of, given, nearest, need, size_of

# How long a scheduler over SSH outlives a driver that was killed, and workers a scheduler.
IDLE, ORPHANED = "1 hour", 60.0
# What asyncssh raises for a key, a user or a host that will not do, which no second try changes.
REFUSED = {"PermissionDenied", "HostKeyNotVerifiable", "KeyImportError", "KeyEncryptionError", "ConfigParseError"}
# What a name server answers where there is no such host; one that does not answer gives others.
UNKNOWN = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
# What SLURM's commands say where its controller does not answer.
SILENT = re.compile(r"Unable to contact|timed out|Connection refused|Communication connection failure|Zero Bytes|configuration source", re.IGNORECASE)
# How options of sbatch's ask for GPUs.
ASKS_GPU = re.compile(r"-G|--gpus(-per-\w+)?[= ]|--(gres|tres-per-\w+)[= ](.*[,/:])?gpu\b")
# Where a dashboard listens, which asks nobody for a name: on the scheduler's machine alone, at a free port.
HERE = "127.0.0.1:0"
# A job ends this long before its time limit: SLURM's limits are whole minutes, and a worker that leaves waits
# for its thread for half a minute.
LIMIT_SECONDS, LEAVING_SECONDS = 60, 30


class Deployment(Declaration, frozen=True, kw_only=True):
    """How the workers of a cluster are started for a sweep, and stopped at its end."""

    workers: int = 1
    threads: int = 1
    memory: str | None = None
    tls: bool = True

    def __post_init__(self) -> None:
        checked_whole(self.workers, "workers")
        checked_whole(self.threads, "threads")
        if self.memory is not None:
            _check_share(_bytes(self.memory), f"memory = {self.memory!r}")
        checked_truth(self.tls, "tls")
        self.check()

    def check(self) -> None:
        """Raises ValueError or TypeError for what this kind of cluster cannot use."""

    def start(self, stack: contextlib.ExitStack, chunk_seconds: float) -> Any:
        """The cluster, which `stack` stops; its workers may leave within about `chunk_seconds` of each
        other.
        """
        raise NotImplementedError

    @property
    def offers_gpus(self) -> bool:
        """Whether its workers have a GPU each, and say so."""
        return False

    @property
    def worker_options(self) -> dict[str, Any]:
        """What every worker process is told."""
        return {"nthreads": self.threads, **({} if self.memory is None else {"memory_limit": _bytes(self.memory)})}


class Local(Deployment, frozen=True, kw_only=True):
    """Worker processes of this machine; cluster/local/local.toml says what the fields are.

    >>> Local(workers=2, memory="2 GB")
    Local(workers=2, memory='2 GB')
    """

    always_shown = ("workers",)

    workers: int = msgspec.field(default_factory=usable_cores)

    @classmethod
    def shown_defaults(cls) -> dict[str, Any]:
        """One process for each processor that this one may use."""
        return {"workers": usable_cores()}

    def start(self, stack: contextlib.ExitStack, chunk_seconds: float) -> Any:
        """Processes that do not hear Ctrl-C, which is for the driver alone."""
        import distributed  # which only a cluster needs

        if self.tls:
            need("cryptography", "tls = true", "cluster")
        memory = memory_of(self.workers) if self.memory is None else _bytes(self.memory)
        options: Any = {"memory_limit": memory, "dashboard_address": HERE, "threads_per_worker": self.threads}
        options["env"] = dict(os.environ)  # the process from which workers are forked has that of when it began
        stack.enter_context(forked())
        with _interrupts_later():
            return stack.enter_context(distributed.LocalCluster(n_workers=self.workers, security=True if self.tls else None, **options))


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C is heard at the end of the block; threads that begin in it, and processes that these ever start,
    never hear it.
    """
    resource_tracker.ensure_running()  # which would unblock the signal when a first process is started
    came: list[Any] = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda *what: came.append(what)) if is_main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
    if came and callable(handler):
        handler(*came[0])


def memory_of(workers: int) -> int:
    """The bytes that each of so many processes here may take, so that all of them fit: equal shares of what
    this process may have.

    Near its share a worker begins no task, and beyond it is started anew: what it was at is trained again,
    and nothing else is lost.
    """
    share = usable_memory() // workers
    _check_share(share, f"{count_of(workers, 'worker')} here")
    return share


class Ssh(Deployment, frozen=True, kw_only=True):
    """Worker processes on machines that are reached over SSH, `workers` on each of `hosts`; the scheduler is
    on the first, or on `scheduler`.

    cluster/ssh/ssh.toml says what the fields are.

    >>> Ssh(hosts=["node1", "node2"], workers=8)
    Ssh(workers=8, hosts=['node1', 'node2'])
    """

    hosts: tuple[str, ...]
    scheduler: str | None = None
    user: str | None = None
    port: int | None = None
    key: str | None = None
    known_hosts: str | None = None
    python: str | None = None
    interface: str | None = None
    dashboard: str = HERE
    folder: str | None = None

    def check(self) -> None:
        """Raises ValueError or TypeError for hosts, files and texts that cannot be."""
        msgspec.structs.force_setattr(self, "hosts", _texts(self.hosts, "hosts", 'as in hosts = ["node1", "node2"]'))
        if not self.hosts:
            raise ValueError("hosts is an empty list; name at least one")
        if self.port is not None:
            checked_whole(self.port, "port", 1, 2**16)
        _check_texts(self, "scheduler", "user", "python", "interface")
        _check_files(self, "key", "known_hosts")
        _check_dashboard(self.dashboard)
        _check_folder(self.folder)

    def start(self, stack: contextlib.ExitStack, chunk_seconds: float) -> Any:
        """A scheduler and workers that asyncssh starts, told by files where their certificates lie."""
        need("asyncssh", "a cluster over SSH", "cluster")
        import dask.config
        import distributed  # which only a cluster needs

        # What is not given here, ~/.ssh/config says.
        named = {"port": self.port, "username": self.user, "client_keys": _file(self.key), "known_hosts": _file(self.known_hosts)}
        network = {"interface": self.interface} if self.interface else {}
        security = stack.enter_context(certificates(self.folder)) if self.tls else None
        # What is started takes these over; where it is listening, SSHCluster reads in its log.
        with dask.config.set({"logging.distributed": "info", **({} if security is None else settings_of(security))}):
            return stack.enter_context(
                distributed.SSHCluster(
                    [self.scheduler or self.hosts[0], *self.hosts],
                    connect_options={k: v for k, v in named.items() if v is not None},
                    scheduler_options={
                        "port": 0,
                        "dashboard_address": self.dashboard,
                        "idle_timeout": IDLE,
                        "protocol": "tls://" if self.tls else "tcp://",
                        **network,
                    },
                    worker_options={**self.worker_options, "n_workers": self.workers, "death_timeout": ORPHANED, **network},
                    remote_python=self.python,
                    security=security,
                )
            )


class Slurm(Deployment, frozen=True, kw_only=True):
    """Jobs of SLURM, `jobs` at once, each of `workers` processes; one that reaches its end is followed by
    another until the sweep is done.

    cluster/slurm/slurm.toml says what the fields are.

    >>> Slurm(jobs=4, workers=8, memory="2 GB", walltime="04:00:00", partition="short")
    Slurm(workers=8, memory='2 GB', walltime='04:00:00', jobs=4, partition='short')
    """

    walltime: str
    jobs: int = 1
    gpu: bool = False
    partition: str | None = None
    account: str | None = None
    options: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    python: str | None = None
    interface: str | None = None
    dashboard: str = HERE
    folder: str | None = None

    def check(self) -> None:
        """Raises ValueError or TypeError for a time limit, options and texts that cannot be."""
        if self.memory is None:
            raise ValueError('Slurm.memory is missing: how much each worker may use, as in memory = "2 GB", is what its jobs ask for')
        checked_whole(self.jobs, "jobs")
        checked_truth(self.gpu, "gpu")
        for name, example in (("options", 'options = ["--constraint=avx2"]'), ("prologue", 'prologue = ["module load python"]')):
            msgspec.structs.force_setattr(self, name, _texts(getattr(self, name), name, f"as in {example}"))
        _check_texts(self, "partition", "account", "python", "interface")
        _check_dashboard(self.dashboard)
        _check_folder(self.folder)
        seconds_of(self.walltime)

    @property
    def offers_gpus(self) -> bool:
        """As of every kind: where its jobs ask for one."""
        return self.gpu

    def lifetime(self, chunk_seconds: float) -> tuple[int, int]:
        """(seconds after which a worker leaves by itself, the stagger by which that differs from worker to
        worker), within the time limit.

        The stagger is as long as a chunk, so that workers do not leave all at once. Raises ValueError where
        no time is left to train in.

        >>> Slurm(memory="2 GB", walltime="01:00:00").lifetime(10.0)
        (3500, 10)
        """
        stagger = max(1, math.ceil(chunk_seconds))
        seconds = seconds_of(self.walltime) - LIMIT_SECONDS - LEAVING_SECONDS - stagger
        if seconds < 2 * stagger:
            least = math.ceil((LIMIT_SECONDS + LEAVING_SECONDS + 3 * stagger) / 60)
            raise ValueError(f"walltime={self.walltime!r} leaves no time for chunks of {chunk_seconds:g} s; give at least {least} minutes")
        return seconds, stagger

    def job(self, lifetime: int, stagger: int) -> dict[str, Any]:
        """A job as dask-jobqueue is told of it, whose workers leave after so many seconds; with a GPU it has one process."""
        offers = ["--resources", f"{GPU}=1"] if self.gpu else []
        asked = ["--gres=gpu:1"] if self.gpu and not any(ASKS_GPU.match(option) for option in self.options) else []
        return {
            "job_name": "gdsim", "queue": self.partition, "account": self.account, "walltime": self.walltime, "cores": self.workers * self.threads,
            "processes": 1 if self.gpu else self.workers, "memory": f"{self.workers * _bytes(self.memory)} B", "python": self.python or sys.executable,
            "log_directory": str(user_path(self.folder or ".")), "job_extra_directives": [*asked, *self.options],
            "job_script_prologue": [*exports(SELDOM), *self.prologue],
            "worker_extra_args": ["--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s", *offers],
        }  # fmt: skip

    def start(self, stack: contextlib.ExitStack, chunk_seconds: float) -> Any:
        """A scheduler in this process, and jobs that come back after their lifetimes."""
        lifetime, stagger = self.lifetime(chunk_seconds)
        need("dask_jobqueue", "a cluster of SLURM's jobs", "cluster")
        if shutil.which("sbatch") is None:
            raise ValueError("there is no command sbatch here: start the sweep on a machine that submits jobs to SLURM")
        jobqueue = _jobqueue()
        security = stack.enter_context(certificates(self.folder)) if self.tls else None
        network = {} if self.interface is None else {"interface": self.interface}
        cluster = stack.enter_context(
            jobqueue.SLURMCluster(
                **self.job(lifetime, stagger), protocol="tls://" if self.tls else "tcp://", security=security,
                scheduler_options={"dashboard_address": self.dashboard, **network}, **network,
            )
        )  # fmt: skip
        _check_job(cluster.job_script())
        cluster.adapt(minimum_jobs=self.jobs, maximum_jobs=self.jobs)
        return cluster


def _jobqueue() -> Any:
    """dask-jobqueue (of an extra; its own hints of types contradict its documentation), with Ctrl-C as it was:
    imported, it makes of an interrupt a quiet end of the process.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, interrupt)
    return dask_jobqueue


KINDS: dict[str, type[Deployment]] = {"local": Local, "ssh": Ssh, "slurm": Slurm}


def read_deployment(named: str) -> Deployment:
    """What `KIND:FILE.toml` declares. Raises ValueError, in one line."""
    kind, colon, file = named.partition(":")
    if not colon or not file:
        raise ValueError(f"the cluster must be KIND:FILE.toml, as in slurm:slurm.toml, KIND one of {', '.join(KINDS)}; {given(named)} was given")
    if kind not in KINDS:
        raise ValueError(f"there is no cluster of the kind {kind!r}; {nearest(kind, list(KINDS))}")
    path, table = read_toml(file, "cluster")
    try:
        return KINDS[kind](**table)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


@contextlib.contextmanager
def started(deployment: Deployment, chunk_seconds: float = 10.0) -> Iterator[Any]:
    """The running cluster of a deployment, which is stopped at the end of the block, also by an error or
    Ctrl-C.

    `chunk_seconds` is the sweep's own. Raises ValueError where it can be started by no second try,
    UnfinishedError where it was not started, which may be over after a while.
    """
    with quiet(), seldom(), contextlib.ExitStack() as stack:
        try:
            cluster = deployment.start(stack, chunk_seconds)
        except Exception as error:  # of asyncssh, dask-jobqueue, distributed: each has its own
            what = "" if isinstance(error, (ValueError, UnfinishedError)) else f", of {deployment!r}"
            kind = ValueError if isinstance(error, (ValueError, TypeError)) or _is_mistake(error) else UnfinishedError
            raise kind(f"the cluster was not started: {' '.join(str(error).split()) or type(error).__name__}{what}") from None
        yield cluster


def _is_mistake(error: BaseException) -> bool:
    """Whether no second try would help, as something that was given is wrong."""
    return any(type(e).__name__ in REFUSED or (isinstance(e, socket.gaierror) and e.errno in UNKNOWN) for e in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, and those from which it was raised."""
    while error is not None:
        yield error
        error = error.__cause__


def _check_job(script: str) -> None:
    """Asks SLURM whether it would take a job, so that a partition that does not exist is told at once.

    Raises ValueError, or UnfinishedError where nobody answers.
    """
    done = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "; ".join(re.sub(r"^sbatch: (error|fatal): ", "", line) for line in (done.stderr or done.stdout).strip().splitlines())
        if SILENT.search(said):
            raise UnfinishedError(f"SLURM does not answer: {said}")
        raise ValueError(f"SLURM would not take its jobs: {said}")


def seconds_of(walltime: object) -> int:
    """Seconds of a time limit as SLURM has them: minutes, HH:MM:SS or D-HH:MM:SS.

    >>> seconds_of("90"), seconds_of("01:30:00"), seconds_of("1-00:00:00")
    (5400, 5400, 86400)
    """
    if not isinstance(walltime, str) or not (parts := re.fullmatch(r"(\d+)|(?:(\d+)-)?(\d+):(\d\d):(\d\d)", walltime)):
        raise ValueError(f'walltime must be a time limit such as "04:00:00" or "1-00:00:00"; {given(walltime)} was given')
    minutes, days, hours, past_hour, past_minute = (int(p or 0) for p in parts.groups())
    return minutes * 60 + ((days * 24 + hours) * 60 + past_hour) * 60 + past_minute


def _bytes(memory: object) -> int:
    from dask.utils import parse_bytes  # as above

    try:
        found = int(parse_bytes(memory)) if isinstance(memory, str) else 0
    except ValueError:
        found = 0
    if found < 2**20:
        raise ValueError(f'memory must say how much each worker may use, as in memory = "4 GB"; {given(memory)} was given')
    return found


def _check_share(share: int, what: str) -> None:
    if share < WORKER_BYTES:
        raise ValueError(f"{what}: each may have {size_of(share)}, and a worker takes {size_of(WORKER_BYTES)} before it trains anything")


def _texts(values: object, name: str, example: str) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) and v.strip() for v in values):
        raise TypeError(f"{name} must be a list of texts, {example}; {given(values)} was given")
    return tuple(values)


def _check_texts(deployment: Deployment, *names: str) -> None:
    for name in names:
        if (value := getattr(deployment, name)) is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a text; {given(value)} was given")


def _check_files(deployment: Deployment, *names: str) -> None:
    for name in names:
        if (value := getattr(deployment, name)) is not None and not user_path(value, name).is_file():
            raise ValueError(f"{name}: there is no file {value!r}")


def _file(name: str | None) -> str | None:
    return None if name is None else str(user_path(name))


def _check_dashboard(address: object) -> None:
    if not isinstance(address, str) or not re.fullmatch(r"[^\s:/]*:\d{1,5}", address) or int(address.rpartition(":")[2]) >= 2**16:
        raise ValueError(f'dashboard must be HOST:PORT, as in "127.0.0.1:8787", or ":8787" for all networks; {given(address)} was given')


def _check_folder(folder: str | None) -> None:
    if folder is not None and not user_path(folder, "folder").is_dir():
        raise ValueError(f"folder: there is no folder {folder!r}; it is one that all machines see, the current one if not given")
