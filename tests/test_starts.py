"""Initial points of every kind, and the axes that pair and draw."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.starts import initial_points
from gdsim.sweep.experiment.cells import cells_of
from tests.helpers import same_bits


def points(init, problem, starts=200):
    """[start, parameter] as the runs of a sweep begin."""
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(), init=init, starts=starts, steps=1, dtype="float64", record=gd.Record(every="ends", trajectory=True))
    return sweep.run().trajectory.values[:, 0]


@pytest.fixture(scope="module")
def network():
    return gd.MLP(gd.datasets.load("wine"), hidden=[8], activation="tanh")


def test_named_starts_have_their_scales(network):
    layers = [network.unpack(v)[0] for v in points("he", network)]
    assert np.stack([W for W, _ in layers]).std() == pytest.approx(np.sqrt(2 / 13), rel=0.03)
    assert all((b == 0).all() for _, b in layers)
    W = np.stack([network.unpack(v)[0][0] for v in points("glorot", network)])
    assert abs(W).max() <= np.sqrt(6 / 21)
    assert W.std() == pytest.approx(np.sqrt(2 / 21), rel=0.03)
    assert (points("zeros", network) == 0).all()
    assert (points(0.25, network) == 0.25).all()


@pytest.mark.parametrize("hidden", [8, 20])
def test_orthogonal_starts_are_orthonormal(hidden):
    problem = gd.MLP(gd.datasets.load("wine"), hidden=[hidden])
    for vector in points("orthogonal", problem, 5):
        for W, b in problem.unpack(vector):
            gram = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
            assert abs(gram - np.eye(len(gram))).max() < 1e-13
            assert (b == 0).all()


@pytest.mark.parametrize("problem", [gd.functions.Branin(), gd.functions.Rosenbrock(dim=3)])
def test_functions_start_in_their_boxes(problem):
    low, high = (np.broadcast_to(v, problem.parameter_count) for v in problem.box)
    for init in (None, gd.Sobol(), gd.LatinHypercube(256)):
        sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.0), init=init, starts=256, steps=1, record=gd.Record(every="ends", trajectory=True))
        at = sweep.run().trajectory.values[:, 0]
        assert ((low < at) & (at < high)).all()
        slices = np.sort(np.floor((at - low) / (high - low) * 256).astype(int), axis=0)
        if init is not None:  # each meets every slice once
            assert (slices == np.arange(256)[:, None]).all()


def test_a_box_may_have_ends_of_its_own():
    at = points(gd.Uniform([0, 10], [1, 12]), gd.functions.Booth(), 50)
    assert (at[:, 0] < 1).all()
    assert ((at[:, 1] > 10) & (at[:, 1] < 12)).all()
    same = points(gd.Sobol(low=[0, 10], high=[1, 12]), gd.functions.Booth(), 64)
    assert (np.sort(np.floor(same[:, 0] * 64)) == np.arange(64)).all()


@pytest.mark.parametrize("init", ["box", gd.Normal(2.0), gd.Sobol(), gd.LatinHypercube(100)])
def test_a_start_is_the_same_point_in_every_cell_and_in_larger_sweeps(init):
    options = {"problem": gd.functions.Booth(), "init": init, "steps": 1, "record": gd.Record(every="ends", trajectory=True)}
    few = gd.Sweep(optimizer=gd.SGD(), starts=10, **options).run().trajectory.values[:, 0]
    many = gd.Sweep(optimizer=[gd.Adam(lr=[0.1, 0.2]), gd.SGD()], starts=100, **options).run()
    for cell in range(3):
        assert same_bits(many.trajectory.values[cell::3, 0][:10], few)
    assert initial_points(init, gd.functions.Booth(), 1, np.arange(3)).tolist() != initial_points(init, gd.functions.Booth(), 0, np.arange(3)).tolist()


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("glorot", "scales the layers of networks, and Booth has none"),
        ("boxx", "is not known; did you mean 'box'"),
        (gd.LatinHypercube(3), "must be at least the 10 starts"),
        (gd.Uniform([0, 0, 0], [1, 1, 1]), "a number for each of the 2 parameters; 3 were given"),
        (np.zeros((10, 3)), r"init must be \[10, 2\]"),
        ({"type": "sobal"}, "did you mean 'sobol'"),
        (True, "init must be one of"),
    ],
)
def test_a_wrong_start_is_one_clear_error(init, message):
    with pytest.raises((ValueError, TypeError), match=message):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), init=init, starts=10)


def test_zipped_axes_advance_together_and_the_others_cross():
    rule = gd.Adam(lr=gd.zip(0.1, 0.01, 0.001), beta1=gd.zip([0.5, 0.8, 0.9]), eps=[1e-8, 1e-6])
    result = gd.Sweep(problem=gd.functions.Booth(), optimizer=rule, steps=1).run()
    pairs = sorted(zip(result.lr.values.tolist(), result.beta1.values.tolist(), result.eps.values.tolist(), strict=True))
    assert pairs == sorted((lr, b, e) for lr, b in ((0.1, 0.5), (0.01, 0.8), (0.001, 0.9)) for e in (1e-8, 1e-6))
    with pytest.raises(ValueError, match="must be as long as each other; lr has 2, momentum has 3 values"):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.Momentum(lr=gd.zip(0.1, 0.2), momentum=gd.zip(0.1, 0.2, 0.3))).plan()


def test_zipped_axes_of_the_optimizer_and_the_distribution_advance_together():
    teams = [None, gd.LocalSGD(workers=gd.zip(1, 4), period=[1, 2]), gd.Synchronous(workers=[2, 3])]
    rule = gd.ClipNorm(gd.Momentum(lr=gd.zip(0.1, 0.4), momentum=[0.5, 0.9]), norm=gd.zip(1.0, 2.0))
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=rule, distribution=teams, steps=2)
    cells = sweep.plan().cells
    found = [(c.rule.rule.lr, c.rule.rule.momentum, c.rule.norm, c.distribution) for c in cells]
    both = [(lr, gd.LocalSGD(workers=k, period=h)) for lr, k in ((0.1, 1), (0.4, 4)) for h in (1, 2)]
    each = [(lr, team) for lr in (0.1, 0.4) for team in (None, gd.Synchronous(workers=2), gd.Synchronous(workers=3))]
    norms = {0.1: 1.0, 0.4: 2.0}
    known = [(lr, mu, norms[lr], team) for lr, team in both + each for mu in (0.5, 0.9)]
    assert len(found) == len(known) == 20
    assert all(found.count(cell) == 1 for cell in known)
    assert "20 cells" in repr(sweep)
    with pytest.raises(ValueError, match=r"optimizer, the distribution and the partition advance together, .* SGD.lr has 3, Synchronous.workers has 2 values"):
        gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=gd.zip(0.1, 0.2, 0.3)), distribution=gd.Synchronous(workers=gd.zip(1, 2))).plan()


@pytest.mark.parametrize(
    ("distribution", "second"),
    [
        (gd.LocalSGD(workers=2, period=2, outer=gd.SGD(lr=gd.zip(1.0, 0.5))), lambda team: team.outer.lr),
        (gd.LocalSGD(workers=2, outer=gd.ClipNorm(gd.SGD(), norm=gd.zip(1.0, 0.5))), lambda team: team.outer.norm),
        (gd.Synchronous(workers=2, compression=gd.ErrorFeedback(gd.TopK(gd.zip(1.0, 0.5)))), lambda team: team.compression.compressor.fraction),
        (gd.Asynchronous(workers=2, staleness=gd.Queue(gd.ConstantTime(1.0), messages=gd.zip(1.0, 0.5))), lambda team: team.staleness.messages),
        (gd.FederatedAveraging(clients=4, sampled=2, server=gd.SGD(lr=gd.zip(1.0, 0.5))), lambda team: team.server.lr),
    ],
)
def test_zipped_axes_of_what_stands_in_a_distribution_advance_with_the_others(distribution, second):
    sweep = gd.Sweep(problem=gd.MLP(gd.datasets.load("xor"), [2]), optimizer=gd.SGD(lr=gd.zip(0.1, 0.3)), batch=1, steps=4, distribution=distribution)
    assert "2 cells" in repr(sweep)
    assert [(c.rule.lr, second(c.distribution)) for c in sweep.plan().cells] == [(0.1, 1.0), (0.3, 0.5)]


def test_zipped_axes_of_a_partition_and_of_one_distribution_alone_advance_together():
    problem = gd.MLP(gd.datasets.load("moons"), [2])
    outer = gd.grid(gd.SGD(lr=gd.zip(1.0, 0.5)), gd.SGD(lr=0.7))
    sweep = gd.Sweep(
        problem=problem, batch=4, steps=2, optimizer=gd.SGD(lr=[0.1, 0.2]), distribution=gd.LocalSGD(workers=2, period=gd.zip(1, 2), outer=outer),
        partition=["iid", gd.Dirichlet(gd.zip(10.0, 20.0))],
    )  # fmt: skip
    pairs = [(1, 1.0, 10.0), (2, 0.5, 20.0), (1, 0.7, 10.0), (2, 0.7, 20.0)]
    known = [(lr, *pair[:2], alpha) for lr in (0.1, 0.2) for pair in pairs for alpha in (None, pair[2])]
    found = [(c.rule.lr, c.distribution.period, c.distribution.outer.lr, getattr(c.partition, "alpha", None)) for c in sweep.plan().cells]
    assert "16 cells" in repr(sweep)
    assert sorted(found, key=repr) == sorted(known, key=repr)
    with pytest.raises(ValueError, match=r"advance together, .* Dirichlet.alpha has 3, LocalSGD.period has 2 values"):
        gd.Sweep(
            problem=problem, batch=4, steps=2, optimizer=gd.SGD(), distribution=gd.LocalSGD(workers=2, period=gd.zip(1, 2)),
            partition=gd.Dirichlet(gd.zip(1.0, 2.0, 3.0)),
        ).plan()  # fmt: skip


def test_long_zipped_lists_are_paired_place_by_place():
    many = 300
    rates, alphas = gd.zip([0.1 + k for k in range(many)]), gd.zip([10.0 + k for k in range(many)])
    sweep = gd.Sweep(
        problem=gd.MLP(gd.datasets.load("moons"), [2]), batch=4, steps=2, optimizer=gd.SGD(lr=rates), partition=gd.Dirichlet(alphas),
        distribution=gd.LocalSGD(workers=2, outer=gd.SGD(lr=rates)),
    )  # fmt: skip
    cells = cells_of(sweep)  # of 2.7e7 triples
    assert [(c.rule.lr, c.distribution.outer.lr, c.partition.alpha) for c in cells] == [(0.1 + k, 0.1 + k, 10.0 + k) for k in range(many)]


def test_choices_are_drawn_jointly_from_their_options():
    rule = gd.Momentum(lr=gd.loguniform(1e-4, 1e-2, draws=40), momentum=gd.choice([0.0, 0.5, 0.9], draws=40))
    result = gd.Sweep(problem=gd.functions.Booth(), optimizer=rule, steps=1).run()
    assert result.sizes["run"] == 40
    assert set(result.momentum.values.tolist()) == {0.0, 0.5, 0.9}
    with pytest.raises(ValueError, match=r"Momentum\.momentum must be a finite number"):
        gd.Momentum(momentum=gd.choice([0.5, 2.0], draws=3))


@pytest.mark.full
def test_anything_may_be_an_axis():
    """Problems of different kinds and dimensions, rules, schedules, activations and batches, in one
    Dataset.
    """
    data = gd.datasets.load("moons")
    problems = [gd.MLP(data, hidden=gd.grid([3], [2, 2]), activation=gd.grid("relu", "tanh")), gd.LogisticRegression(data, l2=[0.0, 0.1])]
    sweep = gd.Sweep(problem=problems, optimizer=[gd.SGD(lr=0.1), gd.Lion()], schedule=[gd.Constant(), gd.Step(length=5)], batch=gd.grid(8, 16), steps=10,
                     record=gd.Record(parameters=True))  # fmt: skip
    plan = sweep.plan()
    assert plan.runs == len(set(plan.labels)) == 6 * 2 * 2 * 2
    result = sweep.run(runs=[2, 29, 47])  # relu by SGD and Step, two layers of tanh by Lion, the penalised regression
    assert result.problem.values.tolist() == ["MLP", "MLP", "LogisticRegression"]
    assert result.parameter_count.values.tolist() == [17, 18, 3]
    assert result.optimizer.values.tolist() == ["SGD", "Lion", "Lion"]
    assert result.batch.values.tolist() == [8, 16, 16]


@pytest.mark.full
def test_number_types_may_be_an_axis():
    options = {"problem": gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="tanh"), "optimizer": gd.SGD(lr=0.5), "starts": 4, "steps": 50}
    both = gd.Sweep(dtype=gd.grid("float32", "float64"), **options).run()
    assert both.dtype.values.tolist() == ["float32", "float64"] * 4
    for k, dtype in enumerate(("float32", "float64")):
        alone = gd.Sweep(dtype=dtype, **options).run()
        assert (both.loss.values[k::2] == alone.loss.values).all()
    with pytest.raises(ValueError, match="dtype='float16' is not known"):
        gd.Sweep(dtype=gd.grid("float16"), **options)
