"""How fast gdsim draws a plane of the digits' network, beside PyTorch's loop over its points.

    python experiments/benchmarks/landscape.py [--rounds 5] [--threads 1] [--points 51]

The network is 64-32-10, the samples are all 1797, the plane is of `gd.landscape.plane` in float32. PyTorch puts the
parameters of each point into its module and evaluates the loss, as loops over points do. Both in one process, in
turns after a first time each; medians of the time that passed, and of the processor's. Says how far the losses
differ.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import xarray

import gdsim as gd


def peer(problem: gd.MLP, plane: "xarray.Dataset") -> Callable[[], np.ndarray]:
    """PyTorch's loop over the points of a plane."""
    X, y = torch.tensor(problem.data.X, dtype=torch.float32), torch.tensor(problem.data.y)
    center, first, second = (torch.tensor(v, dtype=torch.float32) for v in (plane.center.values, *plane.direction.values))
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))

    def losses() -> np.ndarray:
        found = np.empty(plane.loss.shape, np.float32)
        with torch.no_grad():
            for row, t in enumerate(plane.y.values.tolist()):
                for column, s in enumerate(plane.x.values.tolist()):
                    torch.nn.utils.vector_to_parameters(center + s * first + t * second, net.parameters())
                    found[row, column] = torch.nn.functional.cross_entropy(net(X), y)
        return found

    return losses


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """(time that passed, time of the processor) of a call."""
    wall, own = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - own


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--points", type=int, default=51)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    problem = gd.MLP(gd.datasets.load("digits"), hidden=[32])
    center = (np.random.default_rng(0).normal(size=problem.parameter_count) * 0.2).astype(np.float32)
    ours = lambda: gd.landscape.plane(problem, center, points=asked.points, threads=asked.threads)  # noqa: E731
    plane = ours()
    theirs = peer(problem, plane)
    print(f"losses differ by {np.abs(plane.loss.values / theirs() - 1).max():.1e} at most")
    rounds = [(seconds(ours), seconds(theirs)) for _ in range(asked.rounds)]
    for k, name in enumerate(("seconds", "processor")):
        gdsim, pytorch = (statistics.median(r[who][k] for r in rounds) for who in (0, 1))
        print(f"{name:10} gdsim {gdsim:.4f}   PyTorch {pytorch:.4f}   ratio {pytorch / gdsim:.1f}")


if __name__ == "__main__":
    main()
