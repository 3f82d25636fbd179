"""`gd.datasets.load(name)`: the data sets that gdsim knows by name."""

from typing import TYPE_CHECKING

from gdsim.data import DATASETS, load
from gdsim.declarations import hint_calls_in
from gdsim.words import hinting

names = tuple(DATASETS)

__all__ = ["load", "names"]

if not TYPE_CHECKING:
    __getattr__ = hinting("gd.datasets", __all__)
    hint_calls_in(globals())
