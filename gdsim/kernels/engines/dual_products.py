"""Products of a network's matrices of numbers with tangents: two products of plain numbers for each tangent, one
where what is on the right of a product has none.
"""

from typing import Any

from gdsim.kernels.engines.passes import TILE, edge_at, outer, product
from gdsim.kernels.parts import moving_outer, moving_product, still_outer, still_product
from gdsim.kernels.product_tiles import moving_tile, still_tile, tile_of
from gdsim.kernels.workspace import AnyNetwork, GradientTask, Matrix
from gdsim.lanes.compiler import ScopedPart
from gdsim.lanes.numbers import Number


def is_still(network: AnyNetwork, right: Matrix) -> bool:
    """Whether what is on the right of a product has no tangents: samples, which begin the activations, and
    what a bias is multiplied by.
    """
    return right.offset == edge_at(network, 0).source.offset


def dual_product(network: AnyNetwork, goal: Matrix, left: Matrix, right: Matrix, start: Matrix, shape: tuple[int, int, int]) -> None:
    """`passes.product` of numbers with tangents."""
    if is_still(network, right):
        still_product(network, goal, left, right, start, shape)
    else:
        moving_product(network, goal, left, right, start, shape)


def dual_outer(network: AnyNetwork, task: GradientTask, goal: Matrix, left: Matrix, right: Matrix, shape: tuple[int, int, int], is_weight: bool) -> None:
    """`passes.outer` of numbers with tangents."""
    if is_still(network, right):
        still_outer(network, task, goal, left, right, shape, is_weight)
    else:
        moving_outer(network, task, goal, left, right, shape, is_weight)


def with_tangents(parts: dict[str, Any], number: Number) -> dict[str, Any]:
    """The parts of kernels on plain numbers, those of networks too, as kernels on numbers with tangents have
    them.
    """
    base = {**parts, "ZERO": number.zero, "TANGENTS": number.tangents}
    if "product_tile" not in parts:
        return base
    scopes = []
    for tile in (still_tile, moving_tile):
        own = {
            name: tile_of((TILE, columns), parts["WIDTH"], False, tile, number.tangents) for name, columns in (("product_tile", TILE), ("product_column", 1))
        }
        scopes.append(tuple({**base, **own}.items()))
    still, moving = scopes
    return {
        **base, "product": dual_product, "still_product": ScopedPart(product, still), "moving_product": ScopedPart(product, moving),
        "outer": dual_outer, "still_outer": ScopedPart(outer, still), "moving_outer": ScopedPart(outer, moving),
    }  # fmt: skip
