"""Planes on a page: the numbers that it holds, and what it draws and tells in a browser."""

import asyncio
import base64
import re
import time

import numpy as np
import pytest
import xarray

from gdsim.opening import HOMES
from gdsim.plots.figure import page_from
from gdsim.report.surfaces import MOST_BYTES, PAGE, PLANES, surface_of, surfaces_html
from tests.report.browser import SECONDS, in_browser

X = np.linspace(-2.0, 2.0, 21)


def plane(runs=2, **more):
    """Planes of loss x^2 + 2 y + run, all but the last run's corners finite."""
    loss = X**2 + 2 * X[:, None] + np.arange(runs)[:, None, None]
    loss[-1, :3, :3] = np.inf
    return xarray.Dataset(
        {"loss": (("run", "y", "x"), loss), "accuracy": (("run", "y", "x"), np.isfinite(loss) * 0.5), **more}, {"x": X, "y": X, "run": 10 + np.arange(runs)}
    )


def numbers(text):
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(len(X), len(X))


def test_a_page_holds_the_scores_of_the_runs_with_the_lowest_losses():
    made = surface_of(plane(), "two", "code")
    assert (made.runs, [score["name"] for score in made.scores]) == (["10", "11"], ["loss", "accuracy"])
    np.testing.assert_array_equal(numbers(made.scores[0]["values"][1]), plane().loss.values[1].astype("<f4"))
    assert (made.paths, made.marks) == ([], [("", 0.0, 0.0)])
    assert made.scores[0]["ends"] == [None, None]  # some losses are below 0
    bowl = (X**2 + X[:, None] ** 2)[None]
    ((ends,),) = [score["ends"] for score in surface_of(xarray.Dataset({"loss": (("run", "y", "x"), bowl)}, {"x": X, "y": X}), "bowl", "code").scores]
    assert ends == (pytest.approx(0.04), 8.0)  # and its minimum, which is 0, is drawn as that
    path = plane(runs=1, path=(("checkpoint", "axis"), [[0.0, 1.0], [0.5, 0.5], [np.nan, 0.0]])).isel(run=0)
    assert surface_of(path, "one", "code").paths == [[[0.0, 1.0], [0.5, 0.5]]]
    many = surface_of(plane(runs=1000), "many", "code")
    held = sum(len(text) for score in many.scores for text in score["values"])
    assert 0.9 * MOST_BYTES < held < 1.1 * MOST_BYTES
    assert many.runs == [str(10 + k) for k in range(len(many.runs))]
    assert f"Of 1,000 runs the {len(many.runs)} with the lowest losses are here." in many.caption
    assert len(surfaces_html([many])) < 1_000_000
    assert surfaces_html([]) == ""
    assert {*PLANES} <= {*HOMES}


@pytest.mark.full
def test_a_surface_turns_zooms_and_tells_its_numbers(tmp_path):
    page = tmp_path / "plane.html"
    surfaces = surfaces_html([surface_of(plane(), "A </script> plane & co", "code"), surface_of(plane(1).isel(run=0), "another", "code")])
    page.write_text(page_from(PAGE, name="plane", opening="code", surfaces=surfaces, facts=[]), encoding="utf-8")
    picture = "document.querySelector('canvas').toDataURL()"

    async def changed(browser, before):
        """The picture once it is another."""
        deadline = time.monotonic() + SECONDS
        while (now := await browser.value(picture)) == before:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        return now

    async def visit(browser):
        await browser.resize(1000, 900)
        await browser.open(page)
        assert await browser.value("document.querySelectorAll('canvas').length") == 2
        shown = await changed(browser, await browser.value("document.createElement('canvas').toDataURL()"))
        key = "document.querySelector('canvas').dispatchEvent(new KeyboardEvent('keydown', {{key: '{}'}}))"
        choose = "{{const s = document.querySelector('.{}'); s.selectedIndex = 1; s.dispatchEvent(new Event('change'))}}"
        for action in (*map(key.format, ("ArrowLeft", "ArrowUp", "+")), "document.querySelector('.log').click()", *map(choose.format, ("run", "score"))):
            await browser.value(action)
            shown = await changed(browser, shown)
        await browser.value(choose.format("score").replace("= 1", "= 0"))
        shown = await changed(browser, shown)
        middle = "(c => [c.left + c.width / 2, c.top + c.height / 2])(document.querySelector('canvas').getBoundingClientRect())"
        x, y = await browser.value(middle)
        for kind, buttons in (("mousePressed", 1), ("mouseMoved", 1), ("mouseReleased", 0)):
            await browser.call("Input.dispatchMouseEvent", type=kind, x=x + 40 * (kind != "mousePressed"), y=y, button="left", buttons=buttons, clickCount=1)
        await browser.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=100)
        await changed(browser, shown)
        await asyncio.sleep(0.2)  # the last of several pictures
        await browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        told = re.fullmatch(r"x (\S+), y (\S+): loss (\S+)", await browser.value("document.querySelector('output').textContent"))
        across, up, loss = map(float, told.groups())
        assert loss == pytest.approx(across**2 + 2 * up + 1, abs=0.02 * (1 + abs(loss)))
        assert browser.complaints == []
        assert [r for r in browser.requests if not r.startswith(("file:", "data:"))] == []

    in_browser(tmp_path / "browser", visit)
