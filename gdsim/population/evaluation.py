"""Evaluation and prediction at given parameters, a pack of runs at a time."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdsim.data import Data
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.evaluation import Evaluation, Prediction
from gdsim.kernels.layout import feed_of, table_of
from gdsim.kernels.network import BLOCK
from gdsim.lanes.memory import zeros
from gdsim.lanes.modes import ieee_mode
from gdsim.population.setting import Setting, kernels_for, structure_of, table_for
from gdsim.rules import SGD
from gdsim.schedules import Constant
from gdsim.stops import Record
from gdsim.variables import VARIABLES

if TYPE_CHECKING:
    import xarray

DTYPES = ("float32", "float64")


class Packs(NamedTuple):
    """Parameters[run, parameter] as packs of weights: (the slice of runs, their weights) one after the other."""

    kernels: Kernels
    values: np.ndarray

    def __iter__(self) -> Iterator[Any]:
        layout, width = self.kernels.layout, self.kernels.width
        for first in range(0, len(self.values), width):
            chosen = self.values[first : first + width, : len(layout.places)]
            weights = zeros(layout.size * width, self.kernels.dtype).reshape(layout.size, width)
            weights[layout.places, : len(chosen)] = chosen.T
            yield slice(first, first + len(chosen)), weights.ravel()


def packs_of(problem: Any, parameters: Any, dtype: str | None) -> Packs:
    """Checked parameters as packs, in `dtype` or their own number type."""
    values = np.asarray(parameters)
    if values.ndim != 2 or values.shape[1] < problem.parameter_count or values.dtype.kind not in "fiu":
        raise ValueError(f"parameters must be [run, parameter] with {problem.parameter_count} numbers each; shape {values.shape} was given")
    name = dtype or ("float64" if values.dtype == np.float64 else "float32")
    if name not in DTYPES:
        raise ValueError(f"dtype must be 'float32' or 'float64'; {dtype!r} was given")
    setting = Setting(problem, SGD(), Constant(), "zeros", 1, None, "epoch", True, (), Record(), 0, name)
    return Packs(kernels_for(structure_of(setting), setting.lanes_for(len(values), 1)), values)


def _scores(problem: Any, packs: Packs) -> dict[str, np.ndarray]:
    """The scores of every run, by name."""
    kernels, count = packs.kernels, len(packs.values)
    table = None if problem.data is None else table_for(problem.data, kernels.dtype.name)
    model, feed = kernels.model(BLOCK), feed_of(table, None, True, 0, kernels.dtype)
    scores = kernels.new_scores()
    scores.l1[:], scores.l2[:] = problem.l1, problem.l2
    names = ("loss", "accuracy", "gradient_norm") if problem.is_classifier else ("loss", "gradient_norm")
    columns = {name: np.empty(count, kernels.dtype) for name in names}
    for runs, weights in packs:
        kernels.evaluate(Evaluation(model, weights, feed, scores))
        for name in names:
            columns[name][runs] = getattr(scores, name)[: runs.stop - runs.start]
    return columns


def evaluate(problem: Any, parameters: Any, *, dtype: str | None = None) -> "xarray.Dataset":
    """The loss, accuracy and gradient norm of parameters[run, parameter] on the problem's whole training set.

    The penalty is included. Computed in `dtype`, the parameters' own if not given. Returns an xarray.Dataset over `run`.

    >>> from gdsim import MLP, datasets
    >>> problem = MLP(datasets.load("xor"), hidden=[2])
    >>> float(evaluate(problem, np.zeros((1, 12))).loss[0].round(4))
    0.6931
    """
    import xarray

    for name in ("l1", "l2"):
        if not isinstance(getattr(problem, name), float):
            raise ValueError(f"evaluate needs one {name} for all parameters; {getattr(problem, name)!r} was given")
    packs = packs_of(problem, parameters, dtype)
    with ieee_mode():
        columns = _scores(problem, packs)
    count = len(packs.values)
    return xarray.Dataset({n: ("run", v, VARIABLES[n].attributes) for n, v in columns.items()}, coords={"run": np.arange(count)})


def predict(problem: Any, parameters: Any, X: Any, *, dtype: str | None = None) -> np.ndarray:
    """[run, sample, output]: the outputs of the networks with parameters[run, parameter] at X[sample, feature].

    Of classes their probabilities (softmax), of a log loss the probability of label 1.

    >>> from gdsim import MLP, datasets
    >>> problem = MLP(datasets.load("xor"), hidden=[2])
    >>> predict(problem, np.zeros((1, 12)), [[0.0, 1.0]]).tolist()
    [[[0.5, 0.5]]]
    """
    if not problem.layers:
        raise ValueError(f"predict gives the outputs of networks, and {type(problem).__name__} is none; problem.value(points) gives a function's values")
    packs = packs_of(problem, parameters, dtype)
    kernels = packs.kernels
    columns = table_for(problem.data, kernels.dtype.name).columns - problem.widths[0]
    X = Data(X, np.zeros((len(np.atleast_2d(X)), columns)), name="X").X
    if X.shape[1] != problem.widths[0]:
        raise ValueError(f"X must have the problem's {problem.widths[0]} features; shape {X.shape} was given")
    with ieee_mode():
        return _outputs(problem, packs, X, columns)


def _outputs(problem: Any, packs: Packs, X: np.ndarray, columns: int) -> np.ndarray:
    """[run, sample, output] at checked samples."""
    kernels, count = packs.kernels, len(packs.values)
    model, feed = kernels.model(BLOCK), feed_of(table_of(X, np.zeros((len(X), columns)), kernels.dtype), None, True, 0, kernels.dtype)
    result = np.empty((count, len(X), problem.widths[-1]), kernels.dtype)
    out = np.empty(len(X) * problem.widths[-1] * kernels.width, kernels.dtype)
    for runs, weights in packs:
        kernels.predict(Prediction(model, weights, feed, out))
        by_lane = out.reshape(len(X), problem.widths[-1], kernels.width)
        result[runs] = np.moveaxis(by_lane, 2, 0)[: runs.stop - runs.start]
    return result
