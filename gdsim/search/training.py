"""Cells trained step by step: those that are asked for go on from where they stood, bit for bit as if they
had never stopped.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gdsim.declarations import html_table
from gdsim.sweep.ranks.ranking import Ranking, ranking_of, ranks_of
from gdsim.sweep.results.dataset import coordinates_of
from gdsim.sweep.results.reading import Dataset, cells_in
from gdsim.sweep.resume import continue_from
from gdsim.sweep.sweep import Sweep
from gdsim.words import count_of

MOST_RUNGS = 64


class Search(NamedTuple):
    """What a search did: `history` by cell and rung, and the `result` of the runs of those cells that took
    all steps.

    Attributes
    ----------
    history : xarray.Dataset over cell and rung
        `score[cell, rung]` is the median over the starts of what ranks (`ranked_by` in its attributes) after
        `steps[rung]`, NaN where a cell was not trained so far; `last_rung[cell]` is -1 where it was not
        trained at all. Its attributes say which cell is `best`, and how many `run_steps` were spent of the
        `run_steps_of_all` that the whole sweep would take.
    result : xarray.Dataset over run, or None
        The runs, with the bits that `sweep.run()` gives them, but for the `best_loss` at their checkpoints,
        which lie otherwise; their curves, which begin anew on each rung, are left out. None where no cell
        took all steps.

    Examples
    --------
    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.logspace(1e-4, 1, 9)), starts=5, steps=90)
    >>> gd.search.successive_halving(sweep).history.sizes["rung"]
    3
    """

    history: Dataset
    result: "Dataset | None"

    def __repr__(self) -> str:
        cells, rungs = self.history.score.shape
        return f"Search({count_of(cells, 'cell')}, {count_of(rungs, 'rung')}, best cell {self.history.attrs.get('best')})"

    def _repr_html_(self) -> str:
        about = self.history.attrs
        best = about["best"]
        found = self.history.score.values[best]
        rows = {
            "cells": f"{len(self.history.cell):,}",
            "steps of the rungs": ", ".join(f"{n:,}" for n in self.history.steps.values.tolist()),
            "best cell": f"{best}: {self.history.label.values[best]}",
            f"its median {about['ranked_by']}": f"{found[~np.isnan(found)][-1]:.4g}",
            "run-steps": f"{about['run_steps']:,} of {about['run_steps_of_all']:,}",
        }
        return html_table("Search", list(rows.items()))


class Ladder:
    """The cells of a sweep on rungs of so many steps each: what was trained is kept, and trained once."""

    def __init__(
        self, sweep: Sweep, rungs: Sequence[int], threads: int | None, variable: str | None = None, target: float | None = None, device: str = "cpu"
    ) -> None:
        self.sweep = msgspec.structs.replace(sweep, record=msgspec.structs.replace(sweep.record, state=True))
        self.rungs, self.threads, self.device = list(rungs), threads, device
        self.plan = self.sweep.plan()
        self.cells = len(self.plan.cells)
        self.variable, self.target, self.ranked_by, self.units = variable, target, "", "1"
        self.scores = np.full((self.cells, len(self.rungs)), np.nan)
        self.keys = np.full((self.cells, len(self.rungs), 0), np.nan)  # what cells are ordered by, `CellRanks.keys`
        self.lowest: list[np.ndarray] = []  # [run] of each criterion so far, where it lasts
        self.states: list[list[Any]] = [[] for _ in self.rungs]
        self.run_steps = 0

    def climb(self, cells: Sequence[int], rung: int) -> np.ndarray:
        """Trains cells up to a rung, where they are not there yet; what they are ordered by there."""
        new = [c for c in cells if np.isnan(self.scores[c, rung])]
        for below in (*range(rung - 1, -1, -1), -1):
            mine = [c for c in new if below < 0 or not np.isnan(self.scores[c, below])]
            if mine:
                self._train(mine, below, rung)
                new = [c for c in new if c not in mine]
        return self.keys[list(cells), rung]

    def _train(self, cells: list[int], below: int, rung: int) -> None:
        """Trains cells from one rung, or from their starts, to another."""
        if below < 0:
            first = msgspec.structs.replace(self.sweep, steps=self.rungs[rung])
            numbers = (np.arange(self.sweep.starts)[:, None] * self.cells + np.array(sorted(set(cells)))).ravel()
            results, before = [first.run(runs=numbers, threads=self.threads, device=self.device)], [0]
        else:
            parts = [s.isel(run=np.isin(s.cell.values, cells)) for s in self.states[below]]
            parts = [p for p in parts if p.sizes["run"]]
            before = [int(p.steps_taken.sum()) for p in parts]
            results = [continue_from(p, steps=self.rungs[rung] - self.rungs[below], threads=self.threads, device=self.device) for p in parts]
        for result, had in zip(results, before, strict=True):
            self.states[rung].append(result)
            self.run_steps += int(result.steps_taken.sum()) - had
            cells_here = cells_in(result)
            ranks = ranks_of(cells_here, self._ranking(result))
            if not self.keys.shape[2]:
                self.keys = np.full((*self.scores.shape, ranks.keys.shape[1]), np.nan)
            self.keys[cells_here.numbers, rung] = ranks.keys
            self.scores[cells_here.numbers, rung] = ranks.median

    def _ranking(self, result: Dataset) -> Ranking:
        """What ranks the runs of a result, whose curves begin anew on each rung: what lasts is kept from the
        rungs below.
        """
        ranking = ranking_of(result, variable=self.variable, target=self.target)
        self.ranked_by, self.units = ranking.name, ranking.units
        criteria = [ranking, *ranking.then]
        if not self.lowest:
            self.lowest = [np.full(self.plan.runs, np.inf) for _ in criteria]
        runs, diverged = result.run.values, result.status.values == "diverged"
        for place, (criterion, lowest) in enumerate(zip(criteria, self.lowest, strict=True)):
            if criterion.lasts:
                values = np.minimum(criterion.values, lowest[runs])
                if criterion.units != "steps":  # a time to a target stays met; what is best of a run that diverged does not count
                    values[diverged] = np.inf
                lowest[runs] = values
                criteria[place] = criterion._replace(values=values)
        return criteria[0]._replace(then=tuple(criteria[1:]))

    def outcome(self) -> Search:
        """What was found."""
        import xarray  # takes 0.4 s, and only results need it

        known = ~np.isnan(self.scores)
        last = np.where(known.any(1), len(self.rungs) - 1 - np.argmax(known[:, ::-1], axis=1), -1)
        top = np.flatnonzero(last == last.max())
        best = best_of(self.keys[top, last.max()], top.tolist(), 1)[0]
        columns = {n: ("cell", np.array(c)) for n, c in coordinates_of(self.plan).items()}
        variables = {
            "score": (("cell", "rung"), self.scores, {"long_name": f"median {self.ranked_by} over starts, diverged ones infinite", "units": self.units}),
            "steps": ("rung", np.array(self.rungs), {"long_name": "steps of the rung", "units": "steps"}),
            "last_rung": ("cell", last, {"long_name": "last rung that the cell reached; -1 for none", "units": ""}),
        }
        spent = {"best": best, "ranked_by": self.ranked_by, "run_steps": self.run_steps, "run_steps_of_all": self.plan.run_steps}
        history = xarray.Dataset(variables, {"cell": ("cell", np.arange(self.cells)), **columns}, spent)
        whole = [s.drop_dims("checkpoint") for s in self.states[-1]]
        return Search(history, xarray.concat(whole, "run").sortby("run") if whole else None)


def rungs_of(steps: int, smallest: int, eta: int) -> list[int]:
    """Steps of the rungs: all, and by factors of eta fewer, as long as they are at least `smallest`."""
    found = [steps]
    while len(found) < MOST_RUNGS and round(steps / eta ** len(found)) >= max(1, smallest):
        found.append(round(steps / eta ** len(found)))
    return sorted(set(found))


def best_of(keys: np.ndarray, cells: Sequence[int], count: int) -> list[int]:
    """The `count` cells with the lowest keys[cell, criterion]; of equal ones those with the lower numbers."""
    return [cells[k] for k in sorted(range(len(cells)), key=lambda k: (*keys[k], cells[k]))[:count]]
