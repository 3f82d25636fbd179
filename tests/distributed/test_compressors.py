"""Compressors in lanes against NumPy, and against their exact errors."""

import collections
import functools
import math

import numpy as np
import pytest

from gdsim.kernels.teams.compression import COMPRESS, Draw, Message
from gdsim.kernels.teams.parts import compress
from gdsim.lanes.compiler import bind
from gdsim.lanes.operations import load
from gdsim.lanes.parts import WIDTH

Numbers = collections.namedtuple("Numbers", "kept scale levels")
V = np.array([5.0, -4.0, 3.0, 2.0, 1.0])


def send_all(vectors, places, matrices, basis, factor, numbers, sizes, who, seed):
    rank, worker, runs = sizes[0], sizes[1], sizes[2]
    for pack in range(len(vectors) // len(factor)):
        at, own = pack * len(factor), pack * WIDTH
        h = Numbers(load(numbers, own, WIDTH), load(numbers, own + runs, WIDTH), load(numbers, own + 2 * runs, WIDTH))
        draw = Draw(load(who, own, WIDTH), worker, load(who, own + runs, WIDTH), (seed[0], seed[1]))
        compress(Message(vectors, at, places, matrices, rank, basis, at, factor, 0), h, draw)


@functools.cache
def kernel_of(kind, dtype, width):
    from numba import types

    real, whole, word = getattr(types, dtype)[::1], types.int64[::1], types.uint32[::1]
    return bind(send_all, {"WIDTH": width, "compress": COMPRESS[kind]}, types.void(real, whole, whole, real, real, real, whole, word, word))


def sent(kind, vectors, kept=1.0, scale=1.0, levels=1.0, *, starts=0, steps=0, worker=0, dtype="float64", width=8, matrices=(), rank=1, basis=None):
    """What is received for each of vectors[run, parameter], which lie with padding between them."""
    runs, size = vectors.shape
    packs = -(-runs // width)
    places = 1 + 3 * np.arange(size)
    held = np.full((packs * width, 3 * size + 1), np.nan, dtype)
    held[:, places] = 0.0
    held[:runs, places] = vectors
    laid = lambda a, kind: np.ascontiguousarray(np.reshape(a, (packs, width, -1)).transpose(0, 2, 1)).astype(kind)  # noqa: E731
    spread = lambda value: np.resize(np.broadcast_to(value, runs), packs * width)  # noqa: E731
    memory, bases = laid(held, dtype), np.zeros((packs, 3 * size + 1, width), dtype)
    if basis is not None:
        bases[:, : len(basis)] = np.asarray(basis)[None, :, None]
    numbers = np.concatenate([spread(n) for n in (kept, scale, levels)]).astype(dtype)
    who = np.concatenate([spread(starts), spread(steps)]).astype(np.uint32)
    rows = np.array(matrices, np.int64).ravel()
    sizes = np.array([rank, worker, packs * width])
    kernel = kernel_of(kind, dtype, width)
    kernel(memory.ravel(), places, rows, bases.ravel(), np.zeros((3 * size + 1) * width, dtype), numbers, sizes, who, np.array([3, 5], np.uint32))
    found = memory.transpose(0, 2, 1).reshape(packs * width, -1)[:runs]
    rest = np.setdiff1d(np.arange(3 * size + 1), places)
    assert np.isnan(found[:, rest]).all()
    if basis is not None:
        basis[:] = bases[0, : len(basis), 0]
    return found[:, places].astype(np.float64)


def many(count, v=V):
    """(vectors of many starts, their starts)."""
    return np.broadcast_to(v, (count, len(v))), np.arange(count)


def assert_mean(values, expected):
    """Within 4 standard errors."""
    values = np.asarray(values, float)
    assert np.all(np.abs(values.mean(0) - expected) <= 4 * values.std(0) / math.sqrt(len(values)) + 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_top_k_is_numpys_with_ties_to_the_first(dtype, size):
    rng = np.random.default_rng(1)
    vectors = np.where(rng.random((24, size)) < 0.5, rng.integers(-3, 4, (24, size)), rng.standard_normal((24, size))).astype(dtype)
    vectors[0] = 0.0
    vectors[1] *= 1e-30
    kept = rng.integers(1, size + 1, 24)
    found = sent("TopK", vectors, kept, dtype=dtype)
    for run, (v, k) in enumerate(zip(vectors, kept, strict=True)):
        first = np.argsort(-np.abs(v), kind="stable")[:k]
        expected = np.zeros(size)
        expected[first] = v[first]
        assert (found[run] == expected).all()


@pytest.mark.parametrize(("k", "error"), [(1, 30), (2, 14), (3, 5)])
def test_top_k_leaves_out_the_smallest_squares(k, error):
    assert ((sent("TopK", V[None], k) - V) ** 2).sum() == error


@pytest.mark.parametrize(("k", "scaled", "unscaled"), [(1, 220, 44), (2, 82.5, 33), (3, 110 / 3, 22)])
def test_random_k_has_the_exact_errors(k, scaled, unscaled):
    vectors, starts = many(20000)
    found = sent("RandomK", vectors, k, 5 / k, starts=starts, width=16)
    assert ((found != 0).sum(1) == k).all()
    assert_mean(found, V)
    assert_mean(((found - V) ** 2).sum(1), scaled)
    assert ((found * (k / 5) - sent("RandomK", vectors, k, 1.0, starts=starts, width=16)) ** 2).max() < 1e-28
    assert_mean(((found * (k / 5) - V) ** 2).sum(1), unscaled)


@pytest.mark.full
def test_masks_of_workers_and_steps_are_independent_unless_they_are_shared():
    vectors, starts = many(20000)
    g = [V, np.array([1.0, 1.0, -2.0, 0.0, 3.0])]
    mean = (g[0] + g[1]) / 2
    own = [sent("RandomK", np.broadcast_to(v, vectors.shape), 2, 2.5, starts=starts, worker=w, width=16) for w, v in enumerate(g)]
    shared = [sent("RandomK", np.broadcast_to(v, vectors.shape), 2, 2.5, starts=starts, width=16) for v in g]
    assert_mean((((own[0] + own[1]) / 2 - mean) ** 2).sum(1), 1.5 * sum((v * v).sum() for v in g) / 4)
    assert_mean((((shared[0] + shared[1]) / 2 - mean) ** 2).sum(1), 1.5 * (mean * mean).sum())
    steps = [sent("RandomK", vectors, 1, starts=starts, steps=s, width=16) != 0 for s in (0, 1)]
    assert_mean((steps[0] & steps[1]).any(1), 0.2)


@pytest.mark.parametrize(("levels", "variance", "count"), [(1, 78, 19 / 13), (2, 26, 27 / 13), (4, 4.875, 38 / 13), (16, 0.3046875, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_qsgd_is_unbiased_with_the_exact_variance(levels, variance, count, dtype):
    v = np.array([3.0, 4.0, 0.0, -12.0])
    vectors, starts = many(20000, v)
    found = sent("QSGD", vectors, levels=levels, starts=starts, dtype=dtype, width=16)
    assert_mean(found, v)
    assert_mean(((found - v) ** 2).sum(1), variance)
    assert_mean((found != 0).sum(1), count)
    assert np.abs(found * levels / 13 - np.round(found * levels / 13)).max() < 1e-5


def test_qsgd_of_nothing_and_of_one_number_is_exact():
    assert (sent("QSGD", np.zeros((1, 6)), levels=4.0) == 0.0).all()
    assert sent("QSGD", np.array([[0.0, -3.0, 0.0]]), levels=7.0).tolist() == [[0.0, -3.0, 0.0]]


def test_signs_have_the_exact_error_and_the_sign_of_zero_is_zero():
    (found,) = sent("ScaledSign", V[None])
    assert found.tolist() == (np.sign(V) * 3.0).tolist()
    assert ((found - V) ** 2).sum() == 10
    assert sent("Sign", np.array([[2.0, 0.0, -0.5]])).tolist() == [[1.0, 0.0, -1.0]]
    assert sent("ScaledSign", np.array([[2.0, 0.0, -1.0]])).tolist() == [[1.0, 0.0, -1.0]]


def spectrum(values, rows, columns):
    """A matrix of these singular values, with its right singular vectors."""
    rng = np.random.default_rng(2)
    U, W = (np.linalg.qr(rng.standard_normal((n, len(values))))[0] for n in (rows, columns))
    return U @ np.diag(values) @ W.T, W


@pytest.mark.full
def test_power_sgd_comes_to_the_best_approximation_as_power_iteration_does():
    s = np.array([4.0, 2.0, 1.0, 0.5, 0.25])
    M, W = spectrum(s, 6, 7)
    basis = W.sum(1)
    for turn in (1, 2, 3):
        found = sent("PowerSGD", M.reshape(1, -1), matrices=[(0, 6, 7)], basis=basis)
        expected = (s**2).sum() - (s ** (4 * turn)).sum() / (s ** (4 * turn - 2)).sum()
        assert ((found - M.ravel()) ** 2).sum() == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(5.3242216117, rel=1e-9)


@pytest.mark.full
@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-5), ("float64", 1e-13)])
def test_power_sgd_is_exact_for_matrices_of_its_rank_and_leaves_vectors_alone(dtype, near):
    M, _ = spectrum([3.0, 1.0], 8, 9)
    vectors = np.concatenate([[7.0], M.ravel(), [-1.0, 2.0]])[None].repeat(9, 0)
    for rank in (2, 3):
        found = sent("PowerSGD", vectors, matrices=[(1, 8, 9)], rank=rank, dtype=dtype, starts=np.arange(9))
        assert np.abs(found - vectors).max() < near
        assert (found[:, [0, 73, 74]] == [7.0, -1.0, 2.0]).all()
    assert (sent("PowerSGD", np.zeros((1, 72)), matrices=[(0, 8, 9)], rank=2) == 0.0).all()


@pytest.mark.full
@pytest.mark.parametrize("kind", list(COMPRESS))
def test_what_is_sent_is_the_same_at_any_width_and_beside_any_neighbours(kind):
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((21, 63))
    named = {"kept": rng.integers(1, 60, 21), "levels": rng.integers(1, 9, 21), "starts": np.arange(21), "steps": rng.integers(0, 9, 21)}
    given = {"matrices": [(0, 7, 9)], "rank": 2} if kind == "PowerSGD" else {}
    whole = sent(kind, vectors, **named, **given)
    alone = [sent(kind, vectors[i : i + 1], **{n: v[i] for n, v in named.items()}, **given, width=w)[0] for i, w in ((0, 1), (13, 16), (20, 1))]
    assert (whole[[0, 13, 20]] == alone).all()
    assert (whole != 0).any(1).all()
