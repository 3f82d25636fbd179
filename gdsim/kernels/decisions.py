"""What ends a run at a look: each stop's test of the scores, a number of a run at a time."""

from typing import Any

from gdsim.kernels.state import CELL, FACTS

# Kinds of stops, as `Agenda.stops` has them.
TARGET, SMALL_GRADIENT, SMALL_STEP, VALIDATION, PLATEAU, CYCLING, EPOCH_PLATEAU = 0, 1, 2, 3, 4, 5, 6
# Why a run ended: these, or 1 + the number of a stop.
UNFINISHED, DIVERGED, BUDGET = -3, -2, -1
KIND, EVERY, AT_CYCLE_ENDS, STOP_COLUMNS = 0, 1, 2, 3
BEST, WAITED, MEMORY = 0, 1, 2


def cycle_end(first: Any, factor: Any, step: Any) -> Any:
    """The end of the cycle that update number `step` (from 0) is part of."""
    if factor == 1:
        return (step // first + 1) * first
    end, length = first, first
    while end <= step:
        length *= factor
        end += length
    return end


def next_look_of(runs: Any, agenda: Any, run: Any, step: Any, stop: Any) -> Any:
    """The first step after `step` at which a stop looks at a run."""
    cell = runs.facts[run * FACTS + CELL]
    if agenda.stops[stop * STOP_COLUMNS + AT_CYCLE_ENDS] > 0 and runs.cycles[cell * 2] > 0:
        return cycle_end(runs.cycles[cell * 2], runs.cycles[cell * 2 + 1], step)
    every = agenda.stops[stop * STOP_COLUMNS + EVERY]
    return (step // every + 1) * every if every > 0 else agenda.last


def is_look_of(runs: Any, agenda: Any, run: Any, step: Any, stop: Any) -> Any:
    """Whether a stop looks at a run after `step` updates: at the start, at its own steps, and at the end."""
    return step == 0 or step == agenda.last or is_own_look(runs, agenda, run, step, stop)


def is_own_look(runs: Any, agenda: Any, run: Any, step: Any, stop: Any) -> Any:
    """Whether a stop looks at a run after `step` updates, from 1, whether or not these are the last."""
    cell = runs.facts[run * FACTS + CELL]
    every = agenda.stops[stop * STOP_COLUMNS + EVERY]
    has_looks = every > 0 or (agenda.stops[stop * STOP_COLUMNS + AT_CYCLE_ENDS] > 0 and runs.cycles[cell * 2] > 0)
    return has_looks and next_look_of(runs, agenda, run, step - 1, stop) == step


def next_look(runs: Any, agenda: Any, run: Any, step: Any) -> Any:
    """The first step after `step` at which any stop looks at a run."""
    due = agenda.last
    for stop in range(len(agenda.stops) // STOP_COLUMNS):
        due = min(due, next_look_of(runs, agenda, run, step, stop))
    return due


def validation_looks(runs: Any, agenda: Any, run: Any, step: Any) -> Any:
    """Whether Validation looks at a run after `step` updates."""
    for stop in range(len(agenda.stops) // STOP_COLUMNS):
        if agenda.stops[stop * STOP_COLUMNS + KIND] == VALIDATION and is_look_of(runs, agenda, run, step, stop):
            return True
    return False


def waited_enough(runs: Any, agenda: Any, run: Any, stop: Any, loss: Any, margin: Any) -> Any:
    """Whether a loss was the last of `patience` looks in a row without an improvement by more than `margin`."""
    at = (run * (len(agenda.stops) // STOP_COLUMNS) + stop) * MEMORY
    if loss < runs.memory[at + BEST] - margin:
        runs.memory[at + BEST] = loss
        runs.memory[at + WAITED] = 0
    else:
        runs.memory[at + WAITED] += 1
    return runs.memory[at + WAITED] >= agenda.tolerances[stop * 2]


def is_patience_over(runs: Any, agenda: Any, run: Any, stop: Any, loss: Any) -> Any:
    """Whether a loss was the last of `patience` looks in a row without one that was lower than all before by the tolerance."""
    at = (run * (len(agenda.stops) // STOP_COLUMNS) + stop) * MEMORY
    runs.memory[at + WAITED] = 0 if loss <= runs.memory[at + BEST] - agenda.tolerances[stop * 2 + 1] else runs.memory[at + WAITED] + 1
    if loss < runs.memory[at + BEST]:
        runs.memory[at + BEST] = loss
    return runs.memory[at + WAITED] >= agenda.tolerances[stop * 2]


def targets_met(runs: Any, agenda: Any, run: Any, step: Any, loss: Any) -> Any:
    """Notes the targets that a loss meets for the first time; whether it meets the lowest."""
    count = len(agenda.targets)
    for k in range(count):
        if loss <= agenda.targets[k] and runs.reached[run * count + k] < 0:
            runs.reached[run * count + k] = step
    return loss <= agenda.targets[count - 1]


def ends_here(runs: Any, agenda: Any, look: Any, stop: Any) -> Any:
    """Whether one stop's test holds; `look` is (run, step, loss, largest component of the gradient, validation loss)."""
    run, step, loss, largest, held = look
    kind, tolerance = agenda.stops[stop * STOP_COLUMNS + KIND], agenda.tolerances[stop * 2]
    if kind == TARGET:
        return targets_met(runs, agenda, run, step, loss)
    if kind == SMALL_GRADIENT:
        return largest <= tolerance * (1.0 + abs(loss))
    if kind == VALIDATION:
        return waited_enough(runs, agenda, run, stop, held, loss * 0)
    if kind == PLATEAU:
        best = runs.memory[(run * (len(agenda.stops) // STOP_COLUMNS) + stop) * MEMORY + BEST]
        margin = agenda.tolerances[stop * 2 + 1] * abs(best) if abs(best) < float("inf") else loss * 0
        return waited_enough(runs, agenda, run, stop, loss, margin)
    return False


def decided(runs: Any, agenda: Any, look: Any) -> Any:
    """1 + the number of the first stop that ends a run at a look, or UNFINISHED. All that look are asked, for they remember."""
    found = UNFINISHED
    for stop in range(len(agenda.stops) // STOP_COLUMNS):
        if is_look_of(runs, agenda, look[0], look[1], stop) and ends_here(runs, agenda, look, stop) and found == UNFINISHED:
            found = stop + 1
    return found
