"""What is minimised. A problem declares its settings and gives the lane functions that kernels are bound with."""

from gdsim.problems.base import Problem
from gdsim.problems.expressions import Expression
from gdsim.problems.functions import FUNCTIONS
from gdsim.problems.mlp import MLP

PROBLEMS = (MLP, Expression, *FUNCTIONS)

__all__ = ["MLP", "PROBLEMS", "Expression", "Problem"]
