"""Derivatives by runs' numbers and starts, which warps carry along: they have the processor's bits, as the values have."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population.setting import Tangent
from tests.cuda.kernels import batch_of, expected, jobs_for, on_device, same_bits, trained, training_ptx
from tests.cuda.settings import RATES, setting

LR, START = Tangent("lr", "lr"), Tangent("start", direction=gd.Direction("random"))
RECORD = gd.Record(parameters=True, gradient_norm=True)
XOR = gd.MLP(gd.datasets.load("xor"), hidden=(2,), activation="tanh", loss="log_loss")


def trainings():
    rosenbrock = gd.functions.Rosenbrock()
    stops = (gd.SmallGradient(0.1), gd.Target(0.5))
    yield "by the rate and the start", setting(rosenbrock, gd.Adam(), steps=60, stops=stops, record=RECORD, tangents=(LR, START))
    yield "float64", setting(rosenbrock, gd.Momentum(), steps=40, record=gd.Record(state=True), dtype="float64", tangents=(Tangent("momentum", "momentum"),))
    yield "averaged", setting(gd.functions.Ackley(), gd.Averaged(gd.Nesterov()), steps=20, record=RECORD, tangents=(START,))
    yield "linear", setting(gd.LinearRegression(gd.datasets.load("diabetes")), gd.SGD(), steps=3, batch=8, tangents=(LR,))
    yield "network", setting(XOR, gd.Momentum(), steps=6, tangents=(LR,))


CASES = [pytest.param(chosen, id=name, marks=pytest.mark.full if number == 0 else pytest.mark.slow) for number, (name, chosen) in enumerate(trainings())]


@pytest.mark.parametrize("chosen", CASES)
def test_derivatives_of_results_have_the_processors_bits(compiled, chosen):
    batch = batch_of(chosen, 50, RATES[:5])
    ptx, truth = training_ptx(compiled, chosen), expected(chosen, batch)
    derived = [name for name in truth if "_d_" in name]
    assert len(derived) > 2 * len(chosen.tangents)
    assert all(np.isfinite(truth[name]).any() and len(np.unique(truth[name])) > 10 for name in derived)
    for found in (trained(ptx, jobs_for(chosen, batch, 2), 10**6, np.random.default_rng(0)), on_device(ptx, chosen, batch)):
        assert found.keys() == truth.keys()
        assert [name for name in truth if not same_bits(found[name], truth[name])] == []
