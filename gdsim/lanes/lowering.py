"""How functions of a kernel become LLVM's language: Numba's lowering without what they never need.

Numba lowers for Python: each variable lies in memory, each call passes every number of a tuple by itself,
writes its result into memory, and asks whether something was raised. Here a variable that is assigned once is
an LLVM value, and a function below a kernel's entry (a part) takes and returns its values as they are: less
than half as much text for LLVM to read, to the same machine code.
"""

import functools
import operator
from typing import Any

from llvmlite import ir as llvm
from numba.core import ir, types
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.errors import LoweringError, NumbaError
from numba.core.lowering import Lower
from numba.cpython.builtins import do_minmax

from gdsim.lanes.ranges import is_range, iterator_of, length_of, new_range
from gdsim.lanes.types import Context, Description, Function, Kind, Node, Signature, Value


class MayRaiseError(Exception):
    """A function may raise in Python, and is lowered by Numba's convention of calls."""


class NothingRaised:
    """The convention of a part, in which nothing is raised: Numba's code that would raise finds out here."""

    def __getattr__(self, name: str) -> Any:
        raise MayRaiseError(name)


class PartContext:
    """The convention of parts, for a compiler's context."""

    call_conv: Any = NothingRaised()


@functools.cache
def part_context(kind: type) -> type:
    """A compiler's context, with the convention of parts."""
    return kind if issubclass(kind, PartContext) else type(f"Part{kind.__name__}", (PartContext, kind), {})


class Called(types.Callable, types.Dummy):
    """The type of a part."""

    takes_star: bool  # whether one of its parameters takes all further arguments


_functions: dict[Any, Function] = {}  # how calls are lowered, by the type of what is called and those of its arguments


class Builder(llvm.IRBuilder):
    """Emits instructions, and takes a member of a struct that was put together here from where it came."""

    def extract_value(self, agg: Value, idx: Any, name: str = "") -> Value:
        """Member `idx` of a struct."""
        at = list(idx) if isinstance(idx, (tuple, list)) else [idx]
        while isinstance(agg, llvm.instructions.InsertValue) and len(agg.indices) == len(at):
            if list(agg.indices) == at:
                return agg.value
            agg = agg.aggregate
        return super().extract_value(agg, at, name)


def is_passed(kind: Kind) -> bool:
    """Whether an argument is passed: a default is known from its type."""
    return not isinstance(kind, types.Omitted)


def declared(module: Value, description: Description, context: Context) -> Value:
    """A part in a module: it takes the values of its arguments, and returns that of its result."""
    name = description.mangled_name
    if name in module.globals:
        return module.globals[name]
    arguments = [context.get_value_type(kind) for kind in description.argtypes if is_passed(kind)]
    function = llvm.Function(module, llvm.FunctionType(context.get_value_type(description.restype), arguments), name)
    if description.inline:
        function.attributes.add("alwaysinline")
    return function


def as_taken(context: Context, builder: Builder, value: Value, kind: Kind) -> Value:
    """An argument as a part takes it: what `*rest` holds comes as a struct, and a tuple of one type is an array."""
    if not (isinstance(kind, types.UniTuple) and isinstance(value.type, llvm.LiteralStructType)):
        return value
    return context.make_tuple(builder, kind, [builder.extract_value(value, place) for place in range(len(kind))])


def call_of(description: Description, libraries: list[Any]) -> Function:
    """How a call of a part is lowered."""

    def call(context: Context, builder: Builder, _: Any, values: Any, loc: Any = None) -> Value:
        passed = [as_taken(context, builder, value, kind) for value, kind in zip(values, description.argtypes, strict=True) if is_passed(kind)]
        return builder.call(declared(builder.module, description, context), passed)

    vars(call)["libs"] = tuple(libraries)
    return call


def field_of(kind: Kind, name: str) -> int | None:
    """The place of a NamedTuple's field; None for other types and names."""
    fields = getattr(kind, "fields", ()) if isinstance(kind, types.BaseNamedTuple) else ()
    return fields.index(name) if name in fields else None


def names_read(statement: Node) -> list[str]:
    """The variables that a statement reads."""
    if not isinstance(statement, ir.Assign):
        return [variable.name for variable in statement.list_vars()]
    value = statement.value
    if isinstance(value, ir.Var):
        return [value.name]
    return [variable.name for variable in value.list_vars()] if isinstance(value, ir.Expr) else []


def assigned_before_use(blocks: Node) -> set[str]:
    """The variables that are assigned once, before all that reads them: in an earlier statement of a block
    through which every way leads to the reader.
    """
    assigned: dict[str, tuple[int, int]] = {}
    read: dict[str, list[tuple[int, int]]] = {}
    again: set[str] = set()
    for label, block in blocks.items():
        for place, statement in enumerate(block.body):
            for name in names_read(statement):
                read.setdefault(name, []).append((label, place))
            if isinstance(statement, ir.Assign):
                name = statement.target.name
                again.update([name] if name in assigned else [])
                assigned[name] = label, place
    dominators = compute_cfg_from_blocks(blocks).dominators() if len(blocks) > 1 else {label: {label} for label in blocks}

    def is_before(there: tuple[int, int], here: tuple[int, int]) -> bool:
        return there < here and there[0] in dominators[here[0]]

    return {name for name, there in assigned.items() if name not in again and all(is_before(there, here) for here in read.get(name, ()))}


def is_plain(func_ir: Node) -> bool:
    """Whether a function is lowered here: without `try` and `with`, and no generator."""
    return func_ir.generator_info is None and not func_ir.func_id.code.co_exceptiontable


class FunctionLower(Lower):
    """Lowers the body of a function, which calls as Numba's do."""

    def setup_function(self, fndesc: Description) -> None:
        """Begins the function."""
        super().setup_function(fndesc)
        self.builder = Builder(self.entry_block)
        self.call_helper = self.call_conv.init_call_helper(self.builder)

    def _find_singly_assigned_variable(self) -> None:
        """The variables that need no place in memory: assigned once, before everything that reads them. Numba
        asks that all this be in one block.
        """
        self._singly_assigned_vars, self._blk_local_varmap = assigned_before_use(self.blocks), {}

    def pre_block(self, block: Node) -> None:
        """Numba would look for exceptions that are handled."""
        self._cur_ir_block = block

    def lower_block(self, block: Node) -> None:
        """Lowers statement by statement. Numba makes a context for an error's message around each."""
        self.pre_block(block)
        statement = None
        try:
            for statement in block.body:
                self.loc = statement.loc
                self.lower_inst(statement)
        except MayRaiseError:
            raise
        except NumbaError as error:
            error.add_context(f'lowering "{statement}" at {self.loc}')
            raise
        except Exception as error:
            raise LoweringError(f'{error}, lowering "{statement}"', loc=self.loc) from error

    def lower_inst(self, inst: Node) -> None:
        """Lowers one statement. Numba would write each as text, for a debugger."""
        if isinstance(inst, ir.Assign):
            name = inst.target.name
            self.storevar(self.lower_assign(self.typeof(name), inst), name)
        elif isinstance(inst, ir.Jump):
            self.builder.branch(self.blkmap[inst.target])
        else:
            super().lower_inst(inst)

    def storevar(self, value: Value, name: str, argidx: Any = None) -> None:
        """Keeps a variable's value. Numba would first load the old one, for counts of references."""
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self._alloca_var(name, self.typeof(name))
            self.builder.store(value, self.varmap[name])

    def loadvar(self, name: str) -> Value:
        """A variable's value."""
        found = self._blk_local_varmap.get(name)
        return super().loadvar(name) if found is None else found

    def alloca_lltype(self, name: str, lltype: Kind, datamodel: Any = None) -> Value:
        """A place in memory for a variable. Numba would ask LLVM for its size, for a debugger."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(lltype, name=name)
            self.builder.store(llvm.Constant(lltype, None), place)
        return place

    def _function(self, kind: Kind, signature: Signature) -> Function:
        """How a call is lowered, without the question, put to Python anew for each call, what arguments its
        maker takes.
        """
        key = kind, signature.args
        if key not in _functions:
            _functions[key] = self.context.get_function(kind, signature)._imp
        made = _functions[key]

        def call(values: Any) -> Value:
            value = made(self.context, self.builder, signature, values, loc=self.loc)
            self.context.add_linking_libs(getattr(made, "libs", ()))
            return value

        return call

    def lower_call(self, resty: Kind, expr: Node) -> Value:
        """A call."""
        kind, signature = self.typeof(expr.func.name), self.fndesc.calltypes[expr]
        is_part = isinstance(kind, Called)
        if not (is_part or isinstance(kind, types.Function)) or expr.target is not None:
            return super().lower_call(resty, expr)
        value = None if is_part or expr.kws or expr.vararg else self._builtin(kind.typing_key, expr.args, signature)
        if value is None:
            is_simple = not kind.takes_star if is_part else signature.pysig is None
            if is_simple and not (expr.kws or expr.vararg) and len(expr.args) == len(signature.args):
                values = self._cast_all(expr.args, signature.args)
            else:
                values = self.fold_call_args(kind, signature, expr.args, expr.vararg, expr.kws)
            value = self._function(kind, signature)(values)
        if value is None:
            value = self.context.get_dummy_value()
        return self.context.cast(self.builder, value, signature.return_type, resty)

    def _builtin(self, function: Any, arguments: Any, signature: Signature) -> Value | None:
        """The result of a few of Python's own functions for which Numba would raise, or call a function of its
        own that might; None for all others.
        """
        kinds = [self.typeof(variable.name) for variable in arguments]
        if function is range:
            return new_range(self.context, self.builder, signature.return_type, self._cast_all(arguments, signature.args))
        if function is len and is_range(kinds[0]):
            return length_of(self.builder, self.loadvar(arguments[0].name))
        if function in (min, max) and len(kinds) > 1 and all(isinstance(kind, types.Number) for kind in kinds):
            compare = operator.lt if function is min else operator.gt
            return do_minmax(self.context, self.builder, kinds, [self.loadvar(variable.name) for variable in arguments], compare)
        return None

    def _cast_all(self, variables: Node, kinds: Any) -> list[Value]:
        """The values of variables, as values of some types."""
        return [self._cast_var(variable, kind) for variable, kind in zip(variables, kinds, strict=True)]

    def lower_binop(self, resty: Kind, expr: Node, op: Any) -> Value:
        """An operator of two values. Numba would type it again, as one of constants first."""
        if expr.static_lhs is not ir.UNDEFINED or expr.static_rhs is not ir.UNDEFINED:
            return super().lower_binop(resty, expr, op)
        typing, signature = self.context.typing_context, self.fndesc.calltypes[expr]
        kind = typing.resolve_value_type(op)
        if op is not expr.fn:  # x += y where x cannot be changed is x + y
            signature = kind.get_call_type(typing, signature.args, {})
        value = self._function(kind, signature)(self._cast_all((expr.lhs, expr.rhs), signature.args))
        return self.context.cast(self.builder, value, signature.return_type, resty)

    def lower_expr(self, resty: Kind, expr: Node) -> Value:
        """An expression; members of tuples are taken without a search for how."""
        kind: Any = self.typeof(expr.value.name) if expr.op in ("getattr", "getiter") else None
        place = field_of(kind, expr.attr) if expr.op == "getattr" else None
        if place is not None:
            return self.context.cast(self.builder, self.builder.extract_value(self.loadvar(expr.value.name), place), kind[place], resty)
        if expr.op == "getiter" and is_range(kind):
            return iterator_of(self.context, self.builder, resty, self.loadvar(expr.value.name))
        return super().lower_expr(resty, expr)


class PartLower(FunctionLower):
    """Lowers a function below a kernel's entry. Raises MayRaiseError where it could raise."""

    def init(self) -> None:
        """Begins with a convention of calls in which nothing is raised."""
        super().init()
        self.context.__class__ = part_context(type(self.context))  # of the copy that Numba makes for this function
        self.context.fndesc = PartContext  # where numba-cuda looks for the convention

    def emit_environment_object(self) -> None:
        """A part has no use for Python's objects."""

    def setup_function(self, fndesc: Description) -> None:
        """Begins the function."""
        self.function = declared(self.module, fndesc, self.context)
        self.entry_block = self.function.append_basic_block("entry")
        self.builder = Builder(self.entry_block)
        self.call_helper = None

    def extract_function_arguments(self) -> Any:
        """The arguments' values."""
        given = iter(self.function.args)
        self.fnargs = [next(given) if is_passed(kind) else None for kind in self.fndesc.argtypes]
        return self.fnargs

    def lower_inst(self, inst: Node) -> None:
        """Lowers one statement."""
        if isinstance(inst, ir.Return):
            if isinstance(self.fndesc.restype, types.Optional):
                raise MayRaiseError("an optional result")
            self.builder.ret(self.loadvar(inst.value.name))
        else:
            super().lower_inst(inst)
