"""Every row of the gpu table: whole training on warps has the processor's bits, compared as integers."""

import numpy as np
import pytest

from gdsim.stops import REASONS
from tests.cuda.arena import WARP
from tests.cuda.kernels import batch_of, expected, jobs_for, trained, training_ptx
from tests.cuda.settings import RATES
from tests.cuda.table import TABLE, chosen_by, everything


def test_all_that_can_be_chosen_stands_in_the_table():
    assert everything() - {choice for one in TABLE for choice in chosen_by(one)} == set()


def test_rows_have_names_of_their_own():
    assert len({one.name for one in TABLE}) == len(TABLE)


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name, marks=getattr(pytest.mark, one.tier)) for one in TABLE])
def test_runs_of_a_row_have_the_processors_bits(compiled, one):
    chosen, batch = one.setting, batch_of(one.setting, one.runs, RATES)
    ptx, warps, truth = training_ptx(compiled, chosen), 1 + one.runs // (2 * WARP), expected(chosen, batch)
    check(trained(ptx, jobs_for(chosen, batch, warps), 10**6), truth)
    assert {REASONS[code] for code in truth["reason"]} == one.reasons
    if chosen.record.state:
        goes_on_from_half_way(ptx, one)


def goes_on_from_half_way(ptx, one):
    """Runs that have half of their steps behind them are trained to the end, threads in an order that is drawn."""
    half = one.setting.steps // 2
    ends = expected(one.setting._replace(steps=half), batch_of(one.setting, one.runs, RATES))
    unfinished = np.flatnonzero(ends["reason"] == REASONS.index("budget"))
    later, earlier = one.setting._replace(began=half), {name: values[unfinished] for name, values in ends.items()}
    batch = batch_of(one.setting, one.runs, RATES).part(unfinished)
    assert len(unfinished) > 0
    check(trained(ptx, jobs_for(later, batch, 1, earlier), 10**6, np.random.default_rng(0)), expected(later, batch, earlier))


def check(found, truth):
    """Columns are the same as integers: NaNs too, of which columns have one alone."""
    assert found.keys() == truth.keys()
    assert [name for name in truth if found[name].dtype != truth[name].dtype or found[name].tobytes() != truth[name].tobytes()] == []
