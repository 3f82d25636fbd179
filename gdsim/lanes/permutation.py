"""Orders of samples, computed on the fly: the place of one element in a keyed permutation of 0 .. n-1, on
uint32 lanes.

Up to 32 elements it is the rank of the element's number among n distinct random numbers, so that all n!
orders are as likely as these numbers are good. Beyond, the elements lie in rows of a power of two near
sqrt(n), the last of them perhaps not full, and rounds turn all full rows and all columns in turn, each row
and column by a random amount of its own: a Feistel network (Black and Rogaway 2002) whose columns are of two
heights, so that it permutes exactly n elements and no result has to be drawn again. For ideal random amounts
the law of where a pair of elements goes is computed exactly, pair by pair, as a Markov chain: its chi-squared
distance from the uniform law falls by a factor of about n with every two rounds, and after `rounds_of(n)` it
is at most 4e-6, from 64 elements to 1023 1.1e-6; larger orders are tested by drawing
(`tests/lanes/test_orders.py`). Nothing is stored.
"""

from typing import NamedTuple

from gdsim.lanes.bits import multiply_high
from gdsim.lanes.compiler import noinline
from gdsim.lanes.operations import minimum, where
from gdsim.lanes.philox import random_words
from gdsim.lanes.types import Count, Lane, Lanes

GOLDEN = 0x9E3779B9
MOST_RANKED = 32


class OrderKey(NamedTuple):
    """What decides an order: how many elements there are, the bits of a row's length, how many rounds it
    takes, and four random words.
    """

    elements: Count
    row_bits: Count
    rounds: Count
    words: Lanes


def row_bits_of(n: Count) -> Count:
    """k, where rows of 2^k are at most twice as long as there are of them, and at least half as long."""
    k = 1
    while (1 << (2 * k + 1)) < n:
        k += 1
    return k


def rounds_of(n: Count) -> Count:
    """How many rounds mix n elements: the fewer elements, the more rounds."""
    if n < 64:
        return 12
    return 10 if n < 1024 else 8


def order_key(start: Lane, purpose: Lane, epoch: Lane, seed: Lanes, n: Count) -> OrderKey:
    """The key of one order of n elements."""
    return OrderKey(n, row_bits_of(n), rounds_of(n), random_words(start, purpose, epoch, 0, seed))


def amount(x: Lane, word: Lane) -> Lane:
    """32 bits that depend on x and on a random word, the upper ones on every bit of both: from these comes
    the amount of a turn.
    """
    x = (x ^ word) * 0x85EBCA6B
    return (x ^ (x >> 15)) * 0xC2B2AE35


@noinline
def turned(x: Lane, key: OrderKey) -> Lane:
    """Where x is after rounds that turn each full row by `amount` of its number, and each column likewise."""
    a, b, c, d = key.words
    bits = key.row_bits
    mask = (1 << bits) - 1
    full, rest = key.elements >> bits, key.elements & mask  # full rows, and elements in the row that is not
    place, row = x & mask, x >> bits
    for _ in range(key.rounds // 2):
        place = where(row < full, (place + (amount(row, a) >> (32 - bits))) & mask, place)
        height = where(place < rest, x * 0 + (full + 1), x * 0 + full)
        row = row + multiply_high(amount(place, b), height)
        row = minimum(row, row - height)  # modulo the height: where it is less, the difference wraps around to a large number
        a, b, c, d = c, d, a + GOLDEN, b + GOLDEN
    return (row << bits) | place


def number_of(x: Lane, words: Lanes) -> Lane:
    """The random number of element x: a bijection of 32 bits, so that no two elements have the same."""
    number = words[0] + x * GOLDEN
    number = (number ^ (number >> 16)) * 0x85EBCA6B + words[1]
    return (number ^ (number >> 13)) * 0xC2B2AE35 + words[2]


@noinline
def ranked(x: Lane, key: OrderKey) -> Lane:
    """How many elements have a smaller random number than x."""
    own, rank = number_of(x, key.words), x * 0
    for other in range(key.elements):
        rank = where(number_of(other, key.words) < own, rank + 1, rank)
    return rank


def permuted(x: Lane, key: OrderKey) -> Lane:
    """Where the permutation of 0 .. n-1 with this key sends x; x is a uint32 lane below n."""
    return ranked(x, key) if key.elements <= MOST_RANKED else turned(x, key)
