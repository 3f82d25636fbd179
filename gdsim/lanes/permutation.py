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
from gdsim.lanes.masks import any, greatest
from gdsim.lanes.operations import minimum, where
from gdsim.lanes.philox import random_words
from gdsim.lanes.types import Count, Lane, Lanes

GOLDEN = 0x9E3779B9
MOST_RANKED = 32
MOST_ROUNDS = 12
MOST_ROW_BITS = 16


class OrderKey(NamedTuple):
    """What decides an order: how many elements there are, the bits of a row's length, how many rounds it
    takes, and four random words.

    The counts are one for all lanes, or, of `order_key_by_lane`, each lane's own.
    """

    elements: Count | Lane
    row_bits: Count | Lane
    rounds: Count | Lane
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
        return MOST_ROUNDS
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


def turn(row: Lane, place: Lane, key: OrderKey, words: tuple[Lane, Lane]) -> tuple[Lane, Lane]:
    """(row, place in it) after two rounds: each full row is turned by `amount` of its number, and each column
    likewise.
    """
    bits = key.row_bits
    mask = (1 << bits) - 1
    full, rest = key.elements >> bits, key.elements & mask  # full rows, and elements in the row that is not
    place = where(row < full, (place + (amount(row, words[0]) >> (32 - bits))) & mask, place)
    height = where(place < rest, row * 0 + (full + 1), row * 0 + full)
    row = row + multiply_high(amount(place, words[1]), height)
    return minimum(row, row - height), place  # modulo the height: where it is less, the difference wraps around to a large number


@noinline
def turned(x: Lane, key: OrderKey) -> Lane:
    """Where x is after the rounds of an order."""
    a, b, c, d = key.words
    row, place = x >> key.row_bits, x & ((1 << key.row_bits) - 1)
    for _ in range(key.rounds // 2):
        row, place = turn(row, place, key, (a, b))
        a, b, c, d = c, d, a + GOLDEN, b + GOLDEN
    return (row << key.row_bits) | place


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


def order_key_by_lane(start: Lane, purpose: Lane, epoch: Lane, seed: Lanes, n: Lane) -> OrderKey:
    """The key of orders of n elements, of which each lane has its own number: in each the key that
    `order_key` gives for it.
    """
    bits = n * 0 + 1
    for k in range(1, MOST_ROW_BITS):
        bits = where(n > (1 << (2 * k + 1)), bits + 1, bits)
    rounds = where(n < 64, n * 0 + rounds_of(0), where(n < 1024, n * 0 + rounds_of(64), n * 0 + rounds_of(1024)))
    return OrderKey(n, bits, rounds, random_words(start, purpose, epoch, 0, seed))


@noinline
def turned_by_lane(x: Lane, key: OrderKey) -> Lane:
    """`turned`, where each lane has its own number of elements."""
    a, b, c, d = key.words
    row, place = x >> key.row_bits, x & ((1 << key.row_bits) - 1)
    for done in range(0, MOST_ROUNDS, 2):
        next_row, next_place = turn(row, place, key, (a, b))
        goes_on = key.rounds > done
        row, place = where(goes_on, next_row, row), where(goes_on, next_place, place)
        a, b, c, d = c, d, a + GOLDEN, b + GOLDEN
    return (row << key.row_bits) | place


@noinline
def ranked_by_lane(x: Lane, key: OrderKey) -> Lane:
    """`ranked`, where each lane has its own number of elements; of those with more than `MOST_RANKED` no rank."""
    own, rank = number_of(x, key.words), x * 0
    for other in range(greatest(where(key.elements > MOST_RANKED, x * 0, key.elements))):
        counts = (number_of(x * 0 + other, key.words) < own) & (key.elements > other)
        rank = where(counts, rank + 1, rank)
    return rank


def permuted_by_lane(x: Lane, key: OrderKey) -> Lane:
    """Where the permutation of each lane's own number of elements sends x; x is below it."""
    is_ranked = key.elements <= MOST_RANKED
    place = ranked_by_lane(x, key)
    return where(is_ranked, place, turned_by_lane(x, key)) if any(~is_ranked) else place
