"""Modules that are needed when training has ended, imported beside it."""

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

# What every result needs: xarray with its pandas, and what it asks of Dask.
OF_RESULTS = ("xarray", "dask.base")


@contextlib.contextmanager
def importing(names: Sequence[str]) -> Iterator[Callable[[], None]]:
    """A function that begins to import modules in a thread, which the block's end stops between two of them.

    It is for a moment after which this process forks no more: a child would wait for ever for a module that
    a thread which it has not was importing.
    """
    lacking = [name for name in names if name not in sys.modules]
    ended, threads = threading.Event(), list[threading.Thread]()

    def import_all() -> None:
        for name in lacking:
            if ended.is_set():
                return
            with contextlib.suppress(Exception):  # who needs it is told
                importlib.import_module(name)

    def begin() -> None:
        if lacking and not threads:
            threads.append(threading.Thread(target=import_all, name="gdsim-imports"))
            threads[0].start()

    try:
        yield begin
    finally:
        ended.set()
        for thread in threads:
            thread.join()
