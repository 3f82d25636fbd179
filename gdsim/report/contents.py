"""What a report shows of a results folder beside its tables: the figures that fit, and what was run."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gdsim import plots
from gdsim.analysis.profiles import problem_of
from gdsim.report.conclusion import may_compare
from gdsim.report.tables import Call
from gdsim.sweep.ranks.hits import own_targets
from gdsim.sweep.ranks.labels import shown_number
from gdsim.sweep.results.reading import cells_in, values_of
from gdsim.sweep.sweep import Sweep
from gdsim.variables import derivative_name

# A map of a number and the optimizers is drawn where so many of its fields hold a cell.
FILLED = 2 / 3


def figures(result: Any) -> Iterator[tuple[str, Call]]:
    """(title, call) of each figure that fits a result."""
    several, cells = result.sizes["checkpoint"] > 2, cells_in(result)
    values = {n: values_of(c) for n, c in cells.coordinates.items() if n not in ("cell", "label")}
    numeric = {n: len(_distinct(v)) for n, v in values.items() if v.dtype.kind == "f"}
    varied = sorted((n for n, count in numeric.items() if count > 1), key=lambda n: n != "lr")
    starts = len(np.unique(result.start.values))
    if several:
        yield "How the loss falls", Call(plots, "convergence_bands")
        if "validation_accuracy" in result:
            yield "Validation accuracy", Call(plots, "convergence_bands", {"variable": "validation_accuracy"})
        if "bytes_sent" in result:
            yield from _of_workers(result)
        yield "Targets met by a time", Call(plots, "ecdf")
        yield from _asked_for(result)
    if several and varied and len(own_targets(result)):
        yield f"Expected time against {varied[0]}", Call(plots, "ert", {"hyperparameter": varied[0]})
    mixed = len(np.unique(problem_of(result, cells))) > 1
    if several and len(cells.numbers) > 1 and starts > 1 and (not mixed or "problem" in values):
        yield "Performance profile over starts", Call(plots, "performance_profile", {"over": "problem"} if mixed else {})
    if varied and numeric[varied[0]] > 2 and np.nanmin(result.final_loss.values) >= 0:
        yield f"Sensitivity to {varied[0]}", Call(plots, "sensitivity_curve", {"hyperparameter": varied[0]})
    if may_compare(result) and not mixed:
        yield "Optimizers, each tuned over its own grid", Call(plots, "compare_tuned")
    if len(cells.numbers) > len(np.unique(values["optimizer"])):
        yield "What tuning is worth", Call(plots, "budget_curve")
    lost = set(np.asarray(result.optimizer.values)[result.status.values == "diverged"].tolist())
    for x, y, optimizer in _maps(values, varied):
        of = f" of {optimizer}" if optimizer else ""
        yield f"The best medians{of} over {x} and {y}", Call(plots, "heat_map", {"x": x, "y": y}, optimizer)
        if optimizer in lost or (lost and not optimizer):
            yield f"Divergence{of} over {x} and {y}", Call(plots, "divergence_map", {"x": x, "y": y}, optimizer)
    yield "Where runs end", Call(plots, "final_losses")
    if "trajectory" in result and result.sizes["parameter"] == 2:
        yield "The race from start 0", Call(plots, "race")


def _of_workers(result: Any) -> Iterator[tuple[str, Call]]:
    """Figures of what training by several workers cost, and how far these were apart."""
    yield "How the loss falls by what training costs", Call(plots, "training_costs")
    yield "Where cells end, by what they communicate", Call(plots, "communication_frontier")
    if "disagreement" in result and bool((result.disagreement > 0).any()):
        yield "How far workers are apart", Call(plots, "disagreement")


def _asked_for(result: Any) -> Iterator[tuple[str, Call]]:
    """Figures of what a sweep records only where it is asked to."""
    if "sharpness" in result:
        yield "Sharpness", Call(plots, "sharpness")
    begins = derivative_name("loss", "")
    for name in (str(n) for n, column in result.data_vars.items() if str(n).startswith(begins) and column.notnull().any()):
        by = name.removeprefix(begins)
        yield f"Derivative of the loss by {by.replace('_', ' ')}", Call(plots, "derivative", {"by": by})


def _maps(values: Mapping[str, np.ndarray], varied: list[str]) -> Iterator[tuple[str, str, str]]:
    """(x, y, optimizer) of maps: a number and the optimizers, if most of them have tried the same values; two
    numbers of each optimizer by itself.
    """
    rules = values["optimizer"]
    names = list(dict.fromkeys(rules.tolist()))
    tried = {name: [n for n in varied if len(_distinct(values[n][rules == name])) > 1] for name in names}
    if varied and len(names) > 1:
        rates = [_distinct(values[varied[0]][rules == name]) for name in names]
        if sum(map(len, rates)) >= FILLED * len(set().union(*rates)) * len(names):
            yield varied[0], "optimizer", ""
    for name in names:
        if len(tried[name]) > 1:
            yield tried[name][0], tried[name][1], name if len(names) > 1 else ""


def _distinct(values: np.ndarray) -> set[float]:
    return set(values[~np.isnan(values)].tolist())


def experiment_rows(held: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was run, as the folder says it."""
    found = []
    for name in (n for n in Sweep.__struct_fields__ if held["experiment"].get(n) is not None):
        value = held["experiment"][name]
        sentences = [_sentence(one, held["data"]) for one in (value if isinstance(value, list) else [value])] or ["none"]
        found += zip([name, *[""] * len(sentences)], sentences, strict=False)
    return found


def _sentence(value: Any, data: Mapping[str, str]) -> str:
    if isinstance(value, dict):
        rest = ", ".join(f"{k} = {_sentence(v, data)}" for k, v in value.items() if k not in ("type", "sha256") and v is not None)
        name = str(data.get(value.get("sha256", ""), "")) or f"array {value['sha256'][:12]}" if "sha256" in value else ""
        return " ".join(t for t in (str(value.get("type", "")), name, f"({rest})" if rest and "type" in value else rest) if t)
    if isinstance(value, list):
        return f"[{', '.join(_sentence(v, data) for v in value)}]"
    return shown_number(value) if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
