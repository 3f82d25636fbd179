"""What was made before stays, of several workers since commit 4c6402b and of all else since e4b61fc: its hashes are the same, its folders open, resume
and extend.
"""

import json
import pathlib
import shutil

import msgspec
import numpy as np
import pytest

import gdsim as gd
from gdsim.canonical import ADDED, canonical, digest
from gdsim.store.folder import Store
from gdsim.store.shards import verify
from gdsim.sweep.folder.stored import experiment_in
from tests.faults.machinery import shards
from tests.fixtures import own_value
from tests.fixtures.declarations import CHUNK_SECONDS, DECLARATIONS, FOLDERS, hashes_of
from tests.helpers import gdsim, same_bits

# Dask leaves sockets to the garbage collector when its clusters start and end.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

KEPT = pathlib.Path(__file__).parent / "fixtures"
HASHES = json.loads((KEPT / "hashes.json").read_text())
SWEEPS = {name: experiment_in(Store(KEPT / name), kind=gd.Sweep) for name in FOLDERS}
# What results have had since.
LATER = {"best_validation_loss", "best_validation_step", "best_validation_accuracy", "final_validation_loss", "final_validation_accuracy", "worse_than_start"}
NETWORKS = [pytest.param(name, marks=pytest.mark.full) for name in ("whole", "replacement")]


@pytest.fixture
def copied(tmp_path):
    """A copy of one of the folders, to be written into."""

    def copy(name):
        return pathlib.Path(shutil.copytree(KEPT / name, tmp_path / name))

    return copy


def run_in(folder, sweep, name):
    return sweep.run(out=folder, chunk_seconds=CHUNK_SECONDS[name], threads=1).load()


def differing(old, new):
    """Names of the variables of an old result that differ in a bit in a new one, which may have more."""
    if "run" in old.dims:
        new = new.sel(run=old.run.values)
    else:
        new = new.isel(bin=np.isin(new.bin_low.values, old.bin_low.values))
    return [n for n in old.data_vars if n not in LATER and not same_bits(old[n].values, new[n].values)]


def check_known(result, whole):
    """That some runs are without what results have had since, and all others as those of a whole sweep."""
    known = ~is_unknown(result)
    assert 0 < known.sum() < len(known)
    assert [n for n in LATER & set(result.data_vars) if not same_bits(result[n].values[known], whole[n].values[known])] == []


def is_unknown(result):
    """[run] whether what results have had since is not known, which it is as a whole or not at all."""
    unknown = np.isnan(result.best_validation_loss.values)
    assert (unknown == (result.best_validation_step.values == -1)).all()
    for name in LATER & set(result.data_vars) - {"best_validation_step"}:
        assert (np.isnan(result[name].values) == unknown).all()
    return unknown


def test_no_hash_has_moved():
    found = {name: hashes_of(sweep) for name, sweep in DECLARATIONS.items()} | {name: hashes_of(s, CHUNK_SECONDS[name]) for name, s in FOLDERS.items()}
    assert found.keys() == HASHES.keys()
    assert [name for name in found if found[name] != HASHES[name]] == []


def test_a_field_that_was_added_is_no_part_of_the_hash_until_it_is_used(monkeypatch):
    old = msgspec.defstruct("Rule", [("lr", float, 0.1)], tag="rule", frozen=True)
    new = msgspec.defstruct("Rule", [("lr", float, 0.1), ("skip", str | None, None)], tag="rule", frozen=True)
    assert digest(new()) != digest(old())
    monkeypatch.setitem(ADDED, "Rule", {"skip": None})
    assert digest([new(0.2)]) == digest([old(0.2)])
    assert digest(new(skip="dense")) != digest(new())
    assert canonical(new(skip="dense")) == {"type": "rule", "lr": 0.1, "skip": "dense"}


# What e4b61fc accepted and is refused now where it is declared, with the hash that e4b61fc gave the
# experiment.
SGD = {"type": "sgd", "lr": 0.1, "convention": "lecture"}
ADAM = {"type": "adam", "eps_mode": "inside", "lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-60, "convention": "lecture"}
FORMULA = {"type": "expression", "text": "x**2+log(-1)*0", "variables": ["x"], "data": None}
BOOTH = {"type": "booth"}
ONCE_ACCEPTED = {
    "formula": (FORMULA, SGD, None, "f441022c56ec7e1a7ade6adb6b71ec924a054d7ba9b832f508f9988845b662f6"),
    "rate": (BOOTH, {**SGD, "lr": 1e-60}, "float32", "d4eccc7f30162d54f5a5164b15026bc99f606fc6f09fdb3323bab7bef79db5f0"),
    "eps": (BOOTH, ADAM, "float32", "ec4fe4e7fdf3d589f28cf87d43e0877cf13cca4ec2f09e75b46bf8a9bedff8cd"),
    "convention": (BOOTH, {"type": "clip_norm", "rule": SGD, "norm": 1.0, "convention": "nonsense"}, "float32",
                   "691e72ea99ee5de3f5ddc90430a464d3fd7d7c79cd88530d80b3fce384f34579"),
}  # fmt: skip


@pytest.mark.parametrize(("problem", "optimizer", "dtype", "sha256"), ONCE_ACCEPTED.values(), ids=ONCE_ACCEPTED)
def test_what_was_once_accepted_opens(problem, optimizer, dtype, sha256, tmp_path):
    record = {"every": None, "gradient_norm": True, "parameters": False, "state": False, "trajectory": False}
    experiment = {
        "batch": None, "drop_last": True, "dtype": dtype, "init": None, "keep": "runs", "optimizer": [optimizer], "problem": [problem], "record": record,
        "samples": None, "schedule": [{"type": "constant"}], "seed": 0, "shuffle": "epoch", "starts": 1, "steps": 2, "stop": [],
    }  # fmt: skip
    held = {"data": {}, "earlier_steps": [], "experiment": experiment, "format": "gdsim results 2", "gdsim": "0.1.0", "kernels": [1], "sha256": sha256}
    (tmp_path / "experiment.json").write_text(json.dumps(held))
    sweep = experiment_in(Store(tmp_path), kind=gd.Sweep)
    assert digest(sweep) == sha256
    assert len(gd.open(tmp_path).run) == 0
    assert sweep.plan().runs == 1


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_open(name):
    store, sweep = Store(KEPT / name), SWEEPS[name]
    assert hashes_of(sweep, CHUNK_SECONDS[name]) == HASHES[name]
    for path in store.listed():
        verify(path)
    chunks = sweep.plan(chunk_seconds=CHUNK_SECONDS[name]).chunks
    assert {path.name[:32] for path in store.listed()} == {c.name for c in chunks}
    assert len(chunks) > 1
    result = gd.open(KEPT / name).load()
    assert result.attrs["finished_runs"] == result.attrs["planned_runs"] == sweep.plan().runs
    if name in ("network", "whole"):
        assert is_unknown(result).all()
    if name in ("summary", "replacement"):
        assert result.worse_than_start.values.tolist() == [-1, -1]
        assert "worse_than_start" not in gd.table(result)


@pytest.mark.parametrize("name", ["network", "penalty", "summary"])
def test_folders_with_old_orders_or_an_old_penalty_take_no_more(name, copied):
    """They open and verify; whatever would add runs is refused before anything is written."""
    folder, sweep = copied(name), SWEEPS[name]
    before = shards(folder)
    refusal = r"made by kernels of version 1 \(gdsim 0.1.0\), and these are version 2, whose bits differ: give another folder, or .*mix=True"
    for more in (sweep, msgspec.structs.replace(sweep, starts=sweep.starts + 1)):
        with pytest.raises(ValueError, match=refusal):
            more.run(out=folder)
    assert shards(folder) == before
    assert gdsim("verify", folder, folder=folder)[0] == 0
    assert json.loads((folder / "experiment.json").read_text())["kernels"] == [1]
    if name != "summary":
        with pytest.raises(ValueError, match=r"the result was made by kernels of version 1, and these are version 2, whose bits differ: run its sweep again"):
            gd.continue_from(folder, steps=1)
    (folder / "experiment.json").unlink()  # the log tells then, and without it all versions may have been
    for line, made in (("", "1 and 2"), ('{"time": "", "host": "", "gdsim": "", "kernels": [1]}', "1")):
        (folder / "log.jsonl").write_text(line)
        with pytest.raises(ValueError, match=rf"was made by kernels of version {made} \(as far as its log tells.*, and these are version 2"):
            sweep.run(out=folder)
        assert not (folder / "experiment.json").exists()


@pytest.mark.parametrize("name", ["plain", "function", *NETWORKS])
def test_folders_resume(name, copied):
    """A chunk that is missing is trained to the numbers that it had."""
    folder, old = copied(name), gd.open(KEPT / name).load()
    lost = sorted(shards(folder))[0]
    (folder / "shards" / lost).unlink()
    assert gd.open(folder).attrs["finished_runs"] < old.attrs["planned_runs"]
    kept = shards(folder)
    result = run_in(folder, SWEEPS[name], name)
    assert {n[:32] for n in set(shards(folder)) - set(kept)} == {lost[:32]}
    assert differing(old, result) == []
    if name == "whole":
        check_known(result, SWEEPS[name].run(threads=1))


@pytest.mark.parametrize("name", ["plain", "function", *NETWORKS])
def test_folders_take_more_starts_and_cells(name, copied):
    folder = copied(name)
    before = set(shards(folder))
    more = msgspec.structs.replace(SWEEPS[name], starts=SWEEPS[name].starts + 5)
    if name == "plain":
        more = msgspec.structs.replace(more, optimizer=(gd.SGD(lr=[0.001, 0.005, 0.01, 0.1]),))
    result, whole = run_in(folder, more, name), more.run(threads=1)
    assert before < set(shards(folder))
    if name == "replacement":
        assert result.final_loss_count.values.tolist() == [25, 25]
        assert same_bits(result.final_loss_mean.values, whole.final_loss_mean.values)
        assert result.worse_than_start.values.tolist() == [-1, -1]
        return
    assert differing(result, whole) == []
    if name == "whole":
        check_known(result, whole)


@pytest.mark.parametrize("name", ["function", NETWORKS[0]])
def test_folders_take_more_steps(name, copied):
    """Where state was kept, runs go on from where they stood, as if they had never stopped."""
    longer = msgspec.structs.replace(SWEEPS[name], steps=2 * SWEEPS[name].steps)
    result, whole = run_in(copied(name), longer, name), longer.run(threads=1)
    assert (result.steps_taken.values > longer.steps // 2).any()
    assert set(differing(result, whole)) <= {"state_stops"}
    going = whole.status.values == "budget"  # the memory of a stop that has ended its run is nobody's
    assert same_bits(result.state_stops.values[going], whole.state_stops.values[going])
    if name == "whole":  # Validation remembers its lowest loss, and neither the step nor the accuracy
        went, step = whole.steps_taken.values > longer.steps // 2, result.best_validation_step.values
        assert same_bits(result.best_validation_loss.values[went], whole.best_validation_loss.values[went])
        assert same_bits(result.final_validation_loss.values[went], whole.final_validation_loss.values[went])
        early = whole.best_validation_step.values < longer.steps // 2
        assert (step[went] == np.where(early, -1, whole.best_validation_step.values)[went]).all()


@pytest.mark.parametrize("name", ["function", NETWORKS[0]])
def test_results_of_folders_go_on(name):
    old = gd.open(KEPT / name)
    rest = gd.continue_from(old, steps=old.sizes["checkpoint"], threads=1)
    going = old.status.values == "budget"
    assert going.any()
    assert np.array_equal(rest.steps_taken.values[~going], old.steps_taken.values[~going])
    assert (rest.steps_taken.values[going] > old.steps_taken.values[going]).all()


def test_folders_of_a_function_that_reads_a_value_go_on(copied, monkeypatch):
    """At e4b61fc its value was no part of the experiment: such a folder stays as it is, and a new one tells
    values apart.
    """
    folder, old = copied("own"), gd.open(KEPT / "own").load()
    options = {"optimizer": gd.SGD(lr=[0.01, 0.1]), "steps": 10, "record": gd.Record(every="ends")}
    declared = lambda init: gd.Sweep(problem=gd.Own(own_value.bowl, dim=2), init=init, **options)  # noqa: E731
    held = json.loads((folder / "experiment.json").read_text())["experiment"]["problem"][0]["source"]
    assert declared([[1.0, 1.0]]).problem[0].source != held
    before = shards(folder)
    assert differing(old, declared([[1.0, 1.0]]).run(out=folder, threads=1).load()) == []
    assert shards(folder) == before
    (folder / "shards" / next(iter(before))).unlink()
    assert differing(old, declared([[1.0, 1.0]]).run(out=folder, threads=1).load()) == []
    more = msgspec.structs.replace(declared([[1.0, 1.0]]), optimizer=(gd.SGD(lr=[0.01, 0.1, 0.2]),))
    assert differing(more.run(out=folder, threads=1).load(), more.run(threads=1)) == []
    assert json.loads((folder / "experiment.json").read_text())["experiment"]["problem"][0]["source"] == held
    new = folder.parent / "new"
    declared([[1.0, 1.0]]).run(out=new, threads=1)
    monkeypatch.setattr(own_value, "K", 7.0)
    with pytest.raises(ValueError, match="or with other values of what it reads"):
        declared([[1.0, 1.0]]).run(out=new, threads=1)


def test_folders_of_a_function_s_formula_go_on_with_the_order_that_they_have(tmp_path):
    """At e4b61fc the variables of a Python function stood in the order in which SymPy's text mentions
    them.
    """
    options = {"optimizer": gd.SGD(lr=0.01), "init": 0.5, "steps": 2}
    function = lambda x, y: (x - 1) ** 2 + 3 * y**2  # noqa: E731
    earlier = gd.Sweep(problem=gd.Expression("3*y**2 + (x - 1)**2"), **options)
    earlier.run(out=tmp_path, threads=1)
    with pytest.raises(ValueError, match=r"write variables=\['y', 'x'\] in gd.Expression: .* in the order \['x', 'y'\] in yours"):
        gd.Sweep(problem=gd.Expression(function), **options).run(out=tmp_path, threads=1)
    gd.Sweep(problem=gd.Expression(function, variables=["y", "x"]), **options).run(out=tmp_path, threads=1)
    assert len(shards(tmp_path)) == 1
