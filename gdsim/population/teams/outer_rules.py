"""The rules that step a server's weights, as parts of a team's kernels."""

from typing import Any

from gdsim.kernels.teams import outer
from gdsim.population.hyperparameters import own_numbers_of
from gdsim.population.setting import DISTRIBUTION
from gdsim.rules import Rule


def outer_parts(rule: Rule, field: str = "outer") -> dict[str, Any]:
    """The parts of a rule that steps by pseudo-gradients, with names of their own; it stands in a field of the
    distribution.
    """
    numbers = rule.hyperparameters()
    names = (*numbers, *rule.constants(dict.fromkeys(numbers, 0.5)))
    return {
        **{f"outer_{name}": rule.parts()[name] for name in ("prepare", "update", "reported", "with_gradient")}, "outer_numbers": own_numbers_of("outer_numbers", f"{DISTRIBUTION}{field}_", names),
        "OUTER_SLOTS": len(rule.slots), "OUTER_CARRY": len(rule.carry), "OUTER_NEEDS_WHOLE_GRADIENT": rule.needs_whole_gradient,
        "begin_team": outer.begin_server, "exchange": outer.step_server, "report_team": outer.report_server,
    }  # fmt: skip
