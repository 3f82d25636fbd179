"""Figures of results: functions from a Dataset to a matplotlib Figure, readable in print and by the
colour-blind.
"""

from gdsim.declarations import hint_in
from gdsim.plots.clients import client_scores
from gdsim.plots.comparison import compare_tuned
from gdsim.plots.convergence import convergence_bands
from gdsim.plots.derivative import derivative
from gdsim.plots.distributed import communication_frontier, disagreement, speed_up, training_costs
from gdsim.plots.film import race_animation
from gdsim.plots.landscapes import landscape, landscape_line
from gdsim.plots.losses import final_losses
from gdsim.plots.maps import divergence_map, heat_map
from gdsim.plots.minima import basin_map, census
from gdsim.plots.paths import barrier_matrix, disconnectivity
from gdsim.plots.race import race
from gdsim.plots.schedules import schedule
from gdsim.plots.sharpness import sharpness
from gdsim.plots.targets import ecdf, ert, performance_profile
from gdsim.plots.time_line import time_line
from gdsim.plots.tuning import budget_curve, sensitivity_curve

__all__ = [
    "barrier_matrix", "basin_map", "budget_curve", "census", "client_scores", "communication_frontier", "compare_tuned", "convergence_bands", "derivative",
    "disagreement", "disconnectivity", "divergence_map", "ecdf", "ert", "final_losses", "heat_map", "landscape", "landscape_line", "performance_profile", "race",
    "race_animation", "schedule", "sensitivity_curve", "sharpness", "speed_up", "time_line", "training_costs",
]  # fmt: skip

hint_in(globals(), "gd.plots")
