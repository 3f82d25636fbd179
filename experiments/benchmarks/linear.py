"""How fast gdsim makes full-gradient steps of a linear regression, beside NumPy on one thread.

    python experiments/benchmarks/linear.py [--rounds 3] [--samples 100000] [--features 20] [--json FILE]

NumPy's step is `X.T @ (X @ w - y)` in float32. gdsim's are of `sweep.run()` with 1000 steps, starts and
Dataset included: one run, and each of 256. Each measurement has a process of its own, and is the second of
two sweeps; the first makes the moments of the data, whose time is printed beside. Medians over alternated
rounds.
"""

import argparse
import json
import pathlib
import statistics
import time
from collections.abc import Callable

import numpy as np
from processes import answer

STEPS = 1000


def samples(count: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that are normal, and targets that are linear in them but for some noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(count, features))
    return X, X @ rng.normal(size=features) + 0.1 * rng.normal(size=count)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure_numpy(count: int, features: int, runs: int) -> list[float]:
    """[seconds of a step], the median of 100."""
    X, y = (a.astype(np.float32) for a in samples(count, features))
    w = np.zeros(features, np.float32)
    return [statistics.median(seconds(lambda: X.T @ (X @ w - y)) for _ in range(100))]


def measure_gdsim(count: int, features: int, runs: int) -> list[float]:
    """[seconds per run and step, seconds of the moments]."""
    import gdsim as gd

    problem = gd.LinearRegression(gd.Data(*samples(count, features)))
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), init=gd.Normal(1.0), starts=runs, steps=STEPS)
    gd.Sweep(problem=gd.LinearRegression(gd.datasets.load("diabetes")), optimizer=gd.SGD(lr=0.1), steps=1).run()  # compiles
    moments = seconds(sweep.plan)
    sweep.run()
    return [seconds(sweep.run) / runs / STEPS, moments]


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    parser.add_argument("--one", nargs=2, metavar=("SYSTEM", "RUNS"), help="measure one system once, in this process")
    options = parser.parse_args()
    sizes = options.samples, options.features
    if options.one:
        system, runs = options.one
        print(json.dumps({"numpy": measure_numpy, "gdsim": measure_gdsim}[system](*sizes, int(runs))))
        return
    rows = [("numpy", 1), ("gdsim", 1), ("gdsim", 256)]
    words = ("--samples", sizes[0], "--features", sizes[1], "--one")
    alone = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    rounds = [[json.loads(answer(__file__, *words, *row, environment=alone)) for row in rows] for _ in range(options.rounds)]
    found = []
    print("| full-gradient step | per run and step | NumPy's over it | moments, once |\n|---|---|---|---|")
    for place, (system, runs) in enumerate(rows):
        step, *moments = (statistics.median(r[place][k] for r in rounds) for k in range(len(rounds[0][place])))
        ratio = statistics.median(r[0][0] for r in rounds) / step
        found.append({"system": system, "runs": runs, "seconds": step, "ratio": ratio, "moments": moments})
        print(f"| {system}, {runs} run{'s' * (runs > 1)} | {step * 1e6:.3g} us | {ratio:.3g}x | {f'{moments[0] * 1e3:.0f} ms' if moments else ''} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
