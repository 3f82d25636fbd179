"""Data sets: samples with targets, checked once; read from files; and those that are known by name."""

from gdsim.data.arrays import Array
from gdsim.data.declare import Data
from gdsim.data.named import DATASETS, load

read = Data.read

__all__ = ["DATASETS", "Array", "Data", "load", "read"]
