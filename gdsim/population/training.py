"""Training a population, a pack at a time: a pure function from a setting and runs to arrays.

`train_pack` is the unit of work: the runs of one pack, from their starts to their ends. What it returns for a run depends
on the run's setting, numbers and start alone, not on its neighbours, the lane width or who calls.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.cpu import Kernels
from gdsim.kernels.sampling import Feed
from gdsim.kernels.training import TARGET_REACHED
from gdsim.lanes.modes import ieee_mode
from gdsim.population.setting import Run, Setting, feeds_of, is_watched_in_kernel, kernels_for, number_names, structure_of, target_of
from gdsim.starts import initial_points
from gdsim.stops import LOSS_FACTOR, STATUSES

# Operations of one call of a kernel, about a third of a second: after it Ctrl-C is heard.
SLICE_OPERATIONS = 2e10
# Values in the columns of shards: one quiet NaN, whatever the processor made.
CANONICAL_NAN = np.nan


class Pack(NamedTuple):
    """The results of a pack's runs, by the name of the variable: [run] or [run, ...]."""

    runs: Sequence[Run]
    columns: dict[str, np.ndarray]


class _Trainer:
    """One pack on its way from start to end."""

    def __init__(self, setting: Setting, runs: Sequence[Run], width: int, kernels: Kernels, workspace: Any, stopping: Any) -> None:
        self.setting, self.runs, self.width, self.stopping = setting, runs, width, stopping
        self.slice = max(1, int(SLICE_OPERATIONS / (setting.problem.parameter_count * (setting.batch or len(setting.problem.data.X)) * 6 * width)))
        self.kernels, self.workspace = kernels, workspace
        self.places = kernels.structure.layout.places
        self.feeds = feeds_of(setting)
        self.pack, self.scores = kernels.new_pack(), kernels.new_scores()
        self.reported = np.zeros_like(self.pack.weights)
        self.target = target_of(setting)
        self.in_kernel = is_watched_in_kernel(setting)
        looks = range(0, setting.steps, self.target[1]) if self.target is not None and not self.in_kernel else []
        self.looks = {*looks, setting.steps}  # a checkpoint that is no look ends no run: recording changes nothing
        self.checkpoints = setting.record.steps(setting.steps)
        self.columns = self._new_columns()
        self.active = np.arange(width) < len(runs)
        self.ends = np.zeros_like(self.reported)  # the reported parameters with which each lane's run ended
        self.looked = np.zeros(width, bool)  # whether `ends` has been evaluated
        kept = ("weights", "slots", "carry") if setting.record.state else ()
        self.state = {name: np.zeros_like(getattr(self.pack, name)) for name in kept}  # of each lane's run at its end

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

    def _prepare(self) -> None:
        """Puts every run at its start."""
        setting, pack, n = self.setting, self.pack, len(self.runs)
        starts = np.array([r.start for r in self.runs])
        points = initial_points(setting.init, setting.problem.widths, setting.seed, starts)
        pack.weights.reshape(-1, self.width)[self.places, :n] = points.T
        names = number_names(setting)
        numbers = [{**run.numbers, **setting.rule.constants(run.numbers)} for run in self.runs]
        pack.numbers.reshape(-1, self.width)[:, :n] = np.array([[values[name] for values in numbers] for name in names])
        pack.numbers.reshape(-1, self.width)[:, n:] = pack.numbers.reshape(-1, self.width)[:, :1]  # idle lanes compute too
        pack.start[:n] = starts
        pack.watch.active[:n] = 1

    def train(self) -> Pack:
        """The results of all runs."""
        self._prepare()
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
        return sorted({*self.checkpoints, *self.looks})

    def _advance(self, event: int) -> None:
        """Trains up to a step; lanes whose runs end on the way are put away, and the others go on."""
        pack, watch = self.pack, self.pack.watch
        while self.active.any() and (remaining := event - int(pack.step[0])):
            if self.stopping is not None and self.stopping.is_set():
                raise InterruptedTrainingError
            self.kernels.train(self.workspace.step, pack, self.feeds.training, min(remaining, self.slice))
            if not watch.flags.any():
                continue
            flagged = self.active & (watch.flags != 0)
            self._report()
            reached = watch.flags == TARGET_REACHED
            self._end(np.flatnonzero(flagged & reached), "converged", "Target")
            self._end(np.flatnonzero(flagged & ~reached), "diverged", "Diverged")
            watch.flags[:] = 0

    def _report(self) -> None:
        self.kernels.report(self.pack, self.reported)

    def _end(self, lanes: np.ndarray, status: str, reason: str) -> None:
        """Puts runs away as they are now, and leaves their lanes at rest."""
        if not len(lanes):
            return
        self.ends.reshape(-1, self.width)[:, lanes] = self.reported.reshape(-1, self.width)[:, lanes]
        for name, kept in self.state.items():
            kept.reshape(-1, self.width)[:, lanes] = getattr(self.pack, name).reshape(-1, self.width)[:, lanes]
        self.columns["status"][lanes] = STATUSES.index(status)
        self.columns["reason"][lanes] = reason
        self.columns["steps_taken"][lanes] = self.pack.step[lanes]
        self.active[lanes] = False
        self.pack.watch.active[lanes] = 0
        self.pack.weights.reshape(-1, self.width)[:, lanes] = 0
        self.pack.slots.reshape(-1, self.width)[:, lanes] = 0

    def _note_best(self, loss: np.ndarray) -> None:
        """Keeps the lowest loss that each run has shown; NaN shows nothing."""
        self.columns["best_loss"] = np.fmin(self.columns["best_loss"], loss)

    def _evaluate(self, feed: Feed, weights: np.ndarray, gradient: bool, penalty: bool = True) -> Any:
        l2 = self.pack.numbers.reshape(-1, self.width)[-1]
        self.scores.l2[:] = l2 if penalty else 0
        self.kernels.evaluate(self.workspace.whole, weights, feed, self.scores, gradient)
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
            if self.in_kernel and self.target is not None:
                self.pack.watch.target[:] = self.target[0]
        n = len(self.runs)
        self._note_best(np.where(self.active, loss, np.inf)[:n])
        reached = (loss <= self.target[0]) if self.target is not None and step in self.looks else np.zeros(self.width, bool)
        # A loss of the whole data ends a run at the start and at the end alone; between, the loss of its own batch does.
        lost = ~(loss <= self.pack.watch.loss_bound) | ~np.isfinite(loss) if step in (0, self.setting.steps) else np.zeros(self.width, bool)
        ending = np.ones(self.width, bool) if step == self.setting.steps else lost | reached
        for which, status, reason in ((lost, "diverged", "Diverged"), (reached, "converged", "Target"), (ending, "budget", "budget")):
            lanes = np.flatnonzero(self.active & ending & which)  # those before are no longer active
            self.columns["final_loss"][lanes] = loss[lanes]
            self.looked[lanes] = np.isfinite(loss[lanes])
            self._end(lanes, status, reason)

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
            loss = self._evaluate(self.feeds.whole, self.ends, False).loss[:n]
            late = ~self.looked[:n]
            self._note_best(np.where(late, loss, np.inf))
            columns["final_loss"][late] = loss[late]
            for lane in np.flatnonzero(late & ~np.isfinite(loss)):
                known = columns["loss"][lane][np.isfinite(columns["loss"][lane])]
                columns["final_loss"][lane] = known[-1] if len(known) else CANONICAL_NAN
        if self.in_kernel:
            self._note_best(self.pack.watch.best[:n])
        columns["best_loss"][np.isinf(columns["best_loss"])] = CANONICAL_NAN
        if "parameters" in columns:
            columns["parameters"][:] = self.ends.reshape(-1, self.width)[self.places].T[:n]
        if self.state:
            columns.update(self._state_columns(n))
        for values in columns.values():
            if values.dtype.kind == "f":
                values[np.isnan(values)] = CANONICAL_NAN

    def _state_columns(self, n: int) -> dict[str, np.ndarray]:
        """The runs' state at their ends: stored weights and slots [run, parameter], carry [run]."""
        rule, width = self.setting.rule, self.width
        slots = self.state["slots"].reshape(-1, len(rule.slots), width)[self.places] if rule.slots else np.zeros((0, 0, width))
        carry = self.state["carry"].reshape(-1, width)
        found = {"state_weights": self.state["weights"].reshape(-1, width)[self.places].T[:n]}
        found |= {f"state_{name}": slots[:, k].T[:n] for k, name in enumerate(rule.slots)}
        found |= {f"state_{name}": carry[k, :n] for k, name in enumerate(rule.carry)}
        return {name: values.copy() for name, values in found.items()}


class InterruptedTrainingError(Exception):
    """The pack was given up because its caller is stopping."""


def train_pack(setting: Setting, runs: Sequence[Run], width: int, workspaces: dict[Any, Any] | None = None, stopping: Any = None) -> Pack:
    """Trains up to `width` runs side by side.

    `workspaces` keeps a thread's working memory from pack to pack. Once `stopping`, an event, is set, the next slice of
    the training raises `InterruptedTrainingError`.
    """
    with ieee_mode():
        return _trainer(setting, runs, width, workspaces, stopping).train()


def _trainer(setting: Setting, runs: Sequence[Run], width: int, workspaces: Any, stopping: Any) -> _Trainer:
    structure = structure_of(setting)
    kernels = kernels_for(structure, width)
    samples = setting.batch or len(setting.problem.data.X)
    workspaces = {} if workspaces is None else workspaces
    key = (structure.layout.widths, structure.layout.activation_rows, width, setting.dtype, samples)
    if key not in workspaces:
        workspaces[key] = kernels.workspace(samples)
    return _Trainer(setting, runs, width, kernels, workspaces[key], stopping)
