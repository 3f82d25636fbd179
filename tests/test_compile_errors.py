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
from gdsim import lanes
from gdsim.cli import main
from gdsim.kernels.compile_errors import MEANING_THE_SAME, WRITTEN_OUT, explained
from gdsim.lanes import exp, pow
from gdsim.lanes.generated import function_from
from gdsim.lanes.mapping import mapped
from gdsim.population.engine_choice import structure_of
from gdsim.rules.base import BY_CONVENTION, RATE, Axis, Rule
from gdsim.schedules.base import Schedule
from tests.faults.machinery import shards

FILE = "test_compile_errors.py"
FACTORS = [1.0, 2.0]
NAMED = {"factor": 1.0}


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


def counts_conditions(w, g, slots, s):
    return w - s * (2.0 * (g > 0.0) - 1.0), slots


def subtracts_conditions(w, g, slots, s):
    return w - s * ((g > 0.0) - (g < 0.0)), slots  # pyright: ignore[reportOperatorIssue]


def chooses_numbers(w, g, slots, s):
    return w - s * lanes.where(g > 0.0, 1.0, -1.0), slots


def squares(w, g, slots, s):
    return w - s * g**2, slots


def takes_a_constant_power(w, g, slots, s):
    return w - s * pow(g, 3.0), slots


def looks_in_a_module(w, g, slots, s):
    return w - s * lanes.exp(g), slots


def rounds(w, g, slots, s):
    return w - s * np.round(g), slots


def takes_a_root(w, g, slots, s):
    return w - s * np.cbrt(g), slots


def reads_a_list(w, g, slots, s):
    return w - s * FACTORS[0] * g, slots


def reads_a_dict(w, g, slots, s):
    return w - s * NAMED["factor"] * g, slots


def asks_python(w, g, slots, s):
    return w - s * any([g > 0.0, w > 0.0]), slots


def tries(w, g, slots, s):
    try:
        return w - s * g, slots
    except ValueError:
        return w, slots


def keeps_more(w, g, slots, s):
    return w - s * g, (g, w)


def carries_more(h, rate, carry):
    return rate, (rate,)


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
    uses_sign: ("return", r"sign of Python or NumPy cannot .*; write sign of gdsim.lanes \(from gdsim.lanes import sign\)$"),
    uses_log10: (
        "return",
        r"log10 of Python or NumPy cannot be used on lanes, as in log10\(lane\); write 0.4342944819032518 \* log\(x\), with functions of gdsim.lanes$",
    ),
    rounds: ("return", r"round of Python or NumPy cannot .* as in round\(lane\); write floor\(x \+ 0.5\), with functions of gdsim.lanes$"),
    takes_a_root: ("return", r"cbrt of .*; write sign\(x\) \* exp\(log\(absolute\(x\)\) / 3.0\), with functions of gdsim.lanes$"),
    squares: (
        "return",
        r"pow of Python .* as in pow\(lane, 2\); write x \* x of a square, or pow\(x, broadcast\(exponent, x\)\), with functions of gdsim.lanes$",
    ),
    takes_a_constant_power: ("return", r"pow cannot be used on a number and lanes; broadcast\(number, x\) of gdsim.lanes makes a lane of it, like x$"),
    looks_in_a_module: ("return", "kernels find no function in a module; write from gdsim.lanes import exp, and exp alone$"),
    counts_conditions: (
        "return",
        r"\* cannot be used here, as in mul\(number, condition\); a condition is no number; where\(condition, this, that\) of gdsim.lanes chooses",
    ),
    subtracts_conditions: ("return", r"a condition is no number; where\(condition, this, that\) of gdsim.lanes chooses"),
    chooses_numbers: ("return", r"one of the two that where chooses from must be a lane, as in where\("),
    reads_a_list: ("return", "it reads FACTORS, of type list, which kernels cannot hold; allowed: numbers, tuples"),
    reads_a_dict: ("return", "it reads NAMED, of type dict, which kernels cannot hold; allowed: numbers, tuples"),
    asks_python: ("return", r"any of Python or NumPy cannot be used on lanes; write x \| y$"),
    tries: ("except", "try and with cannot be used in kernels, where nothing raises: leave them out$"),
    keeps_more: ("def", "gives 2 numbers as the new slots, and the class names 1 in slots$"),
    carries_more: ("def", "gives 1 number as the new carry, and the class names 0 in carry$"),
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
    reads_another: ("return", "there is no 'momentum' among 'lr'; a rule names its numbers in defaults, a schedule in ranges$"),
    prepares_a_list: ("return", r"a list, .* write a tuple, or a NamedTuple"),
    forgets_the_carry: ("def", "must give two things, what update needs and the new carry; it gives one number"),
}


SIBLINGS = (  # of kinds that others stand for in the first tier
    uses_log10, gives_one, unpacks_more, takes_three, divides_whole, forgets_the_carry, rounds, subtracts_conditions, chooses_numbers, reads_a_list,
    asks_python, tries, carries_more, squares, takes_a_constant_power, looks_in_a_module,
)  # fmt: skip


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


def decays(base, t, p):
    return base * exp(-0.1 * t)


def takes_a_root_of_t(base, t, p):
    return base / lanes.sqrt(t)


def takes_a_power_of_t(base, t, p):
    return base * pow(t, -0.5)


def counts_in_tens(base, t, p):
    return base * (t % 10)


def raises_a_number(base, t, p):
    return base * 0.9**t


def gives_the_number(base, t, p):
    return t


@pytest.mark.full
@pytest.mark.parametrize("function", [decays, takes_a_root_of_t, takes_a_power_of_t, counts_in_tens, raises_a_number, gives_the_number])
def test_a_number_of_updates_is_whole(monkeypatch, function):
    monkeypatch.setattr(Halving, "rate", staticmethod(function))
    place = rf"^{function.__name__} \({FILE}, line {line_of(function, 'def' if function is gives_the_number else 'return')}\)"
    with pytest.raises(ValueError, match=rf"{place} [^\n]*a number of updates is whole; as_type_of\(t, base\) of gdsim.lanes[^\n]*$"):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), schedule=Halving(), steps=2).run(progress=False)


@pytest.mark.full
def test_what_is_written_in_the_place_of_other_functions_means_the_same():
    """By NumPy's functions, also where they give NaN; what is clipped to the limits -0.2 and 0.7."""
    at = np.linspace(-1.93, 1.91, 32)[:, None] * [1.0, -0.3]
    formulas = {
        n: f.replace("low", "-0.2").replace("high", "0.7") for n, f in WRITTEN_OUT.items() if n not in ("sum", "mean", "any", "all", "float", "pow", "power")
    }
    text = f"def all_of_them(a):\n    x, y = a\n    return ({', '.join(formulas.values())},)"
    found = mapped(function_from(text, "all_of_them", {n: getattr(lanes, n) for n in lanes.__all__}), at, len(formulas))
    others = {"round": np.rint, "floordiv": np.floor_divide, "clip": lambda x: np.clip(x, -0.2, 0.7)}
    with np.errstate(invalid="ignore"):
        for column, name in zip(found.T, formulas, strict=True):
            known = others.get(name) or getattr(np, name)
            wanted = known(*at.T) if name in ("hypot", "mod", "floordiv") else known(at[:, 0])
            np.testing.assert_allclose(column, wanted, rtol=1e-12, err_msg=name)
    assert set(MEANING_THE_SAME.values()) <= set(lanes.__all__)


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
