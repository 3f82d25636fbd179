"""Descent on hyperparameters: its gradient by JAX and by a closed form, its steps down to known minima, and what it
costs beside halving.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.search.numbers import FACTOR, Scale
from tests.helpers import same_bits


def line_sweep(**options):
    """One parameter on f = 3/2 w^2, of which the loss after T steps is 3/2 w_0^2 (1 - 3 lr)^(2 T)."""
    given = {"problem": gd.Quadratic([[3.0]]), "optimizer": gd.SGD(0.02), "init": [[1.0], [-2.0], [0.5]], "steps": 4}
    return gd.Sweep(**{**given, **options})


def test_the_score_and_its_derivative_are_those_of_the_formula():
    found = gd.search.hypergradient_descent(line_sweep(optimizer=gd.SGD([0.02, 0.5])), ["lr"], rounds=5)
    rate, w = found.history.lr.values, np.array([1.0, -2.0, 0.5])
    squares = (w**2).mean()
    assert np.allclose(found.history.score.values, 1.5 * squares * (1 - 3 * rate) ** 8, rtol=1e-12)
    assert np.allclose(found.history.score_d_lr.values, -36 * squares * (1 - 3 * rate) ** 7, rtol=1e-12, atol=1e-15)
    accepted = found.history.accepted.values
    scores = np.where(accepted, found.history.score.values, np.inf)
    assert np.array_equal(accepted[:, 1:], found.history.score.values[:, 1:] < np.minimum.accumulate(scores, 1)[:, :-1])


def test_rates_go_to_one_over_the_curvature_from_both_sides():
    found = gd.search.hypergradient_descent(line_sweep(optimizer=gd.SGD([0.002, 0.3, 0.6]), record=gd.Record(parameters=True)), ["lr"], rounds=15)
    assert np.allclose(found.result.lr.values.reshape(3, 3)[0], 1 / 3, rtol=0.02)
    assert found.history.lr.values[:, 0] == pytest.approx([0.002, 0.3, 0.6], rel=1e-15)
    assert found.result.label.values[:3].tolist() == [f"SGD lr={lr:.6g}" for lr in found.result.lr.values[:3]]
    assert found.history.label.values.tolist() == ["SGD #0", "SGD #1", "SGD #2"]
    with pytest.raises(ValueError, match=r"as found.sweeps\[0\].run\(\), and give that"):
        gd.evaluate(found.result)


def test_diverging_runs_lower_the_rate_and_a_few_do_not_decide():
    """At a rate of 20 all runs are soon beyond the bounds; at 0.7 one that begins near them."""
    found = gd.search.hypergradient_descent(line_sweep(optimizer=gd.SGD(20.0)), "lr", rounds=8)
    score = found.history.score.values[0]
    assert np.isinf(score[0])
    assert (np.diff(found.history.lr.values[0][np.isinf(score)]) < 0).all()
    assert found.history.attrs["best"] == 0
    assert found.result.final_loss.max() < 1
    few = gd.search.hypergradient_descent(line_sweep(optimizer=gd.SGD(0.7), init=[[1.0]] * 7 + [[9.9e7]]), "lr", rounds=1)
    assert np.isfinite(few.history.score.values).all()


@pytest.mark.full
def test_the_result_is_that_of_the_tuned_sweeps_with_their_bits():
    data = gd.datasets.load("moons", validation=0.2)
    sweep = gd.Sweep(
        problem=gd.MLP(data, hidden=[3], l2=0.01), optimizer=gd.Momentum(0.05, [0.5, 0.9]), starts=4, steps=20, batch=32,
    )  # fmt: skip
    found = gd.search.hypergradient_descent(sweep, ["lr", "momentum", "l2"], rounds=3)
    history = found.history
    assert (history.score.min("round") <= history.score[:, 0]).all()
    assert history.attrs["ranked_by"] == "mean of the middle half of the starts' best validation loss"
    assert history.attrs["run_steps"] == 4 * 20 * int((~np.isnan(history.score)).sum())
    for cell, own in enumerate(found.sweeps):
        mine, alone = found.result.isel(run=found.result.cell.values == cell), own.run()
        for name in alone.data_vars:
            assert same_bits(mine[name].values, alone[name].values), name
        best = int(np.nanargmin(history.score.values[cell]))
        assert set(mine.lr.values.tolist()) == {history.lr.values[cell, best]}
        assert set(mine.l2.values.tolist()) == {history.l2.values[cell, best]}
        assert own.problem[0].l2 == history.l2.values[cell, best]


def test_scales_are_logarithms_with_their_slopes():
    for allowed, value in ((FACTOR, 0.03), (gd.Adam.ranges["beta1"], 0.9), (gd.Rprop.ranges["grow"], 1.2)):
        scale = Scale(allowed)
        place = np.log(1 - value) if scale.is_of_shares else np.log(value)
        assert scale.value(place) == pytest.approx(value, rel=1e-14)
        assert scale.slope(value) == pytest.approx((scale.value(place + 1e-6) - scale.value(place - 1e-6)) / 2e-6, rel=1e-8)
        assert scale.value(scale.nearest(1e9)) in allowed
        assert scale.value(scale.nearest(-1e9)) in allowed


@pytest.mark.parametrize(
    ("options", "names", "said"),
    [
        ({}, ["momentum"], "no run has a number 'momentum'"),
        ({}, [], "names must be a list"),
        ({}, [gd.Direction()], "names must be a list"),
        ({"optimizer": gd.SGD(0.0)}, ["lr"], "lr is 0 in a cell, which has no logarithm"),
        ({"optimizer": gd.PolyakStep(1.0)}, ["minimum"], "positive numbers and shares"),
        ({"keep": "summary"}, ["lr"], "keep='runs'"),
        ({"record": gd.Record(sharpness=True)}, ["lr"], "leave one of the two out"),
    ],
)
def test_what_cannot_be_tuned_is_refused(options, names, said):
    with pytest.raises((ValueError, TypeError), match=said):
        gd.search.hypergradient_descent(line_sweep(**options), names)
    with pytest.raises(ValueError, match="variable='accuracy' is not known; allowed: 'final_loss', 'best_loss'"):
        gd.search.hypergradient_descent(line_sweep(), "lr", variable="accuracy")


@pytest.mark.full
def test_the_gradient_through_fifty_steps_is_that_of_jax():
    """A network of one hidden layer with momentum and a penalty: the mean validation loss over starts, in float64."""
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install -e '.[oracles]'")
    data = gd.datasets.load("moons", validation=0.2)
    problem = gd.MLP(data, hidden=[5], activation="tanh", l2=0.003)
    sweep = gd.Sweep(problem=problem, optimizer=gd.Momentum(0.1, 0.9), starts=3, steps=50, dtype="float64", record=gd.Record(every="ends", trajectory=True))
    found = gd.search.hypergradient_descent(sweep, ["lr", "l2", "momentum"], rounds=1, variable="final_validation_loss").history
    starts = sweep.run().trajectory.values[:, 0]
    with jax.enable_x64(True):
        wanted = jax_gradient(jax, data, starts)
    for name, derivative in zip(("lr", "l2", "momentum"), wanted, strict=True):
        assert found[f"score_d_{name}"].values[0, 0] == pytest.approx(float(derivative), rel=1e-8), name


def jax_gradient(jax, data, starts):
    """The derivatives of the mean validation loss by (lr, l2, momentum) after 50 steps of the lecture's momentum."""
    np_ = jax.numpy

    def loss(w, X, y):
        W, b, V, c = w[:10].reshape(5, 2), w[10:15], w[15:25].reshape(2, 5), w[25:]
        logits = np_.tanh(X @ W.T + b) @ V.T + c
        return -jax.nn.log_softmax(logits)[np_.arange(len(y)), y].mean()

    is_weight = np.r_[np.ones(10), np.zeros(5), np.ones(10), np.zeros(2)]
    X, y, V, z = (np_.asarray(a) for a in (data.X, data.y, data.validation.X, data.validation.y))

    def after(numbers, w):
        lr, l2, momentum = numbers

        def step(state, _):
            w, velocity = state
            velocity = momentum * velocity + lr * (jax.grad(loss)(w, X, y) + l2 * is_weight * w)
            return (w - velocity, velocity), None

        (w, _), _ = jax.lax.scan(step, (w, np_.zeros(27)), length=50)
        return loss(w, V, z)

    return jax.jit(jax.vmap(jax.grad(after), (None, 0)))(np_.array([0.1, 0.003, 0.9]), np_.asarray(starts)).mean(0)


@pytest.mark.slow
def test_with_as_many_run_steps_it_is_not_above_halvings_interval():
    """Of the digits: from the middle of a grid of rates and penalties, beside successive halving over all of it."""
    digits = gd.datasets.load("digits", validation=0.2)

    def sweep_of(lr, l2):
        return gd.Sweep(problem=gd.MLP(digits, hidden=[16], l2=l2), optimizer=gd.Adam(lr), starts=16, steps=200, batch=32)

    halved = gd.search.successive_halving(sweep_of(gd.logspace(1e-4, 1.0, 9), gd.logspace(1e-6, 1e-2, 3)))
    upper = np.sort(halved.result.best_validation_loss.values)[gd.analysis.median_ranks(16, 0.95)[1]]
    rounds = halved.history.attrs["run_steps"] // (16 * 200) - 1
    found = gd.search.hypergradient_descent(sweep_of(0.01, 1e-4), ["lr", "l2"], rounds=rounds)
    assert found.history.attrs["run_steps"] <= halved.history.attrs["run_steps"]
    assert np.median(found.result.best_validation_loss.values) <= upper
