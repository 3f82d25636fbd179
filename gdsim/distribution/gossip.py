"""Gossip: workers that talk to their neighbours alone, with no server and no mean of all."""

import zlib
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import Axis, checked_axis_of, checked_truth, values
from gdsim.distribution.base import STEPS, Distribution
from gdsim.distribution.topologies import TOPOLOGIES, checked_topology, is_directed, messages_sent, mixing_matrices

ORDERS = ("combine", "adapt")


class Gossip(Distribution, tag="gossip", frozen=True, kw_only=True):
    """Workers step alone, and every `period` steps mix their weights with their neighbours' (Lian et al. 2017).

    With the mixing matrix W of the graph, x_i' = sum_j W_ij x_j + the optimizer's step from x_i, so that a
    worker can compute while it talks ("combine"), or x' = W (x + step), the step first ("adapt"): their limits
    of stability and their disagreement differ. A graph's W has Metropolis and Hastings' weights 1 / (1 + the
    larger degree); see `gd.analysis.mixing_matrices` for the topologies, and `second_eigenvalue` there for how
    fast workers come together. In "one_peer" each worker talks to one other in an exchange, 1, 2, 4, ... places
    on in turn. Of a matrix whose columns sum to 1 and whose rows do not, shares are counted (push-sum, Assran
    et al. 2019). With `tracking` workers step by y_i, y_i' = sum_j W_ij y_j + g_i' - g_i, which is the mean
    gradient in the end, in the place of g_i: the fixed point is then the optimum where workers' data differ.

    Reported is the mean of the workers' weights; with push-sum that by shares, which mixing leaves as it is.

    >>> Gossip(workers=16, topology="torus")
    Gossip(workers=16, topology='torus')
    """

    workers: Axis
    topology: Any = "ring"
    order: Any = "combine"
    period: Axis = 1.0
    tracking: Any = False

    sizes = {"workers": 1}
    ranges = {"period": STEPS}
    whole = ("period",)
    choices = {"order": ORDERS}
    forms = {"topology": ", ".join(f'"{name}"' for name in TOPOLOGIES) + ", or a mixing matrix: a list of rows, each the list of what a worker takes of all"}
    meanings = {
        **Distribution.meanings,
        "topology": "Who talks to whom: " + ", ".join(map(repr, TOPOLOGIES)) + ", or a mixing matrix [worker, worker].",
        "order": "Whether a worker mixes the weights of before its step and adds the step, or mixes those of after it.",
        "tracking": "Whether workers step by what tracks the mean gradient, in the place of their own.",
    }

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "topology", checked_axis_of(self.topology, "Gossip.topology", checked_topology, takes_lists=True))
        msgspec.structs.force_setattr(self, "tracking", checked_axis_of(self.tracking, "Gossip.tracking", checked_truth))
        super().__post_init__()

    def check_together(self) -> None:
        """Refuses a topology that does not fit every number of workers, and tracking by a directed matrix."""
        for workers in values(self.workers):
            if is_directed(mixing_matrices(self.topology, int(workers))) and self.tracking:
                raise ValueError("Gossip.tracking needs a mixing matrix whose rows sum to 1 as its columns do, and this one's do not: leave one of the two")

    def settings(self) -> dict[str, Any]:
        """What may differ between cells; a matrix is called by a checksum of its numbers."""
        called = self.topology if isinstance(self.topology, str) else f"matrix {zlib.crc32(repr(self.topology).encode()):08x}"
        return {**super().settings(), "topology": called}

    @property
    def is_plain_alone(self) -> bool:
        """Who has no neighbours trains alone."""
        return True

    @property
    def matrices(self) -> np.ndarray:
        """The mixing matrices, [matrix, worker, worker], of one topology and number of workers."""
        return mixing_matrices(self.topology, self.team)

    def bytes_at(self, steps: np.ndarray, parameters: int, size: int) -> np.ndarray:
        """How many bytes a worker has sent after so many steps, the mean over workers: its weights to each
        neighbour in each exchange, with `tracking` what it steps by too, and its share where shares are counted.
        """
        matrices = self.matrices
        numbers = parameters * (2 if self.tracking else 1) + (1 if is_directed(matrices) else 0)
        return self.rounds_at(steps) * (float(messages_sent(matrices).mean()) * numbers * size)
