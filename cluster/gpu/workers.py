"""Starts a Dask worker for each GPU that this process may use:
`python workers.py [ADDRESS] [OPTION of dask worker ...]`.

Each is a process that sees its GPU alone (CUDA_VISIBLE_DEVICES), and offers it as the resource GPU=1, so that
work which asks for a GPU comes to this pool. Its four threads share the GPU: one's runs are trained there
while others are made ready, or written. `gdsim run FILE --scheduler ADDRESS --device cuda` trains on this pool
alone, `--device auto` on the other workers' processors too. Under `srun --gpus-per-task=1` each task starts
one.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

BAD_INPUT = 2
THREADS = 4


def usable_gpus(environment: Mapping[str, str], listed: str) -> list[str]:
    """The GPUs that a process may use, as CUDA names them: those of CUDA_VISIBLE_DEVICES, or else all that
    `nvidia-smi -L` has `listed`.

    As CUDA does, it takes no notice of what follows a name of no device, such as -1. A GPU that is cut into
    MIG instances is named by them. Names from the list are UUIDs: CUDA counts devices in another order than
    nvidia-smi.

    >>> usable_gpus({"CUDA_VISIBLE_DEVICES": "2,0,-1,1"}, "")
    ['2', '0']
    >>> usable_gpus({}, "GPU 0: NVIDIA T4 (UUID: GPU-5a)\\nGPU 1: NVIDIA T4 (UUID: GPU-1c)")
    ['GPU-5a', 'GPU-1c']
    """
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        found = re.findall(r"\(UUID: ((?:GPU|MIG)-[^)]+)\)", listed)
        cut = {found[i - 1] for i, name in enumerate(found) if name.startswith("MIG") and found[i - 1].startswith("GPU")}
        return [name for name in found if name not in cut]
    names = list[str]()
    for name in (word.strip() for word in chosen.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-\S+", name):
            break
        if name in names:
            raise ValueError(f"CUDA_VISIBLE_DEVICES={chosen} names {name} twice: CUDA then sees no device; name each once")
        names.append(name)
    return names


def commands(gpus: Sequence[str], host: str, options: Sequence[str]) -> list[tuple[dict[str, str], list[str]]]:
    """(what is set in its environment, its command) of the worker of each GPU; options that are given come
    last, and so count.
    """
    worker = [sys.executable, "-m", "dask", "worker", "--nthreads", str(THREADS), "--resources", "GPU=1"]
    return [({"CUDA_VISIBLE_DEVICES": gpu}, [*worker, "--name", f"{host}-gpu-{i}", *options]) for i, gpu in enumerate(gpus)]


def listed_gpus() -> str:
    """What `nvidia-smi -L` says; nothing where there is none."""
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def main(options: Sequence[str]) -> int:
    """Starts the workers, passes the end of this process on to them, and waits for all; the first exit code
    that is not 0.
    """
    try:
        gpus = usable_gpus(os.environ, "" if "CUDA_VISIBLE_DEVICES" in os.environ else listed_gpus())
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    if not gpus:
        sys.stderr.write("error: there is no GPU that this process may use: CUDA_VISIBLE_DEVICES names none, or nvidia-smi -L lists none\n")
        return BAD_INPUT
    started = list[subprocess.Popen[bytes]]()

    def end(*_: object) -> None:
        for worker in started:
            worker.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    for own, command in commands(gpus, socket.gethostname(), options):
        # A group of its own: Ctrl-C in a terminal would reach it twice, and a second signal ends a Dask
        # worker in the middle of its work.
        started.append(subprocess.Popen(command, env={**os.environ, **own}, process_group=0))
    codes = [worker.wait() for worker in started]
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
