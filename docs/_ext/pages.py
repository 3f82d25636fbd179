"""Pages that are made when the site is built: the references, and the notebooks, which lie in a folder of their own."""

import shutil
from pathlib import Path
from typing import Any

import commands
import conventions
import keys
import names
from sphinx.application import Sphinx


def make(app: Sphinx) -> None:
    """Writes the pages that are made, and leaves alone those that are as they would be."""
    docs = Path(app.srcdir)
    made = {f"{page.file}.rst": names.written(page) for page in names.pages()}
    made |= {"keys.md": keys.written(), "commands.md": commands.written(), "conventions.txt": conventions.written()}
    folder = docs / "reference" / "generated"
    folder.mkdir(exist_ok=True)
    for file, text in made.items():
        if not (folder / file).exists() or (folder / file).read_text(encoding="utf-8") != text:
            (folder / file).write_text(text, encoding="utf-8")
    copies = docs / "tutorial" / "notebooks"
    copies.mkdir(exist_ok=True)
    books = sorted((docs.parent / "notebooks").glob("*.ipynb"))
    for stale in {p.name for p in copies.iterdir()} - {b.name for b in books}:
        (copies / stale).unlink()
    for book in books:
        if not (copies / book.name).exists() or (copies / book.name).read_bytes() != book.read_bytes():
            shutil.copyfile(book, copies / book.name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", make)
    app.connect("autodoc-process-docstring", names.escape_docstring, priority=100)  # before numpydoc, which writes markup
    return {"parallel_read_safe": True, "parallel_write_safe": True}
