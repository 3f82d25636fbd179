"""What a folder knows a module by: a hash of all that decides what it computes, the same in every process."""

import contextlib
import hashlib
import inspect
import pathlib
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from gdsim.lanes.frozen import FOREIGN, array_text, file_hash, global_names, instructions_text
from gdsim.words import given

VERSION = str(torch.__version__)  # on which the bits of its functions depend
PLAIN = (types.NoneType, bool, int, float, complex, str, bytes, types.EllipsisType, torch.dtype, torch.device)
DESCRIPTORS = (property, staticmethod, classmethod)
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
# What PyTorch keeps of every module: none of it, but for these three, is a setting.
KEPT = {*vars(nn.Module())} - {"_parameters", "_buffers", "_modules"}


def identity_of(module: nn.Module, arrays: Sequence[np.ndarray], loss: str) -> str:
    """SHA-256 of a module, with samples and the loss: of the tensors and attributes of all its parts, buffers
    that are no part of its state too, the sources of its classes, its hooks, and the functions and values that
    these read.

    Raises TypeError or ValueError for what has no lasting identity, such as a lock or a weak reference.
    """
    found = _Telling()
    for value in (loss, *arrays, module):
        found.tell(value, "module")
    return found.hash.hexdigest()


class _Telling:
    """Writes into a hash what values are; what can change, and is met again, by its number."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.met: dict[Any, tuple[int, Any]] = {}  # with the values, so that no other has their address

    def put(self, text: str, data: bytes = b"") -> None:
        """A part by itself, however others begin."""
        self.hash.update(f"{len(text)} {len(data)} {text}".encode() + data)

    def tell(self, value: Any, place: str) -> None:
        """A value, and where it is."""
        if type(value) in PLAIN:
            self.put(f"{type(value).__name__} {value!r}")
        elif id(value) in self.met:
            self.put(f"met {self.met[id(value)][0]}")
        else:
            if type(value) is not tuple:  # of equal ones it is chance which are one
                self.met[id(value)] = (len(self.met), value)
            self._once(value, place)

    def _once(self, value: Any, place: str) -> None:
        if isinstance(value, torch.Tensor):
            self._tensor(value, place)
        elif isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufcSU":
            self.put(array_text(value))
        elif isinstance(value, nn.Module):
            self._module(value, place)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.ModuleType):
            self.put(value.__name__)
        elif isinstance(value, DESCRIPTORS):
            self.tell(value.fget if isinstance(value, property) else value.__func__, place)
        elif type(value) in (tuple, list, dict, set, frozenset):
            self._several(value, place)
        else:
            self._object(value, place)

    def _several(self, value: Any, place: str) -> None:
        """What holds others: pairs of a dict as they stand, what is in a set in an order."""
        self.put(f"{type(value).__name__} {len(value)}")
        ordered = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value.items() if isinstance(value, dict) else value
        for one in ordered:
            self.tell(one, place)

    def _tensor(self, value: torch.Tensor, place: str) -> None:
        try:
            numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        except (RuntimeError, TypeError):  # sparse ones, or quantised
            raise _refused(value, place) from None
        self.put(f"{value.dtype} {tuple(value.shape)}", numbers)

    def _module(self, value: nn.Module, place: str) -> None:
        """Its class, and whatever it has by names; its hooks, whose numbers count those of all modules."""
        reduced: Any = ()
        with contextlib.suppress(RuntimeError, TypeError):  # one that pickle does not write is what it has
            reduced = value.__reduce_ex__(2)
        state: dict[str, Any] = reduced[2] if len(reduced) > 2 and isinstance(reduced[2], dict) else vars(value)
        self.tell(type(value), place)
        named: dict[str, Any] = {name: part for name, part in state.items() if name not in KEPT}
        for several in ("_parameters", "_buffers", "_modules"):
            named |= dict(named.pop(several, {}))
        for name, part in (named | {name: [*vars(value)[name].values()] for name in HOOKS}).items():
            self.put(name)
            self.tell(part, f"{place}.{name}")

    def _class(self, value: type) -> None:
        """PyTorch's own by its name; others by their sources, with what stands in them, and those that they
        inherit from.
        """
        if _is_foreign(value):
            return self.put(f"{value.__module__}.{value.__qualname__}")
        self.put(_installed(value) or f"{value.__qualname__}\n{_source(value)}")
        for base in value.__bases__:
            self.tell(base, value.__qualname__)
        if _installed(value):
            return None
        for name, part in vars(value).items():
            is_ours = isinstance(part, (types.FunctionType, *DESCRIPTORS)) or not name.startswith("__")
            if is_ours and name not in ("__init__", "_abc_impl"):  # what the one has made, the module has
                self.put(name)
                self.tell(part, f"{value.__qualname__}.{name}")
        return None

    def _function(self, value: types.FunctionType) -> None:
        """A library's by its name; others by what they do and the values that they read; of both what they
        close over.
        """
        name = f"{value.__module__}.{value.__qualname__}"
        if known := name if _is_foreign(value) else _installed(value):
            self.put(known)
        else:
            self.put(f"{value.__qualname__}\n{_text(value)}")
            names = [n for code in _codes(value.__code__) for n in code.co_names]
            for read in dict.fromkeys(n for code in _codes(value.__code__) for n in global_names(code)):
                if read in value.__globals__:
                    self._read(value.__globals__[read], tuple(names), f"{read}, which {value.__qualname__} reads,")
            self.tell((value.__defaults__, value.__kwdefaults__), f"a default of {value.__qualname__}")
        for read, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            if cell != types.CellType():
                self.tell(cell.cell_contents, f"{read}, which {value.__qualname__} reads,")

    def _read(self, value: Any, names: tuple[str, ...], place: str) -> None:
        """A value that a function reads; of a module of the user's what it has by one of the names."""
        if not isinstance(value, types.ModuleType) or value.__name__.partition(".")[0] in FOREIGN | {"torch"} or _is_installed(value):
            return self.tell(value, place)
        if (value, names) in self.met:
            return None
        self.met[value, names] = (len(self.met), value)
        for name in names:
            if hasattr(value, name):
                self.put(name)
                self._read(getattr(value, name), names, f"{value.__name__}.{name}")
        return None

    def _object(self, value: Any, place: str) -> None:
        """Anything else by what pickle would write of it."""
        try:
            parts = value.__reduce_ex__(2)
        except Exception:
            raise _refused(value, place) from None
        if isinstance(parts, str):
            self.put(f"{getattr(value, '__module__', '')}.{parts}")
            self.tell(getattr(value, "__wrapped__", None), place)
        else:
            self.tell(tuple([*p] if isinstance(p, Iterator) else p for p in parts), place)


def _refused(value: object, place: str) -> TypeError:
    return TypeError(
        f"{place} is {given(value)}, by which a folder cannot know the module again; allowed are numbers, text, tensors, functions, and what pickle "
        f"can write; take it off, or ask without out= and client="
    )


def _is_foreign(value: Any) -> bool:
    """Whether a class or a function is PyTorch's, gdsim's or Python's."""
    return (value.__module__ or "").partition(".")[0] in FOREIGN | {"torch"}


def _is_installed(module: types.ModuleType | None) -> bool:
    return bool({"site-packages", "dist-packages"} & {*pathlib.Path(getattr(module, "__file__", None) or "").parts})


def _installed(value: Any) -> str:
    """The name of a class or a function of an installed package and the hash of its file; "" for the user's own."""
    module = sys.modules.get(value.__module__ or "")
    return f"{value.__module__}.{value.__qualname__} {file_hash(str(module.__file__))}" if module is not None and _is_installed(module) else ""


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function and of those written within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _text(function: types.FunctionType) -> str:
    """What a function does: its source, of which a line may hold two lambdas, or its instructions."""
    instructions = instructions_text(function.__code__, function.__doc__)
    try:
        return inspect.getsource(function.__code__) + (instructions if function.__name__ == "<lambda>" else "")
    except OSError:
        return instructions


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        raise ValueError(f"the source of {kind.__name__}, by which a folder knows it again, cannot be found; declare it in a file") from None
