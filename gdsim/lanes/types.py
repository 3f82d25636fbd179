"""What the values in kernels are called in signatures. Numba finds their types itself; these names are for readers.

Lanes are values of Numba types that Python does not know, and in ordinary Python plain numbers: hence `Any`.
"""

from typing import Any, TypeAlias

import numpy as np

Lane: TypeAlias = Any  # one number of each of the runs that are worked on together, or of the one run
Mask: TypeAlias = Any  # one truth value of each
Lanes: TypeAlias = tuple[Lane, ...]
Memory: TypeAlias = Any  # an array as kernels see it: flat, of one type
Address: TypeAlias = int  # of a table that `lanes.memory.table_of` has laid out, or of a kernel
Offset: TypeAlias = int  # a place in a memory, in its elements unless said otherwise
Count: TypeAlias = int | np.int64
Step: TypeAlias = int | np.int64  # a number of updates
Hyperparameters: TypeAlias = Any  # a run's numbers by the names that its rule or schedule gives them, each a lane
