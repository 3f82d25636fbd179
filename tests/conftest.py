"""What all tests share: the option for large cases, and the oracles that may be missing."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--runslow", action="store_true", help="run the large cases too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--runslow"):
        skip = pytest.mark.skip(reason="large case: needs --runslow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def torch():
    """PyTorch, the oracle of rules, gradients and training."""
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracles]'")
