"""Test functions of optimization with their boxes and known minima: `gd.functions.Rosenbrock(dim=10)`, ..."""

from gdsim.declarations import hint_in
from gdsim.problems.functions.base import Function, Minimum
from gdsim.problems.functions.few import (
    Beale,
    Booth,
    Branin,
    CubicWell,
    DoubleWell,
    GoldsteinPrice,
    Himmelblau,
    Matyas,
    McCormick,
    MonkeySaddle,
    MuellerBrown,
    NoisyQuadratic,
    Product,
    Saddle,
    Shekel,
    SixHumpCamel,
    ThreeHumpCamel,
)
from gdsim.problems.functions.many import Ackley, Bowl, Griewank, Levy, Michalewicz, Rastrigin, Rosenbrock, StyblinskiTang

FUNCTIONS = (
    Ackley, Beale, Booth, Bowl, Branin, CubicWell, DoubleWell, GoldsteinPrice, Griewank, Himmelblau, Levy, Matyas, McCormick, Michalewicz, MonkeySaddle, MuellerBrown, NoisyQuadratic, Product, Rastrigin, Rosenbrock, Saddle, Shekel, SixHumpCamel, StyblinskiTang, ThreeHumpCamel,
)  # fmt: skip

__all__ = [
    "FUNCTIONS",
    "Ackley",
    "Beale",
    "Booth",
    "Bowl",
    "Branin",
    "CubicWell",
    "DoubleWell",
    "Function",
    "GoldsteinPrice",
    "Griewank",
    "Himmelblau",
    "Levy",
    "Matyas",
    "McCormick",
    "Michalewicz",
    "Minimum",
    "MonkeySaddle",
    "MuellerBrown", "NoisyQuadratic",
    "Product",
    "Rastrigin",
    "Rosenbrock",
    "Saddle",
    "Shekel",
    "SixHumpCamel",
    "StyblinskiTang",
    "ThreeHumpCamel",
]  # fmt: skip

hint_in(globals(), "gd.functions")
