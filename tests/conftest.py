"""What all tests share: the oracles that may be missing, and Ctrl-C as it is."""

import signal
from collections.abc import Iterator

import hypothesis
import pytest

from tests import helpers

hypothesis.settings.register_profile("gdsim", deadline=None)  # no test fails because a machine is slow
hypothesis.settings.load_profile("gdsim")


@pytest.fixture(scope="session")
def tier(request):
    """0, 1 or 2: which tiers of tests run (none but the first, --full, --runslow), for tests that have a size
    in each.
    """
    return 2 if request.config.getoption("--runslow") else int(request.config.getoption("--full"))


@pytest.fixture(scope="session", autouse=True)
def commands(tier):
    """Commands run in processes of their own, but in the first tier."""
    helpers.APART = tier > 0


@pytest.fixture(scope="session")
def torch():
    """PyTorch, the oracle of rules, gradients and training."""
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracles]'")


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """Ctrl-C as Python hears it: a shell has background processes ignore it, and packages that tests import change it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
