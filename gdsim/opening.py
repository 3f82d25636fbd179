"""`gd.open`: the Dataset of a folder, be it of a sweep or of a question around its points."""

import importlib
import os
from typing import TYPE_CHECKING, Any

from gdsim.questions.folder import is_question
from gdsim.questions.opening import open_answer
from gdsim.questions.question import Call
from gdsim.store.folder import Store
from gdsim.sweep.results.opening import open_results

if TYPE_CHECKING:
    import xarray

# Where the calls whose answers folders keep are declared, by their names: a module, and what it calls them.
HOMES = {
    "curvature.density": ("gdsim.curvature.densities", "DENSITY"),
    "curvature.eigenvalues": ("gdsim.curvature.spectrum", "EIGENVALUES"),
    "landscape.line": ("gdsim.landscape.lines", "LINE"),
    "landscape.plane": ("gdsim.landscape.planes", "PLANE"),
    "landscape.plane_through": ("gdsim.landscape.through", "PLANE_THROUGH"),
    "landscape.trajectory_plane": ("gdsim.landscape.through", "TRAJECTORY_PLANE"),
    "minima.basin_map": ("gdsim.minima.basins", "BASIN_MAP"),
    "minima.census": ("gdsim.minima.census", "CENSUS"),
    "paths.barrier_matrix": ("gdsim.paths.matrices", "BARRIER_MATRIX"),
}


def call_of(name: str) -> Call | None:
    """The call of a name; None where no answer of it is kept."""
    if name not in HOMES:
        return None
    module, constant = HOMES[name]
    return getattr(importlib.import_module(module), constant)


def public_function(name: str) -> Any:
    """The function of a name under `gd`, as "landscape.plane"."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(f"gdsim.{module}"), function)


def open(path: str | os.PathLike[str]) -> "xarray.Dataset":
    """The xarray.Dataset of a results folder: of a sweep the runs that are finished, in the order of their
    numbers, also while it goes on; or what a function around points, as `gd.landscape.plane`, has kept with
    `out=`.

    `path` is a directory's, or the address of one in a bucket, `s3://bucket/folder`. Variables of a sweep are
    read from it when their values are asked for, curves as Dask arrays; `attrs` say how many runs are
    planned. Raises ValueError for a folder without results or with damage.

    >>> import tempfile
    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=3, steps=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = sweep.run(out=folder)
    ...     gd.open(folder).sizes["run"]
    6
    """
    store = Store(path)
    return open_answer(store, call_of) if is_question(store) else open_results(path)
