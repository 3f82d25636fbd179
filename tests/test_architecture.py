"""The house: rooms import from rooms above them, in no circle, and each library in its own place;
pyproject.toml says which.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
UPSIDE_DOWN = """
[tool.importlinter]
root_package = "gdsim"

[[tool.importlinter.contracts]]
name = "The lanes above the kernels"
type = "layers"
layers = ["gdsim.lanes", "gdsim.kernels"]
"""

cli = pytest.importorskip("importlinter.cli", reason="import-linter is not installed: pip install -e '.[test]'")


@pytest.fixture(autouse=True)
def _logging_stays(monkeypatch):
    """The linter's configuration of logs would close the streams of other libraries' handlers: absl's, which
    Optax imports, is pytest's.
    """
    monkeypatch.setattr(cli, "_configure_logging", lambda verbose: None)


def test_imports_keep_to_the_contracts(tmp_path, capsys):
    assert cli.lint_imports(str(PROJECT), cache_dir=str(tmp_path)) == 0, capsys.readouterr().out


def test_an_import_against_a_contract_is_found(tmp_path, capsys):
    (tmp_path / "pyproject.toml").write_text(UPSIDE_DOWN)
    assert cli.lint_imports(str(tmp_path / "pyproject.toml"), cache_dir=str(tmp_path)) == 1
    assert "gdsim.kernels is not allowed to import gdsim.lanes" in " ".join(capsys.readouterr().out.split())


def test_the_rooms_of_a_sweep_have_at_most_ten_files():
    rooms = [PROJECT.parent / "gdsim" / "store", *(init.parent for init in (PROJECT.parent / "gdsim" / "sweep").glob("**/__init__.py"))]
    sizes = {str(room.relative_to(PROJECT.parent)): len(list(room.glob("*.py"))) for room in rooms}
    assert len(sizes) > 6
    assert [name for name, size in sizes.items() if size > 10] == []


HEAVY = ("dask", "distributed", "matplotlib", "numba", "pandas", "pyarrow", "scipy", "sklearn", "sympy", "torch", "xarray")


def test_what_declares_sweeps_and_trains_them_in_memory_imports_no_library_that_only_others_need():
    script = f"import sys, gdsim.sweep.sweep, gdsim.sweep.run.entry; print(*[n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("room", ["analysis", "kernels", "lanes", "problems", "rules", "schedules", "search", "store", "sweep"])
def test_fewer_than_a_tenth_of_a_rooms_parameters_may_be_anything(room):
    taken = []
    for file in (PROJECT.parent / "gdsim" / room).rglob("*.py"):
        taken += [n.annotation for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.arg) and n.annotation]
    assert len(taken) > 50
    assert sum(isinstance(a, ast.Name) and a.id == "Any" for a in taken) < len(taken) / 10
