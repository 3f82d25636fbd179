"""`gd.Data`: samples with their targets, checked once and kept as a snapshot."""

import functools
import hashlib
import html
import json
import pathlib
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, NoReturn, Self

import numpy as np

from gdsim.axes import checked_truth, checked_whole
from gdsim.data.arrays import check_fits, features_of, kept, targets_of, weights_of
from gdsim.data.classes import are_doubtful, checked_names, classes_of, codes_of, counted, is_labels, listed, not_labels
from gdsim.data.columns import same_rows
from gdsim.data.doubts import warn_of_absent_classes, warn_of_alike_classes, warn_of_constants, warn_of_counts, warn_of_rare_classes
from gdsim.data.files import contents_of, said_of
from gdsim.data.items import is_dataset, samples_in
from gdsim.data.splits import is_share, split
from gdsim.data.standard import Standard, standard_of
from gdsim.declarations import hinting_calls
from gdsim.filenames import user_path
from gdsim.words import count_of, given

SETS = ("train", "validation", "test")


class Samples(NamedTuple):
    """Samples as they were given: copies, labels not yet in classes."""

    X: np.ndarray
    y: np.ndarray
    names: tuple[str, ...] | None = None

    def rows(self, rows: np.ndarray) -> "Samples":
        """Some of the samples."""
        return self._replace(X=self.X[rows], y=self.y[rows])


class Data:
    """Samples and their targets, with an optional validation set and an optional test set: a snapshot of what
    was given.

    Labels are classes under a loss of labels, and plain numbers under a regression loss. The classes are the
    labels that occur, in any of the sets, in ascending order (`class_names`), or those that were given.

    Attributes: `X`, `y`, `validation`, `test` (of type Data), `sample_weight`, `class_names`,
    `feature_names`, `center`, `scale`, `name`; what there is not is None. Raises ValueError or TypeError for
    shapes that disagree, empty data, and values that are missing, masked, infinite or no numbers. Warns of
    named columns that are constant or count the rows, and of classes that a set lacks.

    >>> Data([[0.0], [1.0]], [0, 1]).X.shape
    (2, 1)
    >>> Data([[0.0], [1.0], [2.0]], ["no", "yes", "no"]).class_names
    ('no', 'yes')

    Parameters
    ----------
    X : numbers [sample, feature]
        Finite: an array, a list, a pandas DataFrame, an Arrow table, a PyTorch tensor. All is copied. A
        map-style PyTorch Dataset of pairs (x, y) takes the place of X and y: each item is read once, and its
        x is flattened.
    y : labels [sample], numbers [sample] or numbers [sample, output]; None with a Dataset
        Labels are whole numbers, booleans or texts; whole numbers in one column [sample, 1] are labels too:
        `loss=` says where they are numbers.
    validation : default None, a pair (X, y), another Data, a PyTorch Dataset, or a share in (0, 1)
        The validation set; a share of all samples is set aside at random.
    test : default None, as validation
        The test set, for `gd.evaluate(on="test")` alone: nothing is stopped or ranked by it.
    stratify : default False
        Whether shares hold as large a part of every class, to within one sample.
    sample_weight : default None, numbers from 0 [sample]
        How much each sample counts in every training loss; scaled to a mean of 1. Accuracies count every
        sample alike, those of weight 0 too; so do the losses of the validation and the test set.
    class_names : default None, a list of different texts or whole numbers
        The classes in their order; labels that are whole numbers are places among names that are texts.
    standardize : default False
        Each feature less its mean, over its standard deviation (of the population), both of the training
        samples alone; kept as `center` and `scale`, and applied by `gd.predict`, which takes features as they
        were given here.
    seed : default 0, a whole number below 2^64
        What draws the shares.
    name : default 'data'
        What errors and figures call it.
    """

    X: np.ndarray
    y: np.ndarray
    validation: Self | None
    test: Self | None
    sample_weight: np.ndarray | None
    feature_names: tuple[str, ...] | None
    center: np.ndarray | None
    scale: np.ndarray | None
    name: str
    _classes: tuple[Any, ...] | None  # where y are places among classes that were named
    _labels: tuple[np.ndarray, ...] | None  # of a set beside the training set, y of all the sets, that of the training set first

    _nothing: ClassVar[dict[str, Any]] = dict.fromkeys(("validation", "test", "sample_weight", "feature_names", "center", "scale", "_classes", "_labels"))

    @hinting_calls
    def __init__(
        self,
        X: Any,
        y: Any = None,
        *,
        validation: Any = None,
        test: Any = None,
        stratify: bool = False,
        sample_weight: Any = None,
        class_names: Any = None,
        standardize: bool = False,
        seed: int = 0,
        name: str = "data",
    ) -> None:
        X, y = _as_given(X, y)
        whole = checked_samples(X, y)
        same_rows(X=X, y=y, sample_weight=sample_weight)
        if whole.names is not None:
            warn_of_counts(whole.X, whole.names)
        if whole.y.dtype.kind == "U" and class_names is None:
            warn_of_rare_classes(whole.y)
        weights = None if sample_weight is None else weights_of(sample_weight, len(whole.X))
        sets, train = _sets(whole, {"validation": validation, "test": test}, seed, checked_truth(stratify, "stratify"))
        if weights is not None and train is not None:
            weights = weights_of(weights[train], len(train))
        standard = _standard(sets, standardize)
        classes = _named_classes(sets, class_names)
        if classes is not None and class_names is None:
            warn_of_alike_classes(classes)
        for n, samples in sets.items():
            sets[n] = samples._replace(
                X=samples.X if standard is None else standard.applied(samples.X),
                y=samples.y if classes is None else codes_of(samples.y, classes, "y" if n == "train" else f"y of the {n} set"),
            )
        warn_of_absent_classes({n: s.y for n, s in sets.items()}, classes)
        center, scale = standard or (None, None)
        self._put(sets, name, sample_weight=weights, feature_names=whole.names, center=center, scale=scale, _classes=classes)

    def _put(self, sets: dict[str, Samples], name: str, **shared: Any) -> None:
        """Makes this the data of checked sets; `shared` is what they have in common, and the training set's
        weights.
        """
        of_all = {**shared, "sample_weight": None, "_labels": tuple(s.y for s in sets.values())}
        held = {n: self.of({"train": sets[n]}, f"{name}: {n}", **of_all) for n in SETS[1:] if n in sets}
        samples = sets["train"]
        self.__setstate__({**self._nothing, **shared, **held, "X": samples.X, "y": samples.y, "name": name})

    @classmethod
    def of(cls, sets: dict[str, Samples], name: str, **shared: Any) -> Self:
        """The data of checked sets, which are kept as they are."""
        made = object.__new__(cls)
        made._put(sets, name, **shared)
        return made

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a gd.Data is a snapshot: {name} cannot be set; make another")

    def __setstate__(self, state: dict[str, Any]) -> None:
        for value in state.values():
            if isinstance(value, np.ndarray):
                kept(value)
        self.__dict__.update(state)

    @classmethod
    @hinting_calls
    def read(
        cls,
        path: str | pathlib.Path,
        *,
        target: str | Sequence[str] = "y",
        drop: str | Sequence[str] = (),
        features: str | Sequence[str] | None = None,
        standardize: bool = False,
        validation: Any = None,
        test: Any = None,
        stratify: bool = False,
        seed: int = 0,
        class_names: Sequence[Any] | None = None,
    ) -> Self:
        """Data from a file: `.csv` or `.parquet` with a column of targets, or `.npz` with arrays.

        `target`: the column of labels or numbers, or several of numbers. `features`: the columns to learn
        from, in this order; if not given, all others but those to `drop`. They hold numbers, or true and
        false, which are 1 and 0. The rest is as for `gd.Data`. A `.npz` holds `X` and `y`, and may hold
        `X_validation` and `y_validation`, `X_test` and `y_test`, `sample_weight` and `class_names`. `~` is
        the home folder.

        Raises ValueError, which names the file, the column and the row, for what cannot be read, is missing,
        or is no number. Warns of columns that are constant or that count the rows, and of classes that a set
        lacks.

        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "flowers.csv"
        >>> _ = path.write_text("id,petal,sepal,kind\\n7,1.4,5.1,setosa\\n9,4.7,7.0,versicolor\\n4,1.3,4.9,setosa\\n")
        >>> data = Data.read(path, target="kind", drop=["id"], standardize=True)
        >>> data.feature_names, data.class_names
        (('petal', 'sepal'), ('setosa', 'versicolor'))
        """
        path = user_path(path)
        with said_of(path):
            if not path.is_file():
                raise FileNotFoundError
            held = contents_of(path, target, drop, features)
            for name, value in (("validation", validation), ("test", test)):
                if value is not None and name in held:
                    raise ValueError(f"it holds a {name} set, X_{name} and y_{name}; leave {name}={value!r} out")
                held.setdefault(name, value)
            if class_names is not None:
                if "class_names" in held:
                    raise ValueError(f"it holds class_names; leave class_names={class_names!r} out")
                held["class_names"] = class_names
            return cls(**held, standardize=standardize, stratify=stratify, seed=seed, name=path.name)

    @property
    def sets(self) -> "dict[str, Data]":
        """The sets that there are, by name: "train", which this is, "validation" and "test"."""
        return {"train": self, **{n: part for n in SETS[1:] if (part := getattr(self, n)) is not None}}

    @functools.cached_property
    def class_names(self) -> tuple[Any, ...] | None:
        """The labels of all sets in the order of a network's outputs; None where targets are no labels."""
        if self._classes is not None:
            return self._classes
        return classes_of(self._labels or [part.y for part in self.sets.values()]) if is_labels(self.y) else None

    @property
    def names_classes(self) -> bool:
        """Whether y are places among classes that have names of their own, and so no numbers."""
        return self._classes is not None and not counted(self._classes)

    @property
    def kept_classes(self) -> tuple[Any, ...] | None:
        """The classes that files and the hash must say, as labels counted from 0 do not; else None."""
        return None if self._classes is None or self._classes == counted_classes(self) else self._classes

    @property
    def is_doubtful(self) -> bool:
        """Whether y are whole numbers that may be labels or numbers, and nobody has said which."""
        labels = self.y if self._labels is None else self._labels[0]
        return self._classes is None and self.class_names is not None and are_doubtful(labels, self.class_names)

    @functools.cached_property
    def _reach(self) -> float:
        """The largest magnitude of a number in any set, kept: one look serves all sweeps."""
        arrays = [values for part in self.sets.values() for values in (part.X, part.y) if values.dtype.kind == "f"]
        return max(max(float(values.max()), -float(values.min())) for values in arrays)

    def check_fits(self, dtype: str) -> None:
        """Raises ValueError for features, or targets that are numbers, too large for `dtype`."""
        if self._reach <= float(np.finfo(dtype).max):
            return
        for n, part in self.sets.items():
            of = "" if n == "train" else f"_{n}"
            scaled = "scale it" if self.center is not None else "scale it (standardize=True of gd.Data)"
            check_fits(part.X, dtype, f"X{of}", f"{scaled}, or train with dtype='float64'", self.feature_names)
            if part.y.dtype.kind == "f":
                check_fits(part.y, dtype, f"y{of}", "scale the targets, or train with dtype='float64'")

    @functools.cached_property
    def in_classes(self) -> "Data":
        """The data whose y are places among `class_names`: itself where labels count from 0."""
        classes = self.class_names
        if classes is None:
            raise ValueError(f"y is {self.y.dtype} of shape {self.y.shape}, and no labels")
        if self._classes is not None or (counted(classes) and classes == counted_classes(self) and self.y.ndim == 1):
            return self
        sets = {n: Samples(part.X, codes_of(part.y, classes, "y")) for n, part in self.sets.items()}
        shared = {n: getattr(self, n) for n in ("sample_weight", "feature_names", "center", "scale")}
        return self.of(sets, self.name, **shared, _classes=classes)

    def __repr__(self) -> str:
        parts = [f"{count_of(len(self.X), 'sample')} x {count_of(self.X.shape[1], 'feature')}"]
        if self.names_classes or (self.class_names is not None and len(self.class_names) <= 20):
            parts.append(f"{count_of(len(self.class_names or ()), 'class', 'classes')} ({listed(self.class_names or ())})")
        parts += [f"{n} {len(part.X)}" for n, part in self.sets.items() if n != "train"]
        parts += [word for word, there in (("standardized", self.center is not None), ("weighted", self.sample_weight is not None)) if there]
        return f"Data({self.name!r}, {', '.join(parts)})"

    def _repr_html_(self) -> str:
        """The same as a line of HTML, and a row for each set."""
        rows = "".join(f"<tr><th>{n}</th><td>{count_of(len(part.X), 'sample')}</td></tr>" for n, part in self.sets.items())
        return f"<code>{html.escape(repr(self))}</code><table>{rows}</table>"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the numbers, by which plans and stores know the data.

        What came later than them enters only where it is there.
        """
        text = hashlib.sha256()
        for n, part in self.sets.items():
            text.update(b"test" if n == "test" else b"")
            for array in (part.X, part.y, *([] if part.sample_weight is None else [part.sample_weight])):
                text.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        if self.kept_classes is not None:
            text.update(json.dumps(["class_names", *self.kept_classes]).encode())
        if self.center is not None and self.scale is not None:
            text.update(b"standard" + self.center.tobytes() + self.scale.tobytes())
        return text.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Data) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def counted_classes(data: Data) -> tuple[int, ...] | None:
    """The classes 0, 1, ... up to the highest label, at least two; None where y are no counted labels."""
    parts = data.sets.values()
    if not is_labels(data.y) or any(part.y.min() < 0 for part in parts):
        return None
    return tuple(range(max(2, *(int(part.y.max()) + 1 for part in parts))))


def _as_given(X: Any, y: Any) -> tuple[Any, Any]:
    """X and y, or those of a PyTorch Dataset in the place of X."""
    if is_dataset(X):
        if y is not None:
            raise TypeError("a Dataset holds its targets; leave y out")
        return samples_in(X)
    if y is None:
        raise TypeError("Data.y is missing; give the targets of X: gd.Data(X, y)")
    return X, y


def checked_samples(X: Any, y: Any) -> Samples:
    """Copies of X and y that fit each other, or an error."""
    same_rows(X=X, y=y)
    features, names = features_of(X)
    targets = targets_of(y)
    if features.ndim != 2 or targets.ndim not in (1, 2):
        raise ValueError(f"X must be [sample, feature] and y [sample] or [sample, output]; shapes {features.shape} and {targets.shape} were given")
    if len(features) != len(targets):
        raise ValueError(f"X and y must have as many rows; X has {len(features)}, y has {len(targets)}")
    if features.size == 0 or targets.size == 0:
        raise ValueError(f"data needs at least one sample, one feature and one target; shapes {features.shape} and {targets.shape} were given")
    return Samples(features, targets, names)


def _sets(whole: Samples, parts: dict[str, Any], seed: Any, stratify: bool) -> tuple[dict[str, Samples], np.ndarray | None]:
    """(the sets by name, the samples that are left to train on where some were drawn)."""
    shares = {n: float(v) for n, v in parts.items() if is_share(v)}
    if stratify and not shares:
        raise ValueError("stratify=True goes with a share, as validation=0.2; give one, or leave stratify out")
    if stratify and not is_labels(whole.y):
        raise ValueError(f"stratify=True goes with labels, and {not_labels(whole.y)}; else leave stratify out")
    drawn = split(len(whole.X), shares, checked_whole(seed, "Data.seed", 0, 2**64), whole.y if stratify else None) if shares else None
    sets = {"train": whole} if drawn is None else {"train": whole.rows(drawn.train), **{n: whole.rows(rows) for n, rows in drawn.held.items()}}
    sets |= {n: _held_out(v, n, whole) for n, v in parts.items() if v is not None and n not in sets}
    return sets, None if drawn is None else drawn.train


def _held_out(value: Any, name: str, like: Samples) -> Samples:
    """A set that was given beside the training set, with labels as they were given."""
    if isinstance(value, Data):
        if value.center is not None:
            raise ValueError(f"the {name} set is standardized by samples of its own; give it as it was, and standardize=True for all")
        found = Samples(value.X, value.y if value._classes is None else np.array(value._classes)[value.y], value.feature_names)
    elif (are_pairs := is_dataset(value)) or (isinstance(value, (tuple, list)) and len(value) == 2):
        try:
            found = checked_samples(*(samples_in(value) if are_pairs else value))
        except (TypeError, ValueError) as error:
            raise type(error)(f"the {name} set: {error}") from None
    else:
        raise TypeError(f"{name} must be a pair (X, y), a gd.Data, a PyTorch Dataset or a share between 0 and 1; {given(value)} was given")
    X, y = found.X, found.y
    if X.shape[1] != like.X.shape[1] or y.shape[1:] != like.y.shape[1:] or y.dtype.kind != like.y.dtype.kind:
        raise ValueError(
            f"the {name} set must look like the training set, with X[sample, {like.X.shape[1]}] and y of the same kind; "
            f"X of shape {X.shape} and y of shape {y.shape}, {y.dtype} were given"
        )
    if found.names is not None and like.names is not None and found.names != like.names:
        raise ValueError(f"the {name} set must have the columns {', '.join(like.names)} in this order; {', '.join(found.names)} were given")
    return found


def _named_classes(sets: dict[str, Samples], class_names: Any) -> tuple[Any, ...] | None:
    """The classes, where they have names: given ones, or labels that are texts."""
    y = sets["train"].y
    if class_names is None:
        return classes_of([s.y for s in sets.values()]) if y.dtype.kind == "U" else None
    if not is_labels(y):
        raise ValueError(f"class_names go with labels, whole numbers or texts in a vector; {not_labels(y)}")
    return checked_names(class_names)


def _standard(sets: dict[str, Samples], standardize: Any) -> Standard | None:
    """The standardisation by the training samples, if it is asked for; warns of what is constant."""
    standardize, train = checked_truth(standardize, "standardize"), sets["train"]
    if standardize or train.names is not None:
        warn_of_constants(train.X, train.names)
    return standard_of(train.X) if standardize else None
