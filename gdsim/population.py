"""Training and evaluating populations: pure functions from settings, runs and parameters to arrays.

`train_pack` is the unit of work: the runs of one pack, from their starts to their ends. What it returns for a run depends
on the run's setting, numbers and start alone, not on its neighbours, the lane width or who calls.
"""

import collections
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.data import Data
from gdsim.kernels.cpu import Kernels, Structure, Table, feed_of, layout_of, table_of
from gdsim.kernels.network import BLOCK
from gdsim.kernels.sampling import SHUFFLES, Feed
from gdsim.kernels.training import TARGET_REACHED
from gdsim.problems import MLP
from gdsim.rules import Rule
from gdsim.schedules import Schedule
from gdsim.starts import Init, initial_points
from gdsim.stops import LOSS_FACTOR, STATUSES, Record, Target
from gdsim.variables import VARIABLES

WIDTHS = {"float32": 16, "float64": 8}
# Operations of one call of a kernel, about a third of a second: after it Ctrl-C is heard.
SLICE_OPERATIONS = 2e10
# Values in the columns of shards: one quiet NaN, whatever the processor made.
CANONICAL_NAN = np.nan


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


class Pack(NamedTuple):
    """The results of a pack's runs, by the name of the variable: [run] or [run, ...]."""

    runs: Sequence[Run]
    columns: dict[str, np.ndarray]


def number_names(setting: Setting) -> tuple[str, ...]:
    """The names of the numbers that kernels read of each run."""
    rule, schedule = setting.rule, setting.schedule
    sample = dict.fromkeys(rule.hyperparameters(), 0.5)
    return (*rule.hyperparameters(), *rule.constants(sample), *schedule.hyperparameters(), "l2")


@functools.cache
def _numbers_type(names: tuple[str, ...]) -> Any:
    return collections.namedtuple("Numbers_" + "_".join(names), names)  # ty: ignore


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
        tuple(parts.items()), _numbers_type(number_names(setting)), len(rule.slots), len(rule.carry),
        "whole" if setting.batch is None else setting.shuffle, setting.dtype, layout_of(problem.widths, table.pitch),
        has_penalty(setting), title,
    )  # fmt: skip


_tables: dict[tuple[str, str], Table] = {}


def table_for(data: Data, dtype: str) -> Table:
    """The data as kernels read them, made once per process."""
    key = (data.digest, dtype)
    if key not in _tables:
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


def _is_watched_in_kernel(setting: Setting) -> bool:
    """Whether the loss of a step's batch is the loss that a target looks at, so that the kernel can look in every step."""
    target = target_of(setting)
    return bool(target) and setting.batch is None and target[1] == 1 and not setting.rule.looks_ahead and not has_penalty(setting)


class _Trainer:
    """One pack on its way from start to end."""

    def __init__(self, setting: Setting, runs: Sequence[Run], width: int, kernels: Kernels, workspace: Any, stopping: Any) -> None:
        self.setting, self.runs, self.width, self.stopping = setting, runs, width, stopping
        self.slice = max(1, int(SLICE_OPERATIONS / (setting.problem.parameter_count * (setting.batch or len(setting.problem.data.X)) * 6 * width)))
        self.kernels, self.network = kernels, workspace
        self.places = kernels.structure.layout.places
        self.feeds = feeds_of(setting)
        self.pack, self.scores = kernels.new_pack(), kernels.new_scores()
        self.reported = np.zeros_like(self.pack.weights)
        self.target = target_of(setting)
        self.in_kernel = _is_watched_in_kernel(setting)
        self.checkpoints = setting.record.steps(setting.steps)
        self.columns = self._new_columns()
        self.active = np.arange(width) < len(runs)
        self.ends = np.zeros_like(self.reported)  # the reported parameters with which each lane's run ended
        self.looked = np.zeros(width, bool)  # whether `ends` has been evaluated

    def _new_columns(self) -> dict[str, np.ndarray]:
        n, c, d = len(self.runs), len(self.checkpoints), len(self.places)
        kind = self.kernels.dtype
        curve = lambda: np.full((n, c), CANONICAL_NAN, kind)  # noqa: E731
        number = lambda: np.full(n, CANONICAL_NAN, kind)  # noqa: E731
        columns = {"loss": curve(), "final_loss": number(), "best_loss": np.full(n, np.inf, kind)}
        if self.setting.record.gradient_norm:
            columns["gradient_norm"] = curve()
        if self.setting.problem.is_classifier:
            columns["accuracy"] = curve()
        if self.feeds.validation is not None:
            columns["validation_loss"] = curve()
            if self.setting.problem.is_classifier:
                columns["validation_accuracy"] = curve()
        columns["steps_taken"] = np.zeros(n, np.int64)
        columns["status"] = np.full(n, STATUSES.index("budget"), np.int8)
        columns["reason"] = np.full(n, "budget", object)
        if self.setting.record.parameters:
            columns["parameters"] = np.full((n, d), CANONICAL_NAN, kind)
        if self.setting.record.trajectory:
            columns["trajectory"] = np.full((n, c, d), CANONICAL_NAN, kind)
        return columns

    def prepare(self) -> None:
        """Puts every run at its start."""
        setting, pack, n = self.setting, self.pack, len(self.runs)
        starts = np.array([r.start for r in self.runs])
        points = initial_points(setting.init, setting.problem.widths, setting.seed, starts)
        pack.weights.reshape(-1, self.width)[self.places, :n] = points.T
        names = number_names(setting)
        for lane, run in enumerate(self.runs):
            values = {**run.numbers, **setting.rule.constants(run.numbers)}
            pack.numbers.reshape(-1, self.width)[:, lane] = [values[name] for name in names]
        pack.start[:n] = starts
        pack.watch.active[:n] = 1

    def train(self) -> Pack:
        """The results of all runs."""
        self.prepare()
        with np.errstate(all="ignore"):
            for event in self._events():
                self._advance(event)
                if not self.active.any():
                    break
                self._look(event)
            self._finish()
        return Pack(self.runs, self.columns)

    def _events(self) -> list[int]:
        """The steps at which the driver looks at the pack: checkpoints, and the looks of stops."""
        steps = set(self.checkpoints)
        if self.target and not self.in_kernel:
            steps |= set(range(0, self.setting.steps, self.target[1]))
        return sorted(steps)

    def _advance(self, event: int) -> None:
        """Trains up to a step; lanes whose runs end on the way are put away, and the others go on."""
        pack, watch = self.pack, self.pack.watch
        while self.active.any() and (remaining := event - int(pack.step[0])):
            if self.stopping is not None and self.stopping.is_set():
                raise Interrupted
            self.kernels.train(self.network, pack, self.feeds.training, min(remaining, self.slice))
            if not watch.flags.any():
                continue
            flagged = self.active & (watch.flags != 0)
            self._report()
            for lane in np.flatnonzero(flagged):
                flag = int(watch.flags[lane])
                reason = ("converged", "Target") if flag == TARGET_REACHED else ("diverged", "Diverged")
                self._end(lane, *reason)
            watch.flags[:] = 0

    def _report(self) -> None:
        self.kernels.report(self.pack, self.reported)

    def _end(self, lane: int, status: str, reason: str) -> None:
        """Puts a run away as it is now, and leaves its lane at rest."""
        by_lane = self.reported.reshape(-1, self.width)
        self.ends.reshape(-1, self.width)[:, lane] = by_lane[:, lane]
        self.columns["status"][lane] = STATUSES.index(status)
        self.columns["reason"][lane] = reason
        self.columns["steps_taken"][lane] = self.pack.step[lane]
        self.active[lane] = False
        self.pack.watch.active[lane] = 0
        self.pack.weights.reshape(-1, self.width)[:, lane] = 0
        self.pack.slots.reshape(-1, self.width)[:, lane] = 0

    def _note_best(self, lane: int, loss: Any) -> None:
        best = self.columns["best_loss"]
        if loss < best[lane]:
            best[lane] = loss

    def _evaluate(self, feed: Feed, weights: np.ndarray, gradient: bool, penalty: bool = True) -> Any:
        l2 = self.pack.numbers.reshape(-1, self.width)[-1]
        self.scores.l2[:] = l2 if penalty else 0
        self.kernels.evaluate(self.network, weights, feed, self.scores, gradient)
        return self.scores

    def _look(self, step: int) -> None:
        """Evaluates the pack at a checkpoint or a stop's look, records it, and ends the runs whose time has come."""
        is_checkpoint = step in self.checkpoints
        self._report()
        scores = self._evaluate(self.feeds.whole, self.reported, is_checkpoint and self.setting.record.gradient_norm)
        loss = scores.loss.copy()
        if is_checkpoint:
            self._record(self.checkpoints.index(step), scores)
        if step == 0:
            first = loss.astype(np.float64)
            bound = first + LOSS_FACTOR * (1.0 + abs(first))
            self.pack.watch.loss_bound[:] = np.where(np.isfinite(bound), bound, np.inf)
            if self.in_kernel:
                self.pack.watch.target[:] = self.target[0]  # ty: ignore
        for lane in np.flatnonzero(self.active):
            self._note_best(lane, loss[lane])
            done = self.target is not None and (step == self.setting.steps or not self.in_kernel) and loss[lane] <= self.target[0]
            if not np.isfinite(loss[lane]) and step == 0:
                self._end_evaluated(lane, loss[lane], "diverged", "Diverged")
            elif done:
                self._end_evaluated(lane, loss[lane], "converged", "Target")
            elif step == self.setting.steps:
                self._end_evaluated(lane, loss[lane], "budget", "budget")

    def _end_evaluated(self, lane: int, loss: Any, status: str, reason: str) -> None:
        self._end(lane, status, reason)
        self.columns["final_loss"][lane] = loss
        self.looked[lane] = True

    def _record(self, index: int, scores: Any) -> None:
        n, live = len(self.runs), self.active[: len(self.runs)]
        for name in ("loss", "gradient_norm", "accuracy"):
            if name in self.columns:
                self.columns[name][live, index] = getattr(scores, name)[:n][live]
        if "trajectory" in self.columns:
            self.columns["trajectory"][live, index] = self.reported.reshape(-1, self.width)[self.places].T[:n][live]
        if self.feeds.validation is not None:
            kept = scores.loss.copy()
            held = self._evaluate(self.feeds.validation, self.reported, False, penalty=False)
            self.columns["validation_loss"][live, index] = held.loss[:n][live]
            if "validation_accuracy" in self.columns:
                self.columns["validation_accuracy"][live, index] = held.accuracy[:n][live]
            scores.loss[:] = kept

    def _finish(self) -> None:
        """Evaluates the runs that ended between looks, all at once, and settles what is said of the diverged."""
        columns, n = self.columns, len(self.runs)
        if not self.looked[:n].all():
            loss = self._evaluate(self.feeds.whole, self.ends, False).loss
            for lane in np.flatnonzero(~self.looked[:n]):
                columns["final_loss"][lane] = loss[lane]
                self._note_best(lane, loss[lane])
                if not np.isfinite(loss[lane]):
                    known = columns["loss"][lane][np.isfinite(columns["loss"][lane])]
                    columns["final_loss"][lane] = known[-1] if len(known) else CANONICAL_NAN
        if self.in_kernel:
            for lane in range(n):
                self._note_best(lane, self.pack.watch.best[lane])
        columns["best_loss"][np.isinf(columns["best_loss"])] = CANONICAL_NAN
        if "parameters" in columns:
            columns["parameters"][:] = self.ends.reshape(-1, self.width)[self.places].T[:n]
        for name, values in columns.items():
            if values.dtype.kind == "f":
                values[np.isnan(values)] = CANONICAL_NAN


class Interrupted(Exception):
    """The pack was given up because its caller is stopping."""


def train_pack(setting: Setting, runs: Sequence[Run], width: int, workspaces: dict[Any, Any] | None = None, stopping: Any = None) -> Pack:
    """Trains up to `width` runs side by side.

    `workspaces` keeps a thread's working memory from pack to pack. Once `stopping`, an event, is set, the next slice of
    the training raises `Interrupted`.
    """
    structure = structure_of(setting)
    kernels = kernels_for(structure, width)
    table = table_for(setting.problem.data, setting.dtype)
    samples = max(min(setting.batch or table.count, BLOCK), min(table.count, BLOCK))
    workspaces = {} if workspaces is None else workspaces
    key = (structure.layout.widths, structure.layout.activation_rows, width, setting.dtype, samples)
    if key not in workspaces:
        workspaces[key] = kernels.workspace(samples)
    return _Trainer(setting, runs, width, kernels, workspaces[key], stopping).train()


def sample_order(setting: Setting, start: int) -> np.ndarray:
    """[step, batch] sample indices of one start; -1 beyond the end of a short batch."""
    from numba import types

    from gdsim.kernels.sampling import list_samples
    from gdsim.lanes.compiler import bind
    from gdsim.lanes.cpu import restore_float_mode, set_float_mode

    feed = feeds_of(setting).training
    shuffle = SHUFFLES["whole" if setting.batch is None else setting.shuffle]
    parts = {**shuffle._asdict(), "WIDTH": 1, "set_float_mode": set_float_mode, "restore_float_mode": restore_float_mode}
    real = types.Array(types.float64 if setting.dtype == "float64" else types.float32, 1, "C")
    feed_type = types.BaseTuple.from_types((real, *(types.int64,) * 6, types.UniTuple(types.uint32, 2)), Feed)
    kernel = bind(list_samples, parts, types.void(feed_type, types.uint32, types.int64, types.uint32[::1]))
    out = np.zeros((setting.steps, feed.batch), np.uint32)
    kernel(feed, np.uint32(start), setting.steps, out.ravel())
    return np.where(out == feed.count, -1, out.astype(np.int64))


def _by_packs(problem: MLP, parameters: Any, dtype: str | None) -> Any:
    """(kernels, workspace, the table, packs of weights with their slices of runs) of parameters[run, parameter]."""
    values = np.asarray(parameters)
    if values.ndim != 2 or values.shape[1] < problem.parameter_count or values.dtype.kind not in "fiu":
        raise ValueError(f"parameters must be [run, parameter] with {problem.parameter_count} numbers each; shape {values.shape} was given")
    name = dtype or ("float64" if values.dtype == np.float64 else "float32")
    if name not in WIDTHS:
        raise ValueError(f"dtype must be 'float32' or 'float64'; {dtype!r} was given")
    from gdsim.rules import SGD
    from gdsim.schedules import Constant

    setting = Setting(problem, SGD(), Constant(), "zeros", 1, None, "epoch", True, (), Record(), 0, name)
    kernels = kernels_for(structure_of(setting), WIDTHS[name])
    layout, width = kernels.structure.layout, WIDTHS[name]

    def packs() -> Any:
        for first in range(0, len(values), width):
            chosen = values[first : first + width, : problem.parameter_count]
            weights = np.zeros((layout.size, width), kernels.dtype)
            weights[layout.places, : len(chosen)] = chosen.T
            yield slice(first, first + len(chosen)), weights.ravel()

    return kernels, kernels.workspace(BLOCK), packs, len(values)


def evaluate(problem: MLP, parameters: Any, *, dtype: str | None = None) -> Any:
    """The loss, accuracy and gradient norm of parameters[run, parameter] on the problem's whole training set.

    The penalty is included. Computed in `dtype`, the parameters' own if not given. Returns an xarray.Dataset over `run`.

    >>> from gdsim import datasets
    >>> problem = MLP(datasets.load("xor"), hidden=[2])
    >>> float(evaluate(problem, np.zeros((1, 12))).loss[0].round(4))
    0.6931
    """
    import xarray

    if not isinstance(problem.l2, float):
        raise ValueError(f"evaluate needs one l2 for all parameters; {problem.l2!r} was given")
    kernels, network, packs, count = _by_packs(problem, parameters, dtype)
    feed = feed_of(table_for(problem.data, kernels.dtype.name), None, True, 0)
    scores = kernels.new_scores()
    scores.l2[:] = problem.l2
    names = ("loss", "accuracy", "gradient_norm") if problem.is_classifier else ("loss", "gradient_norm")
    columns = {name: np.empty(count, kernels.dtype) for name in names}
    for runs, weights in packs():
        kernels.evaluate(network, weights, feed, scores, True)
        for name in names:
            columns[name][runs] = getattr(scores, name)[: runs.stop - runs.start]
    return xarray.Dataset({n: ("run", v, VARIABLES[n].attributes) for n, v in columns.items()}, coords={"run": np.arange(count)})


def predict(problem: MLP, parameters: Any, X: Any, *, dtype: str | None = None) -> np.ndarray:
    """[run, sample, output]: the outputs of the networks with parameters[run, parameter] at X[sample, feature].

    Of classes their probabilities (softmax), of a log loss the probability of label 1.

    >>> from gdsim import datasets
    >>> problem = MLP(datasets.load("xor"), hidden=[2])
    >>> predict(problem, np.zeros((1, 12)), [[0.0, 1.0]]).tolist()
    [[[0.5, 0.5]]]
    """
    kernels, network, packs, count = _by_packs(problem, parameters, dtype)
    X = Data(X, np.zeros((len(np.atleast_2d(X)), problem.targets(problem.data).shape[1])), name="X").X
    if X.shape[1] != problem.widths[0]:
        raise ValueError(f"X must have the problem's {problem.widths[0]} features; shape {X.shape} was given")
    feed = feed_of(table_of(X, np.zeros((len(X), problem.targets(problem.data).shape[1])), kernels.dtype), None, True, 0)
    result = np.empty((count, len(X), problem.widths[-1]), kernels.dtype)
    out = np.empty(len(X) * problem.widths[-1] * kernels.width, kernels.dtype)
    for runs, weights in packs():
        kernels.predict(network, weights, feed, out)
        by_lane = out.reshape(len(X), problem.widths[-1], kernels.width)
        result[runs] = np.moveaxis(by_lane, 2, 0)[: runs.stop - runs.start]
    return result
