"""Whole matrices of second derivatives of networks: a pass forward and back for each unit, not for each parameter.

A weight w_ia moves the sum z_i of its unit by the input A_a of each sample, and what follows is A_a times what
follows where z_i moves by 1, as with its bias. With R_i for derivatives by z_i, which are the tangents of an
evaluation whose biases have the tangents e_i, and with the deltas D, those by w_ia and by w_jb of this layer or
a later one are

    H[ia, jb] = sum over samples of A_a (R_i D_j A_b + D_j R_i A_b)

The second term is one of later layers alone, and none of a Gauss-Newton matrix, of which R_i D is what goes
backward of the outputs' H_out J e_i. On the same edge H[ia, jb] = H[ib, ja]: of both the first is made, and of
all that are symmetric the one whose row comes first, so that the matrix is symmetric to the last bit.

A lane has a point and a unit of an edge. A call makes some of the rows of its units: so many that they stay in
a cache while the samples go by, block after block.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.cpu import Kernels
from gdsim.kernels.curvature import network_parts, plane_of_network, scoped
from gdsim.kernels.engines import Structure
from gdsim.kernels.engines.blocks import DELTAS, Passing, run_passes
from gdsim.kernels.engines.network import samples_at
from gdsim.kernels.engines.passes import BLOCK, TILE, cells_of, edge_at, edge_count, inputs_of, outer, place_in, row_length
from gdsim.kernels.parts import JOINS, job_rows, plain_outer
from gdsim.kernels.sample_table import sampler_of
from gdsim.kernels.workspace import BEGINS_SUMS, Edge, GradientTask, Matrix, Network, NetworkSpace, matrix_at, part_from, plane_of, transposed
from gdsim.lanes.memory import plane, table_of
from gdsim.lanes.numbers import Number, zeros
from gdsim.lanes.operations import as_type_of, load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO, restore_float_mode, set_float_mode
from gdsim.lanes.types import Address, Memory
from gdsim.problems.parts import BIASES, Sampler

NEAR_BYTES = 2**21  # of rows that are made together, which a second or third cache holds
FEWEST_ROWS = 8  # made together however long they are: a pass serves them all


class Rows(NamedTuple):
    """What makes rows of matrices, and where they go. Arrays are of plain numbers where nothing else is said."""

    network: Network  # of numbers with a tangent
    weights: Memory  # likewise: points, with the tangents e_i of biases
    sampler: Sampler
    scaled: Memory  # beside the network's deltas
    rows: Memory  # [row, place, lane]
    matrices: Memory  # [run, parameter, parameter]
    parameters: Memory  # int64 [place]: which parameter is there
    matrix: Memory  # int64 [lane]: where the matrix of its point begins
    unit: Memory  # int64 [lane]
    size: int  # of the parameters
    lanes: int  # that have a point
    edge: int  # whose rows are made
    first: int  # of its columns, from which row on
    behind: int
    least: int  # of the lanes' units


class RowsJob(NamedTuple):
    """What the kernel `make_rows` works on."""

    rows: Rows


def make_rows(table: Address, is_whole: int) -> int:
    """Makes rows, of the whole second derivatives or of a Gauss-Newton matrix, and puts them into the matrices."""
    mode = set_float_mode()
    rows = job_rows(table)
    network, sampler, every = rows.network, rows.sampler, splat(np.uint32(rows.sampler.sample_count), WIDTH)
    store(network.samples, 0, as_type_of(every, splat(ZERO, WIDTH)))
    store(network.counts, 0, every)
    for first in range(0, sampler.sample_count, BLOCK):
        count = min(BLOCK, sampler.sample_count - first)
        inputs = samples_at(network, sampler, first, count)
        run_passes(Passing(network, rows.weights, sampler, inputs, count), DELTAS)
        for row in range(rows.first, rows.behind):
            add_row(rows, row, inputs, GradientTask(count, first == 0, None, None), is_whole > 0)
    for row in range(rows.first, rows.behind):
        put_row(rows, row)
    restore_float_mode(mode)
    return 0


def place_of_row(rows: Rows, row: int) -> int:
    """Where the row of one of the edge's columns begins."""
    return (row - rows.first) * len(rows.parameters) * WIDTH


def add_row(rows: Rows, row: int, samples: Matrix, task: GradientTask, is_whole: bool) -> None:
    """Adds to a row, or begins it with, what a block of samples gives."""
    network, own = plane_of_network(rows.network, 1, rows.rows), edge_at(rows.network, rows.edge)
    inputs = inputs_of(network, own, plane_of(samples, 0))
    factor = part_from(inputs, row, 0) if row < own.inputs else Matrix(network.ones, 0, 0, 0)
    for index in range(rows.edge, edge_count(rows.network)):
        edge = edge_at(rows.network, index)
        scale_deltas(rows, network.deltas, edge, factor, task.sample_count)
        begin = (rows.least // TILE * TILE, row // TILE * TILE) if index == rows.edge else (0, 0)
        add_products(rows, network, row, edge, begin, inputs_of(network, edge, plane_of(samples, 0)), task)
        if is_whole and edge.below >= own.layer:
            scale_deltas(rows, plane(rows.network.deltas, 0), edge, factor, task.sample_count)
            moved = matrix_at(plane(rows.network.activations, 1), edge.source)
            add_outer(rows, network, row, edge, begin, moved, GradientTask(task.sample_count, False, None, None))


def scale_deltas(rows: Rows, deltas: Memory, edge: Edge, factor: Matrix, count: int) -> None:
    """Leaves A_a times the deltas of an edge's layer, or times their tangents, sample by sample."""
    cells = cells_of(edge.result, (0, edge.units), count)
    for unit in range(cells.rows):
        for sample in range(cells.columns):
            place = cells.offset + unit * cells.step + sample * WIDTH
            scale = load(factor.array, factor.offset + sample * factor.column_step, WIDTH)
            store(rows.scaled, place, load(deltas, place, WIDTH) * scale)


def add_products(rows: Rows, network: Network, row: int, edge: Edge, begin: tuple[int, int], inputs: Matrix, task: GradientTask) -> None:
    """Adds to the parts of a row at an edge's weights and at its biases."""
    add_outer(rows, network, row, edge, begin, inputs, task)
    if BIASES and (not JOINS or edge.links & BEGINS_SUMS):
        b, unit = edge.biases, begin[0]
        goal = Matrix(rows.rows, place_of_row(rows, row) + b.offset + unit * b.row_step, b.row_step, b.column_step)
        left = part_from(matrix_at(rows.scaled, edge.result), unit, 0)
        plain_outer(network, task, goal, left, Matrix(network.ones, 0, 0, 0), (edge.units - unit, task.sample_count, 1), False)


def add_outer(rows: Rows, network: Network, row: int, edge: Edge, begin: tuple[int, int], inputs: Matrix, task: GradientTask) -> None:
    """Adds to the part of a row at an edge's weights, [unit, column] from `begin` on."""
    W, (unit, column) = edge.weights, begin
    goal = Matrix(rows.rows, place_of_row(rows, row) + W.offset + unit * W.row_step + column * W.column_step, W.row_step, W.column_step)
    left, right = part_from(matrix_at(rows.scaled, edge.result), unit, 0), part_from(transposed(inputs), 0, column)
    plain_outer(network, task, goal, left, right, (edge.units - unit, task.sample_count, edge.inputs - column), True)


def put_row(rows: Rows, row: int) -> None:
    """Puts a row into the matrices of all lanes, and where else its numbers stand."""
    for lane in range(rows.lanes):
        first, own = rows.unit[lane], edge_at(rows.network, rows.edge)
        for index in range(rows.edge, edge_count(rows.network)):
            edge = edge_at(rows.network, index)
            is_same = index == rows.edge
            for unit in range(first if is_same else 0, edge.units):
                for column in range(row if is_same else 0, row_length(edge)):
                    place, _ = place_in(edge, unit, column)
                    value = rows.rows[place_of_row(rows, row) + place * WIDTH + lane]
                    put(rows, lane, value, place_in(own, first, row)[0], place)
                    if is_same:
                        put(rows, lane, value, place_in(own, first, column)[0], place_in(own, unit, row)[0])


def put(rows: Rows, lane: int, value: Any, row_place: int, column_place: int) -> None:
    """Puts a number at (row, column) of a matrix and at (column, row)."""
    row, column, begin = rows.parameters[row_place], rows.parameters[column_place], rows.matrix[lane]
    rows.matrices[begin + row * rows.size + column] = value
    rows.matrices[begin + column * rows.size + row] = value


class Task(NamedTuple):
    """Rows that a call makes: those from `first` to `behind` of an edge's columns, of units of points."""

    edge: int
    first: int
    behind: int
    lanes: list[tuple[int, int]]  # (run, unit)


class HessianKernels:
    """The kernel of whole matrices of one structure of networks, and the memory that it works on."""

    def __init__(self, structure: Structure, width: int, matrix: str) -> None:
        self.structure, self.width, self.matrix = structure, width, matrix
        self.layout, self.number, self.plain = structure.layout, Number(np.dtype(structure.dtype), 1), Number(np.dtype(structure.dtype), 0)
        self.has_biases = bool(dict(structure.problem_parts)["BIASES"])
        self.parameters = zeros(self.layout.size, np.int64)
        self.parameters[self.layout.places] = np.arange(len(self.layout.places))

    @functools.cached_property
    def _make(self) -> Any:
        kernels = Kernels(self.structure, self.width)
        plain = kernels.evaluation_parts()
        parts = {**network_parts(plain, self.number, self.matrix), "plain_outer": scoped(outer, plain)}
        job = RowsJob(self.new_rows(sampler_of(None, None, True, 0, self.number.dtype), zeros(0, self.plain.dtype)))
        return kernels.compiled(kernels.described(make_rows, parts, job, title="matrices of second derivatives"))

    @functools.cached_property
    def _bias_places(self) -> list[np.ndarray]:
        """[unit] of each edge: where the biases of its layer are, or would be."""
        edges = self.layout.edges
        rows = [edges[(edges[:, 6] == layer) & (edges[:, 8] & BEGINS_SUMS > 0)][0] for layer in edges[:, 6]]
        return [first + pitch * np.arange(units) + pitch - 1 for _, units, first, pitch, *_ in rows]

    @functools.cached_property
    def together(self) -> int:
        """How many rows are made together."""
        return max(FEWEST_ROWS, NEAR_BYTES // (self.layout.size * self.width * self.plain.dtype.itemsize))

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """The parameters that are no biases."""
        biases = self.parameters[np.concatenate(self._bias_places)] if self.has_biases else np.zeros(0, int)
        return np.setdiff1d(np.arange(len(self.layout.places)), biases)

    def new_rows(self, sampler: Sampler, matrices: np.ndarray) -> Rows:
        """Room for rows of matrices[run, parameter, parameter] on samples."""
        space: Any = self.layout.space(self.width, self.number, BLOCK)
        assert isinstance(space, NetworkSpace)
        network: Any = space.whole
        lanes = lambda count: self.plain.zeros(count * self.width)  # noqa: E731
        return Rows(
            network, self.number.zeros(self.layout.size * self.width), sampler, lanes(self.layout.rows * network.pitch), lanes(self.together * self.layout.size),
            matrices.reshape(-1), self.parameters, zeros(self.width, np.int64), zeros(self.width, np.int64), len(self.layout.places), 0, 0, 0, 0, 0,
        )  # fmt: skip

    def tasks(self, runs: int) -> list[Task]:
        """All that makes the matrices of so many points."""
        made: list[Task] = []
        for index, (inputs, units, *_, links) in enumerate(self.layout.edges.tolist()):
            columns = inputs + (self.has_biases and bool(links & BEGINS_SUMS))
            lanes = [(run, unit) for unit in range(units) for run in range(runs)]
            packs = [lanes[first : first + self.width] for first in range(0, len(lanes), self.width)]
            made += [Task(index, first, min(first + self.together, columns), pack) for pack in packs for first in range(0, columns, self.together)]
        return made

    def make(self, rows: Rows, points: np.ndarray, task: Task) -> None:
        """Makes rows of the matrices at points[run, parameter]."""
        runs, units = np.array(task.lanes).T
        used, size = len(runs), self.layout.size
        rows.weights.values.reshape(size, self.width)[self.layout.places, :used] = points[runs].T
        tangents = rows.weights.tangents.reshape(size, self.width)
        tangents[:] = 0.0
        tangents[self._bias_places[task.edge][units], np.arange(used)] = 1.0
        rows.matrix[:used], rows.unit[:used] = runs * rows.size**2, units
        table = table_of(RowsJob(rows._replace(lanes=used, edge=task.edge, first=task.first, behind=task.behind, least=int(units.min()))))
        self._make(table.ctypes.data, int(self.matrix == "hessian"))
