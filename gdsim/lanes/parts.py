"""The names that templates are written with. `bind` puts a chosen part in the place of each, and refuses what is no part."""

import types
from typing import Any

DECLARED: set[str] = set()  # the names of all parts
DEFAULTS: set[Any] = set()  # functions that are parts, and stand where no other is chosen


class Part:
    """A name in whose place `bind` puts what was chosen; alone it is nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        DECLARED.add(name)

    def __repr__(self) -> str:
        return f"Part({self.name!r})"


def part(name: str) -> Any:
    """Declares a part that a template cannot do without."""
    return Part(name)


def default_part(function: Any) -> Any:
    """Marks a function as a part: `bind` may put another of its name in its place."""
    DEFAULTS.add(function)
    DECLARED.add(function.__name__)
    return function


def is_part(value: Any) -> bool:
    """Whether `bind` may put another value in the place of this global."""
    return isinstance(value, Part) or (isinstance(value, types.FunctionType) and value in DEFAULTS)


WIDTH: Any = part("WIDTH")  # lanes that are worked on together: of a pack
PACK_WIDTH: Any = part("PACK_WIDTH")  # lanes of a pack, where WIDTH is a part of them
BLOCK: Any = part("BLOCK")  # samples that are worked on at once
ZERO: Any = part("ZERO")  # 0 in the kernel's precision
NUMBERS: Any = part("NUMBERS")  # the NamedTuple of a run's hyperparameters
NUMBER_COUNT: Any = part("NUMBER_COUNT")
SLOT_COUNT: Any = part("SLOT_COUNT")
CARRY_COUNT: Any = part("CARRY_COUNT")
PARAMETER_COUNT: Any = part("PARAMETER_COUNT")
SLOT_TOTAL: Any = part("SLOT_TOTAL")  # slots of all parameters
INPUT_COUNT: Any = part("INPUT_COUNT")  # of a function that is mapped over points
NEEDS_NORM: Any = part("NEEDS_NORM")  # whether the rule needs the length of the whole gradient
HAS_PENALTY: Any = part("HAS_PENALTY")  # whether any run may have one
TWO_PASSES: Any = part("TWO_PASSES")  # whether the whole gradient is made before the first weight moves
CLIMBS: Any = part("CLIMBS")  # whether the rule takes its gradient uphill from the weights
SMOOTHING: Any = part("SMOOTHING")  # the share of a label's probability that is spread over all classes
KEEPS_SLOPES: Any = part("KEEPS_SLOPES")  # whether slopes are made with the activations, and kept
WEIGHTED: Any = part("WEIGHTED")  # whether samples have weights
BIASES: Any = part("BIASES")  # 1, or 0 for a network without them
COLUMN_COUNT: Any = part("COLUMN_COUNT")  # of a sample
IN_PLACE: Any = part("IN_PLACE")  # whether a step's samples are read where they lie in their table
GATHERED: Any = part("GATHERED")  # columns of samples that are gathered together
FEW: Any = part("FEW")  # likewise, where there are no more
DRAWN: Any = part("DRAWN")  # how many samples of one run are drawn at once
HEIGHT: Any = part("HEIGHT")  # rows of a tile, where there are as many
ROWS: Any = part("ROWS")  # of a tile
COLUMNS: Any = part("COLUMNS")  # of a tile, in lanes
WATCHES_TARGET: Any = part("WATCHES_TARGET")  # whether lanes look at the loss of their own step, as the one that follows at its gradient
WATCHES_GRADIENT: Any = part("WATCHES_GRADIENT")
WATCHES_STEP: Any = part("WATCHES_STEP")  # whether the lengths of steps are asked for
WATCHES_MEAN: Any = part("WATCHES_MEAN")  # whether the losses of batches are added up

prepare, update, report, rate, normed = (part(n) for n in ("prepare", "update", "report", "rate", "normed"))
inner_rate, scheduled_momentum, driven = part("inner_rate"), part("scheduled_momentum"), part("driven")
inner_prepare, inner_update, inner_report, inner_normed = (part(f"inner_{n}") for n in ("prepare", "update", "report", "normed"))
activation, slope, output, output_slope = (part(n) for n in ("activation", "slope", "output", "output_slope"))
sample_loss, pointwise, outputs, correct = (part(n) for n in ("sample_loss", "pointwise", "outputs", "correct"))
fill, draw_key, draw, batch_size = (part(n) for n in ("fill", "draw_key", "draw", "batch_size"))
product = part("product")
finish_tile, penalized = part("finish_tile"), part("penalized")
evaluate_pack = part("evaluate_pack")
fill_gradient, fill_whole_gradient = part("fill_gradient"), part("fill_whole_gradient")
value_and_gradient, batch_gradient, update_row = (part(n) for n in ("value_and_gradient", "batch_gradient", "update_row"))
# The members of the job whose table a kernel was given.
job_model, job_pack, job_seats, job_runs, job_agenda = (part(f"job_{n}") for n in ("model", "pack", "seats", "runs", "agenda"))
job_snapshots, job_fresh, job_scores, job_held_scores = (part(f"job_{n}") for n in ("snapshots", "fresh", "scores", "held_scores"))
job_reported, job_anchor, job_weights, job_out = (part(f"job_{n}") for n in ("reported", "anchor", "weights", "out"))
job_feed, job_training_feed, job_tables, job_feeds = (part(f"job_{n}") for n in ("feed", "training_feed", "tables", "feeds"))
job_advance, job_report, job_evaluate, job_evaluations = (part(f"job_{n}") for n in ("advance", "report", "evaluate", "evaluations"))
pair, function, call = part("pair"), part("function"), part("call")
set_float_mode, restore_float_mode = part("set_float_mode"), part("restore_float_mode")
