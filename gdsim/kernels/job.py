"""A job: all that the training kernel and those that it calls work on."""

from typing import NamedTuple

from gdsim.kernels.state import Evaluations, JobSpec, LaneTable, Pack, Runs, RunState, Scores, Snapshots
from gdsim.kernels.team_memory import Team
from gdsim.kernels.workspace import Workspace
from gdsim.lanes.types import Address, Memory
from gdsim.problems.parts import Sampler


class Job(NamedTuple):
    """All that a kernel works on.

    `advance`, `report` and `evaluate` are the addresses of the kernels for the job's rule and problem.
    """

    pack: Pack
    lanes: LaneTable
    snapshots: Snapshots  # of the runs in lanes
    start_snapshots: Snapshots  # of runs that wait for a lane
    scores: Scores
    validation_scores: Scores
    reported: Memory  # [place]: the reported parameters of the pack's runs, which may be the stored ones
    reference: Memory  # [place]: the point to which Cycling waits for each run to come back
    runs: Runs
    spec: JobSpec
    training_sampler: Sampler
    advance: Address
    report: Address
    evaluate: Address
    evaluations: Evaluations
    tables: Memory  # what `evaluations` points into
    samplers: tuple[Sampler, Sampler]  # the sets that these point into
    state: RunState  # the arrays of the pack's runs once more; of teams all that goes on
    noted: Memory  # [number, lane]: what is recorded of teams, `team_memory.NOTED`; empty where there are none
    team: Team
    model: Workspace  # the problem's working memory, last: all before lies alike for all problems
