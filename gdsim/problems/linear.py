"""Linear models on a data set: regression, and the classification of two or more classes."""

# pyright: reportIncompatibleVariableOverride=false

import msgspec

from gdsim.axes import Axis, Grid, checked_truth
from gdsim.data import Data
from gdsim.data.classes import not_labels
from gdsim.problems.base import Problem
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.problems.moments import LEAST_SHARE, Moments, moments_of
from gdsim.problems.network import Network

# The second derivatives of the losses that moments know everything about.
CURVATURES = {"squared_error": 1.0, "mean_squared_error": 2.0}


class LinearModel(Network, frozen=True):
    """One layer on `data`; the parameter vector is W (outputs x features, row by row), then the
    intercepts, if there are any.
    """

    data: Data
    loss: str | Grid | None = None
    l2: Axis = 0.0
    l1: Axis = 0.0
    intercept: bool = True

    def _check_model(self, default: str, classifies: bool, instead: str) -> None:
        msgspec.structs.force_setattr(self, "intercept", checked_truth(self.intercept, f"{type(self).__name__}.intercept"))
        self._check(default=default)
        for loss in self.losses:
            if (SAMPLE_LOSSES[loss].targets != "numbers") != classifies:
                raise ValueError(f"{type(self).__name__}.loss={loss!r} is a loss of {'numbers' if classifies else 'labels'}; take {instead}")


class LinearRegression(LinearModel, tag="linear_regression", frozen=True):
    """Linear regression on `data`, of one target or several: mean squared error, or "squared_error" (half of
    it), "absolute_error", "huber".

    Starts at zeros. The parameter vector is W (outputs x features, row by row), then the intercepts, if there
    are any. With a squared error, steps on the whole data (`batch=None`) take its second moments, which are
    made once, and cost the same for any number of samples; not where an input is nearly a sum of others, for
    rounded moments would not tell them apart.

    >>> import gdsim as gd
    >>> LinearRegression(gd.datasets.load("diabetes")).parameter_count
    11
    """

    def __post_init__(self) -> None:
        self._check_data()
        self._check_model("mean_squared_error", False, "gd.LogisticRegression")

    def on_batches(self, batch: int | None, dtype: str) -> Problem:
        """Steps on the whole data need its second moments alone, if there are enough samples and no input
        is nearly a sum of others.
        """
        curvature = CURVATURES.get(self.losses[0])
        if batch is not None or curvature is None:
            return self
        found = moments_of(self.data, curvature, self.intercept)
        if found is None or found.share < LEAST_SHARE[dtype]:
            return self
        return Moments(found.data, tuple(self.layers), self.intercept, self.l1, self.l2)


class LogisticRegression(LinearModel, tag="logistic_regression", frozen=True):
    """Logistic regression on `data` with labels: of two classes one output ("log_loss"), of more classes the
    softmax of one each.

    Starts at zeros. `loss="cross_entropy"` takes the softmax of two outputs for two classes too (multinomial).

    >>> import gdsim as gd
    >>> LogisticRegression(gd.datasets.load("wine")).parameter_count
    42
    """

    def __post_init__(self) -> None:
        self._check_data()
        if not self.has_labels:
            raise ValueError(f"LogisticRegression needs integer labels in a vector; {not_labels(self.data.y)}")
        self._check_model("log_loss" if len(self.data.class_names or ()) == 2 else "cross_entropy", True, "'log_loss', 'cross_entropy' or gd.LinearRegression")
