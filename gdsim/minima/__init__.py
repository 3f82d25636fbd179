"""Minima: which parameters are the same network, and how alike two are."""

from gdsim.declarations import hint_in
from gdsim.minima.alignment import distance
from gdsim.minima.canonical_form import canonical

__all__ = ["canonical", "distance"]

hint_in(globals(), "gd.minima")
