# %% [markdown]
# # Which optimizer?
#
# An optimizer cannot be judged without its learning rate, and a rate that was chosen and measured on the same
# runs flatters it. Four optimizers on handwritten digits: each over its rates, from common starts, with a
# validation set to choose by and a test set that nothing is chosen by. Of each run `Validation` keeps the parameters
# at which its validation loss was lowest, and is too patient here to end one.

# %%
import numpy as np

import gdsim as gd

digits = gd.datasets.load("digits", validation=0.2, test=0.2)
rates = gd.logspace(1e-4, 1, 9)
sweep = gd.Sweep(
    problem=gd.MLP(digits, hidden=[16]),
    optimizer=[gd.SGD(lr=rates), gd.Momentum(lr=rates), gd.RMSprop(lr=rates), gd.Adam(lr=rates)],
    starts=24,
    steps=600,
    batch=32,
    stop=[gd.Validation(patience=600)],
)
print(sweep.plan())

# %%
result = sweep.run(progress=False)
gd.table(result).head(8)

# %% [markdown]
# ## How much does the rate matter?
#
# The median of each optimizer over its learning rate. The optimizers differ less at their best rates than each
# differs from itself at a bad one.

# %%
gd.plots.sensitivity_curve(result)

# %% [markdown]
# ## Each at its best
#
# `compare_tuned` chooses each optimizer's cell on the odd starts and compares on the even ones, pair by pair on the
# same start: Wilcoxon's signed-rank test, Holm's correction for the number of pairs, and a bootstrap
# interval for the ratio.

# %%
gd.plots.compare_tuned(result)

# %%
print(*gd.analysis.sentences(gd.analysis.compare_tuned(result)), sep="\n")

# %% [markdown]
# ## What if there is little to spend on tuning?
#
# Of $n$ rates drawn at random from the grid, how good is the best on average? An optimizer whose curve is low
# at $n = 1$ needs little tuning; one that is low only at the right end has to be tuned.

# %%
gd.plots.budget_curve(result)

# %% [markdown]
# ## On what does the ranking depend?
#
# The same runs, ranked by what a user might care for: the time to a loss of 0.3 or 0.03, the final loss, and the
# best validation loss. Each line has the optimizers in their order, each at the cell that is best by this measure.

# %%
measures = {
    "steps to 0.3": {"target": 0.3},
    "steps to 0.03": {"target": 0.03},
    "final loss": {"variable": "final_loss"},
    "validation loss": {"variable": "best_validation_loss"},
}
tables = {name: gd.table(result, columns="all", **how) for name, how in measures.items()}
orders = {
    name: list(dict.fromkeys(table.sort_values("rank").optimizer)) for name, table in tables.items()
}  # fmt: skip
orders

# %% [markdown]
# And the rates at which each is best:

# %%
import pandas

pandas.DataFrame({name: table.sort_values("rank").groupby("optimizer").lr.first() for name, table in tables.items()}).round(4)

# %% [markdown]
# ## The test set
#
# The validation loss chose each optimizer's cell, and each run's step, so it cannot judge them too. The test set was
# not looked at: here is its accuracy at those steps, the mean over 24 starts with a bootstrap interval.

# %%
chosen = tables["validation loss"].sort_values("rank").groupby("optimizer").head(1).cell
rows = {}
for cell in chosen:
    mine = result.isel(run=result.cell.values == cell)
    accuracy = gd.evaluate(mine, on="test", variable="best_parameters").accuracy.values
    draws = np.random.default_rng(0).choice(accuracy, (2000, len(accuracy))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    rows[mine.label.values[0]] = {"test accuracy": accuracy.mean(), "low": low, "high": high}
pandas.DataFrame(rows).T.round(4)

# %% [markdown]
# At their own rates the optimizers lie within one percentage point of each other. What differs is how soon they are there, how far
# the rate may be from the best one, and who is first by which measure. That is what a comparison can say,
# and a single number cannot.
