"""The notebooks of notebooks/: each agrees with its text, shows figures between prose, is whole in every language, and runs."""

import importlib.util
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed: pip install -e '.[notebooks]'")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install -e '.[notebooks]'")

FOLDER = Path(__file__).parent.parent / "notebooks"
spec = importlib.util.spec_from_file_location("notebooks_build", FOLDER / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

TRANSLATED = [name for name in build.NAMES if (FOLDER / name).is_dir()]
NETWORK = ("http", "urllib", "requests", "wget", "curl", "pip install", "fetch_")


@pytest.fixture(scope="module")
def made():
    """{name of a text: {file's name: notebook without outputs}}, students' versions too."""
    found = {name: build.books(name) for name in build.NAMES}
    return {name: {**books, **build.student_books(name, books)} for name, books in found.items()}


def kept(stem):
    """A notebook as it is committed."""
    return nbformat.read(FOLDER / f"{stem}.ipynb", as_version=4)


def mimes(cell):
    """The kinds of what a cell put out."""
    return [sorted(output.data) if "data" in output else output.output_type for output in cell.get("outputs", ())]


def code_of(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_every_text_is_a_notebook_and_every_notebook_has_a_text(made):
    texts = {path.stem for path in FOLDER.iterdir() if path.suffix == ".py" or path.is_dir()} - {"build", "__pycache__"}
    assert texts == set(build.NAMES)
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {stem for books in made.values() for stem in books}


@pytest.mark.parametrize("name", build.NAMES)
def test_notebooks_agree_with_their_texts(made, name):
    for stem, book in made[name].items():
        there = kept(stem)
        assert [(c.id, c.cell_type, c.source, c.metadata) for c in there.cells] == [(c.id, c.cell_type, c.source, c.metadata) for c in book.cells], (
            f"python notebooks/build.py {name}"
        )
        assert there.metadata == build.METADATA


@pytest.mark.parametrize("name", build.NAMES)
def test_notebooks_have_been_run_whole_and_without_complaint(made, name):
    for stem in made[name]:
        code = code_of(kept(stem))
        if "_student" in stem:
            assert not any(cell.outputs or cell.execution_count for cell in code)
            continue
        counts = [cell.execution_count for cell in code]
        assert None not in counts
        assert counts == sorted(counts)
        outputs = [output for cell in code for output in cell.outputs]
        assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
        assert sum("image/png" in o.get("data", ()) for o in outputs) >= 2
        assert (FOLDER / f"{stem}.ipynb").stat().st_size < (2e6 if name in TRANSLATED else 600e3)


@pytest.mark.parametrize("name", build.NAMES)
def test_cells_are_short_between_prose_and_need_no_network(made, name):
    for book in made[name].values():
        for cell in code_of(book):
            assert len(cell.source.splitlines()) <= 15, cell.source
            assert not [word for word in NETWORK if word in cell.source]
        assert book.cells[0].source.startswith("# ")
        assert sum(cell.cell_type == "markdown" for cell in book.cells) >= len(code_of(book)) / 2


@pytest.mark.full
@pytest.mark.parametrize("name", build.NAMES)
def test_notebooks_run_from_an_empty_cache(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path / "cache"))
    for file in build.build(name, tmp_path):
        anew, there = nbformat.read(file, as_version=4), kept(file.stem)
        assert [mimes(cell) for cell in anew.cells] == [mimes(cell) for cell in there.cells]
