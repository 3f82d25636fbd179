"""The values of exponentials and logarithms, and of what is made of them: `elementary` has their derivatives."""

from gdsim.lanes import coefficients
from gdsim.lanes.bits import by_precision, from_bits, to_bits
from gdsim.lanes.compiler import noinline
from gdsim.lanes.operations import absolute, as_type_of, broadcast, fma_lanes as fma, maximum, minimum, polynomial, where
from gdsim.lanes.rounding import INFINITY, NAN, ROUND_DOUBLE, ROUND_SINGLE, copy_sign, round_to_integer, two_product, two_sum
from gdsim.lanes.types import Lane, Lanes

BIAS_SINGLE, BIAS_DOUBLE = (127, 23), (1023, 52)
INVERSE_LN2 = 1.4426950408889634
# Beyond these exp is 0 or infinite, with room for the argument reduction.
EXP_RANGE_SINGLE, EXP_RANGE_DOUBLE = (-105.0, 89.0), (-747.0, 710.0)
SQRT_HALF_SINGLE, SQRT_HALF_DOUBLE = 0x3F3504F3, 0x3FE6A09E667F3BCD
SMALLEST_NORMAL_SINGLE, SMALLEST_NORMAL_DOUBLE = 1.1754943508222875e-38, 2.2250738585072014e-308
TANH_IS_ONE = 20.0  # from there on nothing is left of the difference in either precision


def power_of_two(n: Lane) -> Lane:
    """2^n for an integral float n within the exponents of normal numbers."""
    magic = by_precision(n, ROUND_SINGLE, ROUND_DOUBLE)
    bias, shift = by_precision(n, BIAS_SINGLE, BIAS_DOUBLE)
    return from_bits((to_bits(n + magic) + bias) << shift)


def reduced_exponent(x: Lane, unit: Lane) -> Lanes:
    """(n, r, 2^n) with x = (n ln(2) + r) unit, n integral and |r| <= ln(2)/2.

    The power is right within the exponents of normal numbers.
    """
    ln2, ln2_tail = by_precision(x, coefficients.LN2_SINGLE, coefficients.LN2_DOUBLE)
    bias, shift = by_precision(x, BIAS_SINGLE, BIAS_DOUBLE)
    magic = by_precision(x, ROUND_SINGLE, ROUND_DOUBLE) + bias
    shifted = fma(x, INVERSE_LN2 / unit, magic)
    n = shifted - magic
    return n, fma(n, -ln2_tail * unit, fma(n, -ln2 * unit, x)), from_bits(to_bits(shifted) << shift)


def exp_less_one_near_zero(r: Lane) -> Lane:
    """e^r - 1 for |r| <= ln(2)/2."""
    return fma(r * r, polynomial(r, by_precision(r, coefficients.EXP_SINGLE, coefficients.EXP_DOUBLE)), r)


@noinline
def exp_of_sum(x: Lane, tail: Lane) -> Lane:
    """e^(x + tail) for a tail far below x, rounded once at the end: 2^n e^r with |r| <= ln(2)/2."""
    low, high = by_precision(x, EXP_RANGE_SINGLE, EXP_RANGE_DOUBLE)
    x = where(x < low, low, where(x > high, high, x))
    n, r, _ = reduced_exponent(x, 1.0)
    result = exp_less_one_near_zero(r + tail) + 1.0
    half = round_to_integer(n * 0.5 - 0.25)  # two factors, so that denormal and nearly infinite results are reached
    return result * power_of_two(half) * power_of_two(n - half)


def half_exp_less_one(x: Lane) -> Lane:
    """(e^2x - 1) / 2, without cancellation, for |x| <= 40."""
    _, r, scale = reduced_exponent(x, 0.5)
    near = fma(r * r, polynomial(r, by_precision(r, coefficients.HALF_EXP_SINGLE, coefficients.HALF_EXP_DOUBLE)), r)
    return fma(scale, near, fma(scale, 0.5, -0.5))


def exp_below_zero(x: Lane) -> Lane:
    """e^x for x <= 0: the bits of `exp`, but nothing below the normal numbers.

    Losses, which lose such numbers anyway, get it for half the price.
    """
    low = by_precision(x, -87.0, -708.0)
    _, r, scale = reduced_exponent(where(x < low, low, x), 1.0)
    return (exp_less_one_near_zero(r) + 1.0) * scale


def exp(x: Lane) -> Lane:
    """e^x.

    >>> from gdsim import lanes
    >>> lanes.exp(0.0)
    1.0
    """
    return exp_of_sum(x, broadcast(0.0, x))


def split_exponent(x: Lane) -> Lanes:
    """(m, e) with x = m 2^e and sqrt(1/2) <= m < sqrt(2), for positive finite x; e is a float."""
    normal = by_precision(x, SMALLEST_NORMAL_SINGLE, SMALLEST_NORMAL_DOUBLE)
    bias, shift = by_precision(x, BIAS_SINGLE, BIAS_DOUBLE)
    root = by_precision(x, SQRT_HALF_SINGLE, SQRT_HALF_DOUBLE)
    tiny = x < normal
    scaled = where(tiny, x * by_precision(x, 8388608.0, 4503599627370496.0), x)
    # Counting exponents from sqrt(1/2): the integer part of the difference of the bits is e, the rest is m's
    # fraction.
    offset = to_bits(scaled) - root + (bias << shift)
    e = as_type_of(offset >> shift, x) - bias
    m = from_bits((offset & ((1 << shift) - 1)) + root)
    return m, where(tiny, e - shift, e)


@noinline
def log(x: Lane) -> Lane:
    """The natural logarithm; -inf at 0 and NaN below.

    >>> from gdsim import lanes
    >>> lanes.log(1.0)
    0.0
    """
    m, e = split_exponent(x)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    half = 0.5 * f * f
    ln2, ln2_tail = by_precision(x, coefficients.LN2_SINGLE, coefficients.LN2_DOUBLE)
    # log(1 + f) = f - f^2/2 + s (f^2/2 + z P(z)): the rounded terms are small beside f
    correction = fma(e, ln2_tail, s * fma(z, polynomial(z, by_precision(x, coefficients.LOG_SINGLE, coefficients.LOG_DOUBLE)), half))
    total, error = two_sum(e * ln2, f)
    error = error + fma(e, ln2, -(e * ln2))
    result = total + (error - (half - correction))
    return where(x > 0.0, where(x < INFINITY, result, x), where(x == 0.0, broadcast(-INFINITY, x), NAN))


def log_of_one_plus(e: Lane) -> Lane:
    """log(1 + e) for 0 <= e <= 1, accurate for small e."""
    s = e / (e + 2.0)
    z = s * s
    # 2 atanh(s) = 2 s + s z P(z), and 2 s = e - s e
    return fma(-s, fma(-z, polynomial(z, by_precision(e, coefficients.LOG_WIDE_SINGLE, coefficients.LOG_WIDE_DOUBLE)), e), e)


def sigmoid_by(x: Lane, e: Lane) -> Lane:
    """1 / (1 + e^-x), where e^-|x| is known."""
    share = fma(-e, e / (1.0 + e), e)  # e / (1 + e), without what 1 + e loses of a small e
    return where(x < 0.0, share, 1.0 - share)


@noinline
def sigmoid(x: Lane) -> Lane:
    """1 / (1 + e^-x).

    >>> from gdsim import lanes
    >>> lanes.sigmoid(0.0)
    0.5
    """
    return sigmoid_by(x, exp(-absolute(x)))


def softplus_by(x: Lane, e: Lane) -> Lane:
    """log(1 + e^x), where e^-|x| is known."""
    return maximum(x, 0.0) + log_of_one_plus(e)


@noinline
def softplus(x: Lane) -> Lane:
    """log(1 + e^x).

    >>> from gdsim import lanes
    >>> round(lanes.softplus(0.0), 6)
    0.693147
    """
    return softplus_by(x, exp(-absolute(x)))


@noinline
def tanh(x: Lane) -> Lane:
    """The hyperbolic tangent.

    >>> from gdsim import lanes
    >>> lanes.tanh(0.0)
    0.0
    """
    a = absolute(x)
    h = half_exp_less_one(where(a > TANH_IS_ONE, TANH_IS_ONE, a))
    share = h / (h + 1.0)
    return copy_sign(where(h < 0.5, fma(-h, share, h), share), x)  # the same number, without what h + 1 loses of a small h


@noinline
def erf(x: Lane) -> Lane:
    """The error function.

    >>> from gdsim import lanes
    >>> lanes.erf(0.0)
    0.0
    """
    scale, scale_tail = by_precision(x, coefficients.TWO_OVER_SQRT_PI_SINGLE, coefficients.TWO_OVER_SQRT_PI_DOUBLE)
    a = absolute(x)
    z = x * x
    correction = fma(z, polynomial(z, by_precision(x, coefficients.ERF_SINGLE, coefficients.ERF_DOUBLE)), scale_tail)
    near = fma(x, scale, x * correction)
    b = minimum(a, 6.4)
    t = (b - 2.0) / (b + 2.0)
    far = 1.0 - exp(-(b * b)) * polynomial(t, by_precision(x, coefficients.ERFCX_SINGLE, coefficients.ERFCX_DOUBLE))
    return where(a < 1.0, where(x == 0.0, x, near), copy_sign(absolute(far), x))


def log_as_sum(x: Lane) -> Lanes:
    """log(x) for positive finite x as a number and a tail of the same precision, for `pow`."""
    m, e = split_exponent(x)
    f = m - 1.0
    v = f + 2.0
    v_tail = f - (v - 2.0)
    s = f / v
    s_tail = fma(-s, v_tail, fma(-s, v, f)) / v
    z, z_tail = two_product(s, s)
    z_tail = fma(2.0 * s, s_tail, z_tail)
    # log m = 2 s + s z (2/3 + z T(z)), the second term too in twice the precision
    two_thirds, two_thirds_tail = by_precision(x, coefficients.TWO_THIRDS_SINGLE, coefficients.TWO_THIRDS_DOUBLE)
    inner, inner_tail = two_sum(broadcast(two_thirds, z), z * polynomial(z, by_precision(x, coefficients.LOG_TAIL_SINGLE, coefficients.LOG_TAIL_DOUBLE)))
    inner_tail = inner_tail + two_thirds_tail
    cube, cube_tail = two_product(z, s)
    cube_tail = cube_tail + fma(z, s_tail, z_tail * s)
    term, term_tail = two_product(cube, inner)
    term_tail = term_tail + fma(cube, inner_tail, cube_tail * inner)
    ln2, ln2_tail = by_precision(x, coefficients.LN2_SINGLE, coefficients.LN2_DOUBLE)
    whole, whole_tail = two_product(e, broadcast(ln2, e))
    total, tail = two_sum(2.0 * s, term)
    tail = tail + fma(2.0, s_tail, term_tail)
    head, rest = two_sum(whole, total)
    rest = rest + (tail + fma(e, ln2_tail, whole_tail))
    result = head + rest
    return result, rest - (result - head)


def parity(b: Lane) -> Lane:
    """(odd, whole): whether b >= 0 is an odd integer, and whether it is an integer at all.

    Both are read off the bits of its fraction.
    """
    bias, shift = by_precision(b, BIAS_SINGLE, BIAS_DOUBLE)
    bits = to_bits(b)
    exponent = (bits >> shift) - bias  # wraps around below 1
    fraction = (bits & ((1 << shift) - 1)) | (1 << shift)
    inside = exponent <= shift
    unit = where(inside, shift - exponent, 0)  # the place of the bit that counts ones
    whole = where(inside, ((fraction >> unit) << unit) == fraction, b >= 1.0)
    return inside & whole & (((fraction >> unit) & 1) == 1), whole | (b == 0.0)


@noinline
def pow(x: Lane, y: Lane) -> Lane:
    """x^y, with the special cases of C's `pow`: of a negative x only integral powers, else NaN.

    >>> from gdsim import lanes
    >>> lanes.pow(2.0, 3.0)
    8.0
    """
    one, infinity, nought = broadcast(1.0, x), broadcast(INFINITY, x), broadcast(0.0, x)
    a, b = absolute(x), absolute(y)
    head, tail = log_as_sum(where((a > 0.0) & (a < INFINITY), a, one))
    product, error = two_product(head, y)
    tame = absolute(product) < 1e4  # beyond, exp is 0 or infinite whatever the tail
    size = exp_of_sum(where(tame, product, copy_sign(broadcast(1e4, x), product)), where(tame, fma(tail, y, error), nought))
    size = where(b == INFINITY, where(a == 1.0, one, where((a > 1.0) ^ (y < 0.0), infinity, nought)), size)
    size = where((a == 0.0) | (a == INFINITY), where((a == 0.0) ^ (y < 0.0), nought, infinity), size)
    odd, whole = parity(b)
    size = where((to_bits(x) != to_bits(a)) & odd, -size, size)
    size = where((x < 0.0) & (a < INFINITY) & ~whole, broadcast(NAN, x), size)
    size = where((x != x) | (y != y), x + y, size)
    return where((y == 0.0) | (x == 1.0), one, size)
