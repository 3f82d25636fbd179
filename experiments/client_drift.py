"""Where do workers end that train alone for long on data of their own?

Two workers, f_1 = w^2 / 2 and f_2 = 3 (w - 1)^2 / 2: the least of their mean is at w = 0.75. With H steps of
their own between averages each drifts to its own least, the one of the larger curvature no further than the
other, and federated averaging ends off the mark, the further the longer H is: as H grows, at the mean of both
leasts, 0.5. SCAFFOLD (Karimireddy et al. 2020) corrects every step by what the server knows of the others'
gradients, and ends where it should at every H. Left, where both end, with the formula's line; right, the
distance by round at H = 8.

Takes 12 s on two cores, most of it compiling. Ends in results/client_drift/client_drift.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

PERIODS = (1, 2, 4, 8, 16, 32, 64)
SHOWN, ROUNDS, MANY = 8, 60, 300
CURVATURES, CENTRES, LEAST, RATE = np.array([1.0, 3.0]), np.array([0.0, 1.0]), 0.75, 0.1


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`ends`: both kinds over the period for many rounds; `path`: at one period."""
    lines = gd.Expression("x*(w - y)**2/2", variables=("w",), data=gd.Data(CURVATURES[:, None], CENTRES))
    common = {"problem": lines, "partition": np.arange(2), "optimizer": gd.SGD(lr=RATE), "init": [[0.0]], "dtype": "float64", "batch": 1}

    def kinds(period: int | list[int]) -> list[gd.LocalSGD | gd.Scaffold]:
        return [gd.LocalSGD(workers=2, period=period), gd.Scaffold(clients=2, sampled=2, period=period)]

    periods = list(PERIODS[:3] if short else PERIODS)
    return {
        "ends": gd.Sweep(distribution=kinds(periods), steps=MANY * max(periods), record=gd.Record(every="ends", parameters=True), **common),
        "path": gd.Sweep(distribution=kinds(SHOWN), steps=ROUNDS * SHOWN, record=gd.Record(every=SHOWN, trajectory=True), **common),
    }


def fixed_point(period: float) -> float:
    """Where averaging after that many steps ends."""
    weights = 1 - (1 - RATE * CURVATURES) ** period
    return weights @ CENTRES / weights.sum()


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """Ends by period, and distances by round."""
    drawing = matplotlib.figure.Figure(figsize=(11, 4.5), layout="constrained")
    left, right = drawing.subplots(1, 2)
    line = np.geomspace(1, max(PERIODS), 100)
    left.plot(line, [fixed_point(period) for period in line], color="0.6", label="formula of averaging")
    left.axhline(LEAST, color="0.6", ls="--", label="the least of the mean")
    for kind, name in (("LocalSGD", "federated averaging"), ("Scaffold", "SCAFFOLD")):
        ends, path = (result.isel(run=result.distribution.values == kind) for result in (results["ends"], results["path"]))
        left.plot(ends.period, ends.parameters[:, 0], "o", label=name)
        right.plot(path.step / SHOWN, abs(path.trajectory.values[0, :, 0] - LEAST), label=name)
    left.set(xscale="log", xlabel="steps between averages", ylabel="where it ends")
    left.set_xticks(PERIODS, [str(period) for period in PERIODS])
    left.minorticks_off()
    right.set(yscale="log", xlabel=f"rounds of {SHOWN} steps", ylabel="distance from the least")
    left.legend()
    right.legend()
    return drawing
