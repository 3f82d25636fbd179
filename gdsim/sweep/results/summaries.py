"""The Dataset of a summary, which `keep="summary"` leaves of a population in place of its runs, and the entries
of several chunks as one.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.population.summary import AT_END, WORSE, Entries, Entry, Key, bin_edges, bin_of, merge
from gdsim.stops import STATUSES
from gdsim.sweep.planning.plan import Plan
from gdsim.sweep.results.costs import costs_by_cell
from gdsim.sweep.results.dataset import coordinates_of, values_by_cell
from gdsim.variables import VARIABLES, declared, described

if TYPE_CHECKING:
    import xarray


def merged(plan: Plan, parts: Sequence[Mapping[Key, Entry]]) -> Entries:
    """The entries of all parts, by the numbers of their cells; those of cells that the plan has not are left
    out.
    """
    number = {identity: n for n, identity in enumerate(plan.identities)}
    entries: Entries = {}
    for part in parts:
        merge(entries, {k._replace(cell=number[k.cell]): e for k, e in part.items() if k.cell in number})
    return entries


def summary_dataset(plan: Plan, entries: Entries) -> "xarray.Dataset":
    """The Dataset of a summary: per cell and checkpoint counts, means, variances, extremes with their runs,
    and histograms.

    For each curve, and for `final_loss`, `best_loss`, `steps_taken` and the best and final validation losses
    and accuracies, there are `NAME_count` (of values that are not NaN), `NAME_mean` and `NAME_variance` (of
    the finite ones, from exact sums, rounded once), `NAME_min`, `NAME_min_run`, `NAME_max`, `NAME_max_run`
    and `NAME_histogram`, whose bins are eight per factor of two. The final losses of diverged runs are
    infinite, and their derivatives are left out. `ended[cell, checkpoint, status]` says how many runs had ended so by then,
    `worse_than_start[cell]` how many ended above their start. Where workers share training `samples`, `round` and
    `bytes_sent` [cell, checkpoint] are what runs that went on had cost; NaN where runs of clients differ.
    """
    import xarray  # takes 0.4 s, and only results need it

    names = sorted({k.variable for k in entries if not k.variable.startswith("status:")} - {WORSE})
    bins = sorted({b for k, e in entries.items() for b in e.bins if k.variable != WORSE})
    shape = (len(plan.cells), len(plan.checkpoints))
    place = {step: i for i, step in enumerate(plan.checkpoints)}
    variables: dict[str, Any] = {}
    ended = np.zeros((*shape, len(STATUSES)), np.int64)
    for key, entry in entries.items():
        if key.variable.startswith("status:") and key.step in place:
            ended[key.cell, place[key.step], STATUSES.index(key.variable.removeprefix("status:"))] = entry.runs
    variables["ended"] = (("cell", "checkpoint", "status"), ended, described("ended", "runs that have ended so by the checkpoint", "1"))
    variables[WORSE] = ("cell", [_worse(entries, cell) for cell in range(shape[0])], VARIABLES[WORSE].attributes)
    for name in names:
        mine = {
            (k.cell, *(() if k.step == AT_END else (place[k.step],))): e
            for k, e in entries.items()
            if k.variable == name and (k.step == AT_END or k.step in place)
        }
        dims = ("cell", *declared(name).dims[1:])
        variables |= _statistics(name, mine, dims, shape[: len(dims)], bins, len(plan.cells))
    for name, costs in costs_by_cell(plan).items():
        about = declared(name)
        variables[name] = (("cell", "checkpoint"), costs, described("", f"{about.long_name}, in runs that went on", about.units))
    coordinates: dict[str, Any] = {"cell": ("cell", np.arange(shape[0]), described("cell")), "status": ("status", np.array(STATUSES))}
    coordinates |= {n: ("cell", values_by_cell(c), described(n)) for n, c in coordinates_of(plan).items()}
    coordinates["step"] = ("checkpoint", np.array(plan.checkpoints, np.int64), described("step"))
    for name, edges, what in (("bin_low", bins, "lowest"), ("bin_high", [b + 1 for b in bins], "lowest beyond the")):
        coordinates[name] = ("bin", bin_edges(edges), described(name, f"{what} value of the bin", "1"))
    finished = sum(e.runs for k, e in entries.items() if k.variable == "steps_taken")
    return xarray.Dataset(variables, coordinates, {"planned_runs": plan.runs, "finished_runs": finished}).set_xindex("step")


def _worse(entries: Entries, cell: int) -> int:
    """How many runs of a cell ended above their start; -1 if some were summarised by a version that did not
    count them.
    """
    known, runs = (entries.get(Key(name, cell, AT_END), Entry(0)) for name in (WORSE, "steps_taken"))
    return known.bins.get(bin_of(1.0), 0) if known.runs == runs.runs else -1


def _statistics(name: str, entries: Mapping[Any, Entry], dims: tuple[str, ...], shape: tuple[int, ...], bins: Sequence[int], cells: int) -> dict[str, Any]:
    """The statistics of one variable."""
    about = declared(name)
    counts, runs = np.zeros(shape, np.int64), np.full((2, *shape), -1, np.int64)
    numbers = np.full((4, *shape), np.nan)
    histogram = np.zeros((*shape, len(bins)), np.int64)
    for at, entry in entries.items():
        counts[at] = entry.runs
        numbers[(slice(None), *at)] = entry.mean, entry.variance, entry.low, entry.high
        runs[(slice(None), *at)] = entry.low_start * cells + at[0], entry.high_start * cells + at[0]
        histogram[at][np.searchsorted(bins, list(entry.bins))] = list(entry.bins.values())
    made = {
        "count": (counts, "1", "runs with a value"), "mean": (numbers[0], about.units, "mean"), "variance": (numbers[1], "", "variance"),
        "min": (numbers[2], about.units, "lowest"), "min_run": (runs[0], "", "first run with the lowest"),
        "max": (numbers[3], about.units, "highest"), "max_run": (runs[1], "", "first run with the highest"),
    }  # fmt: skip
    found = {f"{name}_{what}": (dims, values, described("", f"{words}: {about.long_name}", units)) for what, (values, units, words) in made.items()}
    return {**found, f"{name}_histogram": ((*dims, "bin"), histogram, described("", f"runs by bin: {about.long_name}", "1"))}
