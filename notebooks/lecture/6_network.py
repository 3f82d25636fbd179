# %% [markdown]
# T.network

# %%
points = np.sort(rng.uniform(-3, 3, 60))
heights = np.sin(2 * points) + 0.1 * rng.normal(size=60)
network = gd.MLP(gd.Data(points[:, None], heights), hidden=[16], activation="tanh", loss="mean_squared_error")
learned = gd.Sweep(
    problem=network, optimizer=gd.Adam(lr=0.02), starts=30, steps=3000, init=gd.Normal(),
    record=gd.Record(every=100, trajectory=True),
).run(progress=False)  # fmt: skip

# %%
at = np.linspace(-3.5, 3.5, 200)
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True)
for ax, step in zip(axes, (0, 100, 3000), strict=True):
    weights = learned.trajectory.sel(step=step).values
    ax.plot(at, gd.predict(network, weights, at[:, None])[:, :, 0].T, color="C0", lw=0.5, alpha=0.6)
    ax.plot(points, heights, "k.", ms=4)
    ax.set(xlabel="x", ylim=(-3, 3), title=T.after_steps.format(step=step))
plt.show()

# %% [markdown]
# T.backprop


# %%
def backprop(W1, b1, w2, b2, x, y):
    a = np.tanh(np.outer(x, W1) + b1)  # forward: [sample, unit], kept for the way back
    error = a @ w2 + b2 - y
    delta = 2 * error / len(x)  # dL / d output
    back = np.outer(delta, w2) * (1 - a**2)  # dL / dz, with what the forward pass kept
    return np.mean(error**2), (back.T @ x, back.sum(0), a.T @ delta, delta.sum())


vector = learned.trajectory.sel(step=100).values[0].astype(float)
(W1, b1), (W2, b2) = network.unpack(vector)
loss, gradient = backprop(W1[:, 0], b1, W2[0], b2[0], points, heights)
theirs = gd.evaluate(network, vector)
print(loss, float(theirs.loss))
print(np.sqrt(sum(np.sum(g**2) for g in gradient)), float(theirs.gradient_norm))

# %% [markdown]
# T.naive


# %%
def naive(W, slopes, layer, unit, count):
    if layer == len(W):
        return 1.0
    total = 0.0
    for k in range(len(W[layer])):
        total += naive(W, slopes, layer + 1, k, count) * slopes[layer][k] * W[layer][k, unit]
        count[0] += 2
    return total


# %%
def backward(W, slopes, count):
    delta = np.ones(len(W[-1]))
    for matrix, slope in zip(reversed(W), reversed(slopes), strict=True):
        delta = matrix.T @ (delta * slope)
        count[0] += slope.size + matrix.size
    return delta


# %%
import time


def measured(function, *arguments):
    seconds_of = []
    for _ in range(5):
        count, began = [0], time.perf_counter()
        found = function(*arguments, count)
        seconds_of.append(time.perf_counter() - began)
    return found, count[0], min(seconds_of)


# %%
depths, rows = np.arange(1, 15), []
for depth in depths:
    W, slopes = rng.normal(size=(depth, 2, 2)), rng.uniform(size=(depth, 2))
    slow, *naive_cost = measured(naive, W, slopes, 0, 0)
    quick, *backprop_cost = measured(backward, W, slopes)
    assert np.isclose(slow, quick[0])
    rows.append((*naive_cost, *backprop_cost))

# %%
fig, (left, right) = plt.subplots(1, 2)
naive_count, naive_time, count, seconds = np.array(rows).T
left.semilogy(depths, naive_count, "o-", label=T.naive_label)
left.semilogy(depths, count, "s-", label=T.backprop_label)
left.semilogy(depths, 4 * (2.0**depths - 1), "k--", lw=1, label=r"$4\,(2^d-1)$")
left.semilogy(depths, 6 * depths, "k:", lw=1, label=r"$6\,d$")
right.semilogy(depths, naive_time * 1e6, "o-", label=T.naive_label)
right.semilogy(depths, seconds * 1e6, "s-", label=T.backprop_label)
left.set(xlabel=T.depth, title=T.multiplications)
right.set(xlabel=T.depth, title=T.microseconds)
left.legend()
plt.show()

# %% [markdown]
# T.exercise_count

# %% tags=["solution"]
for width in (2, 3, 4):
    W, slopes = rng.normal(size=(6, width, width)), rng.uniform(size=(6, width))
    _, slow, _ = measured(naive, W, slopes, 0, 0)
    _, quick, _ = measured(backward, W, slopes)
    print(T.counted.format(width=width, naive=slow, backprop=quick, ratio=slow / quick))

# %% [markdown]
# T.skips

# %%
deep = gd.MLP(gd.datasets.load("digits"), hidden=[16] * 20, activation="tanh", skip=gd.grid("none", "residual", "dense"))
deep_runs = gd.Sweep(
    problem=deep, optimizer=gd.Momentum(lr=0.01), starts=8, steps=600, batch=32, record=gd.Record(every=30, parameters=True)
).run(progress=False)  # fmt: skip
around = gd.landscape.plane(deep_runs.isel(run=deep_runs.start.values == 0), points=25, progress=False)

# %%
fig, ax = plt.subplots(figsize=(6, 3.4))
for skip, label, colour in (("none", T.plain_layers, "C0"), ("residual", "residual", "C1"), ("dense", "dense", "C2")):
    ax.semilogy(deep_runs.step, deep_runs.loss[deep_runs.skip.values == skip].T, color=colour, lw=1, label=[label, *[None] * 7])
ax.set(xlabel=T.steps, ylabel=T.loss, title=T.deep_runs_title)
ax.legend()
plt.show()

# %%
planes = {label: around.isel(run=i) for i, label in enumerate((T.plain_layers, "residual", "dense"))}
gd.plots.landscape(planes, "surface", figure=plt.figure(figsize=(11, 3.8)))
plt.show()

# %% [markdown]
# T.skips_lesson

# %% [markdown]
# T.summary
