# pyright: reportAttributeAccessIssue=false, reportPrivateImportUsage=false, reportMissingImports=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportIncompatibleMethodOverride=false
"""Lanes on CUDA, where a lane is one thread's number: the same operations from the same rules, compiled to
PTX.

NVIDIA's compiler contracts a * b + c unless told otherwise, so every arithmetic instruction is libdevice's
rounded one. This is the one module that imports `numba.cuda`; PTX compiles without a GPU.
"""

import contextlib
import functools
import types as python_types
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

from llvmlite import ir
from numba import cuda
from numba.cuda import types
from numba.cuda.descriptor import cuda_target
from numba.cuda.extending import models, register_model
from numba.cuda.typing.templates import infer_global, make_intrinsic_template, signature

from gdsim.lanes.compiler import describe, link
from gdsim.lanes.emit import Code, is_float_value
from gdsim.lanes.operations import OPERATIONS
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function, Value


class CudaCode(Code):
    """Instructions that the device's compiler must not contract or approximate."""

    def _rounded(self, name: str, *values: Value) -> Any:
        """A call of libdevice's `name` in the precision of its arguments, rounded to nearest."""
        kind = values[0].type
        double = isinstance(kind, ir.DoubleType)
        spelled = {"fma": "fma" if double else "fmaf"}.get(name, ("d" if double else "f") + name)
        return self.call(f"__nv_{spelled}_rn", kind, *values)

    def add(self, x: Value, y: Value) -> Any:
        """x + y."""
        return self._rounded("add", x, y) if is_float_value(x) else super().add(x, y)

    def sub(self, x: Value, y: Value) -> Any:
        """x - y."""
        return self._rounded("add", x, self.neg(y)) if is_float_value(x) else super().sub(x, y)

    def mul(self, x: Value, y: Value) -> Any:
        """x * y."""
        return self._rounded("mul", x, y) if is_float_value(x) else super().mul(x, y)

    def div(self, x: Value, y: Value) -> Any:
        """x / y."""
        return self._rounded("div", x, y)

    def fma(self, x: Value, y: Value, z: Value) -> Any:
        """x * y + z, rounded once."""
        return self._rounded("fma", x, y, z)

    def prefetch(self, base: Value, offset: Value) -> None:
        """Nothing: while a warp waits for memory, others work."""

    def sqrt(self, x: Value) -> Any:
        """The square root, correctly rounded."""
        return self._rounded("sqrt", x)

    def neg(self, x: Value) -> Any:
        """-x: for floats by the sign bit, which no compiler contracts."""
        if not is_float_value(x):
            return super().neg(x)
        integer = ir.IntType(64 if isinstance(x.type, ir.DoubleType) else 32)
        flipped = self.builder.xor(self.builder.bitcast(x, integer), ir.Constant(integer, 1 << (integer.width - 1)))
        return self.builder.bitcast(flipped, x.type)


TARGET = Target(types, models, register_model, signature, CudaCode, lambda: cuda_target.typing_context)


@functools.cache
def register() -> None:
    """Makes every operation known to numba-cuda."""
    for handle, rules in OPERATIONS.items():
        for rule in rules:
            name = getattr(handle, "__name__", "operation")
            infer_global(handle, types.Function(make_intrinsic_template(handle, TARGET.definition(rule), name, prefer_literal=True)))


@contextlib.contextmanager
def _as_if_on(capability: tuple[int, int]) -> Iterator[None]:
    """numba-cuda asks the current device what to compile functions for; without one it is told."""
    device = python_types.SimpleNamespace(compute_capability=capability)
    modules = ("numba.cuda.api", "numba.cuda.dispatcher", "numba.cuda.compiler")
    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.enter_context(mock.patch(f"{module}.get_current_device", return_value=device))
        yield


def compile_ptx(template: Function, parts: Mapping[str, Any], arguments: tuple[Any, ...], capability: tuple[int, int] = (9, 0)) -> str:
    """The PTX of a template with its parts in place, for arguments of the given types; needs no GPU."""
    register()

    def compiler(function: Function, entry: bool, inline: bool) -> Any:
        return function if entry else cuda.jit(device=True, forceinline=inline)(function)

    with _as_if_on(capability):
        bound = describe(template, parts, arguments)
        return cuda.compile_ptx(link(bound, compiler, f"cuda {capability}"), arguments, device=False, cc=capability)[0]


def devices() -> list[str]:
    """The names of the GPUs that CUDA sees."""
    return [gpu.name.decode() if isinstance(gpu.name, bytes) else str(gpu.name) for gpu in cuda.gpus] if cuda.is_available() else []
