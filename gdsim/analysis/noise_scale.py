"""How many samples a gradient is worth taking: its noise scale, and the batch size from which on more samples
save few steps.
"""

from typing import Any

import numpy as np

from gdsim.analysis.speed_up import times_by_size
from gdsim.analysis.targets import TIMES
from gdsim.axes import checked_whole
from gdsim.statistics import ArrayLike, percentiles, resampled
from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS, numbers_in
from gdsim.sweep.results.reading import Dataset, Result, check_result, checked_confidence, dataset
from gdsim.words import given


def noise_scale(gradient: ArrayLike, covariance: ArrayLike, hessian: "ArrayLike | None" = None, *, batch: ArrayLike = 1) -> Dataset:
    """What a batch of B samples gives one step of gradient descent on a quadratic, where its gradient and noise
    are known (McCandlish et al. 2018): a Dataset over `batch`.

    With the gradient G[parameter], the covariance S[parameter, parameter] of one sample's gradient and the second
    derivatives H (the identity where none are given), the loss falls by lr |G|^2 - lr^2/2 (G'HG + tr(HS)/B) on
    average: most, by largest_gain / (1 + noise_scale/B), with the rate largest_rate / (1 + noise_scale/B). Below
    the noise scale tr(HS) / G'HG twice the samples are nearly half the steps; above it they are wasted.
    `simple_noise_scale` is tr S / |G|^2. Raises ValueError.

    Variables: `noise_scale`, `simple_noise_scale`, `largest_rate`, `largest_gain`; `rate` and `gain` [batch].

    >>> found = noise_scale([1.0, 2.0], [[3.0, 0.0], [0.0, 7.0]], batch=[1, 2])
    >>> float(found.noise_scale), found.rate.values.round(4).tolist()
    (2.0, [0.3333, 0.5])
    """
    g, sizes = numbers_in(gradient, "gradient"), np.atleast_1d(numbers_in(batch, "batch"))
    if g.ndim != 1 or not np.isfinite(g).all() or not g.any():
        raise ValueError(f"gradient must be one vector that is not 0; an array of shape {g.shape} was given, or it is 0")
    if not (sizes > 0).all():
        raise ValueError(f"batch must be numbers of samples above 0, such as [1, 8, 64]; {given(batch)} was given")
    noise, curvature = (_matrix(m, name, len(g)) for m, name in ((covariance, "covariance"), (np.eye(len(g)) if hessian is None else hessian, "hessian")))
    square, bend, trace = float(g @ g), float(g @ curvature @ g), float(np.sum(curvature * noise.T))
    if not bend > 0:
        raise ValueError("the second derivative along the gradient must be above 0: where the loss bends down, no rate is the best")
    scale, rate, gain = trace / bend, square / bend, square**2 / (2.0 * bend)
    share = 1.0 / (1.0 + scale / sizes)
    return dataset({
        "noise_scale": ((), scale, "batch size with which the best step gains half of what it gains without noise", "samples"),
        "simple_noise_scale": ((), float(np.trace(noise)) / square, "variance of a sample's gradient over the squared norm of the mean gradient", "samples"),
        "largest_rate": ((), rate, "best learning rate without noise", "1"), "largest_gain": ((), gain, "what the loss falls by with it", "1"),
        "rate": ("batch", rate * share, "best learning rate", "1"), "gain": ("batch", gain * share, "what the loss falls by with it, on average", "1"),
    }, {"batch": ("batch", sizes)})  # fmt: skip


def _matrix(values: ArrayLike, name: str, count: int) -> np.ndarray:
    """A square matrix of so many rows. Raises ValueError."""
    matrix = numbers_in(values, name)
    if matrix.shape != (count, count) or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a matrix of finite numbers, {count} x {count} as the gradient is; an array of shape {matrix.shape} was given")
    return matrix


def estimated_noise_scale(gradients: ArrayLike, batch: int = 1, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0) -> Dataset:
    """The noise scale tr S / |G|^2 from the gradients that workers have taken anyway, each of `batch` samples of
    its own (McCandlish et al. 2018, appendix A): a Dataset without dimensions.

    Takes gradients[step, worker, parameter] of at least two workers; there may be other axes than steps before, or
    none, which are averaged over. Of K workers with b samples each, (K |mean g|^2 - mean |g|^2) / (K - 1) estimates |G|^2, and
    (mean |g|^2 - |mean g|^2) K b / (K - 1) the trace of the covariance S of one sample's gradient, both without bias. Their
    ratio has one: numerator and denominator are averaged first. Where the average of the squared norm is not above
    0 the noise hides the gradient, and the scale is infinite. The interval is the bootstrap's over the first axis; NaN where
    that is shorter than 6. Raises ValueError.

    Variables: `noise_scale`, `low`, `high`, `square_norm`, `trace`.

    >>> found = estimated_noise_scale([[3.0, 0.0], [1.0, 2.0]], batch=4)
    >>> float(found.square_norm), float(found.trace), round(float(found.noise_scale), 4)
    (3.0, 16.0, 5.3333)
    """
    confidence, size = checked_confidence(confidence), checked_whole(batch, "batch", 1, 2**53)
    g = numbers_in(gradients, "gradients")
    if g.ndim < 2 or g.shape[-2] < 2 or not g.size or not np.isfinite(g).all():
        raise ValueError(f"gradients must be finite numbers [step, worker, parameter] of two workers or more; an array of shape {g.shape} was given")
    workers = g.shape[-2]
    of_mean, mean_of = np.sum(g.mean(-2) ** 2, -1), np.mean(np.sum(g**2, -1), -1)
    square = np.atleast_1d((workers * of_mean - mean_of) / (workers - 1))
    trace = np.atleast_1d((mean_of - of_mean) * size * workers / (workers - 1))
    squares, traces = (v.reshape(len(v), -1).mean(1) for v in (square, trace))
    low, high = np.nan, np.nan
    if len(squares) >= FEWEST_FOR_INTERVALS:
        weights = resampled(len(squares), checked_whole(resamples, "resamples", 1, 2**31), seed)
        low, high = percentiles(_over(weights @ traces, weights @ squares), confidence)
    return dataset({
        "noise_scale": ((), float(_over(traces.mean(), squares.mean())), "variance of a sample's gradient over the squared norm of the mean gradient", "samples"),
        "low": ((), low, f"lower end of the {confidence:.0%} interval", "samples"), "high": ((), high, f"upper end of the {confidence:.0%} interval", "samples"),
        "square_norm": ((), squares.mean(), "estimate of the squared norm of the mean gradient", "1"),
        "trace": ((), traces.mean(), "estimate of the variance of a sample's gradient, summed over parameters", "1"),
    }, {}, workers=workers, batch=size, confidence=confidence)  # fmt: skip


def _over(over: Any, under: Any) -> Any:
    """Ratios, infinite where the denominator is not above 0."""
    return np.divide(over, under, out=np.full(np.shape(over), np.inf), where=np.asarray(under) > 0)


def fit_critical_batch(batch: ArrayLike, steps: ArrayLike) -> tuple[Any, Any]:
    """(fewest steps, critical batch size) of the line steps = fewest (1 + critical / batch) through the steps that a
    target takes with each batch size (McCandlish et al. 2018).

    The relative errors have the least squares, and neither number is below 0; the critical size is infinite where
    more samples save steps in proportion to the last. Takes batch[size] and steps[..., size]; what is infinite or
    NaN is left out, and with fewer than two sizes left both are NaN. Raises ValueError.

    >>> fewest, critical = fit_critical_batch([1, 10, 100, 1000], [1100, 200, 110, 101])
    >>> round(float(fewest), 6), round(float(critical), 6)
    (100.0, 10.0)
    """
    sizes, times = np.atleast_1d(numbers_in(batch, "batch")), numbers_in(steps, "steps")
    if sizes.ndim != 1 or times.shape[-1:] != sizes.shape or not ((sizes > 0) & np.isfinite(sizes)).all() or (times <= 0).any():
        raise ValueError(
            f"batch must be sizes above 0 and steps numbers above 0, one for each; arrays of shapes {sizes.shape} and {times.shape} were given, or others"
        )
    known = np.isfinite(times)
    u = np.divide(1.0, times, out=np.zeros(times.shape), where=known)  # errors are relative ones
    v = u / sizes
    uu, uv, vv, su, sv = (np.sum(a, -1) for a in (u * u, u * v, v * v, u, v))
    usable = np.where(known, sizes, -np.inf).max(-1, initial=-np.inf) > np.where(known, sizes, np.inf).min(-1, initial=np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        fewest, slope = (su * vv - sv * uv) / (uu * vv - uv * uv), (sv * uu - su * uv) / (uu * vv - uv * uv)
        critical = np.where(fewest < 0, np.inf, np.where(slope < 0, 0.0, slope / fewest))
        fewest = np.where(fewest < 0, 0.0, np.where(slope < 0, su / uu, fewest))
    return np.where(usable, fewest, np.nan)[()], np.where(usable, critical, np.nan)[()]


def critical_batch(
    result: Result, target: float | None = None, *, by: str = "optimizer", confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Dataset:
    """From which batch size on more samples in a step save few steps: `fit_critical_batch` of the steps to a target,
    a Dataset over `by` and `batch` (Shallue et al. 2019).

    `batch` counts the samples of one step, those of all workers together. At each size the best cell over all other
    hyperparameters counts, by its median steps to `target` (diverged runs and those that never met it are infinite);
    without one, the sweep's lowest. Sizes at which no cell's median is finite, or the starts meet the target, are
    left out. Steps are as coarse as the looks: take `gd.Target(loss, every=1)` or record often. At the critical batch size the target takes twice the
    fewest steps and twice the fewest samples. The intervals are the bootstrap's over starts, the same for all cells; NaN
    where a cell has fewer than 6 runs. Raises ValueError for fewer than two batch sizes.

    Variables: `steps`, `low`, `high`, `fitted` [by, batch]; `critical_batch`, `critical_low`, `critical_high`,
    `fewest_steps` [by].

    >>> import gdsim as gd
    >>> data = gd.Data([[1.0], [2.0], [3.0], [4.0]], [2.5, 3.5, 6.5, 7.5])
    >>> problem, rates = gd.LinearRegression(data), gd.logspace(1e-3, 1e-1, 9)
    >>> sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=rates), batch=gd.grid(1, 2, 4), starts=9, steps=300, stop=[gd.Target(0.2, every=1)])
    >>> critical_batch(sweep.run()).steps.shape
    (1, 3)
    """
    confidence = checked_confidence(confidence)
    result = check_result(result, "critical_batch")
    found = times_by_size(result, target, by, resamples=resamples, seed=seed, what="critical_batch")
    sizes, steps = found.sizes, found.times
    (fewest, critical), (_, criticals) = (fit_critical_batch(sizes, np.where(s > 0, s, np.nan)) for s in (steps, found.drawn))
    ends = found.ends(confidence)
    spread = np.where(found.few | np.isnan(critical), np.nan, percentiles(np.where(np.isnan(criticals), np.inf, criticals), confidence))
    dims, interval = (by, "batch"), f"end of the {confidence:.0%} interval"
    return dataset({
        "steps": (dims, steps, f"median {found.about['ranked_by']} of the best cell", "steps"), "low": (dims, ends[0], f"lower {interval}", "steps"),
        "high": (dims, ends[1], f"upper {interval}", "steps"), "fitted": (dims, _fitted(fewest, critical, sizes), "fewest (1 + critical / batch)", "steps"),
        "critical_batch": (by, critical, "batch size that takes twice the fewest steps", "samples"), "critical_low": (by, spread[0], f"lower {interval}", "samples"),
        "critical_high": (by, spread[1], f"upper {interval}", "samples"), "fewest_steps": (by, fewest, "steps with all the samples that there may be", "steps"),
    }, {by: (by, found.names), "batch": ("batch", sizes)}, target=found.target, times=TIMES, confidence=confidence, **found.about)  # fmt: skip


def _fitted(fewest: np.ndarray, critical: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[group, size] the line of each fit; NaN where it is 0 (1 + infinity)."""
    with np.errstate(invalid="ignore"):
        return fewest[:, None] * (1.0 + critical[:, None] / sizes)
