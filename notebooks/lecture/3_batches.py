# %% [markdown]
# T.regression

# %%
rng = np.random.default_rng(0)
X = rng.normal(size=(100, 1))
y = 2 * X[:, 0] + 1 + 0.5 * rng.normal(size=100)
line = gd.LinearRegression(gd.Data(X, y))
design = np.column_stack([X, np.ones(100)])
lowest = np.linalg.lstsq(design, y, rcond=None)[1][0] / 100
sizes = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 64, 100)
common = {"problem": line, "optimizer": gd.SGD(lr=0.05), "init": gd.Normal(), "starts": 100, "steps": 1000, "record": gd.Record(every=2)}
batches = gd.Sweep(batch=gd.grid(*sizes), shuffle="replacement", **common).run(progress=False)
descent = gd.Sweep(batch=None, **common).run(progress=False)

# %%
fig, axes = plt.subplots(1, 2, sharey=True)
for size, colour in ((100, "C0"), (16, "C1"), (1, "C2")):
    loss = (descent.loss if size == 100 else batches.loss[batches.batch.values == size]) - lowest
    for ax, unit in zip(axes, (1, size), strict=True):
        ax.plot(batches.step * unit, loss[0], color=colour, lw=0.5, alpha=0.5)
        ax.plot(batches.step * unit, loss.median("run"), color=colour, label=T.batch_of.format(size=size))
axes[0].set(yscale="log", ylim=(1e-7, 20), xlabel=T.steps, ylabel=T.excess_loss, title=T.by_steps)
axes[1].set(xscale="log", xlabel=T.samples_read, title=T.by_samples)
axes[0].legend()
plt.show()

# %% [markdown]
# T.noise

# %%
weights = np.array([0.0, 0.0])
gradients = 2 * (design @ weights - y)[:, None] * design
spread = [
    np.mean([np.sum((gradients[rng.choice(100, size, replace=False)].mean(0) - gradients.mean(0)) ** 2) for _ in range(4000)])
    for size in sizes
]  # fmt: skip
floor = (batches.loss[:, batches.step >= 500].mean("checkpoint") - lowest).groupby("batch").mean()
b, is_power = np.array(sizes), np.log2(sizes) % 1 == 0
law = gradients.var(0).sum() / b * (100 - b) / 99

# %%
fig, (left, right) = plt.subplots(1, 2)
left.loglog(b[:-1], law[:-1], "k--", label=r"$\frac{\sigma^2}{B}\,\frac{N-B}{N-1}$")
right.loglog(b, floor.values[0] / b, "k--", label=T.one_over_b)
for ax, values in ((left, np.array(spread)), (right, floor.values)):
    ax.plot(b[is_power], values[is_power], "o", color="C0", label=T.powers_of_two)
    ax.plot(b[~is_power], values[~is_power], "o", color="C0", mfc="white", label=T.other_sizes)
    ax.set(xlabel=T.batch_size)
    ax.legend()
left.set(title=T.noise_of_gradient, ylim=(law[-2] / 3, law[0] * 3))
right.set(title=T.floor_of_loss)
plt.show()

# %% [markdown]
# T.cost


# %%
import time


def seconds(size, steps):
    one = gd.Sweep(problem=line, optimizer=gd.SGD(lr=0.05), batch=size, starts=512, steps=steps, record=gd.Record(every="ends"))
    began = time.process_time()
    one.run(progress=False, threads=1)
    return time.process_time() - began


timed = np.array([1, 2, 4, 8, 15, 16, 17, 31, 32, 33, 50, 64, 100])
tries = [[seconds(size, 1000) - seconds(size, 1) for size in timed.tolist()] for _ in range(5)]
nanoseconds = np.median(tries, axis=0) / 512 / 999 * 1e9 / timed
power_timed = np.log2(timed) % 1 == 0

# %%
fig, ax = plt.subplots()
ax.semilogx(timed[power_timed], nanoseconds[power_timed], "o", color="C0", label=T.powers_of_two)
ax.plot(timed[~power_timed], nanoseconds[~power_timed], "o", color="C0", mfc="white", label=T.other_sizes)
ax.set(xlabel=T.batch_size, ylabel=T.nanoseconds, title=T.cost_of_step, ylim=(0, 1.3 * nanoseconds.max()))
ax.legend()
plt.show()

# %% [markdown]
# T.exercise_floor

# %% tags=["solution"]
halved = gd.Sweep(
    problem=line, optimizer=gd.SGD(lr=[0.05, 0.025]), batch=8, shuffle="replacement", starts=400, steps=2000,
    record=gd.Record(every=10),
).run(progress=False)  # fmt: skip
late = (halved.loss[:, halved.step >= 1000].mean("checkpoint") - lowest).groupby("lr").mean()
print(T.floor_ratio.format(ratio=late.sel(lr=0.025).item() / late.sel(lr=0.05).item()))

# %% [markdown]
# T.robbins_monro

# %%
z = rng.normal(size=2000)
z = (z - z.mean()) / z.std()
mean = gd.Expression("(w - x)**2/2", variables=["w"], data=gd.Data(z[:, None], 0 * z))
falling = gd.Sweep(
    problem=mean, optimizer=gd.SGD(lr=[0.1, 1.0]), schedule=gd.Power(exponent=[0, 0.3, 1, 2]), batch=1,
    shuffle="replacement", init=np.full((400, 1), 5.0), starts=400, steps=10_000, record=gd.Record(trajectory=True),
).run(progress=False)  # fmt: skip

# %%
fig, ax = plt.subplots(figsize=(8.5, 4.2))
t = falling.step.values[1:]
cells = {(0.1, 0): "$0.1$", (0.1, 0.3): "$0.1/t^{0.3}$", (1.0, 1): "$1/t$", (0.1, 1): "$0.1/t$", (0.1, 2): "$0.1/t^2$"}
for (rate, power), name in cells.items():
    mine = (falling.lr.values == rate) & (falling.exponent.values == power)
    ax.loglog(t, (falling.trajectory[mine, 1:, 0] ** 2).mean("run"), ".-", label=name)
eta = 0.1 / t**0.3
ax.plot(t, 1 / t, "k:", label=r"$\sigma^2/t$")
ax.plot(t[9:], (eta / (2 - eta))[9:], "k--", label=r"$\eta_t\sigma^2/(2-\eta_t)$")
ax.set(xlabel="t", ylabel=T.squared_distance, title=T.falling_rates)
ax.legend(loc="lower left", ncols=2)
plt.show()
