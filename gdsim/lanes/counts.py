"""Counts beyond 2^24, from where on numbers of 32 bits leave some out: kept as two numbers, exact up to 2^32."""

from gdsim.lanes.operations import as_type_of
from gdsim.lanes.types import Lane

HALF = 65536  # what the first of the two counts


def split_count(count: Lane, like: Lane) -> tuple[Lane, Lane]:
    """Two numbers of the type of `like` for a uint32 lane."""
    return as_type_of(count // HALF, like), as_type_of(count % HALF, like)


def joined_count(high: Lane, low: Lane, like: Lane) -> Lane:
    """The uint32 lane, as `like` is, that two numbers count."""
    return as_type_of(high, like) * HALF + as_type_of(low, like)
