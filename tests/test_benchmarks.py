"""`python experiments/benchmarks --against COMMIT`: rows that are slower than they were, told from those that
are not.
"""

import importlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks"

# What timed.py answers of a tree: how long a row takes it, which is the number in its `gdsim/__init__.py`.
CHILD = """
import json, os, sys
factor = float(open(os.path.join(os.environ["PYTHONPATH"], "gdsim", "__init__.py")).read())
for line in ["cold"] if sys.argv[1:] else sys.stdin:
    if factor < 0:
        sys.exit("ValueError: no such sweep")
    print(json.dumps({"seconds": 0.2 * factor, "bits": str(factor > 2)}), flush=True)
"""


@pytest.fixture
def against(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("against")


@pytest.fixture
def change(against, tmp_path, monkeypatch):
    """Changes what the tree takes from `before`, which is committed, to `now`, which is not."""

    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=tmp_path, check=True, capture_output=True)

    def changed(before, now):
        (tmp_path / "gdsim" / "__init__.py").write_text(str(before))
        git("add", "gdsim")
        git("commit", "-q", "-m", "before")
        (tmp_path / "gdsim" / "__init__.py").write_text(str(now))

    (tmp_path / "gdsim").mkdir()
    git("init", "-q")
    (tmp_path / "timed.py").write_text(CHILD)
    monkeypatch.setattr(against, "ROOT", tmp_path)
    monkeypatch.setattr(against, "HERE", tmp_path)
    return changed


def test_a_ratio_is_of_pairs_and_its_interval_of_their_order(against):
    """Fifteen pairs on a machine that slows down tenfold: the ratios are 1.01 to 1.15; the 4th and 12th
    enclose the median in 96%.
    """
    ratios = np.random.default_rng(0).permutation(np.arange(101, 116)) / 100
    rounds = [[against.Measurement(s, "a"), against.Measurement(s * r, "a")] for s, r in zip(np.geomspace(0.1, 1.0, 15), ratios, strict=True)]
    found = against.comparison_of("row", rounds)
    assert (found.ratio, found.low, found.high) == pytest.approx((1.08, 1.04, 1.12))
    assert found.slower
    assert not against.comparison_of("row", [[a, against.Measurement(b.seconds / 1.02, "a")] for a, b in rounds]).slower


@pytest.mark.parametrize(("before", "now", "words"), [(1, 1.02, ""), (2, 2.1, "SLOWER, other bits")])
def test_a_slower_tree_ends_with_code_one(against, change, before, now, words, tmp_path, monkeypatch, capsys):
    change(before, now)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert against.compare("HEAD", ["xor", "cold"], 6, tmp_path) == int("SLOWER" in words)
    assert not list(tmp_path.glob("gdsim-*"))
    found = json.loads((tmp_path / "against.json").read_text())
    assert [r["row"] for r in found] == ["xor-momentum-100000", "cold"]
    assert [r[k] for r in found for k in ("ratio", "low", "high")] == pytest.approx([now / before] * 6)
    assert capsys.readouterr().out.count(f"| {words} |") == 2


def test_what_cannot_be_measured_is_said_in_one_line(against, change, tmp_path, capsys):
    change(1, -1)
    for commit in ("no-such-commit", "HEAD"):
        assert against.compare(commit, ["xor"], 6, tmp_path) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("--against no-such-commit: ")
    assert said[1:] == ["this tree failed: ValueError: no such sweep"]
    assert not list(tmp_path.glob("against.*"))


# Counted by hand, statements at the ends of lines.
COUNTED = {
    "__init__.py": "",
    "words.py": '''"""Words."""
import os                                   # 1
if TYPE_CHECKING:                           # 2
    from gdsim.store.files import Any       # 3
def said(a: Any, /, *rest: Any, b: int, **more) -> None:    # 4
    """Said."""
    return os.getcwd(a, b)                  # 5
''',
    "store/__init__.py": "",
    "store/files.py": '''from gdsim import words                # 1
class File:                                 # 2
    """A file."""
    def read(self, size: "int"):            # 3
        """Read,

        all of it."""
        from . import places                # 4
        return [places, words]              # 5
''',
    "store/places.py": "from gdsim.store.files import File; import gdsim.words as w",
}


def test_counts_are_those_of_a_tree_that_was_counted_by_hand(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    counts = importlib.import_module("counts")
    for name, text in COUNTED.items():
        (tmp_path / "gdsim" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "gdsim" / name).write_text(text)
    title, _, _, _, *lines = counts.report("tree", counts.modules_of(tmp_path)).splitlines()
    assert title == "tree"
    assert lines == [
        "| (top) | 2 | 7 | 5 | 4 | 50.0% | 1 |",
        "| store | 3 | 10 | 7 | 1 | 0.0% | 0 |",
        "| all | 5 | 17 | 12 | 5 | 40.0% | 1 |",
        "",
        "longest file: gdsim.store.files, 9 lines; longest function: gdsim.store.files.read, 3 lines",
        "circle of 2: gdsim.store.files, gdsim.store.places",
    ]
