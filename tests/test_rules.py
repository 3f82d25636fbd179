"""Every rule against PyTorch and optax step by step, against formulas, and against itself outside a
kernel.
"""

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
# One row a rule: hyperparameters that make 100 informative steps, and PyTorch's optimizer for
# convention="torch".
TORCH = {
    "SGD": ({"lr": 0.3}, lambda t, p: t.optim.SGD(p, lr=0.3)),
    "Momentum": ({"lr": 0.1, "momentum": 0.8}, lambda t, p: t.optim.SGD(p, lr=0.1, momentum=0.8)),
    "Nesterov": ({"lr": 0.1, "momentum": 0.8}, lambda t, p: t.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True)),
    "AdaGrad": ({"lr": 0.1}, lambda t, p: t.optim.Adagrad(p, lr=0.1)),
    "RMSprop": ({"lr": 0.01}, lambda t, p: t.optim.RMSprop(p, lr=0.01)),
    "Adam": ({"lr": 0.01}, lambda t, p: t.optim.Adam(p, lr=0.01)),
    "AdamW": ({"lr": 0.01, "weight_decay": 0.1}, lambda t, p: t.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
    "AMSGrad": ({"lr": 0.01}, lambda t, p: t.optim.Adam(p, lr=0.01, amsgrad=True)),
    "NAdam": ({"lr": 0.01}, lambda t, p: t.optim.NAdam(p, lr=0.01)),
    "RAdam": ({"lr": 0.01}, lambda t, p: t.optim.RAdam(p, lr=0.01)),
    "Adadelta": ({"lr": 1.0}, lambda t, p: t.optim.Adadelta(p, lr=1.0)),
}
# The same for optax, which has no schedule here: a rule and its form there.
OPTAX = {
    "adam": (gd.Adam(lr=0.01, convention="optax"), lambda o: o.adam(0.01)),
    "adam with eps inside": (gd.Adam(lr=0.01, eps=1e-6, eps_mode="inside"), lambda o: o.adam(0.01, eps=0.0, eps_root=1e-6)),
    "adamw": (gd.AdamW(lr=0.01, convention="optax"), lambda o: o.adamw(0.01)),
    "amsgrad": (gd.AMSGrad(lr=0.01, convention="optax"), lambda o: o.amsgrad(0.01)),
    "nadam": (gd.NAdam(lr=0.01, convention="optax"), lambda o: o.nadam(0.01)),
    "radam": (gd.RAdam(lr=0.01, convention="optax"), lambda o: o.radam(0.01)),
    "adadelta": (gd.Adadelta(lr=0.5, convention="optax"), lambda o: o.adadelta(0.5, rho=0.9, eps=1e-6)),
    "lion": (gd.Lion(lr=0.01, convention="optax"), lambda o: o.lion(0.01)),
    "adabelief": (gd.AdaBelief(lr=0.01), lambda o: o.adabelief(0.01, eps=1e-16, eps_root=1e-16)),
    "rmsprop with eps inside": (gd.RMSprop(lr=0.01, eps=1e-8), lambda o: o.rmsprop(0.01, decay=0.9, eps=1e-8)),
    "clipped values": (gd.ClipValue(gd.SGD(lr=0.1), 0.5), lambda o: o.chain(o.clip(0.5), o.sgd(0.1))),
    "decoupled decay": (
        gd.WeightDecay(gd.Momentum(lr=0.1, convention="torch"), 0.01),
        lambda o: o.chain(o.trace(0.9), o.add_decayed_weights(0.01), o.scale(-0.1)),
    ),
    "coupled decay": (gd.WeightDecay(gd.Adam(lr=0.1, convention="optax"), 0.01, decoupled=False), lambda o: o.chain(o.add_decayed_weights(0.01), o.adam(0.1))),
}


def problem_of(data=None):
    rng = np.random.default_rng(3)
    return gd.MLP(data or gd.Data(rng.normal(size=(20, 4)), rng.integers(0, 3, 20)), hidden=[5], activation="tanh")


def trained(rule, schedule, dtype, problem=None, **options):
    sweep = gd.Sweep(
        problem=problem or problem_of(), optimizer=rule, schedule=schedule, steps=100, dtype=dtype, init=gd.Normal(0.5),
        record=gd.Record(every=10, trajectory=True, gradient_norm=False), **options,
    )  # fmt: skip
    return sweep, sweep.run()


# A function that is smooth and curved at most as much as a network, which compiles in a quarter of the time.
WAVES = gd.Expression("sin(a) + (a - b)**2/4 + softplus(b)")


def torch_objective(torch, problem, kind):
    """The training loss as PyTorch has it, from the vector of parameters."""
    if problem is WAVES:
        return lambda w: torch.sin(w[0]) + (w[0] - w[1]) ** 2 / 4 + torch.nn.functional.softplus(w[1])
    X, y = torch_tensors(torch, problem.data, kind)
    return lambda w: torch_loss(torch, problem, w, X, y)


@pytest.mark.parametrize(
    ("place", "dtype"),
    [("function", "float64"), pytest.param("network", "float64", marks=pytest.mark.full), pytest.param("network", "float32", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", TORCH)
def test_a_rule_follows_pytorch(torch, name, place, dtype):
    schedule, factor = SCHEDULES["cosine"]
    settings, make = TORCH[name]
    sweep, result = trained(getattr(gd, name)(**settings, convention="torch"), schedule, dtype, WAVES if place == "function" else None)
    kind = getattr(torch, dtype)
    vector = torch.tensor(result.trajectory.values[0, 0], dtype=kind, requires_grad=True)
    objective = torch_objective(torch, sweep.problem[0], kind)
    optimizer = make(torch, [vector])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: factor(epoch + 1))
    steps = result.step.values.tolist()
    for t in range(1, 101):
        optimizer.zero_grad()
        objective(vector).backward()
        optimizer.step()
        scheduler.step()
        if t in steps:
            ours = result.trajectory.values[0, steps.index(t)]
            error = np.linalg.norm(ours - vector.detach().numpy()) / np.linalg.norm(ours)
            # PyTorch keeps the product of NAdam's momenta in single precision.
            assert error < {"float32": 1e-5, "float64": 1e-8 if name == "NAdam" else 1e-12}[dtype], t


# PyTorch's class where its name is another, and where it keeps the default of a field.
CLASS = {"Momentum": "SGD", "Nesterov": "SGD", "AdaGrad": "Adagrad", "AMSGrad": "Adam"}
PLACE = {
    "beta1": ("betas", 0), "beta2": ("betas", 1), "shrink": ("etas", 0), "grow": ("etas", 1), "smallest": ("step_sizes", 0), "largest": ("step_sizes", 1),
}  # fmt: skip
OTHER_NAME = {("RMSprop", "decay"): "alpha", ("Adadelta", "decay"): "rho"}


def test_fields_that_are_not_given_have_pytorchs_defaults(torch):
    known = [r.__name__ for r in RULES if "torch" in r.defaults]
    assert set(known) == {*TORCH, "Rprop"}
    for name in known:
        theirs = getattr(torch.optim, CLASS.get(name, name))([torch.zeros(1)]).defaults
        for field, ours in getattr(gd, name)(convention="torch").hyperparameters().items():
            if field == "momentum":  # PyTorch's is 0, which is gd.SGD
                continue
            key, *place = PLACE.get(field, (OTHER_NAME.get((name, field), field),))
            assert ours == (theirs[key][place[0]] if place else theirs[key]), (name, field)


A, B1, B2, EPS = 0.9, 0.9, 0.999, 1e-16
# The lecture's formulas in float64, one a rule: (w, its state) after update t, from w, the gradient as a
# function, the rate and the state.


def sgd(w, gradient, eta, t, state):
    return w - eta * gradient(w), state


def momentum(w, gradient, eta, t, h):
    h = A * h + eta * gradient(w)
    return w - h, h


def nesterov(w, gradient, eta, t, h):
    h = A * h + eta * gradient(w - A * h)
    return w - h, h


def adagrad(w, gradient, eta, t, v):
    g = gradient(w)
    v = v + g * g
    return w - eta * g / np.sqrt(v + EPS), v


def rmsprop(w, gradient, eta, t, v):
    g = gradient(w)
    v = 0.9 * v + 0.1 * g * g
    return w - eta * g / np.sqrt(v + EPS), v


def running_means(g, state):
    return B1 * state[0] + (1 - B1) * g, B2 * state[1] + (1 - B2) * g * g


def adam(w, gradient, eta, t, state):
    m, v = running_means(gradient(w), state)
    return w - eta * m / (1 - B1**t) / np.sqrt(v / (1 - B2**t) + EPS), np.array([m, v])


def adamw(w, gradient, eta, t, state):
    stepped, state = adam(w, gradient, eta, t, state)
    return stepped - eta * 0.01 * w, state


def adabelief(w, gradient, eta, t, state):
    g = gradient(w)
    m = B1 * state[0] + (1 - B1) * g
    s = B2 * state[1] + (1 - B2) * (g - m) ** 2 + EPS
    return w - eta * m / (1 - B1**t) / (np.sqrt(s / (1 - B2**t)) + EPS), np.array([m, s])


def amsgrad(w, gradient, eta, t, state):
    m, v = running_means(gradient(w), state)
    largest = np.maximum(state[2], v)
    return w - eta * m / np.sqrt(largest + EPS), np.array([m, v, largest])


def nadam(w, gradient, eta, t, state):
    g = gradient(w)
    m, v = running_means(g, state)
    ahead = B1 * m / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
    return w - eta * ahead / np.sqrt(v / (1 - B2**t) + EPS), np.array([m, v])


def radam(w, gradient, eta, t, state):
    m, v = running_means(gradient(w), state)
    limit = 2 / (1 - B2) - 1
    r = limit - 2 * t * B2**t / (1 - B2**t)
    step = eta * m / (1 - B1**t)
    if r > 5:
        step = np.sqrt((r - 4) * (r - 2) * limit / ((limit - 4) * (limit - 2) * r)) * step / np.sqrt(v / (1 - B2**t) + EPS)
    return w - step, np.array([m, v])


# The function of each rule, and how many numbers a weight it keeps.
REFERENCE = {
    "SGD": (sgd, 0), "Momentum": (momentum, 1), "Nesterov": (nesterov, 1), "AdaGrad": (adagrad, 1), "RMSprop": (rmsprop, 1), "Adam": (adam, 2),
    "AdaBelief": (adabelief, 2), "AdamW": (adamw, 2), "AMSGrad": (amsgrad, 3), "NAdam": (nadam, 2), "RAdam": (radam, 2),
}  # fmt: skip


def reference(name, w, gradient, rate, steps):
    """The reported parameters after `steps` steps of a rule's formula."""
    step, kept = REFERENCE[name]
    state = np.zeros((kept, *w.shape)) if kept > 1 else np.zeros_like(w)
    for t in range(1, steps + 1):
        w, state = step(w, gradient, rate(t), t, state)
    return w


@pytest.mark.parametrize("schedule", ["constant", pytest.param("power", marks=pytest.mark.slow), pytest.param("inverse_time", marks=pytest.mark.slow)])
@pytest.mark.parametrize("rule", [r for r in RULES if r.__name__ in REFERENCE], ids=lambda r: r.__name__)
def test_a_rule_is_the_lectures_formula(rule, schedule):
    declared, factor = SCHEDULES[schedule]
    problem = gd.functions.StyblinskiTang()
    _, result = trained(rule(lr=0.02), declared, "float64", problem=problem)
    gradient = problem.gradient
    start = result.trajectory.values[0, 0]
    expected, moved = (reference(rule.__name__, w, gradient, lambda t: 0.02 * factor(t), 100) for w in (start, start * (1 + 1e-15)))
    # RMSprop on the falling rate of `Power` multiplies a change of the start in its last bits by 10^10: the
    # formula itself says how far a path can be followed.
    allowed = 1e-12 * np.linalg.norm(expected) + 10 * np.linalg.norm(moved - expected)
    assert np.linalg.norm(result.trajectory.values[0, -1] - expected) < allowed
    assert np.linalg.norm(result.trajectory.values[0, 3] - reference(rule.__name__, start, gradient, lambda t: 0.02 * factor(t), 30)) < 1e-12


def stepped(rule, w, gradients, dtype):
    """The stored weight and slots after steps with given gradients, the loss at w being w, in ordinary
    Python.
    """
    import types

    values = rule.hyperparameters()
    h = types.SimpleNamespace(**{k: dtype(v) for k, v in {**values, **rule.constants(values)}.items()})
    parts, slots, carry = rule.parts(), tuple(dtype(0) for _ in rule.slots), tuple(dtype(0) for _ in rule.carry)
    w = dtype(w)
    for g in gradients:
        s, carry = parts["prepare"](h, dtype(h.lr), carry)
        if rule.needs_whole_gradient:
            s = parts["with_gradient"](s, dtype(abs(g)), w)
        w, slots = parts["update"](w, dtype(g), slots, s)
    return w, slots, s


FIRST_STEPS = {
    "AdaGrad": ({"lr": 0.1, "eps": 0.0}, 0.1),
    "RMSprop": ({"lr": 0.1, "eps": 0.0}, 0.1 / np.sqrt(0.1)),
    "Adam": ({"lr": 0.1, "eps": 0.0}, 0.1),
    "AdaBelief": ({"lr": 0.1, "eps": 0.0}, 0.1 / 0.9),
    "AdamW": ({"lr": 0.1, "eps": 0.0, "weight_decay": 0.0}, 0.1),
    "Lion": ({"lr": 0.1}, 0.1),
    "Rprop": ({"lr": 0.1}, 0.1),
    "Adadelta": ({"lr": 1.0}, np.sqrt(1e-6 / (0.1 + 1e-6 / 0.37**2))),
}


@pytest.mark.parametrize("name", FIRST_STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_step_has_a_known_size(name, dtype):
    settings, size = FIRST_STEPS[name]
    w, _, _ = stepped(getattr(gd, name)(**settings), 0.0, [0.37], dtype)
    assert -w == pytest.approx(size, rel={np.float32: 2e-6, np.float64: 1e-14}[dtype])


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_a_rule_has_the_same_bits_in_python_and_in_a_kernel(rule):
    """On a slope: the gradient is 1 for ever; PolyakStep falls to where it is told."""
    problem, declared = gd.Expression("a", variables=["a"]), rule(lr=0.3, **({"minimum": -0.7} if rule is gd.PolyakStep else {}))
    sweep = gd.Sweep(problem=problem, optimizer=declared, steps=50, init="zeros", dtype="float32", record=gd.Record(parameters=True))
    w, slots, s = stepped(declared, 0.0, [1.0] * 50, np.float32)
    reported = declared.parts()["reported"](w, slots, s)
    assert sweep.run().parameters.values[0, 0] == reported
    assert isinstance(reported, np.float32)


# The others are PyTorch's too, or a rule and a wrapper that have a row.
FIRST = ("adam", "lion", "adabelief", "rmsprop with eps inside", "clipped values", "decoupled decay")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FIRST else pytest.mark.full) for n in OPTAX])
def test_a_rule_follows_optax(name):
    """Step by step on the same gradients, which grow and turn their signs."""
    pytest.importorskip("optax", reason="optax is not installed: pip install -e '.[oracles]'")
    import jax
    import optax

    rule, make = OPTAX[name]
    gradients = np.random.default_rng(0).normal(size=(60, 3)) * np.array([1.0, 0.01, 10.0])
    data = gd.Data(gradients, np.zeros(60))  # one sample a step, in order: the gradient of w.x is x
    problem = gd.Expression("a*x0 + b*x1 + c*x2 + 0*y", variables=["a", "b", "c"], data=data)
    sweep = gd.Sweep(
        problem=problem, optimizer=rule, steps=60, batch=1, shuffle="once", init=np.array([[1.0, -1.0, 0.5]]), record=gd.Record(every=1, trajectory=True)
    )
    ours, order = sweep.run().trajectory.values[0], sweep.order(0).ravel()
    with jax.enable_x64(True):
        optimizer = make(optax)
        w = jax.numpy.array(ours[0])
        state = optimizer.init(w)
        for t, sample in enumerate(order, 1):
            update, state = optimizer.update(jax.numpy.array(gradients[sample]), state, w)
            w = optax.apply_updates(w, update)
            assert np.allclose(ours[t], w, rtol=1e-11, atol=1e-13), t


@pytest.mark.parametrize("place", ["function", pytest.param("network", marks=pytest.mark.full)])
def test_rprop_follows_pytorch(torch, place):
    sweep, result = trained(gd.Rprop(lr=0.01), gd.Constant(), "float64", WAVES if place == "function" else None)
    vector = torch.tensor(result.trajectory.values[0, 0], requires_grad=True)
    objective = torch_objective(torch, sweep.problem[0], torch.float64)
    optimizer = torch.optim.Rprop([vector], lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        objective(vector).backward()
        optimizer.step()
    assert np.allclose(result.trajectory.values[0, 2], vector.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "batch"),
    [
        pytest.param("norm", 5, marks=pytest.mark.full),
        pytest.param("value", None, marks=pytest.mark.full),
        *(pytest.param(k, b, marks=pytest.mark.slow) for k, b in (("norm", None), ("value", 5))),
    ],
)
def test_clipping_follows_pytorch(torch, kind, batch):
    wrap = gd.ClipNorm(gd.Momentum(lr=0.5, convention="torch"), 0.05) if kind == "norm" else gd.ClipValue(gd.Momentum(lr=0.5, convention="torch"), 0.01)
    sweep, result = trained(wrap, gd.Constant(), "float64", batch=batch)
    vector = torch.tensor(result.trajectory.values[0, 0], requires_grad=True)
    X, y = torch_tensors(torch, sweep.problem[0].data, torch.float64)
    optimizer = torch.optim.SGD([vector], lr=0.5, momentum=0.9)
    for samples in sweep.order(0)[:30]:
        optimizer.zero_grad()
        torch_loss(torch, sweep.problem[0], vector, X[samples], y[samples]).backward()
        if kind == "norm":
            torch.nn.utils.clip_grad_norm_([vector], 0.05)
        else:
            torch.nn.utils.clip_grad_value_([vector], 0.01)
        optimizer.step()
    assert np.allclose(result.trajectory.values[0, 3], vector.detach().numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.full
@pytest.mark.parametrize("batch", [None, 5])
def test_sam_takes_its_gradient_uphill(torch, batch):
    sweep, result = trained(gd.SAM(gd.SGD(lr=0.2), rho=0.1), gd.Constant(), "float64", batch=batch)
    w = torch.tensor(result.trajectory.values[0, 0])
    X, y = torch_tensors(torch, sweep.problem[0].data, torch.float64)

    def gradient(at, samples):
        at = at.clone().requires_grad_()
        return torch.autograd.grad(torch_loss(torch, sweep.problem[0], at, X[samples], y[samples]), at)[0]

    for samples in sweep.order(0)[:30]:
        g = gradient(w, samples)
        w = w - 0.2 * gradient(w + 0.1 * g / g.norm(), samples)
    assert np.allclose(result.trajectory.values[0, 3], w.numpy(), rtol=1e-11, atol=1e-13)


def test_momentum_conventions_differ_by_where_the_rate_stands():
    """Rates .1, .05, .025 and gradients 1, 2, -1 give these weights."""
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
    assert gd.Nesterov.reported(y, slots, s) != y


def test_adams_literal_reading_freezes_and_ours_does_not():
    """Feeding the corrected means back makes the step vanish; the raw means must
    be the state.
    """
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
