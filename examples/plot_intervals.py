# %% [markdown]
"""
How sure is each prediction?
============================

Intervals that hold nine in ten of the targets of each task, narrow for rows that are
easy and wide for those that are not. The data are generated, so that this runs anywhere
in a few seconds.
"""

# %%
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.uniform(-2, 2, size=(2000, 5)), columns=list("abcde"))
y = pd.DataFrame(
    {
        "sales": np.sin(2 * X["a"]) + 0.5 * X["b"] + rng.normal(scale=0.3, size=2000),
        "returns": np.cos(2 * X["a"]) + np.exp(X["a"] / 2) * rng.normal(size=2000) / 2,
    }
)
y.loc[::4, "returns"] = np.nan  # not yet known

# %% [markdown]
# Two ways to make them
# ---------------------
# Quantiles that a network has learned follow the noise; intervals of one width do not.
# Both cover nine in ten targets, because they are corrected on held-out rows.

# %%
from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.model_selection import MultiTaskConformalPredictor

models = {
    loss: MultiTaskConformalPredictor(
        MultiTaskMMoERegressor(loss=loss, max_iter=30, random_state=0),
        cv=0.3,
        random_state=0,
    ).fit(X[:1000], y[:1000])
    for loss in ("quantile", "squared_error")
}

# %%
test_X, test_y = X[1000:], y[1000:]
rows = []
for loss, model in models.items():
    intervals = model.predict_interval(test_X, coverage=0.9)
    for k, task in enumerate(y):
        known = test_y[task].notna().to_numpy()
        low, high = intervals[known, k].T
        within = test_y[task][known].between(low, high)
        rows.append((loss, task, within.mean(), (high - low).mean()))
pd.DataFrame(rows, columns=["loss", "task", "coverage", "mean width"]).round(2)

# %% [markdown]
# Along one feature
# -----------------

# %%
import matplotlib.pyplot as plt

grid = pd.DataFrame(0.0, index=range(200), columns=X.columns)
grid["a"] = np.linspace(-2, 2, 200)
near = test_X["b"].abs() < 0.5
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for k, (task, ax) in enumerate(zip(y, axes, strict=True)):
    ax.plot(test_X["a"][near], test_y[task][near], ".", color="0.6", markersize=3)
    for (loss, model), color in zip(models.items(), ("C0", "C1"), strict=True):
        low, high = model.predict_interval(grid, coverage=0.9)[:, k].T
        ax.plot(grid["a"], low, color=color, label=f"loss={loss!r}")
        ax.plot(grid["a"], high, color=color)
    ax.set(title=task, xlabel="a")
axes[0].legend(loc="lower right", fontsize="small")
