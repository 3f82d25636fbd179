"""Values as variables of xarray, which asks nothing of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray


def plain_variable(dims: str | tuple[str, ...], values: Any, attributes: Mapping[str, Any] | None = None) -> "xarray.Variable":
    """A variable of these values as they are: otherwise xarray makes a text of its own for every run, and
    imports Dask's arrays, which takes 0.3 s, to ask whether they are such.
    """
    import xarray  # takes 0.4 s, and only results need it

    return xarray.Variable(dims, values if hasattr(values, "ndim") else np.asarray(values), attributes, fastpath=True)
