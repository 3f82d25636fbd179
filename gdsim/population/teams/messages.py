"""What compressed messages make of a team's kernels."""

from typing import Any

from gdsim.distribution import EF21, Compressor, ErrorFeedback, PowerSGD
from gdsim.distribution.base import most_of
from gdsim.kernels.team_memory import Factors, TeamKind
from gdsim.kernels.teams import gradients, messages, outer
from gdsim.kernels.teams.compression import COMPRESS
from gdsim.population.hyperparameters import own_numbers_of
from gdsim.population.setting import DISTRIBUTION, Setting
from gdsim.rules import Rule

MEMORIES = {ErrorFeedback: messages.KEEPS_ERROR, EF21: messages.KEEPS_VECTOR}

WAYS = {"sent_by": messages.way_gone, "message_scale": messages.no_scale}  # what workers send who have stepped


def matrices_of(problem: Any) -> list[tuple[int, int, int]]:
    """(first parameter, rows, columns) of each matrix of a network's weights; of other problems none."""
    first, found = 0, []
    for inputs, units in problem.layers:
        found.append((first, units, inputs))
        first += (inputs + problem.intercept) * units
    return found


def with_messages(kind: TeamKind, compression: Compressor, setting: Setting, own: dict[str, Any]) -> TeamKind:
    """A kind of teams whose server steps, by what it receives of compressed messages; `own` are the parts that
    say what is sent.
    """
    inner, memory = compression.innermost, MEMORIES.get(type(compression), messages.FORGETS)
    field = "compression_compressor_" if memory else "compression_"
    numbers = inner.hyperparameters()
    names = (*numbers, *inner.constants(dict.fromkeys(numbers, 0.5), setting.problem.parameter_count))
    is_of_mean = isinstance(inner, PowerSGD)
    parts = {
        "compress": COMPRESS[type(inner).__name__], "compression_numbers": own_numbers_of("compression_numbers", DISTRIBUTION + field, names),
        "MEMORY": memory, "IS_OF_MEAN": is_of_mean, "IS_VOTE": compression.reduces_by == "majority", "SHARES_DRAWS": getattr(inner, "masks", "") == "shared",
        "begin_team": messages.begin_memories, "exchange": messages.exchange_messages, "pseudo_gradient": messages.received_gradient,
    }  # fmt: skip
    return kind._replace(
        parts=tuple((dict(kind.parts) | parts | own).items()), server=kind.server + (kind.workers if memory else 0) + is_of_mean,
        spare=4 if is_of_mean else 2, factors=factors_of(inner, setting) if isinstance(inner, PowerSGD) else Factors(),
    )  # fmt: skip


def gradients_of(compression: Compressor) -> dict[str, Any]:
    """The parts of messages that are made of gradients, by the learning rate where it is inside a memory."""
    is_inside = isinstance(compression, ErrorFeedback) and compression.rate == "inside"
    return {"sent_by": gradients.gradient_taken, "message_scale": messages.scheduled_rate if is_inside else messages.no_scale}


def factors_of(compressor: PowerSGD, setting: Setting) -> Factors:
    """The matrices of the setting's problem that are sent as two factors."""
    sent = [m for m in matrices_of(setting.problem) if compressor.spared(m[1:])]
    return Factors(int(most_of(compressor.rank)), tuple(sent))


def average_parts() -> dict[str, Any]:
    """The parts of a server that goes on from the mean of what it receives."""
    return {
        "outer_step": messages.nothing_needed, "outer_update": messages.way_received, "outer_reported": Rule.reported, "outer_with_gradient": Rule.with_gradient,
        "OUTER_SLOTS": 0, "OUTER_CARRY": 0, "OUTER_NEEDS_WHOLE_GRADIENT": False, "report_team": outer.report_server,
    }  # fmt: skip
