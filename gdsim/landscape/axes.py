"""The axes of planes: directions that are drawn, or given."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.axes import checked_seed, checked_truth, checked_whole
from gdsim.data.arrays import plain
from gdsim.landscape.grids import MOST_BYTES
from gdsim.landscape.inputs import Centres
from gdsim.landscape.rows import drawn_directions, normalized, rows_of
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.results.reading import Result
from gdsim.variables import VARIABLES
from gdsim.words import count_of, size_of

if TYPE_CHECKING:
    import xarray


def directions(
    problem: "Problem | Result",
    center: "ArrayLike | xarray.DataArray | None" = None,
    n: int = 2,
    *,
    normalization: str | None = "filter",
    biases: bool = False,
    orthogonal: bool = True,
    seed: int = 0,
    variable: str = "parameters",
) -> "xarray.DataArray":
    """[run, axis, parameter]: `n` random directions at points center[run, parameter], as `plane` takes them.

    Normal numbers, the same for all runs, by `seed`. With `orthogonal` each direction is, row by row, without
    its part along those before it: a row is what leads into one unit, and one of fewer numbers than directions
    is not orthogonalised beyond their number (`attrs` count such rows). Then `normalization` gives each row
    the norm of the weights' row at the point ("filter": Li et al. 2018), or a layer that of the layer's
    weights ("layer"); None leaves the numbers as they were drawn. Biases have 0, or with `biases` belong to
    their unit's row.

    Of one vector without `run`; a result stands in the place of problem and center. Raises ValueError for a
    normalization of a problem without layers.

    >>> import gdsim as gd
    >>> xor = gd.MLP(gd.datasets.load("xor"), hidden=[2])
    >>> found = directions(xor, [1.0] * 12)
    >>> (found**2).sum("parameter").values.round(12).tolist()
    [8.0, 8.0]
    """
    centres = Centres.of(problem, center, variable, "directions", "center", None)
    found, about = random_directions(centres, checked_whole(n, "n"), normalization, biases, orthogonal, seed)
    import xarray  # takes 0.4 s, and only answers need it

    given = centres.given
    dims, shaped = (*given.dims, "axis", "parameter"), found.reshape(*given.shape, *found.shape[1:])
    return xarray.DataArray(shaped, given.dataset({}).coords, dims, "direction", {**VARIABLES["direction"].attributes, **about})


def random_directions(centres: Centres, n: int, normalization: str | None, biases: bool, orthogonal: bool, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """(directions[run, axis, parameter], what is said of them). Raises ValueError."""
    biases, orthogonal = checked_truth(biases, "biases"), checked_truth(orthogonal, "orthogonal")
    seed = checked_seed(seed)
    check_bytes(len(centres.rows), n, centres.rows.shape[1])
    found, short = np.full((len(centres.rows), n, centres.rows.shape[1]), np.nan), 0
    for number, problem in enumerate(centres.problems):
        own, size = np.flatnonzero(centres.place == number), problem.parameter_count
        rows = rows_of(problem, normalization, biases)
        short = max(short, sum(len(places) for places in rows if places.shape[1] < n))
        drawn = drawn_directions(rows, size, n, seed, orthogonal)
        centers = centres.rows[own, :size]
        found[own, :, :size] = drawn if normalization is None else normalized(drawn, rows, centers)
    about = {"normalization": normalization or "none", "biases": int(biases), "orthogonal": int(orthogonal), "seed": seed}
    return _not_zero(found, centres), {**about, **({"rows_not_orthogonalised": short} if short and orthogonal else {})}


def _not_zero(found: np.ndarray, centres: Centres) -> np.ndarray:
    """The directions. Raises ValueError if one is 0."""
    zero = np.flatnonzero((np.nan_to_num(found) == 0.0).all(2).any(1))
    if len(zero):
        run = f" of run {zero[0]}" if centres.given.dims else ""
        raise ValueError(f"all weights{run} are 0, and so would be directions of their norm; give normalization=None")
    return found


def check_bytes(runs: int, n: int, size: int) -> None:
    """Raises ValueError for directions that memory should not hold."""
    if (room := runs * n * size * 8) > MOST_BYTES:
        raise ValueError(f"the directions of {count_of(runs, 'run')} with {size:,} parameters take {size_of(room)}; take fewer runs")


def given_directions(value: Any, centres: Centres) -> np.ndarray:
    """[run, axis, parameter], or of one run where they are the same for all: two directions that are given as
    [axis, parameter] or [run, axis, parameter], or as what `gd.curvature.eigenvalues(vectors=True)` gives.

    Raises TypeError or ValueError.
    """
    if hasattr(value, "data_vars"):
        if "eigenvector" not in value:
            raise ValueError("directions takes a Dataset of gd.curvature.eigenvalues(..., vectors=True), which has eigenvectors; this one has none")
        value = value.eigenvector
    found = plain(value.values if hasattr(value, "dims") else value, "directions")
    count, size = centres.rows.shape
    if found.dtype.kind not in "fiu" or found.shape[-2:] != (2, size) or found.ndim not in (2, 3) or (found.ndim == 3 and len(found) not in (1, count)):
        wanted = f"[2, {size}]" + (f" or [{count}, 2, {size}]" if count > 1 else "")
        raise ValueError(f"directions must be two, as an array {wanted}; shape {found.shape} of {found.dtype} was given")
    found = found.astype(np.float64).reshape(-1, 2, size)
    for run, (first, second) in enumerate(np.nan_to_num(found)):
        where = f" of run {run}" if len(found) > 1 else ""
        if not np.isfinite(found[run][:, : centres.problems[centres.place[run]].parameter_count]).all():
            raise ValueError(f"directions must be finite numbers; those{where} are not")
        squares = [float(first @ first), float(second @ second)]
        if not all(squares):
            raise ValueError(f"a direction of zeros leads nowhere; the {('first', 'second')[squares.index(0.0)]} one{where} is 0")
        if squares[0] * squares[1] - float(first @ second) ** 2 <= 1e-14 * squares[0] * squares[1]:
            raise ValueError(f"a plane needs two directions that are not parallel; those{where} are: take gd.landscape.line")
    return found
