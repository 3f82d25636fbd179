"""What a worker sends in the place of a vector v of d numbers: C(v), which takes fewer bits, and what is kept
of the rest.

A compressor alone sends C(v) and forgets v - C(v). `ErrorFeedback` adds what was not sent to the next vector;
`EF21` sends what changes in a vector that both ends keep. A vector is a whole model's, in the order of its
parameters. Bits are counted with 32 for a number, of a run's `bytes_sent` with those of its numbers.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

from gdsim.axes import Axis, Grid, Range
from gdsim.distribution.base import STEPS, Held, Part, most_of
from gdsim.words import given

NUMBER_BITS = 32
KEPT_SHARE = Range(0.0, 1.0, low_allowed=False, high_allowed=True)
MASKS = ("independent", "shared")
RATES = ("inside", "outside")

Shapes = Sequence[tuple[int, int]]  # (rows, columns) of each matrix among the parameters


class Compressor(Part, frozen=True):
    """What is sent in the place of a vector."""

    contracts: ClassVar[bool] = True  # whether E|v - C(v)|^2 < |v|^2 where C is not scaled to be unbiased
    reduces_by: ClassVar[Any] = "gather"  # how messages come together: "all_reduce", "gather" or "majority"
    meanings = {
        "fraction": "Share of the numbers that is sent, at least one: the whole part of fraction * d.",
        "count": "How many numbers are sent; either this or `fraction` is given.",
        "masks": "Whether each worker draws which numbers are sent, or one draw is shared by all.",
        "levels": "How many levels a magnitude has above 0.",
        "rank": "Columns of the two factors of each matrix.",
        "compressor": "What is sent of the vector with its memory.",
        "rate": "Whether the learning rate is inside the memory, which then holds steps, or outside, where it holds gradients.",
    }

    @property
    def innermost(self) -> "Compressor":
        """The compressor itself, without the memory that it is put in."""
        return self

    def check_model(self, values: Mapping[str, float], parameters: int, shapes: Shapes) -> None:
        """Refuses a model that this does not compress, with a run's numbers. Raises ValueError."""

    def bits(self, parameters: int, shapes: Shapes, values: Mapping[str, float] | None = None, number: int = NUMBER_BITS) -> int:
        """Bits of a message: of a vector of so many numbers, among them matrices of these shapes.

        `values` are a run's numbers by the names of `hyperparameters`; without them the fields must be numbers.
        A number is sent in so many bits.

        Raises
        ------
        ValueError
            If a field is an axis and no values are given.
        """
        found = self.hyperparameters() if values is None else values
        axis = next((n for n, v in found.items() if not isinstance(v, (int, float))), None)
        if axis is not None:
            raise ValueError(f"{type(self).__name__}.bits needs the number of a run for {axis}, which is {given(found[axis])}: give values={{{axis!r}: ...}}")
        return self.bits_of(found, parameters, shapes, number)

    def bits_of(self, values: Mapping[str, float], parameters: int, shapes: Shapes, number: int) -> int:
        """`bits` with a run's numbers, and so many of a number sent."""
        raise NotImplementedError


class Sparsifier(Compressor, frozen=True):
    """A compressor that sends some of the numbers, and none of the others."""

    fraction: Axis | None = None
    count: Axis | None = None

    ranges = {"fraction": KEPT_SHARE, "count": STEPS}
    whole = ("count",)

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if (self.fraction is None) == (self.count is None):
            both = "neither was" if self.count is None else "both were"
            raise ValueError(f"{kind} needs either fraction or count, and {both} given: write {kind}(fraction=0.01) or {kind}(count=10)")
        super().__post_init__()

    def kept(self, values: Mapping[str, float], parameters: int) -> int:
        """How many of so many numbers are sent: max(1, floor(fraction d)), of the fraction as it is written."""
        share = Fraction(repr(float(values.get("fraction", 1.0))))
        return max(1, int(values["count"]) if "count" in values else math.floor(share * parameters))

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        return {"kept": float(self.kept(values, parameters))}

    def check_model(self, values: Mapping[str, float], parameters: int, shapes: Shapes) -> None:
        kept = self.kept(values, parameters)
        if kept > parameters:
            raise ValueError(f"{type(self).__name__}.count must be at most {parameters}, the number of parameters of the problem; {kept} was given")


class TopK(Sparsifier, tag="top_k", frozen=True):
    """The numbers of the largest magnitudes (Aji and Heafield 2017); of equal ones, those that come first.

    Not unbiased: the squared error is the sum of the smallest d - k squares, at most (1 - k/d) |v|^2. A
    message has k numbers and their places, k (32 + ceil(log2 d)) bits.

    >>> TopK(fraction=0.01).bits(2410, [])
    1056
    """

    def bits_of(self, values: Mapping[str, float], parameters: int, shapes: Shapes, number: int) -> int:
        return self.kept(values, parameters) * (number + math.ceil(math.log2(parameters)))


class RandomK(Sparsifier, tag="random_k", frozen=True):
    """Numbers at k places drawn anew for each message, each k of the d places as likely as any other.

    Alone it sends (d/k) v_i, so that E C(v) = v and E|C(v) - v|^2 = (d/k - 1) |v|^2; in a memory it sends v_i
    itself (Stich et al. 2018), and E|C(v) - v|^2 = (1 - k/d) |v|^2. Places are drawn from the seed, the start,
    the worker and the step, which both ends know: a message has 32 k bits. With shared masks, the sum of
    messages is a message.

    >>> RandomK(count=5).bits(100, [])
    160
    """

    masks: str | Grid = "independent"

    choices = {"masks": MASKS}

    @property
    def reduces_by(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How messages come together."""
        return "all_reduce" if self.masks == "shared" else "gather"

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        kept = self.kept(values, parameters)
        return {"kept": float(kept), "scale": parameters / kept}

    def bits_of(self, values: Mapping[str, float], parameters: int, shapes: Shapes, number: int) -> int:
        return number * self.kept(values, parameters)


class QSGD(Compressor, tag="qsgd", frozen=True):
    """Magnitudes as one of s + 1 levels from 0 to |v|, rounded at random to one of the two nearest (Alistarh et
    al. 2017).

    With x = s |v_i| / |v| and u uniform in [0, 1): C(v)_i = sign(v_i) |v| / s (floor(x) + [u < x - floor(x)]).
    Then E C(v) = v, and E|C(v) - v|^2 = |v|^2 / s^2 sum f_i (1 - f_i), f_i = x - floor(x). A message has |v|
    and a level with its sign of each number: 32 + d ceil(log2(2 s + 1)) bits.

    >>> QSGD(levels=4).bits(100, [])
    432
    """

    levels: Axis

    ranges = {"levels": STEPS}
    whole = ("levels",)
    contracts = False

    def bits_of(self, values: Mapping[str, float], parameters: int, shapes: Shapes, number: int) -> int:
        return number + parameters * math.ceil(math.log2(2 * int(values["levels"]) + 1))


class Sign(Compressor, tag="sign", frozen=True):
    """The signs of the numbers, sign(0) = 0: 1 bit each (Bernstein et al. 2018).

    Alone, what comes of the messages of K workers is their majority vote sign(sum_k sign(v_k)), 0 where the
    votes are equal; in a memory, their mean.

    >>> Sign().bits(100, [])
    100
    """

    contracts = False
    reduces_by = "majority"

    def bits_of(self, values: Mapping[str, float], parameters: int, shapes: Shapes, number: int) -> int:
        return parameters


class ScaledSign(Compressor, tag="scaled_sign", frozen=True):
    """The signs of the numbers times their mean magnitude |v|_1 / d, sign(0) = 0 (Karimireddy et al. 2019).

    |v - C(v)|^2 = |v|^2 - |v|_1^2 / d, where no number is 0. A message has d + 32 bits.

    >>> ScaledSign().bits(100, [])
    132
    """

    def bits_of(self, values: Mapping[str, float], parameters: int, shapes: Shapes, number: int) -> int:
        return parameters + number


class PowerSGD(Compressor, tag="power_sgd", frozen=True):
    """Each matrix of parameters as a product of two factors with `rank` columns (Vogels et al. 2019).

    Of the workers' matrices M_k: Q = orth(Q), P = orth(mean M_k Q), Q = mean M_k' P, and all receive P Q'; Q is
    kept for the next message, and is random at first. Biases are sent as they are, and so are matrices of
    which the factors would have as many numbers. A message has 32 rank (rows + columns) bits for a matrix.

    >>> PowerSGD(rank=2).bits(2410, [(32, 64), (10, 32)])
    10176
    """

    rank: Axis = 1

    sizes = {"rank": 1}
    reduces_by = "all_reduce"

    def spared(self, shape: tuple[int, int]) -> int:
        """How many numbers two factors have less than a matrix of this shape, which is sent as it is where they
        have as many; of an axis of ranks, for the largest.
        """
        rows, columns = shape
        return max(0, rows * columns - int(most_of(self.rank)) * (rows + columns))

    def check_model(self, values: Mapping[str, float], parameters: int, shapes: Shapes) -> None:
        if not any(map(self.spared, shapes)):
            largest = max(shapes, key=math.prod, default=None)
            what = "the problem has no matrix" if largest is None else f"the largest matrix of the problem is {largest[0]} x {largest[1]}"
            raise ValueError(
                f"PowerSGD(rank={self.rank}) compresses nothing here: {what}, and vectors, and matrices that two factors do not shorten, go "
                "uncompressed: take TopK, RandomK, QSGD or ScaledSign, or leave compression out"
            )

    def bits_of(self, values: Mapping[str, float], parameters: int, shapes: Shapes, number: int) -> int:
        return number * (parameters - sum(map(self.spared, shapes)))


COMPRESSORS = (TopK, RandomK, QSGD, Sign, ScaledSign, PowerSGD)


class Memory(Compressor, frozen=True):
    """A compressor with a memory of what it did not send, one for each worker."""

    compressor: Any

    holds = {"compressor": Held(Compressor, COMPRESSORS)}

    def check_together(self) -> None:
        if isinstance(self.compressor, Memory):
            raise ValueError(f"{type(self).__name__} cannot be put around {type(self.compressor).__name__}, which has a memory already: take one of them")

    @property
    def innermost(self) -> Compressor:
        """The compressor in the memory."""
        return self.compressor

    @property
    def called(self) -> str:
        """With what it is put around, as it is written."""
        return f"{super().called}({self.compressor.called})"

    def settings(self) -> dict[str, Any]:
        """What may differ between cells: the compressor's and its own, which share no name."""
        own = {name: getattr(self, name) for name in self.__struct_fields__ if name != "compressor"}
        return {**own, **self.compressor.settings()}

    @property
    def reduces_by(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How messages come together."""
        return "gather" if isinstance(self.compressor, Sign) else self.compressor.reduces_by

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        found = super().constants(values, parameters)
        return {**found, **dict.fromkeys((name for name in found if name == "compressor_scale"), 1.0)}

    def _own(self, values: Mapping[str, float]) -> dict[str, float]:
        """The compressor's numbers by its own names."""
        return {name: values[f"compressor_{name}"] for name in self.compressor.hyperparameters()}

    def check_model(self, values: Mapping[str, float], parameters: int, shapes: Shapes) -> None:
        self.compressor.check_model(self._own(values), parameters, shapes)

    def bits_of(self, values: Mapping[str, float], parameters: int, shapes: Shapes, number: int) -> int:
        return self.compressor.bits_of(self._own(values), parameters, shapes, number)


class ErrorFeedback(Memory, tag="error_feedback", frozen=True):
    """What is not sent is added to the next vector (Seide et al. 2014, Karimireddy et al. 2019).

    With the rate inside, p_k = eta g_k + e_k, D_k = C(p_k), e_k = p_k - D_k, w = w - mean_k D_k; with it
    outside, as PyTorch has it, p_k = g_k + e_k and w = w - eta mean_k C(p_k). The two part where eta changes.

    >>> ErrorFeedback(TopK(fraction=0.1)).rate
    'inside'
    """

    rate: str | Grid = "inside"

    choices = {"rate": RATES}


class EF21(Memory, tag="ef21", frozen=True):
    """What changes in a vector G_k that worker and server keep is sent (Richtarik et al. 2021).

    G_k = C(g_k(w)) at first, then at every new w G_k = G_k + C(g_k(w) - G_k), each time w = w - eta mean_k G_k.
    C must bring a vector nearer to what it stands for, which QSGD and Sign do not.

    >>> EF21(TopK(count=1)).innermost
    TopK(count=1)
    """

    def check_together(self) -> None:
        super().check_together()
        if not self.compressor.contracts:
            kind = type(self.compressor).__name__
            raise ValueError(
                f"EF21 needs a compressor whose message is nearer to the vector than 0 is, and {kind}'s need not be: take TopK, RandomK, ScaledSign "
                f"or PowerSGD in it, or put {kind} in ErrorFeedback"
            )


MEMORIES = (ErrorFeedback, EF21)
COMPRESSION = Held(Compressor, (*COMPRESSORS, *MEMORIES))
