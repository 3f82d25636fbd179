"""How samples are shared out among workers: the laws, what is known of their variances, and what is refused."""

import itertools

import numpy as np
import pytest

import gdsim as gd
from gdsim.distribution import PARTITIONS, Assigned, Iid, Sorted, partitions_of
from gdsim.kernels.sample_table import Sharing, sampler_of, table_of
from gdsim.population.partitions import Samples, dirichlet_shares, members_of, shards_of
from gdsim.population.samples import samples_drawn

LABELS = np.random.default_rng(0).integers(0, 10, 1797)
SAMPLES = Samples(1797, LABELS, 8, 8, 0)
MANY = 20_000
EXAMPLES = {
    Iid: Iid(), Sorted: Sorted(), gd.Overlap: gd.Overlap(0.25), gd.Classes: gd.Classes(2), gd.Dirichlet: gd.Dirichlet(0.3),
    Assigned: Assigned(np.arange(1797) % 8),
}  # fmt: skip


def shared_out(one, starts=(0, 1), samples=SAMPLES):
    return members_of(one, samples, [(one.hyperparameters(), start) for start in starts])


def differ(one, other):
    return any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", PARTITIONS)
def test_partitions_depend_on_the_seed_and_the_start_alone(kind):
    one = EXAMPLES[kind]
    first, second = shared_out(one)
    assert not differ(shared_out(one, (1,))[0], second)
    assert differ(first, second) == kind.is_drawn
    assert differ(first, shared_out(one, samples=SAMPLES._replace(seed=1))[0]) == kind.is_drawn


@pytest.mark.parametrize("kind", PARTITIONS)
def test_no_worker_has_a_sample_twice_and_without_overlap_no_two_have_one(kind):
    for row in shared_out(EXAMPLES[kind]):
        assert len(row) == 8
        assert all(len(np.unique(own)) == len(own) for own in row)
        every = np.concatenate(row)
        assert len(np.unique(every)) == len(every) or kind is gd.Overlap
        assert len(every) == {Iid: 1792, gd.Overlap: 8 * 449}.get(kind, 1797)


def test_what_two_workers_have_in_common_is_hypergeometric():
    """n of N samples each: of n^2 / N the mean, n^2 (N - n)^2 / (N^2 (N - 1)) the variance."""
    starts = 400
    rows = shared_out(gd.Overlap(0.25), range(starts), Samples(40, np.zeros(40, int), 3, 1, 0))
    common = np.array([[len(set(row[a]) & set(row[b])) for a, b in ((0, 1), (0, 2), (1, 2))] for row in rows])
    mean, variance = 100 / 40, 100 * 30**2 / (40**2 * 39)
    assert abs(common.mean() - mean) < 4 * (variance / common.size) ** 0.5
    assert common.var() == pytest.approx(variance, rel=4 * (2 / common.size) ** 0.5)


def test_each_kind_is_what_it_says():
    assert {len(own) for own in shared_out(Iid())[0]} == {224}
    in_order = shared_out(Sorted())[0]
    assert (np.diff(LABELS[np.concatenate(in_order)]) >= 0).all()
    assert {len(own) for own in in_order} == {224, 225}
    held = [set(LABELS[own]) for own in shared_out(gd.Classes(3))[0]]
    assert {len(names) for names in held} == {3}
    assert {sum(name in names for names in held) for name in range(10)} == {2, 3}
    assert all((np.array(EXAMPLES[Assigned].worker)[own] == k).all() for k, own in enumerate(shared_out(EXAMPLES[Assigned])[0]))


def test_every_worker_of_a_dirichlet_law_has_a_batch():
    rows = shared_out(gd.Dirichlet(0.1), range(50))
    assert min(len(own) for row in rows for own in row) >= 8
    assert min(len(own) for row in shared_out(gd.Dirichlet(0.1, least=1), range(50)) for own in row) < 8
    with pytest.raises(ValueError, match=r"^Dirichlet: with alpha=0.001 some of 16 workers had fewer than 8 samples in each of 100 draws of start 0: "):
        shared_out(gd.Dirichlet(0.001), samples=SAMPLES._replace(workers=16))


@pytest.mark.parametrize(("alpha", "squares"), [(0.1, 0.6111111111), (0.5, 0.3), (1.0, 0.2222222222), (10.0, 0.1358024691)])
def test_dirichlet_shares_have_their_variance_and_concentration(alpha, squares):
    shares = dirichlet_shares(3, np.arange(MANY, dtype=np.uint32), np.full(MANY, alpha), (2, 8))
    np.testing.assert_allclose(shares.sum(2), 1.0, rtol=1e-15)
    for values, exact in (((shares**2).sum(2), squares), ((shares - 0.125) ** 2, 0.125 * 0.875 / (8 * alpha + 1)), (shares[:, 0] * shares[:, 1], 1 / 64)):
        mean, error = values.mean(0), values.std(0) / MANY**0.5
        assert (abs(mean - exact) < 4.5 * error).all()


X = np.array([3, -1, 4, 1, -5, 9, 2, 6, -5, 3, 5, 8.0])


def mean_variance(parts):
    """The variance of the mean of two samples of each part, drawn without replacement, by enumeration."""
    means = [[sum(pair) / 2 for pair in itertools.combinations(part, 2)] for part in parts]
    return sum(np.var(values) for values in means) / len(parts) ** 2


@pytest.mark.full
@pytest.mark.parametrize(
    ("shuffle", "members", "exact"),
    [
        ("epoch", None, 1.6742424242),
        ("shards epoch", np.arange(12).reshape(3, 4), 2.0138888889),
        ("shards replacement", np.tile(np.arange(12), (3, 1)), 3.0694444444),
    ],
)
def test_batches_of_workers_have_the_variance_of_their_way_of_drawing(shuffle, members, exact):
    if members is None:
        known = np.var([sum(chosen) / 6 for chosen in itertools.combinations(X, 6)])
    else:
        known = mean_variance(X[members]) if shuffle == "shards epoch" else np.var(X) / 6
    assert known == pytest.approx(exact, rel=1e-9)
    sharing = Sharing() if members is None else Sharing(3, shards_of([list(members)]))
    sampler = sampler_of(table_of(X[:, None], X[:, None], np.dtype("float64")), 6, True, 0, np.dtype("float64"), sharing)
    means = np.concatenate([X[samples_drawn(sampler, shuffle, start, (0, 0), 2)].mean(1)[:1] for start in range(2000)])
    assert np.var(means) == pytest.approx(known, rel=4 * (2 / len(means)) ** 0.5)


def test_words_and_arrays_are_partitions_and_several_may_be_given():
    assert partitions_of("shared") is None
    assert partitions_of(["iid", None, gd.Dirichlet(0.1), "sorted"]) == [Iid(), None, gd.Dirichlet(0.1), Sorted()]
    assert partitions_of([0, 1, 1]) == partitions_of(np.array([0, 1, 1])) == partitions_of(np.array([0.0, 1.0, 1.0])) == Assigned((0, 1, 1))
    assert repr(partitions_of("iid")) == "'iid'"


def sweep_of(partition, workers=4, problem=None, **more):
    problem = problem or gd.MLP(gd.datasets.load("digits"), hidden=[4])
    return gd.Sweep(problem=problem, optimizer=gd.SGD(), batch=8, steps=10, distribution=gd.LocalSGD(workers=workers), partition=partition, **more)


REGRESSION = gd.LinearRegression(gd.datasets.load("diabetes"))
REFUSED = {
    "a word": (lambda: sweep_of("idd"), "partition has no 'idd'; did you mean 'iid'"),
    "halves": (lambda: sweep_of([0, 1, 0.5]), r"partition\[2\] is 0\.5; an array must have for each sample the number of its worker, a whole number from 0 to 65535$"),
    "truths": (lambda: sweep_of(np.zeros(1797, bool)), "partition: an array must have for each sample the number of its worker, a whole number from 0 to 65535; one of dtype bool was given$"),
    "objects": (lambda: sweep_of(np.array([0, 1], object)), "partition: an array must have for each sample .*; one of dtype object was given$"),
    "huge": (lambda: sweep_of([0, 2**40]), r"partition\[1\] is 1099511627776; an array must have .* from 0 to 65535$"),
    "no column": (lambda: sweep_of(np.zeros((1797, 2), int)), r"partition: an array must have the number of a worker for each sample, \[sample\]; one of shape \(1797, 2\)"),
    "negative": (lambda: sweep_of([-1, 0]), r"partition\[0\] is -1; an array must have for each sample the number of its worker, a whole number from 0 to 65535$"),
    "length": (lambda: sweep_of([0, 1, 2, 3]), "partition: an array needs a worker for each of 1,797 samples; 4 numbers were given"),
    "beyond": (lambda: sweep_of(np.arange(1797) % 5), "partition: the array has a worker 4, and there are 4, from 0 to 3: give workers=5"),
    "a gap": (lambda: sweep_of(np.arange(1797) % 2 * 2, 3), "partition: worker 1 of 3 has no sample in the array: number workers from 0 without gaps"),
    "no labels": (lambda: sweep_of("sorted", problem=REGRESSION), "partition: Sorted goes by labels, and the problem has no classes: take 'iid', "),
    "no classes": (lambda: sweep_of(gd.Classes(2), problem=REGRESSION), "partition: Classes goes by labels"),
    "classes": (lambda: sweep_of(gd.Classes([2, 11])), "Classes: 11 classes of each worker were asked for, and the labels have 10"),
    "an empty part": (lambda: sweep_of(gd.Classes(9), 200), "Classes: 180 of 200 workers may have to share out class 8, which has 174 samples: give fewer workers or classes"),
    "no data": (lambda: gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), distribution=gd.LocalSGD(workers=4), partition="iid"), "partition: Iid shares out samples, and the problem has none"),
    "least": (lambda: sweep_of(gd.Dirichlet(1.0), 256), "Dirichlet: 256 workers of at least 8 samples need 2048, and there are 1797"),
    "workers": (lambda: sweep_of("iid", [4, 2000]), "LocalSGD has 2000 workers, and the data 1,797 samples"),
    "alpha": (lambda: gd.Dirichlet(0), r"Dirichlet.alpha must be a finite number in \(0, inf\)"),
    "share": (lambda: gd.Overlap(1.5), r"Overlap.share must be a finite number in \(0, 1\]"),
    "half a class": (lambda: gd.Classes(1.5), "Classes.classes must be a whole number; 1.5 was given"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_shared_out_is_refused_in_one_line(case):
    made, said = REFUSED[case]
    with pytest.raises(ValueError, match=f"^{said}") as error:
        made()
    assert "\n" not in str(error.value)


def test_a_file_may_say_what_a_call_may(tmp_path):
    text = '[problem]\ntype = "mlp"\ndata = "xor"\nhidden = [2]\n[optimizer]\ntype = "sgd"\n[distribution]\ntype = "local_sgd"\nworkers = 2\n'
    for number, (written, meant) in enumerate(
        {'"iid"': "iid", "[0, 1, 0, 1]": [0, 1, 0, 1], '{type = "dirichlet", alpha = [0.1, 1.0]}': gd.Dirichlet([0.1, 1.0]), '"shared"': None}.items()
    ):
        path = tmp_path / f"{number}.toml"
        path.write_text(f"partition = {written}\nbatch = 1\nsteps = 4\n{text}")
        assert gd.read_experiment(path).partition == ((one,) if (one := partitions_of(meant)) is not None else ())


def test_the_plan_says_who_draws_with_replacement():
    said = "partition {}: a worker may have {}, fewer than a batch of 8, and draws with replacement"
    few = np.r_[np.zeros(1794, int), [1, 2, 3]]
    for partition, name, fewest in (
        (gd.Overlap([0.001, 0.5]), "Overlap", "2 samples"),
        (gd.Dirichlet(1.0, least=3), "Dirichlet", "3 samples"),
        (few, "Assigned", "1 sample"),
    ):
        assert str(sweep_of(partition).plan()).splitlines()[-1] == said.format(name, fewest)
    assert "replacement" not in str(sweep_of(few, shuffle="replacement").plan())
    for partition in ("iid", gd.Dirichlet(1.0), gd.Classes(2)):
        assert "replacement" not in str(sweep_of(partition).plan())


def test_the_plan_says_where_samples_and_workers_count_alike():
    problem = gd.LogisticRegression(gd.Data(np.arange(20.0).reshape(10, 2), np.arange(10) // 5))

    def said(partition, *distributions, batch=None):
        plan = gd.Sweep(problem=problem, optimizer=gd.SGD(), batch=batch, steps=3, distribution=distributions, partition=partition).plan()
        return "two losses" in str(plan), str(plan).splitlines()[-1]

    unequal, both = [0] * 7 + [1] * 3, gd.Synchronous(workers=2, dropped=[0.0, 0.1])
    line = "steps of cell 0 (SGD dropped=0) count samples alike, and of cell 1 (SGD dropped=0.1) workers alike, which are two losses to minimise"
    assert said(unequal, both) == (True, f"whole shards may differ in size: {line}")
    assert said(gd.Dirichlet(1.0), gd.LocalSGD(workers=3), gd.Synchronous(workers=3))[0]
    for partition, one, batch in (("iid", both, None), ("sorted", gd.Synchronous(workers=3, dropped=[0.0, 0.1]), None), (unequal, both, 2)):
        assert not said(partition, one, batch=batch)[0]
    assert not said(unequal, gd.Synchronous(workers=2, dropped=[0.1, 0.2]))[0]


@pytest.mark.parametrize("partition", [Iid(), gd.Overlap(0.01), gd.Classes(3), gd.Dirichlet(0.5, least=2)])
def test_no_worker_has_fewer_samples_than_is_said(partition):
    labels = gd.datasets.load("digits").y
    fewest = partition.fewest(len(labels), labels, 7, 8)
    drawn = [len(own) for start in range(5) for own in members_of(partition, Samples(len(labels), labels, 7, 8, 0), [(partition.hyperparameters(), start)])[0]]
    assert fewest <= min(drawn)
    assert isinstance(partition, gd.Dirichlet) or min(drawn) <= 1.4 * fewest + 1


def test_many_draws_of_a_law_take_little_memory():
    """A law's draws are made a few runs at a time, and are the same."""
    partition, samples = gd.Dirichlet(5.0, least=1), Samples(4000, np.arange(4000) % 20, 100, None, 3)
    rows = [({"alpha": 5.0}, start) for start in range(70)]  # of 2,000 shares each
    one_by_one = [members_of(partition, samples, [row])[0] for row in rows]
    for together, alone in zip(members_of(partition, samples, rows), one_by_one, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
