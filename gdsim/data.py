"""Data sets: samples with targets, checked once, and the ones that the lecture uses, by name."""

import functools
import hashlib
import importlib.util
import math
import pathlib
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from gdsim.axes import nearest
from gdsim.filenames import user_path


class Data:
    """Samples and their targets, with an optional validation set.

    `X[sample, feature]` holds finite numbers; `y` holds integer labels [sample], numbers [sample] or numbers
    [sample, output]. `validation` is None, a pair (X, y), another Data, or the share of the samples to set aside, drawn
    with `seed`. `sample_weight[sample]`: how much each sample counts in every loss; the weights are scaled to a mean of 1,
    validation samples count alike. Raises ValueError for shapes that disagree, empty data, NaN and infinities.

    >>> Data([[0.0], [1.0]], [0, 1]).X.shape
    (2, 1)
    """

    X: np.ndarray
    y: np.ndarray
    validation: Self | None
    sample_weight: np.ndarray | None
    name: str

    def __init__(self, X: Any, y: Any, *, validation: Any = None, sample_weight: Any = None, seed: int = 0, name: str = "data") -> None:
        self.name = name
        self.X, self.y = _checked_samples(X, y, "")
        self.sample_weight = None if sample_weight is None else _checked_weights(sample_weight, len(self.X))
        self.validation = None
        if isinstance(validation, Data):
            validation = (validation.X, validation.y)
        if isinstance(validation, (int, float)) and not isinstance(validation, bool):
            self._set_aside(float(validation), seed)
        elif validation is not None:
            if not isinstance(validation, (tuple, list)) or len(validation) != 2:
                raise TypeError(f"validation must be a pair (X, y), a gd.Data or a share between 0 and 1; {validation!r} was given")
            self.validation = type(self)(*validation, name=f"{name}: validation")
            self._check_alike(self.validation)

    def _set_aside(self, share: float, seed: int) -> None:
        from gdsim.lanes.draws import uniform_numbers
        from gdsim.lanes.philox import SPLIT

        count = round(share * len(self.X))
        if not 0 < share < 1 or not 0 < count < len(self.X):
            raise ValueError(f"validation must be a share that leaves samples on both sides; {share!r} of {len(self.X)} samples was given")
        order = np.argsort(uniform_numbers(seed, np.zeros(1, np.uint32), (SPLIT, 0), len(self.X))[0], kind="stable")
        held, kept = np.sort(order[:count]), np.sort(order[count:])
        self.validation = type(self)(self.X[held], self.y[held], name=f"{self.name}: validation")
        self.X, self.y = self.X[kept], self.y[kept]
        if self.sample_weight is not None:
            self.sample_weight = _checked_weights(self.sample_weight[kept], len(kept))

    def _check_alike(self, other: "Data") -> None:
        if other.X.shape[1] != self.X.shape[1] or other.y.shape[1:] != self.y.shape[1:] or other.y.dtype.kind != self.y.dtype.kind:
            raise ValueError(
                f"the validation set must look like the training set, with X[sample, {self.X.shape[1]}] and y of the same kind; "
                f"X of shape {other.X.shape} and y of shape {other.y.shape}, {other.y.dtype} were given"
            )

    def __repr__(self) -> str:
        held = f", validation {len(self.validation.X)}" if self.validation is not None else ""
        return f"Data({self.name!r}, {len(self.X)} samples x {self.X.shape[1]} features{held})"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the numbers, by which plans and stores know the data."""
        parts = [self] + ([self.validation] if self.validation is not None else [])
        text = hashlib.sha256()
        for part in parts:
            for array in (part.X, part.y, *([] if part.sample_weight is None else [part.sample_weight])):
                text.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return text.hexdigest()


def _checked_weights(values: Any, count: int) -> np.ndarray:
    try:
        weights = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"sample_weight must be an array of numbers; {_kind(values)} was given") from None
    if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError(f"sample_weight must be {count} numbers from 0, not all 0; shape {weights.shape} was given")
    weights = weights * (count / math.fsum(weights))
    weights.setflags(write=False)
    return weights


class Array:
    """An array that a declaration holds, known by the hash of its numbers."""

    def __init__(self, values: Any) -> None:
        self.values = np.ascontiguousarray(values, np.float64)
        self.values.setflags(write=False)

    @classmethod
    def of(cls, values: Any, name: str, dims: int | None) -> Self:
        """A finite array of `dims` dimensions, or an error."""
        if isinstance(values, cls):
            return values
        try:
            made = cls(values)
        except (TypeError, ValueError):
            raise TypeError(f"{name} must be an array of numbers; {type(values).__name__} was given") from None
        if made.values.size == 0 or made.values.ndim != dims or not np.isfinite(made.values).all():
            raise ValueError(f"{name} must be a finite array of {dims} dimensions; shape {made.values.shape} was given")
        return made

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the numbers."""
        return hashlib.sha256(f"{self.values.shape}".encode() + self.values.tobytes()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and self.digest == other.digest

    def __repr__(self) -> str:
        return f"Array({'x'.join(map(str, self.values.shape))})"


def _checked_samples(X: Any, y: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        X, y = np.asarray(X), np.asarray(y)
        if X.dtype.kind not in "biuf" or y.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"X and y must be arrays of numbers; {_kind(X)} and {_kind(y)} were given") from None
    if X.ndim != 2 or y.ndim not in (1, 2):
        raise ValueError(f"X must be [sample, feature] and y [sample] or [sample, output]; shapes {X.shape} and {y.shape} were given")
    if len(X) != len(y):
        raise ValueError(f"X and y must have as many rows; X has {len(X)}, y has {len(y)}")
    if X.size == 0 or y.size == 0:
        raise ValueError(f"data needs at least one sample, one feature and one target; shapes {X.shape} and {y.shape} were given")
    X = np.ascontiguousarray(X, np.float64)
    y = np.ascontiguousarray(y, np.int64 if y.dtype.kind in "biu" else np.float64)
    for name, array in (("X", X), ("y", y)):
        bad = ~np.isfinite(array)
        if bad.any():
            place = ", ".join(str(i) for i in np.argwhere(bad)[0])
            raise ValueError(f"{name} must be finite; {name}[{place}] is {array[tuple(np.argwhere(bad)[0])]} ({int(bad.sum())} such numbers in all)")
    X.setflags(write=False)
    y.setflags(write=False)
    return X, y


def _kind(value: Any) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


def _standardised(X: np.ndarray) -> np.ndarray:
    """Each column less its mean, over its standard deviation; by exact sums, whose bits do not depend on the processor."""
    columns = []
    for column in X.T:
        mean = math.fsum(column) / len(column)
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in column) / len(column))
        columns.append((column - mean) / (deviation or 1.0))
    return np.stack(columns, 1)


def _digits() -> tuple[Any, Any]:
    """The file that scikit-learn ships, read without importing it, which takes a second; through it if the file has moved."""
    package = importlib.util.find_spec("sklearn")
    file = pathlib.Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz" if package and package.origin else None
    if file is not None and file.is_file():
        table = np.loadtxt(file, delimiter=",")
        return table[:, :-1] / 16.0, table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16.0, y


def _tabular(loader: str) -> Callable[[], tuple[Any, Any]]:
    def load() -> tuple[Any, Any]:
        import sklearn.datasets

        X, y = getattr(sklearn.datasets, loader)(return_X_y=True)
        return _standardised(X), y

    return load


def _moons() -> tuple[Any, Any]:
    from sklearn.datasets import make_moons

    return make_moons(256, noise=0.2, random_state=0)


def _xor() -> tuple[Any, Any]:
    return [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]


def _spirals() -> tuple[Any, Any]:
    """Two interlocking spirals of 97 points, three turns each (Lang and Witbrock 1988), scaled to the unit disc."""
    from gdsim.lanes import cos, sin

    radius, angle = [(104 - i) / 104 for i in range(97)], [i * math.pi / 16 for i in range(97)]
    one = np.array([[r * sin(a), r * cos(a)] for r, a in zip(radius, angle, strict=True)])
    return np.concatenate([one, -one]), np.repeat([0, 1], 97)


DATASETS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "digits": _digits,
    "breast_cancer": _tabular("load_breast_cancer"),
    "wine": _tabular("load_wine"),
    "diabetes": _tabular("load_diabetes"),
    "moons": _moons,
    "xor": _xor,
    "spirals": _spirals,
}


def load(name: str, *, validation: float | None = None, seed: int = 0) -> Data:
    """A data set by name, with a share of it set aside for validation if asked for.

    digits: 1797 x 64, scaled to [0, 1], 10 classes. breast_cancer (2 classes), wine (3 classes) and diabetes (numbers):
    features standardised. moons: scikit-learn's 256 points with noise 0.2. spirals: two of 97 points. xor: the four
    points with labels 0 and 1.

    >>> load("xor").y.tolist()
    [0, 1, 1, 0]
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; {nearest(str(name), list(DATASETS))}")
    return Data(*DATASETS[name](), validation=validation, seed=seed, name=name)


def read(path: pathlib.Path, *, target: str = "y", validation: Any = None, seed: int = 0) -> Data:
    """Data from a file: `.npz` with arrays X and y (and X_validation, y_validation), `.csv` or `.parquet` with a target column."""
    path = user_path(path)
    if not path.is_file():
        raise ValueError(f"there is no data file {str(path)!r}")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                missing = [k for k in ("X", "y") if k not in file]
                if missing:
                    raise ValueError(f"it has no array {missing[0]!r}; it has {', '.join(sorted(file)) or 'none'}")
                held = (file["X_validation"], file["y_validation"]) if "X_validation" in file else validation
                weights = file.get("sample_weight", None)
                return Data(file["X"], file["y"], validation=held, sample_weight=weights, seed=seed, name=path.name)
        if path.suffix in (".csv", ".parquet"):
            import pandas

            table = pandas.read_csv(path) if path.suffix == ".csv" else pandas.read_parquet(path)
            if target not in table:
                raise ValueError(f"it has no column {target!r}; {nearest(target, [str(c) for c in table.columns])}")
            return Data(table.drop(columns=target).to_numpy(), table[target].to_numpy(), validation=validation, seed=seed, name=path.name)
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"data file {str(path)!r}: {error}") from None
    raise ValueError(f"data file {str(path)!r}: unknown kind {path.suffix!r}; allowed: .npz, .csv, .parquet")
