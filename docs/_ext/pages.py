"""Pages that are made when the site is built: the references, and what is kept elsewhere, the notebooks and
the guide to clusters.
"""

import json
import re
from pathlib import Path
from typing import Any

import commands
import conventions
import keys
import names
from sphinx.application import Sphinx

# A link to a file that is no page of the site.
LINK = re.compile(r"\[([^\]\n]+)\]\((?!#|\w+:)([^)\s]+)\)")


def make(app: Sphinx) -> None:
    """Writes the pages that are made, and leaves alone those that are as they would be."""
    docs = Path(app.srcdir)
    root = docs.parent
    cluster = (root / "cluster" / "README.md").read_text(encoding="utf-8")
    made = {f"{page.file}.rst": names.written(page) for page in names.pages()}
    made |= {"keys.md": keys.written(), "commands.md": commands.written(), "conventions.txt": conventions.written()}
    made["cluster.txt"] = without_links(cluster.partition("\n")[2], "cluster")
    keep(docs / "reference" / "generated", made)
    keep(docs / "tutorial" / "notebooks", {p.name: notebook(p) for p in sorted((root / "notebooks").glob("*.ipynb"))})


def keep(folder: Path, made: dict[str, str]) -> None:
    """Makes a folder hold these texts alone; what is the same is not touched, so that Sphinx does not read it
    again.
    """
    folder.mkdir(exist_ok=True)
    for stale in {p.name for p in folder.iterdir()} - set(made):
        (folder / stale).unlink()
    for name, text in made.items():
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            (folder / name).write_text(text, encoding="utf-8")


def without_links(text: str, folder: str, pages: set[str] | None = None) -> str:
    """Prose of a folder of the repository, its links to files as their names; those to `pages` stay.

    >>> without_links("see [the file](slurm/a.toml) and [here](#here)", "cluster")
    'see `cluster/slurm/a.toml` and [here](#here)'
    """

    def name(found: re.Match[str]) -> str:
        return found[0] if found[2].partition("#")[0] in (pages or ()) else f"`{Path(folder, found[2]).as_posix().replace(f'{folder}/../', '')}`"

    return LINK.sub(name, text)


def notebook(path: Path) -> str:
    """A notebook as the site has it: the same, with links to other notebooks alone."""
    book = json.loads(path.read_text(encoding="utf-8"))
    others = {p.name for p in path.parent.glob("*.ipynb")}
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = without_links("".join(cell["source"]), "notebooks", others)
    return json.dumps(book)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", make)
    app.connect("autodoc-process-docstring", names.escape_docstring, priority=100)  # before numpydoc, which writes markup
    return {"parallel_read_safe": True, "parallel_write_safe": True}
