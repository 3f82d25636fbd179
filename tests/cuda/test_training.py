"""Whole training on warps, as one kernel from PTX: every column of the results has the processor's bits."""

import re

import numpy as np
import pytest

import gdsim as gd
from gdsim.lanes.cubins import read_cubin
from tests.cuda.kernels import batch_of, expected, jobs_for, same_bits, trained, training_ptx
from tests.cuda.settings import RATES, setting


@pytest.fixture(scope="module")
def rosenbrock(compiled):
    """A setting with stops, its kernel, its runs and their results."""
    stops, record = (gd.SmallGradient(1e-3), gd.Target(0.5)), gd.Record(parameters=True, gradient_norm=True)
    chosen = setting(gd.functions.Rosenbrock(), gd.Adam(), steps=60, stops=stops, record=record)
    batch = batch_of(chosen, 100, RATES)
    return chosen, training_ptx(compiled, chosen), batch, expected(chosen, batch)


@pytest.mark.parametrize(("warps", "budget", "drawn"), [(1, 10**6, False), (3, 25, True), (5, 10**6, True)])
def test_runs_have_the_processors_bits_however_many_warps_train_them(rosenbrock, warps, budget, drawn):
    chosen, ptx, batch, truth = rosenbrock
    found = trained(ptx, jobs_for(chosen, batch, warps), budget, np.random.default_rng(warps) if drawn else None)
    assert [name for name in truth if not same_bits(found[name], truth[name])] == []
    assert len(set(found["status"].tolist())) > 1
    assert len(set(found["steps_taken"].tolist())) > 10


def test_steps_of_lanes_are_counted_by_each_warp(rosenbrock):
    chosen, ptx, batch, _ = rosenbrock
    jobs = jobs_for(chosen, batch, 2)
    found = trained(ptx, jobs, 10**6)
    assert sum(int(job.lanes.lane_steps[0]) for job in jobs.jobs) >= found["steps_taken"].sum()
    assert all((job.lanes.lane_steps == job.lanes.lane_steps[0]).all() and job.lanes.pack_steps[0] > 0 for job in jobs.jobs)


def test_steps_know_that_tables_do_not_change_and_events_read_them_where_they_ask(rosenbrock):
    _, ptx, *_ = rosenbrock
    assert 10 < len(re.findall(r"ld\.global\.nc", ptx)) < len(re.findall(r"ld\.global\.u64", ptx)) / 5
    assert re.findall(r"\b(?:ld|st|atom)\.(?!global|param)\S*", ptx) == []


def test_what_runs_seldom_is_short_and_leaves_registers_to_the_steps(cuda, rosenbrock):
    _, ptx, *_ = rosenbrock
    assert ptx.count("\n") < 5000
    assert ptx.count('.pragma "nounroll"') > 20
    assert read_cubin(cuda.linked(ptx, (9, 0))).registers <= 88
