"""The oracle of gossip: workers that talk to their neighbours, and the matrices they do it by."""

from collections.abc import Callable, Sequence

import numpy as np

from tests.distributed.reference import Gradient, Path, Rule


def metropolis_hastings(neighbours: Sequence[Sequence[int]]) -> np.ndarray:
    """W of a simple graph: 1 / (1 + the larger degree) on edges, the rest on the diagonal."""
    size = len(neighbours)
    W = np.zeros((size, size))
    for i, others in enumerate(neighbours):
        for j in set(others) - {i}:
            W[i, j] = 1 / (1 + max(len(set(others) - {i}), len(set(neighbours[j]) - {j})))
    return W + np.diag(1 - W.sum(1))


def graph(name: str, size: int, sides: tuple[int, int] | None = None) -> np.ndarray:
    """W of a graph by its name; a torus has its two sides."""
    if name == "exponential":
        hops = int(np.ceil(np.log2(size)))
        return sum((np.eye(size)[(np.arange(size) + hop) % size] for hop in [0, *(2**j for j in range(hops))]), np.zeros((size, size))) / (hops + 1)
    m, n = sides or (1, size)
    near = {
        "complete": lambda i: [j for j in range(size) if j != i],
        "ring": lambda i: [(i - 1) % size, (i + 1) % size],
        "path": lambda i: [j for j in (i - 1, i + 1) if 0 <= j < size],
        "star": lambda i: range(1, size) if i == 0 else [0],
        "hypercube": lambda i: [i ^ (1 << bit) for bit in range(int(np.log2(size)))],
        "torus": lambda i: [(i // n + d) % m * n + i % n for d in (-1, 1)] + [i // n * n + (i % n + d) % n for d in (-1, 1)],
    }[name]
    return metropolis_hastings([list(near(i)) for i in range(size)])


def one_peer(size: int, step: int) -> np.ndarray:
    """The matrix of a step of the one-peer exponential graph: half from the worker 2^(step mod s) ahead."""
    hop = 2 ** (step % int(np.ceil(np.log2(size))))
    return (np.eye(size) + np.eye(size)[(np.arange(size) + hop) % size]) / 2


def gossip(
    start: np.ndarray, gradient: Gradient, rule: Rule, steps: int, matrix: Callable[[int], np.ndarray], *, order: str = "combine", period: int = 1, points=None
) -> Path:
    """combine: x_i' = sum_j W_ij x_j + the rule's step at x_i; adapt: x' = W (x + the rule's step)."""
    workers = len(matrix(0))
    points, states = np.array([start] * workers if points is None else points, float), [None] * workers
    path = [points]
    for step in range(1, steps + 1):
        W = matrix(step // period - 1) if step % period == 0 else np.eye(workers)
        moved = np.empty_like(points)
        for k in range(workers):
            moved[k], states[k] = rule(points[k], lambda w, k=k, step=step: gradient(k, step - 1, w), states[k])
        points = W @ points + (moved - points) if order == "combine" else W @ moved
        path.append(points)
    return Path(np.array(path).mean(1), np.array(path))


def tracking(start: np.ndarray, gradient: Gradient, lr: float, steps: int, W: np.ndarray, *, order: str = "combine") -> Path:
    """Gradient tracking: workers step by y, whose mean is the mean gradient: y' = W y + g(x') - g(x), y_0 = g(x_0)."""
    workers = len(W)
    points = np.array([start] * workers, float)
    last = np.array([gradient(k, 0, points[k]) for k in range(workers)])
    y, path = last, [points]
    for step in range(1, steps + 1):
        points = W @ points - lr * y if order == "combine" else W @ (points - lr * y)
        new = np.array([gradient(k, step, points[k]) for k in range(workers)])
        y, last = W @ y + new - last, new
        path.append(points)
    return Path(np.array(path).mean(1), np.array(path))


def push_sum(start: np.ndarray, gradient: Gradient, lr: float, steps: int, matrix: Callable[[int], np.ndarray], *, order: str = "combine") -> Path:
    """SGP: x' = P x, u' = P u with the columns of P summing to 1; gradients at z = x / u, which are the workers' points."""
    workers = len(matrix(0))
    x, u = np.array([start] * workers, float), np.ones((workers, 1))
    path = [x / u]
    for step in range(steps):
        P, g = matrix(step), np.array([gradient(k, step, x[k] / u[k]) for k in range(workers)])
        x = P @ x - lr * g if order == "combine" else P @ (x - lr * g)
        u = P @ u
        path.append(x / u)
    return Path(np.array(path).mean(1), np.array(path))
