# %% [markdown]
# # Many networks as one scikit-learn estimator
#
# `gd.MultistartClassifier` is scikit-learn's `MLPClassifier` from many starts at once: its parameters have the same
# names, and it stands wherever an estimator does, in pipelines and in grid searches.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gdsim as gd

# %% [markdown]
# ## One start is an anecdote
#
# Sixty-four networks on the same data, by the same rule, from 64 starts. Each predicts the test set by itself, and
# together they average their probabilities. They stop after 60 epochs, on purpose, which scikit-learn would warn of;
# a few stop earlier, where ten epochs in a row improved the loss by less than 0.0001, its rule too.

# %%
X, y = load_breast_cancer(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, random_state=0, stratify=y)
warnings.simplefilter("ignore", ConvergenceWarning)
settings = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.01, "max_iter": 60, "batch_size": 32}
scaler = StandardScaler().fit(X)
Z, Z_test = scaler.transform(X), scaler.transform(X_test)
many = gd.MultistartClassifier(n_starts=64, random_state=0, **settings).fit(Z, y)
many


# %%
def log_loss(probability):
    return -np.mean(np.log(np.where(y_test == 1, probability, 1 - probability).clip(1e-12)), axis=-1)


# %%
single = gd.predict(many.result_, Z_test).values[:, :, 0]
together = many.predict_proba(Z_test)[:, 1]
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.hist(((single > 0.5) == y_test).mean(1), bins=15, color="#0072b2", alpha=0.7, label="64 networks, each alone")
left.axvline(many.score(Z_test, y_test), color="#d55e00", label="their average")
right.hist(log_loss(single), bins=15, color="#0072b2", alpha=0.7)
right.axvline(log_loss(together), color="#d55e00")
left.set(xlabel="accuracy on the test set", ylabel="networks")
right.set(xlabel="log loss on the test set")
left.set_ylim(top=1.35 * left.get_ylim()[1])
left.legend(loc="upper left", fontsize="small")
plt.show()

# %% [markdown]
# The networks differ by their starts alone, and which of them is good on the test set cannot be known from one. The
# average is one number. Is it better than its members, as where errors cancel, or no better, as where all err alike?

# %%
accuracy = ((single > 0.5) == y_test).mean(1)
print(f"higher accuracy than the average: {np.mean(accuracy > many.score(Z_test, y_test)):.0%} of the networks")
print(f"lower log loss than the average: {np.mean(log_loss(single) < log_loss(together)):.0%} of the networks")
told = spearmanr(many.result_.final_loss, log_loss(single)).statistic
print(f"rank correlation of the loss in training and on the test set: {told:.2f}")

# %% [markdown]
# By accuracy the average is no better than the networks in the middle: they err on the same samples. By log loss it
# is better than most, and never worse than their mean, as the logarithm is concave: where one network is wrong and
# sure of it, others are less sure. Some are better still, but which, the loss in training does not tell.

# %% [markdown]
# ## The same training as scikit-learn's
#
# The curves of all 64 networks, and of twenty of scikit-learn with the same settings, from starts of their own: two
# samples of one population.

# %%
theirs = [MLPClassifier(random_state=k, **settings).fit(Z, y).loss_curve_ for k in range(20)]
ours = [curve[np.isfinite(curve)] for curve in many.result_.epoch_loss.values]
for name, curves in (("scikit-learn", theirs), ("gdsim", ours)):
    print(f"{name:12} quartiles of the last loss:", np.quantile([curve[-1] for curve in curves], [0.25, 0.5, 0.75]).round(4))

# %%
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for curves, colour, name in ((ours, "#0072b2", "gdsim, 64 starts"), (theirs, "#d55e00", "scikit-learn, 20 starts")):
    for k, curve in enumerate(curves):
        ax.semilogy(curve, color=colour, lw=0.5, alpha=0.7, label=None if k else name)
ax.set(xlabel="epoch", ylabel="mean loss of the epoch's batches")
ax.legend()
plt.show()

# %% [markdown]
# ## In a pipeline, searched
#
# The optimizer is a parameter, and so are its fields: a search over learning rates compiles once.

# %%
model = gd.MultistartClassifier((16,), n_starts=16, optimizer=gd.Momentum(), batch_size=32, max_iter=30, random_state=0)
search = GridSearchCV(
    make_pipeline(StandardScaler(), model),
    {"multistartclassifier__optimizer__lr": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]},
    scoring="neg_log_loss",
    cv=4,
)
search.fit(X, y)
search.best_params_, -search.score(X_test, y_test)

# %% [markdown]
# The rate that four folds of the training set chose, and the log loss on the test set of the 16 networks' average.
