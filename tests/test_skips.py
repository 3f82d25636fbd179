"""Skip connections: losses, gradients, steps and products with the Hessian beside PyTorch, and what is refused."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.starts import initial_points
from gdsim.sweep.experiment.cells import labels
from tests.helpers import torch_loss, torch_tensors

rng = np.random.default_rng(1)
DATA = gd.Data(rng.normal(size=(70, 3)), rng.normal(size=(70, 2)))  # two blocks of samples, the last one short
TABLE = {"residual": [5, 5], "dense": [5, 4]}


def network(skip, **options):
    return gd.MLP(DATA, **{"hidden": TABLE.get(skip), "activation": "silu", "loss": "squared_error", "skip": skip, **options})


def points_of(problem, count=4):
    return np.random.default_rng(2).normal(size=(count, problem.parameter_count)) * 0.5


def in_torch(torch, problem, dtype="float64"):
    """The mean loss without penalties as a function of the parameter vector, and of it the gradient."""
    X, y = torch_tensors(torch, DATA, getattr(torch, dtype))

    def gradient(w):
        at = torch.tensor(w, requires_grad=True)
        return torch.autograd.grad(torch_loss(torch, problem, at, X, y), at)[0].numpy()

    return lambda w: torch_loss(torch, problem, w, X, y), gradient


def trained(problem, points, lanes, **options):
    sweep = {"optimizer": gd.SGD(lr=0.1), "steps": 3, "dtype": "float64", "record": gd.Record(every="ends", parameters=True), **options}
    return gd.Sweep(problem=problem, init=points, starts=len(points), **sweep).run(lanes=lanes, threads=1).parameters.values


@pytest.mark.parametrize("skip", TABLE)
def test_losses_gradients_and_steps_are_pytorchs(torch, skip):
    problem = network(skip)
    points, (loss, gradient) = points_of(problem), in_torch(torch, problem)
    scores = gd.evaluate(problem, points)
    assert scores.loss.values == pytest.approx([loss(torch.tensor(w)).item() for w in points], rel=1e-13)
    assert scores.gradient_norm.values == pytest.approx([np.linalg.norm(gradient(w)) for w in points], rel=1e-13)
    steps = points.copy()
    for _ in range(3):
        steps -= 0.1 * np.array([gradient(w) for w in steps])
    assert abs(trained(problem, points, 4) - steps).max() < 1e-13


@pytest.mark.full
@pytest.mark.parametrize("skip", TABLE)
def test_a_run_has_the_same_bits_alone_in_all_lanes(skip):
    problem = network(skip, hidden=[9, 9, 9], activation="tanh", l2=0.01)
    points = points_of(problem)
    for options in ({}, {"batch": 20, "optimizer": gd.Momentum(lr=0.05)}):
        assert trained(problem, points, 4, **options).tobytes() == trained(problem, points, 1, **options).tobytes()


@pytest.mark.full
def test_a_step_uphill_comes_back_through_skips(torch):
    problem = network("residual", hidden=[4, 4, 4, 2, 2], activation="tanh")
    (w,), (_, gradient) = points_of(problem, 1), in_torch(torch, problem)
    up = gradient(w)
    expected = w - 0.1 * gradient(w + 0.05 * up / np.linalg.norm(up))
    assert abs(trained(problem, w[None], 4, optimizer=gd.SAM(gd.SGD(lr=0.1), rho=0.05), steps=1)[0] - expected).max() < 1e-13


@pytest.mark.full
@pytest.mark.parametrize("skip", TABLE)
def test_products_with_the_hessian_are_pytorchs_double_backward(torch, skip):
    problem = network(skip, hidden=[4, 4, 4, 3, 3], activation=["tanh", "gelu", "silu", "tanh", "sine"])
    (w,), v, (loss, _) = points_of(problem, 1), rng.normal(size=problem.parameter_count), in_torch(torch, problem)
    _, truth = torch.autograd.functional.vhp(loss, torch.tensor(w), torch.tensor(v))
    assert gd.curvature.hessian_product(problem, w, v) == pytest.approx(truth.numpy(), rel=1e-12, abs=1e-13)
    # The Gauss-Newton matrix of half the mean square is the mean of J'J, J the derivatives of a sample's outputs.
    X = torch.tensor(DATA.X)
    module = problem.to_torch(w)
    names = [name for name, _ in module.named_parameters()]
    J = torch.autograd.functional.jacobian(
        lambda *p: torch.func.functional_call(module, dict(zip(names, p, strict=True)), (X,)), tuple(p.detach() for p in module.parameters())
    )
    J = torch.cat([j.reshape(len(X) * 2, -1) for j in J], 1).numpy()
    found = gd.curvature.hessian_product(problem, w, v, matrix="gauss_newton")
    assert found == pytest.approx(J.T @ (J @ v) / len(X), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("skip", [pytest.param("residual", marks=pytest.mark.full), pytest.param("dense", marks=pytest.mark.slow)])
def test_derivatives_of_training_and_recorded_sharpness_go_through_skips(skip):
    problem = network(skip, hidden=[4, 4], activation="tanh")

    def made(lr, **options):
        return gd.Sweep(problem=problem, optimizer=gd.Momentum(lr=lr), starts=2, steps=10, batch=20, dtype="float64", **options).run(progress=False)

    step = 1e-5
    differences = (made(0.1 + step).final_loss.values - made(0.1 - step).final_loss.values) / (2 * step)
    assert made(0.1, tangents=["lr"]).final_loss_d_lr.values == pytest.approx(differences, rel=1e-6)
    sharp = made(0.1, record=gd.Record(every="ends", sharpness=True, parameters=True))
    largest = [np.linalg.eigvalsh(gd.curvature.hessian(problem, w).hessian.values)[-1] for w in sharp.parameters.values]
    assert sharp.sharpness.values[:, -1] == pytest.approx(largest, rel=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("skip", TABLE)
def test_losses_along_a_line_are_those_of_its_points(skip):
    problem = network(skip, hidden=[5, 5, 5], activation="tanh")
    a, b = points_of(problem, 2)
    found = gd.landscape.line(problem, a, b, points=5)
    t = found.alpha.values[:, None]
    assert found.loss.values == pytest.approx(gd.evaluate(problem, (1 - t) * a + t * b).loss.values, rel=1e-13)


@pytest.mark.full
@pytest.mark.parametrize("skip", TABLE)
def test_gradients_in_float32_are_near(torch, skip):
    problem = network(skip, hidden=[33, 33, 33], activation="relu")
    points, (_, gradient) = points_of(problem) * 0.3, in_torch(torch, problem)
    for lanes in (16, 1):
        ours = points - trained(problem, points, lanes, dtype="float32", optimizer=gd.SGD(lr=1.0), steps=1)
        assert abs(ours - [gradient(w) for w in points]).max() < 2e-5


def test_rows_of_weights_hold_all_that_a_layer_sees():
    assert [W.shape for W, _ in network("dense").unpack(np.zeros(82))] == [(5, 3), (4, 8), (2, 12)]
    assert network("dense").parameter_count == 5 * 4 + 4 * 9 + 2 * 13
    assert network("residual").parameter_count == gd.MLP(DATA, hidden=[5, 5]).parameter_count
    starts = initial_points("he", network("dense"), 0, np.arange(2000))
    spread = [np.std([network("dense").unpack(w)[k][0] for w in starts]) for k in range(3)]
    assert spread == pytest.approx(np.sqrt([2 / 3, 2 / 8, 2 / 12]), rel=0.02)


@pytest.mark.parametrize(
    ("skip", "of_sample", "parameters"),
    [
        ("residual", 2 * 5, 0),  # an addition for each unit on the way there, and one back
        ("dense", 4 * (3 * 4 + 3 * 2 + 5 * 2) + 2 * 5 * 2, 3 * 4 + 3 * 2 + 5 * 2),  # of what leads past a layer; no deltas of samples
    ],
)
def test_a_plan_counts_what_skips_take(skip, of_sample, parameters):
    plans = [gd.Sweep(problem=network(kind, hidden=TABLE[skip]), optimizer=gd.SGD(), steps=10, record=gd.Record(every="ends")).plan() for kind in (None, skip)]
    looks = 10 + 2  # whole data at every step, and at the first and the last checkpoint
    assert plans[1].operations - plans[0].operations == pytest.approx(looks * 70 * of_sample + 10 * 2 * parameters, rel=1e-9)


def test_skips_are_an_axis_with_a_coordinate():
    problem = gd.MLP(DATA, hidden=[4, 4], skip=gd.grid("none", "residual", "dense"))
    assert problem.skip.values == (None, "residual", "dense")
    plan = gd.Sweep(problem=problem, optimizer=gd.SGD()).plan()
    assert labels(plan.cells) == [f"SGD skip={skip}" for skip in ("none", "residual", "dense")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": [5, 4], "skip": "residual"}, r'MLP.skip="residual" needs a hidden layer that is as wide as the hidden layer before it.*\[5, 4\]'),
        ({"hidden": gd.grid([3], [3, 3]), "skip": gd.grid(None, "residual")}, r"hidden=\[3\] was given"),
        ({"hidden": [3], "skip": "residual"}, r"hidden=\[3\] was given"),  # the inputs are as wide, and never added
        ({"skip": "resnet"}, "MLP.skip='resnet' is not known; allowed: 'residual', 'dense', None"),
        ({"skip": "dense"}, r'MLP.skip="dense" needs a hidden layer'),
        ({"hidden": [3, 3], "skip": "densely"}, "did you mean 'dense'"),
        ({"hidden": [3, 3], "skip": ["dense"]}, "takes one value, or several as gd.grid"),
    ],
)
def test_what_has_nothing_to_skip_is_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        gd.MLP(DATA, **options)
