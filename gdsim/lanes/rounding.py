"""What functions of lanes round and split numbers with: exact sums and products, signs, whole numbers."""

from gdsim.lanes.bits import by_precision, from_bits, to_bits
from gdsim.lanes.operations import absolute, fma_lanes as fma
from gdsim.lanes.types import Lane

# Adding and subtracting 1.5 * 2^(bits of the fraction) rounds to an integer, whose bits are then the sum's
# lowest.
ROUND_SINGLE, ROUND_DOUBLE = 12582912.0, 6755399441055744.0
INFINITY, NAN = float("inf"), float("nan")


def two_sum(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """The rounded sum and its error, exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def two_product(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """The rounded product and its error, exactly."""
    p = a * b
    return p, fma(a, b, -p)


def copy_sign(magnitude: Lane, sign: Lane) -> Lane:
    """`magnitude` >= 0 with the sign of `sign`, zeros included."""
    return from_bits(to_bits(magnitude) | (to_bits(sign) ^ to_bits(absolute(sign))))


def round_to_integer(x: Lane) -> Lane:
    """The nearest integer to a moderate x, as a float."""
    magic = by_precision(x, ROUND_SINGLE, ROUND_DOUBLE)
    return (x + magic) - magic
