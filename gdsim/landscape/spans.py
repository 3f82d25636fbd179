"""How far a plane should reach."""

import numpy as np

from gdsim.landscape.grids import Grids, coordinates_of
from gdsim.landscape.inputs import spaced
from gdsim.population.workplace import Workplace

BORDER = 11  # points of a side, where the loss is looked at
MOST = 40  # doublings, or halvings
RISE, LEAST = 10.0, 1.0


def span_for(grids: Grids, place: Workplace) -> float:
    """The power of two, from 1 on, at which the border of planes rises enough, and at half of which it does
    not: that is where the median of all losses there is above the lowest loss that was seen by `RISE` times as
    much as the median of the centres', at least by `LEAST`. Where no border rises so far, 1.
    """
    span, rises = 1.0, _rises(grids, 1.0, place)
    for _ in range(MOST):
        other = span / 2.0 if rises else span * 2.0
        if _rises(grids, other, place) != rises:
            return span if rises else other
        span = other
    return 1.0


def _rises(grids: Grids, span: float, place: Workplace) -> bool:
    side = spaced(-span, span, BORDER)
    every = coordinates_of([side, side])
    border = every[np.abs(every).max(1) == span]
    some = grids._replace(coordinates=np.concatenate([np.zeros((1, 2)), border]), gradient_norm=False)
    losses = some.scores(0, some.items, place)["loss"].reshape(len(grids.origins), -1).astype(np.float64)
    known = np.where(np.isnan(losses), np.inf, losses)  # beyond what the number type holds
    lowest, centre = known.min(), np.median(known[:, 0])
    return bool(np.median(known[:, 1:]) >= lowest + max(RISE * (centre - lowest), LEAST))
