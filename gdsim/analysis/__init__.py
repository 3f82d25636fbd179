"""What a population did: statistics with honest intervals, each a function from a result's Dataset to a
Dataset.

Results may lie in memory or in a folder (`gd.open`), which is then read block by block; where counts suffice,
summaries do too.
"""

from gdsim.analysis.client_scores import client_scores
from gdsim.analysis.coco import export_coco
from gdsim.analysis.comparison import compare_tuned, sentences
from gdsim.analysis.minima import minima_by_loss, minima_left
from gdsim.analysis.noise_scale import critical_batch, estimated_noise_scale, fit_critical_batch, noise_scale
from gdsim.analysis.profiles import algoperf_score, data_profile, performance_profile, times_by_start, times_to_decrease
from gdsim.analysis.quantiles import bands
from gdsim.analysis.rates import convergence_rate
from gdsim.analysis.restarts import luby, luby_cost, parallel_starts, restart_cutoff
from gdsim.analysis.rounds import Rounds
from gdsim.analysis.run_seconds import simulated_seconds
from gdsim.analysis.speed_up import speed_up
from gdsim.analysis.stability import divergence_map, edge_of_stability
from gdsim.analysis.stragglers import expected_compute
from gdsim.analysis.success import compare_success, success_probability
from gdsim.analysis.targets import default_targets, ecdf, expected_running_time, kaplan_meier, simulated_restarts, time_to_target
from gdsim.analysis.tuning import best_cell, budget_curve, expected_best, sensitivity
from gdsim.analysis.worker_updates import worker_updates
from gdsim.declarations import hint_in
from gdsim.distribution.topologies import mixing_matrices, second_eigenvalue, spectral_gap
from gdsim.statistics import bootstrap, clopper_pearson, holm, mcnemar, median_ranks, wilson

__all__ = [
    "Rounds", "algoperf_score", "bands", "best_cell", "bootstrap", "budget_curve", "client_scores", "clopper_pearson", "compare_success",
    "compare_tuned", "convergence_rate", "critical_batch", "data_profile", "default_targets", "divergence_map", "ecdf", "edge_of_stability",
    "estimated_noise_scale", "expected_best", "expected_compute", "expected_running_time", "export_coco", "fit_critical_batch", "holm", "kaplan_meier",
    "luby", "luby_cost", "mcnemar", "median_ranks", "minima_by_loss", "minima_left", "mixing_matrices", "noise_scale",
    "parallel_starts", "performance_profile", "restart_cutoff", "second_eigenvalue", "sensitivity", "sentences", "simulated_restarts", "simulated_seconds",
    "spectral_gap", "speed_up", "success_probability", "time_to_target", "times_by_start", "times_to_decrease", "wilson", "worker_updates",
]  # fmt: skip

hint_in(globals(), "gd.analysis")
