"""What an estimator's parameters mean: checked once, when it is fitted, and put into gdsim's words."""

import math
from typing import Any, NamedTuple

import numpy as np
from joblib.parallel import get_active_backend

from gdsim.axes import Range, checked_one, checked_truth, checked_whole
from gdsim.declarations import Declaration, meant
from gdsim.estimators.nested import with_number
from gdsim.estimators.samples import Samples, merged
from gdsim.population import DTYPES
from gdsim.problems.activations import ACTIVATIONS
from gdsim.rules import RULES, Adam, Rule
from gdsim.schedules import SCHEDULES, Constant, Schedule
from gdsim.sweep.planning.machine import usable_cores
from gdsim.words import checked_word, given

ANY_POSITIVE, FROM_ZERO = Range(0.0, math.inf, low_allowed=False), Range(0.0, math.inf)
# What stands for None: scikit-learn's solver and its learning rate.
USUAL: dict[str, Declaration] = {"optimizer": Adam(convention="torch"), "schedule": Constant()}
KINDS: dict[str, tuple[type, tuple[type, ...]]] = {"optimizer": (Rule, RULES), "schedule": (Schedule, SCHEDULES)}
COMBINATIONS = ("average", "best")
MOST_EPOCHS = 999_999


class Settings(NamedTuple):
    """An estimator's parameters, checked, as a sweep takes them."""

    hidden: tuple[int, ...]
    activation: str
    rule: Rule
    schedule: Schedule
    starts: int
    combine: str
    alpha: float
    batch_size: int | None  # None: 200
    epochs: int
    tolerance: float
    patience: int | None  # None: no end before the last epoch
    is_shuffled: bool
    stops_early: bool
    share: float
    dtype: Any  # one of DTYPES

    @property
    def sets_aside(self) -> bool:
        """Whether a share of the samples is set aside."""
        return self.stops_early or self.combine == "best"

    def batch_of(self, count: int) -> int | None:
        """Samples per step of so many samples; None for all."""
        batch = self.batch_size or 200
        return None if batch >= count else batch

    def merged(self, samples: Samples) -> Samples:
        """The samples, equal ones as one where a step takes all."""
        return merged(samples) if self.batch_of(len(samples.X)) is None else samples

    def steps_of(self, count: int) -> int:
        """Steps of an epoch of so many samples."""
        return -(-count // (self.batch_of(count) or count))


def settings_of(estimator: Any) -> Settings:
    """The parameters of an estimator.

    Raises ValueError or TypeError, one line each, for what they cannot be.
    """
    parameters = estimator.get_params(deep=False)
    truths = {n: checked_truth(parameters[n], n) for n in ("shuffle", "early_stopping", "warm_start")}
    if not isinstance(parameters["verbose"], (bool, np.bool_, int, np.integer)):
        raise TypeError(f"verbose must be true or false, or a whole number; {given(parameters['verbose'])} was given")
    rule, schedule = _declared(parameters, "optimizer"), _declared(parameters, "schedule")
    for name, parameter in (("lr", "learning_rate_init"), ("momentum", "momentum")):
        if parameters[parameter] is not None:
            _check_said_once(rule, name, parameter, parameters[parameter])
            rule = with_number(rule, name, checked_one(parameters[parameter], parameter, ANY_POSITIVE if name == "lr" else Range(0.0, 1.0)))
    batch, patience = parameters["batch_size"], parameters["n_iter_no_change"]
    return Settings(
        hidden=_widths(parameters["hidden_layer_sizes"]),
        activation=_activation(parameters["activation"]),
        rule=rule,
        schedule=schedule,
        starts=checked_whole(parameters["n_starts"], "n_starts", 1, 2**32),
        combine=checked_word(parameters["combine"], "combine", COMBINATIONS),
        alpha=checked_one(parameters["alpha"], "alpha", FROM_ZERO),
        batch_size=None if isinstance(batch, str) and batch == "auto" else checked_whole(batch, 'batch_size ("auto" for 200)', 1, 2**31),
        epochs=checked_whole(parameters["max_iter"], "max_iter", 1, MOST_EPOCHS + 1),
        tolerance=checked_one(parameters["tol"], "tol", FROM_ZERO),
        patience=None if patience == math.inf else checked_whole(patience, "n_iter_no_change", 1, 2**31),
        is_shuffled=truths["shuffle"],
        stops_early=truths["early_stopping"],
        share=checked_one(parameters["validation_fraction"], "validation_fraction", Range(0.0, 1.0, low_allowed=False)),
        dtype=checked_word(parameters["dtype"], "dtype", DTYPES),
    )


def declaration_of(name: str, value: Any) -> Any:
    """What a parameter that may be a declaration stands for; what is none stays as it is, to be refused when
    it is used.
    """
    return USUAL[name] if value is None else value


def _declared(parameters: dict[str, Any], name: str) -> Any:
    """An optimizer or schedule with one number in each field."""
    value = declaration_of(name, parameters[name])
    kind, classes = KINDS[name]
    if not isinstance(value, kind):
        raise TypeError(
            f"{name} must be None or one of gdsim's, such as {'gd.Momentum(0.1)' if name == 'optimizer' else 'gd.Cosine(cycle=100)'}; {meant(value, classes)}"
        )
    for field, number in value.hyperparameters().items():
        if not isinstance(number, float):
            raise ValueError(f"{name}: {type(value).__name__}.{field}={number!r} is an axis, and an estimator has one number; search over {name}__{field}")
    return value


def _check_said_once(rule: Rule, name: str, parameter: str, value: Any) -> None:
    """Raises ValueError where the optimizer has a number of its own beside the parameter for it.

    One left at its default says nothing.
    """
    inner = rule.innermost  # no wrapper has either
    own = inner.hyperparameters().get(name)
    if own is not None and own != inner.defaults_here()[name]:
        raise ValueError(f"{parameter}={given(value)} and {inner!r} both say {name}; leave {parameter} out, or {name} of the optimizer")


def _widths(value: Any) -> tuple[int, ...]:
    """Units of the hidden layers; a number is one layer."""
    several = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(checked_whole(n, "hidden_layer_sizes: each") for n in (several if isinstance(several, (list, tuple)) else [several]))


def _activation(value: Any) -> str:
    """The activation in gdsim's words, by either name."""
    return checked_word("sigmoid" if isinstance(value, str) and value == "logistic" else value, "activation", ACTIVATIONS)


def threads_of(n_jobs: Any) -> int:
    """Threads of one fit: all processors that the process may use for None or -1, but one where joblib runs
    several fits at once.
    """
    if n_jobs is None:
        backend: Any = get_active_backend()[0]
        return 1 if backend.nesting_level else usable_cores()
    if isinstance(n_jobs, (int, np.integer)) and not isinstance(n_jobs, bool) and n_jobs != 0:
        return int(n_jobs) if n_jobs > 0 else max(1, usable_cores() + 1 + int(n_jobs))
    raise ValueError(f"n_jobs must be None, a whole number from 1, -1 for all processors, or -2 for all but one, and so on; {given(n_jobs)} was given")
