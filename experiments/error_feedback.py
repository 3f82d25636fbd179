"""Can workers send only the signs of their gradients, and what brings back what is lost?

A least-squares problem of two samples in two dimensions, one sample a step (the third counterexample of
Karimireddy et al. 2019, "Error feedback fixes SignSGD"): each sample's gradient points along (3, -1) or (-1, 3),
whose signs are each other's opposites, so that sign descent walks to and fro on a line through its start and
never comes nearer than that line does. With an error feedback, which adds to the next message what the last has
lost, the same messages of one bit a number train as gradient descent does. Left, the loss by step; right, the
paths.

Takes 15 s on two cores, most of it compiling. Ends in results/error_feedback/error_feedback.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

SAMPLES = [[1.5, -0.5], [-0.5, 1.5]]
MESSAGES = {
    "whole gradients": None, "signs": gd.Sign(), "signs and their scale": gd.ScaledSign(), "signs, scale and error feedback": gd.ErrorFeedback(gd.ScaledSign()),
}  # fmt: skip


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """One for each kind of message."""
    data = gd.Data(SAMPLES, [0.0, 0.0])
    problem = gd.Expression("2*(x0*u + x1*v)**2", variables=("u", "v"), data=data)  # whose mean is the sum of both squares
    return {
        name.replace(" ", "_").replace(",", ""): gd.Sweep(
            problem=problem,
            optimizer=gd.SGD(lr=0.025),
            distribution=gd.Synchronous(workers=1, compression=message),
            init=[[1.0, 1.0]],
            batch=1,
            shuffle="once",
            steps=50 if short else 400,
            record=gd.Record(every=1, trajectory=True),
        )
        for name, message in MESSAGES.items()
    }


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """Loss by step, and paths over the levels of the loss."""
    drawing = matplotlib.figure.Figure(figsize=(11, 4.5), layout="constrained")
    left, right = drawing.subplots(1, 2)
    u, v = np.meshgrid(np.linspace(-0.4, 1.6, 80), np.linspace(-0.4, 1.6, 80))
    right.contour(u, v, sum((a * u + b * v) ** 2 for a, b in SAMPLES), levels=12, colors="0.85")
    for name, result in zip(MESSAGES, results.values(), strict=True):
        left.plot(result.step, result.loss[0], label=name)
        right.plot(*result.trajectory.values[0].T, ".-", lw=0.8, ms=4)
    left.set(yscale="log", ylim=(1e-20, 30), xlabel="step", ylabel="loss")
    left.legend()
    right.set(xlabel="u", ylabel="v", aspect="equal")
    return drawing
