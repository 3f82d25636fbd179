"""The memory of a pack's teams."""

from typing import Any, NamedTuple

from gdsim.lanes.types import Address, Lane, Memory

NOTED = ("disagreement", "staleness", "largest_staleness")  # what is recorded of a team beside its scores


class Graph(NamedTuple):
    """Who reads whom in an exchange: the rows of mixing matrices, without their diagonals.

    Row m K + i has what worker i reads by matrix m; arrays in a team, tuples in its kind.
    """

    matrices: int = 0
    begin: Memory = ()  # int64 [row + 1]: the row's first edge
    source: Memory = ()  # int64 [edge]: the worker that is read
    weight: Memory = ()  # [edge]
    own: Memory = ()  # [row]: the diagonal


class Factors(NamedTuple):
    """The matrices among the parameters that are sent as two factors; an array in a team, a tuple in its kind."""

    rank: int = 0  # columns of a factor
    matrices: Memory = ()  # int64 [matrix, 3]: first parameter, rows, columns


class Seed(NamedTuple):
    """The two words of the seed of a run's random numbers."""

    low: Lane
    high: Lane


class TeamKind(NamedTuple):
    """What decides a team's kernels, and its sizes, which do not."""

    parts: tuple[tuple[str, Any], ...]  # those of `teams.parts`, and what these need
    workers: int
    server: int = 0  # numbers kept of each weight beside the workers
    numbers: int = 0  # numbers kept of each run
    spare: int = 0  # numbers of each weight that are kept during a step at most
    graph: Graph = Graph()
    slowness: tuple[float, ...] = ()  # of each worker for whom times are drawn: 1 over its speed
    factors: Factors = Factors()
    awaited: int = 0  # of how many workers a server waits for gradients


class Team(NamedTuple):
    """What the runs of a pack have as teams; empty where a run is one worker's."""

    workers: int
    size: int  # places of a worker's weights
    slot_count: int  # slots of a worker's weight
    carry_count: int  # a worker's numbers per run
    places: Memory  # int64 [parameter]: where each parameter of a model lies
    weights: Memory  # [worker, place, lane]
    shown: Memory  # [worker, place, lane]: the parameters that the workers' rule reports, which may be the weights
    slots: Memory  # [worker, place, slot, lane]
    carry: Memory  # [worker, number, lane]
    server: Memory  # [array, place, lane]: what the kind keeps of each weight beside the workers
    numbers: Memory  # [number, lane]: what it keeps of each run
    spare: Memory  # [array, place, lane]: what it keeps of each weight during a step
    graph: Graph
    factors: Factors
    terms: Memory  # [worker, lane]: of a sum over workers
    run: Memory  # int64 [lane]: the run that was in a lane before
    fresh: Memory  # uint32 [lane]: whether its run has just begun at its start
    diverged: Memory  # uint32 [lane]: whether a worker has diverged since the last exchange
    step: Memory  # uint32 [lane]: updates that the worker that steps has applied
    active: Memory  # uint32 [lane]: `Monitor.active` of the worker that steps
    flags: Memory  # uint32 [lane]: likewise `Monitor.flags`
    shard: Memory  # uint32 [lane]: likewise `Pack.shard`
    seed: Seed
    slowness: Memory  # [worker]: 1 over the speed
    awaited: int
    advance: Address  # of the kernel that makes a worker's steps; 0 on devices, where these are a part of the team's
    tables: Memory  # int64 [worker, entry]: the job as each worker's steps have it
    first_table: Address
    table_bytes: int
