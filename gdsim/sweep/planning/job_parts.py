"""Parts of a plan, for jobs that know nothing of each other: which chunks each trains follows from the plan
and the number of parts alone.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from gdsim.axes import checked_whole
from gdsim.sweep.planning.plan import Chunk, Plan
from gdsim.words import given


class PlanPart(NamedTuple):
    """One of so many parts of a plan, its number counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"part {self.number} of {self.of}"


def checked_part(pair: object) -> PlanPart | None:
    """A part, of a pair of whole numbers; None for the whole plan. Raises ValueError for what is no part."""
    if pair is None:
        return None
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise ValueError(f"part must be (i, n), the i-th of n parts, counted from 1; {given(pair)} was given")
    number, count = pair
    part = PlanPart(checked_whole(number, "i of part=(i, n)", 0), checked_whole(count, "n of part=(i, n)", 0))
    if not 1 <= part.number <= part.of:
        raise ValueError(f"a part is the i-th of n, counted from 1; i={part.number} and n={part.of} were given")
    return part


def chunks_of(plan: Plan, part: PlanPart | None) -> tuple[Chunk, ...]:
    """The chunks of a part, in the plan's order: parts have no chunk in common, all chunks among them, and
    about as many operations each.

    The largest chunks are dealt first, each to the part that has the least so far; those of one structure
    after each other, so that no part has most of the runs that end early.
    """
    if part is None:
        return plan.chunks
    costs = [c.size * plan.groups[c.group].operations for c in plan.chunks]
    loads = [(0.0, number) for number in range(1, part.of + 1)]
    mine = []
    for place in sorted(range(len(plan.chunks)), key=lambda k: (-costs[k], plan.chunks[k].group, k)):
        load, number = loads[0]
        heapq.heapreplace(loads, (load + costs[place], number))
        if number == part.number:
            mine.append(place)
    return tuple(plan.chunks[k] for k in sorted(mine))
