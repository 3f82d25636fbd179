"""One run that has all the lanes is the run that has one of a pack's: the same bits, whatever the network,
the rule and the batch.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.kernels import engines
from gdsim.population.engine_choice import engine_of, for_runs, lanes_for, last_cache_bytes
from tests.helpers import same_results

rng = np.random.default_rng(3)
CLASSES = gd.Data(rng.normal(size=(150, 21)), rng.integers(0, 11, 150), validation=0.2)
WEIGHTED = gd.Data(rng.normal(size=(90, 5)), rng.normal(size=(90, 3)), sample_weight=rng.random(90))
BINARY = gd.Data(rng.normal(size=(201, 18)), rng.integers(0, 2, 201), validation=0.3)


def mlp(data, hidden, **settings):
    return lambda: gd.MLP(data, hidden=hidden, **settings)


CASES = {
    "two layers, kept slopes, short batches": (mlp(CLASSES, [40, 20], activation="gelu", l2=0.01), gd.Adam(lr=[0.01, 0.1]), {"batch": 20, "drop_last": False}),
    "wide, weighted, the whole data in two blocks": (mlp(WEIGHTED, [70], activation="tanh", loss="squared_error"), gd.Nesterov(lr=[0.01, 0.1]), {}),
    "no hidden layer, blocks with replacement": (lambda: gd.LogisticRegression(BINARY, l1=0.01), gd.RMSprop(lr=[0.01, 0.1]), {"batch": 100, "shuffle": "replacement"}),
    "float64, one order, stops": (
        mlp(CLASSES, [9, 9, 9], activation=["relu", "sigmoid", "softplus"], label_smoothing=0.1), gd.Momentum(lr=[0.1, 1e4]),
        {"batch": 33, "shuffle": "once", "dtype": "float64", "stop": [gd.Validation(patience=2, every=7), gd.Target(2.2, every=3)]},
    ),
    "no intercept, a look at every step": (
        lambda: gd.LinearRegression(gd.Data(BINARY.X, BINARY.X[:, :2]), loss="absolute_error", intercept=False), gd.AdamW(lr=[0.001, 0.1]), {"stop": [gd.Target(0.3)]},
    ),
}  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n.startswith(("float64", "no hidden")) else pytest.mark.slow) for n in CASES])
def test_one_run_in_all_lanes_has_the_bits_of_a_run_in_one(name):
    problem, rule, settings = CASES[name]
    sweep = gd.Sweep(problem=problem(), optimizer=rule, starts=2, steps=25, record=gd.Record(every=6, trajectory=True, state=True), **settings)
    assert same_results(sweep.run(lanes=1), sweep.run(lanes=8)) == []


@pytest.mark.full
def test_a_rule_that_needs_a_pack_and_one_that_does_not_train_on_one_thread():
    sweep = gd.Sweep(problem=mlp(BINARY, [3])(), optimizer=[gd.SGD(lr=0.1), gd.ClipNorm(gd.SGD(lr=0.1), 1.0)], starts=2, steps=9, batch=20)
    assert same_results(sweep.run(lanes=1, threads=1), sweep.run(lanes=8)) == []


ENGINES = {
    "one run": (mlp(CLASSES, [3]), gd.SGD(), [gd.Target(0.1)], 1, 1, engines.SINGLE_RUN),
    "a pack": (mlp(CLASSES, [3]), gd.SGD(), [], 1, 16, engines.NETWORK),
    "a rule that asks for the whole gradient": (mlp(CLASSES, [3]), gd.ClipNorm(gd.SGD(), 1.0), [], 1, 1, engines.NETWORK),
    "a rule that perturbs": (mlp(CLASSES, [3]), gd.SAM(gd.SGD()), [], 1, 1, engines.NETWORK),
    "a stop that asks for steps": (mlp(CLASSES, [3]), gd.SGD(), [gd.SmallStep(1e-3)], 1, 1, engines.NETWORK),
    "many steps of a small network": (mlp(BINARY, [2]), gd.SGD(), [], 10**7, 1, engines.WRITTEN_OUT),
    "a function": (gd.functions.Booth, gd.SGD(), [], 1, 1, engines.FUNCTION),
    "moments": (lambda: gd.Quadratic([[1.0]]), gd.SGD(), [], 1, 1, engines.MEMORY),
}


@pytest.mark.parametrize("name", ENGINES)
def test_the_engine_follows_the_family_of_the_problem_and_for_networks_the_lanes_rule_and_stops(name):
    problem, rule, stop, steps, lanes, engine = ENGINES[name]
    sweep = gd.Sweep(problem=problem(), optimizer=rule, stop=stop, steps=steps, batch=20 if problem().data is not None and steps > 1 else None)
    assert engine_of(for_runs(sweep.plan().groups[0].setting, 1), lanes) == engine


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, 5, 17, 64, 65])
@pytest.mark.parametrize("hidden", [[1], [15], [16, 31], [64, 64]])
def test_any_widths_and_batches(hidden, batch):
    problem = gd.MLP(gd.datasets.load("wine"), hidden=hidden, activation="tanh")
    sweep = gd.Sweep(problem=problem, optimizer=gd.Momentum(lr=[0.01, 0.1, 1e9]), starts=2, steps=20, batch=batch, record=gd.Record(every=5, trajectory=True))
    results = [sweep.run(lanes=lanes) for lanes in (1, 16)]
    assert same_results(*results) == []
    assert "diverged" in results[0].status


@pytest.mark.parametrize("lanes", [1, 16])
def test_evaluations_and_predictions_are_the_same(lanes, monkeypatch):
    monkeypatch.setattr("gdsim.population.evaluation.lanes_for", lambda *_: lanes)
    problem = gd.MLP(CLASSES, hidden=[20, 7], activation="silu", l2=0.1)
    parameters = np.random.default_rng(0).normal(size=(3, problem.parameter_count))
    found, outputs = gd.evaluate(problem, parameters), gd.predict(problem, parameters, CLASSES.X[:70])
    for run, vector in enumerate(parameters):
        a = CLASSES.X[:70]
        for depth, (W, b) in enumerate(problem.unpack(vector)):
            z = a @ W.T + b
            a = z / (1.0 + np.exp(-z)) if depth < 2 else np.exp(z - z.max(1, keepdims=True))
        assert np.allclose(outputs[run], a / a.sum(1, keepdims=True), atol=1e-12)
    right = (gd.predict(problem, parameters, CLASSES.X).argmax(-1) == CLASSES.y).mean(1)
    assert np.allclose(found.accuracy, right)


def test_the_lane_width_follows_the_registers_the_number_of_runs_and_the_size_of_their_state(monkeypatch):
    monkeypatch.setattr("gdsim.population.engine_choice.vector_bytes", lambda: 64)
    small = gd.Sweep(problem=gd.MLP(gd.datasets.load("digits"), hidden=[32]), optimizer=gd.Adam(), batch=32).plan().groups[0].setting
    assert [lanes_for(small, runs, 2) for runs in (1, 5, 16, 1000)] == [1, 1, 16, 16]
    width = int(last_cache_bytes() / 64 / 12 / 65)  # a pack with Adam's state is as large as the last cache
    large = gd.Sweep(problem=gd.MLP(gd.datasets.load("digits"), hidden=[width]), optimizer=gd.Adam(), batch=32).plan().groups[0].setting
    assert lanes_for(large, 1000, 2) == 1
    with_norm = gd.Sweep(problem=gd.MLP(gd.datasets.load("digits"), hidden=[32]), optimizer=gd.ClipNorm(gd.SGD(), 1.0), batch=32).plan().groups[0].setting
    assert lanes_for(with_norm, 1, 1) == 16
    monkeypatch.setattr("gdsim.population.engine_choice.vector_bytes", lambda: 32)
    assert [lanes_for(small, runs, 2) for runs in (1, 1000)] == [1, 1]
    thin = gd.Sweep(problem=gd.MLP(gd.datasets.load("digits"), hidden=[8]), optimizer=gd.Adam(), batch=16).plan().groups[0].setting
    assert [lanes_for(thin, runs, 2) for runs in (1, 1000)] == [1, 8]
