# %% [markdown]
# # The minima of a network
#
# Does a network have one minimum or many, do runs find the best of them, and what are those in which they
# stop? A population answers: every end point is taken to the critical point that it belongs to, told of which
# kind it is, and counted.

# %%
import numpy as np

import gdsim as gd

ENDS = gd.Record(every="ends", parameters=True)

# %% [markdown]
# ## A function first
#
# Himmelblau's function has four minima of value 0, four saddles and a maximum. From where does gradient descent
# lead to which? Every point of a grid is a start:

# %%
basins = gd.minima.basin_map(gd.functions.Himmelblau(), gd.SGD(lr=0.01), points=(400, 400))
gd.plots.basin_map(basins)

# %% [markdown]
# At a rate of 0.015 no run ends at the lower left minimum: its largest eigenvalue is more than $2/\eta$, so that
# gradient descent cannot stay there. From far out runs diverge, and where the first step leaps neighbours part.

# %%
gd.plots.basin_map(gd.minima.basin_map(gd.functions.Himmelblau(), gd.SGD(lr=0.015), points=(400, 400)))

# %% [markdown]
# ## XOR
#
# The smallest network that can compute XOR has two hidden units. A little penalty keeps weights finite, so that
# there are minima at all: without it the loss falls for ever as the weights grow, and `census` finds none.

# %%
xor = gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="tanh", loss="log_loss", l2=1e-3)
runs = gd.Sweep(problem=xor, optimizer=gd.Adam(0.05), starts=500, steps=2000, record=ENDS).run()
found = gd.minima.census(runs)
found[["value", "count", "kind", "index", "nullity"]].to_dataframe().round(4)

# %%
gd.plots.census(found)

# %% [markdown]
# Each row is one network up to its symmetries: a tanh network with two hidden units has 2! orders of its units
# and 2 signs of each, eight parameter vectors for one function. All eight are one minimum here.

# %%
(W, b), (V, c) = xor.unpack(found.point.values[0])
twin = xor.pack([(-W[::-1], -b[::-1]), (-V[:, ::-1], c)])
float(gd.minima.distance(xor, found.point.values[0], twin)), gd.minima.census(xor, [found.point.values[0], twin])["count"].values

# %% [markdown]
# Without the penalty nothing is left to find but plateaus, whose infimum is at infinity: no run is a member
# of a critical point.

# %%
free = gd.MLP(gd.datasets.load("xor"), hidden=[2], activation="tanh", loss="log_loss")
ended = gd.Sweep(problem=free, optimizer=gd.Adam(0.05), starts=500, steps=2000, record=ENDS).run()
none = gd.minima.census(ended)
int((none.member == -1).sum()), np.unique(ended.final_loss.values.round(2), return_counts=True)

# %% [markdown]
# ## A linear network
#
# An autoencoder with linear units has saddles, and one minimum up to the choice of a basis: principal
# components (Baldi and Hornik 1989). Its flat directions are as many as that basis has freedoms.

# %%
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 5)) * [2.0, 1.5, 1.0, 0.7, 0.4]
X -= X.mean(0)
autoencoder = gd.MLP(gd.Data(X, X), hidden=[2], activation="identity", loss="squared_error")
runs = gd.Sweep(problem=autoencoder, optimizer=gd.Adam(0.02), starts=200, steps=1500, record=ENDS).run()
found = gd.minima.census(runs)
variances = np.sort(np.linalg.eigvalsh(X.T @ X / len(X)))[::-1]
found[["value", "count", "kind", "nullity", "nullity_expected"]].to_dataframe(), float(0.5 * variances[2:].sum())

# %% [markdown]
# ## Spurious minima
#
# A student of six ReLU units learns a teacher of six. Some runs end in minima that are strict and above 0: the
# network could do better, and no small step says how (Safran and Shamir 2018). With one unit more
# there are none: the ends of runs lie in valleys, and are degenerate.

# %%
for units in (6, 7):
    problem = gd.TeacherStudent(teacher=6, student=units)
    stop = [gd.SmallGradient(1e-9)]
    runs = gd.Sweep(problem=problem, optimizer=gd.SGD(0.1), starts=300, steps=5000, stop=stop, record=ENDS).run()
    found = gd.minima.census(runs, merge="value")
    print(found[["value", "count", "low", "high", "kind"]].to_dataframe().round(6))
