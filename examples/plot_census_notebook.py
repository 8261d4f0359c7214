# %% [markdown]
"""
MMoE on Census-Income
=====================

The notebook "MMoE on Census income data in Tensorflow", cell by cell, with this
package: install, data, preparation, model, ROC AUC at each epoch, results. Two tasks
are learned at once: whether somebody earns more than 50,000 dollars a year, and whether
they never married.
"""

# %% [markdown]
# Install
# -------
# See :doc:`/getting_started`.

# %%
import pandas as pd
from sklearn.model_selection import train_test_split

import sklearn_mmoe

print("sklearn_mmoe", sklearn_mmoe.__version__)

# %% [markdown]
# Data
# ----
# Downloaded once, checked against its checksum, and kept. This example uses the test
# half of the data: 60 % for training, 20 % for validation and 20 % for testing.
# ``fetch_census_income()`` returns both halves.

# %%
from sklearn_mmoe.datasets import fetch_census_income

census = fetch_census_income("test")
X, y = census.data, census.target
print(X.shape, y.shape)
X.iloc[:5, :8]

# %% [markdown]
# The survey weight is not a feature: it says how many people a row stands for. It is in
# ``census.sample_weight``. The shares of the labels:

# %%
pd.DataFrame({name: y[name].value_counts(normalize=True) for name in y}).round(3)

# %% [markdown]
# Preparation
# -----------
# Numbers piecewise linear, one column for each category, both matched by name.

# %%
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

X_train, X_rest, y_train, y_rest = train_test_split(X, y, test_size=0.4, random_state=1)
X_valid, X_test, y_valid, y_test = train_test_split(
    X_rest, y_rest, test_size=0.5, random_state=1
)
preprocessor = make_tabular_preprocessor()
Z_train = preprocessor.fit_transform(X_train)
Z_valid, Z_test = preprocessor.transform(X_valid), preprocessor.transform(X_test)
print("Training data shape =", Z_train.shape)
print("Validation data shape =", Z_valid.shape)
print("Test data shape =", Z_test.shape)

# %% [markdown]
# Model
# -----
# Eight experts, as in the notebook. ``TaskScores`` is its ROC callback: every task on
# every set at the end of each epoch.

# %%
from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.callbacks import TaskScores

scores = TaskScores(
    {
        "train": (Z_train, y_train),
        "validation": (Z_valid, y_valid),
        "test": (Z_test, y_test),
    }
)
clf = MultiTaskMMoEClassifier(num_experts=8, callbacks=scores, random_state=1)
clf.fit(Z_train, y_train)

# %%
clf.summary()

# %% [markdown]
# ROC AUC by epoch
# ----------------
# The table behind the lines above, and its picture.

# %%
table = scores.scores_.pivot(index="epoch", columns=["task", "set"], values="roc_auc")
table.sort_index(axis="columns").round(4)

# %%
from sklearn_mmoe.inspection import TrainingCurveDisplay

_ = TrainingCurveDisplay.from_estimator(clf)

# %% [markdown]
# Results
# -------

# %%
from sklearn_mmoe.inspection import GateWeightsDisplay, TaskScoresDisplay
from sklearn_mmoe.metrics import multi_task_scorer

scorer = multi_task_scorer("roc_auc")
pd.DataFrame(
    {"validation": scorer(clf, Z_valid, y_valid), "test": scorer(clf, Z_test, y_test)}
).round(4)

# %%
_ = TaskScoresDisplay.from_estimator(clf, Z_test, y_test, kind="precision_recall")

# %% [markdown]
# The two tasks use different experts, and share some:

# %%
_ = GateWeightsDisplay.from_estimator(clf, Z_test)
