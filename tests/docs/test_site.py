"""The site: it builds without a warning, all its links and anchors lead somewhere, and it loads nothing from
a network.
"""

import html.parser
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

import pytest

import gdsim

DOCS = pathlib.Path(gdsim.__file__).parents[1] / "docs"
NEEDED = ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not DOCS.exists(), reason="there is no docs/: run the tests in a clone of the repository"),
    pytest.mark.skipif(bool(MISSING), reason="Sphinx or what it needs is not installed: pip install -e '.[docs]'"),
]


class Page(html.parser.HTMLParser):
    """What a page leads to, what it loads, and what in it may be led to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source", "video") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "preconnect") and given.get("href"):
            self.loads.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{path: Page} of the site, and its folder: the one that GDSIM_SITE names, or one that is built here."""
    pages = pathlib.Path(os.environ.get("GDSIM_SITE") or tmp_path_factory.mktemp("site") / "html").resolve()
    if "GDSIM_SITE" not in os.environ:
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", pages.parent / "trees", DOCS, pages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    return pages, {p: Page(p.read_text(encoding="utf-8")) for p in pages.rglob("*.html") if "_static" not in p.parts}


def test_links_and_anchors_lead_somewhere(site):
    _, pages = site
    broken = []
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urllib.parse.urlsplit(link)
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {""}
            if not target.exists() or (parts.fragment and target.suffix == ".html" and urllib.parse.unquote(parts.fragment) not in anchors):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_a_network(site):
    folder, pages = site
    far = [f"{path.name}: {load}" for path, page in pages.items() for load in page.loads if re.match(r"(https?:)?//", load)]
    assert far == []
    sheets = [p.name for p in (folder / "_static").rglob("*.css") if re.search(r"(@import|url\()\s*[\"']?https?:", p.read_text(encoding="utf-8"))]
    assert sheets == []


def test_formulas_are_mathml(site):
    folder, _ = site
    text = (folder / "explanation" / "statistics.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<math ", text)) > 30
    assert not re.search(r"\$\$|\\frac|\\\(", re.sub(r"<script.*?</script>", "", text, flags=re.S))


def test_what_is_public_has_an_anchor(site):
    _, pages = site
    anchors = set().union(*(page.anchors for path, page in pages.items() if "generated" in path.parts))
    rooms = ("analysis", "curvature", "plots", "search", "functions", "datasets", "lanes", "landscape", "minima", "paths")
    public = [f"gdsim.{n}" for n in dir(gdsim) if n not in (*rooms, "__version__")]
    public += [f"gdsim.{room}.{n}" for room in rooms for n in getattr(gdsim, room).__all__]
    assert [n for n in public if n not in anchors] == []
