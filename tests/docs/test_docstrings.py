"""The docstring of every public name says what must be known: a sentence, shapes, what is raised, the source,
an example.
"""

import inspect
import re

import pytest

import gdsim as gd

ROOMS = ("analysis", "curvature", "landscape", "plots", "search", "functions", "datasets", "lanes", "minima", "paths")
TABLES = {"gd.datasets.names", "gd.functions.FUNCTIONS"}
# What gives arrays that need no names of dimensions: a sweep's Dataset, a vector, terms of a sequence, words,
# files.
PLAIN = {
    "gd.open", "gd.table", "gd.grid_of", "gd.continue_from", "gd.from_torch", "gd.analysis.edge_of_stability", "gd.analysis.luby", "gd.analysis.export_coco", "gd.analysis.default_targets",
    "gd.analysis.sentences",
}  # fmt: skip
# Formulas of everyday use and gdsim's own inventions; every other rule, schedule and statistic is from a
# paper, which it names by its year.
UNSOURCED = {
    "gd.ClipNorm", "gd.ClipValue", "gd.WeightDecay", "gd.Constant", "gd.CosineDecay", "gd.Exponential", "gd.InverseTime", "gd.MultiStep", "gd.Piecewise",
    "gd.Polynomial", "gd.Power", "gd.Step", "gd.analysis.Rounds", "gd.analysis.best_cell", "gd.analysis.budget_curve", "gd.analysis.convergence_rate", "gd.analysis.default_targets",
    "gd.analysis.divergence_map", "gd.analysis.edge_of_stability", "gd.analysis.luby_cost", "gd.analysis.median_ranks", "gd.analysis.minima_by_loss",
    "gd.analysis.parallel_starts", "gd.analysis.sensitivity", "gd.analysis.sentences", "gd.analysis.simulated_restarts", "gd.analysis.simulated_seconds", "gd.analysis.time_to_target", "gd.analysis.times_by_start", "gd.analysis.worker_updates",
}  # fmt: skip
SHAPE = re.compile(r"\[[a-z_]\w*(, \w+)*\]|[Oo]ver `\w+`|of any shape|Dataset over")


def public():
    """{name: thing} of all that is public and has a docstring of its own."""
    found = {f"gd.{n}": getattr(gd, n) for n in dir(gd) if n not in (*ROOMS, "__version__")}
    found |= {f"gd.{room}.{n}": getattr(getattr(gd, room), n) for room in ROOMS for n in getattr(gd, room).__all__}
    return {name: thing for name, thing in found.items() if name not in TABLES}


def without(wanted, names):
    """Which of the names have docstrings in which nothing matches."""
    return [n for n in names if not re.search(wanted, inspect.getdoc(public()[n]) or "")]


def test_a_sentence_stands_alone():
    firsts = {n: " ".join((inspect.getdoc(t) or "").split("\n\n")[0].split()) for n, t in public().items()}
    assert [n for n, first in firsts.items() if not re.match(r"[\w`(\[].*[.:](?: |$)", first)] == []


def test_an_example_runs():
    """That it does, the doctests say."""
    assert set(without(r">>> ", public())) <= {"gd.lanes.bind"}  # which makes kernels, and takes their text


def test_what_is_raised():
    names = [n for n, t in public().items() if not n.startswith("gd.lanes.") and n not in ("gd.search.Search", "gd.search.Descent", "gd.functions.Minimum")]
    assert without(r"[Rr]aises\s", names) == []


def test_shapes_of_arrays():
    functions = {n: t for n, t in public().items() if inspect.isfunction(t) and not n.startswith(("gd.lanes.", "gd.plots."))}
    arrays = [n for n, t in functions.items() if re.search(r"ArrayLike|ndarray|Dataset|DataArray", str(inspect.signature(t)))]
    assert len(arrays) > 40
    assert set(without(SHAPE, arrays)) <= PLAIN


def test_the_source_of_what_is_from_a_paper():
    from gdsim.rules import RULES, WRAPPERS
    from gdsim.schedules import SCHEDULES

    names = [f"gd.{one.__name__}" for one in (*RULES, *WRAPPERS, *SCHEDULES)] + [n for n in public() if n.startswith("gd.analysis.")]
    assert set(without(r"\b(18|19|20)\d\d\b", names)) <= UNSOURCED


@pytest.mark.parametrize("name", ["restart_cutoff", "luby_cost", "parallel_starts", "ecdf", "best_cell"])
def test_what_is_no_result_is_refused_as_they_say(name):
    function = getattr(gd.analysis, name)
    with pytest.raises(TypeError, match=f"{name} takes the Dataset of a sweep"):
        function(3)
    with pytest.raises(ValueError, match="no gdsim results in"):
        function("nowhere")


@pytest.mark.parametrize("count", [-1, 2.5, "ten", [3]])
def test_ranks_of_what_counts_nothing(count):
    with pytest.raises(ValueError, match="n must be a whole number from 0"):
        gd.analysis.median_ranks(count)


@pytest.mark.parametrize("kind", [gd.Adam, gd.Constant, gd.Target, gd.Sobol, gd.functions.Booth, gd.functions.Rosenbrock, gd.Record])
def test_declarations_raise_what_they_say(kind):
    said = inspect.getdoc(kind)
    assert "TypeError" in said
    with pytest.raises(TypeError, match=f"{kind.__name__} has no 'colour'"):
        kind(colour=3)
    assert ("ValueError" in said) == bool(kind.__struct_fields__)
