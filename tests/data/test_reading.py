"""Data from files: what is read, and what is said of what cannot be."""

import re
import subprocess
import sys

import numpy as np
import pandas
import pytest

import gdsim as gd
from gdsim.data import read

RNG = np.random.default_rng(0)
TABLE = pandas.DataFrame({"id": RNG.permutation(40) + 1, "a": RNG.normal(3, 2, 40), "b": RNG.normal(size=40), "flag": RNG.random(40) < 0.5})
TABLE["label"] = np.where(TABLE.a > 3, "high", "low")


@pytest.fixture(params=["csv", "parquet"])
def file(request, tmp_path):
    """A function that writes a table as a file."""

    def written(table, **options):
        path = tmp_path / f"own.{request.param}"
        getattr(table, f"to_{request.param}")(path, index=False, **options)
        return path

    return written


def test_columns_are_chosen_by_name(file):
    path = file(TABLE)
    data = gd.Data.read(path, target="label", drop="id")
    assert data.feature_names == ("a", "b", "flag")
    assert (TABLE[["a", "b", "flag"]].to_numpy(float) == data.X).all()
    assert data.class_names == ("high", "low")
    assert (data.y == (TABLE.label == "low")).all()
    assert data.name == path.name
    chosen = read(str(path), target="a", features=["flag", "b"])
    assert chosen.feature_names == ("flag", "b")
    assert (chosen.y == TABLE.a).all()
    two = gd.Data.read(path, target=["a", "b"], features=["flag"])
    assert (two.y == TABLE[["a", "b"]].to_numpy()).all()
    assert gd.Data.read(path, target="label", drop=["id"]).digest == gd.Data(TABLE[["a", "b", "flag"]], TABLE.label).digest


def test_nullable_columns_are_numbers(file):
    table = pandas.DataFrame({"a": [0.5, 1.5], "k": [1, 2], "f": [True, False], "y": [0, 1]}).convert_dtypes()
    data = gd.Data.read(file(table))
    assert data.X.tolist() == [[0.5, 1.0, 1.0], [1.5, 2.0, 0.0]]
    assert data.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("edit", "choice", "message"),
    [
        (lambda t: t, {"target": "lable"}, r"has no column 'lable', as target says; .*label"),
        (lambda t: t, {"target": "label", "drop": ["ID"]}, r"has no column 'ID', as drop says; .*id"),
        (lambda t: t, {"target": "label", "features": ["a", "label"]}, r"column 'label' is in target and also in features"),
        (lambda t: t, {"target": "label", "drop": ["id", "label"]}, r"column 'label' is in target and also in drop: leave it out of one of them"),
        (lambda t: t, {"target": "label", "drop": 3}, r"drop must be a column's name, or a list of them; 3 was given"),
        (lambda t: t, {"target": "a"}, r"column 'label' has '(high|low)' in row \d+ of 40.*drop=\['label'\]"),
        (lambda t: t.assign(b=t.b.where(t.index != 6)), {"target": "label"}, r"column 'b' has 1 missing value, the first in row 7 of 40.*drop=\['b'\]"),
        (lambda t: t.assign(label=t.label.where(t.index > 2)), {"target": "label"}, r"column 'label' has 3 missing values, the first in row 1 of 40"),
        (lambda t: t.assign(a=t.a.astype(str).where(t.index != 4, "?")), {"target": "label"}, r"column 'a' has '\?' in row 5 of 40"),
        (lambda t: t[:0], {"target": "label"}, r"at least one sample"),
        (lambda t: t[["label"]], {"target": "label"}, r"no column is left to learn from"),
    ],
)
def test_an_error_names_file_column_and_row(file, edit, choice, message):
    path = file(edit(TABLE.drop(columns="id") if "id" not in str(choice).lower() else TABLE))
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        gd.Data.read(path, **choice)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def damaged(folder):
    """Files that hold no data set, by what is said of them."""
    np.savez(folder / "good.npz", X=np.ones((5, 2)), y=np.zeros(5, int))
    whole = (folder / "good.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[:400])
    (folder / "empty.npz").write_bytes(b"")
    (folder / "flipped.npz").write_bytes(whole[:150] + bytes(20) + whole[170:])
    np.savez(folder / "objects.npz", X=np.array([[None]], object), y=np.zeros(1))
    np.savez(folder / "other.npz", A=np.ones(3))
    np.save(folder / "single", np.ones(3))
    (folder / "single.npy").rename(folder / "single.npz")
    (folder / "twice.csv").write_text("a,y,y\n1,0,0\n2,1,1\n")
    (folder / "empty.csv").write_text("")
    (folder / "ragged.csv").write_text("a,y\n1,0\n2,1,3,4\n")
    (folder / "binary.csv").write_bytes(b"\xff\xfe\x00\x01\n\x80")
    (folder / "cut.parquet").write_bytes(b"PAR1\x00\x00")
    (folder / "table.xlsx").write_bytes(b"")
    return {
        "cut.npz": "empty, cut or damaged", "empty.npz": "empty, cut or damaged", "flipped.npz": "damaged", "objects.npz": "allow_pickle|object",
        "other.npz": "no array 'X'; it has A", "single.npz": "no .npz at all", "twice.csv": "column 'y' stands twice", "empty.csv": "it is empty; a line of column names",
        "ragged.csv": "line 3", "binary.csv": "UTF-16", "cut.parquet": "[Pp]arquet", "table.xlsx": r"unknown kind '.xlsx'; allowed: .csv, .parquet, .npz",
        "none.csv": "there is no data file",
    }  # fmt: skip


def test_a_file_that_holds_no_data_is_one_line(tmp_path):
    for name, message in damaged(tmp_path).items():
        with pytest.raises(ValueError, match=message) as caught:
            gd.Data.read(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_archives_hold_all_sets(tmp_path):
    X, y = RNG.normal(size=(9, 2)), np.arange(9) % 2
    np.savez(tmp_path / "own.npz", X=X, y=y, X_validation=X[:3], y_validation=y[:3], X_test=X[3:], y_test=y[3:], class_names=["no", "yes"])
    data = gd.Data.read(tmp_path / "own.npz")
    assert data == gd.Data(X, y, validation=(X[:3], y[:3]), test=(X[3:], y[3:]), class_names=["no", "yes"])
    with pytest.raises(ValueError, match=r"holds a test set, X_test and y_test; leave test=0.5 out"):
        gd.Data.read(tmp_path / "own.npz", test=0.5)
    with pytest.raises(ValueError, match="choose columns"):
        gd.Data.read(tmp_path / "own.npz", target="label")


def test_columns_without_worth_draw_a_warning(file, tmp_path):
    table = TABLE.drop(columns="id")
    for number, values in (("id", TABLE.id), ("row", np.arange(40))):
        with pytest.warns(UserWarning, match=f"column '{number}' counts the rows") as caught:
            gd.Data.read(file(table.assign(**{number: values})), target="label")
        assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="column 'same' of X is constant"):
        gd.Data.read(file(table.assign(same=7)), target="label", standardize=True)
    table.to_csv(tmp_path / "index.csv")
    with pytest.warns(UserWarning, match="column 'Unnamed: 0' counts the rows"):
        gd.Data.read(tmp_path / "index.csv", target="label")
    assert gd.Data.read(tmp_path / "index.csv", target="label", drop="Unnamed: 0").feature_names == ("a", "b", "flag")
    orders = {"begun": np.arange(1000, 1040), "apart": 5 * np.arange(40), "back": np.arange(40)[::-1] - 7, "mixed": RNG.permutation(np.arange(-50, 70, 3))}
    for name, values in orders.items():
        with pytest.warns(UserWarning, match=f"column '{name}' counts the rows"):
            gd.Data.read(file(table.assign(**{name: values})), target="label")
    others = {"gap": np.r_[0:39, 41], "twice": np.r_[0:39, 38], "parts": np.arange(40) / 2, "squares": np.arange(40) ** 2, "many": RNG.integers(0, 40, 40)}
    assert len(gd.Data.read(file(table.assign(**others)), target="label").feature_names) == 8
    assert gd.Data(pandas.DataFrame({"dose": [0, 5, 10, 15], "b": [1.0, 2.0, 0.0, 1.0]}), [0, 1, 0, 1]).X.shape == (4, 2)  # few rows may well be even
    assert gd.Data(np.arange(9.0)[:, None], np.arange(9.0)).X.shape == (9, 1)  # numbers without names draw none


@pytest.mark.parametrize(("words", "row"), [(["no", "NA", "yes", "NA"], 2), (["None", "no", "yes", "no"], 1), (["1", "2", "n/a", "1"], 3)])
def test_a_label_that_is_read_as_missing_is_told_by_its_row(tmp_path, words, row):
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["a,label", *(f"{a},{w}" for a, w in zip([0.5, 0.1, 0.7, 0.2], words, strict=True))]))
    word = words[row - 1]
    with pytest.raises(ValueError, match=rf"column 'label' has the text '{word}' in row {row} of 4 .*takes for a missing value: rename that label") as caught:
        gd.Data.read(path, target="label")
    assert "\n" not in str(caught.value)
    frame = pandas.read_csv(path, keep_default_na=False)
    assert gd.Data(frame[["a"]], frame["label"]).class_names == tuple(sorted(set(words)))


def test_a_missing_label_stays_missing(tmp_path):
    (tmp_path / "own.csv").write_text("a,label\n0.5,yes\n0.1,\n0.7,no\n")
    with pytest.raises(ValueError, match=r"column 'label' has 1 missing value, the first in row 2 of 3"):
        gd.Data.read(tmp_path / "own.csv", target="label")


EXPERIMENT = """
starts = 2
steps = 4
optimizer = "sgd"
[problem]
type = "mlp"
hidden = [2]
data = {{path = "{path}", target = "label", drop = ["id"], standardize = true, validation = 0.25, test = 0.25, seed = 3}}
"""


def test_a_toml_file_takes_the_same_keys(tmp_path, monkeypatch):
    TABLE.to_csv(tmp_path / "own.csv", index=False)
    (tmp_path / "run.toml").write_text(EXPERIMENT.format(path="own.csv"))
    (tmp_path / "home.toml").write_text(EXPERIMENT.format(path="~/own.csv"))
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = gd.Data.read("~/own.csv", target="label", drop=["id"], standardize=True, validation=0.25, test=0.25, seed=3)
    for name in ("run", "home"):
        assert gd.read_experiment(tmp_path / f"{name}.toml").problem[0].data == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"label"', '"y"', r"no column 'y'"),
        ("standardize", "standardise", r"unknown key 'standardise'; .*standardize"),
        ("test = 0.25", "test = 0.9", r"leave none to train on"),
        ('drop = ["id"]', "drop = [1]", r"drop must be a column's name"),
        ("true", "1", r"standardize must be true or false"),
    ],
)
def test_the_command_line_says_it_in_one_line_and_exits_with_2(tmp_path, old, new, message):
    from click.testing import CliRunner

    from gdsim.cli import main

    TABLE.to_csv(tmp_path / "own.csv", index=False)
    (tmp_path / "run.toml").write_text(EXPERIMENT.format(path="own.csv").replace(old, new))
    found = CliRunner().invoke(main, ["plan", str(tmp_path / "run.toml")])
    assert found.exit_code == 2, found.output
    assert len(found.output.strip().splitlines()) == 1
    assert re.search(message, found.output), found.output


def test_the_command_line_warns_in_one_line(tmp_path):
    (tmp_path / "own.csv").write_text("a,y,c\n1.5,0,7\n2.5,1,7\n")
    (tmp_path / "run.toml").write_text('steps = 4\noptimizer = "sgd"\n[problem]\ntype = "mlp"\ndata = {path = "own.csv"}\n')
    command = [sys.executable, "-c", "from gdsim.cli import main; main()", "plan", str(tmp_path / "run.toml")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stderr == "warning: column 'c' of X is constant in the training samples: nothing can be learnt from it, leave it out\n"


@pytest.mark.parametrize("rows", ["1,2,3,0\n4,5,6,1\n", "0,2,3,0\n1,5,6,1\n", "1,2,3,4,0\n"])
def test_rows_longer_than_the_header_are_refused(tmp_path, rows):
    (tmp_path / "own.csv").write_text("a,b,y\n" + rows)
    with pytest.raises(ValueError, match="its rows have more fields than the header, which names 3: a, b, y"):
        read(tmp_path / "own.csv")


@pytest.mark.parametrize("alone", ["X_validation", "y_validation", "X_test", "y_test"])
def test_half_a_set_in_an_archive_is_refused(tmp_path, alone):
    np.savez(tmp_path / "own.npz", X=[[1.0], [2.0]], y=[0, 1], **{alone: [[1.0]]})
    with pytest.raises(ValueError, match=f"it has '{alone}' alone; a .* set is X_.* and y_.* together"):
        read(tmp_path / "own.npz")


def test_classes_of_a_file_have_names_of_their_own(tmp_path):
    (tmp_path / "own.csv").write_text("a,y\n1.5,1\n4,2\n2,3\n")
    data = gd.Data.read(tmp_path / "own.csv", class_names=[3, 2, 1])
    assert (data.class_names, data.y.tolist()) == ((3, 2, 1), [2, 1, 0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a;b;y\n1;2;0\n4;5;1\n", "set apart by ';', and must be by commas"),
        ("a;t;y\n1;x, y;0\n", r"set apart by ';'.*pandas.read_csv\(path, sep=';'\)"),
        ("a;b;y\n1,5;2,3;0\n2,5;3,3;1\n", r"decimal commas: .*sep=';', decimal=','"),
        ("a\ty\n1\t2\n", r"set apart by '\\t'"),
        ("a,y\n1,Jos\xe9\n".encode("latin-1"), r"line 2 has the byte 0xe9, which is no UTF-8.*encoding='latin-1'"),
        (b"\x7fELF\0\0,;\n\0", "no text, but a binary file"),
        ("a,y\n1,0\n2,1,3\n", "line 3 has 3 fields, and those before it 2"),
        ("a,y\n1,2,0\n2,3,1\n", "its rows have more fields than the header, which names 2: a, y"),
        ('a,y\n1,"0\n2,1\n', "a double quote that opens in line 2 is not closed"),
        ('a,"y\n1,0\n2,1\n', "a double quote that opens in line 1 is not closed"),
        ("a,y\n1,01a\n2,\n", "column 'y' has 1 missing value, the first in row 2 of 2"),
        ("a,y\n1,01\n2,1\n3,001\n", r"column 'y' has '01' in row 1 of 3 .* takes for the number 1.*dtype=\{'y': str\}"),
        ("a,b,c,y\nu,1,x,0\nv,2,w,1\n", r"column 'a' has 'u' in row 1 of 2 .* no numbers are in 'c' either.*\(drop=\['a', 'c'\]\)"),
        ("a,y\n1.5,0\nabc,1\n2,0\n", r"column 'a' has 'abc' in row 2 of 3 \(index 1\), which is no number \(1 such value\)"),
    ],
)
def test_what_is_amiss_in_a_table_is_named(tmp_path, text, said):
    (tmp_path / "own.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=said) as caught:
        gd.Data.read(tmp_path / "own.csv")
    assert "\n" not in str(caught.value)


def test_labels_that_only_look_like_padded_numbers_are_read_as_they_are(tmp_path):
    (tmp_path / "own.csv").write_text("a,y\n1,0\n2,-1\n3,10\n")
    assert gd.Data.read(tmp_path / "own.csv").class_names == (-1, 0, 10)
    (tmp_path / "own.csv").write_text("a,y\n1,0.5\n2,-0.25\n")
    assert gd.Data.read(tmp_path / "own.csv").y.tolist() == [0.5, -0.25]
    (tmp_path / "own.csv").write_text("a,y\n1,01\n2,1\n3,b\n")  # texts are labels as they stand
    assert gd.Data.read(tmp_path / "own.csv").class_names == ("01", "1", "b")


def test_a_long_column_of_labels_is_of_one_kind(tmp_path):
    """pandas takes a file in pieces of 2^20 fields, of which one may hold numbers alone."""
    head, low, high = (",".join([first] * 512) for first in ("a{}", "1.5", "2.5"))
    names = head.format(*range(512))
    (tmp_path / "own.csv").write_text(f"{names},y\n" + f"{low},7\n{high},8\n" * 1100 + f"{low},b\n")
    assert gd.Data.read(tmp_path / "own.csv").class_names == ("7", "8", "b")


@pytest.mark.parametrize("word", ["target", "features", "drop"])
def test_a_column_that_is_named_twice_is_refused(tmp_path, word):
    TABLE.to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(ValueError, match=f"{word} names the column 'a' twice"):
        read(tmp_path / "own.csv", **{"target": "label", word: ["a", "a"]})


def test_commas_at_the_ends_of_rows_are_no_column(tmp_path):
    (tmp_path / "own.csv").write_text("a,b,y\n1.5,2,0,\n4,5,1,\n")
    data = read(tmp_path / "own.csv")
    assert data.X.tolist() == [[1.5, 2.0], [4.0, 5.0]]
    assert data.y.tolist() == [0, 1]
