"""A picture as it was computed, a Dataset of a line or of planes, as arrays of runs."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.sweep.results.reading import Dataset
from gdsim.variables import described
from gdsim.words import given, nearest

AXES = (("y", "x"), ("alpha",))


class Picture(NamedTuple):
    """A variable of a picture, run by run."""

    values: np.ndarray  # [run, ...] over its axes
    axes: dict[str, np.ndarray]  # the outer first
    dims: tuple[Any, ...]  # of runs
    shape: tuple[int, ...]  # likewise
    coordinates: Any  # of runs

    @classmethod
    def of(cls, found: Any, variable: str, what: str) -> "Picture":
        """A variable of the Dataset of a line or of planes. Raises TypeError or ValueError."""
        names = next((axes for axes in AXES if hasattr(found, "data_vars") and set(axes) <= set(found.dims)), None)
        if names is None:
            raise TypeError(f"{what} takes what gd.landscape.plane or gd.landscape.line gives; {given(found)} was given")
        known = [str(n) for n, v in found.data_vars.items() if set(names) <= set(v.dims)]
        if variable not in known:
            raise ValueError(f"variable={variable!r} is not in this picture; {nearest(variable, known)}")
        column = found[variable].transpose(..., *names)
        runs = column.dims[: -len(names)]
        values = column.values.astype(np.float64)
        coordinates = {n: c.variable for n, c in found.coords.items() if set(c.dims) <= set(runs)}
        axes = {name: found[name].values for name in names}
        return cls(values.reshape(-1, *map(len, axes.values())), axes, runs, values.shape[: len(runs)], coordinates)

    def dataset(self, columns: dict[str, np.ndarray], dims: tuple[str, ...] = ()) -> Dataset:
        """Columns [run, ...], over the picture's runs and the first of more dims."""
        import xarray  # takes 0.4 s, and only answers need it

        made = {n: ((*self.dims, *dims[: v.ndim - 1]), v.reshape((*self.shape, *v.shape[1:])), described(n)) for n, v in columns.items()}
        return xarray.Dataset(made, self.coordinates)
