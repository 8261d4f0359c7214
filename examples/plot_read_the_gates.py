# %% [markdown]
"""
Who uses which expert?
======================

The gates of a model of income and marital status, on average, from row to row, and by
subgroups of a column that the network only sees encoded.
"""

# %%
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import fetch_census_income
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

X, y = fetch_census_income("test", return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=20_000, test_size=5_000, random_state=0
)
model = make_pipeline(
    make_tabular_preprocessor(), MultiTaskMMoEClassifier(num_experts=6, random_state=0)
)
model.fit(X_train, y_train)

# %%
from sklearn_mmoe.inspection import GateWeightsDisplay, expert_use

_ = GateWeightsDisplay.from_estimator(model, X_test)

# %% [markdown]
# Subgroups
# ---------
# ``expert_use`` averages the weights over groups of rows. In a Pipeline the groups may
# be those of a column of the data frame.

# %%
use = expert_use(model, X_test, by="education")
use.xs("income", level="task").round(2)

# %% [markdown]
# A picture of it: a row for each level of education, a column for each expert.

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained", sharey=True)
for ax, task in zip(axes, ["income", "never_married"], strict=True):
    of_task = use.xs(task, level="task")
    image = ax.imshow(of_task, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set(title=task, xlabel="expert", xticks=range(of_task.shape[1]))
axes[0].set_yticks(range(len(of_task)), of_task.index)
_ = figure.colorbar(image, ax=axes, label="mean weight")
