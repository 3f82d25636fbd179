"""What the loss looks like around points: along lines and on planes of parameters, in pictures and in numbers."""

from gdsim.declarations import hint_in
from gdsim.landscape.axes import directions
from gdsim.landscape.lines import line
from gdsim.landscape.measures import bands, measures
from gdsim.landscape.merging import merge_tree
from gdsim.landscape.planes import plane
from gdsim.landscape.through import plane_through, trajectory_plane
from gdsim.landscape.torch_problem import TorchProblem

__all__ = ["TorchProblem", "bands", "directions", "line", "measures", "merge_tree", "plane", "plane_through", "trajectory_plane"]

hint_in(globals(), "gd.landscape")
