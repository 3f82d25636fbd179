"""Figures of what lies between minima: branches meet where the lowest way over other minima is highest."""

import numpy as np
import pytest
import xarray

import gdsim as gd

HEIGHTS = np.array([[0.0, 9.0, 5.0], [9.0, 0.0, 4.0], [5.0, 4.0, 0.0]])  # above losses of 1, 2, 0: tops 11, 6, 6


def matrix(heights):
    dims = ("minimum", "other")
    return xarray.Dataset({"barrier": (dims, heights), "height": (dims, heights), "value": ("minimum", [1.0, 2.0, 0.0])}, {"minimum": [7, 8, 9]})


def test_branches_meet_at_the_lowest_highest_loss_over_other_minima():
    panel = gd.plots.disconnectivity(matrix(HEIGHTS)).axes[0]
    joins = [line.get_ydata() for line in panel.lines if len(line.get_ydata()) == 4]
    assert sorted(float(y[1]) for y in joins) == [6.0, 6.0]  # of 7 and 9, 1 + 5; of 8 and 9, 2 + 4; 7 to 8 leads over 9
    assert sorted(t.get_text() for t in panel.get_xticklabels()) == ["7", "8", "9"]
    with pytest.raises(ValueError, match="needs the heights of all pairs"):
        gd.plots.disconnectivity(matrix(np.where(HEIGHTS == 9.0, np.nan, HEIGHTS)))
    with pytest.raises(TypeError, match=r"draws what gd.paths.barrier_matrix gives"):
        gd.plots.disconnectivity(HEIGHTS)


def test_a_matrix_is_drawn_with_its_numbers():
    figure = gd.plots.barrier_matrix(matrix(HEIGHTS), variable="height")
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["4", "4", "5", "5", "9", "9"]
    assert "3 minima, 3 pairs; on straight lines." in figure.caption
    bands = matrix(HEIGHTS).assign(converged=(("minimum", "other"), HEIGHTS != 9.0)).assign_attrs(path="band")
    assert "on elastic bands, of which 1 did not come to rest." in gd.plots.barrier_matrix(bands).caption
