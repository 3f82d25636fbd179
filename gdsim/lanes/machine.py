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
    """What machine code depends on besides its source: gdsim's kernel sources, Python, the compiler and the
    processor.
    """
    target = repr(_target())  # which imports the compiler
    versions = [sys.version, platform.machine(), version("numba"), version("llvmlite"), version("numpy")]
    return "\n".join([gdsim_sources(), *versions, target])


def version(package: str) -> str:
    """The version of an installed package."""
    return sys.modules[package].__version__ if package in sys.modules else ""
