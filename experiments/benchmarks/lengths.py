"""What it costs that runs end at different steps: lengths spread over a factor of 100, beside as many steps
of equal runs.

    python experiments/benchmarks/lengths.py [--rounds 5] [--starts 4096]

Gradient descent on x^2/2 from 1 reaches a loss of 1e-6 after a number of steps that the rate decides: 16
rates make lengths from 100 to 10,000, in equal ratios. The equal runs have their mean length, and look for a
target that they never reach. As a function, whose step is among the shortest that there are, and as a
quadratic; with both ends recorded, and with the default checkpoints.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np

import gdsim as gd

TARGET = 1e-6
RATES = [float(1.0 - (2.0 * TARGET) ** (0.5 / n)) for n in np.geomspace(100, 10_000, 16)]


def seconds_per_step(sweep: Any) -> tuple[float, float]:
    """(seconds per step of a run, steps of a run on average)."""
    began = time.perf_counter()
    result = sweep.run()
    took = time.perf_counter() - began
    return took / float(result.steps_taken.sum()), float(result.steps_taken.mean())


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=4096)
    options = parser.parse_args()
    print("| problem, record | spread lengths | equal lengths | ratio |\n|---|---|---|---|")
    for name, problem in (("function", gd.Expression("x**2/2")), ("quadratic", gd.Quadratic([[1.0]]))):
        for record in (gd.Record(every="ends"), gd.Record()):
            shared = {"problem": problem, "optimizer": gd.SGD(lr=RATES), "init": 1.0, "starts": options.starts, "dtype": "float32", "record": record}
            spread = gd.Sweep(steps=100_000, stop=[gd.Target(TARGET)], **shared)
            equal = gd.Sweep(steps=round(seconds_per_step(spread)[1]), stop=[gd.Target(-1.0)], **shared)
            seconds_per_step(equal)
            rounds = [(seconds_per_step(spread)[0], seconds_per_step(equal)[0]) for _ in range(options.rounds)]
            medians = [statistics.median(r[k] for r in rounds) * 1e9 for k in (0, 1)]
            ratio = statistics.median(a / b for a, b in rounds)
            print(f"| {name}, {record.every or 'default'} | {medians[0]:.2f} ns | {medians[1]:.2f} ns | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
