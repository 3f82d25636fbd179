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
from gdsim.lanes.parts import WIDTH, part
from gdsim.lanes.tiles import load_row, outer_fma, repeat, store_row
from gdsim.lanes.types import Count, Memory, Offset
from gdsim.sweep.planning.machine import usable_cores

CHAINS, STEPS = 10, 2_000_000
CHAINS_AT_ONCE: int = part("CHAINS_AT_ONCE")


def chains(values: Memory, first: Offset, steps: Count) -> None:
    """totals[chain, lane] += 0.999 values, again and again, from `first` on: each chain waits for itself alone."""
    factor = repeat(splat(np.float32(0.999), WIDTH), 1)
    rows = load_row(values, first, WIDTH, CHAINS_AT_ONCE, WIDTH)
    total = load_row(values, first, WIDTH, CHAINS_AT_ONCE, WIDTH)
    for _ in range(steps):
        total = outer_fma(total, factor, rows)
    store_row(values, first, WIDTH, total)


def peak(threads: int) -> float:
    """GFLOP/s of so many threads together."""
    width = vector_bytes() // 4
    parts = {"WIDTH": width, "CHAINS_AT_ONCE": CHAINS}
    kernel: Any = bind(chains, parts, types.void(types.float32[::1], types.int64, types.int64))
    values = [np.full(CHAINS * width, 0.5, np.float32) for _ in range(threads)]
    speeds = []
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(9):
            began = time.perf_counter()
            list(pool.map(lambda v: kernel(v, 0, STEPS), values))
            speeds.append(2.0 * threads * CHAINS * width * STEPS / (time.perf_counter() - began) / 1e9)
    return max(speeds)


if __name__ == "__main__":
    print(peak(int(sys.argv[1]) if len(sys.argv) > 1 else usable_cores()))
