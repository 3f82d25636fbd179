"""Paths between minima: how high the loss rises on the straight line between two, on trained curves, and over the
lowest pass.
"""

from gdsim.declarations import hint_in
from gdsim.paths.bands import nudged_elastic_band
from gdsim.paths.barriers import barrier
from gdsim.paths.curves import bezier, chain
from gdsim.paths.matrices import barrier_matrix

__all__ = ["barrier", "barrier_matrix", "bezier", "chain", "nudged_elastic_band"]

hint_in(globals(), "gd.paths")
