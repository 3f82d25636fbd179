"""Clusters some of whose workers have a GPU, in whose place is the interpreter."""

import contextlib
import functools
import pathlib
import threading
from types import SimpleNamespace

import distributed
import pytest

import gdsim as gd
from gdsim.devices import DeviceError
from gdsim.sweep.cluster import driver, pools
from gdsim.sweep.cluster.pools import GoneGpuError, Gpu, offers, on_its_place
from gdsim.sweep.execution.executor import FailingError, Failure, FailureKind, Outcome, UnfinishedError, running
from gdsim.sweep.execution.places import OnDevice, Processors
from gdsim.sweep.execution.progress import Progress
from tests.cuda import gpu, gpu_worker
from tests.cuda.test_sweeps import CUT, FILE, FINE, failing_at, sweep
from tests.faults.machinery import Cluster, shards
from tests.helpers import gdsim

ROOT = pathlib.Path(gpu_worker.__file__).parents[2]


@pytest.fixture(autouse=True)
def _places(monkeypatch):
    """Workers of this process begin anew in each test."""
    for name in ("_processors", "_gpu"):
        getattr(pools, name).cache_clear()


@pytest.fixture
def library(monkeypatch, compiled):
    return gpu.put_in(monkeypatch, compiled)


@pytest.mark.parametrize(
    ("device", "lanes", "resources", "kind", "said"),
    [
        ("cpu", None, {"GPU": 1}, Processors, ""),
        ("cuda", None, {"GPU": 1}, OnDevice, ""),
        ("auto", None, {"GPU": 1}, OnDevice, ""),
        ("auto", 8, {"GPU": 1}, Processors, "lanes are of processors"),
        ("auto", 8, {"memory": 1}, Processors, ""),
    ],
)
def test_a_worker_trains_on_its_gpu_where_the_sweep_says_so(library, monkeypatch, device, lanes, resources, kind, said):
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(state=SimpleNamespace(total_resources=resources, nthreads=3)))
    told = []
    places = [on_its_place(device, lanes, lambda place: place, told.append) for _ in range(2)]
    assert type(places[0]) is kind
    assert places[0].threads == (3 if kind is OnDevice else 1)
    assert places[1] is places[0]
    assert all(said in sentence for sentence in told)
    assert bool(told) == bool(said)


@pytest.mark.parametrize(("call", "code"), [("cuInit", 100), ("cuMemGetInfo_v2", 700), ("cuDevicePrimaryCtxRetain", 2)])
def test_a_gpu_that_cannot_be_used_leaves_its_part_to_processors(library, monkeypatch, call, code):
    """Whatever call it is that fails."""
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(state=SimpleNamespace(total_resources={"GPU": 1}, nthreads=3)))
    library.fails[call] = code
    told = []
    assert type(on_its_place("auto", None, lambda place: place, told.append)) is Processors
    assert [call in sentence for sentence in told] == [True]


def test_tasks_go_to_workers_that_have_what_they_take():
    gpu_worker, plain = {"resources": {"GPU": 1.0}}, {"resources": {}}
    assert [offers(worker, {"GPU": 0.25}) for worker in (gpu_worker, plain, {})] == [True, False, False]
    assert offers(plain, {})


@contextlib.contextmanager
def cluster(**workers):
    """The client of a cluster in this process, with workers of these options."""
    made = {name: {"cls": distributed.Worker, "options": {"dashboard": False, **options}} for name, options in workers.items()}
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard": False, "dashboard_address": ":0", "protocol": "inproc://"}}
    with distributed.SpecCluster(workers=made, scheduler=scheduler) as running, distributed.Client(running) as client:
        yield client


PLAIN, WITH_GPU = {"nthreads": 1}, {"nthreads": 4, "resources": {"GPU": 1}}


@pytest.mark.full
@pytest.mark.parametrize("device", ["cuda", "auto", "cpu"])
def test_shards_are_the_same_whoever_trains_them(library, tmp_path, device):
    sweep().run(out=tmp_path / "processors", **FINE)
    with cluster(plain=PLAIN, gpu=WITH_GPU) as client:
        sweep().run(out=tmp_path / "cluster", client=client, device=device, **FINE)
    assert shards(tmp_path / "cluster") == shards(tmp_path / "processors")
    assert len(shards(tmp_path / "cluster")) > 2
    assert device == "auto" or len(library.launches) == (device == "cuda")  # as all chunks are trained together


@pytest.mark.full
def test_a_chunk_that_fails_takes_none_with_it_that_a_worker_trains_together_with_it(library, tmp_path, monkeypatch):
    monkeypatch.setattr(OnDevice, "training", failing_at(7))
    sweep().run(out=tmp_path / "processors", **FINE)
    with (
        cluster(gpu=WITH_GPU) as client,
        pytest.raises(FailingError, match=r"1 of \d+ chunks failed 3 times each and were set aside; .* raised ArithmeticError: run 7"),
    ):
        sweep().run(out=tmp_path / "cluster", client=client, device="cuda", **FINE)
    found, truth = shards(tmp_path / "cluster"), shards(tmp_path / "processors")
    assert len(found) == len(truth) - 1 > 1
    assert found.items() <= truth.items()


@pytest.mark.full
def test_runs_go_on_from_a_folder_on_gpus(library, tmp_path):
    for out, device in (("processors", "cpu"), ("cluster", "cuda")):
        sweep(steps=6).run(out=tmp_path / out, **CUT)
        if device == "cpu":
            sweep().run(out=tmp_path / out, **CUT)
            continue
        with cluster(gpu=WITH_GPU) as client:
            sweep().run(out=tmp_path / out, client=client, device=device, **CUT)
    assert shards(tmp_path / "cluster") == shards(tmp_path / "processors")


@pytest.mark.full
def test_what_no_gpu_of_a_cluster_can_train_is_one_sentence(library, tmp_path):
    with cluster(gpu=WITH_GPU) as client:
        with pytest.raises(ValueError, match=r"device='cuda:1' is a GPU of this machine, and each worker of a cluster has its own"):
            sweep().run(out=tmp_path / "a", client=client, device="cuda:1")
        with pytest.raises(ValueError, match="leave `lanes` out"):
            sweep().run(out=tmp_path / "b", client=client, device="cuda", lanes=8)
        assert list(tmp_path.iterdir()) == []


def offered(client):
    """What each worker offers, by its name."""
    workers = client.sync(client.scheduler.identity)["workers"].values()
    return {worker["name"]: worker["resources"].get("GPU") for worker in workers}


@pytest.mark.full
@pytest.mark.parametrize("call", ["cuInit", "cuModuleLoadData", "cuEventSynchronize"])
def test_a_gpu_that_trains_nothing_ends_its_part_and_sets_no_chunk_aside(library, tmp_path, call):
    """Missing, of a driver that loads no kernel, or one on which the first kernel fails."""
    sweep().run(out=tmp_path / "processors", **CUT)
    library.fails[call] = 209
    with cluster(plain=PLAIN, gpu=WITH_GPU) as client:
        refusal = f"a worker offers a GPU, and cannot train on it: .*error 209 in {call}"
        with pytest.warns(RuntimeWarning, match=refusal), pytest.raises(UnfinishedError, match=refusal):  # a warning, as no progress is shown
            sweep().run(out=tmp_path / "cuda", client=client, device="cuda", **CUT)
        assert offered(client) == {"plain": None, "gpu": 0}
        told = []
        sweep().run(out=tmp_path / "auto", client=client, device="auto", progress=lambda state: told.append(state.message), **CUT)
        assert len(client.scheduler_info()["workers"]) == 2
    assert any("processors train in place of a GPU: " in message and f"error 209 in {call}" in message for message in told)
    assert shards(tmp_path / "auto") == shards(tmp_path / "processors")
    assert not list(tmp_path.rglob("failed"))


@pytest.mark.full
def test_other_gpus_train_what_one_cannot(library, tmp_path, monkeypatch):
    sweep().run(out=tmp_path / "processors", **CUT)
    gpus = {}

    def gpu_of(threads):
        address = distributed.get_worker().address
        if not gpus:
            gpus[address] = Gpu(threads)
            gpus[address]._why_not = "it is out of order"
        return gpus.setdefault(address, Gpu(threads))

    monkeypatch.setattr(pools, "_gpu", gpu_of)
    told = []
    with cluster(one=WITH_GPU, other=WITH_GPU) as client:
        sweep().run(out=tmp_path / "cluster", client=client, device="cuda", progress=lambda state: told.append(state.message), **CUT)
        assert sorted(offered(client).values()) == [0, 1]
    assert shards(tmp_path / "cluster") == shards(tmp_path / "processors")
    assert any("it is out of order" in message for message in told)


@pytest.mark.parametrize(("device", "error"), [("auto", GoneGpuError), ("cuda", DeviceError)])
def test_a_worker_ends_whose_gpu_fails_after_it_has_trained(library, monkeypatch, device, error):
    """With "auto" its chunk is for others, however often; else it may be by the chunk, which is tried so often."""
    ending = []
    worker = SimpleNamespace(
        state=SimpleNamespace(total_resources={"GPU": 1}, nthreads=3),
        loop=SimpleNamespace(add_callback=lambda what, restart: ending.append((what, restart))),
        close_gracefully="it ends",
    )
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)

    def fail(place):
        raise DeviceError("CUDA_ERROR_ILLEGAL_ADDRESS in cuEventSynchronize")

    assert type(on_its_place(device, None, lambda place: place, pytest.fail)) is OnDevice
    with pytest.raises(error, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        on_its_place(device, None, fail, pytest.fail)
    assert ending == [("it ends", True)]


class FailingDevices:
    """An executor whose devices fail at every chunk."""

    def __init__(self):
        self.sent = []

    def room(self, waiting):
        return 1

    def submit(self, chunks, tried):
        self.sent += chunks

    def next(self, timeout):
        return Outcome(self.sent[-1], failure=Failure(FailureKind.DEVICE, "the GPU failed"))

    def close(self):
        pass


def test_a_chunk_at_which_gpus_fail_ends_the_sweep_where_no_try_is_left():
    """And is not set aside, as one is whose own training raises."""
    executor = FailingDevices()
    with pytest.raises(UnfinishedError, match="the GPU failed"), running(executor, [SimpleNamespace(name="chunk")], Progress(1), 3) as outcomes:
        list(outcomes)
    assert len(executor.sent) == 3


@pytest.mark.full
def test_what_a_gpu_of_a_cluster_has_to_say_is_told_as_progress(library, tmp_path):
    library.largest, told = 200_000, []
    with cluster(gpu=WITH_GPU) as client:
        sweep(starts=160, steps=5).run(out=tmp_path / "out", client=client, device="cuda", progress=lambda state: told.append(state.message))
    assert any(message.startswith("inproc://") and "Interpreter had no room for" in message for message in told)


def test_workers_none_of_which_offers_a_gpu_are_waited_for_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(driver, "OFFER_SECONDS", 0.3)
    told = []
    with cluster(plain=PLAIN) as client, pytest.raises(UnfinishedError, match=r"the cluster has 1 worker, and for 0\.3 s none that offers a GPU: start"):
        sweep().run(out=tmp_path / "out", client=client, device="cuda", progress=lambda state: told.append(state.message))
    assert "the cluster has no workers that offer the resource GPU; waiting for some" in told


def test_a_gpu_that_is_lost_unheard_is_waited_for_so_long(tmp_path, monkeypatch):
    """As where its worker has closed before it could say what failed, and nothing starts another."""
    monkeypatch.setattr(driver, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(driver, "OFFER_SECONDS", 0.3)

    def close(*_):
        worker = distributed.get_worker()
        worker.loop.add_callback(functools.partial(worker.close, executor_wait=False))
        threading.Event().wait(1.0)

    monkeypatch.setattr("gdsim.sweep.cluster.worker.on_its_place", close)
    with (
        cluster(plain=PLAIN, gpu=WITH_GPU) as client,
        pytest.raises(UnfinishedError, match=r"the cluster has 1 worker, and for 0\.3 s none that offers a GPU: start"),
    ):
        sweep().run(out=tmp_path / "out", client=client, device="cuda", progress=lambda state: None)


@pytest.mark.slow
def test_a_process_with_a_gpu_and_one_without_share_a_sweep(compiled, tmp_path):
    (tmp_path / "sweep.toml").write_text(FILE)
    launched = tmp_path / "launched"
    settings = {"LAUNCHES": str(launched), "PYTHONPATH": str(ROOT)}
    with Cluster(tmp_path, workers=1, settings=settings) as running:
        options = ["--nthreads", 4, "--resources", "GPU=1", "--preload", gpu_worker.__file__, "--no-nanny", "--local-directory", tmp_path]
        running.workers.append(running._start("dask_worker", None, running.address, *options))
        with distributed.Client(running.address) as client:
            client.wait_for_workers(2, timeout=120)
        for device in ("cuda", "auto"):
            before = launched.stat().st_size if launched.exists() else 0
            where = ("--out", device, "--scheduler", running.address, "--chunk-seconds", 1e-6, "--device", device)
            code, out, errors = gdsim("run", "sweep.toml", *where, folder=tmp_path)
            assert (code, errors) == (0, ""), out
            assert launched.stat().st_size > before
    gd.read_experiment(tmp_path / "sweep.toml").run(out=tmp_path / "processors", **CUT)
    assert shards(tmp_path / "cuda") == shards(tmp_path / "auto") == shards(tmp_path / "processors")
