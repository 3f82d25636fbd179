"""Oracles written with PyTorch, and small pieces that several tests use."""

import itertools

import numpy as np

import gdsim as gd

ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid")
LOSSES = ("squared_error", "mean_squared_error", "absolute_error", "log_loss", "cross_entropy")


def data_for(loss, samples=23, features=5, seed=0):
    """Random samples with targets that fit a loss."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, features))
    if loss == "cross_entropy":
        return gd.Data(X, rng.integers(0, 3, samples))
    if loss == "log_loss":
        return gd.Data(X, rng.integers(0, 2, samples))
    return gd.Data(X, rng.normal(size=(samples, 2)))


def torch_loss(torch, problem, vector, X, y):
    """The mean loss of an MLP in PyTorch, from the public parameter vector."""
    activation = {"identity": lambda z: z, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
    a, first, widths = X, 0, problem.widths
    for depth, (inputs, units) in enumerate(itertools.pairwise(widths)):
        W = vector[first : first + inputs * units].reshape(units, inputs)
        b = vector[first + inputs * units : first + (inputs + 1) * units]
        first += (inputs + 1) * units
        z = a @ W.T + b
        a = activation[problem.activation](z) if depth < len(widths) - 2 else z
    functional = torch.nn.functional
    if problem.loss == "cross_entropy":
        return functional.cross_entropy(a, y)
    if problem.loss == "log_loss":
        return functional.binary_cross_entropy_with_logits(a[:, 0], y.to(a.dtype))
    a = activation[problem.output or "identity"](a)
    y = y.reshape(len(y), -1)
    if problem.loss == "absolute_error":
        return (a - y).abs().sum(1).mean()
    return ((a - y) ** 2).sum(1).mean() * (0.5 if problem.loss == "squared_error" else 1.0)


def torch_tensors(torch, data, dtype):
    """X and y as tensors; labels stay integers."""
    y = torch.tensor(data.y) if data.y.dtype.kind == "i" else torch.tensor(data.y, dtype=dtype)
    return torch.tensor(data.X, dtype=dtype), y


def same_bits(a, b):
    """Whether two arrays have the same bits, NaN included."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def same_results(a, b):
    """Names of the variables of two results that differ in a bit; the second's runs are those of the first or more."""
    b = b.sel(run=a.run.values)
    return [n for n in a.data_vars if not same_bits(a[n].values, b[n].values)]
