"""Every schedule against PyTorch's or its formula, rate by rate, as runs see it."""

import math

import numpy as np
import pytest

import gdsim as gd
from gdsim.schedules import SCHEDULES

STEPS = 60
LAMBDA = {
    "InverseTime": (gd.InverseTime(), lambda t: 1 / (t + 1)),
    "Power": (gd.Power(0.3), lambda t: (t + 1) ** -0.3),
    "Polynomial to an end": (gd.Polynomial(steps=20, power=2.0, end=0.1), lambda t: 0.9 * (1 - min(t, 20) / 20) ** 2 + 0.1),
    "Exponential over 5": (gd.Exponential(0.5, length=5), lambda t: 0.5 ** (t / 5)),
    "CosineDecay": (gd.CosineDecay(steps=40, minimum=0.2), lambda t: 0.2 + 0.8 * (1 + math.cos(math.pi * min(t, 40) / 40)) / 2),
    "Cosine": (gd.Cosine(cycle=7, minimum=0.1), lambda t: 0.1 + 0.9 * (1 + math.cos(math.pi * (t % 7) / 7)) / 2),
    "Snapshot": (gd.Snapshot(steps=60, cycles=7), lambda t: (math.cos(math.pi * (t % 9) / 9) + 1) / 2),
    "Piecewise": (gd.Piecewise([(0, 0.5), (10, 1.0), (30, 0.0)]), lambda t: 0.5 if t < 10 else 1.0 if t < 30 else 0.0),
    "Warmup": (gd.Warmup(gd.Step(length=10, factor=0.5), warmup=8), lambda t: (t + 1) / 8 if t < 8 else 0.5 ** ((t - 8) // 10)),
    "Warmup before a wave": (gd.Warmup(gd.Triangular(half_cycle=5), warmup=3), lambda t: (t + 1) / 3 if t < 3 else 1 - abs((t - 3) % 10 - 5) / 5),
}
TORCH = {
    "Step": (gd.Step(length=7, factor=0.5), lambda s, o: s.StepLR(o, 7, 0.5)),
    "MultiStep": (gd.MultiStep([5, 30], 0.2), lambda s, o: s.MultiStepLR(o, [5, 30], 0.2)),
    "Exponential": (gd.Exponential(0.93), lambda s, o: s.ExponentialLR(o, 0.93)),
    "Polynomial": (gd.Polynomial(steps=40, power=1.5), lambda s, o: s.PolynomialLR(o, 40, 1.5)),
    "SGDR": (gd.SGDR(cycle=4, mult=2, minimum=0.01), lambda s, o: s.CosineAnnealingWarmRestarts(o, 4, 2, 0.01)),
    "SGDR by 3": (gd.SGDR(cycle=3, mult=3), lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 3)),
    "Triangular": (gd.Triangular(half_cycle=6, minimum=0.1), lambda s, o: s.CyclicLR(o, 0.1, 1.0, 6, cycle_momentum=False)),
    "Triangular2": (gd.Triangular2(half_cycle=6, minimum=0.1), lambda s, o: s.CyclicLR(o, 0.1, 1.0, 6, mode="triangular2", cycle_momentum=False)),
    "ExpRange": (gd.ExpRange(half_cycle=6, minimum=0.1, factor=0.97), lambda s, o: s.CyclicLR(o, 0.1, 1.0, 6, mode="exp_range", gamma=0.97, cycle_momentum=False)),
    "OneCycle": (gd.OneCycle(steps=60), lambda s, o: s.OneCycleLR(o, 1.0, 60, cycle_momentum=False)),
}  # fmt: skip

# The ends of phases: lengths of 1, warm-ups of 1, steps beyond the end. Kernels are those of the tables
# above.
EDGES = {
    "Step of 1": (gd.Step(length=1, factor=0.9), lambda t: 0.9**t),
    "Cosine of 1": (gd.Cosine(cycle=1, minimum=0.1), lambda t: 1.0),
    "Cosine of 2": (gd.Cosine(cycle=2), lambda t: (1.0, 0.5)[t % 2]),
    "CosineDecay of 1": (gd.CosineDecay(steps=1, minimum=0.2), lambda t: 1.0 if t == 0 else 0.2),
    "Polynomial of 1": (gd.Polynomial(steps=1, power=2.0, end=0.1), lambda t: 1.0 if t == 0 else 0.1),
    "Triangular of 1": (gd.Triangular(half_cycle=1, minimum=0.25), lambda t: (0.25, 1.0)[t % 2]),
    "Triangular2 of 1": (gd.Triangular2(half_cycle=1), lambda t: (0.0, 0.5 ** (t // 2))[t % 2]),
    "ExpRange of 1": (gd.ExpRange(half_cycle=1, factor=0.9), lambda t: (0.0, 0.9**t)[t % 2]),
    "Snapshot of more cycles than steps": (gd.Snapshot(steps=3, cycles=7), lambda t: 1.0),
    "Snapshot of one cycle": (gd.Snapshot(steps=1, cycles=1), lambda t: 1.0),
    "MultiStep from the beginning": (gd.MultiStep([0, 1], 0.2), lambda t: 0.2 if t == 0 else 0.04),
    "Warmup of 1": (gd.Warmup(gd.Step(length=1, factor=0.5), warmup=1), lambda t: 1.0 if t == 0 else 0.5 ** (t - 1)),
    "Warmup longer than the run": (gd.Warmup(gd.Step(length=1, factor=0.5), warmup=1000), lambda t: (t + 1) / 1000),
    "SGDR of 1": (gd.SGDR(cycle=1, mult=2), lambda t: (1 + math.cos(math.pi * (t + 1 - 2 ** int(math.log2(t + 1))) / 2 ** int(math.log2(t + 1)))) / 2),
    "SGDR of 1 by 3": (gd.SGDR(cycle=1, mult=3), lambda t: next((1 + math.cos(math.pi * (t - (3**k - 1) // 2) / 3**k)) / 2 for k in range(5) if t < (3 ** (k + 1) - 1) // 2)),
}  # fmt: skip


def one_cycle(t, steps, rise):
    """The rate of update t + 1 as PyTorch's two phases give it, at the peak where the first phase has no
    length.
    """
    top, t = rise * steps - 1, min(t, steps - 1)

    def between(first, last, share):
        return last + (first - last) * (1 + math.cos(math.pi * share)) / 2

    if t <= top:
        return between(1 / 25, 1.0, t / top if top else 1.0)
    return between(1.0, 1 / 250000, (t - top) / (steps - 1 - top))


def rates(schedule, lr=1.0, dtype="float64"):
    """The rates of the first updates: the steps of gradient descent on a slope of 1."""
    sweep = gd.Sweep(problem=gd.Expression("w"), optimizer=gd.SGD(lr=lr), schedule=schedule, init="zeros", steps=STEPS, dtype=dtype,
                     record=gd.Record(every=1, trajectory=True))  # fmt: skip
    return -np.diff(sweep.run().trajectory.values[0, :, 0])


@pytest.mark.parametrize("name", LAMBDA)
def test_a_schedule_is_its_formula(name):
    schedule, factor = LAMBDA[name]
    assert np.allclose(rates(schedule), [factor(t) for t in range(STEPS)], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", EDGES)
def test_a_schedule_is_its_formula_at_the_ends_of_its_phases(name):
    schedule, factor = EDGES[name]
    assert np.allclose(rates(schedule), [factor(t) for t in range(STEPS)], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("steps", "rise"), [(100, 0.01), (10, 0.1), (100, 0.02), (49, 1 / 49), (60, 0.001), (60, 0.9999), (1, 0.3), (1, 0.999), (2, 0.5), (2, 0.3), (3, 0.5)]
)
def test_one_cycle_has_no_hole_where_a_phase_has_no_length(steps, rise, dtype):
    found = rates(gd.OneCycle(steps=steps, rise=rise), dtype=dtype)
    assert np.allclose(found, [one_cycle(t, steps, rise) for t in range(STEPS)], rtol=0, atol=1e-12 if dtype == "float64" else 1e-5)
    if steps * rise == 1:
        assert found[0] == 1.0  # the formula's limit


@pytest.mark.parametrize("name", TORCH)
def test_a_schedule_follows_pytorch(torch, name):
    schedule, make = TORCH[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    expected = []
    for _ in range(STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < STEPS:
            scheduler.step()
    assert np.allclose(rates(schedule), expected, rtol=1e-10, atol=1e-12)


def test_one_cycle_drives_the_momentum_as_in_pytorch(torch):
    schedule = gd.OneCycle(steps=40, momenta=(0.85, 0.95))
    for nesterov, rule in ((False, gd.Momentum), (True, gd.Nesterov)):
        sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=rule(lr=0.01, convention="torch"), schedule=schedule, init=np.array([[3.0, -2.0]]), steps=40,
                         record=gd.Record(every=1, trajectory=True))  # fmt: skip
        w = torch.tensor([3.0, -2.0], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.01, momentum=0.9, nesterov=nesterov)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, 40)
        for _ in range(39):
            optimizer.zero_grad()
            ((w[0] + 2 * w[1] - 7) ** 2 + (2 * w[0] + w[1] - 5) ** 2).backward()
            optimizer.step()
            scheduler.step()
        assert np.allclose(sweep.run().trajectory.values[0, 39], w.detach().numpy(), rtol=1e-10)


def test_nesterov_looks_ahead_with_the_next_momentum():
    """The lecture's form: h = a h + eta g(w - a h), w - h, with the momentum of each step."""
    schedule = gd.OneCycle(steps=30, momenta=(0.5, 0.9))
    options = {"problem": gd.functions.Booth(), "schedule": schedule, "init": np.array([[3.0, -2.0]]), "steps": 30}
    ours = gd.Sweep(optimizer=gd.Nesterov(lr=0.01), record=gd.Record(every=1, trajectory=True), **options).run().trajectory.values[0]
    cosine = lambda a, b, x: b + (a - b) / 2 * (1 + math.cos(math.pi * x))  # noqa: E731
    along = lambda t, first, peak, last: cosine(first, peak, t / 8) if t <= 8 else cosine(peak, last, (t - 8) / 21)  # noqa: E731
    w, h = np.array([3.0, -2.0]), np.zeros(2)
    for t in range(29):
        a, eta = along(t, 0.9, 0.5, 0.9), along(t, 0.01 / 25, 0.01, 0.01 / 25e4)
        h = a * h + eta * options["problem"].gradient(w - a * h)
        w = w - h
        assert np.allclose(ours[t + 1], w, rtol=1e-11), t


def test_a_momentum_without_a_rule_that_has_one_is_refused():
    with pytest.raises(ValueError, match="drives the momentum, and Adam has none"):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Adam(), schedule=gd.OneCycle(steps=10, momenta=(0.85, 0.95)))


def test_what_schedules_say_of_robbins_and_monro():
    assert gd.InverseTime().robbins_monro == gd.Power(0.7).robbins_monro == (True, True)
    assert gd.Power(0.3).robbins_monro == gd.Constant().robbins_monro == (True, False)
    assert gd.Power(1.2).robbins_monro == gd.Exponential(0.9).robbins_monro == (False, True)
    assert gd.Warmup(gd.Power(0.7), warmup=3).robbins_monro == (True, True)


def test_schedules_are_axes_with_axes_in_them():
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.1]), steps=5,
                     schedule=[gd.Constant(), gd.Warmup(gd.Step(length=[2, 3]), warmup=[1, 2]), gd.SGDR(cycle=2), gd.SGDR(cycle=2, mult=3)])  # fmt: skip
    result = sweep.run()
    assert result.sizes["run"] == 2 * (1 + 4 + 2)
    assert len(set(result.label.values.tolist())) == 14
    assert set(result.schedule.values.tolist()) == {"Constant", "Warmup Step", "SGDR mult=2", "SGDR mult=3"}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.__name__)
def test_every_schedule_is_tested(schedule):
    tested = {type(s) for s, _ in (*LAMBDA.values(), *TORCH.values())}
    assert schedule in tested | {gd.Constant}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.Step(length=1.5), "counts steps and must be a whole number"),
        (lambda: gd.MultiStep([]), "must be a list of steps"),
        (lambda: gd.Piecewise([(5, 1.0)]), "must begin at step 0"),
        (lambda: gd.SGDR(cycle=5, mult=1), "mult must be a whole number from 2"),
        (lambda: gd.Warmup(0.1, warmup=5), "put before a schedule"),
        (lambda: gd.OneCycle(steps=10, momenta=0.9), "must be a pair"),
        (lambda: gd.Polynomial(steps=0), "must be a finite number in"),
    ],
)
def test_a_wrong_schedule_is_one_clear_error(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
