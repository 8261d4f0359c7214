# %% [markdown]
"""
A first model
=============

Two related targets in one estimator: fit, predict, score, and see what was learned.
The data are generated, so that this runs anywhere in a few seconds.
"""

# %% [markdown]
# The data
# --------
# Each row has numbers and categories, some of them missing, and two labels. Both labels
# depend on the same features in related ways.

# %%
from sklearn.model_selection import train_test_split

from sklearn_mmoe.datasets import make_related_tasks

X, y = make_related_tasks(
    n_samples=4000,
    n_features=12,
    n_categorical=4,
    kind="classification",
    correlation=0.7,
    n_sines=0,
    random_state=0,
)
y = y.rename(columns={"task_0": "click", "task_1": "purchase"})
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
X_train.head()

# %% [markdown]
# The model
# ---------
# A preprocessor for data frames of any kind, then the estimator. In a notebook the
# pipeline shows as a diagram; click on a step to see its parameters, and on the
# question mark for its documentation.

# %%
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

model = make_pipeline(
    make_tabular_preprocessor(),
    MultiTaskMMoEClassifier(num_experts=4, random_state=0),
)
model.fit(X_train, y_train)

# %% [markdown]
# The network that it trained, as a picture and as a table:

# %%
from sklearn_mmoe.inspection import NetworkDisplay

_ = NetworkDisplay.from_estimator(model)

# %%
model[-1].summary()

# %% [markdown]
# Predictions
# -----------
# ``predict`` returns a column of labels for each task.

# %%
model.predict(X_test).head(3)

# %% [markdown]
# ``predict_proba`` returns an array of probabilities for each task.

# %%
click, purchase = model.predict_proba(X_test)
click[:3].round(3)

# %% [markdown]
# Scores
# ------
# Any scikit-learn scorer, for every task at once.

# %%
from sklearn_mmoe.inspection import TaskScoresDisplay
from sklearn_mmoe.metrics import multi_task_scorer

scores = multi_task_scorer("roc_auc")(model, X_test, y_test)
for task, score in scores.items():
    print(f"{task:9}{score:.3f}")
_ = TaskScoresDisplay.from_estimator(model, X_test, y_test)

# %% [markdown]
# How it was trained, and which task uses which expert:

# %%
from sklearn_mmoe.inspection import GateWeightsDisplay, TrainingCurveDisplay

_ = TrainingCurveDisplay.from_estimator(model)

# %%
_ = GateWeightsDisplay.from_estimator(model, X_test)
