"""A results folder: what is written, that it is read back the same, and what is refused."""

import hashlib
import json
import shutil

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

import gdsim as gd
from gdsim.store.folder import Store
from gdsim.sweep.folder.admission import check, document_of
from gdsim.sweep.planning import plan as planning
from gdsim.sweep.survey import survey
from tests.helpers import same_results


@pytest.fixture(scope="module")
def sweep():
    problem = gd.MLP(gd.datasets.load("moons", validation=0.2), hidden=gd.grid([4], [3, 3]), activation="tanh")
    optimizers = [gd.SGD(lr=gd.logspace(0.01, 1e12, 3)), gd.Adam(lr=gd.loguniform(0.01, 0.1, draws=2))]
    return gd.Sweep(
        problem=problem, optimizer=optimizers, starts=5, steps=20, batch=32, init=gd.Uniform(-1, 1), record=gd.Record(trajectory=True, parameters=True)
    )


@pytest.fixture(scope="module")
def stored(sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "moons"
    return folder, sweep.run(out=folder)


def names(folder):
    return sorted(p.name for p in (folder / "shards").iterdir())


def test_a_sweep_that_only_longer_chunks_make_possible_is_run_and_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("gdsim.sweep.planning.plan.OPERATIONS_PER_SECOND", 10.0)
    monkeypatch.setattr("gdsim.sweep.planning.plan.MOST_CHUNKS", 1)
    booth = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=20, steps=5)
    with pytest.raises(ValueError, match="raise chunk_seconds"):
        booth.plan()
    result = booth.run(out=tmp_path / "booth", chunk_seconds=1e6)
    assert gd.open(tmp_path / "booth").identical(result)


def test_what_is_opened_is_what_was_returned(sweep, stored):
    folder, result = stored
    assert gd.open(folder).identical(result)
    assert same_results(sweep.run(), result) == []


def test_shards_are_named_by_their_bytes_which_are_the_same_whoever_writes_them(sweep, stored, tmp_path):
    folder, _ = stored
    assert names(folder)
    for path in (folder / "shards").iterdir():
        assert path.stem.split("-")[1] == hashlib.sha256(path.read_bytes()).hexdigest()
    sweep.run(out=tmp_path / "again", threads=1)
    assert names(tmp_path / "again") == names(folder)


def test_a_shard_knows_its_cells_and_nothing_of_who_made_it(sweep, stored):
    folder, _ = stored
    plan, paths = sweep.plan(), list((folder / "shards").iterdir())
    assert len(paths) > 1
    for path in paths:
        footer = json.loads(pq.read_schema(path).metadata[b"gdsim"])
        assert set(footer["cells"]) <= set(plan.identities)
        assert not {"host", "time", "version", "run"} & set(footer)
        assert "run" not in pq.read_schema(path).names
        assert pq.read_table(path, page_checksum_verification=True).num_rows > 0


def test_a_plan_knows_the_bytes_of_results(sweep, stored):
    """Before compression, and in memory."""
    folder, result = stored
    plan, paths = sweep.plan(), list((folder / "shards").iterdir())
    assert plan.disk == pytest.approx(sum(pq.read_table(path).nbytes for path in paths), rel=0.05)
    assert plan.result_bytes == pytest.approx(sum(v.nbytes for v in result.load().variables.values()), rel=0.2)


def test_the_same_command_again_trains_nothing(sweep, stored):
    folder, result = stored
    before = {p.name: p.stat().st_mtime_ns for p in (folder / "shards").iterdir()}
    assert sweep.run(out=folder).identical(result)
    assert {p.name: p.stat().st_mtime_ns for p in (folder / "shards").iterdir()} == before


def test_what_is_missing_is_trained_again_to_the_same_bytes(sweep, stored):
    folder, result = stored
    before = names(folder)
    next((folder / "shards").iterdir()).unlink()
    assert gd.open(folder).attrs["finished_runs"] < result.attrs["planned_runs"]
    assert sweep.run(out=folder).identical(result)
    assert names(folder) == before


def test_damage_is_not_read(sweep, stored, tmp_path):
    sweep.run(out=tmp_path)
    path = next((tmp_path / "shards").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="damaged"):
        gd.open(tmp_path).load()
    assert sweep.run(out=tmp_path).identical(stored[1])
    assert names(tmp_path) == names(stored[0])
    assert [p.name for p in (tmp_path / "quarantine").iterdir()] == [path.name]


def test_other_chunks_make_no_run_twice(sweep, stored, tmp_path):
    first = sweep.run(out=tmp_path / "cut", chunk_seconds=1e-4)
    assert len(names(tmp_path / "cut")) > len(names(stored[0]))
    assert first.identical(stored[1])
    before = names(tmp_path / "cut")
    assert sweep.run(out=tmp_path / "cut").identical(stored[1])
    assert names(tmp_path / "cut") == before
    next((tmp_path / "cut" / "shards").iterdir()).unlink()
    assert sweep.run(out=tmp_path / "cut").identical(stored[1])
    assert gd.open(tmp_path / "cut").identical(stored[1])


def test_another_experiment_is_refused_before_anything_is_written(stored):
    folder, _ = stored
    before = names(folder)
    other = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor")), optimizer=gd.SGD(), steps=3)
    with pytest.raises(ValueError, match="holds another experiment"):
        other.run(out=folder)
    assert names(folder) == before


def test_shards_of_another_experiment_are_not_taken_over(sweep, stored, tmp_path):
    """Where `experiment.json` has gone: its own experiment goes on, another is refused before anything is
    written.
    """
    out = tmp_path / "out"
    shutil.copytree(stored[0], out)
    (out / "experiment.json").unlink()
    before = names(out)
    other = msgspec.structs.replace(sweep, seed=sweep.seed + 1)
    with pytest.raises(ValueError, match=f"has lost its experiment.json, and its {len(before)} shards hold runs of another experiment"):
        other.run(out=out)
    assert not (out / "experiment.json").exists()
    assert sweep.run(out=out).identical(stored[1])
    apart = tmp_path / "other"
    other.run(out=apart)
    foreign = [shutil.copy(p, out / "shards") for p in (apart / "shards").iterdir()]
    found = survey(out)
    assert (found.shards, found.other_shards, found.finished_runs) == (len(before), len(foreign), stored[1].sizes["run"])


def test_summaries_are_not_taken_for_runs(tmp_path):
    """Where `experiment.json` has gone: neither kind goes on in a folder of the other, nor is one counted
    as the other.
    """
    ways = {"problem": gd.functions.Booth(), "optimizer": gd.SGD(), "starts": 8, "steps": 3}
    for kind, other in (("runs", "summary"), ("summary", "runs")):
        out = tmp_path / kind
        alone = gd.Sweep(keep=kind, **ways).run(out=out).load()
        (out / "experiment.json").unlink()
        with pytest.raises(ValueError, match=r"has lost its experiment\.json, and its 1 shard holds runs of another experiment"):
            gd.Sweep(keep=other, **ways).run(out=out)
        assert gd.Sweep(keep=kind, **ways).run(out=out).load().identical(alone)
    shutil.rmtree(tmp_path / "runs" / "shards")
    shutil.copytree(tmp_path / "summary" / "shards", tmp_path / "runs" / "shards")
    assert survey(tmp_path / "runs").finished_runs == 0


def test_chunks_are_counted_as_they_were_cut(tmp_path):
    sweep, out = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), starts=8, steps=3), tmp_path / "out"
    sweep.run(out=out, chunk_seconds=1e-9)
    assert len(names(out)) == sweep.plan().runs
    for name in names(out)[:5]:
        (out / "shards" / name).unlink()
    found = survey(out)
    assert (found.missing_chunks, found.missing_runs) == (5, 5)  # a run each
    sweep.run(out=out)
    assert "chunk_seconds" not in json.loads((out / "experiment.json").read_text())


@pytest.mark.parametrize(("keep", "seconds"), [("runs", 3e-8), ("summary", 6e-7)])
def test_a_folder_goes_on_where_chunks_would_be_cut_otherwise(keep, seconds, tmp_path, monkeypatch):
    """As by another Python, in whose bytecode the operations of a formula are counted: only runs that are
    missing are trained.
    """
    sweep, out = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), starts=30, steps=3, keep=keep), tmp_path / "out"
    whole = sweep.run(out=out, chunk_seconds=seconds).load()
    for name in names(out)[::2]:
        (out / "shards" / name).unlink()
    kept, lacking, cut = names(out), survey(out).missing_runs, [c.size for c in sweep.plan(chunk_seconds=seconds).chunks]
    monkeypatch.setattr(planning, "cut_operations", lambda setting, cut=planning.cut_operations: 0.1 * cut(setting))
    assert [c.size for c in sweep.plan(chunk_seconds=seconds).chunks] != cut
    assert sweep.run(out=out, chunk_seconds=seconds).load().identical(whole)
    wrote = [e["runs"] for e in Store(out).entries() if "wrote" in e]
    assert (sum(wrote), set(kept) - set(names(out))) == (30 + lacking, set())


def test_another_driver_may_begin_between_two_looks(sweep, tmp_path, monkeypatch):
    """After `experiment.json` was not seen, and before the folder is listed."""
    mine, other = Store(tmp_path / "out"), Store(tmp_path / "out")
    listed = mine.place.names

    def late(folder=""):
        other.place.make()
        other.write_experiment(document_of(other, sweep), None)
        return listed(folder)

    monkeypatch.setattr(mine.place, "names", late)
    assert check(mine, sweep) == other.experiment()


def test_folders_that_are_none(tmp_path):
    sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor")), optimizer=gd.SGD(), steps=3)
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        sweep.run(out=tmp_path / "file")
    with pytest.raises(ValueError, match="holds other files"):
        sweep.run(out=tmp_path / "full")
    with pytest.raises(ValueError, match="no gdsim results"):
        gd.open(tmp_path / "full")
    with pytest.raises(ValueError, match="no gdsim results"):
        gd.open(tmp_path / "nowhere")


def test_given_points_are_stored_with_their_experiment(tmp_path):
    problem = gd.MLP(gd.datasets.load("xor"), hidden=[2])
    points = np.random.default_rng(0).normal(size=(2, problem.parameter_count))
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(), init=points, starts=2, steps=3).run(out=tmp_path / "points")
    assert gd.open(tmp_path / "points").identical(result)
