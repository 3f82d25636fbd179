"""Hyperparameters tuned by gradient: what runs report is differentiated through all their steps."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from gdsim.axes import checked_one, checked_whole
from gdsim.declarations import html_table
from gdsim.population import Tangent
from gdsim.population.columns import columns_of
from gdsim.search.numbers import FACTOR, Numbers
from gdsim.sweep.execution.display import shown
from gdsim.sweep.experiment.cells import Cell, coordinate_names, labels
from gdsim.sweep.planning.plan import Plan
from gdsim.sweep.results.dataset import concatenated, coordinates_of, runs_dataset
from gdsim.sweep.results.reading import Dataset
from gdsim.sweep.run.inmemory import run_in_memory
from gdsim.sweep.run.options import RunOptions, check_unedited, checked_count
from gdsim.sweep.run.placing import placed
from gdsim.sweep.sweep import Sweep
from gdsim.variables import DIFFERENTIATED, NUMBER, VARIABLES, derivative_name
from gdsim.words import checked_word, count_of, given

# Moves of Quickprop (Fahlman 1988): to where the derivative vanishes on the line through the last two, at most
# so many times the last move, and of the way back to the better of two points so large a share.
GROW, BACK = 2.0, (0.1, 0.9)
SHRINK, LOST = 0.5, 0.25  # of a move that was no better, and of one after which runs diverged
LONGEST, SHORTEST = 3.0, 1e-3  # moves of logarithms
SCORES = tuple(n for n in DIFFERENTIATED if VARIABLES[n].dims == NUMBER)


class Descent(NamedTuple):
    """What a descent on hyperparameters did.

    Attributes
    ----------
    history : xarray.Dataset over cell and round
        `score[cell, round]` is what is lowered (`ranked_by` in its attributes), and for each tuned number its
        value, as `lr[cell, round]`, and the derivative of the score by it, as `score_d_lr`: NaN after a cell's
        last round. `accepted` says whether the round was better than all before, or infinite as they are.
        Labels are without the tuned numbers. Its attributes say which cell is `best`, and how many `run_steps`
        were spent.
    result : xarray.Dataset over run
        The runs of every cell with its best numbers, which are coordinates and stand in the labels. What asks
        for the problems of a result, as `gd.evaluate`, takes one cell's: `found.sweeps[0].run()`.
    sweeps : tuple of gd.Sweep
        For each cell the sweep of that one cell, with its best numbers.

    Examples
    --------
    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[1e-4, 1e-3]), starts=3, steps=20)
    >>> found = gd.search.hypergradient_descent(sweep, ["lr"], rounds=5)
    >>> found.history.score.shape, len(found.sweeps)
    ((2, 6), 2)
    """

    history: Dataset
    result: Dataset
    sweeps: tuple[Sweep, ...]

    def __repr__(self) -> str:
        cells, rounds = self.history.score.shape
        return f"Descent({count_of(cells, 'cell')}, {count_of(rounds - 1, 'round')}, best cell {self.history.attrs.get('best')})"

    def _repr_html_(self) -> str:
        about, best = self.history.attrs, self.history.attrs["best"]
        mine = self.history.isel(cell=best)
        place = int(np.nanargmin(mine.score.values))
        first, last = mine.score.values[[0, place]].tolist()
        rows = {
            "cells": f"{len(self.history.cell):,}",
            "best cell": f"{best}: {mine.label.item()}",
            f"its {about['ranked_by']}": f"{first:.4g} at first, {last:.4g} in round {place}",
            **{name: f"{float(mine[name][0]):.4g} at first, {float(mine[name][place]):.4g} then" for name in about["tuned"]},
            "run-steps": f"{about['run_steps']:,}",
        }
        return html_table("Descent", list(rows.items()))


def hypergradient_descent(
    sweep: Sweep, names: str | Sequence[str], *, rounds: int = 20, step: float = 1.0, variable: str | None = None, threads: int | None = None
) -> Descent:
    """Tunes numbers of every cell of a sweep by gradient descent on what its runs report, differentiated through
    whole runs.

    `names` are hyperparameters as `tangents` takes them: positive numbers, whose logarithm is moved, and shares
    a, of which it is that of 1 - a. What is lowered is `variable`, a number of the runs, if not given
    `best_validation_loss`, or without a validation set `final_loss`: its mean over the middle half of the
    starts, by rank. Diverged runs count as infinite.

    Each cell goes its own way. At first every number moves by `step`, in logarithms, against the sign of its
    derivative; then to where its derivative would vanish on the line through the last two, at most twice as far
    as before (Fahlman's Quickprop). A round that is no better is taken back, and the move is shorter. Where
    runs diverge at first, the rate goes down. A cell ends after `rounds` rounds, or where its moves are tiny.
    Returns a `gdsim.search.hypergradient.Descent`. Raises TypeError for what is no sweep, ValueError for
    numbers that no run has or that have no logarithm.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=1e-3), starts=3, steps=20)
    >>> found = hypergradient_descent(sweep, ["lr"], rounds=8)
    >>> bool(found.history.score.min() < 0.1 * found.history.score[0, 0])
    True
    """
    if not isinstance(sweep, Sweep):
        raise TypeError(f"hypergradient_descent takes a gd.Sweep, whose cells it begins with; {given(sweep)} was given")
    if sweep.keep != "runs":
        raise ValueError("hypergradient_descent follows runs: declare the sweep with keep='runs'")
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names or not all(isinstance(n, str) for n in names):
        raise TypeError(f"names must be a list of hyperparameters, such as ['lr', 'l2']; {given(names)} was given")
    checked_count(threads, "threads")
    check_unedited(sweep)
    climber = _Descending(sweep, names, variable, checked_one(step, "step", FACTOR), threads)
    for _ in range(checked_whole(rounds, "rounds") + 1):
        if not climber.go():
            break
    return climber.outcome()


class _Descending:
    """The cells of a sweep on their ways."""

    def __init__(self, sweep: Sweep, names: Sequence[str], variable: str | None, step: float, threads: int | None) -> None:
        self.sweep, self.names, self.threads = sweep, names, threads
        self.plan = msgspec.structs.replace(sweep, tangents=tuple(names)).plan()
        self.variable = _checked_variable(variable, self.plan)
        count, shape = len(self.plan.cells), (len(self.plan.cells), len(names))
        self.numbers = Numbers(self.plan.cells, _tangents_of(self.plan))
        self.place = self.numbers.first_places()
        self.step, self.moves = step, np.zeros(shape)
        self.trial, self.active = self.place.copy(), np.ones(count, bool)
        self.best, self.gradient = np.full(count, np.nan), np.full(shape, np.nan)
        self.rounds: list[dict[str, np.ndarray]] = []
        self.kept: list[dict[str, np.ndarray]] = [{} for _ in range(count)]
        self.run_steps = 0

    def go(self) -> bool:
        """One round of the cells that go on; whether there were any."""
        mine = np.flatnonzero(self.active)
        if not len(mine):
            return False
        columns = self._trained(mine)
        found, gradient = np.full(len(self.best), np.nan), np.full(self.place.shape, np.nan)
        found[mine], gradient[mine] = self._score(columns)
        slopes = gradient * self.numbers.slopes(self.trial)
        is_better = (np.isnan(self.best) & self.active) | (found < self.best) | (np.isinf(self.best) & np.isinf(found))
        self._note(found, gradient, is_better)
        self.moves = self._next_moves(found, slopes, is_better)
        self.place[is_better], self.best[is_better], self.gradient[is_better] = self.trial[is_better], found[is_better], slopes[is_better]
        for k in np.flatnonzero(is_better[mine]):
            self.kept[mine[k]] = {n: v[:, k] for n, v in columns.items()}
        self.trial = np.where(self.active[:, None], self.numbers.nearest(self.place + self.moves), self.place)
        self.moves = np.nan_to_num(self.trial - self.place)
        self.active &= (np.abs(self.moves) > SHORTEST).any(1)
        return True

    def _next_moves(self, found: np.ndarray, slopes: np.ndarray, is_better: np.ndarray) -> np.ndarray:
        """[cell, name] how far to go from the better of the best point so far and the last one, where the
        scores are `found` and the derivatives `slopes`; of positive scores those of logarithms are followed.
        """
        is_finite, is_first = np.isfinite(found), np.isnan(self.best) | (np.isinf(self.best) & np.isfinite(found))
        lowered = np.array([float(name == "lr") for name in self.names])  # where runs diverge
        first = -self.step * np.where(is_finite[:, None], np.sign(np.nan_to_num(slopes)), lowered)
        with np.errstate(divide="ignore", invalid="ignore"):
            alike = slopes * np.where((self.best > 0) & (found > 0), self.best / found, 1.0)[:, None]
            root = np.nan_to_num(self.gradient / (self.gradient - alike), nan=np.inf)  # the share of the last move where the derivative vanishes
        turned = (root > 0) & (root < 1)
        on = np.where(turned, np.clip(root, *BACK), np.where(root > 1, np.minimum(root, 1 + GROW), 1 + GROW)) - 1
        back = np.where(is_finite[:, None], np.where(turned, np.clip(root, *BACK), SHRINK), LOST)
        moves = np.where(is_first[:, None], first, np.where(is_better[:, None], on, back) * self.moves)
        return np.clip(moves, -LONGEST, LONGEST)

    def _trained(self, mine: np.ndarray) -> dict[str, np.ndarray]:
        """The columns [start, cell] of some cells' runs, with the numbers of this round."""
        plan = self.plan._replace(cells=self.numbers.cells_at(self.trial))
        runs = (np.arange(plan.starts)[:, None] * len(plan.cells) + mine).ravel()
        with shown(False) as listener:
            result = run_in_memory(self.sweep, plan, runs, placed(plan, RunOptions(self.threads)), listener)
        self.run_steps += int(result.steps_taken.sum())
        found = {str(n): v.values for n, v in result.data_vars.items() if v.dims[0] == "run" and n != "parameter_count"}
        return {n: v.reshape(plan.starts, len(mine), *v.shape[1:]) for n, v in found.items()}

    def _score(self, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """([cell] the mean of what is lowered over the middle half of the starts, [cell, name] its gradient)."""
        values = columns[self.variable].astype(float)
        values[(columns["status"] == "diverged") | ~np.isfinite(values)] = np.inf
        cut = len(values) // 4
        middle = np.sort(np.argsort(values, axis=0, kind="stable")[cut : len(values) - cut], axis=0)
        mean = lambda v: np.take_along_axis(v, middle, 0).mean(0, dtype=float)  # noqa: E731
        return mean(values), np.stack([mean(columns[derivative_name(self.variable, n)]) for n in self.names], 1)

    def _note(self, found: np.ndarray, gradient: np.ndarray, is_better: np.ndarray) -> None:
        """Writes a round down."""
        values = np.where(self.active[:, None], self.numbers.values(self.trial), np.nan)
        row = {"score": found, "accepted": is_better}
        for name, value, derivative in zip(self.names, values.T, gradient.T, strict=True):
            row |= {name: value, derivative_name("score", name): derivative}
        self.rounds.append(row)

    def outcome(self) -> Descent:
        """What was found."""
        import xarray  # takes 0.4 s, and only results need it

        score = f"mean of the middle half of the starts' {self.variable.replace('_', ' ')}"
        about = {"score": f"{score}, diverged ones infinite", "accepted": "whether the round was better than all before it, or infinite as they are"}
        about |= {derivative_name("score", n): f"derivative of the score by {n}" for n in self.names}
        rounds = {n: np.stack([row[n] for row in self.rounds], 1) for n in self.rounds[0]}
        variables = {n: (("cell", "round"), v, {"long_name": about.get(n, n), "units": "" if n == "accepted" else "1"}) for n, v in rounds.items()}
        tuned = {*self.names, *(name for key, name in coordinate_names(self.plan.cells).items() if key in self.names)}
        untuned = self.plan._replace(labels=tuple(labels(self.plan.cells, tuned)))
        coordinates = {n: ("cell", np.array(c)) for n, c in coordinates_of(untuned).items() if n not in tuned}
        best = int(np.argmin(np.where(np.isnan(self.best), np.inf, self.best)))
        said = {"best": best, "ranked_by": score, "tuned": list(self.names), "run_steps": self.run_steps}
        history = xarray.Dataset(variables, {"cell": ("cell", np.arange(len(self.best))), **coordinates}, said)
        cells = self.numbers.cells_at(self.place)
        return Descent(history, self._result(cells), tuple(_sweep_of(self.sweep, cell) for cell in cells))

    def _result(self, cells: tuple[Cell, ...]) -> Dataset:
        """The runs of every cell with its best numbers."""
        plan = self.plan._replace(cells=cells, labels=tuple(labels(cells)))
        numbers = np.concatenate([np.arange(plan.starts) * len(cells) + c for c in range(len(cells))])
        found = runs_dataset(plan, numbers, concatenated(self.kept))
        tuned = {n: ("run", column[found.cell.values]) for n, column in zip(self.names, self.numbers.values(self.place).T, strict=True)}
        return found.assign_coords(tuned).assign_attrs(tuned=list(self.names))


def _tangents_of(plan: Plan) -> list[tuple[Tangent, ...]]:
    """[cell] its numbers, as they are asked for."""
    found: dict[int, tuple[Tangent, ...]] = {cell: group.setting.tangents for group in plan.groups for cell in group.cells}
    return [found[cell] for cell in range(len(plan.cells))]


def _checked_variable(variable: str | None, plan: Plan) -> str:
    """What is lowered. Raises ValueError."""
    known = [n for n in SCORES if all(n in columns_of(group.setting) for group in plan.groups)]
    if variable is None:
        return "best_validation_loss" if "best_validation_loss" in known else "final_loss"
    return checked_word(variable, "variable", known)


def _sweep_of(sweep: Sweep, cell: Cell) -> Sweep:
    """The sweep of one of its cells."""
    own = {"problem": (cell.problem,), "optimizer": (cell.rule,), "schedule": (cell.schedule,), "batch": cell.batch, "dtype": cell.dtype}
    return msgspec.structs.replace(sweep, **own)
