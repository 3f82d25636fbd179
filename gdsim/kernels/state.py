"""What kernels hold: the packs in which lanes train, the runs of a job, snapshots on their way to evaluation, scores.

Every array is flat. In a pack the lane is the last index; tables of runs have a row per run.
"""

from typing import Any, NamedTuple

from gdsim.lanes.elementary import two_sum


class Watch(NamedTuple):
    """What is looked at in every step of every lane, and what was seen."""

    active: Any  # uint32: whether the lane holds a run that goes on
    flags: Any  # uint32: why the lane needs attention
    due: Any  # uint32: the step of the run's next event
    largest: Any  # bits of the largest magnitude of a weight in this step
    best: Any  # the lowest loss of a step's batch
    loss: Any  # the loss of this step's batch where its gradient is taken, for rules that ask for it; penalty included
    loss_bound: Any
    target: Any  # -inf where there is none
    gradient: Any  # SmallGradient's tolerance, negative where there is none
    weight_bound: Any  # bits
    step_tolerance: Any  # SmallStep's, negative where there is none
    moved: Any  # the squared length of this step
    size: Any  # the squared length of the weights after it
    still: Any  # uint32: small steps in a row
    times: Any  # uint32: how many of them end a run
    total: Any  # the losses of samples and penalties of the batches since they were last asked for, added up
    seen: Any  # how many samples


class Pack(NamedTuple):
    """The state of a pack's runs, lane by lane: all that it takes to go on."""

    weights: Any  # [place in the problem's layout]
    slots: Any  # [place, slot]: the rule's state beside the weight it serves
    carry: Any  # the rule's state per run
    numbers: Any  # the hyperparameters and what follows from them
    start: Any  # uint32
    step: Any  # uint32: updates applied
    watch: Watch


class Seats(NamedTuple):
    """Which run each lane holds, and what it waits for; int64 throughout."""

    run: Any  # -1: none
    checkpoint: Any  # the number of the next checkpoint
    pending: Any  # 1 while a look of its run waits for evaluation
    anchored: Any  # the step of the run's anchor, -1 if it has none
    free: Any  # [1]: how many lanes wait for a run


# Columns of `Snapshots.tags`, and the bits of WHAT is to be done with the scores.
RUN, SEAT, STEP, WHAT, PLACE, WHY, TAGS = 0, 1, 2, 3, 4, 5, 6
AT_START, AT_CHECKPOINT, AT_LOOK, AT_END = 1, 2, 4, 8


class Snapshots(NamedTuple):
    """Points that wait for evaluation, a lane each, with what is to be done with their scores."""

    weights: Any  # reported
    stored: Any  # the state, where it is kept, as the two that follow
    slots: Any
    carry: Any
    tags: Any  # int64 [lane, TAGS]: run, lane that it sits in (-1: it has left), step, what to do, checkpoint, why it ended
    count: Any  # int64 [2]: how many there are, and the table of the evaluation on the validation set that they lack (0: none)


class Scores(NamedTuple):
    """What is found out about each lane, and the penalties' factors that go into it."""

    loss: Any
    accuracy: Any
    gradient_norm: Any
    gradient_largest: Any
    l1: Any
    l2: Any


# Columns of `Runs.facts`, `Runs.marks` and `Runs.held`.
BEGAN, START_NUMBER, CELL, STEPS, REASON, HELD_STEP, FACTS = 0, 1, 2, 3, 4, 5, 6
BOUND, FINAL_LOSS, BEST_LOSS, KNOWN_LOSS, MARKS = 0, 1, 2, 3, 4
HELD_BEST, HELD_BEST_ACCURACY, HELD_LAST, HELD_LAST_ACCURACY, HELD = 0, 1, 2, 3, 4
# Columns of `Runs.watched`: `Watch.total`, `seen` and `still`, and the steps since the run's anchor (-1: it has none).
TOTAL, SEEN, STILL_STEPS, SINCE_ANCHOR, WATCHED = 0, 1, 2, 3, 4


class Curves(NamedTuple):
    """What is recorded at checkpoints, [run, checkpoint] each; what is not asked for is empty."""

    loss: Any
    gradient_norm: Any
    accuracy: Any
    validation_loss: Any
    validation_accuracy: Any


class Runs(NamedTuple):
    """The runs of a job: what they begin with, and what is found out about each. Tables that are not asked for are empty."""

    points: Any  # [run, parameter]: stored parameters at the beginning
    shown: Any  # [run, parameter]: reported parameters at the beginning
    slots: Any  # [run, parameter, slot], of runs that go on from an earlier end; else empty
    carry: Any  # [run, carry], likewise
    numbers: Any  # [cell, number]
    cycles: Any  # int64 [cell, 2]: length of the schedule's first cycle (0: none), and by how much each is longer than the last
    facts: Any  # int64 [run, FACTS]: steps taken before, start, cell; steps taken, why the run ended, the step of its lowest validation loss (-1: none)
    marks: Any  # [run, MARKS]: the loss beyond which it has diverged; its final, best, and last finite loss
    held: Any  # [run, HELD]: the lowest validation loss (inf: none yet) with the accuracy there, the last finite one with its own; at the end those of the end
    curves: Curves
    epoch_losses: Any  # [run, epoch]: the means of the losses of their batches
    trajectory: Any  # [run, checkpoint, parameter]
    ends: Any  # [run, parameter]: reported
    best_points: Any  # [run, parameter]: where the validation loss was lowest; empty without a Validation stop
    end_weights: Any  # [run, parameter]: the state at the end, as the two that follow
    end_slots: Any  # [run, parameter, slot]
    end_carry: Any  # [run, carry]
    end_memory: Any  # `memory` as it was before the last look, which a run that goes on does not have
    watched: Any  # [run, WATCHED]: what its lane had seen when it began, and at the end what it then had; empty where no state is kept
    anchors: Any  # [run, parameter]: likewise Cycling's anchor; empty without that stop
    memory: Any  # [run, stop, 2]: the best value that a stop has seen, and for how many looks there was no better
    reached: Any  # int64 [run, target]: the first step at which a target was met, -1 if none
    progress: Any  # int64 [4]: the next run, those evaluated at their start, pack-steps made, lane-steps used


# Places in `Runs.progress`.
NEXT, EVALUATED, PACK_STEPS, LANE_STEPS = 0, 1, 2, 3


class Agenda(NamedTuple):
    """When runs are looked at and what ends them; the same for all runs of a job."""

    reports_stored: Any  # whether the reported parameters are the stored ones
    slots: Any  # how many slots the rule has beside each weight
    carry: Any  # how many numbers it carries per run
    numbers: Any  # how many numbers a cell has
    l1: Any  # the places of the penalties' factors among them
    l2: Any
    places: Any  # int64 [parameter]: the place of each parameter in the layout
    slot_places: Any  # int64 [parameter]: the place of its first slot
    slot_step: Any  # from there to its next
    checkpoints: Any  # int64
    stops: Any  # int64 [stop, 3]: kind, every how many steps, whether at cycle ends
    tolerances: Any  # [stop, 2]
    targets: Any  # the losses to reach, descending
    last: Any  # int64: the step at which a run's budget ends
    lane_stops: Any  # int64 [3]: 1 + the stop that lanes look at in every step: Target, SmallGradient, SmallStep; 0 if there is none
    wants: Any  # int64 [3]: whether gradients are asked for at checkpoints, at looks, and the validation set at looks


def slot_place(agenda: Any, parameter: Any, slot: Any) -> Any:
    """The place, in lanes, of one of a parameter's slots."""
    return agenda.slot_places[parameter] + slot * agenda.slot_step


class Sum(NamedTuple):
    """A compensated sum: the rounded total and what rounding has lost."""

    total: Any
    error: Any


def added(total: Any, term: Any) -> Any:
    """The sum with one more term."""
    head, rest = two_sum(total.total, term)
    return Sum(head, total.error + rest)


def total_of(sum_: Any) -> Any:
    """The sum with what rounding has lost."""
    return sum_.total + sum_.error
