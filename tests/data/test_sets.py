"""Training, validation and test sets, and the standardisation that they share."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import sklearn.preprocessing

import gdsim as gd
from gdsim.data import stored
from gdsim.data.files import arrays_in

RNG = np.random.default_rng(0)
X, y = RNG.normal(3, [1, 5, 0.1], size=(50, 3)), RNG.integers(0, 3, 50)


with warnings.catch_warnings(action="ignore"):
    LACKING = gd.Data(X[:9], np.r_[y[:8] % 2, 2], validation=(X[:4], [0, 1, 3, 0]))  # of which the training set lacks class 3


def rows(part):
    """Which of the samples a set holds."""
    return [int(np.flatnonzero((x == X).all(1))[0]) for x in part.X]


def test_shares_are_of_all_samples_and_nothing_is_lost():
    data = gd.Data(X, y, validation=0.2, test=0.3, seed=7)
    parts = [rows(part) for part in data.sets.values()]
    assert [len(p) for p in parts] == [25, 10, 15]
    assert sorted(itertools.chain(*parts)) == list(range(50))
    assert all(p == sorted(p) for p in parts)
    assert rows(gd.Data(X, y, test=0.3, seed=7).test) == parts[2]
    assert rows(gd.Data(X, y, test=0.3, seed=8).test) != parts[2]
    assert "validation 10, test 15" in repr(data)


def test_a_test_set_is_drawn_apart_from_the_validation_set():
    alone, both = gd.Data(X, y, validation=0.2, seed=7), gd.Data(X, y, validation=0.2, test=(X[:5], y[:5]), seed=7)
    assert rows(alone) == rows(both)
    assert rows(alone.validation) == rows(both.validation)
    shared = gd.Data(X, y, validation=0.2, test=0.2, seed=7)
    assert rows(shared.test) != rows(alone.validation)
    # Over many seeds, a sample is as likely in one set as in the other, whether or not it is in the other's
    # order's front.
    meetings = [len(set(rows(gd.Data(X, y, test=0.2, seed=s).test)) & set(rows(gd.Data(X, y, validation=0.2, seed=s).validation))) for s in range(40)]
    assert abs(np.mean(meetings) - 2.0) < 3 * np.std(meetings) / np.sqrt(40)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"test": 0}, r"test must be a share .*; 0.0 of 50"),
        ({"test": 1.5}, r"test must be a share"),
        ({"validation": 0.6, "test": 0.4}, r"validation=0.6 and test=0.4 of 50 samples leave none to train on"),
        ({"test": "half"}, r"test must be a pair \(X, y\), a gd.Data, a PyTorch Dataset or a share between 0 and 1; 'half' was given"),
        ({"test": True}, r"test must be a pair"),
        ({"test": (X[:, :2], y)}, r"the test set must look like the training set, with X\[sample, 3\]"),
        ({"test": (X, y * 0.5)}, r"the test set must look like"),
        ({"test": (X, y[:4])}, r"the test set: X and y must have as many rows"),
        ({"test": 0.2, "seed": -1}, r"Data.seed"),
    ],
)
def test_sets_that_cannot_be_are_refused(shares, message):
    with pytest.raises((ValueError, TypeError), match=message):
        gd.Data(X, y, **shares)


def test_features_are_standardized_by_the_training_samples_alone():
    plain, data = (gd.Data(X, y, validation=0.2, test=0.2, standardize=s) for s in (False, True))
    peer = sklearn.preprocessing.StandardScaler().fit(plain.X)
    assert np.allclose(data.center, peer.mean_, rtol=1e-14)
    assert np.allclose(data.scale, peer.scale_, rtol=1e-14)
    for name, part in data.sets.items():
        assert np.allclose(part.X, peer.transform(plain.sets[name].X), rtol=1e-12)
        assert (part.center == data.center).all()
    assert data.digest != plain.digest
    assert "standardized" in repr(data)


def test_the_sums_are_exact():
    # Of these, sums in the order of the rows would be off; exact ones are the truth: mean 1, deviation 1.
    column = np.array([1e16, 2.0, -1e16, 0.0, 2.0, 0.0, 1.0, 2.0])
    assert gd.Data(column[:, None], np.arange(8.0), standardize=True).center[0] == 7 / 8


def test_a_constant_column_stays_and_draws_a_warning():
    with_constant = np.column_stack([X, np.full(50, 0.1)])
    with pytest.warns(UserWarning, match="column 3 of X is constant in the training samples"):
        data = gd.Data(with_constant, y, standardize=True)
    assert data.scale[3] == 1.0
    assert (data.X[:, 3] == 0.0).all()


def test_a_set_that_is_standardized_by_itself_is_refused():
    with pytest.raises(ValueError, match="the validation set is standardized by samples of its own"):
        gd.Data(X, y, validation=gd.Data(X, y, standardize=True), standardize=True)
    with pytest.raises(ValueError, match="too wide to be standardized"):
        gd.Data([[1e308], [-1e308], [1e308]], [0, 1, 0], standardize=True)


@pytest.mark.parametrize(
    "data",
    [
        gd.Data(X, y),
        gd.Data(X, y, validation=0.2, test=0.2, standardize=True),
        gd.Data(X, np.array(["a", "b", "c"])[y], test=0.2, sample_weight=np.arange(50) + 1),
        gd.Data(X, y, class_names=["u", "v", "w"]),
        gd.Data(X, y, class_names=range(5)),
        gd.Data(X, y, class_names=range(3)),
        gd.MLP(LACKING.validation).data,
        gd.Data(X, X[:, :2], test=0.2),
        gd.MLP(gd.Data(X, y + 5, validation=0.2)).data,
    ],
)
def test_data_are_stored_and_read_back(data, tmp_path):
    np.savez(tmp_path / "kept.npz", **stored.arrays_of(data))
    found = stored.kept_data(arrays_in(tmp_path / "kept.npz"), data.digest, data.name)
    assert repr(found) == repr(data)
    assert found.class_names == data.class_names
    for name, part in data.sets.items():
        assert (found.sets[name].X == part.X).all()
        assert (found.sets[name].y == part.y).all()


def test_a_set_alone_has_the_classes_of_all():
    with pytest.warns(UserWarning, match="class 7 occurs in the test set alone"):
        whole = gd.Data(X[:8], [0, 1, 0, 1, 0, 5, 5, 5], validation=(X[:2], [0, 1]), test=(X[:1], [7]))
    assert whole.validation.class_names == whole.test.class_names == whole.class_names == (0, 1, 5, 7)
    assert gd.MLP(whole.validation, hidden=[2]).widths == (3, 2, 4)
    assert pickle.loads(pickle.dumps(whole.validation)).class_names == (0, 1, 5, 7)
    same = gd.Data(X, y, validation=0.2).validation
    assert gd.MLP(same).data.digest == gd.MLP(gd.Data(same.X, same.y)).data.digest
    assert gd.Data(X, y, validation=same).digest == gd.Data(X, y, validation=(same.X, same.y)).digest


def test_sets_and_names_travel_into_a_folder_and_back(tmp_path):
    data = gd.Data(X, np.array(["a", "b", "c"])[y], validation=0.2, test=0.2, standardize=True)
    sweep = gd.Sweep(problem=gd.MLP(data, hidden=[2]), optimizer=gd.SGD(lr=0.1), steps=3)
    sweep.run(out=tmp_path / "kept")
    from gdsim.sweep.results.dataset import sweep_behind

    (problem,) = sweep_behind(gd.open(tmp_path / "kept")).problem
    assert problem.data == data
    assert problem.data.class_names == ("a", "b", "c")
    assert (problem.data.test.X == data.test.X).all()
    assert (problem.data.center == data.center).all()
    renamed = gd.Data(X, np.array(["a", "b", "z"])[y], validation=0.2, test=0.2, standardize=True)
    other = gd.Sweep(problem=gd.MLP(renamed, hidden=[2]), optimizer=gd.SGD(lr=0.1), steps=3)
    with pytest.raises(ValueError, match="another experiment"):
        other.run(out=tmp_path / "kept")


def test_labels_of_a_folder_without_names_count_from_zero():
    # As folders of commit e4b61fc have them: labels 0, 1 and 3 were four outputs.
    arrays = {"X": X[:6], "y": np.array([0, 1, 3, 0, 1, 3])}
    data = stored.data_from(arrays, "old")
    assert gd.MLP(data, loss="cross_entropy").widths == (3, 4)
    assert gd.MLP(data, loss="cross_entropy").data.digest == gd.Data(X[:6], arrays["y"]).digest
    assert (gd.LinearRegression(data).data.y == arrays["y"]).all()


def test_data_say_what_they_are():
    assert repr(gd.datasets.load("xor")) == "Data('xor', 4 samples x 2 features, 2 classes (0, 1))"
    assert repr(gd.Data(X, X[:, 0], sample_weight=np.ones(50))) == "Data('data', 50 samples x 3 features, weighted)"
    assert repr(gd.Data([[2.0]], [1.5])) == "Data('data', 1 sample x 1 feature)"
    named = gd.Data(X, np.array(["<b>", "c", "d"])[y], test=0.2)
    assert "&lt;b&gt;" in named._repr_html_()
    assert "<th>test</th><td>10 samples</td>" in named._repr_html_()


@pytest.mark.parametrize("counts", [[7, 3], [50, 30, 21], [100, 1, 1, 1, 1], [2, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1, 1, 1, 9]])
@pytest.mark.parametrize("shares", [{"validation": 0.2}, {"test": 0.3, "validation": 0.25}, {"validation": 0.45, "test": 0.45}])
def test_stratified_shares_hold_each_classs_part_to_within_one_sample(counts, shares):
    labels = np.random.default_rng(1).permutation(np.repeat([f"class {k}" for k in range(len(counts))], counts))
    places = np.arange(float(len(labels)))[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rare classes
        data = gd.Data(places, labels, stratify=True, seed=3, **shares)
    assert sorted(np.concatenate([part.X[:, 0] for part in data.sets.values()])) == places[:, 0].tolist()
    for name, share in shares.items():
        part = data.sets[name]
        size = round(share * len(labels))
        held = labels[part.X[:, 0].astype(int)]
        assert len(held) == size
        for k, count in enumerate(counts):
            assert abs((held == f"class {k}").sum() - size * count / len(labels)) < 1


def test_stratified_shares_keep_the_draws_of_their_seed():
    """Of one class they are the shares that are not stratified."""
    X = np.arange(20.0)[:, None]
    one, plain = (gd.Data(X, np.zeros(20, int), validation=0.3, test=0.2, stratify=s, seed=5) for s in (True, False))
    assert all(np.array_equal(one.sets[n].X, plain.sets[n].X) for n in plain.sets)
    assert gd.datasets.load("wine", validation=0.2, stratify=True).validation.y.tolist().count(2) == 10  # 36 of 178, 48 of which are of this class


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gd.datasets.load("diabetes", validation=0.2, stratify=True), "stratify=True goes with labels, and y is float64 of shape"),
        (lambda: gd.Data([[0.0]] * 4, [1.0, 2.0] * 2, validation=0.5, stratify=True), r"all are whole: give y\.astype\(int\); else leave stratify out"),
        (lambda: gd.Data([[0.0]] * 2, [0.0, 1.0], class_names=["a", "b"]), r"in a vector; y is float64 .*, and all are whole: give y\.astype\(int\)"),
        (lambda: gd.Data([[0.0], [1.0]], [0, 1], stratify=True), "stratify=True goes with a share, as validation=0.2"),
        (lambda: gd.Data([[0.0], [1.0]], [0, 1], validation=0.5, stratify="y"), "stratify"),
    ],
)
def test_what_cannot_be_stratified_is_one_line(call, words):
    with pytest.raises((ValueError, TypeError), match=words) as error:
        call()
    assert "\n" not in str(error.value)
