# %% [markdown]
# # A first population
#
# One network, trained once, says little about an optimizer: another start may end elsewhere. gdsim trains the
# same small network from many starts, over a grid of learning rates and momenta, and tells what the
# population did.
#
# From a clone of the repository, `pip install .` installs it. Importing it compiles nothing.

# %%
import numpy as np

import gdsim as gd

moons = gd.datasets.load("moons")
moons

# %% [markdown]
# The data are 256 points on two half circles that grip each other. The model is a network of one hidden
# layer,
#
# $$f(x) = \sigma\big(w_2^\top \max(0,\, W_1 x + b_1) + b_2\big),$$
#
# trained on squared errors in batches of 32 by gradient descent with momentum, $h \leftarrow a\,h + \eta\,g$
# and $w \leftarrow w - h$. The learning rate $\eta$ and the momentum $a$ are data, one number of each per
# run: all cells of the grid share one compiled kernel.

# %%
sweep = gd.Sweep(
    problem=gd.MLP(moons, hidden=[16], activation="relu", loss="squared_error"),
    optimizer=gd.Momentum(lr=gd.logspace(0.02, 5, 9), momentum=[0.0, 0.5, 0.8, 0.9, 0.95, 0.99]),
    starts=32,
    steps=1000,
    batch=32,
    stop=[gd.Target(0.025)],
)
print(sweep.plan())

# %% [markdown]
# Nothing has been trained so far. `run` compiles the kernel, once for this structure, and trains all runs on
# all cores. What comes back is an xarray Dataset with a status for every run: *converged* where the loss
# reached the target, *diverged* where it left all bounds, *budget* where the steps were used up.

# %%
result = sweep.run(progress=False)
result.status.to_series().value_counts()

# %% [markdown]
# `gd.table` has a row per cell, the best first: here those whose median run met the target soonest.

# %%
gd.table(result).head(8)

# %% [markdown]
# Start $i$ is the same initial network and the same order of samples in every cell, so cells are compared on
# common random numbers. How often did each cell reach the target? `gd.grid_of` unstacks the runs into
# learning rate, momentum and start.

# %%
grid = gd.grid_of(result)
share = (grid.status == "converged").mean("start")
share.round(2).to_pandas()

# %% [markdown]
# Shares of 32 runs are uncertain, so statistics come with intervals: here Wilson's, at 95%, for the three
# cells that rank best.

# %%
best = gd.table(result).index[:3]
gd.analysis.success_probability(result).sel(cell=best)[["probability", "low", "high"]].to_dataframe().iloc[:, [0, 1, 2, 4]].round(3)

# %% [markdown]
# The curves of the same three cells: the median of 32 runs and, around it, the middle half of them.

# %%
gd.plots.convergence_bands(result.isel(run=np.isin(result.cell, best)))

# %% [markdown]
# One run of the population can be trained again alone: it has the same bits as it had among all the others.

# %%
again = sweep.run(runs=[1234], progress=False)
bool(again.final_loss[0] == result.final_loss[1234])

# %% [markdown]
# At last the map. Each cell of the grid is a square: the share of its runs that diverged, by learning rate
# and momentum. Up to the edge nothing warns: a rate that trains well stands a few squares from one at which
# all runs are lost. The larger the momentum, the further the edge frays towards small rates.

# %%
gd.plots.divergence_map(result, "lr", "momentum")
