"""The names that templates are written with. `bind` puts a chosen part in the place of each; alone they are nothing."""

from typing import Any

WIDTH: Any = None  # lanes that are worked on together: of a pack
PACK_WIDTH: Any = None  # lanes of a pack, where WIDTH is a part of them
BLOCK: Any = None  # samples that are worked on at once
ZERO: Any = None  # 0 in the kernel's precision
NUMBERS: Any = None  # the NamedTuple of a run's hyperparameters
NUMBER_COUNT: Any = None
SLOT_COUNT: Any = None
CARRY_COUNT: Any = None
PARAMETER_COUNT: Any = None
SLOT_TOTAL: Any = None  # slots of all parameters
INPUT_COUNT: Any = None  # of a function that is mapped over points
NEEDS_NORM: Any = None  # whether the rule needs the length of the whole gradient
HAS_PENALTY: Any = None  # whether any run may have one
TWO_PASSES: Any = None  # whether the whole gradient is made before the first weight moves
CLIMBS: Any = None  # whether the rule takes its gradient uphill from the weights
SMOOTHING: Any = None  # the share of a label's probability that is spread over all classes
KEEPS_SLOPES: Any = None  # whether slopes are made with the activations, and kept
WEIGHTED: Any = None  # whether samples have weights
BIASES: Any = None  # 1, or 0 for a network without them
COLUMN_COUNT: Any = None  # of a sample
IN_PLACE: Any = None  # whether a step's samples are read where they lie in their table
GATHERED: Any = None  # columns of samples that are gathered together
FEW: Any = None  # likewise, where there are no more
DRAWN: Any = None  # how many samples of one run are drawn at once
HEIGHT: Any = None  # rows of a tile, where there are as many
ROWS: Any = None  # of a tile
COLUMNS: Any = None  # of a tile, in lanes
WATCHES_TARGET: Any = None  # whether lanes look at the loss of their own step, as the one that follows at its gradient
WATCHES_GRADIENT: Any = None
WATCHES_STEP: Any = None  # whether the lengths of steps are asked for
WATCHES_MEAN: Any = None  # whether the losses of batches are added up


def _part(name: str) -> Any:
    def missing(*_: Any) -> Any:
        raise TypeError(f"the part {name!r} of this template was not bound")

    missing.__name__ = missing.__qualname__ = name
    return missing


prepare, update, report, rate, normed = (_part(n) for n in ("prepare", "update", "report", "rate", "normed"))
inner_rate, scheduled_momentum, driven = _part("inner_rate"), _part("scheduled_momentum"), _part("driven")
inner_prepare, inner_update, inner_report, inner_normed = (_part(f"inner_{n}") for n in ("prepare", "update", "report", "normed"))
activation, slope, output, output_slope = (_part(n) for n in ("activation", "slope", "output", "output_slope"))
sample_loss, pointwise, outputs, correct = (_part(n) for n in ("sample_loss", "pointwise", "outputs", "correct"))
fill, draw_key, draw, batch_size = (_part(n) for n in ("fill", "draw_key", "draw", "batch_size"))
product = _part("product")
finish_tile, penalized = _part("finish_tile"), _part("penalized")
evaluate_pack = _part("evaluate_pack")
fill_gradient, fill_whole_gradient = _part("fill_gradient"), _part("fill_whole_gradient")
value_and_gradient, batch_gradient, update_row = (_part(n) for n in ("value_and_gradient", "batch_gradient", "update_row"))
# The members of the job whose table a kernel was given.
job_model, job_pack, job_seats, job_runs, job_agenda = (_part(f"job_{n}") for n in ("model", "pack", "seats", "runs", "agenda"))
job_snapshots, job_fresh, job_scores, job_held_scores = (_part(f"job_{n}") for n in ("snapshots", "fresh", "scores", "held_scores"))
job_reported, job_anchor, job_weights, job_out = (_part(f"job_{n}") for n in ("reported", "anchor", "weights", "out"))
job_feed, job_training_feed = _part("job_feed"), _part("job_training_feed")
job_advance, job_report, job_evaluate, job_evaluations = (_part(f"job_{n}") for n in ("advance", "report", "evaluate", "evaluations"))
pair, function, call = _part("pair"), _part("function"), _part("call")
set_float_mode, restore_float_mode = _part("set_float_mode"), _part("restore_float_mode")
