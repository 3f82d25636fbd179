"""Measurements in processes of their own."""

import os
import pathlib
import subprocess
import sys


def answer(program: str | pathlib.Path, *words: object, **environment: str) -> str:
    """The last line that a Python program prints, started with these words; if it fails, the last line of
    its errors ends the benchmark.
    """
    command = [sys.executable, str(program), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no message'}")
    return done.stdout.strip().splitlines()[-1]
