"""Runs that go on from an earlier end are the runs that never stopped."""

import numpy as np
import pytest

import gdsim as gd
from tests.helpers import same_bits

RULES = {
    "adam": gd.Adam(lr=[0.003, 0.03]),
    "nesterov": gd.Nesterov(lr=[0.0005, 0.1], momentum=0.8),
    "wrapped": gd.Averaged(gd.ClipNorm(gd.Momentum(lr=[0.01, 0.1]), 1.0), start=10),
    "radam": gd.RAdam(lr=[0.003, 0.03]),
}


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


def test_a_stored_result_goes_on_too(tmp_path):
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.001, 0.01]), starts=4, steps=20, record=gd.Record(state=True))
    sweep.run(out=tmp_path / "r")
    rest = gd.continue_from(gd.open(tmp_path / "r"), steps=20)
    whole = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=[0.001, 0.01]), starts=4, steps=40).run()
    assert same_bits(rest.final_loss.values, whole.final_loss.values)


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
