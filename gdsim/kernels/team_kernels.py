"""The kernels of a structure whose runs have teams, and the memory of these laid out."""

import functools

import numpy as np

from gdsim.kernels.cpu import Kernels
from gdsim.kernels.engines import Parts
from gdsim.kernels.job import Job
from gdsim.kernels.state import Pack, RunState
from gdsim.kernels.team_memory import NOTED, Factors, Graph, Seed, Team, TeamKind
from gdsim.kernels.teams import team
from gdsim.lanes.compiler import Bound
from gdsim.lanes.memory import table_of, view_of
from gdsim.lanes.numbers import zeros


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
        return {**dict(s.step_parts), **own, **dict(self.kind.parts)}

    @functools.cached_property
    def _team_steps(self) -> Bound:
        return self.described(team.advance, self._team_parts(), self._shape, title=f"the team of {self.structure.title}")

    @functools.cached_property
    def _team_report(self) -> Bound:
        return self.described(team.report, self._team_parts(), self._shape, title="what teams report")

    @functools.cached_property
    def wanted(self) -> tuple[Bound, ...]:
        """The kernels that training needs."""
        return (*(b for b in super().wanted if b is not self.bound_report), self._team_steps, self._team_report)

    @functools.cached_property
    def addresses(self) -> tuple[int, int, int]:
        """Addresses of the kernels that the training kernel calls."""
        return self._address(self._team_steps), self._address(self._team_report), self._address(self.bound_evaluation)

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
        of_workers = [a.reshape(kind.workers, -1) for a in (weights, slots, carry)]
        packs = [self._worker_pack(job.pack, k, [a[k] for a in of_workers], (step, active, flags, shard)) for k in range(kind.workers)]
        tables = np.stack([table_of(job._replace(pack=pack)) for pack in packs])
        return Team(
            workers=kind.workers, size=size, slot_count=s.slots, carry_count=s.carry, places=job.spec.places,
            weights=weights, shown=weights if s.reports_stored else self._lanes(kind.workers * size), slots=slots, carry=carry,
            server=server, numbers=numbers, spare=self._lanes(kind.spare * size), terms=self._lanes(kind.workers),
            graph=self._graph(), factors=Factors(kind.factors.rank, np.array(kind.factors.matrices, np.int64).ravel()),
            run=run, fresh=fresh, diverged=diverged, step=step, active=active, flags=flags, shard=shard,
            seed=Seed(*job.training_sampler.seed), slowness=self.number.array(kind.slowness), awaited=kind.awaited,
            advance=advance, tables=tables.ravel(), first_table=tables.ctypes.data, table_bytes=tables.strides[0],
        )  # fmt: skip

    def _graph(self) -> Graph:
        graph = self.kind.graph
        whole, real = (functools.partial(np.array, dtype=kind) for kind in (np.int64, self.dtype))
        return Graph(graph.matrices, whole(graph.begin), whole(graph.source), real(graph.weight), real(graph.own))

    def _worker_pack(self, pack: Pack, worker: int, state: list[np.ndarray], words: tuple[np.ndarray, ...]) -> Pack:
        """The pack as a worker's steps have it."""
        weights, slots, carry = state
        step, active, flags, shard = words
        return pack._replace(
            replica=worker, shard=shard, weights=weights, slots=slots, carry=carry, step=step, monitor=pack.monitor._replace(active=active, flags=flags)
        )
