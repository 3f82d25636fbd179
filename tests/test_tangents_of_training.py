"""Derivatives of what runs report, by their own numbers and along directions of their starts, through training:
beside formulas and JAX, with the bits that the values have without them.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population import Batch, Setting, Tangent, train_batch
from gdsim.starts import initial_points

CURVATURE = np.array([0.5, 1.0, 3.0])
UNIT = np.array([1.0, 2.0, 2.0]) / 3
QUADRATIC = gd.Quadratic(np.diag(CURVATURE))
LR, DIRECTION = Tangent("lr", "lr"), Tangent("direction", direction=gd.Direction([1.0, 2.0, 2.0]))


RECORD = gd.Record(every=10, gradient_norm=True, parameters=True)


def setting_of(problem, rule, *, schedule=None, init=None, steps=50, batch=None, stops=(), record=RECORD, dtype="float64", **more):
    begin = problem.default_init if init is None else init
    return Setting(problem, rule, schedule or gd.Constant(), begin, steps, batch, "epoch", True, stops, record, 0, dtype, **more)


def batch_of(setting, cells, starts):
    """All starts in cells that differ in the numbers that are given."""
    usual = {**setting.rule.hyperparameters(), **{f"schedule_{n}": v for n, v in setting.schedule.hyperparameters().items()}}
    values = [{**usual, "penalty_l1": setting.problem.l1, "penalty_l2": setting.problem.l2, **cell} for cell in cells]
    number = np.arange(starts * len(cells))
    return Batch(number, (number // len(cells)).astype(np.uint32), number % len(cells), values)


def same_bits(columns, others):
    return [name for name in columns if columns[name].tobytes() != others[name].tobytes()] == []


def test_gradient_descent_on_a_parabola_has_the_derivatives_of_its_formula_by_the_rate_and_along_a_start():
    setting = setting_of(QUADRATIC, gd.SGD(), init=gd.Normal(), tangents=(LR, Tangent("momentum"), DIRECTION))
    batch = batch_of(setting, [{"lr": 0.1}, {"lr": 0.4}, {"lr": 1.5}], starts=3)
    found = train_batch(setting, batch, 4).columns  # 9 runs in 4 lanes, a third of them diverging
    assert same_bits(train_batch(setting._replace(tangents=()), batch, 4).columns, found)
    assert (np.isnan(found["loss_d_lr"]) == np.isnan(found["loss"])).all()
    lasting = batch.cell < 2
    eta, w = np.array([0.1, 0.4, 1.5])[batch.cell][lasting, None], initial_points(gd.Normal(), QUADRATIC, 0, batch.start)[lasting]
    found = {name: column[lasting] for name, column in found.items()}
    for place, t in enumerate(range(0, 51, 10)):
        shrink, by_rate = (1 - eta * CURVATURE) ** t, -t * CURVATURE * (1 - eta * CURVATURE) ** (t - 1)
        gradient = CURVATURE * shrink * w
        for name, truth in (("lr", by_rate * w), ("direction", shrink * UNIT)):
            assert found[f"loss_d_{name}"][:, place] == pytest.approx((gradient * truth).sum(1), rel=1e-12)
            of_norm = (CURVATURE * gradient * truth).sum(1) / np.sqrt((gradient**2).sum(1))
            assert found[f"gradient_norm_d_{name}"][:, place] == pytest.approx(of_norm, rel=1e-12)
    assert found["parameters_d_lr"] == pytest.approx(by_rate * w, rel=1e-12)
    assert (found["final_loss_d_lr"] == found["loss_d_lr"][:, -1]).all()
    assert np.isnan(found["loss_d_momentum"]).all()
    assert not [name for name in found if "steps_taken_d" in name or "status_d" in name]
