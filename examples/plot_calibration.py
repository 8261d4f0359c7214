# %% [markdown]
"""
Can the probabilities be believed?
==================================

A network that is trained for long may rank rows well, and be too sure of itself. The
reliability curves of all tasks show it, and the expected calibration error says how
much. The data are generated, so that this runs anywhere in a few seconds.
"""

# %%
import pandas as pd
from sklearn.model_selection import train_test_split

from sklearn_mmoe.datasets import make_related_tasks

X, y = make_related_tasks(
    n_samples=6000,
    n_features=20,
    kind="classification",
    correlation=0.7,
    scale=0.5,
    n_sines=0,
    random_state=0,
)
y = pd.DataFrame(y, columns=["click", "purchase"])
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=2000, random_state=0
)

# %% [markdown]
# Trained for a few epochs, and for many
# --------------------------------------

# %%
from sklearn_mmoe import MultiTaskMMoEClassifier

few, many = (
    MultiTaskMMoEClassifier(
        max_iter=n_epochs, weight_decay=0.0, feature_penalty=0.0, random_state=0
    ).fit(X_train, y_train)
    for n_epochs in (5, 60)
)

# %%
import matplotlib.pyplot as plt

from sklearn_mmoe.inspection import TaskCalibrationDisplay

figure, axes = plt.subplots(
    2, 2, figsize=(9, 6), height_ratios=[3, 1], sharex=True, layout="constrained"
)
for of_model, model, title in zip(axes.T, (few, many), ("5", "60"), strict=True):
    TaskCalibrationDisplay.from_estimator(model, X_test, y_test, ax=of_model)
    of_model[0].set_title(f"{title} epochs")

# %% [markdown]
# As scores
# ---------
# The scorers of this package know the error by name. It is not a proper score, so look
# at it together with one that is.

# %%
from sklearn_mmoe.metrics import multi_task_scorer

scorings = ["neg_expected_calibration_error", "neg_log_loss", "roc_auc"]
table = pd.DataFrame(
    {
        (title, scoring): multi_task_scorer(scoring)(model, X_test, y_test)
        for title, model in (("5 epochs", few), ("60 epochs", many))
        for scoring in scorings
    }
)
table.T.round(3)

# %% [markdown]
# Calibrated afterwards
# ---------------------
# scikit-learn calibrates one task of the fitted estimator, on rows that were not used
# to train it.

# %%
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

calibrated = CalibratedClassifierCV(FrozenEstimator(many.task("click")))
calibrated.fit(X_test[:2000], y_test["click"][:2000])
later, labels = X_test[2000:], y_test["click"][2000:]
_ = TaskCalibrationDisplay.from_predictions(
    pd.DataFrame({"click, as trained": labels, "click, calibrated": labels}),
    [many.predict_proba(later)[0], calibrated.predict_proba(later)],
)
