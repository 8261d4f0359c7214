# %% [markdown]
"""
Share, or not?
==============

A search over ways of sharing and numbers of experts, all networks of one size; and the
report that answers first whether to share at all.
"""

# %%
import numpy as np
import pandas as pd

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks

X, related = make_related_tasks(
    n_samples=1500, n_features=20, correlation=0.95, n_sines=2, random_state=0
)
noise = np.random.default_rng(0).normal(size=1500)
y = pd.DataFrame(
    {
        "sales": related[:, 0],
        "visits": related[:, 1],
        "noise": noise,  # does not depend on X
    }
)

# %% [markdown]
# Two tasks that are closely related, and one that is only noise. The report fits
# separate networks, a shared bottom and MMoE on the same folds, then leaves out each
# task in turn.

# %%
from sklearn_mmoe.model_selection import sharing_report

reg = MultiTaskMMoERegressor(num_experts=4, max_iter=15)
report = sharing_report(
    reg, X, y, cv=3, sharing=["single", "shared_bottom", "mmoe"], n_jobs=2
)
print(report)

# %%
from sklearn_mmoe.inspection import SharingReportDisplay

_ = SharingReportDisplay.from_report(report)

# %% [markdown]
# A search over both, scored on every task at once. ``match_parameters="mmoe"`` keeps
# networks of the same number of experts at one size, so that no way of sharing wins by
# its size.

# %%
from sklearn.model_selection import GridSearchCV

from sklearn_mmoe.metrics import multi_task_scorer

search = GridSearchCV(
    MultiTaskMMoERegressor(match_parameters="mmoe", max_iter=15, random_state=0),
    {"sharing": ["omoe", "mmoe", "cgc"], "num_experts": [2, 8]},
    scoring=multi_task_scorer("r2"),
    refit="sales",
    cv=3,
    n_jobs=2,
).fit(X, y)
search.best_params_

# %%
from sklearn_mmoe.inspection import GridSearchDisplay, NetworkDisplay

_ = GridSearchDisplay.from_estimator(
    search, param="sharing", scores=["sales", "visits"]
)

# %% [markdown]
# The network that was chosen:

# %%
_ = NetworkDisplay.from_estimator(search)
