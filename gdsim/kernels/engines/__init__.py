"""The engines, which train and evaluate the problems of a family: the layout of each, the templates of its
kernels, and the parts that these need.

`problem.family` says which engines there are for a problem; `population.engine_choice` chooses among them. A
new engine is a file here with an `advance` and an evaluation, its layout (`layout`) and working memory
(`kernels.workspace`), a row at the end of this file, and its family in `Problem.family`,
`population.engine_choice`, `population.operations` and `planning.memory.room_of`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gdsim.kernels import steps
from gdsim.kernels.engines import blocks, functions, memory, network, single_run, single_run_products, written_out
from gdsim.kernels.engines.layout import Layout, NetworkLayout, SingleRunLayout, function_layout, memory_layout, network_layout, single_run_layout
from gdsim.kernels.engines.passes import BLOCK, TILE
from gdsim.kernels.engines.register_update import update_row_of
from gdsim.kernels.engines.written_out_edges import written_out_edges
from gdsim.kernels.product_tiles import block_tile, plain_tile, tile_of, tiles_of
from gdsim.kernels.sample_table import Table
from gdsim.kernels.team_memory import TeamKind
from gdsim.lanes.compiler import ScopedPart
from gdsim.lanes.machine import vector_bytes
from gdsim.lanes.warps import THREADS

Parts: TypeAlias = Mapping[str, Any]


class Engine(NamedTuple):
    """How kernels of a structure are made; each function is given the structure, and parts to add to."""

    layout: Callable[[Any, Table | None, np.dtype], Layout]  # of a problem with a table of samples
    evaluation: Callable[["Structure", Parts], Parts]  # what evaluations need
    training: Callable[["Structure", Parts], Parts]  # what steps need
    steps: Callable[["Structure", int, int], tuple[Any, Parts]]  # the template of steps at a width, in which a register has so many lanes, and parts of its own
    calls_batches: bool = False  # whether steps call the kernel `blocks.batches`
    # The layout where what a step of so many samples touches lies in near memory, if it may.
    near_layout: Callable[[Any, Table | None, np.dtype, int], SingleRunLayout] | None = None


class Monitors(NamedTuple):
    """What lanes look at in every step: the loss of their own step, their gradient, the length of the step."""

    target: bool
    gradient: bool
    step: bool
    mean: bool  # the losses of its epoch's batches


class Structure(NamedTuple):
    """What decides a kernel's code, and its sizes, which do not."""

    engine: Engine
    problem_parts: tuple[tuple[str, Any], ...]  # which evaluations need too
    step_parts: tuple[tuple[str, Any], ...]  # of rule and schedule
    globals_read: tuple[str, ...]  # of the user's functions among both: constants of their kernels
    hyperparameters: type[Any]
    slots: int
    carry: int
    shuffle: str
    dtype: str
    layout: Any  # of the engine's own type
    has_penalty: bool
    reports_stored: bool
    needs_whole_gradient: bool
    perturbs: bool
    several_blocks: bool  # whether a step's batch is worked on in more than one
    monitors: Monitors
    title: str
    tangents: int = 0  # of each number
    team: TeamKind | None = None  # None: a run is one worker's


def lane_parts(width: int) -> dict[str, int]:
    """The width of lanes, and how many columns of samples are gathered together."""
    return {"WIDTH": width, "GATHER_WIDTH": min(width, 16), "NARROW_GATHER": min(width, 4), "RUNS": width}


class RunLanes(NamedTuple):
    """The lanes of a single run."""

    lanes: int
    height: int  # of its tallest tiles
    low: int  # the height of its low tiles
    widest: int  # lanes of its widest tiles
    draws: int  # lanes across which its samples are drawn
    tile: Any  # of `product_tiles`
    writes_out: bool  # whether its kernels are made for the sizes of one network


def single_run_lanes(dtype: np.dtype) -> int:
    """Lanes of a single run: those of one of the processor's registers."""
    return max(4, vector_bytes() // dtype.itemsize)


def lanes_of_register(dtype: np.dtype) -> RunLanes:
    """A single run's lanes on a processor: it draws across two registers."""
    lanes = single_run_lanes(dtype)
    return RunLanes(lanes, single_run_products.TILE_HEIGHTS[vector_bytes()], 2, single_run_products.WIDEST, 2 * lanes, plain_tile, writes_out=False)


def lanes_of_warp(dtype: np.dtype) -> RunLanes:
    """A single run's lanes where it has a warp: one of each thread. Few shapes of tiles, as none of them is called."""
    return RunLanes(THREADS, single_run_products.WARP_HEIGHT, 1, 1, THREADS, block_tile, writes_out=True)


def single_run_parts(parts: Parts, layout: SingleRunLayout, own_lanes: RunLanes) -> dict[str, Any]:
    """The parts of a network of one run that has some lanes: its numbers per step and per run are lanes of width 1."""
    lanes, height, low, widest = own_lanes[:4]
    products = single_run_products
    places = {f.__name__: f for f in (
        products.edge_at, products.edge_count, products.cells_of, products.product, products.outer, products.bias_gradients,
        single_run.samples_at, single_run.drawn_samples, single_run.batch_inputs, single_run.block_loss, single_run.correct_answers, single_run.store_outputs,
    )}  # fmt: skip
    if own_lanes.writes_out:
        places |= written_out_edges(tuple(tuple(map(int, row)) for row in layout.edges))
    single = tuple({**parts, **places, "WIDTH": 1}.items())
    own = {f.__name__: ScopedPart(f, single) for f in (steps.begin_step, steps.end_step, steps.stops_here, network.store_scores, network.note_loss)}
    shapes = products.tile_shapes(height, low, widest)
    tiles = {"any_tile": tiles_of(shapes, lanes, own_lanes.tile), "TILE_HEIGHT": height, "LOW_HEIGHT": low, "TILE_WIDTH": widest, "BAND": products.WHOLE_LAYER}
    return {**parts, **places, **own, **tiles, **lane_parts(lanes), "DRAW_WIDTH": own_lanes.draws, "RUNS": 1}


def _network(problem: Any, table: Table | None, dtype: np.dtype) -> NetworkLayout:
    assert table is not None
    return network_layout(problem.wiring, table.pitch, problem.intercept, problem.keeps_slopes)


def _network_evaluation(structure: Structure, parts: Parts) -> Parts:
    own = {"evaluate_pack": network.evaluate_network, "finish_tile": network.keep_tile, "BAND": TILE, "TILE_WIDTH": TILE, "JOINS": structure.layout.joins}
    tiles = {name: tile_of((TILE, columns), parts["WIDTH"], False) for name, columns in (("product_tile", TILE), ("product_column", 1))}
    return {**parts, **own, **tiles}


def _network_training(structure: Structure, parts: Parts) -> Parts:
    return {**parts, "finish_tile": network.update_tile}


def _written_out_training(structure: Structure, parts: Parts) -> Parts:
    assert not structure.layout.joins, "steps are written out for chains of layers alone"
    layers = tuple(tuple(map(int, row[:4])) for row in structure.layout.edges)
    return {**parts, "learn_from_batch": written_out.learn_from_batch_of(layers, bool(parts["BIASES"]))}


def _single_run_engine(lanes_of: Callable[[np.dtype], RunLanes], may_be_near: bool) -> Engine:
    """The engine of a single run that has such lanes, on devices with near memory or on others."""

    def layout(problem: Any, table: Table | None, dtype: np.dtype, step_samples: int = 0) -> SingleRunLayout:
        assert table is not None
        return single_run_layout(
            problem.wiring, table.pitch, problem.intercept, problem.keeps_slopes, lanes_of(dtype).lanes, step_samples=min(step_samples, BLOCK)
        )

    def evaluation(structure: Structure, parts: Parts) -> Parts:
        return single_run_parts(_network_evaluation(structure, parts), structure.layout, lanes_of(np.dtype(structure.dtype)))

    def training(structure: Structure, parts: Parts) -> Parts:
        near = structure.layout.near
        own = {"finish_tile": single_run.update_tile, "run_batch": blocks.batch_in_place, "IN_PLACE": structure.shuffle == "whole" and near is None}
        if near is not None:
            own["step_weights"] = single_run.near_weights
        return single_run_parts({**parts, **own}, near or structure.layout, lanes_of(np.dtype(structure.dtype)))

    return Engine(layout, evaluation, training, lambda structure, width, register: (single_run.advance, {}), near_layout=layout if may_be_near else None)


def _memory_evaluation(structure: Structure, parts: Parts) -> Parts:
    return {**parts, "evaluate_pack": memory.evaluate_in_memory, "BLOCK": BLOCK}


def _function_evaluation(structure: Structure, parts: Parts) -> Parts:
    layout = structure.layout
    evaluate = functions.evaluate_samples if layout.columns else functions.evaluate_function
    return {**parts, "evaluate_pack": evaluate, "PARAMETER_COUNT": layout.size, "COLUMN_COUNT": layout.columns}


def _function_training(structure: Structure, parts: Parts) -> Parts:
    size, slots = structure.layout.size, structure.slots
    gradient = functions.gradient_of_samples if structure.layout.columns else functions.gradient_of_function
    return {**parts, "batch_gradient": gradient, "update_row": update_row_of(size, slots), "SLOT_TOTAL": size * slots}


def _function_steps(structure: Structure, width: int, register: int) -> tuple[Any, Parts]:
    """Lanes in registers are advanced a register at a time."""
    part = width if structure.layout.columns else register
    return functions.advance_of(width // part), {"WIDTH": part, "PACK_WIDTH": width}


NETWORK = Engine(_network, _network_evaluation, _network_training, lambda structure, width, register: (steps.advance, {"one_step": network.one_step}), True)
WRITTEN_OUT = NETWORK._replace(training=_written_out_training, calls_batches=False)
SINGLE_RUN = _single_run_engine(lanes_of_register, may_be_near=False)
RUN_ON_WARP = _single_run_engine(lanes_of_warp, may_be_near=True)
MEMORY = Engine(
    memory_layout, _memory_evaluation, lambda structure, parts: parts, lambda structure, width, register: (steps.advance, {"one_step": memory.one_step})
)
FUNCTION = Engine(function_layout, _function_evaluation, _function_training, _function_steps)
