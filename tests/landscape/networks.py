"""A small network with all that its scores depend on, and these by NumPy."""

import numpy as np

import gdsim as gd

RNG = np.random.default_rng(7)
X = RNG.normal(size=(29, 3))
KIND = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
WEIGHT = RNG.random(29) + 0.5


def weighted_network(**options):
    """3-4-2-3, tanh, weighted samples, a validation set and a penalty."""
    data = gd.Data(X, KIND, sample_weight=WEIGHT, validation=(X[:9] + 0.5, KIND[:9]))
    return gd.MLP(data, hidden=[4, 2], activation="tanh", **{"l2": 0.1, **options})


def _of(problem, w, X, y, weights):
    layers = problem.unpack(w)
    for W, b in layers[:-1]:
        X = np.tanh(X @ W.T + b)
    z = X @ layers[-1][0].T + layers[-1][1]
    losses = np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]
    return (losses * weights).mean(), (z.argmax(1) == y).mean()


def scores_of(problem, w):
    """Of the training set with its penalty, and of the validation set."""
    data = problem.data
    loss, accuracy = _of(problem, w, data.X, data.y, data.sample_weight)
    there = dict(zip(("validation_loss", "validation_accuracy"), _of(problem, w, data.validation.X, data.validation.y, 1.0), strict=True))
    return {"loss": loss + problem.l2 / 2 * sum((W**2).sum() for W, _ in problem.unpack(w)), "accuracy": accuracy, **there}
