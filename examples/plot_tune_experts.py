# %% [markdown]
"""
How many experts?
=================

A grid search over the number of experts, scored on every task at once.
"""

# %%
from sklearn.model_selection import GridSearchCV

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks

X, y = make_related_tasks(
    n_samples=4000, n_features=30, correlation=0.5, n_sines=2, random_state=0
)

# %% [markdown]
# The paper's own network: no shared layer below the experts, no linear part, ReLU. With
# one expert it is a shared bottom; other ways of sharing are searched in
# :doc:`/auto_examples/plot_tune_sharing`.

# %%
from sklearn_mmoe.metrics import multi_task_scorer

search = GridSearchCV(
    MultiTaskMMoERegressor(
        expert_units=16,
        shared_units=(),
        activation="relu",
        wide=False,
        dropout=0.0,
        max_iter=15,
        random_state=0,
    ),
    {"num_experts": [1, 2, 4, 8, 16]},
    scoring=multi_task_scorer("r2"),
    refit="mean",
    cv=3,
    n_jobs=2,
).fit(X, y)
search.best_params_

# %% [markdown]
# The score of each task, and of their mean, with its spread over the folds. Candidates
# that differ by much less than the spread may differ by chance.

# %%
from sklearn_mmoe.inspection import GridSearchDisplay

_ = GridSearchDisplay.from_estimator(search)

# %% [markdown]
# The experts of the chosen network, by task:

# %%
from sklearn_mmoe.inspection import GateWeightsDisplay

_ = GateWeightsDisplay.from_estimator(search, X)
