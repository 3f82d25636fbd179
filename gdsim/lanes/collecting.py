"""When the search for cycles of objects is left out."""

import contextlib
import gc
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Without searches for cycles of objects, an eighth of the time: a compiler makes millions and few are
    dropped. The last of several threads begins them again, if they went on before the first.
    """
    with _changing:
        _paused.append(gc.isenabled() or any(_paused))
        gc.disable()
    try:
        yield
    finally:
        with _changing:
            if _paused.pop() and not _paused:
                gc.enable()


_changing, _paused = threading.Lock(), list[bool]()  # of each thread that compiles, whether collections went on before the first
