"""Whole training on warps, as one kernel from PTX: every column of the results has the processor's bits."""

import re

import numpy as np
import pytest

import gdsim as gd
from tests.cuda.kernels import batch_of, expected, jobs_for, same_bits, trained, training_ptx
from tests.cuda.settings import RATES, setting


def functions():
    yield "adam", setting(gd.functions.Rosenbrock(), gd.Adam(), steps=100), 100
    stops = (gd.SmallGradient(1e-3), gd.Target(0.5))
    yield "stops", setting(gd.functions.Rosenbrock(), gd.Adam(), steps=120, stops=stops, record=gd.Record(parameters=True, gradient_norm=True)), 100
    yield "diverging", setting(gd.functions.Rosenbrock(), gd.Momentum(), steps=60, record=gd.Record(parameters=True, parameter_norm=True)), 80


def others():
    stops = (gd.Cycling(1e-6), gd.SmallStep(1e-5))
    yield "averaged", setting(gd.functions.Rosenbrock(), gd.Averaged(gd.Nesterov()), steps=60, stops=stops), 40
    yield "float64", setting(gd.functions.Rosenbrock(), gd.Adam(), steps=60, dtype="float64"), 40
    yield "state", setting(gd.functions.Ackley(), gd.AMSGrad(), steps=40, record=gd.Record(state=True, trajectory=True)), 40


def check(compiled, chosen, runs, warps, budget, order=None):
    """Trains runs on warps and on the processor."""
    batch = batch_of(chosen, runs, RATES)
    found, truth = trained(training_ptx(compiled, chosen), jobs_for(chosen, batch, warps), budget, order), expected(chosen, batch)
    assert found.keys() == truth.keys()
    assert [name for name in found if not same_bits(found[name], truth[name])] == []
    return found


@pytest.fixture(scope="module")
def rosenbrock(compiled):
    """A setting with stops, its kernel, its runs and their results."""
    chosen = {name: s for name, s, _ in functions()}["stops"]
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


def test_the_kernel_reads_tables_as_what_does_not_change(rosenbrock):
    _, ptx, *_ = rosenbrock
    assert len(re.findall(r"ld\.global\.nc", ptx)) > 100
    assert re.findall(r"\b(?:ld|st|atom)\.(?!global|param)\S*", ptx) == []


@pytest.mark.full
@pytest.mark.parametrize(("chosen", "runs"), [pytest.param(*case[1:], id=case[0]) for case in [*functions(), *others()]])
def test_results_have_the_processors_bits(compiled, chosen, runs):
    check(compiled, chosen, runs, 2, 10**6, np.random.default_rng(0))
