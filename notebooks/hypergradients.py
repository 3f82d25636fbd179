# %% [markdown]
# # Derivatives through training
#
# What would the loss be with a slightly larger learning rate? Two runs and a difference give a rough answer for
# one number and one run. A sweep that is asked for `tangents` gives the exact one, for every run and at every
# checkpoint: its kernels train on numbers that carry their derivatives along.

# %%
import matplotlib.pyplot as plt
import numpy as np

import gdsim as gd

# %% [markdown]
# ## How the loss depends on the rate
#
# Forty networks on two moons, at three learning rates. `loss_d_lr` is the derivative of the loss at each
# checkpoint by the rate, through all steps before it.

# %%
moons = gd.datasets.load("moons", validation=0.2)
network = gd.MLP(moons, hidden=[8], activation="tanh", l2=1e-3)
sweep = gd.Sweep(
    problem=network,
    optimizer=gd.Momentum(lr=[0.01, 0.1, 1.0], momentum=0.9),
    starts=40,
    steps=300,
    dtype="float64",
    tangents=["lr", "l2"],
)
result = sweep.run()
gd.plots.derivative(result, of="loss", by="lr")

# %% [markdown]
# Below 0 a larger rate would have lowered the loss. At the first step all rates are too small; at the largest
# one the sign is for a while not the same for all runs, and at the end there is the least to be gained by another.
#
# A difference of two sweeps says the same, as far as it can:

# %%
step = 1e-5
options = {"problem": network, "starts": 40, "steps": 300, "dtype": "float64"}
near = [gd.Sweep(optimizer=gd.Momentum(0.1 + d, 0.9), **options).run() for d in (-step, step)]
difference = (near[1].final_loss - near[0].final_loss).values / (2 * step)
exact = result.final_loss_d_lr.values[result.lr.values == 0.1]
print(f"derivatives of up to {np.abs(exact).max():.2g}; largest disagreement {np.abs(difference - exact).max():.1e}")

# %% [markdown]
# ## How chaotic training is
#
# Along a direction of the start the derivative tells whether runs that begin close together stay so.
# `tangent_norm` is the length to which a unit step of the start has grown; its logarithm over the steps is the
# finite-time Lyapunov exponent. Above 0 training is chaotic.

# %%
rates = gd.logspace(0.01, 10, 25)
chaos = gd.Sweep(
    problem=network,
    optimizer=gd.SGD(lr=rates),
    starts=40,
    steps=300,
    dtype="float64",
    record=gd.Record(every="ends"),
    tangents=[gd.Direction("random")],
).run()
exponent = np.log(chaos.tangent_norm[:, -1]) / 300

# %%
by_rate = exponent.groupby("lr").quantile([0.25, 0.5, 0.75])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.fill_between(by_rate.lr, by_rate.sel(quantile=0.25), by_rate.sel(quantile=0.75), alpha=0.2, linewidth=0)
left.plot(by_rate.lr, by_rate.sel(quantile=0.5))
left.axhline(0, color="#444444", linewidth=0.9)
left.set(xscale="log", xlabel="lr", ylabel="Lyapunov exponent per step", title="Exponent: median and middle half")
losses = chaos.final_loss.groupby("lr").median()
right.plot(losses.lr, losses)
right.set(xscale="log", yscale="log", xlabel="lr", ylabel="final loss", title="Median loss after 300 steps")

# %% [markdown]
# The loss is lowest just before the exponent rises. Where it is clearly above 0, a derivative by any number
# grows by the same factor each step: it is still right, for changes that are small enough, and too large to be
# of use for any that one would make.
#
# ## Tuning by gradient
#
# Derivatives of the validation loss by `lr` and `l2` say how to change them. `hypergradient_descent` does so
# for every cell, from wherever it begins: here from a rate that is too small, and one that is too large, though
# not so large that training is chaotic.

# %%
digits = gd.datasets.load("digits", validation=0.2)


def on_digits(lr, l2):
    network = gd.MLP(digits, hidden=[16], l2=l2)
    return gd.Sweep(problem=network, optimizer=gd.Adam(lr=lr), starts=16, steps=100, batch=32)


found = gd.search.hypergradient_descent(on_digits([0.001, 0.1], 1e-3), ["lr", "l2"], rounds=6)
found

# %%
figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
for panel, name in zip(panels, ("lr", "l2", "score"), strict=True):
    for cell in range(2):
        panel.plot(found.history[name][cell], marker="o", markersize=4)
    panel.set(xlabel="round", title=name, yscale="log")

# %% [markdown]
# Points that were no better are taken back, with a shorter move. Both meet at about the same rate. Successive
# halving over a grid of both numbers finds it by trying:

# %%
halved = gd.search.successive_halving(on_digits(gd.logspace(1e-4, 1, 9), gd.logspace(1e-6, 1e-2, 3)))
steps, best = found.history.attrs["run_steps"] // 2, found.history.score.min("round").values
print(f"descent: {steps:,} run-steps from each start, validation loss {best.round(3)}")
median = halved.result.best_validation_loss.median().item()
print(f"halving of 27 cells: {halved.history.attrs['run_steps']:,} run-steps, {median:.3f}")

# %% [markdown]
# A run-step with tangents takes longer than one without. What the descent has for it: it goes beyond the points
# of a grid, and more numbers to tune do not make more cells. It finds the minimum that is near.
