"""The seconds of runs on a simulated cluster, from what a result says of their workers."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdsim.analysis.client_seconds import client_seconds
from gdsim.analysis.rounds import Rounds
from gdsim.analysis.simulated import MOST_SUMS, SimulatedCluster
from gdsim.analysis.stragglers import speeds_of
from gdsim.analysis.worker_updates import END, update_numbers
from gdsim.distribution import Asynchronous, ComputeTime, DiLoCo, ElasticAveraging, Federated, Gossip, LocalSGD, Queue, Synchronous, message_sizes
from gdsim.distribution.topologies import messages_sent
from gdsim.sweep.experiment.cells import Cell, cells_of
from gdsim.sweep.results.costs import rounds_key
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Cells, DataArray, Dataset, Result, cells_in, check_curves, check_result
from gdsim.words import given


def simulated_seconds(result: Result, cluster: SimulatedCluster) -> DataArray:
    """The seconds after which each run came to each checkpoint, had it been trained on a cluster: a DataArray
    [run, checkpoint], NaN after a run's end.

    Compute times are drawn by the sweep's seed, a run's start, the worker and its step: cells compare on common
    times. Rounds wait for their slowest worker (see `gd.SimulatedCluster`), without `backup` workers' slowest;
    workers in a graph for their neighbours and groups for their own; those of clients for the slowest of theirs, and
    then for a parameter server that answers all of them; and an elastic centre serves workers in turn one at a
    time. The seconds of a checkpoint are when all have made the step. The messages are those that the result's
    workers have sent, gathered where compressed ones do not add up. A run without a distribution is one worker's.

    Asynchronous runs take their event times, which were drawn in training, so that the cluster must have the law,
    shape and speeds of their `gd.Queue`, and 2 (latency + bytes / (bandwidth shards)), for a gradient and the weights
    that answer it, must be the queue's `messages`, both over the mean compute time. Synchronous runs of which it
    matters who was slow ask for their law, shape and speeds too. Raises TypeError for what is no result or no
    cluster, ValueError for a result of another law or other messages, and for a cluster with `overlap` where workers
    begin at what answers their messages: clients, those of a centre in turn and asynchronous ones.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=2, steps=100, distribution=gd.LocalSGD(workers=4, period=10))
    >>> result = sweep.run()
    >>> cluster = gd.SimulatedCluster(compute=gd.ConstantTime(0.01), latency=0.005)
    >>> float(simulated_seconds(result, cluster)[0, -1].round(6))
    1.3
    """
    result = check_result(result, "simulated_seconds")
    check_curves(result, "simulated_seconds")
    seconds = seconds_in(result, cluster, cells_in(result))
    steps = result.step.values
    found = np.full((result.sizes["run"], len(steps)), np.nan)
    reached = steps <= result.steps_taken.values[:, None]
    runs, places = np.nonzero(reached)
    found[reached] = seconds(steps[places], runs)
    import xarray

    coordinates = {str(n): c for n, c in result.coords.items() if set(c.dims) <= {"run", "checkpoint"}}
    return xarray.DataArray(found, coordinates, ("run", "checkpoint"), "seconds", {"units": "s", "long_name": "simulated seconds to the checkpoint"})


class Timed(NamedTuple):
    """What decides the seconds of a cell's runs, beside the cluster."""

    rounds: Rounds | None
    updates: Asynchronous | None  # in the place of rounds
    dtype: str
    clients: tuple[Any, ...] | None = None  # in the place of both: what decides the rounds of clients


def seconds_in(result: Dataset, cluster: SimulatedCluster, cells: Cells) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The function of (steps, places of runs) that gives the seconds of runs of a result."""
    if not isinstance(cluster, SimulatedCluster):
        raise TypeError(f"cluster must be a gd.SimulatedCluster; {given(cluster)} was given")
    sweep = sweep_behind(result)
    every = cells_of(sweep)
    timed = [timed_of(every[number], cluster) for number in cells.numbers]
    kinds = list(dict.fromkeys(timed))
    kind = np.array([kinds.index(t) for t in timed])
    starts = result.start.values
    settings = {t.clients: sweep.setting(every[number]) for t, number in zip(timed, cells.numbers, strict=True) if t.clients}

    def seconds(steps: np.ndarray, runs: np.ndarray) -> np.ndarray:
        steps, found = np.asarray(steps, np.int64), np.empty(len(runs))
        for k, one in enumerate(kinds):
            mine = kind[cells.place[runs]] == k
            if mine.any() and one.clients:
                found[mine] = client_seconds(settings[one.clients], cluster, starts[runs[mine]], steps[mine])
            elif mine.any():
                found[mine] = _seconds_of(one, cluster, starts[runs[mine]], steps[mine], sweep.seed)
        return found

    return seconds


def _seconds_of(timed: Timed, cluster: SimulatedCluster, starts: np.ndarray, steps: np.ndarray, seed: int) -> np.ndarray:
    if timed.rounds is not None:
        return cluster.seconds_at(timed.rounds, starts, steps, seed)
    assert timed.updates is not None
    distinct, row = np.unique(starts, return_inverse=True)
    most, found = max(1, int(steps.max(initial=1))), np.empty(len(steps))
    at_once = max(1, MOST_SUMS // most // 4)
    for first in range(0, len(distinct), at_once):
        mine = (row >= first) & (row < first + at_once)
        times = update_numbers(timed.updates, distinct[first : first + at_once], most, seed, timed.dtype)[END]
        times = np.concatenate([np.zeros((1, times.shape[1])), times])
        found[mine] = cluster.compute.mean * times[steps[mine], row[mine] - first]
    return found


def timed_of(cell: Cell, cluster: SimulatedCluster) -> Timed:
    """What decides the seconds of a cell's runs. Raises ValueError where they cannot be said."""
    one: Any = cell.distribution
    if one is None:
        return Timed(Rounds(1), None, "")
    if isinstance(one, Asynchronous):
        _check_queue(one, cluster)
        _check_messages(one, cluster, cell)
        return Timed(None, one, cell.dtype)
    if isinstance(one, Federated):
        return Timed(None, None, cell.dtype, rounds_key(cell))
    period, after = int(getattr(one, "period", 1)), int(getattr(one, "after", 0))
    step = np.array(after + period)
    message = float(one.bytes_at(step, *message_sizes(one, cell.problem, np.dtype(cell.dtype).itemsize)) / one.rounds_at(step))
    compression = getattr(one, "compression", None)
    rounds = Rounds(one.team, period, after, message=message, adds_up=compression is None or compression.reduces_by == "all_reduce")
    if isinstance(one, Synchronous):
        if one.leaves_out(cell.partition):
            speeds = speeds_of(one.speeds, one.launched(cell.partition), "Synchronous.speeds")
            _check_law(one.law, speeds, cluster, "would leave out other workers' gradients")
        return Timed(rounds._replace(spare=int(one.backup)), None, "")  # pyright: ignore[reportArgumentType]
    if isinstance(one, Gossip):
        return Timed(rounds._replace(message=message / max(messages_sent(one.matrices).mean(), 1.0), topology=one.topology), None, "")
    if isinstance(one, LocalSGD):
        return Timed(rounds._replace(groups=one.groups or ()), None, "")
    if isinstance(one, ElasticAveraging):
        return Timed(rounds._replace(in_turn=one.turns == "round_robin"), None, "")
    if isinstance(one, DiLoCo):
        return Timed(rounds, None, "")
    raise ValueError(f"the seconds of {one} cannot be said: its workers do not make their rounds all together and alike")


def _check_queue(one: Asynchronous, cluster: SimulatedCluster) -> None:
    """Refuses a cluster on which the events of an asynchronous run would come in another order."""
    queue = one.staleness
    if not isinstance(queue, Queue):
        raise ValueError(f"{type(queue).__name__} gives ages and no times: seconds are those of gd.Asynchronous(staleness=gd.Queue(...))")
    _check_law(queue.compute, speeds_of(queue.speeds, one.team, "Queue.speeds"), cluster, "would order its updates otherwise")


def _check_messages(one: Asynchronous, cluster: SimulatedCluster, cell: Cell) -> None:
    """Refuses a cluster whose messages take longer or shorter than those by which an asynchronous run was trained."""
    cluster.check_answered("asynchronous workers")
    queue: Any = one.staleness
    takes = cluster.answered_seconds(math.prod(message_sizes(one, cell.problem, np.dtype(cell.dtype).itemsize)))
    needed = takes / cluster.compute.mean * queue.compute.mean
    if not math.isclose(needed, one.message_seconds, rel_tol=1e-6):
        raise ValueError(
            f"messages take 2 (latency + bytes / bandwidth) = {takes:.9g} s beside compute times of mean {cluster.compute.mean:g} s on this cluster, and the result "
            f"was made with messages={one.message_seconds:g}, which orders its updates otherwise: train it with gd.Queue(..., messages={needed:.9g})"
        )


def _check_law(own: ComputeTime, speeds: tuple[float, ...], cluster: SimulatedCluster, why: str) -> None:
    """Refuses a cluster whose workers would not take the times by which a result was made."""
    law, others = cluster.compute, speeds_of(cluster.speeds, len(speeds), "SimulatedCluster.speeds")
    if type(law) is not type(own) or law.mean_and_shape[1] != own.mean_and_shape[1]:
        raise ValueError(f"the result was made with compute={own}, and another law {why}; {given(law)} was given")
    if others != speeds:
        raise ValueError(f"the result was made with speeds={[*speeds]}, and others {why}: give the cluster these; {[*others]} were given")
