"""One structure's runs with its hyperparameters as axes."""

from typing import Any

import numpy as np

from gdsim.sweep.results.reading import Dataset, Result, axis_of, check_result, is_missing, with_none


def grid_of(result: Result, *, optimizer: str | None = None, **chosen: Any) -> Dataset:
    """One structure's runs with its hyperparameters as axes: dims such as (start, lr, momentum) in place of
    `run`.

    `optimizer` and further coordinates choose the runs, `batch=None` among them. What has one value is no
    axis. Takes a folder's path too. Raises ValueError if the runs do not fill a whole grid.

    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.02]), starts=3, steps=5)
    >>> dict(grid_of(sweep.run()).final_loss.sizes)
    {'start': 3, 'lr': 2}
    """
    picked = check_result(result, "grid_of")
    for name, value in {**({} if optimizer is None else {"optimizer": optimizer}), **chosen}.items():
        if name not in picked.coords:
            raise ValueError(f"the result has no coordinate {name!r}; it has {', '.join(sorted(map(str, picked.coords)))}")
        values = with_none(name, picked[name].values)
        mask = np.array([v is None for v in values.tolist()]) if value is None else np.asarray(values == value)
        if not mask.any():
            raise ValueError(f"no run has {name}={value!r}; there are {', '.join(map(str, axis_of(values)[0]))}")
        picked = picked.isel(run=mask)
    axes = {"start": axis_of(picked["start"].values)}
    for name in (str(n) for n, c in picked.coords.items() if c.dims == ("run",) and n not in ("run", "cell", "start", "optimizer", "label")):
        values = with_none(name, picked[name].values)
        found = axis_of(values)
        if not is_missing(values).any() and len(found[0]) > 1:
            axes[name] = found
    shape = [len(values) for values, _ in axes.values()]
    if int(np.prod(shape)) != picked.sizes["run"]:
        text = ", ".join(f"{n} ({k})" for n, k in zip(axes, shape, strict=True))
        raise ValueError(f"{picked.sizes['run']} runs do not fill a grid of {text}; choose one structure, as in grid_of(result, optimizer='Adam')")
    about = {name: (name, values, picked[name].attrs) for name, (values, _) in axes.items()}
    picked = picked.drop_vars([n for n, c in picked.coords.items() if "run" in c.dims])
    if len(axes) == 1:
        return picked.isel(run=np.argsort(axes["start"][1])).rename(run="start").assign_coords(about)
    places = {f"{name}_place": ("run", place) for name, (_, place) in axes.items()}
    spread = picked.assign_coords(places).set_index(run=list(places)).unstack("run").drop_vars(list(places))
    return spread.rename({f"{name}_place": name for name in axes}).assign_coords(about)
