"""Networks up to their symmetries: random symmetries, written out unit by unit in NumPy, change neither the
function nor the canonical form, and no distance.
"""

import itertools

import numpy as np
import pytest
import xarray

import gdsim as gd

RNG = np.random.default_rng(8)
X = RNG.normal(size=(30, 3))
CLASSES, NUMBERS = gd.Data(X, RNG.integers(0, 3, 30)), gd.Data(X, RNG.normal(size=(30, 2)))
ODD, SCALED = {"tanh", "sine", "sigmoid", "identity"}, {"relu", "leaky_relu", "identity"}


def symmetric(problem, vector, rng):
    """The parameters after a random symmetry: of each unit in turn its sign or scale, then places; last a row
    that is added to all classes; of linear layers any invertible matrix, and any shift.
    """
    layers = [(W.copy(), b.copy()) for W, b in problem.unpack(vector)]
    free = problem.l1 == problem.l2 == 0
    for n, name in enumerate(problem.layer_activations):
        (W, b), (out, end) = layers[n], layers[n + 1]
        for unit in range(len(W)):
            if name in ODD and rng.random() < 0.5:
                end += out[:, unit] * (name == "sigmoid")
                W[unit], b[unit], out[:, unit] = -W[unit], -b[unit], -out[:, unit]
            if name in SCALED and free:
                c = np.exp(rng.normal())
                W[unit], b[unit], out[:, unit] = c * W[unit], c * b[unit], out[:, unit] / c
            if name == "sine":
                turns = rng.integers(-3, 4)
                b[unit], out[:, unit] = b[unit] + np.pi * turns, out[:, unit] * (-1.0) ** turns
        if name == "identity" and free:
            G, shift = np.eye(len(W)) + 0.4 * rng.normal(size=(len(W), len(W))), rng.normal(size=len(W))
            W, b, out = G @ W, G @ b + shift, out @ np.linalg.inv(G)
            end = end - out @ shift
        order = rng.permutation(len(W))
        layers[n], layers[n + 1] = (W[order], b[order]), (out[:, order], end)
    if problem.loss == "cross_entropy":
        W, b = layers[-1]
        layers[-1] = W + free * rng.normal(size=W.shape[1]), b + rng.normal()
    return problem.pack(layers)


CASES = [("relu", [3], 0.0, CLASSES), ("tanh", [3], 0.0, NUMBERS)]
MORE = [
    ("sigmoid", [4, 3], 0.0, CLASSES),
    ("leaky_relu", [3, 3, 2], 0.0, NUMBERS), ("relu", [3], 0.1, CLASSES), ("sine", [3, 3], 0.0, CLASSES), ("identity", [2, 3], 0.0, CLASSES),
    ("identity", [3], 0.1, NUMBERS), ("gelu", [3, 4], 0.0, NUMBERS), (["sigmoid", "relu", "identity", "tanh"], [3, 4, 3, 2], 0.0, CLASSES),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "hidden", "l2", "data"), [*CASES, *(pytest.param(*c, marks=pytest.mark.full) for c in MORE)])
def test_symmetries_change_neither_the_function_nor_the_canonical_form_nor_a_distance(activation, hidden, l2, data):
    problem = gd.MLP(data, hidden=hidden, activation=activation, l2=l2)
    points = RNG.normal(size=(6, problem.parameter_count))
    images = np.array([symmetric(problem, w, RNG) for w in points])
    truth, made = gd.predict(problem, points, X), gd.minima.canonical(problem, points)
    assert abs(gd.predict(problem, images, X) - truth).max() < 1e-12
    assert abs(gd.predict(problem, made, X) - truth).max() < 1e-12
    assert abs(gd.minima.canonical(problem, images) - made).max() < 1e-11
    assert abs(gd.minima.canonical(problem, made) - made).max() < 1e-11
    assert gd.minima.distance(problem, points, images).max() < 1e-11
    assert gd.minima.distance(problem, points, points[::-1]).min() > 0.1
    aligned = gd.minima.align(problem, points, images)
    assert abs(gd.predict(problem, aligned, X) - truth).max() < 1e-12
    assert "identity" in activation or abs(aligned - points).max() < 1e-11  # between linear layers not every matrix is tried


@pytest.mark.full
def test_the_distance_is_the_least_of_all_images():
    problem = gd.MLP(NUMBERS, hidden=[3], activation="tanh")
    a, b = RNG.normal(size=(2, 4, problem.parameter_count))
    for one, other, found in zip(a, b, gd.minima.distance(problem, a, b), strict=True):
        (W, c), (out, end) = problem.unpack(other)
        images = [
            problem.pack([(sign[:, None] * W[order], sign * c[order]), (out[:, order] * sign, end)])
            for order in map(list, itertools.permutations(range(3))) for sign in map(np.array, itertools.product((1.0, -1.0), repeat=3))
        ]  # fmt: skip
        assert found == pytest.approx(min(np.linalg.norm(image - one) for image in images), rel=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("skip", ["residual", "dense"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_units_that_skip_connections_join_change_together(skip, activation):
    problem = gd.MLP(NUMBERS, hidden=[3, 3], activation=activation, skip=skip)
    w = RNG.normal(size=problem.parameter_count)
    (W, b), (V, c), (out, end) = ([*map(np.copy, layer)] for layer in problem.unpack(w))
    order, size = RNG.permutation(3), np.array([2.0, 0.1, 0.7]) if activation == "relu" else np.array([1.0, -1.0, -1.0])
    M = np.diag(size)[order]  # what the units of the first layer are multiplied by
    back, half = np.linalg.inv(M), 0.5 * (activation == "sigmoid")
    shift = half * (1 - M @ np.ones(3))  # s(z) - 1/2 is odd
    if skip == "residual":
        layers = [(M @ W, M @ b), (M @ V @ back, M @ (c - V @ back @ shift)), (out @ back, end - 2 * out @ back @ shift)]
    else:
        x, a, top = V[:, :3], V[:, 3:], out[:, 6:]
        layers = [(M @ W, M @ b), (np.c_[x, a @ back], c - a @ back @ shift), (np.c_[out[:, :3], out[:, 3:6] @ back, top], end - out[:, 3:6] @ back @ shift)]
    image = problem.pack(layers)
    assert abs(gd.predict(problem, image, X) - gd.predict(problem, w, X)).max() < 1e-12
    assert abs(gd.minima.canonical(problem, image) - gd.minima.canonical(problem, w)).max() < 1e-11
    assert gd.minima.distance(problem, w, image) < 1e-11


def test_relu_units_are_balanced_and_tanh_units_sorted_with_their_largest_weight_positive():
    relu, tanh = (gd.MLP(NUMBERS, hidden=[3, 4], activation=name) for name in ("relu", "tanh"))
    w = RNG.normal(size=relu.parameter_count)
    layers = relu.unpack(gd.minima.canonical(relu, w))
    for (W, b), (out, _) in itertools.pairwise(layers):
        assert (W**2).sum(1) + b**2 == pytest.approx((out**2).sum(0), rel=1e-12)
    for W, b in tanh.unpack(gd.minima.canonical(tanh, w))[:-1]:
        units = np.c_[W, b]
        assert (units[np.arange(len(units)), abs(units).argmax(1)] > 0).all()
        assert (np.diff(W[:, 0]) <= 0).all()


def test_canonical_forms_keep_coordinates_and_number_types_and_refuse_what_has_no_units():
    problem = gd.MLP(NUMBERS, hidden=[2], activation="tanh")
    w = xarray.DataArray(np.ones((2, 14), np.float32), {"seed": ("seed", [5, 6])}, ("seed", "parameter"))
    made = gd.minima.canonical(problem, w)
    assert made.dims == ("seed", "parameter")
    assert made.dtype == np.float32
    assert made.seed.values.tolist() == [5, 6]
    w[0, 3] = np.nan  # a run that diverged
    assert np.isnan(gd.minima.canonical(problem, w)).all("parameter").values.tolist() == [True, False]
    assert np.isnan(gd.minima.canonical(problem, w[:1])).all()
    assert gd.minima.canonical(problem, w[:0]).shape == (0, 14)
    assert np.isnan(gd.minima.distance(problem, w[1], w)).tolist() == [True, False]
    assert gd.minima.distance(problem, w[1], w[:0]).shape == (0,)
    for method in ("weights", "barrier"):
        assert gd.minima.align(problem, w[1], w[:0], method=method).shape == (0, 14)
    assert np.isnan(gd.minima.units(problem, w).dead).values.tolist() == [True, False]
    with pytest.raises(ValueError, match="align needs finite parameters"):
        gd.minima.align(problem, w[1], w)
    with pytest.raises(ValueError, match="canonical is of networks, whose units may change places; Himmelblau has none"):
        gd.minima.canonical(gd.functions.Himmelblau(), [0.0, 0.0])
    with pytest.raises(ValueError, match="14 numbers each"):
        gd.minima.distance(problem, np.ones(14), np.ones(13))
    with pytest.raises(ValueError, match="a and b must be as many parameter vectors, or one of them one; 2 and 3 were given"):
        gd.minima.distance(problem, np.ones((2, 14)), np.ones((3, 14)))


def test_one_network_is_compared_with_each_of_several_on_either_side():
    problem = gd.MLP(NUMBERS, hidden=[3], activation="tanh")
    one, several = RNG.normal(size=problem.parameter_count), RNG.normal(size=(4, problem.parameter_count))
    assert gd.minima.distance(problem, several, one) == pytest.approx(gd.minima.distance(problem, one, several), rel=1e-12)
    assert gd.minima.distance(problem, several, one[None]).shape == (4,)
    given = xarray.DataArray(several, {"seed": ("seed", range(4))}, ("seed", "parameter"))
    images = gd.minima.align(problem, given, one)
    assert images.dims == ("seed", "parameter")
    assert all((image == gd.minima.align(problem, w, one)).all() for w, image in zip(several, images.values, strict=True))


def test_units_without_weights_and_students_have_a_canonical_form_too():
    problem = gd.MLP(NUMBERS, hidden=[3], activation="relu")
    W, out = np.array([[2.0, 0, 0], [0, 0, 0], [0, 0, 0]]), np.array([[0, 3.0, 0], [0, 4.0, 0]])
    made = problem.unpack(gd.minima.canonical(problem, problem.pack([(W, np.zeros(3)), (out, np.ones(2))])))
    assert made[0][0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]  # of length 1 where it gives nothing
    assert made[1][0] == pytest.approx(np.array([[0, 0.6, 0], [0, 0.8, 0]]))
    students = gd.TeacherStudent(teacher=2, student=3)
    assert gd.minima.canonical(students, [1.0, 2, 3, 4, -1, 0]).tolist() == [3, 4, 1, 2, -1, 0]
    assert gd.minima.distance(students, [1.0, 2, 3, 4, -1, 0], [-1.0, 0, 3, 4, 1, 2]) == 0.0
