"""What a report shows of a results folder: the outcome by cell, the figures that fit, and what may mislead a reader."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim import analysis, plots
from gdsim.analysis.profiles import problem_of
from gdsim.stops import STATUSES
from gdsim.sweep.declaration import Sweep
from gdsim.sweep.reading import cells_in, values_of

# Cells of a table; of more, the best are shown.
MOST_ROWS = 1000
FEW_STARTS, SURE = 30, 0.95


class Call(NamedTuple):
    """A function of `gd.analysis` or `gd.plots` and what it is given beside the result: it makes a number or a figure, and says how."""

    room: Any
    name: str
    options: Mapping[str, Any] = {}

    def made(self, result: Any) -> Any:
        """What it gives for a result."""
        return getattr(self.room, self.name)(result, **self.options)

    @property
    def code(self) -> str:
        """The line of Python that does the same."""
        return f"gd.{self.room.__name__.split('.')[-1]}.{self.name}({', '.join(['result', *(f'{k}={v!r}' for k, v in self.options.items())])})"


class Entry(NamedTuple):
    """One field of a table: what is read, and what it is sorted by."""

    text: str
    value: float | str


class Table(NamedTuple):
    """A table: its title, (name, code that gives it) of each column, rows, and a note."""

    title: str
    columns: list[tuple[str, str]]
    rows: list[list[Entry]]
    note: str = ""


def number(value: Any) -> str:
    """A number as the report shows it."""
    value = float(value)
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.4g}"


def interval(value: Any, low: Any, high: Any, form: Any = number) -> Entry:
    """A number with its interval."""
    if math.isnan(float(value)):
        return Entry("", float("nan"))
    return Entry(f"{form(value)} [{form(low)}, {form(high)}]", float(value))


def share(value: Any) -> str:
    """A share in percent."""
    value = float(value)
    return "" if math.isnan(value) else f"{100 * value:.3g}%"


def settings_entry(value: Any) -> Entry:
    """A hyperparameter."""
    if isinstance(value, (float, np.floating)):
        return Entry("" if math.isnan(value) else f"{value:.6g}", float(value))
    return Entry(str(value), str(value))


BEST = Call(analysis, "best_cell")


def outcome(result: Any, best: Any, target: float | None) -> Table:
    """The outcome by cell, the best first: how runs ended, their losses, and how long they took to a target. `best` is what BEST has made."""
    made = Call(analysis, "success_probability")
    success = made.made(result)
    cells = success.cell.values
    order = np.argsort(best["rank"].values)[:MOST_ROWS]
    columns: list[tuple[str, str, list[Entry]]] = []

    def add(name: str, code: str, entry: Callable[[int], Entry]) -> None:
        columns.append((name, code, [entry(k) for k in order]))

    add("cell", "result.cell", lambda k: _counted(cells[k]))
    for name in (str(n) for n in success.coords if n not in ("cell", "label")):
        add(name, f"result.{name}", lambda k, name=name: settings_entry(success[name].values[k]))
    add("runs", made.code, lambda k: _counted(success.runs[k]))
    add("converged", made.code, lambda k: interval(success.probability[k], success.low[k], success.high[k], share))
    place, status = np.searchsorted(cells, result.cell.values), result.status.values
    for kind in (s for s in STATUSES if s != "converged" and (status == s).any()):
        counts = np.bincount(place, status == kind, minlength=len(cells))
        add(kind, f"(result.status == {kind!r}).groupby('cell').sum()", lambda k, counts=counts: _counted(counts[k]))
    add("median final loss", BEST.code, lambda k: interval(best.median_loss[k], best.low[k], best.high[k]))
    add("best in resamples", BEST.code, lambda k: Entry(share(best.probability_best[k]), float(best.probability_best[k])))
    if target is not None:
        to_loss, to_time = Call(analysis, "success_probability", {"target": target}), Call(analysis, "expected_running_time", {"targets": target})
        met, times = to_loss.made(result), to_time.made(result).isel(target=0)
        add(f"loss <= {target:.3g}", to_loss.code, lambda k: interval(met.probability[k], met.low[k], met.high[k], share))
        add(f"expected steps to {target:.3g}", to_time.code, lambda k: interval(times.ert[k], times.low[k], times.high[k]))
    note = "In brackets 95% intervals: Wilson's for shares, the bootstrap's over starts for losses and times. Diverged runs count as infinite."
    if len(cells) > MOST_ROWS:
        note += f" The best {MOST_ROWS:,} of {len(cells):,} cells are shown."
    rows = [list(row) for row in zip(*(entries for *_, entries in columns), strict=True)]
    return Table("Outcome by cell", [(name, code) for name, code, _ in columns], rows, note)


def _counted(value: Any) -> Entry:
    return Entry(f"{int(value):,}", float(value))


def summary_outcome(result: Any) -> Table:
    """The outcome by cell of a summary."""
    from gdsim.sweep.table import table

    frame, call = table(result, columns="all").sort_values("rank").head(MOST_ROWS), Call(analysis, "success_probability")
    success = call.made(result)
    names = [n for n in frame.columns if n not in ("label", "converged")]
    rows = []
    for record in frame.to_dict("records"):
        k = int(record["cell"])
        converged = interval(success.probability[k], success.low[k], success.high[k], share)
        rows.append([converged if n == "runs" else settings_entry(record[n]) for n in ("cell", "runs", *names[1:])])
    columns = [("cell", "result.cell"), ("converged", call.code), *((n.replace("_", " "), "gd.table(result)") for n in names[1:])]
    return Table("Outcome by cell", columns, rows, "The sweep kept a summary: quantiles are the middles of bins, at most a sixteenth from the truth.")


def budgets(result: Any) -> Table:
    """What a budget of random trials is worth, by optimizer."""
    call = Call(analysis, "budget_curve")
    found = call.made(result)
    sizes = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= found.sizes["trials"]]
    rows = []
    for k, name in enumerate(found.optimizer.values):
        entries = (interval(found.loss.values[k, n - 1], found.low.values[k, n - 1], found.high.values[k, n - 1]) for n in sizes)
        rows.append([Entry(str(name), str(name)), Entry(str(int(found.cells[k])), float(found.cells[k])), *entries])
    columns = [("optimizer", call.code), ("cells", call.code), *((f"best of {n}", call.code) for n in sizes)]
    return Table("Expected best median loss of so many random cells", columns, rows, "A cell whose median is infinite counts as the worst finite one.")


def restarts(result: Any, target: float) -> Table:
    """What giving runs up early would gain, by cell."""
    call, together = Call(analysis, "restart_cutoff", {"target": target}), Call(analysis, "parallel_starts", {"target": target, "starts": (4, 16)})
    found, many = call.made(result), together.made(result)
    order = np.argsort(np.where(np.isnan(found.cost.values), np.inf, found.cost.values), kind="stable")[:MOST_ROWS]
    rows = []
    for k in order:
        label, numbers = str(found.label.values[k]), [found[n].values[k] for n in ("successes", "cutoff", "cost", "cost_without", "gain")]
        rows.append([Entry(label, label), *(Entry(number(v), float(v)) for v in (*numbers, *many.speedup.values[k]))])
    names = ["successes", "best cutoff", "steps with it", "steps without", "gain"]
    columns = [("cell", call.code), *((n, call.code) for n in names), ("speedup of 4 starts at once", together.code), ("of 16", together.code)]
    return Table(
        f"Restarts on the way to a loss of {target:.3g}", columns, rows, "The cutoff is chosen on these runs: with few successes it looks better than it is."
    )


def figures(result: Any) -> Iterator[tuple[str, Call]]:
    """(title, call) of each figure that fits a result."""
    several = result.sizes["checkpoint"] > 2
    cells = cells_in(result)
    values = {n: values_of(c) for n, c in cells.coordinates.items() if n not in ("cell", "label")}
    numeric = {n: len(np.unique(v[~np.isnan(v)])) for n, v in values.items() if v.dtype.kind == "f"}
    varied = sorted((n for n, count in numeric.items() if count > 1), key=lambda n: n != "lr")
    starts = len(np.unique(result.start.values))
    if several:
        yield "How the loss falls", Call(plots, "convergence_bands")
        if "validation_accuracy" in result:
            yield "Validation accuracy", Call(plots, "convergence_bands", {"variable": "validation_accuracy"})
        yield "Targets met by a time", Call(plots, "ecdf")
    if several and varied:
        yield f"Expected time against {varied[0]}", Call(plots, "ert", {"hyperparameter": varied[0]})
    mixed = len(np.unique(problem_of(result, cells))) > 1
    if several and len(cells.numbers) > 1 and starts > 1 and (not mixed or "problem" in values):
        yield "Performance profile over starts", Call(plots, "performance_profile", {"over": "problem"} if mixed else {})
    if varied and numeric[varied[0]] > 2 and np.nanmin(result.final_loss.values) >= 0:
        yield f"Sensitivity to {varied[0]}", Call(plots, "sensitivity_curve", {"hyperparameter": varied[0]})
    if len(cells.numbers) > len(np.unique(values["optimizer"])):
        yield "What tuning is worth", Call(plots, "budget_curve")
    for axes in _two_axes(values, varied):
        yield f"Median loss over {axes[0]} and {axes[1]}", Call(plots, "heat_map", {"x": axes[0], "y": axes[1]})
        if (result.status.values == "diverged").any():
            yield f"Divergence over {axes[0]} and {axes[1]}", Call(plots, "divergence_map", {"x": axes[0], "y": axes[1]})
    yield "Where runs end", Call(plots, "final_losses")
    if "trajectory" in result and result.sizes["parameter"] == 2:
        yield "The race from start 0", Call(plots, "race")


def _two_axes(values: Mapping[str, np.ndarray], varied: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of hyperparameters that maps are made over: a number and the optimizer, two numbers."""
    if varied and len(np.unique(values["optimizer"])) > 1:
        yield varied[0], "optimizer"
    if len(varied) > 1:
        yield varied[0], varied[1]


def warnings(result: Any, best: Any) -> Iterator[str]:
    """What may mislead a reader. `best` is what BEST has made."""
    planned, finished = result.attrs["planned_runs"], result.attrs["finished_runs"]
    if finished < planned:
        yield f"{planned - finished:,} of {planned:,} runs are not finished: all numbers are of those that are."
    runs = np.bincount(np.unique(result.cell.values, return_inverse=True)[1].reshape(-1))
    if runs.min() < FEW_STARTS:
        yield f"Cells have as few as {runs.min():,} runs: intervals are wide, and the best of many cells looks better than it is. Take more starts."
    status = result.status.values
    if (status != "budget").any() and (share_left := (status == "budget").mean()) > 0.1:
        yield f"{share_left:.0%} of the runs used up their steps without meeting a stop: what they would have reached is not known (they are censored)."
    if (lost := (status == "diverged").mean()) > 0:
        yield f"{lost:.2%} of the runs diverged: they count as infinite losses, and never meet a target."
    if len(np.unique(problem_of(result, cells_in(result)))) > 1:
        yield "The cells minimise several problems, whose losses do not compare: read the tables problem by problem, with the filter."
        return
    if best.sizes["cell"] > 1 and best.probability_best.max() < SURE:
        first = int(np.argmin(best["rank"].values))
        alike = int((best.probability_best > 0.01).sum())
        yield (
            f"The winner is within noise: {best.label.values[first]} has the lowest median loss, but in resampled starts it is the best in only "
            f"{float(best.probability_best[first]):.0%}; {alike} cells are the best in more than 1%."
        )
    yield from _at_the_edge(result)


def _at_the_edge(result: Any) -> Iterator[str]:
    """Where the best value of a learning rate is the last that was tried."""
    if "lr" not in result.coords or result.lr.dtype.kind != "f" or np.nanmin(result.final_loss.values) < 0:
        return
    found = analysis.sensitivity(result, "lr")
    for k, name in enumerate(found.optimizer.values):
        tried = found.value.values[~np.isnan(found.curve.values[k])]
        if len(tried) > 2 and float(found.best[k]) in (tried[0], tried[-1]):
            end = "lowest" if float(found.best[k]) == tried[0] else "highest"
            yield f"The best learning rate of {name} is the {end} that was tried, {float(found.best[k]):g}: the best one may lie beyond."


def experiment_rows(held: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was run, as the folder says it."""
    found = []
    for name in (n for n in Sweep.__struct_fields__ if held["experiment"].get(n) is not None):
        value = held["experiment"][name]
        several = value if isinstance(value, list) else [value]
        found += [(name if k == 0 else "", _sentence(one, held["data"])) for k, one in enumerate(several or ["none"])]
    return found


def _sentence(value: Any, data: Mapping[str, str]) -> str:
    if isinstance(value, dict):
        rest = ", ".join(f"{k} = {_sentence(v, data)}" for k, v in value.items() if k not in ("type", "sha256") and v is not None)
        name = str(data.get(value.get("sha256", ""), "")) or f"array {value['sha256'][:12]}" if "sha256" in value else ""
        return " ".join(t for t in (str(value.get("type", "")), name, f"({rest})" if rest and "type" in value else rest) if t)
    if isinstance(value, list):
        return f"[{', '.join(_sentence(v, data) for v in value)}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value) if not isinstance(value, str) else value
