"""Hierarchical averaging beside the oracle: groups at their periods, all at theirs, the largest alone."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.population.samples import sample_order
from tests.distributed import reference
from tests.distributed.problems import ALL, random_planes, swept
from tests.distributed.test_oracle import RULES, START, STEPS, drawn, paths, same, swept_setting

NEIGHBOURS = {size: [list(range(first, first + size)) for first in range(0, 8, size)] for size in (2, 4, 8)}


@pytest.mark.full
@pytest.mark.parametrize(("rule", "state"), [("heavy ball", "keep"), ("heavy ball", "average"), ("adam", "reset")])
def test_neighbours_are_averaged_at_shorter_periods(rule, state):
    optimizer, plain = RULES[rule]
    problem, options = random_planes(5, 8), {"batch": 2, "shuffle": "replacement"}
    setting = swept_setting(problem.problem, optimizer, START, STEPS, distribution=gd.LocalSGD(workers=8), **options)
    gradient = drawn(problem, [sample_order(setting, 0, k) for k in range(8)])
    groups = {2: NEIGHBOURS[2], 4: NEIGHBOURS[4]}
    one = gd.LocalSGD(workers=8, period=[8, 12], after=[0, 3], state=state, groups=[(2, 2), (4, 4)])
    for run, path in paths(swept(problem.problem, optimizer, one, START, STEPS, record=ALL, **options)):
        teams = {**groups, int(run.period): NEIGHBOURS[8]}
        found = reference.averaging(START, gradient, plain, STEPS, 8, period=int(run.period), after=int(run.after), state=state, groups=teams)
        same(path, found.reported)
        assert np.allclose(run.disagreement.values, found.disagreement, rtol=1e-9, atol=1e-20)


@pytest.mark.full
def test_an_outer_rule_steps_where_all_meet_alone():
    """Groups of workers that draw the same samples change nothing; the outer rule steps every eighth step."""
    bowl = gd.Quadratic([[1.0]], [[0.0]] * 8)
    given = {"optimizer": gd.SGD(lr=0.1), "start": [1.0], "steps": 24, "record": ALL}
    outer = gd.Momentum(lr=0.7, momentum=0.9, convention="torch")
    found, plain = (swept(bowl, distribution=gd.LocalSGD(workers=4, period=8, outer=outer, groups=g), **given) for g in ([(2, 2)], None))
    assert np.array_equal(found.trajectory.values, plain.trajectory.values)
    assert len(np.unique(found.trajectory.values)) == 4
