"""The oracle of compression: what a message loses, and the memories that bring it back."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tests.distributed.reference import Gradient

# (worker, number of the worker's step, vector) -> vector: what arrives of it.
Compressor = Callable[[int, int, np.ndarray], np.ndarray]


def top_k(v: np.ndarray, k: int) -> np.ndarray:
    """The k largest by size; of equals those that come first."""
    kept = np.argsort(-np.abs(v), kind="stable")[:k]
    return np.where(np.isin(np.arange(v.size), kept), v, 0.0)


def random_k(v: np.ndarray, mask: np.ndarray, scaled: bool) -> np.ndarray:
    """Those of a mask; scaled by d / k they are right in the mean."""
    return np.where(mask, v, 0.0) * (v.size / mask.sum() if scaled else 1.0)


def qsgd(v: np.ndarray, levels: int, uniform: np.ndarray) -> np.ndarray:
    """Every element rounded up or down, at random, to a multiple of |v|_2 / s."""
    norm = np.linalg.norm(v)
    if norm == 0:
        return np.zeros_like(v)
    x = levels * np.abs(v) / norm
    return norm * np.sign(v) / levels * (np.floor(x) + (uniform < x - np.floor(x)))


def scaled_sign(v: np.ndarray) -> np.ndarray:
    """(|v|_1 / d) sign v."""
    return np.abs(v).mean() * np.sign(v)


def majority(votes: np.ndarray) -> np.ndarray:
    """sign of the sum of the signs of [worker, parameter]; a tie is 0."""
    return np.sign(np.sign(votes).sum(0))


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """Columns made orthonormal one after another (Gram and Schmidt)."""
    made = []
    for column in columns.T:
        rest = column - sum(((basis @ column) * basis for basis in made), np.zeros_like(column))
        made.append(rest / np.linalg.norm(rest))
    return np.array(made).T


def power_sgd(matrices: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(what arrives of the mean of [worker, row, column], the next pass's q [column, rank])."""
    p = orthonormal(np.mean([m @ orthonormal(q) for m in matrices], 0))
    q = np.mean([m.T @ p for m in matrices], 0)
    return p @ q.T, q


class Compressed(NamedTuple):
    """What a synchronous run with compressed messages went through."""

    path: np.ndarray  # [step, parameter]
    memories: np.ndarray  # [worker, parameter]: e_k, or EF21's G_k
    gradients: np.ndarray  # [step, parameter]: eta mean_k g_k


def compressed(
    start: np.ndarray, gradient: Gradient, lr: Callable[[int], float], steps: int, workers: int, compress: Compressor, memory: str | None = None,
    arrived: Callable[[int], Sequence[int]] | None = None,
) -> Compressed:  # fmt: skip
    """w - the mean of messages. memory None: eta C(g_k). inside: C(eta g_k + e_k), e_k what is lost. outside: the
    same of g_k, times eta after. ef21: G_k += C(g_k - G_k), then w - eta mean G_k.

    Of messages that do not all arrive the mean is over those that do, and e_k is as if they did; of ef21 G_k
    stays. None arrive: no step.
    """
    w, path, taken = start, [start], []
    e = np.zeros((workers, start.size))
    for step in range(steps):
        here = list(range(workers) if arrived is None else arrived(step))
        g = np.array([gradient(k, step, w) for k in range(workers)])
        rate = lr(step)
        if memory == "ef21":
            for k in here:
                e[k] = e[k] + compress(k, step, g[k] - e[k])
            w = w - rate * e.mean(0) if here else w
        else:
            p = (rate if memory == "inside" else 1.0) * g + (e if memory else 0.0)
            sent = np.array([compress(k, step, p[k]) for k in range(workers)])
            e = p - sent if memory else e
            w = w - (1.0 if memory == "inside" else rate) * sent[here].mean(0) if here else w
            taken.append(rate * g.mean(0))
        path.append(w)
    return Compressed(np.array(path), e, np.array(taken))
