"""Gradients, losses, accuracies and predictions of every activation, loss and depth, against PyTorch and
central differences.
"""

import itertools

import numpy as np
import pytest

import gdsim as gd
from gdsim.population import Gradients
from gdsim.population.workplace import Workplace
from tests.helpers import ACTIVATIONS, LOSSES, data_for, torch_loss, torch_tensors

HIDDEN = ([], [4], [6, 3], [5, 4, 3])
# Each activation and each loss at least once in the second tier; all pairs in the third.
COVERING = {("identity", "squared_error"), ("relu", "cross_entropy"), ("tanh", "mean_squared_error"), ("sigmoid", "log_loss"), ("tanh", "absolute_error"),
            ("leaky_relu", "huber"), ("elu", "cross_entropy"), ("softplus", "squared_error"), ("gelu", "log_loss"), ("silu", "cross_entropy"), ("sine", "huber")}  # fmt: skip
PAIRS = [
    pytest.param(a, loss, marks=pytest.mark.full if (a, loss) in COVERING else pytest.mark.slow)
    for a, loss in itertools.product(ACTIVATIONS, LOSSES)
]  # fmt: skip


def gradients(problem, points, **options):
    """[start, parameter]: what one step of gradient descent with rate 1 takes away, so the gradient as the
    kernel makes it.
    """
    sweep = gd.Sweep(
        problem=problem, optimizer=gd.SGD(lr=1.0), steps=1, starts=len(points), init=points, dtype="float64",
        record=gd.Record(every="ends", parameters=True), **options,
    )  # fmt: skip
    return points - sweep.run().parameters.values


def check_gradients(torch, problem):
    """Gradients by training, losses and lengths of gradients by evaluation, beside those of PyTorch."""
    X, y = torch_tensors(torch, problem.data, torch.float64)
    points = np.random.default_rng(1).normal(size=(3, problem.parameter_count)) * 0.7
    ours = gradients(problem, points)
    scores, left = gd.evaluate(problem, points), Gradients(problem, "float64").at(points)
    for start, point in enumerate(points):
        vector = torch.tensor(point, requires_grad=True)
        value = torch_loss(torch, problem, vector, X, y)
        value.backward()
        exact = vector.grad.numpy()
        # w - (w - g) loses the digits that w has and g has not
        assert abs(ours[start] - exact).max() < 1e-12 * max(1.0, abs(exact).max())
        assert float(scores.loss[start]) == pytest.approx(value.item(), rel=1e-12)
        assert abs(left[1][start] - exact).max() < 1e-12 * max(1.0, abs(exact).max())
        assert float(scores.gradient_norm[start]) == pytest.approx(np.linalg.norm(exact), rel=1e-12)


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_gradients_are_autograds(torch, activation, loss):
    data = data_for(loss, samples=150)  # three blocks of samples, the last one short
    for hidden in HIDDEN:
        check_gradients(torch, gd.MLP(data, hidden=hidden, activation=activation, loss=loss))


@pytest.mark.parametrize(
    ("loss", "activations"),
    [("cross_entropy", ["relu", "tanh", "sigmoid"]), ("log_loss", ["gelu", "silu", "sine"]), ("huber", ["leaky_relu", "elu", "softplus"])],
)
def test_gradients_through_layers_of_every_activation(torch, loss, activations):
    check_gradients(torch, gd.MLP(data_for(loss, samples=150), hidden=[5, 4, 3], activation=activations, loss=loss))


@pytest.mark.parametrize(
    "output", [pytest.param("tanh", marks=pytest.mark.full), pytest.param("sigmoid", marks=pytest.mark.slow), pytest.param("relu", marks=pytest.mark.slow)]
)
def test_gradients_through_an_output_activation(torch, output):
    data = data_for("mean_squared_error")
    problem = gd.MLP(data, hidden=[4], activation="tanh", loss="mean_squared_error", output=output)
    points = np.random.default_rng(2).normal(size=(2, problem.parameter_count))
    X, y = torch_tensors(torch, data, torch.float64)
    for ours, point in zip(gradients(problem, points), points, strict=True):
        vector = torch.tensor(point, requires_grad=True)
        torch_loss(torch, problem, vector, X, y).backward()
        assert abs(ours - vector.grad.numpy()).max() < 1e-12


def test_gradients_are_central_differences_with_a_penalty():
    data = data_for("cross_entropy")
    problem = gd.MLP(data, hidden=[4], activation="tanh", l2=0.3, l1=0.1)
    point = np.random.default_rng(3).normal(size=problem.parameter_count)
    step = 1e-5
    moved = point + step * np.concatenate([np.eye(len(point)), -np.eye(len(point))])
    loss = gd.evaluate(problem, moved).loss.values
    differences = (loss[: len(point)] - loss[len(point) :]) / (2 * step)
    assert abs(gradients(problem, point[None])[0] - differences).max() < 1e-8
    plain = gd.evaluate(gd.MLP(data, hidden=[4], activation="tanh"), point[None]).loss.values[0]
    penalty = sum(0.15 * (W**2).sum() + 0.1 * abs(W).sum() for W, _ in problem.unpack(point))
    assert gd.evaluate(problem, point[None]).loss.values[0] == pytest.approx(plain + penalty, rel=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_left_with_the_penalty_and_of_functions_too(dtype):
    network = gd.MLP(data_for("squared_error"), hidden=[2], activation="tanh", l1=0.3, l2=0.1)
    for problem in (network, gd.functions.Himmelblau(), gd.functions.Rosenbrock(dim=40)):
        w = np.random.default_rng(2).normal(size=(37, problem.parameter_count))
        scores = gd.evaluate(problem, w, dtype=dtype)
        loss, gradient = Gradients(problem, dtype, Workplace(2)).at(w)
        assert loss.dtype == gradient.dtype == dtype
        assert (loss == scores.loss.values).all()
        step = 1e-6 * np.random.default_rng(3).normal(size=problem.parameter_count)
        ends = [gd.evaluate(problem, w + s).loss.values for s in (step, -step)]
        assert gradient @ step == pytest.approx((ends[0] - ends[1]) / 2, rel=1e-5, abs=1e-9)
        assert np.linalg.norm(gradient, axis=1) == pytest.approx(scores.gradient_norm.values, rel=1e-6)


@pytest.mark.full
def test_layers_may_differ_in_their_activations(torch):
    data = data_for("cross_entropy", samples=70)
    problem = gd.MLP(data, hidden=[5, 4, 3], activation=["gelu", "relu", "sine"])
    points = np.random.default_rng(6).normal(size=(2, problem.parameter_count))
    X, y = torch_tensors(torch, data, torch.float64)
    for ours, point in zip(gradients(problem, points), points, strict=True):
        vector = torch.tensor(point, requires_grad=True)
        torch_loss(torch, problem, vector, X, y).backward()
        assert abs(ours - vector.grad.numpy()).max() < 1e-12
    with pytest.raises(ValueError, match="lists one for each hidden layer, and there are 2"):
        gd.MLP(data, hidden=[5, 4], activation=["relu"])


@pytest.mark.parametrize(
    ("loss", "batch"),
    [
        pytest.param(loss, batch, marks=() if (loss, batch) == ("squared_error", 8) else pytest.mark.full)
        for loss, batch in itertools.product(["cross_entropy", "log_loss", "huber", "squared_error"], [None, 8])
    ],
)
def test_samples_may_have_weights(torch, loss, batch):
    plain = data_for(loss, samples=30)
    weight = np.random.default_rng(8).uniform(0, 3, 30)
    data = gd.Data(plain.X, plain.y, sample_weight=weight)
    assert data.sample_weight.mean() == pytest.approx(1.0, rel=1e-15)
    problem = gd.MLP(data, hidden=[4], activation="tanh", loss=loss)
    point = np.random.default_rng(7).normal(size=(1, problem.parameter_count))
    X, y = torch_tensors(torch, data, torch.float64)
    scaled = torch.tensor(data.sample_weight)
    samples = gd.Sweep(problem=problem, optimizer=gd.SGD(), batch=batch, steps=1).order(0)[0]
    vector = torch.tensor(point[0], requires_grad=True)
    torch_loss(torch, problem, vector, X[samples], y[samples], scaled[samples]).backward()
    assert abs(gradients(problem, point, batch=batch)[0] - vector.grad.numpy()).max() < 1e-12
    whole = torch_loss(torch, problem, vector, X, y, scaled).item()
    assert float(gd.evaluate(problem, point).loss[0]) == pytest.approx(whole, rel=1e-13)


@pytest.mark.full
def test_labels_may_be_smoothed(torch):
    data = data_for("cross_entropy", samples=70)
    problem = gd.MLP(data, hidden=[4], activation="tanh", label_smoothing=0.2)
    point = np.random.default_rng(9).normal(size=(1, problem.parameter_count))
    X, y = torch_tensors(torch, data, torch.float64)
    vector = torch.tensor(point[0], requires_grad=True)
    value = torch_loss(torch, problem, vector, X, y)
    value.backward()
    assert abs(gradients(problem, point)[0] - vector.grad.numpy()).max() < 1e-12
    assert float(gd.evaluate(problem, point).loss[0]) == pytest.approx(value.item(), rel=1e-13)


@pytest.mark.parametrize("loss", ["cross_entropy", "log_loss"])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.full)])
def test_losses_are_stable_at_extreme_logits(loss, dtype):
    """Logits of 1e4: a sure and right answer costs 0, a sure and wrong one costs the logit, and nothing is
    NaN.
    """
    data = gd.Data([[1.0], [1.0]], [1, 0])
    problem = gd.MLP(data, hidden=[], loss=loss)
    vector = np.zeros((1, problem.parameter_count))
    vector[0, problem.widths[-1] - 1] = 1e4
    scores = gd.evaluate(problem, vector, dtype=dtype)
    assert float(scores.loss[0]) == 5e3
    assert float(scores.accuracy[0]) == 0.5
    assert np.isfinite(float(scores.gradient_norm[0]))


def test_predictions_and_accuracy_are_pytorchs(torch):
    data = gd.datasets.load("wine")
    problem = gd.MLP(data, hidden=[8], activation="relu")
    points = np.random.default_rng(4).normal(size=(20, problem.parameter_count)).astype(np.float32)
    outputs = gd.predict(problem, points, data.X)
    assert outputs.shape == (20, 178, 3)
    scores = gd.evaluate(problem, points)
    for k, point in enumerate(points):
        (W, b), (V, c) = [(torch.tensor(W), torch.tensor(b)) for W, b in problem.unpack(point)]
        logits = torch.relu(torch.tensor(data.X, dtype=torch.float32) @ W.T + b) @ V.T + c
        assert abs(outputs[k] - torch.softmax(logits, 1).numpy()).max() < 2e-6
        assert float(scores.accuracy[k]) == pytest.approx((logits.argmax(1).numpy() == data.y).mean(), abs=1e-6)


def test_sums_over_many_samples_stay_accurate_in_float32():
    """A strictly sequential float32 sum of 10^5 losses was off by 2e-5; blocks, combined with compensation,
    are not.
    """
    rng = np.random.default_rng(5)
    data = gd.Data(rng.normal(size=(100_000, 2)), rng.normal(size=100_000))
    problem = gd.MLP(data, hidden=[], loss="mean_squared_error")
    point = rng.normal(size=(1, 3))
    exact = ((data.X @ point[0, :2] + point[0, 2] - data.y) ** 2).mean()
    assert float(gd.evaluate(problem, point, dtype="float32").loss[0]) == pytest.approx(exact, rel=5e-7)
