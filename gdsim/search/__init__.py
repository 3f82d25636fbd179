"""Adaptive search over the cells of a sweep: steps go to those that do well."""

from typing import TYPE_CHECKING

from gdsim.declarations import hint_calls_in
from gdsim.search.halving import asha, hyperband, successive_halving
from gdsim.search.training import Search
from gdsim.search.trials import tell_batches
from gdsim.words import hinting

__all__ = ["Search", "asha", "hyperband", "successive_halving", "tell_batches"]

if not TYPE_CHECKING:
    __getattr__ = hinting("gd.search", __all__)
    hint_calls_in(globals())
