"""What a type checker and an editor see: mistakes are flagged, what is right is not, and results have
types.
"""

import ast
import inspect
import json
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

import gdsim as gd
from gdsim.sweep import sweep

ROOT = pathlib.Path(gd.__file__).parent

# Lines that end in "# wrong" are flagged, and no others; reveal_type says what is known.
SCRIPT = """
import numpy as np
import gdsim as gd
from gdsim import Adam

data = gd.Data([[0.0, 1.0], [1.0, 0.0]], [0, 1])
rules = [
    Adam(), gd.Adam(0.1), gd.Adam(lr=[0.1, 0.2]), gd.Adam(lr=gd.logspace(1e-3, 1, 4)), gd.SGD(np.array([0.1, 0.2])), gd.Momentum(0.1, [0.8, 0.9]),
    gd.Nesterov(lr=1, momentum=gd.uniform(0, 1, draws=3)), gd.ClipNorm(gd.Adam(0.1), 1.0), gd.AdamW(convention="torch", eps_mode="inside"),
]
problem = gd.MLP(data, [32, 16], "tanh", loss="cross_entropy", l2=[0, 0.1])
grids = gd.MLP(data, hidden=gd.grid([16], [32, 32]), activation=gd.grid("relu", "tanh"))
others = [gd.functions.Rosenbrock(dim=3), gd.functions.Booth(), gd.Quadratic([[1.0]]), gd.Expression("x**2"), gd.LogisticRegression(data, l2=0.1)]
schedules = [gd.Constant(), gd.Cosine(10), gd.Warmup(gd.Step(10), 3), gd.OneCycle(10, momenta=(0.8, 0.9)), gd.MultiStep([3, 5])]
sweep = gd.Sweep(problem=problem, optimizer=rules, schedule=schedules, starts=3, batch=gd.grid(1, 2), stop=[gd.Target([0.1, 0.2]), gd.Validation(5)],
                 init=gd.Uniform(-1, [1.0, 2.0]), record=gd.Record(every="log"), dtype="float64")
reveal_type(sweep.run(threads=1))
reveal_type(sweep.plan())
reveal_type(gd.open("folder"))
reveal_type(gd.Adam(0.1))
result = gd.open("folder")
reveal_type(gd.table(result))
reveal_type(gd.grid_of("folder", optimizer="Adam"))
reveal_type(gd.evaluate(problem, np.zeros(3)))
reveal_type(gd.predict(result, [[0.0, 1.0]]))
reveal_type(gd.continue_from(result, steps=5))
reveal_type(gd.lr_range_test(problem, gd.SGD(), batch=8))
reveal_type(gd.analysis.bands(result))
reveal_type(gd.analysis.times_by_start(result, 0.1))
reveal_type(gd.analysis.default_targets(result))
reveal_type(gd.analysis.sentences(gd.analysis.compare_tuned(result)))
reveal_type(gd.analysis.expected_running_time(result, [0.1, 0.2]).ert.values)
reveal_type(gd.analysis.minima_left([5, 3, 1]))
reveal_type(gd.plots.ecdf("folder", gd.logspace(0.1, 1, 3)))
reveal_type(gd.plots.schedule([gd.Cosine(10), gd.Power(0.5)]))
reveal_type(gd.plots.race_animation(result, "race.gif"))
found = gd.search.successive_halving(sweep)
reveal_type(found)
reveal_type(found.history)
gd.plots.convergence_bands(result).savefig("bands.png")
print(gd.datasets.load("xor"), sweep.optimizer[0].innermost)
gd.Adma(0.1)  # wrong
gd.MLP(data, hiden=[3])  # wrong
sweep.run(stepz=3)  # wrong
gd.MLP(data, loss=3)  # wrong
gd.Adam(learning_rate=0.1)  # wrong
gd.Adam("fast")  # wrong
gd.Adam(0.1, 0.9, 0.99, 1e-8, "torch")  # wrong
gd.SGD(0.1, momentum=0.9)  # wrong
gd.Sweep(problem=problem)  # wrong
gd.Sweep(problem=gd.MLP, optimizer=gd.SGD())  # wrong
gd.Sweep(problem=problem, optimizer="adam")  # wrong
gd.Sweep(problem=problem, optimizer=gd.SGD(), batch=[16, 64])  # wrong
gd.Sweep(problem=problem, optimizer=gd.SGD(), stop=gd.Target)  # wrong
gd.functions.Rosenbrok()  # wrong
gd.analysis.band(sweep.run())  # wrong
gd.ClipNorm(gd.SGD())  # wrong
gd.Target("low")  # wrong
gd.logspace(1, 2, num=3)  # wrong
gd.table(3)  # wrong
gd.analysis.bands(problem)  # wrong
gd.plots.ecdf(result, axis=None)  # wrong
gd.plots.ecdf(result).savefg("a.png")  # wrong
"""


@pytest.mark.full
def test_a_checker_flags_what_is_wrong_in_a_users_script_and_nothing_else(tmp_path):
    checker = shutil.which("basedpyright", path=str(pathlib.Path(sys.executable).parent)) or shutil.which("basedpyright")
    if checker is None:
        pytest.skip("basedpyright is not installed: pip install -e '.[test]'")
    (tmp_path / "script.py").write_text(SCRIPT)
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT.parent)], "include": ["script.py"]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run([checker, "--outputjson", "--pythonpath", sys.executable], cwd=tmp_path, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    flagged = {d["range"]["start"]["line"] for d in found if d["severity"] == "error"}
    lines = SCRIPT.splitlines()
    assert [lines[i] for i in sorted(flagged)] == [line for line in lines if line.endswith("# wrong")]
    known = [re.search(r'is "(.*)"$', d["message"])[1] for d in found if d["severity"] == "information"]
    known = [re.sub(r"ndarray\[.*\]", "ndarray", name) for name in known]  # whose parameters go by NumPy's version
    assert known == ["Dataset", "Plan", "Dataset", "Adam", *KNOWN]


KNOWN = [
    "DataFrame", "Dataset", "Dataset", "ndarray | DataArray", "Dataset", "Dataset",
    "Dataset", "DataArray", "ndarray", "list[str]", "Any", "Dataset",
    "Figure", "Figure", "Path", "Search", "Dataset",
]  # fmt: skip


@pytest.mark.parametrize("room", [gd, gd.analysis, gd.plots, gd.search, gd.datasets])
def test_every_public_function_says_what_it_gives_and_takes(room):
    unsaid = []
    for name in getattr(room, "__all__", []):
        function = getattr(room, name)
        if inspect.isfunction(function):
            signature = inspect.signature(function)
            first = next(iter(signature.parameters.values())).annotation
            unsaid += [name for said in (signature.return_annotation, first) if said in (Any, "Any", inspect.Signature.empty)]
    assert not set(unsaid) - {"choice", "grid", "zip"}  # what they take may be anything


def test_the_names_that_checkers_see_are_those_that_are_loaded():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {(n.module, a.asname) for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names if a.name == a.asname}
    modules = {(home.rpartition(".")[0], name) for name, home in gd._MODULES.items()}
    loaded = {(home, name) for home, names in gd._HOMES.items() for name in names} | modules
    assert typed == loaded, "gdsim/__init__.py: the table and the imports for type checkers differ"
    assert (ROOT / "py.typed").exists()


def test_what_a_sweep_takes_for_checkers_is_what_it_has():
    tree = ast.parse(pathlib.Path(sweep.__file__).read_text())
    kind = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Sweep")
    made = next(n for b in kind.body if isinstance(b, ast.If) for n in b.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    assert [a.arg for a in made.args.kwonlyargs] == list(gd.Sweep.__struct_fields__)
