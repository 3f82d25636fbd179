"""scikit-learn's face: estimators that train a network from many starts at once."""

from gdsim.estimators.classifier import MultistartClassifier
from gdsim.estimators.regressor import MultistartRegressor

__all__ = ["MultistartClassifier", "MultistartRegressor"]
