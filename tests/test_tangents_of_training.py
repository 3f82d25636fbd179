"""Derivatives of what runs report, by their own numbers and along directions of their starts, through training:
beside formulas and JAX, with the bits that the values have without them.
"""

import math

import mpmath
import numpy as np
import pytest

import gdsim as gd
from gdsim.population import Batch, Setting, Tangent, train_batch
from gdsim.population.summary import counted_curves
from gdsim.population.tangents import slopes_of
from gdsim.rules import RULES
from gdsim.starts import initial_points

CURVATURE = np.array([0.5, 1.0, 3.0])
UNIT = np.array([1.0, 2.0, 2.0]) / 3
QUADRATIC = gd.Quadratic(np.diag(CURVATURE))
LR, DIRECTION = Tangent("lr", "lr"), Tangent("direction", direction=gd.Direction([1.0, 2.0, 2.0]))


RECORD = gd.Record(every=10, gradient_norm=True, parameter_norm=True, parameters=True)


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


@pytest.mark.parametrize("rule", [gd.ClipNorm(gd.RAdam(), 1.0), gd.NAdam(), gd.RMSprop(), gd.Nesterov()], ids=lambda rule: type(rule.innermost).__name__)
def test_constants_that_the_host_makes_have_the_derivatives_that_mpmath_finds(rule):
    values = rule.hyperparameters()
    for number, at in values.items():
        found = slopes_of(rule, number, values)
        assert found.pop(number) == 1.0
        assert found
        for name, slope in found.items():
            truth = mpmath.diff(lambda x, name=name, number=number: rule.constants({**values, number: x})[name], at)
            assert slope == pytest.approx(float(truth), rel=1e-9, abs=1e-12), (number, name)


def test_constants_may_ask_whether_a_number_is_0():
    class Guarded(gd.Momentum, tag="guarded", frozen=True):
        @staticmethod
        def constants(values):
            p = values["momentum"]
            return {"own": 3.0 * p if p == 0.0 else p * p / p}

    assert [slopes_of(Guarded(), "momentum", {"lr": 0.1, "momentum": p})["own"] for p in (0.0, 0.5)] == [3.0, 1.0]


def test_constants_that_have_no_derivative_are_refused_in_one_line():
    class Rooted(gd.SGD, tag="rooted", frozen=True):
        @staticmethod
        def constants(values):
            return {"root": math.sqrt(values["lr"])}

    with pytest.raises(TypeError, match=r"^Rooted.constants cannot be differentiated by lr: make them with \+ - \* / \*\* alone"):
        gd.Sweep(problem=QUADRATIC, optimizer=Rooted(), tangents="lr")


def test_gradient_descent_on_a_parabola_has_the_derivatives_of_its_formula_by_the_rate_and_along_a_start():
    setting = setting_of(QUADRATIC, gd.SGD(), init=gd.Normal(), tangents=(LR, Tangent("momentum"), DIRECTION))
    counted = counted_curves(setting)
    assert (len(counted), len({*counted})) == (13, 13)  # three curves, each with three derivatives, and tangent_norm
    batch = batch_of(setting, [{"lr": 0.1}, {"lr": 0.4}, {"lr": 1.5}], starts=3)
    found = train_batch(setting, batch, 4).columns  # 9 runs in 4 lanes, a third of them diverging
    assert (np.isnan(found["loss_d_lr"]) == np.isnan(found["loss"])).all()
    lasting = batch.cell < 2
    eta, w = np.array([0.1, 0.4, 1.5])[batch.cell][lasting, None], initial_points(gd.Normal(), QUADRATIC, 0, batch.start)[lasting]
    found = {name: column[lasting] for name, column in found.items()}
    for place, t in enumerate(range(0, 51, 10)):
        shrink, by_rate = (1 - eta * CURVATURE) ** t, -t * CURVATURE * (1 - eta * CURVATURE) ** (t - 1)
        gradient = CURVATURE * shrink * w
        assert found["loss"][:, place] == pytest.approx(0.5 * (gradient * shrink * w).sum(1), rel=1e-12)
        for name, truth in (("lr", by_rate * w), ("direction", shrink * UNIT)):
            assert found[f"loss_d_{name}"][:, place] == pytest.approx((gradient * truth).sum(1), rel=1e-12)
            of_norm = (CURVATURE * gradient * truth).sum(1) / np.sqrt((gradient**2).sum(1))
            assert found[f"gradient_norm_d_{name}"][:, place] == pytest.approx(of_norm, rel=1e-12)
            of_length = (shrink * w * truth).sum(1) / np.sqrt(((shrink * w) ** 2).sum(1))
            assert found[f"parameter_norm_d_{name}"][:, place] == pytest.approx(of_length, rel=1e-12)
        assert found["tangent_norm"][:, place] == pytest.approx(np.sqrt(((shrink * UNIT) ** 2).sum(1)), rel=1e-12)
    assert found["parameters_d_lr"] == pytest.approx(by_rate * w, rel=1e-12)
    assert (found["final_loss_d_lr"] == found["loss_d_lr"][:, -1]).all()
    assert np.isnan(found["loss_d_momentum"]).all()
    assert not [name for name in found if "steps_taken_d" in name or "status_d" in name]


@pytest.mark.full
def test_a_schedule_that_ends_at_nought_has_the_derivatives_of_its_formula():
    schedule = gd.Polynomial(steps=30, power=0.5)  # of which the power is infinitely steep where nothing is left
    setting = setting_of(QUADRATIC, gd.SGD(lr=0.1), schedule=schedule, init=gd.Normal(), tangents=(LR, Tangent("power", "schedule_power")))
    batch = batch_of(setting, [{}], starts=3)
    found = train_batch(setting, batch, 4).columns
    assert same_bits(train_batch(setting._replace(tangents=()), batch, 4).columns, found)
    left = 1 - np.arange(30)[:, None, None] / 30
    rate, by_power = 0.1 * left**0.5, 0.1 * left**0.5 * np.log(left)
    w = initial_points(gd.Normal(), QUADRATIC, 0, batch.start) * (1 - CURVATURE * rate).prod(0)
    for name, slope in (("lr", left**0.5), ("power", by_power)):
        assert found[f"parameters_d_{name}"] == pytest.approx(w * (-CURVATURE * slope / (1 - CURVATURE * rate)).sum(0), rel=1e-12), name


def adam(w, g, state, t, h):
    """A step from the formula, for JAX: (w, state)."""
    m, v = h["beta1"] * state[0] + (1 - h["beta1"]) * g, h["beta2"] * state[1] + (1 - h["beta2"]) * g * g
    return w - h["lr"] * (m / (1 - h["beta1"] ** t)) / (v / (1 - h["beta2"] ** t) + h["eps"]) ** 0.5, (m, v)


def momentum(w, g, state, t, h):
    velocity = h["momentum"] * state[0] + h["lr"] * g
    return w - velocity, (velocity, state[1])


def rosenbrock(x, h):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def moons(x, h):
    """Mean cross-entropy of 2-4-2 tanh with l2 on weights."""
    import jax

    W1, b1, W2, b2 = x[:8].reshape(4, 2), x[8:12], x[12:20].reshape(2, 4), x[20:]
    scores = jax.numpy.tanh(MOONS.X @ W1.T + b1) @ W2.T + b2
    losses = jax.nn.logsumexp(scores, 1) - scores[np.arange(len(MOONS.y)), MOONS.y]
    return losses.mean() + 0.5 * h["penalty_l2"] * ((W1**2).sum() + (W2**2).sum())


MOONS = gd.datasets.load("moons")
NETWORK = gd.MLP(MOONS, hidden=[4], activation="tanh", l2=0.01)


@pytest.mark.full
@pytest.mark.parametrize(
    ("problem", "loss", "rule", "step", "by"),
    [
        (gd.functions.Rosenbrock(), rosenbrock, gd.Momentum(lr=5e-4), momentum, ("lr", "momentum")),
        (gd.functions.Rosenbrock(), rosenbrock, gd.Adam(lr=0.02), adam, ("lr", "beta1", "beta2", "eps")),
        (NETWORK, moons, gd.Adam(lr=0.02), adam, ("lr", "penalty_l2")),
    ],
    ids=["Momentum", "Adam", "network"],
)
def test_fifty_steps_have_the_derivatives_that_jax_finds(problem, loss, rule, step, by):
    jax = pytest.importorskip("jax", reason="pip install jax")
    setting = setting_of(problem, rule, tangents=tuple(Tangent(n, n) for n in by))
    batch = batch_of(setting, [{}], starts=5)
    found = train_batch(setting, batch, 8).columns
    assert same_bits(train_batch(setting._replace(tangents=()), batch, 8).columns, found)
    numbers = {**rule.hyperparameters(), "penalty_l2": problem.l2}

    def end(numbers, w):
        def once(carried, t):
            return step(carried[0], jax.grad(loss)(carried[0], numbers), carried[1], t, numbers), None

        w = jax.lax.scan(once, (w, (0.0 * w, 0.0 * w)), jax.numpy.arange(1.0, 51.0))[0][0]
        return w, loss(w, numbers)

    with jax.enable_x64(True):
        starts = jax.numpy.array(initial_points(setting.init, problem, 0, batch.start))
        derivatives = jax.jit(jax.vmap(jax.jacfwd(end), (None, 0)))(numbers, starts)
    for name in by:
        assert found[f"parameters_d_{name}"] == pytest.approx(np.array(derivatives[0][name]), rel=1e-8, abs=1e-10)
        assert found[f"final_loss_d_{name}"] == pytest.approx(np.array(derivatives[1][name]), rel=1e-8, abs=1e-12)


@pytest.mark.full
def test_runs_that_go_on_keep_their_tangents():
    record = gd.Record(every=10, gradient_norm=True, parameters=True, state=True)
    whole = setting_of(NETWORK, gd.Adam(lr=0.02), record=record, tangents=(LR, Tangent("penalty_l2", "penalty_l2")))
    batch = batch_of(whole, [{}, {"lr": 0.1}], starts=3)
    at_once = train_batch(whole, batch, 8).columns
    ends = train_batch(whole._replace(steps=30), batch, 8).columns
    found = train_batch(whole._replace(began=30), batch, 8, earlier=ends).columns
    for name in at_once:
        on = slice(3, None) if at_once[name].ndim == 2 and "parameter" not in name and "state" not in name else slice(None)
        assert found[name].tobytes() == (at_once[name][:, on] if at_once[name].ndim == 2 else at_once[name]).tobytes(), name
    plain = train_batch(whole._replace(steps=30, tangents=()), batch, 8).columns
    with pytest.raises(ValueError, match="kept no derivatives by lr"):
        train_batch(whole._replace(began=30), batch, 8, earlier=plain)


@pytest.mark.full
def test_tangents_of_a_run_have_the_same_bits_in_any_company_and_near_their_values_in_single_precision():
    setting = setting_of(NETWORK, gd.Adam(lr=0.02), batch=32, tangents=(LR, DIRECTION._replace(direction=gd.Direction())))
    batch = batch_of(setting, [{}, {"lr": 0.1}], starts=8)
    found = train_batch(setting, batch, 8).columns
    alone = train_batch(setting._replace(tangents=setting.tangents[1:]), batch.part(np.array([5])), 4).columns
    assert same_bits(alone, {name: column[5:6] for name, column in found.items()})
    single = train_batch(setting._replace(dtype="float32"), batch, 16).columns
    for name in ("final_loss_d_lr", "final_loss_d_direction", "tangent_norm"):
        assert np.median(np.abs(single[name] - found[name]) / np.abs(found[name])) < 1e-4
    assert single["parameters_d_lr"].dtype == np.float32


@pytest.mark.full
def test_stops_look_at_values_and_what_they_keep_has_tangents():
    problem = gd.MLP(gd.Data(MOONS.X, MOONS.y, validation=0.2), hidden=[4], activation="tanh", l2=0.01)
    stops = (gd.RelativeTarget(0.5), gd.Validation(patience=2), gd.Plateau(patience=3, batches=True))
    setting = setting_of(problem, gd.Adam(lr=0.02), batch=64, stops=stops, tangents=(LR,))
    batch, plain = batch_of(setting, [{}, {"lr": 0.2}], starts=6), setting._replace(tangents=())
    found = train_batch(setting, batch, 8).columns
    assert len(set(found["reason"].tolist())) > 2
    assert same_bits(train_batch(plain, batch, 8).columns, found)
    share = 1e-5
    low, high = (train_batch(plain, batch._replace(values=[{**v, "lr": v["lr"] * (1 + s)} for v in batch.values]), 8).columns for s in (-share, share))
    assert (low["steps_taken"] == high["steps_taken"]).all()
    for name in ("loss", "epoch_loss", "best_loss", "best_validation_loss", "final_validation_loss", "best_parameters"):
        steps = (2 * share * np.array([0.02, 0.2])[batch.cell]).reshape(-1, *[1] * (low[name].ndim - 1))
        assert found[f"{name}_d_lr"] == pytest.approx((high[name] - low[name]) / steps, rel=1e-5, abs=1e-6, nan_ok=True), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.__name__)
def test_every_rule_has_the_derivatives_of_differences(kind):
    rule = kind(eps=1e-3) if "eps" in kind.ranges else kind()  # a change of the usual eps, 1e-16, would be lost
    by = [name for name, value in rule.hyperparameters().items() if value]
    setting = setting_of(gd.functions.StyblinskiTang(), rule, steps=20, tangents=tuple(Tangent(n, n) for n in by))
    batch = batch_of(setting, [{}], starts=9)
    found = train_batch(setting, batch, 8).columns
    plain = setting._replace(tangents=())
    assert same_bits(train_batch(plain, batch, 8).columns, found)
    for name in by:
        value = batch.values[0][name]
        near, far = (min(value, 1 - value if value < 1 else value) * share for share in (1e-4, 2e-4))
        ends = [
            train_batch(plain, batch._replace(values=[{**batch.values[0], name: value + step}]), 8).columns["parameters"] for step in (far, near, -near, -far)
        ]
        truth = (8 * (ends[1] - ends[2]) - (ends[0] - ends[3])) / (12 * near)
        errors = np.abs(found[f"parameters_d_{name}"] - truth).max(1)
        assert np.median(errors) <= 1e-6 * np.abs(truth).max() + 1e-9, name
