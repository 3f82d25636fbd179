"""The kernels of a structure whose runs have teams, and the memory of these laid out."""

import functools
from collections.abc import Callable

import numpy as np

from gdsim.kernels.cpu import Kernels
from gdsim.kernels.engines import Parts, Structure
from gdsim.kernels.job import Job
from gdsim.kernels.state import Pack, RunState
from gdsim.kernels.team_memory import NOTED, Factors, Graph, Seed, Team, TeamKind
from gdsim.kernels.teams import team
from gdsim.lanes.compiler import Bound
from gdsim.lanes.memory import host_address, layout_of, table_of, view_of
from gdsim.lanes.numbers import zeros
from gdsim.lanes.types import Address


class TeamKernels(Kernels):
    """The kernels of teams: a worker's steps are those of plain runs, which the team's kernel calls.

    What is kept of a parameter beside the reported one: the workers' weights, each worker's slots, and the
    server's numbers; of a run each worker's carry, and the team's numbers.
    """

    @property
    def kind(self) -> TeamKind:
        """What the structure's teams are."""
        assert self.structure.team is not None
        return self.structure.team

    @functools.cached_property
    def slot_places(self) -> np.ndarray:
        """[parameter, number]: where each of the numbers that are kept of a parameter lies."""
        kind, slots, size = self.kind, self.structure.slots, self.layout.size
        places, workers = self.layout.places.astype(np.int64), np.arange(kind.workers)
        own = size * workers + places[:, None]
        of_slots = (own * slots)[..., None] + np.arange(slots)
        of_server = size * np.arange(kind.server) + places[:, None]
        behind = kind.workers * size
        return np.hstack([own, behind + of_slots.reshape(len(places), -1), behind * (1 + slots) + of_server])

    @property
    def slot_room(self) -> int:
        """Places of the memory in which these lie."""
        return self.layout.size * (self.kind.workers * (1 + self.structure.slots) + self.kind.server)

    @property
    def carry_count(self) -> int:
        """How many numbers are kept of each run."""
        return self.kind.workers * self.structure.carry + self.kind.numbers

    def _team_parts(self) -> Parts:
        s = self.structure
        own = {
            "HYPERPARAMETERS": s.hyperparameters, "HYPERPARAMETER_COUNT": len(s.hyperparameters._fields), "ZERO": self.number.zero, "WIDTH": self.width,
            "SLOT_COUNT": s.slots, "CARRY_COUNT": s.carry, "SHOWS_STORED": s.reports_stored, "job_of": view_of(self._shape, ("model",)),
        }  # fmt: skip
        return {**dict(s.step_parts), **own, **self.attending, **dict(self.kind.parts)}

    @functools.cached_property
    def bound_advance(self) -> Bound:
        """The steps of all workers, and what they exchange."""
        return self.described(team.advance, self._team_parts(), self._shape, title=f"the team of {self.structure.title}")

    @functools.cached_property
    def bound_report(self) -> Bound:
        """What teams report."""
        return self.described(team.report, self._team_parts(), self._shape, title="what teams report")

    @functools.cached_property
    def wanted(self) -> tuple[Bound, ...]:
        """The kernels that training needs."""
        return *super().wanted, self.bound_advance

    def with_team(self, job: Job) -> Job:
        """The job with the memory of its runs' teams, and what goes on of them as its state."""
        slots, carry = self._lanes(self.slot_room), self._lanes(self.carry_count)
        pack = job.pack._replace(slots=slots, carry=carry)
        whole = job._replace(pack=pack, reported=pack.weights, state=RunState(pack.weights, slots, carry), noted=self._lanes(len(NOTED)))
        return whole._replace(team=self._new_team(whole, self._address(self.bound_steps) if job.advance else 0))

    def _new_team(self, job: Job, advance: int) -> Team:
        kind, s, size, width = self.kind, self.structure, self.layout.size, self.width
        word = functools.partial(zeros, width, np.uint32)
        weights, slots, server = np.split(job.pack.slots, [kind.workers * size * width, kind.workers * size * (1 + s.slots) * width])
        carry, numbers = np.split(job.pack.carry, [kind.workers * s.carry * width])
        run, fresh, diverged, step, active, flags, shard = np.full(width, -1), *(word() for _ in range(6))
        tables = np.zeros((kind.workers, layout_of(job).size), np.int64)
        return Team(
            workers=kind.workers, size=size, slot_count=s.slots, carry_count=s.carry, places=job.spec.places,
            weights=weights, shown=weights if s.reports_stored else self._lanes(kind.workers * size), slots=slots, carry=carry,
            server=server, numbers=numbers, spare=self._lanes(kind.spare * size), terms=self._lanes(kind.workers),
            graph=self._graph(), factors=Factors(kind.factors.rank, np.array(kind.factors.matrices, np.int64).ravel()),
            run=run, fresh=fresh, diverged=diverged, step=step, active=active, flags=flags, shard=shard,
            seed=Seed(*job.training_sampler.seed), slowness=self.number.array(kind.slowness), awaited=kind.awaited,
            advance=advance, tables=tables.ravel(), first_table=0, table_bytes=tables.strides[0],
        )  # fmt: skip

    def _graph(self) -> Graph:
        graph = self.kind.graph
        whole, real = (functools.partial(np.array, dtype=kind) for kind in (np.int64, self.dtype))
        return Graph(graph.matrices, whole(graph.begin), whole(graph.source), real(graph.weight), real(graph.own))

    def with_tables(self, job: Job, address: Callable[[np.ndarray], Address] = host_address) -> Job:
        """Likewise with those that its workers' steps are given."""
        whole, team = super().with_tables(job, address), job.team
        steps = whole._replace(runs=self._no_runs._replace(taken=whole.runs.taken))  # which read nothing of runs
        tables = np.stack([table_of(steps._replace(pack=_worker_pack(whole, k)), address) for k in range(team.workers)])
        team.tables[:] = tables.ravel()
        return whole._replace(team=team._replace(first_table=address(team.tables)))


def _worker_pack(job: Job, worker: int) -> Pack:
    """The pack as a worker's steps have it."""
    pack, team = job.pack, job.team
    weights, slots, carry = (a.reshape(team.workers, -1)[worker] for a in (team.weights, team.slots, team.carry))
    monitor = pack.monitor._replace(active=team.active, flags=team.flags)
    return pack._replace(replica=worker, shard=team.shard, weights=weights, slots=slots, carry=carry, step=team.step, monitor=monitor)


def kernels_of_width(structure: Structure, width: int, attendants: int = 1, attending: Parts | None = None) -> Kernels:
    """The kernels of a structure whose runs may have teams, `width` of them side by side."""
    return (Kernels if structure.team is None else TeamKernels)(structure, width, attendants, attending)
