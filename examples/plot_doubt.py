# %% [markdown]
"""
Does the spread find the rows that are wrong?
=============================================

An ensemble's members agree on rows like those that they have learned, and differ on
others. So their standard deviation finds rows that are unlike the training rows. Rows
whose targets are noisy it finds less well. Sparsification curves show both: the error
of the rows that are left, as those of most doubt are taken away. The data are
generated, so that this runs anywhere in a few seconds.
"""

# %%
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)


def make_rows(n_rows, width):
    """Draw rows; `width` says how far from the middle they are."""
    X = pd.DataFrame(rng.normal(scale=width, size=(n_rows, 4)), columns=list("abcd"))
    y = pd.DataFrame(
        {
            # Curved, so that there is something to learn anywhere; little noise.
            "smooth": np.sin(2 * X["a"]) + 0.5 * X["b"] ** 2,
            # A straight line; noise that differs from row to row.
            "noisy": X["c"] + rng.normal(size=n_rows) * np.exp(X["d"] / width),
        }
    )
    return X, y + rng.normal(scale=0.1, size=y.shape)


X, y = make_rows(800, width=1)
near, far = make_rows(800, width=1), make_rows(200, width=2)
X_test, y_test = (
    pd.concat(parts, ignore_index=True) for parts in zip(near, far, strict=True)
)

# %% [markdown]
# A fifth of the rows to predict are farther out than those that are learned from. The
# members of the ensemble (``cv=5``) know nothing of that.

# %%
from sklearn_mmoe import MultiTaskMMoERegressor

model = MultiTaskMMoERegressor(cv=5, max_iter=60, random_state=0).fit(X, y)
predicted, std = model.predict(X_test, return_std=True)
error = (predicted - y_test).abs()
is_far = X_test.index >= len(near[0])
pd.DataFrame({"near": std[~is_far].mean(), "far": std[is_far].mean()}).round(2)

# %% [markdown]
# The curves
# ----------
# Rows are taken away, those of most standard deviation first, and the root mean squared
# error of the others is drawn. The lowest curve that any measure of doubt could have
# takes the rows of most error first; one that says nothing leaves a level line.


# %%
def sparsification(error, doubt):
    """Compute the error of the rows of least doubt, for each number of them."""
    squares = error.to_numpy()[np.argsort(doubt.to_numpy(), kind="stable")] ** 2
    return np.sqrt(np.cumsum(squares) / np.arange(1, len(squares) + 1))


# %%
import matplotlib.pyplot as plt

taken = 1 - np.arange(1, len(error) + 1) / len(error)
kept = taken < 0.95  # of a few rows the error is chance
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for task, ax in zip(y, axes, strict=True):
    of_all = np.sqrt((error[task] ** 2).mean())
    by_spread = sparsification(error[task], std[task])
    by_error = sparsification(error[task], error[task])
    ax.axhline(of_all, color="0.6", linewidth=0.9, label="at random")
    ax.plot(taken[kept], by_spread[kept], color="C0", label="most spread first")
    ax.plot(taken[kept], by_error[kept], "--", color="C1", label="most error first")
    ax.set(title=task, xlabel="share of the rows taken away", ylim=(0, None))
axes[0].set_ylabel("root mean squared error of the others")
axes[0].legend(fontsize="small")

# %% [markdown]
# As a number: how much of what the best order gains the standard deviation gains, 1 for
# the best and 0 for none.

# %%
gains = {}
for task in y:
    of_all = np.sqrt((error[task] ** 2).mean())
    gained = (of_all - sparsification(error[task], std[task])).mean()
    best = (of_all - sparsification(error[task], error[task])).mean()
    gains[task] = gained / best
pd.Series(gains).round(2)

# %% [markdown]
# Where the noise itself differs from row to row, ``loss="quantile"`` learns it, and the
# width of its intervals is the measure of doubt to take.

# %%
of_quantiles = MultiTaskMMoERegressor(loss="quantile", max_iter=60, random_state=0)
low, high = np.moveaxis(of_quantiles.fit(X, y).predict_interval(X_test, 0.8), 2, 0)
width = pd.DataFrame(high - low, columns=y.columns)
axes[1].plot(
    taken[kept],
    sparsification(error["noisy"], width["noisy"])[kept],
    ":",
    color="C2",
    label="widest interval first",
)
axes[1].legend(fontsize="small")
figure
