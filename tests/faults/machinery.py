"""Processes that tests start and kill, and the experiment that they run."""

import concurrent.futures
import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from unittest import mock

from gdsim.store.folder import Store
from gdsim.sweep.folder import admission

GUARD = 600  # seconds after which a process counts as hanging; no measurement

EXPERIMENT = """
starts = {starts}
steps = 50000
init = {{ type = "uniform", low = -2, high = 2 }}

[problem]
type = "rosenbrock"

[record]
every = "ends"

[[optimizer]]
type = "momentum"
lr = [0.0001, 0.001]
"""

MORE = """
[[optimizer]]
type = "adam"
lr = [0.01, 0.1]
"""


def python(*arguments, host=None, **options):
    """A process of this Python, on a host that is a network namespace if one is named."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    inside = ["ip", "netns", "exec", host] if host else []
    return subprocess.Popen([*inside, sys.executable, *map(str, arguments)], **settings)


def gdsim(*arguments, **options):
    """A `gdsim` command."""
    return python("-m", "gdsim.cli", *arguments, **options)


def finished(process):
    """(exit code, all that it printed) of a process that ends by itself."""
    out, errors = process.communicate(timeout=GUARD)
    return process.returncode, (out or "") + (errors or "")


def shards(folder):
    """The bytes of everything in a folder's shards, by name."""
    return {p.name: p.read_bytes() for p in (pathlib.Path(folder) / "shards").iterdir()}


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def kill_group(process, how=signal.SIGKILL):
    """Ends a process with all its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    process.wait(timeout=GUARD)


class Cluster:
    """A scheduler and workers of one thread, each process killable; workers that die are started again."""

    def __init__(self, folder, workers=2, settings=None, address="127.0.0.1", hosts=None, security=()):
        self.folder, self.settings = pathlib.Path(folder), {**os.environ, **(settings or {})}
        self.host, self.port, self.security = address, free_port(), security
        self.address = f"{'tls' if security else 'tcp'}://{address}:{self.port}"
        self.hosts = hosts or [None] * (workers + 1)  # of the scheduler, and of each worker
        self.scheduler = None
        self.workers = [None] * workers

    def __enter__(self):
        self.start_scheduler()
        for place in range(len(self.workers)):
            self.start_worker(place)
        return self

    def __exit__(self, *_):
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
                kill_group(process)

    def _start(self, command, host, *arguments):
        with open(self.folder / "cluster.log", "a") as log:
            options = {"env": self.settings, "stdout": log, "stderr": log, "start_new_session": True}
            return python("-m", f"distributed.cli.{command}", *arguments, *self.security, "--no-dashboard", host=host, **options)

    def start_scheduler(self):
        """Starts the scheduler, at the port where it was before."""
        self.scheduler = self._start("dask_scheduler", self.hosts[0], "--host", self.address.rsplit(":", 1)[0], "--port", self.port)
        wait_until(self.answers)

    def answers(self):
        """Whether the scheduler listens."""
        knock = f"import socket; socket.create_connection(({self.host!r}, {self.port}), timeout=1)"
        return finished(python("-c", knock, host=self.hosts[0]))[0] == 0

    def start_worker(self, place):
        """Starts a worker."""
        options = ["--nthreads", 1, "--no-nanny", "--local-directory", self.folder, "--death-timeout", 60]
        self.workers[place] = self._start("dask_worker", self.hosts[place + 1], self.address, *options)

    def kill_worker(self):
        """SIGKILL of some worker, and another in its place."""
        place = random.randrange(len(self.workers))
        kill_group(self.workers[place])
        self.start_worker(place)

    def kill_scheduler(self):
        """SIGKILL of the scheduler."""
        kill_group(self.scheduler)

    def restart(self):
        """A new scheduler at the old address, and new workers."""
        for worker in self.workers:
            kill_group(worker)
        self.start_scheduler()
        for place in range(len(self.workers)):
            self.start_worker(place)


def wait_until(holds, every=0.05):
    """Waits until something holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < GUARD, "waited in vain"
        time.sleep(every)


def created_at_once(folder, sweeps):
    """The sweeps that were taken into a folder, of several that each find it empty at the same moment."""
    empty, taken = threading.Barrier(len(sweeps)), []

    def late(store, sweep, check=admission.check, **ways):
        found = check(store, sweep, **ways)
        if found is None:
            empty.wait(timeout=60)
        return found

    def create(sweep):
        with contextlib.suppress(ValueError):
            admission.create(Store(folder), sweep)
            taken.append(sweep)

    with mock.patch.object(admission, "check", late), concurrent.futures.ThreadPoolExecutor(len(sweeps)) as pool:
        list(pool.map(create, sweeps))
    return taken
