# %% [markdown]
# # A rule and a problem of your own
#
# A new optimizer and a new problem, from outside the library, in thirty lines. Both are ordinary Python functions
# of numbers; gdsim binds them into its training loop and compiles them, so that they run as fast as its own.

# %%
from typing import NamedTuple

import numpy as np
from scipy.optimize import curve_fit

import gdsim as gd
from gdsim.lanes import fma, tanh
from gdsim.rules.base import BY_CONVENTION, RATE, SHARE, Axis, Rule

# %% [markdown]
# ## The problem: a curve that decays
#
# Twelve measurements of a decay, $y \approx a\,e^{-bt} + c$, and the mean of squared residuals as the loss. The
# function is called once, when the problem is declared, and differentiated; `check_gradient` compares the
# result with differences.

# %%
rng = np.random.default_rng(1)
TIMES = np.linspace(0, 4, 12)
HEIGHTS = 2.5 * np.exp(-1.3 * TIMES) + 0.5 + 0.03 * rng.normal(size=12)


def residuals(w):
    return np.mean((w[0] * np.exp(-w[1] * TIMES) + w[2] - HEIGHTS) ** 2)


decay = gd.Own(residuals, dim=3)
decay.check_gradient()

# %% [markdown]
# SciPy's least squares say what the best curve is:

# %%
best, _ = curve_fit(lambda t, a, b, c: a * np.exp(-b * t) + c, TIMES, HEIGHTS, p0=[1, 1, 0])
lowest = residuals(best)
best.round(4), lowest

# %% [markdown]
# ## The rule: momentum that cannot leap
#
# A running mean of gradients, as in Adam, through a hyperbolic tangent, so that no weight moves by more than
# the learning rate in a step, however steep the place:
#
# $$m \leftarrow b\,m + (1-b)\,g, \qquad w \leftarrow w - \eta \tanh(m).$$
#
# A rule is one class: its hyperparameters are fields, their defaults and ranges two tables. `prepare` is called
# once per step and gives `update` what it needs, here the scheduled rate; `update` is called for every weight.
# `fma(x, y, z)` is $xy + z$ with one rounding.


# %%
class Step(NamedTuple):
    rate: object
    decay: object


# %%
class Tamed(Rule, tag="tamed", frozen=True):
    lr: Axis = BY_CONVENTION
    decay: Axis = BY_CONVENTION
    slots = ("mean",)
    defaults = {"lecture": {"lr": 0.01, "decay": 0.9}}
    ranges = {"lr": RATE, "decay": SHARE}

    @staticmethod
    def prepare(h, rate, carry):
        return Step(rate, h.decay), carry

    @staticmethod
    def update(w, g, slots, s):
        mean = fma(s.decay, slots[0] - g, g)
        return w - s.rate * tanh(mean), (mean,)


# %% [markdown]
# From here on both are like any other: axes over hyperparameters, stops, statistics, figures. Two hundred starts
# in a wide box, each optimizer over six rates; a run has arrived when its loss is at most 1% above SciPy's.

# %%
rates = gd.logspace(0.001, 0.3, 6)
sweep = gd.Sweep(
    problem=decay,
    optimizer=[gd.SGD(lr=rates), gd.Momentum(lr=rates), gd.Adam(lr=rates), Tamed(lr=rates, decay=[0.8, 0.95])],
    init=gd.Uniform(-3, 3),
    starts=200,
    steps=20_000,
    stop=[gd.Target(1.01 * lowest)],
    record=gd.Record(parameters=True),
)
result = sweep.run(progress=False)
gd.table(result).head(10)

# %% [markdown]
# Where did runs that arrived end? At SciPy's $a$, $b$ and $c$, up to what 1% of the loss allows: the farthest of each.

# %%
arrived = result.parameters.values[result.status.values == "converged"]
np.abs(arrived - best).max(axis=0).round(3)

# %% [markdown]
# Starts whose decay is negative lie on a steep wall, from which plain rules are thrown far out; those that cannot
# leap, as Adam and this one, cannot be thrown, whatever their rate. How the runs of all rates ended:

# %%
import pandas

pandas.crosstab(result.optimizer.values, result.status.values, rownames=["optimizer"], colnames=["status"])

# %% [markdown]
# And each optimizer at its best cell, chosen on half of the starts and compared on the others:

# %%
gd.plots.compare_tuned(result)

# %%
print(*gd.analysis.sentences(gd.analysis.compare_tuned(result)), sep="\n")

# %% [markdown]
# How sensitive is each to its rate?

# %%
gd.plots.sensitivity_curve(result)

# %% [markdown]
# What is defined in a notebook runs in memory. To keep results in a folder (`out=`), or to train on a cluster,
# a problem's function must stand in a file that workers can import: `gd.Own(mine.residuals, dim=3)`. A rule that is to
# be kept belongs in gdsim: one class in `gdsim/rules/`, its name where gdsim lists them, a row in the tests' table.
