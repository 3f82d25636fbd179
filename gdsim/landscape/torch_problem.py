"""`gd.landscape.TorchProblem`: any PyTorch module on samples, for lines and planes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.axes import checked_whole
from gdsim.data.arrays import plain
from gdsim.problems.modules import pytorch
from gdsim.words import checked_word, count_of, given

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike


class TorchProblem:
    """The mean loss of a PyTorch module on samples, as a function of all its parameters.

    `module` is copied, and evaluated as after `eval()`: without dropout, and batch norms normalise by the
    statistics that they have stored, which stay as they are wherever its parameters go (as in Li et al. 2018).
    `X[sample, ...]` is what it takes, `y[sample]` the targets; `loss` is "cross_entropy" of whole numbers from
    0, "log_loss" of 0 and 1 (both of the sums before softmax and sigmoid), or "mean_squared_error", the sum
    over outputs. `block` samples go through the module together, which bounds memory.

    `gd.landscape.line` and `gd.landscape.plane` take it: directions are scaled for each filter of a convolution
    and each row of a matrix, and 0 for tensors of one dimension, the biases and the parameters of norms. A folder
    knows it by the hash of all that decides what it computes (tensors, attributes, hooks, sources of its classes,
    and what these read) and of its samples, and by PyTorch's version, and never makes it anew; workers are sent
    it. It is not trained. Raises ModuleNotFoundError without PyTorch, which comes with gdsim's extra
    "torch", and TypeError or ValueError for what does not fit.

    >>> import numpy as np, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 3))
    >>> problem = TorchProblem(net, np.zeros((5, 1, 4, 4)), [0, 1, 2, 0, 1])
    >>> problem.vector().shape, problem.parameter_count
    ((47,), 47)
    """

    data = None  # it keeps its samples to itself
    l1 = l2 = 0.0
    family = "module"
    is_edited = False
    name = "TorchProblem"

    def __init__(
        self, module: "torch.nn.Module", X: "ArrayLike | torch.Tensor", y: "ArrayLike | torch.Tensor", loss: str = "cross_entropy", *, block: int = 256
    ) -> None:
        made = pytorch()
        self.module, self.loss, self.block = made.checked_module(module), checked_word(loss, "loss", made.LOSSES), checked_whole(block, "block")
        self.X, self.y = plain(X, "X"), plain(y, "y")
        if self.X.ndim < 1 or not len(self.X) or self.y.ndim < 1 or len(self.X) != len(self.y):
            raise ValueError(f"X and y must have as many samples, one at least; shapes {self.X.shape} and {self.y.shape} were given")
        self.samples = made.tensors_of(self.X, self.y)
        self._check_outputs(made.output_of(self.module, self.samples))
        self._vector: np.ndarray = made.parameters_in(self.module)

    def _check_outputs(self, outputs: tuple[int, ...]) -> None:
        """Raises ValueError where the module's outputs of a sample are not those that the loss takes of y."""
        y = self.y
        if self.loss == "mean_squared_error":
            if int(np.prod(outputs)) != int(np.prod(y.shape[1:])):
                raise ValueError(f"the module gives outputs of shape {outputs} of a sample, and y has shape {y.shape[1:]}")
            return
        classes = outputs[0] if self.loss == "cross_entropy" and len(outputs) == 1 else 2
        if y.ndim != 1 or y.dtype.kind not in "iub" or y.min() < 0 or y.max() >= classes:
            raise ValueError(f"{self.loss!r} needs y[sample] of whole numbers from 0 to {classes - 1}; {given(y)} was given")
        if self.loss == "log_loss" and int(np.prod(outputs)) != 1:
            raise ValueError(f"'log_loss' takes one output of a sample; the module gives {outputs}")
        if self.loss == "cross_entropy" and len(outputs) != 1:
            raise ValueError(f"'cross_entropy' takes a vector of outputs of a sample; the module gives {outputs}")

    def __repr__(self) -> str:
        return f"TorchProblem({type(self.module).__name__}, {count_of(len(self.X), 'sample')}, {self.parameter_count:,} parameters, loss={self.loss!r})"

    @property
    def parameter_count(self) -> int:
        """How many parameters there are."""
        return len(self._vector)

    @property
    def is_classifier(self) -> bool:
        """Whether there is an accuracy."""
        return self.loss != "mean_squared_error"

    def vector(self) -> np.ndarray:
        """The module's parameters, as they were given, as one vector: in the order of `module.parameters()`."""
        return self._vector.copy()

    @property
    def weight_rows(self) -> list[np.ndarray]:
        """Places [row, number] in the vector, of each tensor of weights: a row is a filter, or a row of a matrix."""
        return pytorch().weight_rows(self.module)

    def identity(self) -> dict[str, Any]:
        """What a folder keeps of it: PyTorch's version, and the hash of the module, samples and loss.

        Raises TypeError or ValueError for a module that has no lasting identity.
        """
        made = pytorch()
        return {"type": "torch", "version": made.VERSION, "sha256": made.identity_of(self.module, (self.X, self.y), self.loss)}

    def why_not_stored(self, by_workers: bool) -> str:
        """Nothing: a folder keeps what was found at its points, and its hash."""
        return ""

    def step_operations(self, samples: int) -> float:
        """Floating-point operations at a point, about: those of the products with all samples."""
        return len(self.X) * pytorch().operations_of(self.module, self.samples)

    def scores(self, terms: np.ndarray, coordinates: np.ndarray, names: Sequence[str], dtype: str, threads: int) -> dict[str, np.ndarray]:
        """{name: [point]} of "loss", "accuracy" and "gradient_norm" at coordinates[point, axis] of the plane of
        terms[term, parameter], w_0, d_1, d_2; the same bits by however many threads.
        """
        made = pytorch()
        plane = made.Plane(terms, coordinates)
        return made.scores_at(self.module, self.samples, self.loss, plane, names, dtype=dtype, block=self.block, threads=threads)
