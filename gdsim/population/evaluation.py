"""Evaluation and prediction at given parameters, a pack of runs at a time."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdsim.data import Data
from gdsim.data.arrays import check_fits, plain
from gdsim.data.declare import SETS
from gdsim.data.inputs import inputs_for
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.evaluation import Evaluation, Prediction
from gdsim.kernels.packs import PackKernel, PackWork, evaluating, predicting
from gdsim.kernels.sample_table import sampler_of, table_of
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.columns import with_one_nan
from gdsim.population.engine_choice import kernels_for, lanes_for
from gdsim.population.samples import table_for
from gdsim.population.setting import Setting
from gdsim.population.workplace import HERE, Workplace
from gdsim.problems.checked import check_penalties
from gdsim.rules import SGD
from gdsim.schedules import Constant
from gdsim.stops import Record
from gdsim.variables import VARIABLES
from gdsim.words import checked_word, given

if TYPE_CHECKING:
    import xarray

DTYPES = ("float32", "float64")


class Packs(NamedTuple):
    """Parameters[run, parameter] as packs of weights, and where these are worked on."""

    kernels: Kernels
    values: np.ndarray
    place: Workplace = HERE

    def room(self) -> np.ndarray:
        """Room for the weights of a pack."""
        return self.kernels.number.zeros(self.kernels.layout.size * self.kernels.width)

    def fill(self, weights: np.ndarray, first: int) -> slice:
        """Puts the pack that begins with a run into such room; gives the slice of its runs."""
        layout, width = self.kernels.layout, self.kernels.width
        chosen = self.values[first : first + width, : len(layout.places)]
        weights.reshape(layout.size, width)[layout.places, : len(chosen)] = chosen.T
        return slice(first, first + len(chosen))

    def work(self, kernel: PackKernel, argument: int, new_job: Callable[[], Any], take: Callable[[Any, int], None], found: Callable[[Any], Any]) -> None:
        """Has a kernel work on all packs, as `PackWork` says; `found` are the arrays of a job that `take` reads."""
        fill = lambda job, first: self.fill(job.weights, first)  # noqa: E731
        work = PackWork(kernel, argument, new_job, fill, take, lambda job: (job.weights, found(job)), lambda job: job.sampler)
        self.place.work(work, len(self.values))

    def one_by_one(self) -> Iterator[tuple[slice, np.ndarray]]:
        """(the slice of runs, their weights) of one pack after the other, in the same array."""
        weights = self.room()
        for first in range(0, len(self.values), self.kernels.width):
            yield self.fill(weights, first), weights


class Given(NamedTuple):
    """Parameters as they were given, one vector, rows or a DataArray, and as rows."""

    rows: np.ndarray  # [run, parameter]
    dims: tuple[Any, ...]
    shape: tuple[int, ...]
    coordinates: Any  # of a DataArray, else None

    @classmethod
    def of(cls, parameters: Any) -> "Given":
        """Parameters [parameter], [run, parameter], or a DataArray with the dim `parameter` beside any
        others.
        """
        if hasattr(parameters, "data_vars"):
            raise TypeError("parameters must be an array or a DataArray; of a Dataset give one, as found.point of gd.minima.census, or result.parameters")
        if hasattr(parameters, "coords") and hasattr(parameters, "dims"):
            if "parameter" not in parameters.dims:
                raise ValueError(f"parameters must have the dim 'parameter'; the DataArray has {', '.join(map(str, parameters.dims)) or 'none'}")
            turned = parameters.transpose(..., "parameter")
            coordinates = {n: c.variable for n, c in turned.coords.items() if "parameter" not in c.dims}
            values = turned.values
            return cls(values.reshape(-1, values.shape[-1]), turned.dims[:-1], values.shape[:-1], coordinates)
        values = plain(parameters, "parameters")
        if values.ndim == 1:
            return cls(values[None], (), (), None)
        return cls(values, ("run",), values.shape[:1], None)

    @property
    def over_runs(self) -> dict[Any, Any]:
        """The coordinates of the dims that were given."""
        return self.coordinates if self.coordinates is not None else {"run": np.arange(len(self.rows))} if self.dims else {}

    def dataset(self, columns: dict[str, np.ndarray], *dims: str) -> "xarray.Dataset":
        """Columns with a number per row, or with the first of more `dims`, over the dims that were given."""
        import xarray

        return xarray.Dataset(
            {n: ((*self.dims, *dims[: v.ndim - 1]), with_one_nan(v).reshape((*self.shape, *v.shape[1:])), VARIABLES[n].attributes) for n, v in columns.items()},
            self.over_runs,
        )

    def products(self, values: np.ndarray) -> Any:
        """values[row, ..., parameter] over the given dims: a DataArray where one was given."""
        shaped = with_one_nan(values).reshape(*self.shape, *values.shape[1:])
        if self.coordinates is None:
            return shaped
        import xarray

        return xarray.DataArray(shaped, self.coordinates, (*self.dims, *("vector",) * (values.ndim - 2), "parameter"))

    def outputs(self, values: np.ndarray, names: Sequence[str] | None) -> Any:
        """values[row, sample, ...] over the given dims: a DataArray with output `names` where one was
        given.
        """
        shaped = with_one_nan(values).reshape(*self.shape, *values.shape[1:])
        if self.coordinates is None:
            return shaped
        import xarray

        dims = (*self.dims, "sample", "output")[: shaped.ndim]
        named = {"output": list(names)} if names is not None and dims[-1] == "output" else {}
        return xarray.DataArray(shaped, dims=dims, coords={**self.coordinates, **named})


def whole_data_setting(problem: Any, dtype: str) -> Setting:
    """The setting of what looks at the whole training set, without steps."""
    return Setting(problem, SGD(), Constant(), "zeros", 1, None, "epoch", True, (), Record(), 0, dtype)


def evaluation_setting(problem: Any, values: np.ndarray, dtype: str | None) -> Setting:
    """The setting of evaluations at parameters[run, parameter], which are checked, in `dtype` or their own
    number type; whole numbers are float64.
    """
    count = problem.parameter_count
    is_table = values.ndim == 2 and values.shape[1] >= count and values.dtype.kind in "fiu"
    if not is_table or not np.isnan(values[:, count:]).all():  # NaN fills up the vectors of smaller networks in a result
        raise ValueError(f"parameters must be [run, parameter] with {count} numbers each; shape {values.shape} was given")
    name = dtype or ("float32" if values.dtype.kind == "f" and values.dtype.itemsize <= 4 else "float64")
    if name not in DTYPES:
        raise ValueError(f"dtype must be 'float32' or 'float64'; {given(dtype)} was given")
    setting = whole_data_setting(problem, name)
    check_fits(values, name, "parameters", "give dtype='float64'")
    if problem.data is not None:
        problem.data.check_fits(name)
    return setting


def packs_of(problem: Any, values: np.ndarray, dtype: str | None, place: Workplace = HERE) -> Packs:
    """Checked parameters[run, parameter] as packs, in `dtype` or their own number type."""
    setting = evaluation_setting(problem, values, dtype)
    return Packs(place.kernels(setting) if place.device else kernels_for(setting, lanes_for(setting, len(values), 1)), values, place)


def _part(problem: Any, on: str) -> Data | None:
    """The set of samples that is asked for; None of problems without samples."""
    checked_word(on, "on", SETS)
    sets = {"train": None} if problem.data is None else problem.data.sets
    if on not in sets:
        remedy = f"declare it with {on}=0.2, say" if "data" in problem.__struct_fields__ and problem.data is not None else "on='train' is its function"
        raise ValueError(f"there is no {on} set to evaluate on: {type(problem).__name__} has none; {remedy}")
    return sets[on]


def scores(problem: Any, packs: Packs, part: Data | None, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The scores of every run on some samples, by name; without `gradient_norm` among them no gradient is made."""
    kernels, count = packs.kernels, len(packs.values)
    table = None if part is None else table_for(part, kernels.dtype.name, problem.data.sample_weight is not None)
    sampler = sampler_of(table, None, True, 0, kernels.dtype)
    columns = {name: np.empty(count, kernels.dtype) for name in names}

    def new_job() -> Evaluation:
        found = kernels.new_scores()
        if part is None or part is problem.data:  # what is minimised has the penalty, and losses of other sets have none, as in training
            found.l1[:], found.l2[:] = problem.l1, problem.l2
        return Evaluation(kernels.whole_model(), packs.room(), sampler, found)

    def take(job: Evaluation, first: int) -> None:
        for name in names:
            columns[name][first : first + kernels.width] = getattr(job.scores, name)[: count - first]

    packs.work(evaluating(kernels), int("gradient_norm" in names), new_job, take, lambda job: job.scores)
    return columns


def evaluate(problem: Any, parameters: Any, *, on: str = "train", dtype: str | None = None, place: Workplace = HERE) -> "xarray.Dataset":
    """`gd.evaluate` at parameters, not at a result."""
    check_penalties(problem, "evaluate needs")
    part, given = _part(problem, on), Given.of(parameters)
    packs = packs_of(problem, given.rows, dtype, place)
    names = ("loss", *(["accuracy"] if problem.is_classifier else []), *(["gradient_norm"] if on == "train" else []))
    with ieee_mode():
        columns = scores(problem, packs, part, names)
    return given.dataset(columns).assign_attrs(on=on)


def predict(problem: Any, parameters: Any, X: Any, *, classes: bool = False, dtype: str | None = None, place: Workplace = HERE) -> Any:
    """`gd.predict` with parameters, not with a result."""
    if not problem.layers:
        raise ValueError(f"predict gives the outputs of networks, and {type(problem).__name__} is none; problem.value(points) gives a function's values")
    if classes and problem.is_classifier and problem.data.class_names is None:
        raise ValueError("classes=True names the most likely class, and here a sample may have several labels; outputs above 1/2 say which")
    if classes and not problem.is_classifier:
        raise ValueError(f"classes=True names the most likely class, and {problem.loss!r} is a loss of numbers")
    given = Given.of(parameters)
    packs = packs_of(problem, given.rows, dtype, place)
    X = inputs_for(problem.data, X)
    check_fits(X, packs.kernels.dtype.name, "X", "scale it, or predict with dtype='float64'", problem.data.feature_names)
    with ieee_mode():
        outputs = _outputs(problem, packs, X)
    if classes:
        return given.outputs(_most_likely(problem, outputs), None)
    return given.outputs(outputs, problem.data.class_names if problem.is_classifier and outputs.shape[-1] > 1 else None)


def _most_likely(problem: Any, outputs: np.ndarray) -> np.ndarray:
    """[run, sample] names of the most likely classes, the first of several; None where outputs are NaN."""
    place = outputs.argmax(-1) if outputs.shape[-1] > 1 else (outputs[..., 0] > 0.5).astype(int)
    found, lost = np.array(problem.data.class_names)[place], np.isnan(outputs).any(-1)
    if lost.any():
        found = found.astype(object)
        found[lost] = None
    return found


def _outputs(problem: Any, packs: Packs, X: np.ndarray) -> np.ndarray:
    """[run, sample, output] at checked samples."""
    kernels, count = packs.kernels, len(packs.values)
    columns = table_for(problem.data, kernels.dtype.name).columns - problem.widths[0]
    sampler = sampler_of(table_of(X, np.zeros((len(X), columns)), kernels.dtype), None, True, 0, kernels.dtype)
    result = np.empty((count, len(X), problem.widths[-1]), kernels.dtype)
    shape = len(X), problem.widths[-1], kernels.width
    new_job = lambda: Prediction(kernels.whole_model(), packs.room(), sampler, np.empty(math.prod(shape), kernels.dtype))  # noqa: E731

    def take(job: Prediction, first: int) -> None:
        result[first : first + kernels.width] = np.moveaxis(job.out.reshape(shape), 2, 0)[: count - first]

    packs.work(predicting(kernels), len(X), new_job, take, lambda job: job.out)
    return result
