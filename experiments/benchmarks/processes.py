"""Measurements: of calls, and of programs in processes of their own."""

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

BEST_OF = 3


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds of the fastest of some calls after the first, what the last returned)."""
    result, times = call(), []
    for _ in range(BEST_OF):
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
        if sum(times) > 20.0:
            break
    return min(times), result


def answer(program: str | pathlib.Path, *words: object, environment: Mapping[str, str] | None = None, timeout: float | None = None) -> str:
    """The last line that a Python program prints, started with these words; if it fails, the last line of
    its errors ends the benchmark. Raises TimeoutExpired after so many seconds.
    """
    command = [sys.executable, str(program), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, env={**os.environ, **(environment or {})})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no message'}")
    return done.stdout.strip().splitlines()[-1]
