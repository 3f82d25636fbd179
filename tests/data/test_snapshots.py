"""What is declared is a snapshot: the caller's arrays stay his own, later edits change nothing, and other
kinds of arrays are taken as they are.
"""

import copy
import inspect
import pickle

import numpy as np
import pandas
import pyarrow
import pytest
import scipy.sparse

import gdsim as gd
from gdsim.starts import checked_init

VALUES = np.random.default_rng(0).normal(size=(12, 3))
LABELS = np.arange(12) % 2


def declared(X, y, w):
    """Everything that takes arrays, and the arrays that it keeps."""
    data = gd.Data(X, y, validation=(X, y), test=(X, y), sample_weight=w)
    quadratic = gd.Quadratic(X[:3, :3] @ X[:3, :3].T, X)
    return [data.X, data.y, data.sample_weight, data.validation.X, data.validation.y, data.test.X, quadratic.centers.values, checked_init(X).values]


@pytest.mark.parametrize("kind", [np.array, np.asfortranarray, lambda a: np.concatenate([a, a])[: len(a)], lambda a: a[::-1]])
def test_later_edits_change_nothing(kind):
    X, y, w = kind(VALUES.copy()), kind(LABELS.copy()), kind(np.linspace(0.5, 2, 12))
    kept = declared(X, y, w)
    before = [a.copy() for a in kept]
    for given in (X, y, w):
        assert given.flags.writeable
        np.add(given, 100, out=given)
    for now, then in zip(kept, before, strict=True):
        assert (now == then).all()
        assert not now.flags.writeable


def test_a_matrix_is_copied():
    A = np.array([[2.0, 0.0], [0.0, 1.0]])
    problem = gd.Quadratic(A)
    A[0, 0] = 9.0
    assert problem.matrix.values[0, 0] == 2.0
    assert A.flags.writeable


def test_an_edit_after_the_hash_changes_no_run():
    X, y = np.concatenate([VALUES, VALUES]), np.concatenate([LABELS, LABELS])
    clean, data = gd.Data(X[:12].copy(), y[:12].copy()), gd.Data(X[:12], y[:12])
    assert data.digest == clean.digest
    X *= 100
    assert (data.X == clean.X).all()
    loss = [gd.Sweep(problem=gd.LogisticRegression(d), optimizer=gd.SGD(lr=0.1), steps=30).run().final_loss.values for d in (data, clean)]
    assert loss[0] == loss[1]


def test_a_memory_map_is_read_and_left(tmp_path):
    np.save(tmp_path / "X.npy", VALUES)
    X = np.load(tmp_path / "X.npy", mmap_mode="r+")
    data = gd.Data(X, LABELS)
    X[:] = 0.0
    assert (data.X == VALUES).all()
    assert type(data.X) is np.ndarray


def test_data_cannot_be_edited():
    data = gd.Data(VALUES, LABELS)
    with pytest.raises(AttributeError, match=r"a gd.Data is a snapshot: X cannot be set; make another"):
        data.X = VALUES
    for other in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data), copy.copy(data)):
        assert other == data
        assert hash(other) == hash(data)
        assert not other.X.flags.writeable
    assert data != gd.Data(VALUES + 1, LABELS)


def test_tensors_are_taken_as_they_are(torch):
    X, y = torch.tensor(VALUES, requires_grad=True), torch.tensor(LABELS)
    data = gd.Data(X, y, sample_weight=torch.ones(12))
    assert data.digest == gd.Data(VALUES, LABELS, sample_weight=np.ones(12)).digest
    with torch.no_grad():
        X.zero_()
    assert (data.X == VALUES).all()
    assert (torch.tensor(VALUES).bfloat16().float().numpy() == gd.Data(torch.tensor(VALUES).bfloat16(), y).X).all()
    assert (checked_init(torch.tensor(VALUES)).values == VALUES).all()


@pytest.mark.parametrize("kind", [lambda f: f, pyarrow.Table.from_pandas, lambda f: f.convert_dtypes()])
def test_frames_are_taken_as_they_are(kind):
    frame = pandas.DataFrame(VALUES, columns=["a", "b", "c"])
    frame["flag"], frame["count"] = LABELS == 1, np.arange(12) * 3
    data = gd.Data(kind(frame), pandas.Series(LABELS, name="y"))
    assert data.feature_names == ("a", "b", "c", "flag", "count")
    assert (np.column_stack([VALUES, LABELS, np.arange(12) * 3.0]) == data.X).all()
    assert gd.Data(VALUES, pandas.Series(["x", "y"] * 6, dtype="category")).class_names == ("x", "y")
    assert gd.Data(VALUES, pandas.Series([3, 5] * 6, dtype="category")).class_names == (3, 5)
    assert gd.Data(VALUES, pandas.Series([True, False] * 6, dtype=object)).class_names == (0, 1)
    assert gd.Data(VALUES, pyarrow.array(LABELS)).digest == gd.Data(pandas.DataFrame(VALUES), pandas.DataFrame({"y": LABELS})[["y"]]["y"]).digest
    for column in (LABELS, VALUES[:, 0]):  # a frame of targets is [sample, output], as its numbers are
        assert gd.Data(VALUES, kind(pandas.DataFrame({"u": column}))).digest == gd.Data(VALUES, column[:, None]).digest
    assert gd.Data(VALUES, pandas.DataFrame({"u": ["x", "y"] * 6})).class_names == ("x", "y")
    assert gd.Data(VALUES, pandas.DataFrame({"u": LABELS, "v": LABELS})).digest == gd.Data(VALUES, np.column_stack([LABELS, LABELS])).digest


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ma.masked_equal([[1.0], [-999.0], [3.0]], -999.0), [0.0, 1.0, 2.0], r"X\[1, 0\] is masked \(1 such"),
        ([[1.0], [2.0]], np.ma.masked_equal([1, 5], 5), r"y\[1\] is masked"),
        ([[1.0]], np.array([2**63], np.uint64), r"y\[0\] is 9223372036854775808, beyond the whole numbers of 64 bits"),
        ([[1.0]], pandas.Series([2**63], dtype="UInt64"), r"y\[0\] is 9223372036854775808, beyond"),
        (scipy.sparse.eye_array(3), [0, 1, 2], r"X is sparse, a .*; give X.toarray\(\)"),
        ([[1j]], [0], r"X is an array of complex numbers"),
        ([[1.0]], [1j], r"y is an array of complex numbers"),
        ([[None]], [0], r"X\[0, 0\] is None"),
        ([[1.0], [2.0]], [0, "a"], r"y\[0\] is 0, and y\[1\] the text 'a'; labels must be all texts, or all numbers"),
        ([[1.0], [2.0]], ["a", np.nan], r"y\[1\] is nan, and y\[0\] the text 'a'"),
        ([[1.0], [2.0], [3.0]], ["a", None, "b"], r"y\[1\] is None, and y\[0\] the text 'a'"),
        ([[1.0, 2.0], [3.0]], [0, 1], r"rows of X must be of one length; X\[0\] has 2 numbers, and X\[1\] has 1 number$"),
        ([[1.0], [2.0]], [[0], [0, 1]], r"rows of y must be of one length; y\[0\] has 1 number, and y\[1\] has 2 numbers"),
        ([["a"]], [0], r"X and y must be arrays of numbers; X is an array of texts"),
        (np.array(["2026-01-01"], "datetime64[D]")[:, None], [0], r"X is an array of dates: give the days"),
        (pandas.DataFrame({"a": [1.0, None, None]}), [0, 1, 2], r"column 'a' has 2 missing values, the first in row 2 of 3"),
        (pandas.DataFrame({"a": [1.0, 2.0], "city": ["Rome", "Oslo"]}), [0, 1], r"column 'city' has 'Rome' in row 1 of 2.*frame.drop\(columns=\['city'\]\)"),
        (pandas.DataFrame({"a": ["x"], "b": [1.0], "c": ["z"]}), [0], r"column 'a' has 'x'.* no numbers are in 'c' either.*columns=\['a', 'c'\]"),
        (pandas.DataFrame({"a": ["1", "?", "3"]}), [0, 1, 2], r"column 'a' has '\?' in row 2 of 3"),
        (pandas.DataFrame({"a": [1.0, np.inf]}), [0, 1], r"column 'a' has inf in row 2 of 2"),
        (pandas.DataFrame([[1.0, 2.0]], columns=["a", "a"]), [0], r"column 'a' stands twice"),
        (pandas.DataFrame({"t": pandas.to_datetime(["2026-01-01"])}), [0], r"column 't' has the date 2026-01-01.* which is no number"),
        (pandas.DataFrame({"a": [1.0, 2.0, 3.0]}), pandas.Series([0, 1, 1])[[2, 0, 1]], r"same rows by their index, in different orders"),
        (pandas.DataFrame({"a": [1.0, 2.0]}), pandas.DataFrame({"u": [0, 1], "v": [1, 0]})[::-1], r"X and y have the same rows by their index"),
        ([[1.0]], pandas.DataFrame([[1.0, 2.0]], columns=["u", "u"]), r"column 'u' stands twice"),
        ([[1.0], [2.0]], pandas.Series([1.0, np.inf], name="price"), r"column 'price' has inf in row 2 of 2"),
        ([[1.0], [2.0]], pandas.Series(["a", 1.5], name="kind"), r"column 'kind' has 1.5 in row 2 of 2.*all numbers, or all texts"),
        ([[1.0], [2.0]], pandas.Series([1, None], dtype="Int64", name="price"), r"column 'price' has 1 missing value, the first in row 2 of 2"),
    ],
)
def test_what_is_no_number_is_refused_in_one_line(X, y, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        gd.Data(X, y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (pandas.Series([1.0, None, None]), r"sample_weight\[1\] is nan \(2 such in all\)"),
        (pandas.Series([1, 2, None], dtype="Int64"), r"sample_weight\[2\] is nan"),
        ([1.0, 2.0, -3.0], r"sample_weight\[2\] is -3.0"),
        ([0, 0, 0], r"all are zero"),
        ([1, 2], r"one per sample; shape \(2,\) was given"),
        (["a", "b", "c"], r"sample_weight must be an array of numbers; list was given"),
        (pandas.Series([1.0, 2.0, 3.0])[::-1], r"X and sample_weight have the same rows by their index, in different orders"),
    ],
)
def test_weights_that_cannot_be_are_refused_by_their_place(weights, message):
    with pytest.raises((ValueError, TypeError), match=message):
        gd.Data(pandas.DataFrame({"a": [1.0, 2.0, 4.0]}), [0, 1, 1], sample_weight=weights)


def test_misspelt_arguments_are_answered_with_the_right_ones():
    with pytest.raises(TypeError, match=r"Data has no 'valdiation'; did you mean 'validation'\?"):
        gd.Data(VALUES, LABELS, valdiation=0.2)
    with pytest.raises(TypeError, match=r"read has no 'tagret'; did you mean 'target'\?"):
        gd.Data.read("own.csv", tagret="y")
    with pytest.raises(TypeError, match=r"Data.y is missing"):
        gd.Data(VALUES)
    assert str(inspect.signature(gd.Data)).startswith("(X: ")


def test_plain_masked_arrays_are_arrays():
    assert (gd.Data(np.ma.masked_equal(VALUES, -999.0), LABELS).X == VALUES).all()
