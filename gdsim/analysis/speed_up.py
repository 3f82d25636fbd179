"""How much sooner a target is met with more samples in a step, of larger batches or more workers: in steps, in
samples or in seconds.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.analysis.simulated import SimulatedCluster
from gdsim.analysis.success import outcomes_by_start
from gdsim.analysis.targets import TIMES, one_target
from gdsim.analysis.tuning import Ranked, few_runs, groups_by, ranked, resampled_medians
from gdsim.analysis.units import any_asynchronous, check_cluster, cost_in, samples_of_steps
from gdsim.statistics import percentiles
from gdsim.sweep.results.reading import Dataset, Result, check_result, checked_confidence, dataset
from gdsim.words import checked_word

SPEED_UNITS = {"steps": "steps", "samples": "samples of all workers", "seconds": "simulated seconds"}


class TimesBySize(NamedTuple):
    """What a target takes with each number of samples in a step."""

    target: float
    sizes: np.ndarray  # [size], ascending
    names: np.ndarray  # [group] values of what groups differ in
    times: np.ndarray  # [group, size] the median of the best cell; infinite where there is none
    drawn: np.ndarray  # [resample, group, size] the same of drawn starts
    few: np.ndarray  # [group] whether a cell has too few runs for intervals
    about: dict[str, Any]

    def ends(self, confidence: float) -> np.ndarray:
        """[low or high, group, size] of intervals of the times; NaN of few runs."""
        return np.where(self.few[:, None], np.nan, percentiles(self.drawn, confidence))


def times_by_size(
    result: Dataset, target: float | None, by: str, *, resamples: int, seed: int, what: str, unit: str = "steps", cluster: SimulatedCluster | None = None
) -> TimesBySize:
    """What a target takes of a checked result, for each value of `by` and each number of samples in a step: the
    lowest median over all other hyperparameters. Raises ValueError, in the name of `what`, for one size alone.
    """
    loss = one_target(result, target, what)
    found = ranked(result, None, loss)
    if unit != "steps":
        found = _in_unit(found, result, unit, cluster)
    sizes, place = np.unique(samples_of_steps(result, found.cells), return_inverse=True)
    if len(sizes) < 2:
        one_workers = (
            "those of one worker where training is asynchronous, however many there are: vary batch=, or compare workers by gd.analysis.time_to_target"
        )
        raise ValueError(
            f"{what} compares batch sizes, and every step of this result takes {sizes[0]:g} samples"
            + (f", {one_workers}" if any_asynchronous(result, found.cells) else ": vary batch= or the workers")
        )
    names, groups = groups_by(found.cells, by)
    cells = [[g[place[g] == k] for k in range(len(sizes))] for g in groups]
    times, drawn = (_best(m, cells) for m in (found.medians, resampled_medians(result, found, resamples, seed)))
    return TimesBySize(loss, sizes, names, times, drawn, few_runs(found, groups), found.about)


def _in_unit(found: Ranked, result: Dataset, unit: str, cluster: SimulatedCluster | None) -> Ranked:
    """Runs by what the steps to a target cost them in another unit."""
    steps = found.ranking.values.astype(float)
    met = np.flatnonzero(np.isfinite(steps))
    steps[met] = cost_in(result, unit, found.cells, cluster).of(steps[met], met)
    ranking = found.ranking._replace(name=f"{unit} to the loss", units=unit, values=steps)
    return Ranked(ranking, found.cells, outcomes_by_start(result, found.cells.place, steps, len(found.cells.numbers)))


def _best(medians: np.ndarray, cells: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """[..., group, size] the lowest of medians[..., cell] among the cells of each; infinite where there is none."""
    known = np.where(np.isnan(medians), np.inf, medians)
    return np.stack([np.stack([known[..., some].min(-1, initial=np.inf) for some in group], -1) for group in cells], -2)


def speed_up(
    result: Result, target: float | None = None, *, by: str = "optimizer", unit: str = "steps", cluster: SimulatedCluster | None = None,
    confidence: float = 0.95, resamples: int = 1000, seed: int = 0,
) -> Dataset:  # fmt: skip
    """How many times less a target takes with more samples in a step, of larger batches or more workers: a Dataset
    over `by` and `batch` (in steps Shallue et al. 2019, in seconds Stich 2018).

    `batch` counts the samples of one step, those of all workers together, of clients those of whole batches, and of
    asynchronous runs those of one worker. What a target takes is counted in `unit`: "steps", "samples" (of all workers) or "seconds" of a `cluster`, a `gd.SimulatedCluster`. At each size the best cell over all other
    hyperparameters counts, by its median (runs that diverged or never met the target are infinite); the target is as in
    `critical_batch`. `speed_up` is the time with the fewest samples over that with more; a perfect one goes with the
    samples, in steps and in seconds, and is 1 in samples. Intervals are the bootstrap's over starts, the same for all cells; NaN where
    a cell has fewer than 6 runs. Raises ValueError for fewer than two sizes, for seconds without a cluster, and for a
    cluster without seconds.

    Variables: `time`, `low`, `high` and `speed_up` [by, batch], `perfect` [batch].

    >>> import gdsim as gd
    >>> problem = gd.LinearRegression(gd.Data([[1.0], [2.0], [3.0], [4.0]], [2.5, 3.5, 6.5, 7.5]))
    >>> sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.02), batch=gd.grid(1, 4), starts=9, steps=300, stop=[gd.Target(0.2, every=1)])
    >>> speed_up(sweep.run(), unit="samples").perfect.values.tolist()
    [1.0, 1.0]
    """
    confidence = checked_confidence(confidence)
    checked_word(unit, "unit", SPEED_UNITS)
    check_cluster(unit, cluster)
    result = check_result(result, "speed_up")
    found = times_by_size(result, target, by, unit=unit, cluster=cluster, resamples=resamples, seed=seed, what="speed_up")
    low, high = found.ends(confidence)
    known = np.where(np.isfinite(found.times), found.times, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # of targets that the start meets
        times_less = known[:, :1] / known
    dims, interval = (by, "batch"), f"end of the {confidence:.0%} interval"
    return dataset({
        "time": (dims, found.times, f"median {SPEED_UNITS[unit]} of the best cell to the target", unit),
        "low": (dims, low, f"lower {interval}", unit), "high": (dims, high, f"upper {interval}", unit),
        "speed_up": (dims, times_less, f"times less than with {found.sizes[0]:g} samples in a step", "1"),
        "perfect": ("batch", np.ones(len(found.sizes)) if unit == "samples" else found.sizes / found.sizes[0], "a perfect speed-up", "1"),
    }, {by: (by, found.names), "batch": ("batch", found.sizes)}, target=found.target, unit=unit, times=TIMES, confidence=confidence, **found.about)  # fmt: skip
