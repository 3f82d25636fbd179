"""Classes are the labels that occur: in the order of the labels, over all sets, whatever the labels are."""

import numpy as np
import pytest
import sklearn.linear_model

import gdsim as gd

X = np.random.default_rng(0).normal(size=(40, 2))
HALVES = (X[:, 0] > 0).astype(int)


def outputs(y, **fields):
    return gd.MLP(gd.Data(X[: len(y)], y), hidden=[2], **fields).widths[-1]


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (HALVES + 1, (1, 2)),
        (2 * HALVES - 1, (-1, 1)),
        (np.arange(40) % 3 * 10, (0, 10, 20)),
        (HALVES.astype(bool), (0, 1)),
        (np.zeros(40, int), (0, 1)),
        (np.arange(40) % 5, (0, 1, 2, 3, 4)),
        (np.array(["no", "yes"])[HALVES], ("no", "yes")),
        (np.array(["no", "yes"], object)[HALVES], ("no", "yes")),
        (HALVES[:, None], (0, 1)),
        (HALVES[:, None] * 3 + 1, (1, 4)),
        (np.array(["b", "a"])[HALVES][:, None], ("a", "b")),
        (HALVES.astype(np.uint8), (0, 1)),
    ],
)
def test_the_labels_that_occur_are_the_classes(y, classes):
    problem = gd.MLP(gd.Data(X, y), hidden=[2])
    assert problem.loss == "cross_entropy"
    assert problem.data.class_names == gd.Data(X, y).class_names == classes
    assert problem.widths == (2, 2, len(classes))
    expected = np.searchsorted(classes, np.ravel(y)) if classes[0] != "no" else HALVES
    assert (problem.data.y == expected).all()


@pytest.mark.filterwarnings("ignore:class .* alone")
@pytest.mark.parametrize("seed", range(3))
def test_a_class_that_only_a_set_aside_has_counts(seed):
    y = np.r_[np.zeros(20, int), np.ones(19, int), 2]
    assert gd.MLP(gd.Data(X, y, validation=0.25, seed=seed), hidden=[2]).widths == (2, 2, 3)
    assert gd.MLP(gd.Data(X, y, test=0.25, validation=0.25, seed=seed), hidden=[2]).widths == (2, 2, 3)
    named = gd.Data(X, np.array(["a", "b", "c"])[y], validation=0.25, seed=seed)
    assert named.class_names == ("a", "b", "c")
    assert (np.sort(np.r_[named.y, named.validation.y]) == np.sort(y)).all()


def test_a_class_that_a_set_lacks_draws_one_warning_that_names_it():
    y, few, many = HALVES.copy(), slice(0, 10), np.arange(40) % 20
    rare, words = y.copy(), np.array(["a", "b", "c", "d"])
    rare[:6], rare[6:12] = 2, 3
    sets = {"validation": (X, y), "test": (X, rare)}
    for given, classes in ((lambda v: v, ("2", "3")), (lambda v: words[v], ("'c'", "'d'"))):
        of = {n: (values, given(labels)) for n, (values, labels) in sets.items()}
        with pytest.warns(UserWarning, match=f"class {classes[0]} occurs in the test set alone, {classes[1]} occurs in the test set alone: ") as caught:
            gd.Data(X, given(y), **of)
        assert (len(caught), caught[0].filename) == (1, __file__)
        with pytest.warns(UserWarning, match=f"class {classes[0]} occurs in the training and test sets alone"):
            gd.Data(X, given(rare), **of)
        with pytest.warns(UserWarning, match=f"class {classes[0]} occurs in the training set alone"):
            gd.Data(X, given(rare), validation=of["validation"])
    assert gd.Data(X, rare, validation=(X[few], y[few])).X.shape == X.shape  # ten samples may well lack a class of 6 in 40
    one = np.r_[2, y[1:]]
    assert gd.Data(X, one, validation=(X, y)).X.shape == X.shape  # and 40 one of 1 in 40
    assert gd.Data(X, X[:, 0], validation=(X[few], X[few, 0])).class_names is None
    price = np.random.default_rng(1).integers(100_000, 900_000, 40)
    assert len(gd.Data(X, price, validation=0.5).X) == 20  # whole numbers that are hardly labels
    assert len(gd.Data(X, many, validation=(X, many)).class_names) == 20
    with pytest.warns(UserWarning, match=r"0 occurs in the validation set alone, .*4 occurs .* alone, \.\.\. \(19 such classes in all\)"):
        gd.Data(X[:2], [19, 19], validation=(X, many))


def test_numbers_that_may_be_labels_are_asked_about():
    price = np.random.default_rng(1).integers(100_000, 900_000, 22)
    data = gd.Data(X[:22], price)
    with pytest.raises(ValueError, match=r"y has 22 different whole numbers in 22 samples .* loss='cross_entropy' .* 'mean_squared_error'") as caught:
        gd.MLP(data, hidden=[16])
    assert "\n" not in str(caught.value)
    assert gd.MLP(data, hidden=[16], loss="mean_squared_error").widths == (2, 16, 1)
    assert gd.MLP(data, hidden=[16], loss="cross_entropy").widths == (2, 16, 22)
    assert (gd.LinearRegression(data).data.y == price).all()
    with pytest.raises(ValueError, match="30 different whole numbers"):
        outputs(np.arange(30))
    with pytest.raises(ValueError, match="3 different whole numbers in 3"):
        outputs(np.array([1, 3, 5]))
    assert outputs(np.array([0, 1, 2])) == 3
    assert outputs(np.random.default_rng(0).normal(size=40)) == 1


def test_labels_that_name_the_rows_draw_a_warning():
    X = np.arange(60.0)[:, None] ** 2
    with pytest.warns(UserWarning, match="y has 40 classes in 60 samples, as a column has that names the rows"):
        gd.Data(X, [f"patient {i % 40}" for i in range(60)])
    gd.Data(X, [f"kind {i % 30}" for i in range(60)])  # two of each
    gd.Data(X[:5], list("abcde"))


def test_labels_that_are_written_in_several_ways_draw_a_warning():
    with pytest.warns(UserWarning, match="blanks or capitals alone are different classes: 'X', 'x', 'x '; write") as caught:
        data = gd.Data(np.arange(4.0)[:, None] ** 2, ["x", "x ", "X", "y z"])
    assert (len(caught), caught[0].filename) == (1, __file__)
    assert data.class_names == ("X", "x", "x ", "y z")
    gd.Data(np.arange(4.0)[:, None] ** 2, ["x", "x ", "X", "y z"], class_names=["x", "x ", "X", "y z"])  # meant


def test_names_of_classes_may_be_given():
    data = gd.Data(X, HALVES, class_names=["small", "large"])
    assert data.class_names == ("small", "large")
    assert (data.y == HALVES).all()
    assert gd.MLP(gd.Data(X, HALVES, class_names=range(4))).widths == (2, 4)
    assert (gd.Data(X, HALVES + 7, class_names=[9, 8, 7]).y == 2 - HALVES).all()
    with pytest.raises(ValueError, match=r"y\[0\] is 2, which is none of the classes 'a', 'b'"):
        gd.Data(X[:2], [2, 0], class_names=["a", "b"])
    with pytest.raises(ValueError, match="different texts or whole numbers"):
        gd.Data(X, HALVES, class_names=["a", "a"])
    with pytest.raises(ValueError, match="class_names go with labels"):
        gd.Data(X, X[:, 0], class_names=["a", "b"])


def test_mapped_labels_train_as_scikit_learn_has_them():
    y = np.where(HALVES == 1, "right", "left")
    y[::7] = "left"
    peer = sklearn.linear_model.LogisticRegression(C=1 / (40 * 0.1), tol=1e-10).fit(X, y)
    problem = gd.LogisticRegression(gd.Data(X, y), l2=0.1)
    assert problem.loss == "log_loss"
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.5), starts=8, steps=2000, record=gd.Record(parameters=True), dtype="float64").run()
    assert np.allclose(result.parameters.values[0], [*peer.coef_[0], peer.intercept_[0]], atol=1e-6)
    assert float(result.accuracy.values[0, -1]) == peer.score(X, y)


def test_labels_that_count_from_zero_keep_their_hash():
    # From gdsim at commit e4b61fc: identities of cells and names of files hang on them.
    grid = np.arange(12.0).reshape(6, 2)
    assert gd.Data(grid, [0, 1, 2, 0, 1, 2]).digest == "01ca96fd60faf66f5e73d2bb0e642b5329fb1531626e447d11c2e87933c645bf"
    assert gd.Data(grid, [0, 1, 3, 0, 1, 3]).digest == "e9fbbd096df495d8c88186fc123f5a4230b3ca7d863e6c247df3021c6c2a936b"
    assert (
        gd.Data(grid, [0, 1, 1, 0, 1, 0], validation=(grid[:2], [0, 1]), sample_weight=[1, 1, 1, 1, 1, 7]).digest
        == "7d9dff105b596f25f6435df8a792d895503c694f6707aca731d0e71dd9b505bc"
    )
    column = gd.Data(grid, [[0], [1], [1], [0], [1], [0]])
    assert gd.MLP(column, loss="mean_squared_error").data.digest == column.digest  # the loss that it had there
    assert column.digest == "6b2a7e1e08ed45af56c2109cf556f8570fe64c5ae0b42eb0306a158d7dd0c017"
    assert gd.MLP(gd.Data(grid, [0, 1, 3, 0, 1, 3])).data.digest != gd.Data(grid, [0, 1, 3, 0, 1, 3]).digest  # other outputs than at that commit
