"""How truths of distributed training are said to a sweep, and the same problems for the oracle."""

from typing import Any, NamedTuple

import numpy as np

import gdsim as gd

A, B = (1.0, 3.0), (0.0, 1.0)  # unequal curvature in one dimension: A_k/2 (w - b_k)^2, least at 0.75
HESSIANS = np.array([[[2, 0.5], [0.5, 1]], [[1, 0], [0, 3.0]], [[0.5, -0.2], [-0.2, 0.4]]])
CENTRES = np.array([[1.0, 0], [-1, 2], [0, -3]])
OPTIMUM = np.linalg.solve(HESSIANS.sum(0), np.einsum("kij,kj->i", HESSIANS, CENTRES))  # (.355976486, 1.180274331)
LINE = "x*(w - y)**2/2"  # one text for all problems of one parameter, which then share their kernels
FINAL = gd.Record(every="ends", parameters=True)
ALL = gd.Record(every=1, trajectory=True)


class Shared(NamedTuple):
    """A problem whose samples are shared out: `problem=` and `partition=` of a sweep, and each sample's gradient."""

    problem: gd.Expression
    partition: np.ndarray  # [sample]: its worker
    hessians: np.ndarray  # [sample, parameter, parameter]
    centres: np.ndarray  # [sample, parameter]

    def gradient(self, worker: int, step: int, w: np.ndarray) -> np.ndarray:
        """The mean over the worker's whole shard, as with `batch=None`."""
        mine = self.partition == worker
        return np.einsum("sij,sj->i", self.hessians[mine], w - self.centres[mine]) / mine.sum()


def lines(curvatures, centres, partition=None) -> Shared:
    """a/2 (w - b)^2 of one parameter, a sample for each pair; sample k belongs to worker k unless said."""
    a, b = np.asarray(curvatures, float), np.asarray(centres, float)
    problem = gd.Expression(LINE, variables=("w",), data=gd.Data(a[:, None], b))
    return Shared(problem, _parts(partition, len(a)), a[:, None, None], b[:, None])


def planes(hessians=HESSIANS, centres=CENTRES, partition=None) -> Shared:
    """(w - b)' A (w - b) / 2 of two parameters, a sample for each pair of a matrix and a centre."""
    A, b = np.asarray(hessians, float), np.asarray(centres, float)
    text = "x0*(u - y0)**2/2 + x1*(u - y0)*(v - y1) + x2*(v - y1)**2/2"
    problem = gd.Expression(text, variables=("u", "v"), data=gd.Data(np.stack([A[:, 0, 0], A[:, 0, 1], A[:, 1, 1]], 1), b))
    return Shared(problem, _parts(partition, len(A)), A, b)


def random_planes(seed: int, workers: int) -> Shared:
    """Planes of one to three samples a worker, in no order, with curvatures between 0.3 and 2."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, workers)
    partition = rng.permutation(np.repeat(np.arange(workers), sizes))
    turns = rng.uniform(0, np.pi, len(partition))
    axes = np.stack([np.stack([np.cos(turns), np.sin(turns)], 1), np.stack([-np.sin(turns), np.cos(turns)], 1)], 2)
    hessians = axes * rng.uniform(0.3, 2.0, (len(partition), 1, 2)) @ axes.swapaxes(1, 2)
    return planes(hessians, rng.normal(size=(len(partition), 2)), partition)


def noisy_bowl(sigma: float = 1.0) -> dict[str, Any]:
    """w^2 / 2 with a gradient w +- sigma, drawn for each of up to 32 workers and each step, as a part of a sweep."""
    return {"problem": lines(np.ones(32), np.tile([sigma, -sigma], 16)).problem, "batch": 1, "shuffle": "replacement", "dtype": "float64"}


def swept(problem: Shared | gd.Expression, optimizer, distribution, start, steps: int, **options):
    """The result of a sweep from one start in float64, each worker its whole shard."""
    shared = isinstance(problem, Shared)
    given = {"batch": None, "dtype": "float64", "record": FINAL, **({"partition": problem.partition} if shared else {}), **options}
    return gd.Sweep(
        problem=problem.problem if shared else problem, optimizer=optimizer, distribution=distribution, init=np.atleast_2d(start).tolist(), steps=steps, **given
    ).run(progress=False)


def _parts(partition, samples: int) -> np.ndarray:
    return np.arange(samples) if partition is None else np.asarray(partition)
