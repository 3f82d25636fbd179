"""Makes the notebooks of this folder from their texts and runs them: `python notebooks/build.py [NAME ...]`;
without names, all.

NAME.py is a notebook as text (jupytext's py:percent), NAME.ipynb the same with what it put out. Of the
lecture the texts are lecture/*.py, one after another, in which T.key stands for a text of lecture/en.toml or
lecture/ru.toml: cells without such texts run once, the others once for each language, all in one kernel.
`lecture_student` and `lecture_student_ru` are without solutions and not run.
"""

import argparse
import base64
import hashlib
import io
import json
import os
import re
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from gdsim.sweep.known_bits import ANSWERS
from gdsim.version import VERSION

HERE = Path(__file__).parent
# The longest first, so that two at once end soon.
NAMES = (
    "lecture", "which_optimizer", "loss_landscape", "sweep_on_dask", "own_rule", "estimators", "distributed_training", "hypergradients", "minima_of_a_network",
    "on_a_gpu", "first_population",
)  # fmt: skip
LANGUAGES = ("en", "ru")
TEXT = re.compile(r"\bT\.(\w+)")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def texts(language: str) -> dict[str, str]:
    """{key: text} of the lecture in a language."""
    return tomllib.loads((HERE / "lecture" / f"{language}.toml").read_text(encoding="utf-8"))


def sources(name: str) -> list[Path]:
    """The files of a notebook's text, in their order."""
    return sorted((HERE / name).glob("*.py")) if (HERE / name).is_dir() else [HERE / f"{name}.py"]


def read(name: str) -> NotebookNode:
    """A notebook as its text says, without outputs; ids of cells count them, and headings begin slides."""
    cells = [cell for file in sources(name) for cell in jupytext.read(file, fmt="py:percent").cells]
    for k, cell in enumerate(cells):
        cell.id = f"{name}-{k:03d}"
        cell.metadata = {tag: cell.metadata[tag] for tag in ("tags",) if tag in cell.metadata}
    return nbformat.v4.new_notebook(cells=cells, metadata=METADATA)


def in_language(book: NotebookNode, table: Mapping[str, str]) -> NotebookNode:
    """A notebook with the texts of a language: in code as literals, elsewhere as they are."""
    book = NotebookNode(nbformat.from_dict(book))
    for cell in book.cells:
        cell.source = _with_texts(cell, table)
    return book


def _with_texts(cell: NotebookNode, table: Mapping[str, str]) -> str:
    """A cell's source with the texts of a language in the places of T.key."""
    written = _literal if cell.cell_type == "code" else str.strip
    return TEXT.sub(lambda found: written(table[found[1]]), cell.source)


def _literal(text: str) -> str:
    """A text as Python writes it."""
    return f'r"{text}"' if "\\" in text and '"' not in text else json.dumps(text, ensure_ascii=False)


def for_slides(book: NotebookNode) -> NotebookNode:
    """A notebook whose headings begin slides, and whose other prose begins a slide below."""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.metadata["slideshow"] = {"slide_type": "slide" if cell.source.startswith("#") else "subslide"}
    return book


def for_students(book: NotebookNode, blank: str) -> NotebookNode:
    """A notebook without its solutions: their code is a blank to be filled in, their prose is left out."""
    book = NotebookNode(nbformat.from_dict(book))
    book.metadata = NotebookNode(METADATA)
    book.cells = [cell for cell in book.cells if cell.cell_type == "code" or not _is_solution(cell)]
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if _is_solution(cell):
                cell.source = f"# {blank}"
    return book


def _is_solution(cell: NotebookNode) -> bool:
    return "solution" in cell.metadata.get("tags", ())


def books(name: str) -> dict[str, NotebookNode]:
    """{stem of the file: notebook} of what a text becomes, in each language, without outputs."""
    book = read(name)
    if not (HERE / name).is_dir():
        return {name: for_slides(book)}
    return {name + ending(language): for_slides(in_language(book, texts(language))) for language in LANGUAGES}


def ending(language: str) -> str:
    """What a language adds to a file's name."""
    return "" if language == LANGUAGES[0] else f"_{language}"


def student_books(name: str, made: Mapping[str, NotebookNode]) -> dict[str, NotebookNode]:
    """{file's name: notebook} of the versions without solutions."""
    if not (HERE / name).is_dir():
        return {}
    return {f"{name}_student{ending(one)}": for_students(made[name + ending(one)], texts(one)["blank"]) for one in LANGUAGES}


def ran(book: NotebookNode) -> NotebookNode:
    """The metadata of a notebook that was run: a hash of its code, and of gdsim's version and bits, by which
    outputs of others are told.
    """
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    of = hashlib.sha256(json.dumps([code, VERSION, sorted(ANSWERS.items())]).encode()).hexdigest()
    return NotebookNode({**METADATA, "gdsim": {"outputs_of": of}})


def run(versions: Sequence[NotebookNode]) -> None:
    """Runs notebooks of the same cells in one kernel: cells that are the same once, those that differ once
    for each.
    """
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(versions[0], timeout=600, coalesce_streams=True, resources={"metadata": {"path": folder}})
        with client.setup_kernel():
            for k, cells in enumerate(zip(*(book.cells for book in versions), strict=True)):
                if cells[0].cell_type != "code":
                    continue
                for version, cell in enumerate(cells):
                    if version and cell.source == cells[0].source:
                        cell.update(outputs=cells[0].outputs, execution_count=cells[0].execution_count)
                        continue
                    client.nb = versions[version]
                    client.execute_cell(cell, k)
                    _shrink(cell.outputs)
                    cell.metadata.pop("execution", None)  # which says when
    for book in versions:
        book.metadata = ran(book)


def _shrink(outputs: Sequence[NotebookNode]) -> None:
    """Keeps pictures with 256 colours, which is a third of the bytes."""
    for data in (output.data for output in outputs if "image/png" in output.get("data", ())):
        sink = io.BytesIO()
        Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB").quantize(dither=Image.Dither.NONE).save(sink, "png", optimize=True)
        data["image/png"] = base64.b64encode(sink.getvalue()).decode()


def build(name: str, folder: Path = HERE) -> list[Path]:
    """Makes and runs the notebooks of a text and writes them into a folder; gives their files."""
    made = books(name)
    run(list(made.values()))
    files = []
    for stem, book in {**made, **student_books(name, made)}.items():
        files.append(folder / f"{stem}.ipynb")
        nbformat.validate(book)
        files[-1].write_text(nbformat.writes(book) + "\n", encoding="utf-8")
    return files


def slides(name: str, folder: Path) -> list[Path]:
    """Writes the notebooks of a text that have been run as slides (reveal.js), with figures and without code;
    gives their files.
    """
    from nbconvert import SlidesExporter

    exporter = SlidesExporter(exclude_input=True)
    files = []
    for stem in books(name):
        files.append(folder / f"{stem}.slides.html")
        files[-1].write_text(exporter.from_filename(str(HERE / f"{stem}.ipynb"))[0], encoding="utf-8")
    return files


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python notebooks/build.py", description="Makes notebooks from their texts and runs them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all if none is given")
    parser.add_argument("--slides", type=Path, metavar="DIR", help="write the notebooks, as they are, as slides into DIR instead")
    options = parser.parse_args()
    for name in options.names:
        if name not in NAMES:
            parser.error(f"{name!r} is none of the notebooks: {', '.join(NAMES)}")
    names = options.names or NAMES
    if options.slides:
        options.slides.mkdir(parents=True, exist_ok=True)
        print(*(file for name in names for file in slides(name, options.slides)), sep="\n")
        return
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    with ThreadPoolExecutor(2) as pool:
        for said in as_completed([pool.submit(_timed, name) for name in names]):
            print(said.result(), flush=True)


def _timed(name: str) -> str:
    """What was built of a name, how long it took, and how large it is."""
    began = time.perf_counter()
    files = build(name)
    return "\n".join([f"{name}: {time.perf_counter() - began:.0f} s", *(f"    {file} {file.stat().st_size / 1e3:.0f} kB" for file in files)])


if __name__ == "__main__":
    main()
