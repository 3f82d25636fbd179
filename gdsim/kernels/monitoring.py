"""What a lane has seen of its run between looks: saved where the run ends, restored where it goes on.

Every function takes a job, field by field (`lanes.memory.view`).
"""

import numpy as np

from gdsim.kernels.copies import copy_numbers, in_lane, in_row
from gdsim.kernels.job import Job


def restore_monitor(job: Job, lane: int, run: int) -> None:
    """Gives a lane what its run had seen where it begins: nothing, or what was saved at an earlier end."""
    monitor, lanes, runs = job.pack.monitor, job.lanes, job.runs
    kept = len(runs.loss_sum) > 0
    if kept:
        monitor.loss_sum[lane], monitor.samples_seen[lane] = runs.loss_sum[run], runs.samples_seen[run]
        monitor.small_steps[lane] = np.uint32(runs.small_steps[run])
    else:
        monitor.loss_sum[lane] = monitor.samples_seen[lane] = monitor.small_steps[lane] = 0
    lanes.reference_step[lane] = -1
    if kept and len(runs.references) > 0 and runs.steps_since_reference[run] >= 0:
        lanes.reference_step[lane] = runs.first_step[run] - np.int64(runs.steps_since_reference[run])
        copy_numbers(job.spec.places, runs.references, in_row(run), job.reference, in_lane(lane))
    if kept:  # from here on they are those of the run's end
        runs.loss_sum[run] = runs.samples_seen[run] = runs.small_steps[run] = 0
        runs.steps_since_reference[run] = -1


def save_monitor(job: Job, lane: int, run: int) -> None:
    """Saves what a lane and its stops have seen of a run whose budget is used up, so that it can go on."""
    pack, lanes, runs, spec = job.pack, job.lanes, job.runs, job.spec
    monitor, stops = pack.monitor, len(spec.stop_kind)
    if len(runs.end_stop_best) > 0:
        for k in range(run * stops, (run + 1) * stops):
            runs.end_stop_best[k], runs.end_stop_waited[k] = runs.stop_best[k], runs.stop_waited[k]
    if len(runs.loss_sum) > 0:
        runs.loss_sum[run], runs.samples_seen[run], runs.small_steps[run] = monitor.loss_sum[lane], monitor.samples_seen[lane], monitor.small_steps[lane]
        has_reference = lanes.reference_step[lane] >= 0
        runs.steps_since_reference[run] = np.int64(pack.step[lane]) - lanes.reference_step[lane] if has_reference else -1
        if has_reference:
            copy_numbers(job.spec.places, job.reference, in_lane(lane), runs.references, in_row(run))
