"""How long runs take to reach a loss: first hits, their distribution, survival, and the expected time with
restarts.
"""

from typing import NamedTuple

import numpy as np

from gdsim.analysis.simulated import SimulatedCluster
from gdsim.analysis.units import UNITS, Cost, cost_in
from gdsim.axes import checked_whole
from gdsim.statistics import accelerated, clopper_pearson, clustered, groups_of, median, normal_quantile, resampled, wilson
from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS
from gdsim.sweep.ranks.hits import Targets, checked_targets, own_targets, times_met
from gdsim.sweep.results.reading import Cells, Dataset, Result, cells_in, check_result, checked_confidence, dataset

# Distributions are given at every time at which a run meets a target, and at so many, evenly spaced in rank,
# where there are more.
MOST_TIMES = 1000
# What is said of every statistic of times.
TIMES = "met in (after, by]: after the look before, by the look that saw it; statistics use by"


class Hits(NamedTuple):
    """When each run first met each target."""

    cells: Cells
    targets: np.ndarray  # descending
    after: np.ndarray  # [run, target] the step of the look before; -1 if never
    step: np.ndarray  # [run, target] the step of the look at which it was met; -1 if never
    last: np.ndarray  # [run] the steps that the run took
    cost: Cost

    @property
    def target(self) -> float:
        """The first target."""
        return float(self.targets[0])

    def met(self, target: int) -> np.ndarray:
        """[run] whether target number `target` was ever met."""
        return self.step[:, target] >= 0

    def times(self, target: int, *, earliest: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(places of the runs that met a target, the times by which they did); `earliest`: after which, -1
        where the start met it.
        """
        met = np.flatnonzero(self.met(target))
        by = self.step[met, target]
        if not earliest:
            return met, self.cost.of(by, met)
        return met, np.where(by > 0, self.cost.of(self.after[met, target], met), -1.0)

    def spent(self, target: int, *, earliest: bool = False) -> np.ndarray:
        """[run] what a run spent until it met target number `target`, or until its end."""
        steps = (self.after if earliest else self.step)[:, target]
        return self.cost.of(np.where(self.met(target), steps, self.last), np.arange(len(steps)))

    def by_cell(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(what each run spent, whether it met the first target) of the runs of each cell."""
        spent, met = self.spent(0), self.met(0)
        return [(spent[mine], met[mine]) for mine in (self.cells.place == cell for cell in range(len(self.cells.numbers)))]


def hits_of(result: Dataset, targets: Targets, unit: str, cluster: SimulatedCluster | None = None) -> Hits:
    """When the runs of a checked result met targets; the sweep's own or `default_targets` where none are
    given.
    """
    losses = chosen_targets(result) if targets is None else checked_targets(targets)
    cells = cells_in(result)
    return Hits(cells, losses, *times_met(result, losses), cost_in(result, unit, cells, cluster))


def hits_of_one(result: Result, target: Targets, unit: str, what: str) -> Hits:
    """When the runs of a result met the one target that `what` takes. Raises as `one_target` does."""
    checked = check_result(result, what)
    return hits_of(checked, one_target(checked, target, what), unit)


def chosen_targets(result: Dataset) -> np.ndarray:
    """The losses that the sweep's own `gd.Target` watches for, the highest first; `default_targets` where it
    has none.
    """
    own = own_targets(result)
    return own if len(own) else default_targets(result)


def one_target(result: Dataset, target: Targets, what: str) -> float:
    """The one loss that is asked for; if none is, the lowest target of the sweep's own, or the middle one of
    `default_targets`. Raises ValueError for several.
    """
    if target is None:
        own, losses = own_targets(result), chosen_targets(result)
        return float(own[-1] if len(own) else losses[len(losses) // 2])
    losses = checked_targets(target)
    if len(losses) > 1:
        raise ValueError(f"{what} takes one target, a loss such as 0.1; {len(losses)} were given")
    return float(losses[0])


def time_to_target(result: Result, targets: Targets = None, *, unit: str = "steps", cluster: SimulatedCluster | None = None) -> Dataset:
    """Between which two looks the loss of each run was first at most each target: a Dataset over `run` and
    `target`.

    Targets are the sweep's own where none are given. `by[run, target]` is the look at which a target was met,
    `after` the look before, 0 where the start meets it; both NaN where it never was. A `gd.Target` of the
    sweep looks before every step with batch=None, else once an epoch or at its `every=`; any other target is
    looked at by checkpoints and at the run's end. Statistics go by `by`, which is `time` too. `spent[run]` is
    what the whole run took. `unit`: "steps", "samples", or "gradients" of the whole data (samples seen over
    samples there are; two a step for `gd.SAM`), in which batch sizes compare; where workers train a model
    together, "rounds" in which they exchange, "bytes" that each sends, and "seconds" on a simulated `cluster`.
    Raises ValueError.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=3, steps=500, record=gd.Record(every=1))
    >>> bool((time_to_target(sweep.run(), [1.0, 0.1]).time.diff("target") > 0).all())
    True
    """
    result = check_result(result, "time_to_target")
    hits = hits_of(result, targets, unit, cluster)
    after, by = np.full((2, *hits.step.shape), np.nan)
    for j in range(len(hits.targets)):
        met, times = hits.times(j)
        by[met, j] = times
        after[met, j] = np.maximum(hits.times(j, earliest=True)[1], 0.0)
    dims = ("run", "target")
    variables = {
        "time": (dims, by, f"{UNITS[unit]} by which the loss was first at most the target", unit),
        "after": (dims, after, f"{UNITS[unit]} at the look before, after which it was", unit),
        "by": (dims, by, f"{UNITS[unit]} at the look at which it was, by which it was", unit),
        "spent": ("run", hits.cost.of(hits.last, np.arange(len(hits.last))), f"{UNITS[unit]} of the whole run", unit),
    }
    coordinates = {str(n): c for n, c in result.coords.items() if c.dims == ("run",)}
    return dataset(variables, {**coordinates, "target": ("target", hits.targets)}, unit=unit, times=TIMES)


def expected_running_time(
    result: Result, targets: Targets = None, *, unit: str = "steps", confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Dataset:
    """The expected time to each target with restarts, ERT or aRT (Auger and Hansen 2005): a Dataset over
    `cell` and `target`.

    It is all that the runs spent, each until it met the target or ended, over the number that met it;
    infinite if none did. The interval is the bootstrap's over starts (BCa: Efron 1987), `resamples` of them,
    the same for all cells; beyond 2048 starts whole groups of starts are drawn; NaN of fewer than 6 runs,
    from which it tells nothing. Where no run met the target its lower end is what they spent over the most
    successes that Wilson's interval allows. Targets and `unit` as in `time_to_target`.

    Variables: `ert`, `low`, `high`, `successes`, each [cell, target]; `ert_after`, were targets met right
    after the look before; `runs` [cell]. Raises TypeError for what is no result, ValueError for one without
    what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.05]), starts=20, steps=500)
    >>> slow, fast = expected_running_time(sweep.run(), 0.01).ert.values[:, 0]
    >>> bool(fast < slow)
    True
    """
    confidence = checked_confidence(confidence)
    result = check_result(result, "expected_running_time")
    hits = hits_of(result, targets, unit)
    cells, count = hits.cells, len(hits.cells.numbers)
    group, groups = groups_of(result.start.values)
    slot = cells.place * groups + group
    weights, runs = resampled(groups, checked_whole(resamples, "resamples", 1, 2**31), seed), np.bincount(cells.place, minlength=count)
    shape = (count, len(hits.targets))
    ert, early, low, high = np.full((4, *shape), np.inf)
    successes = np.zeros(shape, np.int64)
    for j in range(len(hits.targets)):
        spent = np.bincount(slot, hits.spent(j), minlength=count * groups).reshape(count, groups)
        met = np.bincount(slot, hits.met(j), minlength=count * groups).reshape(count, groups)
        total, successes[:, j] = spent.sum(1), np.rint(met.sum(1))
        ert[:, j] = _ratio(total, met.sum(1))
        early[:, j] = _ratio(np.bincount(cells.place, hits.spent(j, earliest=True), minlength=count), met.sum(1))
        without = _rate((met.sum(1, keepdims=True) - met).T, (spent.sum(1, keepdims=True) - spent).T)
        least, most = accelerated(_rate(weights @ met.T, weights @ spent.T), _rate(met.sum(1), spent.sum(1)), without, confidence)
        low[:, j], high[:, j] = _ratio(1 - most, most), _ratio(1 - least, least)
        few = (runs < FEWEST_FOR_INTERVALS) & (successes[:, j] > 0)
        low[few, j] = high[few, j] = np.nan
        low[:, j] = np.where(successes[:, j] > 0, low[:, j], _ratio(total, runs * wilson(0, runs, confidence)[1]))
    dims = ("cell", "target")
    return cells.dataset({
        "ert": (dims, ert, f"expected {UNITS[unit]} to the target with restarts", unit),
        "ert_after": (dims, early, f"expected {UNITS[unit]} to the look before the target was met", unit),
        "low": (dims, low, f"lower end of the {confidence:.0%} interval", unit), "high": (dims, high, f"upper end of the {confidence:.0%} interval", unit),
        "successes": (dims, successes, "runs that met the target", "1"),
        "runs": ("cell", runs, "finished runs", "1"),
    }, {"target": ("target", hits.targets)}, unit=unit, confidence=confidence, times=TIMES)  # fmt: skip


def _rate(met: np.ndarray, spent: np.ndarray) -> np.ndarray:
    """1 / (1 + expected running time): 0, not infinite, where no run met the target."""
    return np.divide(met, met + spent, out=np.zeros(met.shape), where=met > 0)


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.divide(over, under, out=np.full(over.shape, np.inf), where=under > 0)


def simulated_restarts(result: Result, target: float | None = None, *, unit: str = "steps", draws: int = 1000, seed: int = 0) -> Dataset:
    """Times of an optimizer that starts again until it succeeds: a Dataset of `time[cell, draw]`, infinite
    where no run of a cell met the target.

    Runs of the cell are drawn with replacement and their times added until one that met the target is drawn;
    the mean of the draws approaches the expected running time. Infinite where no run met it. Raises TypeError
    for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=500)
    >>> simulated_restarts(sweep.run(), 0.01, draws=5).time.shape
    (1, 5)
    """
    hits = hits_of_one(result, target, unit, "simulated_restarts")
    rng, draws = np.random.default_rng(seed), checked_whole(draws, "draws", 1, 2**31)
    times = np.full((len(hits.cells.numbers), draws), np.inf)
    for cell, (spent, met) in enumerate(hits.by_cell()):
        if met.any():
            failures = rng.geometric(met.sum() / len(met), draws) - 1
            times[cell] = rng.choice(spent[met], draws) + _sums_of_draws(spent[~met], failures, rng)
    return hits.cells.dataset(
        {"time": (("cell", "draw"), times, f"{UNITS[unit]} to the target with restarts, drawn", unit)}, unit=unit, target=hits.target, times=TIMES
    )


MOST_DRAWS = 10_000_000


def _sums_of_draws(values: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sums of so many values each, drawn with replacement."""
    if not counts.any():
        return np.zeros(len(counts))
    if counts.sum() <= MOST_DRAWS:
        drawn = rng.choice(values, counts.sum())
        return np.bincount(np.repeat(np.arange(len(counts)), counts), drawn, minlength=len(counts))
    distinct, number = np.unique(values, return_counts=True)
    return rng.multinomial(counts, number / number.sum()) @ distinct


def ecdf(result: Result, targets: Targets = None, *, unit: str = "steps", confidence: float = 0.95) -> Dataset:
    """The share of runs and targets that are met by each time, cell by cell (Hansen et al. 2021): a Dataset
    over `cell` and `time`.

    Runs that never meet a target count as later than any time. The interval is that of
    `gdsim.statistics.clustered`, of the runs' own shares of targets met. Targets and `unit` as in
    `time_to_target`; where the sweep has none of its own, `default_targets`.

    Variables: `share`, `low`, `high`, each [cell, time]; `share_after`, were each target met right after the
    look before; `runs` [cell]. Raises TypeError for what is no result, ValueError for one without what is
    asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=500)
    >>> float(ecdf(sweep.run(), gd.logspace(1e-2, 1, 5)).share[0, -1])
    1.0
    """
    confidence = checked_confidence(confidence)
    result = check_result(result, "ecdf")
    hits = hits_of(result, targets, unit)
    several = len(hits.targets)
    axis = time_axis(np.unique(np.concatenate([np.unique(hits.times(j)[1]) for j in range(several)])))
    runs = np.bincount(hits.cells.place, minlength=len(hits.cells.numbers))
    per_run = np.maximum(runs, 1)[:, None]
    met, squares = _met_by(hits, axis, earliest=False)
    share = met / (per_run * several)
    low, high = clustered(share, np.maximum(squares / (per_run * several**2) - share**2, 0.0), runs[:, None], confidence)
    share, early = (np.where(runs[:, None] > 0, s, np.nan) for s in (share, _met_by(hits, axis, earliest=True)[0] / (per_run * several)))
    dims = ("cell", "time")
    variables = {
        "share": (dims, share, "share of runs and targets met by the time", "1"),
        "low": (dims, low, f"lower end of the {confidence:.0%} interval", "1"), "high": (dims, high, f"upper end of the {confidence:.0%} interval", "1"),
        "share_after": (dims, early, "share of runs and targets whose look before they were met lies before the time", "1"),
        "runs": ("cell", runs, "finished runs", "1"),
    }  # fmt: skip
    about = {"unit": unit, "targets": several, "losses": hits.targets.tolist(), "confidence": confidence, "times": TIMES}
    return hits.cells.dataset(variables, {"time": ("time", axis, {"units": unit})}, **about)


def _met_by(hits: Hits, axis: np.ndarray, *, earliest: bool) -> np.ndarray:
    """[sum or sum of squares, cell, time] of how many targets each run has met by a time."""
    found = np.zeros((2, len(hits.cells.numbers), len(axis) + 1))
    for j in range(len(hits.targets)):
        met, time = hits.times(j, earliest=earliest)
        slot = hits.cells.place[met] * (len(axis) + 1) + np.searchsorted(axis, time, side="right" if earliest else "left")
        at = np.bincount(slot, minlength=found[0].size).reshape(found[0].shape)
        found[0] += at
        found[1] += (2 * j + 1) * at  # the square of how many targets a run has met grows by so much with its next
    return np.cumsum(found, axis=2)[:, :, : len(axis)]


def time_axis(axis: np.ndarray) -> np.ndarray:
    """Ascending times, or as many of them as fit, evenly spaced in rank."""
    return axis if len(axis) <= MOST_TIMES else axis[np.unique(np.linspace(0, len(axis) - 1, MOST_TIMES).astype(int))]


def kaplan_meier(result: Result, target: float | None = None, *, unit: str = "steps", confidence: float = 0.95) -> Dataset:
    """The share of runs that have not met the target by each time, where budgets differ (Kaplan and Meier
    1958): a Dataset over `cell` and `time`.

    A run that used up its budget, or was stopped by `gd.Validation`, is censored there: it might have met the
    target later. One that diverged or stalled never will, and stays among those at risk. The interval is
    Greenwood's on the scale of log(-log); where none has met the target, or all that were at risk, Clopper
    and Pearson's (1934) of those at risk (of all, no more than the time before allows). `target` is one loss;
    the sweep's lowest if none is given.

    Variables: `survival`, `low`, `high`, `at_risk`, `events`, each [cell, time]; `survival_after`, were the
    target met right after the look before. Raises TypeError for what is no result, ValueError for one without
    what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=500)
    >>> float(kaplan_meier(sweep.run(), 0.01).survival[0, -1])
    0.0
    """
    confidence = checked_confidence(confidence)
    result = check_result(result, "kaplan_meier")
    hits = hits_of_one(result, target, unit, "kaplan_meier")
    met = hits.met(0)
    time = np.where(np.isin(result.status.values, ("diverged", "stalled")) & ~met, np.inf, hits.spent(0))
    axis = np.unique(time[met])
    events, at_risk = _at_risk(hits.cells, time, met, axis)
    early = time.copy()
    early[met] = hits.times(0, earliest=True)[1]
    before = np.unique(early[met])
    survival, survival_after = _survival(events, at_risk), np.ones(events.shape)
    if len(axis):
        steps = np.concatenate([np.ones((len(events), 1)), _survival(*_at_risk(hits.cells, early, met, before))], 1)
        survival_after = steps[:, np.searchsorted(before, axis, side="left")]
    low, high = _ends_of_survival(survival, events, at_risk, confidence)
    dims = ("cell", "time")
    return hits.cells.dataset({
        "survival": (dims, survival, "share of runs that have not met the target", "1"),
        "low": (dims, low, f"lower end of the {confidence:.0%} interval", "1"), "high": (dims, high, f"upper end of the {confidence:.0%} interval", "1"),
        "survival_after": (dims, survival_after, "the same, were the target met right after the look before", "1"),
        "at_risk": (dims, at_risk, "runs not censored before, that have not met it", "1"), "events": (dims, events, "runs that meet it now", "1"),
    }, {"time": ("time", axis, {"units": unit})}, unit=unit, target=hits.target, confidence=confidence, times=TIMES)  # fmt: skip


def _at_risk(cells: Cells, time: np.ndarray, met: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """[events or at risk, cell, time] how many runs meet the target at each time of the axis, and how many
    might.
    """
    found = np.zeros((2, len(cells.numbers), len(axis)), np.int64)
    for cell, mine in enumerate(cells.place == k for k in range(len(cells.numbers))):
        found[0, cell] = np.bincount(np.searchsorted(axis, time[mine & met]), minlength=len(axis))
        found[1, cell] = np.sum(mine) - np.searchsorted(np.sort(time[mine]), axis, side="left")
    return found


def _survival(events: np.ndarray, at_risk: np.ndarray) -> np.ndarray:
    """Kaplan and Meier's product along the times."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.cumprod(np.where(at_risk > 0, 1 - events / at_risk, 1.0), 1)


def _ends_of_survival(survival: np.ndarray, events: np.ndarray, at_risk: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), each [cell, time], of what `_survival` gives: Greenwood's, and where that has no width
    Clopper and Pearson's.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(np.where(at_risk > events, events / (at_risk * (at_risk - events)), 0.0), 1)
        spread = normal_quantile(confidence) * np.sqrt(greenwood) / np.abs(np.log(survival))
        inside = (survival > 0) & (survival < 1)
        low = np.where(inside, survival ** np.exp(spread), np.where(survival > 0, clopper_pearson(at_risk, at_risk, confidence)[0], 0.0))
        high = np.where(inside, survival ** np.exp(-spread), 1.0)
    for cell in np.flatnonzero((survival == 0).any(1)):
        first = int(np.argmax(survival[cell] == 0))
        high[cell, first:] = min(high[cell, first - 1] if first else 1.0, float(clopper_pearson(0, at_risk[cell, first], confidence)[1]))
    return low, high


def default_targets(result: Result, n: int = 20) -> np.ndarray:
    """`n` losses between that of a typical start and that of a typical run of the best cell, which they close
    in on by fifths of a factor of ten.

    From the median first loss of the first thousand runs down to the lowest of the cells' median lowest
    losses, diverged runs infinite: half of the best cell's runs come below all of them. One loss where no
    cell came below its start. A sweep's own `gd.Target` is taken before these wherever targets are not given.
    Raises TypeError for what is no result, ValueError for one without what is asked for.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=500)
    >>> len(default_targets(sweep.run()))
    20
    """
    result = check_result(result, "default_targets")
    first = np.asarray(result.loss.isel(run=slice(0, 1000), checkpoint=0).values, float)
    lowest, place = result.best_loss.values.astype(float), cells_in(result).place
    best = np.where(result.status.values == "diverged", np.inf, lowest)
    lows = np.array([median(best[place == c]) for c in np.unique(place)])
    lows = lows[np.isfinite(lows)] if np.isfinite(lows).any() else lowest[np.isfinite(lowest)]
    first = first[np.isfinite(first)]
    if not len(first) or not len(lows):
        raise ValueError("no run of this result has a finite loss: give targets")
    high, low = float(median(first)), float(lows.min())
    if high <= low:
        return np.array([low])
    return np.unique(low + (high - low) * 10.0 ** (-0.2 * np.arange(1, n + 1)))[::-1]
