"""What is minimised. A problem declares its settings and gives the lane functions that kernels are bound with."""

from gdsim.problems.base import Problem
from gdsim.problems.expressions import Expression
from gdsim.problems.functions import FUNCTIONS
from gdsim.problems.linear import LinearRegression, LogisticRegression
from gdsim.problems.mlp import MLP
from gdsim.problems.network import Network
from gdsim.problems.own import Own
from gdsim.problems.quadratic import Quadratic
from gdsim.problems.teacher import TeacherStudent

PROBLEMS = (MLP, LinearRegression, LogisticRegression, Quadratic, TeacherStudent, Expression, Own, *FUNCTIONS)

__all__ = ["MLP", "PROBLEMS", "Expression", "LinearRegression", "LogisticRegression", "Network", "Own", "Problem", "Quadratic", "TeacherStudent"]
