"""What the runs of one structure share, and what follows from it: kernels, tables of samples, feeds, stops."""

import collections
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim.data import Data
from gdsim.kernels.cpu import Kernels, Structure, Table, feed_of, layout_of, table_of
from gdsim.kernels.sampling import SHUFFLES, Feed, list_samples
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.modes import ieee_mode
from gdsim.problems import MLP
from gdsim.rules import Rule
from gdsim.schedules import Schedule
from gdsim.starts import Init
from gdsim.stops import Record, Target

# Lanes of a pack: one register of 512 bits, of which a tile of 4 x 4 leaves none to spare.
WIDTHS = {"float32": 16, "float64": 8}


class Setting(NamedTuple):
    """What the runs of one structure share."""

    problem: MLP
    rule: Rule
    schedule: Schedule
    init: Init
    steps: int
    batch: int | None
    shuffle: str
    drop_last: bool
    stops: tuple[Any, ...]
    record: Record
    seed: int
    dtype: str


class Run(NamedTuple):
    """One run: its number, its start, and its hyperparameters."""

    number: int
    start: int
    numbers: Mapping[str, float]


def number_names(setting: Setting) -> tuple[str, ...]:
    """The names of the numbers that kernels read of each run."""
    rule, schedule = setting.rule, setting.schedule
    sample = dict.fromkeys(rule.hyperparameters(), 0.5)
    return (*rule.hyperparameters(), *rule.constants(sample), *schedule.hyperparameters(), "l2")


@functools.cache
def numbers_type(names: tuple[str, ...]) -> Any:
    """The NamedTuple in which kernels hold a run's numbers; its name tells its fields."""
    return collections.namedtuple("Numbers_" + "_".join(names), names)


def has_penalty(setting: Setting) -> bool:
    """Whether any run of the setting may have an L2 penalty."""
    return setting.problem.l2 != 0.0


def structure_of(setting: Setting) -> Structure:
    """What decides the setting's kernels."""
    problem, rule = setting.problem, setting.rule
    parts = {**rule.parts(), **problem.parts(), "rate": type(setting.schedule).rate}
    table = table_for(problem.data, setting.dtype)
    title = f"{type(rule).__name__} on {type(problem).__name__}"
    return Structure(
        tuple(parts.items()), numbers_type(number_names(setting)), len(rule.slots), len(rule.carry),
        "whole" if setting.batch is None else setting.shuffle, setting.dtype, layout_of(problem.widths, table.pitch),
        has_penalty(setting), title,
    )  # fmt: skip


_tables: dict[tuple[str, str], Table] = {}


def table_for(data: Data, dtype: str) -> Table:
    """The data as kernels read them, made once per process."""
    key = (data.digest, dtype)
    if key not in _tables:
        with ieee_mode():
            _tables[key] = table_of(data.X, data.y.reshape(len(data.y), -1), np.dtype(dtype))
    return _tables[key]


@functools.cache
def kernels_for(structure: Structure, width: int) -> Kernels:
    """The kernels of a structure; structures that differ in sizes alone share compiled code, not layouts."""
    return Kernels(structure, width)


class Feeds(NamedTuple):
    """How a setting's steps draw samples, and the whole sets that evaluation reads."""

    training: Feed
    whole: Feed
    validation: Feed | None


def feeds_of(setting: Setting) -> Feeds:
    """The feeds of a setting."""
    data = setting.problem.data
    table = table_for(data, setting.dtype)
    held = None if data.validation is None else feed_of(table_for(data.validation, setting.dtype), None, True, 0)
    return Feeds(feed_of(table, setting.batch, setting.drop_last, setting.seed), feed_of(table, None, True, 0), held)


def target_of(setting: Setting) -> tuple[float, int] | None:
    """(the loss to reach, how often it is looked at) by the setting's stops, or None."""
    targets = [s for s in setting.stops if isinstance(s, Target)]
    if not targets:
        return None
    loss = max(t.loss for t in targets)
    if setting.batch is None:
        return loss, min(t.every or 1 for t in targets)
    feed = feeds_of(setting).training
    return loss, min(t.every or int(feed.steps_per_epoch) for t in targets)


def is_watched_in_kernel(setting: Setting) -> bool:
    """Whether the loss of a step's batch is the loss that a target looks at, so that the kernel can look in every step."""
    target = target_of(setting)
    return target is not None and setting.batch is None and target[1] == 1 and not setting.rule.looks_ahead and not has_penalty(setting)


def sample_order(setting: Setting, start: int) -> np.ndarray:
    """[step, batch] sample indices of one start; -1 beyond the end of a short batch."""
    from numba import types as numba_types

    types: Any = numba_types
    feed = feeds_of(setting).training
    shuffle = SHUFFLES["whole" if setting.batch is None else setting.shuffle]
    parts = {**shuffle._asdict(), "WIDTH": 1, **float_mode_parts()}
    real = types.Array(types.float64 if setting.dtype == "float64" else types.float32, 1, "C")
    feed_type = types.BaseTuple.from_types((real, *(types.int64,) * 6, types.UniTuple(types.uint32, 2)), Feed)
    kernel: Any = bind(list_samples, parts, types.void(feed_type, types.uint32, types.int64, types.uint32[::1]))
    out = np.zeros((setting.steps, feed.batch), np.uint32)
    kernel(feed, np.uint32(start), setting.steps, out.ravel())
    return np.where(out == feed.count, -1, out.astype(np.int64))
