"""Networks as PyTorch's modules, and modules as plain layers."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from gdsim.words import article, count_of, given


class Sine(nn.Module):
    """The sine of every number, for which PyTorch has no module."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """sin z."""
        return torch.sin(z)


class Standardize(nn.Module):
    """Features as they were given, standardised as the data are: each less its `center`, over its `scale`,
    both float64.
    """

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(self, center: np.ndarray, scale: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("center", torch.tensor(center))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """(X - center) / scale, of the dtype of X."""
        return ((X - self.center) / self.scale).to(X.dtype)

    def extra_repr(self) -> str:
        """How many features there are."""
        return f"features={len(self.center)}"


class Residual(nn.Sequential):
    """Modules whose outputs are added to their inputs: f(x) + x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The sum."""
        return super().forward(x) + x


class Dense(nn.Sequential):
    """Modules whose outputs stand behind their inputs: [x, f(x)]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """[x, f(x)], along the last dimension."""
        return torch.cat([x, super().forward(x)], -1)


class Kind(NamedTuple):
    """A module without weights: its class, and the values that each of its settings may have, the first of
    which is used.
    """

    type: type[nn.Module]
    settings: dict[str, tuple[Any, ...]] = {}

    def made(self) -> nn.Module:
        """A module of this kind."""
        return self.type(**{name: values[0] for name, values in self.settings.items()})


# gdsim's names of activations. Beyond its threshold Softplus is the identity, which at PyTorch's 20 is off by
# 2e-9.
ACTIVATIONS = {
    "identity": Kind(nn.Identity), "relu": Kind(nn.ReLU), "tanh": Kind(nn.Tanh), "sigmoid": Kind(nn.Sigmoid),
    "leaky_relu": Kind(nn.LeakyReLU, {"negative_slope": (0.01,)}), "elu": Kind(nn.ELU, {"alpha": (1.0,)}),
    "softplus": Kind(nn.Softplus, {"beta": (1.0,), "threshold": (40.0, 20.0)}), "gelu": Kind(nn.GELU, {"approximate": ("none",)}),
    "silu": Kind(nn.SiLU), "sine": Kind(Sine), "softmax": Kind(nn.Softmax, {"dim": (-1, 1)}), "log_softmax": Kind(nn.LogSoftmax, {"dim": (-1, 1)}),
}  # fmt: skip
NAME_OF = {kind.type: name for name, kind in ACTIVATIONS.items()}
SKIPS: dict[str | None, type[nn.Module]] = {"residual": Residual, "dense": Dense}
SKIP_OF: dict[type[nn.Module], str | None] = {kind: name for name, kind in SKIPS.items()}
FLATTEN = Kind(nn.Flatten, {"start_dim": (1,), "end_dim": (-1,)})
KNOWN = f"known are Sequential, Linear, {', '.join(kind.type.__name__ for kind in ACTIVATIONS.values())}, Flatten, Dropout after eval(), and gdsim.pytorch's Residual and Dense"


class Layers(NamedTuple):
    """A network as numbers: (W[unit, input], b[unit] or None) of each layer, the activation after each, how
    its outputs join its inputs, "residual", "dense" or None, and the (center, scale) before all.
    """

    weights: list[tuple[np.ndarray, np.ndarray | None]]
    activations: list[str]
    skips: list[str | None]
    standard: tuple[Any, Any] | None = None  # of a module its tensors, in the type that they have there


def sequential(network: Layers, dtype: str) -> nn.Sequential:
    """The network as a Sequential of `dtype`, whose places count from the first Linear; none after the last
    layer if that has the identity. A layer whose outputs join its inputs is one module with its activation.

    PyTorch's random numbers are not touched.
    """
    modules: list[nn.Module] = []
    for (W, b), activation, skip in zip(network.weights, network.activations, network.skips, strict=True):
        linear = nn.utils.skip_init(nn.Linear, W.shape[1], W.shape[0], bias=b is not None, dtype=getattr(torch, dtype))
        linear.load_state_dict({"weight": torch.tensor(W)} | ({} if b is None else {"bias": torch.tensor(b)}))
        layer = linear, ACTIVATIONS[activation].made()
        modules += layer if skip is None else [SKIPS[skip](*layer)]
    if network.activations[-1] == "identity":
        modules.pop()
    whole = nn.Sequential()
    if network.standard is not None:
        whole.add_module("standardize", Standardize(*network.standard))
    for place, module in enumerate(modules):
        whole.add_module(str(place), module)
    return whole


def layers_of(module: Any) -> Layers:
    """The layers of a Linear, or of a Sequential of Linear and activations.

    Raises ValueError or TypeError for anything else.
    """
    if isinstance(module, Mapping):
        raise TypeError("module must be a torch.nn.Module; a state_dict was given: problem.pack(state_dict) takes it")
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module; {given(module)} was given")
    found = Layers([], [], [])
    held: dict[int, str] = {}  # where the layer is that has the numbers at an address
    width = 0  # of what the next layer is given
    for place, one in _parts(module, ""):
        if isinstance(one, Standardize):
            if found.weights or found.standard is not None:
                raise ValueError(f"{place} standardises features, and stands not before the first layer")
            found = found._replace(standard=(one.center, one.scale))
        elif isinstance(one, nn.Linear):
            if found.weights and width != one.in_features:
                raise ValueError(f"{place} has {one.in_features} inputs, and the layer before it {width} units")
            found.weights.append(_weights(one, place))
            _check_untied(one, place, held)
            found.activations.append("identity")
            found.skips.append(None)
            width = one.out_features
        elif type(one) in SKIP_OF:
            found.skips[-1] = SKIP_OF[type(one)]
            width += len(found.weights[-1][0][0]) if found.skips[-1] == "dense" else 0
        elif NAME_OF[type(one)] != "identity":
            if not found.weights or found.activations[-1] != "identity":
                raise ValueError(f"{place} is a second activation, or one before the first layer; gdsim's networks have one after each Linear")
            found.activations[-1] = NAME_OF[type(one)]
    if not found.weights:
        raise ValueError("the module has no Linear, and so nothing to train")
    odd = next((name for name in found.activations[:-1] if name in ("softmax", "log_softmax")), None)
    if odd is not None:
        raise ValueError(f"the module has {article(ACTIVATIONS[odd].type.__name__)} between two layers; gdsim knows it after the last one alone")
    return found


def _parts(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """(where it is, the module) of all that does something, in order; raises ValueError for what is not
    known.
    """
    kind = type(module)
    place = f"module {path!r}, {article(kind.__name__)}," if path else f"the module, {article(kind.__name__)},"
    if isinstance(module, nn.Sequential) and kind.forward is nn.Sequential.forward:
        for name, child in module._modules.items():  # named_children() leaves out a module's second occurrence
            if child is None:
                continue
            yield from _parts(child, f"{path}.{name}" if path else name)
        return
    if isinstance(module, nn.Dropout) and kind.forward is nn.Dropout.forward:
        if module.training and module.p > 0.0:
            raise ValueError(f"{place} drops units in training, which gdsim does not; module.eval() gives the network without it")
        return
    if kind in SKIP_OF:
        inside = [(name, child) for name, child in module._modules.items() if child is not None]
        if len(inside) != 2 or type(inside[0][1]) is not nn.Linear or type(inside[1][1]) not in NAME_OF:
            raise ValueError(f"{place} must hold a Linear and its activation")
        for name, child in inside:
            yield from _parts(child, f"{path}.{name}" if path else name)
        yield place, module
    elif kind is nn.Flatten:
        _check_settings(module, FLATTEN, place)
    elif kind in NAME_OF:
        _check_settings(module, ACTIVATIONS[NAME_OF[kind]], place)
        yield place, module
    elif kind in (nn.Linear, Standardize):
        yield place, module
    else:
        raise ValueError(f"{place} is not known to gdsim; {KNOWN}")


def _check_settings(module: nn.Module, kind: Kind, place: str) -> None:
    for name, values in kind.settings.items():
        if getattr(module, name) not in values:
            raise ValueError(f"{place} has {name}={getattr(module, name)!r}; gdsim knows it with {' or '.join(f'{name}={v!r}' for v in values)} alone")


def _weights(linear: nn.Linear, place: str) -> tuple[np.ndarray, np.ndarray | None]:
    """(W, b) of a layer: float64 where it is, else float32."""
    if not isinstance(linear.weight, nn.Parameter):
        raise ValueError(f"{place} has weights that are made of others in every call, as by weight_norm or pruning; take that off")
    kind = linear.weight.dtype
    if linear.weight.is_meta or not kind.is_floating_point:
        raise ValueError(f"{place} has weights of {kind} on {linear.weight.device}; gdsim takes real numbers that are there")
    dtype = np.float64 if kind == torch.float64 else np.float32
    found = {name: _array(tensor, dtype) for name, tensor in _numbers(linear)}
    for name, values in found.items():
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            which = f"{name}{bad[0].tolist()} is {values[tuple(bad[0])]}"
            raise ValueError(f"{place} must have finite weights; {which} ({count_of(len(bad), 'such number')} in its {name})")
    return found["weight"], found.get("bias")


def _numbers(linear: nn.Linear) -> list[tuple[str, torch.Tensor]]:
    """(name, tensor) of its weight and, where it has one, its bias."""
    return [(name, tensor) for name, tensor in (("weight", linear.weight), ("bias", linear.bias)) if tensor is not None]


def _check_untied(linear: nn.Linear, place: str, held: dict[int, str]) -> None:
    """Raises ValueError for a layer that is used again, or whose numbers are another's too."""
    for _, tensor in _numbers(linear):
        first = held.setdefault(tensor.data_ptr(), place) if tensor.numel() else place
        if first != place:
            raise ValueError(f"{place} has numbers that are used twice, first by {first.rstrip(',')}: tied weights are not known to gdsim")


def _array(tensor: torch.Tensor, dtype: Any) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float64).numpy().astype(dtype)
