"""gdsim trains populations of small models at once, and says what the population did.

    import gdsim as gd

    digits = gd.datasets.load("digits", validation=0.2)
    sweep = gd.Sweep(problem=gd.MLP(digits, hidden=[32]), optimizer=gd.Adam(lr=gd.logspace(1e-4, 1e-1, 7)), starts=100, batch=32)
    result = sweep.run()

Importing compiles nothing; names are loaded when first used.
"""

import functools
import importlib
import inspect
from typing import TYPE_CHECKING, Any

from gdsim.version import VERSION

__version__ = VERSION

_HOMES = {
    "gdsim.axes": ("choice", "grid", "linspace", "loguniform", "logspace", "uniform", "zip"),
    "gdsim.data": ("Data",),
    "gdsim.estimators": ("MultistartClassifier", "MultistartRegressor"),
    "gdsim.sweep.evaluation": ("evaluate", "predict"),
    "gdsim.problems": ("MLP", "Expression", "LinearRegression", "LogisticRegression", "Own", "Quadratic", "TeacherStudent"),
    "gdsim.problems.exchange": ("from_torch",),
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
        "PolyakStep",
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
    "gdsim.stops": ("Cycling", "Diverged", "Plateau", "Record", "RelativeTarget", "SmallGradient", "SmallStep", "Target", "Validation"),
    "gdsim.sweep.sweep": ("Sweep", "read_experiment"),
    "gdsim.sweep.results.opening": ("open",),
    "gdsim.sweep.ranges": ("lr_range_test",),
    "gdsim.sweep.resume": ("continue_from",),
    "gdsim.sweep.ranks.grids": ("grid_of",),
    "gdsim.sweep.ranks.table": ("table",),
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

# What type checkers and editors see of the same names; a test says that the two agree.
if TYPE_CHECKING:
    from gdsim import analysis as analysis
    from gdsim import datasets as datasets
    from gdsim import lanes as lanes
    from gdsim import plots as plots
    from gdsim import search as search
    from gdsim.axes import choice as choice
    from gdsim.axes import grid as grid
    from gdsim.axes import linspace as linspace
    from gdsim.axes import logspace as logspace
    from gdsim.axes import loguniform as loguniform
    from gdsim.axes import uniform as uniform
    from gdsim.axes import zip as zip
    from gdsim.data import Data as Data
    from gdsim.estimators import MultistartClassifier as MultistartClassifier
    from gdsim.estimators import MultistartRegressor as MultistartRegressor
    from gdsim.problems import MLP as MLP
    from gdsim.problems import Expression as Expression
    from gdsim.problems import LinearRegression as LinearRegression
    from gdsim.problems import LogisticRegression as LogisticRegression
    from gdsim.problems import Own as Own
    from gdsim.problems import Quadratic as Quadratic
    from gdsim.problems import TeacherStudent as TeacherStudent
    from gdsim.problems import functions as functions
    from gdsim.problems.exchange import from_torch as from_torch
    from gdsim.rules import SAM as SAM
    from gdsim.rules import SGD as SGD
    from gdsim.rules import AdaBelief as AdaBelief
    from gdsim.rules import Adadelta as Adadelta
    from gdsim.rules import AdaGrad as AdaGrad
    from gdsim.rules import Adam as Adam
    from gdsim.rules import AdamW as AdamW
    from gdsim.rules import AMSGrad as AMSGrad
    from gdsim.rules import Averaged as Averaged
    from gdsim.rules import ClipNorm as ClipNorm
    from gdsim.rules import ClipValue as ClipValue
    from gdsim.rules import Lion as Lion
    from gdsim.rules import Momentum as Momentum
    from gdsim.rules import NAdam as NAdam
    from gdsim.rules import Nesterov as Nesterov
    from gdsim.rules import PolyakStep as PolyakStep
    from gdsim.rules import RAdam as RAdam
    from gdsim.rules import RMSprop as RMSprop
    from gdsim.rules import Rprop as Rprop
    from gdsim.rules import WeightDecay as WeightDecay
    from gdsim.schedules import SGDR as SGDR
    from gdsim.schedules import Constant as Constant
    from gdsim.schedules import Cosine as Cosine
    from gdsim.schedules import CosineDecay as CosineDecay
    from gdsim.schedules import Exponential as Exponential
    from gdsim.schedules import ExpRange as ExpRange
    from gdsim.schedules import InverseTime as InverseTime
    from gdsim.schedules import MultiStep as MultiStep
    from gdsim.schedules import OneCycle as OneCycle
    from gdsim.schedules import Piecewise as Piecewise
    from gdsim.schedules import Polynomial as Polynomial
    from gdsim.schedules import Power as Power
    from gdsim.schedules import Snapshot as Snapshot
    from gdsim.schedules import Step as Step
    from gdsim.schedules import Triangular as Triangular
    from gdsim.schedules import Triangular2 as Triangular2
    from gdsim.schedules import Warmup as Warmup
    from gdsim.starts import LatinHypercube as LatinHypercube
    from gdsim.starts import Normal as Normal
    from gdsim.starts import Sobol as Sobol
    from gdsim.starts import Uniform as Uniform
    from gdsim.stops import Cycling as Cycling
    from gdsim.stops import Diverged as Diverged
    from gdsim.stops import Plateau as Plateau
    from gdsim.stops import Record as Record
    from gdsim.stops import RelativeTarget as RelativeTarget
    from gdsim.stops import SmallGradient as SmallGradient
    from gdsim.stops import SmallStep as SmallStep
    from gdsim.stops import Target as Target
    from gdsim.stops import Validation as Validation
    from gdsim.sweep.evaluation import evaluate as evaluate
    from gdsim.sweep.evaluation import predict as predict
    from gdsim.sweep.ranges import lr_range_test as lr_range_test
    from gdsim.sweep.ranks.grids import grid_of as grid_of
    from gdsim.sweep.ranks.table import table as table
    from gdsim.sweep.results.opening import open as open
    from gdsim.sweep.resume import continue_from as continue_from
    from gdsim.sweep.sweep import Sweep as Sweep
    from gdsim.sweep.sweep import read_experiment as read_experiment
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME_OF:
            found = getattr(importlib.import_module(_HOME_OF[name]), name)
            return _hinting(name, found) if inspect.isfunction(found) else found
        if name in _MODULES:
            return importlib.import_module(_MODULES[name])
        from gdsim.words import unknown_name

        raise unknown_name("gdsim", name, __dir__())

    @functools.cache
    def _hinting(name: str, function: Any) -> Any:
        """A function that answers calls that do not fit in words."""
        from gdsim.declarations import hint_calls_in

        room = {"__all__": (name,), "__name__": "gdsim", name: function}
        hint_calls_in(room)
        return room[name]

    # All public names but `open` and `zip`, which are Python's own to whoever imports everything.
    __all__ = [*sorted({*_MODULES, *_HOME_OF} - {"open", "zip"})]  # noqa: PLE0604


def __dir__() -> list[str]:
    return sorted(["__version__", *_MODULES, *_HOME_OF])
