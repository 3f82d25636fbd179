"""What a further structure compiles anew: a rule its steps, a problem its passes and mostly its evaluation, and
sizes nothing. Kernels are described here, and not compiled.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.kernels import engines
from gdsim.kernels.engines import blocks
from gdsim.lanes.compiler import ScopedPart
from gdsim.population.engine_choice import kernels_for
from gdsim.population.setting import Setting

rng = np.random.default_rng(3)
DATA, WIDER = (gd.Data(rng.normal(size=(n, columns)), rng.integers(0, 3, n)) for n, columns in ((90, 4), (200, 7)))
FIRST = {"problem": gd.MLP(DATA, hidden=[8]), "rule": gd.SGD(), "schedule": gd.Constant(), "batch": 16, "shuffle": "epoch", "stops": (), "dtype": "float32"}
STEPS, LOOP, PASSES, BATCHES, EVALUATION = "advance", "train", "passes", "batches", "evaluate"
ANEW = [
    ({"rule": gd.Momentum()}, {STEPS}),
    ({"rule": gd.Adam(lr=0.3)}, {STEPS}),
    ({"schedule": gd.Cosine(cycle=10)}, {STEPS}),
    ({"rule": gd.SGD(lr=[0.1, 0.2])}, set()),
    ({"batch": 3}, set()),
    ({"batch": 65}, {STEPS}),  # a batch of several blocks leaves its gradient before the first weight moves
    ({"batch": None}, {STEPS, BATCHES}),  # 90 samples are two blocks
    ({"shuffle": "replacement"}, {BATCHES}),
    ({"problem": gd.MLP(DATA, hidden=[16])}, set()),
    ({"problem": gd.MLP(DATA, hidden=[8, 5])}, set()),
    ({"problem": gd.MLP(WIDER, hidden=[8])}, set()),
    ({"problem": gd.MLP(DATA, hidden=[8], activation="tanh")}, {PASSES}),
    ({"problem": gd.MLP(DATA, hidden=[8], loss="squared_error")}, {PASSES, EVALUATION}),
    ({"problem": gd.MLP(DATA, hidden=[8], l2=0.1)}, {STEPS}),
    ({"stops": (gd.Target(0.1), gd.Plateau())}, set()),
    ({"dtype": "float64"}, {STEPS, LOOP, PASSES, BATCHES, EVALUATION}),
]  # fmt: skip


def kernels_of(width, **changed):
    """The templates of the kernels that training needs, by the hashes of all that decides their code."""
    s = {**FIRST, **changed}
    setting = Setting(s["problem"], s["rule"], s["schedule"], "zeros", 10, s["batch"], s["shuffle"], True, s["stops"], gd.Record(), 0, s["dtype"])
    return {bound.digest: bound.template.__name__ for bound in kernels_for(setting, width).wanted}


@pytest.mark.parametrize(("changed", "anew"), ANEW, ids=["-".join(changed) for changed, _ in ANEW])
def test_a_structure_compiles_anew_what_it_decides(changed, anew):
    first, found = kernels_of(16), kernels_of(16, **changed)
    assert set(first.values()) == {STEPS, LOOP, PASSES, BATCHES, EVALUATION}
    assert {name for digest, name in found.items() if digest not in first} == anew


def test_one_run_in_all_lanes_shares_passes_and_evaluations_between_rules():
    first, found = kernels_of(1), kernels_of(1, rule=gd.Adam())
    assert set(first.values()) == {STEPS, LOOP, PASSES, EVALUATION}
    assert {name for digest, name in found.items() if digest not in first} == {STEPS}


@pytest.mark.full
def test_bodies_in_the_place_of_calls_give_the_same_bits(monkeypatch):
    """As a device without calls by address has them."""
    sweep = gd.Sweep(problem=FIRST["problem"], optimizer=gd.Adam(lr=0.1), batch=16, steps=12, starts=16)
    called = sweep.run(lanes=16, threads=1, progress=False)
    usual = engines.NETWORK

    def evaluation(structure, parts):
        own = usual.evaluation(structure, parts)
        return {**own, "run_passes": ScopedPart(blocks.pass_block, tuple(own.items())), "run_batch": blocks.batch_in_place}

    monkeypatch.setattr(engines, "NETWORK", usual._replace(evaluation=evaluation, calls_batches=False))
    found = sweep.run(lanes=16, threads=1, progress=False)
    assert found.final_loss.values.tobytes() == called.final_loss.values.tobytes()
    assert found.loss.values.tobytes() == called.loss.values.tobytes()
