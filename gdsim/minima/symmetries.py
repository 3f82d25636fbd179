"""The symmetries of networks: changes of the parameters that leave the function as it is.

Of a hidden unit with incoming weights u = (w, b) and outgoing weights a: units of a layer may change places;
(u, a) and (-u, -a) are the same where the activation is odd; (c u, a / c) for c > 0 where it is homogeneous
(ReLU, leaky ReLU, identity) and nothing penalises weights. The logistic function is odd about 1/2, which the
next biases take. Layers joined by residual connections change places, signs and scales together. To all rows
of the last layer the same may be added before a softmax.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gdsim.problems import TeacherStudent
from gdsim.problems.checked import check_problem
from gdsim.problems.losses import SAMPLE_LOSSES
from gdsim.problems.wiring import Wiring, wiring_of

ODD = ("tanh", "sine", "identity", "sigmoid")  # the logistic function about 1/2
HOMOGENEOUS = ("relu", "leaky_relu", "identity")


class Group(NamedTuple):
    """Units that change together: those with one number of a layer, or of layers joined by residual
    connections.
    """

    rows: tuple[int, ...]  # the layers that make them
    readers: tuple[tuple[int, int], ...]  # the layers that read them, each with the first of its columns
    flips: bool  # whether signs may change
    scales: bool  # whether scales may change
    halves: tuple[float, ...]  # what logistic units add to each reader's inputs, which is half of their number


class Kind(NamedTuple):
    """What decides a network's symmetries."""

    inputs: int
    units: tuple[int, ...]  # of each hidden layer
    activations: tuple[str, ...]  # likewise
    skip: str | None
    penalized: bool
    softmax: bool
    biases: bool
    fixed_outputs: bool = False  # whether all output weights are 1, and no parameters

    @classmethod
    def of(cls, problem: Any, what: str) -> "Kind":
        """That of a problem. Raises TypeError for what is none, and ValueError for one without units."""
        check_problem(problem, what, or_a_result=False)
        penalized = bool(problem.l1 or problem.l2)
        if isinstance(problem, TeacherStudent):
            return cls(problem.teacher, (problem.student,), ("summed relu",), None, False, False, False, True)
        if problem.family != "network":
            raise ValueError(f"{what} is of networks, whose units may change places; {type(problem).__name__} has none")
        softmax, (inputs, *hidden, _) = SAMPLE_LOSSES[problem.loss].targets == "classes", problem.widths
        return cls(inputs, tuple(hidden), problem.layer_activations, problem.skip, penalized, softmax, problem.intercept)

    @property
    def groups(self) -> list[Group]:
        """The groups of hidden units, the nearest to the inputs first."""
        wiring = wiring_of((self.inputs, *self.units, 1), self.skip)
        begins = [n for n in range(len(self.units)) if n + 1 not in wiring.adds]
        return [self._group(wiring, tuple(range(first, last))) for first, last in itertools.pairwise([*begins, len(self.units)])]

    def _group(self, wiring: Wiring, rows: tuple[int, ...]) -> Group:
        kinds = [self.activations[n] for n in rows]
        readers = tuple(  # whose columns follow those of what leads there from before
            (target - 1, sum(wiring.widths[before] for before, other in wiring.edges if other == target and before < source))
            for source, target in wiring.edges
            if source - 1 in rows
        )
        flips, scales = all(k in ODD for k in kinds), not self.penalized and all(k in HOMOGENEOUS for k in kinds)
        halves = tuple(0.5 * sum(self.activations[n] == "sigmoid" for n in rows if n < reader) if flips else 0.0 for reader, _ in readers)
        return Group(rows, readers, flips, scales, halves)


class Layers:
    """The parameters of networks as `W[layer][run, unit, input]` and `b[layer][run, unit]`, float64, and what
    symmetries make of them.
    """

    def __init__(self, W: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> None:
        self.W, self.b = list(W), list(b)

    @classmethod
    def of(cls, problem: Any, values: np.ndarray) -> "Layers":
        """Those of parameters[run, parameter], copied."""
        is_student = isinstance(problem, TeacherStudent)
        shapes, has_biases = ([(problem.teacher, problem.student)], False) if is_student else (problem.layers, bool(problem.intercept))
        runs, first = len(values), 0
        W, b = [], []
        for inputs, units in shapes:
            middle, last = first + inputs * units, first + (inputs + has_biases) * units
            W.append(values[:, first:middle].reshape(runs, units, inputs).astype(np.float64))
            b.append(values[:, middle:last].astype(np.float64) if has_biases else np.zeros((runs, units)))
            first = last
        if is_student:
            W.append(np.ones((runs, 1, problem.student)))
            b.append(np.zeros((runs, 1)))
        return cls(W, b)

    def vectors(self, kind: Kind) -> np.ndarray:
        """parameters[run, parameter]."""
        pairs = list(zip(self.W, self.b, strict=True))[: -1 if kind.fixed_outputs else None]
        return np.concatenate([part.reshape(len(part), math.prod(part.shape[1:])) for W, b in pairs for part in ((W, b) if kind.biases else (W,))], 1)

    def copy(self) -> "Layers":
        """The same numbers in arrays of their own."""
        return Layers([W.copy() for W in self.W], [b.copy() for b in self.b])

    def take(self, runs: Any) -> "Layers":
        """Those of some runs."""
        return Layers([W[runs] for W in self.W], [b[runs] for b in self.b])

    @classmethod
    def stacked(cls, parts: "Sequence[Layers]") -> "Layers":
        """Those of some runs after those of others."""
        return cls([np.concatenate(W) for W in zip(*(p.W for p in parts), strict=True)], [np.concatenate(b) for b in zip(*(p.b for p in parts), strict=True)])

    def multiply(self, group: Group, factor: np.ndarray) -> None:
        """What goes into each unit times factor[run, unit], what comes out of it divided by it."""
        for n in group.rows:
            self.W[n] *= factor[:, :, None]
            self.b[n] *= factor
        for n, first in group.readers:
            self.W[n][:, :, first : first + factor.shape[1]] /= factor[:, None, :]

    def permute(self, group: Group, order: np.ndarray) -> None:
        """Puts unit order[run, place] at each place."""
        for n in group.rows:
            self.W[n] = np.take_along_axis(self.W[n], order[:, :, None], 1)
            self.b[n] = np.take_along_axis(self.b[n], order, 1)
        for n, first in group.readers:
            columns = self.W[n][:, :, first : first + order.shape[1]]
            columns[:] = np.take_along_axis(columns, order[:, None, :], 2)

    def centre_logistic(self, groups: Sequence[Group], sign: float = 1.0) -> None:
        """Takes 1/2 from what logistic units give, so that they are odd, and adds its share to the biases of
        those who read it; with sign -1 back.
        """
        for group in groups:
            for (n, first), half in zip(group.readers, group.halves, strict=True):
                if half:
                    self.b[n] += sign * half * self.W[n][:, :, first : first + self.units(group)].sum(2)

    def units(self, group: Group) -> int:
        """How many units a group has."""
        return self.W[group.rows[0]].shape[1]

    def incoming(self, group: Group) -> np.ndarray:
        """[run, unit, input]: what goes into each unit, the bias last, of the first layer of a group."""
        first = group.rows[0]
        return np.concatenate([self.W[first], self.b[first][:, :, None]], 2)

    def outgoing(self, group: Group) -> np.ndarray:
        """[run, unit, reader]: what comes out of each unit of a group."""
        units = self.units(group)
        parts = [self.W[n][:, :, first : first + units].transpose(0, 2, 1) for n, first in group.readers]
        return np.concatenate([np.zeros((len(self.W[0]), units, 0)), *parts], 2)
