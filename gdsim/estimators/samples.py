"""The samples that an estimator is trained on: those that count, each once, and a share set aside."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.data import Data
from gdsim.data.arrays import DATES_REMEDY, weights_of
from gdsim.data.columns import frame_of


class Samples(NamedTuple):
    """Samples as networks take them: y are places of classes [sample], or [sample, output]."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None  # as it was given, where samples differ in it

    def at(self, rows: Any) -> "Samples":
        """Some of the samples."""
        return Samples(self.X[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    @property
    def mean_weight(self) -> float:
        """What a sample weighs."""
        return 1.0 if self.weight is None else float(self.weight.mean())


def check_no_dates(values: Any, name: str) -> None:
    """Refuses dates and durations, which scikit-learn's checks take for the number of their nanoseconds.

    Raises TypeError.
    """
    frame = frame_of(values)
    columns = [(None, values)] if frame is None else [(n, frame.iloc[:, i]) for i, n in enumerate(frame.columns)]
    dates = [n for n, column in columns if getattr(getattr(column, "dtype", None), "kind", None) in ("m", "M")]
    if dates:
        which = f"{name} is an array" if dates == [None] else f"column {', '.join(map(repr, dates))} of {name} is one"
        raise TypeError(f"{which} of dates or durations, and numbers are needed: {DATES_REMEDY}")


def weighted(X: np.ndarray, y: np.ndarray, weight: Any) -> Samples:
    """The samples that have a weight: without one it is the same as if they were not there."""
    if weight is None:
        return Samples(X, y)
    counts = weights_of(weight, len(X)) > 0  # which checks them
    return Samples(X[counts], y[counts], np.asarray(weight, np.float64)[counts])


def merged(samples: Samples) -> Samples:
    """Equal samples as one that has their weight, in an order of their own.

    Where steps take all samples at once, neither changes what is minimised; so a sample that weighs 2 is to
    the last bit the same as two, and samples are the same in any order.
    """
    rows, place = np.unique(np.column_stack([samples.X, samples.y.reshape(len(samples.y), -1)]), axis=0, return_inverse=True)
    y = rows[:, samples.X.shape[1] :].reshape(len(rows), *samples.y.shape[1:]).astype(samples.y.dtype)
    return Samples(rows[:, : samples.X.shape[1]], y, np.bincount(place.ravel(), samples.weight))


def split(samples: Samples, share: float, labels: np.ndarray | None, seed: int) -> tuple[Samples, Samples]:
    """(samples to train on, the share that is set aside), drawn at random: the same share of every label
    where there is enough of each.
    """
    from sklearn.model_selection import train_test_split

    count = len(samples.X)
    if labels is not None and np.unique(labels, return_counts=True)[1].min() * min(share, 1.0 - share) < 1.0:
        labels = None
    train, held = train_test_split(np.arange(count), test_size=share, random_state=seed, stratify=labels)
    return samples.at(np.sort(train)), samples.at(np.sort(held))


def data_of(samples: Samples, held: Samples | None, classes: int | None) -> Data:
    """The data that networks are trained on; `classes`, how many there are, where y are places of classes."""
    is_weighted = samples.weight is not None and bool((samples.weight != samples.weight[0]).any())
    return Data(
        samples.X, samples.y, validation=None if held is None else (held.X, held.y), sample_weight=samples.weight if is_weighted else None,
        class_names=None if classes is None else range(classes), name="samples",
    )  # fmt: skip
