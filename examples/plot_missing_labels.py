# %% [markdown]
"""
Targets that few rows have
==========================

Tasks are often observed on different rows: everybody may click, few buy. The experts
still learn from a row without one target, by the other one. Here one of two related
tasks is observed in fewer and fewer rows.
"""

# %%
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import make_related_tasks

X, y = make_related_tasks(
    n_samples=8000,
    n_features=40,
    kind="classification",
    correlation=0.9,
    scale=0.5,
    n_sines=0,
    random_state=0,
)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=4000, random_state=0
)

# %% [markdown]
# Fit the rare task alone on the rows that have it, and both tasks on all rows. A
# missing target is NaN, None or ``pd.NA``.

# %%
rng = np.random.default_rng(0)
order = rng.permutation(len(X_train))
rows = []
for n_known in (4000, 1000, 300, 100):
    known = order[:n_known]
    both = y_train.astype(float)
    both[np.setdiff1d(order, known), 1] = np.nan
    shared = MultiTaskMMoEClassifier(max_iter=10, random_state=0).fit(X_train, both)
    alone = MultiTaskMMoEClassifier(max_iter=10, random_state=0)
    alone.fit(X_train[known], y_train[known, 1])
    rows.append(
        {
            "rows with the target": n_known,
            "both tasks": roc_auc_score(
                y_test[:, 1], shared.predict_proba(X_test)[1][:, 1]
            ),
            "this task alone": roc_auc_score(
                y_test[:, 1], alone.predict_proba(X_test)[:, 1]
            ),
        }
    )
table = pd.DataFrame(rows).set_index("rows with the target")
table.round(3)

# %%
ax = table.plot(style=["o-", "s--"], logx=True)
_ = ax.set(ylabel="test ROC AUC of the rare task", xticks=table.index)
_ = ax.set_xticklabels(table.index)
