"""Every rule against PyTorch and optax step by step, against formulas, and against itself outside a kernel."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.rules import RULES
from tests.helpers import torch_loss, torch_tensors

SCHEDULES = {
    "constant": (gd.Constant(), lambda t: 1.0),
    "cosine": (gd.Cosine(cycle=7), lambda t: 0.5 * (1 + np.cos(np.pi * ((t - 1) % 7) / 7))),
    "inverse_time": (gd.InverseTime(), lambda t: 1.0 / t),
    "power": (gd.Power(0.3), lambda t: t**-0.3),
}
# One row a rule: hyperparameters that make 100 informative steps, and PyTorch's optimizer for convention="torch".
TORCH = {
    "SGD": ({"lr": 0.3}, lambda t, p: t.optim.SGD(p, lr=0.3)),
    "Momentum": ({"lr": 0.1, "momentum": 0.8}, lambda t, p: t.optim.SGD(p, lr=0.1, momentum=0.8)),
    "Nesterov": ({"lr": 0.1, "momentum": 0.8}, lambda t, p: t.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True)),
    "AdaGrad": ({"lr": 0.1}, lambda t, p: t.optim.Adagrad(p, lr=0.1)),
    "RMSprop": ({"lr": 0.01}, lambda t, p: t.optim.RMSprop(p, lr=0.01)),
    "Adam": ({"lr": 0.01}, lambda t, p: t.optim.Adam(p, lr=0.01)),
}


def problem_of(data=None):
    rng = np.random.default_rng(3)
    return gd.MLP(data or gd.Data(rng.normal(size=(20, 4)), rng.integers(0, 3, 20)), hidden=[5], activation="tanh")


def trained(rule, schedule, dtype, steps=100, **options):
    sweep = gd.Sweep(
        problem=problem_of(), optimizer=rule, schedule=schedule, steps=steps, dtype=dtype, init=gd.Normal(0.5),
        record=gd.Record(every=10, trajectory=True, gradient_norm=False), **options,
    )  # fmt: skip
    return sweep, sweep.run()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", TORCH)
def test_a_rule_follows_pytorch(torch, name, dtype):
    schedule, factor = SCHEDULES["cosine"]
    settings, make = TORCH[name]
    sweep, result = trained(getattr(gd, name)(**settings, convention="torch"), schedule, dtype)
    problem, kind = sweep.problem[0], getattr(torch, dtype)
    vector = torch.tensor(result.trajectory.values[0, 0], dtype=kind, requires_grad=True)
    X, y = torch_tensors(torch, problem.data, kind)
    optimizer = make(torch, [vector])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: factor(epoch + 1))
    steps = result.step.values.tolist()
    for t in range(1, 101):
        optimizer.zero_grad()
        torch_loss(torch, problem, vector, X, y).backward()
        optimizer.step()
        scheduler.step()
        if t in steps:
            ours = result.trajectory.values[0, steps.index(t)]
            error = np.linalg.norm(ours - vector.detach().numpy()) / np.linalg.norm(ours)
            assert error < {"float32": 1e-5, "float64": 1e-12}[dtype], t


def reference(name, w, gradient, rate, steps):
    """The lecture's formulas in float64, one function a rule: the reported parameters after `steps` steps."""
    h, v, m, s = (np.zeros_like(w) for _ in range(4))
    a, b1, b2, eps = 0.9, 0.9, 0.999, 1e-16
    for t in range(1, steps + 1):
        eta = rate(t)
        g = gradient(w - a * h if name == "Nesterov" else w)
        if name == "SGD":
            w = w - eta * g
        elif name in ("Momentum", "Nesterov"):
            h = a * h + eta * g
            w = w - h
        elif name == "AdaGrad":
            v = v + g * g
            w = w - eta * g / np.sqrt(v + eps)
        elif name == "RMSprop":
            v = 0.9 * v + 0.1 * g * g
            w = w - eta * g / np.sqrt(v + eps)
        elif name == "Adam":
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            w = w - eta * m / (1 - b1**t) / np.sqrt(v / (1 - b2**t) + eps)
        elif name == "AdaBelief":
            m = b1 * m + (1 - b1) * g
            s = b2 * s + (1 - b2) * (g - m) ** 2 + eps
            w = w - eta * m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + eps)
    return w


@pytest.mark.parametrize("schedule", ["constant", pytest.param("power", marks=pytest.mark.slow), pytest.param("inverse_time", marks=pytest.mark.slow)])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_a_rule_is_the_lectures_formula(torch, rule, schedule):
    declared, factor = SCHEDULES[schedule]
    sweep, result = trained(rule(lr=0.02), declared, "float64")
    problem = sweep.problem[0]
    X, y = torch_tensors(torch, problem.data, torch.float64)

    def gradient(w):
        vector = torch.tensor(w, requires_grad=True)
        torch_loss(torch, problem, vector, X, y).backward()
        return vector.grad.numpy()

    start = result.trajectory.values[0, 0]
    expected, moved = (reference(rule.__name__, w, gradient, lambda t: 0.02 * factor(t), 100) for w in (start, start * (1 + 1e-15)))
    # RMSprop on the falling rate of `Power` multiplies a change of the start in its last bits by 10^10: the formula itself says
    # how far a path can be followed.
    allowed = 1e-12 * np.linalg.norm(expected) + 10 * np.linalg.norm(moved - expected)
    assert np.linalg.norm(result.trajectory.values[0, -1] - expected) < allowed
    assert np.linalg.norm(result.trajectory.values[0, 3] - reference(rule.__name__, start, gradient, lambda t: 0.02 * factor(t), 30)) < 1e-12


def stepped(rule, w, gradients, dtype):
    """The stored weight and slots after steps with given gradients, in ordinary Python."""
    import types

    values = {n: getattr(rule, n) for n in rule.hyperparameters()}
    h = types.SimpleNamespace(**{k: dtype(v) for k, v in {**values, **rule.constants(values)}.items()})
    parts, slots, carry = rule.parts(), tuple(dtype(0) for _ in rule.slots), tuple(dtype(0) for _ in rule.carry)
    w = dtype(w)
    for g in gradients:
        s, carry = parts["prepare"](h, h.lr, carry)
        w, slots = parts["update"](w, dtype(g), slots, s)
    return w, slots, s


FIRST_STEPS = {
    "AdaGrad": ({"lr": 0.1, "eps": 0.0}, 0.1),
    "RMSprop": ({"lr": 0.1, "eps": 0.0}, 0.1 / np.sqrt(0.1)),
    "Adam": ({"lr": 0.1, "eps": 0.0}, 0.1),
    "AdaBelief": ({"lr": 0.1, "eps": 0.0}, 0.1 / 0.9),
}


@pytest.mark.parametrize("name", FIRST_STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_step_has_a_known_size(name, dtype):
    settings, size = FIRST_STEPS[name]
    w, _, _ = stepped(getattr(gd, name)(**settings), 1.0, [0.37], dtype)
    assert 1.0 - w == pytest.approx(size, rel={np.float32: 2e-6, np.float64: 1e-14}[dtype])


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_a_rule_has_the_same_bits_in_python_and_in_a_kernel(rule):
    """A network of one weight per input and one sample: the gradient of its bias under absolute error is 1 for ever."""
    problem = gd.MLP(gd.Data([[0.0]], [-1e6]), hidden=[], loss="absolute_error")
    sweep = gd.Sweep(problem=problem, optimizer=rule(lr=0.3), steps=50, init="zeros", record=gd.Record(parameters=True))
    w, slots, s = stepped(rule(lr=0.3), 0.0, [1.0] * 50, np.float32)
    reported = rule(lr=0.3).parts()["report"](w, slots, s)
    assert sweep.run().parameters.values[0, 1] == reported
    assert isinstance(reported, np.float32)


def test_optax_agrees_on_adabelief():
    """optax follows the authors: eps inside the running mean of squares, and outside the root."""
    pytest.importorskip("optax", reason="optax is not installed: pip install -e '.[oracles]'")
    import jax
    import optax

    with jax.enable_x64(True):
        optimizer = optax.adabelief(0.01, eps=1e-16, eps_root=1e-16)
        w = jax.numpy.array(1.0)
        state = optimizer.init(w)
        rng = np.random.default_rng(0)
        gradients = rng.normal(size=40)
        for g in gradients:
            update, state = optimizer.update(jax.numpy.array(g), state)
            w = optax.apply_updates(w, update)
        ours, _, _ = stepped(gd.AdaBelief(lr=0.01), 1.0, gradients, np.float64)
        assert float(w) == pytest.approx(float(ours), rel=1e-13)


def test_momentum_conventions_differ_by_where_the_rate_stands():
    """SCIENCE.md, section 5: rates .1, .05, .025 and gradients 1, 2, -1 give these weights."""
    from gdsim.rules.momentum import MomentumStep

    for update, expected in ((gd.Momentum.update, [-0.1, -0.29, -0.436]), (gd.Momentum.update_torch, [-0.1, -0.245, -0.28525])):
        w, slots, path = 0.0, (0.0,), []
        for rate, g in zip((0.1, 0.05, 0.025), (1.0, 2.0, -1.0), strict=True):
            w, slots = update(w, g, slots, MomentumStep(rate, 0.9))
            path.append(w)
        assert path == pytest.approx(expected, rel=1e-14)


def test_nesterov_stores_the_point_that_pytorch_calls_the_parameter():
    gradients = np.random.default_rng(1).normal(size=30)
    y, slots, s = stepped(gd.Nesterov(lr=0.1, momentum=0.9), 1.0, gradients, np.float64)
    z, _, _ = stepped(gd.Nesterov(lr=0.1, momentum=0.9, convention="torch"), 1.0, gradients, np.float64)
    assert y == pytest.approx(z, rel=1e-13)
    assert gd.Nesterov.report(y, slots, s) != y


def test_adams_literal_reading_freezes_and_ours_does_not():
    """Feeding the corrected means back makes the step vanish (SCIENCE.md, section 5); the raw means must be the state."""
    m = v = 0.0
    literal = []
    for t in range(1, 11):
        m, v = (0.9 * m + 0.1) / (1 - 0.9**t), (0.999 * v + 0.001) / (1 - 0.999**t)
        literal.append(m / np.sqrt(v))
    assert literal[1] == pytest.approx(0.2353, abs=1e-4)
    assert literal[-1] < 1e-6
    ten, _, _ = stepped(gd.Adam(lr=1.0, eps=0.0), 0.0, [1.0] * 10, np.float64)
    nine, _, _ = stepped(gd.Adam(lr=1.0, eps=0.0), 0.0, [1.0] * 9, np.float64)
    assert nine - ten == pytest.approx(1.0, rel=1e-12)


def test_a_rule_that_pytorch_lacks_says_so():
    with pytest.raises(ValueError, match=r"AdaBelief: convention='torch' is not defined.*allowed: 'lecture'"):
        gd.AdaBelief(convention="torch")
