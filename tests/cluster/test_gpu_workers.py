"""One Dask worker for each GPU: which GPUs there are, and what each worker is started with.

No GPU is needed: lists and workers are made up.
"""

import json
import os
import runpy
import signal
import subprocess
import sys

import pytest

from tests.cluster.manifests import CLUSTER

SCRIPT = CLUSTER / "gpu" / "workers.py"
LISTED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a)
  MIG 3g.20gb     Device  0: (UUID: MIG-0b)
  MIG 3g.20gb     Device  1: (UUID: MIG-0c)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1c)
"""
# A Python whose `-m dask worker` says what it was started with, and goes on until it is told to end.
PYTHON = """
import json, os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
options = sys.argv[1:]
os.write(1, (json.dumps([os.environ["CUDA_VISIBLE_DEVICES"], options]) + "\\n").encode())  # whole, whoever else writes
if "--fail" in options:
    sys.exit(7)
while "--stay" in options:
    time.sleep(0.05)
"""
RUN = "import runpy, sys; sys.executable = sys.argv.pop(1); sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with a made-up nvidia-smi, and a made-up Python for the workers."""
    folder = tmp_path_factory.mktemp("programs")
    for name, text in {"python": f"#!{sys.executable} -S\n{PYTHON}", "nvidia-smi": f"#!/bin/sh\ncat <<'E'\n{LISTED}E\n"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def usable_gpus():
    return runpy.run_path(str(SCRIPT))["usable_gpus"]


def started(programs, *options, **environment):
    held = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    settings = held | {"PATH": f"{programs}:{os.environ['PATH']}"} | environment
    command = [sys.executable, "-S", "-c", RUN, programs / "python", SCRIPT, *options]
    return subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(process):
    """(exit code, GPU and options of each worker, errors)."""
    out, errors = process.communicate(timeout=60)
    return process.returncode, [json.loads(line) for line in out.splitlines()], errors


def test_each_gpu_has_a_worker_that_sees_it_alone(programs):
    """MIG instances in place of the GPU that is cut into them."""
    code, workers, errors = told(started(programs, "tls://127.0.0.1:1", "--local-directory", "/scratch"))
    assert (code, errors) == (0, "")
    assert sorted(gpu for gpu, _ in workers) == ["GPU-1c", "MIG-0b", "MIG-0c"]
    for _, options in workers:
        assert options[:7] == ["-m", "dask", "worker", "--nthreads", "4", "--resources", "GPU=1"]
        assert options[-3:] == ["tls://127.0.0.1:1", "--local-directory", "/scratch"]
    assert len({options[options.index("--name") + 1] for _, options in workers}) == 3


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [("1", ["1"]), ("2,0", ["2", "0"]), ("GPU-5a, MIG-0b", ["GPU-5a", "MIG-0b"]), ("0,-1,1", ["0"]), ("", []), ("-1", []), ("0,all", ["0"])],
)
def test_only_gpus_that_the_process_may_use_have_workers(usable_gpus, visible, gpus):
    """As CUDA reads CUDA_VISIBLE_DEVICES: what follows an invalid name is not seen."""
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": visible}, LISTED) == gpus


def test_without_a_choice_all_gpus_are_used(usable_gpus):
    assert usable_gpus({}, LISTED) == ["MIG-0b", "MIG-0c", "GPU-1c"]
    assert usable_gpus({}, "No devices were found\n") == []


@pytest.mark.parametrize("visible", ["", "0,0"])
def test_no_gpu_is_one_line_that_says_so(programs, visible):
    code, workers, errors = told(started(programs, CUDA_VISIBLE_DEVICES=visible))
    assert (code, workers, errors.count("\n")) == (2, [], 1)
    assert "CUDA_VISIBLE_DEVICES" in errors


def test_a_worker_that_fails_gives_its_exit_code(programs):
    assert told(started(programs, "--fail", CUDA_VISIBLE_DEVICES="0,1"))[0] == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_the_pool_is_the_end_of_its_workers(programs, number):
    with started(programs, "--stay", CUDA_VISIBLE_DEVICES="0,1") as pool:
        assert all(pool.stdout.readline() for _ in range(2))
        pool.send_signal(number)
        assert (pool.communicate(timeout=60), pool.returncode) == (("", ""), 0)
