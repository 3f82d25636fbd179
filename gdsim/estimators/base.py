"""What the two estimators share: parameters, training from many starts, and the outputs of the networks that
count.
"""

import inspect
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from gdsim.data.arrays import check_fits
from gdsim.declarations import Declaration, hinting_calls
from gdsim.estimators.later import later
from gdsim.estimators.nested import fields_within, with_field
from gdsim.estimators.samples import Samples, check_no_dates, data_of, split, weighted
from gdsim.estimators.settings import USUAL, Settings, declaration_of, settings_of, threads_of
from gdsim.estimators.training import Population, blank, check_state, sweep_of, warn_of_ends
from gdsim.population import predict
from gdsim.problems import MLP
from gdsim.sweep.resume import continue_with
from gdsim.words import count_of, nearest

# Numbers that a prediction holds at once.
MOST_OUTPUTS = 2**22


DOCUMENTED = """

Parameters
----------
hidden_layer_sizes : int or list of int, default (100,)
    Units of each hidden layer.
activation : str, default "relu"
    "identity", "logistic", "tanh", "relu", or any other of gd.MLP.
n_starts : int, default 16
    How many networks are trained, each from its own starting point and with its own orders of samples.
combine : "average" or "best", default "average"
    Whether the outputs (probabilities or values) of all networks are averaged, or those of the best alone count: the one whose loss is
    lowest on a share of the samples, `validation_fraction`, which fit then always sets aside.
optimizer : optimizer of gdsim, default None
    Such as gd.Momentum(0.1); None for gd.Adam(convention="torch"), scikit-learn's solver. Its fields are parameters: `optimizer__lr`.
schedule : schedule of gdsim, default None
    How the learning rate changes, by steps, such as gd.Cosine(cycle=1000); None for a constant one.
alpha : float, default 0.0001
    The penalty alpha/2 |w|^2, divided by what the samples of a full step weigh, also in an epoch's last, shorter one; biases are left out.
batch_size : int or "auto", default "auto"
    Samples per step; "auto" for 200, or all where there are fewer. Where a step takes all samples, equal ones are merged into their weight.
learning_rate_init : float, default None
    The optimizer's learning rate; None for the optimizer's own, 0.001 if there is none. Refused beside an optimizer that says another than its default.
max_iter : int, default 200
    The largest number of epochs.
momentum : float, default None
    The optimizer's momentum; None for the optimizer's own, 0.9 of gd.Momentum. Refused as learning_rate_init is.
tol : float, default 0.0001
    An epoch is an improvement if its loss is lower than all before by this.
shuffle : bool, default True
    Whether every epoch has a new order of samples; else each start has one order for all.
early_stopping : bool, default False
    Whether fit sets a share of the samples aside, ends a start when its loss there no longer falls, and keeps its best weights.
validation_fraction : float, default 0.1
    The share that early_stopping and combine="best" set aside; of classes the same share of each.
n_iter_no_change : int or inf, default 10
    How many epochs in a row may bring no improvement; inf for no end before max_iter.
random_state : int, RandomState or None, default None
    The seed of starting points and orders of samples, and of the share that is set aside.
warm_start : bool, default False
    Whether fit goes on from the networks of the last call, with a fresh optimizer; a network that you put into `coefs_` is one of them.
verbose : bool, default False
    Whether progress is shown.
n_jobs : int, default None
    Threads; None or -1 for all processors, but one where joblib fits several models at once. It changes no result.
dtype : "float32" or "float64", default "float32"
    The number type of the training.

Attributes
----------
result_ : xarray.Dataset
    What gd.Sweep.run gave: of every start `epoch_loss`, how it ended, its parameters.
best_start_ : int
    The network that `coefs_`, `intercepts_`, `loss_curve_`, `loss_`, `best_loss_` and `n_iter_` are of: the best on the share that was set aside, or,
    where there is none, on the training samples.
coefs_, intercepts_ : list of arrays
    Its weights [input, unit] and biases [unit] of each layer.
loss_curve_ : list of float
    Its loss in each epoch: the mean over the batches, before their steps, with the penalty.
loss_, best_loss_ : float
    The last and the lowest of them.
n_iter_ : int
    How many epochs it took in the last call.
n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_
    As MLPClassifier has them.
"""


def documented(kind: Any) -> Any:
    """The class with the parameters and attributes that both have in its docstring, before the example."""
    text, example, rest = inspect.cleandoc(kind.__doc__).partition("\n>>> ")
    kind.__doc__ = f"{text.rstrip()}{DOCUMENTED}\nExamples\n--------\n>>> {rest}" if example else text + DOCUMENTED
    return kind


class Multistart(BaseEstimator):
    """A multilayer perceptron that is trained from `n_starts` starting points at once."""

    result_: Any
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    n_features_in_: int
    _population: Population
    _network: MLP

    @hinting_calls
    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        n_starts: int = 16,
        combine: str = "average",
        optimizer: Any = None,
        schedule: Any = None,
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float | None = None,
        max_iter: int = 200,
        momentum: float | None = None,
        tol: float = 1e-4,
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool = False,
        n_jobs: int | None = None,
        dtype: str = "float32",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.n_starts = n_starts
        self.combine = combine
        self.optimizer = optimizer
        self.schedule = schedule
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.momentum = momentum
        self.tol = tol
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.dtype = dtype

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name; with `deep` the optimizer's and schedule's fields too, as
        `optimizer__lr`.
        """
        found = super().get_params(deep=deep)
        if deep:
            for name in USUAL:
                value = declaration_of(name, found[name])
                found |= fields_within(name, value) if isinstance(value, Declaration) else {}
        return found

    def set_params(self, **params: Any) -> Self:
        """Sets parameters by name; `optimizer__lr` sets a field of the optimizer, whole declarations before
        fields of theirs.
        """
        within = {n: v for n, v in params.items() if n.partition("__")[0] in USUAL and "__" in n}
        own = self.get_params(deep=False)
        unknown = next((n for n in params if n.partition("__")[0] not in own), None)
        if unknown is not None:
            raise ValueError(f"{type(self).__name__} has no {unknown!r}; {nearest(unknown, list(own))}")
        super().set_params(**{n: v for n, v in params.items() if n not in within})
        for name, value in within.items():
            owner, _, path = name.partition("__")
            setattr(self, owner, with_field(declaration_of(owner, getattr(self, owner)), path, value))
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_population")

    # What a subclass says of its targets.

    def _targets(self, y: np.ndarray, *, reset: bool, classes: Any = None) -> np.ndarray:
        """y as networks take it, places of classes [sample] or [sample, output]; with `reset` it says what
        later ones must be like.
        """
        raise NotImplementedError

    def _check_targets(self, y: Any) -> None:
        """Raises ValueError or TypeError for targets as they were given, of which scikit-learn would say
        less.
        """

    def _loss(self) -> str:
        raise NotImplementedError

    def _class_count(self) -> int | None:
        """How many classes y are places of; None where they are none."""
        return None

    # Training.

    def _samples(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, classes: Any = None) -> Samples:
        """Checked samples of as many features as those before."""
        check_no_dates(X, "X")
        self._check_targets(y)
        X, y = validate_data(self, X, y, multi_output=True, dtype=(np.float64, np.float32), reset=reset)
        if isinstance(sample_weight, (int, float, np.number)):
            sample_weight = np.full(len(X), sample_weight)
        self._check_fits(X, "X", self.dtype, "scale it (StandardScaler)")
        found = weighted(X, y.toarray() if hasattr(y, "toarray") else y, sample_weight)
        found = found._replace(y=self._targets(found.y, reset=reset, classes=classes))
        if self._class_count() is None:
            self._check_fits(found.y, "y", self.dtype, "scale the targets (TransformedTargetRegressor)")
        return found

    def _check_fits(self, values: np.ndarray, name: str, dtype: str, remedy: str) -> None:
        """Raises ValueError for numbers too large for the number type of the networks."""
        check_fits(values, dtype, name, f"{remedy}, or set dtype='float64'", getattr(self, "feature_names_in_", None) if name == "X" else None)

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        settings, threads = settings_of(self), threads_of(self.n_jobs)
        before = self._population if self.warm_start and hasattr(self, "_population") else None
        if before is None:
            self.__dict__.pop("_population", None)  # what fails from here on leaves no networks of other classes behind
        samples, held = self._samples(X, y, sample_weight, reset=before is None), None
        self._seed = self._new_seed()
        if settings.batch_size is not None and settings.batch_size > len(samples.X):
            warnings.warn(
                f"batch_size={settings.batch_size} is larger than the {count_of(len(samples.X), 'sample')}, all of which a step then takes", stacklevel=3
            )
        samples = settings.merged(samples)
        if settings.sets_aside:
            samples, held = split(samples, settings.share, None if self._class_count() is None else samples.y, self._seed)
            samples = settings.merged(samples)  # a batch may hold all that are left
        problem = self._problem(settings, samples, held)
        init = None if before is None else self._points(problem, "warm_start", "set warm_start=False")
        result = sweep_of(settings, problem, samples.mean_weight, self._seed, init=init).run(threads=threads, progress=bool(self.verbose))
        self._keep(result, settings, Population.of(result, settings, before=before, rows=result.run.values), problem)
        warn_of_ends(result, settings)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        settings, threads = settings_of(self)._replace(epochs=1, patience=None, stops_early=False), threads_of(self.n_jobs)
        before = getattr(self, "_population", None)
        samples = self._samples(X, y, sample_weight, reset=before is None, classes=classes)
        problem = self._problem(settings, samples, None)
        progress = bool(self.verbose)
        if before is None:
            self._seed = self._new_seed()
            sweep = sweep_of(settings, problem, samples.mean_weight, self._seed)
            population = Population.of(result := sweep.run(threads=threads, progress=progress), settings)
        else:
            check_state(self.result_, settings)
            settings = settings._replace(starts=int(self.result_.start.max()) + 1)
            epoch = settings.steps_of(len(samples.X))
            behind = -(-before.steps // epoch)  # orders of samples are of whole epochs of this call's steps, and schedules of those that were made
            settings = settings._replace(schedule=later(settings.schedule, behind * epoch - before.steps))
            sweep = sweep_of(settings, problem, samples.mean_weight, self._seed, epochs_before=behind)
            standing = self._standing(self._points(problem, "partial_fit", "fit a clone"))
            result = continue_with(standing, sweep, began=behind * epoch, threads=threads, progress=progress)
            population = Population.of(result, settings, before=before, rows=np.searchsorted(before.runs, result.run.values))
            population = population._replace(steps=before.steps + epoch, best=int(np.argmin(population.ahead)))
        warn_of_ends(result, settings)
        self._keep(result, settings, population, problem)
        return self

    def _new_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _problem(self, settings: Settings, samples: Samples, held: Samples | None) -> MLP:
        return MLP(data_of(samples, held, self._class_count()), settings.hidden, settings.activation, self._loss())

    def _points(self, problem: MLP, asked: str, remedy: str) -> np.ndarray:
        """[network, parameter] where a further training begins: the networks as they are, the best as
        `coefs_` and `intercepts_` have it.
        """
        points = np.array(self._population.vectors, np.float64)
        if points.shape[1] != problem.parameter_count:
            raise ValueError(
                f"{asked} goes on with the networks that were fitted, of {points.shape[1]} parameters each, and one of {problem.parameter_count} is asked for; "
                f"{remedy}, or keep hidden_layer_sizes, classes and outputs"
            )
        points[self._population.best] = problem.pack([(W.T, b) for W, b in zip(self.coefs_, self.intercepts_, strict=True)])
        return points

    def _standing(self, points: np.ndarray) -> Any:
        """The last result with its runs at these points, where they are not at their ends: the best of an
        early end, or one that you have set.
        """
        rows = np.searchsorted(self.result_.run.values, self._population.runs)
        moved = (points != self.result_.parameters.values[rows]).any(1)
        weights = self.result_.state_weights.copy()
        weights.values[rows[moved]] = points[moved]
        return self.result_.assign(state_weights=weights)

    def _keep(self, result: Any, settings: Settings, population: Population, problem: MLP) -> None:
        """Puts what came of the training into the attributes."""
        self.result_, self._population = result, population
        self._network = MLP(blank(problem.data, self._class_count()), problem.hidden, problem.activation, problem.loss)
        self._chosen = [population.best] if settings.combine == "best" else list(range(len(population.runs)))
        layers = problem.unpack(population.vectors[population.best])
        self.coefs_, self.intercepts_ = [W.T.copy() for W, _ in layers], [b.copy() for _, b in layers]
        curve = population.curves[population.best]
        self.loss_curve_ = curve[np.isfinite(curve)].tolist()
        place = int(np.flatnonzero(result.run.values == population.runs[population.best])[0])
        self.n_iter_ = int(np.isfinite(result.epoch_loss.values[place]).sum())
        self.best_start_ = int(result.start.values[place])
        self.loss_, self.best_loss_ = self.loss_curve_[-1], min(self.loss_curve_)
        self.n_layers_, self.n_outputs_ = len(problem.widths), problem.widths[-1]

    # Prediction.

    def _outputs(self, X: Any) -> np.ndarray:
        """[sample, output]: the mean of the outputs of the networks that count."""
        check_is_fitted(self)
        check_no_dates(X, "X")
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        vectors = self._population.vectors[self._chosen]
        self._check_fits(X, "X", str(vectors.dtype), "scale it as that of fit")
        size = max(1, MOST_OUTPUTS // (len(vectors) * self.n_outputs_))
        return np.concatenate([predict(self._network, vectors, X[rows]).astype(np.float64).mean(0) for rows in gen_batches(len(X), size)])
