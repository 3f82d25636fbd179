"""What the map of costs varies: one small training, and one thing after the other that is different in it.

The base is a network 8-16-3 (tanh, cross-entropy) on 512 samples, in batches of 16, trained by Momentum, both ends
recorded. Rules, wrappers, schedules, activations, losses and stops are those that gdsim has: a new one is on the map.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from works import operations_of

import gdsim as gd
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.stops import STOPS

RUNS, SAMPLES, FEATURES, CLASSES, HIDDEN, BATCH = 64, 512, 8, 3, 16, 16
EPOCH = SAMPLES // BATCH
RATE = 1e-3  # so low that no rule drives a run apart

# What declarations must be given, by the names of their fields; of stops what ends no run.
NEEDED: dict[str, Any] = {
    "rule": gd.Momentum(lr=RATE), "value": 1.0, "norm": 1.0, "weight_decay": 0.01,
    "exponent": 0.5, "length": EPOCH, "factor": 0.999, "milestones": [EPOCH], "steps": 100 * EPOCH, "cycle": EPOCH, "half_cycle": EPOCH, "cycles": 10,
    "table": [(0, 1.0), (EPOCH, 0.1)], "schedule": gd.Constant(), "warmup": EPOCH,
    "loss": -1.0, "share": 1e-30, "tolerance": 1e-30, "patience": 10**6,
}  # fmt: skip
USUAL = ("patience", "tolerance")  # given even where a declaration has values of its own: those would end runs


class Axis(NamedTuple):
    """One thing that is varied: by name what is different from the base; `ordered` where names are sizes."""

    ordered: bool
    changes: Mapping[str, Mapping[str, Any]]


class Variation(NamedTuple):
    """A point of the map: a training, and the multiplications and additions of a step's matrix products."""

    axis: str
    name: str
    sweep: gd.Sweep
    operations: int


def made(kind: Any, **others: Any) -> Any:
    """A declaration with what it must be given.

    >>> made(gd.Cosine)
    Cosine(32)
    """
    return kind(**{f.name: NEEDED[f.name] for f in msgspec.structs.fields(kind) if f.required or f.name in USUAL}, **others)


def samples(count: int = SAMPLES, targets: str = "classes", weighted: bool = False, validated: bool = False) -> gd.Data:
    """Random samples, and targets of the kind that a loss takes; `validated`, as many to validate."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(count, FEATURES))
    y = rng.normal(size=(count, CLASSES)) if targets == "numbers" else rng.integers(0, 2 if targets == "binary" else CLASSES, count)
    return gd.Data(X, y, validation=(X, y) if validated else None, sample_weight=rng.uniform(0.5, 1.5, count) if weighted else None)


def sweep_with(data: Mapping[str, Any], network: Mapping[str, Any], **others: Any) -> gd.Sweep:
    """The base, but for the data, the network and the sweep's own settings that are given."""
    problem = gd.MLP(samples(**data), **{"hidden": [HIDDEN], "activation": "tanh", **network})
    base = {"optimizer": gd.Momentum(lr=RATE), "batch": BATCH, "record": gd.Record(every="ends", gradient_norm=False), "dtype": "float32"}
    return gd.Sweep(problem=problem, starts=RUNS, steps=1, **{**base, **others})


def variation(axis: str, name: str, *, data: Mapping[str, Any] | None = None, network: Mapping[str, Any] | None = None, **others: Any) -> Variation:
    """A point of the map, from what is different in it."""
    sweep = sweep_with(data or {}, network or {}, **others)
    problem: Any = sweep.problem[0]
    return Variation(axis, name, sweep, operations_of(problem, others.get("batch", BATCH)))


def sized(values: Mapping[int, Mapping[str, Any]]) -> Axis:
    """An axis of sizes."""
    return Axis(True, {f"{size:,}": change for size, change in values.items()})


def named(kinds: Any, field: str, **others: Any) -> Axis:
    """An axis of declarations, by the names of their classes."""
    return Axis(False, {kind.__name__: {field: made(kind, **others)} for kind in kinds})


def record(**options: Any) -> dict[str, Any]:
    """What a point records."""
    return {"record": gd.Record(**options)}


AXES = {
    "rules": named(RULES, "optimizer", lr=RATE),
    "wrappers": named(WRAPPERS, "optimizer"),
    "penalties": Axis(False, {"l1": {"network": {"l1": 1e-4}}, "l2": {"network": {"l2": 1e-4}}, "l1 and l2": {"network": {"l1": 1e-4, "l2": 1e-4}}}),
    "weights": Axis(False, {"of samples": {"data": {"weighted": True}}}),
    "schedules": named(SCHEDULES, "schedule"),
    "activations": Axis(False, {name: {"network": {"activation": name}} for name in ACTIVATIONS}),
    "losses": Axis(False, {name: {"data": {"targets": loss.targets}, "network": {"loss": name}} for name, loss in SAMPLE_LOSSES.items()}),
    "numbers": Axis(False, {"float32": {}, "float64": {"dtype": "float64"}}),
    "looks": Axis(False, {kind.__name__: {"stop": made(kind), "data": {"validated": kind is gd.Validation}} for kind in STOPS}),
    "records": Axis(
        False,
        {
            "every epoch": record(every=EPOCH), "every epoch, no gradients": record(every=EPOCH, gradient_norm=False), "every 100 steps": record(every=100),
            "every 10 steps": record(every=10), "every 10 steps, no gradients": record(every=10, gradient_norm=False),
        },
    ),
    "samples": sized({n: {"data": {"count": n}} for n in (64, 512, 4096, 32_768, 262_144, 1_000_000)}),
    "batches": Axis(True, {**sized({n: {"batch": n} for n in (1, 2, 4, 8, 15, 16, 17, 32, 64, 256)}).changes, "whole": {"batch": None}}),
    "widths": sized({n: {"network": {"hidden": [n]}} for n in (1, 2, 3, 4, 5, 8, 16, 17, 32, 64, 128)}),
    "depths": sized({n: {"network": {"hidden": [HIDDEN] * n}} for n in (0, 1, 2, 4, 8)}),
}  # fmt: skip


def variations_of(axis: str) -> list[Variation]:
    """The points of an axis, in its order."""
    return [variation(axis, name, **change) for name, change in AXES[axis].changes.items()]


def base() -> Variation:
    """What the others are variations of."""
    return variation("base", "")
