"""Estimators that go on: partial_fit beside one training at once, and warm starts."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.sweep.results.dataset import sweep_behind
from tests.estimators import CLASSES, FULL, made, targets


@pytest.mark.parametrize(("kind", "batch"), [("two classes", 60), pytest.param("three classes", 25, marks=FULL), pytest.param("two outputs", 20, marks=FULL)])
def test_epoch_by_epoch_is_the_same_as_at_once(kind, batch):
    """partial_fit goes on with the optimizer's state, orders of samples and schedule; where all are taken at
    once it leaves equal ones apart.
    """
    X, y = targets(kind)
    X = X[np.lexsort(X.T[::-1])]
    options = {"batch_size": batch, "learning_rate_init": 0.05, **({} if batch == 60 else {"schedule": gd.InverseTime()})}
    whole = made(kind, **options, max_iter=4).fit(X, y)
    step, classes = made(kind, **options), {"classes": np.unique(y)} if kind in CLASSES else {}
    for _ in range(4):
        step.partial_fit(X, y, **classes)
        step.result_ = step.result_.rename({f"state_bias_correction{k}": f"state_share{k}" for k in (1, 2)})  # as an older version has pickled it
    for model in (step, made(kind, **options, max_iter=3).fit(X, y).partial_fit(X, y)):
        assert (model.result_.parameters.values == whole.result_.parameters.values).all()
        assert (model._population.curves == whole._population.curves).all()
        assert model.n_iter_ == 1


def test_partial_fit_takes_batches_of_any_size_and_knows_classes_that_are_not_there_yet():
    X, y = targets("two classes")
    model = made("two classes", learning_rate_init=0.05, combine="best")
    with pytest.raises(ValueError, match="needs classes="):
        model.partial_fit(X, y)
    for first in range(0, 60, 7):
        model.partial_fit(X[first : first + 7], ["no"] * 7 if first == 0 else y[first : first + 7], classes=["no", "yes"])
    assert model.classes_.tolist() == ["no", "yes"]
    assert len(model.loss_curve_) == 9
    with pytest.raises(ValueError, match=r"y\[0\] is 'perhaps', which is none of the classes 'no', 'yes'"):
        model.partial_fit(X[:2], ["perhaps", "no"])
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :2], y)
    with pytest.raises(ValueError, match=r"classes= has one class, 'no'"):
        made("two classes").partial_fit(X[:2], ["no", "no"], classes=["no"])
    with pytest.raises(ValueError, match=r"y has 'yes', which classes=.* lacks"):
        made("two classes").partial_fit(X[:2], ["no", "yes"], classes=["no", "perhaps"])
    with pytest.raises(ValueError, match="partial_fit goes on with the optimizer that it began with"):
        model.set_params(optimizer=gd.RMSprop()).partial_fit(X, y)


@FULL
def test_a_schedule_goes_on_by_steps_whatever_the_sizes_of_the_calls():
    """On equal rows the order does not matter, and the rate lr / t can be followed by hand: w of (x, 1) goes
    down the gradient of (w x - y)^2 / 2.
    """
    model = gd.MultistartRegressor((), n_starts=1, optimizer=gd.SGD(0.5), schedule=gd.InverseTime(), batch_size=20, alpha=0.0, dtype="float64", random_state=3)
    weights, error = None, None
    for rows, steps in ((40, [1, 2]), (20, [3]), (40, [4, 5]), (7, [6]), (60, [7, 8, 9])):
        model.partial_fit(np.full((rows, 1), 2.0), np.full(rows, 3.0))
        if weights is not None:
            for t in steps:
                error = weights @ [2.0, 1.0] - 3.0
                weights = weights - 0.5 / t * error * np.array([2.0, 1.0])
            np.testing.assert_allclose([model.coefs_[0][0, 0], model.intercepts_[0][0]], weights, rtol=1e-12)
        weights = np.array([model.coefs_[0][0, 0], model.intercepts_[0][0]])


@FULL
@pytest.mark.parametrize(("rule", "schedule"), [(gd.Adam(0.1), gd.Exponential(0.7)), (gd.Momentum(0.02), gd.OneCycle(steps=12, momenta=(0.5, 0.9)))])
def test_calls_of_any_sizes_are_one_training_on_equal_rows(rule, schedule):
    """Nine steps of 2 + 1 + 2 + 1 + 3, beside nine epochs of one step."""
    options = {"n_starts": 2, "optimizer": rule, "schedule": schedule, "batch_size": 20, "alpha": 0.0, "dtype": "float64", "random_state": 3}
    X, y = np.full((60, 1), 2.0), np.full(60, 3.0)
    model = gd.MultistartRegressor((), **options)
    for rows in (40, 20, 40, 7, 60):
        model.partial_fit(X[:rows], y[:rows])
    whole = gd.MultistartRegressor((), **options, max_iter=9, n_iter_no_change=np.inf).fit(X[:20], y[:20])
    np.testing.assert_allclose(model.result_.parameters, whole.result_.parameters, rtol=1e-12)


# A step at such a rate moves nothing, and so shows where it began.
FROZEN = {"learning_rate_init": 1e-30}


def test_partial_fit_goes_on_from_weights_that_were_put_in():
    X, y = targets("two classes")
    model = made("two classes").fit(X, y)
    before = model._population.vectors.copy()
    model.coefs_, changed = [np.full_like(W, 0.25) for W in model.coefs_], model._population.best
    model.set_params(**FROZEN).partial_fit(X, y)
    after = model._population.vectors
    assert (after[changed] != before[changed]).any()
    assert all((W == 0.25).all() for W, _ in model._network.unpack(after[changed]))
    others = np.arange(3) != changed
    assert (after[others] == before[others]).all()


@FULL
def test_partial_fit_goes_on_from_the_best_weights_of_an_early_end():
    X, y = targets("two outputs")
    model = made("two outputs", early_stopping=True, n_iter_no_change=1, learning_rate_init=0.05, max_iter=40, n_starts=2).fit(X, y)
    assert (model.result_.parameters.values != model.result_.best_parameters.values).any()
    best = model.result_.best_parameters.values
    assert (model.set_params(**FROZEN).partial_fit(X, y)._population.vectors == best).all()


def test_a_warm_start_goes_on_from_the_networks_and_refuses_others():
    X, y = targets("two classes")
    model = made("two classes", warm_start=True, learning_rate_init=0.01).fit(X, y)
    before, last = model.result_.parameters.values, model.loss_
    model.fit(X, y)
    assert (sweep_behind(model.result_).init.values == before).all()
    assert len(model.loss_curve_) == 24
    assert model.loss_ < last
    with pytest.raises(ValueError, match="warm_start goes on with the networks that were fitted"):
        model.set_params(hidden_layer_sizes=(6,)).fit(X, y)
