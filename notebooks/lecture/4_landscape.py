# %% [markdown]
# T.falling_lesson

# %% [markdown]
# T.local_minima

# %%
noise = rng.normal(size=1000)
noise = (noise - noise.mean()) / noise.std()
wells = gd.Expression("w**4/4 - w**2/2 + 0.1*w + x*w", variables=["w"], data=gd.Data(noise[:, None], 0 * noise))
common = {
    "problem": wells, "optimizer": gd.SGD(lr=[0.01, 0.05, 0.1]), "init": np.linspace(0.2, 1.5, 300)[:, None],
    "starts": 300, "steps": 2000, "shuffle": "replacement", "record": gd.Record(every=10, trajectory=True),
}  # fmt: skip
whole, single = (gd.Sweep(batch=batch, **common).run(progress=False) for batch in (None, 1))
last = [result.trajectory[result.lr.values == 0.1, -1, 0] for result in (whole, single)]
w = np.linspace(-1.8, 1.6, 200)

# %%
fig, (left, right) = plt.subplots(1, 2)
left.plot(w, w**4 / 4 - w**2 / 2 + 0.1 * w, "k")
ends = left.twinx()
ends.hist(last, bins=np.linspace(-1.8, 1.6, 35), color=["C0", "C1"], alpha=0.7, label=[T.whole_data, T.one_sample])
ends.set(yticks=[])
left.set(xlabel="w", title=T.two_wells, ylim=(-0.55, 1))
ends.legend(loc="upper left")
for result, style, kind in ((single, "-", T.one_sample), (whole, "--", T.whole_data)):
    crossed = (result.trajectory[:, :, 0] < 0).groupby("lr").mean()
    for rate, share in crossed.groupby("lr"):
        right.plot(result.step, share.squeeze(), style, label=f"{kind}, $\\eta$ = {rate}")
right.set(xlabel=T.steps, ylabel=T.share_crossed, title=T.who_crosses)
right.legend(fontsize="x-small")
plt.show()

# %% [markdown]
# T.wells_lesson

# %% [markdown]
# T.saddles

# %%
y0 = np.logspace(-12, -1, 23)
starts = np.column_stack([np.ones(23), y0])
rules = {"SGD": gd.SGD(lr=0.1), "Momentum": gd.Momentum(lr=0.1), "RMSprop": gd.RMSprop(lr=0.01)}
saddle = gd.Sweep(
    problem=gd.Expression("x**2/2 - y**2/2 + y**4/4"), optimizer=list(rules.values()), init=starts, starts=23,
    steps=500, stop=[gd.Target(-0.2)], record=gd.Record(every=1),
).run(progress=False)  # fmt: skip

# %%
fig, (left, right) = plt.subplots(1, 2)
for name, marker in zip(rules, "o^s", strict=True):
    mine = saddle.isel(run=saddle.optimizer.values == name)
    left.semilogx(y0, mine.steps_taken, marker, ms=4, label=name)
    right.plot(saddle.step, mine.loss[6], label=name)
reach = np.sqrt(1 - np.sqrt(0.2))
left.plot(y0, np.log(reach / y0) / np.log(1.1), "k--", label=r"$\ln(y_T/y_0)\,/\,\ln(1+\eta)$")
left.set(xlabel=T.distance_from_ridge, ylabel=T.steps_to_leave, title=T.leaving_a_saddle)
right.set(xlabel=T.step, ylabel=T.loss, xlim=(0, 300), title=T.plateau_of.format(y=y0[6]))
left.legend()
right.legend()
plt.show()

# %% [markdown]
# T.exercise_saddle

# %% tags=["solution"]
ridge = gd.Sweep(
    problem=gd.Expression("x**2/2 - y**2/2 + y**4/4"), optimizer=list(rules.values()), init=[[1.0, 0.0]], steps=500,
    stop=[gd.Target(-0.2)], record=gd.Record(every="ends", parameters=True),
).run(progress=False)  # fmt: skip
for name, status, end in zip(rules, ridge.status.values, ridge.parameters.values, strict=True):
    how = T.out_of_steps if status == "budget" else T.stopped_itself
    print(f"{name}: {how}, x = {end[0]:.2g}, y = {end[1]:.2g}")

# %% [markdown]
# T.cycles

# %%
ripples = gd.functions.Rastrigin(dim=1)
peaks = gd.logspace(0.001, 0.1, 21)
schedules = [gd.Constant(), gd.Cosine(cycle=100), gd.CosineDecay(1000)]
cyclic = gd.Sweep(
    problem=ripples, optimizer=gd.SGD(lr=peaks), schedule=schedules, starts=400, steps=1000,
    record=gd.Record(every=5, trajectory=True),
).run(progress=False)  # fmt: skip

# %%
in_best = (abs(cyclic.trajectory[:, :, 0]) < 0.1).astype(float)
last = in_best[:, -1].groupby(["lr", "schedule"]).mean()
at = float(last.sel(schedule="Cosine").idxmax("lr"))
x = np.linspace(-5, 5, 500)

# %%
fig, (one, two, three) = plt.subplots(1, 3, figsize=(11, 3.4))
one.plot(x, ripples.value(x[:, None]), "k")
for kind, name in (("Constant", T.constant_rate), ("Cosine", T.cosine_cycles), ("CosineDecay", T.one_fall)):
    mine = (cyclic.schedule.values == kind) & np.isclose(cyclic.lr.values, at)
    two.semilogx(last.lr, last.sel(schedule=kind), ".-", label=name)
    three.plot(cyclic.step, in_best[mine].mean("run"))
two.axhline(1 / 11, color="k", ls=":", label="1/11")
one.set(xlabel="x", title=T.rastrigin)
two.set(xlabel=T.peak_rate, ylabel=T.share_in_best, title=T.after_1000, ylim=(0, 1))
three.set(xlabel=T.step, title=T.at_peak.format(rate=at), ylim=(0, 1))
two.legend(fontsize="x-small", loc="upper left")
plt.show()

# %% [markdown]
# T.cycles_lesson

# %% [markdown]
# T.multistart

# %%
four = gd.functions.StyblinskiTang(dim=2)
runs = gd.Sweep(
    problem=four, optimizer=gd.SGD(lr=0.01), starts=4000, steps=400, stop=[gd.SmallGradient(1e-9)],
    record=gd.Record(trajectory=True, parameters=True),
).run(progress=False)  # fmt: skip
minima = gd.analysis.minima_by_loss(runs)
minima[["loss", "count"]].isel(cell=0).to_dataframe()[["loss", "count"]]

# %%
start, end = runs.trajectory[:, 0].values, runs.parameters.values
p = ((0.15673126 + 5) / 10) ** 2
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4))
left.scatter(*start.T, c=(end[:, 0] > 0) * 2 + (end[:, 1] > 0), cmap="cividis", s=3)
left.plot(*np.unique(end.round(3), axis=0).T, "X", color="white", mec="black", ms=11)
left.set(xlabel="x", ylabel="y", aspect="equal", title=T.basins)
k, found = np.arange(1, 21), (end < 0).all(axis=1)
measured = [found[: 4000 // n * n].reshape(-1, n).any(axis=1).mean() for n in k]
right.plot(k, measured, "o", label=T.measured)
right.plot(k, 1 - (1 - p) ** k, "k--", label=r"$1-(1-p)^k,\ p = 0.5157^2$")
right.set(xlabel=T.starts_k, ylabel=T.share_found, title=T.best_of_k, ylim=(0, 1.03), xticks=range(0, 21, 5))
right.legend()
plt.show()
