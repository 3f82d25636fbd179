"""Linear models on a data set: regression, and the classification of two or more classes."""

from typing import Any

from gdsim.axes import Axis
from gdsim.problems.network import Network


class LinearRegression(Network, tag="linear_regression", frozen=True):
    """Linear regression on `data`, of one target or several: mean squared error, or "squared_error" (half of it), "absolute_error", "huber".

    Starts at zeros. The parameter vector is W (outputs x features, row by row), then the intercepts, if there are any.

    >>> import gdsim as gd
    >>> LinearRegression(gd.datasets.load("diabetes")).parameter_count
    11
    """

    data: Any
    loss: Any = None
    l2: Axis = 0.0
    l1: Axis = 0.0
    intercept: bool = True

    def __post_init__(self) -> None:
        self._check_data()
        _check_intercept(self)
        self._check(default="mean_squared_error")
        if self.is_classifier:
            raise ValueError(f"LinearRegression.loss={self.loss!r} is a loss of labels; take gd.LogisticRegression")


class LogisticRegression(Network, tag="logistic_regression", frozen=True):
    """Logistic regression on `data` with integer labels: of labels 0 and 1 one output ("log_loss"), of more classes the softmax of one each.

    Starts at zeros. `loss="cross_entropy"` takes the softmax of two outputs for two classes too (multinomial).

    >>> import gdsim as gd
    >>> LogisticRegression(gd.datasets.load("wine")).parameter_count
    42
    """

    data: Any
    loss: Any = None
    l2: Axis = 0.0
    l1: Axis = 0.0
    intercept: bool = True

    def __post_init__(self) -> None:
        self._check_data()
        _check_intercept(self)
        if not self.has_labels:
            raise ValueError(f"LogisticRegression needs integer labels in a vector; y is {self.data.y.dtype} of shape {self.data.y.shape}")
        self._check(default="log_loss" if self.data.y.max() <= 1 else "cross_entropy")
        if not self.is_classifier:
            raise ValueError(f"LogisticRegression.loss={self.loss!r} is a loss of numbers; take 'log_loss', 'cross_entropy' or gd.LinearRegression")


def _check_intercept(problem: Any) -> None:
    if not isinstance(problem.intercept, bool):
        raise TypeError(f"{type(problem).__name__}.intercept must be true or false; {problem.intercept!r} was given")
