"""The floating-point mode on the host: what NumPy rounds on the way into a run must not depend on the process
either.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from gdsim.lanes.compiler import bind, float_mode_parts
from gdsim.lanes.parts import restore_float_mode, set_float_mode


def _enter() -> Any:
    return set_float_mode()


def _leave(mode: int) -> None:
    restore_float_mode(mode)


@functools.cache
def _kernels() -> tuple[Any, Any]:
    from numba import types

    return bind(_enter, float_mode_parts(), types.uint64()), bind(_leave, float_mode_parts(), types.void(types.uint64))


@contextlib.contextmanager
def ieee_mode() -> Iterator[None]:
    """Runs a block in the IEEE default mode (nearest, denormals kept) on this thread, whatever mode the
    process is in.

    Another library may have set flush-to-zero, which changes even what rounding a float64 to float32 gives.
    """
    enter, leave = _kernels()
    mode = enter()
    try:
        yield
    finally:
        leave(mode)
