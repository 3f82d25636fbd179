"""Where the parameters and the working memory of a problem lie in a pack."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from gdsim.kernels.engines.passes import BLOCK, TILE
from gdsim.kernels.engines.single_run_products import TALLEST, WIDEST
from gdsim.kernels.sample_table import Table
from gdsim.kernels.workspace import ADDS, BEGINS_DELTAS, BEGINS_SUMS, ENDS_DELTAS, ENDS_SUMS, FunctionSpace, Network, NetworkSpace, SingleRunNetwork
from gdsim.lanes.numbers import Near, Number, zeros
from gdsim.problems.parts import MemorySpace
from gdsim.problems.wiring import Wiring

GATHERED = 16  # rows at most that are read together where columns are gathered
LINE = 128  # bytes of near memory that a warp reads at a time: arrays begin at multiples of so many


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkLayout:
    """Where a network's parameters and activations lie in a pack, in lanes.

    `edges` is the table of `engines.passes`; `places[parameter]` the place of each parameter of the public vector.
    """

    edges: np.ndarray
    places: np.ndarray
    size: int
    rows: int  # of activations, inputs first
    keeps_slopes: bool
    joins: bool  # as of `Wiring`
    together: int = 1  # places whose slots lie side by side

    def table(self, pitch: int) -> np.ndarray:
        """The flat table of edges where samples lie `pitch` lanes from unit to unit."""
        table = self.edges.copy()
        table[:, 4:6] *= pitch
        return table.ravel()

    def space(self, width: int, number: Number, samples: int) -> NetworkSpace:
        """Working memory for steps of `samples` samples and for evaluation."""
        lanes = lambda n: number.zeros(n * width)  # noqa: E731
        pitches = [-(-min(n, BLOCK) // TILE) * TILE + 1 for n in (samples, BLOCK)]
        activations, deltas = lanes(self.rows * pitches[1]), lanes(self.rows * pitches[1])
        slopes = lanes(self.rows * pitches[1] if self.keeps_slopes else 0)
        gradients, saved_weights, tile, zero = lanes(self.size), lanes(self.size), lanes(TILE * TILE), lanes(1)
        rest = number.full(width, 1), zeros(width, np.uint32), lanes(1), lanes(1)
        return NetworkSpace(*(Network(self.table(pitch), activations, slopes, deltas, gradients, saved_weights, tile, zero, *rest, pitch) for pitch in pitches))


def links_of(wiring: Wiring) -> list[tuple[int, int, int]]:
    """The last columns of a table of edges: (number of the layer, of the layer before, bits of `Edge.links`).

    Where a layer adds the activations of the one before, the deltas of that one begin with its own.
    """
    edges, adds = wiring.edges, wiring.adds
    sources, targets = zip(*edges, strict=True)
    return [
        (target - 1, source - 1,
         BEGINS_SUMS * (target not in targets[:k]) + ENDS_SUMS * (target not in targets[k + 1 :] and target < targets[-1])
         + BEGINS_DELTAS * (source not in sources[k + 1 :] and target not in adds) + ENDS_DELTAS * (source not in sources[:k]) + ADDS * (target in adds))
        for k, (source, target) in enumerate(edges)
    ]  # fmt: skip


def in_public_order(wiring: Wiring, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> np.ndarray:
    """The places of all parameters in the order of the public vector: of each layer its rows over all edges
    into it, then its biases.

    `weights[edge]` are places [unit, input], `biases[layer]` those of a layer's units.
    """
    rows = [np.hstack([W for W, (_, target) in zip(weights, wiring.edges, strict=True) if target == layer]) for layer in range(1, len(wiring.widths))]
    return np.concatenate([part for W, b in itertools.zip_longest(rows, biases, fillvalue=np.zeros(0, int)) for part in (W.ravel(), b)])


@functools.cache
def network_layout(wiring: Wiring, columns: int, biases: bool, keeps_slopes: bool) -> NetworkLayout:
    """The layout of a network whose samples have `columns` columns with targets; `biases` or none."""
    whole = lambda n: -(-n // TILE) * TILE  # noqa: E731
    widths = wiring.widths
    *results, rows = itertools.accumulate(map(whole, (columns, *widths[1:])), initial=0)
    first, weights_at, biases_at, table = 0, [], [], []
    for (source, target), links in zip(wiring.edges, links_of(wiring), strict=True):
        inputs, units = widths[source], widths[target]
        pitch = whole(inputs) + 1
        table.append((inputs, units, first, pitch, results[source], results[target], *links))
        unit = first + pitch * np.arange(units)
        weights_at.append(unit[:, None] + np.arange(inputs))
        biases_at += [unit + pitch - 1] if biases and links[2] & BEGINS_SUMS else []
        first += pitch * whole(units)
    return NetworkLayout(np.array(table), in_public_order(wiring, weights_at, biases_at), first, rows, keeps_slopes, wiring.joins)


@dataclasses.dataclass(frozen=True, eq=False)
class SingleRunLayout:
    """Where the parameters and activations of a network of one run lie, in numbers.

    `edges` is the table of `engines.single_run_products`.
    """

    edges: np.ndarray
    places: np.ndarray
    size: int
    activations: int
    row_major: int
    targets: int
    pitch: int
    lanes: int
    keeps_slopes: bool
    joins: bool  # as of `Wiring`
    samples: int  # of a block
    inputs: int  # of the activations those that are the samples themselves, which come first
    near: "SingleRunLayout | None" = None  # of steps, where what these touch lies in near memory

    @property
    def together(self) -> int:
        """Places whose slots lie side by side."""
        return self.lanes

    def space(self, width: int, number: Number, samples: int) -> NetworkSpace:
        """Working memory for blocks of samples, the same for steps and for evaluation where none of it is near."""
        one = self._network(number)
        return NetworkSpace(one if self.near is None else self.near._nearest(one, number.dtype), one)

    def _nearest(self, far: SingleRunNetwork, dtype: np.dtype) -> SingleRunNetwork:
        """Working memory in which what a step's passes read and write lies near, one behind the other. The samples' own
        slopes and deltas, which nothing asks for, lie before those of the layers and have no room. Tiles of warps are one
        lane wide.
        """
        end = 0

        def near(count: int, kind: np.dtype = dtype, without: int = 0) -> Near:
            nonlocal end
            made = Near(end - without * kind.itemsize, count, kind)
            end = -(-made.end // LINE) * LINE
            return made

        beside = functools.partial(near, self.targets, without=self.inputs)
        return far._replace(
            edges=self.edges.ravel(), activations=near(self.activations), deltas=beside(), slopes=beside() if self.keeps_slopes else near(0),
            row_major=near(self.row_major), tile=near(TALLEST * self.lanes), zeros=near(self.lanes), losses=near(self.lanes),
            rows=near(self.samples, np.dtype(np.uint32)), weights=near(self.size), targets=self.targets, pitch=self.pitch,
        )  # fmt: skip

    def _network(self, number: Number) -> SingleRunNetwork:
        """Working memory of a thread's own."""
        numbers = number.zeros
        return SingleRunNetwork(
            edges=self.edges.ravel(), activations=numbers(self.activations), slopes=numbers(self.activations if self.keeps_slopes else 0),
            deltas=numbers(self.activations), row_major=numbers(self.row_major), gradients=numbers(self.size), tile=numbers(TALLEST * TILE * self.lanes),
            zeros=numbers(WIDEST * self.lanes), ones=number.full(1, 1), losses=numbers(self.lanes), largest_weight=zeros(self.lanes, number.bits),
            lane_index=counting(2 * self.lanes), rows=zeros(BLOCK, np.uint32), targets=self.targets, pitch=self.pitch,
            counts=zeros(self.lanes, np.uint32), samples=numbers(self.lanes), loss=numbers(1), weights=numbers(0),
        )  # fmt: skip


def counting(n: int) -> np.ndarray:
    """0, 1, 2, ..."""
    numbers = zeros(n, np.uint32)
    numbers[:] = np.arange(n)
    return numbers


@functools.cache
def single_run_layout(
    wiring: Wiring, columns: int, biases: bool, keeps_slopes: bool, lanes: int, samples: int = BLOCK, step_samples: int = 0
) -> SingleRunLayout:
    """The layout of a network, as `network_layout` has it, of one run that has so many lanes, with room for a block of
    `samples`; near steps have room for blocks of `step_samples`, if these are said.
    """
    whole = lambda n: -(-n // lanes) * lanes  # noqa: E731

    def padded(n: int) -> int:
        """The stride of rows of n numbers: whole lanes, not a power of two of them where that is many."""
        return whole(n) + lanes * (whole(n) // lanes % 4 == 0)

    widths, pitch = wiring.widths, padded(samples)
    sample_strides = [padded(columns), *map(padded, widths[1:-1])]  # of the samples and each hidden layer
    *sources, outputs = itertools.accumulate((samples * stride for stride in sample_strides), initial=0)
    results = [*((source, 1, stride) for source, stride in zip(sources, sample_strides, strict=True)), (outputs, pitch, 1)]
    first, row_major, farthest, weights_at, biases_at, table = 0, 0, 0, [], [], []
    for (source, target), links in zip(wiring.edges, links_of(wiring), strict=True):
        inputs, units, is_last = widths[source], widths[target], target == len(widths) - 1
        stride = padded(inputs if is_last else units)
        steps = (stride, 1) if is_last else (1, stride)
        behind = first + (units if is_last else inputs) * stride
        table.append((inputs, units, first, *steps, behind, sources[source], sample_strides[source], *results[target], *links))
        weights_at.append(first + steps[0] * np.arange(units)[:, None] + steps[1] * np.arange(inputs))
        biases_at += [behind + np.arange(units)] if biases and links[2] & BEGINS_SUMS else []
        if is_last:
            row_major = max(row_major, whole(inputs) * pitch)
        elif source:  # its weights are copied, in whole lanes that reach beyond the last row
            row_major, farthest = max(row_major, whole(units) * padded(inputs)), max(farthest, stride)
        first = behind + max(whole(units), stride)
    ends = lanes * farthest  # a layer is copied to row-major order in whole lanes, which reach beyond its last row
    targets = outputs + -(-widths[-1] // min(lanes, GATHERED)) * min(lanes, GATHERED) * pitch
    activations = targets + (columns - widths[0]) * pitch
    places = in_public_order(wiring, weights_at, biases_at)
    near = single_run_layout(wiring, columns, biases, keeps_slopes, lanes, whole(step_samples)) if step_samples else None
    return SingleRunLayout(
        np.array(table), places, first + ends, activations, row_major, targets, pitch, lanes, keeps_slopes, wiring.joins,
        samples, samples * sample_strides[0], near,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class FunctionLayout:
    """Parameters one after the other, and room for a block of samples of `columns` columns."""

    places: np.ndarray
    columns: int
    together: int = 1  # places whose slots lie side by side

    @property
    def size(self) -> int:
        """Places of parameters."""
        return len(self.places)

    def space(self, width: int, number: Number, samples: int) -> FunctionSpace:
        """Working memory for blocks of samples."""
        pitch = BLOCK + 1
        return FunctionSpace(number.zeros(-(-self.columns // 16) * 16 * pitch * width), pitch)


def function_layout(problem: Any, table: Table | None, dtype: np.dtype) -> FunctionLayout:
    """The layout of a function of few parameters, on the samples of a table."""
    return _function_layout(problem.parameter_count, 0 if table is None else table.columns)


@functools.cache
def _function_layout(parameters: int, columns: int) -> FunctionLayout:
    return FunctionLayout(np.arange(parameters), columns)


@dataclasses.dataclass(frozen=True, eq=False)
class MemoryLayout:
    """Parameters one after the other.

    Beside them is room for a block of samples of `columns` columns, and the problem's constants.
    """

    places: np.ndarray
    columns: int
    constants: np.ndarray
    penalized: int
    together: int = 1  # places whose slots lie side by side

    @property
    def size(self) -> int:
        """Places of parameters."""
        return len(self.places)

    def space(self, width: int, number: Number, samples: int) -> MemorySpace:
        """Working memory for blocks of samples."""
        pitch = BLOCK + 1
        lanes = lambda n: number.zeros(n * width)  # noqa: E731
        columns = -(-self.columns // 16) * 16
        return MemorySpace(
            lanes(columns * pitch), pitch, lanes(self.size), lanes(self.size), lanes(self.size), lanes(max(columns, self.size)), number.array(self.constants),
            self.penalized,
        )  # fmt: skip


def memory_layout(problem: Any, table: Table | None, dtype: np.dtype) -> MemoryLayout:
    """The layout of a problem of many parameters, on the samples of a table."""
    return _memory_layout(problem, 0 if table is None else table.columns)


@functools.lru_cache(maxsize=64)
def _memory_layout(problem: Any, columns: int) -> MemoryLayout:
    return MemoryLayout(np.arange(problem.parameter_count), columns, problem.constants(), problem.penalized_count)


Layout: TypeAlias = NetworkLayout | SingleRunLayout | FunctionLayout | MemoryLayout
