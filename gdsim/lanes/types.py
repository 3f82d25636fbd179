"""Annotations: what the values in kernels, and those that a compiler works with, are called in signatures.

Numba finds the types of kernels itself; these names are for readers. Lanes are values of Numba types that
Python does not know, and in ordinary Python plain numbers: hence `Any`, as for the compilers' own objects,
which have no types.
"""

import types
from typing import Any, TypeAlias

import numpy as np

Lane: TypeAlias = Any  # one number of each of the runs that are worked on together, or of the one run
Mask: TypeAlias = Any  # one truth value of each
Lanes: TypeAlias = tuple[Lane, ...]
Memory: TypeAlias = Any  # an array as kernels see it: flat, of one type
Address: TypeAlias = int  # of a table that `lanes.memory.table_of` has laid out, or of a kernel
Offset: TypeAlias = int | np.int64  # a place in a memory, in its elements unless said otherwise
Count: TypeAlias = int | np.int64
Step: TypeAlias = int | np.int64  # a number of updates
Hyperparameters: TypeAlias = Any  # a run's numbers by the names that its rule or schedule gives them, each a lane
Function: TypeAlias = types.FunctionType  # a template, or a part
# Of compilers:
Kind: TypeAlias = Any  # the type of a value: a lane's, a memory's, a number's, a tuple's
Value: TypeAlias = Any  # a value in a function that is being made
Builder: TypeAlias = Any  # what makes its instructions, llvmlite's
Context: TypeAlias = Any  # what a compiler knows of types and of how they are lowered
Node: TypeAlias = Any  # a function in Numba's form, or one of its blocks, statements, expressions and variables
Signature: TypeAlias = Any  # of a call: the types of its arguments and of its result
Description: TypeAlias = Any  # of a compiled function: its name and types
State: TypeAlias = Any  # what one pass of Numba's compiler leaves to the next
