"""Linear and logistic regression against the pseudo-inverse, descent written out, and scikit-learn."""

import numpy as np
import pytest

import gdsim as gd


def test_linear_regression_ends_at_the_pseudo_inverse():
    """Fewer samples than features, from 0: gradient descent finds the solution of least length."""
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(6, 10)), rng.normal(size=6)
    problem = gd.LinearRegression(gd.Data(X, y), intercept=False)
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), steps=3000, dtype="float64", stop=[gd.SmallGradient(1e-13)], record=gd.Record(parameters=True))
    assert sweep.run().parameters.values[0] == pytest.approx(np.linalg.pinv(X) @ y, abs=1e-10)


def descended(X, y, weight, problem, steps, lr):
    """(W, b, training loss) after gradient descent from zeros, written out."""
    factor = {"squared_error": 1.0, "mean_squared_error": 2.0}[problem.loss]
    W, b = np.zeros((X.shape[1], y.shape[1])), np.zeros(y.shape[1])
    for _ in range(steps):
        missed = weight[:, None] * (X @ W + b - y)
        W = W - lr * (factor * X.T @ missed / len(X) + problem.l2 * W + problem.l1 * np.sign(W))
        b = b - lr * problem.intercept * factor * missed.mean(0)
    return W, b, factor / 2 * (weight * ((X @ W + b - y) ** 2).sum(1)).mean() + problem.l1 * np.abs(W).sum() + problem.l2 / 2 * (W**2).sum()


OPTIONS = {"plain": {}, "half, no intercept": {"loss": "squared_error", "intercept": False}, "penalised": {"l1": 0.02, "l2": 0.1}}


MARKS = {("plain", "float32"): (), ("half, no intercept", "float64"): pytest.mark.full, ("penalised", "float64"): pytest.mark.full}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [pytest.param(n, d, marks=MARKS.get((n, d), pytest.mark.slow)) for n in OPTIONS for d in ("float32", "float64")],
)
@pytest.mark.parametrize(("outputs", "weighted"), [(1, False), (3, True)])
def test_linear_regression_descends_as_written_out(outputs, weighted, name, dtype):
    rng = np.random.default_rng(6)
    X, X_held = rng.normal(size=(300, 4)) + 0.5, rng.normal(size=(40, 4))
    y, y_held = X @ rng.normal(size=(4, outputs)) + rng.normal(size=(300, outputs)), rng.normal(size=(40, outputs))
    weight = rng.uniform(0.2, 2.0, 300) if weighted else np.ones(300)
    problem = gd.LinearRegression(gd.Data(X, y, validation=(X_held, y_held), sample_weight=weight if weighted else None), **OPTIONS[name])
    tight = {"float32": 2e-5, "float64": 1e-11}[dtype]
    W, b, loss = descended(X, y, weight / weight.mean(), problem, 60, 0.05)
    for batch in (None, 300):  # by the moments of the whole data, and sample by sample
        result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.05), steps=60, batch=batch, dtype=dtype, record=gd.Record(parameters=True)).run()
        ((ours, bias),) = problem.unpack(result.parameters.values[0])
        assert pytest.approx(W.T, abs=tight) == ours
        assert pytest.approx(b, abs=tight) == bias
        assert float(result.final_loss[0]) == pytest.approx(loss, rel=5 * tight)
        held = ((X_held @ W + b - y_held) ** 2).sum(1).mean() * (0.5 if problem.loss == "squared_error" else 1.0)
        assert float(result.validation_loss[0, -1]) == pytest.approx(held, rel=10 * tight)
        found = gd.evaluate(problem, result.parameters.values, dtype=dtype)
        assert float(found.loss[0]) == pytest.approx(loss, rel=5 * tight)
        assert float(found.gradient_norm[0]) == pytest.approx(float(result.gradient_norm[0, -1]), rel=1e-4, abs=10 * tight)


@pytest.mark.full
def test_the_loss_of_a_linear_model_is_an_axis():
    rng = np.random.default_rng(9)
    X = rng.normal(size=(60, 2))
    problem = gd.LinearRegression(gd.Data(X, X @ [1.0, -1.0] + 3), loss=gd.grid("squared_error", "huber"), l2=[0.0, 0.1])
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.05), batch=20, steps=400).run()
    assert result.sizes["run"] == 4
    assert set(result.loss_function.values.tolist()) == {"squared_error", "huber"}
    assert (result.final_loss.values < 0.5).all()
    labels = gd.LogisticRegression(gd.Data(X, (X[:, 0] > 0).astype(int)), loss=gd.grid("log_loss", "cross_entropy"))
    assert gd.Sweep(problem=labels, optimizer=gd.SGD(lr=0.1), steps=5).plan().runs == 2
    with pytest.raises(ValueError, match=r"loss='log_loss' .* take gd.LogisticRegression|needs integer labels"):
        gd.LinearRegression(gd.Data(X, X[:, 0]), loss=gd.grid("squared_error", "log_loss"))


def test_linear_regression_keeps_its_digits_where_nothing_is_left():
    """An exact fit in float32: the loss falls by twelve decades, and never below 0."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(500, 6))
    problem = gd.LinearRegression(gd.Data(X, 100 + X @ rng.normal(size=6)))
    result = gd.Sweep(problem=problem, optimizer=gd.Momentum(lr=0.05), init=gd.Normal(1.0), starts=20, steps=600).run()
    assert (result.loss.values >= 0).all()
    assert (result.final_loss.values < 1e-12 * result.loss.values[:, 0]).all()


@pytest.mark.full
def test_linear_regression_on_inputs_that_are_nearly_sums_of_others():
    """Moments in float32 would not know their difference: the samples do."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(400, 3))
    X[:, 2] = X[:, 0] + 1e-4 * rng.normal(size=400)
    y = X @ [1.0, 2.0, 0.0] + 0.1 * rng.normal(size=400)
    problem = gd.LinearRegression(gd.Data(X, y), intercept=False)
    result = gd.Sweep(problem=problem, optimizer=gd.Adam(lr=0.01), steps=20_000, dtype=gd.grid("float32", "float64")).run()
    exact = np.mean((X @ np.linalg.lstsq(X, y)[0] - y) ** 2)
    assert (result.loss.values > 0.99 * exact).all()
    assert result.final_loss.values == pytest.approx(np.full(2, exact), rel=1e-2)


@pytest.mark.parametrize("name", ["breast_cancer", pytest.param("wine", marks=pytest.mark.full)])
def test_logistic_regression_is_scikit_learns(name):
    from sklearn.linear_model import LogisticRegression

    data = gd.datasets.load(name)
    problem = gd.LogisticRegression(data, l2=0.01)
    result = gd.Sweep(problem=problem, optimizer=gd.Nesterov(lr=0.3), steps=4000, dtype="float64", record=gd.Record(parameters=True, every="ends")).run()
    ((W, b),) = problem.unpack(result.parameters.values[0])
    theirs = LogisticRegression(C=1 / (0.01 * len(data.X)), tol=1e-12, max_iter=100_000).fit(data.X, data.y)
    assert pytest.approx(theirs.coef_, abs=1e-5) == W
    if name == "breast_cancer":  # of several classes the intercepts have a common part that is free
        assert b == pytest.approx(theirs.intercept_, abs=1e-5)
