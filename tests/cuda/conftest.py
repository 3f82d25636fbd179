"""What compiles kernels to PTX, for the tests that need it; the interpreter's own need nothing."""

import importlib.util

import pytest


@pytest.fixture(scope="session")
def compiled():
    """Compiles a template with its parts for arguments of some types, for a device of compute capability 9.0 or
    another.
    """
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("what compiles for CUDA, which needs no GPU, is not installed: pip install -e '.[cuda]'")
    try:
        from gdsim.lanes.cuda import compile_ptx
    except ImportError as error:
        pytest.skip(f"numba-cuda cannot be used: {error}")
    return compile_ptx
