"""Lines of a log on their way into a bucket: each is a request, for which the training does not wait."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable

AT_ONCE = 4
# How long lines are waited for: at the end of a sweep, and where an error or Ctrl-C has ended it.
END_SECONDS, ENDED_SECONDS = 60.0, 5.0


class Notes:
    """Threads that put lines.

    A server that does not answer keeps no process from ending, as it would by the threads of
    concurrent.futures.
    """

    def __init__(self, put: Callable[[str, bytes], None]) -> None:
        self.put = put
        self.lines: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self.threads = [threading.Thread(target=self._put_all, name="gdsim-log", daemon=True) for _ in range(AT_ONCE)]
        for thread in self.threads:
            thread.start()

    def add(self, name: str, line: bytes) -> None:
        """Takes a line, under the name that it is to have."""
        self.lines.put((name, line))

    def end(self, seconds: float) -> None:
        """Waits until all lines are there, at most so long; what is left is put while the process lives."""
        for _ in self.threads:
            self.lines.put(None)
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _put_all(self) -> None:
        while (line := self.lines.get()) is not None:
            with contextlib.suppress(Exception):  # no sweep ends for a line that could not be put
                self.put(*line)
