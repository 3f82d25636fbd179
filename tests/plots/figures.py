"""The figures that any result of runs has, by name: calls that take the result and options such as `ax`."""

import io

import gdsim as gd

FIGURES = {
    "convergence_bands": gd.plots.convergence_bands,
    "ecdf": gd.plots.ecdf,
    "ert": gd.plots.ert,
    "performance_profile": gd.plots.performance_profile,
    "sensitivity_curve": gd.plots.sensitivity_curve,
    "budget_curve": gd.plots.budget_curve,
    "compare_tuned": gd.plots.compare_tuned,
    "heat_map": lambda r, **o: gd.plots.heat_map(r, "lr", "optimizer", **o),
    "divergence_map": lambda r, **o: gd.plots.divergence_map(r, "lr", "optimizer", **o),
    "final_losses": gd.plots.final_losses,
    "training_costs": lambda r, **o: gd.plots.training_costs(r, units="steps", **o),
    "communication_frontier": lambda r, **o: gd.plots.communication_frontier(r, unit="steps", **o),
}


def drawn(figure):
    """The bytes of a figure; drawing it must warn of nothing."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=50)
    return sink.getvalue()
