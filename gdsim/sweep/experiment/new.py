"""`gdsim new`: commented experiments to start from."""

import importlib.resources
import pathlib

from gdsim.filenames import check_place
from gdsim.store.files import write_atomically
from gdsim.words import nearest

KINDS = {"mlp": "a small network on handwritten digits", "function": "descent on a function or a formula", "csv": "a network on a table of your own"}
# What a template reads, and is written beside it.
BESIDE = {"csv": "example.csv"}


def write_new(kind: str, target: pathlib.Path | None = None) -> list[pathlib.Path]:
    """Writes the experiment of a kind, KIND.toml if no file is named, and what it reads beside it; the files
    that are new.

    Raises ValueError for another kind, for a file that is no .toml, and for files that are there already:
    nothing is written over.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no template {kind!r}; {nearest(kind, list(KINDS))}")
    target = pathlib.Path(f"{kind}.toml") if target is None else target
    if target.suffix != ".toml":
        raise ValueError(f"{str(target)!r} is no name of an experiment: end it in .toml")
    folder = importlib.resources.files("gdsim.sweep.experiment") / "templates"
    texts = {target: (folder / f"{kind}.toml").read_text(encoding="utf-8").replace(f"{kind}.toml", str(target))}
    if kind in BESIDE:
        texts[target.parent / BESIDE[kind]] = (folder / BESIDE[kind]).read_text(encoding="utf-8")
    there = next((path for path in texts if path.exists()), None)
    if there is not None:
        raise ValueError(f"{str(there)!r} is there already, and nothing is written over; name another file")
    check_place(target)
    for path, text in texts.items():
        write_atomically(path, text.encode())
    return list(texts)
