# %% [markdown]
# # One model, several workers
#
# In a sweep with a `distribution` each run is one model that several simulated workers train. They talk in every
# step, or rarely, to all or to neighbours, in time or late; who talks to whom, and how often, are axes of the
# sweep like the learning rate. Seconds are asked afterwards, of any cluster.

# %%
import matplotlib.pyplot as plt
import numpy as np

import gdsim as gd

# %% [markdown]
# ## Talking rarely
#
# Eight workers train a small network on the digits. Each takes batches of 8; every so many steps they go on from
# the mean of their weights (local SGD). A period of 1 is as good as one gradient of all 64 samples.

# %%
digits = gd.datasets.load("digits", validation=0.2)
network = gd.MLP(digits, hidden=[16], activation="relu", loss="cross_entropy")
common = {"problem": network, "batch": 8, "starts": 12, "steps": 512, "record": gd.Record(every=16)}
rarely = gd.Sweep(
    optimizer=gd.SGD(lr=0.2),
    distribution=gd.LocalSGD(workers=8, period=[1, 8, 64]),
    **common,
)
result = rarely.run()
gd.table(result)

# %% [markdown]
# What is reported is the mean of the workers, also between averages. How far they are from it tells when they
# have talked: `disagreement` is their mean squared distance.

# %%
close = gd.Sweep(
    optimizer=gd.SGD(lr=0.2),
    distribution=gd.LocalSGD(workers=8, period=[8, 64]),
    **{**common, "steps": 192, "record": gd.Record(every=1)},
).run()
gd.plots.disagreement(close)

# %% [markdown]
# ## What it costs
#
# How long computing and messages take changes no weight, so one trained population serves every cluster. Here
# is one whose links are slow: 5 ms for a message, beside 1 ms for a step.

# %%
cluster = gd.SimulatedCluster(compute=gd.ExponentialTime(0.001), latency=0.005, bandwidth=1.25e8, collective="ring")
gd.plots.training_costs(result, units=["steps", "seconds"], cluster=cluster)

# %% [markdown]
# By steps the period matters little. By seconds talking in every step is the slowest way by far. Workers may also
# send the largest numbers alone of what they have moved, and remember the rest for the next time.

# %%
fewer = gd.Sweep(
    optimizer=gd.SGD(lr=0.2),
    distribution=gd.LocalSGD(workers=8, period=8, compression=gd.grid(None, gd.ErrorFeedback(gd.TopK(fraction=[0.01, 0.1])))),
    **common,
).run()
gd.plots.communication_frontier(fewer)

# %% [markdown]
# With a tenth of the numbers, each of which needs its place too, a worker sends a seventh of the bytes, and the
# intervals of the losses overlap. A hundredth is too little for as many steps.

# %% [markdown]
# ## Samples of their own
#
# So far all workers drew from all samples. With a `partition` each has a shard. A Dirichlet law with a small
# `alpha` gives workers few of the labels each: they drift apart, and the longer the period the further.

# %%
shards = gd.Sweep(
    optimizer=gd.SGD(lr=0.2),
    distribution=gd.LocalSGD(workers=8, period=[1, 8, 64]),
    partition=[gd.Dirichlet(alpha=[0.1, 10.0])],
    **common,
).run()
shards.final_loss.groupby(["alpha", "period"]).median().to_pandas().round(4)

# %% [markdown]
# ## Gradients that come late
#
# Without waiting for each other, workers bring gradients of weights that others have changed meanwhile. On a
# quadratic of curvature 1, with 8 workers whose computations take exponentially distributed times, the mean of
# many runs moves as if by momentum, 1 - 1/8 (Mitliagkas et al. 2016).

# %%
late = gd.Sweep(
    problem=gd.Quadratic([[1.0]]),
    optimizer=gd.SGD(lr=0.2),
    distribution=gd.Asynchronous(workers=[1, 8], staleness=gd.Queue()),
    init=[[1.0]] * 5000,
    steps=100,
    record=gd.Record(every=1, trajectory=True),
    dtype="float64",
).run()

# %%
means = {k: late.trajectory.values[late.workers.values == k, :, 0].mean(0) for k in (1, 8)}
moved = np.diff(means[8])
momentum = np.linalg.lstsq(np.stack([moved[:-1], means[8][1:-1]], 1), moved[1:])[0][0]
for k, mean in means.items():
    plt.plot(mean, label=f"{k} worker{'s' * (k > 1)}")
plt.xlabel("update of the server")
plt.ylabel("mean of the weight")
plt.legend()
print(f"fitted momentum {momentum:.3f}; 1 - 1/8 = {7 / 8}")
