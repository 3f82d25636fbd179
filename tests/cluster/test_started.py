"""Clusters that a sweep starts itself: the shards of threads, TLS, and nothing that is left, however the sweep ends."""

import os
import pathlib
import signal

import pytest

from gdsim.sweep.deployment import Local, started
from tests.faults.machinery import EXPERIMENT, finished, gdsim, shards, wait_until

pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")]
CUT = ("--chunk-seconds", 0.1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder of an experiment, the shards of threads)."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "experiment.toml").write_text(EXPERIMENT.format(starts=3000))
    code, said = finished(gdsim("run", "experiment.toml", "--out", "threads", *CUT, cwd=folder))
    assert code == 0, said
    return folder, shards(folder / "threads")


def left_in(folder):
    """The processes that work in a folder, and the certificates that lie there."""
    inside = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            if int(process.name) != os.getpid() and str(folder).encode() in words + bytes((process / "cwd").readlink()):
                inside.append(words)
        except OSError:
            continue
    return [*inside, *folder.glob(".gdsim-tls-*")]


def run(kind, text, folder, out):
    """A sweep on a cluster that it starts."""
    (folder / "cluster.toml").write_text(text)
    return gdsim("run", "experiment.toml", "--out", out, *CUT, "--cluster", f"{kind}:cluster.toml", cwd=folder)


def ssh_file(sshd):
    """A file of the kind ssh for the server that a test has started."""
    folder, here = sshd.folder, 'hosts = ["127.0.0.1"]\ninterface = "lo"\nworkers = 2\n'
    return f'{here}port = {sshd.port}\nkey = "{folder}/user"\nknown_hosts = "{folder}/known"\n'


@pytest.fixture(params=["local", "ssh"])
def kind_and_text(request):
    """Each kind of cluster that needs no batch system, and its file."""
    if request.param == "local":
        pytest.importorskip("cryptography", reason="cryptography is not installed: pip install -e '.[cluster]'")
        return "local", "workers = 2\n"
    return "ssh", ssh_file(request.getfixturevalue("sshd"))


def test_the_shards_are_those_of_threads(kind_and_text, whole):
    folder, expected = whole
    kind, text = kind_and_text
    code, said = finished(run(kind, text, folder, kind))
    assert code == 0, said
    assert shards(folder / kind) == expected
    assert left_in(folder) == []


def test_an_interrupt_leaves_nothing_behind_and_the_command_goes_on(kind_and_text, whole):
    folder, expected = whole
    kind, text = kind_and_text
    out = folder / f"{kind}-interrupted"
    going = run(kind, text, folder, out)
    wait_until(lambda: (out / "shards").is_dir() and any(n.suffix == ".parquet" for n in (out / "shards").iterdir()))
    going.send_signal(signal.SIGINT)
    code, said = finished(going)
    assert code == 130, said
    wait_until(lambda: left_in(folder) == [])
    assert set(shards(out)) < set(expected)
    assert finished(run(kind, text, folder, out))[0] == 0
    assert shards(out) == expected


def test_an_error_stops_the_cluster():
    """And the scheduler speaks TLS alone."""
    pytest.importorskip("cryptography", reason="cryptography is not installed: pip install -e '.[cluster]'")
    with pytest.raises(ZeroDivisionError), started(Local(workers=1)) as cluster:  # noqa: PT012
        assert cluster.scheduler_address.startswith("tls://")
        assert cluster.security.require_encryption
        1 / 0  # noqa: B018
    assert cluster.status.name == "closed"


@pytest.mark.parametrize(("line", "why"), [('key = "{folder}/host"\n', "Permission denied"), ('python = "/no/python"\n', "Worker failed to start")])
def test_ssh_that_fails_is_one_line(line, why, sshd, whole):
    folder, _ = whole
    name = line.split(" = ")[0]
    kept = "".join(text + "\n" for text in ssh_file(sshd).splitlines() if not text.startswith(f"{name} "))
    code, said = finished(run("ssh", kept + line.format(folder=sshd.folder), folder, "none"))
    assert code == 2
    assert "Error: the cluster was not started: " in said
    assert why in said
    assert "Traceback" not in said
    wait_until(lambda: left_in(folder) == [])
