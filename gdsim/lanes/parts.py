"""The names that templates are written with. `bind` puts a chosen part in the place of each; alone they are nothing."""

from typing import Any

WIDTH: Any = None  # lanes of a pack
ZERO: Any = None  # 0 in the kernel's precision
NUMBERS: Any = None  # the NamedTuple of a run's hyperparameters
NUMBER_COUNT: Any = None
SLOT_COUNT: Any = None
CARRY_COUNT: Any = None


def _part(name: str) -> Any:
    def missing(*_: Any) -> Any:
        raise TypeError(f"the part {name!r} of this template was not bound")

    missing.__name__ = missing.__qualname__ = name
    return missing


prepare, update, report, rate = (_part(n) for n in ("prepare", "update", "report", "rate"))
activation, slope, output, output_slope = (_part(n) for n in ("activation", "slope", "output", "output_slope"))
sample_loss, pointwise, outputs, correct = (_part(n) for n in ("sample_loss", "pointwise", "outputs", "correct"))
fill, draw_key, draw, batch_size = (_part(n) for n in ("fill", "draw_key", "draw", "batch_size"))
finish_tile, penalized = _part("finish_tile"), _part("penalized")
pair, function, call = _part("pair"), _part("function"), _part("call")
set_float_mode, restore_float_mode = _part("set_float_mode"), _part("restore_float_mode")
