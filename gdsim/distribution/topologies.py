"""Who talks to whom: graphs of workers, and the matrices by which neighbours mix their weights.

In an exchange worker i gets sum_j W_ij x_j. A graph's edges go both ways and have Metropolis and Hastings'
weights, W_ij = 1 / (1 + max(degree of i, degree of j)), so that rows and columns sum to 1 (Xiao, Boyd and Kim
2007). The two exponential graphs are directed: worker i sends to those 1, 2, 4, ... places on, all in each
exchange, or one after the other (Assran et al. 2019).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gdsim.axes import checked_whole
from gdsim.words import given, nearest

Topology: TypeAlias = str | Sequence[Sequence[float]] | np.ndarray  # a name of TOPOLOGIES, or a matrix

MOST_MIXED = 2048  # workers, of which a matrix has as many rows and columns
ROUNDING = 1e-9  # by how much the sums of a given matrix may differ from 1


class Neighbours(NamedTuple):
    """Mixing matrices without their diagonals, row by row: what a worker reads in an exchange.

    Worker i reads, by matrix m, the workers `source[begin[m K + i]:begin[m K + i + 1]]`, ascending.
    """

    begin: np.ndarray  # int64 [matrix * K + 1]
    source: np.ndarray  # int64 [edge]
    weight: np.ndarray  # float64 [edge]: W_ij


def _edges(workers: int, pairs: list[tuple[int, int]]) -> np.ndarray:
    """[worker, worker]: whether they are joined. An edge that is there twice is one, and nobody is his own
    neighbour.
    """
    joined = np.zeros((workers, workers), bool)
    for i, j in pairs:
        joined[i, j] = joined[j, i] = i != j
    return joined


def _complete(workers: int) -> np.ndarray:
    return ~np.eye(workers, dtype=bool)


def _ring(workers: int) -> np.ndarray:
    return _edges(workers, [(i, (i + 1) % workers) for i in range(workers)])


def _torus(workers: int) -> np.ndarray:
    """The one nearest to a square."""
    rows = max(m for m in range(1, int(workers**0.5) + 1) if workers % m == 0)
    columns = workers // rows
    if rows == 1 and workers > 1:
        raise ValueError(f"topology 'torus' needs workers = m n with m and n from 2; {workers} workers were given: take 'ring', or as many as 4, 6, 8, 9")
    right = [(i, i - i % columns + (i + 1) % columns) for i in range(workers)]
    return _edges(workers, right + [(i, (i + columns) % workers) for i in range(workers)])


def _hypercube(workers: int) -> np.ndarray:
    if workers & (workers - 1):
        below = 1 << (workers.bit_length() - 1)
        raise ValueError(f"topology 'hypercube' needs a power of 2 of workers; {workers} were given: take {below} or {2 * below}")
    return _edges(workers, [(i, i ^ 1 << bit) for i in range(workers) for bit in range(workers.bit_length() - 1)])


def _star(workers: int) -> np.ndarray:
    return _edges(workers, [(0, i) for i in range(1, workers)])


def _path(workers: int) -> np.ndarray:
    return _edges(workers, [(i, i + 1) for i in range(workers - 1)])


def _metropolis_hastings(joined: np.ndarray) -> np.ndarray:
    """The mixing matrix of a graph."""
    degree = joined.sum(1)
    matrix = joined / (1.0 + np.maximum.outer(degree, degree))
    return matrix + np.diag(1.0 - matrix.sum(1))


def _hops(workers: int) -> list[int]:
    """1, 2, 4, ... below the number of workers."""
    return [1 << k for k in range((workers - 1).bit_length())]


def _shifted(workers: int, hops: list[int]) -> np.ndarray:
    """The matrix by which each worker gives equal shares to itself and to those some places on."""
    each, matrix = np.arange(workers), np.eye(workers)
    for hop in hops:
        matrix[(each + hop) % workers, each] += 1.0
    return matrix / (1.0 + len(hops))


GRAPHS: dict[str, Callable[[int], np.ndarray]] = {
    "complete": _complete,
    "ring": _ring,
    "torus": _torus,
    "hypercube": _hypercube,
    "star": _star,
    "path": _path,
}
DIRECTED = ("exponential", "one_peer")
TOPOLOGIES = (*GRAPHS, *DIRECTED)


def mixing_matrices(topology: Topology, workers: int) -> np.ndarray:
    """The matrices by which workers mix their weights, [matrix, worker, worker]: one, and of "one_peer" as
    many as it has hops, of which exchanges take one after the other.

    `topology` is "complete", "ring", "torus" (the one of m rows and n columns that is nearest to a square),
    "hypercube", "star", "path", "exponential", "one_peer", or a matrix [worker, worker] whose columns sum to 1
    and which mixes: some power of it has no 0. If its rows do not sum to 1 it is directed, and `gd.Gossip`
    then divides by the shares that arrive ("push-sum", Kempe, Dobra and Gehrke 2003). Raises ValueError or
    TypeError for a topology that is none, or that does not fit the number of workers.

    >>> mixing_matrices("ring", 4)[0].round(3)
    array([[0.333, 0.333, 0.   , 0.333],
           [0.333, 0.333, 0.333, 0.   ],
           [0.   , 0.333, 0.333, 0.333],
           [0.333, 0.   , 0.333, 0.333]])
    >>> len(mixing_matrices("one_peer", 16))
    4
    """
    checked, workers = checked_topology(topology), checked_whole(workers, "workers")
    if workers > MOST_MIXED:
        raise ValueError(f"workers that mix their weights may be {MOST_MIXED:,} at most, as their matrix has a number for each two; {workers:,} were given")
    if not isinstance(checked, str):
        if len(checked) != workers:
            raise ValueError(f"topology is a matrix of {len(checked)} workers; workers={workers} was given: they must be as many")
        return np.array([checked])
    if checked == "one_peer":
        return np.stack([_shifted(workers, [hop]) for hop in _hops(workers)] or [np.ones((1, 1))])
    if checked == "exponential":
        return _shifted(workers, _hops(workers))[None]
    return _metropolis_hastings(GRAPHS[checked](workers))[None]


def checked_topology(value: Any, name: str = "topology") -> Any:
    """A topology in its normal form, its name or the rows of its matrix; or an error that says what is allowed."""
    if isinstance(value, str):
        if value not in TOPOLOGIES:
            raise ValueError(f"{name}={given(value)} is none; {nearest(value, TOPOLOGIES)}, or a matrix [worker, worker]")
        return value
    try:
        matrix: Any = np.array(value, float)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.ndim != 2 or len(matrix) == 0 or len(matrix) != len(matrix.T):
        allowed = ", ".join(map(repr, TOPOLOGIES))
        raise TypeError(f"{name} must be one of {allowed}, or a square matrix [worker, worker] of numbers; {given(value)} was given")
    _check_mixing(matrix, name)
    return tuple(map(tuple, matrix.tolist()))


def _check_mixing(matrix: np.ndarray, name: str) -> None:
    """Refuses a matrix that loses weight, or does not bring all workers together."""
    if not (matrix >= 0).all():  # NaN too
        i, j = np.argwhere(~(matrix >= 0))[0]
        raise ValueError(f"{name}[{i}, {j}] is {matrix[i, j]:g}; a mixing matrix has shares from 0 to 1")
    columns, rows = matrix.sum(0), matrix.sum(1)
    off = int(np.argmax(abs(columns - 1)))
    if abs(columns[off] - 1) > ROUNDING:
        turned = ": its rows do, so give it transposed" if (abs(rows - 1) <= ROUNDING).all() else ": divide each column by its sum"
        raise ValueError(f"{name}: the columns of a mixing matrix, what a worker gives to all, sum to 1; column {off} sums to {columns[off]:.6g}{turned}")
    workers, joined = len(matrix), matrix > 0
    if not _power_of(joined | np.eye(workers, dtype=bool), workers).all():
        raise ValueError(f"{name}: the workers are not connected, so that they never agree; every worker must reach every other one")
    if not _power_of(joined, (workers - 1) ** 2 + 1).all():  # by Wielandt's bound
        raise ValueError(f"{name}: weights go round in circles and never mix; give workers a share of their own, as by (W + I) / 2")


def _power_of(joined: np.ndarray, least: int) -> np.ndarray:
    """Whether a path leads from each worker to each other, of as many edges as the first power of 2 from
    `least` on.
    """
    power = joined.astype(float)
    for _ in range((least - 1).bit_length()):
        power = (power @ power > 0).astype(float)
    return power > 0


def is_directed(matrices: np.ndarray) -> bool:
    """Whether workers get other shares than they give, so that the shares must be counted."""
    return bool((abs(matrices.sum(2) - 1) > ROUNDING).any())


def second_eigenvalue(topology: Topology, workers: int) -> float:
    """The factor by which an exchange brings workers together in the long run: the second largest modulus of
    the eigenvalues of the mixing matrix, the first being 1. Of "one_peer" that of a round of all its hops,
    per exchange (Xiao and Boyd 2004).

    `topology` is as of `mixing_matrices`, a name or a matrix [worker, worker]. Raises ValueError or TypeError as that does.

    >>> second_eigenvalue("complete", 8), round(second_eigenvalue("ring", 8), 10)
    (0.0, 0.8047378541)
    """
    matrices = mixing_matrices(topology, workers)
    moduli = np.sort(abs(np.linalg.eigvals(functools.reduce(np.matmul, matrices[::-1]))))
    second = float(moduli[-2]) if workers > 1 else 0.0
    return 0.0 if second < ROUNDING else second ** (1 / len(matrices))


def spectral_gap(topology: Topology, workers: int) -> float:
    """1 less the `second_eigenvalue`: the share of the disagreement that an exchange takes away in the long run
    (Xiao and Boyd 2004).

    `topology` is as of `mixing_matrices`, a name or a matrix [worker, worker]. Raises ValueError or TypeError as that does.

    >>> round(spectral_gap("hypercube", 8), 10)
    0.5
    """
    return 1.0 - second_eigenvalue(topology, workers)


def neighbours_of(matrices: np.ndarray) -> Neighbours:
    """What each worker reads of the others, matrix by matrix."""
    others = matrices * ~np.eye(len(matrices[0]), dtype=bool)
    counts = (others > 0).sum(2).ravel()
    matrix, receiver, source = np.nonzero(others)
    return Neighbours(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), source.astype(np.int64), others[matrix, receiver, source])


def messages_sent(matrices: np.ndarray) -> np.ndarray:
    """[matrix, worker] how many messages a worker sends in an exchange: one to each other that reads it."""
    return (matrices * ~np.eye(len(matrices[0]), dtype=bool) > 0).sum(1)
