"""What an estimator trains, as a sweep of one cell; and what came of it: the networks of all starts that did
not diverge.
"""

import math
import warnings
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gdsim.data import Data
from gdsim.estimators.settings import Settings
from gdsim.lanes.draws import uniform_numbers
from gdsim.lanes.philox import INITIAL_POINT
from gdsim.population.columns import OF_STATES, state_names, with_state_names
from gdsim.problems import MLP
from gdsim.stops import Plateau, Record, Stop, Validation
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.sweep import Sweep
from gdsim.words import count_of

# How much of what losses on new samples have said is kept from call to call of partial_fit.
KEPT = 0.9
# What numbers that were scaled to a deviation of 1 seldom reach.
FAR = 10.0


def sweep_of(settings: Settings, problem: MLP, weight: float, seed: int, *, init: np.ndarray | None = None, epochs_before: int = 0) -> Sweep:
    """The sweep of all starts on a problem without penalty, whose samples weigh `weight` in the mean; from
    `init`, or drawn.

    The penalty is alpha / 2 |w|^2 divided by what a step's samples weigh, as MLPClassifier has it.
    """
    init = drawn(problem, settings.starts, seed) if init is None else init
    count = len(problem.data.X)
    batch = settings.batch_of(count)
    epoch = settings.steps_of(count)
    return Sweep(
        problem=MLP(problem.data, problem.hidden, problem.activation, problem.loss, l2=settings.alpha / ((batch or count) * weight)),
        optimizer=settings.rule, schedule=settings.schedule, init=init, starts=len(init),
        steps=(epochs_before + settings.epochs) * epoch, batch=batch, shuffle="epoch" if settings.is_shuffled else "once", drop_last=False,
        stop=_stops(settings, epoch), record=Record(every="ends", parameters=True, state=True, gradient_norm=False), seed=seed, dtype=settings.dtype,
    )  # fmt: skip


def drawn(problem: MLP, starts: int, seed: int) -> np.ndarray:
    """[start, parameter] where training begins, as scikit-learn draws it: a layer's weights and biases
    uniform within sqrt(6 / (inputs + units)).

    Of a network whose activation is the sigmoid it is sqrt(2 / (inputs + units)). The weights are those of
    `gd.MLP`'s "glorot" but for that factor.
    """
    share = 2.0 if problem.activation == "sigmoid" else 6.0
    bounds = np.repeat([math.sqrt(share / (n + units)) for n, units in problem.layers], [(n + 1) * units for n, units in problem.layers])
    return (2.0 * uniform_numbers(seed, np.arange(starts, dtype=np.uint32), (INITIAL_POINT, 0), problem.parameter_count) - 1.0) * bounds


def _stops(settings: Settings, epoch: int) -> list[Stop]:
    """What ends a start early: `patience` epochs in a row that bring nothing are allowed, and one more ends
    it; and what keeps its best weights.
    """
    never = settings.epochs + 1
    patience = never if settings.patience is None else settings.patience + 1
    if settings.stops_early:
        return [Validation(patience, every=epoch), Plateau(never, batches=True)]
    return [Plateau(patience, settings.tolerance, batches=True)]


def blank(data: Data, classes: int | None) -> Data:
    """One sample of nothing in the shape of the data: what a network's outputs need to know of them."""
    y = np.zeros((1, *data.y.shape[1:]), data.y.dtype)
    return Data(np.zeros((1, data.X.shape[1])), y, class_names=None if classes is None else range(classes), name=data.name)


class Population(NamedTuple):
    """The networks of the starts that did not diverge."""

    runs: np.ndarray  # [network] their numbers in the result
    vectors: np.ndarray  # [network, parameter]
    curves: np.ndarray  # [network, epoch] the mean loss of each epoch's batches, of all calls, NaN once it has ended
    ahead: np.ndarray  # [network] the loss on samples that were not yet learned from, of late
    steps: int  # those behind them, by which a schedule goes on
    best: int

    @classmethod
    def of(cls, result: Any, settings: Settings, *, before: Self | None = None, rows: np.ndarray | None = None) -> Self:
        """The networks of a result; `rows`: which of those before each of its runs went on from.

        Raises ValueError where all diverged.
        """
        alive = np.flatnonzero(result.status.values != "diverged")
        if not len(alive):
            raise ValueError(
                f"{'the only start' if (starts := result.sizes['run']) == 1 else f'all {starts} starts'} diverged; lower the learning rate (learning_rate_init){_far(sweep_behind(result).problem[0].data)}"
            )
        curves = result.epoch_loss.values[alive]
        vectors = result["best_parameters" if settings.stops_early else "parameters"].values[alive]
        ahead = result.loss.values[alive, 0]
        if before is not None and rows is not None:
            rows = rows[alive]
            curves = np.concatenate([before.curves[rows], curves], 1)
            ahead = KEPT * before.ahead[rows] + (1.0 - KEPT) * ahead
        scores = _scores(result, settings)[alive]
        steps = int(result.steps_taken.values[alive].max())
        return cls(result.run.values[alive], vectors, curves, ahead, steps, int(np.argmin(np.where(np.isfinite(scores), scores, np.inf))))


def _far(data: Data | None) -> str:
    """What else may be to blame where all starts diverge: features or targets that are far from 0."""
    if data is None:
        return ""
    found = {"features": (data.X, "StandardScaler")}
    if data.y.dtype.kind == "f":
        found["targets"] = (data.y, "TransformedTargetRegressor")
    reached = {name: (float(np.abs(values).max()), scaler) for name, (values, scaler) in found.items()}
    return "".join(f", or scale the {name}, which reach {most:.3g} ({scaler})" for name, (most, scaler) in reached.items() if most > FAR)


def _scores(result: Any, settings: Settings) -> np.ndarray:
    """[run] what says which network is best: its loss on the samples that were set aside, else on those that
    it was trained on.
    """
    names = ("best_validation_loss" if settings.stops_early else "final_validation_loss", "final_loss")
    return next(result[name].values for name in names if name in result)


def warn_of_ends(result: Any, settings: Settings) -> None:
    """Warns of starts that diverged, and of those that might have gone on."""
    status = result.status.values
    diverged, spent = int((status == "diverged").sum()), int((status == "budget").sum())
    if diverged:
        warnings.warn(
            f"{diverged} of {count_of(len(status), 'start')} diverged and {'is' if diverged == 1 else 'are'} left out", ConvergenceWarning, stacklevel=4
        )
    if spent and settings.patience is not None:
        warnings.warn(
            f"{spent} of {count_of(len(status), 'start')} took all {count_of(settings.epochs, 'epoch')} (max_iter) and might improve",
            ConvergenceWarning,
            stacklevel=4,
        )


def check_state(result: Any, settings: Settings) -> None:
    """Refuses to go on with another kind of optimizer. Raises ValueError."""
    kept = {str(n): values.values for n, values in result.data_vars.items() if str(n).startswith("state_")}
    if set(with_state_names(settings.rule, kept)) - set(OF_STATES) != set(state_names(settings.rule)):
        raise ValueError("partial_fit goes on with the optimizer that it began with; for another, fit a clone, or set warm_start=True and fit")
