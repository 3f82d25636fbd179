"""A server of S3 on this machine, and a sweep whose results it takes."""

import os

import pytest

import gdsim as gd
from tests import helpers
from tests.faults.s3 import CHUNKS

REASON = "needs a server of S3: pip install -e '.[test]'"


SURROUNDINGS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="package")
def server():
    """A server of S3, to which the surroundings point."""
    pytest.importorskip("s3fs", reason=REASON)
    pytest.importorskip("moto", reason=REASON)
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    with pytest.MonkeyPatch.context() as surroundings:
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            surroundings.delenv(name)
        for name, value in {**SURROUNDINGS, "AWS_ENDPOINT_URL": "http://{}:{}".format(*running.get_host_and_port())}.items():
            surroundings.setenv(name, value)
        yield running
    running.stop()


@pytest.fixture(scope="package")
def s3(server):
    """boto's client, which sees what gdsim has put there."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="tests")
    return client


@pytest.fixture(autouse=True)
def commands_here(monkeypatch):
    """Commands run in this process, which spares imports; where one has nothing but the address, the test
    starts it.
    """
    monkeypatch.setattr(helpers, "APART", False)


@pytest.fixture
def url(s3, request):
    """A folder of a test's own."""
    return f"s3://tests/{request.node.name}"


@pytest.fixture(scope="module")
def sweep():
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam()], starts=40, steps=200)


@pytest.fixture(scope="module")
def whole(sweep, tmp_path_factory):
    """The folder that the sweep leaves in a directory."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    sweep.run(out=folder, **CHUNKS)
    return folder


@pytest.fixture
def anew(s3):
    """s3fs looks at the surroundings once, unless it is told; `anew()` tells it."""
    import s3fs

    yield s3fs.S3FileSystem.clear_instance_cache
    s3fs.S3FileSystem.clear_instance_cache()
