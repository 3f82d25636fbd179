"""Every block of code of the documentation is what it says: it parses, and it runs, page by page, from top to
bottom.
"""

import ast
import pathlib
import re
import shlex

import pytest
from click.testing import CliRunner

import gdsim
from gdsim.cli import main
from gdsim.sweep.experiment.toml import read_toml

ROOT = pathlib.Path(gdsim.__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
PAGES = sorted(p for folder in ("how-to", "explanation") for p in (ROOT / "docs" / folder).glob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "index.md", *PAGES]
OTHERS = ("CHANGELOG.md", "cluster/README.md", "experiments/README.md", "experiments/benchmarks/device/README.md", "notebooks/README.md")
PROSE = [ROOT / name for name in OTHERS] + sorted(p for p in {*TEXTS, *ROOT.glob("docs/**/*.md")} if "generated" not in p.parts)
# A first line that is a comment with the name of a file: the block is that file.
NAMED = re.compile(r"# ([\w-]+\.(?:py|toml))\n")
# An expression on a line of its own, and a comment that may be its value.
VALUED = re.compile(r"^(\w[^#\n]*?)  # (.+)$", re.M)
NEEDS = {"pytorch": "torch"}

pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="there is no docs/: run the tests in a clone of the repository")


def blocks(page):
    """(kind, text) of the fenced blocks of a page."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(text):
    """The commands of gdsim in a block of a terminal."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in (line.removeprefix("$ ") for line in lines if line.startswith("$ ")) if line.startswith("gdsim ")]


@pytest.mark.parametrize("page", TEXTS, ids=lambda p: p.stem)
def test_code_parses_and_commands_exist(page, tmp_path):
    for kind, text in blocks(page):
        assert kind in ("python", "toml", "console", "text"), f"{page.name}: a block of {kind} is not tested"
        if kind == "python":
            compile(text, page.name, "exec")
        if kind == "toml":
            (tmp_path / "block.toml").write_text(text)
            read_toml(tmp_path / "block.toml", "experiment")
        if kind == "console":
            for name, *arguments in commands(text):
                main.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("page", PROSE, ids=lambda p: str(p.relative_to(ROOT)))
def test_prose_is_no_wider_than_110_columns(page):
    text = re.sub(r"^ *(```+|~~~+).*?^ *\1$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    wide = [line for line in text.splitlines() if len(line) > 110 and not line.startswith(("|", "#", "!", "<", "$$", "    "))]
    assert not wide


def literal(text):
    """What a text of Python's literals says; None if it is prose, or names dimensions."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None


def run(kind, text, room):
    """Runs a block: an experiment is planned, commands and Python run."""
    named = NAMED.match(text)
    if named and kind == "toml":
        done = CliRunner().invoke(main, ["plan", named[1]])
        assert done.exit_code == 0, done.output
    elif kind == "python" and not named:
        exec(compile(text, "page", "exec"), room)
        for expression, value in VALUED.findall(text):
            if (said := literal(value)) is not None:
                assert eval(expression, room) == said, f"{expression} is said to be {value}"
    elif kind == "console":
        for arguments in commands(text):
            done = CliRunner().invoke(main, arguments)
            assert done.exit_code == 0, (arguments, done.output)


@pytest.mark.full
@pytest.mark.parametrize("example", range(2))
def test_examples_print_what_stands_below_them(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (_, code), (kind, printed) = [block for block in blocks(ROOT / "README.md") if block[0] in ("python", "text")][2 * example : 2 * example + 2]
    exec(compile(code, "README.md", "exec"), {"__name__": "page"})
    assert (kind, capsys.readouterr().out) == ("text", printed)


@pytest.mark.full
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.stem)
def test_pages_run(page, tmp_path, monkeypatch):
    if page.stem in NEEDS:
        pytest.importorskip(NEEDS[page.stem], reason="PyTorch is not installed: pip install -e '.[oracles]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    room = {"__name__": "page"}
    files = {found[1]: text for kind, text in blocks(page) if kind in ("python", "toml") and (found := NAMED.match(text))}
    for name, text in files.items():  # which a page may show below what uses them
        pathlib.Path(name).write_text(text)
    for kind, text in blocks(page):
        run(kind, text, room)
