"""Pairs of points that paths lead between."""

from typing import Any, NamedTuple

import numpy as np

from gdsim.landscape.grids import Grids, Where, ask_of_grids, coordinates_of
from gdsim.landscape.inputs import Centres
from gdsim.landscape.lines import LINE, paired
from gdsim.minima.alignment import METHODS, align
from gdsim.population.evaluation import Given
from gdsim.population.workplace import Workplace
from gdsim.problems.checked import check_problem
from gdsim.sweep.results.reading import Dataset
from gdsim.words import checked_word


class Pairs(NamedTuple):
    """Checked pairs of points of one problem."""

    problem: Any
    a: np.ndarray  # [run, parameter], float64
    b: np.ndarray
    given: Given  # whose dims and coordinates the paths have
    dtype: str

    @classmethod
    def of(cls, problem: Any, a: Any, b: Any, what: str, dtype: str | None, *, takes_modules: bool = False) -> "Pairs":
        """Those of a and b. Raises TypeError or ValueError, also for two equal points."""
        check_problem(problem, what, or_a_result=False, takes_modules=takes_modules)
        if a is None or b is None:
            raise TypeError(f"{what} needs two points: {what}(problem, a, b)")
        begins, ends = (Centres.of(problem, end, "", what, name, dtype) for end, name in ((a, "a"), (b, "b")))
        whole, way = paired(begins, ends)
        kind = dtype or ("float64" if begins.is_double or ends.is_double else "float32")
        return cls(problem, np.broadcast_to(begins.rows, way.shape), np.broadcast_to(ends.rows, way.shape), whole.given, kind)

    def aligned(self, method: str, points: int) -> "Pairs":
        """With each b the symmetric image that is most like its a; as they are by the method "none"."""
        return self if method == "none" else self._replace(b=np.asarray(align(self.problem, self.a, self.b, method=method, points=points)))

    def line(self, alpha: np.ndarray, threads: int | None) -> Dataset:
        """The scores on the straight lines from a to b."""
        return ask_of_grids(LINE, self._grids(alpha), self.given, {"alpha": alpha}, Where(None, None, threads, None), {}, {})

    def losses(self, alpha: np.ndarray, place: Workplace) -> np.ndarray:
        """[run, alpha]: the losses alone."""
        grids = self._grids(alpha)
        return grids.scores(0, grids.items, place)["loss"].reshape(len(self.a), len(alpha))

    def _grids(self, alpha: np.ndarray) -> Grids:
        place = np.zeros(len(self.a), np.int64)
        return Grids((self.problem,), place, self.a, (self.b - self.a)[:, None], coordinates_of([alpha]), False, self.dtype)


def method_of(align: "bool | str") -> str:
    """How the ends of paths are aligned: "none", or by a method of `gd.minima.align`. Raises ValueError."""
    return "none" if align is False else "weights" if align is True else checked_word(align, "align", METHODS, "True, False")
