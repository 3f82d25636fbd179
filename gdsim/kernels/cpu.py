"""The kernels of one structure on processors: bound, and the memory that they work on laid out.

A pack is `width` runs; its arrays have the lane as their last index.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels import evaluation, steps, training
from gdsim.kernels.compile_errors import explained
from gdsim.kernels.engines import Parts, Structure, blocks, lane_parts, network
from gdsim.kernels.engines.dual_products import with_tangents
from gdsim.kernels.engines.passes import BLOCK
from gdsim.kernels.job import Job
from gdsim.kernels.penalty import with_penalty, without_penalty
from gdsim.kernels.recorders import Curves, record_curves_with_tangents
from gdsim.kernels.sample_table import sampler_of
from gdsim.kernels.sampling import SHUFFLES
from gdsim.kernels.state import Evaluations, JobSpec, Keeps, LaneTable, Monitor, Pack, Runs, RunState, Scores, Snapshots, TableOf
from gdsim.kernels.team_memory import NOTED, Factors, Graph, Seed, Team
from gdsim.kernels.workspace import Matrix, NetworkSpace, Workspace
from gdsim.lanes.compiler import Bound, address_of, describe, float_mode_parts, kernel_of
from gdsim.lanes.draws import seed_words
from gdsim.lanes.memory import host_address, readers_of, table_of, view_of
from gdsim.lanes.numbers import Number, near_bytes, zeros
from gdsim.lanes.types import Address
from gdsim.problems.parts import Sampler

# The largest magnitude of a weight before a run counts as diverged.
WEIGHT_BOUND = 1e8
REGISTER_BYTES = 64  # of the widest registers; where they are narrower, two serve as one


class StopRow(NamedTuple):
    """One stop as `JobSpec` has it."""

    kind: int
    every: int
    at_cycle_ends: bool
    limit: float
    margin: float


class Kernels:
    """The compiled kernels of one structure at one lane width, made when first used, and the memory that they
    work on. Of another device than a processor, whose packs so many threads attend to, `attending` has the parts that
    say how (`kernels.attendants`).
    """

    def __init__(self, structure: Structure, width: int, attendants: int = 1, attending: Parts | None = None) -> None:
        self.structure, self.width, self.attendants, self.attending = structure, width, attendants, attending or float_mode_parts()
        self.number, self.layout = Number(np.dtype(structure.dtype), structure.tangents), structure.layout
        self.dtype = self.number.dtype

    def prepare(self) -> None:
        """Makes the kernels that training needs."""
        _ = self.addresses, self._passes, self._batches, self._train

    def evaluation_parts(self) -> Parts:
        """The parts that evaluation needs, which the choice of rule, schedule and shuffle leaves the same."""
        return self._on_numbers(self._evaluation_parts())

    def _evaluation_parts(self) -> Parts:
        parts = {**dict(self.structure.problem_parts), **lane_parts(self.width), "ZERO": self.number.zero, **self.attending}
        return self.structure.engine.evaluation(self.structure, parts)

    def _on_numbers(self, parts: Parts) -> Parts:
        """The parts of kernels on plain numbers as those on the structure's have them."""
        return with_tangents(dict(parts), self.number) if self.number.tangents else parts

    def _training_parts(self) -> Parts:
        s = self.structure
        parts = {
            **self._evaluation_parts(), **dict(s.step_parts), **SHUFFLES[s.shuffle]._asdict(),
            "HYPERPARAMETERS": s.hyperparameters, "HYPERPARAMETER_COUNT": len(s.hyperparameters._fields), "SLOT_COUNT": s.slots, "CARRY_COUNT": s.carry,
            "penalized": with_penalty if s.has_penalty else without_penalty, "HAS_PENALTY": s.has_penalty, "NEEDS_WHOLE_GRADIENT": s.needs_whole_gradient,
            "PERTURBS": s.perturbs, "TWO_PASSES": s.needs_whole_gradient or s.perturbs or s.several_blocks,
            **{f"MONITORS_{n.upper()}": value for n, value in s.monitors._asdict().items()},
        }  # fmt: skip
        return self._on_numbers(s.engine.training(s, parts))

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        """Says of a part of the user's that cannot be compiled, as a CodeError, where it is and why."""
        from numba.core.errors import NumbaError

        try:
            yield
        except (NumbaError, TypeError) as error:
            found = explained(self.structure, error)
            raise found from (None if found.is_known else error)

    def described(self, template: Any, parts: Mapping[str, Any], job: Any, title: str | None = None) -> Bound:
        """A template for jobs of the shape of `job`: a function of a table's address and a whole number."""
        from numba import types

        with self._explaining():
            return describe(template, {**parts, **readers_of(job)}, types.int64(types.int64, types.int64), title)

    def compiled(self, bound: Bound) -> Any:
        """What was described. Raises CodeError."""
        with self._explaining():
            return kernel_of(bound, ask_children=True)

    @functools.cached_property
    def _no_runs(self) -> Runs:
        """The tables of no runs."""
        return self.new_runs(0, Keeps(), dict.fromkeys(("checkpoint", "stop", "target", "epoch"), 0))

    @functools.cached_property
    def _shape(self) -> Job:
        """A job without runs, by whose shape kernels read tables."""
        sampler = sampler_of(None, None, True, 0, self.dtype)
        spec = self.new_spec(1, [], [], [], {}, (False, False, False))
        return self._job(False, self._no_runs, spec, (sampler, sampler, sampler), self.model(1), (0, 0, 0))

    @functools.cached_property
    def wanted(self) -> tuple[Bound, ...]:
        """The kernels that training needs: steps of this rule, which `prepare` asks for first, then those that
        take longest first. Passes and batches are of networks, reported parameters of some structures.
        """
        return tuple(filter(None, (self.bound_steps, self.bound_loop, self.bound_pass, self.bound_evaluation, self.bound_batch, self.bound_report)))

    @functools.cached_property
    def bound_steps(self) -> Bound:
        """Steps of the rule."""
        s = self.structure
        register = self.width if self.attendants > 1 else min(self.width, REGISTER_BYTES // self.dtype.itemsize)
        template, own = s.engine.steps(s, self.width, register)
        return self.described(template, {**self._training_parts(), **own}, self._shape, title=s.title)

    @functools.cached_property
    def bound_advance(self) -> Bound:
        """The steps that the training kernel calls for."""
        return self.bound_steps

    @functools.cached_property
    def bound_report(self) -> Bound | None:
        """Reported parameters, where they are not the stored ones."""
        return None if self.structure.reports_stored else self.described(steps.report_all, self._training_parts(), self._shape)

    @functools.cached_property
    def bound_loop(self) -> Bound:
        """The training loop."""
        whole = {"WIDTH": self.width, **self.attending, "job_of": view_of(self._shape, ("model",))}
        if self.number.tangents:
            whole |= {"record_curves": record_curves_with_tangents, "TANGENTS": self.number.tangents}
        return self.described(training.train, whole, self._shape, title="the training loop")

    @functools.cached_property
    def bound_pass(self) -> Bound | None:
        """The passes of a block through a network, if the problem is one."""
        model, sampler = self.model(1), self._shape.training_sampler
        if not isinstance(model, NetworkSpace):
            return None
        job = blocks.PassingJob(blocks.Passing(model.step, self._lanes(0), sampler, Matrix(self._lanes(0), 0, 0, 0), 0))
        return self.described(blocks.passes, self.evaluation_parts(), job, title="the passes through the network")

    @functools.cached_property
    def bound_batch(self) -> Bound | None:
        """The batch of a network's step, if steps call for it."""
        parts = {**self.evaluation_parts(), **SHUFFLES[self.structure.shuffle]._asdict()}
        return self.described(blocks.batches, parts, self._shape, title="the batches") if self.structure.engine.calls_batches else None

    def _address(self, bound: Bound | None) -> int:
        """Where a kernel's code is; 0 where there is no such kernel."""
        return 0 if bound is None else address_of(self.compiled(bound))

    @functools.cached_property
    def _passes(self) -> int:
        return self._address(self.bound_pass)

    @functools.cached_property
    def _batches(self) -> int:
        return self._address(self.bound_batch)

    def _linked(self, model: Workspace, batches: int) -> Workspace:
        """Working memory that says where the kernels are that steps and evaluations call."""
        return NetworkSpace(*(n._replace(batches=batches, passes=self._passes) for n in model)) if isinstance(model, NetworkSpace) else model

    @functools.cached_property
    def addresses(self) -> tuple[int, int, int]:
        """Addresses of the kernels that the training kernel calls: steps, reported parameters, evaluation."""
        return self._address(self.bound_advance), self._address(self.bound_report), self._address(self.bound_evaluation)

    @functools.cached_property
    def _train(self) -> Any:
        return self.compiled(self.bound_loop)

    def train(self, job: Job, budget: int) -> int:
        """`training.train` of a job and a budget of steps."""
        table = table_of(job)
        return self._train(table.ctypes.data, budget)

    @functools.cached_property
    def bound_evaluation(self) -> Bound:
        """The evaluation at a pack of points."""
        job = evaluation.Evaluation(self.model(1), self._lanes(0), self._shape.training_sampler, self.new_scores())
        return self.described(evaluation.evaluate, self.evaluation_parts(), job, title="the evaluation")

    @functools.cached_property
    def bound_prediction(self) -> Bound:
        """The outputs of a network at a pack of points."""
        job = evaluation.Prediction(self.model(1), self._lanes(0), self._shape.training_sampler, self._lanes(0))
        return self.described(network.predict, self.evaluation_parts(), job, title="the outputs of the network")

    def whole_model(self) -> Workspace:
        """One thread's working memory for all samples of a table, which says where the kernels are that evaluations call."""
        model = self.model(BLOCK)
        return model if self.attendants > 1 else self._linked(model, 0)

    def model(self, samples: int) -> Workspace:
        """One thread's working memory for steps of `samples` samples and for evaluation."""
        return self.layout.space(self.width, self.number, samples)

    @functools.cached_property
    def step_bytes(self) -> int:
        """Bytes that a step of a network touches at most: of the state of its runs, and of working memory."""
        pack, model = self.new_pack(), self.model(1)
        assert isinstance(model, NetworkSpace)
        return sum(array.nbytes for array in (pack.weights, pack.slots, model.step.activations, model.step.deltas))

    @functools.cached_property
    def near_bytes(self) -> int:
        """Bytes of near memory that a block of threads needs."""
        return near_bytes(self.model(1))

    def _lanes(self, n: int, kind: Any = None) -> Any:
        return self.number.zeros(n * self.width) if kind is None else zeros(n * self.width, kind)

    @functools.cached_property
    def slot_places(self) -> np.ndarray:
        """[parameter, slot]: where each of the numbers that are kept of a parameter beside its weight lies."""
        slots, together, places = self.structure.slots, self.layout.together, self.layout.places.astype(np.int64)
        return (places // together * together * slots + places % together)[:, None] + together * np.arange(slots)

    @property
    def slot_room(self) -> int:
        """Places of the memory in which these lie."""
        return self.layout.size * self.structure.slots

    @property
    def carry_count(self) -> int:
        """How many numbers are kept of each run."""
        return self.structure.carry

    def no_team(self) -> Team:
        """What a job has of teams where runs are one worker's."""
        real, word, whole = self._lanes(0), np.zeros(0, np.uint32), np.zeros(0, np.int64)
        return Team(
            0, 0, 0, 0, whole, real, real, real, real, real, real, real, Graph(0, whole, whole, real, real), Factors(0, whole), real,
            whole, word, word, word, word, word, word, Seed(*seed_words(0)), real, 0, 0, whole, 0, 0,
        )  # fmt: skip

    def with_team(self, job: Job) -> Job:
        """The job with the memory of its runs' teams: none."""
        return job

    def new_pack(self) -> Pack:
        """A pack without runs."""
        s, lanes, word = self.structure, self._lanes, np.uint32
        full, bits = functools.partial(self.number.full, self.width), self.number.bits
        monitor = Monitor(
            active=lanes(1, word), flags=lanes(1, word), due=lanes(1, word), largest_weight=lanes(1, bits), best=full(np.inf), loss=lanes(1),
            loss_bound=full(np.inf), target=full(-np.inf), gradient_tolerance=full(-1), weight_bound=np.full(self.width, WEIGHT_BOUND, self.dtype).view(bits),
            step_tolerance=full(-1), step_squares=lanes(1), weight_squares=lanes(1), small_steps=lanes(1, word), small_steps_needed=lanes(1, word) + word(1),
            loss_sum=lanes(1), samples_seen=lanes(1),
        )  # fmt: skip
        size = self.layout.size
        return Pack(
            lanes(size), lanes(size * s.slots), lanes(s.carry), lanes(len(s.hyperparameters._fields)),
            lanes(1, word), 0, lanes(1, word), lanes(1, word), monitor,
        )  # fmt: skip

    def new_scores(self) -> Scores:
        """Room for the scores of a pack."""
        return Scores(*(self._lanes(1) for _ in Scores._fields))

    def new_snapshots(self, with_state: bool) -> Snapshots:
        """Room for a pack of snapshots."""
        kept = lambda n: self._lanes(n if with_state else 0)  # noqa: E731
        whole = lambda count: np.zeros(count, np.int64)  # noqa: E731
        run, lane, step, use, checkpoint, reason = (whole(self.width) for _ in range(6))
        state = RunState(kept(self.layout.size), kept(self.slot_room), kept(self.carry_count))
        noted = self._lanes(0 if self.structure.team is None else len(NOTED))
        return Snapshots(self._lanes(self.layout.size), state, noted, run, lane, step, use, checkpoint, reason, whole(self.attendants))

    def new_lanes(self) -> LaneTable:
        """Lanes without runs, which may get one."""
        run, checkpoint, pending, reference_step = (self._lanes(1, np.int64) - 1 for _ in range(4))
        free, next_run, behind_run, pack_steps, lane_steps = np.zeros((5, self.attendants), np.int64)
        free[: self.width] = max(1, self.width // self.attendants)
        return LaneTable(run, checkpoint, pending, reference_step, free, next_run, behind_run, pack_steps, lane_steps)

    def new_job(self, with_state: bool, runs: Runs, spec: JobSpec, samplers: tuple[Sampler, Sampler, Sampler], model: Workspace) -> Job:
        """All that a kernel works on, its lanes without runs.

        `samplers` are for steps, for the training set and for the validation set. Where each lane has a thread,
        kernels are parts of one another, and have no addresses.
        """
        if self.attendants > 1:
            return self._job(with_state, runs, spec, samplers, model, (0, 0, 0))
        return self._job(with_state, runs, spec, samplers, self._linked(model, self._batches), self.addresses)

    def _job(
        self, with_state: bool, runs: Runs, spec: JobSpec, samplers: tuple[Sampler, Sampler, Sampler], model: Workspace, addresses: tuple[int, int, int]
    ) -> Job:
        size = self.layout.size
        snapshots, start_snapshots = self.new_snapshots(with_state), self.new_snapshots(with_state)
        scores, validation_scores = self.new_scores(), self.new_scores()
        training, whole, validation = samplers
        pack, none = self.new_pack(), Evaluations(0, 0, 0, 0)
        job = Job(
            pack, self.new_lanes(), snapshots, start_snapshots, scores, validation_scores,
            pack.weights if self.structure.reports_stored else self._lanes(size), self._lanes(size), runs, spec, training, *addresses,
            none, np.zeros(0, np.int64), (whole, validation), RunState(pack.weights, pack.slots, pack.carry), self._lanes(0), self.no_team(), model,
        )  # fmt: skip
        return self.with_tables(self.with_team(job))

    def with_tables(self, job: Job, address: Callable[[np.ndarray], Address] = host_address) -> Job:
        """The job with the tables that it names, of what is evaluated, in the memory in which `address` says where arrays
        lie; a job that had them has them in the same array.
        """
        whole, validation = job.samplers
        snapshots = job.snapshots, job.start_snapshots
        asked = [(s, whole, job.scores) for s in snapshots] + [(s, validation, job.validation_scores) for s in snapshots]
        tables = np.stack([table_of(evaluation.Evaluation(job.model, s.weights, sampler, found), address) for s, sampler, found in asked])
        held = job.tables if job.tables.size else np.empty(tables.size, np.int64)
        held[:] = tables.ravel()
        places = address(held) + tables.strides[0] * np.arange(len(tables))
        places[2:] *= validation.sample_count > 0
        return job._replace(evaluations=Evaluations(*map(int, places)), tables=held)

    def new_runs(self, count: int, keeps: Keeps, sizes: Mapping[str, int], full: Callable[..., np.ndarray] = np.full) -> Runs:
        """Tables of a job of `count` runs, without their beginnings; `sizes` of the dims that runs share. `full`, of a size,
        a number and a type, makes those that are at first full of one number.
        """
        every = {"parameter": len(self.layout.places), "slot": self.slot_places.shape[1], "carry": self.carry_count, **sizes}

        def made(table: TableOf | RunState) -> Any:
            if not isinstance(table, TableOf):
                return RunState(*map(made, table))
            size = count * math.prod(every[d] for d in table.dims) if table.keep == "" or getattr(keeps, table.keep) else 0
            return number(size, table.fill) if not table.is_whole and not table.is_still else full(size, table.fill, np.int64 if table.is_whole else self.dtype)

        number = self.number.full if self.number.tangents else functools.partial(full, dtype=self.dtype)
        none, whole = self.number.full(0, 0), np.zeros(0, np.int64)
        curves = Curves(*(number(count * sizes["checkpoint"] * (name in keeps.curves), np.nan) for name in Curves._fields))
        tables = {name: made(table) for name, table in Runs._field_defaults.items()}
        return Runs(RunState(none, none, none), none, none, whole, whole, curves, np.zeros(1, np.int64), **tables)

    def new_spec(
        self,
        last: int,
        checkpoints: Sequence[int],
        stops: Sequence[StopRow],
        targets: Sequence[float],
        in_lanes: Mapping[str, int],
        needs: tuple[bool, bool, bool],
    ) -> JobSpec:
        """What all runs of a job share.

        `in_lanes` has 1 + the numbers of the stops that lanes test, `needs` is as `JobSpec` ends.
        """
        whole = lambda values: np.array(values, np.int64)  # noqa: E731
        real, names, places = self.number.array, self.structure.hyperparameters._fields, self.layout.places.astype(np.int64)
        kind, every, at_cycle_ends, limit, margin = zip(*stops, strict=True) if stops else ((),) * 5
        return JobSpec(
            len(names), names.index("penalty_l1"), names.index("penalty_l2"),
            places, self.slot_places.ravel(), whole(range(self.carry_count)), whole(range(len(names))), whole(checkpoints),
            whole(kind), whole(every), whole(at_cycle_ends), real(limit), real(margin), real(targets), last,
            in_lanes.get("target_stop", 0), in_lanes.get("gradient_stop", 0), in_lanes.get("step_stop", 0), *needs,
        )  # fmt: skip
