"""The notebooks of notebooks/: each agrees with its text, shows figures between prose, is whole in every
language, and runs.
"""

import ast
import builtins
import importlib.util
import itertools
import re
import string
from pathlib import Path

import pytest

HINT = "what makes notebooks is not installed: pip install -e '.[notebooks]'"
pytest.importorskip("jupytext", reason=HINT)
pytest.importorskip("nbclient", reason=HINT)
nbformat = pytest.importorskip("nbformat", reason=HINT)
paths = pytest.importorskip("jupyter_core.paths", reason=HINT)

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
    """The kinds of what a cell put out, but for how far a call is, which is shown only where it takes long, and parts what is
    printed before it from what is printed after it.
    """
    outputs = [output for output in cell.get("outputs", ()) if output.output_type != "display_data" or "text/html" not in output.data]
    kinds = [sorted(output.data) if "data" in output else output.output_type for output in outputs]
    return [kind for before, kind in itertools.pairwise([None, *kinds]) if kind != "stream" or before != "stream"]


def code_of(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_every_text_is_a_notebook_and_every_notebook_has_a_text(made):
    texts = {path.stem for path in FOLDER.glob("*.py")} - {"build"} | {path.parent.name for path in FOLDER.glob("*/*.py")}
    assert texts == set(build.NAMES)
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {stem for books in made.values() for stem in books}


@pytest.mark.parametrize("name", build.NAMES)
def test_notebooks_agree_with_their_texts(made, name):
    for stem, book in made[name].items():
        there = kept(stem)
        assert [(c.id, c.cell_type, c.source, c.metadata) for c in there.cells] == [(c.id, c.cell_type, c.source, c.metadata) for c in book.cells], (
            f"python notebooks/build.py {name}"
        )
        if "_student" in stem:
            assert there.metadata == build.METADATA
        else:
            assert there.metadata == build.ran(book), f"{stem}.ipynb shows what other code, or a gdsim of other bits, put out: python notebooks/build.py {name}"


def test_outputs_of_other_code_or_other_bits_are_told(made, monkeypatch):
    """Prose does not count; a number in a cell, the version and the known answers do."""
    book = made["first_population"]["first_population"]
    changed = nbformat.from_dict(book)
    next(cell for cell in changed.cells if cell.cell_type == "markdown").source += " More."
    mark = build.ran(book)
    assert build.ran(changed) == mark
    code_of(changed)[-1].source += "\n1"
    assert build.ran(changed) != mark
    for name, other in (("VERSION", "another"), ("ANSWERS", {"functions": "another"})):
        with monkeypatch.context() as patch:
            patch.setattr(build, name, other)
            assert build.ran(book) != mark


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


def fields(text):
    """The names of what `str.format` puts into a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("name", TRANSLATED)
def test_tables_of_texts_are_complete(name):
    sources = [(cell.cell_type, cell.source) for cell in build.read(name).cells]
    used = {kind: {key for of, source in sources if of == kind for key in build.TEXT.findall(source)} for kind in ("markdown", "code")}
    assert all(re.fullmatch(r"T\.\w+", source) for kind, source in sources if kind == "markdown")
    english, russian = build.texts("en"), build.texts("ru")
    assert set(english) == set(russian) == used["markdown"] | used["code"] | {"blank"}
    for key in used["code"]:
        assert "\n" not in english[key] + russian[key]
        if f"T.{key}.format" in "".join(source for _, source in sources):
            assert fields(english[key]) == fields(russian[key])
    for key, text in russian.items():
        assert re.search("[а-яё]", text) or text == english[key], key
        assert re.findall(r"\$\$.*?\$\$", text, re.DOTALL) == re.findall(r"\$\$.*?\$\$", english[key], re.DOTALL)
        assert text.count("\n- ") == english[key].count("\n- ")
        assert text.count("\n|") == english[key].count("\n|")


@pytest.mark.parametrize("name", TRANSLATED)
def test_what_is_printed_is_in_the_notebooks_language(name):
    for language in build.LANGUAGES:
        for cell, source in zip(code_of(kept(name + build.ending(language))), code_of(build.read(name)), strict=True):
            printed = "".join(output.get("text", "") for output in cell.outputs)
            is_russian = language == "ru" and build.TEXT.search(source.source)
            assert bool(re.search("[а-яё]", printed)) == bool(printed and is_russian), printed
            assert not re.search(r"\b(budget|converged|diverged|stalled)\b", printed), f"a status as it is: {printed}"


@pytest.mark.parametrize("name", TRANSLATED)
def test_students_miss_solutions_alone(made, name):
    for stem, book in ((stem, book) for stem, book in made[name].items() if "_student" in stem):
        whole = made[name][stem.replace("_student", "")]
        solutions = {cell.id for cell in whole.cells if "solution" in cell.metadata.get("tags", ())}
        assert len(solutions) >= 5
        given, defined = [], set()
        for cell in code_of(book):
            if cell.id in solutions:
                assert cell.source.startswith("# ")
                continue
            given.append(cell)
        for cell in given:  # what a cell needs, cells before it, but solutions, define
            names = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)]
            defined |= {node.id for node in names if isinstance(node.ctx, ast.Store)} | local_names(cell.source)
            needed = {node.id for node in names if isinstance(node.ctx, ast.Load)}
            assert needed <= defined | set(dir(builtins)), needed - defined


def local_names(source):
    """What a cell defines, imports or takes as an argument."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            found |= {node.name, *(a.arg for a in (*node.args.args, *filter(None, [node.args.vararg])))}
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
    return found


@pytest.mark.full
@pytest.mark.parametrize("name", TRANSLATED)
def test_slides_are_made_with_headings_and_figures_and_without_code(name, tmp_path):
    pytest.importorskip("nbconvert", reason=HINT)
    if not any((Path(folder) / "reveal").is_dir() for folder in paths.jupyter_path("nbconvert", "templates")):
        pytest.skip("nbconvert's templates are not where Jupyter looks: pip install nbconvert into this environment")
    for file in build.slides(name, tmp_path):
        page = file.read_text(encoding="utf-8")
        assert page.count("<section>") >= page.count("<h2") >= 10
        assert page.count("data:image/png") >= 15
        assert "plt.subplots" not in page


def words(book):
    """What each cell printed, without numbers and their units, which may be a machine's own."""
    return [re.findall(r"[^\W\d_]{3,}", "".join(output.get("text", "") for output in cell.get("outputs", ()))) for cell in book.cells]


@pytest.mark.full
@pytest.mark.parametrize("name", build.NAMES)
def test_notebooks_run(name, tmp_path, monkeypatch):
    """The first population from an empty cache, as a newcomer's."""
    if name == "first_population":
        monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path / "cache"))
    for file in build.build(name, tmp_path):
        anew, there = nbformat.read(file, as_version=4), kept(file.stem)
        assert [mimes(cell) for cell in anew.cells] == [mimes(cell) for cell in there.cells]
        assert words(anew) == words(there)
