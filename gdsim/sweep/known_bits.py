"""What the bits of a few small sweeps are, on every processor and GPU, and those of what kernels are made of: the answers by
which a machine is known to be right.
"""

import hashlib
from typing import Any

import numpy as np

from gdsim.data import load
from gdsim.devices import Device
from gdsim.kernels.self_test import numbers_of
from gdsim.problems import MLP
from gdsim.problems.functions import Rosenbrock
from gdsim.rules import Adam, Momentum, Nesterov
from gdsim.schedules import Cosine
from gdsim.stops import Record, Target
from gdsim.sweep.experiment.bit_versions import kernel_version
from gdsim.sweep.sweep import Sweep


def cases() -> dict[str, Sweep]:
    """Small sweeps that take in most of what kernels are made of."""
    network: Any = MLP
    xor = network(load("xor"), hidden=[3], activation="tanh", loss="log_loss")
    softmax = network(load("xor"), hidden=[5], activation="gelu", loss="cross_entropy", l2=1e-3)
    parameters = Record(parameters=True)
    return {
        "functions": Sweep(problem=Rosenbrock(), optimizer=[Adam(lr=[0.01, 0.1]), Nesterov(lr=1e-4)], starts=20, steps=200, record=parameters),
        "batches": Sweep(problem=xor, optimizer=Momentum(lr=[0.1, 1.0]), schedule=Cosine(cycle=20), starts=20, steps=100, batch=2, record=parameters),
        "whole data": Sweep(problem=softmax, optimizer=Adam(lr=0.03), starts=20, steps=100, stop=[Target(0.1)], record=parameters),
    }


# What an answer hashes, in this order, of what a result has: variables that are added to results leave the
# answers as they are.
HASHED = (
    "accuracy", "best_loss", "final_loss", "gradient_norm", "loss", "parameter_count", "parameters", "reason", "status", "step", "steps_taken", "target_step",
)  # fmt: skip
WIDTHS = {"reason": "<U13"}  # of the longest word when the answers were written down


def answer(sweep: Sweep, device: str = "cpu") -> str:
    """A hash of the numbers of a sweep's result."""
    result: Any = sweep.run(threads=1, device=device)
    text = hashlib.sha256()
    for name in (n for n in HASHED if n in result):
        values = np.ascontiguousarray(result[name].values)
        values = values.astype(WIDTHS.get(name, values.dtype))
        text.update(f"{name} {values.dtype.str} {values.shape}".encode() + values.tobytes())
    return text.hexdigest()


# By the version of the kernels.
ANSWERS = {
    "functions": {1: "544c2c5181aa556413c05ea31468f29a5f0bbee051a5cf4b677429da9ed7e9f5"},
    "batches": {
        1: "0ac5953d3e150808ee8867759718a256f8802b9b472235840eee06394dba1a32",
        2: "2bfb881bc785ad8b40da5df55fd183ecaad64ffe4f4a399e8b7d448994ed4f91",
    },
    "whole data": {
        1: "23244bd976140f066891dd4e89ae4f8e6be53f288ca71f7a30809fa9aac53062",
        2: "b92dd10368be8945501c0b27d87143417e90bf074415bd395a38e99021987f38",
    },
}


# Hashes of what `kernels.self_test` finds.
NUMBERS = {
    "random numbers": "7d67b8e92013000eb255f28d95806ee3f9ae7817a58962c15114efd1f9e6133d",
    "rounding": "dce337bf76b01f58025e77007da2071e788ee222f0cf2420f79d4478fa4f1f6a",
    "steps of Adam": "4f20c28ce7371e875f91561a0f25b7a8199b2ab9b27b5f4c7de2adf289910252",
    "elementary functions": "49a98d9709d7246d38787249b6ec8e9126351d5ae2ad320a6531fec31ba75f2f",
}


def unlike(found: dict[str, bytes]) -> list[str]:
    """The names of those numbers whose bits are not the known ones."""
    return [name for name, numbers in found.items() if hashlib.sha256(numbers).hexdigest() != NUMBERS[name]]


def wrong_numbers(device: Device) -> list[str]:
    """Those of them that a GPU finds. Raises DeviceError where it fails."""
    return unlike(numbers_of(device))


ON_DEVICES = ("functions", "batches")  # of both number types; each kernel more takes some seconds to compile


def wrong_answers(device: str = "cpu") -> list[str]:
    """The names of the small sweeps whose bits are not the known ones on this machine, of all of them on processors and of
    some on a GPU.
    """
    tried = {name: sweep for name, sweep in cases().items() if device == "cpu" or name in ON_DEVICES}
    return [name for name, sweep in tried.items() if answer(sweep, device) != ANSWERS[name][kernel_version(sweep)]]
