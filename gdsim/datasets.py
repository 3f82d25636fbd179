"""`gd.datasets.load(name)`: the data sets that gdsim knows by name."""

from gdsim.data import DATASETS, load

names = tuple(DATASETS)

__all__ = ["load", "names"]
