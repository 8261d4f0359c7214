"""Find out whether the members' standard deviation tells where the network is wrong.

On each table of regressions that is at hand, half of the rows are learned from by the
default pipeline, and the others are predicted with ``return_std=True``. Of the halves
and quarters of these rows that have the least standard deviation, the root mean squared
error is printed relative to that of all (sparsification), beside that of the rows that
have the least error (the best that any measure of doubt could do), and the rank
correlation of error and standard deviation. Figures are means over the tasks.

    python benchmarks/spread.py
    python benchmarks/spread.py --seed 1
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from table_data import tables_at_hand

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

MOST_ROWS = 4000  # twice as many as are learned by an ensemble by default


def kept_error(error: np.ndarray, doubt: np.ndarray, share: float) -> float:
    """Compute the error of the rows of least doubt, relative to that of all."""
    kept = np.argsort(doubt, kind="stable")[: int(len(error) * share)]
    return float(np.sqrt(np.mean(error[kept] ** 2) / np.mean(error**2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    rows = {}
    for name, load in tables_at_hand().items():
        table = load(seed)
        if len(table.X) > MOST_ROWS or any(table.kinds.values()):
            continue
        X, X_test, y, y_test = train_test_split(
            table.X, table.y, test_size=0.5, random_state=seed
        )
        model = make_pipeline(
            make_tabular_preprocessor(), MultiTaskMMoERegressor(random_state=seed)
        ).fit(X, y)
        predicted, std = model.predict(X_test, return_std=True)
        of_tasks = []
        for task in y:
            error = np.abs(predicted[task].to_numpy() - y_test[task].to_numpy())
            known = ~np.isnan(error)
            error, doubt = error[known], std[task].to_numpy()[known]
            if not error.any():
                continue
            of_tasks.append(
                {
                    "half": kept_error(error, doubt, 0.5),
                    "quarter": kept_error(error, doubt, 0.25),
                    "best half": kept_error(error, error, 0.5),
                    "rank correlation": spearmanr(error, doubt).statistic,
                }
            )
        rows[name] = pd.DataFrame(of_tasks).mean()
    results = pd.DataFrame(rows).T
    results.loc["mean"] = results.mean()
    print(results.round(2).to_string())


if __name__ == "__main__":
    main()
