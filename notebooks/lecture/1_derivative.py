# %% [markdown]
# T.title

# %%
import matplotlib.pyplot as plt
import numpy as np

import gdsim as gd

colours = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000"]
plt.rcParams.update({"figure.figsize": (8.5, 3.6), "figure.constrained_layout.use": True, "figure.dpi": 80})
plt.rcParams.update({"axes.grid": True, "grid.alpha": 0.3, "legend.fontsize": "small"})
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=colours)

# %% [markdown]
# T.derivative

# %%
x, h = np.linspace(-1, 2, 200), np.logspace(-14, 0, 60)
fig, (left, right) = plt.subplots(1, 2)
left.plot(x, np.exp(x) + 1, label="$e^x+1$")
left.plot(x, np.e + 1 + np.e * (x - 1), "--", label=T.tangent.format(slope=np.e))
for step in (0.9, 0.4):
    slope = (np.exp(1 + step) - np.e) / step
    left.plot(x, np.e + 1 + slope * (x - 1), ":", label=T.secant.format(step=step, slope=slope))
left.plot(1, np.e + 1, "ko")
left.set(xlabel="x", ylim=(-2, 9), title=T.derivative_at_one)
left.legend()
right.loglog(h, np.abs((np.exp(1 + h) - np.e) / h - np.e), ".", label="$(f(1+h) - f(1))\\,/\\,h$")
right.loglog(h, np.abs((np.exp(1 + h) - np.exp(1 - h)) / (2 * h) - np.e), "+", label="$(f(1+h) - f(1-h))\\,/\\,2h$")
right.set(xlabel="h", title=T.difference_error, ylim=(1e-13, 10))
right.legend(loc="lower left")
plt.show()

# %% [markdown]
# T.gradient

# %%
surface = gd.Expression("exp(x) + 2*exp(y) + 1")
surface.gradient([[1.0, -1.0], [1.0, 0.0], [1.0, 1.0]])

# %% [markdown]
# T.sections

# %%
at = np.linspace(-1, 1.8, 100)
fig, (left, right) = plt.subplots(1, 2, sharey=True)
for y, colour in zip((-1, 0, 1), ("C0", "C1", "C2"), strict=True):
    left.plot(at, np.exp(at) + 2 * np.exp(y) + 1, color=colour, label=f"y = {y}")
    left.plot(at, np.e * at + 2 * np.exp(y) + 1, "--", color=colour, lw=1)
    left.plot(1, np.e + 2 * np.exp(y) + 1, "o", color=colour)
    right.plot(y, np.e + 2 * np.exp(y) + 1, "o", color=colour)
    right.plot(at, np.e + 1 + 2 * np.exp(y) * (1 + at - y), "--", color=colour, lw=1)
right.plot(at, np.e + 2 * np.exp(at) + 1, "k", label="x = 1")
left.set(xlabel="x", ylim=(0, 14), title=T.section_x)
right.set(xlabel="y", title=T.section_y)
left.legend()
plt.show()

# %% [markdown]
# T.surface

# %%
X, Y = np.meshgrid(np.linspace(-1, 1.6, 50), np.linspace(-1, 1.2, 50))
value = np.exp(X) + 2 * np.exp(Y) + 1
fig = plt.figure(figsize=(8.5, 4))
left, right = fig.add_subplot(1, 2, 1, projection="3d"), fig.add_subplot(1, 2, 2)
left.plot_surface(X, Y, value, cmap="cividis", alpha=0.75, rcount=25, ccount=25)
left.plot_wireframe(X, Y, np.e + 3 + np.e * (X - 1) + 2 * Y, color="C1", lw=0.5, rcount=8, ccount=8)
left.plot(X[0], 0 * X[0], np.exp(X[0]) + 3, "k")
left.set(xlabel="x", ylabel="y", title=T.tangent_plane)
right.contour(X, Y, value, 15, cmap="cividis")
y = np.linspace(-0.9, 0.75, 7)
right.quiver(1 + 0 * y, y, np.e + 0 * y, 2 * np.exp(y), angles="xy", scale_units="xy", scale=10, width=0.006)
right.set(xlabel="x", ylabel="y", title=T.gradients, aspect="equal")
plt.show()

# %% [markdown]
# T.antigradient

# %%
angle, (gx, gy) = np.linspace(0, 360, 200), surface.gradient([1.0, 0.0])
towards = np.stack([np.cos(np.radians(angle)), np.sin(np.radians(angle))], axis=1)
fig, ax = plt.subplots()
ax.plot(angle, np.hypot(gx, gy) * np.cos(np.radians(angle) - np.arctan2(gy, gx)), "k--", label=T.cosine)
for length in (0.5, 0.1, 0.01):
    change = (surface.value([1.0, 0.0] + length * towards) - surface.value([1.0, 0.0])) / length
    ax.plot(angle, change, label=T.step_of.format(length=length))
ax.axvline(np.degrees(np.arctan2(-gy, -gx)) % 360, color="C3", label=T.antigradient_label)
ax.set(xlabel=T.direction, ylabel=T.change_per_length, xticks=range(0, 361, 45), title=T.steepest)
ax.legend()
plt.show()

# %% [markdown]
# T.exercise_gradient

# %% tags=["solution"]
point, h = np.array([0.0, np.log(2.0)]), 1e-6
differences = [(surface.value(point + h * e) - surface.value(point - h * e)) / (2 * h) for e in np.eye(2)]
print(surface.gradient(point), np.round(differences, 6))
