"""Every variable of a result, declared once: its name, dimensions, units and a sentence."""

from typing import Any, NamedTuple

from gdsim.stops import REASONS, STATUSES


class Variable(NamedTuple):
    """One variable of a Dataset."""

    dims: tuple[str, ...]
    units: str
    long_name: str

    @property
    def attributes(self) -> dict[str, str]:
        """As xarray and netCDF have them."""
        return {"units": self.units, "long_name": self.long_name}


# Columns that hold places in these lists.
WORDS = {"status": STATUSES, "reason": REASONS}
CURVE, NUMBER = ("run", "checkpoint"), ("run",)

VARIABLES = {
    "step": Variable(("checkpoint",), "steps", "updates applied at the checkpoint"),
    "loss": Variable(CURVE, "1", "loss on the whole training set, penalty included"),
    "gradient_norm": Variable(CURVE, "1", "Euclidean norm of the gradient of the loss"),
    "parameter_norm": Variable(CURVE, "1", "Euclidean norm of the reported parameters"),
    "sharpness": Variable(CURVE, "1", "largest eigenvalue of the second derivatives of the loss"),
    "accuracy": Variable(CURVE, "1", "share of training samples classified correctly"),
    "validation_loss": Variable(CURVE, "1", "loss on the validation set, without penalty"),
    "validation_accuracy": Variable(CURVE, "1", "share of validation samples classified correctly"),
    "final_loss": Variable(NUMBER, "1", "loss where the run ended; of a diverged run the last finite one"),
    "best_loss": Variable(NUMBER, "1", "lowest loss at a checkpoint or a stop's look"),
    "best_validation_loss": Variable(NUMBER, "1", "lowest finite validation loss at a checkpoint or Validation's look; NaN if there was none"),
    "best_validation_step": Variable(NUMBER, "steps", "first step at which the validation loss was its lowest; -1 if it was never finite"),
    "best_validation_accuracy": Variable(NUMBER, "1", "share of validation samples classified correctly at best_validation_step"),
    "final_validation_loss": Variable(NUMBER, "1", "validation loss where the run ended; of a diverged run the last finite one"),
    "final_validation_accuracy": Variable(NUMBER, "1", "share of validation samples classified correctly where final_validation_loss was found"),
    "steps_taken": Variable(NUMBER, "steps", "updates applied"),
    "target_step": Variable(("run", "target"), "steps", "first step at which each target loss was met; -1 if never"),
    "samples": Variable(CURVE, "samples", "samples that all workers together have computed gradients of"),
    "round": Variable(CURVE, "rounds", "exchanges of workers, all together or in groups; of asynchronous ones gradients"),
    "bytes_sent": Variable(CURVE, "bytes", "bytes of the messages that a worker has sent to others or the server, the mean over workers"),
    "epoch_loss": Variable(("run", "epoch"), "1", "mean loss of the epoch's batches, each before its step, penalty included"),
    "disagreement": Variable(
        CURVE,
        "1",
        "mean squared distance of the workers' parameters from their mean; of clients', and of what asynchronous workers have read, from the server's",
    ),
    "staleness": Variable(CURVE, "updates", "how old gradients were when they were applied, the mean so far"),
    "largest_staleness": Variable(CURVE, "updates", "how old the oldest gradient was when it was applied, so far"),
    "status": Variable(NUMBER, "", "how the run ended: converged, stopped, stalled, diverged or budget"),
    "reason": Variable(NUMBER, "", "the stop that ended the run, or budget"),
    "parameters": Variable(("run", "parameter"), "1", "reported parameters where the run ended"),
    "best_parameters": Variable(("run", "parameter"), "1", "reported parameters at best_validation_step; of a run without it where it ended"),
    "trajectory": Variable(("run", "checkpoint", "parameter"), "1", "reported parameters at the checkpoint"),
    "tangent_norm": Variable(CURVE, "1", "Euclidean norm of the derivative of the reported parameters along a direction of the start"),
    "eigenvalue": Variable(("run", "eigen"), "1", "eigenvalue of the second derivatives of the loss, descending"),
    "residual": Variable(("run", "eigen"), "1", "length of H v - lambda v over the largest magnitude of an eigenvalue"),
    "eigenvector": Variable(("run", "eigen", "parameter"), "1", "unit eigenvector of the second derivatives of the loss"),
    "converged": Variable(NUMBER, "", "whether the residuals of all eigenvalues that were asked for are small"),
    "trace": Variable(NUMBER, "1", "trace of the second derivatives of the loss"),
    "lambda_max": Variable(NUMBER, "1", "largest eigenvalue of the second derivatives of the loss"),
    "trace_standard_error": Variable(NUMBER, "1", "standard error of the trace over random vectors; 0 of exact values"),
    "keskar": Variable(
        NUMBER,
        "%",
        "highest loss within epsilon (|w| + 1) of each parameter w, above the loss, over 1 + the loss where that is positive (Keskar et al. 2017)",
    ),
    "sam": Variable(NUMBER, "1", "loss at distance rho along the gradient, above the loss (Foret et al. 2021)"),
    "expected": Variable(NUMBER, "1", "mean loss at normal deviations sigma of the parameters, above the loss"),
    "expected_standard_error": Variable(NUMBER, "1", "standard error of that mean over random vectors"),
    "scale_invariant": Variable(NUMBER, "1", "sum of the diagonal of the second derivatives, each times its parameter squared"),
    "scale_invariant_standard_error": Variable(NUMBER, "1", "standard error of that sum over random vectors; 0 of exact values"),
    "adaptive": Variable(NUMBER, "1", "highest loss within rho |w| of each parameter w, above the loss (Kwon et al. 2021)"),
    "node": Variable(("run", "probe", "place"), "1", "node of the quadrature of a random vector"),
    "weight": Variable(("run", "probe", "place"), "1", "weight of the node; those of a random vector sum to 1"),
    "density": Variable(("run", "value"), "1", "density of the eigenvalues of the second derivatives, smoothed; integrates to 1"),
    "density_standard_error": Variable(("run", "value"), "1", "standard error of the density over random vectors; 0 of exact values"),
    "hessian": Variable(("run", "row", "column"), "1", "second derivatives of the loss, by the parameters of row and column"),
    "alpha": Variable(("alpha",), "1", "share of the way from a to b"),
    "x": Variable(("x",), "1", "coordinate along the first direction"),
    "y": Variable(("y",), "1", "coordinate along the second direction"),
    "distance": Variable(NUMBER, "1", "Euclidean distance between the two points"),
    "corner": Variable(("point", "axis"), "1", "where the three points lie on their plane"),
    "path": Variable(("checkpoint", "axis"), "1", "projection of the trajectory onto the plane"),
    "explained_variance": Variable(("axis",), "1", "share of the trajectory's variance along the axis"),
    "center": Variable(("run", "parameter"), "1", "point in the middle of the plane"),
    "direction": Variable(("run", "axis", "parameter"), "1", "direction of an axis of the plane"),
    "barrier": Variable(NUMBER, "1", "highest rise of the loss above the straight line between the losses of both ends"),
    "height": Variable(NUMBER, "1", "highest loss on the way less the higher loss of both ends"),
    "mean_loss": Variable(NUMBER, "1", "mean loss along the curve"),
    "control": Variable(("run", "bend", "parameter"), "1", "control points of the curve between its ends"),
    "band": Variable(("run", "image", "parameter"), "1", "points of the band, from end to end"),
    "length": Variable(("run", "image"), "1", "Euclidean length of the band up to the image"),
    "saddle": Variable(("run", "parameter"), "1", "highest point of the band, polished to a critical point"),
    "saddle_value": Variable(NUMBER, "1", "loss at the saddle"),
    "index": Variable(NUMBER, "1", "eigenvalues of the second derivatives that are below 0; -1 where it is not known"),
    "value": Variable(("minimum",), "1", "value at a minimum, or at another critical point"),
    "persistence": Variable(("run", "minimum"), "1", "how far the level rises above the minimum until its basin meets a lower one's"),
    "parent": Variable(("run", "minimum"), "", "number of the minimum that its basin meets; -1 of none"),
    **{f"{what}_{axis}": Variable(("run", "minimum"), "1", f"{axis} of the {what}") for what in ("minimum", "saddle") for axis in ("x", "y", "alpha")},
    "minima": Variable(NUMBER, "1", "minima of at least the persistence that was asked for"),
    "roughness": Variable(NUMBER, "1", "by how much the way up and down along the grid is longer than in one valley"),
    "convexity": Variable(NUMBER, "1", "share of second differences along the grid that are not negative"),
    "monotone": Variable(NUMBER, "", "whether the values nowhere rise from alpha 0 to 1"),
    "share_below": Variable(("run", "level"), "1", "share of points at or below the level"),
    "dead": Variable(NUMBER, "1", "share of hidden units that are off at every training sample"),
    "always_on": Variable(NUMBER, "1", "share of hidden units that are on, and linear, at every training sample"),
    "saturated": Variable(NUMBER, "1", "share of hidden units that are within 1% of an end of their range at every training sample"),
    "useless": Variable(NUMBER, "1", "share of hidden units without outgoing weights"),
    "duplicate": Variable(NUMBER, "1", "share of hidden units alike to another before them"),
    "parameter_count": Variable(NUMBER, "1", "parameters of the run's problem"),
    "worse_than_start": Variable(("cell",), "1", "runs that ended, not diverged, with a loss above that at their start; -1 if not counted"),
    "run": Variable(NUMBER, "", "number of the run: start * cells + cell"),
    "cell": Variable(NUMBER, "", "number of the combination of hyperparameters"),
    "start": Variable(NUMBER, "", "number of the start: its initial point and sample orders"),
    "optimizer": Variable(NUMBER, "", "class of the update rule"),
    "label": Variable(NUMBER, "", "the cell in words"),
}

# What is kept of runs with a team: the workers' weights, each worker's slots, and the server's numbers; each
# worker's carry, and the team's numbers.
STATES_OF_TEAMS = {
    "state_workers": (("run", "team_slot", "parameter"), "1", "state at the run's end: what workers and server keep of each parameter"),
    "state_team": (("run", "team_number"), "1", "state at the run's end: what workers and server keep of the run"),
}

# What is differentiated where tangents are asked for, `NAME_d_TANGENT`: all real numbers of a run but shares.
DIFFERENTIATED = (
    "loss", "gradient_norm", "parameter_norm", "validation_loss", "final_loss", "best_loss", "best_validation_loss", "final_validation_loss",
    "epoch_loss", "parameters", "best_parameters", "trajectory",
)  # fmt: skip
BY = "_d_"

# Names of columns in shards and results of earlier versions: what they are today.
RENAMED = {f"state_share{k}": f"state_bias_correction{k}" for k in (1, 2)}


def derivative_name(variable: str, tangent: str) -> str:
    """The name of a variable's derivative by a tangent.

    >>> derivative_name("final_loss", "lr")
    'final_loss_d_lr'
    """
    return f"{variable}{BY}{tangent}"


def known_variable(name: str) -> Variable | None:
    """A variable by its name, derivatives with the dimensions of what they are of; None for a name that is
    none.

    >>> known_variable("final_loss_d_lr").dims, known_variable("accuracy_d_lr")
    (('run',), None)
    """
    of, by, tangent = name.partition(BY)
    if not by or not tangent or of not in DIFFERENTIATED:
        return VARIABLES.get(name)
    what = "along a direction of the start" if tangent == "direction" else f"by {tangent}"
    return Variable(VARIABLES[of].dims, "1", f"derivative {what} of the {VARIABLES[of].long_name}")


def variable(name: str, values: Any) -> Variable:
    """A variable by its name; of a run's state, which each rule names, by its prefix."""
    if name.startswith("state_"):
        if name in STATES_OF_TEAMS:
            return Variable(*STATES_OF_TEAMS[name])
        dims = ("run", "stop_state") if name == "state_stops" else ("run", "parameter") if values.ndim == 2 else NUMBER
        return Variable(dims, "1", f"state at the run's end: {name.removeprefix('state_')}")
    return declared(name)


def declared(name: str) -> Variable:
    """A variable that there is, by its name."""
    found = known_variable(name)
    assert found is not None, name
    return found


def described(name: str, long_name: str = "", units: str = "") -> dict[str, str]:
    """The attributes of a variable or of a hyperparameter's coordinate."""
    return VARIABLES[name].attributes if name in VARIABLES else {"units": units, "long_name": long_name or name.replace("_", " ")}
