"""What is minimised. A problem declares its settings and gives the lane functions that kernels are bound with."""

from gdsim.problems.base import Problem
from gdsim.problems.mlp import MLP

PROBLEMS = (MLP,)

__all__ = ["MLP", "PROBLEMS", "Problem"]
