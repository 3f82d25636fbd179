"""How well the models of runs serve their clients."""

import numpy as np

from gdsim import analysis
from gdsim.analysis.client_scores import TENTH
from gdsim.plots.style import MOST_LINES, Axes, Figure, best_of, finished, is_wide, legend, line, logarithmic, new_panel, ranked_by, said_of
from gdsim.sweep.ranks.labels import cell_texts, counted
from gdsim.sweep.ranks.ranking import ranked_cells
from gdsim.sweep.results.reading import Result, cells_in, check_result
from gdsim.words import checked_word

SIZE = (8.2, 4.2)


def client_scores(result: Result, *, variable: str | None = None, ax: Axes | None = None) -> Figure:
    """How many clients have an accuracy of at most so much on their own samples, or a loss, over the clients of all
    runs of a cell, a line per cell; the worst tenth is shaded.

    `variable` is "accuracy", if not given, or "loss", that of problems without classes. The scores are those of
    `gd.analysis.client_scores`, so that the result must have parameters. Of many cells the seven are shown that
    rank best. `ax`: Axes to draw on. Returns the figure, a matplotlib Figure. Raises ValueError.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.LogisticRegression(gd.datasets.load("moons")), optimizer=gd.SGD(lr=0.5), batch=8, steps=60, partition="sorted",
    ...     distribution=gd.FederatedAveraging(clients=8, sampled=2), starts=4, record=gd.Record(parameters=True))
    >>> client_scores(sweep.run()).axes[0].get_xlabel()
    "accuracy on a client's own samples"
    """
    result = check_result(result, "client_scores")
    found, cells, ranks = analysis.client_scores(result), cells_in(result), ranked_cells(result)
    names = [name for name in ("accuracy", "loss") if name in found]
    name = names[0] if variable is None else checked_word(variable, "variable", names)
    shown = best_of(ranks, np.arange(len(cells.numbers)))
    title = f"Clients by {name}{said_of(len(shown), len(cells.numbers))}"
    figure, panel = new_panel(title, f"{name} on a client's own samples", f"share of clients with at most this {name}", ax=ax, size=SIZE)
    texts, every = cell_texts(cells.dataset({})), []
    for k, cell in enumerate(shown):
        mine = cells.place == cell
        values = found[name].values[mine][found.samples.values[mine] > 0]
        ordered = np.sort(values[np.isfinite(values)])
        risen = np.append(ordered[:1], ordered)  # the first step begins at 0
        panel.step(risen, np.arange(len(risen)) / len(values), where="post", label=texts[cell], **line(k))
        every.append(ordered)
    are_losses, together = name == "loss", np.concatenate(every)
    if are_losses and len(together) and together.min() > 0 and is_wide(together):
        logarithmic(panel, "x")
    panel.axhspan(
        1.0 - 1.0 / TENTH if are_losses else 0.0, 1.0 if are_losses else 1.0 / TENTH, color="#bbbbbb", alpha=0.35, linewidth=0, label="the worst tenth"
    )
    panel.set_ylim(0.0, 1.0)
    legend(panel, outside=ax is None)
    runs, said = np.bincount(cells.place), ranked_by(ranks.name) if len(cells.numbers) > MOST_LINES else ""
    lost = "infinite losses, which have no step" if are_losses else "accuracies of 0"
    return finished(
        figure,
        f"All clients of {counted(runs, 'run')} per cell, each counting alike, by the last parameters of their runs; those of diverged runs have {lost}. "
        f"Shaded: the worst tenth of the clients of all runs together, where worst_{name} is of each run's own.{said}",
    )
