"""Orders of samples: each a permutation, all as likely, and independent of the orders of other epochs and
starts.
"""

import math

import numpy as np
import pytest
from numba import types
from scipy import stats

from gdsim.lanes.compiler import bind
from gdsim.lanes.operations import load, store
from gdsim.lanes.permutation import MOST_RANKED, OrderKey, order_key, permuted, rounds_of, row_bits_of
from gdsim.lanes.philox import SAMPLE_ORDER, purpose_of

WORD = types.uint32[::1]
WIDTH = 16


def orders(starts, places, sizes, out):
    n, rounds, epoch, replica = sizes
    for first in range(0, len(starts), WIDTH):
        start = load(starts, first, WIDTH)
        key = order_key(start, purpose_of(SAMPLE_ORDER, replica), start * 0 + epoch, (7, 0), n)
        if rounds > 0:
            key = OrderKey(n, key.row_bits, rounds, key.words)
        for number in range(len(places)):
            store(out, number * len(starts) + first, permuted(start * 0 + places[number], key))


def drawn(n, places, count, epoch=0, replica=0, *, rounds=0):
    """[place, start] where the orders of `count` starts send some places; `rounds` other than usual where
    given.
    """
    out = np.zeros((len(places), count), np.uint32)
    kernel = bind(orders, {}, types.void(WORD, WORD, types.UniTuple(types.int64, 4), WORD))
    kernel(np.arange(count, dtype=np.uint32), np.array(places, np.uint32), (n, rounds, epoch, replica), out.reshape(-1))
    return out.astype(int)


def is_likely(cells, count):
    """Whether all cells are as likely."""
    counts = np.bincount(cells, minlength=count)
    return stats.chisquare(counts).pvalue > 1e-4


def numbered(order):
    """[start] the number of each order among all n! (Lehmer's code), from order[place, start]."""
    code, n = 0, len(order)
    for place in range(n):
        code = code * (n - place) + (order[place + 1 :] < order[place]).sum(0)
    return code


@pytest.mark.parametrize("n", [*range(1, 9), 31, 32, 33, 63, 64, 65, 73, 127, 128, 129, 255, 256, 257, 569, 1797, 4097, 10**4, 10**5])
def test_orders_are_permutations(n):
    found = drawn(n, range(n), 16)
    assert (np.sort(found, axis=0) == np.arange(n)[:, None]).all()


@pytest.mark.full
def test_orders_of_every_size_are_permutations():
    for n in range(1, 1100):
        assert (np.sort(drawn(n, range(n), 16), axis=0) == np.arange(n)[:, None]).all()


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_orders_of_few_samples_are_as_likely(n):
    assert is_likely(numbered(drawn(n, range(n), 400_000)), math.factorial(n))


@pytest.mark.parametrize("n", [7, 24, 32, 33, 48, 63, 64, 65, 100, 129])
def test_all_pairs_of_places_are_as_likely(n):
    """Each of n (n - 1) pairs, for neighbours in a row, in a column, and at the end."""
    side = min(1 << row_bits_of(n), n - 1)
    for first, second in {(0, 1), (0, side), (n - 2, n - 1), (0, n - 1)}:
        a, b = drawn(n, [first, second], 400_000)
        assert is_likely(a * (n - 1) + b - (b > a), n * (n - 1))


@pytest.mark.parametrize("n", [8, 33])
def test_all_triples_of_places_are_as_likely(n):
    a, b, c = drawn(n, [0, 1, n - 1], 800_000)
    second = b - (b > a)
    third = c - (c > a) - (c > b)
    assert is_likely((a * (n - 1) + second) * (n - 2) + third, n * (n - 1) * (n - 2))


@pytest.mark.parametrize("n", [1797, 4097, 10**5])
def test_large_orders_are_uniform_in_places_and_steps(n):
    """Of 3200 orders where each of 100 places goes; how far from a place its neighbours go."""
    found = drawn(n, range(100), 3200)
    places = [stats.chisquare(np.bincount(row * 64 // n, minlength=64), np.diff(-(-np.arange(65) * n // 64)) * 3200 / n).pvalue for row in found]
    assert stats.kstest(places, "uniform").pvalue > 1e-4
    steps = ((found[1:] - found[:-1]) % n).ravel() - 1
    assert stats.kstest((steps + 0.5) / (n - 1), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("n", [4, 5])
def test_orders_of_epochs_starts_and_replicas_are_independent(n):
    count, size = 400_000, math.factorial(n)
    first, second, other, third = (numbered(drawn(n, range(n), count, *which)) for which in ((0, 0), (1, 0), (0, 1), (0, 256)))
    for a, b in ((first, second), (first[:-1], first[1:]), (first[1:], second[:-1]), (first, other), (second, other), (other, third)):
        assert is_likely(a * size + b, size * size)


@pytest.mark.parametrize("n", [33, 100])
def test_places_of_epochs_starts_and_replicas_are_independent(n):
    first, second, other = (drawn(n, [5], 400_000, *which)[0] for which in ((0, 0), (1, 0), (0, 1)))
    for a, b in ((first, second), (first[:-1], first[1:]), (first, other)):
        assert is_likely(a * n + b, n * n)


def turn(law, group, place):
    """The law[a, b] of where a pair of elements is after each group has turned by an amount of its own, all
    amounts as likely.
    """
    members = np.eye(group.max() + 1)[:, group]
    spread = members / members.sum(1, keepdims=True)
    after = spread.T @ (members @ law @ members.T) @ spread  # of different groups
    for g in range(len(members)):
        own = np.flatnonzero(group == g)
        own = own[np.argsort(place[own])]
        way = (own[:, None], own[(np.arange(len(own))[:, None] + np.arange(len(own))) % len(own)])  # [place, distance]
        after[way] = law[way].mean(0)
    return after


def pair_law(n, rounds, pair):
    """[a, b] the law of where a pair of elements goes if every row and column turns by an ideal random
    amount.
    """
    side = 1 << row_bits_of(n)
    row, place = np.divmod(np.arange(n), side)
    full = n // side
    rows = np.where(row < full, row, full + place)  # those of the row that is not full stay
    law = np.zeros((n, n))
    law[pair] = 1
    for r in range(rounds):
        law = turn(law, rows, place) if r % 2 == 0 else turn(law, place, row)
    return law[~np.eye(n, dtype=bool)]


@pytest.mark.parametrize("n", [37, 64, 100])
def test_few_rounds_follow_the_law_of_ideal_ones(n):
    """So that what is computed of ideal rounds holds of these: after four, whose law is far from uniform,
    pairs go where they should.
    """
    for pair in ((0, 1), (n - 2, n - 1), (0, 1 << row_bits_of(n))):
        law = pair_law(n, 4, pair)
        a, b = drawn(n, pair, 400_000, rounds=4)
        counts = np.bincount(a * (n - 1) + b - (b > a), minlength=len(law))
        possible = law > 0
        assert counts[~possible].sum() == 0
        assert stats.chisquare(counts[possible], law[possible] * counts.sum() / law[possible].sum()).pvalue > 1e-4


def distance(n):
    """The chi-squared distance of the law of a pair from the uniform one, the largest over kinds of pairs."""
    pairs = {(0, 1), (0, 1 << row_bits_of(n)), (n - 2, n - 1), (0, n - 1)}
    laws = [pair_law(n, rounds_of(n), pair) for pair in pairs]
    return max(len(law) * ((law - 1 / len(law)) ** 2).sum() for law in laws)


@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        ([MOST_RANKED + 1, 63], 4e-6),
        ([64, 129], 1.1e-6),
        pytest.param([*range(MOST_RANKED + 1, 64)], 4e-6, marks=pytest.mark.full),
        pytest.param([*range(64, 150, 6), 255, 257, 270, 513, 530, 1023], 1.1e-6, marks=pytest.mark.slow),
    ],
)
def test_the_rounds_are_enough(sizes, most):
    assert max(map(distance, sizes)) < most
