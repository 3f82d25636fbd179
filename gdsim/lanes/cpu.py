"""Lanes on the processor: hands every operation to Numba's compiler, and keeps the floating-point mode in
order.
"""

import functools
from typing import Any

from llvmlite import binding, ir
from numba.core import types
from numba.core.imputils import lower_constant
from numba.core.registry import cpu_target
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, ConcreteTemplate, infer_global, signature
from numba.extending import infer_getattr, intrinsic, lower_getattr_generic, models, register_model, typeof_impl

from gdsim.lanes.duals import DualCode
from gdsim.lanes.emit import Code
from gdsim.lanes.memory import register_fields
from gdsim.lanes.numbers import DualZero
from gdsim.lanes.operations import OPERATIONS, Rule
from gdsim.lanes.target import Compiler, Target
from gdsim.lanes.types import Builder, Context, Value

TARGET = Target(Compiler(types, models, register_model, signature, lambda: cpu_target.typing_context), Code, DualCode)


typeof_impl.register(DualZero)(TARGET.type_of_zero)
lower_constant(TARGET.DualType)(TARGET.lowered_zero)


NUMBERS = (types.Integer, types.IntegerLiteral, types.Float, types.Complex)


class Operation(AbstractTemplate):
    """How Numba types and lowers one operation: by its first rule that applies.

    Numba tries templates of the processor before all others, and makes no function of its own of this one.
    """

    metadata = {"target": "cpu"}
    prefer_literal = True
    key: Any = None
    rules: list[Rule] = []

    def generic(self, args: Any, kws: Any) -> Any:
        """The signature for arguments of these types; None if no rule applies.

        Numba would ask for arrays, strings and sets first before it comes to numbers.
        """
        found = None if kws else result_of(type(self), tuple(args))
        if found is not None:
            return signature(found[0], *args)
        if all(type(a) in NUMBERS for a in args):  # and no number of others, which may have rules of its own
            plain = tuple(map(types.unliteral, args))
            return next((sig for template in of_numbers(self.key) if (sig := template(self.context).apply(plain, {}))), None)
        return None

    def get_impl_key(self, sig: Any) -> Any:
        """What a signature is lowered by."""
        return type(self) if (type(self), sig.args) in _results else self.key


@functools.cache
def of_numbers(handle: Any) -> list[Any]:
    """Numba's own templates of an operator that list the types of numbers."""
    typing: Any = cpu_target.typing_context
    try:
        found = typing.resolve_value_type(handle)
    except ValueError:  # an operation of lanes alone
        return []
    return [t for t in found.templates if issubclass(t, ConcreteTemplate)]


def result_of(operation: type[Operation], args: tuple[Any, ...]) -> Any:
    """What the first rule that applies gives: the result's type and the emitter."""
    key = operation, args
    if key not in _results:
        applicable = (rule for rule in operation.rules if rule.__code__.co_argcount == 1 + len(args))
        found = next((found for rule in applicable if (found := rule(TARGET, *args)) is not None), None)
        if found is None:
            return None
        _results[key] = found
    return _results[key]


_results: dict[Any, Any] = {}


register_fields(TARGET, AttributeTemplate, infer_getattr, lower_getattr_generic)


def register() -> None:
    """Makes every operation known to Numba. Later tables of operations are registered by the same call."""
    target: Any = cpu_target.target_context
    for handle, rules in OPERATIONS.items():
        if handle not in _registered:
            name = getattr(handle, "__name__", "operation")
            operation = type(name, (Operation,), {"key": handle, "rules": rules})

            def lower(context: Context, builder: Builder, sig: Any, values: Value, operation: Any = operation) -> Any:
                return result_of(operation, sig.args)[1](TARGET.code_for(sig.args)(context, builder), *values)

            target.insert_func_defn([(lower, operation, (types.VarArg(types.Any),))])
            infer_global(handle, types.Function(operation))
            _registered.add(handle)


_registered: set[Any] = set()
binding.initialize_native_asmparser()  # for the two instructions that read and write the floating-point mode

# x86: MXCSR with all exceptions masked, round to nearest, denormals kept. Arm: FPCR zero says the same.
_X86_DEFAULT = 0x1F80


@intrinsic
def set_float_mode(typingctx: Any) -> Any:
    """Sets the IEEE default mode (nearest, denormals kept) and returns the mode there was."""

    def generate(context: Context, builder: Builder, _: Any, values: Value) -> Any:
        return _exchange_mode(builder, None)

    return types.uint64(), generate


@intrinsic
def restore_float_mode(typingctx: Any, mode: Any) -> Any:
    """Sets the mode that `set_float_mode` returned."""

    def generate(context: Context, builder: Builder, _: Any, values: Value) -> Any:
        _exchange_mode(builder, values[0])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


def _exchange_mode(builder: Builder, mode: Any) -> Any:
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
