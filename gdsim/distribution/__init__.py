"""How K workers train one model: pure declarations of what they tell each other, and when.

A new kind is one class, its name here and in `gdsim/__init__.py`, and a kernel in `gdsim/kernels/teams`.
"""

from gdsim.distribution.asynchronous import STALENESSES, Asynchronous, FixedStaleness, GeometricStaleness, Queue, Staleness, UniformStaleness
from gdsim.distribution.averaging import DiLoCo, ElasticAveraging, LocalSGD
from gdsim.distribution.base import Distribution, Held, Part, Partition
from gdsim.distribution.compression import COMPRESSORS, EF21, MEMORIES, QSGD, Compressor, ErrorFeedback, PowerSGD, RandomK, ScaledSign, Sign, TopK
from gdsim.distribution.compute_times import COMPUTE_TIMES, ComputeTime, ConstantTime, ExponentialTime, LogNormal, Pareto, ShiftedExponential
from gdsim.distribution.federated import Federated, FederatedAveraging, Scaffold
from gdsim.distribution.fitting import Trained, check_compressed, check_looks, check_trainable, message_sizes, samples_computed, samples_of_step
from gdsim.distribution.gossip import Gossip
from gdsim.distribution.partitions import PARTITIONS, Assigned, Classes, Dirichlet, Iid, Overlap, Sorted, partitions_of
from gdsim.distribution.synchronous import Synchronous

DISTRIBUTIONS = (Synchronous, LocalSGD, DiLoCo, ElasticAveraging, Gossip, Asynchronous, FederatedAveraging, Scaffold)

__all__ = [
    "COMPRESSORS",
    "COMPUTE_TIMES",
    "DISTRIBUTIONS",
    "EF21",
    "MEMORIES",
    "PARTITIONS",
    "QSGD",
    "STALENESSES",
    "Assigned",
    "Asynchronous",
    "Classes",
    "Compressor",
    "ComputeTime",
    "ConstantTime",
    "DiLoCo",
    "Dirichlet",
    "Distribution",
    "ElasticAveraging",
    "ErrorFeedback",
    "ExponentialTime",
    "Federated",
    "FederatedAveraging",
    "FixedStaleness",
    "GeometricStaleness",
    "Gossip",
    "Held",
    "Iid",
    "LocalSGD",
    "LogNormal",
    "Overlap",
    "Pareto",
    "Part",
    "Partition",
    "PowerSGD",
    "Queue",
    "RandomK",
    "Scaffold",
    "ScaledSign",
    "ShiftedExponential",
    "Sign",
    "Sorted",
    "Staleness",
    "Synchronous",
    "TopK",
    "Trained",
    "UniformStaleness",
    "check_compressed",
    "check_looks",
    "check_trainable",
    "message_sizes",
    "partitions_of",
    "samples_computed",
    "samples_of_step",
]
