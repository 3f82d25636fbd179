"""Mistakes in rules, schedules and functions of the user's are one line each, with what to write instead,
wherever they are met.
"""

import inspect
import math
import os
import subprocess
import sys
import traceback

import numpy as np
import pytest
from click.testing import CliRunner

import gdsim as gd
from gdsim.cli import main
from gdsim.kernels.compile_errors import explained
from gdsim.population.engine_choice import structure_of
from gdsim.rules.base import BY_CONVENTION, RATE, Axis, Rule
from gdsim.schedules.base import Schedule
from tests.faults.machinery import shards

FILE = "test_compile_errors.py"


def line_of(function, text):
    """The number of the line of a function that holds a text, as the file says it."""
    with open(__file__, encoding="utf-8") as file:
        lines = file.read().splitlines()
    return next(n for n, line in enumerate(lines[function.__code__.co_firstlineno - 1 :], function.__code__.co_firstlineno) if text in line)


def uses_abs(w, g, slots, s):
    return w - s * abs(g), slots


def uses_math(w, g, slots, s):
    step = s * math.tanh(g)
    return w - step, slots


def chooses(w, g, slots, s):
    if g > 0.0:
        return w - s, slots
    return w + s, slots


def misspells(w, g, slots, s):
    return w - s * absolut(g), slots  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


def gives_three(w, g, slots, s):
    return w - s * g, slots, s


def gives_one(w, g, slots, s):
    return w - s * g


def gives_a_list(w, g, slots, s):
    return w - s * g, [g]


def forgets_a_slot(w, g, slots, s):
    return w - s * g, ()


def unpacks_more(w, g, slots, s):
    mean, square = slots
    return w - s * (g + mean + square), slots


def takes_three(w, g, slots):
    return w - g, slots


def divides_whole(w, g, slots, s):
    return w - s * (g // 2.0), slots


def reads_another(h, rate, carry):
    return rate * h.momentum, carry


def uses_sign(w, g, slots, s):
    return w - s * np.sign(g), slots


def uses_log10(w, g, slots, s):
    return w - s * np.log10(g), slots


def draws(w, g, slots, s):
    return w - s * g * np.random.rand(), slots


def prints(w, g, slots, s):
    print(w)  # noqa: T201
    return w - s * g, slots


def lacks_a_global(w, g, slots, s):
    return w - s * FACTOR * g, slots  # noqa: F821


def loops(w, g, slots, s):
    while g > 0.0:
        g = g - 1.0
    return w - s * g, slots


def prepares_a_list(h, rate, carry):
    return [rate, rate], carry


def forgets_the_carry(h, rate, carry):
    return rate


class Mine(Rule, tag="mistaken_by_a_test", frozen=True):
    lr: Axis = BY_CONVENTION

    slots = ("mean",)
    defaults = {"lecture": {"lr": 0.1}}
    ranges = {"lr": RATE}

    @staticmethod
    def prepare(h, rate, carry):
        return rate, carry

    @staticmethod
    def update(w, g, slots, s):
        return w - s * g, slots


MISTAKES = {
    uses_abs: (
        "return",
        r"abs of Python or NumPy cannot be used on lanes, as in abs\(lane\); write absolute of gdsim.lanes \(from gdsim.lanes import absolute\)",
    ),
    uses_math: ("tanh", r"tanh of Python or NumPy cannot .*from gdsim.lanes import tanh"),
    chooses: ("if", r"differs from run to run, so that if, and, or cannot decide by it; write where\(condition, this, that\) of gdsim.lanes"),
    uses_sign: ("return", "sign of Python or NumPy cannot .*; write sign of gdsim.lanes.operations$"),
    uses_log10: ("return", r"log10 of Python or NumPy cannot be used on lanes, as in log10\(lane\)$"),
    lacks_a_global: ("return", "the name 'FACTOR' is not there$"),
    loops: ("while", r"differs from run to run"),
    misspells: ("return", r"the name 'absolut' is not there; write absolute of gdsim.lanes"),
    gives_three: ("def", "must give two things, the new weight and its new slots; it gives 3 things"),
    gives_one: ("def", "must give two things, the new weight and its new slots; it gives one number"),
    gives_a_list: ("return", r"a list, .* kernels cannot hold; write a tuple"),
    forgets_a_slot: ("def", "gives 0 numbers as the new slots, and the class names 1 in slots"),
    unpacks_more: ("mean,", r"not enough values to unpack \(expected 2, got 1\)"),
    takes_three: ("def", r"takes 3 arguments, \(w, g, slots\), and is given 4"),
    divides_whole: ("return", r"// cannot be used here, as in floordiv\(lane, number\)"),
    reads_another: ("return", "there is no 'momentum' among 'lr'"),
    prepares_a_list: ("return", r"a list, .* write a tuple, or a NamedTuple"),
    forgets_the_carry: ("def", "must give two things, what update needs and the new carry; it gives one number"),
}


SIBLINGS = (uses_log10, gives_one, unpacks_more, takes_three, divides_whole, forgets_the_carry)  # of kinds that others stand for in the first tier


@pytest.mark.parametrize("function", [pytest.param(f, marks=pytest.mark.full if f in SIBLINGS else (), id=f.__name__) for f in MISTAKES])
def test_a_mistake_in_a_rule_is_one_line_that_says_what_to_write(monkeypatch, function):
    text, said = MISTAKES[function]
    monkeypatch.setattr(Mine, "prepare" if "rate" in function.__code__.co_varnames else "update", staticmethod(function))
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=Mine(), steps=2)
    with pytest.raises(ValueError, match=said) as found:
        sweep.run(progress=False)
    assert "\n" not in str(found.value)
    assert str(found.value).startswith(f"{function.__name__} ({FILE}, line {line_of(function, text)})")
    assert "numba" not in "".join(traceback.format_exception(found.value))


@pytest.mark.parametrize(("function", "told"), [(draws, "it draws random numbers, which no seed of the sweep decides"), (prints, "it prints; look at")])
def test_a_rule_does_nothing_beside_its_step(monkeypatch, function, told):
    monkeypatch.setattr(Mine, "update", staticmethod(function))
    with pytest.raises(
        ValueError, match=rf"^Mine on Booth cannot be compiled: {function.__name__} \({FILE}, line \d+\) cannot be part of a kernel: {told}[^\n]*$"
    ):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=Mine(), steps=2).run(progress=False)


class Halving(Schedule, tag="halving_by_a_test", frozen=True):
    @staticmethod
    def rate(base, t, p):
        return base / t


def test_mistakes_of_schedules_and_within_wrappers_are_told_likewise(monkeypatch):
    divided = rf"^Halving.rate \({FILE}, line \d+\) cannot be used: / cannot .*a number of updates is whole; as_type_of\(t, base\)"
    with pytest.raises(ValueError, match=divided):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), schedule=Halving(), steps=2).run(progress=False)
    monkeypatch.setattr(Mine, "update", staticmethod(chooses))
    with pytest.raises(ValueError, match=rf"^chooses \({FILE}, line \d+\) cannot be used: a condition"):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.ClipValue(Mine(), 1.0), steps=2).run(progress=False)


@pytest.mark.full
def test_a_module_may_train_while_it_is_imported(tmp_path):
    """The compiler asks for the module of a rule's functions, whose lock an import holds."""
    source = inspect.getsource(Halving).replace("base / t", "base")
    text = "import gdsim as gd\nfrom gdsim.schedules.base import Schedule\n\n\n" + source
    text += "\n\nprint(gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), schedule=Halving(), steps=2).run(progress=False).final_loss.size)\n"
    (tmp_path / "study_of_a_test.py").write_text(text)
    settings = {**os.environ, "GDSIM_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", "import study_of_a_test"], cwd=tmp_path, capture_output=True, text=True, check=True, env=settings, timeout=600)
    assert done.stdout.split() == ["1"]


MODULE = (
    "from gdsim.lanes import any, where\n\ndef f(x):\n    value = x[0] * x[0]\n    if any(x[0] > 3.0):\n        value = {}\n    return value, (2.0 * x[0],)\n"
)
EXPERIMENT = 'steps = 2\n[problem]\ntype = "own"\nfunction = "mistaken_of_a_test:f"\ndim = 1\n[optimizer]\ntype = "sgd"\n'


def test_mistakes_that_only_compiling_finds_end_a_command_in_one_line(tmp_path):
    (tmp_path / "mistaken_of_a_test.py").write_text(MODULE.format("abs(value)"))
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    command = CliRunner().invoke(main, ["run", str(tmp_path / "e.toml"), "--out", str(tmp_path / "out")])
    assert command.exit_code == 2
    assert command.output.splitlines()[-1] == (
        "Error: f (mistaken_of_a_test.py, line 6) cannot be used: abs of Python or NumPy cannot be used on lanes, as in abs(lane); "
        "write absolute of gdsim.lanes (from gdsim.lanes import absolute)"
    )
    assert not shards(tmp_path / "out")


def test_what_is_no_mistake_of_the_users_keeps_the_compilers_words():
    """Of a template of gdsim's own, whose authors read them."""
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), steps=2)
    structure = structure_of(sweep.plan().groups[0].setting, 16)
    assert not explained(structure, TypeError("the part 'fill' of this template was not bound")).is_known
