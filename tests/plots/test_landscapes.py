"""Figures of landscapes: what stands on them, of one plane, several, and lines."""

import numpy as np
import pytest
import xarray
from matplotlib.figure import Figure

import gdsim as gd
from tests.plots.figures import drawn

AT = np.linspace(-1, 1, 5)
BOWL = AT**2 + 3 * AT[:, None] ** 2 + 0.001


def plane(values, **more):
    dims = ("run", "y", "x")[3 - values.ndim :]
    return xarray.Dataset({"loss": (dims, values), **more}, {"x": AT, "y": AT})


@pytest.mark.parametrize("style", ["contour", "map", "surface"])
def test_each_plane_has_a_panel_and_all_the_same_colours(style):
    figure = gd.plots.landscape({"plain": plane(BOWL), "residual": plane(2 * BOWL)}, style)
    panels, bars = figure.axes[:2], figure.axes[2:]
    assert [p.get_title() for p in panels] == ["plain", "residual"]
    heights = [10.0 ** np.array(p.get_zlim()) for p in panels] if style == "surface" else [bar.get_ylim() for bar in bars]
    assert {p.get_zlabel() for p in panels} == {"loss"} if style == "surface" else [bar.get_ylabel() for bar in bars] == ["loss"]
    assert all(ends == pytest.approx((BOWL.min(), 2 * BOWL.max()), rel=0.1) for ends in heights)
    assert "even in the logarithm" in figure.caption
    figure.savefig("/dev/null", format="png")


@pytest.mark.parametrize("least", [0.0, 4e-32])
@pytest.mark.parametrize("style", ["contour", "map", "surface"])
def test_a_minimum_does_not_take_the_whole_scale(style, least):
    x = np.linspace(-1, 1, 41)
    values = 100 * (x**2 + 3 * x[:, None] ** 2)
    values[20, 20], values[0, 0] = least, 1e304
    figure = gd.plots.landscape(xarray.Dataset({"loss": (("y", "x"), values)}, {"x": x, "y": x}), style)
    panel = figure.axes[0]
    low, high = 10.0 ** np.array(panel.get_zlim()) if style == "surface" else figure.axes[1].get_ylim()
    rest = np.delete(values.ravel(), [0, 840])
    assert 1e-5 * np.median(rest) < low < 1.01 * rest.min()
    assert rest.max() < high < 1e5 * np.median(rest)
    assert "Values below 0." in figure.caption
    assert "or above 1.2e6 are drawn as that" in figure.caption
    drawn(figure)


def test_runs_paths_corners_and_what_is_not_finite_are_on_it():
    values = np.stack([BOWL, BOWL])
    values[0, 0, 0] = np.inf
    figure = gd.plots.landscape(plane(values))
    assert [p.get_title() for p in figure.axes[:2]] == ["run 0", "run 1"]
    assert "not finite" in figure.caption
    path = {"path": (("checkpoint", "axis"), np.array([[1.0, 1.0], [0.0, 0.0]])), "explained_variance": ("axis", [0.9, 0.05])}
    panel = gd.plots.landscape(plane(BOWL, **path)).axes[0]
    assert panel.get_xlabel() == "x (90% of the variance)"
    assert panel.lines[0].get_xydata().tolist() == [[1.0, 1.0], [0.0, 0.0]]
    corner = {"corner": (("point", "axis"), np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))}
    assert panel.get_aspect() == 1.0  # both axes are distances
    assert [t.get_text() for t in gd.plots.landscape(plane(BOWL, **corner), "map").axes[0].texts] == ["a", "b", "c"]
    own = Figure().add_subplot()
    assert gd.plots.landscape(plane(BOWL), ax=own) is own.figure


def test_lines_of_runs_have_the_median_that_runs_have():
    losses = np.random.default_rng(2).random((20, 5))
    found = xarray.Dataset({"loss": (("run", "alpha"), losses)}, {"alpha": AT})
    panel = gd.plots.landscape_line(found).axes[0]
    assert panel.lines[0].get_ydata() == pytest.approx(np.quantile(losses, 0.5, axis=0, method="inverted_cdf"))
    assert len(panel.collections) == 2
    one = gd.plots.landscape_line(found.isel(run=0))
    assert (len(one.axes[0].lines), one.caption) == (2, "Dotted: a.")  # b is on the frame


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="at most 12 planes, and there are 13"):
        gd.plots.landscape(plane(np.stack([BOWL] * 13)))
    with pytest.raises(TypeError, match=r"gd\.plots\.landscape\(plane\)"):
        gd.plots.landscape_line(plane(BOWL))
    with pytest.raises(ValueError, match="three dimensions"):
        gd.plots.landscape(plane(BOWL), "surface", ax=Figure().add_subplot())
    with pytest.raises(ValueError, match="draws 2 panels"):
        gd.plots.landscape(plane(np.stack([BOWL] * 2)), ax=Figure().add_subplot())
    with pytest.raises(ValueError, match="style"):
        gd.plots.landscape(plane(BOWL), "sphere")
