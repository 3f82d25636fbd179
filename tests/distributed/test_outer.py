"""Outer optimizers: rules that step by pseudo-gradients, against known paths and floors, and PyTorch's optimizers
around a loop that a reader would write.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population.samples import sample_order
from gdsim.starts import initial_points

BOWL = {"problem": gd.Quadratic([[1.0]], [[0.0]] * 8), "optimizer": gd.SGD(lr=0.1), "init": 1.0}


def trained(distribution, *, steps, starts=2, **options):
    """The result of a distribution's runs, recorded at every step."""
    record = gd.Record(every=1, parameters=True, trajectory=True)
    return gd.Sweep(distribution=distribution, starts=starts, steps=steps, record=record, dtype="float64", **options).run(progress=False)


def rounds_of(distribution, steps, **options):
    """[round] where a bowl's first run is reported to be, the start first."""
    return trained(distribution, steps=steps, **{**BOWL, **options}).trajectory.values[0, :: int(distribution.period), 0]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_known_paths_of_outer_momentum(workers):
    diloco = rounds_of(gd.DiLoCo(workers=workers, period=5), 25)
    assert diloco[1:] == pytest.approx([0.4553517, -0.0248469993, -0.3260161757, -0.4259145883, -0.3679588401], rel=1e-9)
    same = rounds_of(gd.LocalSGD(workers=workers, period=5, outer=gd.Nesterov(lr=0.7, momentum=0.9, convention="torch")), 25)
    assert np.array_equal(diloco, same)
    ball = rounds_of(gd.LocalSGD(workers=workers, period=5, outer=gd.Momentum(lr=0.7, momentum=0.9, convention="torch")), 15)
    assert ball[1:] == pytest.approx([0.713343, 0.2508669356, -0.2372742854], rel=1e-9)


@pytest.mark.parametrize(("x", "rate"), [(0.1, 0.91487704), (0.5, 0.76485293), (1.0, 0.51961524), (1.2, 0.37947332), (1.95, 1.01662727)])
def test_rounds_of_diloco_contract_by_their_known_rate(x, rate):
    path = rounds_of(gd.DiLoCo(workers=2, period=1), 400, optimizer=gd.SGD(lr=x))
    kept = path[200:] / np.abs(path[200:]).max()
    roots = np.abs(np.roots([1.0, -1.9 * (1 - 0.7 * x), 0.9 * (1 - 0.7 * x)])).max()
    assert roots == pytest.approx(rate, rel=1e-7)
    back = np.linalg.lstsq(np.stack([kept[1:-1], kept[:-2]], 1), kept[2:], rcond=None)[0]
    assert np.abs(np.roots([1.0, *-back])).max() == pytest.approx(rate, rel=1e-6)


def test_one_worker_with_an_outer_rate_is_lookahead_and_with_rate_one_local_sgd():
    look = rounds_of(gd.LocalSGD(workers=1, period=5, outer=gd.SGD(lr=0.5)), 40)
    assert look == pytest.approx((1 - 0.5 + 0.5 * 0.9**5) ** np.arange(9), rel=1e-12)
    plain = rounds_of(gd.LocalSGD(workers=3, period=5), 40)
    assert rounds_of(gd.LocalSGD(workers=3, period=5, outer=gd.SGD(lr=1.0)), 40) == pytest.approx(plain, rel=1e-12)


def test_diloco_that_talks_at_each_step_is_nesterov_on_the_mean_gradient():
    one = rounds_of(gd.DiLoCo(workers=1, period=1), 50)
    momentum = gd.Nesterov(lr=0.07, momentum=0.9, convention="torch")
    plain = gd.Sweep(**{**BOWL, "optimizer": momentum}, steps=50, record=gd.Record(every=1, trajectory=True)).run(progress=False)
    assert one == pytest.approx(plain.trajectory.values[0, :, 0], rel=1e-12, abs=1e-12)


OUTER = {
    "sgd": (gd.SGD(lr=0.8), lambda t, w: t.optim.SGD(w, lr=0.8)),
    "nesterov": (gd.Nesterov(lr=0.7, momentum=0.9, convention="torch"), lambda t, w: t.optim.SGD(w, lr=0.7, momentum=0.9, nesterov=True)),
    "adam": (gd.Adam(lr=0.1, convention="torch"), lambda t, w: t.optim.Adam(w, lr=0.1)),
    "clipped": (gd.ClipNorm(gd.Momentum(lr=0.5, momentum=0.8, convention="torch"), 0.05), lambda t, w: t.optim.SGD(w, lr=0.5, momentum=0.8)),
}


@pytest.mark.full
@pytest.mark.parametrize("name", OUTER)
def test_any_rule_steps_by_the_pseudo_gradient_as_pytorchs_does(name):
    torch = pytest.importorskip("torch")
    rule, make = OUTER[name]
    rng = np.random.default_rng(0)
    data = gd.Data(X := rng.normal(size=(24, 3)), X @ [1.0, -2.0, 0.5] + rng.normal(size=24))
    distribution = gd.LocalSGD(workers=3, period=4, outer=rule)
    options = {"problem": gd.LinearRegression(data), "optimizer": gd.SGD(lr=0.05), "batch": 4, "steps": 24, "starts": 5}
    found = trained(distribution, **options)
    setting = gd.Sweep(**options, distribution=distribution, dtype="float64").plan().groups[0].setting
    X, y = np.c_[data.X, np.ones(24)], data.y
    for start in (0, 4):
        theta = torch.tensor(initial_points(setting.init, setting.problem, setting.seed, np.array([start]))[0], requires_grad=True)
        optimizer, orders = make(torch, [theta]), [sample_order(setting, start, k) for k in range(3)]
        for first in range(0, 24, 4):
            w = np.array([theta.detach().numpy()] * 3)
            for step in range(first, first + 4):
                for k, order in enumerate(orders):
                    w[k] -= 0.05 * 2 * X[order[step]].T @ (X[order[step]] @ w[k] - y[order[step]]) / 4
            theta.grad = theta.detach() - torch.tensor(w).mean(0)
            if name == "clipped":
                torch.nn.utils.clip_grad_norm_([theta], 0.05)
            optimizer.step()
        np.testing.assert_allclose(found.parameters.values[start], theta.detach().numpy(), rtol=1e-12, atol=1e-13)


def test_what_is_reported_stays_until_the_outer_step_and_is_the_rules_own_point():
    outer = gd.Nesterov(lr=0.5, momentum=0.9)
    path = trained(gd.LocalSGD(workers=2, period=3, outer=outer), steps=12, **BOWL).trajectory.values[0, :, 0]
    assert all(len(set(path[k : k + 3])) == 1 for k in (0, 3, 6, 9))
    y, h, seen = 1.0, 0.0, [1.0]
    for _ in range(4):
        new = 0.9 * h + 0.5 * (y - y * 0.9**3)  # at the point ahead, where workers begin
        y, h = y + 0.9 * h - new - 0.9 * new, new
        seen.append(y + 0.9 * h)
    assert path[::3] == pytest.approx(seen, rel=1e-12)


@pytest.mark.full
@pytest.mark.parametrize(("period", "workers", "floor", "raised"), [(5, 4, 0.0358013048, 2.7), (1, 4, 0.0618552665, 4.7), (50, 8, 0.0125829091, 1.9)])
def test_the_floor_under_outer_momentum(period, workers, floor, raised):
    """Its variance over runs with independent noise of one sample, from four standard errors; of plain averages it is
    eta sigma^2 / (K (2 - eta)).
    """
    assert floor / (0.1 / (workers * 1.9)) == pytest.approx(raised, abs=0.05)
    starts, rounds = 4000, 60 if period < 50 else 30
    problem = gd.Quadratic([[1.0]], [[-1.0], [1.0]] * 4)
    sweep = gd.Sweep(
        problem=problem, optimizer=gd.SGD(lr=0.1), distribution=gd.DiLoCo(workers=workers, period=period), starts=starts, steps=period * rounds,
        batch=1, shuffle="replacement", init=0.0, record=gd.Record(parameters=True),
    )  # fmt: skip
    last = sweep.run(progress=False).parameters.values[:, 0]
    assert last.var() == pytest.approx(floor, rel=4 * np.sqrt(2 / starts))
    assert abs(last.mean()) < 4 * np.sqrt(floor / starts)
