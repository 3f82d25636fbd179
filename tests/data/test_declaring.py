"""Data sets: their sizes, that they are what they say, and that reading them gives them back."""

import numpy as np
import pytest
import sklearn.datasets

import gdsim as gd
from gdsim.data import read

SIZES = {
    "digits": (1797, 64, 10), "breast_cancer": (569, 30, 2), "wine": (178, 13, 3), "diabetes": (442, 10, None),
    "moons": (256, 2, 2), "spirals": (194, 2, 2), "xor": (4, 2, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_data_set_has_its_size(name):
    data = gd.datasets.load(name)
    samples, features, classes = SIZES[name]
    assert data.X.shape == (samples, features)
    assert data.y.shape == (samples,)
    assert data.validation is None
    if classes is not None:
        assert sorted(set(data.y.tolist())) == list(range(classes))


def test_data_sets_are_scikit_learns():
    X, y = sklearn.datasets.load_digits(return_X_y=True)
    digits = gd.datasets.load("digits")
    assert (digits.X * 16 == X).all()
    assert (digits.y == y).all()
    for name in ("breast_cancer", "wine", "diabetes"):
        X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
        ours = gd.datasets.load(name)
        assert np.allclose(ours.X, (X - X.mean(0)) / X.std(0), rtol=1e-10, atol=1e-12)
        assert (ours.y == y).all()
    X, y = sklearn.datasets.make_moons(256, noise=0.2, random_state=0)
    assert (gd.datasets.load("moons").X == X).all()


def test_a_share_is_set_aside_at_random_and_nothing_is_lost():
    whole, split = gd.datasets.load("wine"), gd.datasets.load("wine", validation=0.25, seed=3)
    assert len(split.validation.X) == round(0.25 * 178)
    rows = np.concatenate([split.X, split.validation.X])
    assert (np.sort(rows[:, 0]) == np.sort(whole.X[:, 0])).all()
    assert set(split.validation.y.tolist()) == {0, 1, 2}
    assert (split.X[:5] != gd.datasets.load("wine", validation=0.25, seed=4).X[:5]).any()


def test_data_keep_what_they_are_given():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 2)), rng.normal(size=(9, 3))
    data = gd.Data(X, y, validation=(X[:2], y[:2]))
    assert (data.X == X).all()
    assert (data.validation.y == y[:2]).all()
    assert data.digest == gd.Data(X, y, validation=(X[:2], y[:2])).digest
    assert data.digest != gd.Data(X, y).digest
    assert "9 samples x 2 features" in repr(data)
    with pytest.raises(ValueError, match="read-only"):
        data.X[0, 0] = 1


@pytest.mark.parametrize("kind", ["npz", "csv", "parquet"])
def test_files_are_read_back(tmp_path, kind):
    import pandas

    data = gd.datasets.load("moons")
    path = tmp_path / f"own.{kind}"
    if kind == "npz":
        np.savez(path, X=data.X, y=data.y)
    else:
        table = pandas.DataFrame(data.X, columns=["a", "b"]).assign(y=data.y)
        getattr(table, f"to_{kind}")(path, index=False)
    assert read(path).digest == data.digest


def test_one_hot_targets_are_numbers():
    data = gd.Data(np.eye(3), np.eye(3, dtype=int))
    assert gd.MLP(data).loss == "mean_squared_error"
    assert gd.MLP(data).widths == (3, 3)
    assert gd.MLP(gd.Data(np.eye(3), [0, 1, 2]), loss="squared_error").widths == (3, 1)
