"""When stops look at a setting's runs, and what kernels are told of these."""

from collections.abc import Mapping

from gdsim.kernels import state, stop_tests
from gdsim.kernels.cpu import Kernels, StopRow
from gdsim.population.hyperparameters import schedule_values
from gdsim.population.samples import samplers_of
from gdsim.population.setting import Setting, is_of_batches
from gdsim.stops import Cycling, Plateau, SmallStep, Stop


def epoch_of(setting: Setting) -> int:
    """The steps of an epoch."""
    return 1 if setting.batch is None else int(samplers_of(setting)[0].steps_per_epoch)


def epochs_of(setting: Setting) -> int:
    """Epochs whose mean loss is recorded, begun ones counted; 0 where no stop looks at them."""
    if not any(map(is_of_batches, setting.stops)):
        return 0
    epoch = epoch_of(setting)
    return -(-setting.steps // epoch) - setting.began // epoch


def looks_of(setting: Setting, stop: Stop) -> tuple[int, bool]:
    """(every how many steps a stop looks, whether at the ends of cycles instead).

    0 steps where lanes test it in every step, or where it looks at the ends of cycles alone.
    """
    every = getattr(stop, "every", None)
    at_cycle_ends = isinstance(stop, (SmallStep, Plateau)) and not is_of_batches(stop) and every is None and setting.schedule.is_cyclic
    return 0 if setting.lanes_look_at(stop) or isinstance(stop, SmallStep) else every or epoch_of(setting), at_cycle_ends


def has_own_look(setting: Setting, stop: Stop, step: int, values: Mapping[str, float]) -> bool:
    """Whether a stop looks after `step` updates, whether or not they are the last; Cycling may after any.

    `values` are the hyperparameters of the run's cell.
    """
    every, at_cycle_ends = looks_of(setting, stop)
    first, factor = setting.schedule.cycle_of(schedule_values(setting.schedule, values)) if at_cycle_ends else (0, 1)
    if first > 0:
        return stop_tests.cycle_end(first, factor, step - 1) == step
    return setting.lanes_look_at(stop) or isinstance(stop, Cycling) or (every > 0 and step % every == 0)


def spec_of(setting: Setting, kernels: Kernels) -> state.JobSpec:
    """What the setting's runs share: when they are looked at, and what ends them."""
    rows = [StopRow(stop_tests.kind_of(s), *looks_of(setting, s), *s.tolerances) for s in setting.stops]
    in_lanes = {stop_tests.test_of(s).lane_stop: number + 1 for number, s in enumerate(setting.stops) if setting.lanes_look_at(s)}
    tests = [stop_tests.test_of(s) for s in setting.stops]
    needs = (setting.record.gradient_norm, any(t.needs_gradient for t in tests), any(t.needs_validation for t in tests))
    return kernels.new_spec(setting.steps, setting.checkpoints, rows, setting.targets, in_lanes, needs)
