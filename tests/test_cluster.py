"""Sweeps on a Dask cluster: the same shards as on threads, and what is said and kept when chunks fail or
workers differ.
"""

import collections
import errno
import re
import sys
import urllib.request

import dask
import numpy as np
import pytest

import gdsim as gd
from gdsim.canonical import digest
from gdsim.questions import ask
from gdsim.store.places import UnreachableError
from gdsim.sweep.cluster import client as on_client, driver as on_cluster, worker as on_workers
from gdsim.sweep.cluster.client import connected, dashboard_of
from gdsim.sweep.cluster.deployment import Local
from gdsim.sweep.execution import places
from gdsim.sweep.execution.executor import FailingError, UnfinishedError
from gdsim.sweep.survey import survey
from gdsim.sweep.sweep import read_experiment
from tests.faults.machinery import shards
from tests.helpers import gdsim
from tests.squares import question
from tests.test_compile_errors import EXPERIMENT, MODULE

CUT = {"chunk_seconds": 1e-4}
# Dask leaves sockets to the garbage collector when its clusters start and end.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def sweep():
    moons = gd.MLP(gd.datasets.load("moons", validation=0.2), hidden=gd.grid([4], [3, 3]), activation="tanh")
    return gd.Sweep(problem=moons, optimizer=gd.SGD(lr=[0.01, 0.1, 1e12]), starts=8, steps=20, batch=32)


@pytest.fixture(scope="module")
def whole(sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "out"
    sweep.run(out=folder, **CUT)
    assert len(shards(folder)) > 5
    return folder


@pytest.fixture(scope="module")
def client():
    with connected(deployment=Local(workers=2, tls=False)) as client:  # whose address is enough
        client.wait_for_workers(2)
        yield client


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_a_worker_begins_with_what_it_needs(client):
    assert set(client.run(eval, "{'numba', 'gdsim.sweep.cluster.worker'} <= set(__import__('sys').modules)").values()) == {True}


def test_a_cluster_gives_the_pieces_of_threads(client, tmp_path):
    def pieces(folder):
        return sorted(path.name for path in (tmp_path / folder / "pieces").iterdir())

    for operations in (4e10, 1e9):  # two items a piece, or all
        here = ask(question(operations=operations), out=tmp_path / f"here {operations}")
        there = ask(question(operations=operations), out=tmp_path / f"there {operations}", client=client)
        assert here.identical(there)
        np.testing.assert_array_equal(there.square, np.arange(10.0) ** 2)
        assert pieces(f"here {operations}") == pieces(f"there {operations}")
    with pytest.raises(FailingError, match="no such square"):
        ask(question(fails=[2]), out=tmp_path / "fails", client=client)


def test_a_cluster_gives_the_shards_of_threads(sweep, whole, client, tmp_path, monkeypatch):
    states, hashed = [], []
    monkeypatch.setattr(on_cluster, "digest", lambda value: hashed.append(value) or digest(value))
    result = sweep.run(out=tmp_path / "out", client=client, progress=states.append, **CUT)
    assert set(client.run(eval, "'pandas' in __import__('sys').modules").values()) == {False}  # which no worker needs, and takes a sixth of a second to import
    assert len(hashed) == 1  # and not for every task
    assert shards(tmp_path / "out") == shards(whole)
    assert result.load().identical(gd.open(whole).load())
    assert states[-1].runs_done == sweep.plan().runs
    names = {c.name for c in sweep.plan(**CUT).chunks}
    assert not names & {str(key)[:32] for key in client.futures}


def test_a_scheduler_shows_what_is_trained(sweep, whole, client, tmp_path):
    """By the names of tasks, in one span for each call, and in numbers for Prometheus."""
    parser = pytest.importorskip("prometheus_client.parser", reason="install prometheus-client to test /metrics")
    result = sweep.run(out=tmp_path / "seen", client=client, **CUT)
    sweep.run(out=tmp_path / "seen in part", client=client, part=(1, 2), **CUT)
    scheduler = client.cluster.scheduler
    names = {name.replace("\N{NON-BREAKING HYPHEN}", "-") for name in scheduler.task_prefixes}
    assert {"SGD 2-4-2 · chunk", "SGD 2-3-3-2 · chunk"} <= names
    spans = scheduler.extensions["spans"].spans_search_by_name
    assert [len(spans[(f"gdsim {name}",)]) for name in ("seen", "seen in part")] == [1, 1]
    with urllib.request.urlopen(client.dashboard_link.replace("/status", "/metrics")) as page:
        families = list(parser.text_string_to_metric_families(page.read().decode()))
    found = {(s.name, s.labels.get("status")): s.value for f in families for s in f.samples if s.labels.get("folder") == str(tmp_path / "seen")}
    assert {found[key] for key in found if key[0] == "gdsim_run_steps_total"} == {int(result.steps_taken.sum())}
    ended = {status: value for (name, status), value in found.items() if name == "gdsim_runs_ended_total" and value}
    assert ended == dict(collections.Counter(result.status.values.tolist()))
    assert found["gdsim_chunks_done", None] == len(shards(whole))
    assert found["gdsim_chunks_missing", None] == 0
    assert found["gdsim_run_steps_per_second", None] == 0  # it has ended
    part = {s.name: s.value for f in families for s in f.samples if s.labels.get("folder") == str(tmp_path / "seen in part")}
    assert part["gdsim_chunks_done"] == len(shards(tmp_path / "seen in part"))


COMPILED = "__import__('gdsim.lanes.compiler').lanes.compiler.compilations"


@pytest.mark.full
def test_workers_compile_nothing_after_compile_for_workers(client, tmp_path):
    (tmp_path / "e.toml").write_text("starts = 9\nsteps = 50\nproblem = {type = 'beale'}\noptimizer = [{type = 'rmsprop'}, {type = 'rprop'}]\n")
    code, out, errors = gdsim("compile", "e.toml", "--for-workers", "--chunk-seconds", 1e-6, folder=tmp_path)
    assert code == 0, out + errors
    before = client.run(eval, COMPILED)
    read_experiment(tmp_path / "e.toml").run(out=tmp_path / "out", client=client, chunk_seconds=1e-6)
    assert {w: len(made) for w, made in client.run(eval, COMPILED).items()} == {w: len(made) for w, made in before.items()}


def test_the_dashboards_address_is_told_where_there_is_one(client, monkeypatch):
    monkeypatch.setattr(client, "run_on_scheduler", lambda function, package: "3.4")
    address = dashboard_of(client)
    assert address is not None
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/status", address)
    monkeypatch.undo()
    monkeypatch.setattr(client, "run_on_scheduler", lambda function, package: function("no-such-package-of-a-test"))
    assert dashboard_of(client) is None


def test_a_scheduler_that_cannot_read_tasks_is_refused(sweep, client, tmp_path, monkeypatch):
    def lacking(*_):
        raise ModuleNotFoundError("No module named 'gdsim'")

    monkeypatch.setattr(client, "run_on_scheduler", lacking)
    with pytest.raises(ValueError, match=r"No module named 'gdsim'.*: start it where gdsim is installed"):
        sweep.run(out=tmp_path / "out", client=client)
    assert shards(tmp_path / "out") == {}


def test_a_cluster_needs_a_folder(sweep, client):
    with pytest.raises(ValueError, match="give out="):
        sweep.run(client=client)
    with pytest.raises(ValueError, match="give one of them"):
        sweep.run(client=client, out="nowhere", threads=2)


def break_chunks(first_start):
    """Makes a worker fail at chunks that begin with a start."""
    held = on_workers._trained

    def broken(plan, chunks, *rest):
        if any(chunk.first_start == first_start for chunk in chunks):
            raise ArithmeticError("the sum does not add up")
        return held(plan, chunks, *rest)

    broken.held = held
    on_workers._trained = broken


def mend_chunks():
    """Undoes it."""
    on_workers._trained = on_workers._trained.held


@pytest.mark.full
def test_chunks_that_fail_on_workers_are_set_aside(sweep, whole, client, tmp_path):
    out = tmp_path / "out"
    first = max(c.first_start for c in sweep.plan(**CUT).chunks)
    client.run(break_chunks, first)
    try:
        with pytest.raises(UnfinishedError, match=r"2 of \d+ chunks failed 2 times each.*ArithmeticError: the sum does not add up"):
            sweep.run(out=out, client=client, attempts=2, **CUT)
    finally:
        client.run(mend_chunks)
    found = survey(out)
    assert len(found.failed_chunks) == 2
    assert "in broken" in (out / "failed" / f"{found.failed_chunks[0]}.txt").read_text()
    assert len(shards(out)) == len(shards(whole)) - 2
    sweep.run(out=out, client=client, **CUT)
    assert shards(out) == shards(whole)
    assert survey(out).failed_chunks == []


def lose_folder():
    """Makes a worker's first look at the folder fail, as one at a bucket that cannot be reached for a
    moment.
    """
    held = on_workers.Store.experiment

    def lost(store):
        on_workers.Store.experiment = held
        raise UnreachableError(errno.EIO, "the bucket cannot be reached")

    on_workers.Store.experiment = lost


@pytest.mark.full
def test_workers_look_again_at_a_folder_that_was_out_of_reach(sweep, whole, client, tmp_path):
    client.run(lose_folder)
    sweep.run(out=tmp_path / "out", client=client, **CUT)
    assert shards(tmp_path / "out") == shards(whole)


@pytest.mark.full
def test_short_chunks_travel_together_and_fail_alone(client, tmp_path, monkeypatch):
    """As one task, once it is known that they are short; of the failing one's task all others are
    finished.
    """
    sent = []
    monkeypatch.setattr(on_cluster, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(client, "submit", lambda function, *given, **options: sent.append(len(given[2])) or submit(function, *given, **options))
    submit = type(client).submit.__get__(client)
    sweep = gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.SGD(lr=1e-3), init=gd.Uniform(low=-2, high=2), starts=400, steps=10)
    trivial = {"chunk_seconds": 1e-9}
    client.run(break_chunks, 300)
    try:
        with pytest.raises(UnfinishedError, match="1 of 400 chunks failed 2 times each"):
            sweep.run(out=tmp_path / "out", client=client, attempts=2, **trivial)
    finally:
        client.run(mend_chunks)
    assert max(sent) > 4
    assert len(shards(tmp_path / "out")) == 399
    assert sweep.run(out=tmp_path / "out", client=client, **trivial).load().identical(sweep.run(out=tmp_path / "threads", **trivial).load())
    assert shards(tmp_path / "out") == shards(tmp_path / "threads")


def test_chunks_that_fail_on_threads_are_set_aside(sweep, whole, monkeypatch, tmp_path):
    """And tried as often as is asked for; in memory what is raised is raised."""
    tried = []

    def broken(setting, batch, *rest):
        if batch.start[0] >= 6:
            tried.append(batch.start[0])
            raise ArithmeticError("the sum does not add up")
        return train(setting, batch, *rest)

    train = places.train_batch
    monkeypatch.setattr(places, "train_batch", broken)
    with pytest.raises(UnfinishedError, match="failed 3 times each"):
        sweep.run(out=tmp_path / "out", threads=1, **CUT)
    failed = survey(tmp_path / "out").failed_chunks
    assert len(tried) == 3 * len(failed)
    with pytest.raises(ArithmeticError):
        sweep.run(threads=1, **CUT)
    monkeypatch.setattr(places, "train_batch", train)
    sweep.run(out=tmp_path / "out", **CUT)
    assert shards(tmp_path / "out") == shards(whole)


def pretend(version):
    """Makes a worker believe that it has another NumPy."""
    held = getattr(on_workers.versions, "held", on_workers.versions)
    others = lambda: {**held(), "numpy": version}  # noqa: E731
    others.held = held
    on_workers.versions = others if version else held


@pytest.mark.full
def test_workers_with_other_versions_are_refused(sweep, client, tmp_path):
    client.run(pretend, "1.0")
    try:
        with pytest.raises(ValueError, match=r"2 workers cannot give the same bits as this process: tcp://.*: numpy 1.0 there and .* here"):
            sweep.run(out=tmp_path / "out", client=client)
    finally:
        client.run(pretend, None)


MINE = """
def bowl(x):
    return 0.5 * (x[0] * x[0] + 4.0 * x[1] * x[1]), (x[0], 4.0 * x[1])
"""
FILE = """
starts = 6
steps = 30
[problem]
type = "own"
function = "bowls:bowl"
dim = 2
[optimizer]
type = "sgd"
lr = [0.1, 0.2]
"""


@pytest.mark.full
def test_a_function_of_ones_own_goes_to_workers_and_is_known_by_its_source(client, tmp_path, monkeypatch):
    """Its module lies beside the experiment; once it is edited, its results stand for themselves."""
    import sys

    (tmp_path / "bowls.py").write_text(MINE)
    (tmp_path / "mine.toml").write_text(FILE)
    result = gd.read_experiment(tmp_path / "mine.toml").run(out=tmp_path / "out", client=client).load()
    assert result.identical(gd.read_experiment(tmp_path / "mine.toml").run(out=tmp_path / "threads").load())
    (tmp_path / "bowls.py").write_text(MINE.replace("4.0", "5.0"))
    monkeypatch.delitem(sys.modules, "bowls")
    from gdsim.lanes.frozen import file_hash

    file_hash.cache_clear()
    edited = gd.read_experiment(tmp_path / "mine.toml")
    with pytest.raises(ValueError, match="made with another source of bowls:bowl, which has been edited since"):
        edited.run(out=tmp_path / "out")
    opened = gd.open(tmp_path / "out")  # results can be read all the same
    assert opened.load().identical(result)
    with pytest.raises(ValueError, match="source of bowls:bowl has been edited since"):
        gd.continue_from(opened, steps=3)


BOOTH = {"problem": gd.functions.Booth(), "optimizer": gd.SGD(lr=[0.001, 0.01]), "starts": 4, "steps": 5}


@pytest.mark.parametrize("what", ["address", "cluster"])
def test_an_address_or_a_cluster_is_a_client(client, tmp_path, what):
    given = client.scheduler.address if what == "address" else client.cluster
    result = gd.Sweep(**BOOTH).run(out=tmp_path / "out", client=given, progress=False)
    assert result.load().identical(gd.Sweep(**BOOTH).run(out=tmp_path / "threads").load())
    assert client.status == "running"


def test_clients_that_cannot_be(client, tmp_path):
    from distributed import Client

    async def waiting():
        async with Client(client.scheduler.address, asynchronous=True) as other:
            with pytest.raises(ValueError, match="client is asynchronous, and a sweep waits"):
                gd.Sweep(**BOOTH).run(out=tmp_path / "out", client=other)

    client.sync(waiting)
    for wrong in (3, [client], object()):
        with pytest.raises(TypeError, match=r"client must be a distributed\.Client"):
            gd.Sweep(**BOOTH).run(out=tmp_path / "out", client=wrong)
    assert not (tmp_path / "out").exists()


def test_a_host_without_an_address_is_told(tmp_path, monkeypatch):
    """It is out of reach, as a machine that has not come yet is; the words say which of the two to look
    for.
    """

    def unknown(*_, **__):
        raise on_client.socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(on_client.socket, "getaddrinfo", unknown)
    said = r"no scheduler answers at 'tcp://here:1' within 0\.1 s: .*; no machine 'here' is known here"
    with dask.config.set({"distributed.comm.timeouts.connect": "0.1s"}), pytest.raises(UnfinishedError, match=said):
        gd.Sweep(**BOOTH).run(out=tmp_path / "out", client="tcp://here:1")


@pytest.mark.parametrize("is_shown", [False, True])
def test_a_cluster_without_workers_says_so_and_goes_on_with_the_first(tmp_path, monkeypatch, is_shown):
    from distributed import LocalCluster

    monkeypatch.setattr(on_cluster, "ALONE_SECONDS", 0.0)
    monkeypatch.setattr(on_cluster, "LOOK_SECONDS", 0.1)
    said = []
    with LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:

        def told(what):
            said.append(str(what))
            if "no workers" in str(what):
                cluster.scale(1)

        def warned(message, *_, **__):
            told(message)

        monkeypatch.setattr(on_cluster.warnings, "warn", warned)
        with cluster.get_client() as client:
            result = gd.Sweep(**BOOTH).run(out=tmp_path / "out", client=client, progress=(lambda state: told(state.message)) if is_shown else False)
    assert result.sizes["run"] == 8
    assert sum("the cluster has no workers; waiting for some" in s for s in said) >= 1
    assert is_shown or len(said) == 1


def test_a_worker_that_comes_later_and_has_too_little_memory_is_refused(tmp_path, monkeypatch):
    """A look comes before more than FEWEST_TASKS of the six chunks are sent out."""
    from distributed import LocalCluster

    monkeypatch.setattr(on_cluster, "LOOK_SECONDS", 0.0)
    sweep = gd.Sweep(**{**BOOTH, "starts": 64, "steps": 4000})
    with LocalCluster(n_workers=0, processes=False, memory_limit=10**7, dashboard_address=":0") as cluster, cluster.get_client() as client:

        def comes(state):
            return "no workers" in state.message and cluster.scale(1)

        with pytest.raises(ValueError, match=r"a worker of \d threads? needs .* of memory, and may have 10\.0 MB"):
            sweep.run(out=tmp_path / "out", client=client, progress=comes, **CUT)


@pytest.mark.full
def test_code_that_workers_cannot_compile_is_refused_in_the_line_of_threads(client, tmp_path):
    (tmp_path / "mistaken_on_workers.py").write_text(MODULE.format("max(value, 0.0)"))
    (tmp_path / "e.toml").write_text(EXPERIMENT.replace("mistaken_of_a_test", "mistaken_on_workers"))
    sweep = gd.read_experiment(tmp_path / "e.toml")
    with pytest.raises(ValueError, match=r"^f \(mistaken_on_workers.py, line 6\) cannot be used: max .* write maximum of gdsim.lanes [^\n]*$"):
        sweep.run(out=tmp_path / "out", client=client, progress=False)
