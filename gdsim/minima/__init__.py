"""Minima: end points of runs are polished to critical points, told of which kind they are, and counted; and which
parameters are the same network, and how alike two are.
"""

from gdsim.declarations import hint_in
from gdsim.minima.alignment import align, distance
from gdsim.minima.basins import basin_map
from gdsim.minima.canonical_form import canonical
from gdsim.minima.census import census
from gdsim.minima.polishing import polish
from gdsim.minima.units import units

__all__ = ["align", "basin_map", "canonical", "census", "distance", "polish", "units"]

hint_in(globals(), "gd.minima")
