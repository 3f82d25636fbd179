"""Networks run through a table of edges: a layer that has several before it is one more row of the table
for each.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.kernels.cpu import Kernels
from gdsim.kernels.engines.layout import network_layout, single_run_layout
from gdsim.kernels.engines.passes import BLOCK
from gdsim.kernels.evaluation import Evaluation
from gdsim.kernels.sample_table import sampler_of
from gdsim.lanes.float_mode import ieee_mode
from gdsim.population.engine_choice import structure_of
from gdsim.population.samples import table_for
from gdsim.population.setting import Setting

WIDTHS, EDGES = (3, 5, 4, 2), ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # every layer leads to all after it
rng = np.random.default_rng(1)
DATA = gd.Data(rng.normal(size=(70, 3)), rng.normal(size=(70, 2)))
ACTIVATIONS = lambda _: DATA.X, np.tanh, lambda z: z / (1 + np.exp(-z))  # of the samples and of each hidden layer


def loss_of(w):
    """The mean of |outputs - targets|^2 / 2 with weights and then, with the first edge into a layer,
    biases.
    """
    place, sums = 0, {}
    for source, target in EDGES:
        shape = WIDTHS[target], WIDTHS[source]
        W, place = w[place : place + np.prod(shape)].reshape(shape), place + np.prod(shape)
        if target not in sums:
            sums[target], place = w[place : place + shape[0]], place + shape[0]
        sums[target] = sums[target] + ACTIVATIONS[source](sums.get(source)) @ W.T
    return (((sums[3] - DATA.y) ** 2).sum(1) / 2).mean()


def gradient_of(w):
    """The derivatives of the loss by complex steps, which round nothing away."""
    return np.array([loss_of(w + 1e-30j * e).imag / 1e-30 for e in np.eye(len(w))])


@pytest.mark.parametrize("width", [4, pytest.param(1, marks=pytest.mark.full)])
def test_several_edges_into_a_layer_and_out_of_one_are_rows_of_the_table(width):
    problem = gd.MLP(DATA, hidden=[5, 4], activation=["tanh", "silu"], loss="squared_error")
    setting = Setting(problem, gd.SGD(), gd.Constant(), "zeros", 1, None, "epoch", True, (), gd.Record(), 0, "float64")
    structure, table = structure_of(setting, width), table_for(DATA, "float64", False)
    sizes = WIDTHS, table.pitch, True, problem.keeps_slopes
    layout = single_run_layout(*sizes, structure.layout.lanes, EDGES) if width == 1 else network_layout(*sizes, EDGES)
    kernels = Kernels(structure._replace(layout=layout), width)
    w = rng.normal(size=(len(layout.places), width))
    weights, model, scores = kernels.number.zeros(layout.size * width).reshape(-1, width), kernels.model(BLOCK), kernels.new_scores()
    weights[layout.places] = w
    with ieee_mode():
        kernels.evaluate(Evaluation(model, weights.ravel(), sampler_of(table, None, True, 0, kernels.dtype), scores))
    np.testing.assert_allclose(scores.loss, [loss_of(run) for run in w.T], rtol=1e-13)
    np.testing.assert_allclose(model.whole.gradients.reshape(-1, width)[layout.places].T, [gradient_of(run) for run in w.T], rtol=1e-10, atol=1e-13)
