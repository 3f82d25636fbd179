"""Formulas of the site on a phone: what is wider than the page scrolls within itself, from its beginning."""

import pathlib
import re

import pytest

import gdsim
from tests.report.browser import in_browser

STYLE = pathlib.Path(gdsim.__file__).parents[1] / "docs" / "_static" / "gdsim.css"
pytestmark = pytest.mark.skipif(not STYLE.exists(), reason="there is no docs/: run the tests in a clone of the repository")


def test_wide_formulas_have_the_rule_that_lets_them_scroll():
    rules = dict(re.findall(r"^([^\n{}@]+?) \{ ([^{}]*?) \}$", STYLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"overflow-x: auto", "text-align: left"} <= set(re.split(r";\s*", rules["div.math"]))
    assert "width: max-content" in rules["div.math math"]


@pytest.mark.full
def test_formulas_begin_at_the_pages_edge_where_they_are_wider_and_stand_in_the_middle_elsewhere(tmp_path):
    formulas = "".join(f'<div class="math"><math display="block">{"<mi>x</mi><mo>+</mo>" * terms}<mi>x</mi></math></div>' for terms in (80, 2))
    (tmp_path / "page.html").write_text(
        f"<!doctype html><meta name=viewport content=width=device-width><style>{STYLE.read_text(encoding='utf-8')}</style><body>{formulas}</body>",
        encoding="utf-8",
    )
    edges = "[...document.querySelectorAll('div.math')].map(box => [box, box.firstChild].map(e => e.getBoundingClientRect()).flatMap(r => [r.left, r.right]))"

    async def visit(browser):
        for width in (390, 1400):
            await browser.resize(width, 800)
            await browser.open(tmp_path / "page.html")
            assert await browser.value("document.documentElement.scrollWidth") <= width
            wide, short = await browser.value(edges)
            if width == 390:
                assert wide[3] - wide[2] > wide[1] - wide[0]
            assert wide[2] >= wide[0]
            assert abs((short[2] - short[0]) - (short[1] - short[3])) < 30

    in_browser(tmp_path, visit)
