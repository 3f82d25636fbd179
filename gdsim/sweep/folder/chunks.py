"""What a folder keeps of a plan: the shards of its chunks, and which chunks it lacks."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gdsim.store.folder import Store
from gdsim.store.shards import SUMMARY, Shard, shard_bytes
from gdsim.sweep.folder.summaries import disjoint_shards, summary_bytes
from gdsim.sweep.planning.plan import Chunk, Plan


def keep(store: Store, plan: Plan, chunk: Chunk, result: Any) -> str:
    """Adds a finished chunk, its columns or its summary, to a folder; the name of its shard."""
    made = summary_bytes if plan.keep == "summary" else shard_bytes
    return store.write(chunk.name, made(chunk, [plan.identities[c] for c in chunk.cells], plan.groups[chunk.group].setting.checkpoints, result))


def record_failure(store: Store, plan: Plan, chunk: Chunk, text: str) -> None:
    """Says in a folder what a chunk raised that was given up."""
    cells = "; ".join([plan.labels[c] for c in chunk.cells][:10])
    store.record_failure(chunk.name, f"chunk {chunk.name}: starts {chunk.first_start} to {chunk.last_start - 1} of {len(chunk.cells)} cells: {cells}\n\n{text}")


def of_kind(keep: str, shards: Iterable[Shard]) -> list[Shard]:
    """Those of some shards that hold runs, or those that hold summaries of runs which no other has."""
    return disjoint_shards(list(shards)) if keep == "summary" else [s for s in shards if s.footer.format != SUMMARY]


def missing_chunks(plan: Plan, shards: Iterable[Shard], chunks: Sequence[Chunk] | None = None) -> list[Chunk]:
    """What a folder with these shards lacks: whole chunks of the plan, and of those that other chunks have in
    part what is left.

    Of the plan's chunks it looks at `chunks`, if only some are asked for.
    """
    names = {c.name for c in plan.chunks}
    held = [s.footer for s in of_kind(plan.keep, shards)]
    done = {f.chunk for f in held} & names
    place = {identity: number for number, identity in enumerate(plan.identities)}
    others = [(f, [place.get(i, -1) for i in f.cells]) for f in held if f.chunk not in names and any(i in place for i in f.cells)]
    first = np.array([f.first_start for f, _ in others])
    last = np.array([f.last_start for f, _ in others])
    found = []
    for chunk in plan.chunks if chunks is None else chunks:
        if chunk.name in done:
            continue
        missing = np.ones((chunk.last_start - chunk.first_start, len(chunk.cells)), bool)
        for k in np.flatnonzero((first < chunk.last_start) & (last > chunk.first_start)):
            rows = slice(max(0, int(first[k]) - chunk.first_start), int(last[k]) - chunk.first_start)
            missing[rows, np.isin(chunk.cells, others[k][1])] = False
        if missing.all():
            found.append(chunk)
        elif missing.any():
            found += plan.rest_of(chunk, missing)
    return found
