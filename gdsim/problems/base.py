"""What a problem is: a frozen declaration of what is minimised, with the lane functions that kernels are
bound with.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from gdsim.data import Array, Data
from gdsim.declarations import Declaration, html_table


class Problem(Declaration, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Something to minimise over a vector of parameters, with or without data."""

    axes: ClassVar[tuple[str, ...]] = ()  # fields that may be axes of numbers
    default_dtype: ClassVar[str] = "float64"
    family: ClassVar[str] = "function"  # of few parameters; else "network", or "memory", where gradients lie: which engines train it
    default_init: ClassVar[Any] = "zeros"  # how runs start where nothing is said
    # What a subclass does not have as a field or a property.
    data: ClassVar[Data | None] = None  # the samples
    l1: ClassVar[Any] = 0.0  # the factor of the penalty by magnitudes, a number or an axis
    l2: ClassVar[Any] = 0.0  # the factor of the penalty by squares
    is_classifier: ClassVar[bool] = False  # whether the loss is of labels, so that there is an accuracy

    def _repr_html_(self) -> str:
        made = self.variants()
        count = {"parameters": f"{made[0].parameter_count:,}"} if len(made) == 1 else {"variants": f"{len(made):,}"}
        return html_table(type(self).__name__, [*self.shown_fields(), *count.items()])

    @property
    def name(self) -> str:
        """What messages call it."""
        return type(self).__name__

    @property
    def is_edited(self) -> bool:
        """Whether its code is another by now than when it was declared."""
        return False

    def as_in(self, kept: "list[dict[str, Any]]") -> "Problem":
        """The problem in the form in which a results folder of an older version holds it, whose problems
        are `kept`.
        """
        return self

    def why_not_stored(self, by_workers: bool) -> str:
        """Why a results folder, or a cluster's workers, could not make it from its declaration; nothing
        where they can.
        """
        return ""

    def variants(self) -> "list[Problem]":
        """The problem with one of each structural alternative, in the order of the axes, the last fastest."""
        return [self]

    def on_batches(self, batch: int | None, dtype: str) -> "Problem":
        """What kernels train in steps of `batch` samples, None for all: the problem, or one that is the
        same and costs less.
        """
        return self

    @property
    def parameter_count(self) -> int:
        """How many parameters there are."""
        raise NotImplementedError

    @property
    def penalized_count(self) -> int:
        """How many parameters a penalty counts, the first, where they lie one after the other."""
        return 0

    @property
    def box(self) -> tuple[Any, Any]:
        """The lowest and highest values of the region that is of interest: numbers, or one per parameter."""
        return -1.0, 1.0

    @property
    def layers(self) -> Sequence[tuple[int, int]]:
        """(inputs, units) of each layer of a network, by which starts are scaled; of other problems none."""
        return []

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with."""
        raise NotImplementedError

    def structure(self) -> list[Any]:
        """What decides the kernel's code and its data, apart from numbers of a run."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        return {}

    def arrays(self) -> dict[str, Array]:
        """The fields that are arrays, which stores keep beside the data."""
        return {}

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step on so many samples."""
        raise NotImplementedError
