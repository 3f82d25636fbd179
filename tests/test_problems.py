"""Test functions, expressions, the teacher's loss and own problems against SciPy, mpmath and formulas."""

import math

import mpmath
import numpy as np
import pytest
import scipy.optimize

import gdsim as gd
from gdsim.problems.functions import FUNCTIONS
from tests.helpers import same_bits

SMALL = {f.__name__: f() for f in FUNCTIONS if f is not gd.functions.NoisyQuadratic}  # which has samples, and a test of its own
MORE = {
    "Rosenbrock in 5": gd.functions.Rosenbrock(dim=5), "Ackley in 3": gd.functions.Ackley(dim=3), "Griewank in 4": gd.functions.Griewank(dim=4),
    "Levy in 3": gd.functions.Levy(dim=3), "Shekel of 5": gd.functions.Shekel(m=5), "Shekel of 7": gd.functions.Shekel(m=7),
    "StyblinskiTang in 3": gd.functions.StyblinskiTang(dim=3), "Rastrigin in 1": gd.functions.Rastrigin(dim=1), "Bowl in 6": gd.functions.Bowl(dim=6, condition=100),
}  # fmt: skip
ALL = {**SMALL, **MORE}


def points_of(problem, count, seed=0):
    low, high = problem.box
    return np.random.default_rng(seed).uniform(low, high, (count, problem.parameter_count))


@pytest.mark.parametrize("name", ALL)
def test_gradients_and_hessians_are_those_of_the_value(name):
    """By mpmath's numerical derivatives, in 40 digits, of the formula itself."""
    import sympy

    problem = ALL[name]
    symbols = [sympy.Symbol(n, real=True) for n in problem.names]
    f = sympy.lambdify(symbols, problem.formula(), "mpmath")
    points = points_of(problem, 3)
    values, gradients, hessians = problem.value(points), problem.gradient(points), problem.hessian(points)
    with mpmath.workdps(40):
        for p, v, g, h in zip(points, values, gradients, hessians, strict=True):
            at = [mpmath.mpf(float(x)) for x in p]
            scale = 1 + abs(float(f(*at)))
            assert float(f(*at)) == pytest.approx(v, rel=1e-12, abs=1e-12 * scale)
            for i in range(len(p)):
                order = tuple(int(i == k) for k in range(len(p)))
                assert float(mpmath.diff(f, tuple(at), order)) == pytest.approx(g[i], rel=1e-10, abs=1e-11 * scale)
                second = tuple(o + int(k == 0) for k, o in enumerate(order))
                assert float(mpmath.diff(f, tuple(at), second)) == pytest.approx(h[0, i], rel=1e-9, abs=1e-10 * scale)


@pytest.mark.parametrize("name", ALL)
def test_known_minima_are_minima(name):
    problem = ALL[name]
    for point, value in problem.global_minima:
        assert float(problem.value(point)) == pytest.approx(value, rel=1e-9, abs=1e-9)
        if name.startswith("Ackley"):
            continue  # its gradient is not defined there
        assert abs(problem.gradient(point)).max() < 1e-6 * (1 + abs(problem.hessian(point)).max())
        found = scipy.optimize.minimize(lambda x: float(problem.value(x)), point, jac=problem.gradient, method="BFGS")
        assert found.fun >= value - 1e-9 * (1 + abs(value))
    low, high = (np.broadcast_to(v, problem.parameter_count) for v in problem.box)
    assert all((low <= p).all() and (np.array(p) <= high).all() for p, _ in problem.global_minima)


@pytest.mark.parametrize(("problem", "count"), [
    (gd.functions.Himmelblau(), 4), *(pytest.param(p, n, marks=pytest.mark.full) for p, n in (
        (gd.functions.SixHumpCamel(), 6), (gd.functions.StyblinskiTang(dim=3), 8), (gd.functions.Branin(), 3), (gd.functions.GoldsteinPrice(), 4),
        (gd.functions.MuellerBrown(), 3)))])  # fmt: skip
def test_a_population_finds_every_minimum(problem, count, tier):
    """As many different end points of gradient descent inside the box as the function is known to have
    minima.
    """
    assert problem.local_minima == count
    low, high = (np.broadcast_to(v, problem.parameter_count) for v in problem.box)
    starts = points_of(problem, 600 if tier else 60)
    ends = []
    for start in starts:
        found = scipy.optimize.minimize(
            lambda x: float(problem.value(x)), start, jac=problem.gradient, method="L-BFGS-B", bounds=list(zip(low, high, strict=True))
        )
        inside = (found.x > low + 1e-3).all() and (found.x < high - 1e-3).all()
        if (
            inside
            and abs(problem.gradient(found.x)).max() < 1e-2 * (1 + abs(problem.hessian(found.x)).max())
            and np.linalg.eigvalsh(problem.hessian(found.x)).min() > 0
        ):
            ends.append(found.x)
    distinct = []
    for end in ends:
        if all(np.linalg.norm(end - d) > 1e-2 for d in distinct):
            distinct.append(end)
    assert len(distinct) == count


@pytest.mark.parametrize(
    "name", [n if n in ("Rosenbrock", "Ackley", "Shekel", "MuellerBrown", "Bowl in 6") else pytest.param(n, marks=pytest.mark.slow) for n in ALL]
)
def test_training_follows_the_gradient(name):
    """Gradient descent as kernels run it, beside NumPy with the gradient of the public face."""
    problem = ALL[name]
    start = points_of(problem, 1, 5)
    lr = 0.01 / (1 + abs(problem.hessian(start[0])).max())
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=lr), init=start, steps=20, record=gd.Record(every=1, trajectory=True)).run()
    w = start[0]
    for t in range(20):
        assert float(result.loss[0, t]) == pytest.approx(float(problem.value(w)), rel=1e-10, abs=1e-12)
        assert float(result.gradient_norm[0, t]) == pytest.approx(np.linalg.norm(problem.gradient(w)), rel=1e-9, abs=1e-12)
        w = w - lr * problem.gradient(w)
        assert np.allclose(result.trajectory.values[0, t + 1], w, rtol=1e-10, atol=1e-12)


def test_the_lectures_expressions():
    line, plane = gd.Expression("e**x + 1"), gd.Expression("e**x + 2*e**y + 1")
    assert plane.variables == ("x", "y")
    assert line.gradient([0.5])[0] == pytest.approx(math.exp(0.5), rel=1e-14)
    assert plane.hessian([0.5, -1.0]) == pytest.approx(np.diag([math.exp(0.5), 2 * math.exp(-1.0)]), rel=1e-14)
    result = gd.Sweep(problem=plane, optimizer=gd.SGD(lr=0.1), steps=50, starts=4).run()
    assert (np.diff(result.loss.values, axis=1) < 0).all()


def test_an_expression_may_be_a_python_function():
    import sympy

    same = gd.Expression(lambda u, v: sympy.exp(u * v) + abs(u) ** 3 + sympy.Max(u, v))
    text = gd.Expression("exp(u*v) + abs(u)**3 + max(u, v)")
    points = np.random.default_rng(0).normal(size=(20, 2))
    assert same.variables == ("u", "v")
    assert np.allclose(same.value(points), text.value(points), rtol=1e-13)


FUNCTION_ROWS = {
    "exp": mpmath.exp, "log": mpmath.log, "sqrt": mpmath.sqrt, "sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan, "sinh": mpmath.sinh, "cosh": mpmath.cosh,
    "tanh": mpmath.tanh, "asin": mpmath.asin, "acos": mpmath.acos, "atan": mpmath.atan, "erf": mpmath.erf, "abs": abs, "sign": mpmath.sign,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)), "relu": lambda x: max(x, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTION_ROWS)
def test_every_function_of_expressions(name):
    problem = gd.Expression(f"{name}(x)")
    for x in (0.3, 0.7):
        assert float(problem.value([x])) == pytest.approx(float(FUNCTION_ROWS[name](mpmath.mpf(x))), rel=1e-13)
        assert float(problem.gradient([x])[0]) == pytest.approx(float(mpmath.diff(FUNCTION_ROWS[name], x)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("batch", [None, 4])
def test_an_expression_with_data_is_a_samples_loss(batch):
    rng = np.random.default_rng(1)
    data = gd.Data(rng.normal(size=(150, 2)), rng.normal(size=150))
    problem = gd.Expression("(a*x[0] + b*x1 + c - y)**2", data=data)
    assert problem.variables == ("a", "b", "c")
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.05), steps=30, batch=batch, record=gd.Record(every=1, trajectory=True))
    result = sweep.run()
    X = np.c_[data.X, np.ones(150)]
    w = result.trajectory.values[0, 0]
    for t, samples in enumerate(sweep.order(0)):
        assert float(result.loss[0, t]) == pytest.approx(((X @ w - data.y) ** 2).mean(), rel=1e-12)
        w = w - 0.05 * 2 * X[samples].T @ (X[samples] @ w - data.y[samples]) / len(samples)
        assert np.allclose(result.trajectory.values[0, t + 1], w, rtol=1e-11)


def test_an_expressions_samples_may_have_weights():
    rng = np.random.default_rng(9)
    data = gd.Data(rng.normal(size=(80, 1)), rng.normal(size=80), sample_weight=rng.uniform(0, 2, 80))
    problem, point = gd.Expression("(a*x + b - y)**2", data=data), np.array([[0.5, -1.0]])
    residual = data.X[:, 0] * 0.5 - 1.0 - data.y
    assert float(gd.evaluate(problem, point).loss[0]) == pytest.approx((data.sample_weight * residual**2).mean(), rel=1e-13)
    ended = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=1.0), init=point, steps=1, record=gd.Record(parameters=True)).run().parameters.values
    exact = 2 * np.array([(data.sample_weight * residual * data.X[:, 0]).mean(), (data.sample_weight * residual).mean()])
    assert point[0] - ended[0] == pytest.approx(exact, rel=1e-12)


def test_one_over_t_is_the_running_mean():
    """eta_t = 1/t on 1/2 (w - x_t)^2, from any start, gives the mean of x_1 .. x_t."""
    values = np.random.default_rng(2).normal(size=40)
    problem = gd.Expression("(w - x)**2/2 + 0*y", data=gd.Data(values[:, None], np.zeros(40)), variables=["w"])
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=1.0), schedule=gd.InverseTime(), steps=40, batch=1, record=gd.Record(every=1, trajectory=True))
    path = sweep.run().trajectory.values[0, 1:, 0]
    seen = values[sweep.order(0).ravel()]
    assert np.allclose(path, np.cumsum(seen) / np.arange(1, 41), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gamma(x)", "lanes have no function 'gamma'.*allowed: 'exp'"),
        ("__import__('os').system('true')", "lanes have no function"),
        ("x.real", "Attribute is not allowed"),
        ("x^2", r"\^ is not a power in Python; write \*\*"),
        ("[x for x in (1,)]", "ListComp is not allowed"),
        ("x = 1", "is not valid"),
        ("9**9**9**9", "too large"),
        ("1/0 + x", "no real value"),
        ("3", "no variables"),
        ("sin(x, y)", "sin takes 1 arguments; 2 were given"),
        ("'x'", "Constant is not allowed"),
    ],
)
def test_an_expression_runs_no_code_and_says_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        gd.Expression(text)


def test_expressions_and_data_must_belong_together():
    data = gd.Data([[1.0], [2.0]], [0.0, 1.0])
    with pytest.raises(ValueError, match="uses none of its columns x, y"):
        gd.Expression("a**2", data=data)
    with pytest.raises(ValueError, match="'x' has the name of a column"):
        gd.Expression("x**2", data=data, variables=["x"])
    with pytest.raises(ValueError, match="uses 'z', which is none of the variables a"):
        gd.Expression("a*z", variables=["a"])
    with pytest.raises(ValueError, match="batch goes with problems that have data"):
        gd.Sweep(problem=gd.Expression("a**2"), optimizer=gd.SGD(), batch=3)


def test_the_teachers_loss_is_the_expectation():
    problem, rng = gd.TeacherStudent(teacher=3, student=4), np.random.default_rng(6)
    W = rng.normal(size=(4, 3))
    X = rng.normal(size=(2_000_000, 3))
    difference = np.maximum(X @ W.T, 0).sum(1) - np.maximum(X, 0).sum(1)
    scores = gd.evaluate(problem, W.reshape(1, -1))
    assert float(scores.loss[0]) == pytest.approx(0.5 * (difference**2).mean(), rel=5e-3)
    moved = W.ravel() + 1e-5 * np.concatenate([np.eye(12), -np.eye(12)])
    loss = gd.evaluate(problem, moved).loss.values
    assert float(scores.gradient_norm[0]) == pytest.approx(np.linalg.norm((loss[:12] - loss[12:]) / 2e-5), rel=1e-7)
    assert abs(float(gd.evaluate(gd.TeacherStudent(teacher=3, student=3), np.eye(3).reshape(1, -1)).loss[0])) < 1e-15


def test_a_student_of_five_always_learns_its_teacher():
    """Safran and Shamir 2018: none of the spurious minima exist up to k = 5."""
    problem = gd.TeacherStudent(teacher=4, student=4)
    result = gd.Sweep(problem=problem, optimizer=gd.Momentum(lr=0.1), starts=100, steps=20_000, stop=[gd.SmallGradient(1e-9)]).run()
    assert (result.status.values == "converged").all()
    assert (result.final_loss.values < 1e-12).all()


def wrong_third(x):
    return x[0] * x[0] + x[1] * x[1] + x[2] * x[2], (2.0 * x[0], 2.0 * x[1], 3.0 * x[2])


def right(x):
    return x[0] * x[0] + 3.0 * x[1] * x[1], (2.0 * x[0], 6.0 * x[1])


def test_a_problem_of_your_own_is_checked_and_trained(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"wrong_third is wrong: component 2 is .*, differences give"):
        gd.Own(wrong_third, dim=3).check_gradient()
    own, known = gd.Own(right, dim=2, low=-2, high=2), gd.Expression("a**2 + 3*b**2")
    assert own.check_gradient() < 1e-8
    options = {"optimizer": gd.Adam(lr=0.1), "steps": 30, "starts": 5, "init": gd.Uniform(-2, 2)}
    assert np.allclose(gd.Sweep(problem=own, **options).run().final_loss, gd.Sweep(problem=known, **options).run().final_loss, rtol=1e-9)
    (tmp_path / "mine_of_a_test.py").write_text("def f(x):\n    return x[0] * x[0], (2.0 * x[0],)\n")
    file = tmp_path / "mine.toml"
    file.write_text('steps = 5\nstarts = 3\n[problem]\ntype = "own"\nfunction = "mine_of_a_test:f"\ndim = 1\n[optimizer]\ntype = "sgd"\n')
    assert gd.read_experiment(file).run().sizes["run"] == 3
    file.write_text(file.read_text().replace(":f", ":g"))
    with pytest.raises(ValueError, match="has no 'g'"):
        gd.read_experiment(file)


@pytest.mark.slow
def test_functions_are_the_same_at_every_width_and_alone():
    options = {
        "problem": gd.functions.Rosenbrock(dim=3),
        "optimizer": gd.Adam(lr=[0.01, 0.1]),
        "starts": 40,
        "steps": 60,
        "record": gd.Record(every=7, trajectory=True),
    }
    whole = gd.Sweep(**options).run()
    for lanes in (1, 8, 64):
        other = gd.Sweep(**options).run(lanes=lanes, threads=1)
        assert all(same_bits(whole[n].values, other[n].values) for n in whole.data_vars)
    one = gd.Sweep(**options).run(runs=[57])
    assert same_bits(one.trajectory.values[0], whole.trajectory.values[57])


@pytest.mark.parametrize("make", [lambda: gd.Quadratic([[1.0, 2.0], [0.0, 1.0]]), lambda: gd.Quadratic([[1.0]], [[1.0, 2.0]]), lambda: gd.Quadratic("A"),
                                  lambda: gd.TeacherStudent(0, 1), lambda: gd.functions.Shekel(m=6), lambda: gd.functions.Rosenbrock(dim=1),
                                  lambda: gd.Uniform(1, -1), lambda: gd.Own("nowhere", dim=1), lambda: gd.LogisticRegression(gd.datasets.load("diabetes"))])  # fmt: skip
def test_a_wrong_problem_is_one_clear_error(make):
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert "given" in str(caught.value) or "named" in str(caught.value) or "needs" in str(caught.value) or "must be" in str(caught.value)
