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
    "gdsim.analysis.simulated": ("SimulatedCluster",),
    "gdsim.directions": ("Direction",),
    "gdsim.distribution.asynchronous": ("Asynchronous", "FixedStaleness", "GeometricStaleness", "Queue", "UniformStaleness"),
    "gdsim.distribution": (
        "EF21",
        "QSGD",
        "Classes",
        "DiLoCo",
        "Dirichlet",
        "ElasticAveraging",
        "ErrorFeedback",
        "FederatedAveraging",
        "Gossip",
        "LocalSGD",
        "Overlap",
        "PowerSGD",
        "RandomK",
        "ScaledSign",
        "Scaffold",
        "Sign",
        "Synchronous",
        "TopK",
    ),
    "gdsim.distribution.compute_times": ("ConstantTime", "ExponentialTime", "LogNormal", "Pareto", "ShiftedExponential"),
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
    "gdsim.opening": ("open",),
    "gdsim.sweep.lr_range": ("lr_range_test",),
    "gdsim.sweep.resume": ("continue_from",),
    "gdsim.sweep.ranks.grids": ("grid_of",),
    "gdsim.sweep.ranks.table": ("table",),
}
_MODULES = {
    "analysis": "gdsim.analysis",
    "curvature": "gdsim.curvature",
    "datasets": "gdsim.datasets",
    "functions": "gdsim.problems.functions",
    "landscape": "gdsim.landscape",
    "lanes": "gdsim.lanes",
    "minima": "gdsim.minima",
    "paths": "gdsim.paths",
    "plots": "gdsim.plots",
    "search": "gdsim.search",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

# What type checkers and editors see of the same names; a test says that the two agree.
if TYPE_CHECKING:
    from gdsim import (
        analysis as analysis,
        curvature as curvature,
        datasets as datasets,
        landscape as landscape,
        lanes as lanes,
        minima as minima,
        paths as paths,
        plots as plots,
        search as search,
    )
    from gdsim.analysis.simulated import SimulatedCluster as SimulatedCluster
    from gdsim.axes import choice as choice, grid as grid, linspace as linspace, logspace as logspace, loguniform as loguniform, uniform as uniform, zip as zip
    from gdsim.data import Data as Data
    from gdsim.directions import Direction as Direction
    from gdsim.distribution import (
        EF21 as EF21,
        QSGD as QSGD,
        Classes as Classes,
        DiLoCo as DiLoCo,
        Dirichlet as Dirichlet,
        ElasticAveraging as ElasticAveraging,
        ErrorFeedback as ErrorFeedback,
        FederatedAveraging as FederatedAveraging,
        Gossip as Gossip,
        LocalSGD as LocalSGD,
        Overlap as Overlap,
        PowerSGD as PowerSGD,
        RandomK as RandomK,
        Scaffold as Scaffold,
        ScaledSign as ScaledSign,
        Sign as Sign,
        Synchronous as Synchronous,
        TopK as TopK,
    )
    from gdsim.distribution.asynchronous import (
        Asynchronous as Asynchronous,
        FixedStaleness as FixedStaleness,
        GeometricStaleness as GeometricStaleness,
        Queue as Queue,
        UniformStaleness as UniformStaleness,
    )
    from gdsim.distribution.compute_times import (
        ConstantTime as ConstantTime,
        ExponentialTime as ExponentialTime,
        LogNormal as LogNormal,
        Pareto as Pareto,
        ShiftedExponential as ShiftedExponential,
    )
    from gdsim.estimators import MultistartClassifier as MultistartClassifier, MultistartRegressor as MultistartRegressor
    from gdsim.opening import open as open
    from gdsim.problems import (
        MLP as MLP,
        Expression as Expression,
        LinearRegression as LinearRegression,
        LogisticRegression as LogisticRegression,
        Own as Own,
        Quadratic as Quadratic,
        TeacherStudent as TeacherStudent,
        functions as functions,
    )
    from gdsim.problems.exchange import from_torch as from_torch
    from gdsim.rules import (
        SAM as SAM,
        SGD as SGD,
        AdaBelief as AdaBelief,
        Adadelta as Adadelta,
        AdaGrad as AdaGrad,
        Adam as Adam,
        AdamW as AdamW,
        AMSGrad as AMSGrad,
        Averaged as Averaged,
        ClipNorm as ClipNorm,
        ClipValue as ClipValue,
        Lion as Lion,
        Momentum as Momentum,
        NAdam as NAdam,
        Nesterov as Nesterov,
        PolyakStep as PolyakStep,
        RAdam as RAdam,
        RMSprop as RMSprop,
        Rprop as Rprop,
        WeightDecay as WeightDecay,
    )
    from gdsim.schedules import (
        SGDR as SGDR,
        Constant as Constant,
        Cosine as Cosine,
        CosineDecay as CosineDecay,
        Exponential as Exponential,
        ExpRange as ExpRange,
        InverseTime as InverseTime,
        MultiStep as MultiStep,
        OneCycle as OneCycle,
        Piecewise as Piecewise,
        Polynomial as Polynomial,
        Power as Power,
        Snapshot as Snapshot,
        Step as Step,
        Triangular as Triangular,
        Triangular2 as Triangular2,
        Warmup as Warmup,
    )
    from gdsim.starts import LatinHypercube as LatinHypercube, Normal as Normal, Sobol as Sobol, Uniform as Uniform
    from gdsim.stops import (
        Cycling as Cycling,
        Diverged as Diverged,
        Plateau as Plateau,
        Record as Record,
        RelativeTarget as RelativeTarget,
        SmallGradient as SmallGradient,
        SmallStep as SmallStep,
        Target as Target,
        Validation as Validation,
    )
    from gdsim.sweep.evaluation import evaluate as evaluate, predict as predict
    from gdsim.sweep.lr_range import lr_range_test as lr_range_test
    from gdsim.sweep.ranks.grids import grid_of as grid_of
    from gdsim.sweep.ranks.table import table as table
    from gdsim.sweep.resume import continue_from as continue_from
    from gdsim.sweep.sweep import Sweep as Sweep, read_experiment as read_experiment
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME_OF:
            found = getattr(importlib.import_module(_HOME_OF[name]), name)
            return _hinting(found) if inspect.isfunction(found) else found
        if name in _MODULES:
            return importlib.import_module(_MODULES[name])
        from gdsim.words import unknown_name

        raise unknown_name("gdsim", name, __dir__())

    @functools.cache
    def _hinting(function: Any) -> Any:
        """A function that answers calls that do not fit in words."""
        from gdsim.declarations import hinting_from

        return hinting_from("gdsim", function)

    # All public names but `open` and `zip`, which are Python's own to whoever imports everything.
    __all__ = [*sorted({*_MODULES, *_HOME_OF} - {"open", "zip"})]  # noqa: PLE0604


def __dir__() -> list[str]:
    return sorted(["__version__", *_MODULES, *_HOME_OF])
