# pyright: reportAttributeAccessIssue=false, reportPrivateImportUsage=false, reportMissingImports=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportIncompatibleMethodOverride=false
"""Lanes on CUDA, where a lane is one number of each of a warp's threads (`warps`): the same operations from the
same rules, compiled to PTX, and PTX to machine code.

This is the one module that imports `numba.cuda` and what it is built on; neither compilation needs a GPU.

Of numba-cuda's compiler two things are not said by its own functions: it contracts a * b + c unless NVVM is told
otherwise, and its functions of kernels ask the driver which device is in use. So `lowered` and `ptx_of` call what
those call, by names that numba-cuda does not promise to keep: they are listed in tests/test_packaging.py, and
pyproject.toml allows the versions that have been tried. What a kernel reaches below its entry goes through the passes
of processors' kernels (`pipeline`, `inference`, `lowering`), which numba-cuda's contexts serve as Numba's do: a third
of the time that its own passes take.
"""

import functools
import hashlib
import mmap
import pathlib
from collections.abc import Mapping
from typing import Any

from cuda import pathfinder
from cuda.bindings import nvjitlink
from llvmlite import ir
from numba.core.compiler import CompilerBase, Flags
from numba.core.compiler_lock import global_compiler_lock as processors_lock
from numba.cuda import types
from numba.cuda.codegen import CUDACodeLibrary
from numba.cuda.compiler import compile_cuda, kernel_fixup
from numba.cuda.core.compiler_lock import global_compiler_lock
from numba.cuda.core.imputils import lower_constant, user_function
from numba.cuda.cudadrv.nvrtc import get_arch_option, get_supported_ccs
from numba.cuda.cudadrv.nvvm import compile_ir
from numba.cuda.descriptor import cuda_target
from numba.cuda.extending import infer_getattr, lower_getattr_generic, models, register_model, typeof_impl
from numba.cuda.typing.templates import AttributeTemplate, infer_global, make_intrinsic_template, signature

from gdsim.lanes import children, elf, warps
from gdsim.lanes.compiler import Bound, Role, describe, link
from gdsim.lanes.lowering import MayRaiseError, PartLower, part_context
from gdsim.lanes.memory import register_fields
from gdsim.lanes.numbers import DualZero
from gdsim.lanes.operations import OPERATIONS
from gdsim.lanes.pipeline import FRONTEND, CompiledPart, PartLowering, Passes
from gdsim.lanes.ranges import is_range_iterator, next_of
from gdsim.lanes.target import Compiler, Target
from gdsim.lanes.types import Function, Kind, Node, State, Value
from gdsim.lanes.warps import capability_text

TARGET = Target(Compiler(types, models, register_model, signature, lambda: cuda_target.typing_context), warps.WarpCode, warps.DualWarpCode, by_thread=True)
register_fields(TARGET, AttributeTemplate, infer_getattr, lower_getattr_generic)
typeof_impl.register(DualZero)(TARGET.type_of_zero)
lower_constant(TARGET.DualType)(TARGET.lowered_zero)
children.locks.append(global_compiler_lock)


def array_type(dtype: str) -> Any:
    """The type of a kernel's flat array of numbers."""
    return types.Array(getattr(types, dtype), 1, "C")


ARRAY, NUMBER = array_type("int64"), types.int64  # the types of a kernel's arguments

_registered: set[Any] = set()


def register() -> None:
    """Makes every operation known to numba-cuda. Later tables of operations are registered by the same call."""
    for handle, rules in OPERATIONS.items():
        for rule in rules:
            if rule not in _registered:
                name = getattr(handle, "__name__", "operation")
                infer_global(handle, types.Function(make_intrinsic_template(handle, TARGET.definition(rule), name, prefer_literal=True)))
                _registered.add(rule)


class FunctionLibrary(CUDACodeLibrary):
    """The LLVM module of one function, for kernels to link."""

    def __init__(self, codegen: Any, name: str) -> None:
        super().__init__(codegen, name)
        self._reload_init: set[Any] = set()  # which Numba asks libraries for


class FunctionLower(PartLower):
    """Lowers a function that a kernel reaches."""

    def lower_expr(self, resty: Kind, expr: Node) -> Value:
        """An expression; a range's next number without a branch, for which NVIDIA's compiler keeps no count by itself."""
        kind = self.typeof(expr.value.name) if expr.op == "iternext" else None
        if is_range_iterator(kind):
            return next_of(self.context, self.builder, resty, kind, self.loadvar(expr.value.name))
        return super().lower_expr(resty, expr)


class FunctionLowering(PartLowering):
    """Lowers a function that a kernel reaches, if it cannot raise."""

    library, plain_lowering = FunctionLibrary, FunctionLower

    def lowered_as_raising(self, state: State, plain: bool) -> Function:
        """Raises MayRaiseError."""
        raise MayRaiseError(state.func_id.func_qualname)


PASSES = Passes(*FRONTEND, FunctionLowering)


class FunctionCompiler(CompilerBase):
    """For the functions that a kernel reaches: Numba's passes as processors' kernels have them, with numba-cuda's types of
    calls and its forms of what is called.
    """

    def define_pipelines(self) -> list[Any]:
        """Up to LLVM's language and no further."""
        return [PASSES]


def shortened(module: Value) -> None:
    """Has NVIDIA's compiler leave loops as they are written, and read words of tables where they are asked for. It would
    read them long before, since none changes, and keep each in registers that then no step has.
    """
    note = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    for function in module.functions:
        places = {block: number for number, block in enumerate(function.blocks)}
        for block in function.blocks:
            for instruction in block.instructions:
                instruction.metadata.pop("invariant.load", None)
            if any(places.get(goal, len(places)) <= places[block] for goal in block.terminator.operands):
                loop = ir.MDValue(module, [note], name=str(len(module.metadata)))
                loop.operands = (loop, note)  # it names itself, as LLVM tells loops apart
                block.terminator.set_metadata("llvm.loop", loop)


def lowered(function: Function, result: Any, arguments: Any, capability: tuple[int, int], inline: bool) -> Any:
    """A function as numba-cuda compiles it: an entry, or what may raise in Python, whatever switches the environment has."""
    return compile_cuda(function, result, arguments, debug=False, forceinline=inline, cc=capability)


def part_of(function: Function, capability: tuple[int, int], is_seldom: bool) -> CompiledPart:
    """A function that a kernel reaches. It goes inline: what is called keeps its result in memory."""

    def make(function: Function, arguments: Any) -> Any:
        context, flags = cuda_target.target_context.subtarget(), Flags()
        context.__class__ = part_context(type(context))
        flags.error_model, flags.forceinline = "numpy", True
        try:
            call, result = FunctionCompiler(cuda_target.typing_context, context, None, arguments, None, flags, {}).compile_extra(function)
        except MayRaiseError:
            made = lowered(function, None, arguments, capability, True)
            call, result = user_function(made.fndesc, [made.library]), made.fndesc.restype
        (library,) = call.libs
        if is_seldom:
            shortened(library.modules[0])
        return call, result

    return CompiledPart(function, cuda_target.target_context, make)


def compile_ptx(template: Function, parts: Mapping[str, Any], arguments: tuple[Any, ...], capability: tuple[int, int] = (9, 0)) -> str:
    """The PTX of a template with its parts in place, for arguments of the given types."""
    return ptx_of(describe(template, parts, arguments), capability)


def ptx_of(bound: Bound, capability: tuple[int, int]) -> str:
    """The PTX of a described kernel, whose signature is its arguments' types."""

    def compiler(function: Function, role: Role) -> Any:
        return function if role == "entry" else part_of(function, capability, role == "seldom")

    token = warps.capability.set(capability)
    try:
        with global_compiler_lock:
            check_capability(capability)
            register()
            with processors_lock:
                made = lowered(link(bound, compiler, f"_sm_{capability[0]}{capability[1]}"), types.void, bound.signature, capability, False)
            kernel_fixup(made.library.get_function(made.fndesc.llvm_func_name), False)
            texts = map(str, dict.fromkeys(made.library.modules))  # which has those of functions once for each that calls them
            return compile_ir(list(texts), opt=3, fma=0, arch=get_arch_option(*capability)).decode().strip("\0\n")
    finally:
        warps.capability.reset(token)


def linked(ptx: str, capability: tuple[int, int], most_registers: int | None = None) -> bytes:
    """The machine code of a kernel's PTX, a cubin. Raises RuntimeError with what NVIDIA's compiler says."""
    options = [f"-arch=sm_{capability[0]}{capability[1]}", *([] if most_registers is None else [f"-maxrregcount={most_registers}"])]
    handle = nvjitlink.create(len(options), options)
    try:
        text = ptx.encode()
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, text, len(text), "kernel")
        nvjitlink.complete(handle)
        cubin = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, cubin)
    except nvjitlink.nvJitLinkError as error:
        said = bytearray(nvjitlink.get_error_log_size(handle))
        nvjitlink.get_error_log(handle, said)
        reason = "; ".join(said.decode().strip("\0\n").splitlines()) or str(error)
        raise RuntimeError(f"nvJitLink refused a kernel for compute capability {capability_text(capability)}: {reason}") from None
    finally:
        nvjitlink.destroy(handle)
    return bytes(cubin)


def check_capability(capability: tuple[int, int]) -> None:
    """Refuses a compute capability that the compiler makes no code for. Raises ValueError."""
    known = get_supported_ccs()
    if capability not in known:
        allowed = ", ".join(map(capability_text, sorted(known)))
        raise ValueError(f"no code is made for compute capability {capability_text(capability)}: the CUDA compiler that is installed knows {allowed}")


@functools.cache
def versions() -> tuple[str, ...]:
    """What machine code depends on beside its source and `machine`: numba-cuda, and NVIDIA's two compilers."""
    import numba_cuda

    return numba_cuda.__version__, *(_build(pathfinder.load_nvidia_dynamic_lib(name).abs_path) for name in ("nvvm", "nvJitLink"))


def _build(path: str | None) -> str:
    """What tells a library from all others: the number of its build, or a hash of it where it has none."""
    assert path is not None, "a library that has been loaded lies in a file"
    with pathlib.Path(path).open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    note = elf.named(elf.sections(data), ".note.gnu.build-id")
    return hashlib.sha256(data if note is None else note.content).hexdigest()
