"""gdsim trains populations of small models at once, and says what the population did.

    import gdsim as gd

    digits = gd.datasets.load("digits", validation=0.2)
    sweep = gd.Sweep(problem=gd.MLP(digits, hidden=[32]), optimizer=gd.Adam(lr=gd.logspace(1e-4, 1e-1, 7)), starts=100, batch=32)
    result = sweep.run()

Importing compiles nothing; names are loaded when first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "gdsim.axes": ("choice", "grid", "linspace", "loguniform", "logspace", "uniform", "zip"),
    "gdsim.data": ("Data",),
    "gdsim.population": ("evaluate", "predict"),
    "gdsim.problems": ("MLP", "Expression", "LinearRegression", "LogisticRegression", "Own", "Quadratic", "TeacherStudent"),
    "gdsim.rules": (
        "SAM",
        "SGD",
        "AMSGrad",
        "AdaBelief",
        "AdaGrad",
        "Adadelta",
        "Adam",
        "AdamW",
        "Averaged",
        "ClipNorm",
        "ClipValue",
        "Lion",
        "Momentum",
        "NAdam",
        "Nesterov",
        "RAdam",
        "RMSprop",
        "Rprop",
        "WeightDecay",
    ),
    "gdsim.schedules": (
        "SGDR",
        "Constant",
        "Cosine",
        "CosineDecay",
        "ExpRange",
        "Exponential",
        "InverseTime",
        "MultiStep",
        "OneCycle",
        "Piecewise",
        "Polynomial",
        "Power",
        "Snapshot",
        "Step",
        "Triangular",
        "Triangular2",
        "Warmup",
    ),
    "gdsim.starts": ("LatinHypercube", "Normal", "Sobol", "Uniform"),
    "gdsim.stops": ("Cycling", "Diverged", "Plateau", "Record", "SmallGradient", "SmallStep", "Target", "Validation"),
    "gdsim.sweep.declaration": ("Sweep",),
    "gdsim.sweep.experiment": ("read_experiment",),
    "gdsim.sweep.ranges": ("lr_range_test",),
    "gdsim.sweep.resume": ("continue_from",),
    "gdsim.sweep.grids": ("grid_of",),
    "gdsim.sweep.table": ("table",),
}
_MODULES = {
    "analysis": "gdsim.analysis",
    "datasets": "gdsim.datasets",
    "functions": "gdsim.problems.functions",
    "lanes": "gdsim.lanes",
    "plots": "gdsim.plots",
    "search": "gdsim.search",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def open(path: Any) -> Any:
    """The xarray.Dataset of a results folder: the runs that are finished, in the order of their numbers; also while a sweep goes on.

    Variables are Dask arrays, read from the folder when their values are asked for; `attrs` say how many runs are planned.
    Raises ValueError for a folder without results or with damage.
    """
    from gdsim.sweep.opening import open_results

    return open_results(path)


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'gdsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", "open", *_MODULES, *_HOME_OF])
