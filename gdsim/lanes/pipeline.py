"""Numba's compiler with fewer passes: a kernel's functions are only lowered, and optimised once, in the
kernel.

Numba links and optimises every function together with all that it calls, so a kernel's innermost loops go
through LLVM once per level of calls. Here a function below the kernel's entry is left as it was written until
the entry links it: a kernel of the digits compiles in a quarter of the time (measured: 2.9 s against 11.1 s),
to the same bits.
"""

from typing import Any, Literal

from numba.core.compiler import CompilerBase, _LowerResult
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import AnnotateTypes, IRLegalization, NativeLowering, NoPythonBackend, NopythonTypeInference, PreLowerStripPhis
from numba.core.untyped_passes import DeadBranchPrune, FixupArgs, GenericRewrites, IRProcessing, ReconstructSSA, RewriteSemanticConstants, TranslateByteCode

FRONTEND = (
    TranslateByteCode, FixupArgs, IRProcessing, RewriteSemanticConstants, DeadBranchPrune, GenericRewrites, ReconstructSSA,
    DeadBranchPrune, NopythonTypeInference, PreLowerStripPhis, IRLegalization, AnnotateTypes,
)  # fmt: skip


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """Lowers a function for its callers alone: no optimisation, no machine code, no wrapper for Python."""

    _name = "gdsim_part_lowering"

    def run_pass(self, state: Any) -> Literal[True]:
        """Leaves the function's LLVM module in its library, and makes it known to the functions that call it."""
        library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library.finalize = lambda: setattr(library, "_finalized", True)
        state.library = library
        state.flags.no_compile = state.flags.no_cpython_wrapper = state.flags.no_cfunc_wrapper = True
        super().run_pass(state)
        result = state["cr"]
        stand_in = object().__reduce__  # Numba finds a function by the object that Python would call, a builtin of its own
        state.targetctx.insert_user_function(stand_in, result.fndesc, [library])
        state["cr"] = _LowerResult(result.fndesc, result.call_helper, cfunc=stand_in, env=result.env)
        return True


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


@register_pass(mutates_CFG=True, analysis_only=False)
class EntryLowering(NativeLowering):
    """Lowers a kernel's entry, links all that it reaches, once each, and optimises the whole."""

    _name = "gdsim_entry_lowering"

    def run_pass(self, state: Any) -> Literal[True]:
        """Leaves machine code."""
        library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library.enable_object_caching()
        finalize = library.finalize

        def link_and_finalize() -> None:
            library._linking_libraries = callers_first(library)
            finalize()

        library.finalize = link_and_finalize
        state.library = library
        return super().run_pass(state)


def _passes(name: str, lowering: Any) -> list[Any]:
    manager = PassManager(name)
    for step in (*FRONTEND, lowering, NoPythonBackend):
        manager.add_pass(step, step.__name__)
    manager.finalize()
    return [manager]


class PartCompiler(CompilerBase):
    """For the functions that a kernel reaches."""

    def define_pipelines(self) -> list[Any]:
        """Up to LLVM's language and no further."""
        return _passes("gdsim part", PartLowering)


class EntryCompiler(CompilerBase):
    """For a kernel's entry: links what it reaches and optimises the whole."""

    def define_pipelines(self) -> list[Any]:
        """Down to machine code."""
        return _passes("gdsim entry", EntryLowering)
