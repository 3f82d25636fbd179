"""`gd.MultistartClassifier`."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from gdsim.data.arrays import check_labels
from gdsim.data.classes import listed
from gdsim.data.columns import refuse_missing, series_of
from gdsim.estimators.base import Multistart, documented
from gdsim.words import given


@documented
class MultistartClassifier(ClassifierMixin, Multistart):
    """A multilayer perceptron for classification, trained from `n_starts` starting points at once.

    What scikit-learn's MLPClassifier is for one network: two classes have one logistic output, more the
    softmax of one each, several labels at once (y[sample, label] of 0 and 1) a logistic output each.
    `combine` says which networks predict. Parameters are checked by `fit`, which raises ValueError or
    TypeError for what cannot be.

    >>> from sklearn.datasets import make_moons
    >>> X, y = make_moons(100, noise=0.1, random_state=0)
    >>> model = MultistartClassifier((16,), n_starts=3, learning_rate_init=0.05, n_iter_no_change=float("inf"), random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9), model.predict_proba(X[:5]).shape
    (True, (5, 2))
    """

    classes_: np.ndarray

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains all starts on X[sample, feature] and labels y of any kind.

        Raises ValueError for what cannot be, and where all starts diverge.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Takes all starts through one more epoch, on these samples; the first call needs `classes`, all
        labels that there will be.

        No samples are set aside: what ranks the networks is how well they do, of late, on samples that they
        have not learned from yet. A schedule goes on by the steps that were taken, of calls of any size. The
        networks go on from where they are, also from weights that you have put into `coefs_`, and from the
        best ones where the last fit stopped early.
        """
        if not hasattr(self, "_population") and classes is None:
            raise ValueError("the first call of partial_fit needs classes=, all labels that there will be")
        if hasattr(self, "_population") and classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(f"classes={given(classes)} are not those of the first call, {listed(self.classes_.tolist())}")
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> np.ndarray:
        """[sample] the most likely class, or [sample, label] of 0 and 1."""
        outputs = self._outputs(X)
        if self._has_several_labels:
            return (outputs > 0.5).astype(np.int64)
        return self.classes_[outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """[sample, class] probabilities in the order of `classes_`; of several labels at once the probability
        of each.
        """
        outputs = self._outputs(X)
        if self._has_several_labels:
            return outputs
        if outputs.shape[1] == 1:
            return np.concatenate([1.0 - outputs, outputs], 1)
        return outputs / outputs.sum(1, keepdims=True)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithm of `predict_proba`; -inf of what is too unlikely for the number type."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _targets(self, y: np.ndarray, *, reset: bool, classes: Any = None) -> np.ndarray:
        kind, found = _labels(y, classes)
        if reset:
            self._has_several_labels = kind == "multilabel-indicator"
            self.classes_ = np.arange(y.shape[1]) if self._has_several_labels else found
        if self._has_several_labels or kind == "multilabel-indicator":
            if y.shape[1:] != (len(self.classes_),):
                raise ValueError(f"y must have the labels of the first call, {len(self.classes_)} columns of 0 and 1; shape {y.shape} was given")
            return y.astype(np.int64)
        if classes is not None:
            missing = [label for label in unique_labels(y).tolist() if label not in self.classes_]
            if missing:
                raise ValueError(f"y has {listed(missing)}, which classes={given(classes)} lacks; give all labels that there will be")
        if len(self.classes_) < 2:
            raise ValueError(
                f"{'y has' if classes is None else 'classes= has'} one class, {listed(self.classes_.tolist())}; a classifier needs two classes or more"
            )
        labels = column_or_1d(y, warn=True)
        places = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
        unknown = np.flatnonzero(self.classes_[places] != labels)
        if len(unknown):
            raise ValueError(f"y[{unknown[0]}] is {given(labels[unknown[0]])}, which is none of the classes {listed(self.classes_.tolist())}")
        return places.astype(np.int64)

    def _check_targets(self, y: Any) -> None:
        if (series := series_of(y)) is not None:
            refuse_missing(series, "y" if series.name is None else series.name, "leave those samples out")
        found = np.asarray(y, object) if isinstance(y, (list, tuple)) and all(np.ndim(v) == 0 for v in y) else y
        if getattr(getattr(found, "dtype", None), "kind", "") == "O" and getattr(found, "ndim", 0):
            check_labels(np.asarray(found))

    def _loss(self) -> str:
        return "log_loss" if self._has_several_labels or len(self.classes_) == 2 else "cross_entropy"

    @property
    def out_activation_(self) -> str:
        """What the outputs go through, as MLPClassifier names it."""
        return "logistic" if self._loss() == "log_loss" else "softmax"

    def _class_count(self) -> int | None:
        return None if self._has_several_labels else len(self.classes_)


def _labels(y: np.ndarray, classes: Any) -> tuple[str, np.ndarray]:
    """(the kind of targets, in scikit-learn's words; all labels in ascending order).

    Raises ValueError or TypeError for what are no labels.
    """
    try:
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ValueError(
                "y[sample, label] must be of 0 and 1, which labels a sample has; for several outputs of several classes each take sklearn.multioutput"
            )
        return kind, unique_labels(y if classes is None else classes)
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in np.ravel(np.asarray(y if classes is None else classes, object))}))
        raise TypeError(f"labels must be all numbers or all texts; {'y' if classes is None else 'classes='} has {kinds}") from None
