"""Write files of fitted estimators, and what they predict, as this release does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

import sklearn_mmoe
from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)

TINY = {
    "num_experts": 2,
    "expert_units": 3,
    "shared_units": (4,),
    "tower_units": (3,),
    "batch_size": 16,
    "random_state": 0,
}


def make_models() -> dict:
    """Fit one of each kind; return them with their X and y."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).round(3)
    values = np.column_stack([X[:, 0] * 10 + 5, X[:, 1] - X[:, 2]]).round(3)
    labels = pd.DataFrame(
        {
            "size": np.array(["large", "mid", "small"])[np.digitize(X[:, 0], [-1, 1])],
            "often": X[:, 1] > 0,
            2024: np.where(X[:, 2] > 0, 7, 3),
        }
    )
    labels["size"] = labels["size"].astype(object).where(np.arange(60) % 5 > 0, None)
    mixed = pd.DataFrame({"price": values[:, 0], "sold": labels["often"]})
    stopping = {"early_stopping": True, "max_iter": 4, "n_iter_no_change": 2}
    classifier = MultiTaskMMoEClassifier(**TINY, **stopping).fit(X, labels)
    weighing = {"task_weighting": "gradnorm", "task_weight": [1, 3]}
    regressor = MultiTaskMMoERegressor(**TINY, **weighing).partial_fit(X, values)
    mixed_model = MultiTaskMMoEMixed(**TINY, max_iter=3).fit(X, mixed)
    sharing = {"sharing": "ple", "match_parameters": "mmoe"}
    ensemble = MultiTaskMMoEMixed(**TINY, **sharing, max_iter=3, cv=2).fit(X, mixed)
    return {
        "classifier": (classifier.set_params(early_stopping=False), X, labels),
        "regressor": (regressor.partial_fit(X, values), X, values),
        "mixed": (mixed_model, X, mixed),
        "ensemble": (ensemble, X, mixed),
    }


def as_lists(table: object) -> list:
    """Bring a data frame or an array to lists of Python's own numbers and text."""
    return np.asarray(table, dtype=object).tolist()


def main() -> None:
    """Write them to a folder of this release's name."""
    folder = Path(__file__).parent / sklearn_mmoe.__version__
    folder.mkdir(exist_ok=True)
    for name, (model, X, y) in make_models().items():
        model.save(folder / f"{name}.mmoe")
        rows = slice(6)
        expected = {
            "estimator": type(model).__name__,
            "t_": model.t_,
            "X": as_lists(X[rows]),
            "y": as_lists(y[rows]),
            "predictions": as_lists(model.predict(X[rows])),
        }
        if hasattr(model, "predict_proba"):
            of_tasks = model.predict_proba(X[rows])
            of_tasks = of_tasks if isinstance(of_tasks, list) else [of_tasks]
            expected["probabilities"] = [as_lists(part) for part in of_tasks]
        text = json.dumps(expected)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
