"""`gd.landscape.plane_through` three points, and `gd.landscape.trajectory_plane`, in which paths of runs lie best."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from gdsim.axes import checked_one, checked_truth, checked_whole
from gdsim.data.arrays import plain
from gdsim.landscape.grids import Grids, Where, ask_of_grids, check_room, coordinates_of, work
from gdsim.landscape.inputs import NOT_NEGATIVE, Centres, spaced
from gdsim.landscape.planes import plane_dataset
from gdsim.problems import Problem
from gdsim.problems.checked import check_problem
from gdsim.questions import Call, Question
from gdsim.questions.question import array_digest
from gdsim.statistics import ArrayLike
from gdsim.sweep.execution.display import Wish
from gdsim.sweep.points import by_problem, is_result
from gdsim.sweep.results.reading import Dataset, Result, check_result
from gdsim.variables import VARIABLES

if TYPE_CHECKING:
    import xarray

FLAT = 1e-10  # of a length: what lies nearer to a line is on it


def plane_through(
    problem: Problem,
    a: "ArrayLike | xarray.DataArray",
    b: "ArrayLike | xarray.DataArray",
    c: "ArrayLike | xarray.DataArray",
    *,
    margin: float = 0.25,
    points: int = 51,
    gradient_norm: bool = False,
    dtype: str | None = None,
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
    device: str = "cpu",
) -> Dataset:
    """The scores on the plane through three points, as three minima (Garipov et al. 2018).

    x is the distance from `a` along the way to `b`, y that from this way towards `c`; the grid of `points` by
    `points` reaches beyond the three by a share `margin` of their extent. Returns a Dataset as `plane` does,
    of one plane, with `corner[point, axis]`, where the three lie. `gradient_norm`, `dtype`, `out`, `client`,
    `threads`, `progress` and `device` are those of `line`. Raises ValueError for points of which two are equal, or that
    lie on a line.

    >>> import gdsim as gd
    >>> found = plane_through(gd.functions.Booth(), [0.0, 0.0], [2.0, 0.0], [1.0, 3.0], points=5)
    >>> found.corner.values.tolist()
    [[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]
    """
    check_problem(problem, "plane_through", or_a_result=False, takes_modules=True)
    corners = [Centres.of(problem, p, "", "plane_through", name, dtype) for p, name in ((a, "a"), (b, "b"), (c, "c"))]
    for name, corner in zip("abc", corners, strict=True):
        if corner.given.dims:
            raise ValueError(f"plane_through takes three vectors; {name} has shape {corner.given.rows.shape}")
    origin, ways = _spanned(*(corner.rows[0] for corner in corners))
    at = np.array([[(corner.rows[0] - origin) @ way for way in ways] for corner in corners])
    at[0], at[1, 1] = 0.0, 0.0
    given = {name: array_digest(corner.given.rows) for name, corner in zip("abc", corners, strict=True)}
    asked = Asked(margin, points, gradient_norm, dtype or _kind(corners), given)
    return _answer(PLANE_THROUGH, corners[0], ways, at, asked, {"corner": at}, Where(out, client, threads, progress, device))


def trajectory_plane(
    problem: "Problem | Result",
    trajectory: "ArrayLike | xarray.DataArray | None" = None,
    *,
    margin: float = 0.25,
    points: int = 51,
    gradient_norm: bool = False,
    dtype: str | None = None,
    out: "str | os.PathLike[str] | None" = None,
    client: object = None,
    threads: int | None = None,
    progress: Wish = None,
    device: str = "cpu",
) -> Dataset:
    """The scores on the plane in which the path of a run lies best: through its last point, along the first two
    principal components of the others as seen from there (Li et al. 2018).

    `trajectory` is [checkpoint, parameter], as `result.trajectory.sel(run=0)` of a sweep with
    `gd.Record(trajectory=True)`, or of several runs [run, checkpoint, parameter]: all on one plane through the
    mean of their last points. A result stands in the place of both, if all its runs have one problem. The grid
    reaches beyond the path by a share `margin` of its extent.

    Returns a Dataset as `plane` does, of one plane, with the projected `path[checkpoint, axis]` of each run,
    and `explained_variance[axis]`, the shares of the path's variance along the axes. A random walk too has
    most of its variance along two axes (Antognini and Sohl-Dickstein 2018), and off the plane the loss is
    another: at the path's projection it is not that of the path. `gradient_norm`, `dtype`, `out`, `client`,
    `threads` and `progress` are those of `line`. Raises ValueError for a path that lies on a line.

    >>> import gdsim as gd
    >>> found = trajectory_plane(gd.functions.Booth(), [[4.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]], points=5)
    >>> found.explained_variance.values.round(3).tolist()
    [0.941, 0.059]
    """
    if is_result(problem):
        if trajectory is not None:
            raise TypeError("trajectory_plane takes a result in place of problem and trajectory; give trajectory_plane(result)")
        problem, trajectory = _of_result(cast("Result", problem))
    elif trajectory is None:
        raise TypeError("trajectory_plane needs a trajectory: trajectory_plane(problem, trajectory), or trajectory_plane(result)")
    whole = _checked_trajectory(problem, trajectory)
    paths = whole.reshape(-1, *whole.shape[-2:])
    known = np.asarray(np.isfinite(paths).all(2))
    lasts = np.array([path[there][-1] for path, there in zip(paths, known, strict=True)])
    centre = Centres.of(problem, lasts.mean(0).astype(paths.dtype), "", "trajectory_plane", "trajectory", dtype)
    origin = centre.rows[0]
    ways, shares = _principal((paths.astype(np.float64) - origin)[known], "path lies" if known.all() else "path's finite points lie")
    path = (paths.astype(np.float64) - origin) @ ways.T
    kept = {"path": path.reshape(*whole.shape[:-1], 2), "explained_variance": shares}
    asked = Asked(margin, points, gradient_norm, dtype or _kind([centre]), {"trajectory": array_digest(whole)})
    return _answer(TRAJECTORY_PLANE, centre, ways, path[known], asked, kept, Where(out, client, threads, progress, device))


def _of_result(given_result: Result) -> tuple[Problem, Any]:
    """(the problem, the trajectories) of a result whose runs have one problem. Raises ValueError."""
    result = check_result(given_result, "trajectory_plane")
    if "trajectory" not in result:
        raise ValueError("trajectory_plane needs the paths of runs, and this result has none: run the sweep with record=gd.Record(trajectory=True)")
    problems = [one for _, one in by_problem(result)]
    if len(problems) > 1:
        raise ValueError(f"trajectory_plane draws paths of one problem, and the runs have {len(problems)}; choose some, as result.sel(run=[0])")
    return problems[0], result.trajectory


def _checked_trajectory(problem: Any, trajectory: Any) -> np.ndarray:
    """[checkpoint, parameter] or [run, checkpoint, parameter]. Raises TypeError or ValueError."""
    check_problem(problem, "trajectory_plane", takes_modules=True)
    if hasattr(trajectory, "dims"):
        if not {"checkpoint", "parameter"} <= {*trajectory.dims}:
            raise ValueError(f"trajectory must have the dims checkpoint and parameter, as result.trajectory; {', '.join(map(str, trajectory.dims))} were given")
        trajectory = trajectory.transpose(..., "checkpoint", "parameter").values
    found = plain(trajectory, "trajectory")
    if found.ndim not in (2, 3) or found.dtype.kind not in "fiu" or not found.size:
        raise ValueError(f"trajectory must be [checkpoint, parameter], or [run, checkpoint, parameter]; shape {found.shape} of {found.dtype} was given")
    if np.isnan(found[..., problem.parameter_count :]).all():  # NaN fills up the vectors of smaller networks in a result
        found = found[..., : problem.parameter_count]
    if not np.isfinite(found).all(-1).any(-1).all():
        raise ValueError("trajectory must have finite points; all of a run are not")
    return found if found.dtype.kind == "f" else found.astype(np.float64)


def _principal(rows: np.ndarray, said: str = "path lies") -> tuple[np.ndarray, np.ndarray]:
    """(the first two principal components [axis, parameter] of rows about 0, their shares of the variance); the
    largest number of each is positive. Raises ValueError.
    """
    _, lengths, ways = np.linalg.svd(rows, full_matrices=False)
    if len(lengths) < 2 or not lengths[1] > FLAT * lengths[0]:
        raise ValueError(f"the {said} on a line, and a plane needs more; take gd.landscape.line between its ends")
    largest = np.abs(ways[:2]).argmax(1)
    return ways[:2] * np.sign(ways[[0, 1], largest])[:, None], (lengths * lengths / (lengths * lengths).sum())[:2]


def _spanned(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a, two orthogonal unit vectors in whose plane all three lie). Raises ValueError."""
    ways = np.stack([b - a, c - a])
    for name, way in (("a and b", ways[0]), ("a and c", ways[1]), ("b and c", c - b)):
        if not way.any():
            raise ValueError(f"a plane needs three different points; {name} are equal")
    first = ways[0] / np.linalg.norm(ways[0])
    second = ways[1]
    for _ in range(2):
        second = second - (second @ first) * first
    if not np.linalg.norm(second) > FLAT * np.linalg.norm(ways[1]):
        raise ValueError("a plane needs three points that are not on one line; these are: take gd.landscape.line")
    return a, np.stack([first, second / np.linalg.norm(second)])


def _kind(points: list[Centres]) -> str:
    """The number type of points."""
    return "float64" if any(p.is_double for p in points) else "float32"


class Asked(NamedTuple):
    """How a plane is drawn."""

    margin: float
    points: int
    gradient_norm: bool
    dtype: str
    given: dict[str, str]  # the hashes of the points or the trajectory, from which all else follows


def _answer(call: Call, centre: Centres, ways: np.ndarray, inside: np.ndarray, asked: Asked, kept: Mapping[str, np.ndarray], where: Where) -> Dataset:
    """The Dataset of one plane through a centre, whose grid reaches beyond all that lies `inside`, [point, axis]."""
    margin, count = checked_one(asked.margin, "margin", NOT_NEGATIVE), checked_whole(asked.points, "points", 2)
    check_room(count * count)
    low, high = inside.min(0), inside.max(0)
    aside = margin * (high - low).max()
    x, y = (spaced(low[axis] - aside, high[axis] + aside, count) for axis in range(2))
    gradient_norm = checked_truth(asked.gradient_norm, "gradient_norm")
    grids = Grids(centre.problems, centre.place, centre.rows, ways[None], coordinates_of([x, y]), gradient_norm, asked.dtype)
    return ask_of_grids(call, grids, centre.given, {"x": x, "y": y}, where, {"margin": margin}, kept, asked.given)


def _dataset_through(question: Question, found: Mapping[str, np.ndarray]) -> Dataset:
    corner = ("point", "axis"), question.arrays["corner"], VARIABLES["corner"].attributes
    return plane_dataset(question, found).assign(corner=corner).assign_coords(point=["a", "b", "c"])


def _dataset_of_trajectory(question: Question, found: Mapping[str, np.ndarray]) -> Dataset:
    path, shares = question.arrays["path"], question.arrays["explained_variance"]
    dims = ("path_run", "checkpoint", "axis")[3 - path.ndim :]
    return plane_dataset(question, found).assign(
        path=(dims, path, VARIABLES["path"].attributes), explained_variance=("axis", shares, VARIABLES["explained_variance"].attributes)
    )


PLANE_THROUGH = Call("landscape.plane_through", work, _dataset_through)
TRAJECTORY_PLANE = Call("landscape.trajectory_plane", work, _dataset_of_trajectory)
