"""A compiler as typing rules see it: its types of lanes and masks, and its form of an operation's definition."""

import functools
import inspect
from typing import Any

from llvmlite import ir

from gdsim.lanes.emit import LaneKind, MaskKind, MemoryKind, ViewKind, llvm_type
from gdsim.lanes.types import Function, Kind


class Target:
    """Lane and mask types made of one compiler's own types, held as LLVM vectors, and the rules of operations
    in its form.

    `types`, `models`, `register_model` and `signature` are the compiler's; `code` emits its instructions.
    """

    def __init__(self, types: Any, models: Any, register_model: Any, signature: Any, code: Any) -> None:
        self.types, self.signature, self.code = types, signature, code
        self.unliteral = types.unliteral

        class Lane(LaneKind, types.Type):
            """The type of `width` numbers of type `dtype` side by side."""

            def __init__(self, dtype: Kind, width: int) -> None:
                self.dtype, self.width = dtype, width
                types.Type.__init__(self, name=f"Lane({dtype} x {width})")

        class Mask(MaskKind, types.Type):
            """The type of `width` truth values side by side."""

            def __init__(self, width: int) -> None:
                self.width = width
                types.Type.__init__(self, name=f"Mask({width})")

        class VectorModel(models.PrimitiveModel):
            """A lane or a mask is held as one LLVM vector; of width 1, as one number."""

            def __init__(self, manager: Any, kind: Kind) -> None:
                super().__init__(manager, kind, llvm_type(kind))

        class Memory(MemoryKind, types.Type):
            """The type of numbers of type `dtype` one after the other: an address and a length."""

            def __init__(self, dtype: Kind) -> None:
                self.dtype = dtype
                types.Type.__init__(self, name=f"Memory({dtype})")

        class MemoryModel(models.StructModel):
            """An address and a length."""

            def __init__(self, manager: Any, kind: Kind) -> None:
                super().__init__(manager, kind, [("data", types.CPointer(kind.dtype)), ("size", types.int64)])

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
        register_model(Lane)(VectorModel)
        register_model(Mask)(VectorModel)
        self.Lane, self.Mask, self.Memory, self.View = (functools.cache(kind) for kind in (Lane, Mask, Memory, View))

    def is_number(self, kind: Kind) -> bool:
        """Whether a value of this type is one number, which can stand in every lane."""
        return isinstance(kind, self.types.Number)

    def is_flat(self, kind: Kind) -> bool:
        """Whether lanes can be loaded from a value of this type."""
        return isinstance(kind, (self.types.Array, MemoryKind))

    def definition(self, rule: Function) -> Any:
        """A typing rule in the form of the compiler's intrinsics."""

        def define(context: Any, *arguments: Kind) -> Any:
            found = rule(self, *arguments)
            if found is None:
                return None
            result, emit = found

            def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
                return emit(self.code(context, builder), *values)

            return self.signature(result, *arguments), generate

        vars(define)["__signature__"] = inspect.signature(rule)
        return define
