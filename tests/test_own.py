"""Functions of the user's own: what they may be, what is said of those that cannot be, and what belongs to
their identity.
"""

import hashlib
import importlib
import math
import subprocess
import sys
import textwrap

import mpmath
import numpy as np
import pytest
import sympy

import gdsim as gd
from gdsim.lanes import absolute, any, exp, log, maximum, pow, sigmoid, sqrt, where
from gdsim.lanes.generated import function_from
from gdsim.lanes.mapping import mapped
from gdsim.problems.own import source_of
from gdsim.rules.base import RATE, Axis, Rule
from tests.helpers import gdsim

K, POWERS, SHIFTS = 3.0, (1, 2.5), np.array([0.5, -1.0])


def values_and_slopes(problem, at):
    """[point, 1 + parameter]: the value and the derivatives by the problem's lane code."""
    text = f"def both(x):\n    v, g = own(x)\n    return (v, {', '.join(f'g[{i}]' for i in range(problem.dim))})"
    return mapped(function_from(text, "both", {"own": problem.parts()["value_and_gradient"]}), at, problem.dim + 1)


def written_in_many_ways(x):
    a, b = x
    value = abs(a) ** 1.5 + 2**b + (a + 2) ** -2 + b**0.5 + np.sin(a) * math.cos(b) + np.arctan2(a, 2) + math.acos(a / 3)
    value += max(a, b, 0.1) + np.where(a > b, a * a, -b) + (a > 0.3) * a + sigmoid(a) / (1 + exp(-b)) + math.log(b, 2) + np.hypot(a, b)
    return value + x @ np.diag([1.0, 2.0]) @ x + np.sum(x**2) + sum(v * K for v in x) + (SHIFTS * x)[1] + min(a, 0.2) + np.square(b) - POWERS[1]


def in_sympy(a, b):
    value = sympy.Abs(a) ** 1.5 + 2**b + (a + 2) ** -2 + sympy.sqrt(b) + sympy.sin(a) * sympy.cos(b) + sympy.atan2(a, 2) + sympy.acos(a / 3)
    value += sympy.Max(a, b, 0.1) + sympy.Piecewise((a * a, a > b), (-b, True)) + sympy.Piecewise((a, a > 0.3), (0, True))
    value += 1 / (1 + sympy.exp(-a)) / (1 + sympy.exp(-b)) + sympy.log(b) / sympy.log(2) + sympy.sqrt(a**2 + b**2)
    return value + a**2 + 2 * b**2 + a**2 + b**2 + 3 * (a + b) - b + sympy.Min(a, 0.2) + b**2 - 2.5


def test_a_value_alone_is_differentiated():
    at = np.random.default_rng(0).uniform(0.05, 1.0, (40, 2))
    found = values_and_slopes(gd.Own(written_in_many_ways, dim=2), at)
    a, b = sympy.symbols("a b", real=True)
    formula = in_sympy(a, b)
    for column, expression in enumerate((formula, formula.diff(a), formula.diff(b))):
        expected = [float(expression.subs({a: p, b: q}).evalf(30)) for p, q in at]
        assert found[:, column] == pytest.approx(expected, rel=1e-12)


def helper(a, b):
    return a * b - 0.1 * a / (1 + b * b)


def plain(x):
    s = x[0] * 0.0
    for i in range(3):
        s = s + helper(x[i], x[(i + 1) % 3]) * (1 / 3) - 2 * x[i]
    m = where((x[0] > 0.1) & ~(x[1] <= x[2]), exp(x[0]) * sigmoid(-x[1]), absolute(x[2]) / 7)
    return s + m + maximum(x[1], 0.3) + sqrt(absolute(x[0])), (s * m, exp(s) / 3, 0.9 - m)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_traced_has_the_bits_of_the_function_as_it_is_compiled(dtype):
    at = np.random.default_rng(1).normal(size=(500, 3)).astype(dtype)
    text = "def both(x):\n    v, g = own(x)\n    return (v, g[0], g[1], g[2])"
    compiled = mapped(function_from(text, "both", {"own": plain}), at, 4)
    traced = mapped(function_from(text, "both", {"own": gd.Own(plain, dim=3).parts()["value_and_gradient"]}), at, 4)
    assert traced.tobytes() == compiled.tobytes()


def newton(x):
    """The root of r^2 = x by steps that only a kernel can count."""
    root = x[0]
    while any(absolute(root * root - x[0]) > 1e-12 * x[0]):
        root = 0.5 * (root + x[0] / root)
    return root, (0.5 / root,)


def test_a_function_that_only_a_kernel_can_run_is_compiled_as_it_is():
    assert values_and_slopes(gd.Own(newton, dim=1), np.array([[2.0], [9.0]])) == pytest.approx(np.array([[2**0.5, 8**-0.5], [3.0, 1 / 6]]), rel=1e-12)


@pytest.mark.parametrize(("function", "dim", "expected"), [
    (lambda x: (x[0] + x[1] * x[1], (1.0, 2.0 * x[1])), 2, [6.5, 1.0, 5.0]), (lambda x: [x[0] ** 2, [2 * x[0]]], 1, [16.0, 8.0]),
    (lambda x: (x[0] ** 2, 2 * x[0]), 1, [16.0, 8.0]), (lambda x: (x[0] * K, np.array([K, 0])), 2, [0.75, 3.0, 0.0]), (lambda x: 7, 1, [7.0, 0.0]),
    (lambda x, k=2.0: k * x[0], 1, [8.0, 2.0]), (lambda x: np.float32(0.1) * x[0], 1, [4 * float(np.float32(0.1)), float(np.float32(0.1))]),
])  # fmt: skip
def test_what_can_only_mean_one_thing_works(function, dim, expected):
    at = np.array([[0.25, 2.5]]) if dim == 2 else np.array([[4.0]])
    assert values_and_slopes(gd.Own(function, dim), at)[0] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(("function", "at", "value", "slope"), [
    (lambda x: where(x[0] > 0, sqrt(x[0]), -x[0]), -1.0, 1.0, -1.0), (lambda x: where(x[0] > 0, x[0] * log(x[0]), 0.0), 0.0, 0.0, 0.0),
    (lambda x: where(x[0] > 0, 1 / x[0], x[0]), 0.0, 0.0, 1.0), (lambda x: where(x[0] < 1, exp(x[0]), x[0]), 1000.0, 1000.0, 1.0),
    (lambda x: np.sqrt(max(x[0], 0)), -1.0, 0.0, 0.0), (lambda x: abs(x[0]) ** 1.5, 0.0, 0.0, 0.0), (lambda x: abs(x[0]) ** 1.5, -4.0, 8.0, -3.0),
    (lambda x: abs(x[0]) ** 2.5, 0.0, 0.0, 0.0), (lambda x: pow(x[0], x[0] + 2), 0.0, 0.0, 0.0), (lambda x: np.True_ * x[0], 2.0, 2.0, 1.0), (lambda x: x[0] ** 0.5, 0.0, 0.0, math.inf),
    (lambda x: where((x[0] > 0) & True, x[0], 2 * x[0]), math.inf, math.inf, 1.0), (lambda x: where(np.True_ ^ (x[0] > 0), x[0], 2 * x[0]), 1.0, 2.0, 2.0),
    (lambda x: where((x[0] > 0) | True, x[0], 2 * x[0]), -math.inf, -math.inf, 1.0), (lambda x: where((x[0] > 0) & False, x[0], 2 * x[0]), 1.0, 2.0, 2.0),
    (lambda x: where((x[0] > 0) | False, x[0], 2 * x[0]), 1.0, 1.0, 1.0), (lambda x: where((x[0] > 0) ^ False, x[0], 2 * x[0]), -1.0, -2.0, 2.0),
    (lambda x: np.sum(np.maximum(x, 0)), -3.0, 0.0, 0.0), (lambda x: np.max(x) * np.exp(x)[0], 0.0, 0.0, 1.0),
])  # fmt: skip
def test_values_and_slopes_at_the_edge_are_those_of_what_is_chosen(function, at, value, slope):
    assert values_and_slopes(gd.Own(function, 1), np.array([[at]]))[0].tolist() == pytest.approx([value, slope], rel=1e-15)


@pytest.mark.parametrize(
    ("name", "slope"),
    [("arcsin", lambda x: 1 / mpmath.sqrt(1 - x * x)), ("arccos", lambda x: -1 / mpmath.sqrt(1 - x * x)), ("sinh", mpmath.cosh), ("cosh", mpmath.sinh)],
)
def test_functions_that_are_made_of_others_keep_their_digits(name, slope):
    at = np.array([1e-300, 1e-9, 1e-3, 0.1, 0.5, 0.99, 1 - 1e-12, *([] if "arc" in name else [1.0, 1.5, 20.0, 700.0])])
    at = np.concatenate([at, -at])
    found = values_and_slopes(gd.Own(lambda x: getattr(np, name)(x[0]), 1), at[:, None])
    value = getattr(mpmath, name.replace("arc", "a"))
    with mpmath.workdps(40):
        expected = [[float(f(mpmath.mpf(x))) for f in (value, slope)] for x in at]
    assert found == pytest.approx(np.array(expected), rel=1e-14, abs=0)


def prints(x):
    print(x[0])  # noqa: T201
    return x[0]


def decides(x):
    if x[0] > 0:
        return x[0]
    return -x[0]


def never_ends(x):
    total = x[0]
    while True:
        total = total + 1


def nowhere(x):
    return not_there * x[0]  # noqa: F821


def raises(x):
    raise RuntimeError("no\nway")


@pytest.mark.parametrize(("function", "said"), [
    (prints, r"prints cannot be used, test_own.py line \d+: lanes cannot be printed"), (decides, r"line \d+: a condition on lanes .* where\(condition, this"),
    (lambda x: x[0] and x[1], "neither true nor false"), (never_ends, r"line \d+: it takes more than 300,000 operations"),
    (raises, r"line \d+: RuntimeError: no way$"), (lambda x: x[5], r"IndexError: tuple index out of range \(the parameters are x\[0\] to x\[1\], as dim=2"),
    (lambda x: (x[0], (1.0,)), "2 partial derivatives.*; it gives 1 partial derivative$"), (lambda x: None, "it gives nothing"),
    (lambda x: "a", "it gives str as the value"), (lambda x: x[0] > 1, "a condition as the value"), (lambda x: x, "it gives 1 partial"),
    (lambda x: x[0] * 1j, "lanes are real numbers; 1j was given"), (lambda x: math.gamma(x[0]), "the one number of a lane.*functions exp, log"),
    (lambda x: np.sinc(x[0]), r"numpy\.\w+ cannot be used on lanes.*functions exp, log"), (lambda x, y: x[0], "a plain function of one argument"), (lambda x: exp(x) * 1, "one by one"),
    (lambda x: x[0] * np.random.default_rng().random(), "does not do the same"), (lambda x: float(x[0]), "the one number of a lane"),
    (lambda x: sum(v * w for v in x for w in range(20_000)), "takes .* operations; at most 20,000 can be compiled"), (nowhere, "NameError"),
])  # fmt: skip
def test_what_cannot_be_used_is_one_line_with_its_place(function, said):
    with pytest.raises(ValueError, match=said) as caught:
        gd.Own(function, dim=2)
    assert "\n" not in str(caught.value)
    assert "test_own.py" in str(caught.value)


SWEEP = {"optimizer": gd.SGD(lr=0.01), "init": [[1.0, 1.0]], "steps": 1}


def bowl(x):
    return x[0] * x[0] + K * x[1] * x[1], (2.0 * x[0], 2.0 * K * x[1])


def test_the_values_that_a_function_reads_belong_to_it(tmp_path, monkeypatch):
    def first(**options):
        return float(gd.Sweep(problem=gd.Own(bowl, dim=2), **SWEEP).run(**options).loss[0, 0])

    before = gd.Sweep(problem=gd.Own(bowl, dim=2), **SWEEP)
    assert first(out=tmp_path / "three") == 4.0
    monkeypatch.setitem(globals(), "K", 10.0)
    assert first() == 11.0
    assert gd.Own(bowl, dim=2).check_gradient() < 1e-8
    with pytest.raises(ValueError, match="test_own:bowl, which has been edited since, or with other values"):
        first(out=tmp_path / "three")
    with pytest.raises(ValueError, match="or a value that it reads has changed"):
        before.run()
    monkeypatch.setitem(globals(), "K", 3.0)
    assert first(out=tmp_path / "three") == 4.0
    monkeypatch.setitem(globals(), "K", open)
    with pytest.raises((TypeError, ValueError), match="line"):
        gd.Own(bowl, dim=2)
    monkeypatch.setitem(globals(), "K", object())
    with pytest.raises(TypeError, match=r"bowl \(test_own.py, line \d+\) reads 'K', of type object, whose value cannot be part"):
        gd.Own(bowl, dim=2)


def reads_what_is_not_there():
    def f(x):
        return k * x[0]

    if K < 0:
        k = 1.0
    return f


def test_what_is_shown_and_said_of_a_function():
    from gdsim.sweep.experiment.listing import listed

    assert repr(gd.Own(bowl, 2)) == "Own(bowl, 2)"
    assert [[*e.required, *e.defaults] for e in listed("problems") if e.name == "own"] == [["function", "dim", "low", "high"]]
    with pytest.raises(TypeError, match=r"f \(test_own.py, line \d+\) reads the variable 'k', which has no value yet"):
        gd.Own(reads_what_is_not_there(), 1)


def scaled_by(k):
    return lambda x: k * x[0] * x[0]


def test_values_behind_helpers_modules_and_closures_belong_to_it_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "constants_of_a_test.py").write_text("SCALE = 2.0\nTABLE = {'a': [1, 2]}\n")
    text = "import constants_of_a_test as c\nSHIFT = (1.0,)\ndef inner(v):\n    return v * c.SCALE - SHIFT[0] + c.TABLE['a'][1]\ndef f(x):\n    return sum(inner(v) for v in x)\n"
    (tmp_path / "uses_constants.py").write_text(text)
    import constants_of_a_test as constants
    import uses_constants as uses

    hashes = {source_of(uses.f)}
    for module, name, value in ((constants, "SCALE", 3.0), (uses, "SHIFT", (1.5,)), (constants, "TABLE", {"a": [1, 3]})):
        monkeypatch.setattr(module, name, value)
        hashes.add(source_of(uses.f))
    assert len(hashes) == 4
    assert values_and_slopes(gd.Own(uses.f, dim=1), np.array([[2.0]]))[0].tolist() == [2.0 * 3.0 - 1.5 + 3, 3.0]
    scaled = [gd.Own(scaled_by(k), dim=1) for k in (1.0, 5.0)]
    result = gd.Sweep(problem=scaled, optimizer=gd.SGD(lr=1e-3), init=2.0, steps=1).run()
    assert result.loss.values[:, 0].tolist() == [4.0, 20.0]


def test_what_a_function_without_values_is_called_stays():
    """As at version e4b61fc: the code and the files of the functions that it reaches, in their order."""
    import hashlib

    from gdsim.lanes.compiler import reached
    from gdsim.lanes.frozen import code_text, file_hash

    texts = [code_text(f.__code__) + file_hash(f.__code__.co_filename) for f in reached(plain, {})]
    assert gd.Own(plain, dim=3).source == hashlib.sha256("\n".join(texts).encode()).hexdigest()


def test_lambdas_run_in_memory_and_are_refused_elsewhere(tmp_path):
    def local(x):
        return x[0] * x[0]

    for function, kind in ((lambda x: x[0] ** 2, "a lambda"), (local, "a function within another")):
        sweep = gd.Sweep(problem=gd.Own(function, dim=1), optimizer=gd.SGD(lr=0.1), init=1.0, steps=1)
        assert float(sweep.run().final_loss[0]) == pytest.approx(0.64, rel=1e-12)
        with pytest.raises(ValueError, match=f"is {kind}, which other processes do not find.* without out= it runs in memory"):
            sweep.run(out=tmp_path / "x")
        with pytest.raises(ValueError, match="without client= it runs in memory"):
            sweep.run(out=tmp_path / "x", client=object())
    assert not list(tmp_path.iterdir())


def test_a_function_of_a_terminal_is_refused_and_one_of_a_script_is_kept(tmp_path):
    text = textwrap.dedent("""
        import sys, gdsim as gd
        def f(x):
            return x[0] * x[0]
        try:
            print(gd.Sweep(problem=gd.Own(f, 1), optimizer=gd.SGD(lr=0.1), init=1.0, steps=1).run(out=sys.argv[1], progress=None).sizes["run"])
        except ValueError as error:
            print(error)
    """)
    (tmp_path / "script.py").write_text(text)
    terminal = subprocess.run([sys.executable, "-c", text, str(tmp_path / "a")], capture_output=True, text=True, check=True).stdout
    assert "a function of a notebook or a terminal, which other processes do not find" in terminal
    assert subprocess.run([sys.executable, tmp_path / "script.py", tmp_path / "b"], capture_output=True, text=True, check=True).stdout.strip() == "1"
    assert gd.open(tmp_path / "b").final_loss.values == pytest.approx([0.64])
    with pytest.raises(ValueError, match="is a function of a script: open the results in it"):
        gd.continue_from(gd.open(tmp_path / "b"), steps=1)


@pytest.mark.parametrize(("text", "said"), [
    ("def f(x:\n    pass\n", r"cannot be imported: SyntaxError: .*line 1"), ("import numpy\n1 / 0\n", r"ZeroDivisionError: division by zero \(line 2 of it\)"),
    ("import no_such_module_of_a_test\n", "ModuleNotFoundError: No module named 'no_such_module_of_a_test'"), ("raise SystemExit(3)\n", "SystemExit: 3"),
    ("g = 1\n", "has no 'f'"), ("f = 3\n", "must be a Python function"), ("def f(x):\n    return x[7]\n", r"broken_of_a_test\.py line 2: IndexError"),
])  # fmt: skip
def test_a_module_that_cannot_be_used_is_one_line_and_exit_code_2(tmp_path, text, said, monkeypatch):
    from click.testing import CliRunner

    from gdsim.cli import main

    (tmp_path / "broken_of_a_test.py").write_text(text)
    (tmp_path / "e.toml").write_text('[problem]\ntype = "own"\nfunction = "broken_of_a_test:f"\ndim = 1\n[optimizer]\ntype = "sgd"\n')
    with pytest.raises(ValueError, match=said):
        gd.read_experiment(tmp_path / "e.toml")
    command = CliRunner().invoke(main, ["plan", str(tmp_path / "e.toml")])
    assert (command.exit_code, len(command.output.splitlines())) == (2, 1)


class Halved(Rule, tag="halved_by_a_test", frozen=True):
    lr: Axis = 0.1
    defaults = {"lecture": {"lr": 0.1}}
    ranges = {"lr": RATE}


class Flat(type(gd.Constant()), tag="flat_by_a_test", frozen=True):
    pass


@pytest.mark.parametrize(
    ("parts", "name"),
    [({"optimizer": gd.ClipNorm(Halved(), 1.0)}, "Halved is optimizer code"), ({"optimizer": gd.SGD(), "schedule": Flat()}, "Flat is schedule code")],
)
def test_rules_and_schedules_of_ones_own_are_not_kept(tmp_path, parts, name):
    sweep = gd.Sweep(problem=gd.functions.Booth(), steps=1, **parts)
    with pytest.raises(ValueError, match=f"^{name} of your own, which a results folder cannot name"):
        sweep.run(out=tmp_path / "out")
    with pytest.raises(ValueError, match=f"^{name} of your own, which a results folder cannot name"):
        gd.minima.basin_map(gd.functions.Booth(), **parts, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


TOML = 'steps = 1\ninit = 1.0\n[problem]\ntype = "own"\nfunction = "{}"\ndim = 1\n[optimizer]\ntype = "sgd"\nlr = 0.1\n'


@pytest.mark.parametrize("function", ["mine_twice:f", "package_twice.inner:f", "folder_twice.inner:f"])
def test_two_experiments_may_each_have_modules_of_one_name(tmp_path, function):
    for name, factor in (("a", 1.0), ("b", 5.0)):
        for package in ("package_twice", "folder_twice"):
            (tmp_path / name / package).mkdir(parents=True)
            (tmp_path / name / package / "inner.py").write_text("from helper_twice import scale\ndef f(x):\n    return scale(x[0])\n")
        (tmp_path / name / "package_twice" / "__init__.py").touch()
        (tmp_path / name / "mine_twice.py").write_text("import helper_twice\ndef f(x):\n    return helper_twice.scale(x[0])\n")
        (tmp_path / name / "helper_twice.py").write_text(f"C = {factor}\ndef scale(v):\n    return C * v\n")
        (tmp_path / name / "e.toml").write_text(TOML.format(function))
    for name, factor in (("a", 1.0), ("b", 5.0), ("a", 1.0)):
        problem = gd.read_experiment(tmp_path / name / "e.toml").problem[0]
        assert values_and_slopes(problem, np.array([[1.0]])).tolist() == [[factor, factor]]
        assert problem.why_not_stored(False) == ""
    (tmp_path / "b" / "helper_twice.py").unlink()
    with pytest.raises(ValueError, match="No module named 'helper_twice'"):
        gd.read_experiment(tmp_path / "b" / "e.toml")


def test_a_module_of_the_script_is_not_taken_for_the_one_beside_an_experiment(tmp_path, monkeypatch):
    for name in ("script", "experiment"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper_once.py").write_text("def scale(v):\n    return v\n")
        (tmp_path / name / "mine_once.py").write_text("from helper_once import scale\ndef f(x):\n    return scale(x[0])\n")
    monkeypatch.syspath_prepend(tmp_path / "script")
    import helper_once  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]

    (tmp_path / "experiment" / "e.toml").write_text(TOML.format("mine_once:f"))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"another module is called 'helper_once'.*give the one beside the experiment another name"):
            gd.read_experiment(tmp_path / "experiment" / "e.toml")


def test_results_are_opened_with_the_function_beside_the_experiment_that_was_read(tmp_path):
    """The folder of results has no module, and the experiment's folder is not on Python's path."""
    (tmp_path / "beside_it.py").write_text("def bowl(x):\n    return x[0] * x[0] + 4.0 * x[1] * x[1], (2.0 * x[0], 8.0 * x[1])\n")
    (tmp_path / "mine.toml").write_text(
        'starts = 2\nsteps = 3\n[problem]\ntype = "own"\nfunction = "beside_it:bowl"\ndim = 2\n[optimizer]\ntype = "sgd"\nlr = 0.01\n'
    )
    kept = gd.read_experiment(tmp_path / "mine.toml").run(out=tmp_path / "out")
    assert gd.open(tmp_path / "out").final_loss.values.tolist() == kept.final_loss.values.tolist()


@pytest.mark.parametrize("now", ["", "raise SystemExit(3)\n", "bowl = 3\n", "def bowl(x):\n    return x[7]\n", "def bowl(x):\n    return 2.0 * x[0]\n"])
def test_results_need_no_module_of_the_users(tmp_path, now, monkeypatch):
    """Whatever has become of it: they are opened, verified and counted; only what would run the function says
    why it cannot.
    """
    name = f"gone_later_{hashlib.sha256(now.encode()).hexdigest()[:8]}"
    module = tmp_path / f"{name}.py"
    module.write_text("def bowl(x):\n    return x[0] * x[0]\n")
    (tmp_path / "e.toml").write_text(TOML.format(f"{name}:bowl") + "[record]\nparameters = true\n")
    gd.read_experiment(tmp_path / "e.toml").run(out=tmp_path / "out")
    monkeypatch.syspath_prepend(tmp_path)
    del sys.modules[name]
    module.unlink()
    if now:
        module.write_text(now)
    importlib.invalidate_caches()
    for command in ("status", "verify"):
        assert gdsim(command, "out", folder=tmp_path)[0] == 0
    result = gd.open(tmp_path / "out")
    assert result.final_loss.values == pytest.approx([0.64])
    with pytest.raises(ValueError, match=name):
        gd.evaluate(result, on="train")
    with pytest.raises(ValueError, match=name):
        gd.continue_from(result, steps=3)
