"""Binding: what makes a new kernel, and what finds an old one."""

import contextlib
import dis
import gc
import importlib
import pathlib
import pkgutil
import re
import subprocess
import sys
import types as types_of_python

import numpy as np
import pytest
from numba import types

import gdsim as gd
from gdsim.lanes import compiler
from gdsim.lanes.generated import function_from
from gdsim.lanes.machine import KERNEL_ROOMS, vector_bytes
from gdsim.lanes.parts import Part
from gdsim.rules.parts import update
from gdsim.schedules.parts import rate as compiled_rate
from tests.helpers import python


def template(out):
    out[0] = part(1.0)  # noqa: F821


def part_a(x):
    return helper(x)  # noqa: F821


def value_of(**parts):
    from numba import types

    out = np.zeros(1)
    compiler.bind(template, parts, types.void(types.float64[::1]))(out)
    return float(out[0])


def test_parts_replace_names_wherever_they_are_reached():
    assert value_of(part=part_a, helper=lambda x: x + 1) == 2
    assert value_of(part=part_a, helper=lambda x: x + 2) == 3
    assert value_of(part=lambda x: x * FACTOR, FACTOR=5.0) == 5  # noqa: F821
    assert value_of(part=lambda x: x * FACTOR, FACTOR=7.0) == 7  # noqa: F821


def scaled(x, scale=3.0, shift=1):
    return x * scale + shift


def with_defaults(x):
    return scaled(x) + scaled(x, shift=2) * scaled(shift=x, x=2.0)


def total(first, *others):
    for other in others:
        first += other
    return first


def of_many(x):
    return total(x, 2.0) + 10.0 * total(x, 2.0, 3.0)


@pytest.mark.parametrize("part", [with_defaults, of_many])
def test_parts_take_defaults_names_and_any_number_of_arguments(part):
    assert value_of(part=part) == part(1.0)


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_is_left_as_it_was(collects):
    try:
        (gc.enable if collects else gc.disable)()
        with contextlib.suppress(KeyboardInterrupt), compiler.no_collection():
            assert not gc.isenabled()
            raise KeyboardInterrupt
        assert gc.isenabled() == collects
    finally:
        gc.enable()


def test_the_collector_goes_on_after_the_last_of_several_threads():
    first, second = compiler.no_collection(), compiler.no_collection()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


SCALE = 2.0
SHARES = np.array([2.0, 0.0])


def test_a_changed_global_is_noticed(monkeypatch):
    scaled = lambda x: x * SCALE  # noqa: E731
    assert value_of(part=scaled) == 2
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert value_of(part=scaled) == 3
    shared = lambda x: x * SHARES[0]  # noqa: E731
    assert value_of(part=shared) == 2
    monkeypatch.setitem(globals(), "SHARES", np.array([3.0, 0.0]))
    assert value_of(part=shared) == 3


def test_files_beside_the_package_are_the_users_whatever_their_names():
    beside = types_of_python.FunctionType(compile("0", f"{pathlib.Path(gd.__file__).parent}_notes.py", "eval"), {})
    assert compiler.is_own(compiler.bind)
    assert not compiler.is_own(beside)


def test_a_part_that_closes_over_a_variable_is_refused():
    factor = 2.0
    with pytest.raises(TypeError, match="closes over factor; give them as parts or globals"):
        value_of(part=lambda x: x * factor)


def needs_part(out):
    out[0] = update(1.0)


def calls_needs_part(out):
    needs_part(out)


def calls_a_helper(out):
    out[0] = part_a(1.0)


SCOPED = compiler.ScopedPart(part_a, (("helper", abs), ("heiper", abs)))


@pytest.mark.parametrize(
    ("function", "parts", "said"),
    [
        (calls_needs_part, {}, "calls_needs_part: needs_part needs the part 'update', and no value was given for it"),
        (template, {}, "template: template reads 'part', and nothing of this name was defined or given"),
        (needs_part, {"update": np.sqrt, "udpate": np.sqrt}, "needs_part was given 'udpate', which is no part; did you mean 'update'?"),
        (calls_a_helper, {"part_a": np.sqrt, "helper": abs}, "calls_a_helper was given 'part_a', which is no part"),
        (template, {"part": SCOPED}, "part_a was given 'heiper', which is no part"),
    ],
    ids=["missing", "missing in text", "misspelt", "no part", "misspelt in a scoped part"],
)
def test_parts_that_are_missing_misspelt_or_none_are_refused(function, parts, said):
    with pytest.raises(TypeError, match=re.escape(said)):
        compiler.bind(function, parts, None)


rate = 0.5


def has_own_rate(x):
    return x * rate


def test_a_global_that_is_named_like_a_part_stands():
    """A part is known by its declaration: what a user's module calls `rate` is the user's, whatever kernels
    give that name.
    """
    assert value_of(part=has_own_rate, rate=4.0) == 0.5


def test_a_part_under_another_name_is_that_part(monkeypatch):
    monkeypatch.setitem(globals(), "rate", compiled_rate)
    assert value_of(part=has_own_rate, rate=4.0) == 4


def test_each_part_is_declared_once_in_a_rooms_parts():
    """`bind` tells parts apart by their names."""
    rooms = [importlib.import_module(f"gdsim.{room}.parts") for room in ("lanes", "rules", "schedules", "problems", "kernels", "kernels.teams")]
    declared = [value for room in rooms for value in vars(room).values() if isinstance(value, Part)]
    names = [value.name for value in declared]
    assert len(names) == len(set(names)) > 60
    found = (module.name for module in pkgutil.walk_packages(gd.__path__, "gdsim.") if module.name.split(".")[1] in KERNEL_ROOMS)
    modules = [importlib.import_module(name) for name in found if name != "gdsim.lanes.cuda"]  # which needs a package more
    anywhere = {value for module in modules for value in vars(module).values() if isinstance(value, Part)}
    assert anywhere <= set(declared)


def test_the_global_names_of_a_function_are_those_that_python_reads():
    names = [f"name{k}" for k in range(300)]  # more than an instruction's byte can count
    many = function_from(f"def many(x):\n    return x.name0 + name1(x, {' + '.join(names)})\n", "many", {})
    functions = [many, *(f for f in vars(compiler).values() if isinstance(f, types_of_python.FunctionType))]
    for code in (f.__code__ for f in functions):
        assert compiler.global_names(code) == tuple(dict.fromkeys(i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"))
    assert set(compiler.global_names(many.__code__)) == set(names)


def test_an_edit_of_a_helper_of_a_helper_and_of_numbers_in_another_module_is_noticed(tmp_path):
    (tmp_path / "deep.py").write_text("def depth(x):\n    return x + 1.0\n")
    (tmp_path / "middle.py").write_text("import conf\nfrom deep import depth\ndef middle(x, term=conf.TERM):\n    return depth(x) * conf.FACTOR + term\n")
    (tmp_path / "conf.py").write_text("FACTOR, TERM = 1.0, 0.0\n")
    program = f"""
    import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.dont_write_bytecode = True
    import numpy as np
    from numba import types
    from gdsim.lanes import compiler
    from middle import middle
    def template(out):
        out[0] = part(1.0)
    out = np.zeros(1)
    compiler.bind(template, dict(part=middle), types.void(types.float64[::1]))(out)
    print(out[0], len(compiler.compilations))
    """
    assert python(program, tmp_path)[0] == "2.0 1"
    assert python(program, tmp_path)[0] == "2.0 0"
    (tmp_path / "deep.py").write_text("def depth(x):\n    return x + 9.0\n")
    assert python(program, tmp_path)[0] == "10.0 1"
    (tmp_path / "conf.py").write_text("FACTOR, TERM = 3.0, 0.0\n")
    assert python(program, tmp_path)[0] == "30.0 1"
    (tmp_path / "conf.py").write_text("FACTOR, TERM = 3.0, 5.0\n")
    assert python(program, tmp_path)[0] == "35.0 1"


XOR = gd.MLP(gd.datasets.load("xor"), hidden=[3], activation="sigmoid")
REGRESSION = gd.Data(np.arange(8.0).reshape(4, 2), np.arange(4.0))
# A job of each engine: (problem, rule, schedule, starts, lanes).
ENGINES = {
    "functions in registers": (gd.functions.Booth(), gd.SGD(), gd.Cosine(cycle=5), 1, 16),
    "formulas of samples": (gd.Expression("(a*x0 - y)**2", variables=["a"], data=REGRESSION), gd.SAM(gd.NAdam()), gd.Constant(), 1, 16),
    "points in memory": (gd.LinearRegression(REGRESSION), gd.Averaged(gd.Rprop()), gd.Constant(), 1, 16),
    "networks": (XOR, gd.RMSprop(), gd.Exponential(0.9), 1, 16),
    "small networks, written out": (XOR, gd.Momentum(), gd.InverseTime(), 10**6, 16),
    "one network in all lanes": (XOR, gd.AdamW(), gd.Constant(), 1, 1),
}


class Uncompiled:
    """Stands for a kernel: one overload, at address 0."""

    library = property(lambda self: self)
    fndesc = property(lambda self: self)
    llvm_func_name = ""
    overloads = property(lambda self: {(): self})

    def get_pointer_to_function(self, name):
        return 0


@pytest.fixture
def described(monkeypatch):
    """The kernels that are bound; those of training are not compiled."""
    from gdsim.population.engine_choice import kernels_of

    bound, compiled = [], compiler._compiled

    def pretended(kernel, cache):
        if types.int64 not in kernel.signature.args:  # no table's address
            return compiled(kernel, cache)
        bound.append(kernel)
        return Uncompiled()

    monkeypatch.setattr(compiler, "_kernels", {})
    monkeypatch.setattr(compiler, "compilations", [])
    monkeypatch.setattr(compiler, "_compiled", pretended)
    kernels_of.cache_clear()
    yield bound
    kernels_of.cache_clear()


def test_every_source_of_gdsim_that_kernels_are_made_of_counts(described):
    """Asked of the kernels themselves: what those of every engine reach lies in the rooms whose text is
    hashed.
    """
    from gdsim.population.engine_choice import for_runs, kernels_for

    root, engines = pathlib.Path(gd.__file__).parent, set()
    for problem, rule, schedule, starts, lanes in ENGINES.values():
        described.clear()
        compiler._kernels.clear()
        plan = gd.Sweep(problem=problem, optimizer=rule, schedule=schedule, starts=starts, steps=3).plan()
        kernels_for(for_runs(plan.groups[0].setting, plan.runs), lanes).prepare()
        functions = {f for b in described for f in compiler.reached(b.template, b.parts) if f.__code__.co_filename.startswith(str(root))}
        places = {f: pathlib.Path(f.__code__.co_filename).relative_to(root) for f in functions}
        engines.add(frozenset(f"{p}:{f.__name__}" for f, p in places.items() if p.parts[0] == "kernels"))
        assert {"lanes", "rules", "kernels", "schedules"} <= {place.parts[0] for place in places.values()}
        elsewhere = {f.__name__ for f, place in places.items() if place.parts[0] not in KERNEL_ROOMS}
        assert elsewhere <= {"as_they_are"}  # one line, whose instructions are hashed as those of every function
    assert len(engines) == len(ENGINES)  # each of which has parts of its own


def test_a_hundred_learning_rates_compile_one_kernel():
    problem = gd.MLP(gd.datasets.load("xor"), hidden=[3], activation="sigmoid")
    options = {"problem": problem, "steps": 3, "record": gd.Record(every="ends")}
    gd.Sweep(optimizer=gd.RMSprop(lr=0.1, decay=0.5), **options).run(lanes=vector_bytes() // 4)
    gd.lanes.pow(2.0, 0.5)  # makes the values of the axis
    before = len(compiler._kernels)
    result = gd.Sweep(optimizer=gd.RMSprop(lr=gd.logspace(1e-4, 1.0, 100), decay=[0.8, 0.9]), schedule=gd.Constant(), starts=2, **options).run()
    assert result.sizes["run"] == 400
    assert len(compiler._kernels) == before


@pytest.mark.full
def test_widths_and_depths_share_compiled_code():
    options = {"optimizer": gd.SGD(), "steps": 2, "record": gd.Record(every="ends")}
    gd.Sweep(problem=gd.MLP(gd.datasets.load("breast_cancer"), hidden=[3]), **options).run()
    before = len(compiler._kernels)
    gd.Sweep(problem=gd.MLP(gd.datasets.load("moons"), hidden=gd.grid([], [16], [5, 6, 7])), **options).run()
    assert len(compiler._kernels) == before


def test_importing_compiles_nothing_and_loads_little():
    program = """
    import sys
    import gdsim as gd
    rule = gd.Adam(lr=gd.logspace(1e-4, 1e-1, 7))
    heavy = [m for m in ("numba", "matplotlib", "distributed", "dask", "xarray", "pandas", "sklearn", "torch") if m in sys.modules]
    from gdsim.lanes import compiler
    print(heavy, len(compiler._kernels))
    """
    line, code, said = python(program, "/nonexistent")
    assert code == 0, said
    assert line == "[] 0"


USERS = """
import numba, re
from numba import types

def both(a, b):
    return a + b, a - b, a * b, a / b, a // b, a % b, a < b, a == b, -a, abs(a), (a + 1) * 2.5, max(a, b)

kinds = [types.int8, types.int64, types.uint32, types.float32, types.float64, types.boolean, types.Optional(types.int64)]
for x in kinds:
    for y in kinds:
        f = numba.njit(both)
        f.compile((x, y))
        print(x, y, f.nopython_signatures, len(re.findall("(?m)^  %", next(iter(f.inspect_llvm().values())))))
"""


@pytest.mark.full
def test_functions_of_the_users_own_compile_as_without_gdsim():
    ours = "import gdsim\nfrom gdsim.lanes import cpu\ncpu.register()\n"
    plain, beside = (subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout for text in (USERS, ours + USERS))
    assert len(plain.splitlines()) == 49
    assert plain == beside
