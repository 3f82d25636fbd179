"""Derivatives that functions of lanes say themselves: right beside mpmath's and PyTorch's, and nothing to
numbers without tangents.
"""

import re
import types as python_types

import mpmath
import numpy as np
import pytest
from numba import types
from numba.extending import intrinsic

from gdsim.lanes import compiler, elementary, exponentials
from gdsim.lanes.operations import load, store
from gdsim.lanes.tangents import derived, value_of
from gdsim.lanes.tiles import store_row
from gdsim.problems import activations

REAL, WIDTH = types.Array(types.float64, 1, "C"), 4


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


# The function whose derivatives are said, and its arguments; of two where one follows from the other, by the
# first alone.
EXACT = {
    "exp": (mpmath.exp, [-3, 0, 0.5, 20]), "exp_below_zero": (mpmath.exp, [-30, -3, -0.5, -0.1]), "log": (mpmath.log, [1e-3, 0.5, 1, 70]),
    "half_exp_less_one": (lambda x: (mpmath.exp(2 * x) - 1) / 2, [-1, -0.2, 0, 3]), "tanh": (mpmath.tanh, [-2, 0, 0.1, 3]),
    "sigmoid": (sigmoid, [-40, -1, 0, 40]), "softplus": (lambda x: mpmath.log(1 + mpmath.exp(x)), [-40, -1, 0, 40]),
    "sin": (mpmath.sin, [-9, 0, 1, 3]), "cos": (mpmath.cos, [-9, 0.1, 1, 3]), "acos": (mpmath.acos, [-0.9, 0, 0.3, 0.9]), "erf": (mpmath.erf, [-2, 0, 0.3, 3]),
    "atan2": (mpmath.atan2, [1, -1, 0.2, 3], [2, -3, 0.5, 0.1]), "pow": (mpmath.power, [0.5, 2, 3, 9], [2, -1.5, 0.5, 3]),
    "sigmoid_by": (sigmoid, [-40, -1, 0, 40], "e"), "softplus_by": (lambda x: mpmath.log(1 + mpmath.exp(x)), [-40, -1, 0, 40], "e"),
}  # fmt: skip


@intrinsic
def slopes_at(context, x, value, slope):
    """The derivatives that `derived` is told, in its place: a tuple of lanes."""
    given = (*x, value) if isinstance(x, types.BaseTuple) else (x, value)
    called = slope.get_call_type(context, given, {})
    many = isinstance(called.return_type, types.BaseTuple)
    result = called.return_type if many else types.UniTuple(called.return_type, 1)

    def generate(context, builder, _, values):
        own = [builder.extract_value(values[0], k) for k in range(len(given) - 1)] if isinstance(x, types.BaseTuple) else [values[0]]
        found = context.get_function(slope, called)(builder, (*own, values[1]))
        return found if many else context.make_tuple(builder, result, [found])

    return result(x, value, slope), generate


def one(a, b, out):
    store_row(out, 0, 4, function(load(a, 0, 4)))  # noqa: F821


def two(a, b, out):
    store_row(out, 0, 4, function(load(a, 0, 4), load(b, 0, 4)))  # noqa: F821


def slopes_of(body, *arguments):
    """The derivatives of a function at four points, [argument, point]."""
    asked = python_types.FunctionType(body.__code__, {**body.__globals__, "derived": slopes_at}, body.__name__)
    asked.__qualname__ = f"slopes_of_{body.__name__}"  # by which kernels tell it from the function itself
    out = np.full(4 * len(arguments), np.nan)
    compiler.bind(two if len(arguments) == 2 else one, {"function": asked}, types.void(REAL, REAL, REAL))(arguments[0], arguments[-1], out)
    return out.reshape(-1, 4)


@pytest.mark.parametrize("name", EXACT)
def test_a_derivative_is_mpmaths(name):
    exact, *given = EXACT[name]
    x = np.array(given[0], float)
    with mpmath.workdps(40):
        if len(given) == 1:
            truth, arguments = [[mpmath.diff(exact, v) for v in x]], (x,)
        elif given[1] == "e":
            truth, arguments = [[mpmath.diff(exact, v) for v in x], [0, 0, 0, 0]], (x, np.exp(-abs(x)))
        else:
            arguments = (x, np.array(given[1]))
            truth = [[mpmath.diff(exact, p, order) for p in zip(*arguments, strict=True)] for order in ((1, 0), (0, 1))]
    assert slopes_of(getattr(elementary, name), *arguments) == pytest.approx(np.array(truth, float), rel=2e-14, abs=1e-300)


def test_every_function_with_a_derivative_is_compared():
    made = {n for n, f in vars(elementary).items() if getattr(f, "__module__", "") == "gdsim.lanes.generated"}
    assert made == set(EXACT) >= {f.__name__ for f in elementary.ELEMENTARY}


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_at_its_kink_an_activation_has_the_slope_of_the_backward_pass_which_is_pytorchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[torch]'")
    z = torch.tensor([-1.0, -0.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    getattr(torch.nn.functional, name)(z).sum().backward()
    assert slopes_of(getattr(activations, name), z.detach().numpy()).tolist() == [z.grad.tolist()]


def instructions(template):
    """The machine code of a kernel, its names left out."""
    (result,) = compiler.bind(template, {"log": exponentials.log}, types.void(REAL, REAL)).overloads.values()
    lines = [re.sub(r"\s*#.*", "", line).strip() for line in result.library.get_asm_str().splitlines()]
    return [re.sub(r'"?[\w.$<>]*(?:_Z|\.L|cfunc|told|plain|const)[\w.$<>]*"?', "name", line) for line in lines if line and not line.startswith(".")]


def test_numbers_without_tangents_know_nothing_of_derivatives(monkeypatch, tmp_path):
    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path))  # what is read from a cache cannot be inspected

    def plain(a, out):
        store(out, 0, log(load(a, 0, 4)))  # noqa: F821

    def told(a, out):
        x = load(a, 0, 4)
        store(out, 0, derived(x, log(value_of(x)), never_compiled))  # noqa: F821

    assert instructions(told) == instructions(plain)


def never_compiled(x, y):
    return x.no_such_thing
