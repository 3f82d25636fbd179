"""Populations: pure functions that train packs of runs and evaluate parameters."""

from gdsim.population.evaluation import evaluate, predict
from gdsim.population.setting import WIDTHS, Run, Setting
from gdsim.population.training import train_pack

__all__ = ["WIDTHS", "Run", "Setting", "evaluate", "predict", "train_pack"]
