"""Names of modules, functions and files in texts, code and strings are of those that there are."""

import pathlib
import re

import pytest

import gdsim as gd

PACKAGE = pathlib.Path(gd.__file__).parent
ROOT = PACKAGE.parent
FOLDERS = ("docs", "experiments", "notebooks", "cluster", "tests", "gdsim")
PAGES = [*ROOT.glob("*.md"), *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.md") if "generated" not in p.parts)]
TEXTS = [*PAGES, ROOT / "pyproject.toml", *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))]
DOTTED = re.compile(r"(?<![\w./-])gdsim((?:\.[A-Za-z_]\w*)+)")
IMPORTED = re.compile(r"^\s*from gdsim((?:\.\w+)*) import (?:\(([^)]*)\)|([^\n(]*))", re.M)
PUBLIC = re.compile(r"`gd\.(\w+)")
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`")
LINK = re.compile(r"\]\((?!\w+:)([^)#]*[./][^)#]*)(?:#[^)]*)?\)")
# Files of a shell and of a browser, what every module has, and names in sources that tests make up.
ELSEWHERE = {"gdsim.fish", "gdsim.css", "gdsim.__file__", "gdsim.store.files.read", "gdsim.store.files.Any"}

pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="there is no docs/: run the tests in a clone of the repository")


def is_there(name):
    """Whether a module of this dotted name is there, or one in whose text its last parts stand."""
    place, (_, *parts) = PACKAGE, name.split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    module = place / (f"{parts.pop(0)}.py" if parts and (place / f"{parts[0]}.py").exists() else "__init__.py")
    text = module.read_text(encoding="utf-8")
    return all(re.search(rf"\b{part}\b", text) for part in parts)


def imported(text):
    """Dotted names that a text imports from gdsim."""
    for room, several, one in IMPORTED.findall(text):
        words = re.sub(r"#[^\n]*", "", several or one.partition("#")[0])
        yield from (f"gdsim{room}.{word.split()[0]}" for word in words.split(",") if word.strip())


def test_modules_and_what_is_in_them():
    missing = set()
    for text, path in ((p.read_text(encoding="utf-8"), p) for p in TEXTS):
        names = {f"gdsim{rest}" for rest in DOTTED.findall(text)} | set(imported(text))
        missing |= {(path.name, name) for name in names - ELSEWHERE if not is_there(name)}
    assert missing == set()


def test_public_names():
    there = {*dir(gd)}
    assert {(p.name, n) for p in TEXTS for n in PUBLIC.findall(p.read_text(encoding="utf-8")) if n not in there} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_of_pages(page):
    text = page.read_text(encoding="utf-8")
    named = {ROOT / path for path in PATH.findall(text)} | {page.parent / path for path in LINK.findall(text)}
    assert [str(p) for p in named if not p.exists() and "generated" not in p.parts] == []
