"""Any module as a function of its parameters: its loss and accuracy on samples at many points."""

import copy
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from gdsim.words import given

Samples = tuple[torch.Tensor, torch.Tensor]
THREADS_LOCK = threading.Lock()  # while points are evaluated, of which each has one of PyTorch's threads


def _binary(outputs: torch.Tensor) -> torch.Tensor:
    """[sample]: the one output of each sample."""
    return outputs.reshape(len(outputs))


class Loss(NamedTuple):
    """A loss of each sample from outputs and targets, as gdsim has it, and which answers are right."""

    of_samples: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    correct: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None


LOSSES = {
    "cross_entropy": Loss(lambda z, y: nn.functional.cross_entropy(z, y, reduction="none"), lambda z, y: z.argmax(1) == y),
    "log_loss": Loss(
        lambda z, y: nn.functional.binary_cross_entropy_with_logits(_binary(z), y.to(z.dtype), reduction="none"), lambda z, y: (_binary(z) > 0.0) == (y == 1)
    ),
    "mean_squared_error": Loss(lambda z, y: (z - y.reshape(z.shape)).square().flatten(1).sum(1), None),
}


def checked_module(module: Any) -> nn.Module:
    """A copy of a module for evaluation, on the processor. Raises TypeError or ValueError for what is none."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"TorchProblem needs a torch.nn.Module; {given(module)} was given")
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.running_mean is None and not isinstance(part, nn.modules.instancenorm._InstanceNorm):
            raise ValueError(f"module {name!r} keeps no statistics (track_running_stats=False), by which TorchProblem normalises; give a module that does")
    odd = next((name for name, p in module.named_parameters() if p.is_meta or not p.dtype.is_floating_point), None)
    if odd is not None:
        raise ValueError(f"parameter {odd!r} of the module is no tensor of real numbers that are there")
    made = copy.deepcopy(module).cpu().eval()
    if not sum(p.numel() for p in made.parameters()):
        raise ValueError("the module has no parameters, and so nothing to move")
    return made.requires_grad_(True)


def tensors_of(X: np.ndarray, y: np.ndarray) -> Samples:
    """Samples and targets as tensors, whole numbers as PyTorch's losses take them."""
    one, two = (torch.tensor(v, dtype=torch.int64 if v.dtype.kind in "iub" else None) for v in (X, y))
    return one, two


def first_of(module: nn.Module, samples: Samples) -> torch.Tensor:
    """The first sample by itself, in the number type of the module's parameters."""
    one = samples[0][:1]
    return one.to(next(module.parameters()).dtype) if one.is_floating_point() else one


def output_of(module: nn.Module, samples: Samples) -> tuple[int, ...]:
    """The shape of the module's outputs of a sample. Raises ValueError where it does not take it."""
    try:
        with torch.no_grad():
            found = copy.deepcopy(module)(first_of(module, samples))  # which may count its calls
    except Exception as error:
        raise ValueError(f"the module does not take samples of shape {tuple(samples[0].shape[1:])}: {' '.join(str(error).split())}") from None
    if not isinstance(found, torch.Tensor):
        raise TypeError(f"the module must give a tensor of outputs; it gives {given(found)}")
    return tuple(found.shape[1:])


def parameters_in(module: nn.Module) -> np.ndarray:
    """All parameters as one vector, in the order of `module.parameters()`: float64 where one is, else float32."""
    parts = [p.detach().reshape(-1) for p in module.parameters()]
    return torch.cat([p.to(torch.float64 if torch.float64 in {q.dtype for q in parts} else torch.float32) for p in parts]).numpy()


def weight_rows(module: nn.Module) -> list[np.ndarray]:
    """Places [row, number] in the vector of parameters, of each tensor of two dimensions or more: a row is what
    makes one output, a filter of a convolution or a row of a matrix. Other tensors are biases and norms.
    """
    first, found = 0, []
    for p in module.parameters():
        if p.ndim > 1:
            found.append(np.arange(first, first + p.numel()).reshape(len(p), -1))
        first += p.numel()
    return found


def operations_of(module: nn.Module, samples: Samples) -> float:
    """Floating-point operations of the products in one pass of a sample, about: two for each weight of a
    convolution or a matrix and each place that it is used at.
    """
    total, module = 0.0, copy.deepcopy(module)  # which may count its calls

    def count(part: nn.Module, inputs: Any, outputs: torch.Tensor) -> None:
        nonlocal total
        total += 2.0 * part.weight.numel() * outputs.numel() / outputs.shape[1]  # pyright: ignore[reportCallIssue, reportOperatorIssue, reportAttributeAccessIssue]

    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.modules.conv._ConvNd)):
            part.register_forward_hook(count)
    with torch.no_grad():
        module(first_of(module, samples))
    return total


class Plane(NamedTuple):
    """Points of a plane of parameters: terms[term, parameter] are w_0, d_1, d_2, coordinates[point, axis]."""

    terms: np.ndarray
    coordinates: np.ndarray

    def point(self, number: int) -> np.ndarray:
        """w_0 + t_1 d_1 + t_2 d_2."""
        one, two = self.coordinates[number]
        return self.terms[0] + one * self.terms[1] + two * self.terms[2]


def scores_at(
    module: nn.Module, samples: Samples, loss: str, plane: Plane, names: Sequence[str], *, dtype: str, block: int, threads: int
) -> dict[str, np.ndarray]:
    """{name: [point]} of "loss", "accuracy", "gradient_norm" at the points of a plane, by so many threads.

    Each point has one of PyTorch's threads, so that its bits do not depend on how many there are.
    """
    held, kind, count = threading.local(), getattr(torch, dtype), len(plane.coordinates)
    X, y = (part.to(kind) if part.is_floating_point() else part for part in samples)

    def one(number: int) -> tuple[float, ...]:
        if not hasattr(held, "module"):
            torch.set_num_threads(1)  # of this thread
            held.module = copy.deepcopy(module).to(kind)
        _put(held.module, plane.point(number))
        return _scores(held.module, (X, y), loss, names, block)

    with THREADS_LOCK, ThreadPoolExecutor(max(1, min(threads, count))) as pool:
        before = torch.get_num_threads()
        try:
            found = list(pool.map(one, range(count)))
        finally:
            torch.set_num_threads(before)
    return {name: np.array([scores[i] for scores in found], dtype) for i, name in enumerate(names)}


def _scores(module: nn.Module, samples: Samples, loss: str, names: Sequence[str], block: int) -> tuple[float, ...]:
    """The scores where a module is, block by block of samples."""
    (X, y), kind, total, right = samples, LOSSES[loss], 0.0, 0
    has_gradient = "gradient_norm" in names
    module.zero_grad(set_to_none=True)
    with torch.set_grad_enabled(has_gradient):
        for first in range(0, len(X), block):
            outputs, targets = module(X[first : first + block]), y[first : first + block]
            part = kind.of_samples(outputs, targets).sum(dtype=torch.float64)
            if has_gradient:
                (part / len(X)).backward()
            total += part.item()
            right += int(kind.correct(outputs, targets).sum()) if kind.correct is not None else 0
    gradients = [p.grad.double().square().sum().item() for p in module.parameters() if p.grad is not None] if has_gradient else []
    scores = {"loss": total / len(X), "accuracy": right / len(X), "gradient_norm": sum(gradients) ** 0.5}
    return tuple(scores[name] for name in names)


def _put(module: nn.Module, point: np.ndarray) -> None:
    """Writes a vector of parameters into a module."""
    vector, first = torch.from_numpy(point), 0
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(vector[first : first + p.numel()].reshape(p.shape))
            first += p.numel()
