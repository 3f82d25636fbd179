"""Distributions as declarations: what they hold, what decides their code, and what they refuse in one line."""

import pytest

import gdsim as gd
from gdsim.distribution import DISTRIBUTIONS
from gdsim.population.hyperparameters import all_numbers, number_names
from gdsim.population.setting import Setting

EXAMPLES = {
    "FederatedAveraging": gd.FederatedAveraging(clients=100, sampled=[5, 10], server=gd.Adam(lr=0.1), proximal=[0.0, 0.1]),
    "Scaffold": gd.Scaffold(clients=100, sampled=10, period=8),
    "Synchronous": gd.Synchronous(workers=4),
    "LocalSGD": gd.LocalSGD(workers=[4, 16], period=[1, 8, 64], outer=gd.Adam(lr=0.1), state=gd.grid("keep", "reset")),
    "DiLoCo": gd.DiLoCo(workers=8, period=[8, 64]),
    "ElasticAveraging": gd.ElasticAveraging(workers=4, period=4, moving_rate=0.225),
    "Gossip": gd.Gossip(workers=[4, 16], topology=gd.grid("ring", "torus"), order="adapt", period=[1, 4]),
    "Asynchronous": gd.Asynchronous(workers=[2, 8]),
}


def setting_of(distribution):
    problem = gd.functions.Booth()
    return Setting(problem, gd.SGD(), gd.Constant(), "zeros", 10, None, "epoch", True, (), gd.Record(), 0, "float64", distribution=distribution)


def test_every_kind_has_an_example():
    assert {kind.__name__ for kind in DISTRIBUTIONS} == set(EXAMPLES)


@pytest.mark.parametrize("one", EXAMPLES.values(), ids=EXAMPLES)
def test_a_distribution_reads_back_as_it_is_shown(one):
    assert eval(repr(one), {name: getattr(gd, name) for name in dir(gd)}) == one


def test_sizes_are_whole_and_numbers_are_data():
    one = gd.LocalSGD(workers=4.0, period=[1, 8])
    assert (one.workers, type(one.workers), one.period, one.team) == (4, int, (1.0, 8.0), 4)
    assert one.axes == ["workers", "period", "after"]
    assert one.hyperparameters() == {"period": (1.0, 8.0), "after": 0.0}
    assert gd.LocalSGD(workers=[2, 16]).team == 16


def test_structure_is_what_is_no_number_and_no_size():
    one = gd.LocalSGD(workers=4)
    same = [gd.LocalSGD(workers=8), gd.LocalSGD(workers=4, period=8), gd.LocalSGD(workers=4, after=3)]
    other = [
        gd.LocalSGD(workers=4, state="reset"),
        gd.LocalSGD(workers=4, outer=gd.SGD()),
        gd.LocalSGD(workers=4, period=4, groups=[(2, 2)]),
        gd.DiLoCo(workers=4),
    ]
    assert all(a.structure() == one.structure() for a in same)
    assert all(a.structure() != one.structure() for a in other)
    assert one.every_size() != same[0].every_size() == [8]
    outer = [gd.LocalSGD(workers=4, outer=gd.Nesterov(lr=lr, convention=c)) for lr, c in ((0.1, "torch"), (0.2, "torch"), (0.1, "lecture"))]
    assert outer[0].structure() == outer[1].structure() != outer[2].structure()


def test_the_numbers_of_an_outer_rule_have_its_name_in_front_in_kernels_too():
    one = gd.LocalSGD(workers=4, outer=gd.Adam(lr=0.1))
    assert list(one.hyperparameters()) == ["period", "after", "outer_lr", "outer_beta1", "outer_beta2", "outer_eps"]
    names = number_names(setting_of(one))
    assert names[-8:] == tuple(f"distribution_{n}" for n in (*one.hyperparameters(), "outer_one_minus_beta1", "outer_one_minus_beta2"))
    assert len(names) == len(number_names(setting_of(None))) + 8
    values = {"lr": 0.1, **{f"distribution_{n}": v for n, v in one.hyperparameters().items()}}
    found = all_numbers(setting_of(one), values)
    assert found["distribution_outer_one_minus_beta1"] == 1 - 0.9
    assert found["distribution_outer_lr"] == 0.1


def test_the_outer_rule_of_diloco_is_pytorchs_nesterov():
    assert gd.DiLoCo(workers=8).outer == gd.Nesterov(lr=0.7, momentum=0.9, convention="torch")


def test_alternatives_are_one_by_one():
    one = gd.LocalSGD(workers=4, state=gd.grid("keep", "average"), outer=gd.grid(None, gd.SGD(1.0)))
    assert [(v.state, v.outer) for v in one.variants()] == [(s, o) for s in ("keep", "average") for o in (None, gd.SGD(1.0))]
    assert gd.LocalSGD(workers=4).variants() == [gd.LocalSGD(workers=4)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (gd.LocalSGD, r"^LocalSGD.workers is missing; LocalSGD needs workers, and may have period, "),
        (lambda: gd.LocalSGD(workers=0), r"^LocalSGD.workers must be .* in \[1, 65536\]; 0 was given$"),
        (lambda: gd.LocalSGD(workers=[2, 2.5]), r"^LocalSGD.workers must be a whole number; \[2, 2.5\] was given$"),
        (lambda: gd.LocalSGD(workers="4"), r"^LocalSGD.workers must be a number; '4' was given$"),
        (lambda: gd.LocalSGD(workers=2, period=1.5), r"^LocalSGD.period must be a whole number; 1.5 was given$"),
        (lambda: gd.LocalSGD(workers=2, state="kep"), r"^LocalSGD.state='kep' is not known; did you mean 'keep'\?"),
        (lambda: gd.LocalSGD(workers=2, outer="sgd"), r"^LocalSGD.outer must be gd.SGD\(...\) or .*; 'sgd' was given; did you mean gd.SGD\(\)\?$"),
        (lambda: gd.LocalSGD(workers=2, outer=gd.SAM(gd.SGD())), r"^LocalSGD.outer cannot be SAM, which needs the gradient at another point"),
        (
            lambda: gd.LocalSGD(workers=2, outer=gd.grid(None, gd.ClipNorm(gd.PolyakStep(0.1), 1.0))),
            r"^LocalSGD.outer cannot be PolyakStep, which needs the loss",
        ),
        (lambda: gd.LocalSGD(workers=8, period=8, groups=[(3, 2)]), r"^LocalSGD.groups: groups of 3 workers at period 2 do not nest in 8 at period 8"),
        (lambda: gd.LocalSGD(workers=8, period=8, groups=[(2, 8)]), r"^LocalSGD.groups: groups of 2 workers at period 8 do not nest"),
        (lambda: gd.LocalSGD(workers=8, period=8, groups=[2, 4]), r"^LocalSGD.groups must be a list of pairs \(workers of a group, period\)"),
        (lambda: gd.DiLoCo(workers=2, outer_momentum=1.0), r"^DiLoCo.outer_momentum must be .* in \[0, 1\); 1.0 was given$"),
        (lambda: gd.ElasticAveraging(workers=4), r"^ElasticAveraging.moving_rate is missing"),
        (lambda: gd.Synchronous(4), r"^Synchronous takes nothing by position; 1 were given; by name it takes workers, backup"),
        (lambda: gd.Synchronous(workers=4, backup=-1), r"^Synchronous.backup must be .* in \[0, 65536\]; -1 was given$"),
        (lambda: gd.Synchronous(workers=4, mean_over="all"), r"^Synchronous.mean_over='all' is not known; .*allowed: 'arrived', 'workers'$"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
