"""Evaluation and prediction: on each set of samples, at vectors, arrays, DataArrays and results; PyTorch and
NumPy are the truth.
"""

import numpy as np
import pandas
import pytest
import xarray

import gdsim as gd

RNG = np.random.default_rng(0)
X = RNG.normal([3, -1], [2, 0.1], size=(60, 2))
NAMES = np.array(["low", "mid", "top"])
KIND = NAMES[np.clip(np.round((X[:, 0] - 3) / 2 + 1), 0, 2).astype(int)]
FRAME = pandas.DataFrame(X, columns=["a", "b"])


@pytest.fixture(scope="module")
def problem():
    return gd.MLP(gd.Data(FRAME, KIND, validation=0.2, test=0.25, standardize=True, seed=1), hidden=[2], activation="tanh", l2=0.01)


@pytest.fixture(scope="module")
def result(problem):
    optimizers = [gd.SGD(lr=[0.1, 0.5])]
    return gd.Sweep(problem=problem, optimizer=optimizers, starts=3, steps=20, stop=[gd.Validation(patience=50)], record=gd.Record(parameters=True)).run()


def forward(problem, vector, X):
    """Class probabilities [sample, class] of the network, in NumPy."""
    (W1, b1), (W2, b2) = problem.unpack(np.asarray(vector, float))
    z = np.tanh(X @ W1.T + b1) @ W2.T + b2
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def penalty(problem, vector):
    return 0.5 * problem.l2 * sum((W**2).sum() for W, _ in problem.unpack(np.asarray(vector, float)))


@pytest.mark.parametrize("on", ["train", "validation", "test"])
def test_every_set_has_its_loss_and_accuracy(problem, result, on):
    part = problem.data.sets[on]
    found = gd.evaluate(problem, result.parameters.values, on=on)
    for run, vector in enumerate(result.parameters.values):
        p = forward(problem, vector, part.X)
        assert np.isclose(found.loss[run], -np.log(p[np.arange(len(p)), part.y]).mean() + (penalty(problem, vector) if on == "train" else 0.0), rtol=1e-5)
        assert np.isclose(found.accuracy[run], (p.argmax(1) == part.y).mean(), rtol=1e-6)
    assert ("gradient_norm" in found) == (on == "train")
    assert found.attrs["on"] == on


def test_a_result_stands_in_the_place_of_problem_and_parameters(problem, result):
    assert (gd.evaluate(result).loss.values == result.final_loss.values).all()
    validation = gd.evaluate(result, on="validation")
    assert (validation.loss.values == result.final_validation_loss.values).all()
    assert (validation.lr.values == result.lr.values).all()
    best = gd.evaluate(result, on="validation", variable="best_parameters")
    assert (best.loss.values == result.best_validation_loss.values).all()
    assert (gd.evaluate(problem, result).loss.values == result.final_loss.values).all()
    some = result.isel(run=[4, 1])
    assert (gd.evaluate(some).loss.values == some.final_loss.values).all()


def test_each_run_of_a_result_has_its_cells_problem(tmp_path):
    data = gd.Data(FRAME, KIND, test=0.25)
    problems = [gd.MLP(data, hidden=gd.grid([], [2]), l2=[0.0, 0.1]), gd.LinearRegression(gd.Data(X, X[:, 0], test=0.5))]
    sweep = gd.Sweep(problem=problems, optimizer=gd.SGD(lr=0.01), starts=2, steps=5, record=gd.Record(parameters=True))
    result = sweep.run(out=tmp_path / "kept")
    found = gd.evaluate(result)
    assert np.allclose(found.loss, result.final_loss, rtol=1e-5)  # the regression was trained by its moments
    assert np.isnan(found.accuracy).sum() == 2
    outputs = gd.predict(str(tmp_path / "kept"), X[:4])
    assert outputs.dims == ("run", "sample", "output")
    assert (outputs.run.values == result.run.values).all()
    for run in range(result.sizes["run"]):
        count = int((~np.isnan(outputs.values[run, 0])).sum())
        assert count == (1 if np.isnan(found.accuracy.values[run]) else 3)
    mixed = gd.evaluate(result, on="test")
    assert np.isfinite(mixed.loss.values).all()


def test_predictions_take_features_as_they_were_given(problem, result):
    vector = result.parameters.values[0]
    expected = forward(problem, vector, (X - problem.data.center) / problem.data.scale)
    for given in (X, FRAME, FRAME[["b", "a"]], FRAME.assign(id=1, kind=KIND), X.tolist()):
        assert np.allclose(gd.predict(problem, vector, given), expected, atol=1e-5)
    test = problem.data.test
    assert np.allclose(gd.predict(problem, vector, test), forward(problem, vector, test.X), atol=1e-5)
    assert np.allclose(gd.predict(problem, vector, gd.Data(X, KIND)), expected, atol=1e-5)


def test_a_folders_problem_predicts_too(problem, tmp_path):
    from gdsim.sweep.results.dataset import sweep_behind

    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), steps=3, record=gd.Record(parameters=True))
    sweep.run(out=tmp_path / "kept")
    opened = gd.open(tmp_path / "kept")
    (kept,) = sweep_behind(opened).problem
    vector = opened.parameters.values[0]
    assert (gd.predict(kept, vector, FRAME[["b", "a"]]) == gd.predict(problem, vector, X)).all()
    assert (gd.evaluate(opened, on="test").loss.values == gd.evaluate(problem, vector, on="test").loss.values).all()
    test = problem.data.test
    for given in (test, kept.data.test, test.X * test.scale + test.center):  # wherever the set lies in memory
        for found in (gd.predict(opened, given)[0], gd.predict(problem, vector, given), gd.predict(kept, vector, given)):
            assert np.allclose(found, forward(problem, vector, test.X), atol=1e-5)
    for raw in (test.X, kept.data.test.X, test.X.copy()):  # an array is of features as they were given to gd.Data, whatever it shares
        assert np.allclose(gd.predict(opened, raw)[0], forward(problem, vector, (raw - test.center) / test.scale), atol=1e-5)


def test_columns_are_taken_by_the_names_of_the_results_own_data():
    frames = [pandas.DataFrame(X, columns=names) for names in (["a", "b"], ["b", "a"])]
    results = [
        gd.Sweep(problem=gd.LinearRegression(gd.Data(f, X[:, 0])), optimizer=gd.SGD(lr=0.01), steps=3, record=gd.Record(parameters=True)).run() for f in frames
    ]
    assert results[0].attrs["experiment"] == results[1].attrs["experiment"]
    for result, frame in zip(results, frames, strict=True):
        w = result.parameters.values[0]
        for given in (frame, frame[frame.columns[::-1]]):
            assert np.allclose(gd.predict(result, given).values[0, :, 0], X @ w[:2] + w[2], atol=1e-4)


def test_classes_are_named(problem, result):
    found = gd.predict(problem, result.parameters.values, X, classes=True)
    assert found.shape == (6, 60)
    for run, vector in enumerate(result.parameters.values):
        assert (found[run] == NAMES[forward(problem, vector, (X - problem.data.center) / problem.data.scale).argmax(1)]).all()
    labelled = gd.predict(result, X)
    assert labelled.output.values.tolist() == NAMES.tolist()
    assert (gd.predict(result, X, classes=True).values == found).all()
    diverged = gd.predict(problem, [np.full(15, np.nan), result.parameters.values[0]], X, classes=True)
    assert diverged[0].tolist() == [None] * 60
    assert (diverged[1] == found[0]).all()
    binary = gd.LogisticRegression(gd.Data([[0.0], [1.0], [3.0]], [7, 9, 9]))
    assert gd.predict(binary, [2.0, -1.0], [[0.0], [1.0]], classes=True).tolist() == [7, 9]
    assert gd.predict(binary, [np.nan, -1.0], [[0.0], [1.0]], classes=True).tolist() == [None, None]
    with pytest.raises(ValueError, match="classes=True names the most likely class, and 'mean_squared_error' is a loss of numbers"):
        gd.predict(gd.LinearRegression(gd.Data(X, X[:, 0])), np.zeros(3), X, classes=True)


def test_one_vector_has_no_run_and_a_data_array_keeps_its_coordinates(problem, result):
    vector = result.parameters.values[0]
    assert gd.evaluate(problem, vector).loss.dims == ()
    assert gd.predict(problem, vector, X).shape == (60, 3)
    assert gd.predict(problem, vector, X, classes=True).shape == (60,)
    grid = gd.grid_of(result)
    found = gd.evaluate(problem, grid.parameters)
    assert found.loss.dims == ("start", "lr")
    assert (found.loss.values == grid.final_loss.values).all()
    assert (found.lr.values == [0.1, 0.5]).all()
    outputs = gd.predict(problem, result.parameters, X)
    assert outputs.dims == ("run", "sample", "output")
    assert (outputs.lr.values == result.lr.values).all()
    assert (outputs.values == gd.predict(problem, result.parameters.values, X)).all()
    one = gd.predict(problem, result.parameters.isel(run=0), X)
    assert one.dims == ("sample", "output")


def test_functions_and_formulas_are_evaluated_where_they_have_samples():
    booth = gd.functions.Booth()
    assert gd.evaluate(booth, [1.0, 3.0]).loss == 0.0
    with pytest.raises(ValueError, match="there is no test set to evaluate on: Booth has none; on='train' is its function"):
        gd.evaluate(booth, [1.0, 3.0], on="test")
    line = gd.Expression("(w*x - y)**2", data=gd.Data([[1.0], [2.0], [3.0], [4.0]], [1.0, 2.0, 3.0, 8.0], validation=([[1.0]], [3.0])))
    assert np.isclose(gd.evaluate(line, [2.0], on="validation").loss, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, r: gd.evaluate(p, np.zeros(p.parameter_count), on="valid"), r"on='valid' is not known; .*validation"),
        (lambda p, r: gd.evaluate(gd.MLP(gd.datasets.load("xor")), np.zeros(6), on="test"), r"there is no test set .* declare it with test=0.2"),
        (lambda p, r: gd.evaluate(p), r"evaluate needs parameters"),
        (lambda p, r: gd.evaluate(r, r), r"evaluate takes a result in place of problem and parameters"),
        (lambda p, r: gd.evaluate(r.drop_vars("parameters")), r"this result has none: run the sweep with record=gd.Record\(parameters=True\)"),
        (lambda p, r: gd.evaluate(r, variable="weights"), r"variable must be one of 'parameters', 'best_parameters'"),
        (lambda p, r: gd.evaluate(p, xarray.DataArray(np.zeros((2, 3)), dims=("u", "v"))), r"must have the dim 'parameter'; the DataArray has u, v"),
        (lambda p, r: gd.evaluate(p, np.zeros((2, 3, 4))), r"parameters must be \[run, parameter\] with 15 numbers"),
        (lambda p, r: gd.predict(p, np.zeros(15)), r"predict needs the features X"),
        (lambda p, r: gd.predict(p, np.zeros(15), X[:, :1]), r"X must have the problem's 2 features; shape \(60, 1\) was given"),
        (lambda p, r: gd.predict(p, np.zeros(15), [[1.0], [1.0, 2.0]]), r"rows of X must be of one length"),
        (lambda p, r: gd.evaluate(p, [[1.0], [1.0, 2.0]]), r"rows of parameters must be of one length"),
        (
            lambda p, r: gd.predict(p, np.zeros(15, np.float32), [[0.0, 1.0], [1e39, 0.0]]),
            r"X\[1, 0\].* is .*e\+38, beyond float32",
        ),
        (lambda p, r: gd.predict(p, np.full(15, 1e39), X, dtype="float32"), r"parameters\[0, 0\] is 1e\+39, beyond float32, .*; 15 such numbers"),
        (lambda p, r: gd.predict(p, np.zeros(15), X[0]), r"X must have the problem's 2 features; shape \(2,\) was given"),
        (lambda p, r: gd.predict(p, np.zeros(15), FRAME.rename(columns={"b": "B"})), r"X has no column 'b', which the problem's data has"),
        (lambda p, r: gd.predict(p, np.zeros(15), gd.Data(X[:9], KIND[:9], standardize=True)), r"X is standardized otherwise"),
        (lambda p, r: gd.predict(p, np.zeros(14), X), r"parameters must be \[run, parameter\] with 15 numbers each; shape \(1, 14\)"),
    ],
)
def test_errors_are_one_line(problem, result, call, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call(problem, result)
    assert "\n" not in str(caught.value)


def test_a_prediction_with_a_result_in_the_place_of_parameters(problem, result):
    assert (gd.predict(problem, result, X).values == gd.predict(result, X).values).all()
