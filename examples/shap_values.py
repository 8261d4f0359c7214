"""Explain single predictions of one task with SHAP, on columns of mixed kinds.

Fits two tasks on generated data, and asks SHAP's permutation explainer how far each
column moved the probability of one task away from its mean. The explainer is given the
columns of the data frame, before all preprocessing. Needs ``pip install shap``.

    python examples/shap_values.py           # explain the task 'click'
    python examples/shap_values.py purchase  # or another
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

N_BACKGROUND, N_EXPLAINED = 50, 20


class Codes:
    """A data frame as numbers, for SHAP, which averages and masks arrays, and back."""

    def __init__(self, X: pd.DataFrame) -> None:
        self.dtypes = X.dtypes
        self.known = {
            name: pd.Index(X[name].dropna().unique())
            for name in X
            if not pd.api.types.is_numeric_dtype(X[name])
        }

    def encode(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return numbers; words are counted from 0, and -1 where they are missing."""
        coded = {name: known.get_indexer(X[name]) for name, known in self.known.items()}
        return X.assign(**coded).astype(np.float64)

    def decode(self, numbers: np.ndarray) -> pd.DataFrame:
        """Return a data frame as the model takes it."""
        X = pd.DataFrame(numbers, columns=self.dtypes.index)
        for name, known in self.known.items():
            codes = X[name].astype(int)
            X[name] = pd.Series(known.take(codes), index=X.index).where(codes >= 0)
        return X.astype(self.dtypes)


def probability_of(
    model, task: str, codes: Codes
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of numbers: the probability of a task's second class."""
    of_task = make_pipeline(model[:-1], model[-1].task(task))

    def probability(numbers: np.ndarray) -> np.ndarray:
        return of_task.predict_proba(codes.decode(numbers))[:, 1]

    return probability


def main(task: str) -> None:
    """Fit, explain, and print what moves this task most."""
    try:
        import shap
    except ImportError:
        sys.exit("This example needs SHAP: pip install shap")
    X, y = make_related_tasks(
        n_samples=3000,
        n_features=8,
        n_categorical=3,
        kind="classification",
        n_sines=0,
        random_state=0,
    )
    y = y.set_axis(["click", "purchase"], axis=1)
    model = make_pipeline(
        make_tabular_preprocessor(),
        MultiTaskMMoEClassifier(num_experts=4, max_iter=10, random_state=0),
    ).fit(X[:2000], y[:2000])

    codes = Codes(X)
    probability = probability_of(model, task, codes)
    background = codes.encode(X[:N_BACKGROUND])
    masker = shap.maskers.Independent(background, max_samples=N_BACKGROUND)
    explainer = shap.explainers.Permutation(probability, masker, seed=0)
    rows = X[2000 : 2000 + N_EXPLAINED]
    explanation = explainer(codes.encode(rows), silent=True)

    # Of each row the values and the mean add up to the prediction.
    shares = explanation.values  # noqa: PD011  not of pandas
    total = shares.sum(axis=1) + explanation.base_values
    predicted = probability(codes.encode(rows).to_numpy())
    print(f"mean probability of {task!r}: {explanation.base_values[0]:.3f}")
    print(f"largest error of the sums: {np.abs(total - predicted).max():.1e}")
    print("mean distance that each column moves it:")
    sizes = pd.Series(np.abs(shares).mean(axis=0), index=X.columns)
    print(sizes.sort_values(ascending=False).round(3).to_string())
    print("the first row:")
    first = pd.DataFrame({"value": rows.iloc[0], "shap": shares[0].round(3)})
    print(first.to_string())


if __name__ == "__main__":
    main(*sys.argv[1:] or ["click"])
