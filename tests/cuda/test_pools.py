"""Clusters some of whose workers have a GPU, in whose place is the interpreter."""

import contextlib
import pathlib
from types import SimpleNamespace

import distributed
import pytest

import gdsim as gd
from gdsim.sweep.cluster import pools
from gdsim.sweep.cluster.pools import offers, place_of
from gdsim.sweep.execution.executor import FailingError, UnfinishedError
from gdsim.sweep.execution.places import OnDevice, Processors
from gdsim.sweep.planning.devices import UnusableDeviceError
from tests.cuda import gpu, gpu_worker
from tests.cuda.test_sweeps import CUT, FILE, FINE, failing_at, sweep
from tests.faults.machinery import Cluster, shards, wait_until
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


def of_a_worker(monkeypatch, resources):
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(state=SimpleNamespace(total_resources=resources, nthreads=3)))


@pytest.mark.parametrize(
    ("device", "resources", "kind"),
    [
        ("cpu", {"GPU": 1}, Processors),
        ("cuda", {"GPU": 1}, OnDevice),
        ("auto", {"GPU": 1}, OnDevice),
        ("auto", {"memory": 1}, Processors),
    ],
)
def test_a_worker_trains_on_its_gpu_where_the_sweep_says_so(library, monkeypatch, device, resources, kind):
    of_a_worker(monkeypatch, resources)
    place = place_of(device, None)
    assert type(place) is kind
    assert place.threads == (3 if kind is OnDevice else 1)
    assert place_of(device, None) is place


def test_a_gpu_that_a_worker_offers_and_has_not_is_refused_or_left_out(library, monkeypatch):
    of_a_worker(monkeypatch, {"GPU": 1})
    library.gpus = 0
    with pytest.raises(UnusableDeviceError, match="a worker offers a GPU, and cannot train on it: there is no GPU 0"):
        place_of("cuda", None)
    assert type(place_of("auto", None)) is Processors


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
        library.gpus = 0
        with pytest.raises(UnfinishedError, match="a worker offers a GPU, and cannot train on it: there is no GPU 0"):
            sweep().run(out=tmp_path / "c", client=client, device="cuda", **CUT)


@pytest.mark.full
def test_a_worker_whose_gpu_fails_leaves_and_others_train_what_it_could_not(library, tmp_path):
    library.on_launch = lambda: library.fails.update(cuEventSynchronize=700)
    sweep().run(out=tmp_path / "processors", **CUT)
    with cluster(plain=PLAIN, gpu=WITH_GPU) as client:
        sweep().run(out=tmp_path / "cluster", client=client, device="auto", **CUT)
        wait_until(lambda: len(client.scheduler_info()["workers"]) == 1)
    assert len(library.launches) > 0
    assert shards(tmp_path / "cluster") == shards(tmp_path / "processors")


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
