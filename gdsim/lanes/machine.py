"""What machine code depends on besides its source: this processor and its features, Python, the compiler, and
gdsim's own kernel sources.
"""

import functools
import hashlib
import pathlib
import platform
import sys
from typing import Any

KERNEL_ROOMS = ("lanes", "rules", "problems", "kernels", "schedules", "starts.py")


@functools.cache
def gdsim_sources() -> str:
    """A hash of the text of every module that kernels are made of."""
    root = pathlib.Path(__file__).parent.parent
    paths = [p for room in KERNEL_ROOMS for p in ([root / room] if room.endswith(".py") else sorted((root / room).glob("**/*.py")))]
    return hashlib.sha256(b"\0".join(p.name.encode() + b"\0" + p.read_bytes() for p in paths if p.exists())).hexdigest()


# The bytes of vector registers by the feature of a processor that says so, the widest first.
VECTOR_BYTES = {"+avx512f": 64, "+avx": 32, "+sse2": 16, "+neon": 16}


# Switches of Numba's that change machine code, with their defaults; those of the processor are in the target.
SWITCHES = {
    "OPT": 3, "BOUNDSCHECK": None, "LOOP_VECTORIZE": 1, "SLP_VECTORIZE": 0, "DEBUGINFO_DEFAULT": 0, "ENABLE_PROFILING": 0, "DEBUG_JIT": 0,
    "EXTEND_VARIABLE_LIFETIMES": 0, "LLVM_REFPRUNE_PASS": 1, "USING_SVML": False,
}  # fmt: skip


def _switches() -> list[str]:
    """The switches that are set to something else; the level "max" equals 3, and does more."""
    from numba.core import config

    set_to = {name: getattr(config, name, default) for name, default in SWITCHES.items()}
    return [f"{name}={value!r}" for name, value in set_to.items() if value != SWITCHES[name] or getattr(value, "is_opt_max", False)]


def _target() -> tuple[Any, ...]:
    """The system, the processor and its features, as code is made for them."""
    from numba.core.registry import cpu_target

    context: Any = cpu_target.target_context
    return context.codegen().magic_tuple()


@functools.cache
def vector_bytes() -> int:
    """The bytes of the widest vector registers that code is made for.

    Where the processor's features do not say, of the widest that there are.
    """
    features = set(str(_target()[2]).split(","))
    return next((size for name, size in VECTOR_BYTES.items() if name in features), 64)


@functools.cache
def machine() -> str:
    """What machine code depends on besides its source: gdsim's kernel sources, Python, the compiler with
    its switches, and the processor.
    """
    target = repr(_target())  # which imports the compiler
    versions = [sys.version, platform.machine(), version("numba"), version("llvmlite"), version("numpy")]
    return "\n".join([gdsim_sources(), *versions, target, *_switches()])


def version(package: str) -> str:
    """The version of an installed package."""
    return sys.modules[package].__version__ if package in sys.modules else ""
