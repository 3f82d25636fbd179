"""Formulas: what a Python function or a text means to its last bit, and what is said of those that cannot be
used.
"""

import math

import numpy as np
import pytest
import sympy
from click.testing import CliRunner

import gdsim as gd
from gdsim.cli import main

SHIFT = 1e8 + 1 / 3


@pytest.mark.parametrize(("function", "names", "at", "value"), [
    (lambda E: E**2 - 2 * E, ("E",), [3.0], 3.0), (lambda SE: SE**2 + SE, ("SE",), [2.0], 6.0), (lambda x: sympy.exp(1) * x**2, ("x",), [2.0], 4 * math.e),
    (lambda I, S, N, O, Q, beta, gamma: I + S * N + O * Q + beta / gamma, tuple("ISNOQ") + ("beta", "gamma"), [1.0, 2, 3, 4, 5, 6, 8], 27.75),  # noqa: E741
    (lambda b, a: 10 * (b - 2) ** 2 + (a - 1) ** 2, ("b", "a"), [2.0, 1.0], 0.0), (lambda x, y: x**2, ("x", "y"), [3.0, 5.0], 9.0),
    (lambda x: (x - SHIFT) ** 2, ("x",), [SHIFT], 0.0), (lambda x: 0.1 * x, ("x",), [1.0], 0.1),
    (lambda x: np.float64(1 / 3) * x, ("x",), [1.0], 1 / 3), (lambda x: sympy.pi * x, ("x",), [1.0], math.pi),
    (lambda x, y: sympy.Max(x, y, 0) + sympy.Min(x, sympy.Abs(y), 1, 2), ("x", "y"), [-3.0, 2.0], -1.0),
])  # fmt: skip
def test_a_python_function_keeps_its_names_their_order_and_its_numbers(function, names, at, value):
    problem = gd.Expression(function)
    assert problem.variables == names
    assert float(problem.value(at)) == value


def test_a_variable_that_does_not_count_has_no_slope():
    problem = gd.Expression(lambda x, y: x**2)
    assert problem.gradient([3.0, 5.0]).tolist() == [6.0, 0.0]
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), init=[[1.0, 5.0]], steps=1, record=gd.Record(parameters=True)).run()
    assert result.parameters.values[0].tolist() == [1.0 - 0.1 * 2.0, 5.0]


def test_columns_are_no_variables_of_a_function():
    data = gd.Data([[0.0], [1.0]], [1.0, 3.0])
    assert gd.Expression(lambda x, b, y, a: (a * x + b - y) ** 2, data=data).variables == ("b", "a")


def test_the_texts_of_functions_that_read_back_stay():
    """As version 0.1 wrote them: SymPy's own text."""
    assert gd.Expression(lambda x, y: 100 * (y - x**2) ** 2 + (1 - x) ** 2 + sympy.Abs(x) / 3).text == "(1 - x)**2 + 100*(-x**2 + y)**2 + abs(x)/3"


def test_extremes_of_several():
    assert gd.Expression("max(x, y, 1) + min(x, y, max(x, 0.5), 7)").value([[2.0, 0.0], [0.0, 0.3]]).tolist() == [2.0, 1.0]


REFUSED = {
    "x + sqrt(-1)**2": r"no real value, in 'sqrt\(-1\)'", "10**500*x": r"too large or too small to be held, in '10\*\*500'", "x*10**-500": "in '10\\*\\*-500'",
    "x + 1/0": "not finite, in '1/0'", "x/0": "not finite", "x + 1e400": "not finite, in '1e400'", "1j*x": "complex numbers are not allowed", "lambda*x": "'lambda' is a word",
    "beta(x)": "lanes have no function 'beta'", "x + log(-1)": r"no real value, in 'log\(-1\)'", "(-8)**(1/3)*x": "no real value", "asin(2)*x": "no real value",
    "log(0) + x": "not finite", "exp(exp(1000))*x": "too large", "x if x else 1": "IfExp is not allowed", "x.y": "Attribute is not allowed", "min(x)": "2 or more arguments",
    "sin(x, y)": "takes 1 arguments", "max(*x)": "2 or more", "": "not valid", "9" * 400 + "*x": "too large", "(" * 400 + "x" + ")" * 400: "not valid", "3": "no variables",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_formula_that_cannot_be_used_is_refused_when_it_is_declared(text, tmp_path):
    with pytest.raises(ValueError, match=REFUSED[text]) as caught:
        gd.Expression(text)
    assert "\n" not in str(caught.value)
    (tmp_path / "e.toml").write_text(f'[problem]\ntype = "expression"\ntext = "{text}"\n[optimizer]\ntype = "sgd"\n')
    command = CliRunner().invoke(main, ["run", str(tmp_path / "e.toml"), "--out", str(tmp_path / "out")])
    assert command.exit_code == 2
    assert "o go on" not in command.output
    assert not (tmp_path / "out").exists()


def test_numbers_that_cancel_may_be_large():
    assert gd.Expression("10**500*10**-500*x").value([2.0]) == 2.0


@pytest.mark.parametrize(("function", "said"), [
    (lambda e, x: (e - 1) ** 2 + x, "'e' has the name of a constant"), (lambda x: sympy.Piecewise((x, x > 0), (0, True)), "no function 'Piecewise'"),
    (lambda x: sympy.floor(2 * x), "no function 'floor'"), (lambda *a: a[0], "must name its variables"), (lambda x: None, "gives NoneType"),
    (lambda x: x > 0, "gives StrictGreaterThan"), (lambda x: x + sympy.Symbol("other"), "gives 'other', which is none of its variables x"),
    (lambda x: math.sin(2 * x), "cannot be called with symbols.*be a gd.Own"), (lambda x: (x, x), "gives Tuple"), (lambda x: x / 0, "no real, finite value"),
])  # fmt: skip
def test_a_python_function_that_cannot_be_used_is_one_line(function, said):
    with pytest.raises(ValueError, match=said) as caught:
        gd.Expression(function)
    assert "\n" not in str(caught.value)
