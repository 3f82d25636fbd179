"""The cores' peak: float32 fused multiply-adds in ten independent chains of one register each, on every core
at once.

    python experiments/benchmarks/peak.py [THREADS]

Prints GFLOP/s of all threads together, the fastest of some measurements: what the cores can do undisturbed.
"""

import concurrent.futures
import sys
import time
from typing import Any

import numpy as np
from numba import types

from gdsim.lanes.compiler import bind
from gdsim.lanes.machine import vector_bytes
from gdsim.lanes.operations import splat
from gdsim.lanes.tiles import load_row, outer_fma, repeat, store_row
from gdsim.sweep.planning.machine import usable_cores

WIDTH, CHAINS, STEPS = vector_bytes() // 4, 10, 2_000_000


def chains(values: Any, steps: Any) -> None:
    """values[chain, lane] = values * 0.999 + 0.001, again and again: each chain waits for itself alone."""
    factor = repeat(splat(np.float32(0.999), WIDTH), 1)
    rows = load_row(values, 0, WIDTH, CHAINS, WIDTH)
    total = load_row(values, 0, WIDTH, CHAINS, WIDTH)
    for _ in range(steps):
        total = outer_fma(total, factor, rows)
    store_row(values, 0, WIDTH, total)


def peak(threads: int) -> float:
    """GFLOP/s of so many threads together."""
    kernel: Any = bind(chains, {}, types.void(types.float32[::1], types.int64))
    values = [np.full(CHAINS * WIDTH, 0.5, np.float32) for _ in range(threads)]
    speeds = []
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(9):
            began = time.perf_counter()
            list(pool.map(lambda v: kernel(v, STEPS), values))
            speeds.append(2.0 * threads * CHAINS * WIDTH * STEPS / (time.perf_counter() - began) / 1e9)
    return max(speeds)


if __name__ == "__main__":
    print(peak(int(sys.argv[1]) if len(sys.argv) > 1 else usable_cores()))
