"""A small network, whose step is written out for it, trains to the bits of the tiles that serve all
others.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population.engine_choice import for_runs
from tests.helpers import same_results

rng = np.random.default_rng(4)
XOR = gd.datasets.load("xor")
WEIGHTED = gd.Data(rng.normal(size=(45, 3)), rng.normal(size=(45, 2)), sample_weight=rng.random(45))
CLASSES = gd.Data(rng.normal(size=(60, 4)), rng.integers(0, 3, 60), validation=0.2)
CASES = {
    "xor": (gd.MLP(XOR, hidden=[2], activation="tanh", loss="log_loss"), gd.Momentum(lr=[0.1, 10.0]), {"stop": [gd.SmallStep(1e-3, times=2)]}),
    "two layers, short batches": (
        gd.MLP(CLASSES, hidden=[5, 3], activation=["gelu", "relu"], l2=0.1),
        gd.Nesterov(lr=[0.1, 1e6]),
        {"batch": 20, "drop_last": False},
    ),
    "weights, clipping": (gd.MLP(WEIGHTED, hidden=[6], activation="sigmoid", loss="huber", output="tanh"), gd.ClipNorm(gd.Adam(lr=[0.01, 0.1]), 0.1), {}),
    "float64, uphill": (gd.MLP(CLASSES, hidden=[3], activation="silu"), gd.SAM(gd.SGD(lr=[0.1, 1.0])), {"batch": 7, "dtype": "float64"}),
    "no hidden layer, no intercept": (gd.LogisticRegression(gd.datasets.load("moons"), intercept=False), gd.Lion(lr=[0.01, 0.1]), {"batch": 64}),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "xor" else pytest.mark.slow) for n in CASES])
def test_a_step_that_is_written_out_has_the_bits_of_tiles(name, monkeypatch):
    problem, rule, settings = CASES[name]
    sweep = gd.Sweep(problem=problem, optimizer=rule, init=gd.Normal(1.0), starts=4, steps=30, record=gd.Record(every=6, trajectory=True), **settings)
    tiles = sweep.run(lanes=16)
    monkeypatch.setattr("gdsim.population.engine_choice.STEPS_WORTH_WRITING", 0)
    for lanes in (1, 16):
        assert same_results(sweep.run(lanes=lanes), tiles) == []


def test_a_small_network_is_written_out_where_there_are_many_steps():
    moons = gd.MLP(gd.datasets.load("moons"), hidden=[16])
    sweeps = [gd.Sweep(problem=p, optimizer=gd.SGD(), batch=b) for p, b in ((moons, 16), (moons, 65), (gd.MLP(gd.datasets.load("digits"), hidden=[2]), 16))]
    assert [for_runs(s.plan().groups[0].setting, 1000).is_written_out for s in sweeps] == [True, False, False]
    assert not for_runs(sweeps[0].plan().groups[0].setting, 10).is_written_out
