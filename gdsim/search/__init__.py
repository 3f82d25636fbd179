"""Adaptive search over the cells of a sweep: steps go to those that do well."""

from gdsim.declarations import hint_in
from gdsim.search.halving import asha, hyperband, successive_halving
from gdsim.search.training import Search
from gdsim.search.trials import tell_batches

__all__ = ["Search", "asha", "hyperband", "successive_halving", "tell_batches"]

hint_in(globals(), "gd.search")
