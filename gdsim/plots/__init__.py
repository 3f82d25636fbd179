"""Figures of results: functions from a Dataset to a matplotlib Figure, readable in print and by the colour-blind."""

from gdsim.plots.convergence import convergence_bands

__all__ = ["convergence_bands"]
