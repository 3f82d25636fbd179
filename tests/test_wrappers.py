"""Wrapped rules against formulas: averages, clipping and SAM in every family of kernels.

PyTorch judges them in test_rules.py.
"""

import msgspec
import numpy as np
import pytest

import gdsim as gd
from tests.helpers import torch_loss, torch_tensors
from tests.test_rules import problem_of, trained


@pytest.mark.parametrize(("start", "every"), [(0, 1), (5, 1), (4, 3)])
def test_an_average_is_the_mean_of_iterates(start, every):
    options = {"problem": gd.functions.Booth(), "steps": 20, "record": gd.Record(every=1, trajectory=True)}
    path = gd.Sweep(optimizer=gd.Nesterov(lr=0.01), **options).run().trajectory.values[0]
    ours = gd.Sweep(optimizer=gd.Averaged(gd.Nesterov(lr=0.01), start=start, every=every), **options).run().trajectory.values[0]
    for t in range(21):
        taken = [k for k in range(1, t + 1) if k > start and (k - start) % every == 0]
        expected = path[taken].mean(0) if taken else path[t]
        assert np.allclose(ours[t], expected, rtol=1e-12, atol=1e-13), t


FAMILIES = {
    "in registers": gd.functions.Booth(), "in memory": gd.Quadratic([[3.0, 1.0], [1.0, 2.0]], [[0.5, -0.5]]),
    "of samples": gd.Expression("(a*x + b - y)**2", data=gd.Data(np.linspace(-1, 1, 9)[:, None], np.linspace(0, 3, 9) ** 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_what_needs_the_whole_gradient_has_it_in_every_family_of_kernels(name):
    """Clipping by norm and SAM beside NumPy, on functions in registers, in memory and of samples; a network
    is above.
    """
    problem = FAMILIES[name]
    if name == "in registers":
        gradient = problem.gradient
    elif name == "in memory":
        gradient = lambda w: problem.matrix.values @ (w - problem.minimum)  # noqa: E731
    else:
        columns = np.c_[problem.data.X, problem.data.y]
        gradient = lambda w: problem.gradient(np.c_[np.tile(w, (9, 1)), columns]).mean(0)  # noqa: E731
    options = {"problem": problem, "init": np.array([[2.0, -1.0]]), "steps": 15, "record": gd.Record(every=1, trajectory=True)}
    clipped = gd.Sweep(optimizer=gd.ClipNorm(gd.Momentum(lr=0.05), 0.5), **options).run().trajectory.values[0]
    climbing = gd.Sweep(optimizer=gd.SAM(gd.SGD(lr=0.02), rho=0.3), **options).run().trajectory.values[0]
    w, h, v = np.array([2.0, -1.0]), np.zeros(2), np.array([2.0, -1.0])
    for t in range(15):
        g = gradient(w)
        h = 0.9 * h + 0.05 * g * min(1.0, 0.5 / (np.linalg.norm(g) + 1e-6))
        w = w - h
        g = gradient(v)
        v = v - 0.02 * gradient(v + 0.3 * g / np.linalg.norm(g))
        assert np.allclose(clipped[t + 1], w, rtol=1e-11, atol=1e-12), t
        assert np.allclose(climbing[t + 1], v, rtol=1e-11, atol=1e-12), t


def test_wrappers_can_be_nested_and_swept_over():
    inner = gd.WeightDecay(gd.Adam(lr=[0.01, 0.1]), [0.0, 0.1])
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.Averaged(gd.ClipNorm(inner, 1.0)), gd.Adam(lr=0.01)], steps=5)
    result = sweep.run()
    assert result.sizes["run"] == 5
    assert set(result.optimizer.values.tolist()) == {"Adam"}
    assert result.wrapped_in.values.tolist()[::4] == ["Averaged, ClipNorm, WeightDecay decoupled=True", ""]
    assert len(set(result.label.values.tolist())) == 5


def objective_of(problem, samples=slice(None)):
    """(loss, gradient) of a linear model's squared error on samples, penalty included, by NumPy; the last
    parameter is the intercept.
    """
    X, y = np.c_[problem.data.X, np.ones(len(problem.data.X))][samples], problem.data.y[samples]
    weights = np.r_[np.ones(X.shape[1] - 1), 0.0]

    def at(w):
        errors, penalized = X @ w - y, weights * w
        loss = (errors**2).mean() + problem.l1 * abs(penalized).sum() + problem.l2 / 2 * (penalized**2).sum()
        return loss, 2 * X.T @ errors / len(y) + problem.l1 * np.sign(penalized) + problem.l2 * penalized

    return at


def clipped(g, most):
    """g, shortened to a length."""
    return g * min(1.0, most / (np.linalg.norm(g) + 1e-6))


def uphill(at, w, rho):
    """(loss, gradient) at w + rho g / |g|."""
    g = at(w)[1]
    return at(w + rho * g / np.linalg.norm(g))


def polyak(loss, g, lr, minimum):
    """The step of SPS_max with c = 1."""
    return min(lr, max(loss - minimum, 0.0) / (g @ g)) * g


@pytest.mark.full
@pytest.mark.parametrize("name", FAMILIES)
def test_polyaks_step_in_every_family_of_functions(name):
    """Beside NumPy, the losses and gradients by formulas; networks and linear models are elsewhere."""
    A, center = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([0.5, -0.5])
    x, y = np.linspace(-1, 1, 9), np.linspace(0, 3, 9) ** 2
    errors = {"in registers": lambda w: np.array([w[0] + 2 * w[1] - 7, 2 * w[0] + w[1] - 5]), "of samples": lambda w: (w[0] * x + w[1] - y) / 3}
    slopes = {"in registers": np.array([[1.0, 2.0], [2.0, 1.0]]), "of samples": np.c_[x, np.ones(9)] / 3}

    def at(w):
        if name == "in memory":
            return (w - center) @ A @ (w - center) / 2, A @ (w - center)
        return (errors[name](w) ** 2).sum(), 2 * slopes[name].T @ errors[name](w)

    sweep = gd.Sweep(
        problem=FAMILIES[name], optimizer=gd.PolyakStep(0.2, 0.05), init=np.array([[2.0, -1.0]]), steps=15, record=gd.Record(every=1, trajectory=True)
    )
    path = sweep.run().trajectory.values[0]
    w = path[0]
    for t in range(15):
        w = w - polyak(*at(w), 0.2, 0.05)
        assert np.allclose(path[t + 1], w, rtol=1e-11, atol=1e-12), t


# Each rule with the step that NumPy takes: of (loss, gradient) as a function of the weights.
WHOLE = {
    "clipped": (gd.ClipNorm(gd.SGD(lr=0.1), 0.5), lambda at, w: 0.1 * clipped(at(w)[1], 0.5)),
    "uphill": (gd.SAM(gd.SGD(lr=0.1), rho=0.3), lambda at, w: 0.1 * uphill(at, w, 0.3)[1]),
    "clipped uphill": (gd.SAM(gd.ClipNorm(gd.SGD(lr=0.1), 0.5), rho=0.3), lambda at, w: 0.1 * clipped(uphill(at, w, 0.3)[1], 0.5)),
    "uphill, clipped": (gd.ClipNorm(gd.SAM(gd.SGD(lr=0.1), rho=0.3), 0.5), lambda at, w: 0.1 * clipped(uphill(at, w, 0.3)[1], 0.5)),
    "polyak": (gd.PolyakStep(0.2, 0.05), lambda at, w: polyak(*at(w), 0.2, 0.05)),
    "polyak uphill": (gd.SAM(gd.PolyakStep(0.2, 0.05), rho=0.3), lambda at, w: polyak(*uphill(at, w, 0.3), 0.2, 0.05)),
}


# The first tier has the one in which all of penalty, length and way uphill count.
@pytest.mark.parametrize(
    ("name", "batch"), [pytest.param(n, b, marks=() if (n, b) == ("clipped uphill", 5) else pytest.mark.full) for n in WHOLE for b in (5, None)]
)
def test_rules_that_need_the_whole_gradient_have_it_with_its_penalty(name, batch):
    """On moments (whole data) and as a network of one layer (batches), with both penalties."""
    rule, step = WHOLE[name]
    rng = np.random.default_rng(5)
    X = rng.normal(size=(40, 3))
    problem = gd.LinearRegression(gd.Data(X, X @ [1.0, -2.0, 0.5] + rng.normal(size=40)), l1=0.1, l2=0.3)
    sweep = gd.Sweep(
        problem=problem,
        optimizer=rule,
        init=np.array([[2.0, -1.0, 0.7, 0.3]]),
        steps=30,
        batch=batch,
        dtype="float64",
        record=gd.Record(every=1, trajectory=True),
    )
    path, order = sweep.run().trajectory.values[0], sweep.order(0)
    w = path[0]
    for t in range(30):
        w = w - step(objective_of(problem, order[t]), w)
        assert np.allclose(path[t + 1], w, rtol=1e-10, atol=1e-12), t


@pytest.mark.full
@pytest.mark.parametrize("is_written_out", [False, True])
def test_polyaks_step_follows_pytorch(torch, is_written_out, monkeypatch):
    """A network's, by the loss of each batch with its penalty, in tiles and written out unit by unit."""
    if is_written_out:
        monkeypatch.setattr("gdsim.population.engine_choice.STEPS_WORTH_WRITING", 0)
    problem = msgspec.structs.replace(problem_of(), l2=0.1)
    weights = torch.tensor([1.0] * 20 + [0.0] * 5 + [1.0] * 15 + [0.0] * 3)  # biases bear no penalty
    sweep, result = trained(gd.PolyakStep(2.0, minimum=0.2), gd.Constant(), "float64", problem, batch=5)
    w = torch.tensor(result.trajectory.values[0, 0])
    X, y = torch_tensors(torch, problem.data, torch.float64)
    rates = []
    for samples in sweep.order(0)[:30]:
        w.requires_grad_()
        loss = torch_loss(torch, problem, w, X[samples], y[samples]) + 0.05 * (weights * w**2).sum()
        (g,) = torch.autograd.grad(loss, w)
        rates.append(min(2.0, max(loss.item() - 0.2, 0.0) / (g @ g).item()))
        w = (w - rates[-1] * g).detach()
    assert max(rates) == 2.0 > min(rates) > 0
    assert np.allclose(result.trajectory.values[0, 3], w.numpy(), rtol=1e-11, atol=1e-13)
