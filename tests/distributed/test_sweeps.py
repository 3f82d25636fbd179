"""Sweeps with workers: their cells, coordinates and labels, files, folders, and what is refused."""

import json
import time

import msgspec
import numpy as np
import pytest

import gdsim as gd
from gdsim.canonical import canonical, digest, encoded
from gdsim.population.operations import run_operations
from gdsim.population.setting import Setting
from gdsim.population.teams import during_steps
from gdsim.sweep.experiment.cells import cells_of, identities_of
from gdsim.sweep.experiment.from_table import ExperimentError
from gdsim.sweep.folder.stored import experiment_in
from gdsim.sweep.results.dataset import coordinates_of
from gdsim.sweep.sweep import read_experiment
from tests.helpers import gdsim

XOR = gd.datasets.load("xor")


def sweep_of(distribution=None, **more):
    options = {"problem": gd.MLP(XOR, hidden=[2]), "optimizer": gd.SGD(lr=[0.1, 1.0]), "batch": 1, "steps": 100}
    return gd.Sweep(distribution=distribution, **(options | more))


EVERY = [
    None,
    gd.Synchronous(workers=[1, 4]),
    gd.LocalSGD(workers=[2, 4], period=[1, 8], outer=gd.grid(None, gd.Nesterov(lr=[0.5, 0.7]))),
    gd.DiLoCo(workers=2, period=gd.linspace(5, 15, 3)),
]


def test_axes_of_distributions_are_axes_of_the_grid_the_last_fastest():
    cells = cells_of(sweep_of(EVERY))
    assert len(cells) == 2 * (1 + 2 + 2 * 2 * 3 + 3)
    team = [c.distribution for c in cells if c.rule.lr == 0.1]
    assert team[:4] == [None, gd.Synchronous(workers=1), gd.Synchronous(workers=4), gd.LocalSGD(workers=2, period=1)]
    assert [(d.workers, d.period, d.outer and d.outer.lr) for d in team[3:15]] == [
        (workers, period, lr) for lr in (None, 0.5, 0.7) for workers in (2, 4) for period in (1, 8)
    ]
    assert [d.period for d in team[15:]] == [5, 10, 15]


def test_sizes_make_structures_and_numbers_do_not():
    plan = sweep_of(EVERY).plan()
    assert len(plan.groups) == 1 + 2 + 2 * 2 + 1
    assert sorted(g.setting.workers for g in plan.groups) == [1, 1, 2, 2, 2, 4, 4, 4]
    assert str(plan).startswith("36 runs: 1 start in 36 cells of 8 structures, each trained by 1 or 2 or 4 workers\n")
    assert ", each trained" not in str(sweep_of().plan())
    numbers = [plan.cells[c].numbers() for c in plan.groups[-1].cells]
    assert {(n["distribution_period"], n["distribution_outer_lr"]) for n in numbers} == {(5, 0.7), (10, 0.7), (15, 0.7)}


def test_a_run_of_more_workers_is_more_work_and_takes_more_memory():
    one, four = (sweep_of(gd.LocalSGD(workers=k), optimizer=gd.Momentum(), steps=10_000).plan() for k in (1, 4))
    assert 3.9 < four.operations / one.operations < 4.0
    in_turn = sweep_of(gd.Asynchronous(workers=4), optimizer=gd.Momentum(), steps=10_000).plan()
    assert in_turn.operations == one.operations
    together, plain = (sweep_of(one, batch=batch).plan().groups[0].setting for one, batch in ((gd.Synchronous(workers=4), 1), (None, 4)))
    assert run_operations(together) == run_operations(plain)
    assert four.memory > one.memory


def test_whole_shards_are_as_much_work_as_the_samples_that_are_shared_out():
    options = {"optimizer": gd.Momentum(), "steps": 1000, "batch": None}
    shared, apart = (sweep_of(gd.LocalSGD(workers=4), partition=p, **options).plan().groups[0].setting for p in (None, "iid"))
    assert apart.samples_per_gradient == shared.samples_per_gradient // 4
    assert 3.0 < run_operations(shared) / run_operations(apart) < 4.0


def test_the_plan_of_small_gradients_of_workers_says_how_much_longer_they_may_take():
    def said(hidden, *distributions):
        problem = gd.MLP(gd.datasets.load("digits"), hidden=[hidden])
        plan = gd.Sweep(problem=problem, optimizer=gd.SGD(), batch=4, steps=100, starts=3, distribution=distributions).plan()
        return plan, str(plan).splitlines()[1].partition("operations, about ")[2].partition(" of one core")[0]

    plain, text = said(4)
    assert text == f"{plain.operations / 5e10:.3g} s"
    plan, text = said(4, gd.LocalSGD(workers=2))
    assert text == f"{plan.operations / 5e10:.3g} to {10 * plan.operations / 5e10:.3g} s"
    plan, text = said(4, None, gd.LocalSGD(workers=2))
    assert text == f"{plan.operations / 5e10:.3g} to {(10 * plan.operations - 9 * plain.operations) / 5e10:.3g} s"
    plan, text = said(100, gd.LocalSGD(workers=2))
    assert text == f"{plan.operations / 5e10:.3g} s"


@pytest.mark.full
def test_a_core_takes_as_long_for_workers_as_their_plan_says():
    problem, ends = gd.MLP(gd.datasets.load("moons"), hidden=[8]), gd.Record(every="ends")
    sweep = sweep_of(gd.LocalSGD(workers=4, period=8), problem=problem, batch=8, steps=2000, starts=64, record=ends)
    sweep.run(threads=1)  # compiles
    began = time.process_time()
    sweep.run(threads=1)
    seconds, least = time.process_time() - began, sweep.plan().operations / 5e10
    assert 0.5 * least < seconds < 40 * least  # 1 to 10 times on a core of its own


def test_backup_workers_compute_gradients_of_whole_batches():
    three, spare = (sweep_of(gd.Synchronous(workers=k, backup=3 - k), partition="iid").plan().groups[0].setting for k in (3, 1))
    assert (spare.gradients_per_step, spare.samples_per_gradient) == (3, 1)
    assert run_operations(spare) >= run_operations(three)


def test_what_a_server_reports_is_in_the_plan():
    (group,) = sweep_of(gd.Asynchronous(workers=2, staleness=gd.FixedStaleness(1)), optimizer=gd.SGD()).plan().groups
    assert during_steps(group.setting) == 1
    (group,) = sweep_of(gd.LocalSGD(workers=3), optimizer=gd.Nesterov()).plan().groups
    assert during_steps(group.setting) == 3


def test_samples_that_are_shared_out_for_each_start_are_in_the_plan_and_a_thread_holds_few_of_them():
    problem = gd.LogisticRegression(gd.Data(np.zeros((20_000, 1)), np.arange(20_000) % 2))
    options = {"problem": problem, "optimizer": gd.SGD(), "batch": 8}

    def memory(partition, starts):
        return sweep_of(gd.LocalSGD(workers=4), partition=partition, starts=starts, **options).plan(lanes=1).memory

    few = memory("iid", 16) - memory("sorted", 16)
    assert few == 16 * (20_000 * 20 + 4 * 160)
    assert memory(gd.Overlap(0.25), 16) - memory("sorted", 16) == few
    assert memory("iid", 2**20) < 2**28


def test_cells_are_told_by_coordinates_without_their_owner():
    found = coordinates_of(sweep_of(EVERY).plan())
    assert list(found) == ["optimizer", "label", "lr", "distribution", "workers", "period", "outer", "outer_lr"]
    assert found["distribution"][:4] == ["None", "Synchronous", "Synchronous", "LocalSGD"]
    assert found["workers"][1:4] == [1.0, 4.0, 2.0]
    assert found["label"][1] == "SGD lr=0.1 Synchronous workers=1"
    assert len(set(found["label"])) == 36
    assert "distribution" not in coordinates_of(sweep_of(gd.LocalSGD(workers=[2, 4])).plan())


def test_kinds_speak_for_themselves_and_memories_say_what_they_are_put_around():
    fewer = gd.LocalSGD(workers=2, compression=gd.grid(None, gd.ErrorFeedback(gd.TopK(count=[1, 2]))))
    found = coordinates_of(sweep_of([None, fewer]).plan())
    assert list(found) == ["optimizer", "label", "lr", "distribution", "compression", "compression_count"]
    kinds = ("one worker", "LocalSGD uncompressed", "LocalSGD ErrorFeedback(TopK) compression_count=1", "LocalSGD ErrorFeedback(TopK) compression_count=2")
    assert found["label"] == [f"SGD lr={lr} {kind}" for lr in (0.1, 1) for kind in kinds]
    parted = coordinates_of(sweep_of(gd.LocalSGD(workers=[1, 2]), partition=["shared", "iid", gd.Overlap(0.5)]).plan())
    assert list(parted) == ["optimizer", "label", "lr", "workers", "partition"]
    assert parted["partition"][:6] == ["shared", "shared", "iid", "iid", "Overlap", "Overlap"]
    assert parted["label"][:3] == ["SGD lr=0.1 workers=1 shared", "SGD lr=0.1 workers=2 shared", "SGD lr=0.1 workers=1 iid"]


def test_a_name_that_others_have_too_keeps_its_owner():
    rule = gd.ClipNorm(gd.SGD(), [1.0, 2.0])
    two = sweep_of(gd.LocalSGD(workers=[2, 4], state=gd.grid("keep", "average")), optimizer=rule, schedule=gd.Step(length=[5, 9]))
    assert list(coordinates_of(two.plan()))[2:] == ["norm", "length", "workers", "state"]
    averaged = sweep_of(gd.LocalSGD(workers=2, after=[0, 5]), optimizer=gd.Averaged(gd.SGD(), every=[1, 2]), schedule=gd.Warmup(gd.Cosine(5), [3, 4]))
    assert list(coordinates_of(averaged.plan()))[2:] == ["every", "warmup", "after"]


def test_without_workers_nothing_has_changed():
    plain = sweep_of()
    assert sweep_of([None]) == plain
    assert plain.distribution == ()
    assert not {"distribution", "partition"} & set(canonical(plain))
    assert digest(plain) == "be653d4abadea3f7e87eecc0e4cb8693dfb8bfaec80539168e352db6f332c10a"
    assert identities_of(plain)[0] == "9959abd77836461d26eee9156d12baa24b911d8a39382e8bdc79486823aa368c"
    assert plain.setting(cells_of(plain)[0]).distribution is None
    assert identities_of(sweep_of([None, gd.LocalSGD(workers=2)]))[::2] == identities_of(plain)
    assert Setting._field_defaults["distribution"] is None


def test_what_decides_runs_decides_their_identity():
    several = [
        None,
        gd.Synchronous(workers=2),
        gd.LocalSGD(workers=2),
        gd.LocalSGD(workers=4),
        gd.LocalSGD(workers=2, period=2),
        gd.DiLoCo(workers=2, period=2),
    ]
    names = [identities_of(sweep_of(one)) for one in several]
    assert len({n for some in names for n in some}) == 2 * len(several)


FILE = """
steps = 100
batch = 1
optimizer = {type = "sgd", lr = [0.1, 1.0]}
problem = {type = "mlp", data = "xor", hidden = [2]}
distribution = [
    "none",
    {type = "synchronous", workers = [1, 4]},
    {type = "local_sgd", workers = [2, 4], period = [1, 8], outer = {grid = ["none", {type = "nesterov", lr = [0.5, 0.7]}]}},
    {type = "diloco", workers = 2, period = {linspace = [5, 15, 3]}},
]
"""


def test_a_file_says_the_same(tmp_path):
    file = tmp_path / "workers.toml"
    file.write_text(FILE)
    assert read_experiment(file) == sweep_of(EVERY)
    changed = read_experiment(file, ["distribution.2.period=2", "distribution.3.outer_lr=[0.1, 0.2]"])
    assert changed.distribution[2].period == 2
    assert changed.distribution[3].outer_lr == (0.1, 0.2)
    file.write_text(FILE[: FILE.index("distribution")] + '[distribution]\ntype = "local_sgd"\nworkers = 4\nouter = "sgd"\n')
    assert read_experiment(file) == sweep_of(gd.LocalSGD(workers=4, outer=gd.SGD()))
    assert read_experiment(file, ["distribution="]) == sweep_of()
    assert read_experiment(file, ["distribution.outer.lr=0.5"]) == sweep_of(gd.LocalSGD(workers=4, outer=gd.SGD(0.5)))


MESSAGES = """
[distribution]
type = "synchronous"
workers = 3
backup = 1
dropped = [0.0, 0.1]
mean_over = {grid = ["arrived", "workers"]}
compute = {type = "log_normal", mean = 1.0, shape = 0.5}
speeds = [1.0, 1.0, 1.0, 0.5]
compression = {grid = ["sign", {type = "error_feedback", compressor = {type = "random_k", count = [1, 2], masks = "shared"}}]}
"""


def test_a_file_says_what_workers_send_and_when(tmp_path):
    file = tmp_path / "messages.toml"
    file.write_text(FILE[: FILE.index("distribution")] + MESSAGES)
    compression = gd.grid(gd.Sign(), gd.ErrorFeedback(gd.RandomK(count=[1, 2], masks="shared")))
    declared = gd.Synchronous(
        workers=3, backup=1, dropped=[0.0, 0.1], mean_over=gd.grid("arrived", "workers"), compute=gd.LogNormal(1.0, 0.5), speeds=[1, 1, 1, 0.5],
        compression=compression,
    )  # fmt: skip
    assert read_experiment(file) == sweep_of(declared)
    assert len(cells_of(sweep_of(declared))) == 2 * 2 * 2 * (1 + 2)
    fewer = read_experiment(file, ["distribution.compression=top_k", "distribution.compression.fraction=0.5", "distribution.dropped=0.2"])
    assert fewer.distribution[0].compression == gd.TopK(fraction=0.5)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('distribution = "local"', r"distribution: type 'local' is not known; .*'local_sgd'"),
        ("distribution = 4", r"distribution must be a table; 4 was given"),
        ('distribution = [{type = "local_sgd", workers = 0}]', r"distribution\[0\]: LocalSGD.workers must be"),
        ('distribution = {type = "local_sgd", workers = 2, perid = 3}', r"distribution: unknown key 'perid'; did you mean 'period'"),
        ('distribution = {type = "local_sgd", workers = 2, outer = {type = "sgdd"}}', r"distribution.outer: type 'sgdd' is not known; did you mean 'sgd'"),
        ('distribution = {type = "local_sgd", workers = 2, outer = {grid = ["sgd", "x"]}}', r"distribution.outer\[1\]: type 'x' is not known"),
        (
            'distribution = {type = "synchronous", workers = 2, compression = "top_q"}',
            r"distribution.compression: type 'top_q' is not known; did you mean 'top_k'",
        ),
        ('distribution = {type = "local_sgd", workers = 2, outer = 3}', r"distribution: LocalSGD.outer must be gd.SGD"),
    ],
)
def test_mistakes_in_a_file_are_said_with_their_place(tmp_path, lines, message):
    file = tmp_path / "wrong.toml"
    file.write_text(FILE[: FILE.index("distribution")] + lines)
    with pytest.raises(ExperimentError, match=message) as caught:
        read_experiment(file)
    assert "\n" not in str(caught.value)


def test_an_experiment_reads_back_from_what_a_folder_keeps_of_it():
    class Kept:
        """A folder that holds what is said of an experiment."""

        folder, place = "folder", None

        def __init__(self, sweep):
            self.held = {"experiment": json.loads(encoded(sweep)), "sha256": digest(sweep), "data": {}}

        def experiment(self):
            return self.held

    sweep = sweep_of(EVERY, problem=gd.functions.Booth(), batch=None)
    assert experiment_in(Kept(sweep), kind=gd.Sweep) == sweep
    assert msgspec.json.decode(encoded(sweep))["distribution"][1] == canonical(gd.Synchronous(workers=[1, 4]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sweep_of(gd.LocalSGD(workers=[2, 5])), r"^LocalSGD has 5 workers, and the data 4 samples: give at most as many workers as samples$"),
        (
            lambda: sweep_of(gd.Synchronous(workers=4), batch=2),
            r"^Synchronous: 4 workers with batch=2 take 8 samples in a step, and the data has 4: give a batch of at most 1",
        ),
        (
            lambda: sweep_of(gd.LocalSGD(workers=4, period=[1, 200])),
            r"^LocalSGD.period=200 is longer than the runs, which have 100 steps: no exchange would come$",
        ),
        (
            lambda: sweep_of(gd.Asynchronous(workers=2, buffer=[4, 200])),
            r"^Asynchronous.buffer=200 is longer than the runs, which have 100 steps: no update would come$",
        ),
        (lambda: sweep_of(gd.LocalSGD(workers=4, period=50), steps=None, samples=100), r"^LocalSGD.period=50 is longer than the runs, which have 25 steps"),
        (
            lambda: sweep_of(gd.LocalSGD(workers=4, state="average"), optimizer=gd.ClipValue(gd.Rprop(), 1.0)),
            r'^LocalSGD.state="average" is not defined for Rprop',
        ),
        (lambda: sweep_of(gd.LocalSGD(workers=4), stop=gd.SmallStep(0.1)), r"^gd.SmallStep looks at every step, and workers make theirs apart"),
        (lambda: sweep_of(gd.LocalSGD(workers=4), stop=gd.Cycling()), r"^gd.Cycling looks at every step"),
        (lambda: sweep_of([None, gd.LocalSGD(workers=4)], stop=gd.Plateau(batches=True)), r"^gd.Plateau\(batches=True\) looks at every step"),
        (lambda: sweep_of(gd.LocalSGD(workers=4), tangents=["lr"]), r"^tangents are of runs with one worker"),
        (lambda: sweep_of(gd.LocalSGD(workers=4), record=gd.Record(sharpness=True)), r"^record.sharpness=True is of runs with one worker"),
        (lambda: sweep_of(gd.LocalSGD), r"^distribution must be one of gd.Synchronous, .*the class LocalSGD was given.*: write gd.LocalSGD\(...\)$"),
        (lambda: sweep_of("local_sgd"), r"^distribution must be one of .*'local_sgd' was given; did you mean gd.LocalSGD\(\)\?$"),
        (
            lambda: sweep_of([gd.LocalSGD(workers=4), gd.LocalSGD(workers=4)]).plan(),
            r"^cells 0 and 1 are the same \(distribution 0 and 1 are both LocalSGD\(workers=4\)\)",
        ),
        (lambda: sweep_of(gd.LocalSGD(workers=[4, 4])).plan(), r"^cells 0 and 1 are the same \(LocalSGD.workers lists 4 twice\)"),
        (lambda: sweep_of([]), r"^distribution is an empty list; give at least one, or None$"),
        (
            lambda: sweep_of([gd.LocalSGD(workers=[2, 4]), gd.LocalSGD(workers=4)]).plan(),
            r"^cells 1 and 2 are the same \(distribution 0 and 1 both have LocalSGD\(workers=4\)\)",
        ),
        (lambda: sweep_of(gd.LocalSGD(workers=2, outer=gd.SGD(1e-60)), dtype="float32"), r"^LocalSGD.outer_lr=1e-60 is 0 in float32"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(make, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_samples_count_those_of_all_workers():
    sweep = sweep_of([None, gd.LocalSGD(workers=[2, 4])], steps=None, samples=400)
    assert [sweep.steps_of(c) for c in cells_of(sweep)[:3]] == [400, 200, 100]


def test_clients_that_have_all_samples_may_be_many():
    for kind in (gd.FederatedAveraging(clients=9, sampled=3), gd.Scaffold(clients=9, sampled=3)):
        assert sweep_of(kind, optimizer=gd.SGD(), batch=2).plan().runs == 1


def test_the_command_line_lists_the_kinds(tmp_path):
    code, output, _ = gdsim("list", "distributions", folder=tmp_path)
    assert code == 0
    assert '\ndiloco: workers, period = 500, outer_lr = 0.7, outer_momentum = 0.9, state =\n    "keep"\n' in output
