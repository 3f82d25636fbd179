"""Orders of samples, computed on the fly: the place of one element in a keyed permutation of 0 .. n-1, on uint32 lanes.

From 64 elements on it is a Feistel network over the next power of two, walked along its cycle until the result is below
n (Black and Rogaway 2002). Smaller Feistel networks are biased, so below that it is a swap-or-not shuffle (Hoang, Morris
and Rogaway 2012), which needs no power of two. Neither stores anything.
"""

from typing import Any

from gdsim.lanes.compiler import shared
from gdsim.lanes.masks import any
from gdsim.lanes.operations import multiply_high, where
from gdsim.lanes.philox import random_words

GOLDEN = 0x9E3779B9
SMALL = 64
FEISTEL_ROUNDS, SHUFFLE_ROUNDS = 8, 64


def mix(x: Any) -> Any:
    """A bijection of 32 bits in which every bit of the result depends on every bit of x (MurmurHash3's finaliser)."""
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    return x ^ (x >> 16)


def order_key(start: Any, purpose: Any, epoch: Any, seed: Any) -> Any:
    """The key of one order: four uint32 lanes."""
    return random_words(start, purpose, epoch, 0, seed)


def half_bits(n: Any) -> Any:
    """Bits of the two halves of the smallest power of two that is at least n."""
    bits = 0
    while (1 << bits) < n:
        bits += 1
    return bits // 2, bits - bits // 2


@shared
def feistel(x: Any, low_bits: Any, high_bits: Any, key: Any) -> Any:
    """One pass of the network over low_bits + high_bits bits; rounds change the two halves in turn."""
    a, b, c, d = key
    low, high = x & ((1 << low_bits) - 1), x >> low_bits
    for _ in range(FEISTEL_ROUNDS // 4):
        low = low ^ (mix(high ^ a) >> (32 - low_bits))
        high = high ^ (mix(low ^ b) >> (32 - high_bits))
        low = low ^ (mix(high ^ c) >> (32 - low_bits))
        high = high ^ (mix(low ^ d) >> (32 - high_bits))
        a, b, c, d = a + GOLDEN, b + GOLDEN, c + GOLDEN, d + GOLDEN
    return (high << low_bits) | low


@shared
def swap_or_not(x: Any, n: Any, key: Any) -> Any:
    """A shuffle in which every round pairs the elements by reflection and swaps each pair or not."""
    a, b, c, d = key
    for _ in range(SHUFFLE_ROUNDS):
        a, b = a + GOLDEN, b + GOLDEN
        reflected = multiply_high(mix(a ^ c), n) + (n - x)
        reflected = where(reflected >= n, reflected - n, reflected)
        larger = where(x > reflected, x, reflected)
        x = where((mix(mix(larger ^ b) + d) & 1) == 1, reflected, x)
    return x


def permuted(x: Any, n: Any, key: Any) -> Any:
    """Where the permutation of 0 .. n-1 with this key sends x; x is a uint32 lane below n."""
    if n < SMALL:
        return swap_or_not(x, n, key)
    low_bits, high_bits = half_bits(n)
    y = feistel(x, low_bits, high_bits, key)
    while any(y >= n):
        y = where(y >= n, feistel(y, low_bits, high_bits, key), y)
    return y
