"""What keeping results costs: trivial sweeps, opening and reading a folder of a million runs, scheduling of
many chunks.

    python experiments/benchmarks/store.py [--chunks 1000] [--runs 1000000] [--soak 0] [--only trivial ...] [--folder DIR]

Prints a Markdown table. `--soak` chunks of next to no work are scheduled to see whether memory grows.
"""

import argparse
import concurrent.futures
import contextlib
import multiprocessing
import pathlib
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

import gdsim as gd

ROUNDS = 3


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def fastest(call: Callable[[], Any]) -> float:
    """The median of some calls' times, after a first that is not counted."""
    call()
    return statistics.median(seconds(call) for _ in range(ROUNDS))


def rosenbrock(**options: Any) -> gd.Sweep:
    """A sweep whose runs cost next to nothing."""
    return gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.Momentum(lr=1e-4), init=gd.Uniform(low=-2, high=2), **options)


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """A client of so many worker processes of one thread."""
    from gdsim.sweep.cluster.client import connected

    with connected(workers=workers) as client:
        client.wait_for_workers(workers)
        yield client


def operations_of(sweep: gd.Sweep) -> float:
    """Operations of one run, as chunks are cut."""
    return sweep.plan().operations / sweep.plan().runs


def chunked(seconds_each: float, chunks: int, speed: float) -> tuple[gd.Sweep, float]:
    """(a sweep of so many chunks, their chunk_seconds): each takes so long at a speed of runs per second."""
    each = max(1, round(seconds_each * speed))
    sweep = rosenbrock(starts=each * chunks, steps=STEPS, record=gd.Record(every="ends", gradient_norm=False))
    return sweep, (each + 0.5) * operations_of(sweep) / 5e10


STEPS = 100_000


def alone(sweep: gd.Sweep, cut: float, folder: pathlib.Path) -> float:
    """How long one thread of this process takes for a sweep's chunks and their shards."""
    return seconds(lambda: sweep.run(out=folder, threads=1, chunk_seconds=cut))


def overhead(chunks: int, folder: pathlib.Path) -> Iterator[tuple[str, str, str]]:
    """Chunks of a tenth of a second on two workers, beside two processes without a scheduler that have
    half of them each.
    """
    sample = rosenbrock(starts=256, steps=STEPS, record=gd.Record(every="ends", gradient_norm=False))
    speed = 256 / fastest(lambda: sample.run(threads=1))
    sweep, cut = chunked(0.1, chunks, speed)
    few, _ = chunked(0.1, 2, speed)
    with cluster(2) as client:
        few.run(out=folder / "few", client=client, chunk_seconds=cut)  # workers have their kernels now
        took = seconds(lambda: sweep.run(out=folder / "many", client=client, chunk_seconds=cut))
    count = len(list((folder / "many" / "shards").iterdir()))
    halves = [msgspec.structs.replace(sweep, starts=sweep.starts // 2, seed=seed) for seed in (1, 2)]
    with contextlib.ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        processes = [stack.enter_context(concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn)) for _ in halves]
        for name, both in (("warm", [few, few]), ("half", halves)):
            given = zip(processes, both, strict=True)
            going = [p.submit(alone, s, cut, folder / f"{name}{i}") for i, (p, s) in enumerate(given)]
            without = max(g.result() for g in going)
    yield f"{count:,} chunks of 0.1 s on 2 workers", f"{took:.1f} s", f"{took / without - 1:+.1%} beside the same in 2 processes without a scheduler"


def trivial() -> Iterator[tuple[str, str, str]]:
    """Twenty runs of a hundred steps."""
    sweep = rosenbrock(starts=20, steps=100)
    yield "20 trivial runs, in memory", f"{fastest(sweep.run) * 1e3:.1f} ms", ""


def reading(runs: int, folder: pathlib.Path) -> Iterator[tuple[str, str, str]]:
    """A folder of 2000 shards: opened, one number per run, all curves."""
    sweep = rosenbrock(starts=runs, steps=100, record=gd.Record(every=1, gradient_norm=False))
    cut = (runs // 2000 + 0.5) * operations_of(sweep) / 5e10
    took = seconds(lambda: sweep.run(out=folder / "large", chunk_seconds=cut))
    shards = list((folder / "large" / "shards").iterdir())
    size = sum(p.stat().st_size for p in shards)
    yield f"{runs:,} runs of 101 checkpoints, trained and kept", f"{took:.1f} s", f"{len(shards):,} shards, {size / 1e6:.0f} MB"
    yield "opened", f"{fastest(lambda: gd.open(folder / 'large')):.2f} s", ""
    for name in ("final_loss", "loss"):
        read = fastest(lambda name=name: gd.open(folder / "large")[name].values)
        yield f"opened, and {name} read", f"{read:.2f} s", "bytes checked before"
    again = seconds(lambda: sweep.run(out=folder / "large", chunk_seconds=cut))
    yield "the same call again, which checks every byte", f"{again:.2f} s", ""


def digits(folder: pathlib.Path) -> Iterator[tuple[str, str, str]]:
    """The digits sweep on one worker and on two, in turns."""
    problem = gd.MLP(gd.datasets.load("digits"), hidden=[32])
    sweep = gd.Sweep(problem=problem, optimizer=gd.Adam(lr=gd.logspace(1e-4, 1e-1, 4)), starts=256, steps=2000, batch=32)
    each = sweep.plan(chunk_seconds=1.0).chunks[0].last_start
    took: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(2 * ROUNDS):
        workers, out = 1 + turn % 2, folder / f"digits{turn}"
        with cluster(workers) as client:
            few = msgspec.structs.replace(sweep, starts=2 * each * workers)  # chunks of the same shape, so that workers have their kernels
            few.run(out=out / "warm", client=client, chunk_seconds=1.0)
            took[workers].append(seconds(lambda client=client, out=out: sweep.run(out=out / "whole", client=client, chunk_seconds=1.0)))
    one, two = (statistics.median(t) for t in took.values())
    ratios = sorted(a / b for a, b in zip(*took.values(), strict=True))
    yield "digits on 1 and 2 Dask workers", f"{one:.1f} and {two:.1f} s", f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def resident() -> int:
    """Megabytes that this process holds now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


def soak(chunks: int, folder: pathlib.Path) -> Iterator[tuple[str, str, str]]:
    """Very many chunks of one run each: the memory of this process, halfway and at the end."""
    sweep = rosenbrock(starts=chunks, steps=10, record=gd.Record(every="ends", gradient_norm=False))
    held: list[int] = []

    def look(state: Any) -> None:
        if state.runs_done >= len(held) * chunks / 4:
            held.append(resident())

    with cluster(2) as client:
        took = seconds(lambda: sweep.run(out=folder / "soak", client=client, chunk_seconds=1e-9, progress=look))
    yield (
        f"soak of {chunks:,} chunks on 2 workers",
        f"{took:.0f} s, {took / chunks * 1e3:.1f} ms each",
        f"MB of the process of client and scheduler by quarters: {', '.join(map(str, held))}",
    )


def main() -> None:
    """Measures all, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--chunks", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=["trivial", "reading", "digits", "overhead", "soak"], help="some of the measurements")
    parser.add_argument("--folder", type=pathlib.Path)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(dir=options.folder, prefix="gdsim-store-"))
    try:
        print("| what | took | |\n|---|---|---|")
        parts = {
            "trivial": trivial(), "reading": reading(options.runs, folder), "digits": digits(folder), "overhead": overhead(options.chunks, folder),
            "soak": soak(options.soak, folder) if options.soak else iter(()),
        }  # fmt: skip
        for name in options.only or parts:
            for what, took, note in parts[name]:
                print(f"| {what} | {took} | {note} |", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
