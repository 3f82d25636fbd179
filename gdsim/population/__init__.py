"""Populations: pure functions that train batches of runs and evaluate parameters."""

from gdsim.population.evaluation import DTYPES, evaluate, predict
from gdsim.population.setting import Setting
from gdsim.population.training import Batch, train_batch

__all__ = ["DTYPES", "Batch", "Setting", "evaluate", "predict", "train_batch"]
