"""Counting values: histograms, exact sums and extremes of a table of numbers, in integers alone, so that any
order gives the same.

A double's 64 bits, with those of negative numbers turned over, are integers in the order of the numbers;
their first 15 bits are the bins of a histogram of eight bins per factor of two. The sums keep a number's 53
bits apart by its exponent: as a high and a low part, and the products of these, each in sums that 2^31
numbers cannot overflow.
"""

import numpy as np

# An extreme: its ordered integer, and the lowest start that attains it.
LOW, LOW_START, HIGH, HIGH_START, EXTREMES = 0, 1, 2, 3, 4
SIGN_BIT, INFINITE, FRACTION = 63, 2047, 2**52 - 1
MAGNITUDE = 2**63 - 1
BIN_SHIFT, ZERO_BIN, BINS = 49, 2**14, 2**15
EXPONENTS = 2047
# What is summed of numbers of one exponent: the parts, and low and high words of the parts' products.
HIGH_PART, LOW_PART, HIGH_HIGH, HIGH_LOW, LOW_LOW, SUMS = 0, 1, 2, 4, 6, 8
PART_BITS, PART, WORD_BITS, WORD = 26, 2**26 - 1, 32, 2**32 - 1


def add_values(bits: np.ndarray, cell: np.ndarray, start: np.ndarray, histogram: np.ndarray, sums: np.ndarray, extremes: np.ndarray) -> None:
    """Adds rows of doubles, given as their bits[row, place], to the tables of their cells.

    NaN counts nowhere.

    `histogram[cell, place, bin]` and `sums[cell, place, exponent, ...]` grow; `extremes[cell, place, ...]`
    are the lowest and the highest value as ordered integers, each with the lowest start that attains it.
    """
    for row in range(bits.shape[0]):
        c = cell[row]
        for place in range(bits.shape[1]):
            b = bits[row, place]
            exponent = (b >> 52) & INFINITE
            fraction = b & FRACTION
            if exponent == INFINITE and fraction != 0:
                continue
            key = b ^ ((b >> SIGN_BIT) & MAGNITUDE)
            histogram[c, place, (key >> BIN_SHIFT) + ZERO_BIN] += 1
            known = extremes[c, place]
            if key < known[LOW] or (key == known[LOW] and start[row] < known[LOW_START]):
                known[LOW], known[LOW_START] = key, start[row]
            if key > known[HIGH] or (key == known[HIGH] and start[row] < known[HIGH_START]):
                known[HIGH], known[HIGH_START] = key, start[row]
            if exponent == INFINITE:
                continue
            whole = fraction
            if exponent == 0:
                exponent = 1
            else:
                whole |= FRACTION + 1
            first, second = whole >> PART_BITS, whole & PART
            sign = 1 | (b >> SIGN_BIT)
            square = first * first
            sums[c, place, exponent, HIGH_PART] += sign * first
            sums[c, place, exponent, HIGH_HIGH] += square & WORD
            sums[c, place, exponent, HIGH_HIGH + 1] += square >> WORD_BITS
            if second != 0:  # it is 0 for what was float32
                product, small = first * second, second * second
                sums[c, place, exponent, LOW_PART] += sign * second
                sums[c, place, exponent, HIGH_LOW] += product & WORD
                sums[c, place, exponent, HIGH_LOW + 1] += product >> WORD_BITS
                sums[c, place, exponent, LOW_LOW] += small & WORD
                sums[c, place, exponent, LOW_LOW + 1] += small >> WORD_BITS
