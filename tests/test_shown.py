"""How declarations are shown: in a line that can be read back, as tables of notebooks, in the help of their
fields.
"""

import inspect

import gdsim as gd
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.stops import STOPS
from tests.test_construction import XOR, network, sweep


def test_representations_are_short_and_can_be_read_back():
    for made in (
        gd.Adam(0.1), gd.AdamW(convention="torch"), gd.SGD(), gd.Momentum([0.1, 0.2], momentum=0.5), gd.ClipNorm(gd.Nesterov(gd.logspace(0.1, 1, 3)), 2),
        gd.Warmup(gd.OneCycle(20, momenta=(0.8, 0.9)), 5), gd.Target([0.1, 0.2]), gd.Record(every="log"), gd.functions.Rosenbrock(dim=3), gd.Uniform(-2, 2),
        gd.Adam(lr=gd.uniform(0, 1, draws=3), beta1=gd.uniform(0, 0.5, draws=3)), gd.SGD(gd.zip(0.1, 0.2)), gd.WeightDecay(gd.SGD(), 0.1, decoupled=False),
    ):  # fmt: skip
        names = {**vars(gd.functions), **{n: getattr(gd, n) for n in dir(gd)}}
        assert eval(repr(made), names) == made, repr(made)
        assert "Unset" not in repr(made)
    assert repr(gd.Adam(0.1)) == "Adam(lr=0.1)"
    assert repr(gd.Adam(0.1, convention="torch")) == "Adam(lr=0.1, convention='torch')"
    assert repr(gd.MLP(XOR, [16, 8], "tanh")).endswith("hidden=[16, 8], activation='tanh', loss='cross_entropy')")


def test_a_sweep_shows_its_size_and_what_was_said_a_line_each_and_as_a_table():
    made = sweep(optimizer=gd.SGD([0.1, 0.2]), starts=5, steps=30, batch=gd.grid(2, 4))
    lines = repr(made).splitlines()
    assert lines[0] == "Sweep(  # 4 cells x 5 starts = 20 runs"
    assert lines[1].startswith("    problem=MLP(Data('xor', 4 samples x 2 features")
    assert lines[2:] == ["    optimizer=SGD(lr=[0.1, 0.2]),", "    starts=5,", "    steps=30,", "    batch=grid(2, 4),", ")"]
    table = made._repr_html_()
    assert table.startswith("<table><caption>Sweep: 4 cells x 5 starts = 20 runs</caption>")
    assert '<th style="text-align:left">optimizer</th><td style="text-align:left">SGD(lr=[0.1, 0.2])</td>' in table
    plan = made.plan()
    assert repr(plan) == f"Plan(20 runs, 4 cells, 2 structures, {len(plan.chunks)} chunks)"
    assert "20 runs: 5 starts in 4 cells of 2 structures" in plan._repr_html_()
    assert " s of one core, and about 4 s for the first structure not compiled yet, 0.5 s for each other" in plan._repr_html_()
    assert repr(sweep(steps=1).plan()) == "Plan(1 run, 1 cell, 1 structure, 1 chunk)"
    assert '<th style="text-align:left">parameters</th><td style="text-align:left">12</td>' in network()._repr_html_()
    assert "&lt;lambda&gt;" in gd.MLP._repr_html_.__globals__["html_table"]("x", [("f", "<lambda>")])


def test_help_says_of_every_field_what_it_means_its_default_and_its_range():
    public = [getattr(room, n) for room in (gd, gd.functions, gd.search) for n in room.__all__]
    kinds = {kind for kind in public if inspect.isclass(kind)} - {gd.functions.Minimum, gd.functions.Function, gd.search.Descent, gd.search.Search}
    assert kinds > {*RULES, *WRAPPERS, *SCHEDULES, *STOPS, gd.Data, gd.Own, gd.Sobol, gd.functions.Shekel}
    for kind in kinds:
        names = [n for n in inspect.signature(kind).parameters if n not in getattr(kind, "unshown", ())]
        entries = inspect.getdoc(kind).split("Parameters\n----------\n")[-1].split("\n\n")[0].splitlines() if names else []
        said = [line.split(" : ")[0] for line in entries if line and not line.startswith(" ")]
        assert said == names, kind
        assert "Unset" not in str(inspect.signature(kind)) + kind.__doc__
    text = gd.RMSprop.__doc__
    assert 'decay : default 0.9, 0.99 by convention="torch", in [0, 1), a number or an axis' in text
    assert 'eps : default 1e-16, 1e-08 by convention="torch", in [0, inf), a number or an axis' in text
    assert "cycle : in [1, 1.67772e+07], a whole number or an axis" in gd.Cosine.__doc__
    assert "steps : default 1000\n" in gd.Sweep.__doc__
    assert "dim : default 2, a whole number from 2 to 1000\n" in gd.functions.Rosenbrock.__doc__
    assert "dim : default 2, a whole number from 1 to 1000\n" in gd.functions.Bowl.__doc__
    entries = [line.split(" : ")[0].strip() for line in gd.search.Search.__doc__.splitlines() if " : " in line]
    assert entries == list(gd.search.Search._fields)


def test_what_has_a_short_representation_has_a_table_for_notebooks():
    for made in (gd.Adam(0.1), gd.Cosine(10), gd.Target(0.5), gd.Record(every=7), gd.LatinHypercube(9, low=[-1.0, 0.0], high=2.0)):
        table = made._repr_html_()
        assert table.startswith(f"<table><caption>{type(made).__name__}</caption>")
        for name, value in made.shown_fields():
            text = str([int(v) for v in value]) if isinstance(value, tuple) else f"{value:g}"
            assert f'{name}</th><td style="text-align:left">{text}</td>' in table
    found = gd.search.successive_halving(sweep(optimizer=gd.SGD(lr=[1e-3, 1e3]), steps=6), eta=2)
    assert "best cell</th>" in found._repr_html_()
    assert "SGD lr=0.001" in found._repr_html_()
