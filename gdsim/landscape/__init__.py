"""What the loss looks like around points: along lines and on planes of parameters, in pictures and in numbers."""

from gdsim.declarations import hint_in
from gdsim.landscape.lines import line
from gdsim.landscape.torch_problem import TorchProblem

__all__ = ["TorchProblem", "line"]

hint_in(globals(), "gd.landscape")
