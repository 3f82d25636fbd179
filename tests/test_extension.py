"""A folder takes more starts and more cells, trains what it lacks alone, and refuses what would mix."""

import json

import msgspec
import pytest

import gdsim as gd
from gdsim.sweep import store as stores
from tests.faults.machinery import shards


@pytest.fixture
def sweep():
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam(lr=[0.1])], starts=10, steps=30)


def grown(sweep, **changes):
    return msgspec.structs.replace(sweep, **changes)


def trained_runs(folder, before):
    """How many rows the shards have that were not there before."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(folder / "shards" / name).num_rows for name in shards(folder) if name not in before)


@pytest.mark.parametrize("cut", [1e-9, 3e-6, 10.0])
def test_more_starts(sweep, tmp_path, cut):
    sweep.run(out=tmp_path / "out", chunk_seconds=cut)
    before = set(shards(tmp_path / "out"))
    more = grown(sweep, starts=25)
    result = more.run(out=tmp_path / "out", chunk_seconds=cut).load()
    assert trained_runs(tmp_path / "out", before) == 15 * 3
    assert result.identical(more.run())
    assert gd.open(tmp_path / "out").load().identical(result)


def test_more_cells_in_any_place(sweep, tmp_path):
    sweep.run(out=tmp_path / "out")
    before = set(shards(tmp_path / "out"))
    more = grown(sweep, optimizer=[gd.Momentum(), gd.SGD(lr=[0.0005, 0.001, 0.005, 0.01]), gd.Adam(lr=[0.1, 0.2])], starts=12)
    result = more.run(out=tmp_path / "out").load()
    assert trained_runs(tmp_path / "out", before) == 12 * 7 - 10 * 3
    assert result.identical(more.run())


def test_fewer_are_a_view_and_all_are_there_again(sweep, tmp_path):
    whole = sweep.run(out=tmp_path / "out").load()
    before = set(shards(tmp_path / "out"))
    fewer = grown(sweep, starts=4, optimizer=gd.SGD(lr=[0.01]))
    assert fewer.run(out=tmp_path / "out").load().identical(fewer.run())
    assert sweep.run(out=tmp_path / "out").load().identical(whole)
    assert set(shards(tmp_path / "out")) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 40},
        {"seed": 1},
        {"init": gd.Uniform(low=0, high=1)},
        {"record": gd.Record(every=3)},
        {"optimizer": gd.SGD(lr=0.5)},
        {"problem": gd.functions.Beale()},
    ],
)
def test_other_experiments_are_refused(sweep, tmp_path, changes):
    sweep.run(out=tmp_path / "out")
    with pytest.raises(ValueError, match=f"holds another experiment \\(it differs in {next(iter(changes))}\\)"):
        grown(sweep, **changes).run(out=tmp_path / "out")


def test_kernels_of_another_version_do_not_mix_unless_told(sweep, tmp_path, monkeypatch):
    sweep.run(out=tmp_path / "out")
    monkeypatch.setattr(stores, "BITS", 2)
    more = grown(sweep, starts=12)
    with pytest.raises(ValueError, match=r"made by kernels of version 1 .* these are version 2, whose bits differ: give another folder, or .*mix=True"):
        more.run(out=tmp_path / "out")
    assert more.run(out=tmp_path / "out", mix=True).sizes["run"] == 36
    assert json.loads((tmp_path / "out" / "experiment.json").read_text())["kernels"] == [1, 2]


def test_a_folder_can_be_opened_while_it_fills(sweep, tmp_path):
    """From the moment that it is there, with as many runs as are finished."""
    out, seen = tmp_path / "out", []

    def look(state):
        result = gd.open(out)
        seen.append((result.attrs["finished_runs"], result.attrs["planned_runs"]))
        assert result.load().sizes["run"] == seen[-1][0]

    sweep.run(out=out, threads=1, chunk_seconds=1e-9, progress=look)
    assert {planned for _, planned in seen} == {30}
    counts = [finished for finished, _ in seen]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert len(set(counts)) > 10
