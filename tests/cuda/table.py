"""The gpu table: what training on a device is checked for, as whole runs beside the processor's.

A row is one structure with a rule, a problem, a schedule, stops and records, so that all that users can choose stands
in some row (`chosen_by` says what a row has, `everything` what there is). A new rule, schedule, stop, function,
activation or loss needs a row of its own, or a place in one.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import gdsim as gd
from gdsim.kernels.sampling import SHUFFLES
from gdsim.population.samples import shuffle_of
from gdsim.population.setting import Setting
from gdsim.problems import PROBLEMS
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.problems.wiring import SKIPS
from gdsim.rules import RULES, WRAPPERS, Rule
from gdsim.schedules import SCHEDULES
from gdsim.stops import REASONS, Record
from tests.cuda.settings import setting
from tests.fixtures.declarations import CLASSES, WEIGHTED
from tests.fixtures.own_function import bowl


class Row(NamedTuple):
    """Runs of one structure."""

    name: str
    setting: Setting
    reasons: frozenset[str]  # why runs end, each of them some
    runs: int
    tier: str  # from which on they are trained: of pytest --full or --runslow


def row(rule: Rule, problem: Any, schedule: Any, reasons: str, stops: tuple[Any, ...] = (), *, runs: int = 40, tier: str = "slow", **others: Any) -> Row:
    """A row; `reasons` are words."""
    name = f"{_named(rule)} on {type(problem).__name__} by {type(schedule).__name__}"
    return Row(name, setting(problem, rule, schedule=schedule, stops=stops, **others), frozenset(reasons.split()), runs, tier)


def _named(rule: Any) -> str:
    inner = getattr(rule, "rule", None)
    return f"{type(rule).__name__}({_named(inner)})" if inner else f"{type(rule).__name__} {rule.convention}"


def ravine(x: Any) -> Any:
    """A function of the user's, that gdsim differentiates."""
    return (x[0] - 1.0) ** 2 * 0.5 + gd.lanes.exp(x[1] * 0.25) + x[2] * x[2]


F, TORCH, OPTAX = gd.functions, {"convention": "torch"}, {"convention": "optax"}
XOR, THREE = gd.datasets.load("xor"), gd.Data(CLASSES.X, [i % 3 for i in range(24)], validation=(CLASSES.X[:6], [i % 3 for i in range(6)]))
MANY = gd.Data(np.tile(WEIGHTED.X, (3, 1)), np.tile(WEIGHTED.y, (3, 1) if WEIGHTED.y.ndim == 2 else 3))  # more than one block
ENDS, POINTS, STATE = Record(every="ends", parameters=True), Record(parameters=True), Record(state=True, parameters=True)
LINE = gd.Expression("(a*x + b - y)**2", data=gd.Data([[0.0], [1.0], [3.0]], [1.0, 3.0, 2.0]))

TABLE = (
    # functions of few parameters
    row(gd.Adam(), F.Rosenbrock(), gd.Constant(), "Target budget", (gd.SmallGradient(1e-3), gd.Target(0.5)), steps=60, runs=70, record=STATE, tier="full"),
    row(gd.SGD(), F.Beale(), gd.InverseTime(), "Diverged budget", steps=40, record=Record(parameters=True, parameter_norm=True)),
    row(gd.SGD(**TORCH), F.Rosenbrock(), gd.Constant(), "Diverged budget", steps=30, dtype="float64", record=Record(every=7, trajectory=True)),
    row(gd.Momentum(), F.Booth(), gd.Power(0.5), "Diverged Target budget", (gd.Target([100.0, 5.0]),), steps=50, record=STATE),
    row(gd.Momentum(**TORCH), F.Bowl(), gd.Step(length=5), "Diverged RelativeTarget budget", (gd.RelativeTarget(0.1),), steps=40, record=ENDS),
    row(gd.Nesterov(), F.Branin(), gd.MultiStep([3, 7]), "SmallGradient budget", (gd.SmallGradient(1e-2),), steps=30, dtype="float64", record=STATE),
    row(gd.Nesterov(**TORCH), F.CubicWell(), gd.Exponential(0.9), "Diverged SmallStep budget", (gd.SmallStep(1e-3, times=2),), steps=40, record=STATE),
    row(gd.AdaGrad(), F.DoubleWell(), gd.Polynomial(steps=30), "Plateau budget", (gd.Plateau(patience=2, tolerance=0.1, every=3),), steps=30, record=STATE),
    row(gd.AdaGrad(**TORCH), F.GoldsteinPrice(), gd.Cosine(cycle=9), "SmallStep", (gd.SmallStep(1e-2),), steps=30, record=POINTS),
    row(
        gd.RMSprop(), F.Griewank(), gd.CosineDecay(steps=30), "Cycling SmallStep", (gd.Cycling(1e-2, every=4), gd.SmallStep(1e-2)), steps=40, runs=70,
        dtype="float64", record=STATE, tier="full",
    ),
    row(gd.RMSprop(**TORCH), F.Himmelblau(), gd.SGDR(cycle=5), "Plateau budget", (gd.Plateau(patience=1),), steps=40, dtype="float64", record=STATE),
    row(gd.Adadelta(), F.Levy(), gd.Triangular(half_cycle=3), "budget", steps=30, record=Record(every="log", trajectory=True)),
    row(gd.Adadelta(**TORCH), F.Matyas(), gd.Triangular2(half_cycle=3), "Target budget", (gd.Target(0.3, every=3),), steps=30, record=POINTS),
    row(gd.Adadelta(**OPTAX), F.McCormick(), gd.ExpRange(half_cycle=3), "budget", steps=30, dtype="float64", record=Record(gradient_norm=False)),
    row(gd.Adam(), F.Michalewicz(), gd.OneCycle(steps=30), "budget", steps=30, dtype="float64", record=STATE),
    row(gd.Adam(**TORCH), F.MonkeySaddle(), gd.Snapshot(steps=30, cycles=3), "budget", steps=30, record=Record(sharpness=True)),
    row(gd.Adam(**OPTAX), F.MuellerBrown(), gd.Piecewise([(0, 1.0), (5, 0.1)]), "budget", steps=30, record=STATE),
    row(gd.AdamW(), F.NoisyQuadratic(samples=64), gd.Warmup(gd.Cosine(cycle=9), warmup=3), "budget", steps=30, batch=4, shuffle="replacement", record=STATE),
    row(gd.AdamW(**TORCH), F.Product(), gd.OneCycle(steps=30, momenta=[0.95, 0.85]), "budget", steps=30, record=POINTS),
    row(gd.AdamW(**OPTAX), F.Rastrigin(), gd.Constant(), "budget", steps=30, dtype="float64", record=STATE),
    row(gd.AMSGrad(), F.Ackley(), gd.Cosine(cycle=10, minimum=0.1), "budget", steps=30, record=STATE),
    row(gd.AMSGrad(**TORCH), F.Saddle(), gd.Power(0.5), "budget", steps=30, record=ENDS),
    row(gd.AMSGrad(**OPTAX), F.Shekel(), gd.InverseTime(), "budget", steps=30, record=STATE),
    row(gd.NAdam(), F.SixHumpCamel(), gd.Constant(), "SmallGradient Target budget", (gd.SmallGradient(1e-1), gd.Target(-1.0)), steps=30, record=STATE),
    row(gd.NAdam(**TORCH), F.StyblinskiTang(), gd.Step(length=9), "budget", steps=30, dtype="float64", record=STATE),
    row(gd.NAdam(**OPTAX), F.ThreeHumpCamel(), gd.SGDR(cycle=4), "SmallStep", (gd.SmallStep(1e-2),), steps=30, record=POINTS),
    row(gd.RAdam(), gd.Own(bowl, dim=2), gd.CosineDecay(steps=30), "Target budget", (gd.Target(0.5),), steps=30, record=STATE),
    row(gd.RAdam(**TORCH), gd.Own(ravine, dim=3), gd.Constant(), "budget", steps=30, record=STATE),
    row(gd.RAdam(**OPTAX), gd.Expression("exp(x) + 2*exp(y) + x**2 + y**2"), gd.Constant(), "budget", steps=30, dtype="float64", record=STATE),
    row(gd.AdaBelief(), F.Rosenbrock(dim=10), gd.Constant(), "budget", steps=20, record=STATE),
    row(gd.AdaBelief(**OPTAX), LINE, gd.Exponential(0.9), "Plateau", (gd.Plateau(patience=2, tolerance=0.1),), steps=20, batch=2, record=STATE),
    # many parameters, gradients in memory
    row(gd.Rprop(), gd.Quadratic(np.diag(np.arange(1.0, 7.0))), gd.Constant(), "Cycling budget", (gd.Cycling(1e-3),), steps=40, record=STATE),
    row(gd.Rprop(**TORCH), gd.TeacherStudent(2, 3), gd.Constant(), "budget", steps=20, dtype="float64", record=STATE),
    row(
        gd.Lion(), gd.LinearRegression(WEIGHTED), gd.Constant(), "Plateau budget", (gd.Plateau(patience=2),), steps=12, runs=32, batch=8, shuffle="once",
        record=STATE, tier="full",
    ),
    row(
        gd.Lion(**OPTAX), gd.LogisticRegression(CLASSES, l2=0.1), gd.Constant(), "Validation budget", (gd.Validation(patience=2),), steps=30, batch=7,
        drop_last=False, record=STATE,
    ),
    # networks
    row(
        gd.PolyakStep(), gd.MLP(CLASSES, hidden=[3], activation="tanh"), gd.Constant(), "Validation budget", (gd.Validation(patience=1),), steps=8, batch=8,
        record=STATE,
    ),
    row(
        gd.ClipValue(gd.Adam(), 1.0), gd.MLP(THREE, hidden=[3, 2], activation=["gelu", "silu"], label_smoothing=0.1), gd.Constant(), "Validation budget",
        (gd.Validation(patience=1), gd.Plateau(patience=9, batches=True)), steps=7, runs=32, batch=8, shuffle="replacement", record=STATE, tier="full",
    ),
    row(
        gd.ClipNorm(gd.Momentum(), 1.0), gd.MLP(WEIGHTED, hidden=[2, 2], activation=["relu", "elu"], loss="huber", l1=0.01, l2=0.1), gd.Constant(), "budget",
        steps=4, batch=8, shuffle="once", record=STATE,
    ),
    row(
        gd.WeightDecay(gd.SGD(), 0.1), gd.MLP(WEIGHTED, hidden=[2, 2], activation=["leaky_relu", "softplus"], loss="absolute_error", skip="residual"),
        gd.Constant(), "budget", steps=4, batch=8, shuffle="replacement", record=STATE,
    ),
    row(
        gd.WeightDecay(gd.SGD(), 0.1, decoupled=False),
        gd.MLP(WEIGHTED, hidden=[2, 2], activation=["sine", "sigmoid"], loss="mean_squared_error", skip="dense", output="tanh"), gd.Power(0.5), "budget",
        steps=4, dtype="float64", record=STATE,
    ),
    row(
        gd.Averaged(gd.Nesterov()), gd.MLP(XOR, hidden=[2], activation="tanh", loss="log_loss"), gd.Constant(), "budget", steps=10, is_written_out=True,
        record=STATE, tier="full",
    ),
    row(gd.SAM(gd.SGD()), gd.MLP(MANY, hidden=[2], activation="identity", loss="squared_error"), gd.Constant(), "budget", steps=3, record=STATE),
)  # fmt: skip


def rules_in(rule: Rule) -> Iterator[Rule]:
    """A rule, and those that it is wrapped around."""
    yield rule
    if inner := getattr(rule, "rule", None):
        yield from rules_in(inner)


def chosen_by(one: Row) -> set[str]:
    """What a row has of all that can be chosen."""
    s, own = one.setting, one.setting.problem
    found = {f"rule {type(rule).__name__} {rule.convention}" for rule in rules_in(s.rule)}
    found |= {f"schedule {type(s.schedule).__name__}", f"problem {type(own).__name__}", f"numbers {s.dtype}", f"written out {s.is_written_out}"}
    found |= {f"samples {shuffle_of(s)}", f"drop last {s.drop_last}", f"l1 {own.l1 > 0}", f"l2 {own.l2 > 0}"}
    found |= {f"record every {s.record.every if isinstance(s.record.every, str) else type(s.record.every).__name__}"}
    found |= {f"record {name} {getattr(s.record, name)}" for name in Record.__struct_fields__ if name != "every"}
    found |= {f"reason {name}" for name in one.reasons}
    if own.family == "network":
        found |= {f"activation {name}" for name in ([own.activation] if isinstance(own.activation, str) else own.activation)}
        found |= {f"loss {own.loss}", f"skip {own.skip}"}
    return found


def everything() -> set[str]:
    """All that can be chosen of a sweep that one worker trains."""
    found = {f"rule {rule.__name__} {convention}" for rule in RULES for convention in rule.defaults} | {f"rule {rule.__name__} lecture" for rule in WRAPPERS}
    found |= {f"schedule {s.__name__}" for s in SCHEDULES} | {f"problem {p.__name__}" for p in PROBLEMS} | {f"reason {name}" for name in REASONS}
    found |= {f"samples {name}" for name in SHUFFLES if " " not in name} | {f"record every {kind}" for kind in ("NoneType", "int", "log", "ends")}
    found |= {f"activation {name}" for name in ACTIVATIONS} | {f"loss {name}" for name in SAMPLE_LOSSES} | {f"skip {name}" for name in (None, *SKIPS)}
    truths = ["drop last", "written out", "l1", "l2", *(f"record {name}" for name in Record.__struct_fields__ if name != "every")]
    return found | {f"{name} {held}" for name in truths for held in (False, True)} | {"numbers float32", "numbers float64"}
