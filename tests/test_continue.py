"""Runs that go on from an earlier end are the runs that never stopped."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.rules import RULES as KINDS
from gdsim.rules.base import BY_CONVENTION, RATE, Axis, Rule
from tests.helpers import same_bits

RULES = {
    "adam": gd.Adam(lr=[0.003, 0.03]),
    "nesterov": gd.Nesterov(lr=[0.0005, 0.1], momentum=0.8),
    "wrapped": gd.Averaged(gd.ClipNorm(gd.Momentum(lr=[0.01, 0.1]), 1.0), start=10),
    "radam": gd.RAdam(lr=[0.003, 0.03]),
}
COUNTED = [f"state_{n}" for n in ("average", "bias_correction1", "bias_correction2", "count", "count_2", "mean", "product", "square", "taken")]


class Clashing(Rule, tag="clashing_in_a_test", frozen=True):
    """Momentum whose slot and carry have names that a saved state needs for itself; the share is made of the
    carry.
    """

    lr: Axis = BY_CONVENTION
    slots = ("bound",)
    carry = ("weights", "bound")
    defaults = {"lecture": {"lr": 0.01}}
    ranges = {"lr": RATE}

    @staticmethod
    def prepare(h, rate, carry):
        """(rate, the carry): two counters, of one and of two a step."""
        return (rate, carry[0]), (carry[0] + 1.0, carry[1] + 2.0)

    @staticmethod
    def update(w, g, slots, s):
        """The step shrinks as steps are counted."""
        velocity = slots[0] * 0.5 + g
        return w - s[0] * velocity / (1.0 + 0.01 * s[1]), (velocity,)


@pytest.mark.parametrize(
    ("rule", "kind"),
    [("adam", "network"), *((r, "function") for r in RULES), *(pytest.param(r, "network", marks=pytest.mark.full) for r in RULES if r != "adam")],
)
def test_going_on_is_never_having_stopped(rule, kind):
    if kind == "network":
        problem = gd.MLP(gd.datasets.load("moons", validation=0.3), hidden=[6])
        options = {"problem": problem, "batch": 8, "stop": [gd.Validation(12, every=7), gd.Target(0.2, every=5)]}
    else:
        options = {"problem": gd.functions.Himmelblau(), "stop": [gd.Target([50.0, 1e-6])]}
    options |= {"optimizer": RULES[rule], "schedule": gd.Cosine(cycle=40, minimum=1e-4), "starts": 7}
    record = gd.Record(every=10, parameters=True, state=True)
    half = gd.Sweep(steps=100, record=record, **options).run()
    rest = gd.continue_from(half, steps=100, threads=1)
    whole = gd.Sweep(steps=200, record=record, **options).run()
    assert rest.step.values.tolist() == list(range(100, 201, 10))
    going = half.status.values == "budget"
    assert going.any()
    for name in ("loss", "gradient_norm", "validation_loss"):
        if name in whole:
            assert same_bits(rest[name].values[going], whole[name].values[going, 10:]), name
    for name in ("parameters", "final_loss", "state_weights", "steps_taken", *(["target_step"] if "target_step" in whole else [])):
        assert same_bits(rest[name].values, whole[name].values), name
    assert rest.status.values.tolist() == whole.status.values.tolist()
    again = gd.continue_from(gd.continue_from(half, steps=30), steps=70)
    assert same_bits(again.parameters.values, whole.parameters.values)


AROUND = (
    lambda rule: gd.ClipValue(rule, 0.5), lambda rule: gd.ClipNorm(rule, 1.0), lambda rule: gd.WeightDecay(rule, 0.01, decoupled=False),
    lambda rule: gd.Averaged(rule, start=10), gd.SAM,
)  # fmt: skip


def wrapped_rules():
    """Every rule in every wrapper that takes it, one of each rule in the second tier, the others in the
    third.
    """
    for number, rule in enumerate(kind(convention=c) for kind in KINDS for c in kind.defaults):
        fitting = [a for a in AROUND if a is not AROUND[2] or "weight_decay" not in rule.hyperparameters()]
        for place, around in enumerate(fitting):
            tier = pytest.mark.full if place == number % len(fitting) and rule.convention == "lecture" else pytest.mark.slow
            yield pytest.param(around(rule), marks=tier, id=f"{type(around(rule)).__name__} {type(rule).__name__} {rule.convention}")


@pytest.mark.parametrize("rule", wrapped_rules())
def test_every_rule_in_every_wrapper_goes_on(rule):
    options = {"problem": gd.functions.Booth(), "optimizer": rule, "starts": 3, "record": gd.Record(every=10, state=True)}
    rest = gd.continue_from(gd.Sweep(steps=20, **options).run(), steps=20, threads=1)
    whole = gd.Sweep(steps=40, **options).run()
    names = [n for n in whole.data_vars if str(n).startswith("state_")]
    assert len(names) >= 3 + len(rule.slots) + len(rule.carry)
    for name in ("final_loss", *names):
        assert same_bits(rest[name].values, whole[name].values), name


STOPS = {
    "Validation": gd.Validation(1),
    "Plateau": gd.Plateau(1, 0.02, every=6),
    "Plateau at the ends of cycles": gd.Plateau(1, 0.1),
    "Plateau of batches": gd.Plateau(1, 0.01, batches=True),
    "Target": gd.Target([0.4, 0.3]),
    "RelativeTarget": gd.RelativeTarget(0.6),
    "SmallGradient": gd.SmallGradient(0.05),
    "SmallStep": gd.SmallStep(1e-2),
}


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.full) if k in ("RelativeTarget", "SmallGradient") else k for k in STOPS])
def test_going_on_from_inside_an_epoch_is_never_having_stopped(kind):
    """Also where the look after the last step, which a longer run does not have, has ended a run.

    An epoch has six steps, a cycle 16.
    """
    problem = gd.MLP(gd.datasets.load("moons", validation=0.3), hidden=[6])
    options = {"problem": problem, "optimizer": gd.Adam(lr=[0.01, 0.1]), "schedule": gd.Cosine(cycle=16, minimum=1e-4), "batch": 32, "drop_last": False}
    options |= {"starts": 6, "stop": [STOPS[kind]], "record": gd.Record(every=1, parameters=True, state=True)}
    whole = gd.Sweep(steps=50, **options).run()
    early = 0
    for cut in (14, 16, 18, 21, 23):
        half = gd.Sweep(steps=cut, **options).run()
        early += int(((half.steps_taken.values == cut) & (half.reason.values != "budget") & (whole.steps_taken.values > cut)).sum())
        rest = gd.continue_from(half, steps=50 - cut, threads=1)
        went, left = whole.steps_taken.values > cut, whole.reason.values == "budget"
        for name in whole.data_vars:
            ours, theirs = rest[name].values, whole[name].values
            if "checkpoint" in whole[name].dims:
                assert same_bits(ours[went], theirs[went, cut:]), name
            elif name == "epoch_loss":
                assert same_bits(ours[went], theirs[went, cut // 6 :])
            elif str(name).startswith("state_"):
                assert same_bits(ours[left], theirs[left]), name
            else:
                assert ours.tolist() == theirs.tolist() if ours.dtype.kind in "UO" else same_bits(ours, theirs), name
    assert early > 0


def test_small_steps_in_a_row_and_cycles_that_have_begun_are_remembered():
    """From every step, on quadratics: gradient descent that halves a distance, and that goes to and fro."""
    for lr, stop in ((0.5, gd.SmallStep(1e-3, times=5)), (2.0, gd.Cycling()), (2.0, gd.Cycling(every=3))):
        options = {"problem": gd.Quadratic([[1.0]]), "optimizer": gd.SGD(lr=lr), "init": gd.Normal(1.0), "starts": 3, "stop": [stop]}
        options["record"] = gd.Record(every="ends", state=True)
        whole = gd.Sweep(steps=30, **options).run()
        assert set(whole.reason.values) == {type(stop).__name__}
        for cut in range(1, 20):
            rest = gd.continue_from(gd.Sweep(steps=cut, **options).run(), steps=30 - cut, threads=1)
            assert rest.steps_taken.values.tolist() == whole.steps_taken.values.tolist(), (stop, cut)


def test_a_stored_result_goes_on_too(tmp_path):
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.001, 0.01]), starts=4, steps=20, record=gd.Record(state=True))
    sweep.run(out=tmp_path / "r")
    rest = gd.continue_from(gd.open(tmp_path / "r"), steps=20)
    whole = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.001, 0.01]), starts=4, steps=40).run()
    assert same_bits(rest.final_loss.values, whole.final_loss.values)


@pytest.mark.parametrize("stored", [False, True])
def test_runs_of_two_precisions_go_on_each_in_its_own(stored, tmp_path):
    options = {
        "problem": gd.functions.Booth(), "optimizer": gd.Momentum(lr=0.01), "starts": 3, "dtype": gd.grid("float32", "float64"),
        "record": gd.Record(state=True, parameters=True),
    }  # fmt: skip
    whole = gd.Sweep(steps=20, **options).run()
    if stored:
        gd.Sweep(steps=8, **options).run(out=tmp_path / "folder")
        more = gd.Sweep(steps=20, **options).run(out=tmp_path / "folder")
    else:
        more = gd.continue_from(gd.Sweep(steps=8, **options).run(), steps=12)
    for name in ("final_loss", "parameters", "state_velocity"):
        assert same_bits(more[name].values, whole[name].values)


def test_without_state_there_is_no_going_on():
    result = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), steps=5).run()
    with pytest.raises(ValueError, match=r"record it with gd.Record\(state=True\)"):
        gd.continue_from(result, steps=5)
    with pytest.raises(ValueError, match="no sweep that this process has run"):
        gd.continue_from(result.drop_attrs(), steps=5)


@pytest.mark.full
def test_samples_in_place_of_steps_compare_batch_sizes():
    problem = gd.MLP(gd.datasets.load("moons"), hidden=[4])
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), samples=2560, batch=gd.grid(8, 32, None), starts=2).run()
    assert result.steps_taken.values.tolist() == [320, 80, 10] * 2
    for run, steps in enumerate((320, 80, 10)):
        known = result.step.values[~np.isnan(result.loss.values[run])]
        assert known[-1] == steps
        assert float(result.loss.values[run][~np.isnan(result.loss.values[run])][-1]) == float(result.final_loss[run])
        alone = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.1), steps=steps, batch=(8, 32, None)[run]).run()
        assert float(alone.final_loss[0]) == float(result.final_loss[run])
    with pytest.raises(ValueError, match="give steps or samples, not both"):
        gd.Sweep(problem=problem, optimizer=gd.SGD(), samples=100, steps=10)
    with pytest.raises(ValueError, match="makes 0 steps"):
        gd.Sweep(problem=problem, optimizer=gd.SGD(), samples=100, batch=200)


def test_the_range_test_finds_where_learning_ends():
    """On a quadratic of curvature 1 gradient descent learns up to a rate of 2."""
    found = gd.lr_range_test(gd.Quadratic([[1.0]]), gd.SGD(), low=0.1, high=10.0, n=21, init=gd.Normal(1.0))
    assert (found.learns.values == (found.lr.values < 2.0)).all()
    assert found.attrs["suggested_lr"] == pytest.approx(1.0)


def test_a_rule_may_name_its_state_as_it_likes():
    options = {"problem": gd.functions.Booth(), "optimizer": Clashing(lr=0.01), "starts": 3, "record": gd.Record(state=True)}
    rest = gd.continue_from(gd.Sweep(steps=20, **options).run(), steps=20)
    whole = gd.Sweep(steps=40, **options).run()
    assert {str(n) for n in whole if str(n).startswith("state_bound")} == {"state_bound", "state_bound_2", "state_bound_3"}
    assert whole.state_weights_2.values.tolist() == [40.0] * 3
    assert whole.state_bound_3.values.tolist() == [80.0] * 3
    assert same_bits(rest.state_weights.values, whole.state_weights.values)


def test_what_two_of_a_rules_layers_count_is_kept_apart():
    options = {"optimizer": gd.Averaged(gd.NAdam(lr=0.01, convention="torch"), start=5), "starts": 3, "record": gd.Record(state=True)}
    half = gd.Sweep(problem=gd.functions.Booth(), steps=20, **options).run()
    assert sorted(str(n) for n in half if str(n).startswith("state_") and str(n) not in ("state_weights", "state_reported", "state_bound")) == COUNTED
    whole = gd.Sweep(problem=gd.functions.Booth(), steps=40, **options).run()
    assert same_bits(gd.continue_from(half, steps=20).state_weights.values, whole.state_weights.values)
    older = half.drop_vars("state_count_2")  # versions before kept one column for both, which count alike
    older = older.rename(state_bias_correction1="state_share1", state_bias_correction2="state_share2")  # and had other names
    assert same_bits(gd.continue_from(older, steps=20).state_weights.values, whole.state_weights.values)


class Damped(Rule, tag="damped_in_a_test", frozen=True):
    """Gradient descent with numbers that a schedule and the penalty have too."""

    lr: Axis = BY_CONVENTION
    minimum: Axis = BY_CONVENTION
    l2: Axis = BY_CONVENTION
    defaults = {"lecture": {"lr": 0.01, "minimum": 0.0, "l2": 0.0}}
    ranges = {"lr": RATE, "minimum": RATE, "l2": RATE}

    @staticmethod
    def prepare(h, rate, carry):
        """The hyperparameters with the scheduled rate."""
        return (rate, h.minimum, h.l2), carry

    @staticmethod
    def update(w, g, slots, s):
        """w - rate (g + l2 w) - minimum."""
        return w - s[0] * (g + s[2] * w) - s[1], ()


class Doubled(Damped, tag="doubled_in_a_test", frozen=True):
    """A rule one of whose constants is called as a field."""

    @staticmethod
    def constants(values):
        """Half of the rate, under a name that is taken."""
        return {"minimum": 0.5}


def test_numbers_of_one_name_are_told_apart_by_their_owners():
    """A rule's minimum from the schedule's, its l2 from the problem's, on a parabola in one dimension."""
    data, rule = gd.Data(np.ones((2, 1)), np.zeros(2)), Damped(lr=[0.1, 0.2], minimum=0.25, l2=3.0)
    problem = gd.LinearRegression(data, loss="squared_error", l2=0.5, intercept=False)  # w^2/2 + l2 w^2/2
    options = {"problem": problem, "schedule": gd.Cosine(cycle=8, minimum=0.02), "init": np.array([[2.0]]), "dtype": "float64"}
    sweep = gd.Sweep(optimizer=rule, steps=20, **options)
    for lr, ours in zip((0.1, 0.2), sweep.run().final_loss.values, strict=True):
        w = 2.0
        for k in range(20):
            rate = 0.02 + (lr - 0.02) * (1 + np.cos(np.pi * (k % 8) / 8)) / 2
            w = w - rate * (w + 0.5 * w + 3.0 * w) - 0.25
        assert ours == pytest.approx(w**2 / 2 + 0.5 * w**2 / 2, rel=1e-12)
    with pytest.raises(ValueError, match=r"^Doubled: a field and one of its constants are both called 'minimum'; rename the field$"):
        gd.Sweep(optimizer=Doubled(), steps=2, **options).run()


def test_a_folder_whose_state_has_older_names_goes_on_with_todays(tmp_path, monkeypatch):
    options = {"problem": gd.functions.Booth(), "optimizer": gd.Adam(lr=[0.01, 0.1]), "starts": 2, "record": gd.Record(every=10, state=True)}
    with monkeypatch.context() as older:
        older.setattr(gd.Adam, "carry", ("share1", "share2"))
        gd.Sweep(steps=20, **options).run(out=tmp_path)
    assert "state_bias_correction1" in gd.open(tmp_path)
    longer = gd.Sweep(steps=40, **options)
    result, whole = longer.run(out=tmp_path), longer.run()
    assert sorted(map(str, result.data_vars)) == sorted(map(str, whole.data_vars))
    for name in ("state_bias_correction1", "state_bias_correction2", "state_square", "final_loss"):
        assert same_bits(result[name].values, whole[name].values), name


class Counting(Damped, tag="counting_in_a_test", frozen=True):
    """A rule whose carry is called as another's slot."""

    carry = ("velocity",)


def test_a_slot_and_a_carry_of_one_name_are_refused_where_states_are_kept():
    options = {"problem": gd.functions.Booth(), "optimizer": [gd.Momentum(), Counting()], "steps": 2}
    assert gd.Sweep(**options).plan().runs == 2
    with pytest.raises(ValueError, match=r"^Momentum has a slot 'velocity' and Counting a carry of that name, which a result cannot tell apart: rename"):
        gd.Sweep(record=gd.Record(state=True), **options).plan()
