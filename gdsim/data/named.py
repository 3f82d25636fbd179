"""The data sets that are known by name."""

import importlib.util
import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from gdsim.data.declare import Data
from gdsim.data.standard import standard_of
from gdsim.words import nearest


def _digits() -> tuple[Any, Any]:
    """The file that scikit-learn ships, read without importing it, which takes a second; through it if the
    file has moved.
    """
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
        return standard_of(X).applied(X), y

    return load


def _moons() -> tuple[Any, Any]:
    from sklearn.datasets import make_moons

    return make_moons(256, noise=0.2, random_state=0)


def _spirals() -> tuple[Any, Any]:
    """Two interlocking spirals of 97 points, three turns each (Lang and Witbrock 1988), scaled to the unit
    disc.
    """
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
    "xor": lambda: ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]),
    "spirals": _spirals,
}


def load(name: str, *, validation: float | None = None, test: float | None = None, stratify: bool = False, seed: int = 0) -> Data:
    """A data set by name, with shares of it set aside for validation and for a test if asked for, of each
    class alike with `stratify`.

    digits: 1797 x 64, scaled to [0, 1], 10 classes. breast_cancer (2 classes), wine (3 classes) and diabetes
    (numbers): features standardised. moons: scikit-learn's 256 points with noise 0.2. spirals: two of 97
    points. xor: the four points with labels 0 and 1. Raises ValueError for a name that is not known.

    >>> load("xor").y.tolist()
    [0, 1, 1, 0]
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; {nearest(str(name), list(DATASETS))}")
    return Data(*DATASETS[name](), validation=validation, test=test, stratify=stratify, seed=seed, name=name)
