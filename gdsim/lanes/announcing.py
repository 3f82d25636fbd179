"""Who is told that kernels are compiled, and how Ctrl-C is heard meanwhile."""

import concurrent.futures
import contextlib
import contextvars
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_listener: contextvars.ContextVar[Callable[[str], None] | None] = contextvars.ContextVar("listener", default=None)


@contextlib.contextmanager
def announcing(listener: Callable[[str], None] | None) -> Iterator[None]:
    """Tells `listener` what this thread announces in the block, and nobody afterwards."""
    previous = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(previous)


def announce(what: str) -> None:
    """Tells what is about to be done."""
    listener = _listener.get()
    if listener is not None:
        listener(what)


def is_importing() -> bool:
    """Whether some module is only half there."""
    return any(getattr(getattr(m, "__spec__", None), "_initializing", False) for m in list(sys.modules.values()))


def apart(work: Callable[[], Any]) -> Any:
    """What `work` returns, done in a thread of its own where the main thread asks for it.

    The main thread then waits in a lock, where signals are heard at once; in LLVM they would wait for
    seconds, and what their handlers raise would be lost in its callbacks. What a handler raises leaves here
    when the work is done. While a module is imported, whose lock the compiler may ask for, the main thread
    works itself.
    """
    if threading.current_thread() is not threading.main_thread() or is_importing():
        return work()
    answer: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def answered() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    thread = threading.Thread(target=answered, name="gdsim-compiler")
    try:
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # so that a thread that runs is known to
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        return answer.result()
    finally:
        if thread.ident is not None:  # it has started
            thread.join()
