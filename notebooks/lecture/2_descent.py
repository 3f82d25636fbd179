# %% [markdown]
# T.descent

# %%
bowl = gd.Quadratic(np.diag([1.0, 10.0]), [[0.0, 0.0]])
rates = [0.01, 2 / 11, 0.19, 0.21]
paths = gd.Sweep(
    problem=bowl,
    optimizer=gd.SGD(lr=rates),
    init=[[-4.0, 1.0]],
    steps=60,
    record=gd.Record(every=1, trajectory=True),
).run(progress=False)
print(*(f"{rate:.3g}: {loss:.2g}" for rate, loss in zip(rates, paths.final_loss.values, strict=True)), sep="\n")

# %%
X, Y = np.meshgrid(np.linspace(-5, 5, 80), np.linspace(-2, 2, 80))
fig, axes = plt.subplots(2, 2, figsize=(8.5, 4.2), sharex=True, sharey=True)
for k, (ax, title) in enumerate(zip(axes.flat, (T.too_small, T.good, T.near_the_edge, T.too_large), strict=True)):
    ax.contour(X, Y, X**2 / 2 + 5 * Y**2, np.geomspace(0.1, 30, 10), cmap="cividis", linewidths=0.7)
    ax.plot(*paths.trajectory[k].values.T, ".-", color="C1", lw=1)
    ax.plot(0, 0, "kx")
    ax.set(xlim=(-5, 5), ylim=(-2, 2), title=title.format(rate=rates[k]))
plt.show()

# %% [markdown]
# T.factors

# %%
many = gd.Sweep(
    problem=bowl, optimizer=gd.SGD(lr=gd.linspace(0.002, 0.24, 120)), init=gd.Normal(), starts=200, steps=60,
    record=gd.Record(every=1, trajectory=True),
).run(progress=False)  # fmt: skip
by_rate = many.final_loss.groupby("lr").quantile([0.05, 0.5, 0.95])
fig, ax = plt.subplots()
ax.fill_between(by_rate.lr, by_rate[:, 0], by_rate[:, 2], alpha=0.3, label=T.nine_tenths)
ax.semilogy(by_rate.lr, by_rate[:, 1], label=T.median_run)
ax.semilogy(by_rate.lr, np.maximum(abs(1 - by_rate.lr), abs(1 - 10 * by_rate.lr)) ** 120, "k--", label=T.slowest_factor)
ax.axvline(2 / 11, color="C2", label=r"$2\,/\,(L+\mu)$")
ax.axvline(2 / 10, color="C3", label=r"$2\,/\,L$")
ax.set(xlabel=T.rate, ylabel=T.loss_after_60, ylim=(1e-12, 1e9), title=T.population_of_rates.format(runs=many.sizes["run"]))
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# T.exercise_rate

# %% tags=["solution"]
best = by_rate.lr.values[np.argmin(by_rate.values[:, 1])]
print(T.best_rate.format(measured=best, formula=2 / 11))

# %% [markdown]
# T.stopping

# %%
hole = gd.Expression("-exp(-x**2/2)")
starts = np.linspace(-6, 6, 241)
criteria = {
    "|g| < 0.001": (gd.SmallGradient(1e-3), gd.Constant()),
    r"|\Delta w| < 0.001": (gd.SmallStep(1e-3), gd.InverseTime()),
    r"\Delta f < 0.0001\,|f|": (gd.Plateau(patience=10), gd.Constant()),
    "f < -0.999": (gd.Target(-0.999), gd.Constant()),
}
ends = {
    name: gd.Sweep(
        problem=hole, optimizer=gd.SGD(lr=0.2), schedule=schedule, init=starts[:, None], starts=len(starts), steps=300,
        stop=[stop], record=gd.Record(every="ends", parameters=True),
    ).run(progress=False) for name, (stop, schedule) in criteria.items()
}  # fmt: skip

# %%
fig, axes = plt.subplots(1, 4, figsize=(11, 3.4), sharey=True)
titles = (T.small_gradient, T.small_step, T.no_progress, T.target)
for ax, (name, result), title in zip(axes, ends.items(), titles, strict=True):
    for status, colour in (("converged", "C0"), ("stalled", "C0"), ("budget", "C1")):
        mine = result.status.values == status
        if mine.any():
            label = T.out_of_steps if status == "budget" else T.stopped_itself
            ax.plot(starts[mine], result.parameters.values[mine, 0], ".", ms=4, color=colour, label=label)
    ax.set(title=f"{title}\n${name}$", xlabel=T.start)
axes[0].set_ylabel(T.where_it_ended)
axes[1].legend()
axes[3].legend()
plt.show()

# %% [markdown]
# T.stopping_lesson

# %%
titles = (T.small_gradient, T.small_step, T.no_progress, T.target)
for result, title in zip(ends.values(), titles, strict=True):
    itself = result.status.values != "budget"
    wrong = itself & (abs(result.parameters.values[:, 0]) > 0.1)
    print(T.misled.format(title=title, itself=itself.mean(), wrong=wrong.sum() / itself.sum()))
