"""How sharp a point is, by several measures."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gdsim.axes import Range, checked_one, checked_whole
from gdsim.lanes.draws import normal_numbers
from gdsim.lanes.float_mode import ieee_mode
from gdsim.lanes.philox import PROBE
from gdsim.population.curvature import Points, probe_vectors, with_error
from gdsim.population.gradients import Gradients
from gdsim.population.recorded_sharpness import sharpness_at
from gdsim.population.workplace import HERE, Workplace

if TYPE_CHECKING:
    import xarray

POSITIVE = Range(0.0, float("inf"), low_allowed=False)
CORNERS = 10  # that are tried for the highest loss in a box
MOST_POINTS = 4096  # whose losses are asked for at a time
PERMUTATION = "permutation of units and change of their signs"
ROTATION = f"any rotation of the parameters, as {PERMUTATION}"
RESCALING = f"{PERMUTATION}, and rescaling of relu units where there is no penalty"
INVARIANT_TO = {
    "lambda_max": ROTATION, "trace": ROTATION, "sam": ROTATION, "expected": ROTATION, "keskar": PERMUTATION,
    "scale_invariant": RESCALING, "adaptive": RESCALING,
}  # fmt: skip


def sharpness(
    problem: Any,
    parameters: Any,
    *,
    rho: float = 0.05,
    epsilon: float = 1e-3,
    sigma: float = 0.01,
    probes: int = 100,
    seed: int = 0,
    dtype: str | None = "float64",
    place: Workplace = HERE,
) -> "xarray.Dataset":
    """`gd.curvature.sharpness` at parameters, not at a result."""
    rho, epsilon, sigma = (checked_one(v, name, POSITIVE) for v, name in ((rho, "rho"), (epsilon, "epsilon"), (sigma, "sigma")))
    probes = checked_whole(probes, "probes", 2)
    points = Points.of(problem, parameters, "hessian", dtype, place)
    gradients, w = Gradients(problem, points.setting.dtype, place), points.values
    with np.errstate(over="ignore", invalid="ignore"):  # of points at which losses are infinite
        loss, slope = gradients.at(w)
        highest = lambda reach: highest_in_box(gradients, w, reach, loss, slope)  # noqa: E731
        above = highest(epsilon * (np.abs(w) + 1.0)) - loss
        keskar = np.divide(100.0 * above, 1.0 + loss, out=np.full_like(loss, np.nan), where=loss > -1.0)
        columns = {
            "lambda_max": sharpness_at(points.setting, w, np.tile([problem.l1, problem.l2], (len(w), 1)), place=place),
            **traces(points, probes, seed),
        }
        columns |= {"keskar": keskar, "sam": ascent(gradients, w, slope, rho) - loss, "adaptive": highest(rho * np.abs(w)) - loss}
        columns |= with_error("expected", around(gradients, w, sigma, probes, seed) - loss[:, None], is_exact=False)
    made = points.given.dataset(columns).assign_attrs(rho=rho, epsilon=epsilon, sigma=sigma)
    for name, meaning in INVARIANT_TO.items():
        made[name].attrs["invariant_to"] = meaning
    return made


def traces(points: Points, probes: int, seed: int) -> dict[str, np.ndarray]:
    """tr H, and sum_i w_i^2 H_ii, which is the trace of D H D with the parameters on the diagonal of D."""
    signs, is_exact = probe_vectors(points.size, probes, seed)
    found: dict[str, np.ndarray] = {}
    for name, scale in (("trace", np.ones_like(points.values)), ("scale_invariant", points.values)):
        vectors = scale[:, None] * signs.astype(points.values.dtype)
        found |= with_error(name, (vectors * points.products(vectors)).sum(2), is_exact)
    return found


def ascent(gradients: Gradients, w: np.ndarray, slope: np.ndarray, rho: float) -> np.ndarray:
    """[run] the loss at distance rho along the gradient; where that is 0, at the point itself."""
    with ieee_mode():
        length = np.sqrt((slope * slope).sum(1, keepdims=True))
        step = np.divide(rho * slope, length, out=np.zeros_like(slope), where=length != 0.0)
    return gradients.at(w + step)[0]


def highest_in_box(gradients: Gradients, w: np.ndarray, reach: np.ndarray, loss: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """[run] the highest loss at the corners of the box w - reach to w + reach to which gradients point, one
    after the other, at which a convex loss rises (Frank and Wolfe 1956), or the loss at w.
    """
    for _ in range(CORNERS):
        value, slope = gradients.at(w + np.where(slope >= 0.0, reach, -reach))
        loss = np.maximum(loss, value)
    return loss


def around(gradients: Gradients, w: np.ndarray, sigma: float, probes: int, seed: int) -> np.ndarray:
    """[run, vector] losses at normal numbers of deviation sigma from w, the same for every run."""
    drawn = sigma * normal_numbers(seed, np.arange(probes, dtype=np.uint32), (PROBE, 3), w.shape[1]).astype(w.dtype)
    runs = max(1, MOST_POINTS // probes)
    losses = [gradients.at((w[k : k + runs, None] + drawn).reshape(-1, w.shape[1]))[0] for k in range(0, len(w), runs)]
    return np.concatenate([*losses, np.empty(0, w.dtype)]).reshape(len(w), probes)
