"""Scores of clients on their own samples, beside formulas, and their worst tenth and spread."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.analysis import client_scores

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(60, 2)), RNG.integers(0, 2, 60)
WEIGHTS = RNG.uniform(0.5, 2.0, 60)
DATA = gd.Data(X, Y, sample_weight=WEIGHTS)
WHOSE = np.repeat(np.arange(12), np.arange(60 // 12 - 4, 60 // 12 + 8))[:60]  # from 1 to 12 samples a client, 11 clients
KINDS = {
    "synchronous": gd.Synchronous(workers=11), "local": gd.LocalSGD(workers=11, period=4), "gossip": gd.Gossip(workers=11, topology="ring"),
    "asynchronous": gd.Asynchronous(workers=11), "averaging": gd.FederatedAveraging(clients=11, sampled=3), "scaffold": gd.Scaffold(clients=11, sampled=3, period=4),
}  # fmt: skip


def sweep_of(**more):
    options = {
        "problem": gd.LogisticRegression(DATA, l2=0.1), "optimizer": gd.SGD(lr=[0.1, 0.3]), "batch": 4, "steps": 20, "starts": 2, "dtype": "float64",
        "partition": WHOSE, "init": "glorot", "record": gd.Record(parameters=True),
    }  # fmt: skip
    return gd.Sweep(**(options | more))


@pytest.mark.parametrize("kind", KINDS)
def test_each_client_is_scored_on_its_own_samples(kind):
    result = sweep_of(distribution=KINDS[kind]).run(progress=False)
    found = client_scores(result)
    assert dict(found.sizes) == {"run": 4, "client": 11}
    for run, (a, b, c) in enumerate(result.parameters.values):
        margin = X @ [a, b] + c
        losses, right = np.logaddexp(0.0, margin) - Y * margin, (margin > 0) == Y
        known = [np.average(losses[k == WHOSE], weights=WEIGHTS[k == WHOSE]) for k in range(11)]
        rates = [right[k == WHOSE].mean() for k in range(11)]
        np.testing.assert_allclose(found.loss.values[run], known, rtol=1e-12)
        np.testing.assert_allclose(found.accuracy.values[run], rates, rtol=1e-12)
        assert found.worst_loss.values[run] == pytest.approx(np.mean(sorted(known)[-2:]), rel=1e-12)  # ceil(11 / 10) clients
        assert found.worst_accuracy.values[run] == pytest.approx(np.mean(sorted(rates)[:2]), rel=1e-12)
        assert found.loss_spread.values[run] == pytest.approx((np.mean(np.square(known)) - np.mean(known) ** 2) ** 0.5, rel=1e-9)
        assert found.accuracy_spread.values[run] == pytest.approx(np.std(rates), rel=1e-12)
    assert found.samples.values.tolist() == [np.bincount(WHOSE).tolist()] * 4
    assert found.lr.values.tolist() == result.lr.values.tolist()


def test_losses_of_clients_make_up_the_loss_of_all_samples_whoever_has_which(tmp_path):
    data = gd.Data(X, Y)
    kinds = [gd.LocalSGD(workers=[3, 5], period=4), gd.FederatedAveraging(clients=5, sampled=2)]
    sweep = sweep_of(problem=gd.MLP(data, hidden=[3]), distribution=kinds, partition=[gd.Dirichlet([0.5, 5.0]), "sorted"], starts=9)
    result = sweep.run(out=tmp_path / "runs", progress=False)
    found, whole = client_scores(result), gd.evaluate(result)
    assert found.identical(client_scores(tmp_path / "runs"))
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose((found[name] * found.samples).sum("client").values / 60, whole[name].values, rtol=1e-12)
    few = result.cell.values == result.cell.values[result.workers.values == 3].min()
    assert np.isnan(found.loss.values[few][:, 3:]).all()
    assert not found.samples.values[few][:, 3:].any()
    assert found.loss_spread.notnull().all()
    drawn = found.samples.values[(result.alpha.values == 0.5) & (result.workers.values == 3)]
    assert len({tuple(row) for row in drawn.tolist()}) == 9


def test_a_problem_without_classes_has_losses_alone():
    problem = gd.Expression("0.5*(w - y)**2", variables=["w"], data=gd.Data(np.ones((4, 1)), [0.0, 1.0, 2.0, 5.0]))
    options = {"partition": [0, 0, 1, 1], "batch": None, "init": 0.0, "record": gd.Record(parameters=True), "dtype": "float64"}
    result = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=1.0), steps=1, distribution=gd.Synchronous(workers=2), **options).run(progress=False)
    found = client_scores(result)
    assert result.parameters.values.tolist() == [[2.0]]
    assert found.loss.values.tolist() == [[1.25, 2.25]]
    assert (found.worst_loss.values.tolist(), found.loss_spread.values.tolist()) == ([2.25], [0.5])
    assert "accuracy" not in found


def test_clients_of_diverged_runs_count_as_everywhere():
    result = sweep_of(distribution=KINDS["averaging"], optimizer=gd.SGD(lr=[0.1, 1e30]), dtype="float32").run(progress=False)
    lost, found = (result.lr == 1e30).values, client_scores(result)
    assert lost.tolist() == (result.status == "diverged").values.tolist()
    for name, worst in (("loss", np.inf), ("accuracy", 0.0)):
        assert (found[name].values[lost] == worst).all()
        assert (found[f"worst_{name}"].values[lost] == worst).all()
        assert np.isnan(found[f"{name}_spread"].values[lost]).all()
        assert np.isfinite(found[name].values[~lost]).all()
        assert found[f"{name}_spread"].notnull().values.tolist() == (~lost).tolist()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"partition": "shared", "distribution": KINDS["averaging"]}, "those of cell 0 draw from all samples: give partition='iid', say"),
        ({"partition": "shared", "distribution": None}, r"those of cell 0 have no workers: give distribution=gd\.FederatedAveraging"),
        ({"record": gd.Record(), "distribution": None, "partition": "shared"}, "those of cell 0 have no workers"),  # the first thing that it lacks
        ({"record": gd.Record(), "distribution": KINDS["local"]}, "client_scores needs parameters of runs, and this result has none"),
        ({"keep": "summary", "record": gd.Record(), "distribution": KINDS["local"]}, "client_scores follows single runs"),
    ],
)
def test_what_has_no_clients_is_refused_in_one_line(more, said):
    with pytest.raises(ValueError, match=said) as error:
        client_scores(sweep_of(**more).run(progress=False))
    assert "\n" not in str(error.value)
