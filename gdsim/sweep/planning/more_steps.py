"""Why the runs of a sweep cannot go on with more steps."""

from collections.abc import Callable, Collection, Hashable, Iterable

from gdsim.population.looks import epoch_of
from gdsim.population.setting import is_of_batches
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


def why_not_whole_epochs(sweep: Experiment, steps: int, states: Callable[[], Iterable[Collection[Hashable]]]) -> str:
    """Why the losses of epochs cannot go on after `steps` steps: none of a begun epoch were kept, as by older
    versions. Nothing if they can.

    `states()` are the names of what is known of the runs, of all that have the same names together.
    """
    for setting in map(sweep.setting, cells_of(sweep)):
        epoch = epoch_of(setting)
        if any(map(is_of_batches, setting.stops)) and steps % epoch and not all("state_epoch_total" in names for names in states()):
            return (
                f"this state, of an older version, goes on with gd.Plateau(batches=True) after whole epochs, of {epoch} steps here, and the runs have {steps}"
            )
    return ""
