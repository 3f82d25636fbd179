"""What decides the name of machine code: values that functions hold, scopes of parts, switches of the compiler."""

import enum
import types

import numba
import numpy as np
import pytest
from numba.core import config

from gdsim.lanes.compiler import ScopedPart, describe, digest_of
from gdsim.lanes.generated import function_from
from gdsim.lanes.machine import SWITCHES, machine


def template(out):
    out[0] = part(1.0)  # noqa: F821


class Sizes(enum.Enum):
    LARGE = 2.0


class OtherSizes(enum.Enum):
    LARGE = 3.0


OtherSizes.__name__ = "Sizes"
LONG = np.zeros(5000)  # whose middle is not written by `repr`
HALVES = (numba.njit(lambda x: x * 0.5), numba.njit(lambda x: x * 0.25))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("def part(x, c=conf.value):\n    return x * c", (2.0, 3.0)),
        ("def part(x, c=conf.value):\n    return x + c[2500]", (LONG, np.where(np.arange(5000) == 2500, 1.0, LONG))),
        ("def part(x, *, c=conf.value):\n    return x * c", (2.0, 3.0)),
        ("def part(x, f=conf.value):\n    return f(x)", (np.sin, np.cos)),
        ("def part(x):\n    return x * conf.value", (2.0, 3.0)),
        ("def part(x):\n    within = conf\n    return x * within.within.value[0][2500]", ((LONG,), (LONG + 1.0,))),
        ("def part(x):\n    return x * conf.value.LARGE.value", (Sizes, OtherSizes)),
        ("def part(x):\n    return conf.value(x)", HALVES),
        ("value = conf.value\ndef part(x):\n    return value(x)", (np.float32, np.float64)),
        ("value = conf.value\ndef part(x):\n    return x * value[0][2500]", ((LONG,), (LONG + 1.0,))),
    ],
    ids=["default", "array", "by name alone", "function", "module", "module in a module", "enum", "compiled", "type", "array in a tuple"],
)
def test_values_that_machine_code_holds_decide_its_name(text, values):
    digests = []
    for value in (*values, values[0]):
        conf = types.ModuleType("conf")
        conf.value, conf.within = value, conf
        part = function_from(text, "part", {"conf": conf})
        part.__module__ = "users"
        digests.append(describe(template, {"part": part}, None).digest)
    assert digests[0] == digests[2] != digests[1]


def first_of_two(x):
    return helper(x)  # noqa: F821


def second_of_two(x):
    return 10.0 * helper(x)  # noqa: F821


def of_two(out):
    out[0] = first(1.0) + second(1.0)  # noqa: F821


def test_parts_of_scopes_are_told_apart_by_their_scopes():
    """The same functions and the same parts, each in the other's scope."""

    def digest(inner, other):
        first, second = ScopedPart(first_of_two, (("helper", inner),)), ScopedPart(second_of_two, (("helper", other),))
        return digest_of(of_two, {"first": first, "second": second})

    assert digest(np.sin, np.cos) == digest(np.sin, np.cos) != digest(np.cos, np.sin)


def test_switches_of_numba_that_change_machine_code_decide_its_name(monkeypatch):
    for name, default in SWITCHES.items():
        monkeypatch.setattr(config, name, default)
    machine.cache_clear()
    usual = machine()
    for name, value in (("OPT", 1), ("OPT", config._OptLevel("max")), ("BOUNDSCHECK", 1), ("SLP_VECTORIZE", 1), ("DEBUGINFO_DEFAULT", 1)):
        with monkeypatch.context() as within:
            within.setattr(config, name, value)
            machine.cache_clear()
            assert machine().startswith(f"{usual}\n{name}=")
    machine.cache_clear()
