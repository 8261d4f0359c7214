"""How related must tasks be for sharing to pay? The MMoE paper's synthetic regression.

Trains three models on two generated tasks (section 3.2 of Ma et al., 2018) whose weight
vectors have a chosen cosine, and prints the mean squared error on test rows: MMoE, a
network whose tasks share all but their towers, and a network for each task.

    python benchmarks/related_tasks.py                     # ReLU, as in the paper
    python benchmarks/related_tasks.py --activation silu   # as the estimators' default
"""

from __future__ import annotations

import argparse

import joblib
import pandas as pd
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.multioutput import MultiOutputRegressor

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks

CORRELATIONS = (0.0, 0.5, 0.9)
SEEDS = range(3)


def models(activation: str, seed: int) -> dict:
    """Make the contenders, of about the same number of weights each."""
    common = {
        "shared_units": (),
        "activation": activation,
        "wide": False,
        "dropout": 0.0,
        "feature_penalty": 0.0,
        "early_stopping": True,
        "max_iter": 30,
        "random_state": seed,
    }
    return {
        "MMoE": MultiTaskMMoERegressor(num_experts=8, expert_units=16, **common),
        "shared bottom": MultiTaskMMoERegressor(
            num_experts=1, expert_units=136, **common
        ),
        "one network for each task": MultiOutputRegressor(
            MultiTaskMMoERegressor(num_experts=1, expert_units=68, **common)
        ),
    }


def errors(activation: str, correlation: float, seed: int) -> pd.DataFrame:
    """Train and test every contender on one draw of the tasks."""
    X, y = make_related_tasks(correlation=correlation, random_state=seed)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=2000, random_state=seed
    )
    return pd.DataFrame(
        [
            {
                "correlation": correlation,
                "model": name,
                "test MSE": mean_squared_error(
                    y_test, model.fit(X_train, y_train).predict(X_test)
                ),
            }
            for name, model in models(activation, seed).items()
        ]
    )


def run(activation: str) -> pd.DataFrame:
    """Return the mean squared error by correlation and model, the mean of all draws."""
    jobs = [
        (activation, correlation, seed)
        for correlation in CORRELATIONS
        for seed in SEEDS
    ]
    tables = joblib.Parallel(n_jobs=min(len(jobs), joblib.cpu_count()))(
        joblib.delayed(errors)(*job) for job in jobs
    )
    table = pd.concat(tables).pivot_table(
        index="correlation", columns="model", values="test MSE"
    )
    return table[list(models(activation, 0))]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--activation", default="relu")
    activation = parser.parse_args().activation
    table = run(activation)
    print(
        f"Test MSE by cosine of the tasks' weights, mean of {len(SEEDS)} draws "
        f"({activation})"
    )
    print(table.to_string(float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
