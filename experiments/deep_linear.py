"""Why does a deep network that starts small learn nothing for long, and then all at once?

Linear networks of one to five hidden layers of eight units learn a linear map by gradient descent, from small
weights (left) and from orthogonal matrices (right): the median and the middle half of 32 starts. All of them
can represent the map. From small weights the loss stays on a plateau, the longer the deeper, and then falls
by steps, one a singular value: the gradient of a layer is a product of all the others. From orthogonal
weights the depth hardly matters (Saxe, McClelland and Ganguli 2014, "Exact solutions to the nonlinear
dynamics of learning in deep linear neural networks").

Takes 11 s on two cores, most of it compiling. Ends in results/deep_linear/deep_linear.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

WIDTH = 8
SINGULAR_VALUES = np.array([4.0, 3.0, 2.0, 1.0, 0, 0, 0, 0])


def samples() -> gd.Data:
    """White inputs and the targets of a linear map with known singular values."""
    random = np.random.default_rng(0)
    orthogonal = [np.linalg.qr(random.normal(size=(rows, WIDTH)))[0] for rows in (64, WIDTH, WIDTH)]
    inputs, left, right = orthogonal
    inputs = inputs * np.sqrt(len(inputs))  # X^T X / N is the identity
    return gd.Data(inputs, inputs @ right @ np.diag(SINGULAR_VALUES) @ left.T)


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`small` and `orthogonal` weights, at every depth."""
    depths = range(1, 3 if short else 6)
    problem = gd.MLP(samples(), hidden=gd.grid(*([WIDTH] * depth for depth in depths)), activation="identity", loss="squared_error")
    return {
        name: gd.Sweep(
            problem=problem, optimizer=gd.SGD(lr=0.01), init=init, starts=4 if short else 32, steps=100 if short else 2000, record=gd.Record(every=5)
        )
        for name, init in (("small", gd.Normal(std=0.2)), ("orthogonal", "orthogonal"))
    }


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """The loss by step for every depth, from both kinds of weights."""
    drawing = matplotlib.figure.Figure(figsize=(13, 4.5), layout="constrained")
    for axes, (name, result) in zip(drawing.subplots(1, 2, sharey=True), results.items(), strict=True):
        bands = gd.analysis.bands(result, quantiles=(0.25, 0.5, 0.75))
        for depth, (low, middle, high) in enumerate(bands.value.transpose("cell", "quantile", ...).values, start=1):
            axes.fill_between(result.step, low, high, alpha=0.3, lw=0)
            axes.plot(result.step, middle, label=f"{depth} hidden")
        axes.set(yscale="log", xlabel="step", title=f"{name} weights")
    drawing.axes[0].set_ylabel("loss")
    drawing.axes[0].legend()
    return drawing
