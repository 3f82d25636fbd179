"""The gradient noise scale and the critical batch size, against formulas, trained populations and SciPy."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

import gdsim as gd
from gdsim import analysis

CURVATURE, SPREAD, POINT = np.diag([1.0, 0.5, 0.1]), np.diag([0.3, 0.6, 0.9]), np.array([1.0, -2.0, 3.0])
GRADIENT = CURVATURE @ POINT
# Centres of one-sample losses (w - c)' H (w - c) / 2 whose gradients have the covariance SPREAD, and the mean 0.
CENTERS = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), -1).reshape(-1, 3) * np.sqrt(np.diag(SPREAD)) / np.diag(CURVATURE)


def test_one_step_on_a_quadratic_gains_what_the_noise_leaves():
    found = analysis.noise_scale(GRADIENT, SPREAD, CURVATURE, batch=[1, 2, 8])
    assert float(found.noise_scale) == pytest.approx(0.4572564612, rel=1e-9)
    assert float(found.simple_noise_scale) == pytest.approx(0.8612440191, rel=1e-9)
    assert float(found.largest_rate) == pytest.approx(1.3850231942, rel=1e-9)
    assert found.gain.values == pytest.approx([0.9932014552, 1.1780204962, 1.3690957530], rel=1e-9)
    assert np.array_equal(found.rate, found.largest_rate * found.gain / found.largest_gain)
    round_bowl = analysis.noise_scale(GRADIENT, SPREAD)
    assert float(round_bowl.noise_scale) == float(round_bowl.simple_noise_scale)


def test_a_population_of_single_steps_gains_as_much_and_its_gradients_estimate_the_scale():
    batches, starts = (1, 8), 20_000
    truth = analysis.noise_scale(GRADIENT, SPREAD, CURVATURE, batch=batches)
    problem = gd.Quadratic(CURVATURE, CENTERS)
    level = float(np.mean(np.sum(CENTERS @ CURVATURE * CENTERS, 1))) / 2
    for batch, rate, gain in zip(batches, truth.rate.values, truth.gain.values, strict=True):
        sweep = gd.Sweep(
            problem=problem, optimizer=gd.SGD(lr=float(rate)), batch=batch, shuffle="replacement", starts=starts, steps=1,
            init=np.tile(POINT, (starts, 1)), record=gd.Record(parameters=True),
        )  # fmt: skip
        result = sweep.run(progress=False)
        losses = result.final_loss.values - level
        gained = POINT @ CURVATURE @ POINT / 2 - losses
        assert abs(gained.mean() - gain) < 4 * gained.std() / np.sqrt(starts)
        gradients = (POINT - result.parameters.values) / rate
        found = analysis.estimated_noise_scale(gradients.reshape(-1, 4, 3), batch)
        assert float(found.low) < float(found.noise_scale) < float(found.high)
        assert float(found.noise_scale) == pytest.approx(0.8612440191, rel=0.1)
        assert float(found.low) < 0.8612440191 < float(found.high)


def test_both_parts_of_the_estimate_are_without_bias_and_their_ratio_is_not():
    """All equally likely gradients of two workers, each of one of the eight samples, are enumerated."""
    samples = GRADIENT - CENTERS @ CURVATURE
    pairs = np.stack([np.stack([a, b]) for a in samples for b in samples])
    whole = analysis.estimated_noise_scale(pairs)
    assert float(whole.square_norm) == pytest.approx(GRADIENT @ GRADIENT, rel=1e-12)
    assert float(whole.trace) == pytest.approx(np.trace(SPREAD), rel=1e-12)
    ratios = [float(analysis.estimated_noise_scale(p).noise_scale) for p in pairs]
    assert abs(np.mean([r for r in ratios if np.isfinite(r)]) - float(whole.noise_scale)) > 0.1
    assert np.isnan(float(analysis.estimated_noise_scale(pairs[:5]).low))
    assert np.isinf(float(analysis.estimated_noise_scale([[1.0], [-1.0]]).noise_scale))


def noisy_quadratic_steps(batch):
    """Steps of the noisy quadratic model of 100 dimensions (Zhang et al. 2019) to 0.01 of its first loss, with the
    best of 2001 rates.
    """
    h = 1.0 / np.arange(1, 101)
    eta = np.geomspace(1e-4, 1.9999, 2001)[:, None]
    floor = eta / (batch * (2.0 - eta * h))
    decay = 2.0 * np.log(np.abs(1.0 - eta * h))
    loss = lambda t: 0.5 * np.sum(h * ((1.0 - floor) * np.exp(decay * t[:, None]) + floor), 1)  # noqa: E731
    target, low, high = 0.005 * h.sum(), np.zeros(2001), np.full(2001, 20_000.0)
    while (high - low > 1).any():  # the loss falls all the way, where it comes so low
        middle = np.floor((low + high) / 2)
        low, high = (np.where(loss(middle) > target, middle, low), np.where(loss(middle) > target, high, middle))
    return high[loss(high) <= target].min()


def test_the_noisy_quadratic_model_has_a_critical_batch():
    batches = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 65536])
    steps = np.array([noisy_quadratic_steps(b) for b in batches])
    assert np.abs(steps - [9996, 5010, 2518, 1272, 649, 339, 186, 114, 82, 67, 60, 54, 51]).max() <= 1
    fewest, critical = analysis.fit_critical_batch(batches, steps)
    assert np.abs(fewest * (1 + critical / batches) / steps - 1).max() < 0.14
    assert fewest == pytest.approx(51, rel=0.14)
    assert critical == pytest.approx(9996 / 51, rel=0.14)
    by_scipy, _ = curve_fit(lambda b, s, c: s * (1 + c / b), batches, steps, p0=(50.0, 100.0), sigma=steps)
    assert (fewest, critical) == pytest.approx(tuple(by_scipy), rel=1e-5)


def test_fits_at_their_ends():
    assert analysis.fit_critical_batch([1, 2, 4], [8, 3, 1]) == (0.0, np.inf)  # samples save steps without end
    assert analysis.fit_critical_batch([1, 2, 4], [5, 5, 5]) == pytest.approx((5.0, 0.0))
    assert analysis.fit_critical_batch([1, 2, 4], [4, 5, 6])[1] == 0.0  # more samples cost steps
    assert analysis.fit_critical_batch([1, 2, 4], [100, np.inf, 85]) == pytest.approx((80.0, 0.25))
    assert np.isnan(analysis.fit_critical_batch([2, 2, 4], [100, 90, np.nan])).all()


def test_a_populations_steps_give_its_critical_batch_with_an_interval():
    """The medians of the best rates, counted from single runs, and the fit through them."""
    problem = gd.Quadratic(np.eye(4), 3.0 * np.stack(np.meshgrid(*[[-1.0, 1.0]] * 4), -1).reshape(-1, 4))
    rates = gd.logspace(0.01, 1.0, 9)
    sweep = gd.Sweep(
        problem=problem, optimizer=gd.SGD(lr=rates), batch=gd.grid(1, 2, 4, 16), shuffle="replacement", starts=64, steps=600, init=8.0,
        stop=[gd.Target(18.6, every=1)],
    )  # fmt: skip
    result = sweep.run(progress=False)
    found = analysis.critical_batch(result)
    times = np.where(result.status.values == "converged", result.steps_taken.values, np.inf)
    for k, batch in enumerate((1, 2, 4, 16)):
        mine = [np.sort(times[(result.batch.values == batch) & (result.lr.values == lr)])[31] for lr in np.unique(result.lr.values)]
        assert found.steps.sel(optimizer="SGD", batch=batch) == min(mine)
        assert found.low[0, k] <= found.steps[0, k] <= found.high[0, k]
    fewest, critical = analysis.fit_critical_batch([1, 2, 4, 16], found.steps[0])
    assert (float(found.fewest_steps[0]), float(found.critical_batch[0])) == (fewest, critical)
    assert found.fitted[0].values == pytest.approx(fewest * (1 + critical / np.array([1, 2, 4, 16])))
    assert 0 < found.critical_low[0] < critical < found.critical_high[0]
    assert (np.diff(found.steps[0]) < 0).all()
    workers = gd.Sweep(
        problem=problem, optimizer=gd.SGD(lr=rates), batch=1, shuffle="replacement", starts=64, steps=600, init=8.0, stop=[gd.Target(18.6, every=1)],
        distribution=gd.Synchronous(workers=[1, 2, 4, 16]),
    ).run(progress=False)  # fmt: skip
    of_workers = analysis.critical_batch(workers)
    assert of_workers.batch.values.tolist() == [1, 2, 4, 16]  # one sample a worker
    assert np.array_equal(of_workers.steps, found.steps)
    met = analysis.critical_batch(result, 1000.0)  # by the starts, whatever the batch
    assert (met.steps == 0).all()
    assert np.isnan([met.critical_batch[0], met.critical_low[0], met.critical_high[0], met.fewest_steps[0]]).all()
    few = analysis.critical_batch(result.isel(run=result.start.values < 5))
    assert np.isnan(few.critical_low[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: analysis.noise_scale([0.0, 0.0], np.eye(2)), "gradient must be one vector that is not 0"),
        (lambda: analysis.noise_scale([1.0, 0.0], np.eye(3)), r"covariance must be a matrix of finite numbers, 2 x 2 .*\(3, 3\)"),
        (lambda: analysis.noise_scale([1.0, 0.0], np.eye(2), -np.eye(2)), "bends down"),
        (lambda: analysis.noise_scale([1.0, 0.0], np.eye(2), batch=[1, 0]), r"above 0, such as .*\[1, 0\]"),
        (lambda: analysis.estimated_noise_scale([[1.0, 2.0]]), "two workers or more; an array of shape"),
        (lambda: analysis.estimated_noise_scale([[1.0], [2.0]], batch=0), "batch must be"),
        (lambda: analysis.fit_critical_batch([1, 2], [3, 0]), "above 0, one for each"),
        (lambda: analysis.fit_critical_batch([1, 2], [3, 2, 1]), "above 0, one for each"),
        (lambda: analysis.critical_batch(gd.Sweep(problem=gd.Quadratic([[1.0]]), optimizer=gd.SGD(lr=0.1), steps=5).run()), "vary batch= or the workers"),
    ],
)
def test_mistakes_are_one_line(call, words):
    with pytest.raises((ValueError, TypeError), match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
