"""PyTorch's modules on lines and planes, beside PyTorch's own evaluation of them."""

import pickle
import threading

import numpy as np
import pytest

import gdsim as gd

X = np.random.default_rng(0).normal(size=(11, 1, 4, 4))
Y = np.arange(11) % 3


@pytest.fixture(scope="module")
def net(torch):
    """A small convolutional network, whose batch norm has seen samples, ready to be trained further."""
    nn = torch.nn
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(32, 3))
    made(torch.tensor(X, dtype=torch.float32))
    return made


@pytest.fixture(scope="module")
def problem(net):
    return gd.landscape.TorchProblem(net, X, Y, block=4)


def scores_of(torch, net, vector):
    """(loss, accuracy, gradient's norm) of the module, in double precision and all samples at once."""
    shapes = {name: p.shape for name, p in net.named_parameters()}
    parts = dict(zip(shapes, torch.split(torch.tensor(vector), [s.numel() for s in shapes.values()]), strict=True))
    state = {name: b.double() if b.is_floating_point() else b for name, b in net.named_buffers()}
    state |= {name: parts[name].reshape(shape).requires_grad_() for name, shape in shapes.items()}
    net.eval()
    outputs = torch.func.functional_call(net, state, (torch.tensor(X),))
    loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(Y))
    gradients = torch.autograd.grad(loss, [state[name] for name in shapes])
    return loss.item(), (outputs.argmax(1) == torch.tensor(Y)).double().mean().item(), sum(g.square().sum() for g in gradients).sqrt().item()


def test_scores_are_the_modules_own_and_have_the_same_bits_on_any_threads(torch, net, problem):
    start = problem.vector().astype(np.float64)
    end = start + np.random.default_rng(1).normal(size=len(start)) * 0.3
    found = gd.landscape.line(problem, start, end, points=5, gradient_norm=True)
    for i, alpha in enumerate(found.alpha.values):
        truth = scores_of(torch, net, (1 - alpha) * start + alpha * end)
        assert [float(found[name][i]) for name in ("loss", "accuracy", "gradient_norm")] == pytest.approx(truth, rel=1e-12)
    threads = torch.get_num_threads()
    for count in (1, 3):
        assert gd.landscape.line(problem, start, end, points=5, gradient_norm=True, threads=count).loss.values.tobytes() == found.loss.values.tobytes()
    assert torch.get_num_threads() == threads
    single = gd.landscape.line(problem, problem.vector(), end.astype(np.float32), points=5)
    assert single.loss.dtype == np.float32
    assert single.loss.values == pytest.approx(found.loss.values, rel=1e-5)


def test_batch_norms_keep_their_statistics_and_nothing_of_the_module_changes(torch, net, problem):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    vector = problem.vector()
    gd.landscape.line(problem, vector, 3.0 * vector, points=3)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert problem.vector().tobytes() == vector.tobytes()
    assert vector.tobytes() == torch.nn.utils.parameters_to_vector(net.parameters()).detach().numpy().tobytes()


def test_rows_are_filters_and_rows_of_matrices(problem):
    """Two filters of 9, then two biases and the norm's four numbers, three rows of 32, three biases."""
    first, second = problem.weight_rows
    assert first.tolist() == np.arange(18).reshape(2, 9).tolist()
    assert second.tolist() == (24 + np.arange(96)).reshape(3, 32).tolist()


def test_a_plane_moves_each_filter_by_its_own_norm_and_nothing_else(torch, net, problem):
    vector = problem.vector().astype(np.float64)
    found = gd.landscape.plane(problem, vector, points=3, span=0.5)
    shapes = [tuple(p.shape) for p in net.parameters()]
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    one, two = ([part.reshape(shape) for part, shape in zip(np.split(d, ends[:-1]), shapes, strict=True)] for d in found.direction.values)
    for p, *both in zip(net.parameters(), one, two, strict=True):
        w, first, second = (v.reshape(len(p), -1) for v in (p.detach().numpy(), *both))
        norms = np.linalg.norm(w, axis=1) if w.shape[1] > 1 else np.zeros(len(w))  # biases and norms stay
        assert np.linalg.norm(first, axis=1) == pytest.approx(norms, rel=1e-6)
        assert np.linalg.norm(second, axis=1) == pytest.approx(norms, rel=1e-6)
        assert abs((first * second).sum(1)) == pytest.approx(0.0, abs=1e-12)
    for y, x in np.ndindex(3, 3):
        point = vector + float(found.x[x]) * found.direction.values[0] + float(found.y[y]) * found.direction.values[1]
        assert float(found.loss[y, x]) == pytest.approx(scores_of(torch, net, point)[0], rel=1e-12)
    with pytest.raises(ValueError, match="biases of a TorchProblem are 0"):
        gd.landscape.plane(problem, vector, points=3, biases=True)


def test_the_identity_is_that_of_state_samples_loss_and_classes(torch, net, problem):
    same = pickle.loads(pickle.dumps(problem))
    assert same.identity() == gd.landscape.TorchProblem(net, X, Y).identity() == problem.identity()

    class Changed(torch.nn.Sequential):
        pass

    other = [
        gd.landscape.TorchProblem(Changed(*net), X, Y),
        gd.landscape.TorchProblem(net, X + 1, Y),
        gd.landscape.TorchProblem(net, X, 2 - Y),
        gd.landscape.TorchProblem(torch.nn.Sequential(*net[:2], torch.nn.Tanh(), *net[3:]), X, Y),
    ]
    with torch.no_grad():
        net[1].running_mean += 1.0
    other.append(gd.landscape.TorchProblem(net, X, Y))
    assert len({p.identity()["sha256"] for p in (problem, *other)}) == 6


LOCK = threading.Lock()
FACTOR = 1.0


def scaled(z):
    return FACTOR * z


@pytest.fixture
def scaling(torch):
    """A module that reads an attribute, a buffer that is no part of its state, and a global through a function."""

    class Scaling(torch.nn.Linear):
        def __init__(self):
            torch.manual_seed(0)
            super().__init__(16, 3)
            self.alpha = 1.0
            self.register_buffer("beta", torch.ones(()), persistent=False)

        def forward(self, x):
            return scaled(self.alpha * self.beta * super().forward(x.flatten(1)))

    return Scaling()


ESCAPES = {
    "attribute": lambda net, _: setattr(net, "alpha", 2.0), "buffer": lambda net, _: net.beta.add_(1.0), "hook": lambda net, _: net.register_forward_hook(lambda *a: 2 * a[2]),
    "pre-hook": lambda net, _: net.register_forward_pre_hook(lambda _, inputs: (2 * inputs[0],)), "global": lambda _, patch: patch.setitem(globals(), "FACTOR", 2.0),
    "forward": lambda net, _: setattr(net, "forward", lambda x: 2 * type(net).forward(net, x)),
}  # fmt: skip


@pytest.mark.parametrize("escape", ESCAPES)
def test_whatever_decides_the_outputs_is_part_of_the_identity(scaling, escape, monkeypatch):
    plain = gd.landscape.TorchProblem(scaling, X, Y)
    identity, once = plain.identity(), gd.landscape.line(plain, 0 * plain.vector(), plain.vector(), points=2, alpha=(0, 1))
    assert gd.landscape.TorchProblem(scaling, X, Y).identity() == identity == plain.identity()
    ESCAPES[escape](scaling, monkeypatch)
    other = gd.landscape.TorchProblem(scaling, X, Y)
    assert other.identity() != identity
    assert not gd.landscape.line(other, 0 * other.vector(), other.vector(), points=2, alpha=(0, 1)).equals(once)


def test_what_has_no_lasting_identity_is_refused_for_a_folder_alone(torch, scaling, tmp_path):
    scaling.register_forward_hook(lambda *_: LOCK.acquire(False) and LOCK.release())
    problem = gd.landscape.TorchProblem(scaling, X, Y)
    assert gd.landscape.line(problem, 0 * problem.vector(), problem.vector(), points=3).sizes["alpha"] == 3
    with pytest.raises(TypeError, match=r"^LOCK, which .*<lambda> reads, is .*; take it off, or ask without out= and client=$"):
        gd.landscape.line(problem, 0 * problem.vector(), problem.vector(), points=3, out=tmp_path / "line")


@pytest.mark.full
def test_a_line_is_kept_in_a_folder_and_not_for_another_module(net, problem, tmp_path, monkeypatch):
    vector = problem.vector()
    made = gd.landscape.line(problem, vector, 2.0 * vector, points=7, out=tmp_path / "line")
    assert gd.open(tmp_path / "line").equals(made)
    for other, difference in ((gd.landscape.TorchProblem(net, X + 1, Y), "problems"), (problem, "PyTorch, .* there and 1.0 here")):
        with pytest.raises(ValueError, match=f"holds another question .it differs in {difference}"):
            gd.landscape.line(other, vector, 2.0 * vector, points=7, out=tmp_path / "line")
        monkeypatch.setattr("gdsim.pytorch.VERSION", "1.0")


@pytest.mark.full
def test_a_module_of_half_precision_is_kept_too(torch, scaling, tmp_path):
    problem = gd.landscape.TorchProblem(scaling.bfloat16(), X, Y)
    found = gd.landscape.line(problem, 0 * problem.vector(), problem.vector(), points=2, alpha=(0, 1), out=tmp_path / "line")
    assert float(found.loss[0]) == pytest.approx(np.log(3), rel=1e-6)


@pytest.mark.full
@pytest.mark.parametrize(("loss", "y"), [("log_loss", Y % 2), ("mean_squared_error", X[:, 0, 0, :2])])
def test_losses_are_pytorchs(torch, loss, y):
    outputs = 1 if loss == "log_loss" else 2
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, outputs)).double()
    problem = gd.landscape.TorchProblem(net, torch.tensor(X), y, loss)
    found = gd.landscape.line(problem, problem.vector(), 0 * problem.vector(), alpha=(0, 1), points=2)
    z = net(torch.tensor(X))
    functional = torch.nn.functional
    truth = (
        functional.binary_cross_entropy_with_logits(z[:, 0], torch.tensor(y).double()) if loss == "log_loss" else 2 * functional.mse_loss(z, torch.tensor(y))
    )
    assert float(found.loss[0]) == pytest.approx(truth.item(), rel=1e-14)
    if loss == "log_loss":
        assert float(found.accuracy[0]) == ((z[:, 0] > 0).numpy() == y).mean()
    assert ("accuracy" in found) == (loss == "log_loss")


def test_what_does_not_fit_is_refused_in_one_line(torch, net):
    nn, problem = torch.nn, gd.landscape.TorchProblem
    forgetful = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten(), nn.Linear(16, 3))
    wrong = [
        ((net.state_dict(), X, Y), "needs a torch.nn.Module"),
        ((forgetful, X, Y), "keeps no statistics"),
        ((nn.Flatten(), X, Y), "no parameters"),
        ((net, X[:, :, :2], Y), "does not take samples of shape"),
        ((net, X, Y[:5]), "as many samples"),
        ((net, X, Y + 1), "whole numbers from 0 to 2"),
        ((net, X, Y, "hinge"), "loss='hinge' is not known"),
        ((net, X, Y % 2, "log_loss"), "takes one output of a sample"),
        ((net, X, Y * 1.0, "mean_squared_error"), "outputs of shape"),
    ]
    for given, message in wrong:
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            problem(*given)
        assert "\n" not in str(caught.value)
    fitting = problem(net, X, Y)
    with pytest.raises(ValueError, match="123 numbers each"):
        gd.landscape.line(fitting, np.zeros(5), np.ones(5))
    points = np.zeros((2, 123)) + np.arange(2)[:, None]
    with pytest.raises(TypeError, match="align takes no TorchProblem"):
        gd.paths.barrier(fitting, *points, align=True)
    with pytest.raises(TypeError, match="path='band' or lowest takes no TorchProblem"):
        gd.paths.barrier_matrix(fitting, points, path="band")
    for call in (gd.curvature.eigenvalues, gd.curvature.hessian, gd.minima.polish, gd.minima.census, gd.evaluate):
        with pytest.raises(TypeError, match="takes no TorchProblem"):
            call(fitting, points)
    for call in (gd.curvature.hessian_product, gd.paths.bezier, gd.paths.nudged_elastic_band):
        with pytest.raises(TypeError, match="takes no TorchProblem"):
            call(fitting, *points)
