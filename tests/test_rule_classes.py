"""Classes of rules: what one must say, what is refused, and what follows from the functions that it has."""

import types

import numba
import pytest

import gdsim as gd
from gdsim.lanes.generated import function_from
from gdsim.rules.base import BY_CONVENTION, RATE, Axis, Rule
from gdsim.schedules.base import Schedule
from gdsim.sweep.experiment.own_code import own_code, what_changed


def own_rule(base=Rule, fields=("lr",), **members):
    """A rule's class as a user writes it."""
    space = {"__annotations__": dict.fromkeys(fields, Axis), **dict.fromkeys(fields, BY_CONVENTION), **members}
    return types.new_class("Mine", (base,), {"frozen": True, "tag": "made_by_a_test"}, lambda names: names.update(space))


NUMBERS = {"defaults": {"lecture": {"lr": 0.1}}, "ranges": {"lr": RATE}}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({**NUMBERS, "needs_norm": True}, r"Mine.needs_norm is a name that nothing reads: write with_gradient\(s, norm, loss\)"),
        ({**NUMBERS, "normed": staticmethod(lambda s, norm: s)}, r"Mine.normed is a name that nothing reads: write with_gradient\(s, norm, loss\)"),
        ({**NUMBERS, "report": staticmethod(lambda w, slots, s: w)}, r"Mine.report is a name that nothing reads: write reported\(w, slots, s\)"),
        ({}, r"Mine has no defaults: write its numbers by convention, as in defaults = \{'lecture': \{'lr': 0.01\}\}"),
        ({"defaults": NUMBERS["defaults"]}, "Mine.ranges lacks 'lr', which has a default: write ranges = .'lr': RATE., or another Range"),
        ({**NUMBERS, "fields": ()}, "Mine.defaults has 'lr', which is no field: write lr: Axis = BY_CONVENTION"),
        ({**NUMBERS, "defaults": {"lr": 0.1}}, r"Mine.defaults has 0.1 for 'lr': write defaults = \{'lecture': \{'lr': 0.01\}\}, numbers by convention"),
        ({**NUMBERS, "defaults": {"lecture": None}}, r"Mine.defaults has None for 'lecture': write defaults = "),
        ({**NUMBERS, "defaults": {"lecture": {}}}, r"Mine.defaults\['lecture'\] lacks 'lr', the learning rate that schedules change: write lr: Axis"),
        ({**NUMBERS, "fields": ("lr", "decay")}, r"Mine.defaults\['lecture'\] lacks 'decay', which is a number by convention: write it there"),
        ({**NUMBERS, "ranges": {"lr": RATE, "decay": RATE}}, "Mine.ranges has 'decay', which is no field: write decay: Axis, with a default, or leave it out"),
        ({**NUMBERS, "ranges": {"lr": (0, 1)}}, r"Mine.ranges\['lr'\] must be a Range, as RATE, SHARE or Range\(0.0, 1.0\); \(0, 1\) was given"),
        ({**NUMBERS, "slots": "mean"}, r"Mine.slots must be a tuple of names, as in slots = \('mean',\); 'mean' was given"),
        ({**NUMBERS, "carry": ["t"]}, r"Mine.carry must be a tuple of names, as in carry = \('mean',\); \['t'\] was given"),
        (
            {**NUMBERS, "fields": ("lr", "update")},
            "Mine cannot have a field 'update', which is a name that each Rule has for something else: call it otherwise",
        ),
    ],
)
def test_a_class_that_is_no_rule_is_refused_in_one_line(members, message):
    with pytest.raises(TypeError, match=f"^{message}[^\n]*$"):
        own_rule(**members)()


def test_a_default_must_be_in_its_range():
    with pytest.raises(ValueError, match=r"^the default of Mine.lr must be a finite number in \[0, inf\); -0.1 was given$"):
        own_rule(**{**NUMBERS, "defaults": {"lecture": {"lr": -0.1}}})()


def test_schedules_and_tags_are_refused_likewise():
    """A tag of gdsim's own would give experiments of both one hash; two classes of a user's that share one do
    so within a sweep.
    """

    def schedule(name="Slow", **members):
        return types.new_class(name, (Schedule,), {"frozen": True, "tag": members.pop("tag", "slow_by_a_test")}, lambda names: names.update(members))

    rated = {"__annotations__": {"rate": Axis}, "ranges": {"rate": RATE}, "rate": staticmethod(lambda base, t, p: base)}
    for kind, message in (
        (schedule(**rated), "Slow cannot have a field 'rate', which is a name that each Schedule has for something else: call it otherwise"),
        (schedule(ranges={"decay": RATE}), "Slow.ranges has 'decay', which is no field: write decay: Axis"),
        (schedule(tag="cosine"), r"Slow has the tag 'cosine', which is Cosine's: give it another, as in class Slow\(Schedule, tag='my_cosine', frozen=True\)"),
    ):
        with pytest.raises(TypeError, match=f"^{message}[^\n]*$"):
            kind()
    with pytest.raises(ValueError, match=r"^First and Second have one tag, 'slow_by_a_test': give each class its own[^\n]*$"):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), schedule=[schedule("First")(), schedule("Second")()]).plan()


def test_a_wrapper_with_a_name_of_before_is_refused_too():
    with pytest.raises(TypeError, match=r"Mine.own_needs_norm is a name that nothing reads: write own_needs_whole_gradient"):
        own_rule(gd.SAM, (), own_needs_norm=True)(gd.SGD())


def test_a_rule_needs_the_whole_gradient_where_it_has_a_function_of_it():
    assert [r.needs_whole_gradient for r in (gd.PolyakStep(), gd.ClipNorm(gd.SGD(), 1.0), gd.Averaged(gd.PolyakStep()))] == [True] * 3
    assert [r.needs_whole_gradient for r in (gd.SGD(), gd.Averaged(gd.SGD()), gd.SAM(gd.Adam()), own_rule(**NUMBERS)())] == [False] * 4
    assert own_rule(**NUMBERS, with_gradient=staticmethod(lambda s, norm, loss: s))().needs_whole_gradient


def test_names_of_earlier_versions_stand_beside_those_of_today():
    todays = {"reported": staticmethod(lambda w, slots, s: w), "with_gradient": staticmethod(lambda s, norm, loss: s)}
    assert own_rule(**NUMBERS, **todays, report="monthly", normed=2.0, needs_norm=False)().needs_whole_gradient


LENGTH = 1.0
CYCLES = [5]


def test_a_value_that_a_rule_reads_may_change_between_sweeps(monkeypatch):
    mine = own_rule(**NUMBERS, update=staticmethod(lambda w, g, slots, s: (w - LENGTH, slots)), prepare=staticmethod(lambda h, rate, carry: (rate, carry)))
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=mine(), init=[[5.0, 5.0]], steps=1, record=gd.Record(parameters=True))
    assert sweep.run().parameters.values.tolist() == [[4.0, 4.0]]
    monkeypatch.setitem(globals(), "LENGTH", 2.0)
    assert sweep.run().parameters.values.tolist() == [[3.0, 3.0]]


def shortened(length):
    return length / 2.0


def test_a_function_that_a_rule_calls_may_change_between_sweeps(monkeypatch):
    mine = own_rule(
        **NUMBERS, update=staticmethod(lambda w, g, slots, s: (w - shortened(LENGTH), slots)), prepare=staticmethod(lambda h, rate, carry: (rate, carry))
    )
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=mine(), init=[[5.0, 5.0]], steps=1, record=gd.Record(parameters=True))
    assert sweep.run().parameters.values.tolist() == [[4.5, 4.5]]
    monkeypatch.setitem(globals(), "shortened", lambda length: length / 4.0)
    assert sweep.run().parameters.values.tolist() == [[4.75, 4.75]]


def test_runs_go_on_by_the_rule_and_schedule_that_they_began_with(monkeypatch):
    """Functions that these call, and lists that only the host reads, among what must be as it was."""
    prepare, update = (lambda h, rate, carry: (rate, carry)), (lambda w, g, slots, s: (w - shortened(LENGTH), slots))
    mine = own_rule(**NUMBERS, update=staticmethod(update), prepare=staticmethod(prepare))
    members = {"rate": staticmethod(lambda base, t, p: base * LENGTH), "cycle_of": lambda self, values: (CYCLES[0], 1)}
    schedule = types.new_class("Slow", (Schedule,), {"frozen": True, "tag": "slow_by_a_test"}, lambda names: names.update(members))
    options = {"problem": gd.functions.Booth(), "init": [[5.0, 5.0]], "steps": 1, "record": gd.Record(parameters=True, state=True)}
    half = gd.Sweep(optimizer=gd.ClipValue(mine(), 9.0), schedule=gd.Warmup(schedule(), 1), **options).run()
    assert gd.continue_from(half, steps=1).parameters.values.tolist() == [[4.0, 4.0]]
    for name, value, told in (("LENGTH", 2.0, r"was 1\.0 and is 2\.0 now"), ("CYCLES", [7], r"was list\(5\) and is list\(7\) now")):
        with monkeypatch.context() as within:
            within.setitem(globals(), name, value)
            with pytest.raises(ValueError, match=rf"^{name}, which \S+ reads, {told}, and the runs .*: restore it, or run the sweep again$"):
                gd.continue_from(half, steps=1)
    monkeypatch.setattr(shortened, "__code__", (lambda length: length / 4.0).__code__)
    with pytest.raises(ValueError, match=r"^shortened is another function now, and the runs would go on by another rule"):
        gd.continue_from(half, steps=1)


WRITTEN = "{above}def update(w, g, slots, s):\n    {doc}\n    return (w - {factor} * HELD, slots)\n"


def code_of(above="", doc="'''One.'''", factor=2.0, held=None):
    """What is kept of the functions of a rule whose update is written so."""
    update = function_from(WRITTEN.format(above=above, doc=doc, factor=factor), "update", {"HELD": held or object()})
    prepare = staticmethod(lambda h, rate, carry: (rate, carry))
    return own_code(gd.Sweep(problem=gd.functions.Booth(), optimizer=own_rule(**NUMBERS, update=staticmethod(update), prepare=prepare)()))


def test_a_function_that_does_the_same_is_no_other_wherever_it_stands():
    """Nor is a value that has no text of its own, in another process at another address."""
    assert code_of() == code_of(above="# a comment\n\n", doc="'another'")
    assert not any("0x" in text for text in code_of())
    assert what_changed(code_of(), code_of(factor=3.0)) == "update is another function now"


def test_a_function_that_the_user_has_compiled_is_part_of_the_rule():
    one, same, other = numba.njit(lambda: LENGTH), numba.njit(lambda: LENGTH), numba.njit(lambda: 2.0 * LENGTH)
    assert code_of(held=one) == code_of(held=same)
    assert "<lambda> is another function now" in what_changed(code_of(held=one), code_of(held=other))


def test_a_rule_that_pytorch_lacks_says_so():
    with pytest.raises(ValueError, match=r"AdaBelief: convention='torch' is not defined.*allowed: 'lecture'"):
        gd.AdaBelief(convention="torch")
