"""Populations: pure functions that train batches of runs, and evaluate parameters and second derivatives there."""

from gdsim.population.curvature import hessian, hessian_product, trace
from gdsim.population.density import quadrature
from gdsim.population.eigenvalues import eigenvalues
from gdsim.population.evaluation import DTYPES, evaluate, predict
from gdsim.population.gradients import Gradients
from gdsim.population.setting import Setting, Tangent
from gdsim.population.sharpness_measures import sharpness
from gdsim.population.training import Batch, train_batch

__all__ = [
    "DTYPES",
    "Batch",
    "Gradients",
    "Setting",
    "Tangent",
    "eigenvalues",
    "evaluate",
    "hessian",
    "hessian_product",
    "predict",
    "quadrature",
    "sharpness",
    "trace",
    "train_batch",
]
