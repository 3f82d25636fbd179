"""What compiles kernels to PTX and machine code, for the tests that need it; the interpreter's own need nothing."""

import importlib.util

import pytest

from tests.cuda.compiling import kept_ptx


@pytest.fixture(scope="session")
def cuda():
    """The module that compiles for CUDA, if what it needs is installed."""
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("what compiles for CUDA, which needs no GPU, is not installed: pip install -e '.[cuda]'")
    try:
        from gdsim.lanes import cuda as module
    except ImportError as error:
        pytest.skip(f"numba-cuda cannot be used: {error}")
    return module


@pytest.fixture(scope="session")
def compiled(cuda):
    """Compiles a template with its parts for arguments of some types, for a device of compute capability 9.0 or
    another, or finds what was compiled.
    """
    return kept_ptx
