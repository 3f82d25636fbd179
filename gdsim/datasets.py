"""`gd.datasets.load(name)`: the data sets that gdsim knows by name."""

from gdsim.data import DATASETS, load
from gdsim.declarations import hint_in

names = tuple(DATASETS)

__all__ = ["load", "names"]

hint_in(globals(), "gd.datasets")
