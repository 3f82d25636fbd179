"""What ends a run at a look: each stop's test of the scores, one run at a time. A new stop is a class of
`gdsim.stops`, a row of `STOP_TESTS` and its function; one that lanes test in every step is tested in `steps`
or `training.ends_without_loss` too.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from gdsim.kernels.state import UNFINISHED, JobSpec, Runs
from gdsim.lanes.generated import function_from
from gdsim.lanes.types import Step
from gdsim.stops import Cycling, Plateau, RelativeTarget, SmallGradient, SmallStep, Stop, Target, Validation


class Look(NamedTuple):
    """What stops see of a run."""

    run: int
    step: Step
    loss: float
    largest: float  # component of the gradient
    validation_loss: float


def cycle_end(first: int, factor: int, step: Step) -> Step:
    """The end of the cycle of update number `step` (from 0).

    Each cycle is `factor` times as long as the last.
    """
    if factor == 1:
        return (step // first + 1) * first
    end, length = first, first
    while end <= step:
        length *= factor
        end += length
    return end


def looks_of(runs: Runs, spec: JobSpec, run: int, stop: int) -> tuple[int, int]:
    """(The step at which a stop first looks at a run, or 0 if it has no looks of its own; by how much each stretch
    between two is longer than the last).
    """
    cell = runs.cell[run]
    if spec.stop_at_cycle_ends[stop] > 0 and runs.first_cycle[cell] > 0:
        return runs.first_cycle[cell], runs.cycle_factor[cell]
    return spec.stop_every[stop], 1


def is_own_look(runs: Runs, spec: JobSpec, run: int, step: Step, stop: int) -> bool:
    """Whether a stop looks at a run after `step` updates, from 1, whether or not these are the last."""
    first, factor = looks_of(runs, spec, run, stop)
    return first > 0 and cycle_end(first, factor, step - 1) == step


def is_look_of(runs: Runs, spec: JobSpec, run: int, step: Step, stop: int) -> bool:
    """Whether a stop looks at a run after `step` updates: at the start, at its own steps, and at the end."""
    return step == 0 or step == spec.last or is_own_look(runs, spec, run, step, stop)


def next_look(runs: Runs, spec: JobSpec, run: int, step: Step) -> Step:
    """The first step after `step` at which any stop looks at a run."""
    due = spec.last
    for stop in range(len(spec.stop_kind)):
        first, factor = looks_of(runs, spec, run, stop)
        if first > 0:
            due = min(due, cycle_end(first, factor, step))
    return due


def waited_enough(runs: Runs, spec: JobSpec, run: int, stop: int, loss: float, is_better: bool) -> bool:
    """True at the last of `patience` looks in a row without a loss that is better than the best.

    The best is then the last loss that was, and the count begins anew with it.
    """
    at = run * len(spec.stop_kind) + stop
    if is_better:
        runs.stop_best[at] = loss
        runs.stop_waited[at] = 0
    else:
        runs.stop_waited[at] += 1
    return runs.stop_waited[at] >= spec.stop_limit[stop]


def is_patience_over(runs: Runs, spec: JobSpec, run: int, stop: int, loss: float) -> bool:
    """True at the last of `patience` looks in a row at which no loss was below all before by the margin."""
    at = run * len(spec.stop_kind) + stop
    runs.stop_waited[at] = 0 if loss <= runs.stop_best[at] - spec.stop_margin[stop] else runs.stop_waited[at] + 1
    if loss < runs.stop_best[at]:
        runs.stop_best[at] = loss
    return runs.stop_waited[at] >= spec.stop_limit[stop]


def targets_met(runs: Runs, spec: JobSpec, run: int, step: Step, loss: float) -> bool:
    """Records the targets that a loss meets for the first time; True if it meets the lowest."""
    count = len(spec.targets)
    for k in range(count):
        if loss <= spec.targets[k] and runs.reached[run * count + k] < 0:
            runs.reached[run * count + k] = step
    return loss <= spec.targets[count - 1]


def target_is_met(runs: Runs, spec: JobSpec, look: Look, stop: int) -> bool:
    """`gd.Target`: loss <= the lowest target."""
    return targets_met(runs, spec, look.run, look.step, look.loss)


def share_is_reached(runs: Runs, spec: JobSpec, look: Look, stop: int) -> bool:
    """`gd.RelativeTarget`: loss <= share x the loss at step 0, which is kept as the best that the stop has
    seen.
    """
    at = look.run * len(spec.stop_kind) + stop
    if look.step == 0:
        runs.stop_best[at] = look.loss
    return look.loss <= spec.stop_limit[stop] * runs.stop_best[at]


def gradient_is_small(runs: Runs, spec: JobSpec, look: Look, stop: int) -> bool:
    """`gd.SmallGradient`: the largest component of the gradient <= tolerance (1 + |loss|)."""
    return look.largest <= spec.stop_limit[stop] * (1.0 + abs(look.loss))


def validation_is_over(runs: Runs, spec: JobSpec, look: Look, stop: int) -> bool:
    """`gd.Validation`: `patience` looks in a row without a validation loss below the best."""
    loss = look.validation_loss
    return waited_enough(runs, spec, look.run, stop, loss, loss < runs.stop_best[look.run * len(spec.stop_kind) + stop] - spec.stop_margin[stop])


def is_on_plateau(runs: Runs, spec: JobSpec, look: Look, stop: int) -> bool:
    """`gd.Plateau`: `patience` looks in a row without a loss below the best by more than tolerance |best|."""
    best = runs.stop_best[look.run * len(spec.stop_kind) + stop]
    margin = spec.stop_margin[stop] * abs(best) if abs(best) < float("inf") else look.loss * 0
    return waited_enough(runs, spec, look.run, stop, look.loss, look.loss < best - margin)


class StopTest(NamedTuple):
    """How kernels test one kind of stop.

    A new kind of stop is a row in `STOP_TESTS` and a function of a look.
    """

    test: Callable[[Runs, JobSpec, Look, int], bool] | None  # None: lanes and `training.ends_without_loss` test it
    needs_gradient: bool = False
    needs_validation: bool = False
    lane_stop: str = ""  # the field of `JobSpec` with the stop of this kind that lanes test in every step, if they can


# A kind's place is its number in kernels.
STOP_TESTS: dict[type[Stop] | str, StopTest] = {
    Target: StopTest(target_is_met, lane_stop="target_stop"),
    SmallGradient: StopTest(gradient_is_small, needs_gradient=True, lane_stop="gradient_stop"),
    SmallStep: StopTest(None, lane_stop="step_stop"),
    Validation: StopTest(validation_is_over, needs_validation=True),
    Plateau: StopTest(is_on_plateau),
    RelativeTarget: StopTest(share_is_reached),
    Cycling: StopTest(None),
    "Plateau(batches=True)": StopTest(None),
}


def kind_of(stop: Stop) -> int:
    """The number of a stop's kind, as `JobSpec.stop_kind` has it."""
    kind = "Plateau(batches=True)" if isinstance(stop, Plateau) and stop.batches else type(stop)
    return list(STOP_TESTS).index(kind)


def test_of(stop: Stop) -> StopTest:
    """The row of a stop."""
    return list(STOP_TESTS.values())[kind_of(stop)]


TESTED_AT_LOOKS = sum(1 << kind for kind, row in enumerate(STOP_TESTS.values()) if row.test is not None)  # a bit for each kind; lanes test the others
SMALL_STEP, VALIDATION, CYCLING, EPOCH_PLATEAU = map(list(STOP_TESTS).index, (SmallStep, Validation, Cycling, "Plateau(batches=True)"))


def _dispatch() -> Any:
    """`ends_here(runs, spec, look, stop)`: whether the test of one stop holds at a look."""
    tests = {f"test{k}": row.test for k, row in enumerate(STOP_TESTS.values()) if row.test is not None}
    lines = ["def ends_here(runs, spec, look, stop):", "    kind = spec.stop_kind[stop]"]
    lines += [f"    if kind == {name.removeprefix('test')}:\n        return {name}(runs, spec, look, stop)" for name in tests]
    return function_from("\n".join([*lines, "    return False"]), "ends_here", tests)


ends_here = _dispatch()


def decided(runs: Runs, spec: JobSpec, look: Look, can_end: bool) -> tuple[int, bool]:
    """(1 + the number of the first stop that ends a run at a look, or UNFINISHED; whether Validation looks). All
    stops that look are tested, where the run can end.
    """
    found, is_validated = UNFINISHED, False
    for stop in range(len(spec.stop_kind)):
        if is_look_of(runs, spec, look.run, look.step, stop):
            is_validated |= spec.stop_kind[stop] == VALIDATION
            if can_end and ends_here(runs, spec, look, stop) and found == UNFINISHED:
                found = stop + 1
    return found, is_validated
