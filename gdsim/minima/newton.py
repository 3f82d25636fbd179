"""Newton's method for a whole population: to the critical point that a run is near, or else downhill.

With the gradient g and the second derivatives H = V diag(lambda) V', and slopes c = V' g along the
eigenvectors, Newton's step is -V (c / lambda): it goes to the critical point of the quadratic there, be it a
minimum, a saddle or a maximum. The step downhill is -V (c / (|lambda| + mu)), which leaves saddles, with mu such
that it is no longer than the radius in which the quadratic is trusted (Dauphin et al. 2014).
"""

from typing import Any, NamedTuple

import numpy as np

from gdsim import population
from gdsim.lanes.draws import normal_numbers
from gdsim.lanes.philox import PROBE
from gdsim.population.curvature import Points, whole_matrices
from gdsim.population.workplace import Workplace

SMALL_GRADIENT = 1e-10  # the largest component, over 1 + |f|, at a critical point
CONTRACTION = 0.75  # a step near a critical point is at most so long as the one before: two thirds where f is of fourth order
NEAR = 0.1  # the longest first step to a critical point that is near, over 1 + |x|
AT_REST = 1e-3  # the longest step that is left at a critical point, over 1 + |x|: on a plateau e^(-x) it is 1 everywhere
NOISE = 1e-12  # of the largest magnitude of an eigenvalue: smaller ones are nothing but rounding
LEAST = 1e-100  # what an eigenvalue is at least that is no rounding: products of its inverse are numbers
UNSEEN, SHARE = 1e-12, 0.3  # of 1 + |f|, and of |f|: long steps that gain less are not taken
ROUNDING = 1e-14  # of 1 + |f|: what a step promises less is not seen in losses
MOST_NEAR, MOST_DOWNHILL = 40, 100  # steps
KINK = 1e-6  # how far from a point, over 1 + |x|, its gradient is looked at again
JUMP, OFF = 10.0, 0.01  # of that distance times the largest eigenvalue, at least 1: more is a kink, or a second derivative that is none


class Around(NamedTuple):
    """A loss around points to second order, along the eigenvectors of its second derivatives."""

    loss: np.ndarray  # [run]
    gradient: np.ndarray  # [run, parameter]
    curvature: np.ndarray  # [run, eigen], ascending
    axes: np.ndarray  # [run, parameter, eigen]
    reach: np.ndarray  # [run]: 1 + |x|

    @property
    def slopes(self) -> np.ndarray:
        """[run, eigen]: the gradient along the eigenvectors."""
        return np.einsum("rp,rpe->re", self.gradient, self.axes)

    @property
    def largest_slope(self) -> np.ndarray:
        """[run]: the largest component of the gradient, infinite where it is not finite."""
        return np.nan_to_num(np.abs(self.gradient).max(1), nan=np.inf)

    @property
    def noise(self) -> np.ndarray:
        """[run, 1]: below it an eigenvalue is rounding."""
        return np.maximum(NOISE * np.abs(self.curvature).max(1, keepdims=True), LEAST)

    @property
    def is_idle(self) -> np.ndarray:
        """[run, eigen]: directions without curvature, or with so little of it that a long way down gains nothing
        that could be seen: those of valleys.
        """
        size, bent = np.abs(self.slopes), np.abs(self.curvature)
        curved = bent > self.noise
        bent, loss = np.where(curved, bent, 1.0), np.abs(self.loss)[:, None]
        gain = 0.5 * size**2 / bent
        idle = curved & (size / bent > AT_REST * self.reach[:, None]) & (gain <= UNSEEN * (1.0 + loss))
        is_little = np.where(idle, gain, 0.0).sum(1, keepdims=True) <= SHARE * loss  # else they lead to a plateau's far end
        return ~curved | (idle & is_little)

    @property
    def left(self) -> np.ndarray:
        """[run]: how long Newton's step is, where slopes and curvatures are more than rounding."""
        precision, largest = np.finfo(float).eps, np.abs(self.curvature).max(1, keepdims=True)
        known = (np.abs(self.slopes) > 32.0 * precision * largest) & (np.abs(self.curvature) > 4.0 * precision * self.curvature.shape[1] * largest)
        known &= ~self.is_idle | (np.abs(self.curvature) <= self.noise)
        return np.linalg.norm(np.where(known, self.slopes / np.where(known, self.curvature, 1.0), 0.0), axis=1)

    def idly(self, steps: np.ndarray) -> np.ndarray:
        """[run]: how far steps[run, parameter] go in idle directions."""
        return np.linalg.norm(np.where(self.is_idle, np.einsum("rp,rpe->re", steps, self.axes), 0.0), axis=1)

    def rows(self, chosen: np.ndarray) -> "Around":
        """Those of some runs."""
        return Around(*(column[chosen] for column in self))

    def newton_steps(self) -> np.ndarray:
        """[run, parameter]: Newton's steps, but in idle directions."""
        moves = ~self.is_idle
        along = np.where(moves, self.slopes / np.where(moves, self.curvature, 1.0), 0.0)
        return -np.einsum("re,rpe->rp", along, self.axes)

    def bounded_steps(self, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The steps [run, parameter] downhill that are no longer than `radius`, and by how much the quadratic
        falls there.
        """
        slopes, bent = self.slopes, np.maximum(np.abs(self.curvature), self.noise)
        low, high = np.zeros(len(radius)), np.linalg.norm(slopes, axis=1) / radius
        too_long = np.linalg.norm(slopes / bent, axis=1) > radius
        for _ in range(40):  # the length falls as mu grows
            middle = 0.5 * (low + high)
            long = np.linalg.norm(slopes / (bent + middle[:, None]), axis=1) > radius
            low, high = np.where(long, middle, low), np.where(long, high, middle)
        along = -slopes / (bent + np.where(too_long, high, 0.0)[:, None])
        falls = -(slopes * along + 0.5 * self.curvature * along**2).sum(1)
        return np.einsum("re,rpe->rp", along, self.axes), falls


class Surface:
    """The loss of a problem, in float64, at points of which there are many."""

    def __init__(self, problem: Any, parameters: Any, threads: int) -> None:
        self._points = Points.of(problem, parameters, "hessian", "float64", Workplace(threads))
        self._gradients = population.Gradients(problem, "float64", Workplace(threads))

    @property
    def start(self) -> np.ndarray:
        """[run, parameter]: the parameters that were given, checked."""
        return self._points.values

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(loss[run], gradient[run, parameter]) at x[run, parameter]."""
        return self._gradients.at(x)

    def around(self, x: np.ndarray) -> Around:
        """The loss around x[run, parameter]."""
        matrices, (losses, gradients) = whole_matrices(self._points._replace(values=x)), self.at(x)
        lost = ~(np.isfinite(matrices).all((1, 2)) & np.isfinite(gradients).all(1))
        matrices[lost], gradients[lost] = 0.0, np.nan
        return Around(losses, gradients, *np.linalg.eigh(matrices), reach(x))


class Ends(NamedTuple):
    """Where runs have come to."""

    points: np.ndarray  # [run, parameter]
    loss: np.ndarray  # [run]
    gradient: np.ndarray  # [run]: its largest component
    left: np.ndarray  # [run]: the length of the Newton step that is left
    steps: np.ndarray  # [run]
    way: np.ndarray  # [run, parameter]: the last step that led there, or 0

    @property
    def is_critical(self) -> np.ndarray:
        """[run]: whether the gradient is small, and no way is left to go."""
        return (self.gradient <= SMALL_GRADIENT * (1.0 + np.abs(self.loss))) & (self.left <= AT_REST * reach(self.points))


def reach(x: np.ndarray) -> np.ndarray:
    """[run]: 1 + |x|, by which lengths are measured."""
    with np.errstate(over="ignore"):
        return 1.0 + np.linalg.norm(x, axis=1)


def to_the_nearest(surface: Surface, start: np.ndarray) -> Ends:
    """Newton's method from start[run, parameter] for as long as its steps grow shorter: it ends where the
    gradient was least.
    """
    unknown = np.full(len(start), np.inf)
    ends = Ends(start.copy(), unknown, unknown.copy(), unknown.copy(), np.zeros(len(start), np.int64), np.zeros_like(start))
    x, way, last, going = start.copy(), np.zeros_like(start), NEAR * reach(start) / CONTRACTION, np.arange(len(start))
    for _ in range(MOST_NEAR):
        around = surface.around(x[going])
        steps, slope = around.newton_steps(), around.largest_slope
        size = np.linalg.norm(steps, axis=1)
        better = slope < ends.gradient[going]
        found = going[better]
        ends.points[found], ends.loss[found], ends.gradient[found], ends.left[found] = x[found], around.loss[better], slope[better], around.left[better]
        ends.way[found] = way[found]
        goes_on = (size <= CONTRACTION * last[going]) & (size > 0.0)
        going, steps = going[goes_on], steps[goes_on]
        if not len(going):
            break
        x[going] += steps
        way[going], last[going] = steps, size[goes_on]
        ends.steps[going] += 1
    return ends


def downhill(surface: Surface, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(points, steps, way on [run, parameter]): from start[run, parameter] by steps that lower the loss, for as
    long as they promise more than rounding. The way on is the last step, if steps have not grown shorter, or 0.
    """
    x, taken, way, last = start.copy(), np.zeros(len(start), np.int64), np.zeros_like(start), np.full(len(start), np.inf)
    radius, going, around = NEAR * reach(x), np.arange(len(x)), surface.around(x)
    for _ in range(MOST_DOWNHILL):
        steps, falls = around.bounded_steps(radius[going])
        worth = falls > ROUNDING * (1.0 + np.abs(around.loss))  # of what is not a number it is not
        going, around, steps, falls = going[worth], around.rows(worth), steps[worth], falls[worth]
        if not len(going):
            break
        there, size = x[going] + steps, np.linalg.norm(steps, axis=1)
        gained = around.loss - surface.at(there)[0]
        good = gained >= 1e-4 * falls
        grows = (gained > 0.5 * falls) & (size > 0.9 * radius[going])
        longest = np.where(grows, 2.0 * radius[going], np.where(good, radius[going], 0.25 * size))
        radius[going] = np.minimum(longest, NEAR * reach(there))  # short enough to stay in the valley
        taken[going] += 1
        if good.any():
            moved, size = going[good], size[good]
            x[moved], way[moved] = there[good], np.where((size >= CONTRACTION * last[moved])[:, None], steps[good], 0.0)
            last[moved] = size
            for column, new in zip(around, surface.around(there[good]), strict=True):
                column[good] = new
    return x, taken, way


def smoothness(surface: Surface, x: np.ndarray, around: Around) -> tuple[np.ndarray, np.ndarray]:
    """[run] twice: whether the gradient does not jump at x[run, parameter], and whether it turns there as the
    second derivatives say, close by on either side.
    """
    side = normal_numbers(0, np.zeros(1, np.uint32), (PROBE, 2), x.shape[1]).astype(float)
    aside = KINK * reach(x)[:, None] * side / np.linalg.norm(side)
    turns = np.einsum("re,rpe->rp", around.curvature * np.einsum("rp,rpe->re", aside, around.axes), around.axes)
    change = [surface.at(x + sign * aside)[1] - around.gradient for sign in (1.0, -1.0)]
    unit = KINK * reach(x) * np.maximum(1.0, np.abs(around.curvature).max(1))
    jump = np.maximum(*(np.linalg.norm(one, axis=1) for one in change))
    off = np.maximum(*(np.linalg.norm(one - sign * turns, axis=1) for one, sign in zip(change, (1.0, -1.0), strict=True)))
    return jump <= JUMP * unit, off <= OFF * unit
