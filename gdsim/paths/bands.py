"""The nudged elastic band: from minimum to minimum over the lowest pass, whose top is a saddle."""

from typing import NamedTuple

import numpy as np

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.minima.ends import MOST_PARAMETERS, polished
from gdsim.paths.pairs import Pairs, method_of
from gdsim.population import Gradients
from gdsim.population.workplace import Workplace
from gdsim.problems import Problem
from gdsim.statistics import ArrayLike
from gdsim.sweep.planning.machine import cores_for
from gdsim.sweep.results.reading import Dataset

CLIMBS = 0.1  # the largest force, over the rise per length, from which on the highest image climbs
FURTHEST = 0.2  # how far an image moves in a step, over the distance between images
# Fast inertial relaxation: steps that wait, how the time step grows and falls, and how inertia turns to the force.
WAITS, GROWS, FALLS, TURNS, LESS_TURNS, LONGEST = 5, 1.1, 0.5, 0.1, 0.99, 10.0


def nudged_elastic_band(
    problem: Problem,
    a: "ArrayLike",
    b: "ArrayLike",
    *,
    images: int = 11,
    steps: int = 2000,
    tolerance: float = 1e-3,
    spring: float = 1.0,
    align: "bool | str" = False,
    threads: int | None = None,
) -> Dataset:
    """Bands from the minima a to the minima b over the lowest pass that is found, and the saddle at its top.

    `a`, `b` and `align` are those of `gd.paths.barrier`. `images` points between the ends, at first on the
    straight line, are held apart by springs along the band and fall across it, with improved tangents; the
    highest climbs along it (Henkelman, Uberuaga and Jonsson 2000). They move by fast inertial relaxation
    (Bitzek et al. 2006), all pairs side by side, until no force is larger than `tolerance` times the band's
    first rise over its length, or for `steps`. `spring` is the springs' strength, over that rise times images
    per squared length. The top is then polished to a critical point (`gd.minima.polish`) in float64, of up to
    2000 parameters.

    Returns a Dataset over `image`, both ends counted: `loss[run, image]`, `band[run, image, parameter]`,
    `length[run, image]` along the band; of the top `saddle[run, parameter]`, `saddle_value`, and `index`, how
    many eigenvalues of its second derivatives are below 0, 1 of a pass, -1 where it was not polished to a point
    near it; `height`, its loss less the higher of both ends; and `converged`. A band that rises nowhere between
    its ends has no saddle (NaN). Raises ValueError for two equal points.

    >>> import gdsim as gd
    >>> found = nudged_elastic_band(gd.functions.Himmelblau(), [3.0, 2.0], [3.584428, -1.848127])
    >>> round(float(found.saddle_value), 4), int(found["index"])
    (13.3119, 1)
    """
    pairs = Pairs.of(problem, a, b, "nudged_elastic_band", "float64")
    images, steps = checked_whole(images, "images", 3), checked_whole(steps, "steps", 0)
    tolerance, spring = (checked_one(float(v), n, Range(0.0, np.inf)) for v, n in ((tolerance, "tolerance"), (spring, "spring")))
    method, cores = method_of(align), cores_for(threads)
    pairs = pairs.aligned(method, 25)
    band = Band.on_line(Gradients(problem, "float64", Workplace(cores)), pairs, images, spring)
    converged = band.relax(steps, tolerance)
    columns = {"loss": band.loss, "band": band.points, "length": np.concatenate([np.zeros((len(band.loss), 1)), np.cumsum(_lengths(band.points), 1)], 1)}
    tops = pairs.given.dataset({**_tops(problem, band, cores), "converged": converged}, "parameter")
    return pairs.given.dataset({**columns}, "image", "parameter").assign(tops.data_vars).assign_attrs(align=method)


def band_losses(pairs: Pairs, images: int, threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(share of the band's length, loss), each [run, image], of relaxed bands, the loss of the top that of its
    saddle; and whether each has come to rest.
    """
    same = (pairs.a == pairs.b).all(1)  # as they may be once they are aligned
    band = Band.on_line(Gradients(pairs.problem, "float64", Workplace(threads)), pairs, images, 1.0)
    converged = same if same.all() else band.relax(2000, 1e-3) | same
    lengths = np.cumsum(_lengths(band.points), 1)
    share = np.concatenate([np.zeros((len(lengths), 1)), lengths / np.where(same, 1.0, lengths[:, -1])[:, None]], 1)
    runs, top, saddle = np.arange(len(share)), band.loss.argmax(1), _tops(pairs.problem, band, threads)["saddle_value"]
    loss = band.loss.copy()
    loss[runs, top] = np.where(np.isnan(saddle), loss[runs, top], saddle)
    return share, loss, converged


class Band(NamedTuple):
    """Bands of images, and the forces on them."""

    gradients: Gradients
    points: np.ndarray  # [run, image, parameter], both ends counted; it moves
    loss: np.ndarray  # [run, image]
    slope: np.ndarray  # [run, image, parameter], 0 at the ends
    rise: np.ndarray  # [run]: of the first band, over its length
    stiffness: np.ndarray  # [run]

    @classmethod
    def on_line(cls, gradients: Gradients, pairs: Pairs, images: int, spring: float) -> "Band":
        """Images on the straight lines between pairs."""
        t = np.linspace(0.0, 1.0, images + 2)[:, None]
        points = (1.0 - t) * pairs.a[:, None] + t * pairs.b[:, None]
        loss, _ = gradients.at(points.reshape(-1, points.shape[2]))
        loss, length = loss.reshape(points.shape[:2]), np.linalg.norm(pairs.b - pairs.a, axis=1)
        length = np.where(length > 0.0, length, 1.0)
        rise = np.maximum(loss.max(1) - loss.min(1), np.finfo(float).tiny) / length
        made = cls(gradients, points, loss, np.zeros_like(points), rise, spring * rise * (images + 1) / length)
        made.look(np.ones(len(points), bool))
        return made

    def look(self, runs: np.ndarray) -> None:
        """Takes losses and gradients of some bands anew."""
        inner = self.points[runs, 1:-1]
        loss, slope = self.gradients.at(inner.reshape(-1, inner.shape[2]))
        self.loss[runs, 1:-1], self.slope[runs, 1:-1] = loss.reshape(inner.shape[:2]), slope.reshape(inner.shape)

    def forces(self, runs: np.ndarray, climbs: np.ndarray) -> np.ndarray:
        """[run, image, parameter]: across bands the way down, along them the springs; on the highest image of a
        band that climbs the way down across it and up along it.
        """
        points, loss, slope = self.points[runs], self.loss[runs], self.slope[runs, 1:-1]
        tangent = _tangents(points, loss)
        lengths, along = _lengths(points), (slope * tangent).sum(2)
        springs = self.stiffness[runs, None] * (lengths[:, 1:] - lengths[:, :-1])
        is_pass = loss[:, 1:-1].max(1) > np.maximum(loss[:, 0], loss[:, -1])
        is_top = (climbs & is_pass)[:, None] & (np.arange(1, loss.shape[1] - 1) == loss[:, 1:-1].argmax(1)[:, None] + 1)
        return -slope + np.where(is_top, 2.0 * along, along + springs)[:, :, None] * tangent

    def relax(self, steps: int, tolerance: float) -> np.ndarray:
        """Moves the images until forces are small; gives whether they are, for each band."""
        count, apart = len(self.points), _lengths(self.points).mean(1)
        velocity, climbs, done = np.zeros_like(self.points[:, 1:-1]), np.zeros(count, bool), np.zeros(count, bool)
        first = np.sqrt(np.square(self.forces(np.arange(count), climbs)).sum(2)).max(1)
        longest = LONGEST * np.sqrt(0.05 * apart / np.maximum(first, np.finfo(float).tiny))
        step, turn, waited = longest / LONGEST, np.full(count, TURNS), np.zeros(count)
        for _ in range(steps):
            runs = np.flatnonzero(~done)
            force = self.forces(runs, climbs[runs])
            size = np.sqrt(np.square(force).sum(2)).max(1) / self.rise[runs]
            done[runs] |= climbs[runs] & (size <= tolerance)
            climbs[runs] |= size <= CLIMBS
            going = ~done[runs]
            runs, force = runs[going], force[going]
            if not len(runs):
                break
            v = velocity[runs] + step[runs, None, None] * force
            uphill = (force * v).sum((1, 2)) <= 0.0
            waited[runs] = np.where(uphill, 0.0, waited[runs] + 1.0)
            fast = waited[runs] > WAITS
            ratio = np.sqrt((v * v).sum((1, 2)) / np.maximum((force * force).sum((1, 2)), np.finfo(float).tiny))
            v = (1.0 - turn[runs])[:, None, None] * v + (turn[runs] * ratio)[:, None, None] * force
            step[runs] = np.where(uphill, FALLS * step[runs], np.where(fast, np.minimum(GROWS * step[runs], longest[runs]), step[runs]))
            turn[runs] = np.where(uphill, TURNS, np.where(fast, LESS_TURNS * turn[runs], turn[runs]))
            v[uphill] = 0.0
            moved = step[runs, None, None] * np.where(uphill[:, None, None], step[runs, None, None] * force, v)
            far = np.sqrt(np.square(moved).sum(2)).max(1) / (FURTHEST * apart[runs])
            self.points[runs, 1:-1] += moved / np.maximum(1.0, far)[:, None, None]
            velocity[runs] = v
            self.look(runs)
        return done


def _lengths(points: np.ndarray) -> np.ndarray:
    """[run, part]: the distances between images."""
    return np.linalg.norm(np.diff(points, axis=1), axis=2)


def _tangents(points: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """[run, image, parameter]: improved tangents, to the neighbour that is higher; at the highest and lowest
    images of both, by how much they differ in loss.
    """
    ahead, behind = np.diff(points, axis=1)[:, 1:], np.diff(points, axis=1)[:, :-1]
    up, down = np.diff(loss, axis=1)[:, 1:], -np.diff(loss, axis=1)[:, :-1]  # of the neighbours, above the image
    most, least = np.maximum(abs(up), abs(down)), np.minimum(abs(up), abs(down))
    to_ahead = np.where(up > down, most, least)
    to_behind = np.where(up > down, least, most)
    rises, falls = (up > 0) & (down < 0), (up < 0) & (down > 0)
    tangent = (
        np.where(rises, 1.0, np.where(falls, 0.0, to_ahead))[:, :, None] * ahead + np.where(falls, 1.0, np.where(rises, 0.0, to_behind))[:, :, None] * behind
    )
    length = np.linalg.norm(tangent, axis=2, keepdims=True)
    return tangent / np.where(length > 0.0, length, 1.0)


def _tops(problem: Problem, band: Band, threads: int) -> dict[str, np.ndarray]:
    """What is known of the highest image of each band, polished to a critical point."""
    runs = np.arange(len(band.loss))
    top, ends = band.loss.argmax(1), np.maximum(band.loss[:, 0], band.loss[:, -1])
    is_pass = (top > 0) & (top < band.loss.shape[1] - 1)
    saddle, value, index = band.points[runs, top], band.loss[runs, top].copy(), np.full(len(runs), -1)
    if saddle.shape[1] <= MOST_PARAMETERS and is_pass.any():
        ends_of = polished(problem, saddle, threads)
        is_near = is_pass & ends_of.converged & (np.linalg.norm(ends_of.parameters - saddle, axis=1) <= _lengths(band.points).max(1))
        saddle = np.where(is_near[:, None], ends_of.parameters, saddle)
        value, index = np.where(is_near, ends_of.loss, value), np.where(is_near, ends_of.negative, index)
    lost = np.where(is_pass, 0.0, np.nan)
    return {"saddle": saddle + lost[:, None], "saddle_value": value + lost, "index": index, "height": value - ends}
