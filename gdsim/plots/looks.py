"""How cells are told apart: one colour for one value, in order and the same in all panels, and dashes for
what else differs.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D

from gdsim.plots.style import COLOURS, DASHES, legend, line, sequence, wrapped
from gdsim.sweep.ranks.labels import cell_texts, joined, settings_of, settings_texts, shown_values
from gdsim.sweep.results.reading import values_of

# Entries of a legend; a hyperparameter of more values has a colour bar.
MOST_ENTRIES = 10


class Bar(NamedTuple):
    """A hyperparameter of many values, coloured in order."""

    name: str
    values: list[str]


class Looks(NamedTuple):
    """The line of each cell, and what tells a reader which is which: entries of (text, line), and a colour
    bar or None.
    """

    lines: list[dict[str, Any]]
    entries: list[tuple[str, dict[str, Any]]]
    bar: Bar | None = None


def looks_by_value(found: Any) -> Looks:
    """Cells of which optimizers have panels of their own: colours in the order of the first number that
    differs, dashes for the rest.

    `found` is a Dataset over `cell`, those that are drawn. Without such a number, a colour for each
    combination.
    """
    settings, count = settings_of(found), found.sizes["cell"]
    numbers = {n: v for n, v in settings.items() if v.dtype.kind == "f"}
    if not numbers:
        return _by_text(settings_texts(settings, count))
    first = "lr" if "lr" in numbers else max(numbers, key=lambda n: len(np.unique(numbers[n])))
    known = np.unique(numbers[first][~np.isnan(numbers[first])])
    colours, texts = sequence(len(known)), shown_values(known.tolist())
    rest = settings_texts({n: v for n, v in settings.items() if n != first}, count)
    others = list(dict.fromkeys(rest))
    lines = []
    for value, other in zip(numbers[first].tolist(), rest, strict=True):
        colour = colours[int(np.searchsorted(known, value))] if value == value else "#777777"
        lines.append({"color": colour, "linestyle": DASHES[others.index(other) % len(DASHES)], "linewidth": 1.6})
    few = len(known) <= MOST_ENTRIES
    entries = [(f"{first} = {text}", {"color": colour, "linewidth": 1.6}) for text, colour in zip(texts, colours, strict=True) if few]
    if len(others) > 1:
        without = f"no {joined([n for n in settings if n != first])}"
        entries += [(text or without, {"color": "#333333", "linestyle": DASHES[k % len(DASHES)], "linewidth": 1.4}) for k, text in enumerate(others)]
    return Looks(lines, entries, None if few else Bar(first, texts))


def _by_text(texts: Sequence[str]) -> Looks:
    """A colour for each combination."""
    distinct = {text: line(k) for k, text in enumerate(dict.fromkeys(texts))}
    return Looks([distinct[text] for text in texts], list(distinct.items()) if len(distinct) > 1 else [])


def looks_together(found: Any, chosen: np.ndarray) -> Looks:
    """Cells of one panel: those of one optimizer by value, those of several by a colour for each optimizer
    and dashes within.

    `found` is a Dataset over `cell`; colours of optimizers are those of its whole. Entries are one for each
    of the `chosen` cells, in their order.
    """
    rules, texts = values_of(found.optimizer), cell_texts(found)
    names = list(dict.fromkeys(rules.tolist()))
    if len(names) == 1:
        lines = looks_by_value(found.isel(cell=chosen)).lines
    else:
        lines, seen = [], dict.fromkeys(names, 0)
        for name in rules[chosen].tolist():
            k = names.index(name)
            lines.append({**line(k), "linestyle": DASHES[(k // len(COLOURS) + seen[name]) % len(DASHES)]})
            seen[name] += 1
    return Looks(lines, [(texts[k], style) for k, style in zip(chosen, lines, strict=True)])


def show_looks(figure: Any, looks: Looks, panels: Any, spare: Any = None) -> None:
    """The one legend of all panels, in the place that is to spare or at the right, and the colour bar."""
    handles = [Line2D([], [], label=wrapped(text), **style) for text, style in looks.entries]
    if looks.bar is not None:
        _colour_bar(figure, looks.bar, panels)
    if spare is not None and handles:
        spare.legend(handles=handles, loc="center", fontsize="small", frameon=False, ncols=1 + (len(handles) > MOST_ENTRIES))
    else:
        legend(panels[0] if len(panels) == 1 else _last_of_first_row(panels), given=handles)


def _last_of_first_row(panels: Any) -> Any:
    """The panel at the upper right."""
    rows = [p.get_subplotspec().rowspan.start for p in panels]
    return panels[rows.count(rows[0]) - 1]


def _colour_bar(figure: Any, bar: Bar, panels: Any) -> None:
    count = len(bar.values)
    painted = ScalarMappable(BoundaryNorm(np.arange(-0.5, count), count), ListedColormap(sequence(count)))
    every = -(-count // MOST_ENTRIES)
    drawn = figure.colorbar(painted, ax=list(panels), aspect=30)
    drawn.set_ticks(range(0, count, every), labels=bar.values[::every])
    drawn.ax.tick_params(labelsize="x-small", length=0)
    drawn.set_label(bar.name, fontsize="small")
