"""A folder that holds a larger experiment than a call asks for: it keeps what it shows, and the call gives
its own runs.
"""

import warnings
from collections.abc import Sequence

import msgspec

from gdsim.sweep.experiment.cells import identities_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.planning.plan import Chunk, Plan


def shown_after(sweep: Experiment, kept: Experiment, folder: str) -> Experiment:
    """The experiment that a folder shows after a call of another of its kind: the one that it holds, if that
    has all of the call's runs, else the call's.

    Runs that it has beyond the call's stay in the folder; a warning says how many, and what shows them.
    Raises ValueError for fewer starts of a summary, whose sums cannot be taken apart.
    """
    alike = sweep if sweep.steps == kept.steps else msgspec.structs.replace(sweep, steps=kept.steps)
    asked, held = set(identities_of(alike)), set(identities_of(kept))
    beyond = len(held) * kept.starts - len(held & asked) * min(sweep.starts, kept.starts)
    if sweep.steps != kept.steps or sweep.starts > kept.starts or not asked <= held:
        if beyond:
            text = (
                f"{folder!r} held an experiment with {beyond:,} other runs: those that are finished are kept, and gd.open shows them again once it is run again"
            )
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        return sweep
    if kept.keep == "summary" and sweep.starts < kept.starts:
        raise ValueError(f"{folder!r} holds a summary of {kept.starts:,} starts, which cannot be taken apart: give starts={kept.starts}, or another folder")
    if beyond:
        text = f"{folder!r} holds a larger experiment, which it keeps: {beyond:,} more runs than these, shown by gd.open"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    return kept


def placed_in(whole: Plan, plan: Plan, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Chunks of a plan as they stand in one that has all of its cells; they are the same runs under the same
    names.
    """
    place = {identity: number for number, identity in enumerate(whole.identities)}
    group = {cell: number for number, g in enumerate(whole.groups) for cell in g.cells}
    cells = {c.name: tuple(place[plan.identities[cell]] for cell in c.cells) for c in chunks}
    return [c._replace(cells=cells[c.name], group=group[cells[c.name][0]]) for c in chunks]
