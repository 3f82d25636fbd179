"""How the values of a population lie at each checkpoint: quantiles, the median's interval, the mean of the
middle half.
"""

import concurrent.futures
from collections.abc import Sequence

import numpy as np

from gdsim.statistics import ArrayLike, median_ranks, rank_of
from gdsim.sweep.planning.machine import usable_cores
from gdsim.sweep.results.reading import (
    WORST,
    Dataset,
    Result,
    by_block,
    cell_coordinates,
    cells_in,
    check_curves,
    check_result,
    checked_confidence,
    curve_columns,
    dataset,
    hold_last_value,
    is_summary,
    opened,
)
from gdsim.words import given

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Bytes of all runs' values at the checkpoints that are worked on at once.
BYTES_AT_ONCE = 300_000_000


def bands(result: Result, *, variable: str = "loss", quantiles: Sequence[float] = QUANTILES, confidence: float = 0.95) -> Dataset:
    """Quantiles of a curve over the runs of each cell, checkpoint by checkpoint: a Dataset over `cell`,
    `quantile` and `checkpoint`.

    A run that ended keeps its value there; one that diverged counts as infinite from its end on (as 0 among
    accuracies). A quantile q of n runs is the ceil(q n)-th smallest value, one that a run has. The median's
    interval is that of its order statistics, which covers at least its level (David and Nagaraja 2003,
    section 7.1); infinite where there are too few runs. The interquartile mean is that of the middle half of
    the runs. Of a summary, quantiles are the middles of its bins, and runs may not have ended early but by
    diverging.

    Variables: `value` [cell, quantile, checkpoint], `median_low`, `median_high`, `interquartile_mean` [cell,
    checkpoint], `runs` [cell]. Raises ValueError.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=100)
    >>> band = bands(sweep.run())
    >>> bool((band.value.diff("quantile") >= 0).all())
    True
    """
    confidence = checked_confidence(confidence)
    shares = checked_quantiles(quantiles)
    result = opened(result, "bands")
    check_curves(result, "bands")
    if is_summary(result):
        return _summary_bands(result, variable, shares)
    result = check_result(result, "bands")
    names, steps, cells = curve_columns(result, variable), result.step.values, cells_in(result)
    runs = np.bincount(cells.place, minlength=len(cells.numbers))
    within = _place_in_cell(cells.place, runs)
    kind = np.dtype(result[variable].dtype)
    together = max(1, BYTES_AT_ONCE // max(1, kind.itemsize * len(cells.place)))
    value = np.full((len(runs), len(shares), len(steps)), np.nan)
    ends, middle = np.full((2, len(runs), len(steps)), np.nan), np.full((len(runs), len(steps)), np.nan)
    for first in range(0, len(steps), together):
        some = slice(first, min(first + together, len(steps)))
        columns = [np.empty((some.stop - first, n), kind) for n in runs]
        scatter = lambda rows, c: _scatter(columns, hold_last_value(c, steps, variable, some).T, cells.place[rows], within[rows])  # noqa: B023, E731
        for _ in by_block(result, names, scatter):
            pass
        with concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
            for cell, made in enumerate(pool.map(lambda v: _statistics(v, shares, confidence), columns)):
                value[cell][:, some], ends[:, cell, some], middle[cell, some] = made
    dims = ("cell", "checkpoint")
    units = result[variable].attrs.get("units", "1")
    variables = {
        "value": (("cell", "quantile", "checkpoint"), value, f"quantile of {result[variable].attrs.get('long_name', variable)}", units),
        "median_low": (dims, ends[0], f"lower end of the median's {confidence:.0%} interval", units),
        "median_high": (dims, ends[1], f"upper end of the median's {confidence:.0%} interval", units),
        "interquartile_mean": (dims, middle, "mean of the middle half", units), "runs": ("cell", runs, "finished runs", "1"),
    }  # fmt: skip
    step = ("checkpoint", steps, result.step.attrs)
    return cells.dataset(variables, {"quantile": ("quantile", shares), "step": step}, variable=variable, confidence=confidence)


def checked_quantiles(quantiles: ArrayLike) -> np.ndarray:
    """Shares between 0 and 1, ascending."""
    shares = np.unique(np.atleast_1d(np.asarray(quantiles, float)))
    if not len(shares) or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"quantiles must be shares from 0 to 1, such as (0.25, 0.5, 0.75); {given(quantiles)} was given")
    return shares


def _place_in_cell(place: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """The number of each run among those of its cell."""
    order = np.argsort(place, kind="stable")
    within = np.empty(len(place), np.int64)
    within[order] = np.arange(len(place)) - np.repeat(np.cumsum(runs) - runs, runs)
    return within


def _scatter(columns: list[np.ndarray], curves: np.ndarray, place: np.ndarray, within: np.ndarray) -> None:
    """Puts a block's curves[checkpoint, run] where their cells gather them."""
    if len(columns) == 1:
        columns[0][:, within[0] : within[0] + len(within)] = curves
        return
    for cell in np.unique(place):
        mine = place == cell
        columns[cell][:, within[mine]] = curves[:, mine]


def _statistics(values: np.ndarray, shares: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(quantiles, ends of the median's interval, interquartile means) of values[checkpoint, run], which are
    used up.
    """
    n = values.shape[1]
    cut = n // 4
    low, high = median_ranks(n, confidence)
    ranks = [rank_of(s, n) for s in shares]
    wanted = sorted({*ranks, cut, n - cut - 1, *(r for r in (low, high) if 0 <= r < n)})
    lacking = np.isnan(values[:, 0])  # no run of a cell has a checkpoint that one lacks
    values.partition(wanted, axis=1)
    quantiles = values[:, ranks].T.astype(float)
    ends = np.array([values[:, low] if low >= 0 else np.full(len(values), -np.inf), values[:, high] if high < n else np.full(len(values), np.inf)], float)
    with np.errstate(invalid="ignore"):
        middle = values[:, cut : n - cut].mean(1, dtype=float)
    for made in (quantiles, ends):
        made[:, lacking] = np.nan
    return quantiles, ends, middle


def _summary_bands(summary: Dataset, variable: str, shares: np.ndarray) -> Dataset:
    """Quantiles from the histograms of a summary."""
    if f"{variable}_histogram" not in summary or "checkpoint" not in summary[f"{variable}_histogram"].dims:
        raise ValueError(f"variable={given(variable)} is no curve of this summary")
    ended = summary.ended.isel(checkpoint=slice(None, -1))
    early = ended.sel(status=[s for s in summary.status.values if s not in ("diverged", "budget")])
    if early.values.any():
        raise ValueError("runs of this summary ended early, and it does not keep at which values: bands need keep='runs', or runs without stops")
    counts = summary[f"{variable}_histogram"].values  # [cell, checkpoint, bin]
    diverged = summary.ended.sel(status="diverged").values
    runs = summary.steps_taken_count.values
    at_end = np.maximum(runs[:, None] - counts.sum(2), 0)  # diverged runs, which have no value any more
    if (at_end > diverged).any():
        raise ValueError("some runs of this summary have no value at a checkpoint at which they had not ended: bands need keep='runs'")
    low, high = summary.bin_low.values, summary.bin_high.values
    with np.errstate(invalid="ignore"):
        middles = np.where(np.isfinite(high) & np.isfinite(low), 0.5 * (low + high), low)
    order = np.concatenate([middles, [WORST.get(variable, np.inf)]])
    whole = np.concatenate([counts, at_end[..., None]], 2)
    if variable in WORST:
        order, whole = np.roll(order, 1), np.roll(whole, 1, 2)
    total = np.cumsum(whole, 2)
    value = np.full((len(runs), len(shares), counts.shape[1]), np.nan)
    for k, share in enumerate(shares):
        value[:, k] = order[np.argmax(total > rank_of(share, runs)[:, None, None], axis=2)]
    value = np.where((runs > 0)[:, None, None], value, np.nan)
    coordinates = cell_coordinates(summary)
    variables = {
        "value": (("cell", "quantile", "checkpoint"), value, f"quantile of {variable}, the middle of its bin", "1"),
        "runs": ("cell", runs, "finished runs", "1"),
    }
    step = ("checkpoint", summary.step.values, summary.step.attrs)
    return dataset(variables, {**coordinates, "quantile": ("quantile", shares), "step": step}, variable=variable)
