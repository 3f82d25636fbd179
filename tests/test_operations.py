"""Operations that a plan counts, beside instructions of machine code and beside a network's products, one by
one.
"""

import functools
import itertools
import re
import types

import numba
import numpy as np
import pytest

import gdsim as gd
from gdsim.lanes import compiler, elementary
from gdsim.lanes.operations import load, store
from gdsim.lanes.tiles import load_row, store_row
from gdsim.population import operations
from gdsim.population.counting import Graph
from gdsim.population.hyperparameters import number_names, numbers_type


def within(said, counted):
    """Within a fifth."""
    return said == pytest.approx(counted, rel=0.2)


def setting_of(problem, optimizer, **options):
    return gd.Sweep(problem=problem, optimizer=optimizer, **options).plan().groups[0].setting


def one_argument(numbers):
    store(numbers, 0, function(load(numbers, 0, 4)))  # noqa: F821


def two_arguments(numbers):
    store(numbers, 0, function(load(numbers, 0, 4), load(numbers, 4, 4)))  # noqa: F821


def an_update(numbers):
    """numbers[row, lane]: a weight, a gradient, two slots, then hyperparameters and carries."""
    w, g, mean, square, a, b, c, d, e, f, one, two = load_row(numbers, 0, 4, 12, 4)
    step, carry = prepare(HYPERPARAMETERS(a, b, c, d, e, f, a, a), a, (one, two))  # noqa: F821
    w, slots = update(w, g, (mean, square), step)  # noqa: F821
    store_row(numbers, 0, 4, (w, *slots, *carry))


def a_gradient(numbers):
    value, gradient = value_and_gradient(load_row(numbers, 0, 4, 2, 4))  # noqa: F821
    store_row(numbers, 0, 4, (value, *gradient))


ARITHMETIC = re.compile(r"= (fadd|fsub|fmul|fdiv|(?:tail )?call [^@\n]*@llvm\.(?:fma|sqrt))")


def instructions(template, parts, monkeypatch):
    """Operations among the instructions of a kernel without loops, as LLVM leaves them; fused multiply-adds
    twice.
    """
    monkeypatch.setattr(compiler, "NOINLINE", set())  # all functions go where they are called
    monkeypatch.setattr(compiler, "_linked", {})
    monkeypatch.setattr(compiler.DiskCache, "load_overload", lambda *_: None)
    kernel = compiler.bind(template, parts, numba.void(numba.float64[::1]))
    (overload,) = kernel.overloads.values()
    found = ARITHMETIC.findall(overload.library.get_llvm_str())
    return len(found) + sum("fma" in f for f in found)


@pytest.mark.full
@pytest.mark.parametrize("name", ["erf", "atan2"])
def test_functions_are_counted_as_they_are_compiled(name, monkeypatch):
    function, graph = getattr(elementary, name), Graph("float64")
    arguments = graph.inputs(2 if name == "atan2" else 1)
    template = two_arguments if name == "atan2" else one_argument
    assert within(graph.cost(graph.call(function, {}, *arguments)), instructions(template, {"function": function}, monkeypatch))


@pytest.mark.full
def test_an_update_is_counted_as_it_is_compiled(monkeypatch):
    setting = setting_of(gd.functions.Booth(), gd.Adam())
    parts = {**gd.Adam().parts(), "HYPERPARAMETERS": numbers_type(number_names(setting))}
    assert within(sum(operations.rule_operations(setting)), instructions(an_update, parts, monkeypatch))


def test_a_formula_is_counted_as_it_is_compiled(monkeypatch):
    problem = gd.functions.Ackley(dim=2)
    assert within(operations.value_operations(problem, "float64"), instructions(a_gradient, problem.parts(), monkeypatch))


def backward(graph, widths, activation, samples):
    """(what the losses are, what the gradients are) of a network's samples, every product written out; half
    squared errors of sums.
    """
    weights = [[graph.inputs(m) for _ in range(n)] for m, n in itertools.pairwise(widths)]
    biases = [graph.inputs(n) for n in widths[1:]]
    losses, total = [], None
    for _ in range(samples):
        values = [graph.inputs(widths[0])]
        for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
            z = [dot(row, values[-1], start) for row, start in zip(W, b, strict=True)]
            values.append(z if layer == len(weights) - 1 else [graph.call(activation, {}, v) for v in z])
        delta = [a - y for a, y in zip(values[-1], graph.inputs(widths[-1]), strict=True)]
        losses.append(0.5 * dot(delta, delta))
        gradients = []
        for layer in reversed(range(len(weights))):
            gradients += [d * x for d in delta for x in values[layer]] + delta
            if layer:
                slopes = [1.0 - a * a for a in values[layer]]
                delta = [dot([row[i] for row in weights[layer]], delta) * slope for i, slope in enumerate(slopes)]
        total = gradients if total is None else [a + b for a, b in zip(total, gradients, strict=True)]
    return tuple(losses), tuple(total)


def dot(left, right, start=0.0):
    return functools.reduce(lambda total, pair: total + pair[0] * pair[1], zip(left, right, strict=True), start)


@pytest.mark.parametrize(("hidden", "batch"), [([], 7), ([4, 3], 5)])
def test_a_plan_counts_what_a_network_takes(hidden, batch):
    """Beside backpropagation written out: of every step and of the whole data at every checkpoint, validation
    forward.
    """
    rng = np.random.default_rng(0)
    data = gd.Data(rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), validation=0.25)
    problem = gd.MLP(data, hidden=hidden, activation="tanh", loss="squared_error")
    plan = gd.Sweep(problem=problem, optimizer=gd.SGD(), batch=batch, steps=50, starts=3, record=gd.Record(every=10)).plan()
    graph = Graph("float32")
    step, whole, forward = (graph.cost(*backward(graph, problem.widths, elementary.tanh, n)[:kept]) for n, kept in ((batch, 2), (30, 2), (10, 1)))
    wanted = 3 * (50 * (step + 2 * problem.parameter_count) + 6 * (whole + forward))
    assert within(plan.operations, wanted)
    assert f"{plan.operations:.3g} operations" in str(plan)


class Place:
    """An array of a problem in memory: its length, and numbers that are given."""

    def __init__(self, graph, name, length):
        self.graph, self.name, self.length = graph, name, length

    def __len__(self):
        return self.length

    def __getitem__(self, place):
        return self.graph.load(self, place, 1)


@pytest.mark.parametrize(
    "problem",
    [gd.Quadratic(np.eye(6)), gd.TeacherStudent(teacher=3, student=4), gd.LinearRegression(gd.datasets.load("diabetes"))],
    ids=lambda p: type(p).__name__,
)
def test_problems_in_memory_are_counted_as_their_functions_go(problem):
    """Beside the function that kernels compile, called with numbers that remember how they were made."""
    setting = setting_of(problem, gd.SGD())
    problem, graph = setting.problem, Graph(setting.dtype)
    n = problem.parameter_count
    model = types.SimpleNamespace(**{name: Place(graph, name, n) for name in ("gradients", "scratch", "sums", "constants")})
    if isinstance(problem, gd.TeacherStudent):
        model.constants = problem.constants()
    rows = 0 if problem.data is None else len(problem.data.X)
    sampler = types.SimpleNamespace(sample_count=rows, columns=rows + 3, pitch=16, matrix=Place(graph, "matrix", 0))
    loss = graph.call(problem.parts()["fill_whole_gradient"], {**problem.parts(), "WIDTH": 1, "ZERO": 0.0}, model, "weights", sampler)
    assert within(operations.gradient_operations(problem, setting.dtype, None)[0], graph.cost(loss, *graph.memory.values()))
