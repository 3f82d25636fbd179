"""What a newcomer's first commands are: new, list, --set, completion."""

import json
import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner

import gdsim as gd
from gdsim.cli import main
from gdsim.sweep.experiment.overrides import changed
from gdsim.sweep.sweep import read_experiment

BOOTH = """
starts = 3
steps = 5

[problem]
type = "booth"

[[optimizer]]
type = "sgd"

[[optimizer]]
type = "adam"
lr = [0.1, 0.2]

[[optimizer]]
type = "clip_norm"
norm = 1.0
rule = "sgd"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "booth.toml").write_text(BOOTH)
    return tmp_path


def command(*arguments):
    """(exit code, all that was written) of a command in this process."""
    done = CliRunner().invoke(main, list(map(str, arguments)), prog_name="gdsim")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def planned(*settings):
    return command("plan", "booth.toml", "--json", *(word for s in settings for word in ("--set", s)))


def test_values_are_set(folder):
    sweep = read_experiment(
        folder / "booth.toml", ["steps=7", "optimizer.lr=0.3", "optimizer.1.lr=[0.1, 0.2, 0.4]", "optimizer.2.norm=2", "stop.type=target", "stop.loss=0.1"]
    )
    assert sweep.steps == 7
    assert sweep.stop == (gd.Target(0.1),)
    assert sweep.optimizer == (gd.SGD(lr=0.3), gd.Adam(lr=[0.1, 0.2, 0.4]), gd.ClipNorm(gd.SGD(lr=0.3), norm=2.0))
    assert json.loads(planned("starts=10", "optimizer.1.lr={logspace=[0.1, 1, 5]}")[1])["runs"] == 70


ADAM = {"type": "adam", "lr": 0.1}


@pytest.mark.parametrize(
    ("before", "setting", "after"),
    [
        ({"problem": {"type": "mlp", "data": "xor"}}, "problem.data.validation=0.5", {"problem": {"type": "mlp", "data": {"name": "xor", "validation": 0.5}}}),
        ({"problem": {"type": "mlp"}}, "problem.activation=tanh", {"problem": {"type": "mlp", "activation": "tanh"}}),
        ({}, 'record.every="log"', {"record": {"every": "log"}}),
        ({"optimizer": "adam"}, "optimizer.lr=1", {"optimizer": {"type": "adam", "lr": 1}}),
        ({"optimizer": ADAM}, "optimizer.0.lr=1", {"optimizer": {"type": "adam", "lr": 1}}),
        ({"optimizer": [ADAM, "sgd"]}, "optimizer.beta1=0.8", {"optimizer": [{**ADAM, "beta1": 0.8}, "sgd"]}),
        ({"optimizer": [ADAM]}, "optimizer.lr=0.1", {"optimizer": [ADAM]}),
        ({"schedule": {"type": "warmup", "warmup": 5, "schedule": "cosine"}}, "schedule.cycle=10",
         {"schedule": {"type": "warmup", "warmup": 5, "schedule": {"type": "cosine", "cycle": 10}}}),
        ({"steps": 3}, "drop_last=false", {"steps": 3, "drop_last": False}),
        ({"steps": 3, "schedule": {"type": "cosine", "cycle": 10}}, "schedule=", {"steps": 3}),
        ({"optimizer": [ADAM, "sgd"]}, "optimizer.lr=", {"optimizer": [{"type": "adam"}, "sgd"]}),
        ({"optimizer": [ADAM, "sgd"]}, "optimizer.0=", {"optimizer": ["sgd"]}),
        ({"optimizer": ADAM}, "optimizer.0.lr=", {"optimizer": {"type": "adam"}}),
        ({"optimizer": [{"type": "clip_norm", "norm": 1.0, "rule": ADAM}]}, "optimizer.lr=",
         {"optimizer": [{"type": "clip_norm", "norm": 1.0, "rule": {"type": "adam"}}]}),
        ({"problem": {"type": "mlp", "data": {"name": "xor", "validation": 0.5}}}, "problem.data.validation= ", {"problem": {"type": "mlp", "data": {"name": "xor"}}}),
    ],
)  # fmt: skip
def test_what_a_setting_changes(before, setting, after):
    fields = ("problem", "optimizer", "schedule", "record", "steps", "drop_last")
    held = json.dumps(before)
    assert changed(before, [setting], fields) == after
    assert json.dumps(before) == held


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stesp=5", "unknown key 'stesp'; did you mean 'steps'?"),
        ("steps", "give KEY=VALUE"),
        ("=5", "give KEY=VALUE"),
        ("seed=", "nothing is taken away: the experiment has no 'seed' of its own"),
        ("sede=", "unknown key 'sede'; did you mean 'seed'?"),
        ("optimizer.0.lr=", "nothing is taken away: optimizer has no 'lr' of its own"),
        ("optimizer.beta1=", "nothing is taken away: optimizer has no 'beta1' of its own"),
        ("optimizer.bta1=", "no optimizer has 'bta1'; did you mean 'beta1'"),
        ("optimizer.7=", "there is no optimizer 7; the experiment has 3, numbered from 0"),
        ("problem=", "[problem] is missing"),
        ("optimizer.1.type=", "optimizer[1]: no type was given"),
        ("steps=[1,", "is no TOML value"),
        ("steps=1\nseed=2", "is no TOML value"),
        ("steps=many", "steps must be a whole number"),
        ("optimizer.bta1=0.1", "no optimizer has 'bta1'; did you mean 'beta1'"),
        ("optimizer.1.rl=0.1", "no optimizer has 'rl'; did you mean 'lr'"),
        ("optimizer.7.lr=0.1", "there is no optimizer 7; the experiment has 3, numbered from 0"),
        ("stop.0.loss=0.1", "there is no stop 0; the experiment has 0"),
        ("steps.a=1", "steps is 5, which has no 'a'"),
        ("optimizer.lr.logspac=[1, 2, 3]", "lr is [0.1, 0.2], which has no 'logspac'"),
        ("optimizer.norm.logspac=[1, 2, 3]", "norm is 1.0, which has no 'logspac'"),
        ("optimizer.lr=-1", "must be a finite number"),
        ("optimizer.1.lr=[0.1, 0.1]", "Error: booth.toml: cells 1 and 2 are the same (Adam.lr lists 0.1 twice): give every combination"),
        ('dtype=["float32", "float64"]', "or several as gd.grid('float32', 'float64'), in a file {grid = ['float32', 'float64']}; ['float32'"),
    ],
)
def test_settings_that_cannot_be(folder, setting, message):
    code, out = planned(setting)
    assert code == 2
    assert message in out
    assert len(out.strip().splitlines()) == 1


KINDS = {"mlp": "problem.hidden=[2]", "function": "problem.dim=2", "csv": "problem.hidden=[2]"}


@pytest.mark.parametrize("kind", KINDS)
def test_templates_can_be_planned_and_are_not_written_over(folder, kind):
    code, out = command("new", kind)
    assert code == 0, out
    assert f"written: {kind}.toml" in out
    assert f"gdsim run {kind}.toml" in out
    text = (folder / f"{kind}.toml").read_text()
    assert all(len(line) <= 120 for line in text.splitlines())
    assert command("plan", f"{kind}.toml")[0] == 0
    assert read_experiment(folder / f"{kind}.toml", [KINDS[kind]]).starts >= 8
    code, out = command("new", kind)
    assert (code, f"'{kind}.toml' is there already" in out) == (2, True)
    assert (folder / f"{kind}.toml").read_text() == text
    assert command("new", kind, "none/mine.toml")[0] == 2


@pytest.mark.parametrize("name", ["example.csv", "mine.csv", "mine"])
def test_an_experiment_has_the_name_of_one(folder, name):
    before = sorted(p.name for p in folder.iterdir())
    code, out = command("new", "csv", name)
    assert (code, f"'{name}' is no name of an experiment: end it in .toml" in out) == (2, True)
    assert sorted(p.name for p in folder.iterdir()) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_template_has_commented_out_can_be_taken_in(folder, kind):
    """Each block of comments that begins with a table's name, alone: a problem in place of the one above
    it.
    """
    command("new", kind)
    text = (folder / f"{kind}.toml").read_text()
    for block in re.findall(r"(?:^# *\[.*\n(?:^# .*\n?)*)", text, re.M):
        taken = re.sub(r"^# ", "", block, flags=re.M)
        kept = re.sub(r"^\[problem\]\n(?:\w.*\n)*", "", text, flags=re.M) if "[problem]" in taken else text
        (folder / "taken.toml").write_text(f"{kept}\n{taken}")
        assert command("plan", "taken.toml")[0] == 0, taken


def test_a_template_runs_in_a_shortened_form(folder):
    assert command("new", "function", "mine.toml")[0] == 0
    code, out = command("run", "mine.toml", *(w for s in ("starts=2", "steps=5", "problem.type=booth", "optimizer.lr=0.01") for w in ("--set", s)))
    assert (code, "unknown key 'dim'" in out) == (2, True)  # which Booth's function has not
    code, out = command("run", "booth.toml", "--set", "optimizer=sgd", "--set", "starts=2")
    assert code == 0, out
    assert gd.open(folder / "results" / "booth").sizes["run"] == 2


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_templates_train(folder, kind):
    command("new", kind)
    code, out = command("run", f"{kind}.toml", "--set", "starts=2", "--set", "steps=3", "--set", KINDS[kind])
    assert code == 0, out


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ('distribution = {type = "local_sgd", workers = 4, period = 4, groups = [[2, 2]]}', {"groups": ((2, 2),)}),
        ('distribution = {type = "synchronous", workers = 2, backup = 1, speeds = [1, 1, 0.5]}', {"speeds": (1.0, 1.0, 0.5)}),
        ('distribution = {type = "gossip", workers = 2, topology = [[0.5, 0.5], [0.5, 0.5]]}', {"topology": ((0.5, 0.5), (0.5, 0.5))}),
        ('distribution = {type = "gossip", workers = 4, topology = "hypercube"}', {"topology": "hypercube"}),
    ],
)
def test_files_are_written_as_the_list_says(folder, keys, value):
    (folder / "team.toml").write_text(f"{keys}\n{BOOTH}")
    (one,) = read_experiment(folder / "team.toml").distribution
    assert {name: getattr(one, name) for name in value} == value


def test_what_there_is_is_listed():
    from gdsim.sweep.experiment.listing import KINDS as LISTED

    for kind, classes in LISTED.items():
        found = json.loads(command("list", kind, "--json")[1])
        if kind == "partitions":
            assert found.pop(0)["name"] == "shared"  # which is none
        assert [e["name"] for e in found] == [c.__struct_config__.tag for c in classes]
        assert all(set(e["required"]) | set(e["defaults"]) == set(c.__struct_fields__) - set(c.unshown) for e, c in zip(found, classes, strict=True))
        assert all(re.fullmatch(r"\S.*\.", e["sentence"]) for e in found)
        assert all(len(line) <= 80 for line in command("list", kind)[1].splitlines())
    adam = next(e for e in json.loads(command("list", "optimizers", "--json")[1]) if e["name"] == "adam")
    assert {n: adam["defaults"][n] for n in ("lr", "beta1", "beta2", "eps")} == {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-16}
    kinds = {e["name"]: e for e in json.loads(command("list", "distributions", "--json")[1])}
    assert kinds["local_sgd"]["takes"]["state"] == ["keep", "average", "reset"]
    text = " ".join(command("list", "distributions")[1].split())
    assert "optimizers" in text
    assert 'topology is "complete", "ring", "torus", "hypercube", "star", "path", "exponential", "one_peer", or a mixing matrix' in text
    assert kinds["asynchronous"]["defaults"]["staleness"] == "queue"
    data = json.loads(command("list", "data", "--json")[1])
    assert [e["name"] for e in data] == list(gd.datasets.names)
    for entry in data:
        held = gd.datasets.load(entry["name"])
        numbers = [int(n) for n in re.findall(r"\d+(?= x)|(?<=x )\d+", entry["sentence"])]
        assert numbers in ([], list(held.X.shape))
    code, out = command("list", "rules")
    assert code == 2
    assert "optimizers" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    code, out = command("completion", shell)
    assert code == 0
    assert "_GDSIM_COMPLETE" in out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=out, text=True, check=True)
