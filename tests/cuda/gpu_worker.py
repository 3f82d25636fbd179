"""What a Dask worker loads before it works (`dask worker --preload`): a GPU, which is the interpreter. The file that
LAUNCHES names has a byte for each launch.
"""

import os

import pytest

from tests.cuda import gpu
from tests.cuda.compiling import kept_ptx


def dask_setup(worker):
    """Is called by the worker."""
    library = gpu.put_in(pytest.MonkeyPatch(), kept_ptx)

    def note():
        with open(os.environ["LAUNCHES"], "ab") as file:
            file.write(b".")

    library.on_launch = note
