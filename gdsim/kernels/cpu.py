"""The driver of kernels on processors: lays packs out in memory, binds the kernels of a structure and calls them.

A pack is `width` runs; every array has the lane as its last index. Nothing here decides anything about a run.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels import evaluation, training
from gdsim.kernels.evaluation import Scores
from gdsim.kernels.network import BLOCK, TILE, Network
from gdsim.kernels.sampling import SHUFFLES, Feed
from gdsim.kernels.training import Pack, Watch
from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.draws import seed_words

# The largest magnitude of a weight before a run counts as diverged (SCIENCE.md, 1.1).
WEIGHT_BOUND = 1e8


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Where a network's parameters and activations lie in a pack, in lanes.

    `layers` is the table of `network`; `places[parameter]` the place of each parameter of the public vector.
    """

    widths: tuple[int, ...]
    layers: np.ndarray
    places: np.ndarray
    size: int
    activation_rows: int
    delta_rows: int

    def table(self, pitch: int) -> np.ndarray:
        """The flat table of layers where samples lie `pitch` lanes from unit to unit."""
        table = self.layers.copy()
        table[:, 4:] *= pitch
        return table.ravel()


@functools.cache
def layout_of(widths: tuple[int, ...], columns: int) -> Layout:
    """The layout of a network with the given widths, inputs first, whose samples have `columns` columns with targets."""
    whole = lambda n: -(-n // TILE) * TILE  # noqa: E731
    half = whole(max(widths[1:]))
    rows, first, source, places, table = whole(columns), 0, 0, [], []
    for depth, (inputs, units) in enumerate(itertools.pairwise(widths)):
        pitch = whole(inputs) + 1
        above = half * (depth % 2)
        table.append((inputs, units, first, pitch, source, rows, above, half - above))
        weights = first + pitch * np.arange(units)[:, None] + np.arange(inputs)
        places += [weights.ravel(), first + pitch * np.arange(units) + pitch - 1]
        first += pitch * whole(units)
        source, rows = rows, rows + whole(units)
    return Layout(widths, np.array(table), np.concatenate(places), first, rows, 2 * half)


class Structure(NamedTuple):
    """What decides a kernel's code, and its sizes, which do not."""

    parts: tuple[tuple[str, Any], ...]
    numbers: type[Any]
    slots: int
    carry: int
    shuffle: str
    dtype: str
    layout: Layout
    has_penalty: bool
    title: str


def with_penalty(g: Any, w: Any, step: Any) -> Any:
    """The gradient with the penalty's share."""
    return g + step.l2 * w


def without_penalty(g: Any, w: Any, step: Any) -> Any:
    """The gradient as it is."""
    return g


class Workspace(NamedTuple):
    """One thread's working memory, seen in two ways: samples lie as close as a step's batch or an evaluation's block allows."""

    step: Network
    whole: Network


class Kernels:
    """The compiled kernels of one structure at one lane width, made when first used."""

    def __init__(self, structure: Structure, width: int) -> None:
        self.structure, self.width = structure, width
        self.dtype = np.dtype(structure.dtype)
        self.listener: Callable[[str], None] | None = None

    def prepare(self) -> None:
        """Makes the kernels that training needs."""
        _ = self.train, self.report, self.evaluate

    def _announce(self, what: str) -> Callable[[], None]:
        return lambda: self.listener(f"compiling {what}") if self.listener is not None else None

    def _parts(self, **more: Any) -> Mapping[str, Any]:
        s = self.structure
        return {
            **dict(s.parts), **SHUFFLES[s.shuffle]._asdict(),
            "NUMBERS": s.numbers, "NUMBER_COUNT": len(s.numbers._fields), "SLOT_COUNT": s.slots, "CARRY_COUNT": s.carry,
            "WIDTH": self.width, "ZERO": self.dtype.type(0), "penalized": with_penalty if s.has_penalty else without_penalty,
            **float_mode_parts(), **more,
        }  # fmt: skip

    def _types(self) -> Any:
        """Numba's types of the kernels' arguments."""
        from numba import types

        real = types.Array(types.float64 if self.dtype == np.float64 else types.float32, 1, "C")
        word, long = types.Array(types.uint32, 1, "C"), types.Array(types.int64, 1, "C")
        bits = types.Array(types.uint64 if self.dtype == np.float64 else types.uint32, 1, "C")
        group = lambda kind, *members: types.BaseTuple.from_types(members, kind)  # noqa: E731
        network = group(Network, long, real, real, real, real, types.int64)
        watch = group(Watch, word, word, bits, real, real, real, bits)
        pack = group(Pack, real, real, real, real, word, word, watch)
        seed = types.UniTuple(types.uint32, 2)
        feed = group(Feed, real, types.int64, types.int64, types.int64, types.int64, types.int64, types.int64, seed)
        scores = group(Scores, real, real, real, real)
        return types, real, network, pack, feed, scores

    @functools.cached_property
    def train(self) -> Any:
        """`training.train`, compiled."""
        types, _, network, pack, feed, _ = self._types()
        parts = self._parts(finish_tile=training.update_tile)
        return bind(training.train, parts, types.int64(network, pack, feed, types.int64), self._announce(self.structure.title))

    @functools.cached_property
    def report(self) -> Any:
        """`training.report_weights`, compiled."""
        types, real, _, pack, _, _ = self._types()
        return bind(training.report_weights, self._parts(), types.void(pack, real))

    @functools.cached_property
    def evaluate(self) -> Any:
        """`evaluation.evaluate`, compiled; shared by all structures with the same problem."""
        types, real, network, _, feed, scores = self._types()
        parts = self._problem_parts()
        return bind(evaluation.evaluate, parts, types.void(network, real, feed, scores, types.boolean), self._announce("the evaluation"))

    @functools.cached_property
    def predict(self) -> Any:
        """`evaluation.predict`, compiled."""
        types, real, network, _, feed, _ = self._types()
        return bind(evaluation.predict, self._problem_parts(), types.void(network, real, feed, real))

    def _problem_parts(self) -> Mapping[str, Any]:
        """The parts without rule, schedule and shuffle, so that their choice leaves the evaluation's kernel the same."""
        names = ("activation", "slope", "sample_loss", "pointwise", "outputs", "correct", "output", "output_slope", "WIDTH", "ZERO")
        parts = self._parts(finish_tile=training.keep_tile)
        return {n: parts[n] for n in (*names, "finish_tile", "set_float_mode", "restore_float_mode")}

    def workspace(self, samples: int = BLOCK) -> Workspace:
        """One thread's working memory for steps of `samples` samples and for evaluation."""
        layout = self.structure.layout
        lanes = lambda n: np.zeros(n * self.width, self.dtype)  # noqa: E731
        pitches = [-(-min(n, BLOCK) // TILE) * TILE + 1 for n in (samples, BLOCK)]
        activations, deltas = lanes(layout.activation_rows * pitches[1]), lanes(layout.delta_rows * pitches[1])
        gradients, tile = lanes(layout.size), lanes(TILE * TILE)
        return Workspace(*(Network(layout.table(pitch), activations, deltas, gradients, tile, pitch) for pitch in pitches))

    def new_pack(self) -> Pack:
        """A pack of nothing but zeros."""
        s, width = self.structure, self.width

        def lanes(n: int, kind: Any = self.dtype) -> np.ndarray:
            return np.zeros(n * width, kind)

        word, bits = np.uint32, np.uint64 if self.dtype == np.float64 else np.uint32
        watch = Watch(
            lanes(1, word), lanes(1, word), lanes(1, bits), np.full(width, np.inf, self.dtype),
            np.full(width, np.inf, self.dtype), np.full(width, -np.inf, self.dtype), np.full(width, np.array(WEIGHT_BOUND, self.dtype).view(bits), bits),
        )  # fmt: skip
        size = s.layout.size
        return Pack(lanes(size), lanes(size * s.slots), lanes(s.carry), lanes(len(s.numbers._fields)), lanes(1, word), lanes(1, word), watch)

    def new_scores(self) -> Scores:
        """Room for the scores of a pack."""
        return Scores(*(np.zeros(self.width, self.dtype) for _ in Scores._fields))


class Table(NamedTuple):
    """Samples as kernels read them: a row of features, then targets, then zeros up to a whole number of gathers."""

    matrix: np.ndarray
    pitch: int
    features: int
    columns: int
    samples: int


def table_of(X: np.ndarray, targets: np.ndarray, dtype: Any) -> Table:
    """The table of samples X[sample, feature] with targets[sample, target]."""
    count, features = X.shape
    columns = features + targets.shape[1]
    matrix = np.zeros((count, -(-columns // 16) * 16), dtype)
    matrix[:, :features], matrix[:, features:columns] = X, targets
    return Table(matrix.ravel(), matrix.shape[1], features, columns, count)


def feed_of(table: Table, batch: int | None, drop_last: bool, seed: int) -> Feed:
    """How steps draw from a table; `batch` None is the whole of it."""
    size = table.samples if batch is None else batch
    steps = max(1, table.samples // size if drop_last else -(-table.samples // size))
    return Feed(table.matrix, table.pitch, table.features, table.columns, table.samples, size, steps, seed_words(seed))
