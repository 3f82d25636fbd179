"""What kernels hold: the packs in which lanes train, what a step of theirs has, the runs of a job,
snapshots on their way to evaluation, scores.

Every array is flat. In a pack the lane is the last index; tables of runs have a row per run.
"""

import math
from typing import Any, NamedTuple

from gdsim.lanes.rounding import two_sum
from gdsim.lanes.types import Address, Count, Lane, Memory


class Monitor(NamedTuple):
    """What is looked at in every step of every lane, and what was seen."""

    active: Memory  # uint32: whether the lane holds a run that goes on
    flags: Memory  # uint32: why the lane needs attention
    due: Memory  # uint32: the step of the run's next event
    largest_weight: Memory  # bits of the largest magnitude of a weight in this step
    best: Memory  # the lowest loss of a step's batch
    loss: Memory  # the loss of this step's batch where its gradient is taken, for rules that ask for it; penalty included
    loss_bound: Memory
    target: Memory  # -inf where there is none
    gradient_tolerance: Memory  # SmallGradient's tolerance, negative where there is none
    weight_bound: Memory  # bits
    step_tolerance: Memory  # SmallStep's, negative where there is none
    step_squares: Memory  # the squared length of this step
    weight_squares: Memory  # the squared length of the weights after it
    small_steps: Memory  # uint32: small steps in a row
    small_steps_needed: Memory  # uint32: how many of them end a run
    loss_sum: Memory  # the sum of the losses and penalties of the batches since it was last asked for
    samples_seen: Memory  # how many samples


class Pack(NamedTuple):
    """The state of a pack's runs, lane by lane: all that it takes to go on."""

    weights: Memory  # [place in the problem's layout]
    slots: Memory  # [place, slot]: the rule's state beside the weight it serves
    carry: Memory  # the rule's state per run
    hyperparameters: Memory  # the hyperparameters and what follows from them
    start: Memory  # uint32
    replica: int  # which of the replicas of the runs' models this is; 0: the first, or the only one
    shard: Memory  # uint32: `Stream.shard`
    step: Memory  # uint32: updates applied
    monitor: Monitor


class StepInputs(NamedTuple):
    """The numbers of one step: what the rule needs, and the penalty."""

    rule: Any  # what `rules.parts.prepare` has made
    l1: Lane
    l2: Lane


class StepStats(NamedTuple):
    """What the updates of a step have done so far."""

    largest_weight: Lane  # the bits of the largest magnitude of a weight
    step_squares: Lane  # the squared length of the step
    weight_squares: Lane  # that of the weights after it


class LaneTable(NamedTuple):
    """Which run each lane holds, and what it waits for; int64 throughout, [lane] if not said."""

    run: Memory  # -1: none; -2: none, and no run is left
    checkpoint: Memory  # the number of the next checkpoint
    pending: Memory  # 1 while a look of its run waits for evaluation
    reference_step: Memory  # the step at which Cycling took the run's reference point, -1 if it has none
    free: Memory  # [attendant]: how many of its lanes have no run and may get one
    next_run: Memory  # [attendant]: the next of the runs that were evaluated at their start for its lanes
    behind_run: Memory  # [attendant]: the one behind the last of them
    pack_steps: Memory  # [attendant]: steps of the pack
    lane_steps: Memory  # [attendant]: those of lanes with a run


# What a snapshot is taken for, as bits of `Snapshots.use`.
AT_START, AT_CHECKPOINT, AT_LOOK, AT_END, AT_VALIDATION = 1, 2, 4, 8, 16


class RunState(NamedTuple):
    """All that a step changes of runs and that they go on from, in lanes or in a row per run."""

    weights: Memory  # the stored parameters: [place, lane] or [run, parameter]
    slots: Memory  # [place, slot, lane] or [run, parameter, slot]
    carry: Memory  # [carry, lane] or [run, carry]


class Snapshots(NamedTuple):
    """Points that wait for evaluation, a lane each, and what their scores are for; int64 [lane] if not said."""

    weights: Memory  # [place, lane]: the reported parameters
    state: RunState  # where it is kept
    noted: Memory  # [number, lane]: what is recorded of teams beside
    run: Memory
    lane: Memory  # that its run is in; -1: it is in none
    step: Memory
    use: Memory  # what it was taken for
    checkpoint: Memory  # the number of the checkpoint
    reason: Memory  # why its run has ended, or UNFINISHED
    count: Memory  # [attendant]: how many there are


class Scores(NamedTuple):
    """What is found out about each lane, and the penalties' factors that go into it."""

    loss: Memory
    accuracy: Memory
    gradient_norm: Memory
    gradient_largest: Memory
    l1: Memory
    l2: Memory


# Why a run ended: these, or 1 + the number of a stop.
UNFINISHED, DIVERGED, BUDGET = -3, -2, -1


class TableOf(NamedTuple):
    """How a table of `Runs` is made, by `table`."""

    dims: tuple[str, ...]
    fill: float
    is_whole: bool
    keep: str
    is_still: bool


def table(*dims: str, fill: float = math.nan, is_whole: bool = False, keep: str = "", is_still: bool = False) -> Any:
    """A row per run of these dims, at first full of one number, of kernels' type or int64, where `Keeps` says
    so by this name, or always; without tangents if `is_still`.
    """
    return TableOf(dims, fill, is_whole, keep, is_still)


class Keeps(NamedTuple):
    """Which tables are kept of each run; `curves` by the names in `recorders.Curves`."""

    curves: tuple[str, ...] = ()
    trajectory: bool = False
    ends: bool = False
    best_points: bool = False
    state: bool = False
    validation: bool = False
    references: bool = False


class Runs(NamedTuple):
    """The runs of a job: where they begin, which is given, and what is found out about each, flat.

    [run] if not said otherwise; empty where it is not kept.
    """

    begin: RunState  # where the run begins; slots and carry of runs that go on from an earlier end
    shown: Memory  # [run, parameter]: the reported parameters there
    hyperparameters: Memory  # [cell, number]: the hyperparameters
    first_cycle: Memory  # int64 [cell]: the length of the schedule's first cycle (0: it has none)
    cycle_factor: Memory  # int64 [cell]: by how much each cycle is longer than the last
    curves: Any  # `recorders.Curves`
    taken: Memory  # int64 [1]: how many were taken to be evaluated at their start
    first_step: Memory = table(fill=0, is_whole=True)  # steps taken before the run begins here
    start: Memory = table(fill=0, is_whole=True)  # the number of its start
    shard: Memory = table(fill=0, is_whole=True)  # the row of its first worker in `Sampler.shards`
    cell: Memory = table(fill=0, is_whole=True)
    steps_taken: Memory = table(fill=0, is_whole=True)
    reason: Memory = table(fill=UNFINISHED, is_whole=True)  # why it ended, or UNFINISHED
    loss_bound: Memory = table(is_still=True)  # the loss beyond which it has diverged
    final_loss: Memory = table()  # the last finite one of a diverged run
    best_loss: Memory = table(fill=math.inf)
    last_finite_loss: Memory = table()
    best_validation_loss: Memory = table(fill=math.inf, keep="validation")  # inf: none yet
    best_validation_accuracy: Memory = table(keep="validation")
    best_validation_step: Memory = table(fill=-1, is_whole=True, keep="validation")  # -1: none yet
    final_validation_loss: Memory = table(keep="validation")  # the last finite one; at the end that of the end
    final_validation_accuracy: Memory = table(keep="validation")
    epoch_losses: Memory = table("epoch")  # the means of the losses of their batches
    trajectory: Memory = table("checkpoint", "parameter", keep="trajectory")
    ends: Memory = table("parameter", keep="ends")  # the reported parameters at the end
    best_points: Memory = table("parameter", keep="best_points")  # at the lowest validation loss, with a Validation stop
    end: RunState = RunState(table("parameter", keep="state"), table("parameter", "slot", keep="state"), table("carry", keep="state"))
    end_stop_best: Memory = table("stop", fill=math.inf, keep="state", is_still=True)  # `stop_best` before a look that the budget's end alone made
    end_stop_waited: Memory = table("stop", fill=0, keep="state", is_still=True)  # likewise
    loss_sum: Memory = table(fill=0, keep="state")  # `Monitor.loss_sum` where the run began, and at its end
    samples_seen: Memory = table(fill=0, keep="state")  # likewise `Monitor.samples_seen`
    small_steps: Memory = table(fill=0, keep="state", is_still=True)  # likewise `Monitor.small_steps`
    steps_since_reference: Memory = table(fill=-1, keep="state", is_still=True)  # of Cycling's reference point; -1: it has none
    references: Memory = table("parameter", keep="references")  # that point
    stop_best: Memory = table("stop", fill=math.inf, is_still=True)  # the best value that a stop has seen
    stop_waited: Memory = table("stop", fill=0, is_still=True)  # for how many looks there was no better
    reached: Memory = table("target", fill=-1, is_whole=True)  # the first step at which a target was met, -1 if none


class JobSpec(NamedTuple):
    """What all runs of a job share: sizes and layout, when runs are looked at, and what ends them."""

    hyperparameters: Count  # hyperparameters of a cell
    l1: int  # the places of the penalties' factors among them
    l2: int
    places: Memory  # int64 [parameter]: the place of each parameter in the layout
    slot_places: Memory  # int64 [parameter, slot]: likewise of its slots
    carry_places: Memory  # int64 [carry]: likewise of the rule's numbers per run
    hyperparameter_places: Memory  # int64 [number]: likewise of a cell's hyperparameters in the pack
    checkpoints: Memory  # int64 [checkpoint]: their steps
    stop_kind: Memory  # int64 [stop]
    stop_every: Memory  # int64 [stop]: every how many steps it looks; 0: at no steps of its own
    stop_at_cycle_ends: Memory  # int64 [stop]: whether it looks at the ends of cycles, if there are any
    stop_limit: Memory  # [stop]: its tolerance, or its patience
    stop_margin: Memory  # [stop]: by how much, or by what share, Plateau's loss must be lower
    targets: Memory  # [target]: the losses to reach, descending
    last: int  # the step at which a run's budget ends
    target_stop: int  # 1 + the number of the Target that lanes test in every step; 0: none
    gradient_stop: int  # likewise of SmallGradient
    step_stop: int  # likewise of SmallStep
    gradient_at_checkpoints: bool  # whether checkpoints need the gradient
    gradient_at_looks: bool  # whether looks need it
    validation_at_looks: bool  # whether looks need the validation set


class Sum(NamedTuple):
    """A compensated sum: the rounded total and what rounding has lost."""

    total: Lane
    error: Lane


def added(total: Sum, term: Lane) -> Sum:
    """The sum with one more term."""
    head, rest = two_sum(total.total, term)
    return Sum(head, total.error + rest)


def total_of(sum_: Sum) -> Lane:
    """The sum with what rounding has lost."""
    return sum_.total + sum_.error


class Evaluations(NamedTuple):
    """Addresses of evaluations' tables: of snapshots and starts, on training and validation set; 0: none."""

    snapshots: Address
    starts: Address
    validation_snapshots: Address
    validation_starts: Address
