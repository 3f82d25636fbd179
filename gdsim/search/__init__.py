"""Adaptive search over the cells of a sweep: steps go to those that do well, or their numbers down a gradient."""

from gdsim.declarations import hint_in
from gdsim.search.halving import asha, hyperband, successive_halving
from gdsim.search.hypergradient import Descent, hypergradient_descent
from gdsim.search.training import Search
from gdsim.search.trials import tell_batches

__all__ = ["Descent", "Search", "asha", "hyperband", "hypergradient_descent", "successive_halving", "tell_batches"]

hint_in(globals(), "gd.search")
