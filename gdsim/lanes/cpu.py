"""Lanes on the processor: hands every operation to Numba's compiler, and keeps the floating-point mode in
order.
"""

from typing import Any

from llvmlite import binding, ir
from numba.core import types
from numba.core.typing.templates import infer_global, make_intrinsic_template, signature
from numba.extending import intrinsic, models, register_model

from gdsim.lanes.emit import Code
from gdsim.lanes.operations import OPERATIONS
from gdsim.lanes.target import Target

TARGET = Target(types, models, register_model, signature, Code)


def register() -> None:
    """Makes every operation known to Numba. Later tables of operations are registered by the same call."""
    for handle, rules in OPERATIONS.items():
        for rule in rules:
            if rule not in _registered.setdefault(handle, []):
                name = getattr(handle, "__name__", "operation")
                template = make_intrinsic_template(handle, TARGET.definition(rule), name, prefer_literal=True)
                infer_global(handle, types.Function(template))
                _registered[handle].append(rule)


_registered: dict[Any, list[Any]] = {}
binding.initialize_native_asmparser()  # for the two instructions that read and write the floating-point mode

# x86: MXCSR with all exceptions masked, round to nearest, denormals kept. Arm: FPCR zero says the same.
_X86_DEFAULT = 0x1F80


@intrinsic
def set_float_mode(typingctx: Any) -> Any:
    """Sets the IEEE default mode (nearest, denormals kept) and returns the mode there was."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        return _exchange_mode(builder, None)

    return types.uint64(), generate


@intrinsic
def restore_float_mode(typingctx: Any, mode: Any) -> Any:
    """Sets the mode that `set_float_mode` returned."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        _exchange_mode(builder, values[0])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


def _exchange_mode(builder: Any, mode: Any) -> Any:
    """Reads the mode and writes `mode`, or the default.

    Memory clobbers keep loads and stores on their side of it.
    """
    wide, narrow = ir.IntType(64), ir.IntType(32)
    triple = builder.module.triple
    if triple.startswith(("aarch64", "arm64")):
        before = builder.asm(ir.FunctionType(wide, []), "mrs $0, fpcr", "=r,~{memory}", [], True)
        after = ir.Constant(wide, 0) if mode is None else mode
        builder.asm(ir.FunctionType(ir.VoidType(), [wide]), "msr fpcr, $0", "r,~{memory}", [after], True)
        return before
    slot = builder.alloca(narrow)
    pointer = ir.FunctionType(ir.VoidType(), [slot.type])
    builder.asm(pointer, "stmxcsr ($0)", "r,~{memory}", [slot], True)
    before = builder.zext(builder.load(slot), wide)
    builder.store(ir.Constant(narrow, _X86_DEFAULT) if mode is None else builder.trunc(mode, narrow), slot)
    builder.asm(pointer, "ldmxcsr ($0)", "r,~{memory}", [slot], True)
    return before
