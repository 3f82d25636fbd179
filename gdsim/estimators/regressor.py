"""`gd.MultistartRegressor`."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import Tags, column_or_1d

from gdsim.estimators.base import Multistart, documented
from gdsim.estimators.samples import check_no_dates


@documented
class MultistartRegressor(RegressorMixin, Multistart):
    """A multilayer perceptron for regression, trained from `n_starts` starting points at once.

    What scikit-learn's MLPRegressor is for one network: identity outputs, the loss half the squared error, of
    several outputs their sum. `combine` says which networks predict. Parameters are checked by `fit`, which
    raises ValueError or TypeError for what cannot be.

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> model = MultistartRegressor((8,), "tanh", n_starts=4, learning_rate_init=0.02, n_iter_no_change=float("inf"), random_state=0)
    >>> bool(model.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.9)
    True
    """

    out_activation_ = "identity"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains all starts on X[sample, feature] and y[sample] or y[sample, output].

        Raises ValueError for what cannot be, and where all starts diverge.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Takes all starts through one more epoch, on these samples.

        No samples are set aside: what ranks the networks is how well they do, of late, on samples that they
        have not learned from yet. A schedule goes on by the steps that were taken, of calls of any size. The
        networks go on from where they are, also from weights that you have put into `coefs_`, and from the
        best ones where the last fit stopped early.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """[sample], or [sample, output] where there are several outputs."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _targets(self, y: np.ndarray, *, reset: bool, classes: Any = None) -> np.ndarray:
        found = (column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y).astype(np.float64)
        if not reset and found.shape[1:] != ((self.n_outputs_,) if self.n_outputs_ > 1 else ()):
            raise ValueError(f"y must have the outputs of the first call, {self.n_outputs_}; shape {y.shape} was given")
        return found

    def _check_targets(self, y: Any) -> None:
        check_no_dates(y, "y")

    def _loss(self) -> str:
        return "squared_error"
