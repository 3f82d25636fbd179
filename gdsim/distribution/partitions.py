"""How the samples of the training set are shared out among workers."""

import zlib
from typing import Any, ClassVar

import msgspec
import numpy as np

from gdsim.axes import Axis, Range, checked_whole
from gdsim.data.arrays import plain
from gdsim.distribution.base import MOST_WORKERS, Partition, least_of, most_of
from gdsim.words import count_of, given, nearest


class Iid(Partition, frozen=True, tag="iid"):
    """Random parts of equal size; the last few samples that do not go into as many parts are left out.

    >>> partition_of("iid")
    'iid'
    """

    word: ClassVar[str] = "iid"

    def samples_held(self, samples: int, workers: int) -> int:
        return samples // workers * workers


class Sorted(Partition, frozen=True, tag="sorted"):
    """The samples in the order of their labels, cut into parts of equal size, but for one sample: each worker
    sees few classes.

    >>> partition_of("sorted")
    'sorted'
    """

    word: ClassVar[str] = "sorted"
    is_drawn: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True


class Overlap(Partition, frozen=True, kw_only=False, tag="overlap"):
    """Each worker a random `share` of all samples, drawn without regard to the others'.

    >>> Overlap(0.25).share
    0.25
    """

    share: Axis = 0.5

    ranges = {"share": Range(0.0, 1.0, low_allowed=False, high_allowed=True)}
    meanings = {"share": "The share of all samples that each worker has."}

    def size(self, share: float, samples: int) -> int:
        """How many samples each worker has."""
        return max(1, round(share * samples))

    def fewest(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> int:
        return self.size(least_of(self.share), samples)

    def samples_held(self, samples: int, workers: int) -> int:
        return workers * self.size(most_of(self.share), samples)


class Classes(Partition, frozen=True, kw_only=False, tag="classes"):
    """Each worker has samples of so many `classes`, the others none.

    Classes in a random order are dealt to the workers in turn, round and round, so that each is held by as many
    workers as any other, but for one; its samples, in a random order, are cut into parts of equal size, but for
    one sample, among those that hold it. Classes that are dealt to nobody are left out.

    >>> Classes(2).classes
    2.0
    """

    classes: Axis

    needs_labels: ClassVar[bool] = True
    ranges = {"classes": Range(1.0, 2.0**16, high_allowed=True)}
    whole = ("classes",)
    meanings = {"classes": "How many classes each worker has samples of."}

    def check_samples(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> None:
        """Refuses more classes than there are, and a class that may have fewer samples than workers hold it, too."""
        super().check_samples(samples, labels, workers, batch)
        names, counts = np.unique([] if labels is None else labels, return_counts=True)
        if most_of(self.classes) > len(names):
            raise ValueError(
                f"Classes: {most_of(self.classes):g} classes of each worker were asked for, and the labels have {len(names)}: give at most as many"
            )
        holders, rarest = -(-workers * int(most_of(self.classes)) // len(names)), int(np.argmin(counts))
        if counts[rarest] < holders:
            raise ValueError(
                f"Classes: {holders} of {workers} workers may have to share out class {names[rarest]}, which has {count_of(int(counts[rarest]), 'sample')}: "
                "give fewer workers or classes"
            )

    def fewest(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> int:
        """Of the rarest classes, each among as many as may hold it."""
        counts, classes = np.unique([] if labels is None else labels, return_counts=True)[1], int(least_of(self.classes))
        return int(np.sort(counts // -(-workers * classes // len(counts)))[:classes].sum())


class Dirichlet(Partition, frozen=True, kw_only=False, tag="dirichlet"):
    """The samples of each class are shared out by a draw from the Dirichlet law with all parameters `alpha`
    (Yurochkin et al. 2019): the smaller alpha, the more workers differ, in their classes and in how many samples
    they have.

    The class's samples, in a random order, are cut at floor(n (p_1 + .. + p_k)). Each worker has `least` samples
    or more, at least a batch if not given: until then all are drawn again, up to 100 times, and an error says so
    if that was not enough. It is not the law of Hsu et al. (2019), in which workers have as many samples as each
    other.

    >>> Dirichlet([0.1, 1.0]).alpha
    (0.1, 1.0)
    """

    alpha: Axis
    least: int | None = None

    needs_labels: ClassVar[bool] = True
    ranges = {"alpha": Range(0.0, float("inf"), low_allowed=False)}
    meanings = {
        "alpha": "The concentration: small for workers that differ, large for equal ones.",
        "least": "The fewest samples that a worker may have; None for a batch, or 1 where each step takes all.",
    }

    def check_together(self) -> None:
        """Checks the fewest samples."""
        if self.least is not None:
            msgspec.structs.force_setattr(self, "least", checked_whole(self.least, "Dirichlet.least"))

    def least_for(self, batch: int | None) -> int:
        """The fewest samples of a worker whose steps take `batch`."""
        return self.least or batch or 1

    def fewest(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> int:
        return self.least_for(batch)

    def check_samples(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> None:
        """Refuses workers that cannot all have the fewest samples, too."""
        super().check_samples(samples, labels, workers, batch)
        least = self.least_for(batch)
        if workers * least > samples:
            raise ValueError(
                f"Dirichlet: {workers} workers of at least {count_of(least, 'sample')} need {workers * least}, and there are {samples}: "
                "give fewer workers, a smaller batch, or least=1, with which a worker that has fewer samples than a batch draws with replacement"
            )


class Assigned(Partition, frozen=True, kw_only=False, tag="assigned"):
    """Each sample to the worker whose number it has: `worker[sample]`, from 0 without gaps.

    >>> partition_of([0, 0, 1, 1])
    Assigned([0, 0, 1, 1])
    """

    worker: Any
    is_drawn: ClassVar[bool] = False
    forms = {"worker": "a list of the number of each sample's worker, from 0"}
    meanings = {"worker": "[sample] the number of its worker, from 0."}

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "worker", _numbers_of_workers(self.worker))

    def settings(self) -> dict[str, Any]:
        """The array is called by a checksum of its numbers."""
        return {"worker": f"{zlib.crc32(np.array(self.worker, np.uint32).tobytes()):08x}"}

    def fewest(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> int:
        return int(np.bincount(np.array(self.worker)).min())

    def check_samples(self, samples: int, labels: np.ndarray | None, workers: int, batch: int | None) -> None:
        """Refuses an array that is not as long as the data, and one of other workers, too."""
        super().check_samples(samples, labels, workers, batch)
        numbers = np.array(self.worker)
        if len(numbers) != samples:
            raise ValueError(f"partition: an array needs a worker for each of {count_of(samples, 'sample')}; {len(numbers)} numbers were given")
        counts = np.bincount(numbers, minlength=workers)
        if len(counts) > workers:
            raise ValueError(
                f"partition: the array has a worker {len(counts) - 1}, and there are {workers}, from 0 to {workers - 1}: give workers={len(counts)}"
            )
        if not counts.all():
            raise ValueError(f"partition: worker {int(np.argmin(counts))} of {workers} has no sample in the array: number workers from 0 without gaps")


PARTITIONS = (Iid, Sorted, Overlap, Classes, Dirichlet, Assigned)
WORDS: dict[str, Partition | None] = {"shared": None, "iid": Iid(), "sorted": Sorted(), "overlap": Overlap()}


def _numbers_of_workers(value: Any) -> tuple[int, ...]:
    """Whole numbers from 0, one per sample, or an error."""
    found = plain(value, "partition")
    if found.ndim != 1 or not len(found):
        raise ValueError(f"partition: an array must have the number of a worker for each sample, [sample]; one of shape {found.shape} was given")
    allowed = f"an array must have for each sample the number of its worker, a whole number from 0 to {MOST_WORKERS - 1}"
    if found.dtype.kind not in "iuf":
        raise ValueError(f"partition: {allowed}; one of dtype {found.dtype} was given")
    wrong = np.flatnonzero(~((found >= 0) & (found < MOST_WORKERS) & (found == np.floor(found))))
    if len(wrong):
        raise ValueError(f"partition[{wrong[0]}] is {given(found[wrong[0]])}; {allowed}")
    return tuple(map(int, found.tolist()))


def partition_of(value: Any) -> Any:
    """A word or an array of workers as the partition that it means, None for "shared"; other values as they are.

    Raises ValueError for another word, and for an array that is none of workers.
    """
    if isinstance(value, str):
        if value not in WORDS:
            raise ValueError(
                f"partition has no {given(value)}; {nearest(value, list(WORDS))}, or gd.Overlap, gd.Classes, gd.Dirichlet, or an array [sample] of workers"
            )
        return WORDS[value]
    if isinstance(value, (list, tuple)) and not (value and all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in value)):
        return value
    is_array = not isinstance(value, (Partition, dict, type)) and (isinstance(value, (list, tuple)) or hasattr(value, "__array__"))
    return Assigned(value) if is_array else value


def partitions_of(value: Any) -> Any:
    """One partition or several, as `partition_of` makes each."""
    one = partition_of(value)
    return type(one)(map(partition_of, one)) if isinstance(one, (list, tuple)) else one
