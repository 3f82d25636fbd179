"""What all tests share: the oracles that may be missing."""

import pytest


@pytest.fixture
def torch():
    """PyTorch, the oracle of rules, gradients and training."""
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracles]'")
