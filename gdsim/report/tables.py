"""The tables of a report: what is read, what it is sorted by, and the code that gives it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim import analysis
from gdsim.stops import STATUSES
from gdsim.sweep.ranks import table as rows_by_cell
from gdsim.sweep.ranks.hits import own_targets
from gdsim.sweep.ranks.labels import shown_number, shown_values
from gdsim.sweep.ranks.ranking import CURVE_OF
from gdsim.sweep.results.reading import cells_in, may_converge, worse_than_start

# Cells of a table; of more, the best are shown.
MOST_ROWS = 1000
TOGETHER = (4, 16)  # starts that run side by side until one meets the target
# What cells are described by beside what ranks them, by the name of a column.
ALSO = {
    "final_loss": "training loss at the end", "best_validation_loss": "best validation loss", "final_validation_accuracy": "validation accuracy at the end",
}  # fmt: skip


class Call(NamedTuple):
    """A function of `gd`, `gd.analysis` or `gd.plots` and what it is given beside the result: it makes a
    number or a figure, and says how.

    Of the result it is given the runs of one optimizer, if that is named.
    """

    room: Any
    name: str
    options: Mapping[str, Any] = {}
    optimizer: str = ""

    def made(self, result: Any) -> Any:
        """What it gives for a result."""
        runs = result.isel(run=result.optimizer.values == self.optimizer) if self.optimizer else result
        return getattr(self.room, self.name)(runs, **self.options)

    @property
    def code(self) -> str:
        """The line of Python that does the same."""
        room = "gd" if self.room is rows_by_cell else f"gd.{self.room.__name__.split('.')[-1]}"
        runs = f"result.isel(run=result.optimizer.values == {self.optimizer!r})" if self.optimizer else "result"
        return f"{room}.{self.name}({', '.join([runs, *(f'{k}={v!r}' for k, v in self.options.items())])})"

    def of(self, *names: str) -> str:
        """The line of Python that gives the numbers of these names alone."""
        return f"{self.code}[{names[0]!r}]" if len(names) == 1 else f"{self.code}[{list(names)!r}]"


class Entry(NamedTuple):
    """One field of a table: what is read, what it is sorted by, and its interval."""

    text: str
    value: float | str
    interval: str = ""


class Column(NamedTuple):
    """A column: its name, the code that gives its numbers (with an interval's ends after them), and its
    entries.
    """

    name: str
    code: str
    entries: list[Entry]


class Table(NamedTuple):
    """A table: its title, columns of one length, and a note."""

    title: str
    columns: list[Column]
    note: str = ""

    @property
    def rows(self) -> list[list[tuple[str, Entry]]]:
        """[(column's name, entry), ...] of each row."""
        return [list(zip((c.name for c in self.columns), row, strict=True)) for row in zip(*(c.entries for c in self.columns), strict=True)]


BEST = Call(analysis, "best_cell")


def number(value: Any) -> str:
    """A number as the report shows it: three digits, thousands whole."""
    value = float(value)
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "\u221e" if value > 0 else "-\u221e"
    return f"{value:,.0f}" if (value == round(value) or abs(value) >= 1000) and abs(value) < 1e7 else shown_number(value)


def share(value: Any) -> str:
    """A share in percent."""
    value = float(value)
    return "" if math.isnan(value) else f"{shown_number(100 * value)}%"


def interval(value: Any, low: Any, high: Any, *, form: Any = number, lacking: str = "none") -> Entry:
    """A number with its interval; `lacking` where it is infinite."""
    value, low, high = float(value), float(low), float(high)
    if math.isnan(value):
        return Entry("", value)
    ends = "" if math.isnan(low) or math.isinf(low) else f"[{form(low)}, {form(high)}]"
    return Entry(lacking, value) if math.isinf(value) else Entry(form(value), value, ends)


def intervals(found: Any, names: Sequence[str], order: Any, form: Any = number, lacking: str = "none") -> list[Entry]:
    """Numbers of a Dataset with their intervals, by the names of the three, at some places."""
    return [interval(*(found[n].values[k] for n in names), form=form, lacking=lacking) for k in order]


def counted_entry(value: Any) -> Entry:
    """A whole number."""
    return Entry(f"{int(value):,}", float(value))


def outcome(result: Any, best: Any) -> Table:
    """The outcome by cell, the best first: what ranks them, how often it would again, targets, losses, and
    how runs ended. `best` is what BEST has made.
    """
    order = np.argsort(best["rank"].values)[:MOST_ROWS]
    ranked_by = ranked_name(best)
    columns = _settings(BEST, best, order)
    text = "under half" if "steps to" in ranked_by else "diverged"
    form = share if "accuracy" in ranked_by else number
    names = ("median_loss", "low", "high")
    columns.append(Column(f"median {ranked_by}", BEST.of(*names), intervals(best, names, order, form, text)))
    columns.append(Column("first if drawn anew", BEST.of("probability_best"), [Entry(share(p), float(p)) for p in best.probability_best.values[order]]))
    if len(targets := own_targets(result)):
        columns += _to_target(result, float(targets[-1]), order)
    elif may_converge(result):
        columns.append(_met(Call(analysis, "success_probability"), result, order, "converged"))
    for name, title in ALSO.items():
        if (name in result or CURVE_OF.get(name) in result) and name.replace("_", " ") != ranked_by:
            columns.append(_median(result, name, title, order))
    columns += _costs(result, order)
    columns += _endings(result, order)
    note = (
        f"Ranked by the median {ranked_by}; of two in the middle the lower one. In brackets 95% intervals: Wilson's for shares, order statistics' "
        "for medians, the bootstrap's over starts for expected steps; the last two of 6 runs or more. Diverged runs count as infinite. First if drawn anew: in how many of the resamples of the starts the cell is the first."
    )
    if len(order) < best.sizes["cell"]:
        note += f" The best {MOST_ROWS:,} of {best.sizes['cell']:,} cells are shown."
    return Table("Outcome by cell", columns, note)


def ranked_name(best: Any) -> str:
    """What ranks cells, in words."""
    return str(best.attrs.get("ranked_by", "final loss"))


def _settings(call: Call, found: Any, order: np.ndarray) -> list[Column]:
    """The columns that say which cell a row is; `found` is what the call has made."""
    columns = [Column("cell", call.of("cell"), [counted_entry(c) for c in found.cell.values[order]])]
    for name in (str(n) for n, c in found.coords.items() if c.dims == ("cell",) and n not in ("cell", "label")):
        values = found[name].values.tolist()
        texts = shown_values(values)
        columns.append(Column(name, call.of(name), [Entry(texts[k], values[k] if isinstance(values[k], float) else texts[k]) for k in order]))
    return columns


def _met(call: Call, result: Any, order: np.ndarray, name: str) -> Column:
    names = ("probability", "low", "high")
    return Column(name, call.of(*names), intervals(call.made(result), names, order, share))


def _to_target(result: Any, target: float, order: np.ndarray) -> list[Column]:
    """How many runs met the sweep's lowest target, and how long that takes with restarts."""
    time = Call(analysis, "expected_running_time", {"targets": target})
    found = time.made(result).isel(target=0)
    names, loss = ("ert", "low", "high"), f"loss {number(target)}"
    entries = intervals(found, names, order, lacking="none met it")
    met = _met(Call(analysis, "success_probability", {"target": target}), result, order, f"met {loss}")
    return [met, Column(f"expected steps to {loss}", f"{time.of(*names)}.isel(target=0)", entries)]


def _median(result: Any, name: str, title: str, order: np.ndarray) -> Column:
    """The median of another variable, with its interval."""
    call, names = Call(rows_by_cell, "table", {"variable": name}), ("median", "low", "high")
    form, lacking = (share, "") if "accuracy" in name else (number, "diverged")
    found = call.made(result).loc[cells_in(result).numbers[order]]
    return Column(f"median {title}", call.of(*names), intervals(found, names, range(len(order)), form, lacking))


def _costs(result: Any, order: np.ndarray) -> list[Column]:
    """What training by several workers had cost at the end, the median over a cell's runs; nothing of a sweep without them."""
    found = []
    for name, title in (("samples", "samples"), ("round", "rounds"), ("bytes_sent", "bytes that a worker sent")):
        if name not in result:
            continue
        call = Call(analysis, "bands", {"variable": name, "quantiles": (0.5,)})
        values = call.made(result).value.isel(quantile=0, checkpoint=-1).values[order].tolist()
        found.append(Column(title, f"{call.code}.value.isel(quantile=0, checkpoint=-1)", [Entry(number(v), v) for v in values]))
    return found


def _endings(result: Any, order: np.ndarray) -> list[Column]:
    """How many runs there are, and how they ended."""
    cells, status = cells_in(result), result.status.values
    count = len(cells.numbers)
    columns = [Column("runs", "gd.table(result).runs", [counted_entry(n) for n in np.bincount(cells.place, minlength=count)[order]])]
    for kind in (s for s in STATUSES if s not in ("converged", "budget") and (s == "diverged" or (status == s).any())):
        counts = np.bincount(cells.place, status == kind, minlength=count)
        columns.append(Column(kind, f"(result.status == {kind!r}).groupby('cell').sum()", [counted_entry(n) for n in counts[order]]))
    if (worse := worse_than_start(result)) is not None:
        columns.append(Column("worse than start", "gd.table(result).worse_than_start", [counted_entry(n) for n in worse[order]]))
    return columns


def summary_outcome(result: Any) -> Table:
    """The outcome by cell of a summary."""
    call = Call(rows_by_cell, "table", {"columns": "all"})
    frame = call.made(result).sort_values("rank").head(MOST_ROWS)
    names = [n for n in frame.columns if n != "label" and (n != "converged" or may_converge(result))]
    columns = []
    for name in names:
        values = frame[name].tolist()
        texts = [number(v) for v in values] if name.startswith(("median", "quartile", "lowest")) else shown_values(values)
        columns.append(
            Column(
                name.replace("_", " "),
                f"{call.code}.set_index('cell', drop=False)[{name!r}]",
                [Entry(t, v if isinstance(v, float | int) else t) for t, v in zip(texts, values, strict=True)],
            )
        )
    return Table("Outcome by cell", columns, "The sweep kept a summary: quantiles are the middles of bins, at most a sixteenth from the truth.")


def budgets(result: Any) -> Table:
    """What a budget of random trials is worth, by optimizer."""
    call = Call(analysis, "budget_curve")
    found = call.made(result)
    names, form = found.optimizer.values, share if "accuracy" in ranked_name(found) else number
    columns = [
        Column("optimizer", call.of("optimizer"), [Entry(str(n), str(n)) for n in names]),
        Column("cells", call.of("cells"), [counted_entry(n) for n in found.cells.values]),
    ]
    fields = ("loss", "low", "high")
    for n in (n for n in (1, 2, 4, 8, 16, 32, 64) if n <= found.sizes["trials"]):
        entries = intervals(found.isel(trials=n - 1), fields, range(len(names)), form, "may fail")
        columns.append(Column(f"best of {n}", f"{call.of(*fields)}.sel(trials={n})", entries))
    note = (
        f"The median {ranked_name(found)} that the best of so many cells has, drawn at random from an optimizer's grid: its expectation, with 95% intervals over starts. May fail: so many trials may all be cells of which half of the runs or more diverged or never met the target. "
        "An optimizer whose grid was chosen well needs fewer trials."
    )
    return Table("What tuning is worth: the best of so many random cells", columns, note)


def restarts(result: Any, target: float) -> list[Table]:
    """What giving runs up early would gain, by cell: one table, or none where no run met the target."""
    call, together = Call(analysis, "restart_cutoff", {"target": target}), Call(analysis, "parallel_starts", {"target": target, "starts": TOGETHER})
    found, many = call.made(result), together.made(result)
    order = [k for k in np.argsort(found.cost.values, kind="stable")[:MOST_ROWS] if found.successes.values[k] > 0]
    if not order:
        return []
    of_cells = {"runs that met it": "successes", "best cutoff": "cutoff", "steps with it": "cost", "steps without": "cost_without", "gain": "gain"}
    numbers = [(title, call.of(name), found[name].values) for title, name in of_cells.items()]
    for place, n in enumerate(TOGETHER):
        numbers.append((f"speedup of {n} starts at once", f"{together.of('speedup')}.sel(starts={n})", many.speedup.values[:, place]))
    columns = [Column(title, code, [Entry(number(values[k]), float(values[k])) for k in order]) for title, code, values in numbers]
    note = "Cells of which a run met it. The cutoff is chosen on these runs: with few successes it looks better than it is."
    return [Table(f"Restarts on the way to a loss of {number(target)}", [*_settings(call, found, np.array(order)), *columns], note)]
