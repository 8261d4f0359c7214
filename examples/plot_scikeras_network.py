# %% [markdown]
"""
The network in a scikeras wrapper
=================================

The builders in ``sklearn_mmoe.networks`` follow the protocol of scikeras' ``model=``
parameter, so that scikeras can train and search a network of experts too. For several
tasks with labels, weights and early stopping use the estimators of this package.
"""

# %%
from scikeras.wrappers import KerasRegressor
from sklearn.model_selection import train_test_split

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.networks import mmoe_network

X, y = make_related_tasks(
    n_samples=4000, n_features=20, n_tasks=1, n_sines=1, random_state=0
)
X = X.astype("float32")
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %% [markdown]
# Pass the parameters of the network as ``model__...``, as always with scikeras.

# %%
models = {
    "scikeras": KerasRegressor(
        mmoe_network,
        model__num_experts=4,
        model__seed=0,
        loss="mse",
        optimizer="adam",
        epochs=20,
        verbose=0,
    ),
    "sklearn_mmoe": MultiTaskMMoERegressor(num_experts=4, max_iter=20, random_state=0),
}
for name, model in models.items():
    print(f"{name}: test R2 {model.fit(X_train, y_train).score(X_test, y_test):.3f}")

# %%
import matplotlib.pyplot as plt
from sklearn.metrics import PredictionErrorDisplay

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained", sharey=True)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    PredictionErrorDisplay.from_predictions(
        y_test, model.predict(X_test), kind="actual_vs_predicted", ax=ax
    )
    ax.set_title(name)
