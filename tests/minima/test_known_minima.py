"""The minima that are known: of test functions, by the literature; of a linear autoencoder, by principal components; of
XOR's smallest networks, that they have none but the lowest (Sprinkhuizen-Kuyper and Boers 1996).
"""

import itertools

import numpy as np
import pytest

import gdsim as gd

F = gd.functions
# How many minima lie in the box, and values of some, the lowest first.
MINIMA = [
    (F.SixHumpCamel(), 6, [-1.031628453, -1.031628453, -0.215463824, -0.215463824, 2.104250310, 2.104250310]),
    (F.ThreeHumpCamel(), 3, [0.0, 0.298638442, 0.298638442]),
    (F.StyblinskiTang(dim=4), 16, [-156.6646628]),
    (F.Rastrigin(), 121, [0.0, 0.994959057]),
    (F.Branin(), 3, [0.397887358] * 3),
    (F.GoldsteinPrice(), 4, [3.0, 30.0, 84.0, 840.0]),
    (F.MuellerBrown(), 3, [-146.699517, -108.166724, -80.767818]),
    (F.McCormick(), 2, [-1.913222955, 1.228369699]),
    (F.Shekel(m=5), 5, [-10.153199679, -5.100772]),
    (F.Rosenbrock(dim=4), 2, [0.0, 3.70142861]),
]
LARGER = [
    (F.Shekel(m=7), 7, [-10.402940567, -5.128823]),
    (F.Shekel(m=10), 10, [-10.536409817, -5.175647]),
    *((F.Rosenbrock(dim=5 + k), 2, [0.0, value]) for k, value in enumerate([3.93083943, 3.97394050, 3.98360054])),
]


def in_box(problem, points):
    low, high = (np.broadcast_to(end, problem.parameter_count) for end in problem.box)
    return ((points >= low) & (points <= high)).all(1)


def drawn(problem, count):
    low, high = (np.broadcast_to(end, problem.parameter_count) for end in problem.box)
    return np.random.default_rng(0).uniform(low, high, (count, problem.parameter_count))


def named(case):
    return f"{type(case[0]).__name__}-{case[0].parameter_count}-{case[1]}"


@pytest.mark.full
@pytest.mark.parametrize("case", [*MINIMA, *(pytest.param(case, marks=pytest.mark.slow) for case in LARGER)], ids=named)
def test_all_minima_that_are_known_are_found_and_no_others(case):
    problem, count, values = case
    found = gd.minima.census(problem, drawn(problem, 3000 if count > 9 else 1500))
    chosen = (found.kind == "minimum").values & in_box(problem, found.point.values)
    assert chosen.sum() == count
    assert found.value.values[chosen][: len(values)] == pytest.approx(values, abs=2e-6)
    assert int(found["count"].sum() + (found.member < 0).sum()) == found.member.size


@pytest.mark.full
def test_saddles_and_maxima_are_those_that_morse_theory_counts():
    """On the six-hump camel, which grows at infinity: minima less saddles and maxima is 1."""
    found = gd.minima.census(F.SixHumpCamel(), drawn(F.SixHumpCamel(), 1500))
    assert np.bincount(found["index"].values).tolist() == [6, 7, 2]
    found = gd.minima.census(F.MuellerBrown(), drawn(F.MuellerBrown(), 1500))
    saddles = found.isel(critical_point=found["index"].values == 1)
    assert saddles.value.values == pytest.approx([-72.248940, -40.664844], abs=1e-6)
    assert saddles.point.values == pytest.approx(np.array([[0.212487, 0.292988], [-0.822002, 0.624313]]), abs=1e-6)


@pytest.mark.full
def test_every_run_ends_in_the_basin_of_its_start_where_coordinates_are_separate():
    problem = F.StyblinskiTang(dim=2)
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.005), starts=2000, steps=1000, record=gd.Record(trajectory=True, every="ends", parameters=True))
    result = sweep.run()
    found = gd.minima.census(result)
    start = result.trajectory.values[:, 0]
    truth = np.where(start > 0.15673126, 2.74680277, -2.90353403)
    assert found.point.values[found.member.values] == pytest.approx(truth, abs=1e-7)
    share = (0.15673126 + 5) / 10  # of the lower minimum's interval
    exact = [np.prod([share if x < 0 else 1 - share for x in point]) for point in found.point.values]
    assert (found.low.values <= exact).all()
    assert (exact <= found.high.values).all()


@pytest.mark.full
def test_critical_values_of_a_linear_autoencoder_are_sums_of_variances():
    """Baldi and Hornik (1989): at a critical point that keeps some components, the loss is half the others'
    variance, and all but the one that keeps the largest are saddles.
    """
    X = np.random.default_rng(0).normal(size=(40, 4)) * [2.0, 1.5, 1.0, 0.5]
    X -= X.mean(0)
    variances, axes = np.linalg.eigh(X.T @ X / len(X))
    variances, axes = variances[::-1], axes[:, ::-1].T
    problem = gd.MLP(gd.Data(X, X), hidden=[2], activation="identity", loss="squared_error")
    rng, points, truth = np.random.default_rng(1), [], []
    for kept in itertools.combinations(range(4), 2):
        for _ in range(2):
            mix = np.eye(2) + 0.3 * rng.normal(size=(2, 2))
            W = mix @ axes[list(kept)]
            points.append(problem.pack([(W, np.zeros(2)), (axes[list(kept)].T @ np.linalg.inv(mix), np.zeros(4))]))
            truth.append(0.5 * (variances.sum() - variances[list(kept)].sum()))
    near = np.array(points) + 1e-4 * rng.normal(size=(12, problem.parameter_count))
    found = gd.minima.census(problem, near)
    assert found.value.values == pytest.approx(sorted(set(np.round(truth, 12))), abs=1e-9)
    assert found["count"].values.tolist() == [2] * 6  # the same up to GL(2)
    assert found.kind.values.tolist() == ["minimum"] + ["saddle"] * 5
    assert found["nullity"].values.tolist() == found.nullity_expected.values.tolist() == [6] * 6


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_xor_has_no_strict_minimum_above_the_lowest_value(activation, dtype):
    problem = gd.MLP(gd.datasets.load("xor"), hidden=[2], activation=activation, loss="log_loss")
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.5), starts=1000, steps=5000, dtype=dtype, record=gd.Record(every="ends", parameters=True))
    found = gd.minima.census(sweep.run())
    strict = (found.kind == "minimum").values & (found.value.values > 1e-6)
    assert strict.sum() == 0
