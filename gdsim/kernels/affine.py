"""Losses of networks at points of a plane of parameters, w(t) = w_0 + t_1 d_1 + t_2 d_2, many packs of points at
once and without a backward pass.

What the samples X add to the sums of a layer is affine in the parameters, and with it in t:

    W(t) X + b(t) 1' = (W_0 X + b_0 1') + t_1 (W_1 X + b_1 1') + t_2 (W_2 X + b_2 1')

The three products on the right are made once of a plane (`tabulate`), so that a point costs two multiplications
for each of these sums, however many features a sample has. All other weights are made of the plane's where
they are needed.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.cpu import Kernels
from gdsim.kernels.engines.blocks import block_loss
from gdsim.kernels.engines.network import correct_answers
from gdsim.kernels.engines.passes import BLOCK, complete, edge_at, edge_count, place_in, product, row_length
from gdsim.kernels.packs import PackKernel
from gdsim.kernels.parts import JOINS, job_plane, job_products
from gdsim.kernels.sample_table import sampler_of
from gdsim.kernels.sampling import fill_shared
from gdsim.kernels.state import Sum, added, total_of
from gdsim.kernels.workspace import BEGINS_SUMS, ENDS_SUMS, Edge, Matrix, Network, NetworkSpace, matrix_at
from gdsim.lanes.memory import table_of
from gdsim.lanes.operations import as_type_of, fma_lanes, load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO, restore_float_mode, set_float_mode
from gdsim.lanes.types import Address, Lane, Lanes, Memory
from gdsim.problems.parts import Sampler, Stream

AXES = 2
TERMS = 1 + AXES  # w_0, d_1, d_2
AT_ONCE = 8  # samples whose activations the nearest cache holds: a quarter less time than with 64, of 32 units


class Products(NamedTuple):
    """What makes the products of a plane's weights with samples."""

    network: Network
    weights: Memory  # [place, lane], one of w_0, d_1, d_2 in a lane
    sampler: Sampler
    sums: Memory  # [unit, sample, term]: of the layers that samples lead to


class Plane(NamedTuple):
    """Points of a plane, and what is found there."""

    network: Network
    terms: Memory  # [place, term]: w_0, d_1, d_2
    sums: Memory  # as `Products` leaves them
    sampler: Sampler  # of targets alone
    coordinates: Memory  # t[pack, axis, lane]
    weights: Memory  # [place, lane], of the points of a pack
    loss: Memory  # [pack, lane]
    accuracy: Memory  # [pack, lane]


class ProductsJob(NamedTuple):
    """What the kernel `tabulate` works on."""

    products: Products


class PlaneJob(NamedTuple):
    """What the kernel `evaluate_plane` works on."""

    plane: Plane


def samples_to(network: Network, block: tuple[int, int], sampler: Sampler) -> None:
    """Puts a block (first, count) of all samples in the place of the first layer's inputs."""
    every = splat(np.uint32(sampler.sample_count), WIDTH)
    fill_shared(network, sampler, Stream(every, 0, every), every, block)


def tabulate(table: Address, first_term: int) -> int:
    """Makes the sums of samples with the terms from `first_term` on, as many as there are lanes."""
    mode = set_float_mode()
    products = job_products(table)
    network, weights, sampler, sums = products.network, products.weights, products.sampler, products.sums
    zeros = Matrix(network.zeros, 0, 0, 0)
    for first in range(0, sampler.sample_count, BLOCK):
        count = min(BLOCK, sampler.sample_count - first)
        samples_to(network, (first, count), sampler)
        samples, row = matrix_at(network.activations, edge_at(network, 0).source), 0
        for index in range(edge_count(network)):
            edge = edge_at(network, index)
            if edge.below < 0:
                start = matrix_at(weights, edge.biases) if edge.links & BEGINS_SUMS else zeros
                product(
                    network, matrix_at(network.activations, edge.result), matrix_at(weights, edge.weights), samples, start, (edge.units, edge.inputs, count)
                )
                keep_sums(network, edge, sums, (row * sampler.sample_count + first, sampler.sample_count, count), first_term)
                row += edge.units
    restore_float_mode(mode)
    return 0


def keep_sums(network: Network, edge: Edge, sums: Memory, block: tuple[int, int, int], first_term: int) -> None:
    """Writes a block of sums, (place of its first, places from unit to unit, samples), one term from each lane."""
    begin, step, count = block
    for unit in range(edge.units):
        for sample in range(count):
            found = edge.result.offset + unit * edge.result.row_step + sample * WIDTH
            place = (begin + unit * step + sample) * TERMS
            for lane in range(min(WIDTH, TERMS - first_term)):
                sums[place + first_term + lane] = network.activations[found + lane]


def at_point(terms: Memory, place: int, t: Lanes) -> Lane:
    """term_0 + t_1 term_1 + t_2 term_2, of the terms at a place."""
    return fma_lanes(t[1], splat(terms[place + 2], WIDTH), fma_lanes(t[0], splat(terms[place + 1], WIDTH), splat(terms[place], WIDTH)))


def weights_at(plane: Plane, t: Lanes) -> None:
    """Makes the weights and biases of a pack's points on all edges but those from the samples."""
    for index in range(edge_count(plane.network)):
        edge = edge_at(plane.network, index)
        if edge.below >= 0:
            for unit in range(edge.units):
                for column in range(row_length(edge)):
                    place, _ = place_in(edge, unit, column)
                    store(plane.weights, place * WIDTH, at_point(plane.terms, place * TERMS, t))


def sums_at(plane: Plane, edge: Edge, block: tuple[int, int], t: Lanes) -> None:
    """Adds to a layer's sums what a block of samples gives; `block` is (place of the first sum, samples)."""
    begin, count = block
    for unit in range(edge.units):
        for sample in range(count):
            place = edge.result.offset + unit * edge.result.row_step + sample * WIDTH
            z = at_point(plane.sums, (begin + unit * plane.sampler.sample_count + sample) * TERMS, t)
            if JOINS and not edge.links & BEGINS_SUMS:
                z = load(plane.network.activations, place, WIDTH) + z
            store(plane.network.activations, place, z)


def forward_at(plane: Plane, first: int, count: int, t: Lanes) -> None:
    """`passes.forward` of a block of samples at a pack's points."""
    network, weights, row = plane.network, plane.weights, 0
    for index in range(edge_count(network)):
        edge = edge_at(network, index)
        sums = matrix_at(network.activations, edge.result)
        if edge.below < 0:
            sums_at(plane, edge, (row * plane.sampler.sample_count + first, count), t)
            row += edge.units
        else:
            start = sums if JOINS and not edge.links & BEGINS_SUMS else matrix_at(weights, edge.biases)
            inputs = matrix_at(network.activations, edge.source)
            product(network, sums, matrix_at(weights, edge.weights), inputs, start, (edge.units, edge.inputs, count))
        if edge.links & ENDS_SUMS:
            complete(network, edge, count)


def evaluate_plane(table: Address, packs: int) -> int:
    """Losses, without penalty, and accuracies at the points of so many packs."""
    mode = set_float_mode()
    plane, zero = job_plane(table), splat(ZERO, WIDTH)
    network, sampler = plane.network, plane.sampler
    every = splat(np.uint32(sampler.sample_count), WIDTH)
    samples = as_type_of(every, zero)
    for pack in range(packs):
        t = load(plane.coordinates, pack * AXES * WIDTH, WIDTH), load(plane.coordinates, (pack * AXES + 1) * WIDTH, WIDTH)
        weights_at(plane, t)
        loss, answers = Sum(zero, zero), zero
        for first in range(0, sampler.sample_count, AT_ONCE):
            count = min(AT_ONCE, sampler.sample_count - first)
            forward_at(plane, first, count, t)
            samples_to(network, (first, count), sampler)
            inputs = matrix_at(network.activations, edge_at(network, 0).source)
            loss = added(loss, block_loss(network, sampler, inputs, (count, every), 1.0 / samples))
            answers = answers + correct_answers(network, sampler, count)
        store(plane.loss, pack * WIDTH, total_of(loss) / samples)
        store(plane.accuracy, pack * WIDTH, answers / samples)
    restore_float_mode(mode)
    return 0


class PlaneKernels:
    """The kernels of one structure of networks on planes, for packs of points."""

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels

    @property
    def _network(self) -> Network:
        model: Any = self.kernels.model(BLOCK)
        assert isinstance(model, NetworkSpace)
        whole: Any = model.whole
        return whole

    def _lanes(self, n: int) -> np.ndarray:
        return self.kernels.number.zeros(n * self.kernels.width)

    def _kernel(self, template: Any, job: Any, title: str) -> PackKernel:
        return PackKernel(self.kernels, self.kernels.described(template, self.kernels.evaluation_parts(), job, title=title))

    @functools.cached_property
    def _tabulate(self) -> Any:
        none, sampler = self._lanes(0), sampler_of(None, None, True, 0, self.kernels.dtype)
        return self._kernel(tabulate, ProductsJob(Products(self._network, none, sampler, none)), "products of a plane's weights").compiled

    @functools.cached_property
    def kernel(self) -> PackKernel:
        """`evaluate_plane`, of jobs of `new_job` and their number of packs."""
        none, sampler = self._lanes(0), sampler_of(None, None, True, 0, self.kernels.dtype)
        return self._kernel(evaluate_plane, PlaneJob(Plane(self._network, none, none, sampler, none, none, none, none)), "losses on a plane")

    @functools.cached_property
    def units(self) -> int:
        """How many units the samples lead to, on all edges."""
        edges = self.kernels.layout.edges
        return int(edges[edges[:, 7] < 0, 1].sum())

    def sums(self, terms: np.ndarray, sampler: Sampler) -> np.ndarray:
        """[unit, sample, term], flat, of terms[term, parameter]: w_0, d_1, d_2."""
        width, layout = self.kernels.width, self.kernels.layout
        sums = self.kernels.number.zeros(self.units * sampler.sample_count * TERMS)
        for first in range(0, TERMS, width):
            weights = self._lanes(layout.size)
            chosen = terms[first : first + width]
            weights.reshape(layout.size, width)[layout.places, : len(chosen)] = chosen.T
            job = ProductsJob(Products(self._network, weights, sampler, sums))  # which the table's addresses lead to
            table = table_of(job)
            self._tabulate(table.ctypes.data, first)
        return sums

    def new_job(self, terms: np.ndarray, sums: np.ndarray, sampler: Sampler, packs: int) -> PlaneJob:
        """Room for so many packs of points on the plane of terms[term, parameter], whose sums are known, and what is found of
        them on a sampler's targets.
        """
        layout, lanes = self.kernels.layout, self._lanes
        placed = self.kernels.number.zeros(layout.size * TERMS)
        placed.reshape(layout.size, TERMS)[layout.places] = terms.T
        return PlaneJob(Plane(self._network, placed, sums, sampler, lanes(packs * AXES), lanes(layout.size), lanes(packs), lanes(packs)))

    def fill(self, job: PlaneJob, coordinates: np.ndarray) -> None:
        """Puts points with coordinates[point, axis] into a job's packs."""
        whole = job.plane.coordinates.reshape(-1, AXES, self.kernels.width)
        padded = np.zeros((len(whole) * self.kernels.width, AXES))
        padded[: len(coordinates)] = coordinates
        whole[:] = padded.reshape(-1, self.kernels.width, AXES).transpose(0, 2, 1)

    @staticmethod
    def moved(job: PlaneJob) -> Any:
        """The arrays of a job in which its points are, and in which their losses without penalty and accuracies are left."""
        return job.plane.coordinates, job.plane.loss, job.plane.accuracy

    @staticmethod
    def shared(job: PlaneJob) -> Any:
        """The arrays of a job that are the same for all points."""
        return job.plane.terms, job.plane.sums, job.plane.sampler
