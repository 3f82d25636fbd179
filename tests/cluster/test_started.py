"""Clusters that a sweep starts itself: the shards of threads, TLS, and nothing that is left, however the
sweep ends.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import threading

import distributed
import pytest

import gdsim as gd
from gdsim.sweep.cluster.deployment import Local, Ssh, started
from gdsim.sweep.execution.executor import UnfinishedError
from tests.cluster.conftest import CUT
from tests.faults.machinery import finished, free_port, gdsim, python, shards, wait_until

pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")]


def left_in(folder, sshd=None):
    """The processes that work in a folder, or were started by a server of SSH, and the certificates that lie
    there.
    """
    inside, mark = [], f"GDSIM_STARTED_BY={sshd.folder}" if sshd else str(folder)
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + bytes((process / "cwd").readlink()) + (process / "environ").read_bytes()
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(folder).encode() in said or mark.encode() in said):
            inside.append((process.name, said))
    return [*inside, *folder.glob(".gdsim-tls-*")]


def run(kind, text, folder, out):
    """A sweep on a cluster that it starts."""
    (folder / "cluster.toml").write_text(text)
    return gdsim("run", "experiment.toml", "--out", out, *CUT, "--cluster", f"{kind}:cluster.toml", cwd=folder)


def ssh_file(sshd):
    """A file of the kind ssh for the server that a test has started."""
    folder, here = sshd.folder, 'hosts = ["127.0.0.1", "127.0.0.1"]\ninterface = "lo"\nworkers = 1\n'
    return f'{here}port = {sshd.port}\nkey = "{folder}/user"\nknown_hosts = "{folder}/known"\n'


def text_of(kind, request):
    """The file of a kind of cluster that needs no batch system."""
    if kind == "ssh":
        return ssh_file(request.getfixturevalue("sshd"))
    pytest.importorskip("cryptography", reason="cryptography is not installed: pip install -e '.[cluster]'")
    return "workers = 2\n"


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_the_shards_are_those_of_threads(kind, small, request):
    folder, expected = small
    code, said = finished(run(kind, text_of(kind, request), folder, kind))
    assert code == 0, said
    assert shards(folder / kind) == expected
    wait_until(lambda: left_in(folder, kind == "ssh" and request.getfixturevalue("sshd")) == [])


@pytest.mark.parametrize("kind", [pytest.param("local", marks=pytest.mark.slow), "ssh"])
def test_an_interrupt_leaves_nothing_behind(kind, small, request):
    folder, expected = small
    out = folder / f"{kind}-interrupted"
    going = run(kind, text_of(kind, request), folder, out)
    wait_until(lambda: (out / "shards").is_dir() and any(n.suffix == ".parquet" for n in (out / "shards").iterdir()))
    going.send_signal(signal.SIGINT)
    code, said = finished(going)
    assert code == 130, said
    wait_until(lambda: left_in(folder, kind == "ssh" and request.getfixturevalue("sshd")) == [])
    assert set(shards(out)) <= set(expected)
    counted = int(re.search(r"at least ([\d,]+) of 6,000 runs are kept", said)[1].replace(",", ""))
    assert 0 < counted <= gd.open(out).attrs["finished_runs"]  # where workers over SSH end after the driver has looked


def test_an_error_stops_a_cluster_that_python_has_started(tmp_path):
    """And its scheduler speaks TLS alone."""
    pytest.importorskip("cryptography", reason="cryptography is not installed: pip install -e '.[cluster]'")
    sweep = gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.SGD(lr=1e-3), starts=3, steps=4)
    with pytest.raises(ZeroDivisionError), started(Local(workers=1)) as cluster:  # noqa: PT012
        assert cluster.scheduler_address.startswith("tls://")
        assert cluster.security.require_encryption
        assert sweep.run(out=tmp_path / "out", client=cluster).load().identical(sweep.run(out=tmp_path / "threads").load())
        1 / 0  # noqa: B018
    assert cluster.status.name == "closed"


def _blocked():
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_interrupt_while_workers_start_is_the_drivers_alone_and_is_heard(monkeypatch):
    pressed = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), contextlib.ExitStack() as stack:  # noqa: PT012
        pressed.start()
        cluster = Local(workers=1).start(stack, 10.0)
        pressed.join()
    assert _blocked() == set()
    monkeypatch.setenv("OF_A_TEST", "set since")
    with started(Local(workers=1)) as cluster, distributed.Client(cluster) as client:
        assert list(client.run(os.getenv, "OF_A_TEST").values()) == ["set since"]  # though the process that forks workers began before
        assert list(client.run(_blocked).values()) == [{signal.SIGINT}]  # their group's signal cannot end them with a traceback
        client.restart()
        assert list(client.run(_blocked).values()) == [{signal.SIGINT}]
    assert cluster.status.name == "closed"


@pytest.mark.slow
def test_ssh_outlives_no_driver(sshd, tmp_path):
    """One that is killed takes nothing with it; what it has started ends when it has been idle, here for
    seconds.
    """
    made = ssh_file(sshd) + f'folder = "{tmp_path}"\n'
    (tmp_path / "ssh.toml").write_text(made)
    script = f"""
import os
from gdsim.sweep.cluster import deployment
deployment.IDLE = "5 s"
with deployment.started(deployment.read_deployment("ssh:{tmp_path}/ssh.toml")):
    os.kill(os.getpid(), 9)
"""
    assert finished(python("-c", script))[0] == -9
    started_by = lambda: [p for p in left_in(tmp_path, sshd) if isinstance(p, tuple)]  # noqa: E731
    assert started_by() != []
    wait_until(lambda: started_by() == [], every=0.5)


def test_ssh_that_fails_is_one_line(sshd, tmp_path):
    """And leaves nothing, of those hosts either that could be reached."""
    named = {"hosts": ("127.0.0.1",), "known_hosts": str(sshd.folder / "known"), "folder": str(tmp_path), "interface": "lo"}
    mistaken, silent = ValueError, UnfinishedError
    for key, remote, port, kind, why in [
        ("host", None, sshd.port, mistaken, "Permission denied"),
        ("user", "/no/python", sshd.port, silent, "Worker failed to start"),
        ("user", None, free_port(), silent, "Connect call failed"),
    ]:
        made = Ssh(**named, port=port, key=str(sshd.folder / key), python=remote)
        with pytest.raises(kind, match=f"^the cluster was not started: [^\n]*{why}[^\n]*$"), started(made):
            pass
        wait_until(lambda: left_in(tmp_path, sshd) == [])


@pytest.mark.parametrize(("answer", "kind"), [(socket.EAI_NONAME, ValueError), (socket.EAI_AGAIN, UnfinishedError)])
def test_a_host_that_does_not_exist_is_a_mistake_and_a_silent_name_server_is_none(answer, kind, tmp_path, monkeypatch):
    pytest.importorskip("asyncssh", reason="asyncssh is not installed: pip install -e '.[cluster]'")
    ask = socket.getaddrinfo

    def asked(host, *rest, **more):
        if host == "nowhere":
            raise socket.gaierror(answer, "no address")
        return ask(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    refusal = r"^the cluster was not started: [^\n]*no address, of Ssh\(hosts=\['nowhere'\][^\n]*$"
    with pytest.raises(kind, match=refusal), started(Ssh(hosts=["nowhere"], folder=str(tmp_path), interface="lo")):
        pass
    assert not any(tmp_path.iterdir())
