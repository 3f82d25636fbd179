"""Packs of lanes, shared out among threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor


def over_packs(lanes: int, width: int, threads: int, work: Callable[[Iterator[int]], None]) -> None:
    """Gives every thread the first lanes of its packs: all threads' together are those of `lanes` lanes, `width`
    a pack.
    """
    shares = min(threads, -(-lanes // width))
    each = [iter(range(i * width, lanes, shares * width)) for i in range(shares)]
    if shares == 1:
        work(each[0])
    elif shares:
        with ThreadPoolExecutor(shares) as pool:
            list(pool.map(work, each))
