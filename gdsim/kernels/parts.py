"""The parts of training and evaluation that `cpu` or an engine chooses for a structure, and the readers of
the job that a kernel works on.
"""

from collections.abc import Callable
from typing import Any

from gdsim.kernels.job import Job
from gdsim.kernels.state import Pack, Scores, StepInputs, StepStats
from gdsim.kernels.workspace import AnyNetwork, FunctionSpace, GradientTask, Matrix, Workspace
from gdsim.lanes.parts import part
from gdsim.lanes.permutation import OrderKey
from gdsim.lanes.types import Address, Count, Hyperparameters, Lane, Lanes, Memory
from gdsim.problems.parts import Sampler, Stream

# Sizes.
RUNS: int = part("RUNS")  # runs whose numbers lie side by side: all lanes of a pack, 1 where one run has all lanes
PACK_WIDTH: int = part("PACK_WIDTH")  # lanes of a pack, where WIDTH is a part of them
HYPERPARAMETERS: Any = part("HYPERPARAMETERS")  # the NamedTuple of a run's hyperparameters
HYPERPARAMETER_COUNT: int = part("HYPERPARAMETER_COUNT")
SLOT_COUNT: int = part("SLOT_COUNT")  # of one parameter
CARRY_COUNT: int = part("CARRY_COUNT")
PARAMETER_COUNT: int = part("PARAMETER_COUNT")
SLOT_TOTAL: int = part("SLOT_TOTAL")  # slots of all parameters
COLUMN_COUNT: int = part("COLUMN_COUNT")  # of a sample
# What a step does.
NEEDS_WHOLE_GRADIENT: bool = part("NEEDS_WHOLE_GRADIENT")  # whether the rule needs the length of the whole gradient, and the loss
HAS_PENALTY: bool = part("HAS_PENALTY")  # whether any run may have one
TWO_PASSES: bool = part("TWO_PASSES")  # whether the whole gradient is made before the first weight moves
PERTURBS: bool = part("PERTURBS")  # whether the rule takes its gradient uphill from the weights
MONITORS_TARGET: bool = part("MONITORS_TARGET")  # whether lanes look at the loss of their own step
MONITORS_GRADIENT: bool = part("MONITORS_GRADIENT")  # likewise at its gradient
MONITORS_STEP: bool = part("MONITORS_STEP")  # whether the lengths of steps are asked for
MONITORS_MEAN: bool = part("MONITORS_MEAN")  # whether the losses of batches are added up
JOINS: bool = part("JOINS")  # whether several edges lead into a layer, or out of one, or a layer adds activations
# How samples and tiles are read.
IN_PLACE: bool = part("IN_PLACE")  # whether a step's samples are read where they lie in their table
GATHER_WIDTH: int = part("GATHER_WIDTH")  # columns of samples that are gathered together
NARROW_GATHER: int = part("NARROW_GATHER")  # likewise, where there are no more
DRAW_WIDTH: int = part("DRAW_WIDTH")  # how many samples of one run are drawn at once
TILE_HEIGHT: int = part("TILE_HEIGHT")  # rows of a tile, where there are as many
LOW_HEIGHT: int = part("LOW_HEIGHT")  # rows of the low tiles, where there are fewer than 4
TILE_WIDTH: int = part("TILE_WIDTH")  # lanes of a tile side by side, where there are as many
ROWS: int = part("ROWS")  # of a tile
TWO_ROWS: int = part("TWO_ROWS")  # twice as many
THREE_ROWS: int = part("THREE_ROWS")
COLUMNS: int = part("COLUMNS")  # of a tile, in lanes
BROADCASTS: bool = part("BROADCASTS")  # whether a tile's rows are numbers, not lanes
TANGENTS: int = part("TANGENTS")  # of each number
BAND: int = part("BAND")  # units whose deltas are made together, and then get their slopes


@part
def scheduled_hyperparameters(h: Hyperparameters, t: Lane) -> Hyperparameters:
    """A run's hyperparameters at update t, with the momentum that its schedule gives them."""
    ...


@part
def schedule_numbers(h: Hyperparameters) -> Hyperparameters:
    """The numbers of a run's schedule, by the schedule's own names."""
    ...


@part
def penalized(g: Lane, w: Lane, step: StepInputs) -> Lane:
    """g + l2 w + l1 sign(w), a weight's gradient with the penalty's share.

    It is g itself where no run has a penalty.
    """
    ...


@part
def order_number(step: Lane, steps: Count | Lane) -> Lane:
    """The number of the order from which update number `step` (from 0) draws, where `steps` make an epoch."""
    ...


@part
def epoch_steps(sampler: Sampler, stream: Stream) -> Count | Lane:
    """After how many steps a stream draws by another key."""
    ...


@part
def worker_draw(sampler: Sampler, key: Lanes, stream: Stream, step: Lane, element: Lane) -> Lane:
    """`draw` of one worker, of several whose batches make up one."""
    ...


@part
def draw_key(sampler: Sampler, stream: Stream, step: Lane) -> OrderKey | Lanes:
    """The key of the order that update number `step` (from 0) draws from."""
    ...


@part
def draw(sampler: Sampler, key: OrderKey | Lanes, stream: Stream, step: Lane, element: Lane) -> Lane:
    """The index of the sample at one place of a step's batch."""
    ...


@part
def product_tile(exchanged: bool, terms: int, left: Matrix, right: Matrix, start: Matrix, goal: Matrix) -> None:
    """goal[i, j] = start[i, j] + sum_k left[i, k] right[k, j], for a tile of lanes.

    The first factor of each term is left's, unless C' = S' + R' L' is made in the place of C = S + L R: where
    the factors are `exchanged` it is right's.
    """
    ...


@part
def product_column(exchanged: bool, terms: int, left: Matrix, right: Matrix, start: Matrix, goal: Matrix) -> None:
    """The same for one column."""
    ...


@part
def any_tile(shape: tuple[int, int], exchanged: bool, terms: int, left: Matrix, right: Matrix, start: Matrix, goal: Matrix) -> None:
    """The same for a tile of `shape`, (rows of numbers, lanes side by side)."""
    ...


@part
def still_product(network: AnyNetwork, goal: Matrix, left: Matrix, right: Matrix, start: Matrix, shape: tuple[int, int, int]) -> None:
    """`engines.passes.product` of numbers with tangents, which are 0 in `right`."""
    ...


@part
def moving_product(network: AnyNetwork, goal: Matrix, left: Matrix, right: Matrix, start: Matrix, shape: tuple[int, int, int]) -> None:
    """`engines.passes.product` of numbers with tangents."""
    ...


@part
def still_outer(network: AnyNetwork, task: GradientTask, goal: Matrix, left: Matrix, right: Matrix, shape: tuple[int, int, int], is_weight: bool) -> None:
    """`engines.passes.outer` of numbers with tangents, which are 0 in `right`."""
    ...


@part
def moving_outer(network: AnyNetwork, task: GradientTask, goal: Matrix, left: Matrix, right: Matrix, shape: tuple[int, int, int], is_weight: bool) -> None:
    """`engines.passes.outer` of numbers with tangents."""
    ...


@part
def plain_deltas(network: AnyNetwork, weights: Memory, count: int) -> None:
    """`engines.passes.all_deltas` of numbers without tangents."""
    ...


@part
def plain_gradients(network: AnyNetwork, task: GradientTask, samples: Matrix) -> None:
    """`engines.passes.all_gradients` of numbers without tangents."""
    ...


@part
def plain_outer(network: AnyNetwork, task: GradientTask, goal: Matrix, left: Matrix, right: Matrix, shape: tuple[int, int, int], is_weight: bool) -> None:
    """`engines.passes.outer` of numbers without tangents."""
    ...


@part
def finish_tile(network: AnyNetwork, task: GradientTask, goal: Matrix, shape: tuple[int, int], numbers: int, is_weight: bool) -> None:
    """Uses a tile (rows, lanes side by side) of finished gradients, of which `numbers` of a row count, of the
    weights or biases at `goal`.
    """
    ...


@part
def one_step(table: Address, model: Workspace, pack: Pack, sampler: Sampler) -> int:
    """A step of every lane of the pack of a job, with its runs' state: `steps.GOES_ON`, ENDED_BEFORE or ENDED_AFTER."""
    ...


@part
def batch_gradient(model: FunctionSpace, sampler: Sampler, x: Lanes, stream: Stream, step: Lane) -> tuple[Lane, Lanes]:
    """(loss, gradient) of a step's batch at the parameters x."""
    ...


@part
def update_row(x: Lanes, gradient: Lanes, slots: Lanes, step: StepInputs, stats: StepStats) -> tuple[Lanes, Lanes, StepStats]:
    """(x, slots, stats) after every parameter of a row was updated."""
    ...


@part
def evaluate_pack(model: Workspace, weights: Memory, sampler: Sampler, scores: Scores, with_gradient: bool) -> None:
    """Fills the scores of every lane at the given weights; those of the gradient where they are asked for."""
    ...


# Where a kernel is a part of another, on devices: each with the parts that it would have by itself.
train_pack: Callable[[Address, Count], int] = part("train_pack")  # `training.train`
advance_pack: Callable[[Address, Count], Count] = part("advance_pack")  # an engine's steps
report_pack: Callable[[Address, Count], Count] = part("report_pack")  # `steps.report_all`
evaluate_points: Callable[[Address, int], int] = part("evaluate_points")  # `evaluation.evaluate`
pack_kernel: Callable[[Address, Count], int] = part("pack_kernel")  # a `packs.PackKernel`

job_of: Callable[[Address], Job] = part("job_of")  # the training job whose table a kernel was given, but for its model
search_of: Callable[[Address], Any] = part("search_of")  # likewise the Search of a Lanczos process

# The members of the job whose table a kernel was given, made for its shape by `lanes.memory.readers_of`. Of a
# training job:
job_pack: Callable[[Address], Pack] = part("job_pack")  # the runs in the lanes
job_scores: Callable[[Address], Scores] = part("job_scores")  # of an evaluation too
job_reported: Callable[[Address], Memory] = part("job_reported")  # the reported parameters
job_training_sampler: Callable[[Address], Sampler] = part("job_training_sampler")  # how steps draw samples
job_model: Callable[[Address], Any] = part("job_model")  # the problem's working memory; of an evaluation too
# Of an evaluation or a prediction:
job_passing: Callable[[Address], Any] = part("job_passing")  # a block on its way through a network
job_weights: Callable[[Address], Memory] = part("job_weights")
job_sampler: Callable[[Address], Sampler] = part("job_sampler")
job_plane: Callable[[Address], Any] = part("job_plane")  # points of a plane, and what is found there
job_products: Callable[[Address], Any] = part("job_products")  # what makes the products of a plane's weights with samples
job_rows: Callable[[Address], Any] = part("job_rows")  # what makes rows of second derivatives
job_out: Callable[[Address], Memory] = part("job_out")  # [sample, unit, lane]: a network's outputs
