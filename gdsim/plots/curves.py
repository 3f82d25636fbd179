"""Curves of cells with their bands, a panel per optimizer: what figures over training have in common."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.plots.looks import Looks, looks_by_value, looks_together, show_looks
from gdsim.plots.style import best_of, logarithmic, new_panels, said_of


class CurvePanels(NamedTuple):
    """The panels of a figure, and the cells that each shows."""

    figure: Any
    panels: list[Any]
    cells: list[np.ndarray]
    looks: Looks
    spare: Any

    @property
    def chosen(self) -> np.ndarray:
        """All cells that are shown."""
        return np.concatenate(self.cells)

    def draw(self, band: Any) -> None:
        """Draws the middle of three quantiles of a Dataset over `cell` as a line, the others as its band."""
        first = 0
        for panel, cells in zip(self.panels, self.cells, strict=True):
            _draw(panel, band.isel(cell=cells), self.looks.lines[first : first + len(cells)])
            first += len(cells)

    def show_looks(self) -> None:
        """The legend."""
        show_looks(self.figure, self.looks, self.panels, self.spare)


def curve_panels(band: Any, ranks: Any, what: str, *, ax: Any = None, figure: Any = None) -> CurvePanels:
    """Panels for the cells of a Dataset, of which those are shown that rank best; optimizers of one cell each
    share one.
    """
    rules = band.optimizer.values
    names = list(dict.fromkeys(rules.tolist()))
    together = len(names) == 1 or len(names) == len(rules)
    groups = [np.arange(len(rules))] if together else [np.flatnonzero(rules == name) for name in names]
    cells = [best_of(ranks, mine) for mine in groups]
    drawn, panels, spare = new_panels(len(groups), what, ax=ax, figure=figure)
    chosen = np.concatenate(cells)
    looks = looks_by_value(band.isel(cell=chosen)) if len(names) == 1 or not together else looks_together(band, chosen)
    for panel, name, some, group in zip(panels, names, cells, groups, strict=False):
        title = f"{'' if len(names) > 1 and together else name}{said_of(len(some), len(group))}".strip("; ")
        panel.set_title(title, fontsize="medium")
    return CurvePanels(drawn, panels, cells, looks, spare)


def _draw(panel: Any, band: Any, lines: Sequence[dict[str, Any]]) -> None:
    steps = band.step.values
    for (low, middle, high), style in zip(band.value.values, lines, strict=True):
        known = np.isfinite(middle)
        panel.plot(steps[known], middle[known], **style)
        there = ~np.isnan(low)
        panel.fill_between(steps[there], low[there], np.where(np.isfinite(high), high, np.nan)[there], color=style["color"], alpha=0.15, linewidth=0)
    logarithmic(panel, "x", from_zero=1.0)
    panel.grid(alpha=0.3, which="major")
