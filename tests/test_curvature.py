"""Second derivatives at points: exact beside formulas, complex steps and PyTorch's double backward, for every
kind of problem, over populations, in both precisions.
"""

import numpy as np
import pytest
import xarray

import gdsim as gd
from gdsim.kernels import hessians
from gdsim.population import curvature

RNG = np.random.default_rng(5)
X = RNG.normal(size=(70, 2))
KIND = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
WEIGHT = RNG.random(70) + 0.5
INPUTS = np.c_[X, np.ones(70)]


def error(found, truth):
    return np.abs(found - truth).max() / np.abs(truth).max()


def steps_of(problem, w, v):
    """H v of a tanh network under weighted cross-entropy by a complex step of NumPy's gradient, which has no
    error but rounding's.
    """
    step, share = 1e-30, problem.data.sample_weight[:, None] / 70
    (W1, b1), (W2, b2) = problem.unpack(w + 1j * step * v)
    a = np.tanh(problem.data.X @ W1.T + b1)
    e = np.exp(a @ W2.T + b2)
    delta = (e / e.sum(1, keepdims=True) - np.eye(3)[problem.data.y]) * share
    below = (delta @ W2) * (1 - a * a)
    gradient = [below.T @ problem.data.X + problem.l2 * W1, below.sum(0), delta.T @ a + problem.l2 * W2, delta.sum(0)]
    return np.concatenate([g.ravel() for g in gradient]).imag / step


@pytest.fixture(scope="module")
def network():
    return gd.MLP(gd.Data(X, KIND, sample_weight=WEIGHT), hidden=[2], activation="tanh", l1=0.3, l2=0.1)


def test_products_of_a_network_are_exact_with_weights_and_penalties_whatever_is_computed_beside_them(network):
    points, vectors = RNG.normal(size=(3, 15)), RNG.normal(size=(2, 15))
    found = gd.curvature.hessian_product(network, points, vectors)
    assert found.shape == (3, 2, 15)
    assert all(error(found[r, k], steps_of(network, points[r], vectors[k])) < 1e-13 for r in range(3) for k in range(2))
    alone = gd.curvature.hessian_product(network, xarray.DataArray(points[1], dims="parameter"), vectors[1])
    assert alone.dims == ("parameter",)
    assert alone.values.tobytes() == found[1, 1].tobytes()


@pytest.mark.parametrize("rows", [hessians.FEWEST_ROWS, 2])
def test_the_matrix_of_a_network_is_exact_symmetric_and_the_same_whatever_is_computed_beside_it(network, rows, monkeypatch):
    monkeypatch.setattr(hessians, "NEAR_BYTES", 0)
    monkeypatch.setattr(hessians, "FEWEST_ROWS", rows)  # of 2 columns and a bias: some in turns
    monkeypatch.setattr(curvature, "hessian_kernels", hessians.HessianKernels)
    points = RNG.normal(size=(9, 15))
    found = gd.curvature.hessian(network, points, threads=2).hessian.values
    assert all(error(one, [steps_of(network, w, e) for e in np.eye(15)]) < 1e-13 for one, w in zip(found, points, strict=True))
    assert (found == found.transpose(0, 2, 1)).all()
    assert gd.curvature.hessian(network, points[3], threads=1).hessian.values.tobytes() == found[3].tobytes()


NETWORKS = {
    "residual": (lambda: gd.MLP(gd.Data(X, KIND), hidden=[6, 6, 3], activation="gelu", skip="residual"), "float64", "gauss_newton"),
    "dense": (lambda: gd.MLP(gd.Data(X, KIND), hidden=[3, 5], activation="relu", skip="dense", l2=0.2), "float32", "hessian"),
    "without intercepts": (lambda: gd.LogisticRegression(gd.Data(np.c_[X, X**2, X**3], KIND > 0), intercept=False, l2=0.2), "float64", "hessian"),
}


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_the_matrix_of_a_network_is_that_of_its_products_with_a_basis(name):
    made, dtype, matrix = NETWORKS[name]
    problem = made()
    points = RNG.normal(size=(5, problem.parameter_count)).astype(dtype)
    found = gd.curvature.hessian(problem, points, matrix=matrix).hessian.values
    assert found.dtype == dtype
    basis = np.eye(problem.parameter_count, dtype=dtype)
    assert error(found, gd.curvature.hessian_product(problem, points, basis, matrix=matrix)) < {"float64": 1e-14, "float32": 2e-6}[dtype]


@pytest.mark.full
def test_products_are_in_the_parameters_own_number_type(network):
    w, v = RNG.normal(size=15), RNG.normal(size=(6, 15))
    truth = gd.curvature.hessian_product(network, w, v)
    single = gd.curvature.hessian_product(network, w.astype(np.float32), v)
    assert single.dtype == np.float32
    assert error(single, truth) < 1e-6
    assert error(single, truth) > 1e-12
    assert (gd.curvature.hessian_product(network, w, v, dtype="float32") == single).all()


def test_products_of_problems_without_samples_are_their_formulas():
    A = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.0]])
    quadratic = gd.Quadratic(A, [[1.0, 2.0, 3.0]])
    each = np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 2.0]]])
    assert gd.curvature.hessian_product(quadratic, np.ones((2, 3)), each)[:, 0] == pytest.approx(each[:, 0] @ A, rel=1e-15)
    ackley, points = gd.functions.Ackley(), np.array([[0.5, -1.0], [2.0, 0.1]])
    found = gd.curvature.hessian(ackley, xarray.DataArray(points, {"seed": ("seed", [7, 8])}, ("seed", "parameter"))).hessian
    assert found.dims == ("seed", "row", "column")
    assert found.seed.values.tolist() == [7, 8]
    assert (found.values == found.values.transpose(0, 2, 1)).all()
    assert found.values == pytest.approx(ackley.hessian(points), rel=1e-12)


@pytest.mark.full
def test_whole_numbers_are_parameters_in_double_precision():
    found = gd.curvature.hessian(gd.functions.Rosenbrock(), [1, 2]).hessian
    assert found.dtype == np.float64
    assert found.values.tolist() == [[402.0, -400.0], [-400.0, 200.0]]
    assert gd.evaluate(gd.functions.Rosenbrock(), [3, 2]).loss.dtype == np.float64
    assert gd.evaluate(gd.functions.Rosenbrock(), np.float32([3, 2])).loss.dtype == np.float32


@pytest.mark.full
def test_the_matrix_of_a_linear_model_is_its_inputs_moments_at_a_logit_of_zero_too():
    logistic = gd.LogisticRegression(gd.Data(X, KIND > 0), l1=0.2, l2=0.3)  # l1 adds nothing, at a weight of 0 neither
    truth = INPUTS.T @ INPUTS / 280 + np.diag([0.3, 0.3, 0.0])
    for matrix in ("hessian", "gauss_newton"):
        assert error(gd.curvature.hessian(logistic, np.zeros(3), matrix=matrix).hessian.values, truth) < 1e-14


@pytest.mark.full
def test_a_gauss_newton_product_is_made_of_the_jacobian_of_the_outputs(network):
    w, v = RNG.normal(size=15), RNG.normal(size=(5, 15))

    def sums(w):
        (W1, b1), (W2, b2) = network.unpack(w)
        return np.tanh(X @ W1.T + b1) @ W2.T + b2

    J = np.stack([sums(w + 1j * 1e-30 * e).imag / 1e-30 for e in np.eye(15)], -1)  # [sample, class, parameter]
    p = np.exp(sums(w)) / np.exp(sums(w)).sum(1, keepdims=True)
    H = np.einsum("sk,kl->skl", p, np.eye(3)) - p[:, :, None] * p[:, None, :]
    share = network.data.sample_weight / 70
    weights = np.concatenate([np.ones(4), np.zeros(2), np.ones(6), np.zeros(3)])
    truth = np.einsum("s,ska,skl,slb->ab", share, J, H, J) + 0.1 * np.diag(weights)
    assert error(gd.curvature.hessian_product(network, w, v, matrix="gauss_newton"), v @ truth) < 1e-13


@pytest.mark.full
@pytest.mark.parametrize("activation", ["relu", "elu", "gelu"])
def test_products_of_networks_are_pytorchs_double_backward(activation):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[torch]'")
    loss = {"relu": "log_loss", "elu": "huber", "gelu": "squared_error"}.get(activation, "cross_entropy")
    y = KIND if loss == "cross_entropy" else (KIND > 0) if loss == "log_loss" else X @ [1.0, -2.0]
    problem = gd.MLP(gd.Data(X, y), hidden=[3, 2], activation=activation, loss=loss)
    n, features = problem.parameter_count, torch.tensor(X)
    w, v = RNG.normal(size=n), RNG.normal(size=n)
    if activation == "relu":
        w[[0, 1, 6]] = 0.0  # the first unit is at its kink
    module = problem.to_torch(w)
    names, shapes = zip(*((name, p.shape) for name, p in module.named_parameters()), strict=True)
    targets = torch.tensor(problem.data.y)

    def value(vector):
        parts = torch.split(vector, [s.numel() for s in shapes])
        out = torch.func.functional_call(module, {name: part.reshape(s) for name, part, s in zip(names, parts, shapes, strict=True)}, (features,))
        functional = torch.nn.functional
        if loss == "cross_entropy":
            return functional.cross_entropy(out, targets)
        if loss == "log_loss":
            return functional.binary_cross_entropy_with_logits(out[:, 0], targets.double())
        return functional.huber_loss(out[:, 0], targets) if loss == "huber" else 0.5 * ((out[:, 0] - targets) ** 2).mean()

    _, truth = torch.autograd.functional.vhp(value, torch.tensor(w), torch.tensor(v))
    assert error(gd.curvature.hessian_product(problem, w, v), truth.numpy()) < 1e-12


@pytest.mark.full
def test_the_matrix_of_a_sampled_expression_of_a_teacher_and_of_a_function_of_ones_own():
    sampled = gd.Expression("(a * exp(-b * x) - y)**2", variables=["a", "b"], data=gd.Data(X[:, :1], X[:, 1]))
    a, b, x, y = 0.7, -0.4, X[:, 0], X[:, 1]
    e = np.exp(-b * x)
    mixed = np.mean(-4 * a * x * e * e + 2 * x * e * y)
    truth = [[np.mean(2 * e * e), mixed], [mixed, np.mean(4 * a * a * x * x * e * e - 2 * a * x * x * e * y)]]
    assert error(gd.curvature.hessian(sampled, [a, b]).hessian.values, np.array(truth)) < 1e-13
    own = gd.Own(lambda x: x[0] ** 2 * np.exp(x[1]) + np.sqrt(x[1]), dim=2)
    e = np.exp(1.5)
    assert error(gd.curvature.hessian(own, [2.0, 1.5]).hessian.values, np.array([[2 * e, 4 * e], [4 * e, 4 * e - 0.25 * 1.5**-1.5]])) < 1e-14
    teacher = gd.TeacherStudent(teacher=2, student=1)
    w, h = np.array([0.4, 0.8]), 1e-3  # five values of the loss on a line have its second derivative but for h^4
    along = np.array([0.6, -0.8])
    values = gd.evaluate(teacher, w + np.array([-2, -1, 0, 1, 2])[:, None] * h * along).loss.values
    second = values @ [-1, 16, -30, 16, -1] / (12 * h * h)
    assert gd.curvature.hessian_product(teacher, w, along) @ along == pytest.approx(second, rel=1e-7)


@pytest.mark.full
def test_a_result_stands_for_problem_and_parameters_each_run_with_its_cells_problem():
    small, large = np.array([[2.0, 1.0], [1.0, 3.0]]), np.diag([1.0, 2.0, 3.0])
    problems = [gd.Quadratic(small), gd.Quadratic(large)]
    result = gd.Sweep(problem=problems, optimizer=gd.SGD(0.1), starts=2, steps=3, record=gd.Record(parameters=True)).run()
    found = gd.curvature.hessian(result).hessian
    assert found.dims == ("run", "row", "column")
    products = gd.curvature.hessian_product(result, [1.0, 1.0, 1.0])
    assert products.dims == ("run", "parameter")
    for run in range(4):
        truth = [small, large][result.cell.values[run]]
        n = len(truth)
        assert (found.values[run, :n, :n] == truth).all()
        assert np.isnan(found.values[run, n:]).all()
        assert (products.values[run, :n] == truth.sum(1)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, p: c.hessian_product(p, np.ones(2), np.ones(3)), r"vectors must be numbers of shape \[2\], \[vector, 2\] or \[1, vector, 2\]; shape \(3,\)"),
        (lambda c, p: c.hessian_product(p, np.ones(3), np.ones(2)), "parameters must be"),
        (lambda c, p: c.hessian_product(p, np.ones(2)), "needs vectors"),
        (lambda c, p: c.hessian_product(p, np.ones(2), np.ones(2), matrix="fisher"), "matrix"),
        (lambda c, p: c.hessian_product(p, np.ones(2), np.ones(2), matrix="gauss_newton"), "networks and linear models, and Quadratic is neither"),
        (lambda c, p: c.hessian(p), "needs parameters"),
        (
            lambda c, p: c.hessian(gd.MLP(gd.datasets.load("digits"), hidden=[200, 200]), np.ones(55_210)),
            "parameters take 24.4 GB; take fewer runs, or products",
        ),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_computed(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(gd.curvature, gd.Quadratic(np.eye(2)))
