"""How Dask behaves where gdsim starts a cluster or asks one: it looks at itself seldom, and leaves it to a
sweep's loop to say what matters.
"""

import contextlib
import copy
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

# How often processes started here look at themselves, unless the user's settings of Dask say so: every 10 to
# 100 ms, as usual, costs a twelfth of two cores.
SELDOM: dict[str, Any] = {
    "distributed": {
        "admin": {"tick": {"interval": "1s"}, "system-monitor": {"interval": "2s"}, "low-level-log-length": 100},
        "worker": {"profile": {"enabled": False}, "memory": {"monitor-interval": "500ms"}},
    }
}
LEVEL = "DASK_LOGGING__DISTRIBUTED"


@contextlib.contextmanager
def seldom() -> Iterator[None]:
    """Sets what the user's settings leave at Dask's defaults to `SELDOM`, for the block."""
    import dask.config
    import distributed  # noqa: F401  # which sets up the defaults

    wanted, defaults = copy.deepcopy(dask.config.config), list[Any](dask.config.defaults)
    dask.config.update(wanted, SELDOM, "new-defaults", dask.config.merge(*defaults))
    with dask.config.set({key: dask.config.get(key, config=wanted) for key in _leaves(SELDOM)}):
        yield


@contextlib.contextmanager
def forked() -> Iterator[None]:
    """Worker processes that are started here in the block are forked from one that has imported what they
    need, which takes most of a second; unless the user's settings of Dask choose another way.
    """
    import dask.config
    from distributed.utils import get_mp_context

    method = "distributed.worker.multiprocessing-method"
    if sys.platform != "linux" or dask.config.get(method) != "spawn":  # systems' own libraries may not bear a fork elsewhere
        yield
        return
    with dask.config.set({method: "forkserver"}):
        get_mp_context().set_forkserver_preload(["gdsim.sweep.cluster.ahead"])
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences Dask's logs for the block, here and in the processes that it starts, unless the user's
    environment has chosen their level.
    """
    import distributed  # noqa: F401  # which sets up its logs

    logger, was_set = logging.getLogger("distributed"), LEVEL in os.environ
    level = logger.level
    os.environ.setdefault(LEVEL, "critical")
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        if not was_set:
            os.environ.pop(LEVEL, None)


def exports(settings: dict[str, Any]) -> list[str]:
    """Lines of a shell that say Dask's settings to what it starts.

    >>> exports({"distributed": {"system-monitor": {"interval": "2s"}}})
    ['export DASK_DISTRIBUTED__SYSTEM_MONITOR__INTERVAL=2s']
    """
    return [f"export DASK_{key.replace('.', '__').replace('-', '_').upper()}={value}" for key, value in _leaves(settings).items()]


def _leaves(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """The values of nested settings, by their names with dots."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _leaves(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found
