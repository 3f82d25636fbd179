"""A compiler as typing rules see it: its types of lanes and masks, and its form of an operation's definition."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir

from gdsim.lanes.kinds import DualKind, LaneKind, MaskKind, MemoryKind, ViewKind, is_dual, llvm_type
from gdsim.lanes.numbers import DualZero, Number
from gdsim.lanes.types import Builder, Context, Function, Kind, Value


class Target:
    """Lane and mask types made of one compiler's own types, held as LLVM vectors, and the rules of operations
    in its form.

    `types`, `models`, `register_model` and `signature` are the compiler's; `code` emits its instructions, `dual_code`
    those on numbers with tangents, and `typing` gives what the compiler finds the types of calls by. `by_thread` says that each thread holds one lane
    of those that are worked on together, and the others' lie in the other threads of its warp.
    """

    def __init__(
        self, types: Any, models: Any, register_model: Any, signature: Any, code: Any, dual_code: Any, typing: Callable[[], Any], by_thread: bool = False
    ) -> None:
        self.types, self.signature, self.typing, self.by_thread = types, signature, typing, by_thread
        self.code, self.dual_code = code, dual_code
        self.unliteral = types.unliteral

        class Dual(DualKind, types.Type):
            """The type of numbers of type `value`, each with `count` tangents."""

            def __init__(self, value: Kind, count: int) -> None:
                self.value, self.count, self.bitwidth = value, count, value.bitwidth
                types.Type.__init__(self, name=f"Dual({value} and {count})")

        class DualModel(models.StructModel):
            """A value, then its tangents."""

            def __init__(self, manager: Any, kind: Kind) -> None:
                super().__init__(manager, kind, [(f"part{k}", kind.value) for k in range(1 + kind.count)])

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

        class Memory(MemoryKind, types.Type):
            """The type of numbers of type `dtype` one after the other: an address and a length."""

            def __init__(self, dtype: Kind) -> None:
                self.dtype = dtype
                types.Type.__init__(self, name=f"Memory({dtype})")

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
        register_model(Dual)(DualModel)
        register_model(Lane)(lambda manager, kind: (DualLaneModel if is_dual(kind) else VectorModel)(manager, kind))
        register_model(Mask)(VectorModel)
        lanes = functools.cache(Lane)
        self.Lane, self.DualType = lanes, Dual
        self.Dual, self.Mask, self.Memory, self.View = (functools.cache(kind) for kind in (Dual, Mask, Memory, View))

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
