"""Figures show themselves, once, whatever the backend; draw on Axes of the caller's own; and leave pyplot
alone.
"""

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import gdsim as gd
from gdsim.plots.figure import png_of
from tests.analysis.populations import result_of
from tests.plots.figures import FIGURES as ANY

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def result():
    """Two cells of one optimizer, made by hand."""
    curves = np.geomspace(1.0, 1e-3, 8)[None] * np.random.default_rng(0).uniform(1, 2, (40, 1))
    return result_of(curves, cells=2, coordinates={"lr": [0.1, 0.2]})


@pytest.fixture(scope="module")
def racers():
    """Paths over a plane."""
    record = gd.Record(every=1, trajectory=True)
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.05]), steps=20, record=record).run()


FIGURES = {
    **ANY,
    "schedule": lambda _, **o: gd.plots.schedule(gd.Cosine(cycle=5), steps=10, **o),
    "race": lambda _, racers=None, **o: gd.plots.race(racers, **o),
}


def made(name, result, racers, **options):
    """The figure of a name."""
    return FIGURES[name](result, **({"racers": racers} if name == "race" else {}), **options)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_on_the_callers_axes(result, racers, name):
    figure, (left, right) = plt.subplots(1, 2)
    try:
        before = dict(mpl.rcParams), plt.get_fignums()
        assert made(name, result, racers, ax=right) is figure
        assert right.has_data()
        assert right.get_xlabel()
        assert not left.has_data()
        assert (dict(mpl.rcParams), plt.get_fignums()) == before
        assert plt.gcf() is figure
    finally:
        plt.close(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_itself_and_leaves_pyplot_alone(result, racers, name):
    before = dict(mpl.rcParams), plt.get_fignums()
    figure = made(name, result, racers)
    assert isinstance(figure, mpl.figure.Figure)
    assert figure._repr_png_().startswith(PNG)
    assert len(figure.caption) > 40
    assert figure.caption.endswith(".")
    assert (dict(mpl.rcParams), plt.get_fignums()) == before


@pytest.mark.parametrize("name", ["convergence_bands", "final_losses"])
def test_panels_are_drawn_in_the_callers_figure(result, name):
    figure = mpl.figure.Figure()
    part, _ = figure.subfigures(1, 2)
    several = result.assign_coords(optimizer=("run", np.where(result.cell % 2, "SGD", "Adam")), lr=("run", np.tile([0.1, 0.2, 0.3, 0.4], 10)))
    several = several.assign_coords(cell=("run", np.arange(40) % 4))
    draw = getattr(gd.plots, name)
    assert draw(several, figure=part) is part
    assert len([panel for panel in part.axes if panel.has_data()]) == 2
    with pytest.raises(ValueError, match="this one has"):
        draw(several, figure=part)
    with pytest.raises(ValueError, match="draws 2 panels, one per optimizer: give figure="):
        draw(several, ax=figure.add_subplot())
    with pytest.raises(TypeError, match="must be a matplotlib Figure"):
        draw(several, figure="mine")


def test_what_is_no_axes_is_said(result):
    with pytest.raises(TypeError, match=r"an array, take axes\[0\]"):
        gd.plots.ecdf(result, ax=np.array([1, 2]))
    with pytest.raises(TypeError, match="int was given"):
        gd.plots.ert(result, ax=3)


@pytest.mark.parametrize("inline", [False, True])
def test_a_notebook_shows_a_figure_once(result, inline):
    formatter = pytest.importorskip("IPython.core.formatters", reason="IPython is not installed").DisplayFormatter()
    if inline:
        from IPython.core.pylabtools import print_figure

        formatter.formatters["image/png"].for_type(mpl.figure.Figure, lambda figure: print_figure(figure, base64=True))
    bundle, _ = formatter.format(gd.plots.ecdf(result))
    assert [kind for kind in bundle if kind != "text/plain"] == ["image/png"]


def test_showing_needs_no_screen(result, monkeypatch, capsys):
    from PIL import ImageShow

    seen = []
    monkeypatch.setattr(ImageShow, "show", lambda picture: seen.append(picture.size) or False)
    gd.plots.ecdf(result).show()
    assert len(seen) == 1
    assert "savefig('name.png')" in capsys.readouterr().err


def test_a_figure_drawn_once_is_the_picture_that_matplotlib_draws_in_two_passes(result):
    ours, theirs = io.BytesIO(png_of(gd.plots.convergence_bands(result), 60)), io.BytesIO()
    gd.plots.convergence_bands(result).savefig(theirs, format="png", dpi=60)
    assert np.array_equal(np.asarray(Image.open(ours)), np.asarray(Image.open(theirs)))


def test_a_caption_stands_under_panels_that_keep_their_size(result):
    figure = gd.plots.ecdf(result)
    with_caption = figure.get_size_inches()[1]
    figure.savefig(io.BytesIO(), format="png")
    lowest = min(panel.get_tightbbox().y0 for panel in figure.axes)
    (text,) = figure.texts
    assert text.get_window_extent().y1 <= lowest
    assert text.get_window_extent().x1 <= figure.bbox.x1
    figure.set_caption("")
    assert not figure.texts
    assert figure.get_size_inches()[1] < with_caption


@pytest.mark.full
def test_a_notebook_ends_a_cell_with_a_figure(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    code = (
        "import gdsim as gd\n"
        "result = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.05]), starts=4, steps=20).run()\n"
        "gd.plots.convergence_bands(result)"
    )
    cells = [nbformat.v4.new_code_cell(text) for text in (code, "%matplotlib inline\nfig = gd.plots.ecdf(result)\nfig", "fig.show()")]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in book.cells:
        pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
        assert len(pictures) == 1, cell.outputs
