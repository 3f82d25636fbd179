"""Which runs go on with more steps, and why those of a sweep cannot."""

from collections.abc import Callable, Hashable, Iterable, Mapping

import numpy as np

from gdsim.population import Setting
from gdsim.population.looks import epoch_of, has_own_look
from gdsim.population.setting import is_of_batches
from gdsim.stops import REASONS
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.experiment.declaration import Experiment


def why_not_longer(sweep: Experiment, steps: int) -> str:
    """Why the runs of a sweep cannot go on from those of `steps` steps; nothing if they can."""
    if sweep.steps is None or steps >= sweep.steps:
        return f"the folder's runs have {steps} steps" + (": give more" if sweep.record.state else "")
    if not sweep.record.state:
        return "runs go on where their state was kept, by gd.Record(state=True), in a file record.state=true"
    for cell in cells_of(sweep):
        checkpoints = sweep.setting(cell).checkpoints
        had = set(sweep.setting(cell)._replace(steps=steps).checkpoints)
        lacking = [c for c in checkpoints if c <= steps and c not in had]
        if lacking:
            return f"step {lacking[0]} would be a checkpoint and was none: give record.every as a number that divides {steps}"
    return ""


def why_not_whole_epochs(sweep: Experiment, steps: int) -> str:
    """Why the losses of epochs cannot go on after `steps` steps where a begun epoch's losses so far were not kept, as older versions have it. Nothing if they can."""
    for cell in cells_of(sweep):
        setting = sweep.setting(cell)
        epoch = epoch_of(setting)
        if any(map(is_of_batches, setting.stops)) and steps % epoch:
            return (
                f"this state, of an older version, goes on with gd.Plateau(batches=True) after whole epochs, of {epoch} steps here, and the runs have {steps}"
            )
    return ""


def has_sums(names: Iterable[Hashable]) -> bool:
    """Whether a state has the losses of a begun epoch so far, by the names of its variables."""
    return "state_epoch_total" in names


def going_on(
    steps: int, taken: np.ndarray, cells: np.ndarray, reasons: np.ndarray, of_cell: Callable[[int], tuple[Setting, Mapping[str, float]]]
) -> np.ndarray:
    """[run] whether runs of `steps` steps go on with more; `reasons` as places in `REASONS`, `of_cell(cell)` its setting and hyperparameters."""
    going = taken == steps
    pairs, place = np.unique(np.stack([cells, reasons], 1)[going], axis=0, return_inverse=True)
    going[going] = np.array([_goes_on(steps, REASONS[reason], *of_cell(int(cell))) for cell, reason in pairs], bool)[place.ravel()]
    return going


def _goes_on(steps: int, reason: str, setting: Setting, numbers: Mapping[str, float]) -> bool:
    """Whether nothing has ended a run but its budget, or a stop that would not have looked after `steps` steps had there been more."""
    stops = [s for s in setting.stops if type(s).__name__ == reason]
    return reason == "budget" or (reason != "Diverged" and not any(has_own_look(setting, s, steps, numbers) for s in stops))
