"""How many floating-point operations runs take, counted: what a plan says, and what weighs structures of
which no run has finished.

Chunks are cut by another formula, `Problem.step_operations`, which is part of the format of folders.
"""

import functools
from typing import Any

from gdsim.population.counting import Graph, UncountableError
from gdsim.population.hyperparameters import number_names, numbers_type, schedule_numbers_of
from gdsim.population.looks import looks_of
from gdsim.population.setting import Setting
from gdsim.problems import Network
from gdsim.problems.moments import Moments
from gdsim.problems.parts import Sample
from gdsim.problems.quadratic import Quadratic
from gdsim.problems.teacher import TeacherStudent

PENALTY_OPERATIONS = 4.0  # of a weight: l2 times it, l1 times its sign, and both sums
ANGLE_OPERATIONS = 67.0  # of two units of a teacher and a student: two roots, an arc tangent, and what is made of them
SHARPNESS_GRADIENTS = 45.0  # of a checkpoint whose sharpness is recorded: about 20 products, of which each takes 2.2
TANGENT_OPERATIONS = 1.0  # of one with each tangent: more, and as much time or less, as they need no loads of their own
RULE_OPERATIONS = 10.0  # of a parameter, where a rule of one's own cannot be counted


def run_operations(setting: Setting) -> float:
    """Operations of one run that no stop ends: its steps, and the looks of checkpoints and stops."""
    problem, kind, data = setting.problem, setting.dtype, setting.problem.data
    validation_samples = 0 if data is None or data.validation is None else len(data.validation.X)
    whole, forward = gradient_operations(problem, kind, None)
    look = whole if setting.record.gradient_norm else forward
    look += SHARPNESS_GRADIENTS * whole * setting.record.sharpness
    look += gradient_operations(problem, kind, validation_samples)[1] if validation_samples else 0.0
    every = [looks_of(setting, stop)[0] for stop in setting.stops]
    looks = len(setting.checkpoints) + sum((setting.steps - setting.began) // n for n in every if n)
    tangents = 1.0 + TANGENT_OPERATIONS * len(setting.live_tangents)
    steps = (setting.steps - setting.began) * setting.gradients_per_step
    return tangents * (steps * operations_of_step(setting) + looks * look)


def operations_of_step(setting: Setting) -> float:
    """Operations of one update: the gradient on a batch, twice where it is taken elsewhere too, and what the
    rule makes of it.
    """
    problem, rule = setting.problem, setting.rule
    batch = setting.samples_per_gradient if setting.has_shards else setting.step_batch
    gradient, _ = gradient_operations(problem, setting.dtype, batch)
    once, each = rule_operations(setting)
    if rule.needs_whole_gradient or rule.perturbs:
        each += 2.0  # the gradient's squares and their sum
    if rule.perturbs:
        each += 2.0  # the way there
    return (1 + rule.perturbs) * gradient + once + problem.parameter_count * (each + PENALTY_OPERATIONS * setting.has_penalty)


def rule_operations(setting: Setting) -> tuple[float, float]:
    """Operations of a rule and its schedule (once a step, once a parameter and step)."""
    rule, graph = setting.rule, Graph(setting.dtype)
    parts = {**rule.parts(), **setting.schedule.parts()}
    names = number_names(setting)
    numbers = numbers_type(names)._make(graph.inputs(len(names)))
    scheduled = schedule_numbers_of(tuple(setting.schedule.hyperparameters()))(numbers)
    (count,) = graph.inputs(1, is_real=False)
    try:
        rate = graph.call(parts["rate"], parts, numbers.lr, count, scheduled)
        step, carry = graph.call(parts["prepare"], parts, numbers, rate, graph.inputs(len(rule.carry)))
        if rule.needs_whole_gradient:
            step = graph.call(parts["with_gradient"], parts, step, *graph.inputs(2))
        updated = graph.call(parts["update"], parts, *graph.inputs(2), graph.inputs(len(rule.slots)), step)
    except (UncountableError, AttributeError, TypeError, ValueError):  # what is wrong with it is said where it is compiled
        return 0.0, RULE_OPERATIONS
    return graph.cost(step, carry), graph.cost(updated, but=(step, carry))


@functools.singledispatch
def gradient_operations(problem: Any, dtype: str, batch: int | None) -> tuple[float, float]:
    """Operations of (loss and gradient, the loss alone) of so many samples, of all of them if None."""
    count = 1 if problem.data is None else batch or len(problem.data.X)
    if problem.family == "function":
        both = count * value_operations(problem, dtype)
        return both, both
    both = problem.step_operations(count)
    return both, both


@gradient_operations.register
def _(problem: Network, dtype: str, batch: int | None) -> tuple[float, float]:
    both, forward = sample_operations(problem, dtype)
    count = batch or len(problem.data.X)
    return count * both, count * forward


@gradient_operations.register
def _(problem: Quadratic, dtype: str, batch: int | None) -> tuple[float, float]:
    """A (w - c) and half its product with w - c; in batches the means of 2 n + 1 columns too."""
    n = float(problem.parameter_count)
    count = 2.0 * n * n + 3.0 * n + (0.0 if batch is None else (2.0 * n + 1.0) * (batch + 1.0) + 3.0 * n)
    return count, count


@gradient_operations.register
def _(problem: Moments, dtype: str, batch: int | None) -> tuple[float, float]:
    """c + G (w - r) of every output, and its product with w - r."""
    count = (2.0 * len(problem.data.X) + 6.0) * problem.parameter_count
    return count, count


@gradient_operations.register
def _(problem: TeacherStudent, dtype: str, batch: int | None) -> tuple[float, float]:
    """The lengths of the students, and of every student with every other unit an angle, a sum over the inputs
    there and one back.
    """
    students, inputs = problem.student, problem.teacher
    count = students * (students - 1.0 + inputs) * (10.0 * inputs + ANGLE_OPERATIONS) + students * (4.0 * inputs + 5.0)
    return count, count


@functools.lru_cache(maxsize=256)
def sample_operations(problem: Network, dtype: str) -> tuple[float, float]:
    """Operations of a network's (loss and gradient, loss alone) of one sample.

    Of a matrix of m x n, 2 m n forward, as many for its gradient, and as many for the layer before, but for
    samples. A residual layer adds its activations to others, and its deltas.
    """
    parts, graph = {**problem.parts(), "WIDTH": 1, "ZERO": 0.0}, Graph(dtype)
    wiring = problem.wiring
    products = [(source, 2.0 * wiring.widths[source] * wiring.widths[target]) for source, target in wiring.edges]
    whole, back, added = sum(n for _, n in products), sum(n for source, n in products if source > 0), float(sum(wiring.widths[layer] for layer in wiring.adds))
    value, slope, outputs = 0.0, 0.0, problem.layers[-1][1]
    for index, (_, units) in enumerate(problem.layers[:-1]):
        z, a, delta = graph.inputs(3)
        value += units * graph.cost(graph.call(parts["activation"], parts, z, index))
        slope += units * graph.cost(delta * graph.call(parts["slope"], parts, z, a, index))
    loss = graph.call(parts["sample_loss"], parts, Sample("values", 0, outputs, "deltas", 0, 1, outputs, graph.inputs(1)[0]))
    forward = whole + value + added + graph.cost(loss, *graph.memory.values())
    biases = sum(units for _, units in problem.layers) if problem.intercept else 0
    return forward + slope + whole + back + added + biases, forward


@functools.lru_cache(maxsize=256)
def value_operations(problem: Any, dtype: str) -> float:
    """Operations of a formula's or an own function's value and gradient, of one sample where it has some."""
    graph, parts, data = Graph(dtype), problem.parts(), problem.data
    given = [graph.inputs(problem.parameter_count)]
    if data is not None:
        given.append(graph.inputs(data.X.shape[1] + data.y.reshape(len(data.y), -1).shape[1]))
    try:
        return float(graph.cost(graph.call(parts["value_and_gradient"], parts, *given)))
    except UncountableError:
        return problem.step_operations(1)
