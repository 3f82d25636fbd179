"""`python experiments/benchmarks`: rows that are slower than they were are told from those that are not, and sizes
at which steps become dear from those at which they do not.
"""

import functools
import importlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import gdsim as gd
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.stops import STOPS

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


@pytest.fixture
def asked(monkeypatch):
    """What the command line comes to."""
    monkeypatch.syspath_prepend(str(FOLDER))
    main = importlib.import_module("experiments.benchmarks.__main__")

    def of(*words):
        monkeypatch.setattr("sys.argv", ["benchmarks", *words])
        return main.asked()

    return of


def test_a_quick_comparison_is_of_some_rows_with_head_if_no_commit_is_given(asked):
    options, rows, rounds = asked("--quick")
    assert (options.against, rounds) == ("HEAD", 21)
    assert [row.name for row in rows] == ["moons-momentum-10000", "digits-adam-256", "digits-adam-1", "mnist-adam-64", "rosenbrock-adam-100000"]
    assert asked("--quick", "--against", "v1", "--rounds", "6")[0].against == "v1"


def test_rounds_are_by_default_those_of_what_is_measured(asked):
    assert [asked(*words)[2] for words in ((), ("--against", "HEAD"), ("--map",), ("--map", "rules", "--rounds", "2"))] == [3, 15, 7, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--quick", "--rows", "xor"], "--rows"), (["--map", "--quick"], "--map is measured alone"), (["--map", "colours"], "colours"),
        (["--quick", "--rounds", "5"], "at least 6"), (["--rows", "nonsense"], "no row has such a name"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_together_is_refused(asked, words, said, capsys):
    with pytest.raises(SystemExit):
        asked(*words)
    assert said in capsys.readouterr().err


@pytest.fixture
def cost_map(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("cost_map")


@pytest.mark.usefixtures("cost_map")
def test_every_registered_name_has_a_place_on_the_map():
    """Each can be declared as it stands there: a declaration with a field that NEEDED lacks cannot."""
    variations = importlib.import_module("variations")
    assert [type(v.sweep.optimizer[0]) for v in variations.variations_of("rules")] == list(RULES)
    assert [type(v.sweep.optimizer[0]) for v in variations.variations_of("wrappers")] == list(WRAPPERS)
    assert [type(v.sweep.schedule[0]) for v in variations.variations_of("schedules")] == list(SCHEDULES)
    assert [type(v.sweep.stop[0]) for v in variations.variations_of("looks")] == list(STOPS)
    assert [v.sweep.problem[0].activation for v in variations.variations_of("activations")] == list(ACTIVATIONS)
    assert [v.sweep.problem[0].loss for v in variations.variations_of("losses")] == list(SAMPLE_LOSSES)


@pytest.mark.usefixtures("cost_map")
def test_operations_of_sizes_are_those_counted_by_hand():
    """Forward, gradients, and back to the hidden layer: of 8-h-3, (8 + 3) h, (8 + 3) h and 3 h a sample."""
    variations = importlib.import_module("variations")
    assert {v.name: v.operations for v in variations.variations_of("widths")} == {str(h): 2 * 16 * 25 * h for h in (1, 2, 3, 4, 5, 8, 16, 17, 32, 64, 128)}
    batches = variations.variations_of("batches")
    assert [v.operations for v in batches] == [2 * 25 * 16 * n for n in (1, 2, 4, 8, 15, 16, 17, 32, 64, 256, 512)]
    assert batches[-1].name == "whole"
    assert variations.variations_of("depths")[0].operations == 2 * 16 * 2 * 24


def test_cliffs_are_where_an_operation_becomes_dear_and_sizes_as_dear_as_larger_ones_are_named(cost_map):
    """Cost by width: twice the operations for 3.2 times the time are a cliff, for 2.9 times are none."""
    sizes = {"1": (100, 1.0), "2": (200, 3.2), "4": (400, 9.28), "15": (1500, 20.0), "16": (1600, 20.1), "32": (3200, 30.0)}
    costs = [cost_map.Cost("widths", name, operations, factor * 100, factor, factor, factor) for name, (operations, factor) in sizes.items()]
    notes = {cost.name: cost.note for cost in cost_map.noted(costs)}
    assert notes == {"1": "", "2": "CLIFF: an operation costs 1.60 times that of 1", "4": "", "15": "as dear as 16", "16": "", "32": ""}
    assert "| 15 | 2000 | 20.00 | 20.00 to 20.00 | 1.33e+03 | as dear as 16 |" in cost_map.table(cost_map.noted(costs))


def test_a_factor_is_of_pairs_whatever_the_machine_does_from_one_to_the_next(cost_map):
    variation = importlib.import_module("variations").base()
    paces = {1.1: 1.0, 1.2: 9.0, 1.3: 2.0, 1.4: 7.0, 1.5: 1.0, 1.6: 3.0, 1.7: 8.0}
    cost = cost_map.cost_of(variation, [(pace, pace * factor) for factor, pace in paces.items()])
    assert (cost.factor, cost.low, cost.high) == pytest.approx((1.4, 1.1, 1.7))


@pytest.mark.full
def test_a_map_is_measured_and_left_behind(cost_map, tmp_path, monkeypatch, capsys):
    """A batch of 256 has 16 times the operations of one of 16: its steps take at least thrice as long."""
    variations = importlib.import_module("variations")
    monkeypatch.setattr(cost_map, "SECONDS", 0.02)
    monkeypatch.setitem(cost_map.AXES, "batches", variations.Axis(True, {"16": {"batch": 16}, "256": {"batch": 256}}))
    assert cost_map.draw(["batches"], 2, tmp_path) == 0
    costs = json.loads((tmp_path / "map.json").read_text())["costs"]
    assert [c["name"] for c in costs] == ["16", "256"]
    assert costs[1]["factor"] > 3.0 * costs[0]["factor"] > 0.0
    assert "| 256 | " in (tmp_path / "map.md").read_text()
    assert "| **batches** |" in capsys.readouterr().out


@pytest.mark.full
def test_runs_that_end_by_themselves_are_no_measurement(cost_map, tmp_path, monkeypatch, capsys):
    variations = importlib.import_module("variations")
    monkeypatch.setattr(cost_map, "timed", lambda sweep: cost_map.cpu_seconds(sweep, 64))
    monkeypatch.setitem(cost_map.AXES, "looks", variations.Axis(False, {"Target": {"stop": gd.Target(1e9)}}))
    assert cost_map.draw(["looks"], 1, tmp_path) == 2
    assert capsys.readouterr().err.startswith("looks: runs ended before their 64 steps: ['Target']")


@pytest.fixture
def small_large_work(monkeypatch):
    """A work of the kind of the large ones, that is not."""
    monkeypatch.syspath_prepend(str(FOLDER))
    works = importlib.import_module("works")
    monkeypatch.setitem(works.PLANTED, "few", (3000, 6, 3))
    monkeypatch.setitem(works.WORKS, "few", works.Work("few", (4,), 16, is_large=True))
    return works


@pytest.mark.full
@pytest.mark.parametrize("system", ["jax", "torch"])
def test_large_works_are_trained_alike_and_scored_on_all_samples(small_large_work, system):
    pytest.importorskip("optax" if system == "jax" else system)
    systems = importlib.import_module("systems")
    measure = importlib.import_module("memory").once
    losses = {name: systems.SYSTEMS[name]("few", "momentum", 3, 200, 1, measure)[1] for name in ("gdsim", system)}
    assert losses[system] == pytest.approx(losses["gdsim"], rel=1e-4)
    assert (losses["gdsim"] < 0.9 * np.log(3)).all()  # better than guessing one of three: there is something to learn


def test_what_training_needs_is_weights_slots_inputs_and_labels(small_large_work):
    weights = (6 + 1) * 4 + (4 + 1) * 3
    assert small_large_work.needed_bytes("few", "adam", 10) == 4 * (10 * weights * 3 + 3000 * 6 + 3000)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not tell the most memory of a while")
def test_memory_is_what_data_leave_and_the_most_that_training_takes(monkeypatch):
    """Of 64 MB that are made of 192 and used with 96 more: 160 and some."""
    monkeypatch.syspath_prepend(str(FOLDER))
    memory = importlib.import_module("memory")
    million = 2**20

    def make():
        return np.concatenate([np.ones(8 * million), np.ones(16 * million)])[: 8 * million].copy()

    taken = memory.taken_bytes(make, lambda: np.ones(12 * million).sum())
    assert 150 * million < taken < 180 * million


@pytest.mark.full
@pytest.mark.parametrize("system", ["jax", "torch"])
def test_products_with_vectors_are_the_same_in_all_systems(monkeypatch, request, system):
    module = pytest.importorskip(system)
    if system == "jax":  # which has numbers of 64 bits for the whole process or not at all
        request.addfinalizer(functools.partial(module.config.update, "jax_enable_x64", module.config.jax_enable_x64))
    monkeypatch.syspath_prepend(str(FOLDER))
    curvature = importlib.import_module("curvature")
    problem, points = curvature.problem_and_points(2, "float64", 3)
    ours, theirs = (curvature.products_of(name, problem, points, points[::-1].copy())() for name in ("gdsim", system))
    assert theirs == pytest.approx(ours, rel=1e-9, abs=1e-12)


def figures_of_a_round(seconds, entries):
    return {"seconds": seconds, "entries": entries, "largest": 1.0}


def test_ratios_of_second_derivatives_are_of_rounds_and_odd_ones_refused(monkeypatch):
    """Beside the faster, which is now one and now the other: 3, 2 and 4 times."""
    monkeypatch.syspath_prepend(str(FOLDER))
    curvature = importlib.import_module("curvature")
    times = [{"gdsim": 1.0, "jax": 3.0, "torch": 9.0}, {"gdsim": 4.0, "jax": 20.0, "torch": 8.0}, {"gdsim": 0.5, "jax": 2.0, "torch": 3.0}]
    own = {("product", dtype): {"seconds": 2.0} for dtype in curvature.AGREEMENT} | {("spectra", "float64"): {"seconds": 5.0}}
    keys = [(name, ending, dtype) for name in times[0] for ending in ("", "-product") for dtype in curvature.AGREEMENT]
    rounds = [own | {(f"{name}{ending}", dtype): figures_of_a_round(one[name], [0.5]) for name, ending, dtype in keys} for one in times]
    *found, last = curvature.lines(rounds)
    assert [(f["what"], f["dtype"], f["ratio"], f["product"]) for f in found] == [
        (what, dtype, 3.0, product) for dtype in ("float64", "float32") for what, product in (("Hessians", 2.0), ("products", None))
    ]
    assert last == {"spectra": 5.0}
    rounds[0]["torch-product", "float64"] = figures_of_a_round(9.0, [0.5 + 1e-6])
    with pytest.raises(SystemExit, match="the products in float64 differ by 1e-06"):
        list(curvature.lines(rounds))


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
