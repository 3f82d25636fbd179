"""Work shared out among threads of this process."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor


def over_packs(lanes: int, width: int, threads: int, work: Callable[[Iterator[int]], None]) -> None:
    """Gives every thread the first lanes of its packs: all threads' together are those of `lanes` lanes, `width`
    a pack. Where one raises, or Ctrl-C is pressed, the others end with their pack.
    """
    shares, ended = min(threads, -(-lanes // width)), threading.Event()
    each = [itertools.takewhile(lambda _: not ended.is_set(), range(i * width, lanes, shares * width)) for i in range(shares)]
    if shares <= 1:
        list(map(work, each))
        return

    @contextlib.contextmanager
    def telling() -> Iterator[None]:
        try:
            yield
        except BaseException:
            ended.set()
            raise

    with ThreadPoolExecutor(shares) as pool, telling():  # Ctrl-C reaches the thread that waits
        list(pool.map(telling()(work), each))


class _Limit:
    """How many blocks want BLAS to have one thread, and what takes the limit back."""

    def __init__(self) -> None:
        self.blocks, self.changing, self.undo = 0, threading.Lock(), contextlib.ExitStack()


_limit = _Limit()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """While a block runs, BLAS and LAPACK compute in the thread that calls them: their own threads, of which
    every one of ours would have as many as there are cores, take turns at waiting for each other.
    """
    from threadpoolctl import threadpool_limits  # takes 0.01 s, and only whole matrices need it

    with _limit.changing:
        _limit.blocks += 1
        if _limit.blocks == 1:
            _limit.undo.enter_context(threadpool_limits(1, "blas"))
    try:
        yield
    finally:
        with _limit.changing:
            _limit.blocks -= 1
            if _limit.blocks == 0:
                _limit.undo.close()
