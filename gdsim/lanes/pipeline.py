"""Numba's compiler with fewer passes: a kernel's functions are only lowered, and optimised once, in the
kernel.

Numba links and optimises every function together with all that it calls, so a kernel's innermost loops go
through LLVM once per level of calls. Here a function below the kernel's entry is left as it was written until
the entry links it: a kernel compiles in a quarter of the time, to the same bits.
"""

import inspect
from collections.abc import Callable
from typing import Any, Literal

from llvmlite import binding
from numba.core import ir, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, Flags
from numba.core.imputils import user_function
from numba.core.lowering import Lower
from numba.core.registry import cpu_target
from numba.core.typed_passes import NativeLowering, NoPythonBackend, NopythonTypeInference, PreLowerStripPhis
from numba.core.typing.templates import fold_arguments, signature
from numba.core.untyped_passes import DeadBranchPrune, FixupArgs, GenericRewrites, ReconstructSSA, RewriteSemanticConstants, TranslateByteCode
from numba.extending import models, register_model

from gdsim.lanes.inference import typed
from gdsim.lanes.lowering import Called, FunctionLower, MayRaiseError, PartLower, call_of, is_plain
from gdsim.lanes.types import Context, Function, State


class StripPhis(PreLowerStripPhis):
    """Puts assignments in place of phi nodes; what is known of variables' lives is of no use to lowering."""

    def run_pass(self, state: State) -> Literal[True]:
        """Leaves the function without phi nodes."""
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        return True


class SingleAssignments(ReconstructSSA):
    """Names anew what is assigned more than once."""

    def run_pass(self, state: State) -> Literal[True]:
        """Leaves a function in which each variable is assigned once, as one without branches often is already."""
        blocks = list(state.func_ir.blocks.values())
        names = [statement.target.name for statement in blocks[0].body if isinstance(statement, ir.Assign)]
        if len(blocks) > 1 or len(names) > len(set(names)):
            super().run_pass(state)
        return True


class TypeInference(NopythonTypeInference):
    """Finds the types of variables, and has Numba find them where that fails."""

    def run_pass(self, state: State) -> Literal[True]:
        """Leaves the types of variables, of the result and of calls."""
        with state.typingctx.callstack.register(state.targetctx.target, None, state.func_id, state.args):
            found = None if state.func_ir.generator_info else typed(state.typingctx, state.func_ir, state.args)
        if found is None or state.locals or state.return_type is not None:
            return super().run_pass(state)
        state.typemap, state.return_type, state.calltypes = found
        return True


FRONTEND = (
    TranslateByteCode, FixupArgs, RewriteSemanticConstants, DeadBranchPrune, GenericRewrites, SingleAssignments, TypeInference, StripPhis,
)  # fmt: skip


class Passes:
    """Passes one after the other, without the clocks and checks that Numba's manager puts between them."""

    pipeline_name = "gdsim"

    def __init__(self, *steps: Any) -> None:
        self.steps, self.exec_times = [step() for step in steps], {}
        for step in self.steps:
            step.analysis = {type(step): None}

    def run(self, state: State) -> None:
        """Takes a function through all of them."""
        for step in self.steps:
            step.run_pass(state)


class Library(JITCodeLibrary):
    """LLVM code of functions, each simplified as it comes."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Simplifies what a module defines, without loops' passes: they would weigh calls by their length before
        anything is linked in, and double loops for a condition.
        """
        ll_module.data_layout = self._codegen._data_layout
        for function in ll_module.functions:
            if not function.is_declaration:
                passes = binding.create_new_function_pass_manager()
                passes.add_sroa_pass()
                passes.add_instruction_combine_pass()
                passes.add_simplify_cfg_pass()
                passes.run(function, self._codegen._pass_builder())


class PartLibrary(Library):
    """The LLVM code of one function, for kernels to link: no machine code is made of it."""

    def add_ir_module(self, ir_module: Any) -> None:
        """Takes the function's text."""
        self._final_module = binding.parse_assembly(str(ir_module))
        self._final_module.name = ir_module.name
        self._optimize_functions(self._final_module)

    def finalize(self) -> None:
        """Nothing is left to do."""
        self._finalized = True


class Lowering(NativeLowering):
    """Lowers a function by a chosen class."""

    lowering_class: Any = Lower


class PartLowering(Lowering):
    """Lowers a function for its callers alone: no machine code, no wrapper for Python."""

    library: Any = PartLibrary
    plain_lowering: Any = PartLower

    def run_pass(self, state: State) -> Literal[True]:
        """Leaves the function's description, its LLVM module in a library, and how a call of it is lowered."""
        state.flags.no_compile = state.flags.no_cpython_wrapper = state.flags.no_cfunc_wrapper = True
        plain = is_plain(state.func_ir)
        try:
            if not plain:
                raise MayRaiseError
            call = self.lowered(state, self.plain_lowering)
        except MayRaiseError:
            call = self.lowered_as_raising(state, plain)
        state["cr"] = call, state["cr"].fndesc.restype
        return True

    def lowered_as_raising(self, state: State, plain: bool) -> Function:
        """How a call of a function that may raise is lowered."""
        return self.lowered(state, FunctionLower if plain else Lower)

    def lowered(self, state: State, lowering: Any) -> Function:
        """How a call of the function is lowered, which was itself by a chosen class."""
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        self.lowering_class = lowering
        super().run_pass(state)
        made = call_of if lowering is self.plain_lowering else user_function
        return made(state["cr"].fndesc, [state.library])


def callers_first(entry: Any) -> list[Any]:
    """All libraries that an entry reaches, each behind those that call it: LLVM's linker drops what nothing
    has asked for yet.
    """
    ordered: list[Any] = []
    seen: set[Any] = set()

    def visit(library: Any) -> None:
        if library not in seen:
            seen.add(library)
            for deeper in library._linking_libraries:
                visit(deeper)
            ordered.append(library)

    visit(entry)
    return ordered[-2::-1]


class EntryLibrary(Library):
    """A kernel's machine code: of all that its entry reaches, linked once each and optimised as a whole."""

    def finalize(self) -> None:
        """Links and compiles."""
        self._linking_libraries = callers_first(self)
        super().finalize()


class EntryLowering(Lowering):
    """Lowers a kernel's entry."""

    def run_pass(self, state: State) -> Literal[True]:
        """Leaves machine code."""
        state.library = EntryLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.flags.no_cfunc_wrapper = True
        self.lowering_class = FunctionLower if is_plain(state.func_ir) else Lower
        return super().run_pass(state)


PART, ENTRY = Passes(*FRONTEND, PartLowering), Passes(*FRONTEND, EntryLowering, NoPythonBackend)


class PartCompiler(CompilerBase):
    """For the functions that a kernel reaches."""

    def define_pipelines(self) -> list[Any]:
        """Up to LLVM's language and no further."""
        return [PART]


class EntryCompiler(CompilerBase):
    """For a kernel's entry: links what it reaches and optimises the whole."""

    def define_pipelines(self) -> list[Any]:
        """Down to machine code."""
        return [ENTRY]


Maker = Callable[[Function, Any], tuple[Function, Any]]  # of a function and its arguments' types: (how a call is lowered, the result's type)


class PartType(Called):
    """The type of a function that a kernel reaches: compiled where it is first called with arguments of some
    types, by `make`, for a compiler's `target`. Raises TypeError for a function some of whose parameters have no place.
    """

    def __init__(self, function: Function, target: Context, make: Maker) -> None:
        self.function, self.target, self.make, self.pysig = function, target, make, inspect.signature(function)
        named = [name for name, p in self.pysig.parameters.items() if p.kind is p.KEYWORD_ONLY]
        if named:  # Numba takes the last arguments of a call for them
            raise TypeError(
                f"{function.__name__} cannot be part of a kernel: {', '.join(named)} can be given by name alone; a parameter must stand before any *"
            )
        self.takes_star = any(p.kind is p.VAR_POSITIONAL for p in self.pysig.parameters.values())
        self.made: dict[tuple[Any, ...], Any] = {}
        self.failed: dict[tuple[Any, ...], Exception] = {}
        super().__init__(f"{function.__module__}.{function.__qualname__}")

    def get_call_type(self, context: Context, args: Any, kws: Any) -> Any:
        """The signature for arguments of these types, without constants: a function is not compiled for each
        constant that it is called with.
        """
        if kws or len(args) != len(self.pysig.parameters) or self.takes_star:
            default = lambda index, parameter, value: types.Omitted(value)  # noqa: E731
            args = fold_arguments(self.pysig, args, kws, lambda i, p, value: value, default, lambda i, p, values: types.StarArgTuple(values))
        args = tuple(map(types.unliteral, args))
        if args in self.failed:  # asked again by Numba, where `typed` did not get through
            raise self.failed[args]
        if args not in self.made:
            try:
                call, result = self.make(self.function, args)
            except Exception as error:
                self.failed[args] = error
                raise
            self.target.insert_func_defn([(call, (self, args), args)])
            self.made[args] = signature(result, *args).replace(pysig=self.pysig)
        return self.made[args]

    def get_call_signatures(self) -> Any:
        """The signatures so far."""
        return list(self.made.values()), True

    def get_impl_key(self, sig: Any) -> Any:
        """What Numba finds the compiled function by."""
        return self, sig.args


register_model(PartType)(models.OpaqueModel)


class CompiledPart:
    """What stands for a function in the globals of those that call it."""

    def __init__(self, function: Function, target: Context, make: Maker) -> None:
        self._numba_type_ = PartType(function, target, make)


def part_of(function: Function, options: dict[str, Any]) -> CompiledPart:
    """A function that a processor's kernel reaches, compiled with some of Numba's options."""
    target: Any = cpu_target.target_context

    def make(function: Function, args: Any) -> Any:
        flags = Flags()
        cpu_target.options.parse_as_flags(flags, options)
        return PartCompiler(cpu_target.typing_context, target, None, args, None, flags, {}).compile_extra(function)

    return CompiledPart(function, target, make)
