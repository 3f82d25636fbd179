"""The pages that are made from the code name everything that there is."""

import importlib
import inspect
import pathlib
import re

import pytest

import gdsim as gd
from gdsim.cli import main
from gdsim.problems import PROBLEMS
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.starts import STARTS
from gdsim.stops import STOPS
from gdsim.sweep.sweep import read_experiment

EXTENSIONS = pathlib.Path(gd.__file__).parents[1] / "docs" / "_ext"

pytestmark = pytest.mark.skipif(not EXTENSIONS.exists(), reason="there is no docs/: run the tests in a clone of the repository")


@pytest.fixture
def module(monkeypatch):
    """Gives a module of docs/_ext."""
    monkeypatch.syspath_prepend(EXTENSIONS)
    return importlib.import_module


def test_every_public_name_has_its_place(module):
    names = module("names")
    pages = names.pages()
    placed = [f"{p.module}.{n}" for p in pages for n in p.names]
    rooms = ("analysis", "curvature", "landscape", "plots", "search", "functions", "datasets", "lanes", "minima", "paths")
    public = [f"gdsim.{n}" for n in dir(gd) if n not in (*rooms, "__version__")]
    public += [f"gdsim.{room}.{n}" for room in rooms for n in getattr(gd, room).__all__]
    assert sorted(placed) == sorted(public)
    for page in pages:
        text = names.written(page)
        assert all(f".. auto{kind}:: {page.module}.{n}\n" in text or n in names.TABLES
                   for n in page.names for kind in ["class" if inspect.isclass(getattr(names._room(page), n)) else "function"])  # fmt: skip


def test_the_overview_names_everything():
    text = (EXTENSIONS.parent / "reference" / "overview.md").read_text()
    named = set(re.findall(r"\w+", text))
    public = [n for n in dir(gd) if n not in ("__version__", "analysis", "Diverged")]
    public += [n for room in (gd.analysis, gd.plots, gd.search) for n in room.__all__]
    assert sorted({*public, *ACTIVATIONS, *gd.datasets.names, *SAMPLE_LOSSES} - named) == []


def test_members_are_there(module):
    members = module("names").MEMBERS
    missing = [f"{kind}.{m}" for kind, several in members.items() for m in several if not hasattr(getattr(gd.functions if kind == "Function" else gd, kind), m)]
    assert missing == []
    assert members["Sweep"] == ("run", "plan", "order")


@pytest.mark.parametrize(
    ("prose", "markup"),
    [
        ("x*y and a|b", r"x\*y and a\|b"),
        ("`result_` and coefs_, x_i", r"`result_` and coefs\_, x_i"),
        ("``a*b`` times c*d", r"``a*b`` times c\*d"),
        (r"\alpha", r"\\alpha"),
    ],
)
def test_prose_is_literal(module, prose, markup):
    assert module("names").escaped(prose) == markup


def test_examples_stay_as_they_are(module):
    lines = ["a*b", ">>> x*y", "z*z", "", "c*d"]
    module("names").escape_docstring(None, "function", "f", None, None, lines)
    assert lines == [r"a\*b", ">>> x*y", "z*z", "", r"c\*d"]


def test_every_option_of_every_command(module):
    sections = dict(zip(*[iter(re.split(r"^## gdsim (\S+)$", module("commands").written(), flags=re.M)[1:])] * 2, strict=True))
    assert list(sections) == list(main.commands)
    for name, command in main.commands.items():
        helped = command.get_help(command.make_context(name, [], resilient_parsing=True))
        options = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", helped, re.M)) - {"--help"}
        assert options <= set(re.findall(r"--[\w-]+", sections[name])), name


def keys_by_section(text):
    """{heading: keys} of the page of keys."""
    found = re.split(r"^#+ (.*)$", text, flags=re.M)[1:]
    return {head: re.findall(r"^\| `(\w+)` \|", body, re.M) for head, body in zip(found[::2], found[1::2], strict=True)}


def test_every_key_of_a_file(module):
    keys = module("keys")
    assert set(keys.MEANINGS) == {*keys.NAME_KEYS, *keys.FILE_KEYS}, "docs/_ext/keys.py says what the keys of data mean"
    found = keys_by_section(keys.written())
    kinds = {"problem": PROBLEMS, "optimizer": (*RULES, *WRAPPERS), "schedule": SCHEDULES, "stop": STOPS, "init": STARTS}
    wanted = {f"{place} {c.__struct_config__.tag}": [f for f in c.__struct_fields__ if f not in c.unshown] for place, classes in kinds.items() for c in classes}
    assert {head: sorted(keys) for head, keys in found.items() if head in wanted} == {head: sorted(keys) for head, keys in wanted.items()}
    assert sorted(found["The file"]) == sorted(gd.Sweep.__struct_fields__)
    assert sorted(found["record"]) == sorted(gd.Record.__struct_fields__)


def test_axes_are_written_as_the_page_says(module, tmp_path):
    for name, form in module("keys").AXES.items():
        file = tmp_path / f"{name}.toml"
        data = '[problem]\ntype = "mlp"\ndata = "xor"\nhidden = '
        body = f"{data}{form}\n[optimizer]\ntype = 'sgd'\n" if name == "grid" else f"{data}[2]\n[optimizer]\ntype = 'sgd'\nlr = {form}\n"
        file.write_text(f"init = {{type = 'normal', std = 0.1}}\n{body}")
        sweep = read_experiment(file)
        axis = sweep.problem[0].hidden if name == "grid" else sweep.optimizer[0].lr
        assert name in repr(axis)


@pytest.mark.full
def test_defaults_are_pytorchs(module, torch):
    """The column of PyTorch beside the signatures of torch.optim."""
    theirs = {
        "SGD": "SGD",
        "AdaGrad": "Adagrad",
        "RMSprop": "RMSprop",
        "Adadelta": "Adadelta",
        "Adam": "Adam",
        "AdamW": "AdamW",
        "NAdam": "NAdam",
        "RAdam": "RAdam",
    }
    ours = {"decay": ("alpha", "rho"), "beta1": ("betas",), "beta2": ("betas",), "lr": ("lr",), "eps": ("eps",), "momentum_decay": ("momentum_decay",),
            "weight_decay": ("weight_decay",)}  # fmt: skip
    rule = None
    for line in module("conventions").written().splitlines()[2:]:
        head, _, name, _, value, _ = (cell.strip() for cell in line.strip("|").split(" | "))
        rule = (re.search(r"gdsim\.(\w+)", head) or [None, rule])[1]
        name = name.strip("`")
        if rule in theirs and name in ours and value:
            signature = inspect.signature(getattr(torch.optim, theirs[rule])).parameters
            known = [signature[n].default for n in ours[name] if n in signature]
            known = [pair[name == "beta2"] if isinstance(pair, tuple) else pair for pair in known]
            assert float(value) == known[0], (rule, name)
