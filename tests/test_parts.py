"""Parts of a plan, for jobs that know nothing of each other: together they are the plan, alone they are
even.
"""

import concurrent.futures

import pytest

import gdsim as gd
from gdsim.sweep.execution.executor import FailingError
from gdsim.sweep.planning.job_parts import PlanPart, chunks_of
from tests.faults.machinery import shards
from tests.helpers import gdsim

CUT = {"chunk_seconds": 1e-5}
FILE = """
starts = 40
steps = 30
[problem]
type = "booth"
[[optimizer]]
type = "sgd"
lr = [0.001, 0.01, 0.1]
[[optimizer]]
type = "adam"
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "booth.toml"
    path.write_text(FILE)
    return gd.read_experiment(path)


@pytest.fixture(scope="module")
def whole(sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "out"
    sweep.run(out=folder, **CUT)
    return folder


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000])
def test_parts_are_even_and_together_the_plan(sweep, count):
    plan = sweep.plan(**CUT)
    parts = [chunks_of(plan, PlanPart(n, count)) for n in range(1, count + 1)]
    places = {chunk.name: k for k, chunk in enumerate(plan.chunks)}
    assert sorted(places[c.name] for part in parts for c in part) == list(range(len(plan.chunks)))
    assert all([places[c.name] for c in part] == sorted(places[c.name] for c in part) for part in parts)
    cost = lambda chunks: sum(c.size * plan.groups[c.group].operations for c in chunks)  # noqa: E731
    loads = [cost(part) for part in parts]
    assert max(loads) - min(loads) <= max(cost([c]) for c in plan.chunks) * (1 + 1e-12)
    for group in range(len(plan.groups)):  # nor has one part most of a structure, whose runs may all end early
        counts = [sum(c.group == group for c in part) for part in parts]
        assert max(counts) - min(counts) <= 2


def test_parts_at_once_into_one_folder_leave_the_bytes_of_one_run(sweep, whole, tmp_path):
    """As array jobs do: none waits for another, and what each finds done of its own it leaves."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda n: sweep.run(out=tmp_path / "out", part=(n, 3), threads=1, **CUT), (1, 2, 3)))
    assert shards(tmp_path / "out") == shards(whole)
    assert max(r.attrs["finished_runs"] for r in results) == sweep.plan().runs
    sweep.run(out=tmp_path / "one", part=(2, 3), **CUT)
    held = shards(tmp_path / "one")
    assert set(held) < set(shards(whole))
    assert {name.split("-")[0] for name in held} == {c.name for c in chunks_of(sweep.plan(**CUT), PlanPart(2, 3))}
    sweep.run(out=tmp_path / "one", **CUT)
    assert shards(tmp_path / "one") == shards(whole)


def test_parts_in_folders_of_their_own_are_merged(whole, tmp_path):
    (tmp_path / "booth.toml").write_text(FILE)
    for number in (1, 2):
        code, out, errors = gdsim("run", "booth.toml", "--part", f"{number}/2", "--out", f"part{number}", "--chunk-seconds", 1e-5, folder=tmp_path)
        assert (code, errors) == (0, "")
        runs = gd.open(tmp_path / f"part{number}").sizes["run"]
        assert f"part {number} of 2 is done; {runs} of 160 runs of the whole are there" in out
        assert gdsim("status", f"part{number}", folder=tmp_path)[0] == 3
    assert gdsim("merge", "out", "part1", "part2", folder=tmp_path)[0] == 0
    assert shards(tmp_path / "out") == shards(whole)
    assert gdsim("status", "out", folder=tmp_path)[0] == 0


def test_a_part_whose_chunks_always_fail_ends_with_a_code_of_its_own(sweep, tmp_path, monkeypatch):
    """5, at which a chain of jobs stops: the same command would fail again.

    Then, mended, the part is finished.
    """
    from gdsim.sweep.execution import places

    def broken(setting, batch, *rest):
        if batch.start[0] == 0:
            raise ArithmeticError("the sum does not add up")
        return train(setting, batch, *rest)

    train = places.train_batch
    monkeypatch.setattr(places, "train_batch", broken)
    (tmp_path / "booth.toml").write_text(FILE)
    command = ("run", "booth.toml", "--part", "1/2", "--chunk-seconds", 1e-5)
    code, out, _ = gdsim(*command, folder=tmp_path, patched=True)
    assert code == 5
    assert "all others of part 1 of 2 are finished" in out
    assert "the sum does not add up" in out
    with pytest.raises(FailingError, match="failed 1 time each"):
        sweep.run(out=tmp_path / "results" / "booth", part=(1, 2), attempts=1, **CUT)
    assert gdsim("status", "results/booth", folder=tmp_path)[0] == 3
    monkeypatch.setattr(places, "train_batch", train)
    assert gdsim(*command, folder=tmp_path)[0] == 0


def test_what_is_no_part_is_refused(sweep, tmp_path):
    for part, said in (
        ((0, 4), "i=0 and n=4 were given"),
        ((5, 4), "i=5 and n=4 were given"),
        ((1, 0), "i=1 and n=0"),
        ("1/4", "'1/4' was given"),
        ((1.0, 2), "1.0"),
    ):
        with pytest.raises(ValueError, match=said):
            sweep.run(out=tmp_path / "out", part=part)
    with pytest.raises(ValueError, match="give out="):
        sweep.run(part=(1, 2))
    (tmp_path / "booth.toml").write_text(FILE)
    for part in ("0/4", "5/4", "1", "1/", "a/b", "-1/4"):
        code, _, errors = gdsim("run", "booth.toml", "--part", part, folder=tmp_path)
        assert code == 2, part
        assert "Traceback" not in errors
    assert [p.name for p in tmp_path.iterdir()] == ["booth.toml"]
