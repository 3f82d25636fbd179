"""`gd.evaluate` and `gd.predict`: at parameters of one problem, or at those of a result, each run with its
cell's problem.
"""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gdsim import population
from gdsim.problems import Problem
from gdsim.problems.checked import check_problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.points import by_problem, is_result, parameters_of, workplace
from gdsim.sweep.results.reading import Dataset, Result, check_result

if TYPE_CHECKING:
    import xarray


def evaluate(
    problem: "Problem | Result",
    parameters: "ArrayLike | None" = None,
    *,
    on: str = "train",
    variable: str = "parameters",
    dtype: str | None = None,
    device: str = "cpu",
) -> Dataset:
    """The loss, accuracy and gradient norm of parameters[run, parameter] on the problem's training,
    validation or test set.

    `problem` may be a result in place of both, with `gd.Record(parameters=True)`: each run is evaluated with
    its cell's problem, at its last parameters, or with `variable="best_parameters"` at those that
    `gd.Validation` keeps. `on`: "train", "validation" or "test". The penalty and the gradient's norm are of
    the training set alone; accuracies count every sample alike, whatever its weight. Computed in `dtype`, the
    parameters' own if not given, by this machine's processor, or with `device="cuda"`, `"cuda:1"` by one of its
    GPUs, to the same bits.

    Returns an xarray.Dataset over `run`; of one vector without it; of a DataArray with a dim `parameter`, or
    a result, with the coordinates of its other dims. Raises ValueError for parameters that do not fit the
    problem, and for a set that there is not.

    >>> import gdsim as gd
    >>> data = gd.datasets.load("xor")
    >>> float(evaluate(gd.MLP(data, hidden=[2]), np.zeros(12)).loss.round(4))
    0.6931
    """
    place = workplace(1, device)
    if not is_result(problem):
        check_problem(problem, "evaluate")
        return population.evaluate(problem, _rows(parameters, variable, "evaluate"), on=on, dtype=dtype, place=place)
    result = check_result(cast("Result", problem), "evaluate")
    if parameters is not None:
        raise TypeError("evaluate takes a result in place of problem and parameters; give evaluate(result), or evaluate(problem, parameters)")
    vectors, found = parameters_of(result, variable, "evaluate"), {}
    for runs, one in by_problem(result):
        scores = population.evaluate(one, vectors.values[runs], on=on, dtype=dtype, place=place)
        for name, column in scores.data_vars.items():
            whole = found.setdefault(name, (np.full(len(vectors), np.nan, column.dtype), column.attrs))[0]
            whole[runs] = column.values
    import xarray  # takes 0.4 s, and only results need it

    coordinates = {n: c.variable for n, c in vectors.coords.items() if c.dims == ("run",)}
    return xarray.Dataset({n: ("run", v, attributes) for n, (v, attributes) in found.items()}, coordinates, {"on": on, "at": variable})


def predict(
    problem: "Problem | Result",
    parameters: Any,
    X: Any = None,
    *,
    classes: bool = False,
    variable: str = "parameters",
    dtype: str | None = None,
    device: str = "cpu",
) -> "np.ndarray | xarray.DataArray":
    """[run, sample, output]: the outputs of the networks with parameters[run, parameter] at X[sample,
    feature].

    `predict(result, X)` takes a result in place of problem and parameters, each run with its cell's problem,
    at its last parameters or with `variable="best_parameters"` at those that `gd.Validation` keeps; runs of
    fewer outputs are padded with NaN.

    Of classes their probabilities (softmax), of a log loss the probability of the second class; with
    `classes` the most likely class [run, sample] by its name, None where a network that diverged has no
    numbers. X is as it was given to `gd.Data`: it is standardised as the problem's data are. What is
    standardised already is given as a `gd.Data`, as `data.test` is. A frame's columns are taken by name. One
    vector of parameters gives results without `run`; a DataArray or a result gives a DataArray with its
    coordinates. `dtype` and `device` are those of `evaluate`.

    Raises ValueError for parameters and features that do not fit the problem.

    >>> import gdsim as gd
    >>> problem = gd.MLP(gd.Data([[0.0], [1.0]], ["no", "yes"]))
    >>> predict(problem, [0.0, 2.0, 0.0, -1.0], [[0.0], [1.0]], classes=True).tolist()
    ['no', 'yes']
    """
    place = workplace(1, device)
    if not is_result(problem):
        check_problem(problem, "predict")
        if X is None:
            raise TypeError("predict needs the features X: predict(problem, parameters, X), or predict(result, X)")
        return population.predict(problem, _rows(parameters, variable, "predict"), X, classes=classes, dtype=dtype, place=place)
    result = check_result(cast("Result", problem), "predict")
    if X is not None:
        raise TypeError("predict takes a result in place of problem and parameters; give predict(result, X), or predict(problem, parameters, X)")
    vectors = parameters_of(result, variable, "predict")
    parts = [(runs, population.predict(one, vectors[runs], parameters, classes=classes, dtype=dtype, place=place)) for runs, one in by_problem(result)]
    if len(parts) == 1:
        return parts[0][1]
    import xarray  # takes 0.4 s, and only results need it

    plain = [p.drop_vars("output", errors="ignore") for _, p in parts]
    if not classes:
        widest = max(p.sizes["output"] for p in plain)
        plain = [p.pad(output=(0, widest - p.sizes["output"])) for p in plain]
    whole: Any = xarray.concat(plain, "run", coords="minimal", compat="override")
    return whole.isel(run=np.argsort(np.concatenate([runs for runs, _ in parts])))


def _rows(parameters: Any, variable: str, what: str) -> Any:
    """Parameters as given, or those of a result."""
    if parameters is None:
        raise TypeError(f"{what} needs parameters: {what}(problem, parameters), one vector or [run, parameter]")
    return parameters_of(check_result(parameters, what), variable, what) if is_result(parameters) else parameters
