# %% [markdown]
"""
From a data frame to a saved model
==================================

Targets of both kinds, missing values, dates, a metric for each task and metrics of your
own: a whole job, from a data frame to a model that is loaded again. The data are
generated, so that this runs anywhere in less than a minute.
"""

# %% [markdown]
# The data
# --------
# Customers of a shop: numbers, categories, a date, and gaps. Three targets: whether the
# customer left, the plan that they took, and what they spent, which is known for 70 %
# of them.

# %%
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n = 3000
X = pd.DataFrame(
    {
        "age": rng.integers(18, 80, size=n).astype(float),
        "visits": rng.poisson(6, size=n),
        "city": rng.choice(["Oslo", "Rome", "Lyon", "Bern"], size=n),
        "joined": pd.Timestamp("2021-01-01")
        + pd.to_timedelta(rng.integers(0, 1400, size=n), unit="D"),
    }
)
years = (pd.Timestamp("2025-01-01") - X["joined"]).dt.days / 365
loyal = 0.3 * X["visits"] + 0.8 * years + (X["city"] == "Oslo") + rng.normal(size=n)
y = pd.DataFrame(
    {
        "left": np.where(loyal < 3, "yes", "no"),
        "plan": pd.cut(
            loyal + X["age"] / 40, [-np.inf, 4, 6, np.inf], labels=["S", "M", "L"]
        ).astype(object),
        "spent": 20 * loyal + 0.5 * X["age"] + 10 * rng.normal(size=n),
    }
)
X.loc[rng.random(n) < 0.1, "age"] = np.nan
y.loc[rng.random(n) < 0.3, "spent"] = np.nan
pd.concat([X, y], axis=1).head()

# %% [markdown]
# Splits that keep the shares of all tasks, missing targets included:

# %%
from sklearn_mmoe.model_selection import multi_task_train_test_split

X_train, X_test, y_train, y_test = multi_task_train_test_split(X, y, random_state=0)

# %% [markdown]
# A metric for each task
# ----------------------
# Use scikit-learn's names, or make a scorer of any function. The F2 score counts a
# customer who leaves unnoticed more than a false alarm.

# %%
from sklearn.metrics import fbeta_score, make_scorer

from sklearn_mmoe.metrics import multi_task_scorer


def within_ten(y_true, y_pred):
    """Share of the predictions that are off by less than ten."""
    return np.mean(np.abs(y_true - y_pred) < 10)


scorer = multi_task_scorer(
    {
        "left": make_scorer(fbeta_score, beta=2, pos_label="yes"),
        "plan": "balanced_accuracy",
        "spent": make_scorer(within_ten),
    }
)

# %% [markdown]
# Cross-validate and search
# -------------------------
# With targets of both kinds, a number as ``cv`` makes folds that are not stratified.
# ``MultiTaskStratifiedShuffleSplit`` stratifies by all tasks, of either kind.
# ``MultiTaskStratifiedKFold`` does so too, in folds that test each row once.

# %%
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEMixed
from sklearn_mmoe.model_selection import MultiTaskStratifiedShuffleSplit
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

model = make_pipeline(
    make_tabular_preprocessor(), MultiTaskMMoEMixed(max_iter=15, random_state=0)
)
search = GridSearchCV(
    model,
    {"multitaskmmoemixed__num_experts": [2, 8]},
    scoring=scorer,
    refit="mean",
    cv=MultiTaskStratifiedShuffleSplit(3, test_size=0.25, random_state=0),
)
search.fit(X_train, y_train)

# %%
columns = [f"mean_test_{name}" for name in [*y, "mean"]]
results = pd.DataFrame(search.cv_results_)
results.set_index("param_multitaskmmoemixed__num_experts")[columns].round(3)

# %% [markdown]
# On rows that nothing was fitted on:

# %%
pd.Series(scorer(search, X_test, y_test)).round(3)

# %% [markdown]
# What the preprocessor took each column for:

# %%
best = search.best_estimator_
pd.Series(best[0].column_to_kind_)

# %% [markdown]
# What was learned
# ----------------
# Which columns each task relies on:

# %%
from sklearn_mmoe.inspection import TaskImportancesDisplay

_ = TaskImportancesDisplay.from_estimator(
    best, X_test, y_test, n_repeats=3, random_state=0
)

# %% [markdown]
# A confusion matrix for each classification:

# %%
import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

predicted = best.predict(X_test)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
for ax, task in zip(axes, ["left", "plan"], strict=True):
    ConfusionMatrixDisplay.from_predictions(
        y_test[task], predicted[task], ax=ax, colorbar=False
    )
    ax.set_title(task)

# %% [markdown]
# Save, load, predict
# -------------------
# skops writes the whole Pipeline to a file without code. It loads only the types that
# it is told to trust; here all of them are this package's, NumPy's or skrub's.

# %%
import tempfile
from pathlib import Path

import skops.io

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.skops"
    skops.io.dump(best, path)
    again = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))

# %% [markdown]
# One customer, as a dict:

# %%
customer = {"age": 35, "visits": 9, "city": "Oslo", "joined": "2023-05-01"}
again.predict(pd.DataFrame([customer]))
