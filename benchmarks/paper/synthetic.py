"""The MMoE paper's experiment on synthetic data: how training goes as tasks differ.

Ma et al. (2018): two generated regressions whose weight vectors have a chosen cosine; a
shared bottom, one gate for all tasks (OMoE) and a gate for each (MMoE), of the paper's
sizes: eight experts of 16 units, towers of 8, a shared bottom of as many weights. Shown
are the loss on rows that are not trained on, and how the lowest loss of a run is spread
over runs, each with data and weights of its own.

    python benchmarks/paper/synthetic.py             # writes to benchmarks/results
    python benchmarks/paper/synthetic.py --runs 100  # goes on from the runs it has

The paper has 200 runs; learning rate and epochs are not in it, and are ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks

RESULTS = Path(__file__).parents[1] / "results"
CORRELATIONS = (0.5, 0.9, 1.0)
MODELS = {"shared bottom": "shared_bottom", "OMoE": "omoe", "MMoE": "mmoe"}
EPOCHS = 30
SIZES = {
    "num_experts": 8,
    "expert_units": 16,
    "shared_units": (),
    "tower_units": (8,),
    "match_parameters": "mmoe",
}
# Nothing that the paper's networks do not have.
PLAIN = {
    "activation": "relu",
    "wide": False,
    "dropout": 0.0,
    "feature_penalty": 0.0,
    "optimizer": "adam",
    "learning_rate_schedule": "constant",
    "cv": None,
}


def run(correlation: float, seed: int, model: str) -> pd.DataFrame:
    """Train one model on one draw of the tasks; return its loss after each epoch."""
    X, y = make_related_tasks(correlation=correlation, random_state=seed)
    X_train, X_val, y_train, y_val = train_test_split(
        X, y, test_size=2000, random_state=seed
    )
    regressor = MultiTaskMMoERegressor(
        sharing=MODELS[model],
        **SIZES,
        **PLAIN,
        learning_rate=1e-3,
        max_iter=EPOCHS,
        # The loss of each epoch, and no early end.
        early_stopping=True,
        n_iter_no_change=EPOCHS,
        random_state=seed,
    ).fit(X_train, y_train, X_val=X_val, y_val=y_val)
    return pd.DataFrame(
        {
            "correlation": correlation,
            "model": model,
            "run": seed,
            "epoch": np.arange(1, EPOCHS + 1),
            "loss": np.negative(regressor.validation_scores_) / y.shape[1],
            "weights": regressor.n_parameters_,
        }
    )


def run_all(n_runs: int, path: Path) -> pd.DataFrame:
    """Do the runs that the file does not hold, and add them to it."""
    done = pd.read_csv(path) if path.exists() else pd.DataFrame()
    known = (
        set()
        if done.empty
        else set(zip(done.correlation, done.run, done.model, strict=True))
    )
    todo = [
        job for job in product(CORRELATIONS, range(n_runs), MODELS) if job not in known
    ]
    tables: Iterator[pd.DataFrame] = joblib.Parallel(
        n_jobs=joblib.cpu_count(), return_as="generator"
    )(joblib.delayed(run)(*job) for job in todo)
    for table in tables:
        done = pd.concat([done, table], ignore_index=True)
        done.to_csv(path, index=False, float_format="%.6g")
    return done[done.run < n_runs]


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Describe the runs' lowest losses, and what MMoE gains on each run."""
    lowest = results.groupby(["correlation", "run", "model"])["loss"].min().unstack()
    rows = []
    for correlation, of_runs in lowest.groupby(level="correlation"):
        for model in MODELS:
            losses = of_runs[model]
            gain = losses - of_runs["MMoE"]
            rows.append(
                {
                    "correlation": correlation,
                    "model": model,
                    "mean": losses.mean(),
                    "std": losses.std(),
                    "worst": losses.max(),
                    "more than MMoE": gain.mean(),
                    "+-": gain.sem(),
                }
            )
    return pd.DataFrame(rows).set_index(["correlation", "model"])


def draw(results: pd.DataFrame, path: Path) -> None:
    """Draw the mean curves above, and the runs' lowest losses below."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, len(CORRELATIONS), figsize=(10, 6), sharey="row", layout="constrained"
    )
    for (curves, boxes), correlation in zip(axes.T, CORRELATIONS, strict=True):
        of_one = results[results.correlation == correlation]
        for model in MODELS:
            of_model = of_one[of_one.model == model]
            curves.plot(of_model.groupby("epoch")["loss"].mean(), label=model)
        lowest = of_one.groupby(["model", "run"])["loss"].min()
        boxes.boxplot([lowest[model] for model in MODELS], tick_labels=list(MODELS))
        curves.set(title=f"correlation {correlation:g}", xlabel="epoch", yscale="log")
    axes[0, 0].set_ylabel("validation loss, mean of runs")
    axes[1, 0].set_ylabel("lowest loss of each run")
    axes[0, -1].legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "paper_synthetic.csv"
    results = run_all(arguments.runs, path)
    sizes = results.groupby("model")["weights"].first()
    text = (
        f"Lowest validation loss (1 is predicting the mean), {arguments.runs} runs\n"
        f"{summary(results).to_string(float_format='{:.4f}'.format)}\n\n"
        f"weights: {', '.join(f'{model} {sizes[model]:,}' for model in MODELS)}\n"
    )
    print(text, end="")
    path.with_suffix(".txt").write_text(text, encoding="utf-8")
    draw(results, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
