"""Cables that are pulled, and clients without a certificate."""

import contextlib
import os
import random
import shutil
import subprocess
import time

import pytest

from tests.faults.machinery import Cluster, finished, gdsim, shards, wait_until


def ip(*arguments):
    """A command of iproute2."""
    subprocess.run(["ip", *map(str, arguments)], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts():
    """(names, address of the first, the device that joins them) of two hosts with a cable between them:
    network namespaces.
    """
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need the command ip of iproute2")
    number = os.getpid() % 30000
    names = [f"gdsim{number}a", f"gdsim{number}b"]
    devices = [f"gd{number}a", f"gd{number}b"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", devices[0], "type", "veth", "peer", "name", devices[1])
        for name, device, last in zip(names, devices, (1, 2), strict=True):
            ip("link", "set", device, "netns", name)
            ip("-n", name, "addr", "add", f"10.213.7.{last}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        remove(names)
        pytest.skip(f"no network namespaces can be made here: {error.stderr.strip()}")
    yield names, "10.213.7.1", devices[0]
    remove(names)


def remove(names):
    """Takes the hosts away, and with them what joins them."""
    for name in names:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "del", name)


@pytest.mark.slow
def test_the_network_is_cut(undisturbed, hosts, large, tmp_path, told):
    """Between scheduler and workers, for five seconds; and then for good, while another host's worker goes
    on.
    """
    names, address, device = hosts
    settings = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "8s"}
    cuts, number = 5 if large else 1, 0
    for number in range(cuts):
        out = tmp_path / str(number)
        with Cluster(tmp_path, address=address, hosts=[names[0], names[1], names[1]], settings=settings) as cluster:
            process = gdsim(*undisturbed.command(out, "--scheduler", cluster.address), host=names[0])
            wait_until(lambda out=out: len(list(out.glob("shards/*.parquet"))) > 3)
            ip("-n", names[0], "link", "set", device, "down")
            time.sleep(5.0)
            ip("-n", names[0], "link", "set", device, "up")
            time.sleep(random.uniform(0.0, 3.0))
            if process.poll() is None:
                ip("-n", names[0], "link", "set", device, "down")
                cluster.hosts[2] = names[0]
                cluster.workers.append(cluster.workers[1])
                cluster.start_worker(1)
            code, said = finished(process)
            assert code == 0, said
            assert shards(out) == undisturbed.shards
        ip("-n", names[0], "link", "set", device, "up")
    told("network cut between scheduler and workers", **{"cuts of 5 s": cuts, "for good": cuts})


def openssl(*arguments, folder):
    """A command of OpenSSL."""
    subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path):
    """The options of an authority's certificate, and of one that it has signed; in files ca.pem, cert.pem and
    key.pem.
    """
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with the command openssl")
    for name in ("ca", "other"):
        openssl(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            2,
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{name}-key.pem",
            "-out",
            f"{name}.pem",
            folder=tmp_path,
        )
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=gdsim", "-keyout", "key.pem", "-out", "request.pem", folder=tmp_path)
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", 2, "-out", "cert.pem", folder=tmp_path)
    return tmp_path


@pytest.mark.full
def test_tls_lets_in_those_with_a_certificate_alone(small, certificates):
    security = [f"--tls-{kind}={certificates / name}.pem" for kind, name in (("ca-file", "ca"), ("cert", "cert"), ("key", "key"))]
    out = certificates / "out"
    impatient = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}
    own = ["--tls-ca", certificates / "ca.pem", "--tls-cert", certificates / "cert.pem", "--tls-key", certificates / "key.pem"]
    strange = ["--tls-ca", certificates / "ca.pem", "--tls-cert", certificates / "other.pem", "--tls-key", certificates / "other-key.pem"]
    with Cluster(certificates, workers=1, security=security) as cluster:
        plain = cluster.address.replace("tls", "tcp")  # no certificate can be for it; one that is none of this authority's may be by then
        for address, options, expected in ((cluster.address, [], 2), (cluster.address, strange, 3), (plain, [], 3)):
            code, said = finished(gdsim(*small.command(out, "--scheduler", address, *options), env=impatient))
            assert code == expected, said
            assert ("no scheduler answers" if code == 3 else "takes certificates") in said
            assert "Traceback" not in said
            assert not out.exists()
        code, said = finished(gdsim(*small.command(out, "--scheduler", cluster.address, *own), env=impatient))
    assert code == 0, said
    assert shards(out) == small.shards
