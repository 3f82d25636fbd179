"""The house: rooms import from rooms above them, in no circle, and each library in its own place; pyproject.toml says which."""

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


def test_imports_keep_to_the_contracts(tmp_path, capsys):
    assert cli.lint_imports(str(PROJECT), cache_dir=str(tmp_path)) == 0, capsys.readouterr().out


def test_an_import_against_a_contract_is_found(tmp_path, capsys):
    (tmp_path / "pyproject.toml").write_text(UPSIDE_DOWN)
    assert cli.lint_imports(str(tmp_path / "pyproject.toml"), cache_dir=str(tmp_path)) == 1
    assert "gdsim.kernels is not allowed to import gdsim.lanes" in " ".join(capsys.readouterr().out.split())
