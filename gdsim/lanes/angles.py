"""The values of functions of angles: `elementary` has their derivatives."""

from gdsim.lanes import coefficients
from gdsim.lanes.bits import by_precision, to_bits
from gdsim.lanes.compiler import noinline
from gdsim.lanes.operations import absolute, broadcast, fma_lanes as fma, maximum, minimum, polynomial, sqrt, where
from gdsim.lanes.rounding import INFINITY, NAN, ROUND_DOUBLE, ROUND_SINGLE, copy_sign, round_to_integer, two_product, two_sum
from gdsim.lanes.types import Lane, Lanes

INVERSE_HALF_PI = 0.6366197723675814


def reduce_angle(x: Lane) -> Lanes:
    """(r, tail, n): x = n pi/2 + r + tail with |r| <= pi/4."""
    head, middle, last = by_precision(x, coefficients.HALF_PI_SINGLE, coefficients.HALF_PI_DOUBLE)
    n = round_to_integer(x * INVERSE_HALF_PI)
    p, error = two_product(n, -middle)
    r, tail = two_sum(fma(n, -head, x), p)  # the inner product cancels exactly
    lost = absolute(r) > 1.0  # beyond 2^22 (2^51) quarter turns n is not exact, and r no angle
    return where(lost, 0.5, r), where(lost, 0.0, tail + fma(n, -last, error)), n


@noinline
def sine_and_cosine(x: Lane) -> Lanes:
    """(sin r, cos r, n mod 4 as integers) of the reduced angle."""
    r, tail, n = reduce_angle(x)
    z = r * r
    sine = r + fma(r * z, polynomial(z, by_precision(x, coefficients.SIN_SINGLE, coefficients.SIN_DOUBLE)), tail * (1.0 - 0.5 * z))
    head = 1.0 - 0.5 * z
    rest = (1.0 - head) - 0.5 * z
    cosine = head + (rest + fma(z * z, polynomial(z, by_precision(x, coefficients.COS_SINGLE, coefficients.COS_DOUBLE)), -(r * tail)))
    quadrant = to_bits(n + by_precision(x, ROUND_SINGLE, ROUND_DOUBLE)) & 3
    return sine, cosine, quadrant


def clamped(value: Lane) -> Lane:
    """Within [-1, 1], for angles that are too large to be reduced; NaN stays."""
    return minimum(maximum(value, -1.0), 1.0)


def sin(x: Lane) -> Lane:
    """The sine of an angle in radians.

    >>> from gdsim import lanes
    >>> lanes.sin(0.0)
    0.0
    """
    sine, cosine, quadrant = sine_and_cosine(x)
    value = where((quadrant & 1) == 0, sine, cosine)
    value = where((quadrant & 2) == 0, value, -value)
    return where(x == 0.0, x, clamped(value))


def cos(x: Lane) -> Lane:
    """The cosine of an angle in radians.

    >>> from gdsim import lanes
    >>> lanes.cos(0.0)
    1.0
    """
    sine, cosine, quadrant = sine_and_cosine(x)
    value = where((quadrant & 1) == 0, cosine, sine)
    return clamped(where(((quadrant + 1) & 2) == 0, value, -value))


@noinline
def atan2(y: Lane, x: Lane) -> Lane:
    """The angle of the point (x, y) in (-pi, pi], with signed zeros.

    >>> from gdsim import lanes
    >>> round(lanes.atan2(1.0, 1.0), 6)
    0.785398
    """
    pi_half, pi_tail, _ = by_precision(x, coefficients.HALF_PI_SINGLE, coefficients.HALF_PI_DOUBLE)
    ax, ay = absolute(x), absolute(y)
    both_infinite = (ax == INFINITY) & (ay == INFINITY)
    big, small = where(both_infinite, 1.0, maximum(ax, ay)), where(both_infinite, 1.0, minimum(ax, ay))
    scale = where(big > 1e30, broadcast(0.5, x), 1.0)  # keeps big + small finite
    big, small = big * scale, small * scale
    steep = small > 0.5 * big
    top = where(steep, small - big, small)
    bottom = where(steep, small + big, big)
    t = where(small == 0.0, 0.0, top / bottom)
    z = t * t
    angle = fma(t * z, polynomial(z, by_precision(x, coefficients.ATAN_SINGLE, coefficients.ATAN_DOUBLE)), t)
    # The angle from the nearer axis is quarter turns times pi/4 plus a rest; then mirrored at the diagonal
    # and the y axis.
    eighths = where(steep, broadcast(1.0, x), 0.0)
    swap, left = ay > ax, (to_bits(x) ^ to_bits(ax)) != 0
    eighths, angle = where(swap, 2.0 - eighths, eighths), where(swap, -angle, angle)
    eighths, angle = where(left, 4.0 - eighths, eighths), where(left, -angle, angle)
    base, base_tail = eighths * (0.5 * pi_half), eighths * (0.5 * pi_tail)
    error = fma(eighths, 0.5 * pi_half, -base) + base_tail
    total, rest = two_sum(base, angle)
    result = total + (rest + error)
    return where((x != x) | (y != y), x + y, copy_sign(absolute(result), y))


@noinline
def acos(x: Lane) -> Lane:
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1].

    >>> from gdsim import lanes
    >>> lanes.acos(1.0)
    0.0
    """
    pi_half, pi_tail, _ = by_precision(x, coefficients.HALF_PI_SINGLE, coefficients.HALF_PI_DOUBLE)
    a = absolute(x)
    outer = a > 0.5
    z = where(outer, 0.5 - 0.5 * a, x * x)
    t = where(outer, sqrt(z), x)
    rest = t * z * polynomial(z, by_precision(x, coefficients.ASIN_SINGLE, coefficients.ASIN_DOUBLE))
    near_one = 2.0 * (t + rest)
    near_minus_one = 2.0 * (pi_half - (t + (rest - pi_tail)))
    middle = pi_half - (t + (rest - pi_tail))
    result = where(outer, where(x > 0.0, near_one, near_minus_one), middle)
    return where(a <= 1.0, result, NAN)
