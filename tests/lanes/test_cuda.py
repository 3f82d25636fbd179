"""The same source on CUDA: every elementary function, activation, loss, rule and schedule compiles to PTX,
rounded and not contracted.
"""

import importlib.util
import re

import pytest

if importlib.util.find_spec("numba_cuda") is None:
    pytest.skip("what compiles for CUDA, which needs no GPU, is not installed: pip install -e '.[cuda]'", allow_module_level=True)
try:
    from gdsim.lanes import cuda
except ImportError as error:
    pytest.skip(f"numba-cuda cannot be used: {error}", allow_module_level=True)

from numba.cuda import types

import gdsim as gd
from gdsim.lanes import elementary
from gdsim.lanes.operations import as_type_of, load, store
from gdsim.lanes.permutation import order_key, permuted
from gdsim.lanes.philox import normal_pair, random_words
from gdsim.lanes.tiles import load_row, store_row
from gdsim.problems.activations import ACTIVATIONS
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.rules import RULES
from gdsim.schedules import SCHEDULES

EXAMPLES = [
    gd.Constant(), gd.InverseTime(), gd.Power(0.5), gd.Step(length=5), gd.MultiStep([3, 7]), gd.Exponential(0.9), gd.Polynomial(steps=9), gd.Cosine(cycle=9),
    gd.CosineDecay(steps=9), gd.SGDR(cycle=3), gd.Triangular(half_cycle=3), gd.Triangular2(half_cycle=3), gd.ExpRange(half_cycle=3), gd.OneCycle(steps=9),
    gd.Snapshot(steps=9, cycles=3), gd.Piecewise([(0, 1.0), (5, 0.1)]), gd.Warmup(gd.Cosine(cycle=9), warmup=3),
]  # fmt: skip
WRAPPED = [
    gd.ClipValue(gd.Adam(), 1.0),
    gd.WeightDecay(gd.SGD(), 0.1),
    gd.WeightDecay(gd.SGD(), 0.1, decoupled=False),
    gd.Averaged(gd.Nesterov()),
    gd.SAM(gd.SGD()),
]
PRECISIONS = {"f32": types.float32, "f64": types.float64}


def one(a, out):
    store(out, 0, function(load(a, 0, 1)))  # noqa: F821


def two(a, out):
    store(out, 0, function(load(a, 0, 1), load(a, 1, 1)))  # noqa: F821


def contracted(ptx):
    """Multiplications and additions that the device may fuse: those without a rounding mode."""
    return re.findall(r"\b(?:mul|add|sub|mad|fma|div|sqrt)\.(?:approx\.|full\.)?f(?:32|64)\b", ptx)


def ptx_of(template, kind, *, arrays=2, **parts):
    return cuda.compile_ptx(template, parts, (types.Array(PRECISIONS[kind], 1, "C"),) * arrays)


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("body", elementary.ELEMENTARY, ids=lambda b: b.__name__)
def test_an_elementary_function_compiles(body, kind):
    ptx = ptx_of(two if body.__code__.co_argcount == 2 else one, kind, function=body)
    assert f"fma.rn.{kind}" in ptx
    assert contracted(ptx) == []


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_compiles(name, kind):
    def both(a, out):
        z = load(a, 0, 1)
        y = value(z)  # noqa: F821
        store(out, 0, y)
        store(out, 1, slope(z, y))  # noqa: F821

    assert contracted(ptx_of(both, kind, value=ACTIVATIONS[name].value, slope=ACTIVATIONS[name].slope)) == []


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("name", [n for n, loss in SAMPLE_LOSSES.items() if n != "cross_entropy"])
def test_a_pointwise_loss_compiles(name, kind):
    def both(a, out):
        loss, delta = pointwise(load(a, 0, 1), load(a, 1, 1))  # noqa: F821
        store(out, 0, loss)
        store(out, 1, delta)

    identity = ACTIVATIONS["identity"]
    ptx = ptx_of(both, kind, pointwise=SAMPLE_LOSSES[name].pointwise, output=identity.value, output_slope=identity.slope)
    assert contracted(ptx) == []


CONVENTIONS = [rule(convention=convention) for rule in RULES for convention in rule.defaults]


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("declared", [*CONVENTIONS, *WRAPPED], ids=lambda r: f"{type(r).__name__} {r.convention}")
def test_a_rule_compiles(declared, kind):
    from gdsim.population.hyperparameters import numbers_type

    values = dict.fromkeys(declared.hyperparameters(), 0.5)
    numbers = numbers_type((*values, *declared.constants(values)))

    def step(a, out):
        h = numbers_of(*load_row(a, 0, 1, count, 1))  # noqa: F821
        s, carry = prepare(h, h.lr, load_row(a, 20, 1, carries, 1))  # noqa: F821
        w, slots = update(load(a, 30, 1), load(a, 31, 1), load_row(a, 32, 1, slot_count, 1), s)  # noqa: F821
        store(out, 0, reported(w, slots, s))  # noqa: F821
        store_row(out, 1, 1, slots)
        store_row(out, 9, 1, carry)

    parts = {"numbers_of": numbers, "count": len(numbers._fields), "carries": len(declared.carry), "slot_count": len(declared.slots)}
    ptx = ptx_of(step, kind, **declared.parts(), **parts)
    assert f".rn.{kind}" in ptx
    assert contracted(ptx) == []


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("schedule", EXAMPLES, ids=lambda s: type(s).__name__)
def test_a_schedule_compiles(schedule, kind):
    from gdsim.population.hyperparameters import numbers_type

    numbers = numbers_type(tuple(schedule.hyperparameters()) or ("unused",))

    def at(a, t, out):
        h = numbers_of(*load_row(a, 0, 1, count, 1))  # noqa: F821
        store(out, 0, rate(load(a, 9, 1), load(t, 0, 1), h))  # noqa: F821

    parts = {"numbers_of": numbers, "rate": schedule.parts()["rate"], "count": len(numbers._fields)}
    real = types.Array(PRECISIONS[kind], 1, "C")
    assert contracted(cuda.compile_ptx(at, parts, (real, types.Array(types.uint32, 1, "C"), real))) == []


def test_every_schedule_has_an_example():
    assert {type(e) for e in EXAMPLES} == set(SCHEDULES)


def test_random_numbers_and_orders_compile():
    def draws(words, out):
        start = load(words, 0, 1)
        a, b = normal_pair(random_words(start, 0, 0, 1, (words[1], words[2])), load(out, 0, 1))
        store(out, 0, a)
        store(out, 1, b)
        store(out, 2, as_type_of(permuted(start, order_key(start, 1, 0, (words[1], words[2]), words[3])), a))

    ptx = cuda.compile_ptx(draws, {}, (types.Array(types.uint32, 1, "C"), types.Array(types.float64, 1, "C")))
    assert contracted(ptx) == []
    assert gd.lanes.exp(0.0) == 1.0
