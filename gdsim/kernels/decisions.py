"""What ends a run at a look: each stop's test of the scores, one run at a time."""

from gdsim.kernels.state import JobSpec, Runs
from gdsim.lanes.types import Step

Look = tuple[int, Step, float, float, float]  # (run, step, loss, largest component of the gradient, validation loss)
# Kinds of stops, as `JobSpec.stop_kind` has them.
TARGET, SMALL_GRADIENT, SMALL_STEP, VALIDATION, PLATEAU, CYCLING, EPOCH_PLATEAU = 0, 1, 2, 3, 4, 5, 6
# Why a run ended: these, or 1 + the number of a stop.
UNFINISHED, DIVERGED, BUDGET = -3, -2, -1


def cycle_end(first: int, factor: int, step: Step) -> Step:
    """The end of the cycle of update number `step` (from 0); each cycle is `factor` times as long as the last."""
    if factor == 1:
        return (step // first + 1) * first
    end, length = first, first
    while end <= step:
        length *= factor
        end += length
    return end


def next_look_of(runs: Runs, spec: JobSpec, run: int, step: Step, stop: int) -> Step:
    """The first step after `step` at which a stop looks at a run."""
    cell = runs.cell[run]
    if spec.stop_at_cycle_ends[stop] > 0 and runs.first_cycle[cell] > 0:
        return cycle_end(runs.first_cycle[cell], runs.cycle_factor[cell], step)
    every = spec.stop_every[stop]
    return (step // every + 1) * every if every > 0 else spec.last


def is_look_of(runs: Runs, spec: JobSpec, run: int, step: Step, stop: int) -> bool:
    """Whether a stop looks at a run after `step` updates: at the start, at its own steps, and at the end."""
    return step == 0 or step == spec.last or is_own_look(runs, spec, run, step, stop)


def is_own_look(runs: Runs, spec: JobSpec, run: int, step: Step, stop: int) -> bool:
    """Whether a stop looks at a run after `step` updates, from 1, whether or not these are the last."""
    cell = runs.cell[run]
    every = spec.stop_every[stop]
    has_looks = every > 0 or (spec.stop_at_cycle_ends[stop] > 0 and runs.first_cycle[cell] > 0)
    return has_looks and next_look_of(runs, spec, run, step - 1, stop) == step


def next_look(runs: Runs, spec: JobSpec, run: int, step: Step) -> Step:
    """The first step after `step` at which any stop looks at a run."""
    due = spec.last
    for stop in range(len(spec.stop_kind)):
        due = min(due, next_look_of(runs, spec, run, step, stop))
    return due


def validation_looks(runs: Runs, spec: JobSpec, run: int, step: Step) -> bool:
    """Whether Validation looks at a run after `step` updates."""
    for stop in range(len(spec.stop_kind)):  # noqa: SIM110, as kernels have no generators
        if spec.stop_kind[stop] == VALIDATION and is_look_of(runs, spec, run, step, stop):
            return True
    return False


def waited_enough(runs: Runs, spec: JobSpec, run: int, stop: int, loss: float, margin: float) -> bool:
    """True at the last of `patience` looks in a row without a loss below the best by more than `margin`.

    The best is then the last loss that was, and the count begins anew with it.
    """
    at = run * len(spec.stop_kind) + stop
    if loss < runs.stop_best[at] - margin:
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


def ends_here(runs: Runs, spec: JobSpec, look: Look, stop: int) -> bool:
    """True if one stop's test holds at a look."""
    run, step, loss, largest, validation = look
    kind, tolerance = spec.stop_kind[stop], spec.stop_limit[stop]
    if kind == TARGET:
        return targets_met(runs, spec, run, step, loss)
    if kind == SMALL_GRADIENT:
        return largest <= tolerance * (1.0 + abs(loss))
    if kind == VALIDATION:
        return waited_enough(runs, spec, run, stop, validation, loss * 0)
    if kind == PLATEAU:
        best = runs.stop_best[run * len(spec.stop_kind) + stop]
        margin = spec.stop_margin[stop] * abs(best) if abs(best) < float("inf") else loss * 0
        return waited_enough(runs, spec, run, stop, loss, margin)
    return False


def decided(runs: Runs, spec: JobSpec, look: Look) -> int:
    """1 + the number of the first stop that ends a run at a look, or UNFINISHED; all that look are tested."""
    found = UNFINISHED
    for stop in range(len(spec.stop_kind)):
        if is_look_of(runs, spec, look[0], look[1], stop) and ends_here(runs, spec, look, stop) and found == UNFINISHED:
            found = stop + 1
    return found
