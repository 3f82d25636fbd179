"""Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
3") on lanes.

Every random number of gdsim is a pure function of (seed, start, purpose, step, element): the seed is the key,
the rest is the counter. Nothing depends on which run, cell, lane or thread asks.
"""

from gdsim.lanes.bits import multiply_high
from gdsim.lanes.compiler import noinline
from gdsim.lanes.elementary import cos, log, sin
from gdsim.lanes.operations import as_type_of, broadcast, sqrt
from gdsim.lanes.types import Count, Lane, Lanes

# What a number is drawn for. The value is part of the counter, so it never changes.
INITIAL_POINT, SAMPLE_ORDER, REPLACEMENT, AXIS, SPLIT, PROBE, DIRECTION = 0, 1, 2, 3, 4, 5, 6
MESSAGE = 16  # how a worker's message is compressed
COMPUTE_TIME = 7  # how long a worker computes
PARTITION, CLIENT_CHOICE = 9, 10  # which samples workers have, and which clients a round has
ARRIVAL = 11  # whether what a worker sends arrives

TWO_PI = 6.283185307179586


def philox(counter: Lanes, key: Lanes) -> Lanes:
    """Four uint32 lanes of random bits from a counter of four lanes and a key of two numbers or lanes."""
    c0, c1, c2, c3 = counter
    k0, k1 = broadcast_key(key, c0)
    for _ in range(10):
        h0, l0 = multiply_high(c0, 0xD2511F53), c0 * 0xD2511F53
        h1, l1 = multiply_high(c2, 0xCD9E8D57), c2 * 0xCD9E8D57
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0, k1 = k0 + 0x9E3779B9, k1 + 0xBB67AE85
    return c0, c1, c2, c3


def broadcast_key(key: Lanes, like: Lane) -> Lanes:
    """The two halves of the key as lanes."""
    k0, k1 = key
    return broadcast(k0, like), broadcast(k1, like)


def purpose_of(purpose: Count, replica: Count) -> Count:
    """What numbers are drawn for by one of the replicas of a run's model: by the first, 0, the purpose itself."""
    return purpose + (replica << 8)


@noinline
def random_words(start: Lane, purpose: Lane, step: Lane, element: Lane, seed: Lanes) -> Lanes:
    """Four uint32 lanes for one (seed, start, purpose, step, element).

    `seed` is two uint32, `start` a lane, the rest lanes or numbers.
    """
    return philox((element + start * 0, step + start * 0, start, start * 0 + purpose), seed)


def unit_interval(high: Lane, low: Lane, like: Lane) -> Lane:
    """A float64 lane in (0, 1) from two uint32 lanes: the middles of 2^53 equal intervals, rounded."""
    return (as_type_of(high >> 5, like) * 67108864.0 + as_type_of(low >> 6, like) + 0.5) * 1.1102230246251565e-16


def uniform_pair(words: Lanes, like: Lane) -> Lanes:
    """Two independent uniform float64 lanes in (0, 1) from four words."""
    a, b, c, d = words
    return unit_interval(a, b, like), unit_interval(c, d, like)


def normal_pair(words: Lanes, like: Lane) -> Lanes:
    """Two independent standard normal float64 lanes from four words (Box and Muller 1958)."""
    u, v = uniform_pair(words, like)
    radius, angle = sqrt(-2.0 * log(u)), TWO_PI * v
    return radius * cos(angle), radius * sin(angle)
