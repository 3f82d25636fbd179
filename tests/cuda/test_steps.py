"""Steps of a warp from PTX: weights, slots, carry and what is looked at have the processor's bits."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.rules import RULES
from tests.cuda.arena import WARP
from tests.cuda.kernels import batch_of, differing, stepped
from tests.cuda.settings import RATES, setting

CONVENTIONS = [rule(convention=convention) for rule in RULES for convention in rule.defaults]
WRAPPED = [
    gd.ClipValue(gd.Adam(), 1.0), gd.ClipNorm(gd.Momentum(), 1.0), gd.WeightDecay(gd.SGD(), 0.1), gd.WeightDecay(gd.SGD(), 0.1, decoupled=False),
    gd.Averaged(gd.Nesterov()), gd.SAM(gd.SGD()),
]  # fmt: skip


def check(compiled, chosen, steps, capability=(9, 0), rates=RATES):
    found, truth = stepped(compiled, chosen, batch_of(chosen, WARP, rates), steps, capability)
    assert differing(found, truth) == []
    assert found.step.max() > 0


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0)])
def test_steps_of_a_function_have_the_processors_bits(compiled, capability):
    check(compiled, setting(gd.functions.Rosenbrock(), gd.Adam()), 50, capability)


@pytest.mark.full
@pytest.mark.parametrize("rule", [*CONVENTIONS, *WRAPPED], ids=lambda r: f"{type(r).__name__} {r.convention}")
def test_steps_of_a_rule_have_the_processors_bits(compiled, rule):
    check(compiled, setting(gd.functions.Rosenbrock(), rule), 20, rates=RATES[:3])


def problems():
    moons, wine, digits = gd.datasets.load("moons"), gd.datasets.load("wine"), gd.datasets.load("digits")
    yield "full", "ten dimensions", setting(gd.functions.Rosenbrock(dim=10), gd.Adam()), 10
    yield "full", "Ackley", setting(gd.functions.Ackley(), gd.Momentum(), dtype="float64"), 10
    yield "full", "quadratic", setting(gd.Quadratic(np.diag(np.arange(1.0, 21.0))), gd.Momentum()), 5
    yield "slow", "linear", setting(gd.LinearRegression(gd.datasets.load("diabetes")), gd.SGD(), batch=8), 3
    yield "slow", "logistic", setting(gd.LogisticRegression(gd.datasets.load("breast_cancer")), gd.Momentum(), batch=8), 3
    yield "slow", "moons", setting(gd.MLP(moons, hidden=(4,), activation="tanh", loss="log_loss"), gd.Nesterov(), batch=16), 3
    yield "slow", "two hidden layers", setting(gd.MLP(wine, hidden=(5, 7), activation="gelu", loss="cross_entropy"), gd.AdaBelief(), batch=8), 2
    yield "slow", "digits", setting(gd.MLP(digits, hidden=(8,), activation="relu", loss="cross_entropy"), gd.Adam(), batch=8), 1


@pytest.mark.parametrize(("chosen", "steps"), [pytest.param(*case, id=name, marks=getattr(pytest.mark, tier)) for tier, name, *case in problems()])
def test_steps_of_a_problem_have_the_processors_bits(compiled, chosen, steps):
    check(compiled, chosen, steps)
