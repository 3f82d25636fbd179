"""What is measured: networks, data, optimizers and numbers of runs, the same for every system."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

import gdsim as gd


@dataclasses.dataclass(frozen=True)
class Work:
    """A network on a data set, without hidden layers a logistic regression; `batch` None is the whole of it.

    Where it `is_large` to look at all samples takes as long as many steps, and data and state are most of the
    memory: then all systems look at all samples at both ends within the time, not gdsim alone, and their memory
    is measured.
    """

    data: str
    hidden: tuple[int, ...]
    batch: int | None
    activation: str = "relu"
    loss: str = "cross_entropy"
    momentum_rate: float = 0.1
    is_large: bool = False

    def rate(self, rule: str) -> float:
        """The learning rate: one at which runs do not drive apart by rounding, so that the systems' losses
        can be compared.
        """
        return 1e-3 if rule == "adam" else self.momentum_rate

    def samples(self) -> gd.Data:
        """`samples_of` its data."""
        return samples_of(self.data)

    def problem(self) -> gd.MLP:
        """The network."""
        return gd.MLP(self.samples(), hidden=self.hidden, activation=self.activation, loss=self.loss)

    def operations(self) -> int:
        """`operations_of` the work."""
        return operations_of(self.problem(), self.batch)


# Samples, features and classes: as many as MNIST has to train with, and a table too long for caches.
PLANTED = {"images": (60_000, 784, 10), "points": (1_000_000, 20, 2)}


@functools.cache
def samples_of(name: str) -> gd.Data:
    """Data by name; "random" is of the size of MNIST's test set, and its labels are random too."""
    rng = np.random.default_rng(0)
    if name == "random":
        return gd.Data(rng.random((10_000, 784), np.float32), rng.integers(0, 10, 10_000))
    return planted(*PLANTED[name], rng) if name in PLANTED else gd.datasets.load(name)


def planted(count: int, features: int, classes: int, rng: np.random.Generator) -> gd.Data:
    """Uniform inputs, each with the label of which a random linear function is largest, so that there is something to learn."""
    X = rng.random((count, features), np.float32)
    return gd.Data(X, ((X - np.float32(0.5)) @ rng.normal(size=(features, classes)).astype(np.float32)).argmax(1))


def operations_of(problem: gd.MLP, batch: int | None) -> int:
    """Multiplications and additions of the matrix products of a step: forward, backward to every hidden
    layer, gradients.
    """
    size = batch or len(problem.data.X)
    (first, *_) = layers = [inputs * units for inputs, units in itertools.pairwise(problem.widths)]
    return 2 * size * (3 * sum(layers) - first)


WORKS = {
    "xor": Work("xor", (2,), None, "tanh", "log_loss"),
    "moons": Work("moons", (16,), 16, "tanh", "log_loss"),
    "digits": Work("digits", (32,), 32),
    "deep": Work("digits", (64, 64, 64), 32, momentum_rate=0.01),
    "mnist": Work("random", (128,), 32),
    # Beyond what gdsim is for: where its users should take PyTorch or JAX.
    "wide": Work("random", (512,), 128),
    "large": Work("random", (1024, 1024), 128),
    # What is tried after the digits.
    "images": Work("images", (256, 128), 128, is_large=True),
    "points": Work("points", (), 128, loss="log_loss", is_large=True),
}


def needed_bytes(name: str, rule: str, runs: int) -> int:
    """What training cannot do without: weights, the rule's slots, inputs and labels, four bytes a number."""
    problem, (optimizer,) = WORKS[name].problem(), sweep_of(name, rule, runs, 1).optimizer
    return 4 * (runs * problem.parameter_count * (1 + len(optimizer.slots)) + problem.data.X.size + len(problem.data.y))


def sweep_of(name: str, rule: str, runs: int, steps: int, **record: Any) -> gd.Sweep:
    """The work, or "rosenbrock", as a sweep, both ends recorded."""
    options = {"starts": runs, "steps": steps, "record": gd.Record(every="ends", gradient_norm=False, **record), "dtype": "float32"}
    if name == "rosenbrock":
        optimizer = gd.Adam(lr=1e-2) if rule == "adam" else gd.Momentum(lr=1e-4, momentum=0.9)
        return gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=optimizer, init=gd.Uniform(low=-2, high=2), **options)
    work = WORKS[name]
    optimizer = gd.Adam(lr=work.rate(rule)) if rule == "adam" else gd.Momentum(lr=work.rate(rule), momentum=0.9)
    return gd.Sweep(problem=work.problem(), optimizer=optimizer, init="he", batch=work.batch, **options)


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table: a work ("rosenbrock" is the 2-D function), a rule, how many runs of how many
    steps, the peers, the ratio aimed at, and whether it is among the few by which `--quick` judges.
    """

    work: str
    rule: str
    runs: int
    steps: int
    peers: tuple[str, ...]
    target: float | None
    quick: bool = False

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return f"{self.work}-{self.rule}-{self.runs}"


BOTH = ("jax", "torch")
ROWS = [
    Row("xor", "momentum", 100_000, 1000, BOTH, 10.0),
    Row("moons", "momentum", 10_000, 500, BOTH, 10.0, quick=True),
    Row("digits", "adam", 256, 1000, BOTH, 5.0, quick=True),
    Row("digits", "momentum", 256, 1000, BOTH, 5.5),
    Row("digits", "adam", 4096, 300, BOTH, 6.5),
    Row("digits", "adam", 1, 3000, (*BOTH, "sklearn"), 1.5, quick=True),
    Row("digits", "adam", 8, 2000, BOTH, 3.0),
    Row("deep", "momentum", 256, 300, BOTH, None),
    Row("mnist", "adam", 64, 1000, BOTH, 2.0, quick=True),
    Row("wide", "adam", 1, 200, BOTH, None),
    Row("wide", "adam", 8, 100, BOTH, None),
    Row("large", "adam", 1, 50, BOTH, None),
    Row("images", "adam", 64, 200, BOTH, 2.0),
    Row("points", "momentum", 1000, 200, BOTH, 2.0),
    Row("rosenbrock", "adam", 100_000, 1000, ("jax",), 3.0, quick=True),
    Row("rosenbrock", "adam", 1_000_000, 1000, ("jax",), 6.0),
    Row("rosenbrock", "momentum", 100_000, 1000, ("jax",), None),
    Row("rosenbrock", "momentum", 1_000_000, 1000, ("jax",), None),
]


def rows_named(names: Sequence[str]) -> list[Row]:
    """Those of which a name is given, whole or its beginning; a whole one is that row's alone.

    >>> [row.name for row in rows_named(["rosenbrock-adam-100000", "xor"])]
    ['xor-momentum-100000', 'rosenbrock-adam-100000']
    """
    whole = {row.name for row in ROWS}
    return [row for row in ROWS if any(row.name == name if name in whole else row.name.startswith(name) for name in names)]
