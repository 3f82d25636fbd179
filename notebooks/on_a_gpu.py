# %% [markdown]
# # The same runs on a GPU
#
# gdsim trains on processors or on an NVIDIA GPU, and a run has the same bits on both. So this notebook has no
# version for either: every cell runs with a GPU and without one, and what each says of the machine is of the machine
# that ran it. `docs/how-to/gpu.md` says what a GPU needs.
#
# State: kernels for GPUs are compiled, and executed instruction by instruction by an interpreter in the tests; they
# have not yet been run on a device, and nothing about a GPU's speed here is measured.

# %%
import json
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import numpy as np

import gdsim as gd

moons = gd.datasets.load("moons")
network = gd.MLP(moons, hidden=[8], activation="tanh", loss="log_loss")
common = {"problem": network, "optimizer": gd.Momentum(lr=[0.1, 0.5, 2.0, 5.0], momentum=0.9), "batch": 32}
sweep = gd.Sweep(**common, starts=50, steps=400, record=gd.Record(every=10, trajectory=True))

# %% [markdown]
# ## What would train it
#
# `device="auto"` takes whichever is estimated to be sooner, compilation included; processors where no GPU can be
# used. The plan says which, and why, before anything is trained.

# %%
choice = sweep.plan(device="auto").choice
choice.device, choice.sentence

# %% [markdown]
# `device="cuda"` insists, and where it cannot be used it is refused in one line. That tells a program what the
# machine has:

# %%
try:
    sweep.plan(device="cuda")
    device, why = "cuda", "a GPU can train this sweep"
except ValueError as error:
    device, why = "cpu", str(error)
device, why

# %% [markdown]
# The command `gdsim doctor` says more: each GPU with its driver and memory, and whether numbers that it finds have the
# known bits; or what is missing.

# %%
doctor = subprocess.run([sys.executable, "-m", "gdsim", "doctor", "--json"], check=False, capture_output=True, text=True)
report = json.loads(doctor.stdout)
report["gpus"] or report["no_gpu"]

# %% [markdown]
# ## The same bits
#
# The sweep is trained by what was chosen, and by processors. Equal to seven digits would not do, so numbers are
# compared as the integers that their bits spell. None of the columns differs.


# %%
def bits(values):
    return values.view(f"u{values.itemsize}") if values.dtype.kind == "f" else values


def unequal(one, other):
    return [name for name in one.data_vars if not np.array_equal(bits(one[name].values), bits(other[name].values))]


chosen = sweep.run(device="auto", progress=False)
processors = sweep.run(device="cpu", progress=False)
print(f"columns that differ: {unequal(chosen, processors)}, of {len(processors.data_vars)}")

# %% [markdown]
# Where there is no GPU both were trained by processors, and the cell has shown only that training is repeatable. If
# the sweep is small, that is so beside a GPU too. This one insists on the GPU, where there is one:

# %%
insisted = sweep.run(device=device, progress=False)
print(f"columns that differ: {unequal(insisted, processors)}")

# %% [markdown]
# ## What one bit is worth
#
# Is that not pedantry? The same runs once more, each from a start of which one weight has moved to the next number
# that float32 has, which changes it by a ten-millionth or so. A GPU whose sums are rounded in another order
# does the like in every step.

# %%
starts = processors.trajectory.values[processors.cell.values == 0, 0]
moved = starts.copy()
moved[:, 0] = np.nextafter(moved[:, 0], np.float32(np.inf))
one, other = (gd.Sweep(**common, init=points, steps=400, record=gd.Record(every=10)).run(device=device, progress=False) for points in (starts, moved))
print(f"columns that differ: {len(unequal(one, other))} of {len(one.data_vars)}")

# %%
apart = abs(one.loss - other.loss).groupby("lr").median("run")
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for rate, color in zip(apart.lr.values, plt.cm.viridis(np.linspace(0, 0.85, 4)), strict=True):
    ax.plot(apart.step, apart.sel(lr=rate) + 1e-9, color=color, label=f"learning rate {rate:g}")
ax.set(yscale="log", xlabel="step", ylabel="difference of the two losses\n(median of 50 starts, plus 1e-9)")
ax.legend()
plt.show()

# %% [markdown]
# At small rates the difference stays in the last digits. At large ones training is chaotic: the difference grows
# until the two runs have nothing in common but their law. There "nearly the same on the GPU" means another run, and
# no run that was found on one machine could be looked at on another. With equal bits it can.

# %% [markdown]
# ## Begun on one, finished on the other
#
# Half of the steps are taken by what this machine has, a GPU if it can train, the others by processors. From
# step 200 on nothing tells that from training at once, the rule's velocity included. Folders (`out=`) go on
# likewise: what a GPU has begun can be resumed on a laptop.

# %%
state = gd.Record(every=10, state=True)
half = gd.Sweep(**common, starts=50, steps=200, record=state).run(device=device, progress=False)
whole = gd.continue_from(half, steps=200, device="cpu", progress=False)
at_once = gd.Sweep(**common, starts=50, steps=400, record=state).run(device="cpu", progress=False)
second_half = at_once.isel(checkpoint=at_once.step.values >= 200)
print(f"columns that differ: {unequal(whole, second_half)}, of {len(whole.data_vars)}")

# %% [markdown]
# ## Questions around a point
#
# `gd.evaluate`, `gd.predict`, `gd.curvature` and `gd.landscape` take `device="cpu"` or `"cuda"` too. The plane below
# has 101 x 101 points, a loss of all samples at each, computed by what this machine has.

# %%
best = processors.isel(run=int(np.argmin(processors.final_loss.values)))
center = best.trajectory.values[-1]
plane = gd.landscape.plane(network, center, points=101, device=device, progress=False)
same = unequal(plane, gd.landscape.plane(network, center, points=101, device="cpu", progress=False))
scores = gd.evaluate(network, center, device=device)
print(f"columns that differ: {same}; loss {float(scores.loss):.4f}, accuracy {float(scores.accuracy):.3f}")
gd.plots.landscape(plane)

# %% [markdown]
# ## Where a GPU pays
#
# Each thread of a GPU trains one run, slowly: its next instruction waits some cycles for the last. A GPU is fast
# because tens of thousands of threads wait at once. So $n$ runs of $f$ operations each take, on $m$ multiprocessors
# of $u$ units at a clock of $c$, about
#
# $$\max\Big(\underbrace{\frac{4 f}{c}}_{\text{one run alone}},\ \underbrace{\frac{n f}{0.1 \cdot 2\,u\,m\,c}}_{\text{all units at work}}\Big)$$
#
# seconds. The four cycles and the tenth of the peak are assumptions, made from counted instructions. Below are two
# cards by the numbers of their data sheets, the plan's estimate for this machine's processors, and what runs took here.

# %%
cards = {"H100": {"m": 132, "u": 128, "c": 1.98e9}, "T4": {"m": 40, "u": 64, "c": 1.59e9}}


def of(runs):
    return gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=gd.Adam(lr=0.01), starts=runs, steps=2000, record=gd.Record(every=500), dtype="float32")


def by_formula(runs, f, m, u, c):
    return np.maximum(4 * f / c, runs * f / (0.1 * 2 * u * m * c))


def taken(runs):
    began = time.perf_counter()
    of(runs).run(device="auto", progress=False)
    return time.perf_counter() - began


# %%
counts = np.array([10**k for k in range(2, 8)])
f = of(1).plan().operations
for where in {"cpu", device}:
    of(1000).run(device=where, progress=False)  # which compiles
measured = {runs: taken(runs) for runs in (100, 1000, 10_000, 100_000)}
estimated = {where: [of(int(runs)).plan(device=where).choice.seconds for runs in counts] for where in {"cpu", device}}
full = {name: 4 * 0.1 * 2 * card["u"] * card["m"] for name, card in cards.items()}
print("a card is full from so many runs on:", {name: round(runs) for name, runs in full.items()})

# %%
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
runs = np.geomspace(1e2, 1e7, 200)
for name, card in cards.items():
    ax.plot(runs, by_formula(runs, f, **card), label=f"{name}, by the formula")
for where, seconds in sorted(estimated.items()):
    ax.plot(counts, seconds, "--", color="0.4" if where == "cpu" else "C3", label=f'plan(device="{where}"), an estimate')
ax.plot(*zip(*measured.items(), strict=True), "ko", label='run(device="auto"), measured here')
ax.axhline(7, color="C4", lw=1, ls=":", label="compiling a function for a GPU, the first time")
ax.set(xscale="log", yscale="log", xlabel="runs side by side, of 2000 steps of Adam", ylabel="seconds")
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# - By the formula more runs cost nothing until a card is full. A GPU is no way to train one small model sooner.
# - From there on all lines are parallel, and their distance is the gain.
# - Where a card's line crosses that of processors, both take about as long as one run, a moment in which the rest of
#   a sweep is not done. The gain begins to matter some way to the right: some ten thousand runs are a fair rule.
# - The formula counts training alone. Starts are drawn and results are kept by processors in any case, which is why
#   the few runs that were measured lie above the estimate of their training.
# - A kernel is compiled once, and kept. The first time that takes longer than training small sweeps does.
