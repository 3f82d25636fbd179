"""scikit-learn's face, beside scikit-learn: its own checks, its networks from the same weights, its tools
around.
"""

import inspect
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import exceptions, metrics, model_selection, neural_network, pipeline, preprocessing
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import gdsim as gd
from gdsim.estimators.training import drawn
from gdsim.lanes import compiler
from gdsim.population import samples as tables_of_samples
from gdsim.sweep.results import dataset as on_results
from gdsim.sweep.results.dataset import sweep_behind
from tests.estimators import CLASSES, FULL, NUMBERS, made, targets
from tests.helpers import same_bits


def peer_of(ours, X, y, **options):
    """scikit-learn's estimator of the same parameters with the weights of ours."""
    kind = neural_network.MLPClassifier if isinstance(ours, gd.MultistartClassifier) else neural_network.MLPRegressor
    names = ("hidden_layer_sizes", "activation", "alpha", "batch_size", "n_iter_no_change", "tol")
    peer = kind(**{n: getattr(ours, n) for n in names}, max_iter=1, warm_start=True, random_state=0, **options).fit(X, y)
    peer.coefs_, peer.intercepts_ = [w.copy() for w in ours.coefs_], [b.copy() for b in ours.intercepts_]
    peer.loss_curve_, peer.best_loss_ = [], np.inf
    return peer


def agree(ours, peer, X):
    """The weights and what comes out are the same but for rounding, whose share is given back."""
    near = 1e-7 if ours.dtype == "float64" else 2e-5
    for a, b in zip([*ours.coefs_, *ours.intercepts_], [*peer.coefs_, *peer.intercepts_], strict=True):
        np.testing.assert_allclose(a, b, rtol=near, atol=near)
    name = "predict_proba" if hasattr(peer, "predict_proba") else "predict"
    np.testing.assert_allclose(getattr(ours, name)(X), getattr(peer, name)(X), rtol=near, atol=near)
    assert (ours.n_layers_, ours.n_outputs_, ours.out_activation_) == (peer.n_layers_, peer.n_outputs_, peer.out_activation_)
    return near


CASES = [("two classes", False, "float32"), *(pytest.param(k, w, "float64", marks=FULL) for k in (*CLASSES, *NUMBERS) for w in (False, True))]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("kind", "weighted", "dtype"), CASES)
def test_from_the_same_weights_losses_and_weights_are_those_of_scikit_learn(kind, weighted, dtype):
    """Adam and the penalty, all samples at once."""
    if weighted and "sample_weight" not in inspect.signature(neural_network.MLPClassifier.fit).parameters:
        pytest.skip("MLPClassifier has sample weights from scikit-learn 1.7 on")
    X, y = targets(kind)
    weights = {"sample_weight": np.arange(len(X)) % 3} if weighted else {}
    ours = made(kind, n_starts=1, alpha=2.0, optimizer=gd.Adam(0.02, eps=1e-12, convention="torch"), max_iter=1, warm_start=True, dtype=dtype)
    ours.fit(X, y, **weights)
    peer = peer_of(ours, X, y, solver="adam", learning_rate_init=0.02, epsilon=1e-12)
    ours.set_params(max_iter=25).fit(X, y, **weights)
    peer.set_params(max_iter=25).fit(X, y, **weights)
    near = agree(ours, peer, X)
    if kind != "two outputs":  # whose loss it gives as the mean over outputs, and descends as the sum
        np.testing.assert_allclose(ours.loss_curve_[1:], peer.loss_curve_, rtol=near)
        np.testing.assert_allclose((ours.loss_, ours.best_loss_), (peer.loss_, min(ours.loss_curve_[0], peer.best_loss_)), rtol=near)
    assert ours.n_iter_ == peer.n_iter_ == 25


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_starts_are_drawn_as_scikit_learn_draws_them(activation):
    """Weights and biases of a layer alike, uniform within one bound; every start its own, the first of few
    the first of many.
    """
    X, y = targets("three classes")
    options = {"hidden_layer_sizes": (40,), "activation": activation, "max_iter": 1}
    peer = neural_network.MLPClassifier(solver="sgd", learning_rate_init=1e-300, random_state=0, **options).fit(X, y)
    problem = gd.MLP(gd.Data(X, y), [40], "sigmoid" if activation == "logistic" else activation)
    ours = drawn(problem, 50, 7)
    layers = [problem.unpack(v) for v in ours]
    for k, (w, b) in enumerate(zip(peer.coefs_, peer.intercepts_, strict=True)):
        bound = np.sqrt((2 if activation == "logistic" else 6) / sum(w.shape))
        assert 0.9 * bound < max(abs(w).max(), abs(b).max()) < bound  # the formula is scikit-learn's
        for numbers in (np.array([layer[k][i] for layer in layers]) for i in (0, 1)):
            assert stats.kstest(numbers.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    assert len(np.unique(ours)) == ours.size
    assert same_bits(drawn(problem, 2, 7), ours[:2])


@FULL
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_steps_on_batches_are_those_of_scikit_learn_in_the_same_order():
    """Nesterov's momentum; every epoch has the same order, which the peer is given as the order of its
    samples.
    """
    X, y = targets("one output")
    options = {"batch_size": 20, "shuffle": False, "alpha": 1.0, "dtype": "float64", "activation": "logistic"}
    ours = made("one output", n_starts=1, optimizer=gd.Nesterov(0.05, 0.8, convention="torch"), max_iter=1, warm_start=True, **options).fit(X, y)
    peer = peer_of(ours, X, y, solver="sgd", learning_rate_init=0.05, momentum=0.8, shuffle=False)
    ours.set_params(max_iter=10).fit(X, y)
    order = sweep_behind(ours.result_).order(0)[:3].ravel()
    assert sorted(order) == list(range(60))
    peer.set_params(max_iter=10).fit(X[order], y[order])
    near = agree(ours, peer, X)
    np.testing.assert_allclose(ours.loss_curve_[1:], peer.loss_curve_, rtol=near)


@pytest.mark.parametrize("options", [{}, {"combine": "best"}, {"early_stopping": True}])
@pytest.mark.parametrize("kind", ["two classes", *(pytest.param(k, marks=FULL) for k in ("three classes", "several labels", "one output"))])
def test_what_predicts_is_the_mean_of_all_networks_or_the_best_on_a_share_set_aside(kind, options):
    X, y = targets(kind)
    model = made(kind, learning_rate_init=0.05, **options).fit(X, y)
    problem = sweep_behind(model.result_).problem[0]
    vectors = model.result_.best_parameters if "early_stopping" in options else model.result_.parameters
    outputs = gd.predict(problem, vectors.values, X).astype(float)
    expected = outputs.mean(0)
    held = problem.data.validation
    assert (held is None) == (not options)
    assert len(X) == len(problem.data.X) + (0 if held is None else 6)
    if options:
        assert not {tuple(row) for row in held.X} & {tuple(row) for row in problem.data.X}
        losses = gd.evaluate(problem, vectors.values, on="validation").loss.values
        assert model.best_start_ == int(losses.argmin())
        expected = expected if "early_stopping" in options else outputs[losses.argmin()]
    else:
        assert model.best_start_ == int(model.result_.final_loss.values.argmin())
    found = model.predict_proba(X) if kind in CLASSES else model.predict(X)[:, None]
    np.testing.assert_allclose(found[:, -1], expected[:, -1], rtol=1e-6)
    for a, (W, b) in zip(zip(model.coefs_, model.intercepts_, strict=True), problem.unpack(vectors.values[model.best_start_]), strict=True):
        assert (a[0] == W.T).all()
        assert (a[1] == b).all()


@pytest.mark.parametrize("batch", [60, pytest.param(20, marks=FULL)])
def test_a_start_ends_where_no_epoch_in_a_row_was_lower_by_the_tolerance(batch):
    """By scikit-learn's rule, applied to the curves: more than n_iter_no_change epochs whose loss is above
    the lowest less tol.
    """
    X, y = targets("two classes")
    options = {"learning_rate_init": 0.3, "alpha": 10.0, "max_iter": 60, "batch_size": batch}
    free = made("two classes", **options).fit(X, y).result_.epoch_loss.values
    model = made("two classes", **{**options, "n_iter_no_change": 2, "tol": 0.01}).fit(X, y)
    for run in range(3):
        best, waited, end = np.inf, 0, None
        for epoch, loss in enumerate(free[run]):
            waited, best = (waited + 1 if loss > best - np.float32(0.01) else 0), min(best, loss)
            if waited > 2:
                end = epoch + 1
                break
        assert end is not None
        assert int(model.result_.steps_taken[run]) == end * 60 // batch
        assert str(model.result_.reason.values[run]) == "Plateau"
        assert same_bits(model.result_.epoch_loss.values[run, :end], free[run, :end])
    assert model.n_iter_ == len(model.loss_curve_)
    assert model.loss_curve_ == free[model.best_start_, : model.n_iter_].tolist()
    assert model.best_loss_ == min(model.loss_curve_)


def test_one_warning_where_starts_might_go_on_and_an_error_where_all_diverge():
    X, y = targets("two classes")
    with pytest.warns(exceptions.ConvergenceWarning, match=r"3 of 3 starts took all 12 epochs \(max_iter\)"):
        made("two classes", n_iter_no_change=12).fit(X, y)
    model = made("two classes").fit(X, y)
    with pytest.raises(ValueError, match=r"all 3 starts diverged; lower the learning rate \(learning_rate_init\)$"):
        model.set_params(learning_rate_init=1e9).fit(X, y)
    with pytest.raises(exceptions.NotFittedError):
        model.predict(X)


@FULL
def test_weights_count_and_equal_samples_are_one_to_the_last_bit():
    X, y = targets("three classes", 24)
    weight = np.arange(24) % 4
    for combine in ("average", "best"):
        one = made("three classes", combine=combine).fit(X, y, sample_weight=weight)
        other = made("three classes", combine=combine).fit(X.repeat(weight, 0)[::-1], y.repeat(weight)[::-1])
        assert (one.predict_proba(X) == other.predict_proba(X)).all()


def test_parameters_within_optimizers_are_read_set_searched_and_cloned():
    model = gd.MultistartClassifier(optimizer=gd.ClipNorm(gd.Momentum(0.1, 0.8), norm=2.0))
    assert model.get_params()["optimizer__rule__momentum"] == 0.8
    assert model.set_params(optimizer__rule__lr=0.2, optimizer__norm=3.0).optimizer == gd.ClipNorm(gd.Momentum(0.2, 0.8), norm=3.0)
    assert clone(model).get_params() == model.get_params()
    usual = gd.MultistartClassifier()
    assert usual.get_params()["optimizer__lr"] == 0.001
    assert usual.set_params(optimizer__lr=0.5).optimizer == gd.Adam(0.5, convention="torch")
    with pytest.raises(ValueError, match=r"Adam has no 'rate'; did you mean 'lr'\?"):
        usual.set_params(optimizer__rate=0.5)
    with pytest.raises(ValueError, match=r"MultistartClassifier has no 'solver'; write optimizer="):
        usual.set_params(solver="sgd")
    assert usual.set_params(schedule=gd.Cosine(cycle=10), schedule__cycle=20).schedule == gd.Cosine(cycle=20)


def test_a_search_over_rates_compiles_once():
    X, y = targets("two classes")
    model = made("two classes")
    grid = [{"learning_rate_init": [0.001, 0.1]}, {"optimizer__lr": [0.002, 0.05], "alpha": [0.1, 1.0]}]
    made("two classes").fit(X[:40], y[:40]).predict(X)
    kernels = len(compiler._kernels)
    search = model_selection.GridSearchCV(
        pipeline.make_pipeline(preprocessing.StandardScaler(), model), [{f"multistartclassifier__{n}": v for n, v in g.items()} for g in grid], cv=3
    )
    search.fit(X, y)
    assert len(compiler._kernels) == kernels
    assert search.best_params_.get("multistartclassifier__learning_rate_init", 0.05) > 0.04
    again = pickle.loads(pickle.dumps(search))
    assert (again.predict_proba(X) == search.predict_proba(X)).all()
    assert len(pickle.dumps(again.best_estimator_[-1]._network)) < 5000  # which has none of the samples


def test_frames_have_their_columns_names_and_threads_change_nothing():
    X, y = targets("two classes")
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = made("two classes", n_jobs=2).fit(frame, pd.Series(y))
    assert model.feature_names_in_.tolist() == list("abcd")
    assert (model.predict_proba(frame) == made("two classes", n_jobs=1).fit(X, y).predict_proba(X)).all()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("dcba")])


def test_what_is_kept_for_later_calls_is_bounded(monkeypatch):
    monkeypatch.setattr(tables_of_samples, "KEPT_TABLE_BYTES", 0)
    monkeypatch.setattr(on_results, "KEPT_BYTES", 0)
    X, y = targets("two classes")
    first, second = (made("two classes", max_iter=1).fit(X + shift, y) for shift in (0.0, 1.0))
    assert len(tables_of_samples._tables) <= 2
    assert len(gd.evaluate(second.result_).loss) == 3
    with pytest.raises(ValueError, match="comes from no sweep"):
        gd.evaluate(first.result_)
    assert first.predict(X).shape == (60,)


WRONG = {
    "hidden_layer_sizes": ([0], r"hidden_layer_sizes: each must be a whole number from 1; 0 was given"),
    "activation": (np.str_("rleu"), r"activation='rleu' is not known; did you mean 'relu'\?"),
    "n_starts": (np.int64(0), "n_starts must be a whole number from 1; 0 was given"),
    "combine": ("mean", "combine='mean' is not known; allowed: 'average', 'best'"),
    "optimizer": ("adam", r"optimizer must be None or one of gdsim's, such as gd.Momentum\(0.1\); 'adam' was given; did you mean gd.Adam\(\)\?"),
    "schedule": (gd.Cosine, r"schedule must be None or one of gdsim's.*write gd.Cosine\(...\)"),
    "alpha": (np.float32(-0.1), r"alpha must be a finite number in \[0, inf\); -0\.1 was given"),
    "batch_size": ("all", r'batch_size \("auto" for 200\) must be a whole number from 1'),
    "learning_rate_init": (0, r"learning_rate_init must be a finite number in \(0, inf\)"),
    "max_iter": (0, "max_iter must be a whole number from 1"),
    "momentum": (0.9, "momentum=0.9 was given, and Adam has no momentum; leave it out, or take another optimizer"),
    "tol": (None, "tol must be a number"),
    "shuffle": ("yes", "shuffle must be true or false; 'yes' was given"),
    "validation_fraction": (1.0, r"validation_fraction must be a finite number in \(0, 1\)"),
    "n_iter_no_change": (2.5, "n_iter_no_change must be a whole number from 1"),
    "verbose": ("x", "verbose must be true or false, or a whole number; 'x' was given"),
    "n_jobs": (0, "n_jobs must be None, a whole number from 1, -1 for all"),
    "dtype": ("float16", "dtype='float16' is not known"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_parameter_cannot_be_is_said_when_it_is_fitted(name):
    value, said = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=said):
        made("two classes", **{name: value}).fit(*targets("two classes"))


def test_a_number_is_said_by_the_estimator_or_by_its_optimizer():
    """An optimizer's default says nothing, so that learning_rate_init goes with it."""
    X, y = targets("two classes")
    for optimizer, options, said in (
        (gd.Momentum(0.02), {"learning_rate_init": 3.0}, r"learning_rate_init=3\.0 and Momentum\(lr=0\.02\) both say lr; leave learning_rate_init out, or lr"),
        (
            gd.ClipNorm(gd.Nesterov(momentum=0.5), norm=1.0),
            {"momentum": 0.9},
            r"momentum=0\.9 and Nesterov\(lr=0\.01, momentum=0\.5\) both say momentum; leave",
        ),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            made("two classes", optimizer=optimizer, **options).fit(X, y)
        assert "\n" not in str(caught.value)
    searched = made("two classes", learning_rate_init=0.01).set_params(optimizer__lr=0.5)
    with pytest.raises(ValueError, match=r"learning_rate_init=0\.01 and Adam\(lr=0\.5, convention='torch'\) both say lr"):
        searched.fit(X, y)
    model = made("two classes", optimizer=gd.Adam(beta1=0.5, convention="torch"), learning_rate_init=0.25, max_iter=1).fit(X, y)
    assert sweep_behind(model.result_).optimizer[0] == gd.Adam(0.25, beta1=0.5, convention="torch")


def test_numbers_that_are_too_large_are_named_as_they_were_given():
    X, y = targets("one output", 20)
    X[[4, 7], 2] = 1e39
    with pytest.raises(ValueError, match=r"X\[4, 2\], of column 'c', is 1e\+39, beyond float32.*StandardScaler.*dtype='float64'"):
        made("one output").fit(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.raises(ValueError, match=r"y\[3\] is -1e\+40, beyond float32.*TransformedTargetRegressor"):
        made("one output").fit(targets("one output", 20)[0], [0.0] * 3 + [-1e40] + [1.0] * 16)


@pytest.mark.parametrize(("kind", "far"), [("two classes", "features"), pytest.param("one output", "targets", marks=FULL)])
def test_where_all_starts_diverge_what_is_far_from_zero_is_named(kind, far):
    X, y = targets(kind)
    X, y = (X / abs(X).max() * 1e38, y) if far == "features" else (X, y / abs(y).max() * 1e30)
    with pytest.raises(ValueError, match=rf"diverged; .*, or scale the {far}, which reach 1e\+3[08] \(\w+\)$"):
        made(kind).fit(X, y)


@FULL
def test_equal_samples_are_one_too_where_a_batch_holds_all_that_setting_aside_leaves():
    """Of 60 samples, twice 30, 54 are left: fewer than a batch of 55, more than there are unequal ones."""
    X, y = targets("two classes", 30)
    model = made("two classes", batch_size=55, combine="best", max_iter=1).fit(np.repeat(X, 2, 0), np.repeat(y, 2))
    data = sweep_behind(model.result_).problem[0].data
    assert len(data.X) == len(np.unique(data.X, axis=0)) <= 30
    assert round(data.sample_weight.sum() / data.sample_weight.min()) == 54


def test_axes_and_one_class_are_refused():
    X, y = targets("two classes")
    with pytest.raises(ValueError, match="is an axis, and an estimator has one number; search over optimizer__lr"):
        made("two classes", optimizer=gd.Adam([0.1, 0.2])).fit(X, y)
    with pytest.raises(ValueError, match="y has one class, 'no'"):
        made("two classes").fit(X, ["no"] * 60)


DATES = pd.date_range("2026-01-01", periods=60)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("two classes", lambda X, y: (X, np.digitize(X[:, :2], [-0.5, 0.5])), r"y\[sample, label\] must be of 0 and 1, .* take sklearn.multioutput"),
        ("two classes", lambda X, y: (X, ["a", 1, None] * 20), r"y\[1\] is 1, and y\[0\] the text 'a'; labels must be all texts, or all numbers"),
        ("two classes", lambda X, y: (X, pd.Series(["a", None, "b"] * 20, name="kind")), r"column 'kind' has 20 missing values, the first in row 2 of 60"),
        ("two classes", lambda X, y: (pd.DataFrame({"day": DATES, "x": X[:, 0]}), y), r"column 'day' of X is one of dates or durations.*give the days"),
        ("one output", lambda X, y: (DATES, y), "X is an array of dates or durations"),
        ("one output", lambda X, y: (DATES.values[:, None] - DATES.values[0], y), "X is an array of dates or durations"),
        ("one output", lambda X, y: (X, pd.Series(DATES)), "y is an array of dates or durations"),
    ],
)
def test_samples_that_cannot_be_are_refused_in_one_line(kind, given, said):
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        made(kind).fit(*given(*targets(kind)))
    assert "\n" not in str(caught.value)


def test_labels_may_be_dates_and_a_prediction_takes_none():
    X, y = targets("two classes")
    model = made("two classes").fit(X, np.where(y == "yes", DATES.values[0], DATES.values[1]))
    assert len(model.classes_) == 2
    with pytest.raises(TypeError, match="X is an array of dates"):
        model.predict(DATES.values.reshape(-1, 4))


@FULL
def test_several_labels_in_a_sweep():
    """The log loss of each column, summed; right are samples of which every label is."""
    X, y = targets("several labels")
    problem = gd.MLP(gd.Data(X, y), hidden=[4], loss="log_loss")
    result = gd.Sweep(problem=problem, optimizer=gd.Adam(0.05), starts=2, steps=60, record=gd.Record(parameters=True), dtype="float64").run()
    outputs = gd.predict(problem, result.parameters.values, X)
    for run in range(2):
        assert np.isclose(float(result.final_loss[run]), sum(metrics.log_loss(y[:, k], outputs[run, :, k]) for k in range(3)))
        assert np.isclose(float(result.accuracy[run, -1]), metrics.accuracy_score(y, outputs[run] > 0.5))
    with pytest.raises(ValueError, match="a sample may have several labels"):
        gd.predict(problem, result.parameters.values, X, classes=True)


# Those that scikit-learn itself skips: without SCIPY_ARRAY_API=1, and where there is no decision_function.
SKIPPED = {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}


@FULL
@pytest.mark.parametrize("kind", [gd.MultistartClassifier, gd.MultistartRegressor])
@pytest.mark.parametrize("options", [{}, {"combine": "best"}, {"early_stopping": True}])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_check_of_scikit_learn_passes(kind, options):
    model = kind((16,), n_starts=2, **options)
    found = check_estimator(model, on_skip=None, on_fail=None)
    failed = {c["check_name"]: c["exception"] for c in found if c["status"] == "failed"}
    assert not failed
    assert {c["check_name"] for c in found if c["status"] == "skipped"} <= SKIPPED
    assert not [c for c in found if c["expected_to_fail"]]


@FULL
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_dask_runs_a_search_by_joblib():
    from gdsim.sweep.cluster.client import connected

    X, y = targets("two classes")
    search = model_selection.GridSearchCV(made("two classes"), {"optimizer__lr": [0.001, 0.1]}, cv=2)
    here = clone(search).fit(X, y)
    with connected(workers=1), joblib.parallel_backend("dask"):
        there = search.fit(X, y)
    assert (there.cv_results_["mean_test_score"] == here.cv_results_["mean_test_score"]).all()
