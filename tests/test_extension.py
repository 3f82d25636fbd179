"""A folder takes more starts and more cells, trains what it lacks alone, and refuses what would mix."""

import json

import msgspec
import pytest

import gdsim as gd
from gdsim.population import columns
from gdsim.store.folder import Store
from gdsim.sweep.experiment import bit_versions
from gdsim.sweep.export import merge
from gdsim.sweep.folder import admission
from tests.faults.machinery import shards
from tests.helpers import same_bits

# Dask leaves sockets to the garbage collector when its clusters start and end.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


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


def content(folder):
    """Every file of a folder by its name."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("changes", [{"starts": 4}, {"optimizer": gd.SGD(lr=[0.01])}, {"starts": 4, "optimizer": [gd.Adam(lr=[0.1]), gd.SGD(lr=[0.01])]}])
def test_a_smaller_call_changes_nothing_and_gives_its_own_runs(sweep, tmp_path, changes):
    out = tmp_path / "out"
    whole = sweep.run(out=out).load()
    before, fewer = content(out), grown(sweep, **changes)
    alone = fewer.run()
    with pytest.warns(RuntimeWarning, match=f"holds a larger experiment, which it keeps: {30 - alone.sizes['run']} more runs than these"):
        assert fewer.run(out=out, chunk_seconds=1.0).load().identical(alone)
    assert content(out) == before
    assert gd.open(out).load().identical(whole)


def test_a_smaller_call_trains_what_it_lacks_of_the_larger(sweep, tmp_path):
    out = tmp_path / "out"
    whole = sweep.run(out=out, chunk_seconds=1e-9).load()
    for name in shards(out):
        (out / "shards" / name).unlink()
    fewer = grown(sweep, starts=2, optimizer=[gd.Adam(lr=[0.1]), gd.SGD(lr=[0.01])])
    with pytest.warns(RuntimeWarning, match="26 more runs"):
        assert fewer.run(out=out, chunk_seconds=1e-9).load().identical(fewer.run())
    held = gd.open(out)
    assert (held.attrs["finished_runs"], held.attrs["planned_runs"]) == (4, 30)
    assert sweep.run(out=out).load().identical(whole)


def test_runs_that_go_out_of_view_are_told(sweep, tmp_path):
    out = tmp_path / "out"
    whole = sweep.run(out=out).load()
    with pytest.warns(RuntimeWarning, match="held an experiment with 24 other runs: those that are finished are kept"):  # 30 less 6 starts of one cell
        grown(sweep, starts=6, optimizer=gd.SGD(lr=[0.01, 0.02])).run(out=out)
    with pytest.warns(RuntimeWarning, match="6 other runs"):
        assert sweep.run(out=out).load().identical(whole)


def test_fewer_starts_of_a_summary_are_refused_and_fewer_cells_are_not(sweep, tmp_path):
    whole = grown(sweep, keep="summary")
    kept = whole.run(out=tmp_path / "out").load()
    with pytest.raises(ValueError, match="holds a summary of 10 starts, which cannot be taken apart: give starts=10, or another folder"):
        grown(whole, starts=4).run(out=tmp_path / "out")
    fewer = grown(whole, optimizer=gd.Adam(lr=[0.1]))
    with pytest.warns(RuntimeWarning, match="20 more runs"):
        assert fewer.run(out=tmp_path / "out").load().identical(fewer.run())
    assert gd.open(tmp_path / "out").load().identical(kept)


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
    monkeypatch.setattr(bit_versions, "BITS", 2)
    more = grown(sweep, starts=12)
    with pytest.raises(ValueError, match=r"made by kernels of version 1 .* these are version 2, whose bits differ: give another folder, or .*mix=True"):
        more.run(out=tmp_path / "out")
    assert more.run(out=tmp_path / "out", mix=True).sizes["run"] == 36
    assert made_by(tmp_path / "out") == [1, 2]
    merge(tmp_path / "merged", [tmp_path / "out"])
    assert made_by(tmp_path / "merged") == [1, 2]


def made_by(folder):
    return json.loads((folder / "experiment.json").read_text())["kernels"]


def test_a_folder_takes_cells_of_a_later_version_where_its_own_runs_keep_their_bits(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(admission, "kernel_version", lambda sweep: 1 + (len(sweep.optimizer) > 2))
    sweep.run(out=tmp_path)
    assert made_by(tmp_path) == [1]
    more = grown(sweep, optimizer=(*sweep.optimizer, gd.Momentum()))
    assert more.run(out=tmp_path).sizes["run"] == 40
    assert made_by(tmp_path) == [2]
    monkeypatch.setattr(admission, "kernel_version", lambda sweep: 1 + 2 * (len(sweep.optimizer) > 2))
    with pytest.raises(ValueError, match=r"made by kernels of version 2 .* these are version 3"):
        more.run(out=tmp_path)


@pytest.mark.parametrize(
    ("version", "options"),
    [
        (1, {"batch": None}),
        (2, {"batch": gd.grid(None, 2)}),
        (2, {"batch": 2, "shuffle": "once"}),
        (1, {"batch": 2, "shuffle": "replacement"}),
        (3, {"batch": gd.grid(None, 2), "l2": [0, 0.1]}),
        (3, {"l1": 0.1}),
        (1, {"optimizer": gd.SAM(gd.SGD())}),
        (4, {"optimizer": gd.SAM(gd.ClipNorm(gd.SGD(), 1.0))}),
        (4, {"optimizer": [gd.SGD(), gd.SAM(gd.SGD())], "l2": 0.1}),
        (1, {"batch": None, "stop": [gd.Plateau(), gd.Target(0.1), gd.SmallGradient(0.1), gd.RelativeTarget(0.1)]}),
        (5, {"batch": 2, "stop": [gd.Plateau(batches=True)]}),
        (5, {"stop": [gd.Target(0.1), gd.SmallStep(1e-6)]}),
        (5, {"stop": [gd.Cycling()]}),
        (6, {"batch": 2, "distribution": [None, gd.LocalSGD(workers=2)]}),
    ],
)
def test_the_version_is_the_highest_of_the_parts_that_are_used(version, options, monkeypatch):
    monkeypatch.setattr(bit_versions, "ORDER_BITS", 2)
    monkeypatch.setattr(bit_versions, "PENALTY_BITS", 3)
    monkeypatch.setattr(bit_versions, "UPHILL_BITS", 4)
    monkeypatch.setattr(bit_versions, "LANE_STOP_BITS", 5)
    monkeypatch.setattr(bit_versions, "TEAM_BITS", 6)
    penalty = {name: options.pop(name) for name in ("l1", "l2") if name in options}
    problems = [gd.MLP(gd.datasets.load("xor"), hidden=[2]), gd.MLP(gd.datasets.load("xor"), hidden=[2], **penalty)]
    assert bit_versions.kernel_version(gd.Sweep(**{"problem": problems, "optimizer": gd.SGD(), **options})) == version


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


@pytest.fixture(params=["function", pytest.param("network", marks=pytest.mark.slow)])
def kept(request):
    """A sweep whose runs keep their state; some end before their steps are used up."""
    if request.param == "function":
        options = {"problem": gd.functions.Himmelblau(), "optimizer": [gd.Adam(lr=[0.03, 0.1]), gd.SGD(lr=[0.001, 0.1])], "stop": [gd.Target(1e-2)]}
    else:
        problem = gd.MLP(gd.datasets.load("moons", validation=0.3), hidden=gd.grid([4], [3, 2]))
        options = {"problem": problem, "optimizer": gd.Momentum(lr=[0.01, 0.3]), "batch": 16, "stop": [gd.Validation(8, every=7)]}
    return gd.Sweep(starts=9, steps=60, schedule=gd.Cosine(cycle=40), record=gd.Record(every=20, state=True, trajectory=True, parameters=True), **options)


def of_steps(folder, sweep):
    """The bytes of the shards of a sweep's own steps."""
    names = {c.name for c in sweep.plan(chunk_seconds=1e-5).chunks}
    return {name: data for name, data in shards(folder).items() if name[:32] in names}


def test_more_steps_go_on_from_where_runs_stood(kept, tmp_path):
    """To the shards that as many steps at once would have left; runs that had ended stay."""
    kept.run(out=tmp_path / "out", chunk_seconds=1e-5)
    longer = grown(kept, steps=140)
    result = longer.run(out=tmp_path / "out", chunk_seconds=1e-5).load()
    whole = longer.run(out=tmp_path / "whole", chunk_seconds=1e-5).load()
    assert len(set(whole.status.values.tolist())) > 1
    assert result.identical(whole)
    assert of_steps(tmp_path / "out", longer) == shards(tmp_path / "whole")


@pytest.mark.full
def test_more_steps_and_starts_and_an_interruption(kept, tmp_path):
    """What can go on goes on, the rest begins, and what is lost in between is made again."""
    from gdsim.sweep.cluster.client import connected

    kept.run(out=tmp_path / "out", chunk_seconds=1e-5)
    longer = grown(kept, steps=140, starts=13)
    whole = longer.run().load()
    assert longer.run(out=tmp_path / "out", chunk_seconds=1e-5).load().identical(whole)
    for name in sorted(set(shards(tmp_path / "out")))[::3]:
        (tmp_path / "out" / "shards" / name).unlink()
    with connected(workers=1) as client:
        assert longer.run(out=tmp_path / "out", client=client).load().identical(whole)


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ({"record": gd.Record(every=20)}, {"steps": 100}, r"differs in steps\).*by gd\.Record\(state=True\), in a file record\.state=true"),
        ({"record": gd.Record(every=20)}, {"steps": 40}, r"differs in steps\).*the folder's runs have 60 steps$"),
        ({"record": gd.Record(every=20, state=True)}, {"steps": 40}, "the folder's runs have 60 steps: give more"),
        ({"record": gd.Record(every=20, state=True)}, {"steps": 100, "record": gd.Record(every=10, state=True)}, "differs in record, steps"),
        ({"record": gd.Record(state=True)}, {"steps": 1000}, r"step \d+ would be a checkpoint and was none: give record.every as a number that divides 60"),
    ],
)
def test_steps_that_cannot_be_added(sweep, tmp_path, first, then, message):
    held = grown(sweep, **{"steps": 60, **first})
    held.run(out=tmp_path / "out")
    with pytest.raises(ValueError, match=message):
        grown(held, **then).run(out=tmp_path / "out")


def test_more_steps_from_inside_an_epoch(tmp_path, monkeypatch):
    """An epoch of moons in batches of 40 has six steps; states of versions that did not keep a begun epoch's
    losses are refused.
    """
    problem = gd.MLP(gd.datasets.load("moons"), hidden=[4])
    kept = gd.Sweep(
        problem=problem,
        optimizer=gd.SGD(lr=0.3),
        batch=40,
        starts=4,
        steps=20,
        record=gd.Record(every=20, parameters=True, trajectory=True, state=True),
        stop=[gd.Plateau(1, 0.01, batches=True), gd.Target([1e-9, 1e-8])],
    )
    longer = grown(kept, steps=40)
    admission.create(Store(tmp_path / "out"), kept)
    none, some = gd.open(tmp_path / "out"), kept.run(out=tmp_path / "out")
    assert [n for n, v in some.variables.items() if (v.dims, v.dtype, v.shape[1:]) != (none[n].dims, none[n].dtype, none[n].shape[1:])] == []
    assert none.sizes["run"] == 0
    assert set(none.variables) == set(some.variables)
    assert longer.run(out=tmp_path / "out").load().identical(longer.run())
    monkeypatch.setattr(columns, "OF_STATES", {n: source for n, source in columns.OF_STATES.items() if n not in columns.MONITORED})
    kept.run(out=tmp_path / "old")
    before = content(tmp_path / "old")
    with pytest.raises(ValueError, match=r"differs in steps\).*of an older version, goes on with gd\.Plateau\(batches=True\) after whole epochs, of 6 steps"):
        longer.run(out=tmp_path / "old")
    assert content(tmp_path / "old") == before


def test_more_steps_of_runs_of_which_a_thread_has_only_ended_ones(tmp_path):
    """Their losses of epochs are as many as those of the runs that go on: of two runs, a thread each, the
    first stands still.
    """
    options = {"problem": gd.MLP(gd.datasets.load("moons"), hidden=[4]), "optimizer": gd.SGD(lr=[1e-7, 0.3]), "batch": 40}
    options |= {"record": gd.Record(every=20, state=True), "stop": [gd.Plateau(1, 0.0001, batches=True)]}
    kept = gd.Sweep(steps=13, **options).run(out=tmp_path / "out", threads=2, lanes=1)
    assert kept.reason.values.tolist() == ["Plateau", "budget"]
    longer = gd.Sweep(steps=30, **options)
    assert longer.run(out=tmp_path / "out", threads=2, lanes=1).load().identical(longer.run(lanes=1))


def test_states_that_older_versions_kept_under_one_name_go_on_beside_those_of_today(tmp_path, monkeypatch):
    rule = gd.Averaged(gd.NAdam(lr=0.01, convention="torch"), start=5)
    options = {"problem": gd.functions.Booth(), "optimizer": rule, "record": gd.Record(every=10, state=True)}
    written = columns._of_rule
    with monkeypatch.context() as older:
        older.setattr(columns, "_of_rule", lambda rule: {name: source for name, source in written(rule).items() if name != "state_count_2"})
        gd.Sweep(**options, starts=3, steps=20).run(out=tmp_path / "old")
        gd.Sweep(**options, starts=3, steps=20).run(out=tmp_path / "both")
    gd.Sweep(**options, starts=6, steps=20).run(out=tmp_path / "both")
    for folder, starts in (("old", 3), ("both", 6)):
        longer = gd.Sweep(**options, starts=starts, steps=40)
        extended, whole = longer.run(out=tmp_path / folder), longer.run()
        for name in ("state_weights", "state_count", "state_count_2", "final_loss"):
            assert same_bits(extended[name].values, whole[name].values), (folder, name)
