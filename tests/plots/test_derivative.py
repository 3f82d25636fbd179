"""The figure of derivatives over training: medians over runs on a scale of both signs, of the cells that have them."""

import numpy as np
import pytest

import gdsim as gd
from tests.analysis.populations import result_of
from tests.plots.figures import drawn


def population(cells=2):
    """Runs whose derivatives by lr grow to both sides of 0; by momentum the second cell has none."""
    rng = np.random.default_rng(0)
    curves = np.geomspace(1.0, 1e-3, 12)[None] * rng.uniform(1, 2, (20, 1))
    slopes = rng.normal(size=(20, 1)) * np.geomspace(1e-3, 1e4, 12)
    result = result_of(curves, cells=cells, coordinates={"lr": np.geomspace(0.1, 1.0, cells)})
    result["loss_d_lr"] = ("run", "checkpoint"), slopes
    result["loss_d_momentum"] = ("run", "checkpoint"), np.where(result.cell.values[:, None] == 1, np.nan, slopes)
    return result


def test_lines_are_medians_and_the_scale_has_both_signs():
    result = population()
    figure = gd.plots.derivative(result)
    (panel,) = figure.axes
    assert drawn(figure).startswith(b"\x89PNG")
    assert panel.get_yscale() == "symlog"
    assert panel.get_ylabel() == "d loss / d lr"
    assert "10 runs per cell" in figure.caption
    for cell in range(2):
        slopes = np.sort(result.loss_d_lr.values[result.cell.values == cell], axis=0)
        assert np.array_equal(panel.lines[cell].get_ydata(), slopes[4])  # the ceil(10 / 2)-th smallest
        assert panel.get_ylim()[0] < slopes[4].min() < slopes[4].max() < panel.get_ylim()[1]


def test_a_chaotic_cell_leaves_the_panel_and_the_others_have_the_scale():
    result = population(cells=3)
    slopes = result.loss_d_lr.values
    slopes[result.cell.values == 2] *= 1e25
    result["loss_d_direction"] = ("run", "checkpoint"), slopes
    figure = gd.plots.derivative(result, by="direction")
    (panel,) = figure.axes
    known = np.abs(np.concatenate([panel.lines[cell].get_ydata() for cell in range(2)])).max()
    assert known < np.abs(panel.get_ylim()).max() < 1e5 * known
    assert panel.yaxis.get_transform().linthresh < 0.1 * known
    assert figure.caption.endswith("Some lines leave the panel.")
    assert "Below 0 a step of the start along the direction would have lowered it" in figure.caption


def test_cells_without_the_number_are_left_out_and_more_than_seven_too():
    (panel,) = gd.plots.derivative(population(), by="momentum").axes
    assert len([line for line in panel.lines if len(line.get_ydata()) == 12]) == 1
    (panel,) = gd.plots.derivative(population(cells=10)).axes
    assert len([line for line in panel.lines if len(line.get_ydata()) == 12]) == 7
    assert "best 7 of 10 cells" in panel.get_title()


def test_what_has_no_derivative_is_told():
    result = population()
    with pytest.raises(ValueError, match=r"no derivative of 'loss' by 'beta', loss_d_beta; .*allowed: 'loss_d_lr', 'loss_d_momentum'"):
        gd.plots.derivative(result, by="beta")
    with pytest.raises(ValueError, match=r"run its sweep with tangents=\['lr'\]"):
        gd.plots.derivative(result.drop_vars(["loss_d_lr", "loss_d_momentum"]))
    with pytest.raises(ValueError, match="no run of this result has a number 'momentum'"):
        gd.plots.derivative(result.isel(run=result.cell.values == 1), by="momentum")
