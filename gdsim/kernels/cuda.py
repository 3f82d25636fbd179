"""The kernels of one structure on CUDA: the training loop with all that it calls as one kernel, in which each warp
trains packs of 32 runs, and each thread attends to its own lane; or one run at a time, whose units and samples lie
across the threads, and the first of them attends to it.

The functions are those of processors' kernels. What these call by address stands in its place here, with the parts
that it would have there, and what is said of who attends to lanes is said of threads.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gdsim.kernels.cpu import Kernels
from gdsim.kernels.engines import RUN_ON_WARP, Structure, blocks
from gdsim.kernels.job import Job
from gdsim.kernels.packs import PackKernel
from gdsim.kernels.parts import advance_pack, evaluate_points, pack_kernel, report_pack, train_pack
from gdsim.kernels.team_kernels import kernels_of_width
from gdsim.kernels.team_memory import Team
from gdsim.lanes.compiler import Bound, ScopedPart
from gdsim.lanes.cubins import Compiled, DeviceKernel, cubin_of, device_kernel
from gdsim.lanes.types import Address, Count, Lane, Mask, Memory
from gdsim.lanes.warps import THREADS, anywhere, claim, lane_number, meet_warp, own_number, warp_number


def train_packs(tables: Memory, budget: Count, out: Memory) -> None:
    """The kernel: `training.train` of each warp's job; `out` has what it gives."""
    pack = warp_number()
    out[pack] = train_pack(tables[pack], budget)


def array_words(address: Address, count: int, size: int = 8) -> list[int]:
    """A flat array of so many numbers, each of `size` bytes, as words of a kernel's arguments: numba-cuda passes an array's
    owner and parent, which devices have not, its size and that of a number, and its address, shape and strides.
    """
    return [0, 0, count, size, address, count, size]


def train_packs_words(tables: Address, budget: int, out: Address, warps: int) -> list[int]:
    """The arguments of `train_packs` as words, where it is compiled for arrays of int64."""
    return [*array_words(tables, warps), budget, *array_words(out, warps)]


def advance_packs(tables: Memory, steps: Count, out: Memory) -> None:
    """The kernel: up to so many steps of each warp's job; `out` has how many updates were made."""
    pack = warp_number()
    out[pack] = advance_pack(tables[pack], steps)


def work_on_packs(tables: Memory, argument: Count, out: Memory) -> None:
    """The kernel: a `PackKernel` of each warp's job; `out` has what it gives."""
    pack = warp_number()
    out[pack] = pack_kernel(tables[pack], argument)


def own_lane() -> range:
    """The lane that a thread attends to."""
    return range(lane_number(), lane_number() + 1)


def own_run() -> range:
    """The run that a thread attends to: the first that of its warp, others none."""
    return range(1 if lane_number() == 0 else 0)


def own_of(values: Lane, left: Mask) -> Any:
    """The number of the thread's own lane."""
    return own_number(values, lane_number())


def advance_here(table: Address, job: Job, steps: Count) -> Count:
    """`run_advance` where the stored parameters are those that are reported."""
    return advance_pack(table, steps)


def advance_and_report(table: Address, job: Job, steps: Count) -> Count:
    """`run_advance` where they are not."""
    done = advance_pack(table, steps)
    report_pack(table, 0)
    return done


def advance_worker(team: Team, worker: int, steps: Count) -> Count:
    """`run_worker`."""
    return advance_pack(team.first_table + worker * team.table_bytes, steps)


def evaluate_here(job: Job, evaluation: Address, with_gradient: int) -> None:
    """`run_evaluate`."""
    evaluate_points(evaluation, with_gradient)


def products_here(job: Any) -> None:
    """`lanczos.run_products`."""
    pack_kernel(job.evaluation, 1)


def has_one_mode() -> int:
    """Nothing: rounding is part of each instruction."""
    return 0


def keep_mode(mode: int) -> None:
    """Nothing."""


PACK_OF_WARP = {
    "first_lane": lane_number, "attended": own_lane, "own_number": own_number, "one_of": own_of, "anywhere": anywhere, "claim": claim,
    "set_float_mode": has_one_mode, "restore_float_mode": keep_mode,
}  # fmt: skip
RUN_OF_WARP = {**PACK_OF_WARP, "attended": own_run, "meet": meet_warp}


class Template(NamedTuple):
    """A kernel to compile: a function with its parts."""

    function: Any
    parts: Mapping[str, Any]


def kernels_on_warps(structure: Structure) -> Kernels:
    """What a warp trains at a time, a pack or a run: the layouts, and the parts of kernels."""
    if structure.engine is RUN_ON_WARP:
        return Kernels(structure, 1, THREADS, RUN_OF_WARP)
    return kernels_of_width(structure, THREADS, THREADS, PACK_OF_WARP)


def _scoped(bound: Bound | None, **others: Any) -> ScopedPart | None:
    """What a processor's kernel is made of, as a part of another kernel."""
    return None if bound is None else ScopedPart(bound.template, tuple({**bound.parts, **others}.items()))


def _calls(kernels: Kernels) -> dict[str, Any]:
    """What evaluations of networks call, and steps."""
    passes, batch = _passes(kernels), kernels.bound_batch
    if not passes or batch is None:
        return passes
    return {**passes, "run_batch": ScopedPart(blocks.batch_in_place, tuple({**batch.parts, **passes}.items()))}


def _step_calls(kernels: Kernels) -> dict[str, Any]:
    """What steps call: where these have a layout of their own, passes that know it."""
    structure = kernels.structure
    near = getattr(structure.layout, "near", None)
    return _calls(kernels if near is None else kernels_on_warps(structure._replace(layout=near)))


def _passes(kernels: Kernels) -> dict[str, Any]:
    """What evaluations of networks call."""
    passing = kernels.bound_pass
    return {} if passing is None else {"run_passes": ScopedPart(blocks.pass_block, tuple(passing.parts.items()))}


def _advancing(kernels: Kernels, calls: Mapping[str, Any]) -> ScopedPart | None:
    """The steps of runs, or of teams with those of their workers."""
    steps = _scoped(kernels.bound_steps, **calls)
    if kernels.structure.team is None:
        return steps
    return _scoped(kernels.bound_advance, run_worker=ScopedPart(advance_worker, (("advance_pack", steps),)))


def stepping(kernels: Kernels) -> Template:
    """The kernel that makes steps of packs and nothing else."""
    return Template(advance_packs, {"advance_pack": _advancing(kernels, _step_calls(kernels))})


def whole_training(kernels: Kernels) -> Template:
    """The kernel that trains packs from the starts of their runs to the ends."""
    calls, step_calls = _calls(kernels), _step_calls(kernels)
    reports = _scoped(kernels.bound_report)
    own = {"advance_pack": _advancing(kernels, step_calls)} | ({"report_pack": reports} if reports else {})
    advances = ScopedPart(advance_and_report if reports else advance_here, tuple(own.items()))
    evaluates = ScopedPart(evaluate_here, (("evaluate_points", _scoped(kernels.bound_evaluation, **calls)),))
    loop = _scoped(kernels.bound_loop, run_advance=advances, run_evaluate=evaluates)
    assert loop is not None
    return Template(train_packs, {"train_pack": loop._replace(is_seldom=True)})


def on_packs(kernel: PackKernel) -> Template:
    """A `PackKernel` for the packs of warps, of a structure's kernels for them. What has parts of its own for what it calls
    keeps them.
    """
    return Template(work_on_packs, {"pack_kernel": _on_pack(kernel)})


def _on_pack(kernel: PackKernel) -> ScopedPart | None:
    own = {name: part for name, part in _passes(kernel.kernels).items() if name not in kernel.bound.parts}
    if kernel.called is not None:
        own["run_products"] = ScopedPart(products_here, (("pack_kernel", _on_pack(kernel.called)),))
    return _scoped(kernel.bound, **own)


def compiled_training(kernels: Kernels, capability: tuple[int, int]) -> Compiled:
    """The kernel that trains packs, as devices of a compute capability load it: compiled, or found where kernels are kept.
    Needs numba-cuda, and no device.
    """
    return _compiled(whole_training(kernels), capability, kernels.structure.title)


def wanted_training(kernels: Kernels, capability: tuple[int, int]) -> DeviceKernel:
    """What `compiled_training` compiles, which another process may do. Needs numba-cuda, and no device."""
    return device_kernel(**_asked(whole_training(kernels), capability, kernels.structure.title))


def compiled_for_packs(kernel: PackKernel, capability: tuple[int, int]) -> Compiled:
    """Likewise a `PackKernel`."""
    return _compiled(on_packs(kernel), capability, kernel.bound.title or kernel.kernels.structure.title)


def _compiled(template: Template, capability: tuple[int, int], title: str) -> Compiled:
    return cubin_of(**_asked(template, capability, title))


def _asked(template: Template, capability: tuple[int, int], title: str) -> dict[str, Any]:
    """A kernel as `cubins` is asked for it."""
    from gdsim.lanes.cuda import ARRAY, NUMBER

    own = {"template": template.function, "parts": template.parts, "arguments": (ARRAY, NUMBER, ARRAY)}
    return {**own, "capability": capability, "title": f"{title} for a GPU"}
