"""A compiler as typing rules see it: its types of lanes and masks, and its form of an operation's definition."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from llvmlite import ir

from gdsim.lanes.kinds import DualKind, LaneKind, MaskKind, MemoryKind, ViewKind, is_dual, llvm_type
from gdsim.lanes.numbers import DualZero, Number
from gdsim.lanes.types import Builder, Context, Function, Kind, Value


class Compiler(NamedTuple):
    """What a compiler makes types of, and is asked for types by."""

    types: Any
    models: Any  # of how values of its types are held
    register_model: Any
    signature: Any
    typing: Callable[[], Any]  # what it finds the types of calls by


def number_type(compiler: Compiler) -> Any:
    """The type of numbers with tangents."""
    types, models, register_model, *_ = compiler

    class Dual(DualKind, types.Type):
        """The type of numbers of type `value`, each with `count` tangents."""

        def __init__(self, value: Kind, count: int) -> None:
            self.value, self.count, self.bitwidth = value, count, value.bitwidth
            types.Type.__init__(self, name=f"Dual({value} and {count})")

    class DualModel(models.StructModel):
        """A value, then its tangents."""

        def __init__(self, manager: Any, kind: Kind) -> None:
            super().__init__(manager, kind, [(f"part{k}", kind.value) for k in range(1 + kind.count)])

    register_model(Dual)(DualModel)
    return Dual


def lane_types(compiler: Compiler, by_thread: bool) -> tuple[Any, Any]:
    """The types of lanes and of masks."""
    types, models, register_model, *_ = compiler

    class Lane(LaneKind, types.Type):
        """The type of `width` numbers of type `dtype` side by side."""

        def __init__(self, dtype: Kind, width: int) -> None:
            self.dtype, self.width, self.held = dtype, width, 1 if by_thread else width
            types.Type.__init__(self, name=f"Lane({dtype} x {width})")

    class Mask(MaskKind, types.Type):
        """The type of `width` truth values side by side."""

        def __init__(self, width: int) -> None:
            self.width, self.held = width, 1 if by_thread else width
            types.Type.__init__(self, name=f"Mask({width})")

    class VectorModel(models.PrimitiveModel):
        """A lane or a mask is held as one LLVM vector; of width 1, as one number."""

        def __init__(self, manager: Any, kind: Kind) -> None:
            super().__init__(manager, kind, llvm_type(kind))

    class DualLaneModel(models.StructModel):
        """A lane of values, then lanes of tangents."""

        def __init__(self, manager: Any, kind: Kind) -> None:
            plain = lanes(kind.dtype.value, kind.width)
            super().__init__(manager, kind, [(f"part{k}", plain) for k in range(1 + kind.dtype.count)])

    register_model(Lane)(lambda manager, kind: (DualLaneModel if is_dual(kind) else VectorModel)(manager, kind))
    register_model(Mask)(VectorModel)
    lanes = functools.cache(Lane)
    return lanes, functools.cache(Mask)


def memory_types(compiler: Compiler) -> tuple[Any, Any]:
    """The types of memory and of views of job tables."""
    types, models, register_model, *_ = compiler

    class Memory(MemoryKind, types.Type):
        """The type of numbers of type `dtype` one after the other: an address and a length. In near memory the address
        is counted from its beginning on.
        """

        def __init__(self, dtype: Kind, is_near: bool = False) -> None:
            self.dtype, self.is_near = dtype, is_near
            types.Type.__init__(self, name=f"{'Near' if is_near else 'Memory'}({dtype})")

    class MemoryModel(models.StructModel):
        """An address and a length; of dual numbers those of the values."""

        def __init__(self, manager: Any, kind: Kind) -> None:
            element = kind.dtype.value if is_dual(kind) else kind.dtype
            super().__init__(manager, kind, [("data", types.CPointer(element)), ("size", types.int64)])

    class View(ViewKind, types.Type):
        """The type of a part of a job's table: an address."""

        def __init__(self, layout: int) -> None:
            self.layout = layout
            types.Type.__init__(self, name=f"View({layout})")

    class ViewModel(models.PrimitiveModel):
        """An address, as a whole number."""

        def __init__(self, manager: Any, kind: Kind) -> None:
            super().__init__(manager, kind, ir.IntType(64))

    register_model(Memory)(MemoryModel)
    register_model(View)(ViewModel)
    return functools.cache(Memory), functools.cache(View)


class Target:
    """Lane and mask types made of one compiler's own types, held as LLVM vectors, and the rules of operations
    in its form.

    `code` emits its instructions, `dual_code` those on numbers with tangents. `by_thread` says that each thread holds
    one lane of those that are worked on together, and the others' lie in the other threads of its warp.
    """

    def __init__(self, compiler: Compiler, code: Any, dual_code: Any, by_thread: bool = False) -> None:
        self.types, self.signature, self.typing = compiler.types, compiler.signature, compiler.typing
        self.unliteral, self.by_thread = compiler.types.unliteral, by_thread
        self.code, self.dual_code = code, dual_code
        self.DualType = number_type(compiler)
        self.Dual = functools.cache(self.DualType)
        self.Lane, self.Mask = lane_types(compiler, by_thread)
        self.Memory, self.View = memory_types(compiler)

    def number(self, number: Number) -> Kind:
        """The type of numbers, with tangents or without."""
        plain = getattr(self.types, number.dtype.name)
        return self.Dual(plain, number.tangents) if number.tangents else plain

    def type_of_zero(self, zero: DualZero, _: Any) -> Kind:
        """The type of 0 with tangents, as the compiler finds that of a constant."""
        return self.number(zero.number)

    def lowered_zero(self, context: Context, builder: Builder, kind: Kind, zero: DualZero) -> Value:
        """0 with tangents as a constant."""
        return ir.Constant(context.get_value_type(kind), [0.0] * (1 + kind.count))

    def plain(self, kind: Kind) -> Kind:
        """The type of lanes without tangents in the place of those with them; other types as they are."""
        return self.Lane(kind.dtype.value, kind.width) if is_dual(kind) else kind

    def is_number(self, kind: Kind) -> bool:
        """Whether a value of this type is one number, which can stand in every lane."""
        return isinstance(kind, (self.types.Number, DualKind))

    def is_flat(self, kind: Kind) -> bool:
        """Whether lanes can be loaded from a value of this type."""
        return isinstance(kind, (self.types.Array, MemoryKind))

    def code_for(self, arguments: Iterable[Kind]) -> Any:
        """What emits instructions on values of some types."""
        return self.dual_code if any(map(is_dual, arguments)) else self.code

    def definition(self, rule: Function) -> Any:
        """A typing rule in the form of the compiler's intrinsics."""
        operands = rule.__code__.co_argcount - 1  # beside the target

        def define(context: Context, *arguments: Kind) -> Any:
            # Python's own functions are called with other numbers of arguments too, `min` of three for example:
            # those are the compiler's to find.
            found = rule(self, *arguments) if len(arguments) == operands else None
            if found is None:
                return None
            result, emit = found

            def generate(context: Context, builder: Builder, _: Any, values: Value) -> Any:
                return emit(self.code_for(arguments)(context, builder), *values)

            return self.signature(result, *arguments), generate

        vars(define)["__signature__"] = inspect.signature(rule)
        return define
