# %% [markdown]
# # Loss landscapes: what a picture can say, and what it cannot
#
# A network's loss is a function of thousands of numbers, and a picture shows it along two directions. gdsim
# evaluates such planes by the thousand, for whole populations, so that one can ask how much of a picture is the
# network, and how much is the choice of the plane.

# %%
import numpy as np

import gdsim as gd

digits = gd.datasets.load("digits", validation=0.25)
problem = gd.MLP(digits, hidden=[16], activation="relu")
record = gd.Record(parameters=True, trajectory=True, every=20)
sweep = gd.Sweep(problem=problem, optimizer=gd.Momentum(0.05, 0.9), starts=20, steps=400, batch=64, record=record)
result = sweep.run()
result.final_loss.values.round(4)

# %% [markdown]
# ## One plane through one network
#
# The centre is where run 0 ended. Each row of the random directions, which is what leads into one unit, is as
# long as that row of weights (Li et al. 2018): at x = 1 every unit has moved by as much as its weights are large.
# A plane of 51 x 51 points over all 1348 training samples, and the same over the validation set:

# %%
plane = gd.landscape.plane(result.sel(run=[0])).isel(run=0)
gd.plots.landscape(plane)

# %%
gd.plots.landscape(plane, "surface")

# %% [markdown]
# ## The same network on other planes
#
# Another draw of the same kind looks alike. Along the two eigenvectors of the largest curvature the valley is many
# times narrower. The last plane lies along the two of the lowest curvature, which is negative: the loss falls from
# the centre, which is no minimum but a saddle, and at this distance it looks like a bowl all the same.

# %%
center = result.parameters.values[0]
spectrum = gd.curvature.eigenvalues(problem, center, k=2, which="both", vectors=True, dtype="float64")
length = float(np.linalg.norm(plane.direction.values[0]))
planes = {
    "one draw": plane,
    "another draw": gd.landscape.plane(problem, center, seed=1),
    "largest curvature": gd.landscape.plane(problem, center, directions=length * spectrum.eigenvector.values[:2]),
    "lowest curvature": gd.landscape.plane(problem, center, directions=length * spectrum.eigenvector.values[2:]),
}
gd.plots.landscape(planes)

# %% [markdown]
# The same in numbers, with the two largest and the two lowest eigenvalues of the Hessian:

# %%
level = float(plane.loss.min()) + 1.0
for name, one in planes.items():
    found = gd.landscape.measures(one, levels=[level], persistence=0.01)
    print(f"{name:18} roughness {float(found.roughness):.3f}   convexity {float(found.convexity):.2f}   below {level:.1f}: {float(found.share_below[0]):.0%}")
spectrum.eigenvalue.values.round(3)

# %% [markdown]
# ## Is it this network, or any?
#
# A difference between two pictures says nothing until one knows how far pictures of the same kind differ. Here are
# the planes of all 20 runs, which differ in their starts alone, with the same directions' draws: bands over runs.

# %%
several = gd.landscape.plane(result, points=31)
numbers = gd.landscape.measures(several, levels=[level], persistence=0.01)
gd.landscape.bands(numbers, quantiles=[0.05, 0.5, 0.95]).to_dataframe().round(3)

# %% [markdown]
# ## From the start to the end, and from one end to another
#
# On the straight line from its start to its end the loss of each run falls without a rise (Goodfellow et al. 2015),
# though training did not follow that line. Between two ends there is a barrier: they are different minima, or the
# same one with its units in another order.

# %%
way = gd.landscape.line(result)
print(f"{int(gd.landscape.measures(way).monotone.sum())} of {way.sizes['run']} lines fall all the way")
gd.plots.landscape_line(way)

# %%
ends = result.parameters
between = gd.landscape.line(problem, ends[0].values, ends[1:].values)
gd.plots.landscape_line(between)

# %% [markdown]
# ## The path of training
#
# The plane in which a path lies best holds most of its variance, and yet not the path: its losses are not those
# of the points where it is drawn. A random walk gives such a picture too (Antognini and Sohl-Dickstein 2018):
# walks of independent steps in 1210 dimensions have most of their variance along two axes.

# %%
path = gd.landscape.trajectory_plane(problem, result.trajectory.sel(run=0))
gd.plots.landscape(path)

# %%
walk = np.cumsum(np.random.default_rng(0).normal(size=(21, problem.parameter_count)), axis=0)
aimless = gd.landscape.trajectory_plane(problem, walk, points=3)
{"training": path.explained_variance.values.round(2), "a random walk": aimless.explained_variance.values.round(2)}

# %% [markdown]
# ## What a picture can say
#
# - How fast the loss rises around a point in the directions that were chosen, and that is all.
# - Compared between networks, with the same draws and rows scaled to the weights, it shows differences that are
#   larger than those between draws and starts: draw those too.
# - It does not show minima: what looks like the bottom of a bowl may be a saddle in directions that are not on it.
#   `gd.curvature.eigenvalues` says so, and `gd.minima.census` which critical points there are.
