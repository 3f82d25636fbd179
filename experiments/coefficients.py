"""Derives every polynomial coefficient of the elementary functions and prints `gdsim/lanes/coefficients.py`.

Each polynomial interpolates a smooth remainder at Chebyshev points in 60-digit arithmetic, which comes within
a small factor of the minimax error; its degree is the smallest whose truncation stays below a quarter of a
unit in the last place.

    python experiments/coefficients.py > gdsim/lanes/coefficients.py
"""

from collections.abc import Callable

import numpy as np
from mpmath import mp, mpf

mp.dps = 60
PRECISIONS = (("SINGLE", 24, np.float32), ("DOUBLE", 53, np.float64))

Remainder = Callable[[mpf], mpf]


def interpolate(remainder: Remainder, low: mpf, high: mpf, degree: int) -> list[mpf]:
    """Monomial coefficients, constant first, of the interpolant of `remainder` at `degree + 1` Chebyshev
    points.
    """
    n = degree + 1
    points = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    vandermonde = mp.matrix([[x**j for j in range(n)] for x in points])
    return list(mp.lu_solve(vandermonde, mp.matrix([remainder(x) for x in points])))


def fit(remainder: Remainder, share: Remainder, low: float, high: float, bits: int) -> list[mpf]:
    """The shortest interpolant whose error, times `share` (its weight in the result's relative error), is
    below 2^-(bits+2).
    """
    low, high = mpf(low), mpf(high)
    probes = [low + (high - low) * k / 199 for k in range(200)]
    for degree in range(2, 40):
        coefficients = interpolate(remainder, low, high, degree)
        worst = max(abs(mp.polyval(coefficients[::-1], x) - remainder(x)) * abs(share(x)) for x in probes)
        if worst < mpf(2) ** -(bits + 2):
            return coefficients
    raise ArithmeticError("no degree up to 40 is accurate enough")


def series(closed: Remainder, taylor: Callable[[int], mpf]) -> Remainder:
    """`closed` away from 0, and its Taylor series near 0, where the closed form cancels."""
    return lambda z: closed(z) if abs(z) > mpf("1e-8") else mp.fsum(taylor(k) * z**k for k in range(8))


def split(value: mpf, bits: int, parts: int) -> list[mpf]:
    """`value` as an unevaluated sum of `parts` numbers of the given precision, largest first."""
    pieces = []
    for _ in range(parts):
        with mp.workprec(bits):
            piece = +value
        pieces.append(piece)
        value -= piece
    return pieces


TABLES = {
    "EXP": (
        "(exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2",
        series(lambda r: (mp.expm1(r) - r) / r**2, lambda k: 1 / mp.factorial(k + 2)),
        lambda r: r * r / mp.exp(r),
        -0.3467,
        0.3467,
    ),
    "HALF_EXP": (
        "((exp(2 r) - 1)/2 - r) / r^2 on |r| <= ln(2)/4",
        series(lambda r: (mp.expm1(2 * r) / 2 - r) / r**2, lambda k: mpf(2) ** (k + 1) / mp.factorial(k + 2)),
        lambda r: r,
        -0.17335,
        0.17335,
    ),
    "LOG": (
        "(2 atanh(s) - 2 s) / s^3 in z = s^2, |s| <= 3 - 2 sqrt(2)",
        series(lambda z: 2 * (mp.atanh(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, lambda k: mpf(2) / (2 * k + 3)),
        lambda z: z / 2,
        0,
        0.02945,
    ),
    "LOG_WIDE": (
        "the same on |s| <= 1/3",
        series(lambda z: 2 * (mp.atanh(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, lambda k: mpf(2) / (2 * k + 3)),
        lambda z: z / 2,
        0,
        0.11112,
    ),
    "LOG_TAIL": (
        "the same less 2/3, over z, for pow, with 12 bits more",
        series(lambda z: (2 * (mp.atanh(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3 - mpf(2) / 3) / z, lambda k: mpf(2) / (2 * k + 5)),
        lambda z: z * z / 2 * 4096,
        0,
        0.02945,
    ),
    "SIN": (
        "(sin(r) - r) / r^3 in z = r^2, |r| <= pi/4",
        series(lambda z: (mp.sin(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, lambda k: mpf(-1) ** (k + 1) / mp.factorial(2 * k + 3)),
        lambda z: z,
        0,
        0.6169,
    ),
    "COS": (
        "(cos(r) - 1 + r^2/2) / r^4 in z = r^2, |r| <= pi/4",
        series(lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, lambda k: mpf(-1) ** k / mp.factorial(2 * k + 4)),
        lambda z: z * z / mp.cos(mp.sqrt(z)),
        0,
        0.6169,
    ),
    "ATAN": (
        "(atan(t) - t) / t^3 in z = t^2, |t| <= 1/2",
        series(lambda z: (mp.atan(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, lambda k: mpf(-1) ** (k + 1) / (2 * k + 3)),
        lambda z: z,
        0,
        0.2501,
    ),
    "ASIN": (
        "(asin(t) - t) / t^3 in z = t^2, |t| <= 1/2",
        series(lambda z: (mp.asin(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, lambda k: mp.binomial(2 * k + 2, k + 1) / (mpf(4) ** (k + 1) * (2 * k + 3))),
        lambda z: z,
        0,
        0.2501,
    ),
    "ERF": (
        "erf(x)/x - 2/sqrt(pi), over z = x^2, |x| <= 1",
        series(
            lambda z: (mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 2 / mp.sqrt(mp.pi)) / z,
            lambda k: 2 / mp.sqrt(mp.pi) * mpf(-1) ** (k + 1) / (mp.factorial(k + 1) * (2 * k + 3)),
        ),
        lambda z: z,
        0,
        1.001,
    ),
    "ERFCX": (
        "exp(x^2) erfc(x) in t = (x - 2)/(x + 2), 1 <= x <= 6.5",
        lambda t: mp.exp((2 * (1 + t) / (1 - t)) ** 2) * mp.erfc(2 * (1 + t) / (1 - t)),
        lambda t: mp.exp(-((2 * (1 + t) / (1 - t)) ** 2)),
        -0.3334,
        0.5295,
    ),
}

CONSTANTS = {
    "LN2": (mp.log(2), 2),
    "HALF_PI": (mp.pi / 2, 3),
    "TWO_OVER_SQRT_PI": (2 / mp.sqrt(mp.pi), 2),
    "TWO_THIRDS": (mpf(2) / 3, 2),
}


def rounded(values: list[mpf], kind: type) -> str:
    """A Python tuple of the values, each rounded to the precision `kind`."""
    return "(" + ", ".join(repr(float(kind(mp.nstr(v, 40)))) for v in values) + ",)"


def main() -> None:
    """Prints the module of coefficients."""
    print('"""Coefficients of the elementary functions, printed by `experiments/coefficients.py`; constant term first."""')
    for name, (text, remainder, share, low, high) in TABLES.items():
        print(f"\n# {text}")
        for label, bits, kind in PRECISIONS:
            print(f"{name}_{label} = {rounded(fit(remainder, share, low, high, bits), kind)}")
    print("\n# Constants as sums of numbers of the precision, largest first")
    for name, (value, parts) in CONSTANTS.items():
        for label, bits, kind in PRECISIONS:
            print(f"{name}_{label} = {rounded(split(value, bits, parts), kind)}")


if __name__ == "__main__":
    main()
