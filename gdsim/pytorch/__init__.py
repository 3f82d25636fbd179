"""PyTorch's modules: networks of gdsim's as modules and back, and any module as a function of its parameters.

Nothing but this imports torch, and it is imported only where a module is asked for.
"""

from gdsim.pytorch.identity import VERSION, identity_of
from gdsim.pytorch.networks import ACTIVATIONS, Dense, Layers, Residual, Sine, Standardize, layers_of, sequential
from gdsim.pytorch.parameters import LOSSES, Plane, checked_module, operations_of, output_of, parameters_in, scores_at, tensors_of, weight_rows

__all__ = [
    "ACTIVATIONS", "LOSSES", "VERSION", "Dense", "Layers", "Plane", "Residual", "Sine", "Standardize", "checked_module", "identity_of", "layers_of", "operations_of",
    "output_of", "parameters_in", "scores_at", "sequential", "tensors_of", "weight_rows",
]  # fmt: skip
