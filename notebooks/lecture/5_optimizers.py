# %% [markdown]
# T.optimizers

# %%
valley = gd.functions.Rosenbrock()
good = {
    gd.SGD: 1e-3, gd.Momentum: 1e-3, gd.Nesterov: 1e-3, gd.AdaGrad: 1.0, gd.RMSprop: 1e-3, gd.Adam: 0.3,
    gd.AdaBelief: 0.3,
}  # fmt: skip
race = gd.Sweep(
    problem=valley, optimizer=[rule(lr=rate) for rule, rate in good.items()], init=[[-1.2, 1.0]], steps=500,
    record=gd.Record(every=1, trajectory=True),
).run(progress=False)  # fmt: skip

# %%
X, Y = np.meshgrid(np.linspace(-1.9, 1.9, 150), np.linspace(-0.8, 2.4, 150))
levels = np.geomspace(0.1, 1000, 12)
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4))
left.contour(X, Y, valley.value(np.stack([X, Y], axis=-1).reshape(-1, 2)).reshape(X.shape), levels, cmap="cividis", linewidths=0.7)
for k, name in enumerate(race.optimizer.values):
    left.plot(*race.trajectory[k].values.T, ".-", ms=2, lw=0.8, color=f"C{k}", label=f"{name}, $\\eta$ = {list(good.values())[k]:g}")
    right.loglog(race.step[1:], race.loss[k, 1:], "--" if name == "AdaBelief" else "-", color=f"C{k}")
left.plot(1, 1, "kx")
left.set(xlim=(-1.9, 1.9), ylim=(-0.8, 2.4), title=T.paths)
left.legend(loc="lower left", fontsize="x-small", ncols=2)
right.set(xlabel=T.step, title=T.loss_on_the_way, ylim=(1e-6, 1e3))
plt.show()

# %% [markdown]
# T.film

# %%
film = plt.figure(figsize=(5, 3.8), dpi=64)
ax = film.subplots()
ax.contour(X, Y, valley.value(np.stack([X, Y], axis=-1).reshape(-1, 2)).reshape(X.shape), levels, colors="0.8", linewidths=0.6)
lines = [ax.plot([], [], lw=1, color=f"C{k}", label=name)[0] for k, name in enumerate(race.optimizer.values)]
heads = [ax.plot([], [], "o", color=f"C{k}")[0] for k in range(len(lines))]
ax.legend(loc="lower left", fontsize="x-small", ncols=2)
plt.close(film)


def show(step):
    for k, (line_of, head) in enumerate(zip(lines, heads, strict=True)):
        line_of.set_data(*race.trajectory[k, : step + 1].values.T)
        head.set_data(*race.trajectory[k, step].values[:, None])
    ax.set_title(f"t = {step}")


# %%
from IPython.display import Image
from matplotlib.animation import FuncAnimation, PillowWriter

frames = np.unique(np.geomspace(1, 501, 45).astype(int)) - 1
FuncAnimation(film, show, frames=frames).save("race.gif", writer=PillowWriter(fps=8))
Image("race.gif")

# %% [markdown]
# T.many_starts

# %%
tuned = gd.Sweep(
    problem=valley, optimizer=[rule(lr=gd.logspace(rate / 100, rate * 100, 9)) for rule, rate in good.items()],
    starts=100, steps=20_000, stop=[gd.Target(1e-6)],
).run(progress=False)  # fmt: skip
compared = gd.analysis.compare_tuned(tuned)
fig, ax = plt.subplots(figsize=(8.5, 4))
for name, cell in zip(compared.optimizer.values, compared.cell.values, strict=True):
    mine = tuned.isel(run=tuned.cell.values == cell)
    times = np.sort(mine.steps_taken.values[mine.status.values == "converged"])
    label = T.share_arrived.format(name=name, rate=mine.lr.values[0], share=len(times) / mine.sizes["run"])
    ax.step(np.append(times, 20_000), np.append(np.arange(1, len(times) + 1), len(times)) / mine.sizes["run"], where="post", label=label)
ax.set(xscale="log", xlabel=T.steps, ylabel=T.share_of_starts, xlim=(100, 20_000), title=T.arrived_by)
ax.legend(fontsize="x-small")
plt.show()

# %% [markdown]
# T.race_lesson

# %% [markdown]
# T.adagrad

# %%
far = gd.Sweep(
    problem=line, optimizer=[gd.AdaGrad(lr=0.3), gd.RMSprop(lr=0.03), gd.Adam(lr=0.03)], batch=1,
    shuffle="replacement", init=np.full((40, 2), 30.0), starts=40, steps=10_000, record=gd.Record(every=1, trajectory=True),
).run(progress=False)  # fmt: skip
solution = np.linalg.lstsq(design, y, rcond=None)[0]

# %%
fig, (left, right) = plt.subplots(1, 2, sharex=True)
t = far.step.values[1:]
for name, path in far.trajectory.groupby("optimizer"):
    moved = np.linalg.norm(np.diff(path.values, axis=1), axis=2).mean(axis=0)
    left.loglog(t, np.convolve(moved, np.ones(20) / 20, "same"), lw=1, label=name)
    right.loglog(t, np.linalg.norm(path.values[:, 1:] - solution, axis=2).mean(axis=0), lw=1, label=name)
left.plot(t, 0.4 / np.sqrt(t), "k--", label=r"$\propto 1/\sqrt{t}$")
left.set(xlabel=T.step, title=T.length_of_step, xlim=(10, 9000))
right.set(xlabel=T.step, title=T.distance_left)
left.legend()
plt.show()
