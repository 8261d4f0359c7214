# %% [markdown]
"""
What drives each task?
======================

Which columns of a table each task relies on, what the tasks have in common, and in
which direction a column drives them: for income and marital status of the census.
"""

# %%
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import fetch_census_income
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

X, y = fetch_census_income("test", return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=20_000, test_size=3_000, random_state=0
)
model = make_pipeline(
    make_tabular_preprocessor(), MultiTaskMMoEClassifier(random_state=0)
)
model.fit(X_train, y_train)

# %% [markdown]
# Which columns
# -------------
# Each column is permuted, three times, and each permuted table is predicted once for
# both tasks. The columns are those of the data frame, not the many that the
# preprocessor makes of them.

# %%
from sklearn_mmoe.inspection import TaskImportancesDisplay, task_importances

importances = task_importances(model, X_test, y_test, n_repeats=3, random_state=0)
_ = TaskImportancesDisplay.from_importances(importances, max_features=15)

# %% [markdown]
# The scores that these are taken from, and the importances as a table:

# %%
importances.scores.round(3)

# %%
importances.importances_mean.nlargest(5, "income").round(4)

# %% [markdown]
# The same as points, with their spread over the repeats:

# %%
_ = TaskImportancesDisplay.from_importances(importances, kind="points", max_features=8)

# %% [markdown]
# In which direction
# ------------------
# The mean probability of both tasks, if everybody were of some age, worked some weeks
# of the year, or had some sex.

# %%
from sklearn_mmoe.inspection import TaskPartialDependenceDisplay

_ = TaskPartialDependenceDisplay.from_estimator(
    model, X_test[:500], ["age", "weeks_worked", "sex"], grid_resolution=20
)
