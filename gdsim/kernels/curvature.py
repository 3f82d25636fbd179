"""Products with the second derivatives of losses, by evaluation on numbers with tangents.

At parameters w whose tangents are v, the gradient g(w) that an evaluation leaves has the tangents H v: its
kernels are those of `evaluation`, on dual numbers, with parts of their own for what is left and for products
with samples, which have no tangents. A Gauss-Newton product is J' H_out J v, H_out the second derivatives of
the losses by the outputs: forward and losses on dual numbers, of which the tangents of the outputs' deltas are
H_out J v, and these go backward as deltas do, through kernels of plain numbers.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels import evaluation
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.engines import NETWORK, Parts, passes
from gdsim.kernels.engines.blocks import WRITE, Passing, block_loss, pass_block
from gdsim.kernels.engines.dual_products import with_tangents
from gdsim.kernels.engines.passes import BLOCK, edge_at, edge_count, forward, place_in, row_length
from gdsim.kernels.lanczos import Search, search
from gdsim.kernels.packs import PackKernel, PackWork
from gdsim.kernels.parts import TANGENTS, plain_deltas, plain_gradients
from gdsim.kernels.penalty import penalized_gradient
from gdsim.kernels.sample_table import sampler_of
from gdsim.kernels.workspace import AnyNetwork, GradientTask, Network, NetworkSpace, Workspace, plane_of
from gdsim.lanes.compiler import ScopedPart, describe
from gdsim.lanes.memory import plane, table_of, view_of
from gdsim.lanes.numbers import Duals, Number, zeros
from gdsim.lanes.operations import load, splat, store
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.tiles import store_row
from gdsim.lanes.types import Address, Lane, Lanes, Memory
from gdsim.problems.parts import MemorySpace, Sampler

MATRICES = ("hessian", "gauss_newton")


class Derivatives(NamedTuple):
    """What an evaluation leaves: the fields of `Scores` that it reads and writes, and the gradient of a
    function of few parameters, which has no room elsewhere.
    """

    loss: Memory
    gradient_norm: Memory
    gradient_largest: Memory
    l1: Memory
    l2: Memory
    gradients: Memory  # [parameter, lane]


class ProductJob(NamedTuple):
    """What `evaluation.evaluate` works on here: weights are the points, their tangents the vectors."""

    model: Workspace
    weights: Memory
    sampler: Sampler
    scores: Derivatives


def store_gradient(scores: Derivatives, loss: Lane, gradient: Lanes) -> None:
    """`functions.store_scores`: writes the loss and the gradient."""
    store(scores.loss, 0, loss)
    store_row(scores.gradients, 0, WIDTH, gradient)


def store_penalized(network: Network, weights: Memory, scores: Derivatives, means: tuple[Lane, Lane], with_gradient: bool) -> None:
    """`network.store_scores`: writes the loss without penalty, and adds the penalty's share to the gradient."""
    store(scores.loss, 0, means[0])
    l1, l2 = load(scores.l1, 0, WIDTH), load(scores.l2, 0, WIDTH)
    for index in range(edge_count(network)):
        edge = edge_at(network, index)
        for unit in range(edge.units):
            for column in range(row_length(edge)):
                place, is_weight = place_in(edge, unit, column)
                if is_weight:
                    g, w = load(network.gradients, place * WIDTH, WIDTH), load(weights, place * WIDTH, WIDTH)
                    store(network.gradients, place * WIDTH, penalized_gradient(g, w, l1, l2))


def no_answers(network: AnyNetwork, sampler: Sampler, count: int) -> Lane:
    """`network.correct_answers`, which nobody asks for."""
    return splat(ZERO, WIDTH)


def plane_of_network(network: Network, number: int, gradients: Memory) -> Network:
    """A network of plain numbers: the values of one with tangents, with one of the tangents (1, 2, ...) for
    deltas, and memory of its own for gradients.
    """
    return Network(
        network.edges, plane(network.activations, 0), plane(network.slopes, 0), plane(network.deltas, number), gradients,
        plane(network.saved_weights, 0), plane(network.tile, 0), plane(network.zeros, 0), plane(network.ones, 0), network.counts,
        plane(network.samples, 0), plane(network.loss, 0), network.pitch, network.batches, network.passes,
    )  # fmt: skip


def pass_gauss_newton(block: Passing, aim: int) -> None:
    """`blocks.run_passes`: leaves J' H_out J v of a block as the tangents of the gradient, what goes backward on the
    way there as those of the deltas.
    """
    network: Any = block.network  # of a pack
    count = block.samples
    forward(network, block.weights, block.inputs, count)
    valid = count, load(network.counts, 0, WIDTH)
    store(network.loss, 0, block_loss(network, block.sampler, block.inputs, valid, 1.0 / load(network.samples, 0, WIDTH)))
    for number in range(1, 1 + TANGENTS):
        plain = plane_of_network(network, number, plane(network.gradients, number))
        plain_deltas(plain, plane(block.weights, 0), count)
        if aim >= WRITE:
            plain_gradients(plain, GradientTask(count, aim == WRITE, None, None), plane_of(block.inputs, 0))


def scoped(function: Any, parts: Parts) -> ScopedPart:
    """A function with all parts for its own."""
    return ScopedPart(function, tuple(parts.items()))


def network_parts(plain: Parts, number: Number, matrix: str) -> dict[str, Any]:
    """The parts of a network's evaluation on numbers with tangents, from those on plain numbers."""
    own: dict[str, Any] = {"run_passes": pass_block, "store_scores": store_penalized, "correct_answers": no_answers}
    if matrix == "gauss_newton":
        backward = {"plain_deltas": scoped(passes.all_deltas, plain), "plain_gradients": scoped(passes.all_gradients, plain)}
        own |= {"run_passes": pass_gauss_newton, **backward}
    return {**with_tangents(dict(plain), number), **own}


class CurvatureKernels:
    """The kernel of one structure's products with a matrix of `MATRICES`, and the memory that it works on.

    Each lane has a point, and at it `tangents` vectors.
    """

    def __init__(self, kernels: Kernels, tangents: int, matrix: str) -> None:
        self.kernels, self.structure, self.width, self.matrix = kernels, kernels.structure, kernels.width, matrix
        self.number = Number(np.dtype(self.structure.dtype), tangents)

    @functools.cached_property
    def kernel(self) -> PackKernel:
        """What leaves products where its argument is 1."""
        plain, sampler = self.kernels.evaluation_parts(), sampler_of(None, None, True, 0, self.number.dtype)
        if self.structure.engine is NETWORK:
            parts = network_parts(plain, self.number, self.matrix)
        else:
            parts = {**plain, "ZERO": self.number.zero, "store_scores": store_gradient}
        job = self.new_job(sampler, 0.0, 0.0)
        return PackKernel(self.kernels, self.kernels.described(evaluation.evaluate, parts, job, title="products with curvature"))

    def new_job(self, sampler: Sampler, l1: float, l2: float) -> ProductJob:
        """A pack of points and vectors that are 0, and room for what is made of them on samples, with the
        penalties' factors.
        """
        size, lanes = self.structure.layout.size * self.width, self.number.zeros
        one = functools.partial(self.number.full, self.width)
        scores = Derivatives(one(0), one(0), one(0), one(l1), one(l2), lanes(size))
        return ProductJob(self.structure.layout.space(self.width, self.number, BLOCK), lanes(size), sampler, scores)

    def set_vectors(self, job: ProductJob, points: np.ndarray, vectors: np.ndarray) -> None:
        """Puts points[lane, parameter] and vectors[lane, tangent, parameter] into up to `width` lanes."""
        layout, used = self.structure.layout, len(points)
        job.weights.values.reshape(layout.size, self.width)[layout.places, :used] = points.T
        lanes = job.weights.tangents.reshape(self.number.tangents, layout.size, self.width)
        lanes[:, layout.places, :used] = vectors.transpose(1, 2, 0)

    def products(self, job: ProductJob, lanes: int) -> np.ndarray:
        """The products [lane, tangent, parameter] that were left in so many lanes."""
        tangents = gradients_in(job).tangents.reshape(self.number.tangents, -1, self.width)
        return tangents[:, self.structure.layout.places, :lanes].transpose(2, 0, 1)

    @staticmethod
    def moved(job: ProductJob) -> Any:
        """The arrays of a job that `set_vectors` and `products` touch."""
        return job.weights, gradients_in(job)

    @functools.cached_property
    def search(self) -> PackKernel:
        """`lanczos.search`, of jobs of `new_search` and a number of products."""
        job = self.new_search(self.new_job(sampler_of(None, None, True, 0, self.number.dtype), 0.0, 0.0), (0.0, 0.0), 1)
        parts = {"WIDTH": self.width, "search_of": view_of(job, ("evaluated",)), **self.kernels.attending}
        from numba import types

        bound = describe(search, parts, types.int64(types.int64, types.int64), "Lanczos of curvature")
        return PackKernel(self.kernels, bound, self.kernel)

    def new_search(self, products: ProductJob, shares: tuple[float, float], most: int) -> Search:
        """Room for a search by up to so many products; `shares` are those of `Search.settled` and `Search.lost`."""
        layout = self.structure.layout
        room = lambda rows: zeros(rows * self.width, np.float64)  # noqa: E731
        settled, lost = (np.full(1, share) for share in shares)
        return Search(
            self.kernel.address if self.kernels.attendants == 1 else 0, 0, layout.places.astype(np.int64), products.weights, gradients_in(products),
            room(len(layout.places)), room(len(layout.places)), room(most), room(most), room(most), room(1), settled, lost,
            np.zeros(table_of(products).size, np.int64), products,
        )  # fmt: skip

    def searching(self, most: int, new_job: Callable[[], Search], fill: Callable[[Search, int], None], take: Callable[[Search, int], None]) -> PackWork:
        """`search` of packs that `fill` puts into jobs and `take` out of them."""
        moved = lambda job: (job.weights, job.evaluated.scores, job.diagonal, job.beside, job.found)  # noqa: E731
        return PackWork(self.search, most, new_job, fill, take, moved, lambda job: job.evaluated.sampler, lambda job: job.table, self.linked)

    def set_starts(self, job: Search, points: np.ndarray, starts: np.ndarray) -> None:
        """Puts points[lane, parameter] and unit vectors starts[lane, parameter] into up to `width` lanes; the others are done at
        once.
        """
        job.evaluated.weights.tangents[:] = 0.0
        self.set_vectors(job.evaluated, points, starts[:, None])

    @staticmethod
    def linked(job: Search, address: Callable[[np.ndarray], Address]) -> Search:
        """The job with the table of what it evaluates, in the memory in which `address` says where arrays lie."""
        job.table[:] = table_of(job.evaluated, address)
        return job._replace(evaluation=address(job.table))


def gradients_in(job: ProductJob) -> Duals:
    """Where an evaluation has left the gradient."""
    model: Any = job.model
    if isinstance(model, NetworkSpace):
        return model.whole.gradients
    return model.gradients if isinstance(model, MemorySpace) else job.scores.gradients
