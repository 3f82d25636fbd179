"""What networks and PyTorch share: the module that imports torch, and layers of a `state_dict`."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.data import Data
from gdsim.words import installs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def pytorch() -> ModuleType:
    """The module that imports torch. Raises ModuleNotFoundError where that is not installed."""
    try:
        return importlib.import_module("gdsim.pytorch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(f"this needs PyTorch, which is not installed: {installs('torch')}", name="torch") from None


def layers_of_state(state: Mapping[str, Any], data: Data, *, intercept: bool) -> list[tuple[Any, Any]]:
    """[(W, b), ...] of a PyTorch `state_dict`, in its order; without `intercept` b may be None.

    Raises ValueError for other keys than a network's, and lacking ones.
    """
    layers: dict[str, dict[str, Any]] = {}
    for name, value in state.items():
        place, _, kind = str(name).rpartition(".")
        if kind not in ("weight", "bias", "center", "scale"):
            raise ValueError(f"a state_dict of weights and biases is needed, as of a Sequential of Linear; it has {name!r}")
        layers.setdefault(place, {})[kind] = value
    for place in [place for place, held in layers.items() if "center" in held or "scale" in held]:
        held = layers.pop(place)
        if set(held) != {"center", "scale"} or not same_standard((held["center"], held["scale"]), data):
            raise ValueError(f"{place!r} standardises features by other numbers than the problem's data")
    needed = ("weight", "bias") if intercept else ("weight",)
    lacking = next((f"{place}.{kind}".lstrip(".") for place, held in layers.items() for kind in needed if kind not in held), None)
    if lacking is not None:
        raise ValueError(f"the state_dict lacks {lacking!r}; it has {', '.join(map(repr, state))}")
    return [(held["weight"], held.get("bias")) for held in layers.values()]


def same_standard(standard: "tuple[ArrayLike, ArrayLike]", data: Data) -> bool:
    """Whether (center, scale), arrays or tensors, are the data's."""
    return data.center is not None and data.scale is not None and _is_rounded(standard[0], data.center) and _is_rounded(standard[1], data.scale)


def _is_rounded(found: Any, numbers: np.ndarray) -> bool:
    """Whether an array or a tensor is these numbers in its own type, or in float32, in which it may have
    been before.
    """
    for held in (numbers, numbers.astype(np.float32)):
        like = found.new_tensor(held) if hasattr(found, "new_tensor") else held.astype(np.asarray(found).dtype)
        if found.shape == like.shape and bool((found == like).all()):
            return True
    return False
