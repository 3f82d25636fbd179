"""Results made by hand, whose statistics are known."""

import numpy as np
import xarray

import gdsim as gd


def result_of(curves, *, cells=1, steps=None, taken=None, status=None, final=None, coordinates=None):
    """A result with the given curves[run, checkpoint], start by start and cell by cell, as a sweep would give
    it.
    """
    curves = np.asarray(curves, float)
    runs, checkpoints = curves.shape
    steps = np.arange(checkpoints) if steps is None else np.asarray(steps)
    taken = np.full(runs, steps[-1]) if taken is None else np.asarray(taken)
    status = np.full(runs, "budget", "<U9") if status is None else np.asarray(status, "<U9")
    number = np.arange(runs)
    cell = number % cells
    with np.errstate(all="ignore"):
        known = np.where(np.isnan(curves), np.inf, curves)
    final = curves[number, np.searchsorted(steps, taken, side="right") - 1] if final is None else np.asarray(final, float)
    columns = {
        "step": ("checkpoint", steps), "loss": (("run", "checkpoint"), curves), "final_loss": ("run", final),
        "best_loss": ("run", np.minimum(known.min(1), final)), "steps_taken": ("run", taken), "status": ("run", status),
    }  # fmt: skip
    named = {name: ("run", np.asarray(values)[cell]) for name, values in (coordinates or {}).items()}
    named = {"optimizer": ("run", np.full(runs, "SGD")), "label": ("run", np.array([f"SGD {c}" for c in cell], "<U8")), **named}
    return xarray.Dataset(columns, {"run": number, "cell": ("run", cell), "start": ("run", number // cells), **named})


def rosenbrock(**options):
    """A population of which some diverge, some converge, and some end by themselves."""
    given = {"optimizer": [gd.SGD(lr=gd.logspace(1e-4, 1e-2, 3)), gd.Adam(lr=[0.01, 0.3])], "starts": 40, "steps": 800, "stop": [gd.Target(1e-3)]}
    return gd.Sweep(problem=gd.functions.Rosenbrock(), **{**given, **options})
