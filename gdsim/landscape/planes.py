"""`gd.landscape.plane`: scores on planes through points."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdsim.axes import checked_one, checked_truth, checked_whole
from gdsim.landscape.axes import given_directions, random_directions
from gdsim.landscape.grids import Grids, Where, ask_of_grids, check_room, coordinates_of, scores_in, work
from gdsim.landscape.inputs import POSITIVE, Centres, spaced
from gdsim.landscape.spans import span_for
from gdsim.problems import Problem
from gdsim.questions import Call, Question, end_of_checks
from gdsim.statistics import ArrayLike
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.points import workplace
from gdsim.sweep.results.reading import Dataset, Result
from gdsim.variables import VARIABLES
from gdsim.words import given

if TYPE_CHECKING:
    import xarray


def plane(
    problem: "Problem | Result",
    center: "ArrayLike | xarray.DataArray | None" = None,
    *,
    directions: Any = None,
    normalization: str | None = "filter",
    biases: bool = False,
    orthogonal: bool = True,
    span: float | Literal["auto"] = 1.0,
    points: int = 51,
    seed: int = 0,
    gradient_norm: bool = False,
    variable: str = "parameters",
    dtype: str | None = None,
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
    device: str = "cpu",
) -> Dataset:
    """The scores at center + x d_1 + y d_2, on a grid of `points` by `points` values of x and y from -span to
    span.

    `center` is a vector of parameters, or [run, parameter], a plane for each; a result stands in the place of
    problem and center, each run with its cell's problem. The directions are random, as
    `gd.landscape.directions` draws them with `normalization`, `biases`, `orthogonal` and `seed`; or
    `directions`, two vectors [axis, parameter], [run, axis, parameter], or what
    `gd.curvature.eigenvalues(..., vectors=True)` gives, which stay as they are. `span="auto"` doubles or halves
    1 until the median loss on the border, of all runs, is above the lowest by ten times as much as the
    centre's, at least by 1.

    Returns a Dataset with `loss[run, y, x]` and the other scores that `gd.landscape.line` has,
    `direction[run, axis, parameter]` and `center[run, parameter]`; of one vector without `run`, of a DataArray
    with its coordinates. `gradient_norm`, `dtype`, `out`, `client`, `threads`, `progress` and `device` are
    those of `line`. Raises ValueError for an even number of points, of which none is the centre, and for directions
    that are 0 or parallel.

    >>> import gdsim as gd
    >>> found = plane(gd.Quadratic([[2.0, 0.0], [0.0, 4.0]]), [0.0, 0.0], directions=[[1.0, 0.0], [0.0, 1.0]], points=3)
    >>> found.loss.values.tolist()
    [[3.0, 2.0, 3.0], [1.0, 0.0, 1.0], [3.0, 2.0, 3.0]]
    """
    gradient_norm, count = checked_truth(gradient_norm, "gradient_norm"), checked_whole(points, "points", 3)
    if count % 2 == 0:
        raise ValueError(f"points must be odd, so that the centre is one of them; {points} was given")
    if isinstance(span, str) and span != "auto":
        raise ValueError(f"span must be a positive number, or 'auto'; {given(span)} was given")
    reach = None if isinstance(span, str) else checked_one(span, "span", POSITIVE)
    centres = Centres.of(problem, center, variable, "plane", "center", dtype)
    if directions is None:
        ways, about = random_directions(centres, 2, normalization, biases, orthogonal, seed)
    else:
        ways, about = given_directions(directions, centres), {}
    kind = dtype or ("float64" if centres.is_double else "float32")
    grids = Grids(centres.problems, centres.place, centres.rows, ways, np.zeros((0, 2)), gradient_norm, kind)
    check_room(len(centres.rows) * count**2)
    if reach is None:
        end_of_checks()
        reach = span_for(grids, workplace(threads, device))
    values = spaced(-reach, reach, count)
    grids = grids._replace(coordinates=coordinates_of([values, values]))
    place, about, asked = Where(out, client, threads, progress, device), {**about, "span": reach}, {} if directions is None else None
    return ask_of_grids(PLANE, grids, centres.given, {"x": values, "y": values}, place, about, {}, asked)


def plane_dataset(question: Question, found: Mapping[str, np.ndarray]) -> Dataset:
    """The Dataset of planes: scores, directions and centres."""
    made, arrays = scores_in(question, found), question.arrays
    runs, shape = made.loss.dims[:-2], made.loss.shape[:-2]
    centers, ways = arrays["parameters"], arrays["directions"]
    ways = np.broadcast_to(ways, (len(centers), *ways.shape[1:])).reshape(*shape, *ways.shape[1:])
    columns = {"direction": ((*runs, "axis", "parameter"), ways), "center": ((*runs, "parameter"), centers.reshape(*shape, -1))}
    return made.assign({name: (dims, values, VARIABLES[name].attributes) for name, (dims, values) in columns.items()})


PLANE = Call("landscape.plane", work, plane_dataset)
