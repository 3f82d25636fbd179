"""Paths between minima: how high the loss rises on the straight line between them."""

from gdsim.declarations import hint_in
from gdsim.paths.barriers import barrier

__all__ = ["barrier"]

hint_in(globals(), "gd.paths")
