"""What is sent in the place of a vector, in lanes: each lane compresses its own.

A compressor is a function of a message, of the run's numbers by the names of `distribution.compression`, and
of who draws; it leaves C(v) in the place of v. Every sum is one lane's, in the order of the parameters, so
that no neighbour and no width changes a bit; what the layout pads is never read.
"""

from typing import NamedTuple

from gdsim.kernels.state import Sum, added, total_of
from gdsim.lanes.bits import by_precision, to_bits
from gdsim.lanes.compiler import noinline
from gdsim.lanes.masks import all, any
from gdsim.lanes.operations import absolute, as_type_of, broadcast, floor, fma_lanes as fma, load, minimum, sign, sqrt, store, where
from gdsim.lanes.parts import WIDTH
from gdsim.lanes.permutation import order_key, permuted
from gdsim.lanes.philox import MESSAGE, purpose_of, random_words
from gdsim.lanes.types import Count, Hyperparameters, Lane, Lanes, Mask, Memory, Offset

WORDS = 4  # of a random draw


class Message(NamedTuple):
    """A vector in memory [place, lane] from the number `at` on, of which `places` count.

    PowerSGD's matrices are parts of it: rows (first parameter, rows, columns), of which `basis` keeps Q from
    message to message and `factor` has room for P, each [parameter, lane] in the place of its matrix.
    """

    vector: Memory
    at: Offset
    places: Memory  # int64 [parameter]
    matrices: Memory  # int64 [matrix, 3]
    rank: int
    basis: Memory
    basis_at: Offset
    factor: Memory
    factor_at: Offset


class Draw(NamedTuple):
    """Whose random numbers a message is made with."""

    start: Lane  # uint32
    worker: Count
    step: Lane  # uint32
    seed: Lanes  # two words


class Vector(NamedTuple):
    """A column of a factor: numbers [element, lane] from the number `at` of a memory on."""

    array: Memory
    at: Offset
    size: int


def number(message: Message, parameter: int) -> Lane:
    """A parameter's number in each lane."""
    return load(message.vector, message.at + message.places[parameter] * WIDTH, WIDTH)


def put(message: Message, parameter: int, value: Lane) -> None:
    """Writes a parameter's number in each lane."""
    store(message.vector, message.at + message.places[parameter] * WIDTH, value)


def send_top(message: Message, h: Hyperparameters, draw: Draw) -> None:
    """Keeps the h.kept numbers of the largest magnitudes, of equal ones those that come first."""
    threshold = magnitude_of_rank(message, h)
    zero = threshold ^ threshold
    kept, above = as_type_of(h.kept, zero), zero
    for p in range(len(message.places)):
        above = where(to_bits(absolute(number(message, p))) > threshold, above + 1, above)
    for p in range(len(message.places)):
        value = number(message, p)
        magnitude = to_bits(absolute(value))
        is_first = (magnitude == threshold) & (above < kept)
        above = where(is_first, above + 1, above)
        put(message, p, where(is_first | (magnitude > threshold), value, 0.0))


def magnitude_of_rank(message: Message, h: Hyperparameters) -> Lane:
    """The bits of a magnitude that the h.kept largest reach and, ties apart, no other does.

    Magnitudes are ordered as their bits are, of which two are found in each round, from the highest on, until
    as many numbers as wanted are above in every lane.
    """
    first = to_bits(absolute(number(message, 0)))
    threshold = zero = first ^ first
    kept = as_type_of(h.kept, zero)
    for turn in range(by_precision(number(message, 0), 16, 32)):
        shift = by_precision(number(message, 0), 30, 62) - 2 * turn
        one = broadcast(1, zero) << shift
        a, b, c = threshold + one, threshold + one + one, threshold + one + one + one
        reach_a, reach_b, reach_c = zero, zero, zero
        for p in range(len(message.places)):
            magnitude = to_bits(absolute(number(message, p)))
            reach_a = where(magnitude >= a, reach_a + 1, reach_a)
            reach_b = where(magnitude >= b, reach_b + 1, reach_b)
            reach_c = where(magnitude >= c, reach_c + 1, reach_c)
        threshold = where(reach_c >= kept, c, where(reach_b >= kept, b, where(reach_a >= kept, a, threshold)))
        if all((reach_a == kept) | (reach_b == kept) | (reach_c == kept)):
            break
    return threshold


def send_random(message: Message, h: Hyperparameters, draw: Draw) -> None:
    """Keeps h.kept numbers at places drawn for this message, times h.scale."""
    key = order_key(draw.start, purpose_of(MESSAGE, draw.worker), draw.step, draw.seed, len(message.places))
    kept = as_type_of(h.kept, draw.step)
    for p in range(len(message.places)):
        is_kept = permuted(draw.step * 0 + p, key) < kept
        put(message, p, where(is_kept, number(message, p) * h.scale, 0.0))


def send_levels(message: Message, h: Hyperparameters, draw: Draw) -> None:
    """Magnitudes as multiples of |v| / h.levels, rounded at random to one of the two nearest."""
    length = length_of(message)
    unit, per_unit = length / h.levels, where(length > 0.0, h.levels / length, 0.0 * length)
    for first in range(0, len(message.places), WORDS):
        words = random_words(draw.start, purpose_of(MESSAGE, draw.worker), draw.step, draw.step * 0 + first // WORDS, draw.seed)
        for w in range(min(WORDS, len(message.places) - first)):
            value = number(message, first + w)
            level = minimum(absolute(value) * per_unit, h.levels)
            below = floor(level)
            level = where(uniform(words[w], value) < level - below, below + 1.0, below)
            put(message, first + w, sign(value) * unit * level)


def send_sign(message: Message, h: Hyperparameters, draw: Draw) -> None:
    """The signs of the numbers."""
    for p in range(len(message.places)):
        put(message, p, sign(number(message, p)))


def send_scaled_sign(message: Message, h: Hyperparameters, draw: Draw) -> None:
    """The signs of the numbers times their mean magnitude."""
    zero = number(message, 0) * 0.0
    magnitudes = Sum(zero, zero)
    for p in range(len(message.places)):
        magnitudes = added(magnitudes, absolute(number(message, p)))
    mean = total_of(magnitudes) / len(message.places)
    for p in range(len(message.places)):
        put(message, p, sign(number(message, p)) * mean)


def send_factors(message: Message, h: Hyperparameters, draw: Draw) -> None:
    """Each matrix M as P Q' with P = orth(M Q), from the last message's Q, and Q = M' P, which is kept."""
    rank, every = message.rank, draw.step == draw.step
    for m in range(len(message.matrices) // 3):
        first, rows, columns = message.matrices[3 * m], message.matrices[3 * m + 1], message.matrices[3 * m + 2]
        q_at, p_at = message.basis_at + first * WIDTH, message.factor_at + first * WIDTH
        for j in range(rank):
            q, p = Vector(message.basis, q_at + j * columns * WIDTH, columns), Vector(message.factor, p_at + j * rows * WIDTH, rows)
            is_lost = make_orthonormal(message.basis, q_at, columns, j, every)
            if any(is_lost):
                draw_anew(q, is_lost, draw, first + j * columns)
                make_orthonormal(message.basis, q_at, columns, j, is_lost)
            for row in range(rows):
                store(p.array, p.at + row * WIDTH, product_with(message, first + row * columns, 1, q))
        for j in range(rank):
            make_orthonormal(message.factor, p_at, rows, j, every)
        for j in range(rank):
            q, p = Vector(message.basis, q_at + j * columns * WIDTH, columns), Vector(message.factor, p_at + j * rows * WIDTH, rows)
            for column in range(columns):
                store(q.array, q.at + column * WIDTH, product_with(message, first + column, columns, p))
        for row in range(rows):
            for column in range(columns):
                value = number(message, first) * 0.0
                for j in range(rank):
                    left = load(message.factor, p_at + (j * rows + row) * WIDTH, WIDTH)
                    value = fma(left, load(message.basis, q_at + (j * columns + column) * WIDTH, WIDTH), value)
                put(message, first + row * columns + column, value)


def product_with(message: Message, first: int, step: int, vector: Vector) -> Lane:
    """The product of a row or a column of a matrix, of which parameters are `step` apart, with a vector."""
    total = number(message, first) * 0.0
    for i in range(vector.size):
        total = fma(number(message, first + i * step), load(vector.array, vector.at + i * WIDTH, WIDTH), total)
    return total


@noinline
def product_of(a: Vector, b: Vector) -> Lane:
    """a' b."""
    total = load(a.array, a.at, WIDTH) * 0.0
    for i in range(a.size):
        total = fma(load(a.array, a.at + i * WIDTH, WIDTH), load(b.array, b.at + i * WIDTH, WIDTH), total)
    return total


def make_orthonormal(array: Memory, at: Offset, size: int, j: int, lanes: Mask) -> Mask:
    """Makes column j orthogonal to those before it, and of length 1 (Gram and Schmidt, twice), in some lanes.

    Gives where there is nothing left of it but rounding, and it becomes 0.
    """
    column = Vector(array, at + j * size * WIDTH, size)
    whole = sqrt(product_of(column, column))
    for _ in range(2):
        for i in range(j):
            other = Vector(array, at + i * size * WIDTH, size)
            share = product_of(other, column)
            for e in range(size):
                place = column.at + e * WIDTH
                held = load(array, place, WIDTH)
                store(array, place, where(lanes, fma(-share, load(array, other.at + e * WIDTH, WIDTH), held), held))
    rest = sqrt(product_of(column, column))
    is_there = rest > whole * by_precision(rest, 1e-5, 1e-13)
    for e in range(size):
        place = column.at + e * WIDTH
        held = load(array, place, WIDTH)
        store(array, place, where(lanes, where(is_there, held / rest, 0.0), held))
    return lanes & ~is_there


def draw_anew(vector: Vector, is_lost: Mask, draw: Draw, element: int) -> None:
    """Random numbers from -1/2 to 1/2 where a column is lost."""
    for e in range(vector.size):
        words = random_words(draw.start, purpose_of(MESSAGE, draw.worker), draw.step, draw.step * 0 + (element + e), draw.seed)
        place = vector.at + e * WIDTH
        held = load(vector.array, place, WIDTH)
        store(vector.array, place, where(is_lost, uniform(words[0], held) - 0.5, held))


def length_of(message: Message) -> Lane:
    """|v|, the Euclidean length."""
    zero = number(message, 0) * 0.0
    squares = Sum(zero, zero)
    for p in range(len(message.places)):
        value = number(message, p)
        squares = added(squares, value * value)
    return sqrt(total_of(squares))


def uniform(word: Lane, like: Lane) -> Lane:
    """A number in [0, 1) from 32 random bits, of which float32 takes the upper 24."""
    return as_type_of(word >> by_precision(like, 8, 0), like) * by_precision(like, 5.9604644775390625e-08, 2.3283064365386963e-10)


# By the compressor that declares it.
COMPRESS = {"TopK": send_top, "RandomK": send_random, "QSGD": send_levels, "Sign": send_sign, "ScaledSign": send_scaled_sign, "PowerSGD": send_factors}
