"""How soon Ctrl-C is acknowledged at random moments of a cold run.

    python experiments/benchmarks/interrupts.py [TRIES]

Each try runs an experiment with an empty cache of kernels, sends SIGINT, and waits for the word "interrupted"
on the terminal.
"""

import os
import pathlib
import pty
import random
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

EXPERIMENT = pathlib.Path(__file__).parents[1] / "digits.toml"
FIRST, LAST, GIVE_UP = 1.0, 20.0, 120.0  # seconds after the start


def acknowledged(seconds: float) -> tuple[float, float, int]:
    """(seconds from the signal to the word, and to the end, exit code) of a run that is interrupted after
    so many seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "gdsim.cli", "run", str(EXPERIMENT), "--out", f"{folder}/results"]
        settings = {**os.environ, "GDSIM_CACHE_DIR": f"{folder}/cache", "TERM": "xterm"}
        process = subprocess.Popen(command, stdout=slave, stderr=slave, env=settings)
        os.close(slave)
        try:
            read_until(master, time.monotonic() + seconds)
            process.send_signal(signal.SIGINT)
            sent = time.monotonic()
            heard = read_until(master, sent + GIVE_UP, b"interrupted")
            read_until(master, sent + GIVE_UP)
            code = process.wait(timeout=GIVE_UP)
            return heard - sent, time.monotonic() - sent, code
        finally:
            process.kill()  # which nothing comes of where it has ended
            process.wait()
            os.close(master)


def read_until(handle: int, end: float, word: bytes | None = None) -> float:
    """Reads a terminal until a time, a word or its end; the time then."""
    held = b""
    while (left := end - time.monotonic()) > 0 and (word is None or word not in held):
        if select.select([handle], [], [], left)[0]:
            try:
                held += os.read(handle, 65536)
            except OSError:  # the process has closed it
                break
    return time.monotonic()


def main() -> None:
    """Measures and prints."""
    tries, draw = int(sys.argv[1]) if len(sys.argv) > 1 else 20, random.Random(0)
    found = []
    for _ in range(tries):
        moment = draw.uniform(FIRST, LAST)
        heard, ended, code = acknowledged(moment)
        found.append(heard)
        print(f"after {moment:5.1f} s: acknowledged in {heard:.3f} s, ended in {ended:.1f} s with exit code {code}", flush=True)
    print(f"median of {tries}: {statistics.median(found):.3f} s, most {max(found):.3f} s")


if __name__ == "__main__":
    main()
