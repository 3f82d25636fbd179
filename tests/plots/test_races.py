"""Races: the paths of a start's runs across the plane, as a figure, as a film, and in a browser."""

import asyncio
import re

import numpy as np
import pytest

import gdsim as gd
from tests.plots.figures import drawn
from tests.report.browser import in_browser


@pytest.fixture(scope="module")
def racers():
    """A sweep whose paths are kept."""
    record = gd.Record(every=1, trajectory=True)
    return gd.Sweep(problem=gd.functions.Himmelblau(), optimizer=[gd.SGD(lr=0.01), gd.Adam(lr=0.2), gd.SGD(lr=10.0)], starts=2, steps=40, record=record).run()


def test_a_race_shows_every_path(racers):
    (panel,) = gd.plots.race(racers, start=1).axes
    path = racers.trajectory.values[3]
    assert any(np.array_equal(line.get_xydata(), path) for line in panel.lines)
    assert drawn(gd.plots.race(racers))


@pytest.mark.parametrize("ending", ["gif", "html"])
def test_a_race_is_filmed(racers, tmp_path, ending):
    from PIL import Image

    film = gd.plots.race_animation(racers, tmp_path / f"race.{ending}", frames=5)
    if ending == "gif":
        with Image.open(film) as image:
            assert image.n_frames == 5
    else:
        text = film.read_text()
        assert len(text) < 500_000
        assert set(re.findall(r"https?://[^\"/]*", text)) == {"http://www.w3.org"}  # the name of SVG, which nothing is loaded from


@pytest.mark.full
def test_a_film_plays_in_a_browser(racers, tmp_path):
    film = gd.plots.race_animation(racers, tmp_path / "race.html", start=1, frames=9, seconds=0.2)
    drawn_steps = "document.getElementById('step').textContent"

    async def visit(browser):
        await browser.open(film)
        for _ in range(100):
            if await browser.value("!playing"):
                break
            await asyncio.sleep(0.1)
        assert await browser.value(drawn_steps) == "step 40 of 40"
        for key, text in (("Home", "step 0 of 40"), ("ArrowRight", "step 5 of 40"), ("ArrowRight", "step 10 of 40"), ("ArrowLeft", "step 5 of 40")):
            await browser.value(f"document.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}'}})), 0")
            assert await browser.value(drawn_steps) == text
        await browser.value("{const f = at('frame'); f.value = 8; f.dispatchEvent(new Event('input'))}")
        assert await browser.value(drawn_steps) == "step 40 of 40"
        trails = await browser.value("[...document.querySelectorAll('#paths polyline')].map(p => p.getAttribute('points').split(' ').length / 2)")
        known = np.isfinite(racers.trajectory.values[racers.start.values == 1]).all(2).sum(1)
        assert trails == known.tolist()
        for width in (1200, 390):
            await browser.resize(width, 800)
            assert await browser.value("document.documentElement.scrollWidth") <= width
        assert browser.complaints == []
        assert [r for r in browser.requests if not r.startswith(("file:", "data:"))] == []

    in_browser(tmp_path / "browser", visit)


def test_what_cannot_race_says_why(racers, tmp_path):
    with pytest.raises(ValueError, match=r"gd\.Record\(trajectory=True\)"):
        gd.plots.race(racers.drop_vars("trajectory"))
    with pytest.raises(ValueError, match="has no run"):
        gd.plots.race(racers, start=7)
    with pytest.raises(ValueError, match=r"must end in \.gif, \.html or \.mp4"):
        gd.plots.race_animation(racers, tmp_path / "race.avi")


def test_a_function_of_one_variable_has_its_race():
    record = gd.Record(every=1, trajectory=True)
    problem = gd.Expression("t**2", variables=["t"])
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=[0.1, 0.2]), init=np.array([[1.5]]), steps=5, record=record).run()
    (panel,) = gd.plots.race(result).axes
    assert panel.get_xlabel() == "t"
    path = 1.5 * 0.8 ** np.arange(6)  # t - 2 lr t
    (drawn_path,) = [line.get_xydata() for line in panel.lines if line.get_label() == "lr = 0.1"]
    assert np.allclose(drawn_path, np.stack([path, path**2], 1))
    curve = panel.lines[0].get_xydata()
    assert np.allclose(curve[:, 1], curve[:, 0] ** 2)


def test_a_race_shows_where_runs_ended():
    """A start from which the run goes across the plane, to a minimum that is not the nearest."""
    record = gd.Record(every=1, trajectory=True)
    problem = gd.functions.Himmelblau()
    result = gd.Sweep(problem=problem, optimizer=[gd.SGD(lr=0.01), gd.Momentum(lr=0.01)], starts=4, steps=300, record=record).run(progress=False)
    for start in range(4):
        (panel,) = gd.plots.race(result, start=start).axes
        (x_low, x_high), (y_low, y_high) = panel.get_xlim(), panel.get_ylim()
        for run in np.flatnonzero((result.start.values == start) & (result.status.values != "diverged")):
            end = result.trajectory.values[run, -1]
            goal = min((m.point for m in problem.global_minima), key=lambda p: float(np.hypot(*(p - end))))
            for x, y in (end, goal):
                assert x_low < x < x_high
                assert y_low < y < y_high
