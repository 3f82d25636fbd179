# pyright: reportAttributeAccessIssue=false, reportPrivateImportUsage=false, reportMissingImports=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportIncompatibleMethodOverride=false
"""Lanes on CUDA, where a lane is one number of each of a warp's threads (`warps`): the same operations from the
same rules, compiled to PTX.

NVIDIA's compiler contracts a * b + c unless told otherwise, which numba-cuda has no option for: `_compiling` tells
it. This is the one module that imports `numba.cuda`; PTX compiles without a GPU.
"""

import contextlib
import types as python_types
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

from numba import cuda
from numba.cuda import compiler as cuda_compiler, types
from numba.cuda.descriptor import cuda_target
from numba.cuda.extending import infer_getattr, lower_getattr_generic, models, register_model
from numba.cuda.typing.templates import AttributeTemplate, infer_global, make_intrinsic_template, signature

from gdsim.lanes import warps
from gdsim.lanes.compiler import describe, link
from gdsim.lanes.memory import register_fields
from gdsim.lanes.operations import OPERATIONS
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function

TARGET = Target(types, models, register_model, signature, warps.WarpCode, warps.DualWarpCode, lambda: cuda_target.typing_context, by_thread=True)
register_fields(TARGET, AttributeTemplate, infer_getattr, lower_getattr_generic)

_registered: set[Any] = set()


def register() -> None:
    """Makes every operation known to numba-cuda. Later tables of operations are registered by the same call."""
    for handle, rules in OPERATIONS.items():
        for rule in rules:
            if rule not in _registered:
                name = getattr(handle, "__name__", "operation")
                infer_global(handle, types.Function(make_intrinsic_template(handle, TARGET.definition(rule), name, prefer_literal=True)))
                _registered.add(rule)


@contextlib.contextmanager
def _compiling(capability: tuple[int, int]) -> Iterator[None]:
    """Has numba-cuda compile for a device that need not be here, each sum and product rounded by itself."""
    device = python_types.SimpleNamespace(compute_capability=capability)
    compile_cuda = cuda_compiler.compile_cuda

    def uncontracted(*arguments: Any, nvvm_options: Any = None, **options: Any) -> Any:
        return compile_cuda(*arguments, nvvm_options={**(nvvm_options or {}), "fma": 0}, **options)

    token = warps.capability.set(capability)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(cuda_compiler, "compile_cuda", uncontracted))
            for module in ("numba.cuda.api", "numba.cuda.dispatcher", "numba.cuda.compiler"):
                stack.enter_context(mock.patch(f"{module}.get_current_device", return_value=device))
            yield
    finally:
        warps.capability.reset(token)


def compile_ptx(template: Function, parts: Mapping[str, Any], arguments: tuple[Any, ...], capability: tuple[int, int] = (9, 0)) -> str:
    """The PTX of a template with its parts in place, for arguments of the given types; needs no GPU."""
    register()

    def compiler(function: Function, entry: bool, inline: bool) -> Any:  # a function that is called keeps its result in memory
        return function if entry else cuda.jit(device=True, forceinline=True)(function)

    with _compiling(capability):
        bound = describe(template, parts, arguments)
        return cuda.compile_ptx(link(bound, compiler, f"cuda {capability}"), arguments, device=False, cc=capability)[0]


def devices() -> list[str]:
    """The names of the GPUs that CUDA sees."""
    return [gpu.name.decode() if isinstance(gpu.name, bytes) else str(gpu.name) for gpu in cuda.gpus] if cuda.is_available() else []
